package rest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// maxDepth bounds the nesting of an answer.
const maxDepth = 32

// A number is a JSON number as it was written: a license number of 20 digits stays what it is.
type number string

// document reads one JSON value: nil, bool, string, number, []any or map[string]any. Names that stand twice, invalid
// UTF-8, further values and deep nesting are refused. Errors say where, and never what.
func document(body []byte) (any, error) {
	d := jsontext.NewDecoder(bytes.NewReader(body))
	v, err := value(d, maxDepth)
	if err == nil {
		if _, err = d.ReadToken(); err == io.EOF {
			return v, nil
		}
		err = errors.New("more than one value")
	}
	var syntax *jsontext.SyntacticError
	if errors.As(err, &syntax) { // its text repeats the answer
		err = fmt.Errorf("malformed at byte %d", syntax.ByteOffset)
	}
	return nil, fmt.Errorf("it is no JSON that can be used: %w", err)
}

var errDeep = errors.New("nested too deeply")

func value(d *jsontext.Decoder, depth int) (any, error) {
	if depth == 0 {
		return nil, errDeep
	}
	token, err := d.ReadToken()
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, err
	}
	switch token.Kind() {
	case '{':
		return object(d, depth)
	case '[':
		list := []any{}
		for d.PeekKind() != ']' {
			v, err := value(d, depth-1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err := d.ReadToken()
		return list, err
	case '0':
		return number(token.String()), nil
	case '"':
		return token.String(), nil
	case 't', 'f':
		return token.Bool(), nil
	}
	return nil, nil
}

func object(d *jsontext.Decoder, depth int) (any, error) {
	members := map[string]any{}
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return nil, err
		}
		key := name.String() // before the next read takes its bytes
		v, err := value(d, depth-1)
		if err != nil {
			return nil, err
		}
		members[key] = v
	}
	_, err := d.ReadToken()
	return members, err
}

// at follows a JSON pointer. It reports false where the pointer leads nowhere; a null on the way is nowhere too.
func at(v any, pointer string) (any, bool) {
	for name := range jsontext.Pointer(pointer).Tokens() {
		switch inside := v.(type) {
		case map[string]any:
			next, ok := inside[name]
			if !ok {
				return nil, false
			}
			v = next
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(inside) || strconv.Itoa(i) != name {
				return nil, false
			}
			v = inside[i]
		default:
			return nil, false
		}
	}
	return v, true
}

// text writes a scalar, or a list of scalars joined by the separator where the mapping has one.
func text(v any, separator string) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case number:
		return string(v), nil
	case bool:
		return strconv.FormatBool(v), nil
	case []any:
		if separator == "" {
			return "", errors.New("a list where one value is expected; holders.separator would take it as one value per holder")
		}
		parts := make([]string, len(v))
		for i, e := range v {
			s, err := text(e, "")
			if err != nil || strings.Contains(s, separator) {
				return "", errors.New("a list whose values cannot be told apart by the separator")
			}
			parts[i] = s
		}
		return strings.Join(parts, separator), nil
	}
	return "", errors.New("an object where one value is expected")
}

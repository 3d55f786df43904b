package der

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"errors"
)

// ErrPEM says that a text is not PEM (RFC 7468) whose blocks can all be read.
var ErrPEM = errors.New("a PEM block is damaged")

// Blocks returns the blocks of a PEM text in order; none where there are none. Text around the blocks is passed over, as RFC 7468
// section 2 asks, but a damaged block is an error: package pem skips one without a word, so that the next would be taken for it.
func Blocks(text []byte) (list []*pem.Block, err error) {
	const boundary = "-----"
	for rest := text; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		list = append(list, block)
	}
	if bytes.Count(text, []byte(boundary)) != 4*len(list) { // two before and two behind the words BEGIN and END
		return nil, ErrPEM
	}
	packed := bytes.Join(bytes.Fields(text), nil)
	for _, block := range list { // one text for one content: the last character of base64 has bits that package pem does not look at
		if !bytes.Contains(packed, base64.StdEncoding.AppendEncode(nil, block.Bytes)) {
			return nil, ErrPEM
		}
	}
	return list, nil
}

// Block returns the block of a PEM text that is this one block, of this label, and white space around it.
func Block(text []byte, label string) ([]byte, error) {
	list, err := Blocks(text)
	if err != nil {
		return nil, err
	}
	text = bytes.TrimSpace(text)
	alone := bytes.HasPrefix(text, []byte("-----BEGIN ")) && bytes.HasSuffix(text, []byte("-----END "+label+"-----"))
	if len(list) != 1 || list[0].Type != label || !alone {
		return nil, errors.New("not one PEM block of " + label + " and nothing else")
	}
	return list[0].Bytes, nil
}

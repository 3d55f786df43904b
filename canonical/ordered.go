package canonical

import (
	"encoding"
	"errors"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// exactIntegers are the marshalers of integers: they refuse one that I-JSON does not carry.
var exactIntegers = json.WithMarshalers(json.JoinMarshalers(
	json.MarshalToFunc(func(_ *jsontext.Encoder, n int) error { return checkExact(int64(n)) }),
	json.MarshalToFunc(func(_ *jsontext.Encoder, n int64) error { return checkExact(n) }),
))

func checkExact(n int64) error {
	if n >= 1<<53 || n <= -1<<53 {
		return ErrNumber
	}
	return errors.ErrUnsupported // it is written as always
}

// IsOrdered reports whether a value of this type is written in RFC 8785 form at once: members of structs are declared in
// order, members of maps are sorted by the writer, and what it writes has no form but the canonical one. Sorting what is
// sorted already costs more than writing it.
func IsOrdered(t reflect.Type) bool {
	if cached, ok := orderedTypes.Load(t); ok {
		return cached.(bool)
	}
	ordered := inOrder(t, nil)
	orderedTypes.Store(t, ordered)
	return ordered
}

var (
	orderedTypes sync.Map // cache: reflect.Type → bool

	marshalsText = reflect.TypeFor[encoding.TextMarshaler]()
	marshalsJSON = []reflect.Type{reflect.TypeFor[json.Marshaler](), reflect.TypeFor[json.MarshalerTo]()}
)

// inOrder walks a type. within are the structs it stands in: one that holds itself is not looked into for ever.
func inOrder(t reflect.Type, within []reflect.Type) bool {
	if t == reflect.TypeFor[Time]() {
		return true
	}
	for _, marshaler := range marshalsJSON {
		if t.Implements(marshaler) || reflect.PointerTo(t).Implements(marshaler) {
			return false
		}
	}
	if t.Implements(marshalsText) {
		return true
	}
	switch t.Kind() {
	case reflect.String, reflect.Bool, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Uint8, reflect.Uint16, reflect.Uint32:
		return true
	case reflect.Int, reflect.Int64: // exactIntegers looks at each, but not at named types
		return t.PkgPath() == ""
	case reflect.Slice, reflect.Array, reflect.Pointer:
		return inOrder(t.Elem(), within)
	case reflect.Map:
		return t.Key().Kind() == reflect.String && !t.Key().Implements(marshalsText) && inOrder(t.Elem(), within)
	case reflect.Struct:
		return slices.Contains(within, t) || membersInOrder(t, append(slices.Clip(within), t))
	}
	return false
}

func membersInOrder(t reflect.Type, within []reflect.Type) bool {
	last := ""
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" && options == "" || !f.IsExported() && !f.Anonymous {
			continue
		}
		if f.Anonymous || name == "" || name <= last || strings.ContainsAny(name, `'"\`) || hasOwnForm(options) || !inOrder(f.Type, within) {
			return false
		}
		last = name
	}
	return true
}

// hasOwnForm reports whether the options of a member change how it is written.
func hasOwnForm(options string) bool {
	for option := range strings.SplitSeq(options, ",") {
		if option != "" && option != "omitempty" && option != "omitzero" {
			return true
		}
	}
	return false
}

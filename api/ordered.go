package api

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

// exact are the marshalers of integers: they refuse one that I-JSON does not carry.
var exact = json.WithMarshalers(json.JoinMarshalers(
	json.MarshalToFunc(func(_ *jsontext.Encoder, n int) error { return exactly(int64(n)) }),
	json.MarshalToFunc(func(_ *jsontext.Encoder, n int64) error { return exactly(n) }),
))

func exactly(n int64) error {
	if n >= 1<<53 || n <= -1<<53 {
		return ErrNumber
	}
	return errors.ErrUnsupported // it is written as always
}

// ordered reports whether a value of this type is written in RFC 8785 form at once: members of structs are declared in
// order, members of maps are sorted by the writer, and what it writes has no form but the canonical one. Sorting what is
// sorted already costs more than writing it.
func ordered(t reflect.Type) bool {
	if known, ok := orderedTypes.Load(t); ok {
		return known.(bool)
	}
	is := inOrder(t, nil)
	orderedTypes.Store(t, is)
	return is
}

var (
	orderedTypes sync.Map // of reflect.Type to bool

	writesText = reflect.TypeFor[encoding.TextMarshaler]()
	writesJSON = []reflect.Type{reflect.TypeFor[json.Marshaler](), reflect.TypeFor[json.MarshalerTo]()}
)

// inOrder walks a type. within are the structs it stands in: one that holds itself is not looked into for ever.
func inOrder(t reflect.Type, within []reflect.Type) bool {
	if t == reflect.TypeFor[Time]() {
		return true
	}
	for _, own := range writesJSON {
		if t.Implements(own) || reflect.PointerTo(t).Implements(own) {
			return false
		}
	}
	if t.Implements(writesText) {
		return true
	}
	switch t.Kind() {
	case reflect.String, reflect.Bool, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Uint8, reflect.Uint16, reflect.Uint32:
		return true
	case reflect.Int, reflect.Int64: // exact looks at each, but not at named types
		return t.PkgPath() == ""
	case reflect.Slice, reflect.Array, reflect.Pointer:
		return inOrder(t.Elem(), within)
	case reflect.Map:
		return t.Key().Kind() == reflect.String && !t.Key().Implements(writesText) && inOrder(t.Elem(), within)
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
		if f.Anonymous || name == "" || name <= last || strings.ContainsAny(name, `'"\`) || otherForm(options) || !inOrder(f.Type, within) {
			return false
		}
		last = name
	}
	return true
}

// otherForm reports whether a member is written in a way of its own.
func otherForm(options string) bool {
	for option := range strings.SplitSeq(options, ",") {
		if option != "" && option != "omitempty" && option != "omitzero" {
			return true
		}
	}
	return false
}

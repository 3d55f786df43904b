package strictyaml

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	"oncegate/fault"
)

// Variants is implemented by a struct field with the tag `yaml:",inline"` whose keys are known at run time only, such as the kinds of a
// plug-in.
type Variants interface {
	// Keys are the keys that the mapping may have besides those of the struct's other fields.
	Keys() []string
	// Into returns a pointer to what the value of one of Keys is decoded into.
	Into(key string) any
}

// Decode fills in what into points to, and reports whether it found no fault. Unknown keys and values of the wrong kind are all reported,
// and everything else is filled in.
func (v Value) Decode(into any) bool {
	before := len(*v.doc.faults)
	v.doc.value(v, reflect.ValueOf(into).Elem(), 0)
	return len(*v.doc.faults) == before
}

// value decodes one value.
func (d *Document) value(v Value, into reflect.Value, depth int) {
	if d.spent(v, depth) || v.IsNull() {
		return
	}
	if into.Kind() == reflect.Pointer {
		fresh := reflect.New(into.Type().Elem())
		d.value(v, fresh.Elem(), depth+1)
		into.Set(fresh)
		return
	}
	switch {
	case readsItself(into):
		d.leaf(v, into)
	case into.Kind() == reflect.Struct:
		d.structure(v, into, depth)
	case into.Kind() == reflect.Slice:
		d.list(v, into, depth)
	case into.Kind() == reflect.Map && into.Type().Elem().Kind() != reflect.Interface:
		d.mapping(v, into, depth)
	default:
		d.leaf(v, into)
	}
}

// spent counts a value, and says whether that was too much: of values, or of depth, which aliases could make endless. From then on nothing
// more is decoded.
func (d *Document) spent(v Value, depth int) bool {
	most := d.limits.Values
	if d.decoded++; d.decoded <= most && depth <= d.limits.Depth {
		return false
	}
	if d.decoded <= most+1 {
		v.Fault("the file is too large, or nested too deeply here")
	}
	d.decoded = most + 1
	return true
}

// readsItself says whether a type has a decoding of its own.
func readsItself(v reflect.Value) bool {
	switch v.Addr().Interface().(type) {
	case encoding.TextUnmarshaler, yaml.InterfaceUnmarshaler, yaml.BytesUnmarshaler, yaml.NodeUnmarshaler:
		return true
	}
	return false
}

func (d *Document) structure(v Value, into reflect.Value, depth int) {
	fields, known := map[string]int{}, []string(nil)
	var variants Variants
	for i := range into.NumField() {
		name, option, _ := strings.Cut(into.Type().Field(i).Tag.Get("yaml"), ",")
		switch {
		case option == "inline":
			variants, _ = into.Field(i).Addr().Interface().(Variants)
			known = append(known, variants.Keys()...)
		case name != "" && name != "-":
			fields[name] = i
			known = append(known, name)
		}
	}
	for _, e := range v.Entries() {
		if i, ok := fields[e.Key]; ok {
			d.value(e.Value, into.Field(i), depth+1)
			continue
		}
		if variants != nil && slices.Contains(variants.Keys(), e.Key) {
			d.value(e.Value, reflect.ValueOf(variants.Into(e.Key)).Elem(), depth+1)
			continue
		}
		e.Name.Fault("unknown key %q; known here: %s", fault.Clip(e.Key), strings.Join(known, ", "))
	}
}

func (d *Document) mapping(v Value, into reflect.Value, depth int) {
	m := reflect.MakeMap(into.Type())
	for _, e := range v.Entries() {
		element := reflect.New(into.Type().Elem()).Elem()
		d.value(e.Value, element, depth+1)
		m.SetMapIndex(reflect.ValueOf(e.Key).Convert(into.Type().Key()), element)
	}
	into.Set(m)
}

func (d *Document) list(v Value, into reflect.Value, depth int) {
	list := v.List()
	if _, ok := d.resolve(v.node).(*ast.SequenceNode); !ok {
		return
	}
	into.Set(reflect.MakeSlice(into.Type(), len(list), len(list)))
	for i, element := range list {
		d.value(element, into.Index(i), depth+1)
	}
}

// leaf has the YAML library decode a value that is no structure of ours.
func (d *Document) leaf(v Value, into reflect.Value) {
	node := d.resolve(v.node)
	if text, ok := node.(*ast.StringNode); ok && into.Kind() == reflect.String && !readsItself(into) { // most values
		into.SetString(text.Value)
		return
	}
	switch node.(type) {
	case *ast.MappingNode, *ast.MappingValueNode, *ast.SequenceNode:
		if k := into.Kind(); !readsItself(into) && k != reflect.Interface && k != reflect.Map {
			v.Fault("one value is expected here, not a list or mapping")
			return
		}
	}
	if err := yaml.NodeToValue(node, into.Addr().Interface(), yaml.Strict()); err != nil {
		at, reason := d.explain(node, err)
		if expected := expected(into); expected != "" {
			reason = expected
		}
		d.faults.AddAt(at, "%s", reason)
	}
}

// expected says what kind of value was expected; "" where the error itself says it.
func expected(into reflect.Value) string {
	if readsItself(into) {
		return ""
	}
	if _, ok := into.Interface().(fmt.Stringer); ok { // time.Duration
		return `a duration such as "3s" or "48h" is expected here`
	}
	switch into.Kind() {
	case reflect.Bool:
		return "true or false is expected here"
	case reflect.Int, reflect.Int64, reflect.Uint, reflect.Uint64:
		return "a whole number is expected here"
	case reflect.Float64:
		return "a number is expected here"
	case reflect.String:
		return "a text is expected here"
	}
	return ""
}

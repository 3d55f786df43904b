package node

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"oncegate/strictyaml"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// value reads one node.
func (d *document) value(path string, node ast.Node, into reflect.Value, depth int) {
	if d.spent(path, depth) {
		return
	}
	if _, known := d.places[path]; !known || path == "$" {
		d.places[path] = d.placeOf(node)
	}
	node = d.resolve(node)
	if _, null := node.(*ast.NullNode); null || node == nil {
		return
	}
	if into.Kind() == reflect.Pointer {
		fresh := reflect.New(into.Type().Elem())
		d.value(path, node, fresh.Elem(), depth+1)
		into.Set(fresh)
		return
	}
	switch {
	case readsItself(into):
		d.record(path, node, depth)
		d.leaf(path, node, into)
	case into.Kind() == reflect.Struct:
		d.structure(path, node, into, depth)
	case into.Kind() == reflect.Slice:
		d.list(path, node, into, depth)
	case into.Kind() == reflect.Map && into.Type().Elem().Kind() != reflect.Interface:
		d.mapping(path, node, into, depth)
	default:
		d.leaf(path, node, into)
	}
}

// spent counts a value, and says whether that was too much: of values, or of depth, which aliases could make endless. From
// then on nothing more is read.
func (d *document) spent(path string, depth int) bool {
	if d.nodes++; d.nodes <= maxNodes && depth <= maxNesting {
		return false
	}
	if d.nodes <= maxNodes+1 {
		d.add(path, "the file is too large, or nested too deeply here")
	}
	d.nodes = maxNodes + 1
	return true
}

// readsItself says whether a type has a reading of its own.
func readsItself(v reflect.Value) bool {
	switch v.Addr().Interface().(type) {
	case encoding.TextUnmarshaler, yaml.InterfaceUnmarshaler, yaml.BytesUnmarshaler, yaml.NodeUnmarshaler:
		return true
	}
	return false
}

func (d *document) structure(path string, node ast.Node, into reflect.Value, depth int) {
	fields := map[string]int{}
	var known []string
	for i := range into.NumField() {
		name, _, _ := strings.Cut(into.Type().Field(i).Tag.Get("yaml"), ",")
		if name != "" && name != "-" {
			fields[name] = i
			known = append(known, name)
		}
	}
	for _, e := range d.entries(path, node, depth) {
		i, ok := fields[e.key]
		if !ok {
			d.addAt(d.placeOf(e.keyNode), "unknown key %q; known here: %s", clip(e.key), strings.Join(known, ", "))
			continue
		}
		d.value(path+"."+e.key, e.value, into.Field(i), depth+1)
	}
}

func (d *document) mapping(path string, node ast.Node, into reflect.Value, depth int) {
	m := reflect.MakeMap(into.Type())
	for _, e := range d.entries(path, node, depth) {
		element := reflect.New(into.Type().Elem()).Elem()
		d.value(path+"."+e.key, e.value, element, depth+1)
		m.SetMapIndex(reflect.ValueOf(e.key).Convert(into.Type().Key()), element)
	}
	into.Set(m)
}

func (d *document) list(path string, node ast.Node, into reflect.Value, depth int) {
	list, ok := node.(*ast.SequenceNode)
	if !ok {
		d.add(path, "a list is expected here")
		return
	}
	into.Set(reflect.MakeSlice(into.Type(), len(list.Values), len(list.Values)))
	for i, element := range list.Values {
		d.value(fmt.Sprintf("%s[%d]", path, i), element, into.Index(i), depth+1)
	}
}

// An entry is one key of a mapping with its value.
type entry struct {
	key     string
	keyNode ast.Node
	value   ast.Node
}

// entries are those of a mapping, what is merged into it ("<<") first, so that its own come after and win.
func (d *document) entries(path string, node ast.Node, depth int) (all []entry) {
	if d.spent(path, depth) {
		return nil
	}
	var values []*ast.MappingValueNode
	switch n := node.(type) {
	case *ast.MappingNode:
		values = n.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{n}
	default:
		d.add(path, "a mapping of keys to values is expected here")
		return nil
	}
	var own []entry
	for _, v := range values {
		if v.Key.IsMergeKey() {
			for _, merged := range d.entries(path, d.resolve(v.Value), depth+1) {
				merged.keyNode = v.Key // faults stand where it is merged
				all = append(all, merged)
			}
			continue
		}
		own = append(own, entry{v.Key.GetToken().Value, v.Key, v.Value})
	}
	all = slices.DeleteFunc(all, func(merged entry) bool {
		return slices.ContainsFunc(own, func(e entry) bool { return e.key == merged.key })
	})
	return append(all, own...)
}

// leaf has the YAML library read a value that is no structure of ours.
func (d *document) leaf(path string, node ast.Node, into reflect.Value) {
	switch node.(type) {
	case *ast.MappingNode, *ast.MappingValueNode, *ast.SequenceNode:
		if k := into.Kind(); !readsItself(into) && k != reflect.Interface && k != reflect.Map {
			d.add(path, "one value is expected here, not a list or mapping")
			return
		}
	}
	if err := yaml.NodeToValue(node, into.Addr().Interface(), yaml.Strict()); err != nil {
		at, _ := d.explain(node, err)
		d.addAt(at, "%s", expected(into, err))
	}
}

// record notes where the parts of a value stand that reads itself.
func (d *document) record(path string, node ast.Node, depth int) {
	if depth > maxNesting {
		return
	}
	d.places[path] = d.placeOf(node)
	switch n := node.(type) {
	case *ast.MappingNode:
		for _, v := range n.Values {
			if v.Key.GetToken() != nil {
				d.record(path+"."+v.Key.GetToken().Value, v.Value, depth+1)
			}
		}
	case *ast.SequenceNode:
		for i, v := range n.Values {
			d.record(fmt.Sprintf("%s[%d]", path, i), v, depth+1)
		}
	}
}

// resolve follows anchors and aliases to the value itself.
func (d *document) resolve(node ast.Node) ast.Node {
	for range maxNesting {
		switch n := node.(type) {
		case *ast.AnchorNode:
			node = n.Value
		case *ast.AliasNode:
			node = d.anchors[n.Value.GetToken().Value]
		default:
			return node
		}
	}
	return nil
}

// expected says what kind of value was expected.
func expected(into reflect.Value, err error) string {
	if readsItself(into) {
		return strictyaml.Explain(err).Reason
	}
	switch into.Interface().(type) {
	case fmt.Stringer: // time.Duration
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
	return strictyaml.Explain(err).Reason
}

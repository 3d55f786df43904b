package strictyaml

import (
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"oncegate/fault"
)

// A Value is a cursor: one value of a document, with everything below it.
type Value struct {
	doc  *Document
	node ast.Node
}

// Place is where the value is written.
func (v Value) Place() fault.Place { return v.doc.place(v.node) }

// Fault reports what is wrong with the value.
func (v Value) Fault(format string, args ...any) {
	v.doc.faults.AddAt(v.Place(), format, args...)
}

// IsNull says that nothing is written: an empty file, or a key without a value.
func (v Value) IsNull() bool {
	_, null := v.doc.resolve(v.node).(*ast.NullNode)
	return null || v.node == nil
}

// At is the value of a key of a mapping; v itself where there is none.
func (v Value) At(key string) Value {
	for _, e := range v.doc.entries(v.node) {
		if e.Key == key {
			return e.Value
		}
	}
	return v
}

// Index is an element of a list; v itself where there is none.
func (v Value) Index(i int) Value {
	if list, ok := v.doc.resolve(v.node).(*ast.SequenceNode); ok && i >= 0 && i < len(list.Values) {
		return Value{v.doc, list.Values[i]}
	}
	return v
}

// List returns the elements of a list. Anything else but null is a fault.
func (v Value) List() (all []Value) {
	if v.IsNull() {
		return nil
	}
	list, ok := v.doc.resolve(v.node).(*ast.SequenceNode)
	if !ok {
		v.Fault("a list is expected here")
		return nil
	}
	for _, element := range list.Values {
		all = append(all, Value{v.doc, element})
	}
	return all
}

// An Entry is one key of a mapping with its value.
type Entry struct {
	Key   string
	Name  Value // the key as it is written, for faults
	Value Value
}

// Entries returns the keys of a mapping in their order. What is merged into it ("<<") comes first, so that its own keys come after and
// win. Anything but a mapping or null is a fault.
func (v Value) Entries() []Entry {
	if v.IsNull() {
		return nil
	}
	node := v.doc.resolve(v.node)
	if !isMapping(node) {
		v.Fault("a mapping is expected here")
		return nil
	}
	for _, e := range mappingValues(node) {
		if e.Key.IsMergeKey() && !isMapping(v.doc.resolve(e.Value)) {
			Value{v.doc, e.Value}.Fault("a mapping is expected here")
		}
	}
	return v.doc.entries(node)
}

func isMapping(node ast.Node) bool {
	switch node.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return true
	}
	return false
}

// entries are those of a mapping; none of anything else.
func (d *Document) entries(node ast.Node) []Entry {
	node = d.resolve(node)
	if all, ok := d.merged[node]; ok {
		return all
	}
	var own, merged []Entry
	for _, v := range mappingValues(node) {
		if !v.Key.IsMergeKey() {
			own = append(own, Entry{v.Key.GetToken().Value, Value{d, v.Key}, Value{d, v.Value}})
			continue
		}
		d.merged[node] = nil // of a mapping that merges itself
		for _, e := range d.entries(v.Value) {
			e.Name = Value{d, v.Key} // faults stand where it is merged
			merged = append(merged, e)
		}
	}
	if _, merges := d.merged[node]; !merges {
		return own
	}
	all := append(merged, own...)
	last := make(map[string]int, len(all))
	for i, e := range all {
		last[e.Key] = i
	}
	all = slices.Collect(func(yield func(Entry) bool) {
		for i, e := range all {
			if last[e.Key] == i && !yield(e) {
				return
			}
		}
	})
	d.merged[node] = all // without repetitions, so that merges of merges do not grow
	return all
}

func mappingValues(node ast.Node) []*ast.MappingValueNode {
	switch n := node.(type) {
	case *ast.MappingNode:
		return n.Values
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}
	}
	return nil
}

// resolve follows anchors and aliases to the value itself.
func (d *Document) resolve(node ast.Node) ast.Node {
	for range d.limits.Depth {
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

// find walks down a path such as ".types[2].id" as far as it is written. A key may itself hold dots and brackets.
func (v Value) find(path string) Value {
	switch {
	case strings.HasPrefix(path, "["):
		number, rest, _ := strings.Cut(path[1:], "]")
		i, err := strconv.Atoi(number)
		if list, ok := v.doc.resolve(v.node).(*ast.SequenceNode); ok && err == nil && i >= 0 && i < len(list.Values) {
			return v.Index(i).find(rest)
		}
	case strings.HasPrefix(path, "."):
		var longest Entry
		for _, e := range v.doc.entries(v.node) {
			rest, ok := strings.CutPrefix(path[1:], e.Key)
			if ok && len(e.Key) >= len(longest.Key) && (rest == "" || rest[0] == '.' || rest[0] == '[') {
				longest = e
			}
		}
		if longest.Value.node != nil {
			return longest.Value.find(path[1+len(longest.Key):])
		}
	}
	return v
}

package node

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"oncegate/license"
)

// Bounds of what is read, so that no file can exhaust memory or stack.
const (
	maxDocument = 32 << 20
	maxNesting  = 64
	maxNodes    = 1 << 19 // values of a document, each use of an alias counted
)

// A place is where a value stands.
type place struct {
	file         string
	line, column int
}

// A document is a YAML file read into a Go value, which remembers where every value stood. Reading does not stop at the
// first fault: unknown keys and values of the wrong kind are all reported, and everything else is filled in.
type document struct {
	file   string
	places map[string]place // by YAML path, such as "$.types[2].fields[0].name"
	faults Faults

	anchors map[string]ast.Node
	nodes   int
}

// readDocument reads data strictly into a struct. The file's name stands in faults.
func readDocument(file string, data []byte, into any) *document {
	d := &document{file: file, places: map[string]place{}, anchors: map[string]ast.Node{}}
	d.places["$"] = place{file, 1, 1}
	if reason := unreadable(data); reason != "" {
		d.add("$", "%s", reason)
		return d
	}
	tree, err := parser.ParseBytes(data, 0)
	if err != nil {
		d.addAt(d.errorPlace(nil, err), "%s", reasonOf(err))
		return d
	}
	if len(tree.Docs) > 1 {
		d.addAt(d.placeOf(tree.Docs[1].Body), "the file holds several YAML documents; one is expected")
		return d
	}
	if len(tree.Docs) == 1 && tree.Docs[0].Body != nil {
		if _, empty := tree.Docs[0].Body.(*ast.CommentGroupNode); !empty {
			ast.Walk(d, tree.Docs[0].Body)
			d.value("$", tree.Docs[0].Body, reflect.ValueOf(into).Elem(), 0)
		}
	}
	return d
}

// Visit implements ast.Visitor: it collects the anchors.
func (d *document) Visit(n ast.Node) ast.Visitor {
	if a, ok := n.(*ast.AnchorNode); ok && a.Name != nil && a.Name.GetToken() != nil {
		d.anchors[a.Name.GetToken().Value] = a.Value
	}
	return d
}

// add reports a fault at a path, or at the nearest place above it that is written in the file.
func (d *document) add(path, format string, args ...any) { d.addAt(d.at(path), format, args...) }

func (d *document) addAt(p place, format string, args ...any) {
	d.faults = append(d.faults, Fault{File: p.file, Line: p.line, Column: p.column, Reason: fmt.Sprintf(format, args...)})
}

// addAll reports what a room found wrong, with paths below prefix. A path inside a reason becomes a place too.
func (d *document) addAll(prefix string, list []license.Fault) {
	for _, f := range list {
		reason := writtenPath.ReplaceAllStringFunc(f.Reason, func(path string) string {
			p := d.at(prefix + strings.TrimPrefix(path, "$"))
			return fmt.Sprintf("%s:%d:%d", p.file, p.line, p.column)
		})
		d.add(prefix+strings.TrimPrefix(f.Path, "$"), "%s", reason)
	}
}

// writtenPath is a YAML path in a sentence, such as "$.types[0].id".
var writtenPath = regexp.MustCompile(`\$(\.[a-z_]+(\[[0-9]+\])*)+`)

// warn reports what is odd without being wrong.
func (d *document) warn(path, format string, args ...any) {
	d.add(path, format, args...)
	d.faults[len(d.faults)-1].Warning = true
}

// at finds where a path stands; a path that is not written is where the value above it begins.
func (d *document) at(path string) place {
	for path != "$" && path != "" {
		if p, ok := d.places[path]; ok {
			return p
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
	return d.places["$"]
}

// adopt takes over the places and faults of a file whose lists were appended to lists of this document: element i of the
// other's list stands at i + base here.
func (d *document) adopt(other *document, list string, base int) {
	for path, p := range other.places {
		rest, ok := strings.CutPrefix(path, "$."+list+"[")
		if !ok {
			continue
		}
		var i int
		number, tail, _ := strings.Cut(rest, "]")
		if _, err := fmt.Sscanf(number, "%d", &i); err == nil {
			d.places[fmt.Sprintf("$.%s[%d]%s", list, base+i, tail)] = p
		}
	}
}

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
		d.addAt(d.errorPlace(node, err), "%s", expected(into, err))
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

// placeOf is where a node is written.
func (d *document) placeOf(node ast.Node) place {
	switch n := node.(type) {
	case *ast.MappingNode:
		if len(n.Values) > 0 && !n.IsFlowStyle { // a block mapping's own token is its first colon
			return d.placeOf(n.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return d.placeOf(n.Key)
	}
	if node == nil || node.GetToken() == nil || node.GetToken().Position == nil {
		return place{d.file, 1, 1}
	}
	at := node.GetToken().Position
	return place{d.file, at.Line, at.Column}
}

// positioned is what the YAML library's errors know.
type positioned interface {
	GetToken() *token.Token
	GetMessage() string
}

func (d *document) errorPlace(node ast.Node, err error) place {
	var p positioned
	if errors.As(err, &p) && p.GetToken() != nil && p.GetToken().Position != nil {
		return place{d.file, p.GetToken().Position.Line, p.GetToken().Position.Column}
	}
	return d.placeOf(node)
}

// reasonOf is one line of what the YAML library says.
func reasonOf(err error) string {
	var p positioned
	text := err.Error()
	if errors.As(err, &p) {
		text = p.GetMessage()
	}
	text, _, _ = strings.Cut(text, "\n")
	return clip(text)
}

// expected says what kind of value was expected.
func expected(into reflect.Value, err error) string {
	if readsItself(into) {
		return reasonOf(err)
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
	return reasonOf(err)
}

func unreadable(data []byte) string {
	switch {
	case len(data) > maxDocument:
		return fmt.Sprintf("the file is larger than %d bytes", maxDocument)
	case !utf8.Valid(data):
		return "the file is not UTF-8"
	case tooDeep(data):
		return fmt.Sprintf("the file is nested deeper than %d levels", maxNesting)
	}
	return ""
}

// tooDeep bounds nesting before a parser sees the file: open brackets, and indicators in a row that nest without them.
func tooDeep(data []byte) bool {
	depth, run := 0, 0
	for _, b := range data {
		switch b {
		case '[', '{':
			depth++
		case ']', '}':
			depth = max(0, depth-1)
		}
		switch b {
		case '-', '?', '!', ':', '&', '*', '[', '{':
			run++
		case ' ', '\t', '\r', '\n':
		default:
			run = 0
		}
		if depth > maxNesting || run > 8*maxNesting {
			return true
		}
	}
	return false
}

// clip bounds a text that a file brings before it is quoted.
func clip(s string) string {
	const limit = 200
	if len(s) <= limit {
		return s
	}
	cut := limit
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}

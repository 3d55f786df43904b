package sheet

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"oncegate/strictyaml"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// Bounds of what Load reads.
const (
	maxFile  = 1 << 20 // bytes of one file
	maxDepth = 32      // nesting, so that no file can exhaust a parser's stack
	maxItems = 500     // of one layout
)

// A File is a layout file: a YAML mapping with the keys "layouts" and "shapes".
type File struct {
	Path string // for faults
	Data []byte
}

// Config is what layouts are made of.
type Config struct {
	Files []File
	Fonts []FontFile // looked in for characters that the font of a layout lacks, in this order, before those of the program

	// Knows says whether a license type has a field of that name, so that a misspelt one is a fault; nil knows everything.
	Knows func(licenseType, field string) bool
}

// Layouts are the layouts of a city. They are safe for concurrent use.
type Layouts struct{ byType map[string]*Layout }

// For returns the layout of a license type.
func (l *Layouts) For(licenseType string) (*Layout, bool) {
	layout, ok := l.byType[licenseType]
	return layout, ok
}

// Load reads layouts strictly. All faults come at once, in the order of the files; the layouts are nil if there is any.
func Load(c Config) (*Layouts, []Fault) {
	r := &reading{config: c, shapes: map[string]shape{}, layouts: map[string]*Layout{}}
	r.faces, r.faults = openFaces(c.Fonts)
	for _, file := range c.Files {
		r.file(file)
	}
	for _, check := range r.later { // shapes may stand in any file
		check()
	}
	if len(r.faults) > 0 {
		slices.SortStableFunc(r.faults, inOrder)
		return nil, r.faults
	}
	return &Layouts{byType: r.layouts}, nil
}

// inOrder compares faults by file, line and column.
func inOrder(a, b Fault) int {
	place := func(f Fault) (file string, line, column int) {
		parts := strings.Split(f.Path, ":")
		if n := len(parts); n >= 3 {
			file = strings.Join(parts[:n-2], ":")
			line, _ = strconv.Atoi(parts[n-2])
			column, _ = strconv.Atoi(parts[n-1])
		}
		return file, line, column
	}
	fileA, lineA, columnA := place(a)
	fileB, lineB, columnB := place(b)
	return cmp.Or(cmp.Compare(fileA, fileB), lineA-lineB, columnA-columnB)
}

// A reading collects layouts, shapes and faults of all files.
type reading struct {
	config  Config
	faces   *faces
	shapes  map[string]shape
	layouts map[string]*Layout
	faults  []Fault
	later   []func()
}

// A spot is a value in a file, for faults.
type spot struct {
	file string
	node ast.Node
}

// at is the entry of a key below the spot; the spot itself when there is none.
func (s spot) at(key string) spot {
	if m, ok := s.node.(*ast.MappingNode); ok {
		for _, v := range m.Values {
			if v.Key.GetToken() != nil && v.Key.GetToken().Value == key {
				return spot{s.file, v.Value}
			}
		}
	}
	return s
}

func (s spot) String() string {
	node := s.node
	if m, ok := node.(*ast.MappingNode); ok && len(m.Values) > 0 {
		node = m.Values[0].Key // a block mapping's own token is its first colon
	}
	if node == nil || node.GetToken() == nil || node.GetToken().Position == nil {
		return s.file + ":1:1"
	}
	p := node.GetToken().Position
	return fmt.Sprintf("%s:%d:%d", s.file, p.Line, p.Column)
}

func (r *reading) fault(s spot, format string, args ...any) {
	r.faults = append(r.faults, Fault{s.String(), fmt.Sprintf(format, args...)})
}

// file reads one file. Every layout, item and shape is decoded by itself, so that one file gives all its faults.
func (r *reading) file(f File) {
	root := spot{f.Path, nil}
	tree, err := strictyaml.Parse(f.Data, strictyaml.Limits{Bytes: maxFile, Depth: maxDepth})
	if err != nil {
		r.decodeFault(root, err)
		return
	}
	if len(tree.Docs) != 1 {
		r.fault(root, "a layout file holds one YAML document")
		return
	}
	body, ok := tree.Docs[0].Body.(*ast.MappingNode)
	if !ok {
		r.fault(root, "a layout file is a mapping with the keys layouts and shapes")
		return
	}
	ast.Walk(refuseAliases{r, f.Path}, body)
	for _, v := range body.Values {
		switch key := v.Key.GetToken().Value; key {
		case "layouts":
			for _, node := range r.list(spot{f.Path, v.Value}) {
				r.layout(node)
			}
		case "shapes":
			for name, node := range r.mapping(spot{f.Path, v.Value}) {
				r.shape(name, node)
			}
		default:
			r.fault(spot{f.Path, v.Key}, "unknown key %q; a layout file has layouts and shapes", clip(key))
		}
	}
}

// refuseAliases finds anchors, aliases and merge keys: layouts need none, and they could make a small file endless.
type refuseAliases struct {
	r    *reading
	file string
}

func (w refuseAliases) Visit(n ast.Node) ast.Visitor {
	switch n.(type) {
	case *ast.AliasNode, *ast.AnchorNode, *ast.MergeKeyNode:
		w.r.fault(spot{w.file, n}, "anchors and aliases are not used in layouts")
	}
	return w
}

// list returns the elements of a list.
func (r *reading) list(s spot) (out []spot) {
	list, ok := s.node.(*ast.SequenceNode)
	if !ok {
		r.fault(s, "a list is expected here")
		return nil
	}
	for _, v := range list.Values {
		out = append(out, spot{s.file, v})
	}
	return out
}

// mapping yields the entries of a mapping in their order.
func (r *reading) mapping(s spot) func(yield func(string, spot) bool) {
	return func(yield func(string, spot) bool) {
		m, ok := s.node.(*ast.MappingNode)
		if !ok {
			r.fault(s, "a mapping is expected here")
			return
		}
		for _, v := range m.Values {
			if v.Key.GetToken() == nil {
				r.fault(s, "a plain key is expected here")
			} else if !yield(v.Key.GetToken().Value, spot{s.file, v.Value}) {
				return
			}
		}
	}
}

// decode reads a value strictly; false and a fault if it cannot be read.
func (r *reading) decode(s spot, into any) bool {
	if err := yaml.NodeToValue(s.node, into, yaml.Strict()); err != nil {
		r.decodeFault(s, err)
		return false
	}
	return true
}

// decodeFault turns an error of the YAML library into a fault: where, and one line of what.
func (r *reading) decodeFault(s spot, err error) {
	e := strictyaml.Explain(err)
	if e.Line == 0 {
		r.fault(s, "%s", e.Reason)
		return
	}
	r.faults = append(r.faults, Fault{fmt.Sprintf("%s:%d:%d", s.file, e.Line, e.Column), e.Reason})
}

// clip bounds a text that a file brings before it is quoted.
func clip(s string) string { return strictyaml.Clip(s) }

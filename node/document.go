package node

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"oncegate/license"
	"oncegate/strictyaml"
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
	tree, err := strictyaml.Parse(data, strictyaml.Limits{Bytes: maxDocument, Depth: maxNesting})
	if err != nil {
		p, reason := d.explain(nil, err)
		d.addAt(p, "%s", reason)
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

// explain says where and why the YAML library could not read or decode a node.
func (d *document) explain(node ast.Node, err error) (place, string) {
	e := strictyaml.Explain(err)
	if e.Line == 0 {
		return d.placeOf(node), e.Reason
	}
	return place{d.file, e.Line, e.Column}, e.Reason
}

// clip bounds a text that a file brings before it is quoted.
func clip(s string) string { return strictyaml.Clip(s) }

package policy

import (
	"fmt"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	"oncegate/license"
	"oncegate/strictyaml"
)

// Bounds of what New reads.
const (
	maxRules  = 32 << 20 // bytes of one YAML file: some 50,000 grants
	maxGuards = 1 << 20  // bytes of one Cedar file
	maxDepth  = 64       // nesting, so that no file can exhaust a parser's stack
)

// A placed value knows where it was written, for faults.
type placed[T any] struct {
	value T
	file  string
	node  ast.Node // the mapping it was read from; nil for guards
}

// at returns "file:line:column" of the value, of the entry key of it, or of that entry's element i (i < 0: the entry).
func (p *placed[T]) at(key string, i int) string {
	node := p.node
	if value := entry(p.node, key); value != nil {
		node = value
		if list, ok := value.(*ast.SequenceNode); ok && i >= 0 && i < len(list.Values) {
			node = list.Values[i]
		}
	}
	return place(p.file, node)
}

// place writes "file:line:column" of a node.
func place(file string, node ast.Node) string {
	if m, ok := node.(*ast.MappingNode); ok && len(m.Values) > 0 {
		node = m.Values[0].Key // a block mapping's own token is the first colon
	}
	if node == nil || node.GetToken() == nil || node.GetToken().Position == nil {
		return file + ":1:1"
	}
	at := node.GetToken().Position
	return fmt.Sprintf("%s:%d:%d", file, at.Line, at.Column)
}

// entry returns the value of a key of a mapping; nil if there is none.
func entry(node ast.Node, key string) ast.Node {
	m, ok := node.(*ast.MappingNode)
	if !ok {
		return nil
	}
	for _, v := range m.Values {
		if v.Key.GetToken() != nil && v.Key.GetToken().Value == key {
			return v.Value
		}
	}
	return nil
}

// faults collects what is wrong, all of it.
type faults []license.Fault

func (f *faults) add(path, format string, args ...any) {
	*f = append(*f, license.Fault{Path: path, Reason: fmt.Sprintf(format, args...)})
}

// rules are the parsed contents of a set's YAML files.
type rules struct {
	grants      []placed[Grant]
	permissions []placed[Permission]
	shares      []placed[Share]
	suspensions []placed[Suspension]
	systems     []placed[System]
	bases       []placed[Basis]
}

// read adds one YAML file. Every element of every list is decoded on its own, so that one file gives all its faults.
func (r *rules) read(file File, f *faults) {
	body := document(file, f)
	if body == nil {
		return
	}
	for _, v := range body.Values {
		switch key := v.Key.GetToken().Value; key {
		case "grants":
			elements(file.Path, v.Value, &r.grants, f)
		case "permissions":
			elements(file.Path, v.Value, &r.permissions, f)
		case "shares":
			elements(file.Path, v.Value, &r.shares, f)
		case "suspensions":
			elements(file.Path, v.Value, &r.suspensions, f)
		case "systems":
			elements(file.Path, v.Value, &r.systems, f)
		case "bases":
			elements(file.Path, v.Value, &r.bases, f)
		default:
			f.add(place(file.Path, v.Key), "unknown key %q; a policy file has grants, permissions, shares, suspensions, systems and bases", clip(key))
		}
	}
}

// document parses a YAML file whose root is a mapping; nil if it is empty or faulty.
func document(file File, f *faults) *ast.MappingNode {
	tree, err := strictyaml.Parse(file.Data, strictyaml.Limits{Bytes: maxRules, Depth: maxDepth})
	if err != nil {
		f.add(decodeFault(file.Path, nil, err))
		return nil
	}
	if len(tree.Docs) > 1 {
		f.add(place(file.Path, tree.Docs[1].Body), "a policy file holds one YAML document, not several")
		return nil
	}
	if len(tree.Docs) == 0 || tree.Docs[0].Body == nil {
		return nil
	}
	switch body := tree.Docs[0].Body.(type) {
	case *ast.MappingNode:
		return body
	case *ast.CommentGroupNode, *ast.NullNode:
		return nil
	default:
		f.add(place(file.Path, body), "a policy file is a mapping with keys such as grants")
		return nil
	}
}

// elements decodes every element of a list.
func elements[T any](file string, node ast.Node, into *[]placed[T], f *faults) {
	if _, empty := node.(*ast.NullNode); empty {
		return
	}
	list, ok := node.(*ast.SequenceNode)
	if !ok {
		f.add(place(file, node), "a list is expected here")
		return
	}
	for _, element := range list.Values {
		p := placed[T]{file: file, node: element}
		if _, ok := element.(*ast.MappingNode); !ok {
			f.add(place(file, element), "a mapping is expected here")
			continue
		}
		if err := yaml.NodeToValue(element, &p.value, yaml.Strict()); err != nil {
			f.add(decodeFault(file, element, err))
			continue
		}
		*into = append(*into, p)
	}
}

// decodeFault turns an error of the YAML library into the arguments of faults.add: where, and one line of what.
func decodeFault(file string, node ast.Node, err error) (path, format, reason string) {
	e := strictyaml.Explain(err)
	if e.Line == 0 {
		return place(file, node), "%s", e.Reason
	}
	return fmt.Sprintf("%s:%d:%d", file, e.Line, e.Column), "%s", e.Reason
}

// clip bounds a text that a file brings before it is quoted.
func clip(s string) string { return strictyaml.Clip(s) }

package ofd

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// node is an XML element. Names are local: vendors differ in prefixes and, before 2016, in the namespace.
type node struct {
	name     string
	prefix   string
	attrs    []xml.Attr
	children []*node
	text     string // of the element itself, trimmed
	end      int64  // offset of its end tag
}

// frame is an element whose end tag has not come yet.
type frame struct {
	*node
	text []byte
}

// parseTree reads one XML file. Document type definitions, entities, doubled attributes and whatever breaks the bounds
// are refused: none has a place in OFD, and readers disagree on them.
func parseTree(ctx context.Context, name string, b []byte, spend *budget) (*node, error) {
	many := refuse(StepXML, "the file %s has more than %d attributes in one element", quote(name), maxAttributes)
	large := refuse(StepXML, "the file %s has more than %d elements or %d levels", quote(name), MaxNodes, MaxDepth)
	switch elements, crowded := weigh(b); {
	case crowded:
		return nil, many
	case elements > MaxNodes:
		return nil, large
	}
	if err := spend.spend(workPerXML * int64(len(b))); err != nil {
		return nil, err
	}
	d := xml.NewDecoder(bytes.NewReader(b))
	malformed := refuse(StepXML, "the file %s is not well-formed XML in UTF-8", quote(name))
	top := &node{}
	open := []frame{{node: top}}
	count, tokens := 0, 0
	for {
		if tokens++; tokens%1024 == 0 && ctx.Err() != nil {
			return nil, fmt.Errorf("read ofd package: %w", ctx.Err())
		}
		before := d.InputOffset()
		token, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, malformed
		}
		here := &open[len(open)-1]
		switch t := token.(type) {
		case xml.Directive:
			return nil, refuse(StepXML, "the file %s has a document type definition", quote(name))
		case xml.CharData:
			if here.node != top {
				here.text = append(here.text, t...)
			}
		case xml.StartElement:
			if count++; count > MaxNodes || len(open) > MaxDepth {
				return nil, large
			}
			if err := spend.spend(workPerNode); err != nil {
				return nil, err
			}
			if len(t.Attr) > maxAttributes {
				return nil, many
			}
			if doubled(t.Attr) {
				return nil, refuse(StepXML, "the file %s has an attribute twice in one element", quote(name))
			}
			n := &node{name: t.Name.Local, prefix: t.Name.Space, attrs: t.Attr}
			here.children = append(here.children, n)
			open = append(open, frame{node: n})
		case xml.EndElement:
			if t.Name.Local != here.name || t.Name.Space != here.prefix || here.node == top {
				return nil, malformed
			}
			here.node.text, here.end = string(bytes.TrimSpace(here.text)), before
			open = open[:len(open)-1]
		}
	}
	if len(open) != 1 || len(top.children) != 1 {
		return nil, malformed
	}
	return top.children[0], nil
}

const (
	maxAttributes = 32 // of one element: the standard needs about twenty

	// maxEquals bounds the equals signs between two tags: the decoder collects attributes before anybody can count them. Text
	// may have some, too.
	maxEquals = 256
)

// weigh counts what look like elements of b, before it costs anything to read them, and says whether one may have many more
// than maxAttributes.
func weigh(b []byte) (elements int, crowded bool) {
	for part := range bytes.SplitSeq(b, []byte("<")) {
		if len(part) > 0 && part[0] != '/' && part[0] != '!' && part[0] != '?' {
			elements++
		}
		if len(part) > 2*maxEquals && bytes.Count(part, []byte("=")) > maxEquals {
			crowded = true
		}
	}
	return elements, crowded
}

// doubled reports whether two attributes have one name, prefixes aside.
func doubled(attrs []xml.Attr) bool {
	for i, a := range attrs {
		for _, b := range attrs[:i] {
			if a.Name.Local == b.Name.Local && (a.Name.Space == "xmlns") == (b.Name.Space == "xmlns") {
				return true
			}
		}
	}
	return false
}

// child returns the first child of a name, nil when there is none. It may be called on nil.
func (n *node) child(name string) *node {
	for c := range n.all(name) {
		return c
	}
	return nil
}

// all yields the children of a name.
func (n *node) all(name string) func(yield func(*node) bool) {
	return func(yield func(*node) bool) {
		if n == nil {
			return
		}
		for _, c := range n.children {
			if c.name == name && !yield(c) {
				return
			}
		}
	}
}

// value returns the text of the first child of a name.
func (n *node) value(name string) string {
	if c := n.child(name); c != nil {
		return c.text
	}
	return ""
}

// attr returns an attribute, spaces around it cut off.
func (n *node) attr(name string) string {
	if n == nil {
		return ""
	}
	for _, a := range n.attrs {
		if a.Name.Local == name && a.Name.Space != "xmlns" {
			return strings.TrimSpace(a.Value)
		}
	}
	return ""
}

// Package strictyaml decodes YAML configuration files strictly: unknown and duplicate keys, values of the wrong kind and a second document
// are faults, each with file, line and column, and decoding does not stop at the first. Size, nesting and the number of values are bounded,
// so that no file exhausts memory or a parser's stack.
package strictyaml

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"oncegate/fault"
)

// Limits bound a file.
type Limits struct {
	Bytes     int  // of the file
	Depth     int  // of nested lists and mappings in brackets; of indicators that nest without them, eight times as many
	Values    int  // that are decoded, each use of an alias counted
	NoAliases bool // anchors, aliases and merge keys are faults
}

// A Document is a parsed file that knows where each of its values stands. Its faults go to the list that Parse was given.
type Document struct {
	file    string
	limits  Limits
	faults  *fault.List
	root    ast.Node // nil: empty, or not to be read
	anchors map[string]ast.Node
	merged  map[ast.Node][]Entry // of mappings with merge keys
	decoded int                  // values so far
	parts   []part               // lists that other files continue
}

// A part is a file whose list of a name was appended to this document's: element 0 there is element base here.
type part struct {
	list string
	base int
	doc  *Document
}

// Parse reads a file. What is wrong with it is reported to faults, under the file's name; a file that cannot be read is then empty.
func Parse(file string, data []byte, l Limits, faults *fault.List) *Document {
	d := &Document{file: file, limits: l, faults: faults, anchors: map[string]ast.Node{}, merged: map[ast.Node][]Entry{}}
	tree, err := parse(data, l)
	if err != nil {
		at, reason := d.explain(nil, err)
		faults.AddAt(at, "%s", reason)
		return d
	}
	if len(tree.Docs) > 1 {
		faults.AddAt(d.place(tree.Docs[1].Body), "one YAML document is expected, and the file holds several")
		return d
	}
	if len(tree.Docs) == 0 || tree.Docs[0].Body == nil {
		return d
	}
	if _, empty := tree.Docs[0].Body.(*ast.CommentGroupNode); !empty {
		d.root = tree.Docs[0].Body
		ast.Walk(d, d.root)
	}
	return d
}

// Decode parses a file into the struct that into points to.
func Decode(file string, data []byte, l Limits, into any, faults *fault.List) *Document {
	d := Parse(file, data, l, faults)
	d.Root().Decode(into)
	return d
}

// Visit implements ast.Visitor: it collects the anchors.
func (d *Document) Visit(n ast.Node) ast.Visitor {
	switch n := n.(type) {
	case *ast.AnchorNode:
		if n.Name != nil && n.Name.GetToken() != nil {
			d.anchors[n.Name.GetToken().Value] = n.Value
		}
	case *ast.AliasNode, *ast.MergeKeyNode:
	default:
		return d
	}
	if d.limits.NoAliases {
		d.faults.AddAt(d.place(n), "anchors and aliases are not used in this file")
	}
	return d
}

// Root is the document as a whole.
func (d *Document) Root() Value { return Value{d, d.root} }

// Add reports a fault at a YAML path, or at the nearest value above it that the file writes.
func (d *Document) Add(path, format string, args ...any) {
	d.faults.AddAt(d.At(path), format, args...)
}

// Warn reports at a YAML path what is odd without being wrong.
func (d *Document) Warn(path, format string, args ...any) {
	d.Add(path, format, args...)
	(*d.faults)[len(*d.faults)-1].Warning = true
}

// AddAll reports faults whose paths stand below prefix. A path inside a reason becomes a place too.
func (d *Document) AddAll(prefix string, list fault.List) {
	for _, f := range list {
		f.Place = d.At(prefix + strings.TrimPrefix(f.Path, "$"))
		f.Path = ""
		f.Reason = writtenPath.ReplaceAllStringFunc(f.Reason, func(path string) string {
			return d.At(prefix + strings.TrimPrefix(path, "$")).String()
		})
		*d.faults = append(*d.faults, f)
	}
}

// writtenPath is a YAML path in a sentence, such as "$.types[0].id".
var writtenPath = regexp.MustCompile(`\$(\.[a-z_]+(\[[0-9]+\])*)+`)

// Continue says that a list of another file was appended to the list of that name here: its element 0 is element base.
func (d *Document) Continue(list string, base int, other *Document) {
	d.parts = append(d.parts, part{list, base, other})
}

// At is where a path is written; a path that is not is where the value above it begins.
func (d *Document) At(path string) fault.Place {
	for i := len(d.parts) - 1; i >= 0; i-- {
		p := d.parts[i]
		if rest, ok := strings.CutPrefix(path, "$."+p.list+"["); ok {
			var n int
			number, tail, _ := strings.Cut(rest, "]")
			if _, err := fmt.Sscanf(number, "%d", &n); err == nil && n >= p.base {
				return p.doc.At(fmt.Sprintf("$.%s[%d]%s", p.list, n-p.base, tail))
			}
		}
	}
	return d.Root().find(strings.TrimPrefix(path, "$")).Place()
}

// place is where a node is written. A mapping begins with its first key: its own token is the first colon.
func (d *Document) place(node ast.Node) fault.Place {
	switch n := node.(type) {
	case *ast.MappingNode:
		if len(n.Values) > 0 {
			return d.place(n.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return d.place(n.Key)
	}
	if node == nil || node.GetToken() == nil || node.GetToken().Position == nil {
		return fault.Place{File: d.file, Line: 1, Column: 1}
	}
	at := node.GetToken().Position
	return fault.Place{File: d.file, Line: at.Line, Column: at.Column}
}

// explain says where and why the YAML library could not read or decode a node.
func (d *Document) explain(node ast.Node, err error) (fault.Place, string) {
	e := explain(err)
	if e.Line == 0 {
		return d.place(node), e.Reason
	}
	return fault.Place{File: d.file, Line: e.Line, Column: e.Column}, e.Reason
}

// A syntaxError says where and why a file cannot be read. Its reason is one line and quotes at most 200 bytes of the file.
type syntaxError struct {
	Line, Column int // from 1; 0: not known
	Reason       string
}

func (e *syntaxError) Error() string { return fmt.Sprintf("%d:%d: %s", e.Line, e.Column, e.Reason) }

// parse reads a file within its limits.
func parse(data []byte, l Limits) (*ast.File, error) {
	switch {
	case len(data) > l.Bytes:
		return nil, &syntaxError{1, 1, fmt.Sprintf("the file is larger than %d bytes", l.Bytes)}
	case !utf8.Valid(data):
		return nil, &syntaxError{1, 1, "the file is not UTF-8"}
	}
	tokens := lexer.Tokenize(string(data))
	if tooDeep(tokens, l.Depth) {
		return nil, &syntaxError{1, 1, fmt.Sprintf("the file is nested deeper than %d levels", l.Depth)}
	}
	file, err := parser.Parse(tokens, 0)
	if err != nil {
		return nil, explain(err)
	}
	return file, nil
}

// tooDeep bounds nesting before the parser, which is recursive, sees the tokens. Brackets inside texts and comments are no tokens: they
// neither open a level nor close one. Indentation needs no bound of its own: its depth grows with the root of the file's size.
func tooDeep(tokens token.Tokens, most int) bool {
	depth := 0  // open brackets
	inARow := 0 // indicators with no text between them, such as "- - -" and "!a !a"
	inLine := 0 // indicators of one line with no comma between them, such as "a: b: c:"
	line := 0
	for _, t := range tokens {
		if t.Position != nil && t.Position.Line != line {
			line, inLine = t.Position.Line, 0
		}
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			depth++
			inARow++
		case token.SequenceEndType, token.MappingEndType:
			depth = max(0, depth-1)
			inARow, inLine = 0, 0
		case token.CollectEntryType:
			inARow, inLine = 0, 0
		case token.SequenceEntryType, token.MappingKeyType, token.MappingValueType, token.TagType, token.AnchorType, token.AliasType:
			inARow++
			inLine++
		case token.CommentType:
		default:
			inARow = 0
		}
		if depth > most || max(inARow, inLine) > 8*most {
			return true
		}
	}
	return false
}

// explain takes apart an error of the YAML library. Line and Column are 0 if it does not say where.
func explain(err error) *syntaxError {
	if e := (*syntaxError)(nil); errors.As(err, &e) {
		return e
	}
	var placed interface {
		GetToken() *token.Token
		GetMessage() string
	}
	e := &syntaxError{Reason: err.Error()}
	if errors.As(err, &placed) {
		e.Reason = placed.GetMessage()
		if t := placed.GetToken(); t != nil && t.Position != nil {
			e.Line, e.Column = t.Position.Line, t.Position.Column
		}
	}
	e.Reason, _, _ = strings.Cut(e.Reason, "\n")
	e.Reason = fault.Clip(e.Reason)
	return e
}

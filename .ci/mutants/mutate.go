package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// A mutant is one change of one line. Its number switches it on at run time.
type mutant struct{ file, function, line, mutation string }

func (m mutant) String() string {
	return strings.Join([]string{m.file, m.function, m.line, m.mutation}, "\t")
}

// unmutated are calls whose absence is no fault of behaviour (logs, counters), or one that the race detector looks for (locks).
var unmutated = regexp.MustCompile(`(?i)(logger|\blog\b|slog|metric|stats|counter)|\.(R?Lock|R?Unlock|Done|Stop|Close|Rollback|Inc|Observe)$|^(panic|cancel|stop|close)$`)

// A rewriter puts every mutant of a file into it (mutant schemata), so that one build serves them all.
type rewriter struct {
	src         []byte
	fset        *token.FileSet
	file        string
	function    string
	mutants     *[]mutant
	open, close map[int]string
}

// rewrite returns the file with its mutants, and appends them to the list.
func rewrite(path string, mutants *[]mutant) ([]byte, error) {
	src, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r := &rewriter{src: src, fset: token.NewFileSet(), file: filepath.ToSlash(path), mutants: mutants, open: map[int]string{}, close: map[int]string{}}
	f, err := parser.ParseFile(r.fset, path, src, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	for _, d := range f.Decls {
		if d, ok := d.(*ast.FuncDecl); ok && d.Body != nil {
			r.function = d.Name.Name
			r.walk(d.Body, d.Type)
		}
	}
	var out []byte
	for i := 0; i <= len(src); i++ {
		out = append(append(out, r.close[i]...), r.open[i]...)
		out = append(out, src[i:min(i+1, len(src))]...)
	}
	return out, nil
}

// wrap adds a mutant: the node between before and after, which name it by %d.
func (r *rewriter) wrap(n ast.Node, mutation, before, after string) {
	start, end := r.fset.Position(n.Pos()), r.fset.Position(n.End())
	lines := strings.Split(string(r.src), "\n")
	*r.mutants = append(*r.mutants, mutant{r.file, r.function, strings.TrimSpace(lines[start.Line-1]), mutation})
	number := fmt.Sprint(len(*r.mutants))
	r.open[start.Offset] += strings.ReplaceAll(before, "%d", number)
	r.close[end.Offset] = strings.ReplaceAll(after, "%d", number) + r.close[end.Offset]
}

func (r *rewriter) always(n ast.Node, what string) {
	r.wrap(n, what+" is true: "+r.text(n), "(!mutantOn(%d) || (", "))")
}
func (r *rewriter) never(n ast.Node, what string) {
	r.wrap(n, what+" is false: "+r.text(n), "(mutantOn(%d) && (", "))")
}

func (r *rewriter) text(n ast.Node) string {
	return strings.Join(strings.Fields(string(r.src[r.fset.Position(n.Pos()).Offset:r.fset.Position(n.End()).Offset])), " ")
}

// walk adds the mutants under a node of a function of this type.
func (r *rewriter) walk(root ast.Node, fn *ast.FuncType) {
	ast.Inspect(root, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			r.walk(n.Body, n.Type)
			return false
		case *ast.IfStmt:
			r.condition(n.Cond)
		case *ast.SwitchStmt:
			for _, c := range n.Body.List {
				for _, e := range c.(*ast.CaseClause).List {
					if n.Tag == nil {
						r.condition(e)
					}
				}
			}
		case *ast.BlockStmt:
			r.statements(n.List)
		case *ast.CaseClause:
			r.statements(n.Body)
		case *ast.CommClause:
			r.statements(n.Body)
		case *ast.ReturnStmt:
			r.results(n, fn)
		case *ast.BinaryExpr:
			r.binary(n)
		}
		return true
	})
}

// condition makes a branch one that is always taken, or never. An error that is merely handed on is left alone: to test each would take
// a fault for every call, and staticcheck finds those that are dropped.
func (r *rewriter) condition(e ast.Expr) {
	if r.text(e) == "err != nil" {
		return
	}
	r.always(e, "condition")
	r.never(e, "condition")
}

// binary takes one side out of a conjunction or disjunction, and moves a bound by one.
func (r *rewriter) binary(e *ast.BinaryExpr) {
	switch e.Op {
	case token.LAND, token.LOR:
		for _, side := range []ast.Expr{e.X, e.Y} {
			if inner, ok := side.(*ast.BinaryExpr); ok && inner.Op == e.Op {
				continue // its own sides are taken out
			}
			if e.Op == token.LAND {
				r.always(side, "operand")
			} else {
				r.never(side, "operand")
			}
		}
	case token.LSS, token.LEQ, token.GTR, token.GEQ: // both sides are evaluated twice
		if !regexp.MustCompile(`[\w\])]\(`).MatchString(regexp.MustCompile(`\b(len|u?int\d*)\(`).ReplaceAllString(r.text(e), "")) {
			r.wrap(e, "bound moves by one: "+r.text(e), "(", fmt.Sprintf(" != (!mutantOn(%%d) && %s == %s))", r.text(e.X), r.text(e.Y)))
		}
	}
}

// statements leaves out calls and assignments.
func (r *rewriter) statements(list []ast.Stmt) {
	for _, s := range list {
		switch s := s.(type) {
		case *ast.ExprStmt:
			if call, ok := s.X.(*ast.CallExpr); !ok || unmutated.MatchString(r.text(call.Fun)) {
				continue
			}
		case *ast.AssignStmt:
			if s.Tok == token.DEFINE || r.text(s.Lhs[0]) == "_" {
				continue
			}
		case *ast.IncDecStmt:
		default:
			continue
		}
		r.wrap(s, "statement is left out", "if mutantOn(%d) { ", " }")
	}
}

// results makes an error nil, and a lone bool constant.
func (r *rewriter) results(n *ast.ReturnStmt, fn *ast.FuncType) {
	if fn.Results == nil || len(n.Results) == 0 || len(n.Results) != fn.Results.NumFields() {
		return
	}
	types := fn.Results.List
	last := n.Results[len(n.Results)-1]
	switch text := r.text(last); r.text(types[len(types)-1].Type) {
	case "error":
		if !slices.Contains([]string{"nil", "err"}, text) {
			r.wrap(last, "error is nil", "mutantError(%d, ", ")")
		}
	case "bool":
		if text != "true" {
			r.always(last, "result")
		}
		if text != "false" {
			r.never(last, "result")
		}
	}
}

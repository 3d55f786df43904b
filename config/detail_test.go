package config

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"oncegate/language"
	"oncegate/language/languagetest"
	"oncegate/license"
)

var verb = regexp.MustCompile(`%[a-z]`)

// Whatever an adapter gives as the detail of a license.SourceError has its Chinese: a steward reads it on the terminal and in answers.
func TestEveryDetailHasItsChinese(t *testing.T) {
	catalogue := language.New(license.SourceMessages())
	found := 0
	check := func(e ast.Expr, at string) {
		text, literal := languagetest.Joined(e)
		if !literal || !strings.Contains(text, " ") {
			return
		}
		found++
		finished := verb.ReplaceAllString(text, "7")
		if catalogue.Translate(finished) == finished {
			t.Errorf("%s: no Chinese for %s; give it in license/zh.go", at, strconv.Quote(text))
		}
	}
	for _, dir := range []string{"sqldb", "rest", "files", "mapping", "failure", "../gateway/sources"} {
		files, err := filepath.Glob(filepath.Join("../adapters", dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatal(dir, err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			set := token.NewFileSet()
			file, err := parser.ParseFile(set, name, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.KeyValueExpr:
					key, ok := n.Key.(*ast.Ident)
					if !ok || key.Name != "Detail" {
						return true
					}
					if call, ok := n.Value.(*ast.CallExpr); ok && languagetest.NameOfCall(call) == "Sprintf" {
						check(call.Args[0], set.Position(n.Pos()).String())
					} else {
						check(n.Value, set.Position(n.Pos()).String())
					}
				case *ast.CallExpr:
					if name := languagetest.NameOfCall(n); name == "faulty" || name == "fail" && len(n.Args) == 2 {
						arg := n.Args[len(n.Args)-1]
						if name == "faulty" {
							arg = n.Args[0]
						}
						if call, ok := arg.(*ast.CallExpr); ok && len(call.Args) == 1 {
							arg = call.Args[0]
						}
						check(arg, set.Position(n.Pos()).String())
					}
				case *ast.CompositeLit:
					if kind, ok := n.Type.(*ast.Ident); ok && kind.Name == "badLine" && len(n.Elts) == 2 {
						check(n.Elts[1], set.Position(n.Pos()).String())
					}
				}
				return true
			})
		}
	}
	if found < 30 {
		t.Errorf("only %d details were found", found)
	}
}

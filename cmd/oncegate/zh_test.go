package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"oncegate/language"
)

// helpTexts are the texts with which a command and those below it are declared.
func helpTexts(c *cobra.Command) (texts []string) {
	texts = append(texts, c.Short, c.Long)
	c.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			texts = append(texts, f.Usage)
		}
	})
	for _, g := range c.Groups() {
		texts = append(texts, g.Title)
	}
	for _, m := range title.FindAllStringSubmatch(helpTemplate, -1) {
		texts = append(texts, m[1])
	}
	for _, child := range c.Commands() {
		texts = append(texts, helpTexts(child)...)
	}
	return slices.DeleteFunc(texts, func(s string) bool { return s == "" })
}

// saidTexts are the texts that stand in the source where something is said: t.say("…"), and errors.New("…") within functions.
func saidTexts(t *testing.T) (texts []string) {
	t.Helper()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	saying := []string{"say", "println", "tell", "progress", "wrong", "New"}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if _, ok := d.(*ast.FuncDecl); !ok {
				continue
			}
			ast.Inspect(d, func(n ast.Node) bool {
				if kv, ok := n.(*ast.KeyValueExpr); ok { // of an argument
					key, _ := kv.Key.(*ast.Ident)
					if literal, ok := kv.Value.(*ast.BasicLit); ok && key != nil && key.Name == "help" {
						text, err := strconv.Unquote(literal.Value)
						if err != nil {
							t.Fatal(err)
						}
						texts = append(texts, text)
					}
				}
				call, ok := n.(*ast.CallExpr)
				if !ok || len(call.Args) == 0 {
					return true
				}
				method, isMethod := call.Fun.(*ast.SelectorExpr)
				literal, isLiteral := call.Args[0].(*ast.BasicLit)
				if isMethod && isLiteral && literal.Kind == token.STRING && slices.Contains(saying, method.Sel.Name) {
					text, err := strconv.Unquote(literal.Value)
					if err != nil {
						t.Fatal(err)
					}
					texts = append(texts, text)
				}
				return true
			})
		}
	}
	return texts
}

// The two languages stay together: everything the program says in English it can say in Chinese.
func TestEveryTextHasItsChinese(t *testing.T) {
	english := &terminal{out: io.Discard, err: io.Discard, Printer: catalogue.Printer(language.English)}
	program := newProgram(english)
	help, said := helpTexts(program.Command), saidTexts(t)
	if len(help) < 200 || len(said) < 50 {
		t.Fatalf("only %d texts of help and %d others were found", len(help), len(said))
	}
	for _, text := range append(help, said...) {
		if _, ok := messages[text]; !ok && text != "%s" {
			t.Errorf("no Chinese for %q", text)
		}
	}
}

// A translation says the same things: its verbs are those of the English, in whatever order.
func TestChineseVerbs(t *testing.T) {
	for text, translated := range messages {
		if strings.Count(text, "%") != strings.Count(translated, "%") {
			t.Errorf("%q and %q differ in what they name", text, translated)
		}
	}
}

// Package languagetest tests that translations are complete: it extracts texts from Go sources, and checks that a text is entirely
// Chinese.
package languagetest

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"oncegate/language"
)

var (
	phrase   = regexp.MustCompile(`\pL[\pL0-9',.;:)]* +\(?[\pL%]|%v \pL`)
	anyVerb  = regexp.MustCompile(`%(\[[1-9]\])?[-+# 0]*[0-9]*(\.[0-9]+)?[a-zA-Z]`)
	anyValue = regexp.MustCompile(`%(\[[1-9]\])?v`)
)

// A Text is a text as it stands in a source, with %v for its values.
type Text struct{ Text, At string }

// In collects the texts of a file: literals, and literals joined by + with values between them. saying are the functions whose last
// argument is a reason or a part of one, however short it is (of Errorf and malformed the first). Of others a literal counts that is a
// phrase: two words and more.
func In(t *testing.T, source string, saying []string) (all []Text) {
	t.Helper()
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, source, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	take := func(e ast.Expr, always bool) bool {
		text, literal := Joined(e)
		if text = Normal(text); literal && (phrase.MatchString(text) || always && len(English(text)) > 0) {
			all = append(all, Text{text, files.Position(e.Pos()).String()})
		}
		return literal
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ImportSpec, *ast.Field:
			return false // tags of structures are no texts
		case *ast.CallExpr:
			if name := NameOfCall(n); len(n.Args) > 0 && slices.Contains(saying, name) {
				reason := n.Args[len(n.Args)-1] // what goes before it names a step or a tag
				if name == "Errorf" || name == "malformed" {
					reason = n.Args[0]
				}
				take(reason, true)
			}
		case *ast.KeyValueExpr:
			if key, ok := n.Key.(*ast.Ident); ok && key.Name == "Reason" {
				take(n.Value, true)
			}
		case *ast.ValueSpec:
			if kind, ok := n.Type.(*ast.Ident); ok && kind.Name == "Reason" { // license.Reason: a code that its Error wraps
				for _, value := range n.Values {
					if code, literal := Joined(value); literal {
						all = append(all, Text{"rule broken: " + code, files.Position(value.Pos()).String()})
					}
				}
			}
		case *ast.BinaryExpr:
			return !take(n, false)
		case *ast.BasicLit:
			take(n, false)
		}
		return true
	})
	return all
}

// Formats collects the literal formats of a file: the argument of an index of each call of a function.
func Formats(t *testing.T, source string, functions map[string]int) (all []Text) {
	t.Helper()
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, source, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			if at, is := functions[NameOfCall(call)]; is && len(call.Args) > at {
				if text, literal := Joined(call.Args[at]); literal && len(English(Normal(text))) > 0 {
					all = append(all, Text{Normal(text), files.Position(call.Pos()).String()})
				}
			}
		}
		return true
	})
	return all
}

// NameOfCall is the name of the function that is called, without its package or receiver.
func NameOfCall(c *ast.CallExpr) string {
	switch f := c.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		return f.Sel.Name
	}
	return ""
}

// Joined is the text of an expression, with %v for what is no literal, and whether any part of it is one.
func Joined(e ast.Expr) (text string, literal bool) {
	switch e := e.(type) {
	case *ast.ParenExpr:
		return Joined(e.X)
	case *ast.BasicLit:
		if s, err := strconv.Unquote(e.Value); err == nil && e.Kind == token.STRING {
			return s, true
		}
	case *ast.BinaryExpr:
		a, one := Joined(e.X)
		b, other := Joined(e.Y)
		if e.Op == token.ADD {
			return a + b, one || other
		}
	}
	return "%v", false
}

// Normal is a format with %v for every verb.
func Normal(format string) string { return anyVerb.ReplaceAllString(format, "%v") }

// codes are words that Chinese texts keep: names of members and parameters, which stand so in files and standards.
var codes = []string{"iss", "ver", "iat", "exp", "nbf", "typ", "crit", "alg", "kid", "jti", "sub", "idx", "zlib", "Vid", "ttl", "issues"}

var (
	word  = regexp.MustCompile(`[A-Za-z][A-Za-z'-]*`)
	value = regexp.MustCompile(`"(\\.|[^"\\])*"|（(asn1|base64|json|jsontext|pem|x509|zlib): [^）]*）` + `|《[^》]*》|` + anyValue.String())
)

// English are the English words of a text, by a written rule. A value is none: what stands in quotes or 《》, what a library said, in
// brackets and after its name, a placeholder, and a string of Latin letters that has a capital, a digit or one of . / _ @ : ~ in it, as file names, identifiers, addresses and names of
// algorithms have. Nor are codes.
func English(text string, kept ...string) (words []string) {
	text = value.ReplaceAllString(text, " ")
	for _, token := range strings.FieldsFunc(text, func(r rune) bool {
		return r > unicode.MaxLatin1 || unicode.IsSpace(r) || strings.ContainsRune("(),;[]%", r)
	}) {
		token = strings.Trim(token, ".:")
		if strings.ContainsFunc(token, func(r rune) bool {
			return unicode.IsUpper(r) || unicode.IsDigit(r) || strings.ContainsRune("./_@:~", r)
		}) {
			if w := word.FindString(token); w != token || len(w) < 2 || strings.ToUpper(w[:1])+strings.ToLower(w[1:]) != w {
				continue // a plain word with a capital is the beginning of a sentence
			}
		}
		if w := word.FindString(token); len(w) > 1 && !slices.Contains(codes, w) && !slices.Contains(kept, w) {
			words = append(words, w)
		}
	}
	return words
}

// Translated reports whether a text becomes Chinese in full, and keeps its values.
func Translated(catalogue *language.Catalogue, text string, kept ...string) bool {
	n := 0
	chinese := catalogue.Translate(anyValue.ReplaceAllStringFunc(text, func(string) string { n++; return fmt.Sprintf("‹%d›", n) }))
	for i := range n {
		if !strings.Contains(chinese, fmt.Sprintf("‹%d›", i+1)) {
			return false
		}
	}
	return len(English(chinese, kept...)) == 0
}

// Report fails for texts without Chinese, by where each stands, and prints them as lines for the table of messages; hint says which.
func Report(t *testing.T, missing map[string]string, hint string) {
	t.Helper()
	if len(missing) == 0 {
		return
	}
	var lines strings.Builder
	for _, text := range slices.SortedFunc(maps.Keys(missing), func(a, b string) int { return cmp.Or(cmp.Compare(missing[a], missing[b]), cmp.Compare(a, b)) }) {
		fmt.Fprintf(&lines, "\t%q: \"\", // %s\n", text, missing[text])
	}
	t.Errorf("%d texts have no Chinese. %s:\n%s", len(missing), hint, lines.String())
}

// Check holds messages to two rules: the Chinese names the values that the English names, in whatever order, and has no English in it.
func Check(t *testing.T, messages language.Messages, kept ...string) {
	t.Helper()
	for english, chinese := range messages {
		if got, want := indexes(chinese), indexes(english); !slices.IsSorted(want) || !slices.Equal(slices.Sorted(slices.Values(got)), want) {
			t.Errorf("%q and %q differ in what they name, or the values do not stand in order in the English", english, chinese)
		}
		if words := English(chinese, kept...); len(words) > 0 {
			t.Errorf("%q has English in it: %q", chinese, words)
		}
	}
}

// indexes are those of the values that a format names, counted from 1.
func indexes(format string) (list []int) {
	next := 1
	for _, v := range anyVerb.FindAllStringSubmatch(format, -1) {
		if v[1] != "" {
			next = int(v[1][1] - '0')
		}
		list, next = append(list, next), next+1
	}
	return list
}

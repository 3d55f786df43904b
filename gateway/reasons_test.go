package gateway

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"oncegate/api"
	"oncegate/gateway/sources"
	"oncegate/license"
	"oncegate/policy"
	"oncegate/register"
	"oncegate/sheet"
)

// Each reason is told under its own name: only the policy's say that the sharing rules are at fault.
func TestReasonsAreTheirOwn(t *testing.T) {
	policyText := reason("policy")
	own := func(code string) {
		t.Helper()
		if r := reason(code); code != "policy" && (r.En == policyText.En || r.Zh == policyText.Zh || r.En == "" || r.Zh == "") {
			t.Errorf("%s is told as %q", code, r.En)
		}
	}
	for _, code := range literals(t, "reason", "evidenceReason", "ofCase", "problemReason", "faulty", "unusable") {
		own(code)
	}
	for _, code := range caseReasons(t) {
		own(code)
	}
	seen := make(map[string]error)
	for _, err := range []error{
		errHolderType, errNoSource, license.ErrCannotAsk, sources.ErrNoSlot, errPresented, license.ErrUnanswerable, errors.New("down"),
	} {
		code := unansweredCode(fmt.Errorf("wrapped: %w", err))
		if other := seen[code]; other != nil {
			t.Errorf("%v is told as %v", err, other)
		}
		seen[code] = err
		if r := unanswered(err, "").reasons; len(r) != 1 || r[0].Code != code {
			t.Errorf("%v: the caller is told %s, the evidence says %+v", err, code, r)
		}
		own(code)
	}
	lasting := []error{register.ErrOutdated, register.ErrNoSigner, register.ErrFaulty, errContradiction, register.ErrNoSeal, errNotInForce, errNoOriginal}
	for _, code := range []sheet.Code{sheet.NoLayout, sheet.NoSealPlace, sheet.NoGlyph, sheet.ForbiddenCharacter, sheet.BadPicture, sheet.DoesNotFit} {
		lasting = append(lasting, &sheet.Error{Code: code, Field: "name", Rune: '甲'})
	}
	clear(seen)
	for _, err := range lasting {
		told := unsignable(err)
		if told == "" {
			told = documentProblem(err)
		}
		if _, ok := api.ByCode(told); !ok {
			t.Errorf("%v is told as %q, which is no problem", err, told)
		}
		r := unsignedReasons(told, err)[0]
		if other := seen[r.Code]; other != nil {
			t.Errorf("%v is recorded as %v", err, other)
		}
		seen[r.Code] = err
		own(r.Code)
		if strings.Contains(r.En, "7532") || strings.Contains(r.En, "甲") {
			t.Errorf("the evidence repeats a character: %s", r.En)
		}
	}
}

// literals are the texts that stand as codes in calls of the named functions.
func literals(t *testing.T, names ...string) (codes []string) {
	t.Helper()
	for _, file := range parsed(t, "*.go") {
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			name := ""
			switch f := call.Fun.(type) {
			case *ast.Ident:
				name = f.Name
			case *ast.SelectorExpr:
				name = f.Sel.Name
			}
			if slices.Contains(names, name) {
				for _, arg := range call.Args {
					if l, ok := arg.(*ast.BasicLit); ok && l.Kind == token.STRING {
						code, err := strconv.Unquote(l.Value)
						if err != nil {
							t.Fatal(err)
						}
						codes = append(codes, code)
					}
				}
			}
			return true
		})
	}
	if len(codes) < 10 {
		t.Fatalf("only %d codes were found", len(codes))
	}
	return codes
}

// caseReasons are the reasons of cases that a judgement, a role or a consent gives. Others stand beside the place of a body that is wrong.
func caseReasons(t *testing.T) (codes []string) {
	t.Helper()
	const flaws = "BadNumber"
	for _, file := range parsed(t, "../cases/judge.go") {
		for _, d := range file.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.CONST {
				continue
			}
			for i, spec := range g.Specs {
				v := spec.(*ast.ValueSpec)
				if kind, ok := v.Type.(*ast.Ident); !ok || kind.Name != "Reason" || i == 0 && v.Names[0].Name == flaws {
					break
				}
				code, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				if code != "consent-too-long" { // of a registration
					codes = append(codes, code)
				}
			}
		}
	}
	if len(codes) < 30 {
		t.Fatalf("only %d reasons of cases were found: %v", len(codes), codes)
	}
	return codes
}

func parsed(t *testing.T, pattern string) (files []*ast.File) {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	return files
}

// A code of the policy without its own sentences here is told as the policy's.
func TestPolicyReason(t *testing.T) {
	if got := reason(policy.FieldNotGranted); got.Code != policy.FieldNotGranted || got.En != reason("policy").En {
		t.Errorf("%+v", got)
	}
}

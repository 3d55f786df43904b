package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/cases"
	"oncegate/language"
	"oncegate/license"
)

// Every outcome that a record can have, and every status and order of a license, has a word in Chinese.
func TestWords(t *testing.T) {
	codes := []string{
		string(cases.Met), string(cases.Missing), string(cases.Lapsed), string(cases.Mismatched), string(cases.Denied), string(cases.Unavailable),
		string(api.IssuedHolderStateFaulty), string(api.IssuedHolderStateKnown), string(api.IssuedHolderStateSigned), string(api.IssuedHolderStateMissing), string(api.IssuedHolderStateUnavailable),
		string(api.LicenseCommandExpire), string(api.LicenseCommandReinstate), string(api.LicenseCommandRevoke), string(api.LicenseCommandSupersede), string(api.LicenseCommandSuspend),
		cases.HowUploaded, cases.HowPromised, cases.HowWaived, cases.FallTolerate, cases.FallPromise, cases.FallUpload,
		audit.KindRequest, audit.KindInputs, audit.KindPerson,
	}
	for _, s := range license.Statuses() {
		codes = append(codes, string(s))
	}
	for _, code := range append(codes, outcomes(t)...) {
		if words[code] == "" {
			t.Errorf("no Chinese for %q", code)
		}
	}
	zh, en := &terminal{Printer: catalogue.Printer(language.Chinese)}, &terminal{Printer: catalogue.Printer(language.English)}
	if got := zh.word("denied"); got != "不予提供（denied）" {
		t.Error(got)
	}
	if en.word("denied") != "denied" || zh.word("another") != "another" || zh.word("") != "" {
		t.Error("a word changes")
	}
}

// outcomes are the constants of package gateway named outcome….
func outcomes(t *testing.T) (codes []string) {
	t.Helper()
	names, err := filepath.Glob("../../gateway/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			v, ok := n.(*ast.ValueSpec)
			if !ok || !strings.HasPrefix(v.Names[0].Name, "outcome") || len(v.Values) == 0 {
				return true
			}
			if l, ok := v.Values[0].(*ast.BasicLit); ok {
				code, err := strconv.Unquote(l.Value)
				if err != nil {
					t.Fatal(err)
				}
				codes = append(codes, code)
			}
			return true
		})
	}
	if len(codes) < 12 {
		t.Fatalf("only %d outcomes were found: %v", len(codes), codes)
	}
	return codes
}

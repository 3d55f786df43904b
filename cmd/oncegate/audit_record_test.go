package main

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"oncegate/install/installtest"
	"oncegate/language"
)

// What an auditor sees of one refused call: the search, the evidence with the real reason, the receipt, in both languages.
func TestAuditCommands(t *testing.T) {
	s := serve(t, func(*installtest.City) {})
	t.Chdir(t.TempDir())
	code, out, _ := s.as(t.Context(), language.English, "food-approval", "license", "render", "--type", "business-license", "--holder", "001:"+installtest.Company)
	if code != exitNo || !strings.Contains(out, "not-permitted") {
		t.Fatalf("%d %s", code, out)
	}
	_, out, _ = s.as(t.Context(), language.Chinese, "audit-office", "audit", "search", "--operation", "licenses.render")
	index := regexp.MustCompile(`(?m)^(\d+) .*不予提供（denied）`).FindStringSubmatch(out)
	if index == nil {
		t.Fatalf("search:\n%s", out)
	}
	for l, want := range map[language.Language][]string{
		language.English: {"Reasons\n", "no-permission: ", "Decided on\n", `"allow": false`, "Persons\n", installtest.Company, "Call\n", `"license_type":"business-license"`},
		language.Chinese: {"原因\n", "no-permission：", "裁决依据\n", "人员\n", "请求\n", "不予提供（denied）"},
	} {
		code, out, side := s.as(t.Context(), l, "audit-office", "audit", "evidence", "--why", "objection 3", "--persons", "--request", index[1])
		if code != exitOK {
			t.Fatalf("%s: %d %s", l, code, side)
		}
		for _, text := range want {
			if !strings.Contains(out, text) {
				t.Errorf("%s: the evidence has no %q:\n%s", l, text, out)
			}
		}
	}
	code, out, _ = s.as(t.Context(), language.English, "audit-office", "audit", "evidence", "--why", "objection 3", "--json", index[1])
	var filed struct{ Answer, Receipt json.RawMessage }
	if err := json.Unmarshal([]byte(out), &filed); err != nil || code != exitOK || filed.Receipt == nil || strings.Contains(out, installtest.Company) {
		t.Errorf("as JSON: %v %.300s", err, out)
	}

	code, out, side := s.as(t.Context(), language.Chinese, "audit-office", "audit", "receipt", index[1], "-o", "receipt.json")
	if code != exitOK || !strings.Contains(out, "记录 "+index[1]+" 的回执已写入 receipt.json") || !strings.Contains(out, "已证实") {
		t.Errorf("receipt: %d %s %s", code, out, side)
	}
	kept, err := os.ReadFile("receipt.json")
	if err != nil || !bytes.HasPrefix(kept, []byte(`{"checkpoint":`)) {
		t.Fatalf("%v %.100s", err, kept)
	}
	if code, _, side := s.as(t.Context(), language.English, "audit-office", "audit", "receipt", index[1], "-o", "receipt.json"); code != exitMisused || !strings.Contains(side, "is there already") {
		t.Errorf("a receipt is replaced: %d %s", code, side)
	}
	if code, out, _ := s.as(t.Context(), language.English, "audit-office", "audit", "receipt", index[1], "-o", "-"); code != exitOK || !strings.HasPrefix(out, `{"checkpoint":`) || strings.Count(out, "\n") != 1 {
		t.Errorf("on standard output: %d %.100s", code, out)
	}
	if code, out, _ := s.as(t.Context(), language.English, "audit-office", "audit", "receipt", "999999"); code != exitNo || !strings.Contains(out, "log-entry-not-found") {
		t.Errorf("of no record: %d %s", code, out)
	}
	if code, _, _ := s.as(t.Context(), language.English, "audit-office", "audit", "receipt"); code != exitMisused {
		t.Errorf("of nothing: %d", code)
	}

	period := []string{"audit", "reuse", "--from", "2026-01-01", "--to", "2099-01-01"}
	if code, out, side := s.as(t.Context(), language.Chinese, "audit-office", period...); code != exitOK || !strings.HasPrefix(out, "事项  已满足  所需  复用率\n") || !strings.Contains(out, "合计  0       0     –\n") {
		t.Errorf("reuse: %d\n%s%s", code, out, side)
	}
	if code, out, _ := s.as(t.Context(), language.English, "audit-office", append(period, "--json")...); code != exitOK || !strings.Contains(out, `"total":{"denominator":0,"numerator":0}`) {
		t.Errorf("reuse as JSON: %d %s", code, out)
	}
	if code, _, _ := s.as(t.Context(), language.English, "audit-office", "audit", "reuse", "--from", "2026-02-02", "--to", "2026-01-01"); code != exitMisused {
		t.Errorf("a period that ends first: %d", code)
	}
}

// An answer is indented for somebody who looks at it; piped, its bytes stay as they came.
func TestCallLaidOut(t *testing.T) {
	s := serve(t, func(*installtest.City) {})
	call := func(shown bool, args ...string) (string, string) {
		t.Helper()
		var out, side bytes.Buffer
		on := &terminal{in: strings.NewReader(""), out: &out, err: &side, shown: shown, Printer: catalogue.Printer(language.English)}
		run(t.Context(), append(args, "-c", s.Main, "--system", "food-approval"), on)
		return out.String(), side.String()
	}
	raw, _ := call(false, "call", "catalog.types")
	if strings.Count(raw, "\n") != 1 || !strings.HasPrefix(raw, `{"answer":{`) {
		t.Errorf("piped: %.200s", raw)
	}
	shown, _ := call(true, "call", "catalog.types")
	if !strings.HasPrefix(shown, "{\n  \"answer\": {\n    ") || strings.Count(shown, "\n") < 50 {
		t.Errorf("shown: %.200s", shown)
	}
	var before, after any
	if json.Unmarshal([]byte(raw), &before) != nil || json.Unmarshal([]byte(shown), &after) != nil {
		t.Error("it is no JSON")
	}
	raw, _ = call(false, "license", "list", "--type", "business-license")
	shown, side := call(true, "license", "list", "--type", "business-license")
	if !strings.Contains(raw, `"receipt":{`) || strings.Contains(shown, `"receipt"`) || !strings.HasPrefix(shown, "{\n") || !strings.Contains(side, "> FILE keeps the whole document") {
		t.Errorf("a refusal: %.200s\n%s\n%s", raw, shown, side)
	}
}

package api

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"oncegate/canonical"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
)

var (
	han   = regexp.MustCompile(`\p{Han}`)
	codes = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
)

func TestEveryProblemHelps(t *testing.T) {
	parties := map[string]bool{Caller: true, Gateway: true, Policy: true, Source: true}
	seen := map[string]bool{}
	for _, k := range Kinds() {
		if seen[k.Code] || !codes.MatchString(k.Code) {
			t.Errorf("%s is twice, or no code", k.Code)
		}
		seen[k.Code] = true
		if k.Status < 400 || k.Status > 599 || !parties[k.Party] {
			t.Errorf("%s: status %d, party %q", k.Code, k.Status, k.Party)
		}
		for _, zh := range []string{k.Zh, k.AdviceZh} {
			if !han.MatchString(zh) || !strings.HasSuffix(zh, "。") {
				t.Errorf("%s: %q is no Chinese sentence", k.Code, zh)
			}
		}
		for _, en := range []string{k.En, k.AdviceEn} {
			if len(en) < 10 || !strings.HasSuffix(en, ".") {
				t.Errorf("%s: %q is no English sentence", k.Code, en)
			}
		}
		if k.RetryAfter > 0 && !k.Retry || k.Status == 503 && !k.Retry {
			t.Errorf("%s: retry %t, after %d", k.Code, k.Retry, k.RetryAfter)
		}
	}
	for _, must := range []string{"internal", "case-not-usable", "record-unavailable", "too-many-requests"} {
		if !seen[must] {
			t.Errorf("%s is missing", must)
		}
	}
}

func TestEveryProblemIsDocumented(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(Document)
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for _, k := range Kinds() {
		want = append(want, k.Code)
	}
	for _, c := range doc.Components.Schemas["Problem"].Value.Properties["code"].Value.Enum {
		got = append(got, c.(string))
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestProblemBytes(t *testing.T) {
	p := NewProblem("case-not-usable")
	p.Nonce = "AAAAAAAAAAAAAAAAAAAAAA"
	bare := p.Bytes()
	p.Receipt = []byte(`{"index":1}`)
	if string(p.Bytes()) != string(bare) {
		t.Error("the receipt changes the answer bytes")
	}
	var back map[string]any
	if err := json.Unmarshal(p.Body(), &back); err != nil {
		t.Fatal(err)
	}
	delete(back, "receipt")
	again, err := canonical.Marshal(back)
	if err != nil || string(again) != string(bare) {
		t.Errorf("%s, want %s (%v)", again, bare, err)
	}
	var typed Problem
	if err := json.Unmarshal(p.Body(), &typed); err != nil || !errors.Is(&typed, p) {
		t.Errorf("%+v, %v", typed, err)
	}
}

func TestProblemWrite(t *testing.T) {
	w := httptest.NewRecorder()
	NewProblem("record-unavailable").Write(w)
	if w.Code != 503 || w.Header().Get("Retry-After") != "5" || w.Header().Get("Content-Type") != ProblemType {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	if !strings.Contains(w.Body.String(), "upload") {
		t.Error("the upload fallback is not named")
	}
	again := httptest.NewRecorder()
	NewProblem("record-unavailable").Write(again)
	if again.Body.String() != w.Body.String() {
		t.Error("the fixed body is not fixed")
	}
}

func TestProblemErrors(t *testing.T) {
	wrapped := fmt.Errorf("query: %w", NewProblem("case-not-usable"))
	if !errors.Is(wrapped, NewProblem("case-not-usable")) || errors.Is(wrapped, NewProblem("internal")) {
		t.Error("problems compare by code")
	}
	if AsProblem(wrapped).Code != "case-not-usable" || AsProblem(os.ErrClosed).Code != "internal" || NewProblem("no-such").Code != "internal" {
		t.Error("what is no problem is internal")
	}
}

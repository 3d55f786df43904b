package barcode

import (
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestResolve reads codes by patterns and by an interface, well or badly behaved.
func TestResolve(t *testing.T) {
	var got string
	platform := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = string(body)
		switch {
		case r.Header.Get("Authorization") != "Bearer secret":
			w.WriteHeader(http.StatusUnauthorized)
		case strings.Contains(got, "known"):
			io.WriteString(w, `{"type":"111","code":"379901198503072316"}`)
		case strings.Contains(got, "large"):
			io.WriteString(w, `{"code":"`+strings.Repeat("1", 20000)+`"}`)
		case strings.Contains(got, "moved"):
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
		case strings.Contains(got, "broken"):
			io.WriteString(w, `<html>`)
		default:
			http.NotFound(w, r)
		}
	}))
	defer platform.Close()
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	rules := []Rule{
		{Pattern: `SLD:([0-9A-Za-z-]+)`, Means: Case},
		{Pattern: `https://license\.example/e/([0-9A-Z]{18})`, Means: Holder, Type: "001"},
		{Pattern: `SFM:([a-z0-9]+)`, Means: Holder, URL: platform.URL, TokenFile: token},
		{Pattern: `NOK:[a-z]+`, Means: Holder, URL: platform.URL},
	}
	if err := Check(rules).Err(); err != nil {
		t.Fatal(err)
	}
	r, err := NewReader(rules)
	if err != nil {
		t.Fatal(err)
	}
	for code, want := range map[string]Meaning{
		"SLD:SP-2026-1": {Case: "SP-2026-1"}, "https://license.example/e/91379901MA9920002Q": {Holder: "91379901MA9920002Q", Type: "001"}, "SFM:known1": {Holder: "379901198503072316", Type: "111"},
	} {
		if m, err := r.Resolve(t.Context(), code, "street-hall", "SLJD-1"); err != nil || m != want {
			t.Errorf("%s stands for %+v, %v", code, m, err)
		}
	}
	for _, code := range []string{"", "SLD:", "xSLD:SP-1", "SLD:SP-1 ", "SFM:nobody", strings.Repeat("S", MaxCode+1)} {
		if m, err := r.Resolve(t.Context(), code, "street-hall", "SLJD-1"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%.20q stands for %+v, %v", code, m, err)
		}
	}
	for _, code := range []string{"SFM:large", "SFM:moved", "SFM:broken", "NOK:zz"} {
		m, err := r.Resolve(t.Context(), code, "street-hall", "SLJD-1")
		if err == nil || errors.Is(err, fs.ErrNotExist) || strings.Contains(err.Error(), code[4:]) {
			t.Errorf("%s stands for %+v, %v", code, m, err)
		}
	}
	platform.Close()
	if _, err := r.Resolve(t.Context(), "SFM:known1", "street-hall", "SLJD-1"); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an interface that is away: %v", err)
	}
}

// TestCheck finds every fault of rules.
func TestCheck(t *testing.T) {
	faults := Check([]Rule{
		{Pattern: "(", Means: Case}, {Means: Case}, {Pattern: "a", Means: "person"}, {Pattern: "a", Means: Case, Type: "111"}, {Pattern: "a", Means: Holder, URL: "http://platform.example/"},
		{Pattern: "a", Means: Holder, URL: "https://user@platform.example/"}, {Pattern: "a", Means: Holder, TokenFile: "token"}, {Pattern: "a", Means: Holder, URL: "http://127.0.0.1:1/", TokenFile: "t"},
	})
	if len(faults) != 7 {
		t.Errorf("%d faults: %v", len(faults), faults)
	}
}

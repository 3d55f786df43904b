package audit_test

import (
	"errors"
	"strings"
	"testing"

	"oncegate/audit"
)

func goodLeaf(t testing.TB) string {
	return string(newBench(t).record(t, draft()).Receipt.Record)
}

func TestParseRecord(t *testing.T) {
	leaf := goodLeaf(t)
	if _, err := audit.ParseRecord([]byte(leaf)); err != nil {
		t.Fatalf("a good record: %v", err)
	}
	replace := func(old, new string) string {
		if !strings.Contains(leaf, old) {
			t.Fatalf("%q is not in the record", old)
		}
		return strings.Replace(leaf, old, new, 1)
	}
	for name, bad := range map[string]string{
		"empty":            "",
		"null":             "null",
		"blank":            leaf + " ",
		"newline":          strings.Replace(leaf, ",", ",\n", 1),
		"unknown member":   replace(`,"v":2}`, `,"v":2,"w":1}`),
		"duplicate member": replace(`,"v":2}`, `,"v":2,"v":2}`),
		"missing member":   replace(`"request_id":"r-1",`, ``),
		"null uses":        `{` + leaf[1:strings.Index(leaf, `"uses":`)] + `"uses":null,"v":2}`,
		"null rules":       replace(`"rules":["grant-1"]`, `"rules":null`),
		"other order":      `{"v":2,` + strings.TrimSuffix(leaf[1:], `,"v":2}`) + `}`,
		"escaped":          replace(`"window"`, `"\u0077indow"`),
		"version":          replace(`"v":2`, `"v":3`),
		"version 0":        replace(`"v":2`, `"v":0`),
		"float":            replace(`"v":2`, `"v":2.0`),
		"no time":          replace(`2026-11-23T04:05:06.789Z`, `yesterday`),
		"time zone":        replace(`2026-11-23T04:05:06.789Z`, `2026-11-23T04:05:06.789+00:00`),
		"no milliseconds":  replace(`06.789Z`, `06Z`),
		"impossible day":   replace(`2026-11-23`, `2026-02-30`),
		"evidence":         replace(`"evidence":"`, `"evidence":"A`),
		"padded digest":    replace(`"policy":"A`, `"policy":"=`),
		"stray bits":       replace(draft().Policy, strings.Repeat("A", 42)+"B"),
		"commitment":       replace(`"holder":"`, `"holder":"x`),
		"too long":         replace(`"system":"window"`, `"system":"`+strings.Repeat("w", audit.MaxRecord)+`"`),
		"not UTF-8":        replace(`window`, "win\xffow"),
		"deep":             strings.Repeat("[", 10000),
	} {
		if r, err := audit.ParseRecord([]byte(bad)); !errors.Is(err, audit.ErrRecord) {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

// Records of version 1 stay records; they have no members of version 2, and neither version has a text beside its commitment.
func TestParseRecordVersions(t *testing.T) {
	first := strings.Replace(goodLeaf(t), `"v":2`, `"v":1`, 1)
	if r, err := audit.ParseRecord([]byte(first)); err != nil || r.V != 1 {
		t.Errorf("version 1: %+v, %v", r, err)
	}
	d := draft()
	d.RequestID, d.CommittedRequestID = "", "r-1"
	for i := range d.Uses {
		d.Uses[i].Case, d.Uses[i].CommittedCase = "", "c-1"
	}
	leaf := string(newBench(t).record(t, d).Receipt.Record)
	if _, err := audit.ParseRecord([]byte(leaf)); err != nil {
		t.Fatal(err)
	}
	one := func(member string) string { return leaf[strings.Index(leaf, member):][:len(member)+43] }
	for name, bad := range map[string]string{
		"members of version 2 in version 1": strings.Replace(leaf, `"v":2`, `"v":1`, 1),
		"an id beside its commitment":       strings.Replace(leaf, `"request_id":""`, `"request_id":"r-1"`, 1),
		"a case beside its commitment":      strings.Replace(leaf, `"case":""`, `"case":"c-1"`, 1),
		"an empty case commitment":          strings.Replace(leaf, one(`"case_commitment":"`), `"case_commitment":"`, 1),
		"no case commitment":                strings.Replace(leaf, one(`"case_commitment":"`), `"case_commitment":"c-1`, 1),
		"no request commitment":             strings.Replace(leaf, one(`"request_commitment":"`), `"request_commitment":"r-1`, 1),
	} {
		if r, err := audit.ParseRecord([]byte(bad)); !errors.Is(err, audit.ErrRecord) {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

func FuzzParseRecord(f *testing.F) {
	f.Add([]byte(goodLeaf(f)))
	f.Add([]byte(`{"v":2}`))
	f.Add([]byte(`{"answer_digest":"","evidence":"` + encodedZero + `","operation":"","policy":"","request_id":"","system":"","time":"2026-11-23T04:05:06.789Z","token_digest":"","uses":[],"v":2}`))
	f.Fuzz(func(t *testing.T, leaf []byte) {
		r, err := audit.ParseRecord(leaf)
		if err != nil {
			return
		}
		again, err := audit.Canonical(r)
		if err != nil || string(again) != string(leaf) {
			t.Errorf("read %q, wrote %q, %v", leaf, again, err)
		}
	})
}

func TestCanonical(t *testing.T) {
	got, err := audit.Canonical(map[string]any{"é": 1, "a": []any{"<>&\u2028", -0, int64(9007199254740991)}, "": nil})
	if want := `{"":null,"a":["<>&` + "\u2028" + `",0,9007199254740991],"é":1}`; err != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
	for name, v := range map[string]any{"fraction": 1.5, "too large": int64(9007199254740992), "too small": int64(-9007199254740992), "exponent": 1e30, "not UTF-8": "\xff", "function": func() {}} {
		if got, err := audit.Canonical(v); !errors.Is(err, audit.ErrForm) {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
}

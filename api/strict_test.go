package api

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/gowebpki/jcs"
	"pgregory.net/rapid"
)

var testTime = time.Date(2026, 11, 23, 9, 0, 0, 123_456_789, time.FixedZone("CST", 8*3600))

func TestDecodeStrict(t *testing.T) {
	deep := func(n int) string { return strings.Repeat(`{"a":`, n-1) + "{}" + strings.Repeat("}", n-1) }
	for _, tt := range []struct{ name, body, code string }{
		{"good", `{"type":"001","code":"X"}`, ""},
		{"white space around", " {\"type\":\"001\"}\r\n\t", ""},
		{"nothing", "", "empty-body"},
		{"white space only", " \n", "empty-body"},
		{"cut", `{"type":"001"`, "malformed-json"},
		{"two values", `{} {}`, "malformed-json"},
		{"text behind", `{}x`, "malformed-json"},
		{"a comment", "{}//", "malformed-json"},
		{"single quotes", `{'type':'1'}`, "malformed-json"},
		{"a lone surrogate", `{"type":"\ud800"}`, "malformed-json"},
		{"a byte order mark", "\xef\xbb\xbf{}", "malformed-json"},
		{"GB18030", "{\"type\":\"\xd6\xd0\"}", "invalid-utf8"},
		{"a member twice", `{"type":"1","type":"2"}`, "duplicate-key"},
		{"a member twice, escaped", `{"type":"1","\u0074ype":"2"}`, "duplicate-key"},
		{"as deep as allowed", deep(MaxDepth), "unknown-field"},
		{"too deep", deep(MaxDepth + 1), "too-deep"},
		{"much too deep", strings.Repeat("[", 200_000), "too-deep"},
		{"too large", strings.Repeat(" ", MaxBody+1), "too-large"},
		{"a fraction", `{"type":1.5}`, "number-not-integer"},
		{"an exponent", `{"type":1e3}`, "number-not-integer"},
		{"minus zero", `{"type":-0}`, "number-not-integer"},
		{"2^53", `{"type":9007199254740992}`, "number-not-integer"},
		{"2^53-1", `{"type":9007199254740991}`, "invalid-field"},
		{"unknown", `{"typ":"1"}`, "unknown-field"},
		{"another case", `{"Type":"1"}`, "unknown-field"},
		{"another type", `{"type":7}`, "invalid-field"},
		{"a list", `[]`, "invalid-field"},
	} {
		if _, err := DecodeStrict[HolderID]([]byte(tt.body)); code(t, err) != tt.code {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.code)
		}
	}
}

func TestTime(t *testing.T) {
	got, err := Canonical(At(testTime))
	if err != nil || string(got) != `"2026-11-23T01:00:00.123Z"` {
		t.Fatalf("%s, %v", got, err)
	}
	for _, bad := range []string{
		"", "2026-11-23", "2026-11-23T01:00:00Z", "2026-11-23T01:00:00.12Z", "2026-11-23T01:00:00.1234Z", "2026-11-23T01:00:00,123Z",
		"2026-11-23T01:00:00.123+00:00", "2026-11-23t01:00:00.123Z", "2026-02-29T00:00:00.000Z", "2026-11-23T24:00:00.000Z",
		"2026-11-23T23:59:60.000Z", "2026-13-01T00:00:00.000Z",
	} {
		if _, err := ParseTime(bad); err == nil {
			t.Errorf("%q is read", bad)
		}
	}
	if back, err := ParseTime("2026-11-23T01:00:00.123Z"); err != nil || !back.Equal(At(testTime).Time) {
		t.Errorf("%v, %v", back, err)
	}
}

func TestCanonicalRefuses(t *testing.T) {
	for _, bad := range []string{``, `{`, `{}{}`, `{"a":1,"a":2}`, `1.0`, `1e2`, `-0`, `9007199254740992`, `"\xff"`, "\"\xff\"", `[1,]`} {
		if out, err := Canonicalize([]byte(bad)); err == nil {
			t.Errorf("%q becomes %q", bad, out)
		}
	}
}

// Our canonical bytes are those of an independent implementation.
func TestCanonicalAgainstJCS(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		v := rapid.MapOf(rapid.String(), rapid.OneOf(
			rapid.Map(rapid.String(), func(s string) any { return s }),
			rapid.Map(rapid.Int64Range(-1<<53+1, 1<<53-1), func(n int64) any { return n }),
			rapid.Map(rapid.SliceOf(rapid.String()), func(s []string) any { return s }),
		)).Draw(rt, "value")
		got, err := Canonical(v)
		if err != nil {
			rt.Fatal(err)
		}
		want, err := jcs.Transform(got)
		if err != nil || !bytes.Equal(got, want) {
			rt.Fatalf("%s, want %s (%v)", got, want, err)
		}
	})
}

func FuzzDecodeStrict(f *testing.F) {
	for _, s := range []string{query, `{}`, `{"a":[1,{"b":null}]}`, `{"a":1,"a":1}`, "\xff", `1e5`, strings.Repeat("[", 20), `{"from":"2026-02-30T00:00:00.000Z"}`} {
		f.Add([]byte(s))
	}
	o := contract(f).Operation("licenses.query")
	f.Fuzz(func(t *testing.T, body []byte) {
		q, err := Decode[QueryRequest](o, body)
		if err != nil {
			p := AsProblem(err)
			if p.Party != Caller {
				t.Fatalf("%v is not the caller's fault", err)
			}
			for _, fault := range p.Faults {
				if !strings.HasPrefix(fault.Pointer, "/") && fault.Pointer != "" {
					t.Fatalf("pointer %q", fault.Pointer)
				}
			}
			return
		}
		// What was read says the same when written again, and canonical bytes are a fixed point.
		again, err := Canonical(q)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := DecodeStrict[QueryRequest](again); err != nil {
			t.Fatalf("%s: %v", again, err)
		}
		if once, err := Canonicalize(again); err != nil || !bytes.Equal(once, again) {
			t.Fatalf("%s becomes %s (%v)", again, once, err)
		}
	})
}

func FuzzCanonicalize(f *testing.F) {
	for _, s := range []string{`{"b":1,"a":"é\u20ac"}`, `[]`, `-1`, `"\ud83d\ude00"`, `{"a":{"":0}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		out, err := Canonicalize(raw)
		if err != nil {
			return
		}
		if once, err := Canonicalize(out); err != nil || !bytes.Equal(once, out) {
			t.Fatalf("%q, then %q (%v)", out, once, err)
		}
	})
}

package api

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"oncegate/canonical"
)

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

func TestAnswersAreOrdered(t *testing.T) {
	for _, answer := range []reflect.Type{reflect.TypeFor[QueryAnswer](), reflect.TypeFor[CheckAnswer]()} {
		if !canonical.IsOrdered(answer) {
			t.Errorf("%v is reformatted after it is written", answer)
		}
	}
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
		again, err := canonical.Marshal(q)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := DecodeStrict[QueryRequest](again); err != nil {
			t.Fatalf("%s: %v", again, err)
		}
		if once, err := canonical.Reformat(again); err != nil || !bytes.Equal(once, again) {
			t.Fatalf("%s becomes %s (%v)", again, once, err)
		}
	})
}

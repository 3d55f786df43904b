package jcs

import (
	"bytes"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"pgregory.net/rapid"
)

// slow is the library's canonical form; nil if it has none.
func slow(text []byte) []byte {
	v := jsontext.Value(bytes.Clone(text))
	if v.Canonicalize() != nil {
		return nil
	}
	return v
}

func TestSort(t *testing.T) {
	for _, c := range []struct {
		in, want string // want "": left to the slow way
	}{
		{`{}`, `{}`}, {`[]`, `[]`}, {`"x"`, `"x"`}, {`0`, `0`}, {`-12`, `-12`}, {`true`, `true`}, {`null`, `null`},
		{`{"b":1,"a":2}`, `{"a":2,"b":1}`},
		{`{"b":{"d":[1,{"f":false,"e":""}],"c":null},"a":[]}`, `{"a":[],"b":{"c":null,"d":[1,{"e":"","f":false}]}}`},
		{`{"证照":1,"a":2}`, `{"a":2,"证照":1}`},
		{`{"ab":1,"a":2,"":3}`, `{"":3,"a":2,"ab":1}`},
		{`{"a\n":1}`, ``}, {`{"a":"\u0041"}`, ``}, {`{"a":1,"a":2}`, ``}, {`{"b":1,"a":0,"b":2}`, ``}, {`1.5`, ``}, {`1e3`, ``}, {`-0`, ``}, {`01`, ``},
		{`1234567890123456`, ``}, {`{"𠀀":1,"豈":2}`, ``}, {"{\"\ue000\":1}", ``}, {`{ "a":1}`, ``}, {`{"a": 1}`, ``}, {`[1, 2]`, ``}, {`[1,]`, ``},
		{`[1`, ``}, {`{"a":1`, ``}, {`{"a"}`, ``}, {`{1:2}`, ``}, {`{"a":1}x`, ``}, {``, ``}, {`-`, ``}, {`tru`, ``}, {`"`, ``}, {`[1x]`, ``}, {`nullx`, ``},
	} {
		got := []byte(c.in)
		ok := Sort(got)
		if ok != (c.want != "") || ok && string(got) != c.want {
			t.Errorf("%s: %s %v, want %s", c.in, got, ok, c.want)
		}
		if ok && string(slow([]byte(c.in))) != c.want {
			t.Errorf("%s: the library writes %s", c.in, slow([]byte(c.in)))
		}
	}
	if Sort(bytes.Repeat([]byte("["), 100_000)) {
		t.Error("nesting has no bound")
	}
}

// Whatever Go value is written, the fast way and the library's agree.
func TestSortAgrees(t *testing.T) {
	name := rapid.OneOf(rapid.StringMatching(`[a-z_]{0,4}`), rapid.String())
	var value func(depth int) *rapid.Generator[any]
	value = func(depth int) *rapid.Generator[any] {
		leaf := []*rapid.Generator[any]{name.AsAny(), rapid.Int64().AsAny(), rapid.Int64Range(-1000, 1000).AsAny(), rapid.Bool().AsAny(), rapid.Float64Range(-1e9, 1e9).AsAny(), rapid.Just[any](nil)}
		if depth == 0 {
			return rapid.OneOf(leaf...)
		}
		return rapid.OneOf(append(leaf, rapid.SliceOfN(value(depth-1), 0, 5).AsAny(), rapid.MapOfN(name, value(depth-1), 0, 30).AsAny())...)
	}
	fast := 0
	rapid.Check(t, func(t *rapid.T) {
		text, err := json.Marshal(value(3).Draw(t, "value"))
		if err != nil {
			t.Fatal(err)
		}
		got := bytes.Clone(text)
		if Sort(got) {
			fast++
		}
		if want := slow(text); Sort(bytes.Clone(text)) && !bytes.Equal(got, want) || !bytes.Equal(slow(got), want) {
			t.Fatalf("%s: got %s, want %s", text, got, want)
		}
	})
	if fast == 0 {
		t.Error("nothing went the fast way")
	}
}

// Any bytes: what is sorted is exactly what the library makes of them, and what is not is the same JSON still.
func FuzzSort(f *testing.F) {
	for _, s := range []string{`{"b":[1,{"d":2,"c":3}],"a":"证"}`, `{"a":1,"a":1}`, `[-0,01,1.0]`, `{"":{}}`, "\"\x00\"", "\"\xff\""} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if !jsontext.Value(text).IsValid() {
			Sort(text) // must not panic
			return
		}
		want, got := slow(text), bytes.Clone(text)
		if ok := Sort(got); ok && !bytes.Equal(got, want) || !bytes.Equal(slow(got), want) {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	})
}

func BenchmarkSort(b *testing.B) {
	type use struct {
		Material, Matter, Case, Basis, Type, Decision string
		Rules, Fields                                 []string
	}
	u := use{"business-license", "YC-FOOD-01", "SP-2026-000123", "case", "business-license", "release", []string{"food/business-license"}, []string{"name", "number", "status"}}
	text, err := json.Marshal(map[string]any{"v": 1, "time": "2026-11-23T01:00:00.000Z", "system": "food-approval", "uses": []use{u, u}})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("fast", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if !Sort(bytes.Clone(text)) {
				b.Fatal("slow")
			}
		}
	})
	b.Run("library", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			slow(text)
		}
	})
}

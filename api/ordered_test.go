package api

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"pgregory.net/rapid"
)

// What is written at once is what the long way makes of it, whatever the texts hold.
func TestOrderedIsCanonical(t *testing.T) {
	if !ordered(reflect.TypeFor[QueryAnswer]()) || !ordered(reflect.TypeFor[CheckAnswer]()) {
		t.Error("the answers of the busiest operations take the long way")
	}
	text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "\u2028<&>\x00\x1f\x7f\"\\/", "𠮷\uE000", "\uFFFD", "食品经营许可证"}))
	list := rapid.SliceOfN(text, 0, 4)
	rapid.Check(t, func(t *rapid.T) {
		a := QueryAnswer{
			Nonce: text.Draw(t, "nonce"), Operation: text.Draw(t, "operation"), Source: text.Draw(t, "source"),
			Decision: Decision{Rules: list.Draw(t, "rules"), Fields: list.Draw(t, "fields")},
			Licenses: []License{{License: text.Draw(t, "license"), Version: rapid.IntRange(-1<<53+1, 1<<53-1).Draw(t, "version"),
				Fields: rapid.MapOfN(text, text, 0, 6).Draw(t, "claims")}},
		}
		got, err := Canonical(a)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		want, err := Canonicalize(raw)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("written at once: %s\nthe long way:    %s (%v)", got, want, err)
		}
	})
}

func TestOrderedRefuses(t *testing.T) {
	for _, v := range []any{License{Version: 1 << 53}, License{Version: -1 << 53}, struct {
		N int64 `json:"n"`
	}{1 << 60}} {
		if _, err := Canonical(v); !errors.Is(err, ErrNumber) {
			t.Errorf("%+v: %v, want ErrNumber", v, err)
		}
	}
	if _, err := Canonical(License{License: "\xff"}); err == nil {
		t.Error("a text that is not UTF-8 is written")
	}
}

func TestNotOrdered(t *testing.T) {
	type number int
	for _, v := range []any{
		struct{ A string }{}, // named by the rules of Go
		struct {
			B string `json:"b"`
			A string `json:"a"`
		}{},
		struct {
			A any `json:"a"`
		}{},
		struct {
			A float64 `json:"a"`
		}{},
		struct {
			A number `json:"a"`
		}{},
		struct {
			A int `json:"a,string"`
		}{},
		Envelope{}, // its parts are anybody's bytes
		map[int]string{},
	} {
		if ordered(reflect.TypeOf(v)) {
			t.Errorf("%T is taken for ordered", v)
		}
		if !strings.Contains(reflect.TypeOf(v).String(), "map") {
			continue
		}
		if _, err := Canonical(v); err != nil {
			t.Error(err)
		}
	}
}

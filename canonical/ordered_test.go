package canonical

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"pgregory.net/rapid"
)

type (
	answer struct {
		Licenses []license `json:"licenses,omitempty"`
		Nonce    string    `json:"nonce"`
		Rules    []string  `json:"rules"`
		Time     Time      `json:"time,omitzero"`
	}
	license struct {
		Fields map[string]string `json:"fields"`
		Number int               `json:"number"`
	}
)

// What is written at once is what the long way makes of it, whatever the texts hold.
func TestOrderedIsMarshal(t *testing.T) {
	if !IsOrdered(reflect.TypeFor[answer]()) {
		t.Error("an answer is reformatted after it is written")
	}
	text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "\u2028<&>\x00\x1f\x7f\"\\/", "𠮷\uE000", "\uFFFD", "食品经营许可证"}))
	list := rapid.SliceOfN(text, 0, 4)
	rapid.Check(t, func(t *rapid.T) {
		a := answer{
			Nonce: text.Draw(t, "nonce"), Rules: list.Draw(t, "rules"), Time: At(time.UnixMilli(rapid.Int64Range(0, 1<<42).Draw(t, "time"))),
			Licenses: []license{{Number: rapid.IntRange(-1<<53+1, 1<<53-1).Draw(t, "number"), Fields: rapid.MapOfN(text, text, 0, 6).Draw(t, "fields")}},
		}
		got, err := Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		want, err := Reformat(raw)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("written at once: %s\nthe long way:    %s (%v)", got, want, err)
		}
	})
}

func TestOrderedRefuses(t *testing.T) {
	for _, v := range []any{license{Number: 1 << 53}, license{Number: -1 << 53}, struct {
		N int64 `json:"n"`
	}{1 << 60}} {
		if _, err := Marshal(v); !errors.Is(err, ErrNumber) {
			t.Errorf("%+v: %v, want ErrNumber", v, err)
		}
	}
	if _, err := Marshal(answer{Nonce: "\xff"}); err == nil {
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
		struct {
			A jsontext.Value `json:"a"` // anybody's bytes
		}{},
		map[int]string{},
	} {
		if IsOrdered(reflect.TypeOf(v)) {
			t.Errorf("%T is taken for ordered", v)
		}
		if !strings.Contains(reflect.TypeOf(v).String(), "map") {
			continue
		}
		if _, err := Marshal(v); err != nil {
			t.Error(err)
		}
	}
}

package canonical

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gowebpki/jcs"
	"pgregory.net/rapid"
)

var testTime = time.Date(2026, 11, 23, 9, 0, 0, 123_456_789, time.FixedZone("CST", 8*3600))

func TestTime(t *testing.T) {
	got, err := Marshal(At(testTime))
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

func TestReformatRefuses(t *testing.T) {
	for _, bad := range []string{``, `{`, `{}{}`, `{"a":1,"a":2}`, `1.0`, `1e2`, `-0`, `9007199254740992`, `"\xff"`, "\"\xff\"", `[1,]`} {
		if out, err := Reformat([]byte(bad)); !errors.Is(err, ErrForm) {
			t.Errorf("%q becomes %q: %v", bad, out, err)
		}
	}
}

// Our canonical bytes are those of an independent implementation.
func TestMarshalAgainstJCS(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		v := rapid.MapOf(rapid.String(), rapid.OneOf(
			rapid.Map(rapid.String(), func(s string) any { return s }),
			rapid.Map(rapid.Int64Range(-1<<53+1, 1<<53-1), func(n int64) any { return n }),
			rapid.Map(rapid.SliceOf(rapid.String()), func(s []string) any { return s }),
		)).Draw(rt, "value")
		got, err := Marshal(v)
		if err != nil {
			rt.Fatal(err)
		}
		want, err := jcs.Transform(got)
		if err != nil || !bytes.Equal(got, want) {
			rt.Fatalf("%s, want %s (%v)", got, want, err)
		}
	})
}

func FuzzReformat(f *testing.F) {
	for _, s := range []string{`{"b":1,"a":"é\u20ac"}`, `[]`, `-1`, `"\ud83d\ude00"`, `{"a":{"":0}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		out, err := Reformat(raw)
		if err != nil {
			return
		}
		if once, err := Reformat(out); err != nil || !bytes.Equal(once, out) {
			t.Fatalf("%q, then %q (%v)", out, once, err)
		}
	})
}

func TestCheck(t *testing.T) {
	l := Limits{Bytes: 40, Depth: 3, Members: 3}
	for text, want := range map[string]Fault{
		` {"a":[{}],"b":1} `: "", `7`: "", `"x"`: "",
		strings.Repeat(" ", 41): TooLarge, " \n": Empty, "\"\xff\"": NotUTF8, `{`: Malformed, `{} {}`: Malformed, `"\ud800"`: Malformed,
		`{"a":1,"\u0061":2}`: DuplicateName, `[1.0]`: NotInteger, `-0`: NotInteger, `9007199254740992`: NotInteger, `[[[[]]]]`: TooDeep,
		`{"a":{},"b":1,"c":1}`: "", `[{"a":1,"b":1,"c":1,"d":1}]`: TooWide, `[1,2,3,4,5,6,7,8]`: "",
	} {
		err := Check([]byte(text), l)
		syntax, _ := errors.AsType[*SyntaxError](err)
		if want == "" && err != nil || want != "" && (syntax == nil || syntax.Fault != want || !errors.Is(err, ErrForm)) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestBase64(t *testing.T) {
	for _, bad := range []string{"AA==", "A", "AB", "AA\n", "A\r\nA", "+/", " AA"} {
		if b, err := ParseBase64(bad); !errors.Is(err, ErrForm) {
			t.Errorf("%q is read as %x: %v", bad, b, err)
		}
	}
	if b, err := ParseBase64(Base64([]byte{0xfb, 0xff})); err != nil || string(b) != "\xfb\xff" {
		t.Errorf("%x, %v", b, err)
	}
	good := Base64(make([]byte, 32))
	for text, want := range map[string]bool{good: true, good[1:]: false, good + "A": false, good[:42] + "B": false, good[:42] + "\n": false, "": false} {
		if IsDigest(text) != want {
			t.Errorf("%q: want %t", text, want)
		}
	}
}

func TestUnmarshal(t *testing.T) {
	good := `{"licenses":[{"fields":{},"number":1}],"nonce":"n","rules":["r"]}`
	var a answer
	if err := Unmarshal([]byte(good), &a); err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]string{
		"a space": " " + good, "an unknown member": `{"a":1,` + good[1:], "a member twice": good[:len(good)-1] + `,"rules":["r"]}`,
		"null": strings.Replace(good, `["r"]`, "null", 1), "an escape": strings.Replace(good, `"n"`, `"\u006e"`, 1), "nothing": "", "cut": good[:9],
	} {
		if err := Unmarshal([]byte(bad), &a); !errors.Is(err, ErrNotCanonical) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFilesDigest(t *testing.T) {
	a, b := File{"a", []byte("1")}, File{"b", []byte("2")}
	left, err := FilesDigest(sha256.New, []File{a, b})
	if right, err2 := FilesDigest(sha256.New, []File{b, a}); err != nil || err2 != nil || left != right || !IsDigest(left) {
		t.Errorf("%q and %q: %v, %v", left, right, err, err2)
	}
	for name, files := range map[string][]File{"a path twice": {a, b, a}, "no UTF-8": {{Path: "\xff"}}} {
		if got, err := FilesDigest(sha256.New, files); err == nil {
			t.Errorf("%s: %q", name, got)
		}
	}
}

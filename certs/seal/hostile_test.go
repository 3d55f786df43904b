package seal_test

import (
	"bytes"
	"encoding/asn1"
	"runtime"
	"testing"

	"oncegate/certs/seal"
)

// Lists that are too long, lengths that lie, values where others belong: no seal, and no memory.
func TestHostile(t *testing.T) {
	c := newCity(t)
	many := make([]derExt, seal.MaxExtensions+1)
	for i := range many {
		many[i] = derExt{asn1.ObjectIdentifier{1, 2, i}, false, []byte{}}
	}
	crowd := make([]any, seal.MaxSigners+1)
	for i := range crowd {
		crowd[i] = digest("SM3", make([]byte, 32))
	}
	whole := c.document(4).signed()
	swap := func(old, new string) []byte {
		if len(old) != len(new) || !bytes.Contains(whole, []byte(old)) {
			t.Fatalf("%q is not there", old)
		}
		return bytes.Replace(whole, []byte(old), []byte(new), 1)
	}
	long, crowded, huge := c.document(4), c.document(4), c.document(4)
	long.sealExt = exts(t, many...)
	crowded.list = crowd
	huge.c = newCity(t)
	huge.c.spec.Picture.Data = make([]byte, seal.MaxSize)
	for name, b := range map[string][]byte{
		"nothing":               {},
		"too many extensions":   long.signed(),
		"too many signers":      crowded.signed(),
		"too large":             huge.signed(),
		"indefinite length":     append([]byte{0x30, 0x80}, whole[4:]...),
		"4 GB":                  {0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 0x30},
		"long form of a length": append([]byte{0x30, 0x83, 0}, whole[2:]...),
		"10,000 levels":         bytes.Repeat([]byte{0x30, 0x80}, 10000),
		"not ES":                swap("ES\x02\x01\x04", "EX\x02\x01\x04"),
		"IA5 of eight bits":     swap("elsewhere", "elsewh\xe9re"),
		"UTF-8 broken":          swap("示", "示"[:2]+"\x20"),
		"no month 13":           swap("20261123040100Z", "20261323040100Z"),
		"not UTC":               swap("20261123040100Z", "202611230401+00"),
		"padded fraction":       swap("20261123040100Z", "2026112304010.0"),
		"BIT STRING of 7 bits":  swap("\x03\x21\x00", "\x03\x21\x01"),
		"esID is UTF8String":    swap("\x16\x03E-1", "\x0c\x03E-1"),
		"type is padded":        swap("\x02\x01\x01\x0c", "\x02\x01\x01\x16"),
	} {
		_, err := seal.ParseSignature(b)
		if err == nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		wantForm(t, err)
	}

	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 100 {
		if _, err := seal.ParseSignature(whole); err != nil {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	if per := (after.TotalAlloc - before.TotalAlloc) / 100; per > 16<<10 {
		t.Errorf("%d bytes for one signature of %d", per, len(whole))
	}
}

func seeds(f *testing.F, of func(document) []byte) {
	c := newCity(f)
	c.spec.Picture.Data = dot(f, 1)
	for _, version := range []int{1, 4, 5} {
		d := c.document(version)
		f.Add(of(d))
		d.sealExt = exts(f, derExt{asn1.ObjectIdentifier{1, 2, 3}, true, []byte{1}})
		d.typ, d.picture = 15, "ofd"
		f.Add(of(d))
		d.sealExt = explicit(d.sealExt)
		if version != 1 {
			d.list = []any{digest("x", make([]byte, 32))}
			d.sealToken = map[bool][]byte{true: []byte("token")}[version == 5]
		}
		f.Add(of(d))
	}
	f.Add([]byte{0x30, 0x80, 0, 0})
}

func FuzzSignature(f *testing.F) {
	seeds(f, document.signed)
	c := newCity(f)
	e := c.expect()
	f.Fuzz(func(t *testing.T, b []byte) {
		r := seal.Verify(t.Context(), b, e)
		if len(r.Steps) < 17 {
			t.Fatalf("%+v", r.Steps)
		}
		s, err := seal.ParseSignature(b)
		if (err == nil) != (r.Signature != nil) {
			t.Fatal(err)
		}
		if err != nil {
			wantForm(t, err)
			return
		}
		if !bytes.Equal(s.Raw, b) || !bytes.Contains(b, s.Signed) || !bytes.Contains(s.Signed, s.Seal.Raw) {
			t.Fatal("what is kept is not what was there")
		}
		if again, err := seal.ParseSeal(s.Seal.Raw); err != nil || again.ID != s.Seal.ID {
			t.Fatal(err)
		}
	})
}

func FuzzSeal(f *testing.F) {
	seeds(f, document.der)
	c := newCity(f)
	e := c.expect()
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := seal.ParseSeal(b)
		if err != nil {
			wantForm(t, err)
			return
		}
		if !bytes.Equal(s.Raw, b) || s.Version != 1 && !bytes.Contains(b, s.Signed) || len(s.Verify(t.Context(), e).Steps) < 8 {
			t.Fatalf("%+v", s)
		}
	})
}

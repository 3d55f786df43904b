package der_test

import (
	"bytes"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"oncegate/certs/certstest"
	"oncegate/certs/der"
	"oncegate/certs/pki"
)

func TestCheck(t *testing.T) {
	for _, c := range []struct{ name, hex, why string }{
		{"integer", "020101", ""},
		{"negative integer", "0201ff", ""},
		{"integer with a needed zero", "02020080", ""},
		{"null", "0500", ""},
		{"sequence", "3006020101020102", ""},
		{"empty set", "3100", ""},
		{"long length", "048180" + strings.Repeat("00", 128), ""},
		{"implicit primitive", "800101", ""},
		{"bit string with unused bits", "030204f0", ""},
		{"empty bit string", "030100", ""},
		{"object identifier", "06082a811ccf55018311", ""},

		{"nothing", "", "ends inside"},
		{"one byte", "30", "ends inside"},
		{"trailing byte", "02010100", "after the value"},
		{"indefinite length", "30800201010000", "indefinite"},
		{"indefinite length inside", "300630800201010000", "indefinite"},
		{"length too long", "020200", "beyond the end"},
		{"length reaches into the next", "30060202010202", "beyond the end"},
		{"long form of a short length", "02810101", "not the shortest"},
		{"leading zero in the length", "04820080" + strings.Repeat("00", 128), "not the shortest"},
		{"length of five octets", "04850000000001", "5 octets"},
		{"length of 2^32-1", "0484ffffffff00", "beyond the end"},
		{"length cut off", "0482", "2 octets"},
		{"reserved length", "04ff", "127 octets"},
		{"high tag number", "1f8101", "above 30"},
		{"end of contents", "0000", "tag 0"},
		{"integer of no octets", "0200", "tag 2"},
		{"integer with a needless zero", "02020001", "tag 2"},
		{"integer with a needless ff", "0202ff80", "tag 2"},
		{"enumerated with a needless zero", "0a020001", "tag 10"},
		{"boolean of two", "01020000", "tag 1"},
		{"boolean neither 0 nor ff", "010101", "tag 1"},
		{"null with content", "050100", "tag 5"},
		{"bit string of no octets", "0300", "tag 3"},
		{"nine unused bits", "03020900", "tag 3"},
		{"unused bits set", "03020401", "tag 3"},
		{"unused bits of nothing", "030104", "tag 3"},
		{"object identifier of nothing", "0600", "tag 6"},
		{"object identifier cut off", "06022a81", "tag 6"},
		{"object identifier with a needless octet", "06032a8001", "tag 6"},
		{"octet string in pieces", "2403040100", "wrong form"},
		{"primitive sequence", "1000", "wrong form"},
		{"33 levels", nested(33), "levels"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, err := hex.DecodeString(c.hex)
			if err != nil {
				t.Fatal(err)
			}
			err = der.Check(b)
			if c.why == "" && err != nil {
				t.Fatal(err)
			}
			if c.why != "" && (!errors.Is(err, der.ErrNotDER) || !strings.Contains(err.Error(), c.why)) {
				t.Fatalf("got %v, want %q", err, c.why)
			}
		})
	}
}

func nested(levels int) string {
	b := []byte{}
	for range levels {
		b, _ = asn1.Marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: b})
	}
	return hex.EncodeToString(b)
}

func TestTooManyValues(t *testing.T) {
	nulls := bytes.Repeat([]byte{5, 0}, der.MaxValues)
	b, err := asn1.Marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: nulls})
	if err != nil {
		t.Fatal(err)
	}
	if err := der.Check(b); !errors.Is(err, der.ErrNotDER) {
		t.Fatalf("got %v", err)
	}
	if b, err = asn1.Marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: nulls[2:]}); err != nil {
		t.Fatal(err)
	}
	if err := der.Check(b); err != nil {
		t.Fatal(err)
	}
}

// A certificate is DER; cut anywhere it is not.
func TestTruncated(t *testing.T) {
	w := certstest.New(t, "der")
	_, chain := w.Issue("k", pki.Seal, "11990100000001010B", "示例局")
	b := chain[0].Raw
	if err := der.Check(b); err != nil {
		t.Fatal(err)
	}
	for i := range b {
		if err := der.Check(b[:i]); !errors.Is(err, der.ErrNotDER) {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
}

// What passes here, the standard library reads; a value it writes passes.
func FuzzCheck(f *testing.F) {
	for _, s := range []string{"3006020101020102", "30800201010000", "06082a811ccf55018311", "030204f0", "a003020101"} {
		b, _ := hex.DecodeString(s)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		err := der.Check(b)
		if err != nil {
			if !errors.Is(err, der.ErrNotDER) {
				t.Fatalf("another error: %v", err)
			}
			return
		}
		var v asn1.RawValue
		rest, err := asn1.Unmarshal(b, &v)
		if err != nil || len(rest) != 0 {
			t.Fatalf("%x passes, and cannot be read: %v", b, err)
		}
		if again, err := asn1.Marshal(asn1.RawValue{Class: v.Class, Tag: v.Tag, IsCompound: v.IsCompound, Bytes: v.Bytes}); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x passes, and is written %x: %v", b, again, err)
		}
	})
}

package certs_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/big"
)

func derForms(c *craft) {
	key := newKey(c.t, "der")
	c.begin("strict DER", key, house16)
	msg, p := search(key, "der", func(p pair) bool { return high(p.r) && !high(p.s) })
	add := func(reason, comment, flag string, sig []byte) { c.add(reason, comment, flag, "der", msg, sig) }
	good, r, s := p.der(), integer(p.r), integer(p.s)
	rc, sc := content(p.r), content(p.s)
	bad := func(comment, flag string, sig []byte) { add(form, comment, flag, sig) }
	add("", "r of 33 bytes, s of 32", "Control", good)
	for _, v := range []struct {
		name   string
		wanted func(pair) bool
	}{
		{"r of 32 bytes, s of 33", func(p pair) bool { return !high(p.r) && high(p.s) }},
		{"r and s of 33 bytes", func(p pair) bool { return high(p.r) && high(p.s) }},
		{"r of 31 bytes", func(p pair) bool { return p.r.BitLen() < 248 }},
		{"s of 31 bytes", func(p pair) bool { return p.s.BitLen() < 248 }},
		{"r of 31 bytes and the zero in front", func(p pair) bool { return p.r.BitLen() == 248 }},
	} {
		m, q := search(key, "short", v.wanted)
		c.add("", v.name, "Control", "der", m, q.der())
	}
	body := good[2:]
	n := byte(len(body))
	bad("length in long form, 1 byte", "LongLength", join([]byte{0x30, 0x81, n}, body))
	bad("length in long form, 2 bytes", "LongLength", join([]byte{0x30, 0x82, 0, n}, body))
	bad("length in long form, 4 bytes", "LongLength", join([]byte{0x30, 0x84, 0, 0, 0, n}, body))
	bad("length in long form, 9 bytes", "LongLength", join([]byte{0x30, 0x89, 0, 0, 0, 0, 0, 0, 0, 0, n}, body))
	bad("length of r in long form", "LongLength", tlv(0x30, join([]byte{2, 0x81, byte(len(rc))}, rc), s))
	bad("length of s in long form", "LongLength", tlv(0x30, r, join([]byte{2, 0x81, byte(len(sc))}, sc)))
	bad("length of s in long form, 2 bytes", "LongLength", tlv(0x30, r, join([]byte{2, 0x82, 0, byte(len(sc))}, sc)))
	for _, v := range []struct {
		name string
		n    []byte
	}{
		{"one more", []byte{n + 1}}, {"one less", []byte{n - 1}}, {"zero", []byte{0}}, {"127", []byte{127}}, {"128", []byte{0x81, 128}},
		{"2^31", []byte{0x84, 0x80, 0, 0, 0}}, {"2^32-1", []byte{0x84, 255, 255, 255, 255}}, {"2^64-1", []byte{0x88, 255, 255, 255, 255, 255, 255, 255, 255}},
		{"of 127 bytes", bytes.Repeat([]byte{255}, 128)},
	} {
		bad("length of the SEQUENCE: "+v.name, "WrongLength", join([]byte{0x30}, v.n, body))
	}
	for _, v := range []struct {
		name  string
		delta int
	}{{"one more", 1}, {"one less", -1}} {
		bad("length of r: "+v.name, "WrongLength", tlv(0x30, join([]byte{2, byte(len(rc) + v.delta)}, rc), s))
		bad("length of s: "+v.name, "WrongLength", tlv(0x30, r, join([]byte{2, byte(len(sc) + v.delta)}, sc)))
	}
	bad("length of s: 2^32-1", "WrongLength", tlv(0x30, r, join([]byte{2, 0x84, 255, 255, 255, 255}, sc)))
	bad("r is empty", "Structure", tlv(0x30, []byte{2, 0}, s))
	bad("s is empty", "Structure", tlv(0x30, r, []byte{2, 0}))
	bad("indefinite length", "Indefinite", join([]byte{0x30, 0x80}, body, []byte{0, 0}))
	bad("indefinite length without end", "Indefinite", join([]byte{0x30, 0x80}, body))
	bad("indefinite length of a constructed INTEGER", "Indefinite", tlv(0x30, join([]byte{0x22, 0x80}, r, []byte{0, 0}), s))
	for _, zeros := range []int{1, 2, 32, 200} {
		pad := make([]byte, zeros)
		bad(fmt.Sprintf("%d zeros before r", zeros), "Padded", tlv(0x30, tlv(2, pad, rc), s))
		bad(fmt.Sprintf("%d zeros before s", zeros), "Padded", tlv(0x30, r, tlv(2, pad, sc)))
	}
	bad("ff before a negative r", "Padded", tlv(0x30, tlv(2, []byte{0xff}, rc[1:]), s))
	bad("r without its zero", "MissingPadding", tlv(0x30, tlv(2, rc[1:]), s))
	for _, v := range []struct{ name, tail string }{{"a zero", "00"}, {"two zeros", "0000"}, {"NULL", "0500"}, {"ff", "ff"}, {"an INTEGER", "020101"}, {"a line feed", "0a"}} {
		tail, err := hex.DecodeString(v.tail)
		if err != nil {
			c.t.Fatal(err)
		}
		bad(v.name+" after the SEQUENCE", "Trailing", join(good, tail))
		bad(v.name+" after s, counted", "TrailingInside", tlv(0x30, r, s, tail))
	}
	bad("the signature twice", "Trailing", join(good, good))
	bad("a good signature after an empty one", "Trailing", join([]byte{0x30, 0}, good))
	bad("a third INTEGER, 1024 bytes", "TrailingInside", tlv(0x30, r, s, tlv(2, bytes.Repeat([]byte{1}, 1024))))
	bad("an INTEGER before r", "Structure", tlv(0x30, []byte{2, 1, 0}, r, s))
	bad("only r", "Structure", tlv(0x30, r))
	bad("only s", "Structure", tlv(0x30, s))
	bad("nothing in the SEQUENCE", "Structure", []byte{0x30, 0})
	bad("two INTEGERs without a SEQUENCE", "Structure", join(r, s))
	bad("a SEQUENCE in a SEQUENCE", "Structure", tlv(0x30, good))
	bad("r in a SEQUENCE of its own", "Structure", tlv(0x30, tlv(0x30, r), s))
	bad("an OBJECT IDENTIFIER before it", "Structure", tlv(0x30, []byte{6, 8, 0x2a, 0x81, 0x1c, 0xcf, 0x55, 1, 0x83, 0x75}, good))
	for _, v := range []struct {
		name string
		tag  byte
	}{{"SET", 0x31}, {"primitive SEQUENCE", 0x10}, {"[0]", 0xa0}, {"application 16", 0x70}, {"OCTET STRING", 4}, {"INTEGER", 2}, {"end of contents", 0}} {
		bad("the SEQUENCE is "+v.name, "WrongTag", join([]byte{v.tag}, good[1:]))
	}
	for _, v := range []struct {
		name string
		tag  byte
	}{{"BOOLEAN", 1}, {"BIT STRING", 3}, {"OCTET STRING", 4}, {"ENUMERATED", 10}, {"constructed INTEGER", 0x22}, {"[0]", 0x80}, {"[2]", 0x82}, {"NULL", 5}} {
		bad("r is "+v.name, "WrongTag", tlv(0x30, tlv(v.tag, rc), s))
		bad("s is "+v.name, "WrongTag", tlv(0x30, r, tlv(v.tag, sc)))
	}
	bad("INTEGER with a tag of two bytes", "WrongTag", tlv(0x30, join([]byte{0x1f, 2, byte(len(rc))}, rc), s))
	bad("r is a REAL", "WrongTag", tlv(0x30, tlv(9, []byte{0x80, 0}, p.r.Bytes()), s))
	bad("the 64 bytes where DER is demanded", "Wrapped", p.raw())
	bad("in an OCTET STRING", "Wrapped", tlv(4, good))
	bad("in a BIT STRING", "Wrapped", tlv(3, []byte{0}, good))
	bad("base64", "Wrapped", []byte(base64.StdEncoding.EncodeToString(good)))
	bad("hexadecimal", "Wrapped", []byte(hex.EncodeToString(good)))
	backwards := pair{new(big.Int).SetBytes(reversed(be(p.r))), new(big.Int).SetBytes(reversed(be(p.s)))}
	add(rangeReason(backwards.raw()), "numbers low byte first", "ByteOrder", backwards.der())
	for i := range good {
		bad(fmt.Sprintf("%d bytes of %d", i, len(good)), "Truncated", good[:i])
	}
	for i := range good {
		flipped := bytes.Clone(good)
		flipped[i] ^= 1 << (i % 8)
		// 30 45 02 21 00 r 02 20 s: changed anywhere but in r and s, it is no DER; in r and s, mostly only another number.
		reason := form
		if r, s := flipped[5:37], flipped[39:]; (i >= 5 && i < 37 || i >= 39) && r[0] >= 0x80 && s[0] < 0x80 {
			reason = rangeReason(join(r, s))
		}
		add(reason, fmt.Sprintf("bit %d of byte %d", i%8, i), "BitFlip", flipped)
	}
}

func rawForms(c *craft) {
	key := newKey(c.t, "raw")
	c.begin("64 bytes r‖s", key, house16)
	msg, p := search(key, "raw", func(p pair) bool { return p.r.BitLen() < 248 })
	add := func(reason, comment, flag string, sig []byte) { c.add(reason, comment, flag, "raw", msg, sig) }
	bad := func(comment, flag string, sig []byte) { add(form, comment, flag, sig) }
	good, r, s := p.raw(), be(p.r), be(p.s)
	add("", "r begins with a zero byte", "Control", good)
	m, q := search(key, "raw", func(p pair) bool { return p.s.BitLen() < 248 })
	c.add("", "s begins with a zero byte", "Control", "raw", m, q.raw())
	bad("without the zero byte of r", "Width", join(p.r.Bytes(), s))
	shifted := join(p.r.Bytes(), s, []byte{0})
	add(rangeReason(shifted), "without the zero byte of r, with one after s", "Width", shifted)
	bad("a zero before r", "Width", join([]byte{0}, good))
	bad("33 bytes each", "Width", join([]byte{0}, r, []byte{0}, s))
	bad("64 bytes each, zeros in front (ECCSignature of GM/T 0018)", "Width", join(make([]byte, 32), r, make([]byte, 32), s))
	bad("64 bytes each, zeros behind", "Width", join(r, make([]byte, 32), s, make([]byte, 32)))
	bad("a zero behind", "Trailing", join(good, []byte{0}))
	bad("a line feed behind", "Trailing", join(good, []byte{10}))
	bad("twice", "Trailing", join(good, good))
	bad("04 in front", "Wrapped", join([]byte{4}, good))
	bad("DER where 64 bytes are demanded", "Wrapped", p.der())
	bad("base64url", "Wrapped", []byte(base64.RawURLEncoding.EncodeToString(good)))
	bad("hexadecimal", "Wrapped", []byte(hex.EncodeToString(good)))
	add(value, "s‖r", "Swapped", join(s, r))
	le := join(reversed(r), reversed(s))
	add(rangeReason(le), "each number low byte first", "ByteOrder", le)
	le = reversed(good)
	add(rangeReason(le), "the whole backwards", "ByteOrder", le)
	for i := range good {
		bad(fmt.Sprintf("%d bytes of 64", i), "Truncated", good[:i])
	}
	for i := range good {
		flipped := bytes.Clone(good)
		flipped[i] ^= 1 << (i % 8)
		add(rangeReason(flipped), fmt.Sprintf("bit %d of byte %d", i%8, i), "BitFlip", flipped)
	}
}

// rangeReason is why 64 bytes that are not the signature are refused.
func rangeReason(rs []byte) string {
	for _, half := range [][]byte{rs[:32], rs[32:]} {
		if v := new(big.Int).SetBytes(half); v.Sign() == 0 || v.Cmp(order) >= 0 {
			return form
		}
	}
	return value
}

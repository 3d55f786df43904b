package audit_test

import (
	"encoding/binary"
	"encoding/hex"
	"hash"
	"math/bits"
	"testing"
)

// sm3 is SM3 (GB/T 32905) written down for tests from the standard's text, independent of the product's own.
type sm3 struct{ data []byte }

func newSM3() hash.Hash { return &sm3{} }

func (s *sm3) Write(p []byte) (int, error) { s.data = append(s.data, p...); return len(p), nil }
func (s *sm3) Reset()                      { s.data = nil }
func (s *sm3) Size() int                   { return 32 }
func (s *sm3) BlockSize() int              { return 64 }

func (s *sm3) Sum(b []byte) []byte {
	v := [8]uint32{0x7380166f, 0x4914b2b9, 0x172442d7, 0xda8a0600, 0xa96f30bc, 0x163138aa, 0xe38dee4d, 0xb0fb0e4e}
	message := append(append([]byte{}, s.data...), 0x80)
	for len(message)%64 != 56 {
		message = append(message, 0)
	}
	message = binary.BigEndian.AppendUint64(message, uint64(len(s.data))*8)
	for ; len(message) > 0; message = message[64:] {
		compressSM3(&v, message[:64])
	}
	for _, word := range v {
		b = binary.BigEndian.AppendUint32(b, word)
	}
	return b
}

func compressSM3(v *[8]uint32, block []byte) {
	var w [68]uint32
	for i := range 16 {
		w[i] = binary.BigEndian.Uint32(block[4*i:])
	}
	rot := bits.RotateLeft32
	p0 := func(x uint32) uint32 { return x ^ rot(x, 9) ^ rot(x, 17) }
	p1 := func(x uint32) uint32 { return x ^ rot(x, 15) ^ rot(x, 23) }
	for i := 16; i < 68; i++ {
		w[i] = p1(w[i-16]^w[i-9]^rot(w[i-3], 15)) ^ rot(w[i-13], 7) ^ w[i-6]
	}
	a, b, c, d, e, f, g, h := v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7]
	for j := range 64 {
		t, ff, gg := uint32(0x79cc4519), a^b^c, e^f^g
		if j >= 16 {
			t, ff, gg = 0x7a879d8a, a&b|a&c|b&c, e&f|^e&g
		}
		ss1 := rot(rot(a, 12)+e+rot(t, j%32), 7)
		tt1 := ff + d + (ss1 ^ rot(a, 12)) + (w[j] ^ w[j+4])
		tt2 := gg + h + ss1 + w[j]
		d, c, b, a = c, rot(b, 9), a, tt1
		h, g, f, e = g, rot(f, 19), e, p0(tt2)
	}
	for i, x := range []uint32{a, b, c, d, e, f, g, h} {
		v[i] ^= x
	}
}

func TestSM3(t *testing.T) { // GB/T 32905-2016, appendix A
	abcd := ""
	for range 16 {
		abcd += "abcd"
	}
	for message, want := range map[string]string{
		"abc": "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0",
		abcd:  "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732",
	} {
		h := newSM3()
		h.Write([]byte(message))
		if got := hex.EncodeToString(h.Sum(nil)); got != want {
			t.Errorf("SM3(%s) = %s, want %s", message, got, want)
		}
	}
}

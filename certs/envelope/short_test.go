package envelope

import (
	"bytes"
	"errors"
	"testing"

	"pgregory.net/rapid"
)

// A text comes back; no other block opens, and a block says nothing of its text.
func TestShortCipher(t *testing.T) {
	secret := bytes.Repeat([]byte{7}, SecretSize)
	c, err := NewShortCipher(secret, "test")
	if err != nil {
		t.Fatal(err)
	}
	other, _ := NewShortCipher(secret, "another purpose")
	rapid.Check(t, func(t *rapid.T) {
		text := [ShortSize]byte(rapid.SliceOfN(rapid.Byte(), ShortSize, ShortSize).Draw(t, "text"))
		sealed := c.Seal(text)
		if back, err := c.Open(sealed); err != nil || back != text {
			t.Fatalf("%x, %v", back, err)
		}
		if _, err := other.Open(sealed); !errors.Is(err, ErrTampered) {
			t.Fatal("another purpose's key opened it:", err)
		}
		for bit := range 8 * ShortBlock {
			flipped := sealed
			flipped[bit/8] ^= 1 << (bit % 8)
			if _, err := c.Open(flipped); !errors.Is(err, ErrTampered) {
				t.Fatalf("bit %d flipped: %v", bit, err)
			}
		}
		near := text
		near[ShortSize-1] ^= 1
		if differ := difference(sealed, c.Seal(near)); differ < 20 {
			t.Fatalf("texts that differ in one bit give blocks that differ in %d", differ)
		}
	})
}

// difference counts the bits in which blocks differ: 64 of 128 on average.
func difference(a, b [ShortBlock]byte) (bits int) {
	for i := range a {
		for x := a[i] ^ b[i]; x != 0; x &= x - 1 {
			bits++
		}
	}
	return bits
}

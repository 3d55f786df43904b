package envelope

import (
	"bytes"
	"crypto/hmac"
	"errors"
	"testing"

	"github.com/tjfoc/gmsm/sm3"
	"pgregory.net/rapid"
)

// TestTagIsHMAC computes a tag with another implementation of SM3.
func TestTagIsHMAC(t *testing.T) {
	secret := key("k1").Secret
	sum := func(key, data []byte) []byte {
		h := hmac.New(sm3.New, key)
		h.Write(data)
		return h.Sum(nil)
	}
	id := sm3.New()
	id.Write([]byte("k1"))
	want := append(id.Sum(nil)[:4:4], sum(sum(secret[:], []byte("oncegate/envelope/hmac-sm3/v1")), []byte("row"))[:16]...)
	if got := ring(t, key("k1")).Tag([]byte("row")); !bytes.Equal(got, want) {
		t.Errorf("%x, want %x", got, want)
	}
}

func TestTags(t *testing.T) {
	k := ring(t, key("k1"))
	rapid.Check(t, func(t *rapid.T) {
		data := rapid.SliceOf(rapid.Byte()).Draw(t, "data")
		tag := k.Tag(data)
		if err := k.CheckTag(tag, data); err != nil {
			t.Fatal(err)
		}
		other := append([]byte{1}, data...)
		if err := k.CheckTag(tag, other); !errors.Is(err, ErrTampered) {
			t.Fatal("other data:", err)
		}
		bad := bytes.Clone(tag)
		bad[rapid.IntRange(0, len(bad)-1).Draw(t, "at")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if err := k.CheckTag(bad, data); !errors.Is(err, ErrTampered) && !errors.Is(err, ErrUnknownKey) {
			t.Fatal("changed tag:", err)
		}
	})
	for _, short := range [][]byte{nil, {}, k.Tag(nil)[:TagSize-1], append(k.Tag(nil), 0)} {
		if err := k.CheckTag(short, nil); !errors.Is(err, ErrForm) {
			t.Errorf("tag of %d bytes: %v", len(short), err)
		}
	}
}

// TestTagsOfOlderKeys holds after a rotation, and no longer once the key is gone.
func TestTagsOfOlderKeys(t *testing.T) {
	old := ring(t, key("k1")).Tag([]byte("row"))
	if err := ring(t, key("k2"), key("k1")).CheckTag(old, []byte("row")); err != nil {
		t.Error(err)
	}
	if err := ring(t, key("k2")).CheckTag(old, []byte("row")); !errors.Is(err, ErrUnknownKey) {
		t.Error("key is gone:", err)
	}
	renamed := key("k1")
	renamed.Secret = key("k3").Secret
	if err := ring(t, renamed).CheckTag(old, []byte("row")); !errors.Is(err, ErrTampered) {
		t.Error("another key of that id:", err)
	}
}

func BenchmarkTag(b *testing.B) {
	k := ring(b, key("k1"))
	row := make([]byte, 300)
	for b.Loop() {
		k.Tag(row)
	}
}

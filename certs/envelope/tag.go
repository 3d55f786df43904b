package envelope

import (
	"crypto/subtle"
	"fmt"

	"github.com/emmansun/gmsm/sm3"

	"oncegate/certs/sm"
	"oncegate/hashpool"
)

// A tag authenticates bytes that need not be hidden, such as the columns of a row:
//
//	tag = SM3(key id)[:4] ‖ HMAC-SM3(HMAC-SM3(secret, label), data)[:16]
//
// It is the same for the same key and data. The key's id is shortened: a tag stands on every row.
const (
	tagLabel = "oncegate/envelope/hmac-sm3/v1"
	hintSize = 4

	// TagSize is the length of a tag in bytes.
	TagSize = hintSize + 16
)

type hint [hintSize]byte

func hintOf(id string) (h hint) {
	d := sm.Digest([]byte(id))
	copy(h[:], d[:])
	return h
}

// A tagger makes tags under one key.
type tagger struct {
	hint hint
	mac  *hashpool.Pool
}

func newTagger(id string, secret [SecretSize]byte) *tagger {
	key := sm.HMAC(secret[:], []byte(tagLabel))
	return &tagger{hintOf(id), hashpool.NewHMAC(sm3.New, key[:])}
}

func (t *tagger) tag(data []byte) []byte {
	full := t.mac.Append(append(make([]byte, 0, hintSize+hashpool.Size), t.hint[:]...), data)
	return full[:TagSize:TagSize]
}

// Tag authenticates data under the current key.
func (k *Keyring) Tag(data []byte) []byte { return k.tags[k.current].tag(data) }

// CheckTag proves that data was tagged under one of the ring's keys. Errors are ErrForm, ErrUnknownKey or ErrTampered.
func (k *Keyring) CheckTag(tag, data []byte) error {
	if len(tag) != TagSize {
		return fmt.Errorf("check tag: %w", ErrForm)
	}
	known := false
	for _, t := range k.tags { // few
		if t.hint != hint(tag[:hintSize]) {
			continue
		}
		known = true
		if subtle.ConstantTimeCompare(tag, t.tag(data)) == 1 {
			return nil
		}
	}
	if !known {
		return fmt.Errorf("check tag: %w", ErrUnknownKey)
	}
	return fmt.Errorf("check tag: %w", ErrTampered)
}

// Package envelope is authenticated encryption at rest with SM4-GCM (GB/T 32907, RFC 8998 parameters). Every blob carries its
// key's id, so that keys can be rotated while old blobs stay readable.
//
//	blob = version (1 byte, 0x01) ‖ n (1 byte) ‖ key id (n bytes) ‖ nonce (24 bytes) ‖ ciphertext ‖ tag (16 bytes)
//
// The SM4 key of a blob is HMAC-SM3(secret, label ‖ nonce[:12])[:16], and nonce[12:] is the GCM nonce. A bare 96-bit random
// nonce would allow 2^32 blobs per key, which a busy gateway reaches in two days; so a ring draws a new nonce[:12], and with
// it a new SM4 key, after every 2^16 blobs, and one secret serves for as long as anybody wishes. Both halves are random: a
// counter would repeat itself in a machine that is set back to a snapshot. Everything before the ciphertext is
// authenticated, followed by the caller's aad.
package envelope

import (
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/emmansun/gmsm/sm4"

	"oncegate/certs/sm"
)

const (
	version   = 1
	nonceSize = 24
	tagSize   = 16
	label     = "oncegate/envelope/sm4-gcm/v1"

	// SecretSize is the length of a key's secret in bytes.
	SecretSize = 32
)

var (
	// ErrUnknownKey says that the blob names a key that is not on the ring.
	ErrUnknownKey = errors.New("sealed under a key that is not on the ring")
	// ErrTampered says that blob or aad are not what was sealed.
	ErrTampered = errors.New("sealed bytes or their context were changed")
	// ErrForm says that the bytes are no blob of this package.
	ErrForm = errors.New("not a sealed blob")
)

// Key is a named secret. The id is public (it stands in every blob), 1 to 255 bytes.
type Key struct {
	ID     string
	Secret [SecretSize]byte
}

// Keyring seals with its current key and opens with any of its keys. Its keys never change and it is safe for concurrent
// use; rotation makes a new one.
type Keyring struct {
	current string
	secrets map[string][SecretSize]byte
	tags    map[string]*tagger
	rand    io.Reader
	epoch   atomic.Pointer[epoch]
}

// A epoch is a number of blobs whose nonces begin alike, so that they share one SM4 key.
type epoch struct {
	start [nonceSize / 2]byte
	aead  cipher.AEAD
	taken atomic.Uint32
}

// epochLength bounds the blobs of an epoch: two of them draw the same rest of a nonce with a probability of 2^-65.
const epochLength = 1 << 16

// NewKeyring makes a ring. A nil random means crypto/rand.
func NewKeyring(random io.Reader, current Key, older ...Key) (*Keyring, error) {
	if random == nil {
		random = rand.Reader
	}
	k := &Keyring{current: current.ID, secrets: make(map[string][SecretSize]byte), tags: make(map[string]*tagger), rand: random}
	for _, key := range append([]Key{current}, older...) {
		if len(key.ID) == 0 || len(key.ID) > 255 {
			return nil, fmt.Errorf("make keyring: key id of %d bytes", len(key.ID))
		}
		if _, ok := k.secrets[key.ID]; ok {
			return nil, fmt.Errorf("make keyring: key id %q twice", key.ID)
		}
		k.secrets[key.ID], k.tags[key.ID] = key.Secret, newTagger(key.ID, key.Secret)
	}
	return k, nil
}

// Current returns the id of the key that seals.
func (k *Keyring) Current() string { return k.current }

// Seal encrypts plaintext under the current key and binds it to aad: where the blob belongs, such as table, column, row.
func (k *Keyring) Seal(plaintext, aad []byte) ([]byte, error) {
	blob := make([]byte, 0, 2+len(k.current)+nonceSize+len(plaintext)+tagSize)
	blob = append(blob, version, byte(len(k.current)))
	blob = append(blob, k.current...)
	blob = blob[:len(blob)+nonceSize]
	header := blob
	nonce := header[len(header)-nonceSize:]
	s, err := k.begin()
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	if _, err := io.ReadFull(k.rand, nonce[copy(nonce, s.start[:]):]); err != nil {
		return nil, fmt.Errorf("seal: read randomness: %w", err)
	}
	return s.aead.Seal(blob, nonce[len(s.start):], plaintext, context(header, aad)), nil
}

// begin returns the epoch that one more blob belongs to.
func (k *Keyring) begin() (*epoch, error) {
	if s := k.epoch.Load(); s != nil && s.taken.Add(1) <= epochLength {
		return s, nil
	}
	s := &epoch{}
	if _, err := io.ReadFull(k.rand, s.start[:]); err != nil {
		return nil, fmt.Errorf("read randomness: %w", err)
	}
	var err error
	if s.aead, err = k.aead(k.current, s.start[:]); err != nil {
		return nil, err
	}
	s.taken.Store(1)
	k.epoch.Store(s) // where several begin at once, one stays and the others seal one blob each
	return s, nil
}

// Open returns what was sealed. Errors are ErrForm, ErrUnknownKey or ErrTampered.
func (k *Keyring) Open(blob, aad []byte) ([]byte, error) {
	id, header, err := split(blob)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	nonce := header[len(header)-nonceSize:]
	aead, err := k.aead(id, nonce)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	plaintext, err := aead.Open(nil, nonce[12:], blob[len(header):], context(header, aad))
	if err != nil {
		return nil, fmt.Errorf("open: %w", ErrTampered)
	}
	return plaintext, nil
}

// Reseal opens blob and seals it again under the current key; changed is false, and the blob the same, when it already
// is under the current key.
func (k *Keyring) Reseal(blob, aad []byte) (out []byte, changed bool, err error) {
	plaintext, err := k.Open(blob, aad)
	if err != nil {
		return nil, false, err
	}
	if id, _ := KeyID(blob); id == k.current {
		return blob, false, nil
	}
	out, err = k.Seal(plaintext, aad)
	return out, err == nil, err
}

// KeyID tells under which key a blob is sealed, without opening it.
func KeyID(blob []byte) (string, error) {
	id, _, err := split(blob)
	return id, err
}

func split(blob []byte) (id string, header []byte, err error) {
	if len(blob) < 2 || blob[0] != version || blob[1] == 0 {
		return "", nil, ErrForm
	}
	n := 2 + int(blob[1]) + nonceSize
	if len(blob) < n+tagSize {
		return "", nil, ErrForm
	}
	return string(blob[2 : 2+int(blob[1])]), blob[:n], nil
}

func (k *Keyring) aead(id string, nonce []byte) (cipher.AEAD, error) {
	secret, ok := k.secrets[id]
	if !ok {
		return nil, fmt.Errorf("%w: %q", ErrUnknownKey, id)
	}
	key := sm.HMAC(secret[:], []byte(label), nonce[:12])
	return newGCM(key[:16])
}

func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := sm4.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// context is the authenticated data. The header delimits itself, so header ‖ aad has one reading.
func context(header, aad []byte) []byte {
	return append(header[:len(header):len(header)], aad...)
}

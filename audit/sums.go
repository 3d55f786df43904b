package audit

import (
	"crypto/hmac"
	"encoding/base64"
	"hash"
	"sync"
)

// sums are digests by one function: SM3, or HMAC-SM3 under one key, whose states have taken the key in already. It keeps
// states that were used before and is safe for concurrent use.
type sums struct{ states sync.Pool }

// A state has room for what its hash is fed with and yields.
type state struct {
	hash.Hash
	block [blockSize]byte
	sum   [digestSize]byte
}

func newSums(newSM3 func() hash.Hash) *sums {
	return &sums{sync.Pool{New: func() any { return &state{Hash: newSM3()} }}}
}

func newKeyedSums(newSM3 func() hash.Hash, key []byte) *sums {
	return newSums(func() hash.Hash { return hmac.New(newSM3, key) })
}

// of is the digest of data.
func (s *sums) of(data []byte) [digestSize]byte {
	h := s.states.Get().(*state)
	defer s.states.Put(h)
	h.digest(data)
	return h.sum
}

// hmac is HMAC (RFC 2104) under a key of at most a block that is used this once. Receipts and evidence are verified by the
// standard library's.
func (s *sums) hmac(key, data []byte) [digestSize]byte {
	h := s.states.Get().(*state)
	defer s.states.Put(h)
	h.pad(key, 0x36)
	h.digest(h.block[:], data)
	h.pad(key, 0x5c)
	h.digest(h.block[:], h.sum[:])
	return h.sum
}

// pad makes the block that the key is taken in with.
func (h *state) pad(key []byte, with byte) {
	clear(h.block[:])
	copy(h.block[:], key)
	for i := range h.block {
		h.block[i] ^= with
	}
}

func (h *state) digest(parts ...[]byte) {
	h.Reset()
	for _, part := range parts {
		h.Write(part)
	}
	h.Hash.Sum(h.sum[:0])
}

// text is the digest of data in base64url.
func (s *sums) text(data []byte) string { return spell(s.of(data)) }

func spell(sum [digestSize]byte) string {
	var text [digestText]byte
	base64.RawURLEncoding.Encode(text[:], sum[:])
	return string(text[:])
}

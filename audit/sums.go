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

func newSums(newSM3 func() hash.Hash) *sums {
	return &sums{sync.Pool{New: func() any { return newSM3() }}}
}

func newKeyedSums(newSM3 func() hash.Hash, key []byte) *sums {
	return newSums(func() hash.Hash { return hmac.New(newSM3, key) })
}

// of is the digest of data.
func (s *sums) of(data []byte) (sum [digestSize]byte) {
	h := s.states.Get().(hash.Hash)
	defer s.states.Put(h)
	h.Reset()
	h.Write(data)
	h.Sum(sum[:0])
	return sum
}

// text is the digest of data in base64url.
func (s *sums) text(data []byte) string {
	var text [digestText]byte
	sum := s.of(data)
	base64.RawURLEncoding.Encode(text[:], sum[:])
	return string(text[:])
}

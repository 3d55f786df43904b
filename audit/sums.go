package audit

import (
	"crypto/hmac"
	"hash"
	"sync"
)

// sums are digests by one function: SM3, or HMAC-SM3 under one key, whose states have taken the key in already. It keeps
// states that were used before and is safe for concurrent use.
type sums struct{ states sync.Pool }

// A state has room for what its hash yields.
type state struct {
	hash.Hash
	sum [digestSize]byte
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
	h.Reset()
	h.Write(data)
	h.Hash.Sum(h.sum[:0])
	return h.sum
}

// text is the digest of data in base64url.
func (s *sums) text(data []byte) string {
	sum := s.of(data)
	return encode(sum[:])
}

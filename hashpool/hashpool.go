// Package hashpool keeps hash and HMAC states for reuse. A new SM3 or HMAC state costs more than hashing a short text with it, and an HMAC
// state that is reset has its key taken in already.
package hashpool

import (
	"crypto/hmac"
	"hash"
	"sync"
)

// Size is the length in bytes of every sum: that of SM3 and SHA-256.
const Size = 32

// A Pool computes sums with one function: a hash, or HMAC under one key. It is safe for concurrent use.
type Pool struct{ states sync.Pool }

// A state has room for the sum, which would be allocated otherwise: it is passed through an interface.
type state struct {
	hash.Hash
	sum [Size]byte
}

// New returns a pool of hash states. A sum of newHash is Size bytes long.
func New(newHash func() hash.Hash) *Pool {
	return &Pool{sync.Pool{New: func() any { return &state{Hash: newHash()} }}}
}

// NewHMAC returns a pool of HMAC states under key (RFC 2104). A sum of newHash is Size bytes long.
func NewHMAC(newHash func() hash.Hash, key []byte) *Pool {
	return New(func() hash.Hash { return hmac.New(newHash, key) })
}

// Sum returns the sum over the parts as one text. A caller to whom it matters where one part ends must delimit them.
func (p *Pool) Sum(parts ...[]byte) [Size]byte {
	s := p.states.Get().(*state)
	defer p.states.Put(s)
	s.write(parts)
	return s.sum
}

// Append appends the sum over the parts to b. A part may overlap b.
func (p *Pool) Append(b []byte, parts ...[]byte) []byte {
	s := p.states.Get().(*state)
	defer p.states.Put(s)
	s.write(parts)
	return append(b, s.sum[:]...)
}

func (s *state) write(parts [][]byte) {
	s.Reset()
	for _, part := range parts {
		s.Write(part)
	}
	s.Hash.Sum(s.sum[:0])
}

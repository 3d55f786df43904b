package gateway

import (
	"errors"
	"io"
	"net/http"
	"sync"

	"oncegate/api"
)

// What bodies past api.MaxBody may cost together. A document is held as its body, as text in it and as bytes of its own, and
// the buffers that it is read into grow: about four times its length. Bodies that do not fit at the moment are refused as a
// caller over the limit is.
const (
	largeBodies = 64 << 20 // bytes of memory
	largeCost   = 4        // bytes of memory for each byte
)

// errCrowded says that there is no memory for a large body now.
var errCrowded = errors.New("too many large bodies at once")

// A pool bounds what large bodies take. What was not sent yet takes nothing, so that callers who stall hold up nobody.
type pool struct {
	mu   sync.Mutex
	left int // bytes; protected by mu
}

func (p *pool) take(n int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n > p.left {
		return false
	}
	p.left -= n
	return true
}

func (p *pool) give(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left += n
}

// held counts what each request's body takes, until the request is answered.
func (p *pool) held(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := &largeBody{ReadCloser: r.Body, pool: p}
		defer func() { p.give(body.taken) }()
		r.Body = body
		next.ServeHTTP(w, r)
	})
}

// A largeBody takes from the pool for what is read of it past api.MaxBody.
type largeBody struct {
	io.ReadCloser
	pool        *pool
	read, taken int
}

func (b *largeBody) Read(data []byte) (int, error) {
	n, err := b.ReadCloser.Read(data)
	b.read += n
	if more := largeCost*(b.read-api.MaxBody) - b.taken; more > 0 {
		if !b.pool.take(more) {
			return 0, errCrowded
		}
		b.taken += more
	}
	return n, err
}

// kept is what of the body is kept as evidence. A large one is a document that the caller has: the token, which is kept, holds
// its digest.
func (c *call) kept() []byte {
	if len(c.body) > api.MaxBody {
		return nil
	}
	return c.body
}

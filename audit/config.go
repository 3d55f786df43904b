package audit

import (
	"context"
	"crypto/rand"
	"errors"
	"hash"
	"io"
	"time"

	"oncegate/canonical"
	"oncegate/hashpool"
	"oncegate/tlog"
)

// A Log appends a leaf together with what must commit with it; *tlog.Log is one. A refusal keeps its errors.Is.
type Log interface {
	Append(ctx context.Context, leaf []byte, attached any) (tlog.Receipt, error)
}

// A View proves what was read of the log that a Log appends to; *tlog.Log and its *tlog.View are ones.
type View interface {
	// Prove proves that every leaf stands in the log at its index and with these bytes, under the newest checkpoint that the log
	// believes, and returns what that says. tlog.ErrUnproven: a leaf, a tile or the head is not what was committed.
	Prove(ctx context.Context, leaves []tlog.Leaf) (tlog.Checkpoint, error)
}

// A Sealer encrypts bytes at rest under a key whose id stands in the blob, bound to aad. Open fails if either was changed.
// It keeps none of its arguments, which the caller uses again. Implementations are safe for concurrent use.
type Sealer interface {
	Seal(plaintext, aad []byte) ([]byte, error)
	Open(blob, aad []byte) ([]byte, error)
}

// Config is what Recorder and Auditor work with.
type Config struct {
	// Self is the gateway's id: the system of its own records.
	Self string

	// Log takes the records. Recorder requires it; an Auditor without it only reads.
	Log Log

	// View and Storage read what was recorded. Auditor requires them.
	View    View
	Storage Storage

	// Sealer seals and opens evidence.
	Sealer Sealer

	// NewSM3 returns a fresh SM3 state; HMAC-SM3 is built on it.
	NewSM3 func() hash.Hash

	// IndexKeys are the keys K of the keyed digests that search finds persons by, 32 bytes each. The first writes;
	// all are searched, so that a new key can be put in front without touching old records.
	IndexKeys [][]byte

	// Rand yields what makes evidence unguessable. Default crypto/rand.
	Rand io.Reader

	// Now is the clock. Default time.Now.
	Now func() time.Time

	hashes *hashpool.Pool   // SM3
	index  []*hashpool.Pool // HMAC-SM3 under each of IndexKeys
}

const (
	indexKeySize = 32 // length of a key in bytes
	digestSize   = 32 // of a digest
)

func (c Config) withDefaults() (Config, error) {
	switch {
	case c.Self == "":
		return c, errors.New("the gateway has no id")
	case c.Sealer == nil || c.NewSM3 == nil:
		return c, errors.New("sealer and SM3 are required")
	case len(c.IndexKeys) == 0:
		return c, errors.New("an index key is required")
	}
	for _, key := range c.IndexKeys {
		if len(key) != indexKeySize {
			return c, errors.New("an index key is not 32 bytes long")
		}
	}
	c.hashes = hashpool.New(c.NewSM3)
	for _, key := range c.IndexKeys {
		c.index = append(c.index, hashpool.NewHMAC(c.NewSM3, key))
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c, nil
}

// digest is the SM3 of data in base64url.
func (c Config) digest(data []byte) string {
	sum := c.hashes.Sum(data)
	return canonical.Base64(sum[:])
}

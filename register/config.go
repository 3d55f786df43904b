package register

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"oncegate/canonical"
	"oncegate/hashpool"
	"oncegate/license"
)

// An Issuer signs SD-JWTs (RFC 9901) for the departments. Implementations are safe for concurrent use.
type Issuer interface {
	// Issue signs with the license key that the department uses now, and returns the issuer-signed JWT without
	// disclosures and the key's id. department is a USCC; ErrNoSigner if no key signs for it.
	Issue(ctx context.Context, department string, i Issuance) (jwt, keyID string, err error)
	// Disclose returns the text of the disclosure of each claim, in order, named by its Path: the same claims and salts
	// give the texts whose digests Issue signed.
	Disclose(claims []license.Claim, salt Salts) ([]string, error)
}

// An Issuance is what an Issuer signs.
type Issuance struct {
	Always  jsontext.Value  // JSON object of the claims that always stand openly
	Claims  []license.Claim // to be disclosed one by one, named by Path
	Digests int             // the number of digests that _sd is filled up to with decoys
	Salt    Salts           // also of decoys, whose paths begin with "_sd"
}

// Salts gives the 32 secret bytes that hide the claim at a path; always the same for one version.
type Salts func(path string) []byte

// A Sealer encrypts bytes at rest under a key whose id stands in the blob, bound to aad. Open fails if either was changed.
// Implementations are safe for concurrent use.
type Sealer interface {
	Seal(plaintext, aad []byte) ([]byte, error)
	Open(blob, aad []byte) ([]byte, error)
}

// Config is what a Register works with.
type Config struct {
	Storage   Storage
	Issuer    Issuer
	Sealer    Sealer // of kept copies
	Catalogue *license.Catalogue

	// NewSM3 returns a fresh SM3 state; HMAC-SM3 is built on it.
	NewSM3 func() hash.Hash

	// Key is the register's secret, 32 bytes. What subjects, contents, salts and copies are keyed with is derived from it.
	// Without it no license is recognised and no disclosure made again: all would be signed anew, with new identifiers.
	Key []byte

	// Origin is the name of the log that changes commit with: lists that are begun after it was recovered are named after it.
	Origin string

	// BaseURL is the public URL that /status-lists/{id} stands under, without a slash at its end.
	BaseURL string

	// ListSize is the number of slots of a status list. Default 131,072; at most 4,194,304.
	ListSize int

	// Originals is how long the original of a version is kept. Default 26,280 h: three years. A longer life of the license has
	// another one made.
	Originals time.Duration

	// Retired says that what a key signed is to be signed anew, as after its loss; nil: none is.
	Retired func(keyID string) bool

	// Rand yields serials and slots. Default crypto/rand.
	Rand io.Reader

	// Now is the clock. Default time.Now.
	Now func() time.Time
}

const (
	keySize     = 32
	defaultList = 1 << 17
	maxList     = 4 << 20

	defaultOriginals = 26280 * time.Hour
)

func (c Config) withDefaults() (Config, error) {
	switch {
	case c.Storage == nil || c.Issuer == nil || c.Sealer == nil || c.Catalogue == nil || c.NewSM3 == nil:
		return c, errors.New("storage, issuer, sealer, catalogue and SM3 are required")
	case len(c.Key) != keySize:
		return c, fmt.Errorf("the key is not %d bytes long", keySize)
	case c.BaseURL == "" || strings.HasSuffix(c.BaseURL, "/"):
		return c, errors.New("the base URL is empty or ends in a slash")
	case c.Originals < 0:
		return c, errors.New("originals cannot be kept for less than nothing")
	case c.ListSize < 0 || c.ListSize > maxList:
		return c, fmt.Errorf("a status list cannot have %d slots", c.ListSize)
	}
	if c.ListSize == 0 {
		c.ListSize = defaultList
	}
	if c.Originals == 0 {
		c.Originals = defaultOriginals
	}
	if c.Retired == nil {
		c.Retired = func(string) bool { return false }
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c, nil
}

// keys are derived from Config.Key, one for each purpose, so that no output of one can pass for another's.
type keys struct{ subject, content, salt, copy *hashpool.Pool }

func (c Config) keys() keys {
	derive := func(purpose string) *hashpool.Pool {
		key := hashpool.NewHMAC(c.NewSM3, c.Key).Sum([]byte("oncegate/register/" + purpose + "/v1"))
		return hashpool.NewHMAC(c.NewSM3, key[:])
	}
	return keys{derive("subject"), derive("content"), derive("salt"), derive("copy")}
}

// sumOf is a keyed digest over the JCS list of texts, which cannot run into each other.
func sumOf(key *hashpool.Pool, texts ...string) ([32]byte, error) {
	text, err := canonical.AppendStrings(make([]byte, 0, 128), texts...)
	if err != nil {
		return [32]byte{}, errors.New("text is not UTF-8")
	}
	return key.Sum(text), nil
}

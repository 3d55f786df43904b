// Package register is the license register: signed versions of licenses by content, their status and their slot in a status
// list. It stores the signed JWT and a keyed digest of the content, and no disclosure: disclosures are recomputed
// from the source record, and stay in a bounded cache in memory for a minute at most.
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

// A Version is one signed version of a license.
type Version struct {
	Subject    [32]byte       // HMAC-SM3(key, JCS([type, issuer, license number])): which license this is, unguessable
	Type       string         // catalogue id
	Issuer     string         // USCC
	Serial     string         // 流水号 of the identifier; random, the same for all versions of a license that one log has
	Number     int            // version, from 1
	Identifier string         // GB/T 36904, with root and check character
	Content    [32]byte       // HMAC-SM3(key, canonical content)
	JWT        string         // issuer-signed JWT of the SD-JWT, without disclosures
	KeyID      string         // the signing key
	Signed     time.Time      //
	Status     license.Status // what holds: EffectiveStatus(Stated, Ordered)
	Stated     license.Status // what the source stated last; Superseded once a newer version is signed
	StatusAt   time.Time      // the moment whose truth Stated is
	Ordered    license.Status // what the department ordered: Suspended, Expired, Revoked or Superseded; "" for nothing
	OrderedAt  time.Time      //
	List       string         // id of the status list
	Slot       int            // position in it, random
}

// A List is a status list that has an occupied slot.
type List struct {
	ID string
	// Closed says that it was begun before the log was recovered from an old backup. What was signed after that backup is
	// lost: nobody knows which of its slots and versions were given away, so none is given again.
	Closed bool
	// Changes counts what changed in it: it rises with every commit that changes the status of a slot.
	Changes int64
}

// A Snapshot is the last source record of a question, sealed, kept only where some grant allows its age; or the label of a version.
type Snapshot struct {
	Key     [32]byte  // HMAC-SM3(key, JCS([type, holder type, holder code])), with the number at the end where one was asked for; of a label JCS(["label", identifier])
	Sealed  []byte    // the finding's records, or the label
	AsOf    time.Time // of a label when it was kept
	Expires time.Time // when it must be gone: AsOf and the longest age any grant allows; of a label as an original
}

// Storage reads the register. Writing happens only with a record: the change types below stand in audit.Entry.Changes.
// Implementations are safe for concurrent use and see every change whose record was answered.
type Storage interface {
	// Latest returns the highest version of the license; fs.ErrNotExist if it was never signed.
	Latest(ctx context.Context, subject [32]byte) (Version, error)
	// ByIdentifier returns that version; fs.ErrNotExist if unknown.
	ByIdentifier(ctx context.Context, identifier string) (Version, error)
	// Snapshot returns the kept copy; fs.ErrNotExist if there is none or it has expired at now.
	Snapshot(ctx context.Context, key [32]byte, now time.Time) (Snapshot, error)
	// Statuses calls yield for every occupied slot of a list whose status is not Valid, in no particular order.
	Statuses(ctx context.Context, list string, yield func(slot int, status license.Status)) error
	// Lists returns all lists with an occupied slot, in the order of their first version.
	Lists(ctx context.Context) ([]List, error)
	// Occupied calls yield for every occupied slot of a list, in no particular order.
	Occupied(ctx context.Context, list string, yield func(slot int)) error
	// Versions returns the versions that a filter names, by identifier.
	Versions(ctx context.Context, f Filter) ([]Version, error)
	// Taken reports whether a slot of a list is occupied.
	Taken(ctx context.Context, list string, slot int) (bool, error)
	// At returns the version that occupies a slot of a list; fs.ErrNotExist if none does.
	At(ctx context.Context, list string, slot int) (Version, error)
	// Original returns the original of a version; fs.ErrNotExist if there is none or it has expired at now.
	Original(ctx context.Context, identifier string, now time.Time) (Original, error)
	// Purge deletes the kept copies and originals that have expired at now.
	Purge(ctx context.Context, now time.Time) error
}

// Changes that commit with a record, which binds them (Bound).
type (
	// Issue adds a version and marks the one before it superseded, stated so at the moment the new one was signed. Refused with
	// ErrTaken if (Subject, Number), the identifier or the slot is taken, if Number is not the latest plus one, or if it is not
	// ordered what it inherits from the one before it. Supersedes is the identifier of the one before it, "" for the first; refused with
	// ErrTaken too if that is another.
	Issue struct {
		Version    Version
		Supersedes string
	}
	// SetStatus moves what the source states of a version. Refused with ErrTaken if that is not From any more, or the version
	// unknown.
	SetStatus struct {
		Identifier string
		From, To   license.Status
		At         time.Time
	}
	// Order moves what is ordered of a version. Refused with ErrTaken if that is not From any more, the version unknown, or a
	// newer one signed.
	Order struct {
		Identifier string
		From, To   license.Status
		At         time.Time
	}
	// Keep replaces the kept copy of a question, unless a newer one stands.
	Keep struct{ Snapshot Snapshot }
)

// ErrTaken says that somebody else was first: read again, and sign the next version if the content differs.
var ErrTaken = errors.New("the version is taken")

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

	// Originals is how long the original of a version, and its label, is kept. Default 26,280 h: three years. A longer life of the license has
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

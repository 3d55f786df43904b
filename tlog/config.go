package tlog

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/note"
)

var (
	// ErrUnavailable says that an entry could not be appended, or that it is not known whether it
	// was: nothing may be released on its account. Trying again later is right.
	ErrUnavailable = errors.New("log is unavailable")

	// ErrRolledBack says that the storage has lost, or replaced, what was committed before: a
	// backup was restored. Only Recover leads on from there.
	ErrRolledBack = errors.New("stored log is behind what was committed before")

	// ErrForged says that the storage holds a head that none of our keys signed, or one that does
	// not extend what was committed before: somebody wrote it who has no key of the log. Nothing
	// is appended to it.
	ErrForged = errors.New("stored head is not one that this log signed")

	// ErrClosed says that the log takes no more entries.
	ErrClosed = errors.New("log is closed")

	// ErrLeafSize says that a leaf is empty or longer than MaxLeaf.
	ErrLeafSize = errors.New("leaf is empty or too long")
)

// Config says which log to open and with what.
type Config struct {
	// Origin names the log, and is the name of both its keys: no spaces, no plus sign.
	Origin string

	// Storage keeps the log. It is not closed with the log.
	Storage Storage

	// NewSM3 returns a fresh SM3 state.
	NewSM3 func() hash.Hash

	// SM2 and Ed25519 sign every checkpoint, in this order of lines.
	SM2, Ed25519 Signer

	// Own verifies the Ed25519 lines of the log's own keys, present and retired. A stored head or
	// mark is believed only if one of them signed it. Required.
	Own []note.Verifier

	// OwnSM2 verifies the SM2 lines of the same keys. Own believes a head of another node, or of an earlier start, by the other line alone:
	// this one takes too long under the storage's lock. A receipt or a checkpoint under such a head is handed out only if one of
	// OwnSM2 signed it too, or else nobody could verify it. nil leaves that unchecked.
	OwnSM2 []note.Verifier

	// Poll is how often the stored head is looked at, so that one that was tampered with is
	// noticed while nothing is appended, and one of another node soon. Default 1 s.
	Poll time.Duration

	// Mark is the path of the high-water mark: the last checkpoint known to be committed by this
	// process, in a file of its own outside the database and its backups. Every process has its
	// own. The file is made if it is not there. Empty keeps no mark: for tests only.
	Mark string

	// MarkEvery is the shortest time between two writes of the mark, so that its fsync does not
	// slow the database's. The mark may be behind by that much after a crash. Default 100 ms.
	MarkEvery time.Duration

	// MaxBatch is the largest number of entries committed together. Default 512.
	MaxBatch int

	// Queue is how many entries may wait to be grouped; beyond it Append waits. Default 4096.
	Queue int

	// Patience is how long callers wait for an unknown commit to be resolved, and for a failed
	// batch to be retried entry by entry, before they get ErrUnavailable. Default 5 s.
	Patience time.Duration

	// Rand yields batch ids. Default crypto/rand.
	Rand io.Reader

	// Logger gets the few events an operator must know. Default slog.Default.
	Logger *slog.Logger
}

func (c Config) withDefaults() (Config, error) {
	switch {
	case !isOrigin(c.Origin):
		return c, fmt.Errorf("origin %q is no key name", c.Origin)
	case c.Storage == nil || c.NewSM3 == nil || c.SM2 == nil || c.Ed25519 == nil:
		return c, errors.New("storage, SM3 and both signers are required")
	case !slices.ContainsFunc(c.Own, func(v note.Verifier) bool { return v.KeyHash() == c.Ed25519.KeyHash() }):
		return c, errors.New("own verifiers are required, that of the Ed25519 signer among them")
	case c.SM2.Name() != c.Origin || c.Ed25519.Name() != c.Origin:
		return c, fmt.Errorf("keys are not named %q as the log is", c.Origin)
	case c.SM2.KeyHash() == c.Ed25519.KeyHash():
		return c, errors.New("both keys have the same id")
	case c.MarkEvery < 0 || c.MaxBatch < 0 || c.Queue < 0 || c.Patience < 0 || c.Poll < 0:
		return c, errors.New("a limit is negative")
	}
	c.MarkEvery = cmp.Or(c.MarkEvery, 100*time.Millisecond)
	c.MaxBatch = cmp.Or(c.MaxBatch, 512)
	c.Queue = cmp.Or(c.Queue, 4096)
	c.Patience = cmp.Or(c.Patience, 5*time.Second)
	c.Poll = cmp.Or(c.Poll, time.Second)
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	c.Logger = cmp.Or(c.Logger, slog.Default())
	return c, nil
}

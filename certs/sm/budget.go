package sm

import (
	"context"
	"crypto/ecdsa"
	"fmt"
	"sync"
)

// Why a signature was not checked. Nothing is known about it then.
var (
	ErrBudget      error = undecided("the work budget of one call is used up")
	ErrInterrupted error = undecided("the call ended before this was checked")
)

// undecided is an error that check.Undecided recognises: verifiers report it as not checkable, never as failed.
type undecided string

func (e undecided) Error() string { return string(e) }

// Undecided makes this an error of check.Undecided.
func (undecided) Undecided() bool { return true }

// Interrupted is nil until ctx has ended, then ErrInterrupted with its cause.
func Interrupted(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", ErrInterrupted, err)
	}
	return nil
}

// Budget bounds the signature checks of one call, against inputs that cost far more to verify than to send. Verdicts are
// memoized, so that a repeated question costs nothing. It is safe for concurrent use.
type Budget struct {
	verify VerifyFunc

	mu     sync.Mutex // protects all below; held during a check, so that no question is asked twice
	checks int        // that may still be made
	bytes  int        // of long messages that may still be digested
	made   int
	same   map[question]error
	equal  map[[DigestSize]byte]error
}

// question is a signature check, its message named by where it lies. Verifiers do not change what they verify, and the map
// keeps the message from being collected.
type question struct {
	message *byte
	length  int
	key     [PointSize]byte
	rs      [SignatureSize]byte
}

// shortMessage is up to what length messages, in bytes, are digested for nothing: certificates and signed attributes are
// shorter.
const shortMessage = 4 << 10

// NewBudget allows so many checks by verify, over so many bytes of messages longer than 4 KiB. A nil verify means [Verify].
func NewBudget(checks, bytes int, verify VerifyFunc) *Budget {
	if verify == nil {
		verify = Verify
	}
	return &Budget{
		verify: verify, checks: checks, bytes: bytes, same: make(map[question]error), equal: make(map[[DigestSize]byte]error),
	}
}

// Within returns the check of signatures on behalf of ctx: once that has ended, ErrInterrupted; once the budget is used up,
// ErrBudget; else the verdict.
func (b *Budget) Within(ctx context.Context) VerifyFunc {
	return func(pub *ecdsa.PublicKey, message, rs []byte) error { return b.check(ctx, pub, message, rs) }
}

// Allow raises what is left to so many checks and bytes: for the next of several things that are verified together, so that one
// takes nothing from another.
func (b *Budget) Allow(checks, bytes int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.checks, b.bytes = max(b.checks, checks), max(b.bytes, bytes)
}

// Made is the number of checks made so far.
func (b *Budget) Made() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.made
}

func (b *Budget) check(ctx context.Context, pub *ecdsa.PublicKey, message, rs []byte) error {
	if err := Interrupted(ctx); err != nil {
		return err
	}
	switch {
	case len(message) == 0:
		return ErrEmptyMessage
	case len(rs) != SignatureSize:
		return fmt.Errorf("%w: %d bytes, not %d", ErrSignatureForm, len(rs), SignatureSize)
	}
	if err := CheckPublicKey(pub); err != nil {
		return err
	}
	q := question{&message[0], len(message), [PointSize]byte(MarshalPoint(pub)), [SignatureSize]byte(rs)}
	b.mu.Lock()
	defer b.mu.Unlock()
	if known, ok := b.same[q]; ok {
		return known
	}
	if over := len(message) - shortMessage; over > 0 {
		if over > b.bytes {
			return ErrBudget
		}
		b.bytes -= over
	}
	digest := Digest(q.key[:], q.rs[:], message)
	verdict, ok := b.equal[digest]
	if !ok {
		if b.checks == 0 {
			return ErrBudget
		}
		b.checks--
		b.made++
		verdict = b.verify(pub, message, rs)
		b.equal[digest] = verdict
	}
	b.same[q] = verdict
	return verdict
}

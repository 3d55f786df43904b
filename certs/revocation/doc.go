// Package revocation checks the revocation status of certificates (证书吊销状态): from revocation lists (CRL, RFC 5280), from
// responders (OCSP, RFC 6960), both signed with SM2 and SM3, and from evidence stored with a signature.
//
// A [Source] answers for one certificate at one time. [Client] asks over the network and caches the answers; [Evidence] is what
// [Collect] gathered at signing time, and answers ten years later without network. [Check] asks sources along a path that
// certs/pki found and reports steps.
package revocation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"oncegate/certs/pki"
)

// State is what a source says of a certificate at a moment.
type State string

// States. Unknown is an authority's own word: it has never heard of the certificate.
const (
	Good    State = "good"
	Revoked State = "revoked"
	Unknown State = "unknown"
)

// Kinds of sources, as they stand in [Status.By].
const (
	CRL  = "crl"
	OCSP = "ocsp"
)

// Status of one certificate at one moment.
type Status struct {
	State State
	// Time is when it was revoked, Reason why. With state Good and a Time, it was revoked after the moment asked about.
	Time   time.Time
	Reason pki.Reason
	// By is the kind of source; the source spoke at This and promised to speak again by Next (zero: no promise).
	By         string
	This, Next time.Time
	// Stale says that the source was out of reach and this is what it said last, after Next.
	Stale bool
}

// A Source says what is known of c, issued by issuer, at a moment. Errors are those of this package: they say that nothing
// can be said, and why. It is safe for concurrent use.
type Source interface {
	Status(ctx context.Context, c, issuer *pki.Certificate, at time.Time) (Status, error)
}

// Why nothing can be said.
var (
	ErrMalformed    = errors.New("revocation data cannot be read")
	ErrBadSignature = errors.New("revocation data is not signed by its authority")
	ErrWrongIssuer  = errors.New("revocation data is of another authority")
	ErrResponder    = errors.New("responder is not authorized by the certificate authority")
	ErrScope        = errors.New("revocation data does not cover this certificate")
	ErrNotYet       = errors.New("revocation data is dated in the future")
	ErrStale        = errors.New("revocation data does not cover this time")
	ErrReplayed     = errors.New("revocation data is older than what came before it, or answers another question")
	ErrUnavailable  = errors.New("the source of revocation data cannot be reached")
	ErrNoSource     = errors.New("there is no source of revocation data")
)

const (
	skew = 5 * time.Minute // clocks that are behind
	// withoutNext is how long an answer counts that does not say when the next one is due (RFC 6960 section 4.2.2.1:
	// "newer information is available all the time").
	withoutNext = time.Hour
)

// until is when what a source said is over.
func until(this, next time.Time) time.Time {
	if next.IsZero() {
		return this.Add(withoutNext)
	}
	return next
}

// checkCovered tells whether what a source said at this, until next, says whether c was revoked at a moment. Later word counts
// too: an authority may forget a revocation only once the certificate has expired (RFC 5280 section 3.3).
func checkCovered(c *pki.Certificate, this, next, at time.Time) error {
	next = until(this, next)
	switch {
	case at.After(next):
		return fmt.Errorf("%w: it held until %s", ErrStale, day(next))
	case this.After(at.Add(skew)) && this.After(c.NotAfter):
		return fmt.Errorf("%w: the certificate had expired before it was made", ErrStale)
	}
	return nil
}

// withRevocation says what a revocation at a time means for a moment.
func (s Status) withRevocation(revoked, at time.Time, reason pki.Reason) Status {
	s.State, s.Time, s.Reason = Good, revoked, reason
	if !revoked.After(at) {
		s.State = Revoked
	}
	return s
}

func day(t time.Time) string { return t.UTC().Format(time.RFC3339) }

package pki

import (
	"errors"
	"strings"
	"time"

	"oncegate/check"
)

// TimeSource says how a signing time is known.
type TimeSource int

// Sources of a signing time. Present is none: something is judged as it stands now, such as a seal that lies there alone.
const (
	Unstated TimeSource = iota // the signature names no time; it is judged as of now
	Claimed                    // the signer names it, and nobody else
	Stamped                    // a time stamp or a log's record shows that it was signed by then
	Present
)

// A SigningTime is when something was signed, and how that is known. Whatever is signed — messages, seals, time stamps, licenses —
// is judged by this one table, [SigningTime.Judge] and [SigningTime.RevokedLater]:
//
//	certificate (or seal)          unstated        claimed         stamped
//	valid then and now             ok              ok              ok
//	valid then, expired since      not checkable   not checkable   ok
//	not valid then                 —               failed          failed
//	revoked then                   failed          failed          failed
//	revoked since                  —               not checkable   ok
//
// The column "claimed" is so because whoever holds a key that has expired or was revoked can name any time. Unstated is judged
// as of now, where expired says nothing about the past. A time-stamping authority's own time counts as stamped, because
// vouching for time is what it is trusted for; but see [StampedBefore] for one whose key was revoked since.
type SigningTime struct {
	At     time.Time
	Source TimeSource
}

// Clocks and zones may be so far apart. Signing software is known to write Beijing time and call it UTC.
const (
	ClockSlip = 5 * time.Minute
	ZoneSlip  = 8 * time.Hour
)

// Judge applies the table's upper half. holds says whether certificate or seal, which ends at end, is good at a time. It is asked
// about the moment, and about now where the signer alone names the moment. Where nobody does and it has expired, it is asked
// about the end: what was never good is failed.
func (m SigningTime) Judge(now, end time.Time, holds func(at time.Time) error) (check.State, string) {
	err := holds(m.At)
	if m.Source == Unstated && errors.Is(err, ErrExpired) {
		if before := holds(end); before != nil && !errors.Is(before, ErrExpired) {
			err = before
		}
	}
	switch {
	case check.Undecided(err):
		return check.NotCheckable, err.Error()
	case err != nil && m.Source == Unstated && errors.Is(err, ErrExpired):
		return check.NotCheckable, err.Error() + " at present, and the signing time is unknown"
	case err != nil && (m.Source == Unstated || m.Source == Present):
		return check.Failed, err.Error()
	case err != nil:
		return check.Failed, err.Error() + " at the signing time"
	case m.Source != Claimed:
		return check.OK, m.String()
	case m.At.After(now.Add(ZoneSlip + ClockSlip)):
		return check.Failed, "the signer names a time in the future"
	}
	if err := holds(now); err != nil {
		return check.NotCheckable, err.Error() + " at present, and nothing proves that it was signed before"
	}
	return check.OK, m.String()
}

// RevokedLater applies the table's last row: what a revocation after the moment means.
func (m SigningTime) RevokedLater(since time.Time) (check.State, string) {
	reason := "revoked at " + formatTime(since)
	if m.Source == Stamped {
		return check.OK, reason + ", after it was signed"
	}
	return check.NotCheckable, reason + ", and nothing proves that it was signed before"
}

// StampedBefore applies RFC 3161 section 4 to a time-stamping authority whose certificate was revoked after the time of a
// token. Its tokens remain valid where the authority ceased to stamp in good order; where the key may have been lost, or no
// reason is given, all of them are invalid, because whoever has the key names any time.
func StampedBefore(since time.Time, why Reason) (check.State, string) {
	reason := "revoked at " + formatTime(since) + ": " + why.String()
	switch why {
	case AffiliationChanged, Superseded, CessationOfUse:
		return check.OK, reason + ", after the time stamp"
	}
	return check.Failed, reason + ": none of its time stamps counts any more (RFC 3161 section 4)"
}

// StampState sums up the verification of a time stamp: whether the time that it names counts. All of it must hold, because a token whose
// authority nobody vouches for says nothing about time. Only whether that authority's certificate was revoked may remain open. The step is
// the one that decided; it is zero when all of it holds, or nothing was checked.
func StampState(at time.Time, steps []check.Step) (state check.State, by check.Step) {
	state = check.OK
	if at.IsZero() || len(steps) == 0 {
		state = check.NotCheckable
	}
	for _, s := range steps {
		switch {
		case s.State == check.Failed:
			return check.Failed, s
		case s.State != check.OK && !strings.HasSuffix(s.Name, "revocation"):
			state, by = check.NotCheckable, s
		}
	}
	return state, by
}

// String says for which time something was judged.
func (m SigningTime) String() string {
	at := "valid at " + formatTime(m.At)
	switch m.Source {
	case Claimed:
		return at + ", the time that the signer claims"
	case Stamped:
		return at + ", when it had been signed"
	}
	return at
}

func formatTime(at time.Time) string { return at.UTC().Format(time.RFC3339) }

package pki_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"oncegate/certs/certstest"
	"oncegate/certs/pki"
	"oncegate/certs/sm"
	"oncegate/check"
)

// The table of [pki.SigningTime], cell by cell.
func TestSigningTime(t *testing.T) {
	const day = 24 * time.Hour
	now := certstest.Epoch
	const ok, open, fails = check.OK, check.NotCheckable, check.Failed
	period := func(from, to time.Time) func(time.Time) error {
		return func(at time.Time) error {
			switch {
			case at.Before(from):
				return fmt.Errorf("x: %w", pki.ErrNotYetValid)
			case at.After(to):
				return fmt.Errorf("x: %w", pki.ErrExpired)
			}
			return nil
		}
	}
	then := now.Add(-10 * day)
	end := now.Add(-day)
	always := func(err error) func(time.Time) error { return func(time.Time) error { return err } }
	for _, c := range []struct {
		name                                string
		holds                               func(time.Time) error
		unstated, claimed, stamped, present check.State
	}{
		{"valid then and now", period(then.Add(-day), now.Add(day)), ok, ok, ok, ok},
		{"expired since", period(then.Add(-day), now.Add(-day)), open, open, ok, fails},
		{"expired before", period(then.Add(-2*day), then.Add(-day)), open, fails, fails, fails},
		{"not valid yet then", period(then.Add(day), now.Add(day)), ok, fails, fails, ok},
		{"not valid yet now", period(now.Add(day), now.Add(2*day)), fails, fails, fails, fails},
		{"never", always(pki.ErrUnknownAnchor), fails, fails, fails, fails},
		{"expired since, and never led to an anchor", func(at time.Time) error {
			if at.After(end) {
				return pki.ErrExpired
			}
			return pki.ErrUnknownAnchor
		}, fails, fails, fails, fails},
		{"budget", always(fmt.Errorf("x: %w", sm.ErrBudget)), open, open, open, open},
		{"hung up", always(fmt.Errorf("x: %w", sm.ErrInterrupted)), open, open, open, open},
	} {
		for source, want := range map[pki.TimeSource]check.State{
			pki.Unstated: c.unstated, pki.Claimed: c.claimed, pki.Stamped: c.stamped, pki.Present: c.present,
		} {
			m := pki.SigningTime{At: then, Source: source}
			if source == pki.Unstated || source == pki.Present {
				m.At = now
			}
			if state, reason := m.Judge(now, end, c.holds); state != want || reason == "" {
				t.Errorf("%s, source %d: %s (%s), want %s", c.name, source, state, reason, want)
			}
		}
	}
	future := pki.SigningTime{At: now.Add(9 * time.Hour), Source: pki.Claimed}
	if state, _ := future.Judge(now, now.Add(day), period(then, now.Add(day))); state != fails {
		t.Errorf("a claimed time in the future is %s", state)
	}
	for source, want := range map[pki.TimeSource]check.State{pki.Claimed: open, pki.Stamped: ok} {
		if state, _ := (pki.SigningTime{At: then, Source: source}).RevokedLater(now.Add(-day)); state != want {
			t.Errorf("revoked since, source %d: %s, want %s", source, state, want)
		}
	}
}

// RFC 3161 section 4: which tokens outlive their authority's certificate.
func TestStampedBefore(t *testing.T) {
	for reason, want := range map[pki.Reason]check.State{
		pki.Superseded: check.OK, pki.CessationOfUse: check.OK, pki.AffiliationChanged: check.OK,
		pki.KeyCompromise: check.Failed, pki.CACompromise: check.Failed, pki.Unspecified: check.Failed, pki.OnHold: check.Failed,
	} {
		state, why := pki.StampedBefore(certstest.Epoch, reason)
		if state != want || !strings.Contains(why, reason.String()) {
			t.Errorf("%s: %s (%s), want %s", reason, state, why, want)
		}
	}
}

package revocation

import (
	"bytes"
	"time"

	"oncegate/certs/pki"
)

// Speaking returns what of the evidence speaks about a path (leaf first, anchor last) at a moment, to be kept with a
// document: for each certificate but the anchor every answer, and the newest list of at most 256 KiB. Evidence that does not
// hold, or not at that moment, is left out.
func (e *Evidence) Speaking(path []*pki.Certificate, at time.Time) *Evidence {
	out := &Evidence{Verify: e.Verify}
	for i := range max(0, len(path)-1) {
		for _, r := range e.Responses {
			if _, err := e.response(r, path[i], path[i+1], at); err == nil && r.speaksOf(path[i], path[i+1]) {
				_ = out.addBasic(r.Raw) // was read before; beyond the bounds less is kept
			}
		}
		if l := e.newest(path[i], path[i+1], at); l != nil {
			_ = out.addList(l.Raw)
		}
	}
	return out
}

// newest finds the list that speaks of a certificate last.
func (e *Evidence) newest(c, issuer *pki.Certificate, at time.Time) (best *List) {
	for _, l := range e.Lists {
		if len(l.Raw) > maxStapled || !bytes.Equal(l.issuer, c.RawIssuer) || best != nil && !l.This.After(best.This) {
			continue
		}
		if _, err := e.list(l, c, issuer, at); err == nil {
			best = l
		}
	}
	return best
}

// With returns the evidence together with another's, each item once, within the bounds of what travels.
func (e *Evidence) With(other *Evidence) *Evidence {
	out := &Evidence{Verify: e.Verify}
	for _, from := range []*Evidence{e, other} {
		for _, l := range from.Lists {
			_ = out.addList(l.Raw) // was read before; beyond the bounds less is kept
		}
		for _, r := range from.Responses {
			_ = out.addBasic(r.Raw)
		}
	}
	return out
}

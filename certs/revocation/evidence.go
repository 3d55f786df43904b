package revocation

import (
	"bytes"
	"context"
	"encoding/asn1"
	"fmt"
	"slices"
	"time"

	"oncegate/certs/der"
	"oncegate/certs/pki"
	"oncegate/certs/sm"
	"oncegate/check"
)

// Limits of evidence: it travels with every document, so that lists larger than maxStapled are left to be asked for.
const (
	MaxEvidence = 1 << 20
	maxItems    = 16 // lists, and answers
	maxStapled  = 256 << 10
)

// Evidence is revocation data kept with a signature (吊销证据), so that years later it verifies without network: what the
// authorities said when it was made. It is what they signed, unchanged, and trusted only as far as their signatures go.
// It is safe for concurrent reading.
type Evidence struct {
	Lists     []*List
	Responses []*Response
	// Verify checks signatures; nil means [sm.Verify].
	Verify sm.VerifyFunc
}

var _ Source = (*Evidence)(nil)

// revocationValues is RevocationValues of RFC 5126 section 6.3.4 (id-aa-ets-revocationValues, CAdES-X Long): what other
// people's tools call the same thing.
type revocationValues struct {
	Lists     []asn1.RawValue `asn1:"explicit,tag:0,optional,omitempty"`
	Responses []asn1.RawValue `asn1:"explicit,tag:1,optional,omitempty"`
}

// Marshal writes the evidence as one DER value: RevocationValues, RFC 5126.
func (e *Evidence) Marshal() ([]byte, error) {
	var v revocationValues
	for _, l := range e.Lists {
		v.Lists = append(v.Lists, asn1.RawValue{FullBytes: l.Raw})
	}
	for _, r := range e.Responses {
		v.Responses = append(v.Responses, asn1.RawValue{FullBytes: r.Raw})
	}
	der, err := asn1.Marshal(v)
	if err == nil && len(der) > MaxEvidence {
		err = fmt.Errorf("marshal revocation evidence: more than %d bytes", MaxEvidence)
	}
	return der, err
}

// ParseEvidence reads what Marshal wrote: at most 1 MiB, 16 lists and 16 answers. Other kinds of values are refused.
func ParseEvidence(raw []byte) (*Evidence, error) {
	if len(raw) > MaxEvidence {
		return nil, malformed("the evidence is larger than %d bytes", MaxEvidence)
	}
	in := der.Read(raw, ErrMalformed)
	values := in.Sequence(errForm)
	in.End(errForm)
	e := &Evidence{}
	for tag, add := range []func([]byte) error{e.addList, e.addBasic} {
		explicit, present := values.Optional(der.Explicit(uint8(tag)), errForm)
		if !present {
			continue
		}
		for list := explicit.Sequence(errForm); !list.Empty(); {
			if _, item := list.AnyElement(errForm); list.Err() == nil {
				list.FailWith(add(item))
			}
		}
	}
	if err := in.Err(); err != nil {
		return nil, err
	}
	if again, err := e.Marshal(); err != nil || !bytes.Equal(again, raw) {
		return nil, malformed("the evidence has unknown content")
	}
	return e, nil
}

func (e *Evidence) addList(raw []byte) error {
	l, err := ParseList(raw)
	if err != nil {
		return err
	}
	return e.AddList(l, maxItems)
}

// AddList takes a list that was read, each once; the error is ErrMalformed when there would be more than most.
func (e *Evidence) AddList(l *List, most int) error {
	if slices.ContainsFunc(e.Lists, func(o *List) bool { return bytes.Equal(o.Raw, l.Raw) }) {
		return nil
	}
	if len(e.Lists) >= most {
		return malformed("more than %d lists", most)
	}
	e.Lists = append(e.Lists, l)
	return nil
}

func (e *Evidence) addBasic(raw []byte) error {
	r, err := ParseBasic(raw)
	if err != nil {
		return err
	}
	return e.AddResponse(r, maxItems)
}

// AddResponse is AddList for an answer.
func (e *Evidence) AddResponse(r *Response, most int) error {
	if slices.ContainsFunc(e.Responses, func(o *Response) bool { return bytes.Equal(o.Raw, r.Raw) }) {
		return nil
	}
	if len(e.Responses) >= most {
		return malformed("more than %d answers", most)
	}
	e.Responses = append(e.Responses, r)
	return nil
}

// Status says what the evidence says, without network. Data of other authorities is passed over; among several that speak
// of the certificate a revocation counts most, also one after the moment asked about. ErrNoSource if none does, else the first
// reason why not. While a signature is [check.Undecided] nothing but a revocation is an answer: what was not looked at could be one.
func (e *Evidence) Status(ctx context.Context, c, issuer *pki.Certificate, at time.Time) (Status, error) {
	var best Status
	var undecided error
	err := error(ErrNoSource)
	take := func(s Status, failed error) {
		switch {
		case check.Undecided(failed):
			undecided = failed
		case failed != nil && err == ErrNoSource:
			err = failed
		case failed == nil && (best.State == "" || s.State == Revoked || best.State == Unknown && s.State == Good):
			best = s
		case best.State == Good && s.State == Good && best.Time.IsZero():
			best.Time, best.Reason = s.Time, s.Reason // an older list does not hide that a newer one knows of a later revocation
		}
	}
	for _, l := range e.Lists {
		if undecided != nil {
			break
		}
		if err := sm.Interrupted(ctx); err != nil {
			return Status{}, err
		}
		if bytes.Equal(l.issuer, c.RawIssuer) {
			take(e.list(l, c, issuer, at))
		}
	}
	for _, r := range e.Responses {
		if undecided != nil {
			break
		}
		if err := sm.Interrupted(ctx); err != nil {
			return Status{}, err
		}
		if r.isAbout(c, issuer) {
			take(e.response(r, c, issuer, at))
		}
	}
	switch {
	case undecided != nil && best.State != Revoked:
		return Status{}, undecided
	case best.State != "":
		return best, nil
	}
	return Status{}, err
}

func (e *Evidence) list(l *List, c, issuer *pki.Certificate, at time.Time) (Status, error) {
	if err := l.Verify(issuer, e.Verify); err != nil {
		return Status{}, err
	}
	return l.Status(c, at)
}

func (e *Evidence) response(r *Response, c, issuer *pki.Certificate, at time.Time) (Status, error) {
	responder, err := r.Verify(issuer, e.Verify)
	if err != nil {
		return Status{}, err
	}
	if responder != nil && !pki.NoCheck(responder) {
		if err := e.vouched(responder, issuer, r.Produced); err != nil {
			return Status{}, err
		}
	}
	return r.Status(c, issuer, at)
}

// vouched asks the lists whether a responder was not revoked when it answered: nil if one says so.
func (e *Evidence) vouched(responder, issuer *pki.Certificate, at time.Time) error {
	for _, l := range e.Lists {
		s, err := e.list(l, responder, issuer, at)
		if check.Undecided(err) {
			return err
		}
		if err == nil && s.State == Good {
			return nil
		}
	}
	return fmt.Errorf("%w: responder certificate has no ocsp-nocheck and no CRL covers it", ErrResponder)
}

// isAbout tells whether an answer is about the certificate.
func (r *Response) isAbout(c, issuer *pki.Certificate) bool {
	for range r.about(c, issuer) {
		return true
	}
	return false
}

// OIDRevocationValues names evidence where its DER ([Evidence.Marshal]) travels in something else: as an unsigned attribute
// of a CMS signer (RFC 5126 section 6.3.4), or as an extension of a seal's signature.
var OIDRevocationValues = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 24}

// Parts gives the evidence as a SignedData carries it in its field crls (RFC 5652 section 10.2.1, RFC 5940): lists, and
// answers as whole OCSPResponses.
func (e *Evidence) Parts() (lists, responses [][]byte, err error) {
	for _, l := range e.Lists {
		lists = append(lists, l.Raw)
	}
	for _, r := range e.Responses {
		der, err := wrapBasic(r.Raw)
		if err != nil {
			return nil, nil, err
		}
		responses = append(responses, der)
	}
	return lists, responses, nil
}

// Gather reads evidence from a SignedData: lists, and OCSPResponses. What is not ours to read, such as a list signed with
// RSA, or beyond the limits of evidence is passed over: what is missing shows as a step.
func Gather(lists, responses [][]byte) *Evidence {
	e := &Evidence{}
	size := 0
	for _, der := range lists {
		if size += len(der); size <= MaxList {
			_ = e.addList(der)
		}
	}
	for _, der := range responses[:min(len(responses), maxItems)] {
		if r, err := ParseResponse(der); err == nil {
			_ = e.addBasic(r.Raw)
		}
	}
	return e
}

// Relevant returns what of the evidence speaks about a path (leaf first, anchor last) at a moment, to be kept with a
// document: for each certificate but the anchor every answer, and the newest list of at most 256 KiB. Evidence that does not
// hold, or not at that moment, is left out.
func (e *Evidence) Relevant(path []*pki.Certificate, at time.Time) *Evidence {
	out := &Evidence{Verify: e.Verify}
	for i := range max(0, len(path)-1) {
		for _, r := range e.Responses {
			if _, err := e.response(r, path[i], path[i+1], at); err == nil && r.isAbout(path[i], path[i+1]) {
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

package gateway

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/go-json-experiment/json"

	"oncegate/audit"
	"oncegate/cases"
	"oncegate/certs/jws"
	"oncegate/certs/sm"
	"oncegate/certs/token"
	"oncegate/license"
)

// AssertionType is the typ of a signed identity assertion.
const AssertionType = "oncegate-assertion+jwt"

// An Assertion is what an identity service signs on a holder's behalf: that this holder agrees to this, for this system,
// until then. It is bound to everything it is used for, so that it is good for nothing else, and it is used once.
type Assertion struct {
	Issuer    string           `json:"iss"`               // an identity service that the configuration trusts
	Audience  string           `json:"aud"`               // gateway id
	For       string           `json:"for"`               // "consent", "withdrawal", "case" or "precheck"
	Reference string           `json:"ref"`               // consent id, case number or matter
	Holder    license.HolderID `json:"holder"`            //
	System    string           `json:"sys"`               // the system that may use it
	Types     []string         `json:"types,omitempty"`   // license types, for a consent or pre-check
	Matters   []string         `json:"matters,omitempty"` // matters, for a consent
	IssuedAt  int64            `json:"iat"`
	Expires   int64            `json:"exp"`
}

// assertion is what an assertion must say to be good for a call.
type assertion struct {
	For, Reference string
	Holder         license.HolderID
	System         string
}

// Why an assertion is good for nothing. Only evidence shows which.
var (
	errAssertion    = errors.New("the assertion is malformed, expired, or for something else")
	errAssertionOld = errors.New("the assertion was signed too long ago")
)

// asserted verifies a signed assertion against what it must say. None is good for
// longer than the configuration lets assertions live, whatever it says itself.
func (g *Gateway) asserted(c *call, compact string, want assertion) (Assertion, error) {
	a, err := g.readAssertion(c, compact)
	if err == nil && want != (assertion{a.For, a.Reference, a.Holder.Normal(), a.System}) {
		err = errAssertion
	}
	return a, err
}

// readAssertion verifies an assertion, for whatever it is.
func (g *Gateway) readAssertion(c *call, compact string) (Assertion, error) {
	var a Assertion
	parts, err := jws.Split(compact, token.MaxSize)
	if err != nil || parts.Header.Typ != AssertionType {
		return a, errAssertion
	}
	if err := json.UnmarshalRead(bytes.NewReader(parts.Payload), &a, json.RejectUnknownMembers(true)); err != nil {
		return a, errAssertion
	}
	by, ok := c.config.Assertions[a.Issuer]
	if !ok || parts.Header.Kid != a.Issuer {
		return a, errors.New("the assertion's issuer is not trusted")
	}
	if err := parts.Verify(by.Key.Public, g.VerifySM2); err != nil {
		return a, errors.New("the assertion's signature does not verify")
	}
	now, skew, life := c.now.Unix(), int64(token.Skew/time.Second), int64(c.config.assertionLife()/time.Second)
	switch {
	case a.Audience != g.Audience, a.IssuedAt > now+skew, a.Expires <= now:
		return a, errAssertion
	case a.IssuedAt <= now-life:
		return a, errAssertionOld
	case !by.Key.NotAfter.IsZero() && c.now.After(by.Key.NotAfter), c.now.Before(by.Key.NotBefore):
		return a, errors.New("the identity service's certificate is not valid now")
	}
	return a, nil
}

// until is when an assertion is good for nothing any more.
func (a Assertion) until(life time.Duration) time.Time {
	return unix(min(a.Expires, a.IssuedAt+int64(life/time.Second)))
}

// unspent refuses an assertion that was used or withdrawn, with the use that says of whom.
func (g *Gateway) unspent(ctx context.Context, compact string, uses ...audit.DraftUse) error {
	_, err := g.Cases.Consent(ctx, cases.SpentID(sm.DigestB64([]byte(compact))))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	return refuse("assertion-spent").with(denied(uses)...)
}

// spend is the change that uses an assertion up, or withdraws it: it commits with what the assertion is good for, once.
func (g *Gateway) spend(c *call, compact string, a Assertion) cases.Give {
	return cases.Give{Consent: cases.Spent(sm.DigestB64([]byte(compact)), c.system.ID, a.until(c.config.assertionLife()), c.now), R: g.blinding()}
}

// withdrawAssertion ends an assertion that was not used yet (POST /v1/consents/assertion.{SM3}/withdraw). The system for which it was made
// brings it, as it withdraws a consent that was given to it.
func (g *Gateway) withdrawAssertion(c *call, compact string) (*result, error) {
	a, err := g.readAssertion(c, compact)
	if err == nil && a.System != c.system.ID {
		err = errAssertion
	}
	if err != nil {
		return nil, refuse("assertion-invalid").because(inside("assertion", err))
	}
	c.names(a.Holder.Normal())
	spent := g.spend(c, compact, a)
	return &result{answer: g.consentAnswer(c, spent.Consent), uses: []audit.DraftUse{aboutHolder(a.Holder.Normal(), "", outcomeNoted)}, changes: []any{spent}}, nil
}

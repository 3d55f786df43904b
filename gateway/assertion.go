package gateway

import (
	"bytes"
	"errors"
	"time"

	"github.com/go-json-experiment/json"

	"oncegate/certs/jws"
	"oncegate/certs/sm"
	"oncegate/certs/token"
	"oncegate/license"
)

// AssertionType is the typ of a signed identity assertion.
const AssertionType = "oncegate-assertion+jwt"

// An Assertion is what an identity service signs on a holder's behalf: that this holder agrees to this, for this system,
// until then. It is bound to everything it is used for, so that it is good for nothing else.
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

var errAssertion = errors.New("the assertion is malformed, expired, or for something else")

// asserted verifies a signed assertion against what it must say.
func (r *running) asserted(compact string, want assertion, audience string, verify sm.VerifyFunc, now time.Time) (Assertion, error) {
	var a Assertion
	parts, err := jws.Split(compact, token.MaxSize)
	if err != nil || parts.Header.Typ != AssertionType {
		return a, errAssertion
	}
	if err := json.UnmarshalRead(bytes.NewReader(parts.Payload), &a, json.RejectUnknownMembers(true)); err != nil {
		return a, errAssertion
	}
	by, ok := r.Assertions[a.Issuer]
	if !ok || parts.Header.Kid != a.Issuer {
		return a, errors.New("the assertion's issuer is not trusted")
	}
	if err := parts.Verify(by.Key.Public, verify); err != nil {
		return a, errors.New("the assertion's signature does not verify")
	}
	got := assertion{a.For, a.Reference, a.Holder.Normal(), a.System}
	skew := int64(token.Skew / time.Second)
	switch {
	case got != want, a.Audience != audience:
		return a, errAssertion
	case a.IssuedAt > now.Unix()+skew, a.Expires <= now.Unix():
		return a, errAssertion
	case !by.Key.NotAfter.IsZero() && now.After(by.Key.NotAfter), now.Before(by.Key.NotBefore):
		return a, errors.New("the identity service's certificate is not valid now")
	}
	return a, nil
}

package gateway

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"net/http"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/cases"
	"oncegate/certs/jws"
	"oncegate/certs/sm"
	"oncegate/certs/token"
	"oncegate/license"
)

// giveConsent registers a holder's consent (POST /v1/consents), evidenced by an assertion of the same content, or by the holder, whom an
// identity service proves, giving it in the call. It is idempotent: the same consent again, under whatever evidence, is answered alike.
func (g *Gateway) giveConsent(ctx context.Context, c *call, q api.ConsentRequest) (*result, error) {
	given := cases.Consent{
		ID: q.ID, Holder: license.HolderID{Type: q.Holder.Type, Code: q.Holder.Code}.Normal(), System: c.system.ID,
		Types: slices.Sorted(slices.Values(q.Types)), Matters: slices.Sorted(slices.Values(q.Matters)), Expires: q.Expires.Time,
		Evidence: cases.EvidenceIdentity, Digest: sm.DigestB64([]byte(q.Assertion)), Given: c.now,
	}
	if q.Assertion == "" {
		given.Evidence, given.Digest = cases.EvidenceSession, sm.DigestB64([]byte(q.ID))
	}
	if namesPerson(given.ID, license.DateOf(c.now)) {
		return nil, refuse("invalid-field").pointingAt("/id", "contains a resident id number; choose another id")
	}
	if err := cases.CheckConsent(c.config.Book, c.config.Catalogue, given, c.now, c.config.consentLife()); err != nil {
		return nil, refuseFlaws("invalid-field", err)
	}
	c.nameParties(given.Holder)
	var asserted Assertion
	if q.Assertion == "" {
		if err := c.holderConsents(given.Holder, holderUse(given.Holder, "", outcomeDenied)); err != nil {
			return nil, err
		}
	} else {
		var err error
		if asserted, err = g.consentAsserted(c, q.Assertion, given); err != nil {
			return nil, refuse("assertion-invalid").withUses(holderUse(given.Holder, "", outcomeDenied)).withReasons(evidenceReason("assertion", err))
		}
	}
	existing, err := g.Cases.Consent(ctx, given.ID)
	use := holderUse(given.Holder, "", outcomeNoted)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		changes := []any{cases.Give{Consent: given, R: g.blinding()}}
		if q.Assertion != "" {
			if err := g.checkUnspent(ctx, q.Assertion, use); err != nil {
				return nil, err
			}
			changes = append(changes, g.spendAssertion(c, q.Assertion, asserted))
		}
		return &result{status: http.StatusCreated, answer: g.consentAnswer(c, given), uses: []audit.Use{use}, changes: changes}, nil
	case err != nil:
		return nil, err
	case existing.System != c.system.ID || !sameConsent(existing, given):
		return nil, refuse("consent-exists").withUses(holderUse(given.Holder, "", outcomeDenied))
	case !existing.Withdrawn.IsZero():
		return nil, refuse("consent-withdrawn").withUses(holderUse(given.Holder, "", outcomeDenied))
	}
	return &result{answer: g.consentAnswer(c, existing), uses: []audit.Use{use}}, nil
}

// consentAsserted verifies that a trusted identity service asserts exactly the consent that is to be registered.
func (g *Gateway) consentAsserted(c *call, compact string, given cases.Consent) (Assertion, error) {
	asserted, err := g.verifyAssertion(c, compact, assertionBinding{"consent", given.ID, given.Holder, c.system.ID})
	if err == nil && (!sameSet(asserted.Types, given.Types) || !sameSet(asserted.Matters, given.Matters) || asserted.Expires < given.Expires.Unix()) {
		return asserted, errAssertion
	}
	return asserted, err
}

func sameConsent(a, b cases.Consent) bool {
	return a.Holder.Normal() == b.Holder.Normal() && sameSet(a.Types, b.Types) && sameSet(a.Matters, b.Matters) && a.Expires.Equal(b.Expires)
}

// sameSet compares lists regardless of order.
func sameSet(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// withdrawConsent ends a consent, or an unused assertion, at once (POST /v1/consents/{id}/withdraw). The system that it was
// given to withdraws it, or the holder, whom an identity service proves, through any system, or somebody so proven whom the holder's license
// names; an assertion in the request must verify.
func (g *Gateway) withdrawConsent(ctx context.Context, c *call, q api.WithdrawRequest) (*result, error) {
	id := c.path("id")
	existing, err := g.Cases.Consent(ctx, id)
	if err == nil { // an unknown id may hold anything
		c.note(map[string]string{"consent": id})
	}
	itself := q.Assertion != "" && id == cases.SpentID(sm.DigestB64([]byte(q.Assertion)))
	switch {
	case errors.Is(err, fs.ErrNotExist) && itself:
		return g.withdrawAssertion(c, q.Assertion)
	case errors.Is(err, fs.ErrNotExist):
		return nil, refuse("consent-not-usable").withReasons(ofCase("consent-unknown"))
	case err != nil:
		return nil, err
	}
	uses := []audit.Use{holderUse(existing.Holder.Normal(), "", outcomeNoted)}
	switch person, proven := c.actingHolder(); {
	case q.As != "" && q.Assertion != "":
		return nil, refuse("invalid-field").pointingAt("/as", "either an assertion, or a person who stands for the holder")
	case q.As != "" && !proven:
		return nil, refuse("holder-not-proven").withUses(deniedUses(uses)...)
	case q.As != "":
		if uses, err = g.standsForConsent(ctx, c, existing, person, q.As, uses[0]); err != nil {
			return nil, err
		}
	case proven && !itself && person != existing.Holder.Normal():
		return nil, refuse("consent-not-usable").withReasons(ofCase(cases.ConsentOtherHolder))
	case (itself || !proven) && existing.System != c.system.ID:
		return nil, refuse("consent-not-usable").withReasons(ofCase(cases.ConsentOtherSystem))
	}
	if q.Assertion != "" && !itself {
		want := assertionBinding{"withdrawal", id, existing.Holder.Normal(), c.system.ID}
		if _, err := g.verifyAssertion(c, q.Assertion, want); err != nil {
			return nil, refuse("assertion-invalid").withUses(deniedUses(uses)...).withReasons(evidenceReason("assertion", err))
		}
	}
	if !existing.Withdrawn.IsZero() {
		return &result{answer: g.consentAnswer(c, existing), uses: uses}, nil
	}
	existing.Withdrawn = c.now
	return &result{answer: g.consentAnswer(c, existing), uses: uses, changes: []any{cases.Withdraw{ID: existing.ID, At: c.now}}}, nil
}

// standsForConsent makes sure that the holder's license names who withdraws. Whom it does not name is told what is said of a consent that there
// is not.
func (g *Gateway) standsForConsent(ctx context.Context, c *call, existing cases.Consent, person license.HolderID, as string, use audit.Use) ([]audit.Use, error) {
	holder := existing.Holder.Normal()
	c.nameParties(holder)
	uses, err := g.confirmStanding(ctx, c, holder, person, as, use)
	if refused, ok := errors.AsType[*refusal](err); ok && refused.problem.Code == "holder-not-represented" {
		return nil, refuse("consent-not-usable").withUses(refused.uses...).withReasons(refused.reasons)
	}
	return uses, err
}

// holderConsents makes sure that who acts is the holder, so that what the person asks for in the call is the holder's consent to it. Staff who
// are proven, a system's own word, and every other holder give no such consent. denied is the record entry of a refusal.
func (c *call) holderConsents(holder license.HolderID, denied audit.Use) error {
	switch person, proven := c.actingHolder(); {
	case !proven:
		return refuse("holder-not-proven").withUses(denied)
	case person != holder:
		return refuse("holder-not-represented").withUses(denied).withReasons(ofCase("holder-is-somebody-else"))
	}
	c.note(map[string]string{"evidence": cases.EvidenceSession})
	return nil
}

// maxConsents bounds a list of consents, as the contract does.
const maxConsents = 200

// listConsents lists a holder's consents to any system, newest first (POST /v1/consents/list).
func (g *Gateway) listConsents(ctx context.Context, c *call, q api.ConsentsRequest) (*result, error) {
	holder := license.HolderID{Type: q.Holder.Type, Code: q.Holder.Code}.Normal()
	uses, err := g.asksAsHolder(ctx, c, holder, q.As, outcomeTold)
	if err != nil {
		return nil, err
	}
	all, err := g.Cases.Consents(ctx, holder, "")
	if err != nil {
		return nil, err
	}
	answer := api.ConsentsAnswer{Consents: []api.GivenConsent{}}
	for _, k := range all[:min(len(all), maxConsents)] {
		k = k.Within(c.config.consentLife())
		by := c.config.Systems[k.System]
		one := api.GivenConsent{
			ID: k.ID, System: k.System, SystemName: by.Name, DepartmentName: c.config.Departments[by.Department], Types: notNil(k.Types), Matters: k.Matters,
			Given: api.At(k.Given), Expires: api.At(k.Expires),
		}
		if !k.Withdrawn.IsZero() {
			one.Withdrawn = api.At(k.Withdrawn)
		}
		answer.Consents = append(answer.Consents, one)
	}
	return &result{answer: answer, uses: uses}, nil
}

func (g *Gateway) consentAnswer(c *call, k cases.Consent) api.ConsentAnswer {
	a := api.ConsentAnswer{
		ID: k.ID, Types: notNil(k.Types), Matters: k.Matters, Expires: api.At(k.Expires),
	}
	if !k.Withdrawn.IsZero() {
		a.Withdrawn = api.At(k.Withdrawn)
	}
	return a
}

// AssertionType is the typ of a signed identity assertion.
const AssertionType = "oncegate-assertion+jwt"

// An Assertion is a signed identity assertion: an identity service states that a holder agrees to one thing, for one system, until
// it expires. It is bound to all of that, and it is used once.
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

// An assertionBinding is what an assertion must be bound to for a call.
type assertionBinding struct {
	For, Reference string
	Holder         license.HolderID
	System         string
}

// Why an assertion is not accepted. Only the sealed evidence shows which.
var (
	errAssertion    = errors.New("assertion is malformed, expired, or bound to something else")
	errAssertionOld = errors.New("assertion was signed longer ago than the configured life")
)

// verifyAssertion verifies an assertion and its binding. Its life is bounded by the configuration, whatever expiry it states.
func (g *Gateway) verifyAssertion(c *call, compact string, want assertionBinding) (Assertion, error) {
	a, err := g.readAssertion(c, compact)
	if err == nil && want != (assertionBinding{a.For, a.Reference, a.Holder.Normal(), a.System}) {
		err = errAssertion
	}
	return a, err
}

// readAssertion verifies signature, audience and times of an assertion.
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
		return a, errors.New("assertion's issuer is not a configured identity service")
	}
	if err := parts.Verify(by.Key.Public, g.VerifySM2); err != nil {
		return a, errors.New("assertion's signature does not verify")
	}
	now, skew, life := c.now.Unix(), int64(token.Skew/time.Second), int64(c.config.assertionLife()/time.Second)
	switch {
	case a.Audience != g.Audience, a.IssuedAt > now+skew, a.Expires <= now:
		return a, errAssertion
	case a.IssuedAt <= now-life:
		return a, errAssertionOld
	case !by.Key.NotAfter.IsZero() && c.now.After(by.Key.NotAfter), c.now.Before(by.Key.NotBefore):
		return a, errors.New("certificate of the identity service is not valid now")
	}
	return a, nil
}

// until is when an assertion expires.
func (a Assertion) until(life time.Duration) time.Time {
	return unix(min(a.Expires, a.IssuedAt+int64(life/time.Second)))
}

// checkUnspent refuses an assertion that was used or withdrawn.
func (g *Gateway) checkUnspent(ctx context.Context, compact string, uses ...audit.Use) error {
	_, err := g.Cases.Consent(ctx, cases.SpentID(sm.DigestB64([]byte(compact))))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	return refuse("assertion-spent").withUses(deniedUses(uses)...)
}

// spendAssertion is the change that uses an assertion up, or withdraws it. It commits with the record, once.
func (g *Gateway) spendAssertion(c *call, compact string, a Assertion) cases.Give {
	return cases.Give{Consent: cases.Spent(sm.DigestB64([]byte(compact)), c.system.ID, a.until(c.config.assertionLife()), c.now), R: g.blinding()}
}

// withdrawAssertion ends an unused assertion (POST /v1/consents/assertion.{SM3}/withdraw). The system that it is bound to sends it.
func (g *Gateway) withdrawAssertion(c *call, compact string) (*result, error) {
	a, err := g.readAssertion(c, compact)
	if err == nil && a.System != c.system.ID {
		err = errAssertion
	}
	if err != nil {
		return nil, refuse("assertion-invalid").withReasons(evidenceReason("assertion", err))
	}
	c.nameParties(a.Holder.Normal())
	spent := g.spendAssertion(c, compact, a)
	return &result{answer: g.consentAnswer(c, spent.Consent), uses: []audit.Use{holderUse(a.Holder.Normal(), "", outcomeNoted)}, changes: []any{spent}}, nil
}

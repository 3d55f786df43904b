package gateway

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"slices"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/cases"
	"oncegate/certs/sm"
	"oncegate/license"
)

// giveConsent registers a holder's consent (POST /v1/consents), evidenced by an assertion that says the same. The same
// consent again, under whatever assertion, is the same consent.
func (g *Gateway) giveConsent(ctx context.Context, c *call, q api.ConsentRequest) (*result, error) {
	given := cases.Consent{
		ID: q.ID, Holder: license.HolderID{Type: q.Holder.Type, Code: q.Holder.Code}.Normal(), System: c.system.ID,
		Types: slices.Sorted(slices.Values(q.Types)), Matters: slices.Sorted(slices.Values(q.Matters)), Expires: q.Expires.Time,
		Evidence: cases.EvidenceIdentity, Digest: sm.DigestB64([]byte(q.Assertion)), Given: c.now,
	}
	if namesPerson(given.ID, license.DateOf(c.now)) {
		return nil, refuse("invalid-field").at("/id", "holds the number of a person")
	}
	if err := cases.CheckConsent(c.config.Book, c.config.Catalogue, given, c.now, c.config.consentLife()); err != nil {
		return nil, flawed("invalid-field", err)
	}
	c.names(given.Holder)
	said, err := g.consentAsserted(c, q.Assertion, given)
	if err != nil {
		return nil, refuse("assertion-invalid").with(aboutHolder(given.Holder, "", outcomeDenied)).because(inside("assertion", err))
	}
	standing, err := g.Cases.Consent(ctx, given.ID)
	use := aboutHolder(given.Holder, "", outcomeNoted)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := g.unspent(ctx, q.Assertion, use); err != nil {
			return nil, err
		}
		changes := []any{cases.Give{Consent: given, R: g.blinding()}, g.spend(c, q.Assertion, said)}
		return &result{status: http.StatusCreated, answer: g.consentAnswer(c, given), uses: []audit.DraftUse{use}, changes: changes}, nil
	case err != nil:
		return nil, err
	case standing.System != c.system.ID || !sameConsent(standing, given):
		return nil, refuse("consent-exists").with(aboutHolder(given.Holder, "", outcomeDenied))
	case !standing.Withdrawn.IsZero():
		return nil, refuse("consent-withdrawn").with(aboutHolder(given.Holder, "", outcomeDenied))
	}
	return &result{answer: g.consentAnswer(c, standing), uses: []audit.DraftUse{use}}, nil
}

// consentAsserted checks that somebody trusted says what is to be registered, no more and no less.
func (g *Gateway) consentAsserted(c *call, compact string, given cases.Consent) (Assertion, error) {
	said, err := g.asserted(c, compact, assertion{"consent", given.ID, given.Holder, c.system.ID})
	if err == nil && (!sameWords(said.Types, given.Types) || !sameWords(said.Matters, given.Matters) || said.Expires < given.Expires.Unix()) {
		return said, errAssertion
	}
	return said, err
}

func sameConsent(a, b cases.Consent) bool {
	return a.Holder.Normal() == b.Holder.Normal() && sameWords(a.Types, b.Types) && sameWords(a.Matters, b.Matters) && a.Expires.Equal(b.Expires)
}

// sameWords compares lists regardless of order.
func sameWords(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// withdrawConsent ends a consent, or an assertion that was not used yet, at once (POST /v1/consents/{id}/withdraw). The system it was given
// to says so; an assertion that comes along must hold.
func (g *Gateway) withdrawConsent(ctx context.Context, c *call, q api.WithdrawRequest) (*result, error) {
	id := c.path("id")
	standing, err := g.Cases.Consent(ctx, id)
	if err == nil { // an unknown id may be anything
		c.note(map[string]string{"consent": id})
	}
	itself := q.Assertion != "" && id == cases.SpentID(sm.DigestB64([]byte(q.Assertion)))
	switch {
	case errors.Is(err, fs.ErrNotExist) && itself:
		return g.withdrawAssertion(c, q.Assertion)
	case errors.Is(err, fs.ErrNotExist):
		return nil, refuse("consent-not-usable").because(ofCase("consent-unknown"))
	case err != nil:
		return nil, err
	case standing.System != c.system.ID:
		return nil, refuse("consent-not-usable").because(ofCase(cases.ConsentOtherSystem))
	}
	uses := []audit.DraftUse{aboutHolder(standing.Holder.Normal(), "", outcomeNoted)}
	if q.Assertion != "" && !itself {
		want := assertion{"withdrawal", id, standing.Holder.Normal(), c.system.ID}
		if _, err := g.asserted(c, q.Assertion, want); err != nil {
			return nil, refuse("assertion-invalid").with(denied(uses)...).because(inside("assertion", err))
		}
	}
	if !standing.Withdrawn.IsZero() {
		return &result{answer: g.consentAnswer(c, standing), uses: uses}, nil
	}
	standing.Withdrawn = c.now
	return &result{answer: g.consentAnswer(c, standing), uses: uses, changes: []any{cases.Withdraw{ID: standing.ID, At: c.now}}}, nil
}

func (g *Gateway) consentAnswer(c *call, k cases.Consent) api.ConsentAnswer {
	a := api.ConsentAnswer{
		Nonce: g.nonce(), Time: api.At(c.now), Operation: c.row.ID, ID: k.ID, Types: notNil(k.Types), Matters: k.Matters, Expires: api.At(k.Expires),
	}
	if !k.Withdrawn.IsZero() {
		a.Withdrawn = api.At(k.Withdrawn)
	}
	return a
}

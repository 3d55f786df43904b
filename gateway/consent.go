package gateway

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"slices"

	"oncegate/api"
	"oncegate/cases"
	"oncegate/certs/sm"
	"oncegate/license"
)

// giveConsent registers a holder's consent (POST /v1/consents), evidenced by an assertion that says the same.
func (g *Gateway) giveConsent(ctx context.Context, c *call, q api.ConsentRequest) (*result, error) {
	given := cases.Consent{
		ID: q.ID, Holder: license.HolderID{Type: q.Holder.Type, Code: q.Holder.Code}.Normal(), System: c.system.ID,
		Types: slices.Sorted(slices.Values(q.Types)), Matters: slices.Sorted(slices.Values(q.Matters)), Expires: q.Expires.Time,
		Evidence: cases.EvidenceIdentity, Digest: sm.DigestB64([]byte(q.Assertion)), Given: c.now,
	}
	if err := cases.CheckConsent(c.config.Book, c.config.Catalogue, given, c.now); err != nil {
		return nil, flawed("invalid-field", err)
	}
	said, err := c.config.asserted(q.Assertion, assertion{"consent", given.ID, given.Holder, c.system.ID}, g.Audience, g.VerifySM2, c.now)
	if err != nil {
		return nil, refuse("assertion-invalid").because(inside("assertion", err))
	}
	if !sameWords(said.Types, given.Types) || !sameWords(said.Matters, given.Matters) || said.Expires < given.Expires.Unix() {
		return nil, refuse("assertion-invalid").because(inside("assertion", errAssertion))
	}
	standing, err := g.Cases.Consent(ctx, given.ID)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &result{status: http.StatusCreated, answer: g.consentAnswer(c, given), changes: []any{cases.Give{Consent: given}}}, nil
	case err != nil:
		return nil, err
	case standing.System != c.system.ID || standing.Digest != given.Digest:
		return nil, refuse("consent-exists")
	case !standing.Withdrawn.IsZero():
		return nil, refuse("consent-withdrawn")
	}
	return &result{answer: g.consentAnswer(c, standing)}, nil
}

// sameWords compares lists regardless of order.
func sameWords(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// withdrawConsent ends a consent at once (POST /v1/consents/{id}/withdraw).
func (g *Gateway) withdrawConsent(ctx context.Context, c *call, _ api.WithdrawRequest) (*result, error) {
	standing, err := g.Cases.Consent(ctx, c.path("id"))
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && standing.System != c.system.ID:
		return nil, refuse("consent-not-usable")
	case err != nil:
		return nil, err
	case !standing.Withdrawn.IsZero():
		return &result{answer: g.consentAnswer(c, standing)}, nil
	}
	standing.Withdrawn = c.now
	return &result{answer: g.consentAnswer(c, standing), changes: []any{cases.Withdraw{ID: standing.ID, At: c.now}}}, nil
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

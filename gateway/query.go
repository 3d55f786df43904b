package gateway

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strconv"

	"oncegate/api"
	"oncegate/cases"
	"oncegate/license"
	"oncegate/policy"
)

// query answers one question about one holder's licenses (POST /v1/licenses/query).
func (g *Gateway) query(ctx context.Context, c *call, q api.QueryRequest) (*result, error) {
	n, err := g.queried(ctx, c, q)
	if err != nil {
		return nil, err
	}
	if err := g.settle(ctx, c, []*need{n}); err != nil {
		return nil, err
	}
	if err := n.refused(c); err != nil {
		return nil, err
	}
	n.released(n.compares...)
	work := g.newWork(c)
	answer := api.QueryAnswer{
		Nonce: g.nonce(), Time: api.At(c.now), Operation: c.row.ID,
		Decision: decided(n.decision), Found: api.FoundNotFound, Licenses: []api.License{},
	}
	if answer.Licenses, err = work.release(ctx, n); err != nil {
		return nil, err
	}
	if len(answer.Licenses) > 0 {
		answer.Found, n.outcome = api.FoundFound, outcomeRelease
	} else {
		n.outcome = outcomeMissing
		answer.Source, answer.Freshness, answer.AsOf = n.finding.Source, c.config.freshness(n.finding), api.At(n.finding.AsOf)
	}
	return work.result(ctx, answer, []*need{n}), nil
}

// queried turns the question into a need, or refuses what is wrong with it.
func (g *Gateway) queried(ctx context.Context, c *call, q api.QueryRequest) (*need, error) {
	holder := license.HolderID{Type: q.Holder.Type, Code: q.Holder.Code}.Normal()
	if err := checkHolder(c, holder, "/holder"); err != nil {
		return nil, err
	}
	c.names(holder)
	t, ok := c.config.Catalogue.Type(q.LicenseType)
	if !ok {
		return nil, refuse("unknown-license-type").at("/license_type", "no such type in the catalogue")
	}
	for i, field := range q.Fields {
		if m, _ := license.FindMetadatum(field); m.Always || !hasField(t, field) {
			return nil, refuse("unknown-license-field").at("/fields/"+strconv.Itoa(i), "the type has no such field")
		}
	}
	n := &need{
		ask:  license.Question{Type: t.ID, Holder: holder, Number: q.Number},
		form: q.Form,
		question: policy.Question{
			Operation: c.row.right, System: c.system.ID, Department: c.system.Department, LicenseType: t.ID,
			Provider: c.config.provider(t.ID), Role: cases.Applicant, Fields: slices.Clone(q.Fields), Purpose: policy.Answer, Now: c.now,
		},
	}
	if q.Number != "" { // whoever asks for one number after the other reads it: comparing is a release (design law 3)
		n.compares = []string{license.FieldNumber}
	}
	if err := g.purpose(ctx, c, n, q.Purpose); err != nil {
		return nil, err
	}
	return n, g.cited(ctx, c, n, q.Consent)
}

// hasField reports whether a license of the type can say something under this name.
func hasField(t license.Type, name string) bool { _, ok := t.Field(name); return ok }

func checkHolder(c *call, holder license.HolderID, pointer string) error {
	if _, ok := c.config.Catalogue.CodeType(holder.Type); !ok {
		return refuse("holder-type-unknown").at(pointer+"/type", "no such holder code type in the catalogue")
	}
	if err := c.config.Catalogue.CheckHolder(holder); err != nil {
		return refuse("holder-code-invalid").at(pointer+"/code", reasonCode(err))
	}
	return nil
}

// cited loads the consent that the caller names. It must cover the question; a wrong one is refused, not ignored.
func (g *Gateway) cited(ctx context.Context, c *call, n *need, id string) error {
	if id == "" {
		return nil
	}
	given, err := g.Cases.Consent(ctx, id)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil {
		err = given.Within(c.config.consentLife()).Covers(n.asked(c), n.ask.Type, c.now)
	}
	if err != nil {
		return n.consentRefused(c, err)
	}
	n.question.Consent, n.consent = true, id
	return nil
}

// consentRefused is one answer whatever is wrong with a consent, or whether there is one at all.
func (n *need) consentRefused(c *call, err error) *refusal {
	code := "consent-unknown"
	if !errors.Is(err, fs.ErrNotExist) {
		code = reasonCode(err)
	}
	n.outcome = outcomeDenied
	return refuse("consent-not-usable").with(c.usesOf(n)...).because([]api.Reason{reason(code)})
}

// refused turns what settle found into the refusal the caller may see; nil if the need is answered.
func (n *need) refused(c *call) error {
	switch {
	case !n.decision.Allow:
		return n.notPermitted(c)
	case errors.Is(n.role, cases.RoleUnavailable):
		return n.unavailable(c, n.confirm.finding)
	case n.role != nil:
		return n.unconfirmed(c)
	case n.finding.State == license.IsUnavailable:
		return n.unavailable(c, n.finding)
	}
	return nil
}

// notPermitted tells a caller who may know the case, or needs none, why the rules refuse.
func (n *need) notPermitted(c *call) *refusal {
	n.outcome = outcomeDenied
	return refuse(n.denial()).with(c.usesOf(n)...).because(ofPolicy(n.decision.Reasons)).saying(sentences(n.decision.Reasons))
}

func (n *need) unavailable(c *call, f license.Finding) *refusal {
	n.outcome = outcomeUnavailable
	if errors.Is(f.Err, license.ErrCannotAsk) || errors.Is(f.Err, errNoSource) {
		n.outcome = outcomeDenied
	}
	return unanswered(f.Err, "/holder").with(c.usesOf(n)...)
}

// denial is the code of a refused decision: the nearest cause that the caller can do something about.
func (n *need) denial() string {
	reasons := n.decision.Reasons
	has := func(code string) bool {
		return slices.ContainsFunc(reasons, func(r policy.Reason) bool { return r.Code == code })
	}
	only := func(codes ...string) bool {
		return !slices.ContainsFunc(reasons, func(r policy.Reason) bool { return !slices.Contains(codes, r.Code) })
	}
	switch {
	case len(reasons) == 0:
		return "not-permitted"
	case only(policy.FieldNotGranted, policy.FieldWithheld):
		return "fields-not-granted"
	case has(policy.ConsentMissing) && only(policy.NoGrant, policy.ConsentMissing, policy.FieldNotGranted, policy.FieldWithheld):
		return "consent-missing"
	case n.question.Basis != policy.ByCase && has(policy.BasisNotGranted) && only(policy.NoGrant, policy.BasisNotGranted):
		return "basis-unknown"
	}
	return "not-permitted"
}

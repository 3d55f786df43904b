package gateway

import (
	"cmp"
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
	u, err := g.queried(ctx, c, q)
	if err != nil {
		return nil, err
	}
	if err := g.resolve(ctx, c, []*licenseUse{u}); err != nil {
		return nil, err
	}
	if err := u.refusalFor(c); err != nil {
		return nil, err
	}
	u.released(u.compares...)
	a := g.newAttempt(c)
	answer := api.QueryAnswer{
		Decision: decided(u.decision), Found: api.FoundNotFound, Licenses: []api.License{},
	}
	if answer.Licenses, err = a.release(ctx, u); err != nil {
		return nil, err
	}
	if len(answer.Licenses) > 0 {
		answer.Found, u.outcome = api.FoundFound, outcomeRelease
	} else {
		u.outcome = outcomeMissing
		answer.Source, answer.Freshness, answer.AsOf = u.finding.Source, c.config.freshness(u.finding), api.At(u.finding.AsOf)
	}
	return a.result(ctx, answer, []*licenseUse{u}), nil
}

// queried turns the question into a use, or refuses what is wrong with it.
func (g *Gateway) queried(ctx context.Context, c *call, q api.QueryRequest) (*licenseUse, error) {
	holder := license.HolderID{Type: q.Holder.Type, Code: q.Holder.Code}.Normal()
	if err := checkHolder(c, holder, "/holder"); err != nil {
		return nil, err
	}
	c.nameParties(holder)
	t, ok := c.config.Catalogue.Type(q.LicenseType)
	if !ok {
		return nil, refuse("unknown-license-type").pointingAt("/license_type", "unknown license type; catalog.types lists them")
	}
	for i, field := range q.Fields {
		if m, _ := license.FindMetadatum(field); m.Always || !hasField(t, field) {
			return nil, refuse("unknown-license-field").pointingAt("/fields/"+strconv.Itoa(i), "unknown field of this type; catalog.types lists them")
		}
	}
	u := &licenseUse{
		ask:  license.Question{Type: t.ID, Holder: holder, Number: q.Number},
		form: q.Form,
		question: policy.Question{
			Operation: c.row.right, System: c.system.ID, Department: c.system.Department, LicenseType: t.ID,
			Provider: c.config.provider(t.ID), Role: cases.Applicant, Fields: slices.Clone(q.Fields), Purpose: policy.Answer, Now: c.now,
		},
	}
	if q.Number != "" { // whoever asks for one number after the other reads it: comparing is a release (design law 3)
		u.compares = []string{license.FieldNumber}
	}
	if err := g.purpose(ctx, c, u, q.Purpose); err != nil {
		return nil, err
	}
	return u, g.cited(ctx, c, u, q.Consent)
}

// hasField reports whether a license of the type can say something under this name.
func hasField(t license.Type, name string) bool { _, ok := t.Field(name); return ok }

func checkHolder(c *call, holder license.HolderID, pointer string) error {
	if code, f := c.wrongHolder(holder, pointer); code != "" {
		return refuse(code).pointingAt(f.Pointer, f.Reason)
	}
	return nil
}

// wrongHolder is the problem code of a holder's code that breaks its rule, and where; "" for a right one.
func (c *call) wrongHolder(holder license.HolderID, pointer string) (code string, at api.Fault) {
	if _, ok := c.config.Catalogue.CodeType(holder.Type); !ok {
		return "holder-type-unknown", api.Fault{Pointer: pointer + "/type", Reason: "unknown holder code type"}
	}
	if err := c.config.Catalogue.CheckHolder(holder); err != nil {
		return "holder-code-invalid", api.Fault{Pointer: pointer + "/code", Reason: reasonCode(err)}
	}
	return "", at
}

// cited loads the consent that the caller names. It must cover the question; a wrong one is refused, not ignored.
func (g *Gateway) cited(ctx context.Context, c *call, u *licenseUse, id string) error {
	if id == "" {
		return nil
	}
	given, err := g.Cases.Consent(ctx, id)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil {
		err = given.Within(c.config.consentLife()).Covers(u.consentQuestion(c), u.ask.Type, c.now)
	}
	if err != nil {
		return u.consentRefused(c, err)
	}
	u.question.Consent, u.consent = true, id
	return nil
}

// consentRefused is one answer whatever is wrong with a consent, or whether there is one at all.
func (u *licenseUse) consentRefused(c *call, err error) *refusal {
	code := "consent-unknown"
	if !errors.Is(err, fs.ErrNotExist) {
		code = reasonCode(err)
	}
	u.outcome = outcomeDenied
	return refuse("consent-not-usable").withUses(c.usesOf(u)...).withReasons([]api.Reason{reason(code)})
}

// refusalFor is the refusal of a resolved use that the caller may see; nil if the use is answered.
func (u *licenseUse) refusalFor(c *call) error {
	switch {
	case !u.decision.Allow:
		return u.notPermitted(c)
	case errors.Is(u.role, cases.RoleUnavailable):
		return u.unavailable(c, u.confirm.finding)
	case u.role != nil:
		return u.unconfirmed(c)
	case u.finding.State == license.IsUnavailable:
		return u.unavailable(c, u.finding)
	}
	return nil
}

// notPermitted tells a caller who may know the case, or needs none, why the rules refuse.
func (u *licenseUse) notPermitted(c *call) *refusal {
	u.outcome = outcomeDenied
	return refuse(u.denial()).withUses(c.usesOf(u)...).withReasons(ofPolicy(u.decision.Reasons)).withDetail(sentences(u.decision.Reasons))
}

func (u *licenseUse) unavailable(c *call, f license.Finding) *refusal {
	u.outcome = outcomeUnavailable
	if errors.Is(f.Err, license.ErrCannotAsk) || errors.Is(f.Err, errNoSource) {
		u.outcome = outcomeDenied
	}
	return unanswered(f.Err, "/holder").withUses(c.usesOf(u)...)
}

// denial is the code of a refused decision: the nearest cause that the caller can do something about.
func (u *licenseUse) denial() string {
	reasons := u.decision.Reasons
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
	case u.question.Basis != policy.ByCase && has(policy.BasisNotGranted) && only(policy.NoGrant, policy.BasisNotGranted):
		return "basis-unknown"
	}
	return cmp.Or(personDenial(reasons), "not-permitted")
}

package gateway

import (
	"context"
	"errors"
	"io/fs"
	"slices"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/license"
	"oncegate/policy"
	"oncegate/register"
)

// byOwner is the basis of what a department does with licenses of its own.
const byOwner = "owner"

// outcomeListed is the outcome of a use that showed how versions stand.
const outcomeListed = "listed"

// managed is a use of a department's with licenses of its own type.
func managed(licenseType, decision string, rules []string) audit.DraftUse {
	return audit.DraftUse{Use: audit.Use{Basis: byOwner, LicenseType: licenseType, Decision: decision, Rules: notNil(rules), Fields: []string{}}}
}

// manages decides whether the caller may look after licenses of a type: a permission names it, and it belongs to the
// department whose source has the type. It returns the rules that allow it.
func (c *call) manages(licenseType string) ([]string, error) {
	owner := c.config.provider(licenseType)
	d, _ := c.decide(policy.Question{
		Operation: c.row.right, System: c.system.ID, Department: c.system.Department, LicenseType: licenseType, Provider: owner, Basis: policy.ByCase, Now: c.now,
	})
	use := managed(licenseType, outcomeDenied, d.Rules)
	switch {
	case !d.Allow:
		return nil, refuse("not-permitted").saying(sentences(d.Reasons)).because(ofPolicy(d.Reasons)).with(use)
	case owner == "" || owner != c.system.Department:
		why := reason("not-owner")
		return nil, refuse("not-permitted").saying(why.En).because([]api.Reason{why}).with(use)
	}
	return d.Rules, nil
}

// order suspends, revokes, ends, supersedes or reinstates a license (POST /v1/licenses/order).
func (g *Gateway) order(ctx context.Context, c *call, q api.OrderRequest) (*result, error) {
	t, rules, err := c.managesOne(q.Identifier)
	if err != nil {
		return nil, err
	}
	version, changes, err := c.config.Register.Command(ctx, q.Identifier, register.Command(q.Command))
	if !errors.Is(err, fs.ErrNotExist) { // an unknown identifier may be anything
		c.note(map[string]string{"identifier": q.Identifier, "command": string(q.Command)})
	}
	use := managed(t.ID, string(q.Command), rules)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, refuse("license-unknown").with(denied([]audit.DraftUse{use})...)
	case errors.Is(err, register.ErrSuperseded), errors.Is(err, register.ErrOrder):
		return nil, refuse("order-impossible").saying(err.Error()).with(denied([]audit.DraftUse{use})...)
	case err != nil:
		return nil, err
	}
	answer := api.OrderAnswer{
		Nonce: g.nonce(), Time: api.At(c.now), Operation: c.row.ID, Rules: notNil(rules), License: c.describe(version), Changed: len(changes) > 0,
	}
	return &result{answer: answer, uses: []audit.DraftUse{use}, changes: changes}, nil
}

// managesOne decides about the type that stands in an identifier.
func (c *call) managesOne(identifier string) (license.Type, []string, error) {
	id, err := license.ParseIdentifier(identifier)
	if err != nil {
		return license.Type{}, nil, refuse("identifier-invalid").at("/identifier", reasonCode(err))
	}
	t, _ := c.config.Catalogue.TypeByCode(id.TypeCode())
	rules, err := c.manages(t.ID)
	return t, rules, err
}

// list shows how signed versions stand (POST /v1/licenses/list).
func (g *Gateway) list(ctx context.Context, c *call, q api.ListRequest) (*result, error) {
	versions, t, rules, err := c.listed(ctx, q)
	if err != nil {
		return nil, err
	}
	answer := api.ListAnswer{Nonce: g.nonce(), Time: api.At(c.now), Operation: c.row.ID, Rules: notNil(rules), Licenses: []api.SignedVersion{}}
	limit := orDefault(q.Limit, listPage)
	if len(versions) > limit {
		versions = versions[:limit]
		answer.Next = versions[limit-1].Identifier
	}
	for _, v := range versions {
		described := c.describe(v)
		if v.Gone() {
			next, err := c.config.Register.Next(ctx, v)
			if err != nil {
				return nil, err
			}
			if next.Number > v.Number {
				described.SupersededBy = successor(next)
			}
		}
		answer.Licenses = append(answer.Licenses, described)
	}
	return &result{answer: answer, uses: []audit.DraftUse{managed(t, outcomeListed, rules)}}, nil
}

const listPage = 100

// listed finds what is to be shown, and one more where there is a next page.
func (c *call) listed(ctx context.Context, q api.ListRequest) (found []register.Version, licenseType string, rules []string, err error) {
	if (q.Identifier == "") == (q.LicenseType == "") {
		return nil, "", nil, refuse("invalid-field").at("/identifier", "either an identifier or a license type")
	}
	if q.Identifier != "" {
		t, rules, err := c.managesOne(q.Identifier)
		if err != nil {
			return nil, "", nil, err
		}
		v, err := c.config.Register.Version(ctx, q.Identifier)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, "", nil, refuse("license-unknown").with(managed(t.ID, outcomeDenied, rules))
		}
		c.note(map[string]string{"identifier": q.Identifier}) // one that is unknown may be anything
		return []register.Version{v}, t.ID, rules, err
	}
	if _, ok := c.config.Catalogue.Type(q.LicenseType); !ok {
		return nil, "", nil, refuse("unknown-license-type").at("/license_type", "no such type in the catalogue")
	}
	if rules, err = c.manages(q.LicenseType); err != nil {
		return nil, "", nil, err
	}
	c.note(map[string]string{"license_type": q.LicenseType, "status": string(q.Status), "after": impersonal(q.After, license.DateOf(c.now))})
	found, err = c.config.Register.Versions(ctx, register.Filter{
		Type: q.LicenseType, Status: license.Status(q.Status), After: q.After, Limit: orDefault(q.Limit, listPage) + 1,
	})
	return found, q.LicenseType, rules, err
}

// describe is a version as its department sees it. That a license has expired by its own dates is no status of the version:
// the list does not say it either.
func (c *call) describe(v register.Version) api.SignedVersion {
	out := api.SignedVersion{
		Identifier: v.Identifier, LicenseType: v.Type, Version: v.Number, Status: api.Status(v.Status), Stated: string(v.Stated), AsOf: api.At(v.StatusAt),
		Ordered: string(v.Ordered), Signed: api.At(v.Signed), StatusList: c.config.Register.ListURI(v.List),
	}
	if !v.OrderedAt.IsZero() {
		out.OrderedAt = api.At(v.OrderedAt)
	}
	return out
}

func successor(v register.Version) api.Successor {
	return api.Successor{Identifier: v.Identifier, Version: v.Number}
}

// held is a finding with what departments ordered of its licenses, for what is judged without a signed version. What a source
// said stays as it is: the copy is for judging only.
func (c *call) held(ctx context.Context, f license.Finding) (license.Finding, error) {
	for i, record := range f.Records {
		status, err := c.config.Register.Holds(ctx, record)
		switch {
		case errors.Is(err, register.ErrFaulty): // nothing can be ordered of what can have no identifier
		case err != nil:
			return f, err
		case status != record.Status:
			f.Records = slices.Clone(f.Records)
			f.Records[i].Status = status
		}
	}
	return f, nil
}

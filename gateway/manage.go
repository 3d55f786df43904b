package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
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

// outcomeListed is the outcome of a use that listed the status of versions.
const outcomeListed = "listed"

// ownerUse is a record entry of a department about licenses of its own type.
func ownerUse(licenseType, decision string, rules []string) audit.Use {
	return audit.Use{Basis: byOwner, LicenseType: licenseType, Decision: decision, Rules: notNil(rules), Fields: []string{}}
}

// mayManage authorises the caller to manage licenses of a type: a permission names it, and it belongs to the department whose source
// has the type. It returns the rules that allow it.
func (c *call) mayManage(licenseType string) ([]string, error) {
	return c.mayOwn(c.row.right, licenseType)
}

// mayOwn is mayManage by a right.
func (c *call) mayOwn(right, licenseType string) ([]string, error) {
	owner := c.config.provider(licenseType)
	d, _ := c.decide(policy.Question{
		Operation: right, System: c.system.ID, Department: c.system.Department, LicenseType: licenseType, Provider: owner, Basis: policy.ByCase, Now: c.now,
	})
	use := ownerUse(licenseType, outcomeDenied, d.Rules)
	switch {
	case !d.Allow:
		return nil, refuseDenied(d).withUses(use)
	case owner == "" || owner != c.system.Department:
		why := reason("not-owner")
		return nil, refuse("not-permitted").withDetail(why.En).withReasons([]api.Reason{why}).withUses(use)
	}
	return d.Rules, nil
}

// order suspends, revokes, ends, supersedes or reinstates a license (POST /v1/licenses/order).
func (g *Gateway) order(ctx context.Context, c *call, q api.OrderRequest) (*result, error) {
	t, rules, err := c.mayManageOne(q.Identifier)
	if err != nil {
		return nil, err
	}
	version, changes, err := c.config.Register.Command(ctx, q.Identifier, register.Command(q.Command))
	if !errors.Is(err, fs.ErrNotExist) { // an unknown identifier may hold anything
		c.note(map[string]string{"identifier": q.Identifier, "command": string(q.Command)})
	}
	use := ownerUse(t.ID, string(q.Command), rules)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, refuse("license-unknown").withUses(deniedUses([]audit.Use{use})...)
	case errors.Is(err, register.ErrSuperseded), errors.Is(err, register.ErrOrder):
		return nil, refuse("order-impossible").withDetail(err.Error()).withUses(deniedUses([]audit.Use{use})...)
	case err != nil:
		return nil, err
	}
	described, labelled, err := c.describe(ctx, version)
	if err != nil {
		return nil, err
	}
	use.Fields = labelled
	answer := api.OrderAnswer{Rules: notNil(rules), License: described, Changed: len(changes) > 0}
	return &result{answer: answer, uses: []audit.Use{use}, changes: changes}, nil
}

// mayManageOne authorises the caller for the type in an identifier.
func (c *call) mayManageOne(identifier string) (license.Type, []string, error) {
	id, err := license.ParseIdentifier(identifier)
	if err != nil {
		return license.Type{}, nil, refuse("identifier-invalid").pointingAt("/identifier", reasonCode(err))
	}
	t, _ := c.config.Catalogue.TypeByCode(id.TypeCode())
	rules, err := c.mayManage(t.ID)
	return t, rules, err
}

// list lists signed versions with their status (POST /v1/licenses/list).
func (g *Gateway) list(ctx context.Context, c *call, q api.ListRequest) (*result, error) {
	versions, t, rules, err := c.listed(ctx, q)
	if err != nil {
		return nil, err
	}
	answer := api.ListAnswer{Rules: notNil(rules), Licenses: []api.SignedVersion{}}
	limit := cmp.Or(q.Limit, listPage)
	if len(versions) > limit {
		versions = versions[:limit]
		answer.Next = versions[limit-1].Identifier
	}
	use := ownerUse(t, outcomeListed, rules)
	for _, v := range versions {
		described, labelled, err := c.describe(ctx, v)
		if err != nil {
			return nil, err
		}
		if len(labelled) > 0 {
			use.Fields = labelled
		}
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
	return &result{answer: answer, uses: []audit.Use{use}}, nil
}

const listPage = 100

// listed finds the versions of a page, and one more where there is a next page.
func (c *call) listed(ctx context.Context, q api.ListRequest) (found []register.Version, licenseType string, rules []string, err error) {
	if (q.Identifier == "") == (q.LicenseType == "") {
		return nil, "", nil, refuse("invalid-field").pointingAt("/identifier", "either an identifier or a license type")
	}
	if q.Identifier != "" {
		t, rules, err := c.mayManageOne(q.Identifier)
		if err != nil {
			return nil, "", nil, err
		}
		v, err := c.config.Register.Version(ctx, q.Identifier)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, "", nil, refuse("license-unknown").withUses(ownerUse(t.ID, outcomeDenied, rules))
		}
		c.note(map[string]string{"identifier": q.Identifier}) // an unknown one may hold anything
		return []register.Version{v}, t.ID, rules, err
	}
	if _, ok := c.config.Catalogue.Type(q.LicenseType); !ok {
		return nil, "", nil, refuse("unknown-license-type").pointingAt("/license_type", "unknown license type; catalog.types lists them")
	}
	if rules, err = c.mayManage(q.LicenseType); err != nil {
		return nil, "", nil, err
	}
	c.note(map[string]string{"license_type": q.LicenseType, "status": string(q.Status), "after": withoutPersons(q.After, license.DateOf(c.now))})
	found, err = c.config.Register.Versions(ctx, register.Filter{
		Type: q.LicenseType, Status: license.Status(q.Status), After: q.After, Limit: cmp.Or(q.Limit, listPage) + 1,
	})
	return found, q.LicenseType, rules, err
}

// describe is a version as its department sees it, and the fields that its label shows: of the holders nothing is shown whole that is not
// public. Expiry by a license's own dates is no status of the version, here as in the status list.
func (c *call) describe(ctx context.Context, v register.Version) (out api.SignedVersion, fields []string, err error) {
	out = api.SignedVersion{
		Identifier: v.Identifier, LicenseType: v.Type, Version: v.Number, Status: api.Status(v.Status), Stated: string(v.Stated), AsOf: api.At(v.StatusAt),
		Ordered: string(v.Ordered), Signed: api.At(v.Signed), StatusList: c.config.Register.ListURI(v.List),
	}
	if !v.OrderedAt.IsZero() {
		out.OrderedAt = api.At(v.OrderedAt)
	}
	label, err := c.config.Register.Label(ctx, v)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return out, []string{}, nil
	case err != nil:
		return out, nil, err
	}
	out.Number = label.Number
	for _, h := range label.Holders {
		out.Holders = append(out.Holders, api.MaskedHolder{Type: h.Type, Code: h.Code, Name: h.Name})
	}
	return out, []string{license.FieldNumber}, nil
}

func successor(v register.Version) api.Successor {
	return api.Successor{Identifier: v.Identifier, Version: v.Number}
}

// applyOrders is a copy of a finding with the orders of departments (suspend, revoke, …) applied to its licenses, for judging without
// a signed version. The finding stays as the source stated it.
func (c *call) applyOrders(ctx context.Context, f license.Finding) (license.Finding, error) {
	for i, record := range f.Records {
		status, err := c.config.Register.Holds(ctx, record)
		switch {
		case errors.Is(err, register.ErrFaulty): // a record without an identifier has no orders
		case err != nil:
			return f, err
		case status != record.Status:
			f.Records = slices.Clone(f.Records)
			f.Records[i].Status = status
		}
	}
	return f, nil
}

// issue signs the licenses of holders ahead of use (POST /v1/licenses/issue): one record, with an entry for each holder.
func (g *Gateway) issue(ctx context.Context, c *call, q api.IssueRequest) (*result, error) {
	if _, ok := c.config.Catalogue.Type(q.LicenseType); !ok {
		return nil, refuse("unknown-license-type").pointingAt("/license_type", "unknown license type; catalog.types lists them")
	}
	rules, err := c.mayManage(q.LicenseType)
	if err != nil {
		return nil, err
	}
	questions, err := c.eachOf(q, rules)
	if err != nil {
		return nil, err
	}
	uses := make([]audit.Use, len(questions))
	var asked []license.Question
	for i, question := range questions {
		uses[i] = ownerUse(q.LicenseType, outcomeUnavailable, rules)
		uses[i].Person = question.Holder
		c.nameParties(question.Holder)
		if why := c.cannotAsk(question); why != nil {
			c.findings[question] = license.Finding{State: license.IsUnavailable, Err: why, AsOf: c.now}
			continue
		}
		asked = append(asked, question)
	}
	if !audit.Fits(audit.Draft{Uses: uses}) {
		return nil, refuse("too-many-materials").withUses(ownerUse(q.LicenseType, outcomeDenied, rules))
	}
	if len(asked) > 0 {
		c.askOwn(ctx, asked)
	}
	if err := c.noAnswer(asked); err != nil {
		return nil, unanswered(err, "").withUses(uses...)
	}
	a := g.newAttempt(c)
	answer := api.IssueAnswer{
		Rules: notNil(rules), Source: c.config.Serves[q.LicenseType], Holders: make([]api.IssuedHolder, len(questions)),
	}
	for i, question := range questions {
		f := c.findings[question]
		var why error
		if answer.Holders[i], why, err = a.issued(ctx, question, f); err != nil {
			return nil, err
		}
		if code := answer.Holders[i].Reason.Code; code != "" {
			c.note(notIssued{i, code, clip(textOf(why), 500)})
		}
		uses[i].Decision, uses[i].Source = string(answer.Holders[i].State), f.Source
		if f.State != license.IsUnavailable {
			uses[i].Freshness = string(c.config.freshness(f)) + " " + api.At(f.AsOf).String()
		}
	}
	return &result{answer: answer, uses: uses, changes: a.changes}, nil
}

// eachOf are the questions about the holders of a request. Codes that break their rule, or under which nobody holds such a license, are
// the caller's to correct, in all places at once.
func (c *call) eachOf(q api.IssueRequest, rules []string) ([]license.Question, error) {
	questions := make([]license.Question, len(q.Holders))
	var wrong *refusal
	refused := func(code string, at api.Fault) {
		if wrong == nil {
			wrong = refuse(code)
		}
		wrong.pointingAt(at.Pointer, at.Reason)
	}
	for i, h := range q.Holders {
		questions[i] = license.Question{Type: q.LicenseType, Holder: license.HolderID{Type: h.Type, Code: h.Code}.Normal()}
		place := fmt.Sprintf("/holders/%d", i)
		if code, at := c.wrongHolder(questions[i].Holder, place); code != "" {
			refused(code, at)
		} else if why := c.cannotAsk(questions[i]); errors.Is(why, errHolderType) {
			refused("holder-type-impossible", impossibleType(place))
			use := ownerUse(q.LicenseType, outcomeDenied, rules)
			use.Person = questions[i].Holder
			wrong.uses, wrong.reasons = append(wrong.uses, use), evidenceReason("holder-type-impossible", why)
			c.nameParties(use.Person)
		}
	}
	if wrong != nil {
		return nil, wrong
	}
	return questions, nil
}

// notIssued is, for the evidence, why a license of a holder was not signed.
type notIssued struct {
	Holder int    `json:"holder"` // place in the request
	Reason string `json:"reason"`
	Error  string `json:"error,omitempty"`
}

// issued signs the licenses that a source has of one holder. What is wrong with one holder's records does not affect the others; why is
// the error behind the answer's reason, if there is one.
func (a *attempt) issued(ctx context.Context, q license.Question, f license.Finding) (out api.IssuedHolder, why, err error) {
	faulty := func(code string, cause error) {
		out.State, out.Reason, out.Detail, why = api.IssuedHolderStateFaulty, reason(code), clip(textOf(cause), 500), cause
	}
	switch f.State {
	case license.IsNotFound:
		out.State = api.IssuedHolderStateMissing
		return out, nil, nil
	case license.IsUnavailable:
		if faulty(unansweredCode(f.Err), f.Err); !errors.Is(f.Err, license.ErrUnanswerable) {
			out.State, out.Detail = api.IssuedHolderStateUnavailable, "" // where a source is and what it runs on is its operator's to know
		}
		return out, why, nil
	}
	out.State = api.IssuedHolderStateKnown
	for i, record := range f.Records {
		if i == maxLicenses {
			faulty("licenses-too-many", nil)
			break
		}
		if !belongs(record, q) {
			faulty("record-of-other-holder", nil)
			continue
		}
		signed, err := a.current(ctx, &licenseUse{ask: q, finding: f}, record)
		if code := unsignable(err); code != "" {
			faulty(code, err)
			continue
		}
		if err != nil {
			return out, nil, err
		}
		if signed.New && out.State == api.IssuedHolderStateKnown {
			out.State = api.IssuedHolderStateSigned
		}
		if !signed.New {
			label, err := a.c.config.Register.KeepLabel(ctx, signed.Version, record)
			if err != nil {
				return out, nil, err
			}
			a.changes = append(a.changes, label...)
		}
		out.Identifiers = append(out.Identifiers, signed.Version.Identifier)
	}
	return out, why, nil
}

// textOf is what an error says: of a source's fault the fault alone.
func textOf(err error) string {
	if fault, ok := errors.AsType[*license.SourceError](err); ok {
		return fault.Error()
	}
	if err == nil {
		return ""
	}
	return err.Error()
}

package gateway

import (
	"context"
	"errors"
	"fmt"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/license"
)

// issue signs the licenses of holders ahead of use (POST /v1/licenses/issue): one record for all of them, with a use for each
// holder.
func (g *Gateway) issue(ctx context.Context, c *call, q api.IssueRequest) (*result, error) {
	if _, ok := c.config.Catalogue.Type(q.LicenseType); !ok {
		return nil, refuse("unknown-license-type").at("/license_type", "no such type in the catalogue")
	}
	rules, err := c.manages(q.LicenseType)
	if err != nil {
		return nil, err
	}
	questions := make([]license.Question, len(q.Holders))
	uses := make([]audit.DraftUse, len(q.Holders))
	for i, h := range q.Holders {
		holder := license.HolderID{Type: h.Type, Code: h.Code}.Normal()
		if err := checkHolder(c, holder, fmt.Sprintf("/holders/%d", i)); err != nil {
			return nil, err
		}
		c.names(holder)
		questions[i] = license.Question{Type: q.LicenseType, Holder: holder}
		if why := c.cannotAsk(questions[i]); why != nil {
			use := managed(q.LicenseType, outcomeDenied, rules)
			use.Person = holder
			return nil, unanswered(why, fmt.Sprintf("/holders/%d", i)).with(use)
		}
		uses[i] = managed(q.LicenseType, outcomeUnavailable, rules)
		uses[i].Person = holder
	}
	if !audit.Fits(audit.Draft{Uses: uses}) {
		return nil, refuse("too-many-materials").with(managed(q.LicenseType, outcomeDenied, rules))
	}
	if err := c.ask(ctx, questions); err != nil {
		return nil, unanswered(err, "").with(uses...)
	}
	work := g.newWork(c)
	answer := api.IssueAnswer{
		Nonce: g.nonce(), Time: api.At(c.now), Operation: c.row.ID, Rules: notNil(rules), Source: c.config.Serves[q.LicenseType], Holders: make([]api.IssuedHolder, len(questions)),
	}
	for i, question := range questions {
		f := c.asked[question]
		if answer.Holders[i], err = work.issued(ctx, question, f); err != nil {
			return nil, err
		}
		uses[i].Decision, uses[i].Source = string(answer.Holders[i].State), f.Source
		uses[i].Freshness = string(c.config.freshness(f)) + " " + api.At(f.AsOf).String()
	}
	return &result{answer: answer, uses: uses, changes: work.changes}, nil
}

// ask asks the source what this call has not asked it yet; the error says why it did not answer.
func (c *call) ask(ctx context.Context, questions []license.Question) error {
	source := c.config.source(questions[0].Type)
	var open []license.Question
	for _, q := range questions {
		if _, known := c.asked[q]; !known {
			open = append(open, q)
		}
	}
	if len(open) > 0 {
		for i, f := range source.Find(ctx, c.claims.Issuer, open) {
			c.asked[open[i]] = f
		}
	}
	for _, q := range questions {
		if f := c.asked[q]; f.State == license.IsUnavailable {
			return errors.Join(f.Err, errNoAnswer)
		}
	}
	return nil
}

var errNoAnswer = errors.New("the source did not answer")

// issued signs what a source has of one holder. One faulty record leaves the others as they are.
func (w *work) issued(ctx context.Context, q license.Question, f license.Finding) (out api.IssuedHolder, err error) {
	out.State = api.IssuedHolderStateMissing
	if f.State == license.IsFound {
		out.State = api.IssuedHolderStateKnown
	}
	faulty := ""
	for _, record := range f.Records[:min(len(f.Records), maxLicenses)] {
		if !belongs(record, q) {
			faulty = "record-of-other-holder"
			continue
		}
		signed, err := w.current(ctx, &need{ask: q, finding: f}, record)
		if code := unsignable(err); code != "" {
			faulty = code
			continue
		}
		if err != nil {
			return out, err
		}
		if signed.New {
			out.State = api.IssuedHolderStateSigned
		}
		out.Identifiers = append(out.Identifiers, signed.Version.Identifier)
	}
	if faulty != "" {
		out.State, out.Reason = api.IssuedHolderStateFaulty, faulty
	}
	return out, nil
}

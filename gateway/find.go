package gateway

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"time"

	"oncegate/api"
	"oncegate/gateway/sources"
	"oncegate/license"
)

// Why a question can never be answered. Whether a license exists that no source serves is unknown, so a material without a source is
// unavailable, not missing.
var (
	errNoSource   = errors.New("no source serves this license type")
	errHolderType = fmt.Errorf("%w: no license of this type is held under a code of this type", license.ErrCannotAsk)
)

// cannotAsk is why a question can never be answered; nil if it can. No source is called for that. Only a caller whose purpose and rules
// allow the question is told (design law 2).
func (c *call) cannotAsk(q license.Question) error {
	if !c.config.Catalogue.CanHold(q.Type, q.Holder.Type) {
		return errHolderType
	}
	source := c.config.source(q.Type)
	if source == nil {
		return errNoSource
	}
	return source.CannotAsk(q)
}

// unanswered refuses a question that has no answer, by the cause: the caller's fault if it can never have one, with the place of the
// body; the source's if its data cannot be read; else the source is down. holder is the JSON pointer to the holder asked about.
func unanswered(why error, holder string) *refusal {
	code := unansweredCode(why)
	r := refuse(code).withReasons(evidenceReason(code, why))
	if errors.Is(why, errHolderType) {
		at := impossibleType(holder)
		r.pointingAt(at.Pointer, at.Reason)
	}
	return r
}

// impossibleType points at a holder whose code is of a type under which nobody holds such a license.
func impossibleType(holder string) api.Fault {
	return api.Fault{Pointer: holder + "/type", Reason: "no license of this type is held under such a code"}
}

// unansweredCode is the problem code of why a question has no answer; the evidence has it by the same code.
func unansweredCode(why error) string {
	switch {
	case errors.Is(why, errHolderType):
		return "holder-type-impossible"
	case errors.Is(why, errNoSource):
		return "license-type-not-served"
	case errors.Is(why, license.ErrCannotAsk):
		return "question-unanswerable"
	case errors.Is(why, sources.ErrNoSlot):
		return "source-busy"
	case errors.Is(why, errPresented):
		return "license-presented"
	case errors.Is(why, license.ErrUnanswerable):
		return "source-faulty"
	}
	return "source-unavailable"
}

// find asks the sources: each one once with all its questions, all sources concurrently, and nothing that this call has in its
// cache of findings.
func (g *Gateway) find(ctx context.Context, c *call, uses []*licenseUse) {
	bySource := make(map[*sources.Resilient][]license.Question)
	for _, u := range uses {
		if _, known := c.findings[u.ask]; known || !u.mayAsk() {
			continue
		}
		if why := c.cannotAsk(u.ask); why != nil {
			c.findings[u.ask] = license.Finding{State: license.IsUnavailable, Err: why, AsOf: c.now}
			continue
		}
		source := c.config.source(u.ask.Type)
		if !slices.Contains(bySource[source], u.ask) {
			bySource[source] = append(bySource[source], u.ask)
		}
	}
	var mu sync.Mutex // protects c.findings
	var all sync.WaitGroup
	for source, questions := range bySource {
		request := c.request(questions)
		all.Go(func() {
			found := g.ask(ctx, c, source, request)
			mu.Lock()
			defer mu.Unlock()
			for i, q := range questions {
				c.findings[q] = usable(found[i])
			}
		})
	}
	all.Wait()
	for _, u := range uses {
		if !u.mayAsk() {
			continue
		}
		if u.finding = c.findings[u.ask]; u.finding.State == license.IsUnavailable {
			g.fallBack(ctx, c, u)
		}
	}
}

// errPresented: the source passed on a license that was signed elsewhere.
var errPresented = fmt.Errorf("%w: the license was signed elsewhere", license.ErrUnanswerable)

// usable refuses a finding with a license that was signed elsewhere. This flow releases versions of this gateway's register and
// knows their fields, holders and status from the source's record. A presented license has to be verified first, and its own
// disclosures, holder and status compared with the decision. Until that exists the whole finding is unavailable, with whatever
// the source states beside it.
func usable(f license.Finding) license.Finding {
	if len(f.Presented) == 0 {
		return f
	}
	return license.Finding{State: license.IsUnavailable, Source: f.Source, AsOf: f.AsOf, Err: errPresented}
}

// request is what a source is asked: each question with the purposes of all uses of this call that wait for its answer.
func (c *call) request(questions []license.Question) license.Request {
	r := license.Request{Operator: c.principal.Person.ID, Questions: questions, Purposes: make([][]license.Purpose, len(questions))}
	add := func(u *licenseUse) {
		if u == nil || !u.mayAsk() {
			return
		}
		if at := slices.Index(questions, u.ask); at >= 0 {
			if p := u.purpose(c); !slices.Contains(r.Purposes[at], p) {
				r.Purposes[at] = append(r.Purposes[at], p)
			}
		}
	}
	for _, u := range c.uses {
		add(u.confirm)
		add(u)
	}
	return r
}

// purpose is why the source is asked.
func (u *licenseUse) purpose(c *call) license.Purpose {
	q := u.question
	return license.Purpose{
		Operation: c.row.ID, Basis: q.Basis, Case: u.facts.Case, Matter: q.Matter, Material: q.Material, Role: q.Role,
		Attestation: q.Attestation, Reference: u.reference,
	}
}

// fallBack uses the cached copy in the place of an unavailable source, where the grant allows its age (stale-if-error). The
// decision is made again with the age, so that guards see it. A copy that cannot be read counts as none and fails no other material.
func (g *Gateway) fallBack(ctx context.Context, c *call, u *licenseUse) {
	if u.decision.MaxAge <= 0 || errors.Is(u.finding.Err, license.ErrUnanswerable) || errors.Is(u.finding.Err, errLate) { // it is no outage, and an older copy is not what the source has now
		return
	}
	copied, err := c.config.Register.LastCopy(ctx, u.ask, u.decision.MaxAge)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			g.logger.ErrorContext(ctx, "cached copy could not be read", "source", u.finding.Source, "error", err.Error())
		}
		return
	}
	aged := *u
	aged.question.Age = max(c.now.Sub(copied.AsOf).Truncate(time.Millisecond), time.Millisecond)
	if aged.decision = c.evaluate(&aged); !aged.decision.Allow {
		return
	}
	if aged.finding = copied; copied.Source == "" {
		aged.finding.Source = u.finding.Source
	}
	aged.sourceErr = u.finding.Err
	*u = aged
}

// freshness labels where a finding comes from.
func (r *running) freshness(f license.Finding) api.Freshness {
	if f.Stale {
		return api.FreshnessStale
	}
	if s := r.sources[f.Source]; s != nil && s.Kind == "drop" {
		return api.FreshnessDrop
	}
	return api.FreshnessLive
}

// belongs reports whether a record is of the type and the holder asked about.
func belongs(record license.License, q license.Question) bool {
	return record.Type == q.Type && slices.ContainsFunc(record.Holders, func(h license.Holder) bool { return h.Code != "" && h.HolderID.Normal() == q.Holder })
}

// askOwn asks a department's source for that department itself, but for what this call has asked already.
func (c *call) askOwn(ctx context.Context, questions []license.Question) {
	r := license.Request{Operator: c.principal.Person.ID}
	for _, q := range questions {
		if _, known := c.findings[q]; !known {
			r.Questions = append(r.Questions, q)
			r.Purposes = append(r.Purposes, []license.Purpose{{Operation: c.row.ID, Basis: byOwner}})
		}
	}
	if len(r.Questions) > 0 {
		for i, f := range c.config.source(questions[0].Type).Find(ctx, c.system.ID, r) {
			c.findings[r.Questions[i]] = usable(f)
		}
	}
}

// noAnswer is why none of several questions has an answer: the source could not be asked at all, or its schema is not the configured
// one. It is nil where the source answered one of them, or is well and keeps a record that cannot be read.
func (c *call) noAnswer(questions []license.Question) error {
	for _, q := range questions {
		if f := c.findings[q]; f.State != license.IsUnavailable || errors.Is(f.Err, license.ErrUnanswerable) && !ofSchema(f.Err) {
			return nil
		}
	}
	if len(questions) == 0 {
		return nil
	}
	return errors.Join(c.findings[questions[0]].Err, errNoAnswer)
}

// ofSchema reports whether a source's fault is of its schema: then it is of every record.
func ofSchema(err error) bool {
	fault, ok := errors.AsType[*license.SourceError](err)
	if !ok || fault.Row > 0 {
		return false
	}
	switch fault.Cause {
	case license.NoTable, license.NoColumn, license.BadStatement:
		return true
	}
	return false
}

var errNoAnswer = errors.New("the source did not answer")

package gateway

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"oncegate/api"
	"oncegate/cases"
	"oncegate/license"
	"oncegate/policy"
	"oncegate/register"
)

// work is what one attempt at a call has signed so far, and what must commit with its record. Deciding again starts with
// new work.
type work struct {
	g       *Gateway
	c       *call
	signed  map[string]register.Signed // by type, issuer and license number
	kept    map[license.Question]bool
	changes []any
}

func (g *Gateway) newWork(c *call) *work {
	return &work{g: g, c: c, signed: make(map[string]register.Signed), kept: make(map[license.Question]bool)}
}

// result is the outcome of an attempt: the answer, its uses, and the changes with the conditions that they rest on.
func (w *work) result(answer any, needs []*need) (*result, error) {
	uses, inputs := recordOf(w.c, needs)
	for _, n := range needs {
		w.keep(n)
	}
	return &result{answer: answer, uses: uses, inputs: inputs, changes: append(guards(w.c, needs), w.changes...)}, nil
}

// current returns the signed version of a license as the source states it now, signing it if its content is new.
func (w *work) current(ctx context.Context, l license.License, asOf time.Time) (register.Signed, error) {
	key := strings.Join([]string{l.Type, l.Issuer.Code, l.Number}, "\x00")
	if s, ok := w.signed[key]; ok {
		return s, nil
	}
	s, changes, err := w.c.config.Register.Current(ctx, l, asOf)
	switch {
	case errors.Is(err, register.ErrNoSigner):
		return s, refuse("issuer-unknown").because(inside("issuer-unknown", err))
	case errors.Is(err, register.ErrFaulty):
		return s, refuse("source-faulty").because(inside("source-faulty", err))
	case err != nil:
		return s, err
	}
	w.signed[key] = s
	w.changes = append(w.changes, changes...)
	return s, nil
}

// release makes the licenses of a found need, each with its granted disclosures, and notes which fields left.
func (w *work) release(ctx context.Context, n *need) ([]api.License, error) {
	out := make([]api.License, 0, len(n.finding.Records))
	for _, record := range n.finding.Records {
		l, err := w.disclose(ctx, n, record)
		if err != nil {
			return nil, withNeed(err, w.c, n)
		}
		out = append(out, l)
	}
	return out, nil
}

// withNeed adds what was asked about to a refusal that came from deeper down.
func withNeed(err error, c *call, n *need) error {
	var ref *refusal
	if errors.As(err, &ref) && ref.uses == nil {
		n.outcome = "unavailable"
		uses, inputs := recordOf(c, []*need{n})
		ref.uses, ref.inputs = uses, inputs
	}
	return err
}

// disclose selects what the decision lets leave of one license. Claims about a holder leave only for holders whom the
// purpose is about.
func (w *work) disclose(ctx context.Context, n *need, record license.License) (api.License, error) {
	signed, err := w.current(ctx, record, n.finding.AsOf)
	if err != nil {
		return api.License{}, err
	}
	var paths []string
	fields := api.Fields{}
	for _, claim := range signed.Claims {
		if !slices.Contains(n.decision.Fields, claim.Field) || claim.Holder >= 0 && !n.concerns(record.Holders[claim.Holder].HolderID) {
			continue
		}
		paths, fields[claim.Path] = append(paths, claim.Path), claim.Value
		if !slices.Contains(n.fields, claim.Field) {
			n.fields = append(n.fields, claim.Field)
		}
	}
	slices.Sort(n.fields)
	token, err := signed.Present(paths)
	if err != nil {
		return api.License{}, err
	}
	return api.License{
		LicenseType: record.Type, License: token, Identifier: signed.Version.Identifier, Version: signed.Version.Number,
		Status: api.Status(record.StatusAt(license.DateOf(w.c.now))), Fields: fields, Flags: flags(record, n.decision.Fields),
		Source: n.finding.Source, Freshness: w.c.config.freshness(n.finding), AsOf: api.At(n.finding.AsOf),
	}, nil
}

// concerns reports whether the purpose is about this holder: the one asked about, or another party of the case.
func (n *need) concerns(holder license.HolderID) bool {
	return holder.Normal() == n.ask.Holder ||
		slices.ContainsFunc(n.facts.Parties, func(p cases.Party) bool { return p.Holder.Normal() == holder.Normal() })
}

// flags are the faults of the released fields only: that another field is faulty is a fact about it.
func flags(record license.License, granted []string) (out []api.Flag) {
	for _, f := range record.Flags {
		name, _, _ := strings.Cut(f.Field, ".")
		if slices.Contains(granted, name) {
			out = append(out, api.Flag{Field: f.Field, Reason: f.Reason})
		}
	}
	return out
}

// keep keeps the source's records for when it is down, where some grant allows a copy of some age.
func (w *work) keep(n *need) {
	longest := w.c.config.Policy.LongestAge(n.ask.Type, w.c.now)
	if longest <= 0 || n.finding.Stale || n.finding.State == license.IsUnavailable || n.finding.State == "" || w.kept[n.ask] {
		return
	}
	w.kept[n.ask] = true
	change, err := w.c.config.Register.KeepCopy(n.ask, n.finding, longest)
	if err != nil {
		w.g.logger.Error("the copy of a source record was not kept", "source", n.finding.Source, "error", err.Error())
		return
	}
	w.changes = append(w.changes, change)
}

// decided is the decision as the caller sees it.
func decided(d policy.Decision) api.Decision {
	return api.Decision{Rules: d.Rules, Fields: notNil(d.Fields), Obligations: d.Obligations, Reasons: ofPolicy(d.Reasons)}
}

// sentences joins what a refused decision says, in English; the problem's own texts are bilingual.
func sentences(rs []policy.Reason) string {
	var out []string
	for _, r := range rs {
		out = append(out, r.En)
	}
	text := strings.Join(out, " ")
	if len(text) > 1000 {
		text = text[:1000]
	}
	return text
}

func notNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

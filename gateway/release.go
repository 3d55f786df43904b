package gateway

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"

	"oncegate/api"
	"oncegate/license"
	"oncegate/policy"
	"oncegate/register"
)

// maxLicenses is how many licenses one answer holds.
const maxLicenses = 64

// release makes the licenses of a found need, each with its granted disclosures, and notes which fields left. A source that
// answers with somebody else's license, or in two ways about one, is believed in nothing.
func (w *work) release(ctx context.Context, n *need) ([]api.License, error) {
	records := n.finding.Records
	if n.ask.Number != "" { // not every legacy system can look for one
		records = slices.DeleteFunc(slices.Clone(records), func(l license.License) bool { return l.Number != n.ask.Number })
	}
	if n.form != "" && len(records) > maxDocuments {
		n.outcome = outcomeRelease // that there are so many
		return nil, refuse("document-too-many").with(w.c.usesOf(n)...)
	}
	out := make([]api.License, 0, min(len(records), maxLicenses))
	for i, record := range records {
		switch {
		case !belongs(record, n.ask):
			return nil, n.unusable(w.c, "source-faulty", "record-of-other-holder")
		case slices.ContainsFunc(records[:i], func(l license.License) bool { return reflect.DeepEqual(l, record) }):
			continue
		case len(out) == maxLicenses:
			n.outcome = outcomeRelease // that there are so many
			return nil, refuse("invalid-field").at("/number", "the holder has more licenses of this type than one answer holds: name one").with(w.c.usesOf(n)...)
		}
		l, d, err := w.disclose(ctx, n, record)
		if err == nil && n.form != "" {
			if code := w.notToCopy(n, d); code != "" {
				l.Undrawn = problemReason(code)
			} else {
				l.Document, err = w.annotated(ctx, n, d)
			}
		}
		if code := orDefault(n.unsignable(err), undrawable(err)); code != "" {
			return nil, n.unusable(w.c, code, code)
		}
		if err != nil {
			return nil, err
		}
		out = append(out, l)
	}
	return out, nil
}

// unusable refuses a need whose source has records that cannot be released.
func (n *need) unusable(c *call, code, why string) *refusal {
	n.outcome, n.fields, n.versions = outcomeUnavailable, nil, nil
	n.released(n.compares...) // that there is such a record was told
	return refuse(code).with(c.usesOf(n)...).because(inside(why, nil))
}

// unsignable is the code of a lasting reason why a license has no signed version; "" for any other error.
func unsignable(err error) string {
	switch {
	case errors.Is(err, register.ErrOutdated):
		return "source-unavailable" // the kept copy is worth nothing
	case errors.Is(err, register.ErrNoSigner):
		return "issuer-unknown"
	case errors.Is(err, register.ErrFaulty), errors.Is(err, errTwofold):
		return "source-faulty"
	}
	return ""
}

// unsignable is [unsignable] of a need. If the kept copy is worth nothing, the need is refused for what kept its source from answering.
func (n *need) unsignable(err error) string {
	if errors.Is(err, register.ErrOutdated) && errors.Is(n.down, errNoSlot) {
		return "source-busy"
	}
	return unsignable(err)
}

// disclose selects what the decision lets leave of one license. Claims about a holder leave only for holders whom the
// purpose is about.
func (w *work) disclose(ctx context.Context, n *need, record license.License) (api.License, disclosure, error) {
	signed, err := w.current(ctx, n, record)
	if err != nil {
		return api.License{}, disclosure{}, err
	}
	paths, left := make([]string, 0, len(signed.Claims)), make([]string, 0, len(signed.Claims))
	granted, fields := make([]license.Claim, 0, len(signed.Claims)), make(api.Fields, len(signed.Claims))
	for _, claim := range signed.Claims {
		if slices.Contains(n.decision.Fields, claim.Field) && (claim.Holder < 0 || n.concerns(record.Holders[claim.Holder].HolderID)) {
			paths, left, fields[claim.Path] = append(paths, claim.Path), append(left, claim.Field), claim.Value
			granted = append(granted, claim)
		}
	}
	presented, err := signed.Present(paths)
	if err != nil {
		return api.License{}, disclosure{}, err
	}
	n.released(left...)
	n.versions = append(n.versions, signed.Version.Identifier)
	return api.License{
		LicenseType: record.Type, License: presented, Identifier: signed.Version.Identifier, Version: signed.Version.Number,
		Status: api.Status(w.c.standing(signed.Version, record)), Fields: fields, Flags: n.flags(record),
		Source: n.finding.Source, Freshness: w.c.config.freshness(n.finding), AsOf: api.At(n.finding.AsOf),
	}, disclosure{record, signed, granted}, nil
}

// A disclosure is a record with its signed version and the claims of it that leave.
type disclosure struct {
	record  license.License
	signed  register.Signed
	granted []license.Claim
}

// standing is how a license stands now. A kept copy may be older than what the register has heard of the license since.
func (c *call) standing(known register.Version, record license.License) license.Status {
	record.Status = known.Status
	return record.StatusAt(license.DateOf(c.now))
}

// flags are the faults of the granted fields only: that another field, or what the license says of somebody else, is faulty
// is a fact about it.
func (n *need) flags(record license.License) (out []api.Flag) {
	for _, f := range record.Flags {
		name, place, ofHolder := strings.Cut(f.Field, ".")
		if !slices.Contains(n.decision.Fields, name) {
			continue
		}
		if ofHolder && !slices.ContainsFunc(holderAt(record, place), func(h license.Holder) bool { return n.concerns(h.HolderID) }) {
			continue
		}
		out = append(out, api.Flag{Field: f.Field, Reason: f.Reason})
	}
	return out
}

// decided is the decision as the caller sees it.
func decided(d policy.Decision) api.Decision {
	return api.Decision{Rules: d.Rules, Fields: notNil(d.Fields), Obligations: d.Obligations, Reasons: ofPolicy(d.Reasons)}
}

package gateway

import (
	"context"
	"errors"
	"slices"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/gateway/sources"
	"oncegate/license"
)

// outcomeTried is the outcome of a use in which a department tried its own source: that a license exists left, and of it what the
// record's fields name.
const outcomeTried = "tried"

// try asks a source about one holder for the department whose system it is (POST /v1/sources/{source}/try), and says what the mapping
// makes of the answer, or why there is none. That a license exists is a release: it is decided, and recorded, before it leaves.
func (g *Gateway) try(ctx context.Context, c *call, q api.TryRequest) (*result, error) {
	t, ok := c.config.Catalogue.Type(q.LicenseType)
	if !ok {
		return nil, refuse("unknown-license-type").pointingAt("/license_type", "unknown license type; catalog.types lists them")
	}
	rules, err := c.mayTry(t.ID, q.Show)
	if err != nil {
		return nil, err
	}
	if c.config.Serves[t.ID] != c.path("source") { // only its owner is told
		return nil, refuse("license-type-not-served").withUses(ownerUse(t.ID, outcomeDenied, rules)).withDetail("The source has no licenses of this type.")
	}
	ask := license.Question{Type: t.ID, Holder: license.HolderID{Type: q.Holder.Type, Code: q.Holder.Code}.Normal(), Number: q.Number}
	if err := checkHolder(c, ask.Holder, "/holder"); err != nil {
		return nil, err
	}
	c.nameParties(ask.Holder)
	use := ownerUse(t.ID, outcomeUnavailable, rules)
	use.Person = ask.Holder
	if why := c.cannotAsk(ask); why != nil {
		use.Decision = outcomeDenied
		return nil, unanswered(why, "/holder").withUses(use)
	}
	f, err := c.tried(ctx, ask)
	if err != nil {
		return nil, unanswered(err, "").withUses(use)
	}
	answer := api.TryAnswer{
		Rules: notNil(rules), Source: f.Source, LicenseType: t.ID, Shown: q.Show, Licenses: []api.TriedLicense{},
		Found: api.TryAnswerFound(f.State), AsOf: api.At(f.AsOf), Freshness: c.config.freshness(f),
	}
	use.Source, use.Freshness = f.Source, string(answer.Freshness)+" "+answer.AsOf.String()
	switch f.State {
	case license.IsNotFound:
		use.Decision = outcomeMissing
	case license.IsFound:
		use.Decision = outcomeTried
		if answer.Licenses, use.Fields, err = triedLicenses(t, ask, f.Records, q.Show); err != nil {
			return nil, err
		}
	default:
		why := sources.FailureOf(f.Err)
		if why.Cause.Faulty() {
			answer.Found = api.TryAnswerFoundFaulty
		}
		answer.Reason = api.Reason{Code: string(why.Cause), En: clip(why.Error(), 1000), Zh: clip(why.Chinese(), 1000)}
		answer.Row, answer.Column = why.Row, clip(why.Name, 256)
		answer.AsOf, answer.Freshness = api.Time{}, ""
	}
	c.note(map[string]string{"source": f.Source, "found": string(answer.Found), "reason": answer.Reason.En})
	return &result{answer: answer, uses: []audit.Use{use}}, nil
}

// mayTry authorises the caller to try the source of a type of its own department, and to see values: then a whole license leaves, as a
// document of it does.
func (c *call) mayTry(licenseType string, show bool) ([]string, error) {
	rules, err := c.mayManage(licenseType)
	if err != nil || !show {
		return rules, err
	}
	more, err := c.mayOwn("licenses.render", licenseType)
	return append(rules, more...), err
}

// tried is what the source says now, also while its circuit breaker is open. The error is of a source that was not asked.
func (c *call) tried(ctx context.Context, q license.Question) (license.Finding, error) {
	if f, known := c.findings[q]; known {
		return f, nil
	}
	f := c.config.source(q.Type).Try(ctx, c.system.ID, license.Request{
		Operator: c.principal.Person.ID, Questions: []license.Question{q}, Purposes: [][]license.Purpose{{{Operation: c.row.ID, Basis: byOwner}}},
	})[0]
	if f = usable(f); f.State == license.IsUnavailable && (errors.Is(f.Err, sources.ErrNoSlot) || errors.Is(f.Err, errPresented) || errors.Is(f.Err, license.ErrCannotAsk)) {
		return f, f.Err
	}
	c.findings[q] = f
	return f, nil
}

// triedLicenses are the licenses of the holder as the mapping makes them, with the fields that left unmasked. A record of somebody else
// is left out.
func triedLicenses(t license.Type, q license.Question, records []license.License, show bool) (list []api.TriedLicense, fields []string, err error) {
	list, fields = []api.TriedLicense{}, []string{}
	for _, record := range records[:min(len(records), maxLicenses)] {
		if !belongs(record, q) {
			continue
		}
		claims, err := license.Claims(t, record)
		if err != nil {
			return nil, nil, err
		}
		if show {
			for _, claim := range claims {
				fields = append(fields, claim.Field)
			}
		} else {
			claims = license.MaskClaims(t, claims)
		}
		l := api.TriedLicense{Status: api.Status(record.Status), Fields: make(api.Fields, len(claims))}
		for _, claim := range claims {
			l.Fields[claim.Path] = claim.Value
		}
		for _, flag := range record.Flags {
			l.Flags = append(l.Flags, api.Flag{Field: flag.Field, Reason: string(flag.Reason)})
		}
		list = append(list, l)
	}
	slices.Sort(fields)
	return list, slices.Compact(fields), nil
}

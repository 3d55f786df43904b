package gateway

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"time"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/license"
	"oncegate/register"
	"oncegate/sheet"
)

// outcomeRendered is the outcome of a use in which a department drew a license of its own.
const outcomeRendered = "rendered"

// render draws a license as a document for the department whose own it is (POST /v1/licenses/render). The whole license leaves,
// and the record says so.
func (g *Gateway) render(ctx context.Context, c *call, q api.RenderRequest) (*result, error) {
	t, ok := c.config.Catalogue.Type(q.LicenseType)
	if !ok {
		return nil, refuse("unknown-license-type").at("/license_type", "no such type in the catalogue")
	}
	rules, err := c.manages(t.ID)
	if err != nil {
		return nil, err
	}
	ask := license.Question{Type: t.ID, Holder: license.HolderID{Type: q.Holder.Type, Code: q.Holder.Code}.Normal(), Number: q.Number}
	if err := checkHolder(c, ask.Holder, "/holder"); err != nil {
		return nil, err
	}
	c.names(ask.Holder)
	use := managed(t.ID, outcomeUnavailable, rules)
	use.Person = ask.Holder
	if why := c.cannotAsk(ask); why != nil {
		use.Decision = outcomeDenied
		return nil, unanswered(why, "/holder").with(use)
	}
	if err := c.ask(ctx, []license.Question{ask}); err != nil {
		return nil, unanswered(err, "/holder").with(use)
	}
	f := c.asked[ask]
	use.Source, use.Freshness = f.Source, string(c.config.freshness(f))+" "+api.At(f.AsOf).String()
	record, err := theOne(ask, f.Records)
	if err != nil {
		use.Decision = outcomeMissing
		return nil, refused(err).with(use)
	}
	work := g.newWork(c)
	answer := api.RenderAnswer{
		Nonce: g.nonce(), Time: api.At(c.now), Operation: c.row.ID, Rules: notNil(rules),
		Source: f.Source, Freshness: c.config.freshness(f), AsOf: api.At(f.AsOf),
	}
	signed, err := work.current(ctx, &need{ask: ask, finding: f}, record)
	if err == nil {
		answer.Identifier, answer.Version = signed.Version.Identifier, signed.Version.Number
		answer.Status = api.Status(c.standing(signed.Version, record))
		answer.Document, err = work.rendered(ctx, string(q.Form), signed, record, f.AsOf)
	}
	if code := orDefault(unsignable(err), undrawable(err)); code != "" {
		ref := refuse(code).with(use).because(inside(code, nil))
		if page := (*sheet.Error)(nil); errors.As(err, &page) && page.Field != "" {
			ref.saying(string(page.Code) + ": " + page.Field) // of its own license; never the value or the character
		} else if errors.Is(err, errNotInForce) {
			if ref.saying("The license is " + string(answer.Status) + "."); answer.Status == api.StatusValid {
				ref.saying("The license is valid from " + string(record.ValidFrom) + " on.")
			}
		}
		return nil, ref
	}
	if err != nil {
		return nil, err
	}
	use.Decision = outcomeRendered
	for _, claim := range signed.Claims {
		use.Fields = append(use.Fields, claim.Field)
	}
	slices.Sort(use.Fields)
	use.Fields = slices.Compact(use.Fields)
	return &result{answer: answer, uses: []audit.DraftUse{use}, changes: work.changes}, nil
}

// theOne is the one license that a question means.
func theOne(ask license.Question, records []license.License) (license.License, error) {
	var found []license.License
	for _, l := range records {
		same := func(other license.License) bool { return reflect.DeepEqual(l, other) }
		if belongs(l, ask) && (ask.Number == "" || l.Number == ask.Number) && !slices.ContainsFunc(found, same) {
			found = append(found, l)
		}
	}
	switch len(found) {
	case 0:
		return license.License{}, refuse("license-missing")
	case 1:
		return found[0], nil
	}
	return license.License{}, refuse("invalid-field").at("/number", "the holder has several licenses of this type: name one")
}

// rendered is a whole version in a form. Of a license that is not in force there is no original, and pictures say so.
func (w *work) rendered(ctx context.Context, form string, s register.Signed, record license.License, asOf time.Time) (api.LicenseDocument, error) {
	documents := w.c.config.Documents
	if documents == nil {
		return api.LicenseDocument{}, &sheet.Error{Code: sheet.NoLayout, Field: "type"}
	}
	var data []byte
	var err error
	if form == "ofd" {
		var o register.Original
		if o, err = w.original(ctx, s, record); err == nil {
			data, err = w.c.config.Register.OpenOriginal(o)
		}
	} else {
		data, err = w.drawn(ctx, func(ctx context.Context) ([]byte, error) {
			return documents.Show(ctx, form, s.Version, s.Claims, w.c.lapse(s.Version, record, asOf))
		})
	}
	if err != nil {
		return api.LicenseDocument{}, err
	}
	return describeDocument(form, s.Version.Identifier, data), nil
}

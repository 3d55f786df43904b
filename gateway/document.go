package gateway

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"reflect"
	"slices"
	"time"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/certs/ofd"
	"oncegate/certs/sm"
	"oncegate/license"
	"oncegate/register"
	"oncegate/sheet"
)

// Documents makes the document form of licenses. The error is register.ErrNoSeal or register.ErrNoSigner where nobody seals or
// signs for the issuer, a *sheet.Error where a page cannot be drawn. Implementations are safe for concurrent use and bound how
// much they draw at once.
type Documents interface {
	// Original draws a whole version, all of whose claims are given, and seals it with its issuer's seal: an OFD package.
	Original(ctx context.Context, v register.Version, claims []license.Claim) ([]byte, error)
	// Copy makes an annotated copy (加注件) in a form, "ofd" or "pdf", that says nothing of the license but what was granted.
	// fields are the granted fields, stated or not: it notes every other. original is the SM3 of the original.
	Copy(ctx context.Context, form string, v register.Version, granted []license.Claim, fields []string, n ofd.Notice, original [32]byte) ([]byte, error)
	// Show draws a whole version with a picture of the seal, as "pdf", "png" or "svg", and overprint across it if it is not empty.
	Show(ctx context.Context, form string, v register.Version, claims []license.Claim, overprint string) ([]byte, error)
}

const (
	maxDocuments    = 16                  // in one answer
	defaultCopyLife = 30 * 24 * time.Hour // 国办函〔2016〕108号: a copy says until when
	archivedYears   = 30                  // of a copy in a case's file: the longest retention that is not permanent (定期 30 年, 机关文件材料归档范围和文书档案保管期限规定 art. 5)
)

// mediaTypes by form.
var mediaTypes = map[string]string{"ofd": "application/ofd", "pdf": "application/pdf", "png": "image/png", "svg": "image/svg+xml"}

// annotated makes the annotated copy of what a use releases. What else the license says is in the original, which stays inside.
func (a *attempt) annotated(ctx context.Context, u *licenseUse, d disclosure) (api.LicenseDocument, error) {
	documents, v, fields := a.c.config.Documents, d.signed.Version, u.decision.Fields
	if documents == nil {
		return api.LicenseDocument{}, &sheet.Error{Code: sheet.NoLayout, Field: "type"}
	}
	notice := a.c.notice(u)
	original, err := a.original(ctx, d.signed, d.record)
	if page := (*sheet.Error)(nil); errors.As(err, &page) {
		// What is wrong with the whole license may lie in what the caller must not know: only what is wrong with the copy, too,
		// is told.
		if _, err := a.drawInTurn(ctx, func(ctx context.Context) ([]byte, error) {
			return documents.Copy(ctx, "pdf", v, d.granted, fields, notice, [32]byte{})
		}); err != nil {
			return api.LicenseDocument{}, err
		}
		return api.LicenseDocument{}, errNoOriginal
	}
	if err != nil {
		return api.LicenseDocument{}, err
	}
	data, err := a.drawInTurn(ctx, func(ctx context.Context) ([]byte, error) {
		return documents.Copy(ctx, string(u.form), v, d.granted, fields, notice, original.Digest)
	})
	if err != nil {
		return api.LicenseDocument{}, err
	}
	doc := describeDocument(string(u.form), v.Identifier, data)
	doc.OriginalSM3, doc.Expires = base64.RawURLEncoding.EncodeToString(original.Digest[:]), api.At(notice.Expires)
	return doc, nil
}

// whyNoCopy is the code of why no copy is made of a license that is released: a file outlives its answer, and would say neither
// that the license is not in force, nor that its source is down and this is a kept copy (design law 6).
func (a *attempt) whyNoCopy(u *licenseUse, d disclosure) string {
	switch {
	case !a.c.inForce(d.signed.Version, d.record):
		return "document-not-in-force"
	case u.finding.Stale:
		return "source-unavailable"
	}
	return ""
}

// inForce reports whether a license is in force on the day of the call.
func (c *call) inForce(known register.Version, record license.License) bool {
	record.Status = known.Status
	return record.InForce(license.DateOf(c.now))
}

// overprint says why a license is not in force and since when, in lines to be drawn across its page; "" for one in force. Of a status
// that its source states, asOf is the moment whose truth it is.
func (c *call) overprint(known register.Version, record license.License, asOf time.Time) string {
	if c.inForce(known, record) {
		return ""
	}
	status, day := c.effectiveStatus(known, record), license.DateOf(c.now)
	switch {
	case status == license.Valid:
		return "尚未生效\n自" + inChinese(record.ValidFrom) + "起生效"
	case status == license.Expired && record.ValidTo.Before(day):
		return "已过期\n有效期至" + inChinese(record.ValidTo)
	case status == known.Ordered:
		return statusWords[status] + "\n自" + inChinese(license.DateOf(known.OrderedAt)) + "起"
	}
	return statusWords[status] + "\n截至" + inChinese(license.DateOf(asOf))
}

// statusWords are the words of each status in which a license is not in force. Neither sources nor orders tell 注销, 吊销 and 撤销
// apart (license.Revoked), and the second may be a penalty: so all three are named.
var statusWords = map[license.Status]string{
	license.Suspended: "已暂停", license.Revoked: "已失效\n注销、吊销或撤销", license.Superseded: "已换发", license.Expired: "已失效",
}

func inChinese(d license.Date) string {
	day, err := d.Start()
	if err != nil {
		return string(d)
	}
	return day.Format("2006年1月2日")
}

// errNotInForce: a license that is not in force has no original, because the seal would vouch for it.
var errNotInForce = errors.New("the license is not in force")

// original finds the original of a version, sealing it if it is needed for the first time. It commits with the record. The error
// is errNotInForce also where an original was sealed while the license was in force: it is kept, and not given out.
func (a *attempt) original(ctx context.Context, s register.Signed, record license.License) (register.Original, error) {
	if !a.c.inForce(s.Version, record) {
		return register.Original{}, errNotInForce
	}
	if o, ok := a.sealed[s.Version.Identifier]; ok {
		return o, nil
	}
	o, changes, err := a.c.config.Register.Original(ctx, s.Version, func(ctx context.Context) ([]byte, error) {
		return a.drawInTurn(ctx, func(ctx context.Context) ([]byte, error) {
			return a.c.config.Documents.Original(ctx, s.Version, s.Claims)
		})
	})
	if err != nil {
		return o, err
	}
	a.sealed[s.Version.Identifier] = o
	a.changes = append(a.changes, changes...)
	return o, nil
}

// notice is the annotation of a copy: for whom, for what, and until when.
func (c *call) notice(u *licenseUse) ofd.Notice {
	departments := c.config.Departments
	provider := u.question.Provider
	notice := ofd.Notice{
		Provider: cmp.Or(departments[provider], provider), User: cmp.Or(departments[c.system.Department], cmp.Or(c.system.Name, c.system.ID)),
		Matter: u.facts.Matter.Name, Case: u.facts.Case,
	}
	if notice.Case == "" {
		basis, _ := c.config.Policy.Basis(u.question.Basis)
		notice.Matter, notice.Case = cmp.Or(basis.Title, u.question.Basis), u.reference
	}
	notice.Expires = c.now.Add(cmp.Or(c.config.CopyLife, defaultCopyLife)).Truncate(time.Second)
	if u.archived {
		notice.Archived, notice.Expires = true, c.now.AddDate(archivedYears, 0, 0).Truncate(time.Second)
	}
	return notice
}

func describeDocument(form, identifier string, data []byte) api.LicenseDocument {
	sum := sm.Digest(data)
	return api.LicenseDocument{
		Form: api.LicenseDocumentForm(form), MediaType: mediaTypes[form], Name: identifier + "." + form,
		Content: base64.RawURLEncoding.EncodeToString(data), SM3: base64.RawURLEncoding.EncodeToString(sum[:]),
	}
}

// errNoOriginal: the whole license cannot be drawn; the reason is not revealed.
var errNoOriginal = errors.New("the original cannot be drawn")

// documentProblem is the problem code of a lasting reason why a license has no document; "" for any other error.
func documentProblem(err error) string {
	switch {
	case errors.Is(err, errNotInForce):
		return "document-not-in-force"
	case errors.Is(err, errNoOriginal):
		return "document-no-original"
	case errors.Is(err, register.ErrNoSeal):
		return "document-no-seal"
	}
	page := (*sheet.Error)(nil)
	if !errors.As(err, &page) {
		return ""
	}
	switch page.Code {
	case sheet.NoLayout:
		return "document-no-layout"
	case sheet.NoSealPlace:
		return "document-no-seal-place"
	case sheet.NoGlyph:
		return "document-no-glyph"
	case sheet.ForbiddenCharacter:
		return "document-forbidden-character"
	case sheet.BadPicture:
		return "document-bad-seal-picture"
	}
	return "document-does-not-fit"
}

// problemReason is a problem as the reason of one material.
func problemReason(code string) api.Reason {
	p := api.NewProblem(code)
	return api.Reason{Code: p.Code, Zh: p.Zh, En: p.En}
}

// wantDocuments sets the form of the materials of which a copy is wanted. For a wish that names none of them it returns its index
// and false.
func wantDocuments(needs []*licenseUse, wanted []api.DocumentWanted) (at int, ok bool) {
	for i, want := range wanted {
		found := false
		for _, u := range needs {
			if u.facts.Material.Code == want.Material && (want.Matter == "" || u.facts.Matter.Code == want.Matter) {
				u.form, u.archived, found = want.Form, want.Archive, true
			}
		}
		if !found {
			return i, false
		}
	}
	return 0, true
}

// outcomeRendered is the outcome of a use in which a department drew a license of its own.
const outcomeRendered = "rendered"

// render draws a license as a document for the department that owns it (POST /v1/licenses/render). The whole license leaves,
// and the record says so.
func (g *Gateway) render(ctx context.Context, c *call, q api.RenderRequest) (*result, error) {
	t, ok := c.config.Catalogue.Type(q.LicenseType)
	if !ok {
		return nil, refuse("unknown-license-type").pointingAt("/license_type", "unknown license type; catalog.types lists them")
	}
	rules, err := c.mayManage(t.ID)
	if err != nil {
		return nil, err
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
	c.askOwn(ctx, []license.Question{ask})
	f := c.findings[ask]
	if f.State == license.IsUnavailable {
		return nil, unanswered(f.Err, "/holder").withUses(use)
	}
	use.Source, use.Freshness = f.Source, string(c.config.freshness(f))+" "+api.At(f.AsOf).String()
	record, err := theOne(ask, f.Records)
	if err != nil {
		if use.Decision = outcomeMissing; !errors.Is(err, api.NewProblem("license-missing")) {
			use.Decision = outcomeListed // that there are several
		}
		return nil, asRefusal(err).withUses(use)
	}
	a := g.newAttempt(c)
	answer := api.RenderAnswer{
		Rules:  notNil(rules),
		Source: f.Source, Freshness: c.config.freshness(f), AsOf: api.At(f.AsOf),
	}
	signed, err := a.current(ctx, &licenseUse{ask: ask, finding: f}, record)
	if err == nil {
		answer.Identifier, answer.Version = signed.Version.Identifier, signed.Version.Number
		answer.Status = api.Status(c.effectiveStatus(signed.Version, record))
		answer.Document, err = a.rendered(ctx, string(q.Form), signed, record, f.AsOf)
	}
	if code := cmp.Or(unsignable(err), documentProblem(err)); code != "" {
		ref := refuse(code).withUses(use).withReasons(unsignedReasons(code, err))
		if page := (*sheet.Error)(nil); errors.As(err, &page) && page.Field != "" {
			ref.withDetail(string(page.Code) + ": " + page.Field) // of its own license; never the value or the character
		} else if errors.Is(err, errNotInForce) {
			if ref.withDetail("The license is " + string(answer.Status) + "."); answer.Status == api.StatusValid {
				ref.withDetail("The license is valid from " + string(record.ValidFrom) + " on.")
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
	return &result{answer: answer, uses: []audit.Use{use}, changes: a.changes}, nil
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
	return license.License{}, refuse("invalid-field").pointingAt("/number", "the holder has several licenses of this type: name one")
}

// rendered is a whole version in a form. Of a license that is not in force there is no original, and pictures say so.
func (a *attempt) rendered(ctx context.Context, form string, s register.Signed, record license.License, asOf time.Time) (api.LicenseDocument, error) {
	documents := a.c.config.Documents
	if documents == nil {
		return api.LicenseDocument{}, &sheet.Error{Code: sheet.NoLayout, Field: "type"}
	}
	var data []byte
	var err error
	if form == "ofd" {
		var o register.Original
		if o, err = a.original(ctx, s, record); err == nil {
			data, err = a.c.config.Register.OpenOriginal(o)
		}
	} else {
		data, err = a.drawInTurn(ctx, func(ctx context.Context) ([]byte, error) {
			return documents.Show(ctx, form, s.Version, s.Claims, a.c.overprint(s.Version, record, asOf))
		})
	}
	if err != nil {
		return api.LicenseDocument{}, err
	}
	return describeDocument(form, s.Version.Identifier, data), nil
}

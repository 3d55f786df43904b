package gateway

import (
	"context"
	"encoding/base64"
	"errors"
	"time"

	"oncegate/api"
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
)

// mediaTypes by form.
var mediaTypes = map[string]string{"ofd": "application/ofd", "pdf": "application/pdf", "png": "image/png", "svg": "image/svg+xml"}

// annotated makes the annotated copy of what a need releases. What else the license says is in the original, which stays inside.
func (w *work) annotated(ctx context.Context, n *need, d disclosure) (api.LicenseDocument, error) {
	documents, v, fields := w.c.config.Documents, d.signed.Version, n.decision.Fields
	if documents == nil {
		return api.LicenseDocument{}, &sheet.Error{Code: sheet.NoLayout, Field: "type"}
	}
	notice := w.c.notice(n)
	original, err := w.original(ctx, d.signed, d.record)
	if page := (*sheet.Error)(nil); errors.As(err, &page) {
		// What is wrong with the whole license may lie in what the caller must not know: only what is wrong with the copy, too,
		// is told.
		if _, err := w.drawn(ctx, func(ctx context.Context) ([]byte, error) {
			return documents.Copy(ctx, "pdf", v, d.granted, fields, notice, [32]byte{})
		}); err != nil {
			return api.LicenseDocument{}, err
		}
		return api.LicenseDocument{}, errNoOriginal
	}
	if err != nil {
		return api.LicenseDocument{}, err
	}
	data, err := w.drawn(ctx, func(ctx context.Context) ([]byte, error) {
		return documents.Copy(ctx, string(n.form), v, d.granted, fields, notice, original.Digest)
	})
	if err != nil {
		return api.LicenseDocument{}, err
	}
	doc := describeDocument(string(n.form), v.Identifier, data)
	doc.OriginalSM3, doc.Expires = base64.RawURLEncoding.EncodeToString(original.Digest[:]), api.At(notice.Expires)
	return doc, nil
}

// notToCopy is the code of why no copy is made of a license that is released: a file outlives its answer, and would say neither
// that the license is not in force, nor that its source is down and this is a kept copy (design law 6).
func (w *work) notToCopy(n *need, d disclosure) string {
	switch {
	case !w.c.inForce(d.signed.Version, d.record):
		return "document-not-in-force"
	case n.finding.Stale:
		return "source-unavailable"
	}
	return ""
}

// inForce says whether a license may be relied upon on the day of the call.
func (c *call) inForce(known register.Version, record license.License) bool {
	record.Status = known.Status
	return record.InForce(license.DateOf(c.now))
}

// lapse says why a license is not in force and since when, in lines to be drawn across its page; "" for one in force. Of a status
// that its source states, asOf is the moment whose truth it is.
func (c *call) lapse(known register.Version, record license.License, asOf time.Time) string {
	if c.inForce(known, record) {
		return ""
	}
	status, day := c.standing(known, record), license.DateOf(c.now)
	switch {
	case status == license.Valid:
		return "尚未生效\n自" + inChinese(record.ValidFrom) + "起生效"
	case status == license.Expired && record.ValidTo.Before(day):
		return "已过期\n有效期至" + inChinese(record.ValidTo)
	case status == known.Ordered:
		return lapsed[status] + "\n自" + inChinese(license.DateOf(known.OrderedAt)) + "起"
	}
	return lapsed[status] + "\n截至" + inChinese(license.DateOf(asOf))
}

// lapsed are the words of each status in which a license is not in force. Neither sources nor orders tell 注销, 吊销 and 撤销
// apart (license.Revoked), and the second may be a penalty: so all three are named.
var lapsed = map[license.Status]string{
	license.Suspended: "已暂停", license.Revoked: "已失效\n注销、吊销或撤销", license.Superseded: "已换发", license.Expired: "已失效",
}

func inChinese(d license.Date) string {
	day, err := d.Start()
	if err != nil {
		return string(d)
	}
	return day.Format("2006年1月2日")
}

// errNotInForce says that a license which is not in force has no original: the seal would vouch for it.
var errNotInForce = errors.New("the license is not in force")

// original finds the original of a version, sealing it if it is needed for the first time. It commits with the record. The error
// is errNotInForce also where an original was sealed while the license was in force: it is kept, and not given out.
func (w *work) original(ctx context.Context, s register.Signed, record license.License) (register.Original, error) {
	if !w.c.inForce(s.Version, record) {
		return register.Original{}, errNotInForce
	}
	if o, ok := w.sealed[s.Version.Identifier]; ok {
		return o, nil
	}
	o, changes, err := w.c.config.Register.Original(ctx, s.Version, func(ctx context.Context) ([]byte, error) {
		return w.drawn(ctx, func(ctx context.Context) ([]byte, error) {
			return w.c.config.Documents.Original(ctx, s.Version, s.Claims)
		})
	})
	if err != nil {
		return o, err
	}
	w.sealed[s.Version.Identifier] = o
	w.changes = append(w.changes, changes...)
	return o, nil
}

// notice says for what a copy is given out.
func (c *call) notice(n *need) ofd.Notice {
	departments := c.config.Departments
	provider := n.question.Provider
	notice := ofd.Notice{
		Provider: orDefault(departments[provider], provider), User: orDefault(departments[c.system.Department], orDefault(c.system.Name, c.system.ID)),
		Matter: n.facts.Matter.Name, Case: n.facts.Case,
	}
	if notice.Case == "" {
		basis, _ := c.config.Policy.Basis(n.question.Basis)
		notice.Matter, notice.Case = orDefault(basis.Title, n.question.Basis), n.cites
	}
	notice.Expires = c.now.Add(orDefault(c.config.CopyLife, defaultCopyLife)).Truncate(time.Second)
	return notice
}

func describeDocument(form, identifier string, data []byte) api.LicenseDocument {
	sum := sm.Digest(data)
	return api.LicenseDocument{
		Form: api.LicenseDocumentForm(form), MediaType: mediaTypes[form], Name: identifier + "." + form,
		Content: base64.RawURLEncoding.EncodeToString(data), SM3: base64.RawURLEncoding.EncodeToString(sum[:]),
	}
}

// errNoOriginal says that the whole license cannot be drawn, and nothing of why.
var errNoOriginal = errors.New("the original cannot be drawn")

// undrawable is the problem code of a lasting reason why a license has no document; "" for any other error.
func undrawable(err error) string {
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
	case sheet.NoLayout, sheet.NoSealPlace:
		return "document-no-layout"
	case sheet.NoGlyph, sheet.ForbiddenCharacter:
		return "document-no-glyph"
	case sheet.BadPicture:
		return "document-no-seal"
	}
	return "document-does-not-fit"
}

// problemReason is a problem as the reason of one material.
func problemReason(code string) api.Reason {
	p := api.NewProblem(code)
	return api.Reason{Code: p.Code, Zh: p.Zh, En: p.En}
}

// wantDocuments notes of which materials a copy is wanted. It returns the place of a wish that names none of them, and false.
func wantDocuments(needs []*need, wanted []api.DocumentWanted) (at int, ok bool) {
	for i, want := range wanted {
		found := false
		for _, n := range needs {
			if n.facts.Material.Code == want.Material && (want.Matter == "" || n.facts.Matter.Code == want.Matter) {
				n.form, found = want.Form, true
			}
		}
		if !found {
			return i, false
		}
	}
	return 0, true
}

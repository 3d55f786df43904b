package office

import (
	"bytes"
	"context"
	"path"
	"slices"
	"time"

	"oncegate/certs/ofd"
	"oncegate/certs/pki"
	"oncegate/certs/seal"
	"oncegate/certs/sm"
	"oncegate/check"
	"oncegate/sheet"
)

// A Case is a set of files of which the first is verified with the others beside it, and the one step that must fail; "" if
// none.
type Case struct {
	Name  string
	Files map[string][]byte // first.ofd is the document
	Step  string
	State check.State // of Step; empty: failed
}

// First is the name of the document of a case.
const First = "first.ofd"

// Cases are the ways in which a sealed document can be wrong, each with the step that names it, and some in which it is right.
func (o *Office) Cases() []Case {
	o.tb.Helper()
	good := o.License()
	one := func(name string, doc []byte, step string, more ...any) Case {
		c := Case{Name: name, Files: map[string][]byte{First: doc}, Step: step}
		for i := 0; i+1 < len(more); i += 2 {
			c.Files[more[i].(string)] = more[i+1].([]byte)
		}
		return c
	}
	plain := o.Write(Document(o.Identifier(USCC)))
	signer := o.Holder.Certificate
	unknown := func(step string, doc []byte) Case {
		return Case{Name: "nothing is said of " + step, Files: map[string][]byte{First: doc}, Step: step, State: check.NotCheckable}
	}
	loose := o.resign(good, leaveOut("/OFD.xml"))
	odd := o.resign(good, replaceText(`CheckMethod="1.2.156.10197.1.401"`, `CheckMethod="WHIRLPOOL"`))
	page := sheet.Box{W: 297, H: 210}
	return []Case{
		one("good", good, ""),
		one("the page was changed", Edit(o.tb, good, func(name string, data []byte) []byte {
			if path.Base(name) == "Content.xml" {
				return bytes.Replace(data, []byte("200 0 0"), []byte("100 0 0"), 1)
			}
			return data
		}), "signature[0]/signature-references"),
		one("a file was smuggled in", Edit(o.tb, good, Same, "Doc_0/Res/more.xml", "<more/>"), "ofd-coverage"),
		one("an entry stands twice", Edit(o.tb, good, Same, "OFD.xml", "<ofd/>"), "ofd-entries"),
		one("the seal was over", o.SealBy(plain, o.overdue()), "signature[0]/seal-period"),
		one("the signer is not on the list", o.SealBy(plain, o.stranger()), "signature[0]/seal-signer-listed"),
		one("the stamp is of something else", o.SealBy(plain, o.misstamped()), "signature[0]/timestamp-imprint"),
		one("the signer was revoked before", good, "signature[0]/seal-signer-revocation", "sub.crl", o.Revoked(signer, o.Signed.Add(-time.Hour))),
		one("the signer was revoked after", good, "", "sub.crl", o.Revoked(signer, o.Signed.Add(time.Hour)), "root.crl", o.RootList()),
		{
			Name: "the signer was revoked after, and nothing proves when it signed", State: check.NotCheckable, Step: "signature[0]/seal-signer-revocation",
			Files: map[string][]byte{First: o.SealBy(plain, o.unstamped()), "sub.crl": o.Revoked(signer, o.Signed.Add(time.Hour)), "root.crl": o.RootList()},
		},
		one("the license is of another issuer", o.SealBy(o.Write(Document(o.Identifier(Other))), o.Holder), "issuer-authority"),
		one("the metadata name another issuer", o.SealBy(o.Write(Document(o.Identifier(USCC), "ZZBFJGDM", Other)), o.Holder), "identifier"),
		one("the license is over", o.SealBy(o.Write(Document(o.Identifier(USCC), "ZZYXQJZRQ", "20200101")), o.Holder), "validity"),
		unknown("identifier", loose), unknown("validity", loose), unknown("issuer-authority", loose), unknown("ofd-metadata", loose),
		unknown("ofd-coverage", odd), unknown("ofd-metadata", odd), unknown("identifier", odd), unknown("validity", odd), unknown("issuer-authority", odd),
		unknown("signature[0]/signature-extent", odd),
		unknown("issuer-authority", o.SealBy(o.resign(good, leaveOut("/Doc_0/Pages/Page_0/Content.xml")), o.stranded())),
		unknown("signature[0]/signature-stamp-area", o.SealBy(plain, o.Holder, ofd.Stamp{Box: page})),
		one("another seal over the whole page", o.SealBy(good, o.Holder, ofd.Stamp{Box: page}), "signature[1]/signature-stamp-area"),
		unknown("signature[0]/signature-stamp-area", o.SealBy(good, o.Holder)),
		one("a good copy", o.Copy(good, o.Now.AddDate(0, 0, 1)), "", "original.ofd", good),
		one("the copy is over", o.Copy(good, o.Now.AddDate(0, 0, -1)), "ofd-copy-expires", "original.ofd", good),
		one("the copy is of another original", o.Copy(good, o.Now.AddDate(0, 0, 1)), "copy-original", "original.ofd", o.SealBy(plain, o.Holder)),
	}
}

// resign changes the Signature.xml of a sealed package, and seals it again: what other makers, or a department in error, do.
func (o *Office) resign(pkg []byte, change func(signature []byte) []byte) []byte {
	var signature []byte
	pkg = Edit(o.tb, pkg, func(name string, data []byte) []byte {
		if path.Base(name) == "Signature.xml" {
			data = change(data)
			signature = data
		}
		return data
	})
	s, err := seal.Sign(o.tb.Context(), o.Holder, sm.Digest(signature), "/Doc_0/Signs/Sign_0/Signature.xml")
	o.must(err)
	return Edit(o.tb, pkg, func(name string, data []byte) []byte {
		if path.Base(name) == "SignedValue.dat" {
			return s.Raw
		}
		return data
	})
}

// leaveOut leaves the Reference of a file out of Signature.xml.
func leaveOut(file string) func([]byte) []byte {
	return func(signature []byte) []byte {
		from := bytes.Index(signature, []byte(`<ofd:Reference FileRef="`+file+`"`))
		const end = "</ofd:Reference>"
		to := from + bytes.Index(signature[from:], []byte(end)) + len(end)
		return slices.Concat(signature[:from], signature[to:])
	}
}

func replaceText(from, to string) func([]byte) []byte {
	return func(b []byte) []byte { return bytes.Replace(b, []byte(from), []byte(to), 1) }
}

// stranded holds a seal of another body.
func (o *Office) stranded() (h seal.Holder) {
	h = o.Holder
	key, chain := o.Issue("seal-3", pki.Seal, Other, "示例市印章中心")
	h.Signer, h.Certificate = key, chain[0]
	h.Seal = o.Seal(o.Now.AddDate(0, 0, -6), o.Now.AddDate(1, 0, 0), chain[0])
	return h
}

// overdue holds a seal that is over when it is used, without knowing.
func (o *Office) overdue() (h seal.Holder) {
	h = o.Holder
	short := *o.Seal(o.Now.AddDate(0, 0, -6), o.Signed.Add(-time.Hour), h.Certificate)
	short.To = o.Now
	h.Seal = &short
	return h
}

// stranger holds a seal whose maker has not listed it.
func (o *Office) stranger() (h seal.Holder) {
	h = o.Holder
	key, chain := o.Issue("seal-2", pki.Seal, USCC, Name)
	h.Signer, h.Certificate = key, chain[0]
	mine := *h.Seal
	mine.Signers.Certificates = append([][]byte{chain[0].Raw}, mine.Signers.Certificates...)
	h.Seal = &mine
	return h
}

// misstamped gets time stamps of something else.
func (o *Office) misstamped() (h seal.Holder) {
	h = o.Holder
	h.TimeStamp = func(ctx context.Context, _ []byte) ([]byte, error) {
		return o.Stamps.Stamp(ctx, []byte("something else"))
	}
	return h
}

func (o *Office) unstamped() (h seal.Holder) {
	h = o.Holder
	h.TimeStamp = nil
	return h
}

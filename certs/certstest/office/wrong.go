package office

import (
	"bytes"
	"context"
	"path"
	"time"

	"oncegate/certs/pki"
	"oncegate/certs/seal"
	"oncegate/license"
)

// A Case is a set of files of which the first is verified with the others beside it, and the one step that must fail; "" if
// none.
type Case struct {
	Name  string
	Files map[string][]byte // first.ofd is the document
	Step  string
	State license.StepState // of Step; empty: failed
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
			Name: "the signer was revoked after, and nothing proves when it signed", State: license.NotCheckable, Step: "signature[0]/seal-signer-revocation",
			Files: map[string][]byte{First: o.SealBy(plain, o.unstamped()), "sub.crl": o.Revoked(signer, o.Signed.Add(time.Hour)), "root.crl": o.RootList()},
		},
		one("the license is of another issuer", o.SealBy(o.Write(Document(o.Identifier(Other))), o.Holder), "issuer-authority"),
		one("the metadata name another issuer", o.SealBy(o.Write(Document(o.Identifier(USCC), "ZZBFJGDM", Other)), o.Holder), "identifier"),
		one("the license is over", o.SealBy(o.Write(Document(o.Identifier(USCC), "ZZYXQJZRQ", "20200101")), o.Holder), "validity"),
		one("a good copy", o.Copy(good, o.Now.AddDate(0, 0, 1)), "", "original.ofd", good),
		one("the copy is over", o.Copy(good, o.Now.AddDate(0, 0, -1)), "ofd-copy-expires", "original.ofd", good),
		one("the copy is of another original", o.Copy(good, o.Now.AddDate(0, 0, 1)), "copy-original", "original.ofd", o.SealBy(plain, o.Holder)),
	}
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

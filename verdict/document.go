package verdict

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"oncegate/api"
	"oncegate/certs/ofd"
	"oncegate/check"
	"oncegate/license"
)

// Names of GB/T 36903 metadata that documents are held to.
const (
	licenseName = "ZZMC"
	issuerCode  = "ZZBFJGDM"
	validFrom   = "ZZYXQQSRQ"
	validTo     = "ZZYXQJZRQ"
)

// outline are the steps of a document that come before its signatures; the others come after.
var outline = []string{ofd.StepPackage, ofd.StepUnique, ofd.StepXML, ofd.StepDocument}

// document verifies an OFD package in the order of standards: the package, each signature, what the package is as a whole,
// and what the license in it says of itself.
func (s *batch) document(ctx context.Context, self int) (done check.Steps, by []Signature, err error) {
	data := s.all[self].Data
	p, err := ofd.Open(ctx, bytes.NewReader(data), int64(len(data)))
	if err != nil {
		refusal, ok := errors.AsType[*ofd.Refusal](err)
		if !ok {
			return nil, nil, err
		}
		return check.Steps{refusal.Taken()}, nil, nil
	}
	r, err := p.Verify(ctx, ofd.Judges{Now: s.now(), Seal: s.judgeSeal, CMS: s.judgeCMS})
	if err != nil {
		return nil, nil, err
	}
	for _, step := range r.Steps {
		if slices.Contains(outline, step.Name) {
			done = append(done, step)
		}
	}
	for i, one := range r.Signatures {
		place := fmt.Sprintf("signature[%d]", i)
		done.Under(place, one.Steps)
		by = append(by, Signature{
			Place: place, Type: one.Type, Signer: one.Signer, USCC: one.USCC, SealName: one.SealName,
			Provider: one.Provider, Time: at(one.Time), Proven: one.Proven,
		})
	}
	for _, step := range r.Steps {
		if !slices.Contains(outline, step.Name) {
			done = append(done, step)
		}
	}
	if name := p.Value(licenseName); name != "" {
		s.current.found.subject = api.Sentence{En: "the document " + name, Zh: "版式文件《" + name + "》"}
	}
	said := metadata{p, check.Find(r.Steps, ofd.StepMetadata)}
	s.documentCopy(ctx, &done, self, said)
	s.documentLicense(&done, said, r.Signatures)
	return done, by, nil
}

// metadata are what a document says of itself, and the step that says whether that is signed.
type metadata struct {
	*ofd.Package
	signed check.Step
}

// holds reports that what the metadata say holds: ok when they are signed, else not checkable. What they say against
// themselves fails in any case.
func (m metadata) holds(done *check.Steps, name, reason string) {
	if m.signed.State != check.OK {
		done.CannotCheck(name, m.signed.Reason)
		return
	}
	done.Pass(name, reason)
}

// held reports steps that rest on what the metadata say, as holds does.
func (m metadata) held(done *check.Steps, list check.Steps) {
	for _, step := range list {
		if step.State == check.OK {
			m.holds(done, step.Name, step.Reason)
		} else {
			*done = append(*done, step)
		}
	}
}

// documentCopy compares the original that an annotated copy (加注件) names with the one at hand.
func (s *batch) documentCopy(ctx context.Context, done *check.Steps, self int, p metadata) {
	const name = "copy-original"
	info, ok := p.Copy()
	switch {
	case !ok:
		return
	case info.Original == nil:
		done.CannotCheck(name, "the copy does not say which document it was made of")
		return
	}
	var others []int
	for i, a := range s.all {
		if i == self || s.kinds[i] != Document {
			continue
		}
		if s.sm3Is(info.Original)(a.Data) {
			p.holds(done, name, "the original is among the files")
			return
		}
		if s.mayBeOriginal(ctx, a.Data, p.Value(ofd.Identifier)) {
			others = append(others, i)
		}
	}
	if len(others) > 0 {
		done.Fail(name, "the copy was made of another document than the one among the files")
		return
	}
	done.CannotCheck(name, "the original is not among the files")
}

// mayBeOriginal tells whether somebody could mean a document as the original of a copy of a license: it is no copy, and not of
// another license.
func (s *batch) mayBeOriginal(ctx context.Context, data []byte, identifier string) bool {
	p, err := ofd.Open(ctx, bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return true // broken; as a copy of its own it would be, too
	}
	_, isCopy := p.Copy()
	own := p.Value(ofd.Identifier)
	return !isCopy && (own == identifier || own == "")
}

// documentLicense checks what the metadata says of the license: its identifier, who issued it, its validity.
func (s *batch) documentLicense(done *check.Steps, p metadata, all []ofd.Signature) {
	text := p.Value(ofd.Identifier)
	if text == "" {
		done.CannotCheck("identifier", "the document names no license (ZZBS)")
		done.CannotCheck(StepIssuerOfType, "the document names no license (ZZBS)")
		done.CannotCheck(StepIssuerAuthority, "the document names no license (ZZBS)")
		return
	}
	id, err := license.ParseIdentifier(text)
	if err != nil {
		done.Fail("identifier", err.Error())
		done.CannotCheck(StepIssuerOfType, "the license's identifier does not say who issued it")
		done.CannotCheck(StepIssuerAuthority, "the license's identifier does not say who issued it")
	} else {
		if err := sameIssuer(p.Package, id.Issuer()); err != nil {
			done.Fail("identifier", err.Error())
		} else {
			p.holds(done, "identifier", "")
		}
		var issuer check.Steps
		issuerOfType(&issuer, s.Trust, "", id)
		s.documentAuthority(&issuer, id, all)
		p.held(done, issuer)
	}
	s.noteInForce(s.documentValidity(done, p),
		s.statusFromAnswer(done, text, "a document does not say whether the license still stands: ask for its status by its identifier"))
}

// sameIssuer holds the issuing body that the metadata names against the one of the identifier.
func sameIssuer(p *ofd.Package, issuer string) error {
	var named []string
	for _, d := range p.Data() {
		if d.Name == issuerCode && d.Value != "" {
			named = append(named, d.Value)
		}
	}
	if len(named) > 0 && !slices.Contains(named, issuer) {
		return errors.New("the identifier is of another issuing body than the metadata (ZZBFJGDM)")
	}
	return nil
}

// documentAuthority asks whether a signature that holds and covers every file is the issuing body's, or a delegate's. One over
// some files says nothing of a page or of metadata that somebody else signed.
func (s *batch) documentAuthority(done *check.Steps, id license.Identifier, all []ofd.Signature) {
	var held bool
	var whole, partly, foreign []string // codes of those who signed
	for _, one := range all {
		switch holds := Failure(one.Steps) == nil; {
		case !holds && one.USCC != "" && one.USCC != id.Issuer():
			foreign = append(foreign, one.USCC)
		case !holds:
		case one.USCC == "":
			held = true
		case check.Find(one.Steps, ofd.StepExtent).State == check.OK:
			held, whole = true, append(whole, one.USCC)
		default:
			held, partly = true, append(partly, one.USCC)
		}
	}
	entitled := func(body string) bool { return body == id.Issuer() || s.delegate("", id, body) != notDelegated }
	switch {
	case slices.ContainsFunc(whole, entitled):
		issuerAuthority(done, s.Trust, "", id, whole...)
	case slices.ContainsFunc(partly, entitled):
		done.CannotCheck(StepIssuerAuthority, "the issuing body or its delegate signed, but not every file of the document")
	case len(whole)+len(partly) > 0 || !held && len(foreign) > 0: // a signature that fails for another reason may still tell whose it is
		done.Fail(StepIssuerAuthority, "nobody who signed is the issuing body of the license or a delegate that the trust names")
	case held:
		done.CannotCheck(StepIssuerAuthority, "the certificates of those who signed name no organisation code")
	default:
		done.CannotCheck(StepIssuerAuthority, "no signature holds")
	}
}

// documentValidity holds the validity that the metadata names against today.
func (s *batch) documentValidity(done *check.Steps, p metadata) *api.InForce {
	now := license.DateOf(s.now())
	from, fromOK := metadataDate(p.Value(validFrom))
	to, toOK := metadataDate(p.Value(validTo))
	switch {
	case !fromOK || !toOK:
		done.CannotCheck("validity", "from when to when the license is valid cannot be read")
		return nil
	case from != "" && now < from:
		done.Fail("validity", "the license is not valid yet")
		return &api.InForce{State: api.InForceStateNotInForce, AsOf: api.At(s.now())}
	case to != "" && now > to:
		done.Fail("validity", "the license has expired")
		return inForce(license.Expired, s.now())
	}
	p.holds(done, "validity", "on "+string(now))
	return nil
}

// metadataDate reads a date as GB/T 36903 and vendors write it; empty for one that is not stated, and for 长期.
func metadataDate(text string) (license.Date, bool) {
	text = strings.TrimSpace(text)
	if text == "" || strings.Contains(text, "长期") {
		return "", true
	}
	for _, layout := range []string{"20060102", "2006-01-02", "2006年1月2日", "2006年01月02日", "20060102150405", "2006-01-02 15:04:05", "2006/01/02"} {
		if t, err := time.Parse(layout, text); err == nil {
			return license.Date(t.Format("2006-01-02")), true
		}
	}
	return "", false
}

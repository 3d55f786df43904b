package seal

import (
	"bytes"
	"errors"
	"slices"

	"oncegate/certs/pki"
	"oncegate/license"
)

// maxAbove bounds the authorities that are tried above a certificate, as [pki.Verifier.Chain] does.
const maxAbove = 5

// A role is one of the two parties of a seal and the names of its steps.
type role struct{ usage, chain, used, revocation string }

var (
	asSigner = role{pki.Seal, StepSignerChain, StepSignerUsage, StepSignerRevocation}
	asMaker  = role{pki.SealMaker, StepMakerChain, StepMakerUsage, StepMakerRevocation}
)

// ours are the usages that a certificate of ours can name. Whoever names another one than his role's has no business here.
var ours = []string{pki.Call, pki.License, pki.Log, pki.Seal, pki.Status, pki.Attest, pki.TimeStamp, pki.SealMaker, pki.OCSP, pki.Encryption}

// readCertificate returns nil for what is no certificate; a panic of the library is that, too.
func readCertificate(der []byte) (c *pki.Certificate) {
	defer func() {
		if recover() != nil {
			c = nil
		}
	}()
	c, err := pki.ParseForeign(der)
	if err != nil {
		return nil
	}
	return c
}

// party judges a certificate in its role and says whose it is.
func (j *judge) party(c *pki.Certificate, t moment, r role) Party {
	if c == nil {
		const reason = "the certificate cannot be read"
		j.add(failed(r.chain, reason), open(r.used, reason), open(r.revocation, reason))
		return Party{}
	}
	p := describe(c)
	if j.Trust == nil {
		const reason = "there are no trust anchors"
		j.add(open(r.chain, reason), open(r.used, reason), open(r.revocation, reason))
		return p
	}
	above := above(c, j.Intermediates)
	leaf, err := j.Trust.Chain(c, above, t.at, r.usage)
	switch {
	case err == nil:
		p.Organization, p.USCC = leaf.Organization, leaf.USCC
		j.add(ok(r.chain), ok(r.used))
	case errors.Is(err, pki.ErrWrongUsage), errors.Is(err, pki.ErrNoUSCC):
		// Both are judged only of a chain that holds.
		j.add(ok(r.chain), r.judge(c, err))
	default:
		step := failed(r.chain, "%v", err)
		if errors.Is(err, pki.ErrExpired) || errors.Is(err, pki.ErrNotYetValid) {
			step = t.blame(r.chain, err.Error())
		}
		j.add(step, open(r.used, "the chain does not hold"), open(r.revocation, "the chain does not hold"))
		return p
	}
	j.add(j.revocation(r, append([]*pki.Certificate{c}, above...), t))
	return p
}

// judge says what a certificate that is not, in our way, for its role may do in it. Who makes seals must be known to do so.
// Who uses them is on the list of a maker: authorities elsewhere do not write a usage into certificates.
func (r role) judge(c *pki.Certificate, err error) license.Step {
	switch {
	case errors.Is(err, pki.ErrNoUSCC):
		return license.Step{Name: r.used, State: license.OK, Reason: "the certificate names no organisation code"}
	case r == asSigner && !slices.ContainsFunc(c.Subject.OrganizationalUnit, func(u string) bool { return slices.Contains(ours, u) }):
		return open(r.used, "the certificate does not say what for; the maker lists it for this seal")
	}
	return failed(r.used, "%v", err)
}

func (j *judge) revocation(r role, chain []*pki.Certificate, t moment) license.Step {
	if j.Revocation == nil {
		return open(r.revocation, "nobody was asked whether the certificate was revoked")
	}
	step := j.Revocation(j.ctx, chain, t.at)
	step.Name = r.revocation
	return step
}

// above picks from a pool the authorities that may be above c, by their names and key identifiers.
func above(c *pki.Certificate, pool []*pki.Certificate) []*pki.Certificate {
	found := []*pki.Certificate{c}
	for i := 0; i < len(found); i++ {
		for _, p := range pool {
			if len(found) <= maxAbove && names(found[i], p) && !slices.ContainsFunc(found, p.Equal) {
				found = append(found, p)
			}
		}
	}
	return found[1:]
}

// names tells whether c says that issuer issued it.
func names(c, issuer *pki.Certificate) bool {
	return bytes.Equal(c.RawIssuer, issuer.RawSubject) &&
		(len(c.AuthorityKeyId) == 0 || len(issuer.SubjectKeyId) == 0 || bytes.Equal(c.AuthorityKeyId, issuer.SubjectKeyId))
}

// describe reads the subject.
func describe(c *pki.Certificate) Party {
	p := Party{CommonName: c.Subject.CommonName, Fingerprint: pki.Fingerprint(c), Certificate: c}
	if len(c.Subject.Organization) == 1 {
		p.Organization = c.Subject.Organization[0]
	}
	return p
}

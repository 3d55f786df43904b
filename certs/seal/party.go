package seal

import (
	"errors"
	"slices"
	"time"

	"oncegate/certs/pki"
	"oncegate/check"
)

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
		j.add(check.Fail(r.chain, reason), check.CannotCheck(r.used, reason), check.CannotCheck(r.revocation, reason))
		return Party{}
	}
	p := describe(c)
	if j.Trust == nil {
		const reason = "there are no trust anchors"
		j.add(check.CannotCheck(r.chain, reason), check.CannotCheck(r.used, reason), check.CannotCheck(r.revocation, reason))
		return p
	}
	above := pki.Above(c, j.Intermediates)
	var leaf pki.Leaf
	var other error // of a chain that holds, for another usage or of nobody
	step := j.judged(r.chain, t.Moment, c.NotAfter, func(at time.Time) error {
		found, err := j.Trust.Chain(c, above, at, r.usage)
		if errors.Is(err, pki.ErrWrongUsage) || errors.Is(err, pki.ErrNoUSCC) { // judged only of a chain that holds
			found, other, err = pki.Leaf{}, err, nil
		}
		if err == nil && at.Equal(t.At) {
			leaf = found
		}
		return err
	})
	j.add(step)
	switch {
	case step.State == check.Failed || leaf.Public == nil && other == nil:
		j.add(check.CannotCheck(r.used, "the chain does not hold"), check.CannotCheck(r.revocation, "the chain does not hold"))
		return p
	case other != nil:
		j.add(r.judge(c, other))
	default:
		p.Organization, p.USCC = leaf.Organization, leaf.USCC
		j.add(check.Pass(r.used, ""))
	}
	j.add(j.revocation(r, append([]*pki.Certificate{c}, above...), t))
	return p
}

// judge says what a certificate that is not, in our way, for its role may do in it. Who makes seals must be known to do so.
// Who uses them is on the list of a maker: authorities elsewhere do not write a usage into certificates.
func (r role) judge(c *pki.Certificate, err error) check.Step {
	switch {
	case errors.Is(err, pki.ErrNoUSCC):
		return check.Pass(r.used, "the certificate names no organisation code")
	case r == asSigner && !slices.ContainsFunc(c.Subject.OrganizationalUnit, func(u string) bool { return slices.Contains(ours, u) }):
		return check.CannotCheck(r.used, "the certificate does not say what for; the maker lists it for this seal")
	}
	return check.Fail(r.used, err.Error())
}

func (j *judge) revocation(r role, chain []*pki.Certificate, t moment) check.Step {
	if j.Revocation == nil {
		return check.CannotCheck(r.revocation, "nobody was asked whether the certificate was revoked")
	}
	step := j.Revocation(j.ctx, chain, t.Moment)
	step.Name = r.revocation
	return step
}

// describe reads the subject.
func describe(c *pki.Certificate) Party {
	p := Party{CommonName: c.Subject.CommonName, Fingerprint: pki.Fingerprint(c), Certificate: c}
	if len(c.Subject.Organization) == 1 {
		p.Organization = c.Subject.Organization[0]
	}
	return p
}

package cms

import (
	"bytes"
	"errors"

	"oncegate/certs/pki"
	"oncegate/license"
)

// trust judges chain and usage, which are two questions to one chain: a certificate for another usage may well lead to an
// anchor. Where the chain's own verifier asks about revocation, what it found is returned.
func (j *judgement) trust(above []*pki.Certificate) (revoked error) {
	usage := func() error { return nil }
	if j.Usages != nil {
		usage = func() error { return j.Usages(j.d.Certificate) }
	}
	if j.Chain == nil {
		j.put(StepChain, license.NotCheckable, "no trust anchors were given")
		if j.Usages == nil {
			j.put(StepUsage, license.NotCheckable, "no trust anchors were given")
			return nil
		}
		j.add(StepUsage, usage())
		return nil
	}
	leaf, err := j.Chain(j.d.Certificate, above, j.d.Time, j.Usage)
	switch {
	case errors.Is(err, pki.ErrRevoked) || errors.Is(err, pki.ErrRevocationUnknown):
		revoked, err = err, nil // asked last, of a chain that holds for the usage
	case err != nil && !errors.Is(err, pki.ErrWrongUsage) && !errors.Is(err, pki.ErrNoUSCC):
		j.add(StepChain, err)
		if j.Usages == nil {
			j.put(StepUsage, license.NotCheckable, "the certificate's word counts only when it leads to an anchor")
			return nil
		}
		j.add(StepUsage, usage())
		return nil
	}
	j.put(StepChain, license.OK, j.d.when())
	if j.Usages != nil {
		err = usage()
	}
	j.add(StepUsage, err)
	if err == nil && revoked == nil {
		j.d.Leaf = leaf
	}
	return revoked
}

// find returns the certificate that the signer names, and that its attributes, if they do, name too.
func (v *Verifier) find(m *Message, s *Signer) (*pki.Certificate, error) {
	reason := errors.New("the certificate that the signer names is neither in the message nor known")
	for _, list := range [][]*pki.Certificate{m.Certificates, v.Certificates} {
		for _, c := range list {
			if !s.identifies(c) {
				continue
			}
			_, err := s.bound(c)
			if err == nil {
				return c, nil
			}
			reason = err
		}
	}
	return nil, reason
}

// maxAbove is how many authorities a chain can need, and pki takes.
const maxAbove = 5

// above returns those of certs that may stand above c, nearest first. Self-signed ones are left out: anchors come from the
// verifier.
func above(c *pki.Certificate, certs []*pki.Certificate) []*pki.Certificate {
	var out []*pki.Certificate
	taken := map[*pki.Certificate]bool{c: true}
	for next := []*pki.Certificate{c}; len(next) > 0; next = next[1:] {
		for _, issuer := range certs {
			if taken[issuer] || !names(next[0], issuer) || bytes.Equal(issuer.RawIssuer, issuer.RawSubject) {
				continue
			}
			if len(out) == maxAbove {
				return out
			}
			taken[issuer] = true
			out, next = append(out, issuer), append(next, issuer)
		}
	}
	return out
}

// names tells whether c says that issuer issued it: by name, and by key identifier where both have one.
func names(c, issuer *pki.Certificate) bool {
	return bytes.Equal(c.RawIssuer, issuer.RawSubject) &&
		(len(c.AuthorityKeyId) == 0 || len(issuer.SubjectKeyId) == 0 || bytes.Equal(c.AuthorityKeyId, issuer.SubjectKeyId))
}

package cms

import (
	"errors"
	"time"

	"oncegate/certs/pki"
	"oncegate/check"
)

// trust judges chain and usage, which are two questions to one chain: a certificate for another usage may well lead to an
// anchor. Where the chain's own verifier asks about revocation, what it found is returned.
func (j *judgement) trust(above []*pki.Certificate) (revoked error) {
	usage := func() error { return nil }
	if j.Usages != nil {
		usage = func() error { return j.Usages(j.d.Certificate) }
	}
	if j.Chain == nil {
		j.put(StepChain, check.NotCheckable, "no trust anchors were given")
		if j.Usages == nil {
			j.put(StepUsage, check.NotCheckable, "no trust anchors were given")
			return nil
		}
		j.add(StepUsage, usage())
		return nil
	}
	var leaf pki.Leaf
	var notFor, noUsage error // of a chain that leads to an anchor
	state, reason := j.d.moment.Judge(j.now(), j.d.Certificate.NotAfter, func(at time.Time) error {
		found, err := j.Chain(j.d.Certificate, above, at, j.Usage)
		first := at.Equal(j.d.moment.At)
		switch {
		case errors.Is(err, pki.ErrRevoked) || errors.Is(err, pki.ErrRevocationUnknown):
			if first {
				notFor = err // asked last, of a chain that holds for the usage
			}
			return nil
		case errors.Is(err, pki.ErrWrongUsage) || errors.Is(err, pki.ErrNoUSCC):
			if first {
				noUsage = err
			}
			return nil
		}
		if first {
			leaf = found
		}
		return err
	})
	j.put(StepChain, state, reason)
	if state == check.Failed || leaf.Public == nil && notFor == nil && noUsage == nil {
		if j.Usages == nil {
			j.put(StepUsage, check.NotCheckable, "the certificate's word counts only when it leads to an anchor")
			return nil
		}
		j.add(StepUsage, usage())
		return nil
	}
	err := noUsage
	if j.Usages != nil {
		err = usage()
	}
	j.add(StepUsage, err)
	if err == nil && notFor == nil {
		j.d.Leaf = leaf
	}
	return notFor
}

// maxSame bounds the certificates of one issuer and serial number that are tried: there is one where all is right.
const maxSame = 4

// find returns the certificate that the signer names, and that its attributes, if they do, name too.
func (v *Verifier) find(m *Message, s *Signer) (*pki.Certificate, error) {
	reason, tried := errors.New("the certificate that the signer names is neither in the message nor known"), 0
	for _, list := range [][]*pki.Certificate{m.Certificates, v.Certificates} {
		for _, c := range list {
			if !s.identifies(c) {
				continue
			}
			if tried++; tried > maxSame {
				return nil, reason
			}
			stated, err := s.bound(c)
			switch {
			case err != nil:
				reason = err
			case !stated && v.Bound:
				return c, errUnbound
			default:
				return c, nil
			}
		}
	}
	return nil, reason
}

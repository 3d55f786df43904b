package cms

import (
	"crypto/sha1"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"time"

	"oncegate/certs/der"
	"oncegate/certs/pki"
	"oncegate/certs/sm"
	"oncegate/check"
)

// trust judges chain and usage, which are two questions to one chain: a certificate for another usage may well lead to an
// anchor.
func (j *judgement) trust(above []*pki.Certificate) {
	usage := func() error { return nil }
	if j.Usages != nil {
		usage = func() error { return j.Usages(j.d.Certificate) }
	}
	if j.Chain == nil {
		j.put(StepChain, check.NotCheckable, "no trust anchors were given")
		if j.Usages == nil {
			j.put(StepUsage, check.NotCheckable, "no trust anchors were given")
			return
		}
		j.add(StepUsage, usage())
		return
	}
	var leaf pki.Leaf
	var noUsage error // of a chain that leads to an anchor
	state, reason := j.d.judgedAt.Judge(j.now(), j.d.Certificate.NotAfter, func(at time.Time) error {
		found, err := j.Chain(j.d.Certificate, above, at, j.Usage)
		first := at.Equal(j.d.judgedAt.At)
		switch {
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
	if state == check.Failed || leaf.Public == nil && noUsage == nil {
		if j.Usages == nil {
			j.put(StepUsage, check.NotCheckable, "key usage counts only in a certificate that leads to an anchor")
			return
		}
		j.add(StepUsage, usage())
		return
	}
	err := noUsage
	if j.Usages != nil {
		err = usage()
	}
	j.add(StepUsage, err)
	if err == nil {
		j.d.Leaf = leaf
	}
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

// errUnbound says that a signature could be taken for one under another certificate of the same key.
var errUnbound = errors.New("the signed attributes do not name the certificate (signingCertificate, RFC 5035), and must")

// errOtherCertificate says that the signer bound its signature to another certificate.
var errOtherCertificate = errors.New("the signed attributes name another certificate")

// signingCertificateV2 is SigningCertificateV2 of RFC 5035 section 3, with one certificate and SM3.
type signingCertificateV2 struct{ Certs []essCertIDv2 }

type essCertIDv2 struct {
	HashAlgorithm pkix.AlgorithmIdentifier
	CertHash      []byte
}

func signingCertificate(c *pki.Certificate) signingCertificateV2 {
	d := sm.Digest(c.Raw)
	return signingCertificateV2{[]essCertIDv2{{pkix.AlgorithmIdentifier{Algorithm: SM3}, d[:]}}}
}

// bound checks c against the attributes signingCertificate and signingCertificateV2, where they are. Only their first
// entry matters: it is the signer's (RFC 2634 section 5.4). The SHA-1 of the older one is compared all the same: forging it
// needs a second preimage among certificates that lead to an anchor.
func (s *Signer) bound(c *pki.Certificate) (stated bool, err error) {
	if v, ok := s.attribute(oidSigningCertV2); ok {
		stated = true
		if err := bound(v, c, sha256Algorithm); err != nil {
			return true, err
		}
	}
	if v, ok := s.attribute(oidSigningCert); ok {
		stated = true
		if err := bound(v, c, nil); err != nil {
			return true, err
		}
	}
	return stated, nil
}

// ofCertificate is the reason where the attribute is malformed.
const ofCertificate = "signing certificate attribute"

// bound checks c against the first entry of the attribute value v. A nil standard means the older attribute: SHA-1, and no
// algorithm stated.
func bound(v []byte, c *pki.Certificate, standard asn1.ObjectIdentifier) error {
	in := der.Read(v, ErrMalformed)
	list := in.Sequence(ofCertificate)
	certs := list.Sequence(ofCertificate)
	id := certs.Sequence(ofCertificate)
	algorithm := standard
	if standard != nil && id.Is(der.Sequence) {
		algorithm = id.Algorithm("algorithm")
	}
	hash := id.Octets(ofCertificate)
	issuerSerial, has := id.Optional(der.Sequence, ofCertificate)
	id.End(ofCertificate)
	if err := in.Err(); err != nil {
		return err
	}
	var digest []byte
	if standard == nil {
		d := sha1.Sum(c.Raw)
		digest = d[:]
	} else {
		h, err := NewHash(algorithm)
		if err != nil {
			return err
		}
		h.Write(c.Raw)
		digest = h.Sum(nil)
	}
	if string(digest) != string(hash) || has && !isIssuerSerial(&issuerSerial, c) {
		return errOtherCertificate
	}
	return nil
}

// isIssuerSerial checks IssuerSerial of RFC 5035 section 5: the issuer as one directory name, and the serial number.
func isIssuerSerial(in *der.Cursor, c *pki.Certificate) bool {
	names := in.Sequence(ofCertificate)
	serial := in.BigInt(ofCertificate)
	in.End(ofCertificate)
	name := names.Content(der.Explicit(4), ofCertificate)
	names.End(ofCertificate)
	return in.Err() == nil && string(name) == string(c.RawIssuer) && serial.Cmp(c.SerialNumber) == 0
}

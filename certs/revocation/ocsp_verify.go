package revocation

import (
	"bytes"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/emmansun/gmsm/smx509"

	"oncegate/certs/der"
	"oncegate/certs/pki"
	"oncegate/certs/sm"
	"oncegate/check"
)

// Verify tells whether issuer, or a responder that issuer appointed, signed the answer (RFC 6960 section 4.2.2.2). It
// returns the appointed responder's certificate, or nil if the issuer answered itself. A certificate without
// id-pkix-ocsp-nocheck is for the caller to check ([pki.NoCheck]). An error may be [check.Undecided].
func (r *Response) Verify(issuer *pki.Certificate, verify sm.VerifyFunc) (*pki.Certificate, error) {
	if !r.sm2 {
		return nil, fmt.Errorf("%w: it is not signed with SM2 and SM3", ErrBadSignature)
	}
	if r.names(issuer) {
		return nil, r.signedBy(issuer, verify)
	}
	reason := fmt.Errorf("%w: it is neither the certificate authority nor a responder that the authority delegated", ErrResponder)
	for _, c := range r.certs {
		if !r.names(c) {
			continue
		}
		err := r.appointed(c, issuer, verify)
		if check.Undecided(err) {
			return nil, err
		}
		if err != nil {
			reason = err
			continue
		}
		return c, r.signedBy(c, verify)
	}
	return nil, reason
}

// names tells whether the answer names c as its signer: by subject, or by SHA-1 over its key.
func (r *Response) names(c *pki.Certificate) bool {
	switch r.responder.tag {
	case der.Explicit(1):
		return bytes.Equal(r.responder.value, c.RawSubject)
	case der.Explicit(2):
		in := der.Read(r.responder.value, ErrMalformed)
		hash := in.Octets(errForm)
		in.End(errForm)
		key := keyBits(c)
		return key != nil && in.Err() == nil && bytes.Equal(hash, hashes[SHA1].sum(key))
	}
	return false
}

// appointed tells whether issuer let c answer for it, when the answer was made.
func (r *Response) appointed(c, issuer *pki.Certificate, verify sm.VerifyFunc) error {
	switch err := pki.SignedBy(c, issuer, orDefault(verify)); {
	case check.Undecided(err):
		return err
	case err != nil:
		return fmt.Errorf("%w: the authority did not issue its certificate", ErrResponder)
	}
	mayAnswer := false
	for _, u := range c.ExtKeyUsage {
		mayAnswer = mayAnswer || u == smx509.ExtKeyUsageOCSPSigning
	}
	switch {
	case !mayAnswer:
		return fmt.Errorf("%w: its certificate is not for answering", ErrResponder)
	case !pki.IsSigning(c):
		return fmt.Errorf("%w: its certificate has no signing key usage", ErrResponder)
	case len(c.UnhandledCriticalExtensions) > 0:
		return fmt.Errorf("%w: its certificate has an unknown critical extension", ErrResponder)
	case r.Produced.Before(c.NotBefore) || r.Produced.After(c.NotAfter):
		return fmt.Errorf("%w: its certificate was not valid when it answered", ErrResponder)
	}
	return nil
}

func (r *Response) signedBy(c *pki.Certificate, verify sm.VerifyFunc) error {
	pub, err := pki.PublicKey(c)
	if err != nil {
		return fmt.Errorf("%w: the responder has no SM2 key", ErrBadSignature)
	}
	switch err := pki.VerifyDER(orDefault(verify), pub, r.tbs, r.signature); {
	case check.Undecided(err):
		return err
	case err != nil:
		return fmt.Errorf("%w: the answer's signature does not verify", ErrBadSignature)
	}
	return nil
}

// Status says what the answer says of a certificate at a moment. The caller has verified the answer under c's issuer.
func (r *Response) Status(c, issuer *pki.Certificate, at time.Time) (Status, error) {
	err := fmt.Errorf("%w: it answers for another one", ErrScope)
	for a := range r.about(c, issuer) {
		s := a.status(at)
		if s.State == Revoked && s.Reason != pki.OnHold {
			return s, nil // a revocation does not wear off
		}
		if err = checkCovered(c, a.this, a.next, at); err == nil {
			return s, nil
		}
	}
	return Status{}, err
}

// about gives the answers about a certificate. The issuer is hashed once for each algorithm, however many answers name it.
func (r *Response) about(c, issuer *pki.Certificate) iter.Seq[answer] {
	return func(yield func(answer) bool) {
		var known [len(allHashes)]CertID
		for _, a := range r.answers {
			i := slices.Index(allHashes[:], a.id.hash())
			if i < 0 || a.id.Serial.Cmp(c.SerialNumber) != 0 {
				continue
			}
			if known[i].Serial == nil {
				known[i], _ = NewCertID(issuer, c.SerialNumber, allHashes[i]) // without a readable key it equals none
			}
			if a.id.equal(known[i]) && !yield(a) {
				return
			}
		}
	}
}

func (a answer) status(at time.Time) Status {
	s := Status{State: a.state, By: OCSP, This: a.this, Next: a.next}
	if a.state == Revoked {
		s = s.withRevocation(a.revoked, at, a.reason)
	}
	return s
}

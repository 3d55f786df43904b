package cms

import (
	"encoding/asn1"
	"fmt"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"oncegate/certs/der"
	"oncegate/certs/pki"
)

// Parse reads a SignedData in either dialect: strict DER, at most [MaxSize] bytes, nothing after it. It verifies nothing.
// Any error is ErrMalformed. The message keeps slices of b; the caller leaves b alone.
func Parse(b []byte) (m *Message, err error) {
	defer func() {
		// The certificate parser is another's; whatever it trips over is not a certificate.
		if p := recover(); p != nil {
			m, err = nil, fmt.Errorf("%w: a parser gave up", ErrMalformed)
		}
	}()
	if len(b) > MaxSize {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrMalformed, MaxSize)
	}
	if err := der.Check(b); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	in, outer, explicit, body := cryptobyte.String(b), cryptobyte.String(nil), cryptobyte.String(nil), cryptobyte.String(nil)
	var kind asn1.ObjectIdentifier
	if !in.ReadASN1(&outer, casn1.SEQUENCE) || !outer.ReadASN1ObjectIdentifier(&kind) {
		return nil, errMember("content info")
	}
	m = new(Message)
	switch {
	case kind.Equal(GM.signedData()):
		m.Dialect = GM
	case kind.Equal(RFC.signedData()):
		m.Dialect = RFC
	default:
		return nil, fmt.Errorf("%w: content type %v is not signed data", ErrMalformed, kind)
	}
	if !outer.ReadASN1(&explicit, tag0) || !outer.Empty() || !explicit.ReadASN1(&body, casn1.SEQUENCE) || !explicit.Empty() {
		return nil, errMember("content info")
	}
	if err := m.read(body); err != nil {
		return nil, err
	}
	return m, nil
}

// read takes the members of SignedData in their order.
func (m *Message) read(in cryptobyte.String) error {
	var algorithms, certs, evidence, signers cryptobyte.String
	var present bool
	if !in.ReadASN1Integer(&m.Version) || m.Version < 1 || m.Version > 5 {
		return errMember("version")
	}
	if !in.ReadASN1(&algorithms, casn1.SET) {
		return errMember("digest algorithms")
	}
	for n := 0; !algorithms.Empty(); n++ { // they only announce what the signers say again
		if _, err := readAlgorithm(&algorithms); err != nil || n >= maxSigners {
			return errMember("digest algorithms")
		}
	}
	if err := m.readContent(&in); err != nil {
		return err
	}
	if !in.ReadOptionalASN1(&certs, &present, tag0) {
		return errMember("certificates")
	}
	if err := m.readCertificates(certs); err != nil {
		return err
	}
	if !in.ReadOptionalASN1(&evidence, &present, tag1) {
		return errMember("revocation evidence")
	}
	if err := m.readEvidence(evidence); err != nil {
		return err
	}
	if !in.ReadASN1(&signers, casn1.SET) || !in.Empty() {
		return errMember("signers")
	}
	for !signers.Empty() {
		if len(m.Signers) == maxSigners {
			return fmt.Errorf("%w: more than %d signers", ErrMalformed, maxSigners)
		}
		s, err := readSigner(&signers)
		if err != nil {
			return err
		}
		m.Signers = append(m.Signers, s)
	}
	return nil
}

func (m *Message) readContent(in *cryptobyte.String) error {
	var info, explicit, octets cryptobyte.String
	var present bool
	if !in.ReadASN1(&info, casn1.SEQUENCE) || !info.ReadASN1ObjectIdentifier(&m.ContentType) ||
		!info.ReadOptionalASN1(&explicit, &present, tag0) || !info.Empty() {
		return errMember("content")
	}
	if m.Detached = !present; m.Detached {
		return nil
	}
	if !explicit.ReadASN1(&octets, casn1.OCTET_STRING) || !explicit.Empty() {
		return errMember("content")
	}
	m.Content = octets
	return nil
}

// readCertificates takes X.509 certificates. Attribute certificates and other kinds are passed over: no chain needs them.
func (m *Message) readCertificates(in cryptobyte.String) error {
	for n := 0; !in.Empty(); n++ {
		var raw cryptobyte.String
		var tag casn1.Tag
		if n == maxCertificates || !in.ReadAnyASN1Element(&raw, &tag) {
			return fmt.Errorf("%w: more than %d certificates", ErrMalformed, maxCertificates)
		}
		if tag != casn1.SEQUENCE {
			continue
		}
		c, err := pki.ParseForeign(raw)
		if err != nil {
			return fmt.Errorf("%w: certificate %d: %w", ErrMalformed, n+1, err)
		}
		m.Certificates = append(m.Certificates, c)
	}
	return nil
}

// readEvidence takes lists and OCSP answers. Other kinds are passed over.
func (m *Message) readEvidence(in cryptobyte.String) error {
	for n := 0; !in.Empty(); n++ {
		var raw, other cryptobyte.String
		var tag casn1.Tag
		if n == 2*maxEvidence || !in.ReadAnyASN1Element(&raw, &tag) {
			return fmt.Errorf("%w: more revocation evidence than %d", ErrMalformed, 2*maxEvidence)
		}
		switch tag {
		case casn1.SEQUENCE:
			m.CRLs = append(m.CRLs, raw)
		case tag1:
			var kind asn1.ObjectIdentifier
			if !raw.ReadASN1(&other, tag1) || !other.ReadASN1ObjectIdentifier(&kind) {
				return errMember("revocation evidence")
			}
			if kind.Equal(oidOCSPResponse) {
				m.OCSP = append(m.OCSP, other)
			}
		}
	}
	return nil
}

func readSigner(in *cryptobyte.String) (Signer, error) {
	var s Signer
	var info, identity, signed, unsigned, signature cryptobyte.String
	var hasSigned, hasUnsigned bool
	if !in.ReadASN1(&info, casn1.SEQUENCE) || !info.ReadASN1Integer(&s.Version) {
		return s, errMember("signer")
	}
	switch {
	case info.PeekASN1Tag(casn1.SEQUENCE):
		var issuer cryptobyte.String
		s.Serial = new(big.Int)
		if !info.ReadASN1(&identity, casn1.SEQUENCE) || !identity.ReadASN1Element(&issuer, casn1.SEQUENCE) ||
			!identity.ReadASN1Integer(s.Serial) || !identity.Empty() || s.Version != 1 {
			return s, errMember("signer's issuer and serial number")
		}
		s.Issuer = issuer
	default:
		if !info.ReadASN1(&identity, casn1.Tag(0).ContextSpecific()) || len(identity) == 0 || s.Version != 3 {
			return s, errMember("signer's key identifier")
		}
		s.KeyID = identity
	}
	var err error
	if s.DigestAlgorithm, err = readAlgorithm(&info); err != nil {
		return s, err
	}
	if !info.ReadOptionalASN1(&signed, &hasSigned, tag0) {
		return s, errMember("signed attributes")
	}
	if s.SignatureAlgorithm, err = readAlgorithm(&info); err != nil {
		return s, err
	}
	if !info.ReadASN1(&signature, casn1.OCTET_STRING) || !info.ReadOptionalASN1(&unsigned, &hasUnsigned, tag1) || !info.Empty() {
		return s, errMember("signature")
	}
	s.Signature, s.attributes = signature, signed
	if s.Signed, err = readAttributes(signed); err != nil {
		return s, err
	}
	if hasSigned && len(s.Signed) == 0 || twice(s.Signed) {
		return s, errMember("signed attributes")
	}
	s.Unsigned, err = readAttributes(unsigned)
	return s, err
}

// readAttributes takes attributes of exactly one value each.
func readAttributes(in cryptobyte.String) ([]Attribute, error) {
	var out []Attribute
	for !in.Empty() {
		var attribute, values, value cryptobyte.String
		var of asn1.ObjectIdentifier
		var tag casn1.Tag
		if len(out) == maxAttributes || !in.ReadASN1(&attribute, casn1.SEQUENCE) || !attribute.ReadASN1ObjectIdentifier(&of) ||
			!attribute.ReadASN1(&values, casn1.SET) || !attribute.Empty() ||
			!values.ReadAnyASN1Element(&value, &tag) || !values.Empty() {
			return nil, errMember("attributes")
		}
		out = append(out, Attribute{of, value})
	}
	return out, nil
}

// readAlgorithm takes an AlgorithmIdentifier whose parameters say nothing: absent or NULL. RSA and elliptic curves abroad
// write either; SM2 and SM3 stand without, and some write NULL.
func readAlgorithm(in *cryptobyte.String) (asn1.ObjectIdentifier, error) {
	var body, null cryptobyte.String
	var of asn1.ObjectIdentifier
	var present bool
	if !in.ReadASN1(&body, casn1.SEQUENCE) || !body.ReadASN1ObjectIdentifier(&of) ||
		!body.ReadOptionalASN1(&null, &present, casn1.NULL) || !body.Empty() {
		return nil, errMember("algorithm")
	}
	return of, nil
}

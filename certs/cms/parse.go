package cms

import (
	"fmt"

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
	in := der.Read(b, ErrMalformed)
	outer := in.Sequence("content info")
	kind := outer.OID("content info")
	m = new(Message)
	switch {
	case in.Err() != nil:
		return nil, in.Err()
	case kind.Equal(GM.signedData()):
		m.Dialect = GM
	case kind.Equal(RFC.signedData()):
		m.Dialect = RFC
	default:
		return nil, fmt.Errorf("%w: content type %v is not signed data", ErrMalformed, kind)
	}
	explicit := outer.Into(tag0, "content info")
	outer.End("content info")
	body := explicit.Sequence("content info")
	explicit.End("content info")
	m.read(&body)
	if err := in.Err(); err != nil {
		return nil, err
	}
	return m, nil
}

// read takes the members of SignedData in their order.
func (m *Message) read(in *der.Cursor) {
	m.Version = int(in.Int("version"))
	if m.Version < 1 || m.Version > 5 {
		in.Fail("version")
	}
	algorithms := in.Set("digest algorithms") // they only announce what the signers say again
	for n := 0; !algorithms.Empty(); n++ {
		if algorithms.Algorithm("digest algorithms"); n >= maxSigners {
			algorithms.Fail("digest algorithms")
		}
	}
	m.readContent(in)
	certs, _ := in.Optional(tag0, "certificates")
	m.readCertificates(&certs)
	evidence, _ := in.Optional(tag1, "revocation evidence")
	m.readEvidence(&evidence)
	signers := in.Set("signers")
	in.End("signers")
	for !signers.Empty() {
		if len(m.Signers) == maxSigners {
			signers.FailWith(fmt.Errorf("%w: more than %d signers", ErrMalformed, maxSigners))
			return
		}
		m.Signers = append(m.Signers, readSigner(&signers))
	}
}

func (m *Message) readContent(in *der.Cursor) {
	info := in.Sequence("content")
	m.ContentType = info.OID("content")
	explicit, present := info.Optional(tag0, "content")
	info.End("content")
	if m.Detached = !present; m.Detached {
		return
	}
	m.Content = explicit.Octets("content")
	explicit.End("content")
}

// readCertificates takes X.509 certificates. Attribute certificates and other kinds are passed over: no chain needs them.
func (m *Message) readCertificates(in *der.Cursor) {
	tooMany := fmt.Sprintf("more than %d certificates", maxCertificates)
	for n := 0; !in.Empty(); n++ {
		if n == maxCertificates {
			in.Fail(tooMany)
		}
		tag, raw := in.AnyElement(tooMany)
		if tag != der.Sequence {
			continue
		}
		c, err := pki.ParseForeign(raw)
		if err != nil {
			in.FailWith(fmt.Errorf("%w: certificate %d: %w", ErrMalformed, n+1, err))
			return
		}
		m.Certificates = append(m.Certificates, c)
	}
}

// readEvidence takes lists and OCSP answers. Other kinds are passed over.
func (m *Message) readEvidence(in *der.Cursor) {
	tooMany := fmt.Sprintf("more revocation evidence than %d", 2*maxEvidence)
	for n := 0; !in.Empty(); n++ {
		if n == 2*maxEvidence {
			in.Fail(tooMany)
		}
		switch tag, raw := in.AnyElement(tooMany); tag {
		case der.Sequence:
			m.CRLs = append(m.CRLs, raw)
		case tag1:
			whole := in.In(raw)
			other := whole.Into(tag1, "revocation evidence")
			if kind := other.OID("revocation evidence"); kind.Equal(oidOCSPResponse) {
				m.OCSP = append(m.OCSP, other.Rest())
			}
		}
	}
}

func readSigner(in *der.Cursor) (s Signer) {
	info := in.Sequence("signer")
	s.Version = int(info.Int("signer"))
	if info.Is(der.Sequence) {
		identity := info.Sequence("signer's issuer and serial number")
		s.Issuer = identity.Element(der.Sequence, "signer's issuer and serial number")
		s.Serial = identity.BigInt("signer's issuer and serial number")
		identity.End("signer's issuer and serial number")
		if s.Version != 1 {
			info.Fail("signer's issuer and serial number")
		}
	} else {
		s.KeyID = info.Content(der.Context(0), "signer's key identifier")
		if len(s.KeyID) == 0 || s.Version != 3 {
			info.Fail("signer's key identifier")
		}
	}
	s.DigestAlgorithm = info.Algorithm("algorithm")
	signed, hasSigned := info.Optional(tag0, "signed attributes")
	s.attributes = signed.Rest()
	s.SignatureAlgorithm = info.Algorithm("algorithm")
	s.Signature = info.Octets("signature")
	unsigned, _ := info.Optional(tag1, "signature")
	info.End("signature")
	if s.Signed = readAttributes(&signed); hasSigned && len(s.Signed) == 0 || twice(s.Signed) {
		info.Fail("signed attributes")
	}
	s.Unsigned = readAttributes(&unsigned)
	return s
}

// readAttributes takes attributes of exactly one value each.
func readAttributes(in *der.Cursor) (out []Attribute) {
	for !in.Empty() {
		if len(out) == maxAttributes {
			in.Fail("attributes")
			break
		}
		attribute := in.Sequence("attributes")
		of := attribute.OID("attributes")
		values := attribute.Set("attributes")
		attribute.End("attributes")
		_, value := values.AnyElement("attributes")
		values.End("attributes")
		out = append(out, Attribute{of, value})
	}
	return out
}

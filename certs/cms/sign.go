package cms

import (
	"context"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"time"

	"oncegate/certs/der"
	"oncegate/certs/pki"
	"oncegate/certs/sm"
)

// Config says how messages are made. The zero value makes attached GB/T 35275 messages of plain octets, with signed
// attributes contentType, messageDigest and signingTime.
type Config struct {
	// Dialect is the family of object identifiers. GM writes signature algorithm 1.2.156.10197.1.301.1, RFC writes
	// 1.2.156.10197.1.501.
	Dialect Dialect
	// ContentType says what the content is; nil means plain octets, Dialect.Data().
	ContentType asn1.ObjectIdentifier
	// Detached leaves the content out.
	Detached bool
	// Bare signs the content octets themselves, without attributes; then there is no signing time either. A content that is itself
	// a set of signed attributes is refused: its signature would be one over those attributes, and so over another content.
	Bare bool
	// SigningCertificate adds the attribute signingCertificateV2 (RFC 5035, RFC 5816), so that the certificate cannot be
	// exchanged for another one of the same key. Time stamps need it.
	SigningCertificate bool
	// OmitCertificates leaves the chains out: whoever verifies has them.
	OmitCertificates bool
	// TimeStamp returns a time-stamp token over the value of a signature, such as timestamp.Client.Stamp; it becomes the
	// unsigned attribute signatureTimeStampToken (RFC 5126 section 6.1.1, CAdES-T). nil: none.
	TimeStamp func(ctx context.Context, signature []byte) (token []byte, err error)
	// Now is the clock of signingTime; nil means time.Now.
	Now func() time.Time
	// VerifyBoth checks every signature before it leaves; nil means [sm.Verify]. Give it [second.VerifyBoth].
	VerifyBoth sm.VerifyFunc
	// CRLs (DER CertificateLists) and OCSP (DER OCSPResponses) travel in the message as evidence of their time. Readers of
	// plain GB/T 35275 expect lists only: RFC 5940 has the place for OCSP.
	CRLs, OCSP [][]byte
}

// An Identity signs.
type Identity struct {
	Signer sm.Signer
	// Chain is the signer's certificate, then those above it without the root.
	Chain []*pki.Certificate
	// Attributes are signed besides those that Config asks for.
	Attributes []Attribute
	// Unsigned attributes stand beside the signature, such as evidence that nobody needs to vouch for.
	Unsigned []Attribute
}

// Sign returns content as a SignedData in DER, signed by each identity. An empty content cannot be signed without
// attributes: [sm.ErrEmptyMessage].
func Sign(ctx context.Context, c Config, content []byte, by ...Identity) ([]byte, error) {
	if len(by) == 0 || len(by) > maxSigners {
		return nil, fmt.Errorf("sign message: %d signers", len(by))
	}
	if c.ContentType == nil {
		c.ContentType = c.Dialect.Data()
	}
	if c.Bare && !c.ContentType.Equal(c.Dialect.Data()) {
		return nil, errors.New("sign message: only plain octets are signed without attributes")
	}
	if c.Bare && looksSigned(content) {
		return nil, fmt.Errorf("sign message: %w", errAttributes)
	}
	m := &Message{Dialect: c.Dialect, ContentType: c.ContentType, Content: content, Detached: c.Detached, CRLs: c.CRLs, OCSP: c.OCSP}
	for _, id := range by {
		s, err := c.sign(ctx, content, id)
		if err != nil {
			return nil, fmt.Errorf("sign message: %w", err)
		}
		m.Signers = append(m.Signers, s)
		if c.OmitCertificates {
			continue
		}
		for _, cert := range id.Chain {
			m.add(cert)
		}
	}
	der, err := m.marshal()
	if err != nil {
		return nil, fmt.Errorf("sign message: %w", err)
	}
	if len(der) > MaxSize {
		return nil, fmt.Errorf("sign message: more than %d bytes", MaxSize)
	}
	return der, nil
}

// add puts a certificate into the message once.
func (m *Message) add(cert *pki.Certificate) {
	for _, c := range m.Certificates {
		if c.Equal(cert) {
			return
		}
	}
	m.Certificates = append(m.Certificates, cert)
}

func (c Config) sign(ctx context.Context, content []byte, id Identity) (Signer, error) {
	if id.Signer == nil || len(id.Chain) == 0 {
		return Signer{}, errors.New("no key or no certificate")
	}
	cert, pub := id.Chain[0], id.Signer.Public()
	if !pub.Equal(cert.PublicKey) {
		return Signer{}, errors.New("the certificate is not the key's")
	}
	s := Signer{
		Version: 1, Issuer: cert.RawIssuer, Serial: cert.SerialNumber,
		DigestAlgorithm: SM3, SignatureAlgorithm: oidSM2Sign,
	}
	if c.Dialect == RFC {
		s.SignatureAlgorithm = oidSM2WithSM3
	}
	message := content
	if !c.Bare {
		var err error
		if s.Signed, err = c.attributes(content, id); err != nil {
			return Signer{}, err
		}
		if s.attributes, err = marshalAttributes(s.Signed); err != nil {
			return Signer{}, err
		}
		message = s.signedOctets(content)
	} else if len(id.Attributes) > 0 {
		return Signer{}, errors.New("attributes were given, and are not to be signed")
	}
	rs, err := id.Signer.Sign(ctx, message)
	if err != nil {
		return Signer{}, err
	}
	confirm := c.VerifyBoth
	if confirm == nil {
		confirm = sm.Verify
	}
	if err := confirm(pub, message, rs); err != nil {
		return Signer{}, fmt.Errorf("confirm signature: %w", err)
	}
	if s.Signature, err = sm.RawToDER(rs); err != nil {
		return Signer{}, err
	}
	s.Unsigned = slices.Clone(id.Unsigned)
	return s, c.stamp(ctx, &s)
}

// stamp adds a time stamp over the signature.
func (c Config) stamp(ctx context.Context, s *Signer) error {
	if c.TimeStamp == nil {
		return nil
	}
	token, err := c.TimeStamp(ctx, s.Signature)
	if err != nil {
		return fmt.Errorf("have signature stamped: %w", err)
	}
	s.Unsigned = append(s.Unsigned, Attribute{oidTimeStamp, token})
	return nil
}

// attributes of one signer, in no particular order.
func (c Config) attributes(content []byte, id Identity) ([]Attribute, error) {
	now := time.Now
	if c.Now != nil {
		now = c.Now
	}
	digest := sm.Digest(content)
	list := []struct {
		of    asn1.ObjectIdentifier
		value any
	}{
		{oidContentType, c.ContentType},
		{oidMessageDigest, digest[:]},
		{oidSigningTime, now().UTC().Truncate(time.Second)}, // UTCTime until 2049, as RFC 5652 section 11.3 asks
	}
	if c.SigningCertificate {
		list = append(list, struct {
			of    asn1.ObjectIdentifier
			value any
		}{oidSigningCertV2, signingCertificate(id.Chain[0])})
	}
	out := make([]Attribute, 0, len(list)+len(id.Attributes))
	for _, a := range list {
		v, err := asn1.Marshal(a.value)
		if err != nil {
			return nil, err
		}
		out = append(out, Attribute{a.of, v})
	}
	out = append(out, id.Attributes...)
	if twice(out) {
		return nil, errors.New("an attribute stands twice")
	}
	return out, nil
}

// twice tells whether two attributes have the same type.
func twice(attributes []Attribute) bool {
	seen := make(map[string]bool, len(attributes))
	for _, a := range attributes {
		if seen[a.Type.String()] {
			return true
		}
		seen[a.Type.String()] = true
	}
	return false
}

// signedOctets is what the signature covers: the attributes as the SET OF they stand for (RFC 5652 section 5.4), else the
// content. The attributes are taken as sent, which for DER is what was signed.
func (s *Signer) signedOctets(content []byte) []byte {
	if len(s.Signed) == 0 {
		return content
	}
	return tlv(der.Set, s.attributes)
}

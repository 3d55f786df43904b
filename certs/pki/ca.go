package pki

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"time"

	"github.com/emmansun/gmsm/smx509"

	"oncegate/certs/der"
	"oncegate/certs/sm"
	"oncegate/check"
)

// Config of a certificate authority. The zero value works.
type Config struct {
	// Rand gives serial numbers; nil means crypto/rand.
	Rand io.Reader
	// Now is the clock; nil means time.Now. Certificates begin five minutes before it, for clocks that are behind.
	Now func() time.Time
	// VerifyBoth checks every certificate's signature before it leaves; nil means [sm.Verify]. Give it [second.VerifyBoth].
	VerifyBoth sm.VerifyFunc
	// CRL and OCSP are the http addresses of this authority's revocation list and responder; they stand in every certificate
	// it issues. An authority made below this one begins without any.
	CRL, OCSP []string
}

// CA issues certificates with one key.
type CA struct {
	Config
	cert   *Certificate
	above  []*Certificate // from this CA's certificate up, without the root
	signer sm.Signer
}

// Request asks for an end-entity certificate.
type Request struct {
	Organization string           // Chinese name of the organisation, subject O
	USCC         string           // its code, subject organizationIdentifier; the caller has checked it
	Usage        string           // the one usage of the key, subject OU
	CommonName   string           // what the key belongs to, such as a system id
	Public       *ecdsa.PublicKey // the key
	Valid        time.Duration    // zero means two years
}

const (
	backdate     = 5 * time.Minute
	rootValid    = 20 * 365 * 24 * time.Hour
	subValid     = 10 * 365 * 24 * time.Hour
	defaultValid = 2 * 365 * 24 * time.Hour
)

// NewRoot makes a self-signed authority that may have one level of authorities below it.
func NewRoot(ctx context.Context, c Config, organization, commonName string, signer sm.Signer) (*CA, error) {
	ca := &CA{Config: c, signer: signer}
	t := ca.template(organization, commonName, rootValid)
	t.MaxPathLen = 1
	cert, err := ca.sign(ctx, t, t, signer.Public())
	if err != nil {
		return nil, fmt.Errorf("make root authority: %w", err)
	}
	ca.cert = cert
	return ca, nil
}

// NewIntermediate makes an authority below ca that may issue end-entity certificates only.
func (ca *CA) NewIntermediate(ctx context.Context, organization, commonName string, signer sm.Signer) (*CA, error) {
	t := ca.template(organization, commonName, subValid)
	t.MaxPathLen, t.MaxPathLenZero = 0, true
	cert, err := ca.sign(ctx, t, ca.cert, signer.Public())
	if err != nil {
		return nil, fmt.Errorf("make intermediate authority: %w", err)
	}
	below := &CA{ca.Config, cert, append([]*Certificate{cert}, ca.above...), signer}
	below.CRL, below.OCSP = nil, nil
	return below, nil
}

// LoadCA continues an authority from its stored chain: its own certificate first, up to but without the root; for the
// root itself, the root alone.
func LoadCA(c Config, chain []*Certificate, signer sm.Signer) (*CA, error) {
	if len(chain) == 0 {
		return nil, fmt.Errorf("load authority: %w: no certificate", ErrMalformed)
	}
	pub, err := publicKey(chain[0])
	if err != nil {
		return nil, fmt.Errorf("load authority: %w", err)
	}
	if !pub.Equal(signer.Public()) {
		return nil, fmt.Errorf("load authority: %w: the key is not the certificate's", ErrBadSignature)
	}
	ca := &CA{Config: c, cert: chain[0], signer: signer}
	if string(chain[0].RawIssuer) != string(chain[0].RawSubject) {
		ca.above = chain
	}
	return ca, nil
}

// Certificate is the authority's own certificate.
func (ca *CA) Certificate() *Certificate { return ca.cert }

// Chain is the authority's certificates without the root: what stands after a leaf in x5c.
func (ca *CA) Chain() []*Certificate { return ca.above }

// Issue makes an end-entity certificate and returns it with the authorities above it, without the root.
func (ca *CA) Issue(ctx context.Context, r Request) ([]*Certificate, error) {
	if r.USCC == "" || r.Usage == "" || r.Organization == "" {
		return nil, fmt.Errorf("issue certificate: organisation, code and usage are required")
	}
	if err := sm.CheckPublicKey(r.Public); err != nil {
		return nil, fmt.Errorf("issue certificate: %w", err)
	}
	if r.Valid == 0 {
		r.Valid = defaultValid
	}
	now := ca.now()
	t := &Certificate{
		Subject: pkix.Name{
			Country: []string{"CN"}, Organization: []string{r.Organization},
			OrganizationalUnit: []string{r.Usage}, CommonName: r.CommonName,
			ExtraNames: []pkix.AttributeTypeAndValue{{Type: organizationIdentifier, Value: r.USCC}},
		},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(r.Valid),
		KeyUsage:              keyUsage(r.Usage),
		BasicConstraintsValid: true,
		SubjectKeyId:          keyIdentifier(r.Public),
	}
	switch r.Usage {
	case TimeStamp:
		t.ExtraExtensions = append(t.ExtraExtensions, timeStamping)
	case OCSP:
		t.ExtKeyUsage = []smx509.ExtKeyUsage{smx509.ExtKeyUsageOCSPSigning}
		t.ExtraExtensions = append(t.ExtraExtensions, noCheck)
	}
	leaf, err := ca.sign(ctx, t, ca.cert, r.Public)
	if err != nil {
		return nil, fmt.Errorf("issue certificate: %w", err)
	}
	return append([]*Certificate{leaf}, ca.above...), nil
}

func (ca *CA) now() time.Time {
	if ca.Now != nil {
		return ca.Now().UTC()
	}
	return time.Now().UTC()
}

// template of an authority.
func (ca *CA) template(organization, commonName string, valid time.Duration) *Certificate {
	now := ca.now()
	return &Certificate{
		Subject: pkix.Name{
			Country: []string{"CN"}, Organization: []string{organization}, CommonName: commonName,
		},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(valid),
		KeyUsage:              smx509.KeyUsageCertSign | smx509.KeyUsageCRLSign,
		BasicConstraintsValid: true, IsCA: true,
	}
}

func (ca *CA) sign(ctx context.Context, t, parent *Certificate, pub *ecdsa.PublicKey) (*Certificate, error) {
	random := ca.Rand
	if random == nil {
		random = rand.Reader
	}
	serial := make([]byte, 16)
	if _, err := io.ReadFull(random, serial); err != nil {
		return nil, err
	}
	serial[0] = serial[0]&0x7f | 0x40 // positive, and always 16 octets
	t.SerialNumber = new(big.Int).SetBytes(serial)
	t.SignatureAlgorithm = smx509.SM2WithSM3
	t.SubjectKeyId = keyIdentifier(pub)
	if t == parent {
		t.AuthorityKeyId = t.SubjectKeyId
	} else {
		t.CRLDistributionPoints, t.OCSPServer = ca.CRL, ca.OCSP
	}
	der, err := smx509.CreateCertificate(random, t, parent, pub, sm.CryptoSigner{Ctx: ctx, Signer: ca.signer})
	if err != nil {
		return nil, err
	}
	cert, err := Parse(der)
	if err != nil {
		return nil, err
	}
	confirm := ca.VerifyBoth
	if confirm == nil {
		confirm = sm.Verify
	}
	return cert, checkSignature(cert, ca.signer.Public(), confirm)
}

// keyIdentifier is the leftmost 160 bits of SM3 over the point, after RFC 7093 section 2 method 1.
func keyIdentifier(pub *ecdsa.PublicKey) []byte {
	d := sm.Digest(sm.MarshalPoint(pub))
	return d[:20]
}

// checkSignature verifies c's signature under the issuer's key; anything but strict SM2 with SM3 fails.
func checkSignature(c *Certificate, issuer *ecdsa.PublicKey, verify sm.VerifyFunc) error {
	if c.SignatureAlgorithm != smx509.SM2WithSM3 {
		return fmt.Errorf("%w: not SM2 with SM3", ErrBadSignature)
	}
	return VerifyDER(verify, issuer, c.RawTBSCertificate, c.Signature)
}

// VerifyDER verifies a DER signature as it stands in certificates, lists and answers; the error is ErrBadSignature, or one
// that is [check.Undecided]. The caller has seen to it that the algorithm named there is SM2 with SM3.
func VerifyDER(verify sm.VerifyFunc, pub *ecdsa.PublicKey, message, der []byte) error {
	rs, err := sm.DERToRaw(der)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBadSignature, err)
	}
	switch err := verify(pub, message, rs); {
	case check.Undecided(err):
		return err
	case err != nil:
		return fmt.Errorf("%w: %w", ErrBadSignature, err)
	}
	return nil
}

// PublicKey returns a certificate's SM2 key.
func PublicKey(c *Certificate) (*ecdsa.PublicKey, error) { return publicKey(c) }

// SignedBy tells whether c names issuer as its authority and carries that authority's SM2 signature; the error is
// ErrUnknownAnchor or ErrBadSignature. Dates, constraints and the rest of the path are not looked at.
func SignedBy(c, issuer *Certificate, verify sm.VerifyFunc) error {
	if !Names(c, issuer) {
		return fmt.Errorf("%w: another authority issued it", ErrUnknownAnchor)
	}
	pub, err := publicKey(issuer)
	if err != nil {
		return err
	}
	return checkSignature(c, pub, verify)
}

// CreateRequest asks an authority for a certificate (PKCS#10, PEM): of the signer's key, for organisation, code, usage and
// name of r. The authority decides what it certifies.
func CreateRequest(ctx context.Context, r Request, signer sm.Signer) ([]byte, error) {
	t := &smx509.CertificateRequest{
		Subject: pkix.Name{
			Country: []string{"CN"}, Organization: []string{r.Organization}, OrganizationalUnit: []string{r.Usage}, CommonName: r.CommonName,
			ExtraNames: []pkix.AttributeTypeAndValue{{Type: organizationIdentifier, Value: r.USCC}},
		},
		SignatureAlgorithm: smx509.SM2WithSM3,
	}
	der, err := smx509.CreateCertificateRequest(rand.Reader, t, sm.CryptoSigner{Ctx: ctx, Signer: signer})
	if err != nil {
		return nil, fmt.Errorf("request certificate: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), nil
}

// ParseRequest reads a request and proves that who asks has the key: its own signature must hold. What the request says of
// its subject is not taken over: the caller knows for whom it certifies.
func ParseRequest(text []byte) (*ecdsa.PublicKey, error) {
	blocks, err := der.Blocks(text) // tools write the request in words before it
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if len(blocks) != 1 || blocks[0].Type != "CERTIFICATE REQUEST" {
		return nil, fmt.Errorf("%w: not one PEM block of a certificate request", ErrMalformed)
	}
	r, err := smx509.ParseCertificateRequest(blocks[0].Bytes)
	if err != nil {
		return nil, fmt.Errorf("%w: the request cannot be read", ErrMalformed)
	}
	pub, ok := r.PublicKey.(*ecdsa.PublicKey)
	if !ok || sm.CheckPublicKey(pub) != nil {
		return nil, fmt.Errorf("%w: the request's key is no SM2 key", ErrMalformed)
	}
	rs, err := sm.DERToRaw(r.Signature)
	if err != nil || r.SignatureAlgorithm != smx509.SM2WithSM3 || sm.Verify(pub, r.RawTBSCertificateRequest, rs) != nil {
		return nil, fmt.Errorf("%w: the request is not signed with its own key", ErrBadSignature)
	}
	return pub, nil
}

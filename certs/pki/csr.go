package pki

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"

	"github.com/emmansun/gmsm/smx509"

	"oncegate/certs/der"
	"oncegate/certs/sm"
)

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

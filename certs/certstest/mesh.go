package certstest

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"testing"
	"time"

	"github.com/emmansun/gmsm/smx509"

	"oncegate/certs/pki"
	"oncegate/certs/sm"
)

// A Mesh is the dearest chain there is: authorities of one name and one key, without key identifiers, so that each could have
// signed each other and every signature holds, and a leaf below all of them. None leads to an anchor.
type Mesh struct {
	Leaf        *pki.Certificate
	Authorities []*pki.Certificate
	Signer      sm.Signer // of the leaf
	tb          testing.TB
	name        pkix.Name
	key         sm.Signer
	serial      int64
}

// NewMesh makes n authorities of a name.
func NewMesh(tb testing.TB, w *World, name string, n int) *Mesh {
	tb.Helper()
	m := &Mesh{tb: tb, name: pkix.Name{CommonName: name}, key: w.Signer("mesh/" + name), Signer: w.Signer("mesh-leaf/" + name)}
	for range n {
		m.Authorities = append(m.Authorities, m.issue(m.name, m.key, w.now, func(c *smx509.Certificate) {
			c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, smx509.KeyUsageCertSign|smx509.KeyUsageCRLSign
		}))
	}
	m.Leaf = m.NewLeaf(w, "leaf", m.Signer)
	return m
}

// NewLeaf makes a leaf below the mesh.
func (m *Mesh) NewLeaf(w *World, name string, of sm.Signer) *pki.Certificate {
	m.tb.Helper()
	return m.issue(pkix.Name{
		CommonName: name, OrganizationalUnit: []string{pki.License},
		ExtraNames: []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{2, 5, 4, 97}, Value: "11379901MB99103773"}},
	}, of, w.now, func(c *smx509.Certificate) { c.KeyUsage = smx509.KeyUsageDigitalSignature })
}

func (m *Mesh) issue(subject pkix.Name, of sm.Signer, now time.Time, change func(*smx509.Certificate)) *pki.Certificate {
	m.tb.Helper()
	m.serial++
	template := &smx509.Certificate{
		SerialNumber: big.NewInt(m.serial), Subject: subject, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(5, 0, 0),
		SignatureAlgorithm: smx509.SM2WithSM3,
	}
	change(template)
	parent := *template
	parent.Subject, parent.SubjectKeyId, parent.AuthorityKeyId = m.name, nil, nil
	der, err := smx509.CreateCertificate(nil, template, &parent, of.Public(), sm.CryptoSigner{Ctx: m.tb.Context(), Signer: m.key})
	if err != nil {
		m.tb.Fatal(fmt.Errorf("make mesh: %w", err))
	}
	c, err := pki.Parse(der)
	if err != nil {
		m.tb.Fatal(err)
	}
	return c
}

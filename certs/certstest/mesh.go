package certstest

import (
	"crypto/rand"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"time"

	"github.com/emmansun/gmsm/smx509"

	"oncegate/certs/pki"
	"oncegate/certs/sm"
)

// A Mesh is the costliest chain there is: authorities of two names without key identifiers, so that each of one name could have
// issued each of the other, and a leaf below them. None leads to an anchor.
type Mesh struct {
	Leaf        *pki.Certificate
	Authorities []*pki.Certificate
	Signer      sm.Signer // of the leaf
	w           *World
	names       [2]pkix.Name
	keys        []sm.Signer
	serial      int64
}

// NewMesh makes n authorities of a name and of one key, so that every signature holds under every certificate.
func (w *World) NewMesh(name string, n int) *Mesh {
	w.tb.Helper()
	return w.mesh(name, n, 1)
}

// NewRing is NewMesh with a key for each authority, which the next one signed: no two signature checks are the same.
func (w *World) NewRing(name string, n int) *Mesh {
	w.tb.Helper()
	return w.mesh(name, n, n)
}

func (w *World) mesh(name string, n, keys int) *Mesh {
	w.tb.Helper()
	m := &Mesh{w: w, names: [2]pkix.Name{{CommonName: name + " A"}, {CommonName: name + " B"}}, Signer: w.Signer("mesh-leaf/" + name)}
	for i := range keys {
		m.keys = append(m.keys, w.Signer(fmt.Sprint("mesh/", name, i)))
	}
	for i := range n {
		m.Authorities = append(m.Authorities, m.issue(m.names[i%2], m.names[(i+1)%2], m.keys[i%keys], m.keys[(i+1)%keys], func(c *smx509.Certificate) {
			c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, smx509.KeyUsageCertSign|smx509.KeyUsageCRLSign
		}))
	}
	m.Leaf = m.NewLeaf("leaf", pki.License, m.Signer)
	return m
}

// NewLeaf makes a leaf below the mesh.
func (m *Mesh) NewLeaf(name, usage string, of sm.Signer) *pki.Certificate {
	m.w.tb.Helper()
	return m.issue(pkix.Name{
		CommonName: name, OrganizationalUnit: []string{usage},
		ExtraNames: []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{2, 5, 4, 97}, Value: "11379901MB99103773"}},
	}, m.names[0], of, m.keys[0], func(c *smx509.Certificate) { c.KeyUsage = smx509.KeyUsageDigitalSignature })
}

// NewStamper makes a time-stamping authority's certificate below the mesh.
func (m *Mesh) NewStamper(of sm.Signer) *pki.Certificate {
	m.w.tb.Helper()
	return m.issue(pkix.Name{CommonName: "tsa"}, m.names[0], of, m.keys[0], func(c *smx509.Certificate) {
		c.KeyUsage = smx509.KeyUsageDigitalSignature
		c.ExtraExtensions = []pkix.Extension{{
			Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: []byte("\x30\x0a\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x08"),
		}}
	})
}

// Key is the first authority's.
func (m *Mesh) Key() sm.Signer { return m.keys[0] }

// List makes a revocation list of the mesh's name.
func (m *Mesh) List(number int64, entries int) []byte {
	m.w.tb.Helper()
	t := &smx509.RevocationList{
		SignatureAlgorithm: smx509.SM2WithSM3, Number: big.NewInt(number), ThisUpdate: m.w.now, NextUpdate: m.w.now.AddDate(1, 0, 0),
	}
	for i := range entries {
		t.RevokedCertificateEntries = append(t.RevokedCertificateEntries, smx509.RevocationListEntry{
			SerialNumber: big.NewInt(int64(1<<40 + i)), RevocationTime: m.w.now,
		})
	}
	der, err := smx509.CreateRevocationList(rand.Reader, t, m.Authorities[0], sm.CryptoSigner{Ctx: m.w.tb.Context(), Signer: m.keys[0]})
	if err != nil {
		m.w.tb.Fatal(fmt.Errorf("make list of a mesh: %w", err))
	}
	return der
}

func (m *Mesh) issue(subject, issuer pkix.Name, of, by sm.Signer, change func(*smx509.Certificate)) *pki.Certificate {
	m.w.tb.Helper()
	m.serial++
	template := &smx509.Certificate{
		SerialNumber: big.NewInt(m.serial), Subject: subject, NotBefore: m.w.now.Add(-time.Hour), NotAfter: m.w.now.AddDate(5, 0, 0),
		SignatureAlgorithm: smx509.SM2WithSM3,
	}
	change(template)
	parent := &smx509.Certificate{Subject: issuer}
	der, err := smx509.CreateCertificate(rand.Reader, template, parent, of.Public(), sm.CryptoSigner{Ctx: m.w.tb.Context(), Signer: by})
	if err != nil {
		m.w.tb.Fatal(fmt.Errorf("make mesh: %w", err))
	}
	c, err := pki.Parse(der)
	if err != nil {
		m.w.tb.Fatal(err)
	}
	return c
}

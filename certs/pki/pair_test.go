package pki_test

import (
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/emmansun/gmsm/smx509"

	"oncegate/certs/certstest"
	"oncegate/certs/pki"
)

// The two certificates of a pair (双证书) differ in what they allow, and neither is taken for the other.
func TestPair(t *testing.T) {
	w := certstest.New(t, "pair")
	_, signing := w.Issue("sign", pki.Seal, uscc, "示例市公安局")
	_, encryption := w.Issue("encrypt", pki.Encryption, uscc, "示例市公安局")
	if got, want := encryption[0].KeyUsage, smx509.KeyUsageKeyEncipherment|smx509.KeyUsageDataEncipherment|smx509.KeyUsageKeyAgreement; got != want {
		t.Errorf("key usage %b, want %b", got, want)
	}
	if !pki.IsSigning(signing[0]) || pki.IsEncryption(signing[0]) || pki.IsSigning(encryption[0]) || !pki.IsEncryption(encryption[0]) {
		t.Error("a certificate is taken for the other of the pair")
	}
	// A certificate whose subject says one thing and whose bits another.
	liar := func(usage string, bits smx509.KeyUsage) *pki.Certificate {
		return variant(t, w, w.Intermediate, "ca-sub", w.Signer("liar").Public(), func(c *pki.Certificate) {
			c.Subject.OrganizationalUnit, c.KeyUsage = []string{usage}, bits
		})
	}
	v := w.Trust()
	for _, c := range []struct {
		name  string
		leaf  *pki.Certificate
		usage string
		want  error
	}{
		{"signs", signing[0], pki.Seal, nil},
		{"encrypts", encryption[0], pki.Encryption, nil},
		{"signing, asked to encrypt", signing[0], pki.Encryption, pki.ErrConstraints},
		{"encryption, asked to sign", encryption[0], pki.Seal, pki.ErrConstraints},
		{"says seal, bits encrypt", liar(pki.Seal, smx509.KeyUsageKeyEncipherment), pki.Seal, pki.ErrConstraints},
		{"says encryption, bits sign", liar(pki.Encryption, smx509.KeyUsageDigitalSignature), pki.Encryption, pki.ErrConstraints},
		{"may do nothing", liar(pki.Seal, smx509.KeyUsageCRLSign), pki.Seal, pki.ErrConstraints},
	} {
		t.Run(c.name, func(t *testing.T) {
			for range 2 { // the second time from the cache
				if _, err := v.Chain(c.leaf, signing[1:], certstest.Epoch, c.usage); !errors.Is(err, c.want) {
					t.Error(err)
				}
			}
		})
	}
}

// An authority's addresses stand in what it issues, and in nothing that another issues.
func TestAddresses(t *testing.T) {
	w := certstest.New(t, "addresses")
	w.Root.CRL, w.Root.OCSP = []string{"http://ca.example.cn/root.crl"}, []string{"http://ca.example.cn/root"}
	sub, err := w.Root.NewIntermediate(t.Context(), "示例", "下级", w.Signer("below"))
	if err != nil {
		t.Fatal(err)
	}
	if c := sub.Certificate(); c.CRLDistributionPoints[0] != w.Root.CRL[0] || c.OCSPServer[0] != w.Root.OCSP[0] {
		t.Error("the authority below does not say where it is revoked")
	}
	w.Intermediate = sub
	_, chain := w.Issue("leaf", pki.Call, uscc, "示例")
	if len(chain[0].CRLDistributionPoints)+len(chain[0].OCSPServer) > 0 {
		t.Error("the root's addresses stand in what another issued")
	}
	if c := w.Root.Certificate(); len(c.CRLDistributionPoints) > 0 {
		t.Error("a root says where it is revoked")
	}
}

// A path leads from the leaf to its anchor, both included.
func TestPath(t *testing.T) {
	w := certstest.New(t, "path")
	_, chain := w.Issue("leaf", pki.License, uscc, "示例")
	v, err := pki.NewVerifier(pki.Trust{Anchors: []*pki.Certificate{w.Root.Certificate()}})
	if err != nil {
		t.Fatal(err)
	}
	if path, err := v.Path(chain[0], chain[1:], certstest.Epoch); err != nil || len(path) != 3 || !path[2].Equal(w.Root.Certificate()) {
		t.Error("path", len(path), err)
	}
	if _, err := v.Path(chain[0], nil, certstest.Epoch); !errors.Is(err, pki.ErrUnknownAnchor) {
		t.Error(err)
	}
}

func TestReasons(t *testing.T) {
	for r := range pki.Reason(12) {
		back, err := pki.ParseReason(r.String())
		if assigned := r != 7 && r != 8 && r != 11; (err == nil) != assigned || assigned && back != r {
			t.Errorf("%d: %s, %v", r, r, err)
		}
	}
	w := certstest.New(t, "reasons")
	for _, bad := range []pki.Revoked{{Serial: big.NewInt(1), Time: certstest.Epoch, Reason: 7}, {Serial: nil, Time: certstest.Epoch}, {Serial: big.NewInt(1)}} {
		if _, err := w.Root.RevocationList(t.Context(), big.NewInt(1), time.Hour, []pki.Revoked{bad}); err == nil {
			t.Errorf("%+v is listed", bad)
		}
	}
}

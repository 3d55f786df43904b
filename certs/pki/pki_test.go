package pki_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/emmansun/gmsm/smx509"
	tjx509 "github.com/tjfoc/gmsm/x509"

	"oncegate/certs/certstest"
	"oncegate/certs/pki"
	"oncegate/certs/second"
	"oncegate/certs/sm"
)

const uscc = "11330000MB0000001X"

func TestProfile(t *testing.T) {
	w := certstest.New(t, "profile")
	_, chain := w.Issue("dept-1", pki.License, uscc, "示例市市场监督管理局")
	leaf := chain[0]
	// GM/T 0015: the algorithm identifiers, byte by byte.
	for name, oid := range map[string]string{
		"SM2 with SM3":   "06082a811ccf55018375",
		"id-ecPublicKey": "06072a8648ce3d0201",
		"SM2 curve":      "06082a811ccf5501822d",
		"USCC attribute": "0603550461",
	} {
		if !bytes.Contains(leaf.Raw, unhex(oid)) {
			t.Errorf("no %s in the certificate", name)
		}
	}
	if leaf.KeyUsage != smx509.KeyUsageDigitalSignature|smx509.KeyUsageContentCommitment {
		t.Errorf("key usage %b", leaf.KeyUsage)
	}
	if len(leaf.SubjectKeyId) != 20 || !bytes.Equal(leaf.AuthorityKeyId, chain[1].SubjectKeyId) {
		t.Error("key identifiers")
	}
	if s := leaf.Subject; s.Organization[0] != "示例市市场监督管理局" || s.OrganizationalUnit[0] != "license" || s.CommonName != "dept-1" {
		t.Errorf("subject %v", s)
	}
	certs, err := pki.ParsePEM(pki.MarshalPEM(chain...))
	if err != nil || len(certs) != 2 || !certs[0].Equal(leaf) {
		t.Error(err)
	}
}

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

// The other library reads our certificates and finds their signatures right.
func TestSecondLibraryAgrees(t *testing.T) {
	w := certstest.New(t, "second")
	_, chain := w.Issue("dept-1", pki.Seal, uscc, "示例市公安局")
	full := append(slices.Clone(chain), w.Root.Certificate())
	for i := range len(full) - 1 {
		child, err := tjx509.ParseCertificate(full[i].Raw)
		if err != nil {
			t.Fatal(err)
		}
		parent, err := tjx509.ParseCertificate(full[i+1].Raw)
		if err != nil {
			t.Fatal(err)
		}
		if err := child.CheckSignatureFrom(parent); err != nil {
			t.Errorf("certificate %d: %v", i, err)
		}
	}
}

// variant is a certificate that our authority would never issue.
func variant(t *testing.T, w *certstest.World, issuer *pki.CA, issuerKey string, pub *ecdsa.PublicKey, change func(*pki.Certificate)) *pki.Certificate {
	t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	c := &pki.Certificate{
		SerialNumber: serial,
		Subject: pkix.Name{
			Organization: []string{"示例"}, OrganizationalUnit: []string{pki.License}, CommonName: "x",
			ExtraNames: []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{2, 5, 4, 97}, Value: uscc}},
		},
		NotBefore: certstest.Epoch.Add(-time.Hour), NotAfter: certstest.Epoch.Add(time.Hour),
		KeyUsage: smx509.KeyUsageDigitalSignature, BasicConstraintsValid: true,
	}
	change(c)
	der, err := smx509.CreateCertificate(rand.Reader, c, issuer.Certificate(), pub,
		sm.CryptoSigner{Ctx: context.Background(), Signer: w.Signer(issuerKey)})
	if err != nil {
		t.Fatal(err)
	}
	cert, err := pki.Parse(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestChainTellsWhy(t *testing.T) {
	w := certstest.New(t, "why")
	stranger := certstest.New(t, "stranger")
	s, chain := w.Issue("dept-1", pki.License, uscc, "示例市市场监督管理局")
	leaf, sub, root := chain[0], chain[1], w.Root.Certificate()
	make := func(change func(*pki.Certificate)) *pki.Certificate {
		return variant(t, w, w.Intermediate, "ca-sub", s.Public(), change)
	}
	edited := bytes.Clone(leaf.Raw)
	edited[bytes.Index(edited, []byte(uscc))] ^= 1
	tampered, err := pki.Parse(edited)
	if err != nil {
		t.Fatal(err)
	}
	// An end entity that tries to be an authority.
	below := variant(t, w, w.Intermediate, "ca-sub", w.Signer("mallory").Public(), func(c *pki.Certificate) {})
	forged := func(parent *pki.Certificate) *pki.Certificate {
		c := *parent
		serial := big.NewInt(7)
		der, err := smx509.CreateCertificate(rand.Reader, &pki.Certificate{
			SerialNumber: serial, Subject: leaf.Subject, NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter,
			KeyUsage: smx509.KeyUsageDigitalSignature, BasicConstraintsValid: true,
		}, &c, s.Public(), sm.CryptoSigner{Ctx: context.Background(), Signer: w.Signer("mallory")})
		if err != nil {
			t.Fatal(err)
		}
		cert, err := pki.Parse(der)
		if err != nil {
			t.Fatal(err)
		}
		return cert
	}(below)
	// A third level below an authority that may have none.
	deep, err := w.Intermediate.NewIntermediate(t.Context(), "示例", "第三级 CA", w.Signer("ca-deep"))
	if err != nil {
		t.Fatal(err)
	}
	deepLeaf, err := deep.Issue(t.Context(), pki.Request{Organization: "示例", USCC: uscc, Usage: pki.License, Public: s.Public()})
	if err != nil {
		t.Fatal(err)
	}

	epoch := certstest.Epoch
	for name, c := range map[string]struct {
		leaf  *pki.Certificate
		above []*pki.Certificate
		at    time.Time
		usage string
		err   error
	}{
		"right":             {leaf, chain[1:], epoch, pki.License, nil},
		"root given too":    {leaf, []*pki.Certificate{root, sub}, epoch, pki.License, nil},
		"expired leaf":      {leaf, chain[1:], epoch.AddDate(3, 0, 0), pki.License, pki.ErrExpired},
		"expired authority": {make(func(c *pki.Certificate) { c.NotAfter = epoch.AddDate(40, 0, 0) }), chain[1:], epoch.AddDate(12, 0, 0), pki.License, pki.ErrExpired},
		"not yet valid":     {leaf, chain[1:], epoch.AddDate(-1, 0, 0), pki.License, pki.ErrNotYetValid},
		"no intermediate":   {leaf, nil, epoch, pki.License, pki.ErrUnknownAnchor},
		"other usage":       {leaf, chain[1:], epoch, pki.Call, pki.ErrWrongUsage},
		"two usages":        {make(func(c *pki.Certificate) { c.Subject.OrganizationalUnit = []string{pki.License, pki.Call} }), chain[1:], epoch, pki.License, pki.ErrWrongUsage},
		"no usage":          {make(func(c *pki.Certificate) { c.Subject.OrganizationalUnit = nil }), chain[1:], epoch, pki.License, pki.ErrWrongUsage},
		"no code":           {make(func(c *pki.Certificate) { c.Subject.ExtraNames = nil }), chain[1:], epoch, pki.License, pki.ErrNoUSCC},
		"two codes":         {make(func(c *pki.Certificate) { c.Subject.ExtraNames = append(c.Subject.ExtraNames, c.Subject.ExtraNames...) }), chain[1:], epoch, pki.License, pki.ErrNoUSCC},
		"may not sign":      {make(func(c *pki.Certificate) { c.KeyUsage = smx509.KeyUsageKeyEncipherment }), chain[1:], epoch, pki.License, pki.ErrConstraints},
		"authority as leaf": {sub, nil, epoch, pki.License, pki.ErrConstraints},
		"unknown critical": {make(func(c *pki.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: []int{1, 2, 3}, Critical: true, Value: []byte{5, 0}}}
		}), chain[1:], epoch, pki.License, pki.ErrConstraints},
		"edited":                {tampered, chain[1:], epoch, pki.License, pki.ErrBadSignature},
		"issued by a leaf":      {forged, []*pki.Certificate{below, sub}, epoch, pki.License, pki.ErrConstraints},
		"one level too many":    {deepLeaf[0], deepLeaf[1:], epoch, pki.License, pki.ErrConstraints},
		"too many certificates": {leaf, slices.Repeat(chain[1:], 7), epoch, pki.License, pki.ErrConstraints},
	} {
		v, err := pki.NewVerifier(pki.Trust{Anchors: []*pki.Certificate{root}, Cache: -1})
		if err != nil {
			t.Fatal(err)
		}
		got, err := v.Chain(c.leaf, c.above, c.at, c.usage)
		if !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", name, err, c.err)
		}
		if err == nil && (got.USCC != uscc || got.Usage != pki.License || !got.Public.Equal(s.Public()) || got.Anchor != pki.Fingerprint(root)) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	_, foreign := stranger.Issue("dept-1", pki.License, uscc, "示例市市场监督管理局")
	if _, err := w.Trust().Chain(foreign[0], foreign[1:], epoch, pki.License); !errors.Is(err, pki.ErrUnknownAnchor) {
		t.Errorf("another root of the same name: %v", err)
	}
}

func TestAnchors(t *testing.T) {
	w := certstest.New(t, "anchors")
	_, chain := w.Issue("dept-1", pki.License, uscc, "示例")
	root := w.Root.Certificate()
	asked := 0
	voices := second.New(second.Config{})
	defer voices.Close()
	confirm := func(pub *ecdsa.PublicKey, m, rs []byte) error { asked++; return voices.VerifyBoth(pub, m, rs) }
	if _, err := pki.NewVerifier(pki.Trust{Anchors: []*pki.Certificate{root}, VerifyBoth: confirm}); err != nil || asked != 1 {
		t.Errorf("asked %d times, %v", asked, err)
	}
	edited := bytes.Clone(root.Raw)
	edited[len(edited)-1] ^= 1
	bad, err := pki.Parse(edited)
	if err != nil {
		t.Fatal(err)
	}
	for name, a := range map[string]*pki.Certificate{"leaf": chain[0], "intermediate": chain[1], "edited root": bad} {
		if _, err := pki.NewVerifier(pki.Trust{Anchors: []*pki.Certificate{a}}); !errors.Is(err, pki.ErrBadAnchor) {
			t.Errorf("%s: %v", name, err)
		}
	}
	disagree := func(*ecdsa.PublicKey, []byte, []byte) error { return second.ErrDisagree }
	if _, err := pki.NewVerifier(pki.Trust{Anchors: []*pki.Certificate{root}, VerifyBoth: disagree}); !errors.Is(err, second.ErrDisagree) {
		t.Error(err)
	}
}

// Certificates of other authorities: trust says code and usage, the certificate need not.
func TestKnownCertificates(t *testing.T) {
	w := certstest.New(t, "known")
	c := variant(t, w, w.Intermediate, "ca-sub", w.Signer("x").Public(), func(c *pki.Certificate) {
		c.Subject = pkix.Name{Organization: []string{"别处"}, CommonName: "印章"}
	})
	v, err := pki.NewVerifier(pki.Trust{
		Anchors: []*pki.Certificate{w.Root.Certificate()},
		Known:   map[string]pki.Known{pki.Fingerprint(c): {USCC: uscc, Usage: pki.Seal}},
	})
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := v.Chain(c, w.Intermediate.Chain(), certstest.Epoch, pki.Seal)
	if err != nil || leaf.USCC != uscc || leaf.Organization != "别处" {
		t.Errorf("%+v, %v", leaf, err)
	}
	if _, err := v.Chain(c, w.Intermediate.Chain(), certstest.Epoch.AddDate(1, 0, 0), pki.Seal); !errors.Is(err, pki.ErrExpired) {
		t.Errorf("trust outlives the certificate: %v", err)
	}
}

func TestCacheKeepsTheClock(t *testing.T) {
	w := certstest.New(t, "cache")
	_, chain := w.Issue("dept-1", pki.License, uscc, "示例")
	verified := 0
	var mu sync.Mutex
	v, err := pki.NewVerifier(pki.Trust{
		Anchors: []*pki.Certificate{w.Root.Certificate()}, Cache: 2,
		Verify: func(pub *ecdsa.PublicKey, m, rs []byte) error {
			mu.Lock()
			verified++
			mu.Unlock()
			return sm.Verify(pub, m, rs)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	verified = 0
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				if _, err := v.ChainDER(pki.DER(chain...), certstest.Epoch, pki.License); err != nil {
					t.Error(err)
				}
				if _, err := v.ChainDER(pki.DER(chain...), certstest.Epoch.AddDate(3, 0, 0), pki.License); !errors.Is(err, pki.ErrExpired) {
					t.Error(err)
				}
				if _, err := v.ChainDER(pki.DER(chain...), certstest.Epoch, pki.Seal); !errors.Is(err, pki.ErrWrongUsage) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if verified > 2*4 {
		t.Errorf("%d signatures verified for one chain", verified)
	}
	for i := range 5 { // more chains than the cache holds
		_, chain := w.Issue(fmt.Sprint("dept-", i), pki.License, uscc, "示例")
		if _, err := v.Chain(chain[0], chain[1:], certstest.Epoch, pki.License); err != nil {
			t.Error(err)
		}
	}
}

func TestIssueConfirms(t *testing.T) {
	w := certstest.New(t, "confirm")
	ca, err := pki.LoadCA(pki.Config{VerifyBoth: func(*ecdsa.PublicKey, []byte, []byte) error { return second.ErrDisagree }},
		w.Intermediate.Chain(), w.Signer("ca-sub"))
	if err != nil {
		t.Fatal(err)
	}
	r := pki.Request{Organization: "示例", USCC: uscc, Usage: pki.Call, Public: w.Signer("x").Public()}
	if _, err := ca.Issue(t.Context(), r); !errors.Is(err, second.ErrDisagree) {
		t.Errorf("issued in doubt: %v", err)
	}
	ca.VerifyBoth = nil
	if chain, err := ca.Issue(t.Context(), r); err != nil || len(chain) != 2 {
		t.Error(err)
	}
	if _, err := pki.LoadCA(pki.Config{}, w.Intermediate.Chain(), w.Signer("x")); err == nil {
		t.Error("loaded with another key")
	}
	r.USCC = ""
	if _, err := ca.Issue(t.Context(), r); err == nil {
		t.Error("issued without a code")
	}
}

func TestParseBounds(t *testing.T) {
	if _, err := pki.Parse(make([]byte, 17<<10)); !errors.Is(err, pki.ErrMalformed) {
		t.Error(err)
	}
	for _, s := range []string{"", "x", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"} {
		if _, err := pki.ParsePEM([]byte(s)); !errors.Is(err, pki.ErrMalformed) {
			t.Errorf("%q: %v", s, err)
		}
	}
	if _, err := pki.ParseChain(nil); !errors.Is(err, pki.ErrMalformed) {
		t.Error(err)
	}
}

// Whatever the bytes, a certificate that is not ours is never accepted.
func FuzzChain(f *testing.F) {
	w := certstest.New(f, "fuzz")
	_, chain := w.Issue("dept-1", pki.License, uscc, "示例")
	v := w.Trust()
	f.Add(chain[0].Raw)
	f.Add(chain[1].Raw)
	f.Fuzz(func(t *testing.T, der []byte) {
		_, err := v.ChainDER([][]byte{der, chain[1].Raw}, certstest.Epoch, pki.License)
		if err == nil && !bytes.Equal(der, chain[0].Raw) {
			t.Fatal("accepted a changed certificate")
		}
	})
}

func BenchmarkChain(b *testing.B) {
	w := certstest.New(b, "bench")
	_, chain := w.Issue("dept-1", pki.License, uscc, "示例")
	for name, cache := range map[string]int{"cached": 0, "uncached": -1} {
		v, err := pki.NewVerifier(pki.Trust{Anchors: []*pki.Certificate{w.Root.Certificate()}, Cache: cache})
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := v.Chain(chain[0], chain[1:], certstest.Epoch, pki.License); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Intermediates that all signed each other cost one signature check for each pair at most, and the search ends with the call.
func TestMesh(t *testing.T) {
	w := certstest.New(t, "mesh")
	m := w.NewMesh("示例", 5)
	anchors := []*pki.Certificate{w.Root.Certificate()}
	v, err := pki.NewVerifier(pki.Trust{Anchors: anchors})
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	count := func(pub *ecdsa.PublicKey, m, rs []byte) error { asked++; return sm.Verify(pub, m, rs) }
	if _, err := v.With(count).Chain(m.Leaf, m.Authorities, certstest.Epoch, pki.License); !errors.Is(err, pki.ErrUnknownAnchor) && !errors.Is(err, pki.ErrConstraints) {
		t.Error(err)
	}
	if pairs := 3 + 3*2 + 2*3; asked > pairs || asked < 5 { // three of one name, two of the other
		t.Errorf("%d signature checks for %d pairs", asked, pairs)
	}
	once := sm.NewBudget(64, 0, sm.Verify)
	if _, err := v.With(once.Within(t.Context())).Chain(m.Leaf, m.Authorities, certstest.Epoch, pki.License); err == nil || once.Made() > 6 {
		t.Errorf("%d signature checks for six certificates of one issuer: %v", once.Made(), err)
	}
	budget := sm.NewBudget(0, 0, sm.Verify)
	ctx, hangUp := context.WithCancel(t.Context())
	if _, err := v.With(budget.Within(ctx)).Chain(m.Leaf, m.Authorities, certstest.Epoch, pki.License); !errors.Is(err, sm.ErrBudget) || budget.Made() != 0 {
		t.Errorf("%v after %d checks", err, budget.Made())
	}
	hangUp()
	if _, err := v.With(budget.Within(ctx)).Chain(m.Leaf, m.Authorities, certstest.Epoch, pki.License); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := v.With(count).Authority(m.Authorities[0], m.Authorities, certstest.Epoch); err == nil {
		t.Error("an authority of a mesh leads to an anchor")
	}
	if _, err := v.Authority(w.Intermediate.Certificate(), nil, certstest.Epoch); err != nil {
		t.Error(err)
	}
}

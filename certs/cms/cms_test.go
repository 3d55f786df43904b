package cms_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"errors"
	"strings"
	"testing"
	"time"

	"oncegate/certs/certstest"
	"oncegate/certs/cms"
	"oncegate/certs/pki"
	"oncegate/certs/second"
	"oncegate/certs/sm"
	"oncegate/check"
)

var content = []byte("示例内容\n")

func clock() time.Time { return certstest.Epoch.Add(time.Hour) }

func identity(w *certstest.World, keyID, usage string) cms.Identity {
	s, chain := w.Issue(keyID, usage, "11990100000001010B", "示例市政务服务局")
	return cms.Identity{Signer: s, Chain: chain}
}

func sign(t testing.TB, c cms.Config, by ...cms.Identity) []byte {
	t.Helper()
	if c.Now == nil {
		c.Now = clock
	}
	b, err := cms.Sign(context.Background(), c, content, by...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// disagrees is a second verifier that accepts nothing.
func disagrees(*ecdsa.PublicKey, []byte, []byte) error { return sm.ErrBadSignature }

func good(cms.Evidence) (check.State, string) { return check.OK, "not on the list" }

func verifier(w *certstest.World) *cms.Verifier {
	return &cms.Verifier{
		Chain: w.Trust().Chain, Usage: pki.Seal, Now: clock,
		Revocation: func(_ context.Context, e cms.Evidence) (check.State, string) { return good(e) },
	}
}

// failed returns the names of failed steps, in order.
func failed(steps []check.Step) string {
	var names []string
	for _, s := range steps {
		if s.State == check.Failed {
			names = append(names, s.Name)
		}
	}
	return strings.Join(names, " ")
}

func names(steps []check.Step) string {
	var all []string
	for _, s := range steps {
		all = append(all, s.Name)
	}
	return strings.Join(all, " ")
}

// Every form holds in every step, and says what was signed, by whom and when.
func TestForms(t *testing.T) {
	w := certstest.New(t, "cms")
	id := identity(w, "seal-1", pki.Seal)
	for _, dialect := range []cms.Dialect{cms.GM, cms.RFC} {
		for _, c := range []cms.Config{
			{}, {Detached: true}, {Bare: true}, {Bare: true, Detached: true}, {SigningCertificate: true},
			{VerifyBoth: second.Check},
		} {
			c.Dialect = dialect
			b := sign(t, c, id)
			var given []byte
			if c.Detached {
				given = content
			}
			r := verifier(w).Verify(t.Context(), b, given, time.Time{})
			if got := names(r.Steps); got != "cms-parse cms-digest cms-signer cms-signature cms-chain cms-usage cms-revocation" {
				t.Fatalf("steps: %s", got)
			}
			for _, s := range r.Steps {
				if s.State != check.OK {
					t.Errorf("%v %+v: %+v", dialect, c, s)
				}
			}
			if !bytes.Equal(r.Content, content) || r.Message.Dialect != dialect || r.Message.Detached != c.Detached {
				t.Errorf("%+v", r.Message)
			}
			d := r.Signers[0]
			if d.Leaf.USCC != "11990100000001010B" || !d.Certificate.Equal(id.Chain[0]) {
				t.Errorf("%+v", d)
			}
			if d.Claimed == c.Bare || !c.Bare && !d.Time.Equal(clock()) {
				t.Errorf("time %v, claimed %v", d.Time, d.Claimed)
			}
		}
	}
}

// Several signers are judged apart, and one bad signature spoils nobody else's.
func TestSeveralSigners(t *testing.T) {
	w := certstest.New(t, "cms")
	b := sign(t, cms.Config{}, identity(w, "seal-1", pki.Seal), identity(w, "license-1", pki.License), identity(w, "seal-2", pki.Seal))
	r := verifier(w).Verify(t.Context(), b, nil, time.Time{})
	if len(r.Signers) != 3 || len(r.Steps) != 1+3*6 {
		t.Fatalf("%d signers, %d steps", len(r.Signers), len(r.Steps))
	}
	var bad string
	for i, d := range r.Signers {
		if d.Leaf.CommonName == "" {
			bad = failed(d.Steps)
			if want := map[int]string{0: "cms-usage", 1: "cms-usage-2", 2: "cms-usage-3"}[i]; bad != want {
				t.Errorf("signer %d: %s", i, bad)
			}
		}
	}
	if bad == "" || failed(r.Steps) != bad {
		t.Errorf("failed: %q, of the one for another usage %q", failed(r.Steps), bad)
	}
	if got := len(r.Message.Certificates); got != 4 {
		t.Errorf("%d certificates: three and one authority, once", got)
	}
}

func TestSignRefuses(t *testing.T) {
	w := certstest.New(t, "cms")
	id, other := identity(w, "seal-1", pki.Seal), identity(w, "seal-2", pki.Seal)
	for name, c := range map[string]struct {
		config  cms.Config
		content []byte
		by      []cms.Identity
		is      error
	}{
		"nobody":                           {content: content},
		"no certificate":                   {content: content, by: []cms.Identity{{Signer: id.Signer}}},
		"another's certificate":            {content: content, by: []cms.Identity{{Signer: id.Signer, Chain: other.Chain}}},
		"nothing, without attributes":      {config: cms.Config{Bare: true}, by: []cms.Identity{id}, is: sm.ErrEmptyMessage},
		"attributes, bare":                 {config: cms.Config{Bare: true}, content: []byte{0x31, 13, 0x30, 11, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 4}, by: []cms.Identity{id}},
		"attributes, bare and detached":    {config: cms.Config{Bare: true, Detached: true}, content: []byte{0x31, 5, 0x30, 3, 6, 1, 0x2a}, by: []cms.Identity{id}},
		"another type, bare":               {config: cms.Config{Bare: true, ContentType: cms.RFC.Data()}, content: content, by: []cms.Identity{id}},
		"attributes for a bare one":        {config: cms.Config{Bare: true}, content: content, by: []cms.Identity{{Signer: id.Signer, Chain: id.Chain, Attributes: []cms.Attribute{{Type: cms.SM3, Value: []byte{5, 0}}}}}},
		"an attribute twice":               {content: content, by: []cms.Identity{{Signer: id.Signer, Chain: id.Chain, Attributes: []cms.Attribute{{Type: cms.SM3, Value: []byte{5, 0}}, {Type: cms.SM3, Value: []byte{5, 0}}}}}},
		"an attribute that is not DER":     {content: content, by: []cms.Identity{{Signer: id.Signer, Chain: id.Chain, Attributes: []cms.Attribute{{Type: cms.SM3, Value: []byte{5}}}}}},
		"a list that is not DER":           {config: cms.Config{CRLs: [][]byte{{0x30, 0x80}}}, content: content, by: []cms.Identity{id}},
		"an answer that is not DER":        {config: cms.Config{OCSP: [][]byte{{0x30}}}, content: content, by: []cms.Identity{id}},
		"more than a message may have":     {content: make([]byte, cms.MaxSize), by: []cms.Identity{id}},
		"a second verifier that disagrees": {config: cms.Config{VerifyBoth: disagrees}, content: content, by: []cms.Identity{id}, is: sm.ErrBadSignature},
	} {
		_, err := cms.Sign(t.Context(), c.config, c.content, c.by...)
		if err == nil || c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := cms.Sign(t.Context(), cms.Config{}, nil, id); err != nil {
		t.Errorf("an empty content, with attributes: %v", err)
	}
}

// Lists and OCSP answers come back, and reach who judges revocation.
func TestEvidence(t *testing.T) {
	w := certstest.New(t, "cms")
	crl, ocsp := []byte{0x30, 3, 2, 1, 1}, []byte{0x30, 3, 2, 1, 2}
	for _, dialect := range []cms.Dialect{cms.GM, cms.RFC} {
		b := sign(t, cms.Config{Dialect: dialect, CRLs: [][]byte{crl}, OCSP: [][]byte{ocsp}}, identity(w, "seal-1", pki.Seal))
		v := verifier(w)
		asked := 0
		at := clock().Add(24 * time.Hour)
		v.Revocation = func(_ context.Context, e cms.Evidence) (check.State, string) {
			asked++
			if len(e.CRLs) != 1 || !bytes.Equal(e.CRLs[0], crl) || len(e.OCSP) != 1 || !bytes.Equal(e.OCSP[0], ocsp) ||
				len(e.Above) != 1 || !e.Above[0].Equal(w.Intermediate.Certificate()) || !e.At.Equal(at) {
				t.Errorf("%+v", e)
			}
			return check.Failed, "revoked"
		}
		r := v.Verify(t.Context(), b, nil, at)
		if asked != 1 || failed(r.Steps) != "cms-revocation" {
			t.Errorf("asked %d times, failed: %s", asked, failed(r.Steps))
		}
	}
}

// The zero verifier checks what needs no trust, and says of the rest that it did not.
func TestWithoutTrust(t *testing.T) {
	w := certstest.New(t, "cms")
	r := new(cms.Verifier).Verify(t.Context(), sign(t, cms.Config{}, identity(w, "seal-1", pki.Seal)), nil, time.Time{})
	for _, s := range r.Steps {
		want := check.OK
		if strings.Contains("cms-chain cms-usage cms-revocation", s.Name) {
			want = check.NotCheckable
		}
		if s.State != want {
			t.Errorf("%+v", s)
		}
	}
}

// Without certificates inside, those that the verifier knows are found.
func TestOmitCertificates(t *testing.T) {
	w := certstest.New(t, "cms")
	id := identity(w, "seal-1", pki.Seal)
	b := sign(t, cms.Config{OmitCertificates: true}, id)
	v := verifier(w)
	if r := v.Verify(t.Context(), b, nil, time.Time{}); failed(r.Steps) != "cms-signer" || len(r.Steps) != 7 {
		t.Errorf("%+v", r.Steps)
	}
	v.Certificates = id.Chain
	if r := v.Verify(t.Context(), b, nil, time.Time{}); failed(r.Steps) != "" || r.Signers[0].Leaf.CommonName != "seal-1" {
		t.Errorf("%+v", r.Steps)
	}
}

func BenchmarkSign(b *testing.B) {
	w := certstest.New(b, "cms")
	id := identity(w, "seal-1", pki.Seal)
	for b.Loop() {
		sign(b, cms.Config{}, id)
	}
}

func BenchmarkParse(b *testing.B) {
	m := sign(b, cms.Config{}, identity(certstest.New(b, "cms"), "seal-1", pki.Seal))
	b.SetBytes(int64(len(m)))
	for b.Loop() {
		if _, err := cms.Parse(m); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	w := certstest.New(b, "cms")
	m, v := sign(b, cms.Config{}, identity(w, "seal-1", pki.Seal)), verifier(w)
	for b.Loop() {
		if r := v.Verify(b.Context(), m, nil, time.Time{}); failed(r.Steps) != "" {
			b.Fatal(r.Steps)
		}
	}
}

// BenchmarkVerifyRaw is the one SM2 verification inside, for comparison.
func BenchmarkVerifyRaw(b *testing.B) {
	s := certstest.New(b, "cms").Signer("seal-1")
	rs, err := s.Sign(b.Context(), content)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := sm.Verify(s.Public(), content, rs); err != nil {
			b.Fatal(err)
		}
	}
}

package install_test

import (
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"oncegate/certs/keystore"
	"oncegate/certs/pki"
	"oncegate/certs/revocation"
	"oncegate/config"
	"oncegate/install"
	"oncegate/install/installtest"
)

// A pair is certified for a license key that the keystore made, and its encryption key taken in as it is delivered.
func TestImportPair(t *testing.T) {
	t.Parallel()
	c := installtest.New(t)
	ring, err := install.OpenKeystore(c.Main, nil)
	if err != nil {
		t.Fatal(err)
	}
	phrase := c.Passphrase()
	ours := c.Authority(filepath.Join(c.Dir, install.CAFolder), phrase, time.Now())
	stranger := c.Authority(t.TempDir(), phrase, time.Now())
	i := slices.IndexFunc(ring.List(), func(k keystore.Info) bool { return k.Usage == keystore.License })
	k := ring.List()[i]
	r := pki.Request{Organization: "示例市市场监督管理局", USCC: k.Owner, Usage: pki.License, CommonName: "示例", Public: k.SM2}
	issue := func(a *install.Authority) install.Pair {
		p, err := a.IssuePair(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	pair, foreign := issue(ours), issue(stranger)
	in := install.KeyImport{WrappedTo: k.ID, File: []byte(base64.StdEncoding.EncodeToString(pair.Enveloped) + "\n"), Chain: pki.MarshalPEM(pair.Encryption...)}
	for name, change := range map[string]func(*install.KeyImport){
		"certified by a stranger": func(i *install.KeyImport) { i.Chain = pki.MarshalPEM(foreign.Encryption...) },
		"a signing certificate":   func(i *install.KeyImport) { i.Chain = pki.MarshalPEM(pair.Signing...) },
		"another's key":           func(i *install.KeyImport) { i.File = foreign.Enveloped },
		"no certificate":          func(i *install.KeyImport) { i.Chain = nil },
		"wrapped to nothing here": func(i *install.KeyImport) { i.WrappedTo = "license-0" },
		"nothing":                 func(i *install.KeyImport) { i.File = nil },
	} {
		bad := in
		change(&bad)
		if keys, err := ring.Import(t.Context(), bad); err == nil {
			t.Errorf("%s: %v", name, keys)
		}
	}
	keys, err := ring.Import(t.Context(), in)
	if err != nil || len(keys) != 1 || keys[0].Usage != keystore.Encryption || keys[0].Owner != k.Owner || len(keys[0].Chain) != 2 {
		t.Fatalf("%+v, %v", keys, err)
	}
	if err := ring.Install(k.ID, pki.MarshalPEM(pair.Signing...)); err != nil {
		t.Errorf("the signing certificate of the pair: %v", err)
	}
	if err := ring.Install(k.ID, pki.MarshalPEM(pair.Encryption...)); err == nil {
		t.Error("the encryption certificate stands beside the signing key")
	}
	if _, faults := config.Load(c.Main, time.Now()); len(faults.Fatal()) > 0 {
		t.Error(faults)
	}
}

// The authority's lists say what it revoked, with a number that never stands on two of them.
func TestAuthorityRevokes(t *testing.T) {
	t.Parallel()
	c := installtest.New(t)
	dir := t.TempDir()
	open := func() *install.Authority { return c.Authority(dir, []byte("phrase"), time.Now()) }
	a := open()
	stranger := c.Authority(t.TempDir(), []byte("phrase"), time.Now())
	ring, err := install.OpenKeystore(c.Main, nil)
	if err != nil {
		t.Fatal(err)
	}
	key := ring.List()[slices.IndexFunc(ring.List(), func(k keystore.Info) bool { return k.SM2 != nil })]
	chain, err := a.Issue(t.Context(), pki.Request{Organization: "示例", USCC: "11379901MB99103773", Usage: pki.Call, Public: key.SM2})
	if err != nil {
		t.Fatal(err)
	}
	if err := stranger.Revoke(chain[0], pki.Superseded); !errors.Is(err, pki.ErrUnknownAnchor) && !errors.Is(err, pki.ErrBadSignature) {
		t.Errorf("a stranger revokes: %v", err)
	}
	status := func(a *install.Authority, number int64) revocation.Status {
		lists, err := a.Lists(t.Context())
		if err != nil || len(lists) != 2 {
			t.Fatal(err)
		}
		for i, issuer := range []*pki.Certificate{chain[1], a.Root()} {
			l, err := revocation.ParseList(lists[i])
			if err != nil || l.Verify(issuer, nil) != nil || l.Number.Int64() != number {
				t.Fatalf("list %d: %v", i, err)
			}
		}
		l, err := revocation.ParseList(lists[0])
		if err != nil {
			t.Fatal(err)
		}
		s, err := l.Status(chain[0], time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if s := status(a, 1); s.State != revocation.Good {
		t.Errorf("%+v", s)
	}
	for i, step := range []struct{ reason, want pki.Reason }{
		{pki.Superseded, pki.Superseded}, {pki.KeyCompromise, pki.KeyCompromise}, {pki.Superseded, pki.KeyCompromise},
	} {
		if err := a.Revoke(chain[0], step.reason); err != nil {
			t.Fatal(err)
		}
		a = open() // kept on disk
		if s := status(a, int64(i+2)); s.State != revocation.Revoked || s.Reason != step.want {
			t.Errorf("%+v", s)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "revoked.json"), []byte(`{"number":1,"extra":2}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Lists(t.Context()); err == nil || !strings.Contains(err.Error(), "what was revoked") {
		t.Errorf("a file that is not understood: %v", err)
	}
}

func TestMain(m *testing.M) { installtest.Main(m) }

func TestPrepareAgainMakesNothing(t *testing.T) {
	t.Parallel()
	c := installtest.New(t)
	again, err := install.Prepare(t.Context(), c.Main, install.PrepareOptions{})
	if err != nil || len(again.Made) > 0 {
		t.Fatalf("made %v, %v", again.Made, err)
	}
	if _, err := install.Init(t.Context(), c.Dir, install.WriteTemplate, install.PrepareOptions{}); !errors.Is(err, os.ErrExist) {
		t.Fatalf("a second init: %v", err)
	}
}

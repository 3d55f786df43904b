package node

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"oncegate/api"
	"oncegate/certs/keystore"
	"oncegate/certs/pki"
	"oncegate/check"
	"oncegate/config"
	"oncegate/install"
	"oncegate/verdict"
)

// lists signs what the installation's authority has revoked and puts it where the configuration looks for it.
func (c *city) lists(r *install.Keystore) {
	c.T.Helper()
	data, err := r.Lists(c.T.Context())
	if err != nil {
		c.T.Fatal(err)
	}
	c.Write("evidence/ca.crl.pem", data)
}

// What an authority said travels with the documents that its certificates sign: they verify without it. Once it says that a
// certificate is revoked, that certificate signs none.
func TestEvidenceTravels(t *testing.T) {
	t.Parallel()
	c := newCity(t)
	c.Edit(config.MainFile, "evidence: [evidence/*]", "evidence: [evidence/*.pem]")
	c.Prepare()
	ring, err := install.OpenKeystore(c.Main, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.lists(ring)
	s := c.serve()
	s.register("SP-1")
	if step := revocationOf(t, c, s.document("SP-1")); step.State != check.OK {
		t.Errorf("%+v", step)
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}

	for _, k := range ring.List() {
		if k.Usage == keystore.License && k.State == keystore.Current {
			chain, err := pki.ParseChain(k.Chain)
			if err != nil {
				t.Fatal(err)
			}
			if err := ring.Revoke(t.Context(), pki.MarshalPEM(chain[0]), pki.KeyCompromise); err != nil {
				t.Fatal(err)
			}
		}
	}
	c.lists(ring)
	s = c.serve()
	q := question("SP-1")
	q.Form = api.DocumentFormOfd
	if answer, err := s.as("food-approval").Query(t.Context(), q); err == nil {
		t.Errorf("a revoked certificate signs: %+v", answer.Answer.Licenses[0].Document)
	}
}

// Without evidence a document says so when it is verified; that is no fault of the document.
func TestNoEvidence(t *testing.T) {
	t.Parallel()
	c := newCity(t)
	c.Edit(config.MainFile, "evidence: [evidence/*]", "evidence: []")
	c.Prepare()
	s := c.serve()
	s.register("SP-1")
	if step := revocationOf(t, c, s.document("SP-1")); step.State != check.NotCheckable {
		t.Errorf("%+v", step)
	}
}

// revocationOf verifies a document with the trust of its city and nothing that authorities said.
func revocationOf(t *testing.T, c *city, d api.LicenseDocument) check.Step {
	t.Helper()
	pkg, err := base64.RawURLEncoding.DecodeString(d.Content)
	if err != nil {
		t.Fatal(err)
	}
	setup, faults := config.Load(c.Main, time.Now())
	if len(faults.Fatal()) > 0 {
		t.Fatal(faults)
	}
	config, err := setup.TrustConfig(time.Now)
	if err != nil {
		t.Fatal(err)
	}
	config.Evidence = nil
	trust, err := verdict.NewTrust(config)
	if err != nil {
		t.Fatal(err)
	}
	verified := trust.Verify(verdict.Artefact{Name: "copy.ofd", Data: pkg})[0]
	for _, step := range verified.Steps {
		if strings.HasSuffix(step.Name, "revocation") {
			return step
		}
	}
	t.Fatalf("nobody speaks of revocation: %+v", verified)
	return check.Step{}
}

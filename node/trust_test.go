package node

import (
	"encoding/base64"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"oncegate/api"
	"oncegate/certs/keystore"
	lognote "oncegate/certs/note"
	"oncegate/certs/pki"
	"oncegate/check"
	"oncegate/config"
	"oncegate/install"
	"oncegate/install/installtest"
	"oncegate/verdict"
)

// TestTrustAsConfigured starts with witnesses, issuers, delegations, signers of status lists and a rule of usage as they are
// configured, and hands them out: what check accepts serve starts with, and what is written verifies.
func TestTrustAsConfigured(t *testing.T) {
	t.Parallel()
	c := newCity(t)
	one, cosign := installtest.WitnessKey("one.example/witness", 'a')
	two, _ := installtest.WitnessKey("two.example/witness", 'b')
	c.Write("witnesses/two.pub", []byte(two+"\n"))
	root, err := os.ReadFile(filepath.Join(c.Dir, "certificates/ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	anchors, err := pki.ParsePEM(root)
	if err != nil {
		t.Fatal(err)
	}
	const market, service, code = "11379901MB99103773", "11379901MB9915186R", "11100000MB0143028R001"
	c.Edit(config.MainFile, "  anchors:", `  witnesses: ["`+one+`", witnesses/two.pub]
  delegations: [{type: business-license, issuer: `+market+`, delegate: `+service+`}]
  issues: [{type: pet-license, type_code: `+service+`001, issuers: [`+service+`]}]
  status_lists: [{uri_prefix: "https://other.example/status-lists", uscc: `+market+`, not_after: 2099-12-31}]
  usages: [{anchor: `+pki.Fingerprint(anchors[0])+`, from: ou}]
  anchors:`)
	setup, faults := config.Load(c.Main, time.Now())
	if len(faults) > 0 {
		t.Fatalf("check: %s", faults.Error())
	}
	s := c.serve()
	dir := t.TempDir()
	if err := s.WriteTrust(dir); err != nil {
		t.Fatal(err)
	}
	read, err := verdict.ReadTrust(filepath.Join(dir, install.TrustFile))
	if err != nil {
		t.Fatal(err)
	}
	end := time.Date(2099, 12, 31, 23, 59, 59, 0, time.UTC)
	for name, pair := range map[string][2]any{
		"witnesses":   {read.Witnesses, []string{one, two}},
		"delegations": {read.Delegations, []verdict.Delegation{{Type: "business-license", TypeCode: code, Issuer: market, Delegate: service}}},
		"issues": {read.Issues, []verdict.Issue{{Type: "pet-license", TypeCode: service + "001", Issuers: []string{service}},
			{Type: "business-license", TypeCode: code, Issuers: []string{market}}}},
		"status_lists": {read.StatusLists, []verdict.ListSigner{{URIPrefix: "https://other.example/status-lists", USCC: market, NotAfter: end},
			{URIPrefix: setup.Gateway.PublicURL + "/status-lists/", USCC: service}}},
		"usages": {read.Usages, map[string]pki.UsageRule{pki.Fingerprint(anchors[0]): {From: pki.FromOU}}},
	} {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			t.Errorf("%s: %+v, want %+v", name, pair[0], pair[1])
		}
	}

	at := time.Now().Truncate(time.Second)
	res, err := http.Get(s.PublicURL() + "/log/checkpoint")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	checkpoint, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatal(res.StatusCode, err)
	}
	trust := s.trusted()
	for _, v := range trust.Verify(verdict.Artefact{Data: cosign(checkpoint, at)}, verdict.Artefact{Data: []byte(two)}) {
		for _, step := range v.Steps {
			if step.State != check.OK || step.Name == "witness" && !strings.Contains(step.Reason, "1 of 2") {
				t.Errorf("%s: %+v", v.Kind, step)
			}
		}
	}

	// Each public key of the log, exported alone, is one that the trust names, and verifies a line of the checkpoint.
	ring, err := install.OpenKeystore(c.Main, nil)
	if err != nil {
		t.Fatal(err)
	}
	exported := 0
	for _, k := range ring.List() {
		if k.Usage != keystore.Log {
			continue
		}
		text, err := ring.Export(k.ID, false)
		if err != nil {
			t.Fatal(err)
		}
		v := trust.Verify(verdict.Artefact{Data: text})[0]
		if v.Kind != verdict.Key || v.Err() != nil {
			t.Errorf("%s: %+v", k.ID, v)
		}
		if k.Ed25519 != nil {
			if _, err := lognote.Ed25519NoteVerifier(string(text)); err != nil {
				t.Error(err)
			}
		}
		exported++
	}
	if exported != 2 {
		t.Errorf("%d keys of the log", exported)
	}

	s.register("SP-1")
	l := s.query("SP-1")
	place := placeOf(t, l.License)
	for _, v := range trust.Verify(verdict.Artefact{Data: []byte(l.License)}, verdict.Artefact{Data: []byte(fetch(t, place.URI, "").token)}) {
		for _, step := range v.Steps {
			want := check.OK
			switch step.Name {
			case "presentation-right":
				want = check.NotCheckable
			}
			if step.State != want {
				t.Errorf("%s: %+v", v.Kind, step)
			}
		}
	}
}

// TestOlderStatusList has a running gateway verify a license with a list older than one that it has seen: it does not count,
// also after a restart.
func TestOlderStatusList(t *testing.T) {
	t.Parallel()
	c := newCity(t)
	s := c.serve()
	s.register("SP-1")
	l := s.query("SP-1")
	at := placeOf(t, l.License)
	older := fetch(t, at.URI, "").token
	s.order(l.Identifier, api.LicenseCommandRevoke)
	time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(time.Second))) // lists say when they were issued to the second
	revoked := fetch(t, at.URI, "").token
	for deadline := time.Now().Add(5 * time.Second); revoked == older && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		revoked = fetch(t, at.URI, "").token
	}
	status := func(s *served, list string) api.Step {
		t.Helper()
		b64 := base64.RawURLEncoding.EncodeToString
		a, err := s.as("food-approval").VerifyLicense(t.Context(), api.VerifyRequest{Document: b64([]byte(l.License)), Beside: []string{b64([]byte(list))}})
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range a.Answer.Steps {
			if step.Name == "status" {
				return step
			}
		}
		t.Fatalf("%+v", a.Answer.Steps)
		return api.Step{}
	}
	if got := status(s, older); got.State != api.StepStateOk {
		t.Errorf("before: %+v", got)
	}
	if got := status(s, revoked); got.State != api.StepStateFailed {
		t.Errorf("revoked: %+v", got)
	}
	for range 2 {
		if got := status(s, older); got.State == api.StepStateOk || !strings.Contains(got.Reason, "superseded") {
			t.Errorf("the older list again: %+v", got)
		}
		if err := s.stop(); err != nil {
			t.Fatal(err)
		}
		s = c.serve()
	}
}

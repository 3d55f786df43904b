package node

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
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
	"oncegate/verdict"
)

// witnessKey is a witness's key as C2SP has it, and a function that co-signs a checkpoint with it.
func witnessKey(name string, seed byte) (vkey string, cosign func(checkpoint []byte, at time.Time) []byte) {
	key := ed25519.NewKeyFromSeed([]byte(strings.Repeat(string(rune(seed)), ed25519.SeedSize)))
	typed := append([]byte{4}, key.Public().(ed25519.PublicKey)...)
	id := sha256.Sum256(append([]byte(name+"\n"), typed...))
	return fmt.Sprintf("%s+%x+%s", name, id[:4], base64.StdEncoding.EncodeToString(typed)), func(checkpoint []byte, at time.Time) []byte {
		text, _, _ := strings.Cut(string(checkpoint), "\n\n")
		signature := ed25519.Sign(key, fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s\n", at.Unix(), text))
		line := append(binary.BigEndian.AppendUint64(id[:4:4], uint64(at.Unix())), signature...)
		return fmt.Appendf(checkpoint, "— %s %s\n", name, base64.StdEncoding.EncodeToString(line))
	}
}

// TestTrustAsConfigured starts with witnesses, issuers, delegations, signers of status lists and a rule of usage as they are
// configured, and hands them out: what check accepts serve starts with, and what is written verifies.
func TestTrustAsConfigured(t *testing.T) {
	t.Parallel()
	c := newCity(t)
	one, cosign := witnessKey("one.example/witness", 'a')
	two, _ := witnessKey("two.example/witness", 'b')
	c.write("witnesses/two.pub", []byte(two+"\n"))
	root, err := os.ReadFile(filepath.Join(c.dir, "certificates/ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	anchors, err := pki.ParsePEM(root)
	if err != nil {
		t.Fatal(err)
	}
	const market, service, code = "11379901MB99103773", "11379901MB9915186R", "11100000MB0143028R001"
	c.edit(MainFile, "  anchors:", `  witnesses: ["`+one+`", witnesses/two.pub]
  delegations: [{type: business-license, issuer: `+market+`, delegate: `+service+`}]
  issues: [{type: pet-license, type_code: `+service+`001, issuers: [`+service+`]}]
  status_lists: [{uri_prefix: "https://other.example/status-lists", uscc: `+market+`, not_after: 2099-12-31}]
  usages: [{anchor: `+pki.Fingerprint(anchors[0])+`, from: ou}]
  anchors:`)
	setup, faults := Load(c.main, time.Now())
	if len(faults) > 0 {
		t.Fatalf("check: %s", render(faults))
	}
	s := c.serve()
	dir := t.TempDir()
	if err := s.WriteTrust(dir); err != nil {
		t.Fatal(err)
	}
	read, err := verdict.ReadTrust(filepath.Join(dir, TrustFile))
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
	ring, err := OpenKeyRing(c.main, nil)
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

// TestTrustFaults finds at check what the start would refuse.
func TestTrustFaults(t *testing.T) {
	t.Parallel()
	sound := newCity(t)
	vkey, _ := witnessKey("one.example/witness", 'a')
	for name, m := range map[string][2]string{ // what stands under trust, and the reason
		"a witness with a slip":        {`witnesses: ["` + strings.Replace(vkey, "one.", "uno.", 1) + `"]`, "key id is of another name"},
		"a witness of another type":    {`witnesses: ["w.example+01020304+BgAA"]`, "key type 0x06"},
		"a witness whose file is none": {"witnesses: [keys.passphrase]", "not of the form"},
		"a witness whose file is gone": {"witnesses: [witness.pub]", "is not there"},
		"a list signer without prefix": {"status_lists: [{uscc: 11379901MB99103773}]", "uri_prefix is required"},
		"a list signer that is nobody": {"status_lists: [{uri_prefix: 'https://x.example'}]", "either uscc or fingerprint"},
		"a day that is none":           {"status_lists: [{uri_prefix: 'https://x.example', uscc: 11379901MB99103773, not_after: 2026-13-01}]", "not a time"},
		"a type without its code":      {"issues: [{type: pet-license, issuers: [11379901MB99103773]}]", "type_code is required"},
		"a type with another code":     {"issues: [{type: business-license, type_code: 11379901MB99103773001, issuers: [11379901MB99103773]}]", "the catalogue says"},
		"a delegation without a type":  {"delegations: [{type: pet-license, issuer: 11379901MB99103773, delegate: 11379901MB9915186R}]", "no license type"},
		"issuers that are none":        {"issues: [{type: business-license, issuers: ['1']}]", "social credit code"},
		"a delegate that is none":      {"delegations: [{type: business-license, issuer: 11379901MB99103773, delegate: '1'}]", "social credit code"},
		"a rule for no anchor":         {"usages: [{anchor: '" + strings.Repeat("0", 64) + "', from: ou}]", "no anchor has the fingerprint"},
		"evidence that is none":        {"evidence: [keys.passphrase]", "no revocation list"},
	} {
		t.Run(name, func(t *testing.T) {
			c := sound.copyOf(t)
			if strings.HasPrefix(m[0], "evidence:") {
				c.edit(MainFile, "  evidence: [evidence/*]", "  "+m[0])
			} else {
				c.edit(MainFile, "  anchors:", "  "+m[0]+"\n  anchors:")
			}
			_, faults := Load(c.main, time.Now())
			if len(faults.Fatal()) != 1 || !strings.Contains(faults[0].Reason, m[1]) || faults[0].Place.Line == 0 {
				t.Errorf("want one fault with %q:\n%s", m[1], render(faults))
			}
			key, _, _ := strings.Cut(m[0], ":")
			if _, line, _ := strings.Cut(c.where(MainFile, key+":"), MainFile+":"); len(faults) > 0 && !strings.HasPrefix(fmt.Sprint(faults[0].Place.Line)+":", strings.Split(line, ":")[0]+":") {
				t.Errorf("at line %d, want %s", faults[0].Place.Line, line)
			}
		})
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

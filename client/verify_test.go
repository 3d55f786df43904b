package client

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"pgregory.net/rapid"

	"oncegate/api"
	"oncegate/certs/certstest"
	"oncegate/certs/pki"
	"oncegate/certs/sdjwt"
	"oncegate/certs/sm"
	"oncegate/certs/token"
	"oncegate/license"
)

// A run is one query of a city with everything it left behind.
type run struct {
	*city
	trust   *Trust
	request string // token
	body    []byte
	answer  []byte // {answer, receipt}
}

func newRun(tb testing.TB) *run {
	tb.Helper()
	c := newCity(tb)
	r := &run{city: c, trust: c.newTrust()}
	return r.again()
}

// again makes the query anew, after the city has changed.
func (r *run) again() *run {
	r.tb.Helper()
	var err error
	r.body, err = json.Marshal(question)
	r.must(err)
	cl := r.newClient(nil)
	call, err := cl.sign(r.tb.Context(), cl.contract.Operation("licenses.query"), nil, r.body, "rid-1", 0)
	r.must(err)
	r.request = call.token
	answer, err := cl.send(r.tb.Context(), call)
	r.must(err)
	r.answer = answer.Raw
	return r
}

func (r *run) license() string {
	return sdjwt.Present(r.jwt, sdjwt.Select(r.all, "name"))
}

func (r *run) receipt() []byte {
	var e api.Envelope
	r.must(json.Unmarshal(r.answer, &e))
	return e.Receipt
}

func (r *run) checkpoint() []byte {
	var receipt api.Receipt
	r.must(json.Unmarshal(r.receipt(), &receipt))
	return []byte(receipt.Checkpoint)
}

func (r *run) artefacts() []Artefact {
	point, err := sm.MarshalPEM(r.world.Signer("log-1").Public())
	r.must(err)
	return []Artefact{
		{"license.sdjwt", []byte(r.license() + "\n")},
		{"answer.json", r.answer},
		{"receipt.json", r.receipt()},
		{"checkpoint", r.checkpoint()},
		{"request.jwt", []byte(r.request)},
		{"request.body", r.body},
		{"issuer.cert.pem", pki.MarshalPEM(r.chain...)},
		{"ca.cert.pem", pki.MarshalPEM(r.world.Root.Certificate())},
		{"log.sm2.pub.pem", point},
		{"log.ed25519.pub", []byte(r.vkey + "\n")},
		{"1.statuslist", []byte(r.statusList(0))},
	}
}

// Everything that one run leaves behind verifies, one against the other, with nothing left unchecked but the witness and what
// no license says.
func TestVerifyRun(t *testing.T) {
	r := newRun(t)
	kinds := []Kind{License, Answer, Receipt, Checkpoint, Call, Body, Certificate, Certificate, Key, Key, StatusList}
	for i, v := range r.trust.Verify(r.artefacts()...) {
		if v.Kind != kinds[i] || v.Err() != nil || len(v.Steps) == 0 {
			t.Errorf("%s is %s: %v", v.Name, v.Kind, v.Err())
		}
		for _, s := range v.Steps {
			open := s.Name == "witness" || strings.HasSuffix(s.Name, "key-revocation") || v.Kind == License && s.Name == "chain-at-signing"
			if s.State != license.OK && !open {
				t.Errorf("%s: %s is %s: %s", v.Name, s.Name, s.State, s.Reason)
			}
			if s.State != license.OK && s.Reason == "" {
				t.Errorf("%s: %s gives no reason", v.Name, s.Name)
			}
		}
	}
}

func TestVerifyAlone(t *testing.T) {
	r := newRun(t)
	open := map[string][]string{
		"license.sdjwt":   {"chain-at-signing", "key-revocation", "status", "presentation-right"},
		"answer.json":     {"token-digest", "witness", "record-about-operator", "use[0]/record-about-holder", "license[0]/key-revocation", "license[0]/status"},
		"receipt.json":    {"answer-digest", "token-digest", "witness"},
		"checkpoint":      {"witness"},
		"request.jwt":     {"call-body", "call-recorded"},
		"request.body":    {"body-of-call"},
		"issuer.cert.pem": {"key-revocation"},
	}
	for _, a := range r.artefacts() {
		v := r.trust.Verify(a)[0]
		if v.Err() != nil {
			t.Errorf("%s: %v", a.Name, v.Err())
		}
		var names []string
		for _, s := range v.Steps {
			if s.State == license.NotCheckable {
				names = append(names, s.Name)
			}
		}
		if fmt.Sprint(names) != fmt.Sprint(open[a.Name]) {
			t.Errorf("%s leaves open %v, want %v", a.Name, names, open[a.Name])
		}
	}
}

// Each fault fails the step that is about it.
func TestVerifyFaults(t *testing.T) {
	now := certstest.Epoch
	late := func(d time.Duration) func(*run) {
		return func(r *run) { r.city.trust.Now = func() time.Time { return now.Add(d) }; r.trust = r.newTrust() }
	}
	issue := func(uscc, usage string, from, to time.Time) func(*run) {
		return func(r *run) { r.issue(uscc, usage, from, to); r.again() }
	}
	year := 365 * 24 * time.Hour
	for _, tt := range []struct {
		name  string
		spoil func(*run)
		what  func(*run) Artefact
		step  string
	}{
		{"signature", nil, func(r *run) Artefact { return Artefact{Data: flip(r.license(), len(r.jwt)-3)} }, "license-signature"},
		{"a disclosure of another license", nil, func(r *run) Artefact {
			return Artefact{Data: []byte(r.license() + sm.B64([]byte(`["c2FsdA","x","y"]`)) + "~")}
		}, "disclosures"},
		{"a disclosure twice", nil, func(r *run) Artefact {
			_, d, _ := strings.Cut(r.license(), "~")
			return Artefact{Data: []byte(r.license() + d)}
		}, "disclosures"},
		{"another body's key", issue(company, pki.License, now.Add(-year), now.Add(year)), licenseOf, "issuer-authority"},
		{"a key for calls", issue(department, pki.Call, now.Add(-year), now.Add(year)), licenseOf, "key-usage"},
		{"expired", issue(department, pki.License, now.Add(-2*year), now.Add(-time.Second)), licenseOf, "validity"},
		{"not yet valid", issue(department, pki.License, now.Add(time.Hour), now.Add(year)), licenseOf, "validity"},
		{"certificate expired", late(30 * year), licenseOf, "chain-now"},
		{"anchor unknown", func(r *run) {
			other := certstest.New(r.tb, "other")
			r.city.trust.Anchors = []*pki.Certificate{other.Root.Certificate()}
			r.trust = r.newTrust()
		}, licenseOf, "chain-now"},
		{"inside an answer: validity", issue(department, pki.License, now.Add(-2*year), now.Add(-time.Second)), answerOf, "license[0]/validity"},
		{"answer changed", nil, func(r *run) Artefact {
			return Artefact{Data: bytes.Replace(r.answer, []byte(`"version":1`), []byte(`"version":2`), 1)}
		}, "answer-digest"},
		{"audience", func(r *run) { r.city.trust.Gateway = "other"; r.trust = r.newTrust() }, callOf, "call-audience"},
		{"caller unknown", func(r *run) { r.city.trust.Callers = nil; r.trust = r.newTrust() }, callOf, "call-signature"},
		{"call signature", nil, func(r *run) Artefact { return Artefact{Data: flip(r.request, len(r.request)-3)} }, "call-signature"},
		{"checkpoint of another log", func(r *run) {
			r.city.trust.Logs[0].Origin, r.city.trust.Logs[0].Ed25519 = "other.example/log", ""
			r.trust = r.newTrust()
		}, func(r *run) Artefact { return Artefact{Data: r.checkpoint()} }, "log-known"},
		{"checkpoint changed", nil, func(r *run) Artefact {
			return Artefact{Data: bytes.Replace(r.checkpoint(), []byte("\nsm3-root "), []byte("\nsm3-root A"), 1)}
		}, "log-known"},
		{"log key unknown", nil, func(r *run) Artefact {
			point, _ := sm.MarshalPEM(r.world.Signer("other").Public())
			return Artefact{Data: point}
		}, "key-in-trust"},
		{"nothing known", nil, func(*run) Artefact { return Artefact{Data: []byte("hello")} }, "recognised"},
		{"nothing", nil, func(*run) Artefact { return Artefact{} }, "recognised"},
		{"too large", nil, func(*run) Artefact { return Artefact{Data: make([]byte, MaxArtefact+1)} }, "recognised"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRun(t)
			if tt.spoil != nil {
				tt.spoil(r)
			}
			v := r.trust.Verify(tt.what(r))[0]
			if !errors.Is(v.Err(), ErrUnproven) || !has(v.Steps, tt.step, license.Failed) {
				t.Errorf("%s: %v; steps %+v", v.Kind, v.Err(), v.Steps)
			}
		})
	}
}

func licenseOf(r *run) Artefact { return Artefact{Data: []byte(r.license())} }
func answerOf(r *run) Artefact  { return Artefact{Data: r.answer} }
func callOf(r *run) Artefact    { return Artefact{Data: []byte(r.request)} }

// flip changes one base64url character in the middle of a text.
func flip(text string, at int) []byte {
	b := []byte(text)
	at -= 8 // not the last ones, whose low bits mean nothing
	if b[at] == 'A' {
		b[at] = 'B'
	} else {
		b[at] = 'A'
	}
	return b
}

func TestVerifyTogether(t *testing.T) {
	r := newRun(t)
	t.Run("revoked", func(t *testing.T) {
		for status, word := range map[int]string{1: "revoked", 2: "suspended", 3: "superseded"} {
			got := r.trust.Verify(licenseOf(r), Artefact{Data: []byte(r.statusList(status))})
			if !has(got[0].Steps, "status", license.Failed) || !strings.Contains(fmt.Sprint(got[0].Steps), word) || got[1].Err() != nil {
				t.Errorf("%+v", got)
			}
		}
	})
	t.Run("a status list of nobody's", func(t *testing.T) {
		got := r.trust.Verify(licenseOf(r), Artefact{Data: []byte(r.statusListOf(certstest.New(t, "other"), 0))})
		if !has(got[0].Steps, "status", license.NotCheckable) || !has(got[1].Steps, "status-list-signature", license.Failed) {
			t.Errorf("%+v", got)
		}
	})
	t.Run("a body changed by a byte", func(t *testing.T) {
		got := r.trust.Verify(callOf(r), Artefact{Data: append(bytes.Clone(r.body), ' ')})
		if !has(got[0].Steps, "call-body", license.Failed) || !has(got[1].Steps, "body-of-call", license.Failed) {
			t.Errorf("%+v", got)
		}
	})
	t.Run("a body that is no JSON", func(t *testing.T) {
		body := []byte("not JSON")
		call, err := token.Sign(t.Context(), r.caller, token.Claims{Issuer: system, Audience: audience, Method: "POST", URL: "https://x",
			Body: token.BodyDigest(body), Operator: "o", Request: "r"}, certstest.Epoch)
		r.must(err)
		got := r.trust.Verify(Artefact{Data: []byte(call)}, Artefact{Data: body})
		if got[0].Err() != nil || got[1].Kind != Body || got[1].Err() != nil {
			t.Errorf("%+v", got)
		}
	})
	t.Run("a disclosure that the receipt does not show", func(t *testing.T) {
		more := sdjwt.Present(r.jwt, r.all) // the capital was never released
		got := r.trust.Verify(Artefact{Data: []byte(more)}, answerOf(r))
		if got[0].Err() != nil || !has(got[0].Steps, "presentation-right", license.NotCheckable) {
			t.Errorf("%+v", got[0])
		}
	})
}

// A certificate that has expired since does not undo what the record shows.
func TestVerifyYearsLater(t *testing.T) {
	r := newRun(t)
	r.city.trust.Now = func() time.Time { return certstest.Epoch.AddDate(30, 0, 0) }
	r.trust = r.newTrust()
	v := r.trust.Verify(answerOf(r))[0]
	if v.Err() != nil || !has(v.Steps, "license[0]/chain-at-signing", license.OK) || !has(v.Steps, "license[0]/chain-now", license.NotCheckable) {
		t.Errorf("%v: %+v", v.Err(), v.Steps)
	}
}

func TestDelegate(t *testing.T) {
	r := newRun(t)
	r.issue(company, pki.License, certstest.Epoch.AddDate(-1, 0, 0), certstest.Epoch.AddDate(1, 0, 0))
	r.city.trust.Delegations = []Delegation{{"business-license", department, company}}
	r.trust = r.newTrust()
	if v := r.trust.Verify(licenseOf(r))[0]; v.Err() != nil {
		t.Error(v.Err())
	}
	r.city.trust.Delegations = []Delegation{{"other-license", department, company}}
	r.trust = r.newTrust()
	if v := r.trust.Verify(licenseOf(r))[0]; !has(v.Steps, "issuer-authority", license.Failed) {
		t.Errorf("%+v", v.Steps)
	}
}

// An answer whose licenses or uses are not those of its record fails, though every signature holds.
func TestUsesMatchTheRecord(t *testing.T) {
	r := newRun(t)
	d := r.trust.gather(nil).readAnswered(r.answer)
	var a contents
	r.must(json.Unmarshal(d.answer, &a))
	if err := a.uses(d.record); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*contents){
		"a field more":      func(a *contents) { a.Licenses[0].Fields = api.Fields{"capital": "1"} },
		"another type":      func(a *contents) { a.Licenses[0].LicenseType = "id-card" },
		"another source":    func(a *contents) { a.Licenses[0].Source = "x" },
		"another freshness": func(a *contents) { a.Licenses[0].Freshness = api.FreshnessStale },
		"a material more":   func(a *contents) { a.Materials = []api.CheckedMaterial{{Matter: "food", Material: "m1", State: "met"}} },
	} {
		var b contents
		r.must(json.Unmarshal(d.answer, &b))
		spoil(&b)
		if b.uses(d.record) == nil {
			t.Errorf("%s matches", name)
		}
	}
	a.Licenses[0].Fields["name"] = "another"
	if has(a.all()[0].steps(), "fields-as-disclosed", license.OK) {
		t.Error("a field with another value is as disclosed")
	}
}

func TestVerifyCheck(t *testing.T) {
	c := newCity(t)
	answer, err := c.newClient(c.newTrust()).Check(t.Context(), "SP-1", api.CheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if v := c.newTrust().Verify(Artefact{Data: answer.Raw})[0]; v.Err() != nil || !has(v.Steps, "license[0]/presentation-right", license.OK) {
		t.Errorf("%v: %+v", v.Err(), v.Steps)
	}
}

func TestVerifyProblem(t *testing.T) {
	c := newCity(t)
	c.refuse = []string{"case-not-usable"}
	var raw []byte
	c.spoil = func(b []byte) []byte { raw = b; return b }
	if _, err := c.newClient(c.newTrust()).Query(t.Context(), question); !errors.Is(err, api.NewProblem("case-not-usable")) {
		t.Fatal(err)
	}
	if v := c.newTrust().Verify(Artefact{Data: raw})[0]; v.Kind != Refusal || v.Err() != nil {
		t.Errorf("%s: %v", v.Kind, v.Err())
	}
}

func TestVerifyRequest(t *testing.T) {
	r := newRun(t)
	var e api.Answered[map[string]any]
	r.must(json.Unmarshal(r.answer, &e))
	var parts api.Envelope
	r.must(json.Unmarshal(r.answer, &parts))
	for _, tt := range []struct {
		name string
		q    api.VerifyRequest
		kind Kind
	}{
		{"a license", api.VerifyRequest{License: r.license()}, License},
		{"an answer", api.VerifyRequest{Answer: parts.Answer, Receipt: e.Receipt}, Answer},
		{"a receipt", api.VerifyRequest{Receipt: e.Receipt}, Receipt},
		{"nothing", api.VerifyRequest{}, ""},
		{"an answer alone", api.VerifyRequest{Answer: parts.Answer}, ""},
		{"too much", api.VerifyRequest{License: r.license(), Receipt: e.Receipt}, ""},
		{"a license as a document", api.VerifyRequest{Document: base64.RawURLEncoding.EncodeToString([]byte(r.license()))}, License},
		{"no base64url", api.VerifyRequest{Document: "a+b="}, ""},
		{"no base64url beside", api.VerifyRequest{Document: "aaaa", Beside: []string{"="}}, ""},
		{"a license with something beside", api.VerifyRequest{License: r.license(), Beside: []string{"aaaa"}}, ""},
		{"a license and a document", api.VerifyRequest{License: r.license(), Document: "aaaa"}, ""},
	} {
		a, err := r.trust.VerifyRequest(t.Context(), tt.q)
		if a.Kind != string(tt.kind) || (err == nil) != (tt.kind != "") || slices.ContainsFunc(a.Steps, func(s api.Step) bool { return s.State == api.StepStateFailed }) {
			t.Errorf("%s: %+v, %v", tt.name, a, err)
		}
	}
}

// Whatever single byte is changed in whatever artefact, the change is noticed: a step fails, or, where the line of a second
// signature is not that key's any more, one that held is not checkable.
func TestAnyByte(t *testing.T) {
	r := newRun(t)
	for _, a := range []Artefact{{"license", []byte(r.license())}, {"answer", r.answer}, {"checkpoint", r.checkpoint()}} {
		before := fmt.Sprint(r.trust.Verify(a)[0].Steps)
		rapid.Check(t, func(rt *rapid.T) {
			b := bytes.Clone(a.Data)
			at := rapid.IntRange(0, len(b)-1).Draw(rt, "at")
			b[at] ^= byte(rapid.IntRange(1, 127).Draw(rt, "xor"))
			if v := r.trust.Verify(Artefact{a.Name, b})[0]; fmt.Sprint(v.Steps) == before && !sameMeaning(a.Data, b) {
				rt.Fatalf("%s with byte %d changed holds: %+v", a.Name, at, v)
			}
		})
	}
}

// sameMeaning reports whether two texts are the same but for the space around them.
func sameMeaning(a, b []byte) bool { return bytes.Equal(bytes.TrimSpace(a), bytes.TrimSpace(b)) }

func TestLoadTrust(t *testing.T) {
	r := newRun(t)
	dir := r.trustDir()
	config, err := ReadTrust(filepath.Join(dir, "trust.json"))
	if err != nil {
		t.Fatal(err)
	}
	config.Now = r.city.trust.Now
	trust, err := NewTrust(config)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range trust.Verify(r.artefacts()...) {
		if v.Err() != nil {
			t.Errorf("%s: %v", v.Name, v.Err())
		}
	}
	if _, err := LoadTrust(filepath.Join(dir, "trust.json")); err != nil {
		t.Error(err)
	}
}

func TestLoadTrustFaults(t *testing.T) {
	r := newRun(t)
	dir := r.trustDir()
	file := filepath.Join(dir, "trust.json")
	if _, err := LoadTrust(filepath.Join(dir, "absent.json")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	for _, tt := range []struct {
		name, text string
		paths      []string
	}{
		{"all at once", `{"logs":[{"origin":"a b","sm2":"log.sm2.pub.pem"},{"origin":"x","sm2":"absent.pem","ed25519":"ca.cert.pem"}],
			"anchors":["log.sm2.pub.pem"],"callers":[{"iss":"","kid":"k","key":"call.pub.pem"}],
			"delegations":[{"type":"t","issuer":"1","delegate":"2"}],"witnesses":["nowhere"]}`,
			[]string{"$.logs[1].sm2", "$.logs[1].ed25519", "$.anchors[0]", "$.witnesses[0]", "$.logs[0]", "$.callers[0]", "$.delegations[0]"}},
		{"an unknown key", "{\n \"logs\": [],\n \"anchor\": []}", []string{"$.anchor"}},
		{"a key twice", `{"logs":[],"logs":[]}`, []string{"$.logs"}},
		{"another type", `{"logs":[{"origin":7}]}`, []string{"$.logs[0].origin"}},
		{"no JSON", `logs:`, []string{"$"}},
		{"an origin twice", `{"logs":[{"origin":"x","sm2":"log.sm2.pub.pem"},{"origin":"x","sm2":"log.sm2.pub.pem"}],"anchors":[]}`, []string{"$.logs[1]"}},
		{"a vkey of another log", `{"logs":[{"origin":"x","sm2":"log.sm2.pub.pem","ed25519":"log.ed25519.pub"}],"anchors":[]}`, []string{"$.logs[0]"}},
		{"a fingerprint that is none", `{"logs":[],"anchors":[],"certificates":[{"fingerprint":"x","uscc":"u","usage":"license"}]}`, []string{"$.certificates[0]"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r.must(os.WriteFile(file, []byte(tt.text), 0o600))
			_, err := LoadTrust(file)
			var faults Faults
			if !errors.As(err, &faults) {
				t.Fatalf("%v", err)
			}
			var paths []string
			for _, f := range faults {
				paths = append(paths, f.Path)
			}
			if fmt.Sprint(paths) != fmt.Sprint(tt.paths) {
				t.Errorf("%v, want %v: %v", paths, tt.paths, err)
			}
		})
	}
}

func FuzzVerify(f *testing.F) {
	r := newRun(f)
	for _, a := range r.artefacts() {
		f.Add(a.Data, []byte(r.request))
		f.Add(a.Data, r.answer)
	}
	f.Add([]byte(`{"answer":{},"receipt":{}}`), []byte("a.b.c~"))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		for _, v := range r.trust.Verify(Artefact{"a", a}, Artefact{"b", b}) {
			if len(v.Steps) == 0 || v.Kind == "" {
				t.Fatalf("%+v", v)
			}
			for _, s := range v.Steps {
				if s.Name == "" || s.State == "" || s.State != license.OK && s.Reason == "" {
					t.Fatalf("%+v", s)
				}
			}
		}
	})
}

func FuzzTrustFile(f *testing.F) {
	f.Add([]byte(`{"logs":[{"origin":"x","sm2":"a"}],"anchors":[],"callers":[],"delegations":[],"witnesses":[]}`))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		file := filepath.Join(dir, "trust.json")
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		trust, err := LoadTrust(file)
		if err == nil {
			trust.Verify(Artefact{Data: data})
		}
	})
}

func BenchmarkVerifyAnswer(b *testing.B) {
	r := newRun(b)
	for b.Loop() {
		if err := r.trust.Verify(Artefact{Data: r.answer})[0].Err(); err != nil {
			b.Fatal(err)
		}
	}
}

// A license whose key was revoked before it signed does not hold; one of a key that was revoked later holds where a receipt
// proves when it was released.
func TestLicenseRevocation(t *testing.T) {
	r := newRun(t)
	list := func(revoked ...pki.Revoked) Artefact {
		own, err := r.world.Intermediate.RevocationList(t.Context(), big.NewInt(2), time.Hour, revoked)
		r.must(err)
		above, err := r.world.Root.RevocationList(t.Context(), big.NewInt(1), time.Hour, nil)
		r.must(err)
		return Artefact{"lists.pem", append(pki.MarshalCRL(own), pki.MarshalCRL(above)...)}
	}
	at := func(d time.Duration) Artefact {
		return list(pki.Revoked{Serial: r.chain[0].SerialNumber, Time: certstest.Epoch.Add(d), Reason: pki.KeyCompromise})
	}
	alone, answer := Artefact{"license", []byte(r.license())}, Artefact{"answer", r.answer}
	for _, x := range []struct {
		name          string
		list          Artefact
		alone, answer license.StepState
	}{
		{"not revoked", list(), license.OK, license.OK},
		{"before", at(-time.Minute), license.Failed, license.Failed},
		{"after", at(time.Minute), license.NotCheckable, license.OK},
	} {
		if s := stepNamed(r.trust.Verify(alone, x.list)[0].Steps, "key-revocation"); s.State != x.alone {
			t.Errorf("%s, the license alone: %+v", x.name, s)
		}
		if s := stepNamed(r.trust.Verify(answer, x.list)[0].Steps, "license[0]/key-revocation"); s.State != x.answer {
			t.Errorf("%s, in its answer: %+v", x.name, s)
		}
	}
}

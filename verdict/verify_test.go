package verdict

import (
	"bytes"
	"crypto/ed25519"
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
	"github.com/go-json-experiment/json/jsontext"
	"pgregory.net/rapid"

	"oncegate/api"
	"oncegate/canonical"
	"oncegate/certs/certstest"
	lognote "oncegate/certs/note"
	"oncegate/certs/pki"
	"oncegate/certs/sdjwt"
	"oncegate/certs/sm"
	"oncegate/certs/token"
	"oncegate/check"
	"oncegate/tlog"
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
	r.request, r.answer = r.ask("licenses.query", r.body)
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

// Everything that one run leaves behind is proven, one against the other, with nothing left unchecked but the witness and what
// no license says; what is there for something else has no verdict.
func TestVerifyRun(t *testing.T) {
	r := newRun(t)
	kinds := []Kind{License, Answer, Receipt, Checkpoint, Call, Body, Certificate, Certificate, Key, Key, StatusList}
	for i, v := range r.trust.Verify(r.artefacts()...) {
		if v.Kind != kinds[i] || v.Err() != nil || len(v.Steps) == 0 || v.Supports != (v.Verdict == "") {
			t.Errorf("%s is %s: %v", v.Name, v.Kind, v.Err())
		}
		if supports := i >= 4; v.Supports != supports || !supports && v.Verdict != api.VerdictProven {
			t.Errorf("%s is %q and supports: %v", v.Name, v.Verdict, v.Supports)
		}
		for _, s := range v.Steps {
			open := s.Name == "witness" || s.Name == stepOperatorProof || v.Kind == License && s.Name == "chain-at-signing"
			if s.State != check.OK && !open {
				t.Errorf("%s: %s is %s: %s", v.Name, s.Name, s.State, s.Reason)
			}
			if s.State != check.OK && s.Reason == "" {
				t.Errorf("%s: %s gives no reason", v.Name, s.Name)
			}
		}
	}
}

// Alone, an artefact leaves open what only others show; what its kind does not need leaves it proven.
func TestVerifyAlone(t *testing.T) {
	r := newRun(t)
	open := map[string][]string{
		"license.sdjwt": {"chain-at-signing", "status", "presentation-right"},
		"answer.json":   {"token-digest", "witness", "record-operator-proof", "record-about-operator", "use[0]/record-about-holder", "license[0]/status"},
		"receipt.json":  {"answer-digest", "token-digest", "witness", "record-operator-proof"},
		"checkpoint":    {"witness"},
		"request.jwt":   {"call-body", "call-recorded"},
		"request.body":  {"body-of-call"},
	}
	for _, a := range r.artefacts() {
		v := r.trust.Verify(a)[0]
		if want := map[bool]api.Verdict{true: api.VerdictNotProven, false: api.VerdictProven}[a.Name == "request.body"]; v.Verdict != want {
			t.Errorf("%s is %s: %v", a.Name, v.Verdict, v.Err())
		}
		var names []string
		for _, s := range v.Steps {
			if s.State == check.NotCheckable {
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
			if !errors.Is(v.Err(), ErrUnproven) || !has(v.Steps, tt.step, check.Failed) {
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
			if !has(got[0].Steps, "status", check.Failed) || !strings.Contains(fmt.Sprint(got[0].Steps), word) || got[1].Err() != nil {
				t.Errorf("%+v", got)
			}
		}
	})
	t.Run("a status list of nobody's", func(t *testing.T) {
		got := r.trust.Verify(licenseOf(r), Artefact{Data: []byte(r.statusListOf(certstest.New(t, "other"), 0))})
		if !has(got[0].Steps, "status", check.NotCheckable) || !has(got[1].Steps, "status-list-signature", check.Failed) {
			t.Errorf("%+v", got)
		}
	})
	t.Run("a body changed by a byte", func(t *testing.T) {
		got := r.trust.Verify(callOf(r), Artefact{Data: append(bytes.Clone(r.body), ' ')})
		if !has(got[0].Steps, "call-body", check.Failed) || !has(got[1].Steps, "body-of-call", check.Failed) {
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
		if got[0].Err() != nil || !has(got[0].Steps, "presentation-right", check.NotCheckable) {
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
	if v.Err() != nil || !has(v.Steps, "license[0]/chain-at-signing", check.OK) || !has(v.Steps, "license[0]/chain-now", check.NotCheckable) {
		t.Errorf("%v: %+v", v.Err(), v.Steps)
	}
}

// A license whose certificate has expired since is not refuted, and not proven, where nothing shows that it was signed before.
func TestExpiredCertificate(t *testing.T) {
	for name, issued := range map[string]int64{"signing time unstated": 0, "signing time claimed": certstest.Epoch.Unix()} {
		r := newRun(t)
		r.city.trust.Now = func() time.Time { return certstest.Epoch.AddDate(5, 0, 0) }
		r.issueAt(issued, department, pki.License, certstest.Epoch.AddDate(-1, 0, 0), certstest.Epoch.AddDate(30, 0, 0))
		r.trust = r.newTrust()
		v := r.trust.Verify(licenseOf(r))[0]
		if v.Verdict != api.VerdictNotProven || !has(v.Steps, "chain-now", check.NotCheckable) || !has(v.Steps, "chain-at-signing", check.NotCheckable) {
			t.Errorf("%s: %v: %+v", name, v.Err(), v.Steps)
		}
	}
}

func TestDelegate(t *testing.T) {
	r := newRun(t)
	r.issue(company, pki.License, certstest.Epoch.AddDate(-1, 0, 0), certstest.Epoch.AddDate(1, 0, 0))
	r.city.trust.Delegations = []Delegation{{"business-license", department + "001", department, company}}
	r.trust = r.newTrust()
	if v := r.trust.Verify(licenseOf(r))[0]; v.Err() != nil {
		t.Error(v.Err())
	}
	r.city.trust.Delegations = []Delegation{{"other-license", department + "001", department, company}}
	r.trust = r.newTrust()
	if v := r.trust.Verify(licenseOf(r))[0]; !has(v.Steps, "issuer-authority", check.Failed) {
		t.Errorf("%+v", v.Steps)
	}
}

// An answer whose licenses or uses are not those of its record fails, though every signature holds.
func TestUsesMatchTheRecord(t *testing.T) {
	r := newRun(t)
	d := r.trust.gather(t.Context(), nil, false).readAnswered(r.answer)
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
	if has(a.all()[0].steps(), "fields-as-disclosed", check.OK) {
		t.Error("a field with another value is as disclosed")
	}
}

func TestVerifyCheck(t *testing.T) {
	c := newCity(t)
	_, answer := c.ask("cases.check", []byte("{}"))
	if v := c.newTrust().Verify(Artefact{Data: answer})[0]; v.Err() != nil || !has(v.Steps, "license[0]/presentation-right", check.OK) {
		t.Errorf("%v: %+v", v.Err(), v.Steps)
	}
}

func TestVerifyProblem(t *testing.T) {
	c := newCity(t)
	c.refuse = []string{"case-not-usable"}
	_, raw := c.ask("licenses.query", []byte("{}"))
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

// Whatever single bit is changed in whatever artefact, it is not proven any more: a step fails, or one that proof needs cannot be
// taken.
func TestAnyBit(t *testing.T) {
	r := newRun(t)
	bundle := pki.MarshalPEM(append([]*pki.Certificate{r.world.Root.Certificate()}, r.world.Intermediate.Chain()...)...)
	for _, a := range append(r.artefacts(), Artefact{"authorities.pem", bundle}) {
		if v := r.trust.Verify(a)[0]; v.Verdict != api.VerdictProven && a.Name != "request.body" {
			t.Errorf("%s unchanged is %s", a.Name, v.Verdict)
		}
		rapid.Check(t, func(rt *rapid.T) {
			b := bytes.Clone(a.Data)
			at := rapid.IntRange(0, len(b)-1).Draw(rt, "at")
			b[at] ^= 1 << rapid.IntRange(0, 7).Draw(rt, "bit")
			if v := r.trust.Verify(Artefact{a.Name, b})[0]; v.Verdict == api.VerdictProven && !sameMeaning(a.Data, b) {
				rt.Fatalf("%s with byte %d changed is proven: %+v", a.Name, at, v)
			}
		})
	}
}

// sameMeaning reports whether two artefacts are the same but for space and the spelling of their JSON.
func sameMeaning(a, b []byte) bool {
	if x, err := canonical.Marshal(jsontext.Value(a)); err == nil {
		y, err := canonical.Marshal(jsontext.Value(b))
		return err == nil && bytes.Equal(x, y)
	}
	return bytes.Equal(bytes.TrimSpace(a), bytes.TrimSpace(b))
}

// What is not whole proves nothing: no beginning of an artefact is proven.
func TestTruncated(t *testing.T) {
	r := newRun(t)
	for _, a := range r.artefacts() {
		rapid.Check(t, func(rt *rapid.T) {
			n := rapid.IntRange(0, len(bytes.TrimSpace(a.Data))-1).Draw(rt, "length")
			v := r.trust.Verify(Artefact{a.Name, a.Data[:n]})[0]
			// With fewer disclosures, or with none and without the ~ behind it, it is a license all the same.
			whole := a.Name == "license.sdjwt" && n > 0 && (a.Data[n-1] == '~' || n == bytes.IndexByte(a.Data, '~'))
			if v.Verdict == api.VerdictProven && !whole {
				rt.Fatalf("the first %d bytes of %s are proven: %+v", n, a.Name, v)
			}
		})
	}
}

// Each of these said "holds" once.
func TestNothingUncheckedIsProven(t *testing.T) {
	r := newRun(t)
	var e api.Envelope
	r.must(json.Unmarshal(r.answer, &e))
	other := certstest.New(t, "other").Root.Certificate()
	damaged := append(bytes.Replace(pki.MarshalPEM(other), []byte("MII"), []byte("M I"), 1), pki.MarshalPEM(r.world.Root.Certificate())...)
	c, err := tlog.ParseCheckpoint(string(r.checkpoint()))
	r.must(err)
	sm2Only := Artefact{"checkpoint", []byte(c.Text() + "\n" + strings.SplitAfter(string(r.checkpoint()), "\n")[5])}
	r.city.trust.Evidence = nil
	unasked := r.newTrust()
	for _, x := range []struct {
		name  string
		trust *Trust
		files []Artefact
		want  api.Verdict
		lacks string
	}{
		{"a picture", r.trust, []Artefact{{"a.png", []byte("\x89PNG\r\n\x1a\n")}}, api.VerdictNotProven, "picture-released"},
		{"a PDF", r.trust, []Artefact{{"a.pdf", []byte("%PDF-1.7\n")}}, api.VerdictNotProven, "picture-released"},
		{"an SVG beside an answer that released none", r.trust, []Artefact{{"a.svg", []byte("<svg ></svg>")}, {"answer", r.answer}}, api.VerdictNotProven, "picture-released"},
		{"an answer without its receipt", r.trust, []Artefact{{"answer", []byte(`{"answer":` + string(e.Answer) + `}`)}}, api.VerdictNotProven, "document"},
		{"an answer that was cut off", r.trust, []Artefact{{"answer", r.answer[:len(r.answer)/2]}}, api.VerdictRefuted, ""},
		{"a body without its call", r.trust, []Artefact{{"body", r.body}}, api.VerdictNotProven, "body-of-call"},
		{"a damaged PEM block before a good one", r.trust, []Artefact{{"ca.pem", damaged}}, api.VerdictRefuted, ""},
		{"a checkpoint without the Ed25519 line", r.trust, []Artefact{sm2Only}, api.VerdictNotProven, "checkpoint-ed25519-signature"},
		{"a license of whose key nobody was asked", unasked, []Artefact{licenseOf(r)}, api.VerdictNotProven, "key-revocation"},
		{"an answer with such a license", unasked, []Artefact{answerOf(r)}, api.VerdictNotProven, "license[0]/key-revocation"},
	} {
		v := x.trust.Verify(x.files...)[0]
		if v.Verdict != x.want || v.Err() == nil || v.Supports || x.lacks != "" && (len(v.Lacks) == 0 || v.Lacks[0] != x.lacks) || errors.Is(v.Err(), ErrRefuted) != (x.want == api.VerdictRefuted) {
			t.Errorf("%s is %s, lacks %v: %v", x.name, v.Verdict, v.Lacks, v.Err())
		}
	}
}

// Of several artefacts the worst counts, whatever the order; files that support others do not.
func TestWorst(t *testing.T) {
	r := newRun(t)
	good, open, bad := Artefact{"good", r.answer}, Artefact{"open", []byte("%PDF-1.7")}, Artefact{"bad", flip(r.license(), len(r.jwt)-3)}
	key := Artefact{"key", []byte(r.vkey)}
	for _, x := range []struct {
		files []Artefact
		want  api.Verdict
	}{
		{[]Artefact{good}, api.VerdictProven}, {[]Artefact{key}, api.VerdictProven}, {[]Artefact{good, key}, api.VerdictProven},
		{[]Artefact{good, open}, api.VerdictNotProven}, {[]Artefact{open, good, key}, api.VerdictNotProven},
		{[]Artefact{bad, open, good}, api.VerdictRefuted}, {[]Artefact{good, open, bad}, api.VerdictRefuted}, {nil, api.VerdictNotProven},
	} {
		if got := Worst(r.trust.Verify(x.files...)); got != x.want {
			t.Errorf("%v: %s, want %s", x.files, got, x.want)
		}
	}
}

// What the trust requires beside authenticity is needed for proven, and nothing else is.
func TestRequirements(t *testing.T) {
	r := newRun(t)
	list := Artefact{"list", []byte(r.statusList(0))}
	for _, x := range []struct {
		require Requirement
		files   []Artefact
		lacks   string
	}{
		{Requirement{}, []Artefact{licenseOf(r)}, ""},
		{Requirement{InForce: true}, []Artefact{licenseOf(r)}, "status"},
		{Requirement{InForce: true}, []Artefact{licenseOf(r), list}, ""},
		{Requirement{InForce: true}, []Artefact{{Data: r.checkpoint()}}, ""},
		{Requirement{Presenter: true}, []Artefact{licenseOf(r), list}, "presentation-right"},
		{Requirement{Presenter: true}, []Artefact{licenseOf(r), answerOf(r)}, ""},
		{Requirement{Witnesses: 1}, []Artefact{answerOf(r)}, "witness"},
		{Requirement{Witnesses: 1}, []Artefact{licenseOf(r)}, ""},
	} {
		c := r.city.trust
		c.Witnesses, c.Require = []string{r.vkey}, x.require
		if x.lacks == "witness" {
			other, err := lognote.MarshalVKey("witness.example", r.world.Ed25519("witness").Public().(ed25519.PublicKey))
			r.must(err)
			c.Witnesses = []string{other}
		}
		trust, err := NewTrust(c)
		r.must(err)
		if v := trust.Verify(x.files...)[0]; strings.Join(v.Lacks, " ") != x.lacks || (v.Verdict == api.VerdictProven) != (x.lacks == "") {
			t.Errorf("%+v: %s, lacks %v, want %q", x.require, v.Verdict, v.Lacks, x.lacks)
		}
	}
}

// Two histories that a log's own keys signed are one refutation, which names both, however they come: as checkpoints, receipts or
// answers.
func TestForkIsRefuted(t *testing.T) {
	a, b := newRun(t), newRun(t) // of one origin and one key: the same seed
	b.again()
	if bytes.Equal(a.receipt(), b.receipt()) {
		t.Fatal("both logs are the same")
	}
	c := newRun(t)
	for name, files := range map[string][2]Artefact{
		"answers":             {{"a.json", a.answer}, {"b.json", b.answer}},
		"checkpoints":         {{"a.checkpoint", a.checkpoint()}, {"c.checkpoint", c.checkpoint()}},
		"receipt and answer":  {{"a.receipt", a.receipt()}, {"b.json", b.answer}},
		"answer and receipts": {{"a.json", a.answer}, {"b.receipt", b.receipt()}},
	} {
		for i, v := range a.trust.Verify(files[0], files[1]) {
			s := stepNamed(v.Steps, "one-history")
			if v.Verdict != api.VerdictRefuted || s.State != check.Failed || !strings.Contains(s.Reason, "fork") || !strings.Contains(s.Reason, files[1-i].Name) || !strings.Contains(s.Reason, files[i].Name) {
				t.Errorf("%s: %s is %s: %+v", name, v.Name, v.Verdict, s)
			}
		}
	}
	for _, v := range a.trust.Verify(Artefact{"a.json", a.answer}, Artefact{"a.receipt", a.receipt()}, Artefact{"a.checkpoint", a.checkpoint()}) {
		if s := stepNamed(v.Steps, "one-history"); v.Verdict != api.VerdictProven || s.State != check.OK {
			t.Errorf("%s is %s: %+v", v.Name, v.Verdict, s)
		}
	}
}

// Checkpoints of different sizes are of one history only where a proof says so: an answer may show that the log begins with a shorter
// one, or with another than was filed. Where nothing shows either, no step says ok.
func TestHistoriesOfOtherSizes(t *testing.T) {
	a, b := newRun(t).again().again(), newRun(t).again().again()
	filed, other := Artefact{"a.checkpoint", a.checkpoint()}, Artefact{"b.checkpoint", b.checkpoint()} // of size 3
	a.again()
	longer, answer := Artefact{"longer.checkpoint", a.checkpoint()}, Artefact{"answer.json", a.answer} // entry 3 under size 4
	for name, x := range map[string]struct {
		files []Artefact
		state check.State
	}{
		"no proof":                {[]Artefact{filed, longer}, check.NotCheckable},
		"no proof of a fork":      {[]Artefact{other, longer}, check.NotCheckable},
		"a proof":                 {[]Artefact{filed, answer}, check.OK},
		"a proof beside them":     {[]Artefact{longer, filed, answer}, check.OK},
		"a proof of a fork":       {[]Artefact{other, answer}, check.Failed},
		"a proof of a fork first": {[]Artefact{answer, other}, check.Failed},
	} {
		for _, v := range a.trust.Verify(x.files...) {
			s, want := stepNamed(v.Steps, "one-history"), api.VerdictProven
			if x.state == check.Failed {
				want = api.VerdictRefuted
			}
			if v.Verdict != want || s.State != x.state {
				t.Errorf("%s: %s is %s: %+v", name, v.Name, v.Verdict, s)
			}
		}
	}
	// A file of each of two logs is compared with nothing.
	if v := a.trust.Verify(filed); stepNamed(v[0].Steps, "one-history").Name != "" {
		t.Errorf("one file: %+v", v[0].Steps)
	}
}

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
		{"who may for what", `{"logs":[],"anchors":["ca.cert.pem"],"issues":[{"type":"t","type_code":"1","issuers":[]}],"witnesses":["a+01020304+BAAA"],
			"delegations":[{"type":"t","type_code":"1","issuer":"` + department + `","delegate":"` + company + `"}],
			"status_lists":[{"uri_prefix":"https://x.example","uscc":"` + department + `","not_after":"soon"},{"uri_prefix":"x","uscc":"` + department + `"}],
			"usages":[{"anchor":"0","from":"ou"},{"anchor":"0","from":"ou"}]}`,
			[]string{"$.status_lists[0].not_after", "$.usages[1]", "$.witnesses[0]", "$.delegations[0]", "$.issues[0]", "$.status_lists[1]"}},
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
				if s.Name == "" || s.State == "" || s.State != check.OK && s.Reason == "" {
					t.Fatalf("%+v", s)
				}
			}
		}
	})
}

func FuzzTrustFile(f *testing.F) {
	f.Add([]byte(`{"logs":[{"origin":"x","sm2":"a"}],"anchors":[],"callers":[],"delegations":[],"witnesses":[]}`))
	f.Add([]byte(`{"logs":[],"anchors":[],"issues":[{"type":"t","type_code":"1","issuers":[""]}],"status_lists":[{"uri_prefix":"https://x","uscc":"1","not_after":"2026-01-01"}],"usages":[{"anchor":"","from":"eku","usages":{"1.2":"seal"}}]}`))
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
		alone, answer check.State
	}{
		{"not revoked", list(), check.OK, check.OK},
		{"before", at(-time.Minute), check.Failed, check.Failed},
		{"after", at(time.Minute), check.NotCheckable, check.OK},
	} {
		if s := stepNamed(r.trust.Verify(alone, x.list)[0].Steps, "key-revocation"); s.State != x.alone {
			t.Errorf("%s, the license alone: %+v", x.name, s)
		}
		if s := stepNamed(r.trust.Verify(answer, x.list)[0].Steps, "license[0]/key-revocation"); s.State != x.answer {
			t.Errorf("%s, in its answer: %+v", x.name, s)
		}
	}
}

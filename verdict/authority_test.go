package verdict

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"oncegate/api"
	"oncegate/certs/certstest"
	"oncegate/certs/certstest/office"
	"oncegate/certs/certstest/tsa"
	lognote "oncegate/certs/note"
	"oncegate/certs/pki"
	"oncegate/check"
	"oncegate/license"
)

// Who issues a type, and who signs for the issuer: only as the trust says for both the catalogue id and the type code.
func TestAuthority(t *testing.T) {
	const code, otherCode, third = department + "001", department + "002", "11379901MB9910748R"
	own, err := license.NewIdentifier(code, department, "A0000001", 1)
	if err != nil {
		t.Fatal(err)
	}
	issue := func(typ, code string, issuers ...string) Issue { return Issue{typ, code, issuers} }
	binding := []Issue{issue("business-license", code, department)}
	const ok, failed, open = check.OK, check.Failed, check.NotCheckable
	for _, c := range []struct {
		name        string
		issues      []Issue
		delegations []Delegation
		signer      string
		license     [2]check.State // of the type "business-license": issuer-of-type, issuer-authority
		document    [2]check.State
	}{
		{"nothing said", nil, nil, department, [2]check.State{open, ok}, [2]check.State{open, ok}},
		{"the issuer", binding, nil, department, [2]check.State{ok, ok}, [2]check.State{ok, ok}},
		{"one of two issuers", []Issue{issue("business-license", code, third), issue("business-license", code, third, department)}, nil, department, [2]check.State{ok, ok}, [2]check.State{ok, ok}},
		{"other issuers", []Issue{issue("business-license", code, third)}, nil, department, [2]check.State{failed, ok}, [2]check.State{failed, ok}},
		{"another code of the type", []Issue{issue("business-license", otherCode, department)}, nil, department, [2]check.State{failed, ok}, [2]check.State{open, ok}},
		{"another type of the code", []Issue{issue("marriage-certificate", code, department)}, nil, department, [2]check.State{failed, ok}, [2]check.State{ok, ok}},
		{"another type altogether", []Issue{issue("marriage-certificate", otherCode, department)}, nil, department, [2]check.State{open, ok}, [2]check.State{open, ok}},
		{"a stranger", binding, nil, company, [2]check.State{ok, failed}, [2]check.State{ok, failed}},

		{"a delegate", binding, []Delegation{{"business-license", code, department, company}}, company, [2]check.State{ok, ok}, [2]check.State{ok, ok}},
		{"a delegate, issues unsaid", nil, []Delegation{{"business-license", code, department, company}}, company, [2]check.State{open, ok}, [2]check.State{open, ok}},
		{"a delegate for another code", binding, []Delegation{{"business-license", otherCode, department, company}}, company, [2]check.State{ok, failed}, [2]check.State{ok, failed}},
		{"a delegate for another type", nil, []Delegation{{"marriage-certificate", code, department, company}}, company, [2]check.State{open, failed}, [2]check.State{open, ok}},
		{"a delegate of another issuer", binding, []Delegation{{"business-license", code, third, company}}, company, [2]check.State{ok, failed}, [2]check.State{ok, failed}},
		{"another delegate", binding, []Delegation{{"business-license", code, department, third}}, company, [2]check.State{ok, failed}, [2]check.State{ok, failed}},

		// Trust files of before name the type, or the code, and not both.
		{"old, by type", nil, []Delegation{{"business-license", "", department, company}}, company, [2]check.State{open, open}, [2]check.State{open, open}},
		{"old, by type, bound by issues", binding, []Delegation{{"business-license", "", department, company}}, company, [2]check.State{ok, ok}, [2]check.State{ok, ok}},
		{"old, by type, bound to another code", []Issue{issue("business-license", otherCode, department)}, []Delegation{{"business-license", "", department, company}}, company, [2]check.State{failed, failed}, [2]check.State{open, failed}},
		{"old, by another type", binding, []Delegation{{"marriage-certificate", "", department, company}}, company, [2]check.State{ok, failed}, [2]check.State{ok, open}},
		{"old, by code", nil, []Delegation{{code, "", department, company}}, company, [2]check.State{open, open}, [2]check.State{open, ok}},
		{"old, by code, bound by issues", binding, []Delegation{{code, "", department, company}}, company, [2]check.State{ok, ok}, [2]check.State{ok, ok}},
		{"old, by another code", binding, []Delegation{{otherCode, "", department, company}}, company, [2]check.State{ok, failed}, [2]check.State{ok, failed}},
	} {
		t.Run(c.name, func(t *testing.T) {
			trust, err := NewTrust(TrustConfig{Issues: c.issues, Delegations: c.delegations})
			if err != nil {
				t.Fatal(err)
			}
			s := trust.gather(t.Context(), nil, false)
			var sd, doc check.Steps
			s.authority(&sd, licenseClaims{Type: "business-license", ID: own.String()}, pki.Leaf{USCC: c.signer})
			issuerOfType(&doc, trust, "", own)
			issuerAuthority(&doc, trust, "", own, c.signer)
			for i, name := range []string{StepIssuerOfType, StepIssuerAuthority} {
				if got := stepNamed(sd, name); got.State != c.license[i] || got.Reason == "" {
					t.Errorf("license: %+v, want %s", got, c.license[i])
				}
				if got := stepNamed(doc, name); got.State != c.document[i] || got.Reason == "" {
					t.Errorf("document: %+v, want %s", got, c.document[i])
				}
			}
		})
	}
	for _, c := range []TrustConfig{
		{Issues: []Issue{issue("", code, department)}}, {Issues: []Issue{issue("t", "", department)}}, {Issues: []Issue{issue("t", code)}},
		{Issues: []Issue{issue("t", code, "1")}}, {Delegations: []Delegation{{"t", "1", department, company}}},
	} {
		if _, err := NewTrust(c); err == nil {
			t.Errorf("%+v is accepted", c)
		}
	}
}

// A body may not issue another body's type, though its certificate is for licenses: the license and the document say so.
func TestIssuerOfTypeInArtefacts(t *testing.T) {
	r := newRun(t)
	r.city.trust.Issues = []Issue{{"business-license", department + "001", []string{company}}}
	r.trust = r.newTrust()
	if v := r.trust.Verify(licenseOf(r))[0]; !has(v.Steps, StepIssuerOfType, check.Failed) || v.Err() == nil {
		t.Errorf("%+v", v.Steps)
	}
	o := office.New(t, "client", time.Now())
	pkg := Artefact{"license.ofd", o.License()}
	id, err := license.ParseIdentifier(o.Identifier(office.USCC))
	r.must(err)
	for issuer, want := range map[string]check.State{id.Issuer(): check.OK, company: check.Failed} {
		trust := trustOf(t, o, map[string]any{"issues": []any{map[string]any{"type": "t", "type_code": id.TypeCode(), "issuers": []string{issuer}}}}, nil)
		if v := trust.Verify(pkg)[0]; !has(v.Steps, StepIssuerOfType, want) || want == check.OK && v.Err() != nil {
			t.Errorf("%s: %+v", issuer, v.Steps)
		}
	}
	if v := trustOf(t, o, map[string]any{"issues": []any{}}, nil).Verify(pkg)[0]; !has(v.Steps, StepIssuerOfType, check.NotCheckable) || v.Verdict != api.VerdictNotProven {
		t.Errorf("%+v", v.Steps)
	}
}

// Right organisation and wrong usage, and right usage under a wrong anchor: for licenses, seals and time stamps the usage is
// the certificate's, and under an authority whose subscribers choose their OU it is what the rule reads.
func TestUsageOfAnchor(t *testing.T) {
	r := newRun(t)
	root := pki.Fingerprint(r.world.Root.Certificate())
	r.city.trust.Usages = map[string]pki.UsageRule{root: {From: pki.FromEKU, Usages: map[string]string{"1.2.156.99999.1": pki.License}}}
	r.trust = r.newTrust()
	got := r.trust.Verify(licenseOf(r), Artefact{Data: []byte(r.statusList(0))}, Artefact{Data: pki.MarshalPEM(r.chain...)})
	if !has(got[0].Steps, "key-usage", check.Failed) || !has(got[0].Steps, "status", check.NotCheckable) || !has(got[1].Steps, StepListSignature, check.Failed) ||
		!has(got[2].Steps, "key-usage", check.NotCheckable) {
		t.Errorf("the OU counts: %+v", got)
	}
	r.city.trust.Usages[root] = pki.UsageRule{From: pki.FromOU}
	r.trust = r.newTrust()
	if got := r.trust.Verify(licenseOf(r)); !has(got[0].Steps, "key-usage", check.OK) {
		t.Errorf("%+v", got[0])
	}
	for _, usages := range []map[string]pki.UsageRule{
		{strings.Repeat("0", 64): {From: pki.FromOU}}, // of no anchor: a slip would leave the anchor meant without a rule
		{root: {From: "eku"}},
	} {
		r.city.trust.Usages = usages
		if _, err := NewTrust(r.city.trust); err == nil {
			t.Errorf("%+v is accepted", usages)
		}
	}

	o := office.New(t, "client", time.Now())
	rule := map[string]any{"usages": []any{map[string]any{"anchor": pki.Fingerprint(o.Root.Certificate()), "from": "policy", "usages": map[string]string{"1.2.156.99999.1": "seal"}}}}
	if v := trustOf(t, o, rule, nil).Verify(Artefact{"license.ofd", o.License()})[0]; v.Err() == nil {
		t.Errorf("a seal whose maker and signer chose their OU: %+v", v.Steps)
	}
}

// Witnesses' keys are read as C2SP has them, inline and from files; what they signed and when is told. Plain Ed25519 keys
// are read as before.
func TestWitnesses(t *testing.T) {
	r := newRun(t)
	cosigner := func(name string) (vkey, line string) {
		key := r.world.Ed25519(name)
		typed := append([]byte{4}, key.Public().(ed25519.PublicKey)...)
		id := sha256.Sum256(append([]byte(name+"\n"), typed...))
		text, _, _ := strings.Cut(string(r.checkpoint()), "\n\n")
		at := certstest.Epoch.Add(time.Minute).Unix()
		signature := ed25519.Sign(key, fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s\n", at, text))
		raw := append(binary.BigEndian.AppendUint64(id[:4:4], uint64(at)), signature...)
		return fmt.Sprintf("%s+%x+%s", name, id[:4], base64.StdEncoding.EncodeToString(typed)), "— " + name + " " + base64.StdEncoding.EncodeToString(raw) + "\n"
	}
	one, lineOne := cosigner("one.example")
	two, _ := cosigner("two.example")
	cosigned := append(r.checkpoint(), lineOne...)

	dir := r.trustDir()
	file := filepath.Join(dir, "trust.json")
	text, err := os.ReadFile(file)
	r.must(err)
	r.must(os.WriteFile(filepath.Join(dir, "two.pub"), []byte(two+"\n"), 0o600))
	r.must(os.WriteFile(file, []byte(strings.Replace(string(text), `"witnesses": []`, `"witnesses": ["`+one+`", "two.pub"]`, 1)), 0o600))
	config, err := ReadTrust(file)
	r.must(err)
	config.Now = r.city.trust.Now
	trust, err := NewTrust(config)
	r.must(err)

	step := stepNamed(trust.Verify(Artefact{Data: cosigned})[0].Steps, "witness")
	if step.State != check.OK || !strings.Contains(step.Reason, "1 of 2") || !strings.Contains(step.Reason, "one.example at 2026-11-23T04:01:00Z") {
		t.Errorf("%+v", step)
	}
	list, err := trust.Cosignatures(string(cosigned))
	if err != nil || len(list) != 2 || list[0].Witness != "one.example" || list[0].State != check.OK || !list[0].Time.Equal(certstest.Epoch.Add(time.Minute)) ||
		list[1].State != check.NotCheckable {
		t.Errorf("%+v, %v", list, err)
	}
	if step := stepNamed(trust.Verify(Artefact{Data: r.checkpoint()})[0].Steps, "witness"); step.State != check.NotCheckable {
		t.Errorf("%+v", step)
	}
	forged := strings.Replace(string(cosigned), "AAAA", "AAAB", 1)
	if step := stepNamed(trust.Verify(Artefact{Data: []byte(forged)})[0].Steps, "witness"); forged == string(cosigned) || step.State != check.Failed {
		t.Errorf("%+v", step)
	}
	if v := trust.Verify(Artefact{Data: []byte(one + "\n")})[0]; v.Kind != Key || !has(v.Steps, "key-in-trust", check.OK) {
		t.Errorf("%+v", v)
	}
	renamed := strings.Replace(one, "one.", "uno.", 1)
	for name, witnesses := range map[string][]string{
		"a line with a slip": {renamed},
		"no key":             {""},
		"the log's own key":  {vkeyOf(t, "witness.example", r.world.Ed25519("log-1"))},
		"one key twice":      {one, vkeyOf(t, "other.example", r.world.Ed25519("one.example"))},
	} {
		config.Witnesses = witnesses
		if _, err := NewTrust(config); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	config.Witnesses = []string{one, vkeyOf(t, "one.example", r.world.Ed25519("one.example"))} // in both forms
	trust, err = NewTrust(config)
	r.must(err)
	if list, err := trust.Cosignatures(string(cosigned)); err != nil || len(list) != 1 || list[0].State != check.OK {
		t.Errorf("%+v, %v", list, err)
	}
}

// vkeyOf is the vkey line of a plain Ed25519 key.
func vkeyOf(t *testing.T, name string, key ed25519.PrivateKey) string {
	line, err := lognote.MarshalVKey(name, key.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	return line
}

// Right in one thing and wrong in another: seals and time stamps of the wrong organisation, for the wrong type, of keys for
// something else, and at the wrong time, each named by its step.
func TestWrongSealsAndStamps(t *testing.T) {
	o := office.New(t, "client", time.Now())
	id, err := license.ParseIdentifier(o.Identifier(office.USCC))
	if err != nil {
		t.Fatal(err)
	}
	plain := o.Write(office.Document(o.Identifier(office.USCC)))
	sealedBy := func(keyID, usage, uscc string) []byte {
		key, chain := o.Issue(keyID, usage, uscc, office.Name)
		h := o.Holder
		h.Signer, h.Certificate = key, chain[0]
		h.Seal = o.Seal(o.Now.AddDate(0, 0, -6), o.Now.AddDate(1, 0, 0), chain[0])
		return o.SealBy(plain, h)
	}
	stampedBy := func(a *tsa.Authority) []byte {
		h := o.Holder
		h.TimeStamp = a.Stamp
		return o.SealBy(plain, h)
	}
	sealStamps := o.Authority(o.Signed)
	sealStamps.Signer, sealStamps.Chain = o.Issue("seal-3", pki.Seal, office.Other, "示例市时间戳中心")
	eku := func(usages map[string]string) map[string]any {
		return map[string]any{"usages": []any{map[string]any{"anchor": pki.Fingerprint(o.Root.Certificate()), "from": "eku", "usages": usages}}}
	}
	issues := func(code string, issuers ...string) map[string]any {
		return map[string]any{"issues": []any{map[string]any{"type": "t", "type_code": code, "issuers": issuers}}}
	}
	for _, c := range []struct {
		name    string
		doc     []byte
		members map[string]any
		step    string
		want    check.State
	}{
		{"seal of the wrong organisation", sealedBy("seal-other", pki.Seal, office.Other), nil, StepIssuerAuthority, check.Failed},
		{"seal of the right one", sealedBy("seal-own", pki.Seal, office.USCC), nil, StepIssuerAuthority, check.OK},
		{"seal for a type that another body issues", o.License(), issues(id.TypeCode(), office.Other), StepIssuerOfType, check.Failed},
		{"seal for a type of which nothing is said", o.License(), issues(office.Other+"001", office.Other), StepIssuerOfType, check.NotCheckable},
		{"seal by a key for calls", sealedBy("call-1", pki.Call, office.USCC), nil, "signature[0]/seal-signer-usage", check.Failed},
		{"stamp of a stranger's authority", stampedBy(office.New(t, "stranger", time.Now()).Stamps), nil, "signature[0]/timestamp-chain", check.Failed},
		{"stamp before its certificate", stampedBy(o.Authority(o.Now.AddDate(0, 0, -30))), nil, "signature[0]/timestamp-chain", check.Failed},
		{"stamp of the right authority", stampedBy(o.Stamps), nil, "signature[0]/timestamp-chain", check.OK},
		{"stamp by a key for seals", stampedBy(sealStamps), nil, "signature[0]/timestamp-usage", check.Failed},
		{"seal under a rule that does not know its usage", o.License(), eku(map[string]string{"1.3.6.1.5.5.7.3.8": "timestamp"}), "signature[0]/seal-maker-usage", check.Failed},
		{"stamp by the usage that a rule reads", o.License(), eku(map[string]string{"1.3.6.1.5.5.7.3.8": "timestamp"}), "signature[0]/timestamp-usage", check.OK},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := trustOf(t, o, c.members, nil).Verify(Artefact{"a.ofd", c.doc})[0]
			if s := stepNamed(v.Steps, c.step); s.State != c.want {
				t.Errorf("%+v, want %s\n%+v", s, c.want, v.Steps)
			}
		})
	}
}

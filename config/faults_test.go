package config_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"oncegate/certs/keystore"
	"oncegate/certs/pki"
	"oncegate/certs/seal"
	"oncegate/config"
	"oncegate/fault"
	"oncegate/install"
	"oncegate/install/installtest"
)

// A mistake is one way a configuration can be wrong: an edit, and where and how it is reported.
type mistake struct {
	name     string
	file     string
	old, new string
	at       string // in file; text that begins where the fault is reported
	reason   string // part of the reason
	warning  bool
}

// mistakes of every kind. Their edits do not touch one another, so that they can be made all at once.
var mistakes = []mistake{
	{"unknown key at the top", config.MainFile, "\nstore:", "\nstroe: {}\nstore:", "stroe", `unknown key "stroe"`, false},
	{"unknown key inside", config.MainFile, "  driver: sqlite\n  path: data", "  driver: sqlite\n  paht: data", "paht", `unknown key "paht"`, false},
	{"wrong kind of value", config.MainFile, "decisions: [policy/grants_test.yaml]", "decisions: [policy/grants_test.yaml]\n\nlimits: {materials: many}", "many", "a whole number is expected", false},
	{"no duration", config.MainFile, "  admin: 127.0.0.1:0", "  admin: 127.0.0.1:0\n  drain: soon", "soon", "is no duration", false},
	{"assertions for a week", config.MainFile, "  public_url: ", "  assertion_life: 168h\n  public_url: ", "168h", "an assertion may be used for 1m to 24h", false},
	{"consents for ten years", config.MainFile, "  department: ", "  consent_life: 87600h\n  department: ", "87600h", "a consent may stand for 1h to 43848h", false},
	{"a list where one value is meant", config.MainFile, "  origin: gateway.example/log", "  origin: [gateway.example/log]", "[gateway", "one value is expected here", false},
	{"plain HTTP beyond loopback", config.MainFile, "  listen: 127.0.0.1:", "  listen: 0.0.0.0:", "0.0.0.0:", "plain HTTP is served on loopback only", false},
	{"documents that open over plain HTTP", config.MainFile, "  id: example-gateway", "  documents_url: http://zz.example\n  id: example-gateway", "http://zz", "http is for loopback only", false},
	{"no such department of a system", config.MainFile, "{id: acceptance, name: 综合窗口受理平台, department: service", "{id: acceptance, name: 综合窗口受理平台, department: nobody", "nobody", `no department "nobody"`, false},
	{"two systems of one id", config.MainFile, "{id: audit-office,", "{id: food-approval,", "food-approval, name: 审计", "stands already at", false},
	{"wrong check character", config.MainFile, "uscc: 11379901MB9915186R", "uscc: 11379901MB9915186A", "11379901MB9915186A", "check-character", false},
	{"no such license key", config.MainFile, "license_key: current", "license_key: license-0000000000000000", "license-0000", "the keystore has no license key", false},
	{"a missing file", config.MainFile, "calendar: calendar.yaml", "calendar: kalender.yaml", "kalender.yaml", "is not there", false},
	{"a pattern without a file", config.MainFile, "guards: []", "guards: [policy/*.cedar]", "policy/*.cedar", "no file matches", false},

	{"two license types of one id", "catalogue.yaml", "\ntypes:", "\ntypes:\n  - {id: business-license, name: again, holder_category: \"2\"}", "business-license\n", "stands already at", false},
	{"unknown kind of field", "catalogue.yaml", "title_en: domicile, kind: text", "title_en: domicile, kind: txet", "txet", "the kind must be one of", false},
	{"no such holder check", "catalogue.yaml", "check: gb11643", "check: gb99999", "gb99999", "the check must be", false},

	{"no such department of a matter", "matters.yaml", "department: service", "department: ministry", "ministry", `no department "ministry"`, false},
	{"no such license type of a material", "matters.yaml", "license_type: business-license", "license_type: pet-license", "pet-license", "", false},
	{"no fallback of that kind", "matters.yaml", "fallback: {kind: upload}", "fallback: {kind: pigeon}", "pigeon", "", false},

	{"no such system in a grant", "policy/grants.yaml", "systems: [food-approval]", "systems: [food-aproval]", "food-aproval", "food-aproval", false},
	{"no such matter in a grant", "policy/grants.yaml", "matters: [FOOD-01]\n    fields", "matters: [FOOD-99]\n    fields", "FOOD-99", "FOOD-99", false},
	{"unknown key in a permission", "policy/grants.yaml", "    basis: 审计法", "    bases: 审计法", "bases", "bases", false},

	{"no such department of a source", "sources/market.yaml", "department: market", "department: bazaar", "bazaar", `no department "bazaar"`, false},
	{"a field that the type does not have", "sources/market.yaml", "addr}\n", "addr, colour: addr}\n", "addr}\n", "no such field", false},
	{"a statement that reads everybody", "sources/market.yaml", " where uscc = :holder_code", "", "select no", ":holder_code", false},
	{"a database that could be written", "sources/market.yaml", "?mode=ro", "", "file:market.db", "read-only", false},
}

func expect(c *installtest.City, m mistake, faults fault.List) {
	c.T.Helper()
	at := c.Where(m.file, m.at)
	if !slices.ContainsFunc(faults, func(f fault.Fault) bool {
		return strings.HasPrefix(f.String(), at) && strings.Contains(f.Reason, m.reason) && f.Warning == m.warning
	}) {
		c.T.Errorf("%s: no fault at %s with %q among:\n%s", m.name, strings.TrimPrefix(at, c.Dir+"/"), m.reason, strings.ReplaceAll(render(faults), c.Dir+"/", ""))
	}
}

func TestMain(m *testing.M) { installtest.Main(m) }

func render(faults fault.List) string {
	var b strings.Builder
	for _, f := range faults {
		fmt.Fprintln(&b, f)
	}
	return b.String()
}

func TestEveryMistakeIsNamed(t *testing.T) {
	t.Parallel()
	sound := installtest.New(t)
	if _, faults := config.Load(sound.Main, time.Now()); len(faults) > 0 {
		t.Fatalf("the sound configuration has faults:\n%s", render(faults))
	}
	for _, m := range mistakes {
		t.Run(m.name, func(t *testing.T) {
			c := sound.CopyOf(t)
			c.Edit(m.file, m.old, m.new)
			_, faults := config.Load(c.Main, time.Now())
			expect(c, m, faults)
			if faults.Err() == nil {
				t.Error("the configuration counts as usable")
			}
		})
	}
	t.Run("all at once", func(t *testing.T) {
		c := sound.CopyOf(t)
		for _, m := range mistakes {
			c.Edit(m.file, m.old, m.new)
		}
		_, faults := config.Load(c.Main, time.Now())
		for _, m := range mistakes {
			switch m.name {
			case "a missing file", "a list where one value is meant":
				continue // would hide nothing, but stand beside others' places
			}
			expect(c, m, faults)
		}
	})
}

func TestCertificatesThatDoNotDo(t *testing.T) {
	t.Parallel()
	sound := installtest.New(t)
	setup, _ := config.Load(sound.Main, time.Now())
	phrase := sound.Passphrase()
	ours := sound.Authority(filepath.Join(sound.Dir, install.CAFolder), phrase, time.Now())
	strangers := sound.Authority(t.TempDir(), phrase, time.Now())
	past := sound.Authority(filepath.Join(sound.Dir, install.CAFolder), phrase, time.Now().Add(-3*365*24*time.Hour))
	future := sound.Authority(filepath.Join(sound.Dir, install.CAFolder), phrase, time.Now().Add(time.Hour))
	const service, market = "11379901MB9915186R", "11379901MB99103773"
	for _, test := range []struct {
		name    string
		by      *install.Authority
		usage   string
		uscc    string
		reason  string
		warning bool
	}{
		{"of a stranger's authority", strangers, pki.Call, service, "does not lead to any of the trust's anchors", false},
		{"for another usage", ours, pki.License, service, `is for usage "license" (subject OU), and "call" is needed here`, false},
		{"of another body", ours, pki.Call, market, "is of body " + market, false},
		{"expired", past, pki.Call, service, "has expired", true},
		{"not valid yet", future, pki.Call, service, "is not valid before", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := sound.CopyOf(t)
			signer, err := setup.Keys.Signer(keystore.Call, "example-gateway")
			if err != nil {
				t.Fatal(err)
			}
			chain, err := test.by.Issue(t.Context(), pki.Request{Organization: "示例局", USCC: test.uscc, Usage: test.usage, CommonName: "x", Public: signer.Public()})
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(c.Dir, "certificates/acceptance-1.pem"), pki.MarshalPEM(chain...), 0o600); err != nil {
				t.Fatal(err)
			}
			got, faults := config.Load(c.Main, time.Now())
			expect(c, mistake{name: test.name, file: config.MainFile, at: "certificates/acceptance-1.pem", reason: test.reason, warning: test.warning}, faults)
			if _, known := got.Callers["acceptance"].Keys["acceptance-1"]; known != test.warning {
				t.Errorf("the key is taken over: %v", known)
			}
		})
	}
	t.Run("no certificate at all", func(t *testing.T) {
		c := sound.CopyOf(t)
		if err := os.WriteFile(filepath.Join(c.Dir, "certificates/acceptance-1.pem"), []byte("hello"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, faults := config.Load(c.Main, time.Now())
		expect(c, mistake{name: "no certificate", file: config.MainFile, at: "certificates/acceptance-1.pem", reason: "no PEM file of SM2 certificates"}, faults)
	})
}

func TestWrongPassphrase(t *testing.T) {
	t.Parallel()
	c := installtest.New(t)
	if err := os.WriteFile(filepath.Join(c.Dir, "keys.passphrase"), []byte("something else\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, faults := config.Load(c.Main, time.Now())
	expect(c, mistake{name: "passphrase", file: config.MainFile, at: "dir: keys", reason: "wrong passphrase"}, faults)
}

func TestTwoSourcesOfOneType(t *testing.T) {
	t.Parallel()
	c := installtest.New(t)
	data, err := os.ReadFile(filepath.Join(c.Dir, "sources/market.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	other := strings.ReplaceAll(string(data), "market-registration", "market-copy")
	if err := os.WriteFile(filepath.Join(c.Dir, "sources/market-copy.yaml"), []byte(other), 0o600); err != nil {
		t.Fatal(err)
	}
	_, faults := config.Load(c.Main, time.Now())
	expect(c, mistake{name: "two sources", file: "sources/market.yaml", at: "id: market-registration", reason: "come from source market-copy already"}, faults)
}

func TestAnEmptyOrStrangeFile(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "comment": "# nothing\n", "list": "- a\n", "text": "hello\n", "two documents": "a: 1\n---\nb: 2\n", "no UTF-8": "a: \xff\n", "deep": strings.Repeat("[", 200),
		"loop": "gateway: &a\n  tls: *a\n", "merge loop": "gateway: &a\n  <<: *a\n", "duplicate": "store: {}\nstore: {}\n", "broken": "gateway: {id: \"x\n",
	} {
		t.Run(name, func(t *testing.T) {
			main := filepath.Join(t.TempDir(), "x.yaml")
			if err := os.WriteFile(main, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, faults := config.Load(main, time.Now())
			if faults.Err() == nil {
				t.Error("it counts as usable")
			}
		})
	}
}

// check warns of what would make shares worth less.
func TestSharesWarnings(t *testing.T) {
	t.Parallel()
	const proxy, deadline = "name the header in which it says where a call comes from under client_from", "the source's deadline is not shorter than limits.call"
	for _, c := range []struct {
		name, gateway, limits string
		warned                []string
		fault                 string
	}{
		{"a proxy", "  behind_tls: true\n", "", []string{proxy}, ""},
		{"a proxy that says who calls", "  behind_tls: true\n  client_from: X-Forwarded-For\n", "", nil, ""},
		{"short calls", "", "limits: {call: 2s}\n", []string{deadline}, ""},
		{"no room for a document", "", "limits: {memory: 1000000}\n", nil, "bytes of memory for bodies"},
		{"few connections", "", "limits: {connections: 5}\n", nil, "open connections, at least"},
	} {
		city := installtest.New(t)
		city.Edit(config.MainFile, "  # behind_tls: true ", c.gateway+"  # behind_tls: true ", "\nstore:", "\n"+c.limits+"\nstore:")
		_, faults := config.Load(city.Main, time.Now())
		for _, text := range []string{proxy, deadline} {
			said := slices.ContainsFunc(faults.Warnings(), func(f fault.Fault) bool { return strings.Contains(f.Reason, text) && f.Place.Line > 0 })
			if said != slices.Contains(c.warned, text) {
				t.Errorf("%s: warns of %q: %v", c.name, text, said)
			}
		}
		err := faults.Err()
		if (err != nil) != (c.fault != "") || err != nil && (!strings.Contains(err.Error(), c.fault) || !errors.As(err, new(fault.List))) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestTrustFaults finds at check what the start would refuse.
func TestTrustFaults(t *testing.T) {
	t.Parallel()
	sound := installtest.New(t)
	vkey, _ := installtest.WitnessKey("one.example/witness", 'a')
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
			c := sound.CopyOf(t)
			if strings.HasPrefix(m[0], "evidence:") {
				c.Edit(config.MainFile, "  evidence: [evidence/*]", "  "+m[0])
			} else {
				c.Edit(config.MainFile, "  anchors:", "  "+m[0]+"\n  anchors:")
			}
			_, faults := config.Load(c.Main, time.Now())
			if len(faults.Fatal()) != 1 || !strings.Contains(faults[0].Reason, m[1]) || faults[0].Place.Line == 0 {
				t.Errorf("want one fault with %q:\n%s", m[1], render(faults))
			}
			key, _, _ := strings.Cut(m[0], ":")
			if _, line, _ := strings.Cut(c.Where(config.MainFile, key+":"), config.MainFile+":"); len(faults) > 0 && !strings.HasPrefix(fmt.Sprint(faults[0].Place.Line)+":", strings.Split(line, ":")[0]+":") {
				t.Errorf("at line %d, want %s", faults[0].Place.Line, line)
			}
		})
	}
}

// A seal that is not for its key, or is no seal, is a fault with its place.
func TestSealFaults(t *testing.T) {
	t.Parallel()
	c := installtest.New(t)
	good, err := os.ReadFile(filepath.Join(c.Dir, "seals/market.esl"))
	if err != nil {
		t.Fatal(err)
	}
	other := installtest.New(t)
	for _, name := range []string{"keys", "seals"} {
		if err := os.RemoveAll(filepath.Join(other.Dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	other.Prepare()
	foreign, err := os.ReadFile(filepath.Join(other.Dir, "seals/market.esl"))
	if err != nil {
		t.Fatal(err)
	}
	for name, k := range map[string]struct {
		esl  []byte
		want string
	}{
		"no seal":     {[]byte("no seal"), "malformed"},
		"another key": {foreign, "not for the key"},
		"altered":     {bytes.Replace(good, []byte("电子证照专用章"), []byte("电子证照专用件"), 1), "does not hold: " + seal.StepMade},
	} {
		c.Write("seals/market.esl", k.esl)
		if _, faults := config.Load(c.Main, time.Now()); !strings.Contains(faults.Error(), k.want) || !strings.Contains(faults.Error(), "oncegate.yaml:") {
			t.Errorf("%s: %v", name, faults)
		}
	}
	c.Write("seals/market.esl", good)
	ring, err := install.OpenKeystore(c.Main, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ring.Rotate(t.Context(), keystore.Purpose{Usage: keystore.Seal, Owner: "market", Algorithm: keystore.SM2}); err != nil {
		t.Fatal(err)
	}
	if setup, faults := config.Load(c.Main, time.Now()); len(faults.Fatal()) > 0 || len(faults) != 1 || !strings.Contains(faults[0].String(), "a key that was rotated") {
		t.Errorf("a rotated key: %v", faults)
	} else if d := setup.Departments[1]; setup.Seals[d.USCC] == nil {
		t.Error("the seal is not used until there is a new one")
	}
	c.Edit(config.MainFile, "seal: {key: current", "seal: {key: seal-0123456789abcdef")
	if _, faults := config.Load(c.Main, time.Now()); !strings.Contains(faults.Error(), `no seal key "seal-0123456789abcdef"`) {
		t.Errorf("without a key: %v", faults)
	}
	c.Edit(config.MainFile, "seal: {key: seal-0123456789abcdef", "seal: {key: current")
	if err := os.Remove(filepath.Join(c.Dir, "seals/market.esl")); err != nil {
		t.Fatal(err)
	}
	if _, faults := config.Load(c.Main, time.Now()); len(faults.Fatal()) > 0 || len(faults) != 1 || !strings.Contains(faults[0].String(), "have no document form") {
		t.Errorf("a seal that is not there: %v", faults)
	}
}

package verdict

import (
	"encoding/json"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"oncegate/certs/certstest"
	"oncegate/certs/pki"
	"oncegate/certs/statuslist"
	"oncegate/check"
)

// A status list is trusted only from the signer whom the trust names for its address, for as long as the trust says, and
// never in place of a newer one. Each step that is not ok is named; "status" is the step of the license with the list.
func TestStatusListSigners(t *testing.T) {
	const other = "11379901MB9910748R" // a body of the same city
	r := newRun(t)
	now := certstest.Epoch.Add(48 * time.Hour) // certificates are of Epoch
	r.city.trust.Now = func() time.Time { return now }
	issued := func(at time.Time) statuslist.Token { return statuslist.Token{Subject: listURI, IssuedAt: at} }
	signed := func(usage, uscc string, status int, token statuslist.Token) string {
		return r.signedList(r.world, usage, uscc, status, token)
	}
	day := 24 * time.Hour
	pinned := []ListSigner{{URIPrefix: "https://gateway.example/status-lists", USCC: department}}
	until := func(at time.Time) []ListSigner {
		return []ListSigner{{URIPrefix: "https://gateway.example/status-lists", USCC: department, NotAfter: at}}
	}
	good := signed(pki.Status, department, 0, issued(now.Add(-time.Minute)))
	token, err := statuslist.Read(good)
	r.must(err)
	certificate, err := pki.ParseChain(token.Header.X5C)
	r.must(err)
	for _, c := range []struct {
		name    string
		signers []ListSigner
		list    string
		steps   map[string]check.State // of the list: those that are not ok, revocation aside
		status  check.State            // of the license
		says    string                 // in its reason
	}{
		{"the signer that is named", pinned, good, nil, check.OK, "valid as of"},
		{"the certificate that is named", []ListSigner{{URIPrefix: "https://gateway.example", Fingerprint: pki.Fingerprint(certificate[0])}}, good, nil, check.OK, "valid as of"},
		{"nobody is named", nil, good,
			map[string]check.State{StepListSigner: check.NotCheckable, StepListLatest: check.NotCheckable}, check.NotCheckable, "does not say who signs"},
		{"nobody is named, and the list revokes", nil, signed(pki.Status, department, 1, issued(now)),
			map[string]check.State{StepListSigner: check.NotCheckable, StepListLatest: check.NotCheckable}, check.NotCheckable, "says revoked and is not trusted"},
		{"another address is named", []ListSigner{{URIPrefix: "https://gateway.example/status-list", USCC: department}}, good,
			map[string]check.State{StepListSigner: check.NotCheckable, StepListLatest: check.NotCheckable}, check.NotCheckable, "this address"},
		{"right usage, wrong organisation", pinned, signed(pki.Status, other, 0, issued(now)),
			map[string]check.State{StepListSigner: check.Failed, StepListLatest: check.NotCheckable}, check.NotCheckable, "another signer"},
		{"a longer prefix names another one", append(pinned, ListSigner{URIPrefix: "https://gateway.example/status-lists/1", USCC: other}), good,
			map[string]check.State{StepListSigner: check.Failed, StepListLatest: check.NotCheckable}, check.NotCheckable, "another signer"},
		{"another certificate of the organisation", []ListSigner{{URIPrefix: "https://gateway.example/", Fingerprint: strings.Repeat("0", 64)}}, good,
			map[string]check.State{StepListSigner: check.Failed, StepListLatest: check.NotCheckable}, check.NotCheckable, "another signer"},
		{"right organisation, wrong usage", pinned, signed(pki.License, department, 0, issued(now)),
			map[string]check.State{StepListSignature: check.Failed, StepListSigner: check.NotCheckable, StepListValidity: check.NotCheckable, StepListAge: check.NotCheckable, StepListLatest: check.NotCheckable},
			check.NotCheckable, "another usage"},
		{"in time", until(now.Add(time.Hour)), good, nil, check.OK, "valid"},
		{"issued after the signer's time", until(now.Add(-time.Hour)), good,
			map[string]check.State{StepListSigner: check.Failed, StepListLatest: check.NotCheckable}, check.NotCheckable, "issued after"},
		// Whoever has an old key can write any time into a list.
		{"said to be issued within the signer's time", until(now.Add(-time.Hour)), signed(pki.Status, department, 0, issued(now.Add(-2*time.Hour))),
			map[string]check.State{StepListSigner: check.NotCheckable}, check.NotCheckable, "time in the trust ended"},
		{"revoked within the signer's time", until(now.Add(-time.Hour)), signed(pki.Status, department, 1, issued(now.Add(-2*time.Hour))),
			map[string]check.State{StepListSigner: check.NotCheckable}, check.Failed, "revoked"},
		{"expired", pinned, signed(pki.Status, department, 0, statuslist.Token{Subject: listURI, IssuedAt: now.Add(-2 * time.Hour), Expires: now.Add(-time.Hour)}),
			map[string]check.State{StepListValidity: check.Failed}, check.NotCheckable, "expired since"},
		{"expired, and revoked", pinned, signed(pki.Status, department, 1, statuslist.Token{Subject: listURI, IssuedAt: now.Add(-2 * time.Hour), Expires: now.Add(-time.Hour)}),
			map[string]check.State{StepListValidity: check.Failed}, check.Failed, "revoked"},
		{"from the future", pinned, signed(pki.Status, department, 0, issued(now.Add(time.Hour))),
			map[string]check.State{StepListSignature: check.NotCheckable, StepListSigner: check.NotCheckable, StepListRevocation: check.NotCheckable, StepListValidity: check.Failed, StepListAge: check.NotCheckable, StepListLatest: check.NotCheckable},
			check.NotCheckable, "future"},
		{"past its ttl", pinned, signed(pki.Status, department, 0, statuslist.Token{Subject: listURI, IssuedAt: now.Add(-2 * time.Minute), TTL: time.Minute, Expires: now.Add(time.Hour)}),
			map[string]check.State{StepListAge: check.NotCheckable}, check.OK, "valid"},
		{"past its ttl, without exp", pinned, signed(pki.Status, department, 0, statuslist.Token{Subject: listURI, IssuedAt: now.Add(-2 * time.Minute), TTL: time.Minute}),
			map[string]check.State{StepListAge: check.NotCheckable}, check.NotCheckable, "2m0s old"},
		{"a day old, with neither ttl nor exp", pinned, signed(pki.Status, department, 0, issued(now.Add(-day-time.Second))),
			map[string]check.State{StepListAge: check.NotCheckable}, check.NotCheckable, "24h0m1s old"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.city.trust.StatusLists = c.signers
			trust := r.newTrust()
			alone := trust.Verify(Artefact{Data: []byte(c.list)})[0]
			if len(alone.Steps) != len(listSteps) {
				t.Errorf("steps %+v", alone.Steps)
			}
			for _, s := range alone.Steps {
				want, named := c.steps[s.Name]
				if !named {
					want = check.OK
				}
				if s.State != want && s.Name != StepListRevocation || s.State != check.OK && s.Reason == "" {
					t.Errorf("%+v, want %s", s, want)
				}
			}
			s := stepNamed(trust.Verify(licenseOf(r), Artefact{Data: []byte(c.list)})[0].Steps, "status")
			if s.State != c.status || !strings.Contains(s.Reason, c.says) {
				t.Errorf("%+v, want %s with %q", s, c.status, c.says)
			}
		})
	}
}

// Prefixes are compared as URLs: scheme, host, port and whole path segments.
func TestStatusListAddresses(t *testing.T) {
	r := newRun(t)
	for _, c := range []struct {
		prefix, uri string
		covered     bool
	}{
		{"https://gw.example/status-lists", "https://gw.example/status-lists/1", true},
		{"https://gw.example/status-lists/", "https://gw.example/status-lists/1", true},
		{"https://gw.example/status-lists/1", "https://gw.example/status-lists/1", true},
		{"https://gw.example", "https://GW.example:443/a/b?x=y", true},
		{"http://127.0.0.1:8420/status-lists", "http://127.0.0.1:8420/status-lists/1", true},
		{"https://gw.example/status-lists", "https://gw.example/status-lists-of-mallory/1", false},
		{"https://gw.example", "https://gw.example.evil/status-lists/1", false},
		{"https://gw.example", "https://gw.example@evil/status-lists/1", false},
		{"https://gw.example", "https://user@gw.example/1", false},
		{"https://gw.example", "https://gw.example:8443/1", false},
		{"https://gw.example", "http://gw.example/1", false},
		{"https://gw.example", "ftp://gw.example/1", false},
		{"https://gw.example/a", "https://gw.example/a/../b/1", false},
		{"https://gw.example/a", "https://gw.example/a/%2e%2e/b/1", false},
		{"https://gw.example/a", "https://gw.example/a%2f..%2fb/1", false},
		{"https://gw.example/a", "https://gw.example/a\\..\\b", false},
		{"https://gw.example/a", "https://gw.example//a/1", false},
		{"https://gw.example/a", "https://gw.example/a#b", false},
		{"https://gw.example/a", "https://gw.example/A/1", false},
		{"https://gw.example/a", "/a/1", false},
		{"https://gw.example/a", "", false},
		{"https://gw.example", "https://gw.example/" + strings.Repeat("a", 2000), false},
	} {
		r.city.trust.StatusLists = []ListSigner{{URIPrefix: c.prefix, USCC: department}}
		if got := r.newTrust().listSignersOf(c.uri); (len(got) > 0) != c.covered {
			t.Errorf("%s covers %s: %v", c.prefix, c.uri, !c.covered)
		}
	}
	for _, l := range []ListSigner{
		{USCC: department},
		{URIPrefix: "https://gw.example"},
		{URIPrefix: "https://gw.example", USCC: department, Fingerprint: strings.Repeat("0", 64)},
		{URIPrefix: "https://gw.example", USCC: "1"},
		{URIPrefix: "https://gw.example", Fingerprint: "0"},
		{URIPrefix: "gw.example/status-lists", USCC: department},
		{URIPrefix: "https://gw.example/a?b=c", USCC: department},
		{URIPrefix: "https://gw.example/a/../b", USCC: department},
	} {
		r.city.trust.StatusLists = []ListSigner{l}
		if _, err := NewTrust(r.city.trust); err == nil {
			t.Errorf("%+v is accepted", l)
		}
	}
}

// The newest list counts, in whatever order and wherever lists lie; an older one is named as superseded, also when it comes
// alone after the newer one was seen, and also after a restart.
func TestStatusListSuperseded(t *testing.T) {
	r := newRun(t)
	now := certstest.Epoch.Add(time.Hour)
	r.city.trust.Now = func() time.Time { return now }
	at := func(minutes int, status int) Artefact {
		return Artefact{Data: []byte(r.signedList(r.world, pki.Status, department, status,
			statuslist.Token{Subject: listURI, IssuedAt: now.Add(time.Duration(minutes) * time.Minute)}))}
	}
	older, revoked := at(-9, 0), at(-3, 1)
	judge := func(trust *Trust, files []Artefact, status, latest check.State) {
		t.Helper()
		got := trust.Verify(append([]Artefact{licenseOf(r)}, files...)...)
		if s := stepNamed(got[0].Steps, "status"); s.State != status {
			t.Errorf("%+v, want %s", s, status)
		}
		if s := stepNamed(got[1].Steps, StepListLatest); s.State != latest || latest != check.OK && !strings.Contains(s.Reason, "2026-11-23T04:57:00") {
			t.Errorf("%+v, want %s", s, latest)
		}
	}
	judge(r.newTrust(), []Artefact{older, revoked}, check.Failed, check.NotCheckable)
	judge(r.newTrust(), []Artefact{revoked, older}, check.Failed, check.OK)
	judge(r.newTrust(), []Artefact{older}, check.OK, check.OK)
	// Of two lists of one second the worse counts.
	judge(r.newTrust(), []Artefact{at(-3, 0), revoked}, check.Failed, check.OK)
	judge(r.newTrust(), []Artefact{revoked, at(-3, 0)}, check.Failed, check.OK)
	// A newer list that is not trusted supersedes nothing.
	forged := Artefact{Data: []byte(r.signedList(certstest.New(t, "other"), pki.Status, department, 1, statuslist.Token{Subject: listURI, IssuedAt: now}))}
	judge(r.newTrust(), []Artefact{older, forged}, check.OK, check.OK)

	kept := r.city.trust
	kept.Evidence = []Artefact{revoked}
	trust, err := NewTrust(kept)
	r.must(err)
	judge(trust, []Artefact{older}, check.Failed, check.NotCheckable)

	file := filepath.Join(t.TempDir(), "seen.json")
	for range 2 { // the second time as after a restart
		seen, err := OpenSeenLists(file, func(err error) { t.Error(err) })
		r.must(err)
		running := r.city.trust
		running.Seen = seen
		trust, err := NewTrust(running)
		r.must(err)
		if _, err := os.Stat(file); err != nil {
			trust.Verify(older)
			judge(trust, []Artefact{older}, check.OK, check.OK)
			trust.Verify(forged)
			trust.Verify(revoked)
		}
		judge(trust, []Artefact{older}, check.NotCheckable, check.NotCheckable)
		judge(trust, []Artefact{older, revoked}, check.Failed, check.NotCheckable)
		judge(trust, []Artefact{at(-1, 0)}, check.OK, check.OK)
		if data, err := os.ReadFile(file); err != nil || !json.Valid(data) {
			t.Errorf("%s: %v", data, err)
		}
		r.must(os.WriteFile(file, []byte(`{"`+listURI+`": `+big.NewInt(now.Add(-3*time.Minute).Unix()).String()+`}`), 0o600))
	}
	r.must(os.WriteFile(file, []byte("{"), 0o600))
	if _, err := OpenSeenLists(file, nil); err == nil {
		t.Error("a broken file is read as empty")
	}
}

// The signer of a list may have been revoked: before it signed, or later, when the list's own time proves nothing.
func TestStatusListSignerRevoked(t *testing.T) {
	r := newRun(t)
	list := r.statusList(0)
	token, err := statuslist.Read(list)
	r.must(err)
	chain, err := pki.ParseChain(token.Header.X5C)
	r.must(err)
	lists := func(revoked ...pki.Revoked) Artefact {
		own, err := r.world.Intermediate.RevocationList(t.Context(), big.NewInt(2), time.Hour, revoked)
		r.must(err)
		above, err := r.world.Root.RevocationList(t.Context(), big.NewInt(1), time.Hour, nil)
		r.must(err)
		return Artefact{"lists.pem", append(pki.MarshalCRL(own), pki.MarshalCRL(above)...)}
	}
	at := func(d time.Duration) Artefact {
		return lists(pki.Revoked{Serial: chain[0].SerialNumber, Time: certstest.Epoch.Add(d), Reason: pki.KeyCompromise})
	}
	for _, c := range []struct {
		name            string
		evidence        Artefact
		signer, license check.State
	}{
		{"not revoked", lists(), check.OK, check.OK},
		{"before", at(-time.Minute), check.Failed, check.NotCheckable},
		{"after", at(time.Minute), check.NotCheckable, check.NotCheckable},
	} {
		// The evidence stands last: a list is judged when all of it is at hand.
		got := r.trust.Verify(Artefact{Data: []byte(list)}, licenseOf(r), c.evidence)
		if s := stepNamed(got[0].Steps, StepListRevocation); s.State != c.signer {
			t.Errorf("%s: %+v", c.name, s)
		}
		if s := stepNamed(got[1].Steps, "status"); s.State != c.license || c.license != check.OK && !strings.Contains(s.Reason, "not trusted") {
			t.Errorf("%s: %+v", c.name, s)
		}
		if s := stepNamed(got[1].Steps, StepListRevocation); c.license == check.OK && s.State != check.OK {
			t.Errorf("%s, in the license: %+v", c.name, s)
		}
	}
}

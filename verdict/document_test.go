package verdict

import (
	"bytes"
	"context"
	"encoding/base64"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"oncegate/api"
	"oncegate/certs/certstest/office"
	"oncegate/certs/pki"
	"oncegate/certs/sm"
	"oncegate/check"
)

// artefactsOf are the files of a case, the document first.
func artefactsOf(c office.Case) []Artefact {
	list := []Artefact{{office.First, c.Files[office.First]}}
	for name, data := range c.Files {
		if name != office.First {
			list = append(list, Artefact{name, data})
		}
	}
	return list
}

// trustOf is the trust that an office's folder says.
func trustOf(t testing.TB, o *office.Office, members map[string]any, files map[string][]byte) *Trust {
	t.Helper()
	dir := t.TempDir()
	o.WriteTrust(dir, members, files)
	c, err := ReadTrust(filepath.Join(dir, "trust.json"))
	if err != nil {
		t.Fatal(err)
	}
	c.Now = func() time.Time { return o.Now }
	trust, err := NewTrust(c)
	if err != nil {
		t.Fatal(err)
	}
	return trust
}

// named are the failed steps.
func named(list []check.Step) (names []string) {
	for _, s := range list {
		if s.State == check.Failed {
			names = append(names, s.Name)
		}
	}
	return names
}

func stepNamed(list []check.Step, name string) check.Step {
	i := slices.IndexFunc(list, func(s check.Step) bool { return s.Name == name })
	if i < 0 {
		return check.Step{}
	}
	return list[i]
}

// Whatever is wrong with a document is named by a step of its own.
func TestDocumentCases(t *testing.T) {
	o := office.New(t, "client", time.Now())
	trust := trustOf(t, o, nil, nil)
	for _, c := range o.Cases() {
		t.Run(c.Name, func(t *testing.T) {
			v := trust.Verify(artefactsOf(c)...)[0]
			failed := named(v.Steps)
			switch {
			case v.Kind != Document:
				t.Fatalf("kind %s", v.Kind)
			case c.State == check.NotCheckable:
				if stepNamed(v.Steps, c.Step).State != check.NotCheckable || failed != nil {
					t.Errorf("%v %+v", failed, stepNamed(v.Steps, c.Step))
				}
			case c.Step == "" && failed != nil, c.Step != "" && !slices.Contains(failed, c.Step):
				t.Errorf("failed: %v, want %s", failed, c.Step)
			}
			for _, s := range v.Steps {
				if s.State != check.OK && s.Reason == "" {
					t.Errorf("%s gives no reason", s.Name)
				}
				t.Log(s.State, s.Name, s.Reason)
			}
		})
	}
}

// A result says who signed, with which seal and when, and whether that time is proven.
func TestDocumentSignatures(t *testing.T) {
	o := office.New(t, "client", time.Now())
	v := trustOf(t, o, nil, nil).Verify(Artefact{"a.ofd", o.License()})[0]
	if len(v.Signatures) != 1 {
		t.Fatalf("%+v", v)
	}
	s := v.Signatures[0]
	if s.Place != "signature[0]" || s.Type != "Seal" || s.Signer != office.Name || s.USCC != office.USCC || s.SealName != office.SealName ||
		!s.Proven || !s.Time.Equal(o.Signed.Add(time.Minute)) || !strings.HasPrefix(s.Provider, "Oncegate") {
		t.Errorf("%+v", s)
	}
}

// Evidence beside trust.json is used as evidence among the files is.
func TestKeptEvidence(t *testing.T) {
	o := office.New(t, "client", time.Now())
	doc := Artefact{"a.ofd", o.License()}
	for _, x := range []struct {
		at    time.Time
		state check.State
	}{{o.Signed.Add(-time.Hour), check.Failed}, {o.Signed.Add(time.Hour), check.OK}} {
		trust := trustOf(t, o, nil, map[string][]byte{
			"evidence/sub.crl": o.Revoked(o.Holder.Certificate, x.at), "evidence/root.crl": o.RootList(),
		})
		if s := stepNamed(trust.Verify(doc)[0].Steps, "signature[0]/seal-signer-revocation"); s.State != x.state {
			t.Errorf("%+v", s)
		}
	}
	dir := t.TempDir()
	o.WriteTrust(dir, nil, map[string][]byte{"evidence/notes.txt": []byte("not evidence")})
	if _, err := LoadTrust(filepath.Join(dir, "trust.json")); err == nil || !strings.Contains(err.Error(), "notes.txt") {
		t.Errorf("%v", err)
	}
	if err := os.Remove(filepath.Join(dir, "evidence", "notes.txt")); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadTrust(filepath.Join(dir, "trust.json")); err != nil {
		t.Error(err)
	}
}

// A picture is proven by the answer that released it and by nothing else, and refuted where it is another than that one, for the command
// and for callers alike.
func TestPictures(t *testing.T) {
	r := newRun(t)
	encode := base64.RawURLEncoding.EncodeToString
	pdf, svg := []byte("%PDF-1.7 as it was drawn"), []byte("<svg xmlns='x'></svg>")
	_, answer := r.ask("licenses.render", pdf)
	_, another := r.ask("licenses.render", svg)
	for name, x := range map[string]struct {
		picture []byte
		beside  [][]byte
		want    api.Verdict
	}{
		"alone":                            {pdf, nil, api.VerdictNotProven},
		"beside its answer":                {pdf, [][]byte{answer}, api.VerdictProven},
		"beside two answers":               {svg, [][]byte{answer, another}, api.VerdictProven},
		"beside the answer of another":     {svg, [][]byte{answer}, api.VerdictNotProven},
		"changed, beside its answer":       {append(bytes.Clone(pdf), ' '), [][]byte{answer}, api.VerdictRefuted},
		"beside its answer, which was cut": {pdf, [][]byte{answer[:len(answer)-9]}, api.VerdictNotProven},
		"beside its answer, changed":       {pdf, [][]byte{bytes.Replace(answer, []byte("grant-1"), []byte("grant-2"), 1)}, api.VerdictNotProven},
	} {
		files, q := []Artefact{{"picture", x.picture}}, api.VerifyRequest{Document: encode(x.picture)}
		for _, b := range x.beside {
			files, q.Beside = append(files, Artefact{"answer", b}), append(q.Beside, encode(b))
		}
		if v := r.trust.Verify(files...)[0]; v.Kind != Picture || v.Verdict != x.want {
			t.Errorf("%s is %s: %+v", name, v.Verdict, v.Steps)
		}
		if a, err := r.trust.VerifyRequest(t.Context(), q); err != nil || a.Kind != string(Picture) || a.Verdict != x.want {
			t.Errorf("%s, by a call, is %s: %+v (%v)", name, a.Verdict, a.Steps, err)
		}
	}
}

// A call to licenses.verify gets the same steps as the command, and learns nothing of what the gateway knows besides.
func TestDocumentRequests(t *testing.T) {
	o := office.New(t, "client", time.Now())
	trust := trustOf(t, o, nil, nil)
	encode := base64.RawURLEncoding.EncodeToString
	for _, c := range o.Cases() {
		list := artefactsOf(c)
		q := api.VerifyRequest{Document: encode(list[0].Data)}
		for _, a := range list[1:] {
			q.Beside = append(q.Beside, encode(a.Data))
		}
		a, err := trust.VerifyRequest(t.Context(), q)
		want := trust.Verify(list...)[0]
		if err != nil || a.Kind != "ofd" || len(a.Steps) != len(want.Steps) || len(a.Signatures) != len(want.Signatures) {
			t.Fatalf("%s: %v %+v", c.Name, err, a)
		}
		for i, s := range want.Steps {
			if got := a.Steps[i]; got.Name != s.Name || string(got.State) != string(s.State) || got.Reason != s.Reason {
				t.Errorf("%s: %+v, want %+v", c.Name, got, s)
			}
		}
	}
	key, err := sm.MarshalPEM(o.Holder.Signer.Public())
	if err != nil {
		t.Fatal(err)
	}
	for _, other := range [][]byte{key, []byte("{}"), []byte("anything"), pki.MarshalPEM(o.Root.Certificate())} {
		a, err := trust.VerifyRequest(t.Context(), api.VerifyRequest{Document: encode(other)})
		want, state := api.VerdictNotProven, api.StepStateNotCheckable // a true one is not refuted
		if string(other) == "anything" {
			want, state = api.VerdictRefuted, api.StepStateFailed
		}
		if err != nil || a.Verdict != want || len(a.Steps) != 1 || a.Steps[0].Name != "recognised" || a.Steps[0].State != state {
			t.Errorf("%.30s: %v %+v", other, err, a)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := trust.VerifyRequest(ended, api.VerifyRequest{Document: encode(o.License())}); err == nil {
		t.Error("verified for a caller who is gone")
	}
}

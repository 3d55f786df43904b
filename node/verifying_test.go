package node

import (
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"oncegate/api"
	"oncegate/certs/certstest/office"
	"oncegate/certs/pki"
	"oncegate/check"
	"oncegate/client"
	"oncegate/config"
	"oncegate/verdict"
)

// verifier is a node that also trusts an office, by its configuration.
func verifier(t *testing.T, o *office.Office) *client.Client {
	t.Helper()
	c := newCity(t)
	lists := append(o.Revoked(nil, time.Time{}), o.RootList()...)
	for name, data := range map[string][]byte{"evidence/office.crl": lists, "office-ca.pem": pki.MarshalPEM(o.Root.Certificate()), "office-sub.pem": pki.MarshalPEM(o.Intermediate.Chain()...)} {
		if err := os.WriteFile(filepath.Join(c.Dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c.Edit(config.MainFile, "  anchors:", "  seal_anchors: [office-ca.pem]\n  timestamp_anchors: [office-ca.pem]\n  authorities: [office-sub.pem]\n  anchors:")
	return c.serve().as("food-approval")
}

// ask has a case verified over HTTP.
func ask(t *testing.T, caller *client.Client, c office.Case) (api.VerifyAnswer, error) {
	t.Helper()
	q := api.VerifyRequest{Document: base64.RawURLEncoding.EncodeToString(c.Files[office.First])}
	for name, data := range c.Files {
		if name != office.First {
			q.Beside = append(q.Beside, base64.RawURLEncoding.EncodeToString(data))
		}
	}
	a, err := caller.VerifyLicense(t.Context(), q)
	if err != nil {
		return api.VerifyAnswer{}, err
	}
	return a.Answer, nil
}

func failedOf(a api.VerifyAnswer) (names []string) {
	for _, s := range a.Steps {
		if s.State == api.StepStateFailed {
			names = append(names, s.Name)
		}
	}
	return names
}

// Over HTTP, too, whatever is wrong with a document is named by its own step.
func TestVerifyDocuments(t *testing.T) {
	t.Parallel()
	o := office.New(t, "node", time.Now())
	caller := verifier(t, o)
	for _, c := range slices.Concat(o.Cases(), o.Vendors()) {
		a, err := ask(t, caller, c)
		if err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
		failed := failedOf(a)
		switch {
		case a.Kind != "ofd" || a.Operation != "licenses.verify":
			t.Errorf("%s: %+v", c.Name, a)
		case c.State == check.NotCheckable:
			if a.Verdict != api.VerdictNotProven || !slices.ContainsFunc(a.Steps, func(s api.Step) bool { return s.Name == c.Step && s.State == api.StepStateNotCheckable }) {
				t.Errorf("%s: %s %v", c.Name, a.Verdict, failed)
			}
		case c.Step == "" && (failed != nil || a.Verdict != api.VerdictProven), c.Step != "" && (!slices.Contains(failed, c.Step) || a.Verdict != api.VerdictRefuted):
			t.Errorf("%s: %s, failed %v, lacks %v, want %s", c.Name, a.Verdict, failed, a.Lacks, c.Step)
		}
	}
	a, err := ask(t, caller, office.Case{Files: map[string][]byte{office.First: o.License()}})
	if err != nil || len(a.Signatures) != 1 || a.Signatures[0].Signer != office.Name || a.Signatures[0].SealName != office.SealName || !a.Signatures[0].Proven {
		t.Errorf("%v %+v", err, a.Signatures)
	}
}

// Hostile documents cost a node little and are answered like others: with steps, or with the refusal of a body that is too
// large.
func TestVerifyHostile(t *testing.T) {
	o := office.New(t, "node", time.Now())
	caller := verifier(t, o)
	for _, c := range o.Hostile() {
		if strings.Contains(c.Name, " cut at ") && !strings.HasPrefix(c.Name, "a document") {
			continue // by the command
		}
		var a api.VerifyAnswer
		var err error
		runtime.GC()
		start := time.Now()
		used := office.Peak(func() { a, err = ask(t, caller, c) })
		if p, refused := errors.AsType[*api.Problem](err); refused && p.Code == "too-large" && len(c.Files[office.First]) > 6<<20 {
			continue
		}
		if a.Kind == string(verdict.Certificate) { // not verified for callers, well-formed or not: never proven, and at no cost
			if err != nil || a.Verdict != api.VerdictNotProven || !strings.HasPrefix(c.Name, "a certificate") {
				t.Errorf("%s: %v, %s %+v", c.Name, err, a.Verdict, a.Steps)
			}
		} else if failed := failedOf(a); err != nil || len(failed) == 0 || c.Step != "" && !slices.Contains(failed, c.Step) {
			t.Errorf("%s: %v, failed %v, want %s", c.Name, err, failed, c.Step)
		}
		if took := time.Since(start); used > 64<<20 || took > 5*time.Second {
			t.Errorf("%s (%d bytes): %d MB, %v", c.Name, len(c.Files[office.First]), used>>20, took)
		}
	}
}

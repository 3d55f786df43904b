package demo

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"oncegate/api"
	"oncegate/install"
	"oncegate/install/installtest"
	"oncegate/verdict"
)

// The story as machines ask for it: exactly one document of the agreed form, and every step ok.
func TestJSON(t *testing.T) {
	tellAsJSON(t, "")
}

// The same story on PostgreSQL, in a schema that is kept with the folder, or dropped with it.
func TestOnPostgres(t *testing.T) {
	d := installtest.NewDatabase(t)
	if d == nil {
		return
	}
	tellAsJSON(t, d.URL.String())
	own := func() int {
		db, err := sql.Open("pgx", d.URL.String())
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		var n int
		if err := db.QueryRow("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'demo%'").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if own() != 1 {
		t.Error("the schema of a demo whose folder is kept is gone")
	}
	st, err := open(t.Context(), "", d.URL.String())
	if err != nil {
		t.Fatal(err)
	}
	if st.database() != "PostgreSQL" || own() != 2 {
		t.Errorf("the demo runs on %s", st.database())
	}
	if err := st.close(); err != nil || own() != 1 {
		t.Errorf("a demo in a temporary folder left its schema there, %v", err)
	}
}

func tellAsJSON(t *testing.T, postgres string) {
	t.Helper()
	dir := t.TempDir()
	var out bytes.Buffer
	if err := Run(t.Context(), Options{Dir: dir, Once: true, JSON: true, Out: &out, Postgres: postgres}); err != nil {
		t.Fatal(err, out.String())
	}
	var got struct {
		OK    *bool `json:"ok"`
		Steps []struct {
			Name   *string `json:"name"`
			OK     *bool   `json:"ok"`
			MS     *int64  `json:"ms"`
			Detail *string `json:"detail"`
		} `json:"steps"`
		Reuse struct {
			Numerator   *int `json:"numerator"`
			Denominator *int `json:"denominator"`
		} `json:"reuse"`
	}
	if err := json.Unmarshal(out.Bytes(), &got, json.RejectUnknownMembers(true)); err != nil {
		t.Fatalf("%v in %s", err, out.String())
	}
	if got.OK == nil || !*got.OK || len(got.Steps) != 7 {
		t.Errorf("result: %s", out.String())
	}
	for i, s := range got.Steps {
		if s.Name == nil || s.OK == nil || !*s.OK || s.MS == nil || s.Detail == nil || *s.Detail == "" || *s.Name != chapters[i].name {
			t.Errorf("step %d: %s", i+1, out.String())
		}
	}
	// 2 of 2, 5 of 5, 8 of 8, and none of 2 after the revocation.
	if got.Reuse.Numerator == nil || *got.Reuse.Numerator != 15 || got.Reuse.Denominator == nil || *got.Reuse.Denominator != 17 {
		t.Errorf("reuse: %s", out.String())
	}
	if strings.Count(out.String(), "\n") != 1 {
		t.Errorf("more than one line: %q", out.String())
	}
	keptArtefacts(t, dir)
}

// keptArtefacts verifies the artefacts of a run offline, with its trust folder alone, one by one and together; and a changed one
// fails.
func keptArtefacts(t *testing.T, dir string) {
	t.Helper()
	trust, err := verdict.LoadTrust(dir + "/trust/" + install.TrustFile)
	if err != nil {
		t.Fatal(err)
	}
	var all []verdict.Artefact
	for _, name := range []string{
		"license.sdjwt", "answer.json", "checkpoint", "log.sm2.pub.pem", "log.ed25519.pub", "issuer.cert.pem", "ca.cert.pem", "request.jwt", "request.body", "report.json",
		"license.ofd", "annotated.ofd", "license.pdf", "license.pdf.answer.json", "license.png", "license.png.answer.json", "seal.esl", "status-list.jwt", "crl.pem", "crl-root.pem", "timestamp.tsr",
	} {
		data, err := os.ReadFile(dir + "/artefacts/" + name)
		if err != nil {
			t.Error(err)
			continue
		}
		all = append(all, verdict.Artefact{Name: name, Data: data})
	}
	if entries, _ := os.ReadDir(dir + "/artefacts"); len(entries) != len(all) {
		t.Errorf("%d artefacts, want %d", len(entries), len(all))
	}
	for _, v := range trust.Verify(all...) {
		if v.Err() != nil || v.Kind == verdict.Unknown {
			t.Errorf("%s (%s): %v", v.Name, v.Kind, v.Err())
		}
	}
	for _, a := range all {
		v, want := trust.Verify(a)[0], api.VerdictProven
		switch a.Name { // these are proven by what lies beside them
		case "request.body", "license.pdf", "license.png", "timestamp.tsr":
			want = api.VerdictNotProven
		}
		if v.Verdict != want {
			t.Errorf("%s alone is %s: %v", v.Name, v.Verdict, v.Err())
		}
	}
	for _, name := range []string{
		"answer.json", "report.json", "request.jwt", "request.body", "checkpoint", "license.ofd", "license.pdf", "license.png", "license.png.answer.json", "annotated.ofd", "seal.esl", "status-list.jwt", "crl.pem", "crl-root.pem", "timestamp.tsr",
	} {
		changed := make([]verdict.Artefact, len(all))
		copy(changed, all)
		for i, a := range changed {
			if a.Name == name {
				changed[i].Data = bytes.Clone(a.Data)
				changed[i].Data[len(a.Data)*2/3] ^= 1
			}
		}
		failed := false
		for _, v := range trust.Verify(changed...) {
			failed = failed || v.Err() != nil
		}
		if !failed {
			t.Errorf("%s with one bit flipped verifies", name)
		}
	}
}

// A step that does not hold is told, ends the story, and is the run's error.
func TestAStepThatFails(t *testing.T) {
	st, err := open(t.Context(), t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer st.close()
	if err := st.city.Police.Close(); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	o := Options{Once: true, JSON: true, Out: &out}
	if err := run(t.Context(), st, newPrinter(o), o); !errors.Is(err, ErrStepFailed) {
		t.Errorf("error: %v", err)
	}
	var got Result
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	want := notReached()
	want.Steps[0] = got.Steps[0]
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got.Steps[0].OK || !strings.HasPrefix(got.Steps[0].Detail, "does not hold: ") {
		t.Errorf("step 1: %+v", got.Steps[0])
	}
}

// What cannot even start says so to machines too.
func TestStartFails(t *testing.T) {
	var out bytes.Buffer
	name := t.TempDir() + "/file"
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Run(t.Context(), Options{Dir: name, JSON: true, Out: &out}); err == nil {
		t.Error("a file is no folder")
	}
	var got Result
	if err := json.Unmarshal(out.Bytes(), &got); err != nil || got.OK || len(got.Steps) != 7 {
		t.Errorf("%v: %s", err, out.String())
	}
}

// Without Once the gateway goes on serving until the context ends, which is no error.
func TestServes(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := &until{seen: "curl ", then: cancel}
	if err := Run(ctx, Options{Out: out}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"/openapi.yaml", "/metrics", "oncegate.yaml", "Authorization: Bearer ", "--trust", "/console/holder", "/V/", "SLD:SP-"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the invitation lacks %q", want)
		}
	}
}

// until calls a function when a text has been written.
type until struct {
	bytes.Buffer
	seen string
	then func()
}

func (u *until) Write(p []byte) (int, error) {
	n, err := u.Buffer.Write(p)
	if strings.Contains(string(p), u.seen) {
		u.then()
	}
	return n, err
}

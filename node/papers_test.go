package node

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"oncegate/api"
	"oncegate/certs/ofd"
	"oncegate/config"
	"oncegate/verdict"
)

// init makes what a seal needs, once; the node gives out copies and keeps the original across a restart.
func TestDocuments(t *testing.T) {
	t.Parallel()
	c := newCity(t)
	if err := os.Remove(filepath.Join(c.Dir, "seals/market.esl")); err != nil {
		t.Fatal(err)
	}
	if made := strings.Join(c.Prepare(), "\n"); !strings.Contains(made, "a throw-away seal of market") {
		t.Errorf("made %s", made)
	}
	if again := c.Prepare(); len(again) != 0 {
		t.Errorf("made again: %q", again)
	}
	if _, faults := config.Load(c.Main, time.Now()); len(faults) > 0 {
		t.Errorf("%v", faults)
	}
	s := c.serve()
	s.register("SP-1")
	first := s.document("SP-1")
	s.picture("SP-1")
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	second := c.serve().document("SP-1")
	if first.OriginalSM3 == "" || first.OriginalSM3 != second.OriginalSM3 {
		t.Errorf("the original is %q, and after a restart %q", first.OriginalSM3, second.OriginalSM3)
	}
	pkg, err := base64.RawURLEncoding.DecodeString(second.Content)
	if err != nil {
		t.Fatal(err)
	}
	p, err := ofd.Open(t.Context(), bytes.NewReader(pkg), int64(len(pkg)))
	if err != nil {
		t.Fatal(err)
	}
	if info, ok := p.Copy(); !ok || !strings.Contains(info.Maker, "市场监督管理局") {
		t.Errorf("%+v", info)
	}
}

// picture asks for a PDF, which nothing proves but the answer that released it.
func (s *served) picture(no string) {
	s.t.Helper()
	q := question(no)
	q.Form = api.DocumentFormPdf
	answer, err := s.as("food-approval").Query(s.t.Context(), q)
	if err != nil {
		s.t.Fatal(err)
	}
	pdf, err := base64.RawURLEncoding.DecodeString(answer.Answer.Licenses[0].Document.Content)
	if err != nil {
		s.t.Fatal(err)
	}
	files := []verdict.Artefact{{Name: "copy.pdf", Data: pdf}, {Name: "answer.json", Data: answer.Raw}}
	for _, want := range []api.Verdict{api.VerdictProven, api.VerdictRefuted} {
		done := s.trusted().Verify(files...)[0]
		if done.Kind != verdict.Picture || len(done.Steps) != 1 || done.Verdict != want {
			s.t.Errorf("%s: %s %+v, want %s", done.Kind, done.Verdict, done.Steps, want)
		}
		files[0].Data = append(bytes.Clone(pdf), '\n') // a changed one beside its true answer
	}
	if alone := s.trusted().Verify(files[0])[0]; alone.Verdict != api.VerdictNotProven {
		s.t.Errorf("alone: %+v", alone)
	}
}

// document asks for an annotated copy.
func (s *served) document(no string) api.LicenseDocument {
	s.t.Helper()
	q := question(no)
	q.Form = api.DocumentFormOfd
	answer, err := s.as("food-approval").Query(s.t.Context(), q)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer.Answer.Licenses[0].Document
}

// A time-stamping authority that is down costs its stamp and one bounded wait, not the document.
func TestStampingAuthorityDown(t *testing.T) {
	t.Parallel()
	c := newCity(t)
	asked := make(chan struct{}, 9)
	down := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked <- struct{}{}
		http.Error(w, "down", http.StatusServiceUnavailable)
	}))
	t.Cleanup(down.Close)
	c.Edit(config.MainFile, "keys:\n", "timestamp: {url: \""+down.URL+"\", wait: 1s}\nkeys:\n")
	s := c.serve()
	s.register("SP-1")
	if d := s.document("SP-1"); d.Content == "" || len(asked) != 1 {
		t.Errorf("asked %d times", len(asked))
	}
	if _, metrics := s.get("/metrics"); !strings.Contains(metrics, "oncegate_unstamped_originals_total 1\n") {
		t.Error("it is not counted")
	}
}

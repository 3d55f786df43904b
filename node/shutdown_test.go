package node

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"oncegate/api"
	"oncegate/client"
	"oncegate/config"
	"oncegate/install"
	"oncegate/install/installtest"
	"oncegate/tlog"
	"oncegate/verdict"
)

const slowSource = `
sources:
  - id: market-registration
    department: market
    deadline: 10s
    rest:
      base_url: BASE
      calls:
        - method: POST
          path: /find
          body: {code: "{holder_code}"}
          answer: {records: /list, not_found: [{empty: true}]}
          record:
            type: business-license
            number: /no
            issuer:
              name: {const: 示例市市场监督管理局}
              code: {const: 11379901MB99103773}
            issued: /issued
            status: {const: valid}
            holders: {code: /code, name: /name, type: {const: "001"}}
            fields: {legal_representative: /legal}
`

// TestShutdownFinishesWhatItTook shuts down while a call waits for its source: the call is answered, recorded and proven,
// nobody new gets in, and the log ends with its mark.
func TestShutdownFinishesWhatItTook(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan struct{}), make(chan struct{})
	legacy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			close(entered)
			<-leave
		}
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"list":[{"no":"L-1","code":"`+installtest.Company+`","name":"云川小面馆有限公司","legal":"甲乙","issued":"2024-03-01"}]}`)
	}))
	defer legacy.Close()
	c := newCity(t)
	if err := os.WriteFile(filepath.Join(c.Dir, "sources/market.yaml"), []byte(strings.Replace(slowSource, "BASE", legacy.URL, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	s := c.serve()
	s.register("SP-1")
	caller := s.as("food-approval")
	type outcome struct {
		answer *client.Answered[api.QueryAnswer]
		err    error
	}
	answered := make(chan outcome, 1)
	go func() {
		a, err := caller.Query(t.Context(), question("SP-1"))
		answered <- outcome{a, err}
	}()
	<-entered
	stopped := make(chan error, 1)
	go func() { stopped <- s.stop() }()
	deadline := time.Now().Add(5 * time.Second)
	for {
		conn, err := net.Dial("tcp", s.Addr())
		if err != nil {
			break // the listener is closed
		}
		conn.Close()
		if time.Now().After(deadline) {
			t.Fatal("the listener stays open")
		}
		time.Sleep(5 * time.Millisecond)
	}
	if code, body := s.get("/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "shutting down") {
		t.Errorf("readiness says %d %s", code, body)
	}
	select {
	case err := <-stopped:
		t.Fatalf("it stopped before the call was answered: %v", err)
	default:
	}
	close(leave)
	got := <-answered
	if got.err != nil || len(got.answer.Answer.Licenses) != 1 {
		t.Fatalf("the call got %+v", got)
	}
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	mark, err := tlog.ReadMark(filepath.Join(c.Dir, "mark/checkpoint"))
	if err != nil {
		t.Fatal(err)
	}
	last, err := tlog.ParseCheckpoint(mark)
	if err != nil || last.Size <= got.answer.Receipt.Index {
		t.Errorf("the mark is at %d, the call's record is %d", last.Size, got.answer.Receipt.Index)
	}
	if err := c.serve().stop(); err != nil {
		t.Errorf("it does not start again: %v", err)
	}
}

func TestAdminListener(t *testing.T) {
	t.Parallel()
	c := newCity(t)
	s := c.serve()
	s.register("SP-1")
	for path, want := range map[string]string{
		"/healthz": "ok", "/readyz": `"ready":true`, "/metrics": "oncegate_log_size", "/debug/pprof/": "goroutine",
	} {
		if code, body := s.get(path); code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d without %q", path, code, want)
		}
		res, err := http.Get(s.PublicURL() + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusNotFound {
			t.Errorf("the service answers %s with %d", path, res.StatusCode)
		}
	}
	_, metrics := s.get("/metrics")
	for _, want := range []string{`oncegate_calls_total{code="ok",operation="cases.register"} 1`, "oncegate_projection_records", "oncegate_certificate_expires_timestamp_seconds{key=\"acceptance-1\",system=\"acceptance\"}", "go_goroutines"} {
		if !strings.Contains(metrics, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
}

func TestHistoryIsNeverBegunTwice(t *testing.T) {
	t.Parallel()
	c := newCity(t)
	s := c.serve()
	s.register("SP-1")
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"oncegate.db", "oncegate.db-wal", "oncegate.db-shm"} {
		if err := os.Remove(filepath.Join(c.Dir, "data", name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	if _, err := Open(t.Context(), c.Main, Options{}); err == nil || !strings.Contains(err.Error(), "the database has no log, but the high-water mark") {
		t.Fatalf("with the database gone: %v", err)
	}
	// Not even by asking for it: the mark knows that there was one.
	if _, err := install.Prepare(t.Context(), c.Main, install.PrepareOptions{}); err == nil {
		if _, err := Open(t.Context(), c.Main, Options{}); err == nil {
			t.Fatal("a second history began")
		}
	}
}

func TestOldEvidenceIsErased(t *testing.T) {
	t.Parallel()
	c := newCity(t)
	c.Edit(config.MainFile, "\ndata:", "\nretention: {evidence: 1ns}\n\ndata:")
	s := c.serve()
	s.register("SP-1")
	answer, err := s.as("food-approval").Query(t.Context(), question("SP-1"))
	if err != nil {
		t.Fatal(err)
	}
	if e, err := s.auditor.Evidence(t.Context(), answer.Receipt.Index); err != nil || e.Request == nil || e.Operator != "window-3" {
		t.Fatalf("before: %+v, %v", e, err)
	}
	if err := s.eraseOld(t.Context()); err != nil {
		t.Fatal(err)
	}
	e, err := s.auditor.Evidence(t.Context(), answer.Receipt.Index)
	if err != nil || e.Request != nil || e.Operator != "" {
		t.Fatalf("after: %+v, %v", e, err)
	}
	if v := s.trusted().Verify(verdict.Artefact{Name: "a", Data: answer.Raw})[0]; v.Err() != nil {
		t.Errorf("the answer does not verify any more: %v", v.Err())
	}
}

package node

import (
	"crypto/ed25519"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	xnote "golang.org/x/mod/sumdb/note"

	"oncegate/api"
	"oncegate/certs/note"
	"oncegate/check"
	"oncegate/config"
	"oncegate/tlog"
	"oncegate/verdict"
	"oncegate/witness"
)

// witnesses starts a witness for each organisation and configures them. Of those in silent nobody answers.
func (c *city) witnesses(quorum int, both bool, organizations ...string) (silent []*atomic.Bool) {
	c.T.Helper()
	setup, _ := config.Load(c.Main, time.Now())
	trust, err := setup.TrustConfig(time.Now)
	if err != nil {
		c.T.Fatal(err)
	}
	key, err := note.Ed25519NoteVerifier(trust.Logs[0].Ed25519)
	if err != nil {
		c.T.Fatal(err)
	}
	text := fmt.Sprintf("witnesses:\n  quorum: %d\n  members:\n", quorum)
	for i, o := range organizations {
		log := witness.Log{Origin: setup.Log.Origin, Keys: []xnote.Verifier{key}}
		if both {
			log.Tiles = &tlog.Remote{Base: setup.Gateway.PublicURL + "/log"}
		}
		w, err := witness.Open(witness.Config{Name: fmt.Sprintf("w%d.example/witness", i), State: c.T.TempDir(), Logs: []witness.Log{log},
			Key: ed25519.NewKeyFromSeed([]byte(strings.Repeat(string(rune('a'+i)), 32)))})
		if err != nil {
			c.T.Fatal(err)
		}
		off := new(atomic.Bool)
		silent = append(silent, off)
		server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if off.Load() {
				http.Error(rw, "away", http.StatusServiceUnavailable)
				return
			}
			w.ServeHTTP(rw, r)
		}))
		c.T.Cleanup(server.Close)
		text += fmt.Sprintf("    - {organization: %s, key: %s, url: %q, both_trees: %v}\n", o, w.VKey(), server.URL, both)
	}
	c.Edit(config.MainFile, "trust:", text+"trust:")
	return silent
}

// receiptOf fetches the receipt of a record as an auditor, and verifies it with the trust that the gateway hands out.
func (s *served) receiptOf(index uint64) verdict.Verified {
	s.t.Helper()
	got, err := s.as("audit-office").RecordReceipt(s.t.Context(), index)
	if err != nil {
		s.t.Fatal(err)
	}
	data, err := json.Marshal(got.Answer.Receipt)
	if err != nil {
		s.t.Fatal(err)
	}
	v := s.trusted().Verify(verdict.Artefact{Data: data})[0]
	if v.Verdict != api.VerdictProven {
		s.t.Fatalf("%+v", v)
	}
	return v
}

// A gateway has its log co-signed by a quorum of organisations, and then hands out receipts under the witnessed checkpoint, which verifiers
// know by organisation, trees and time.
func TestWitnessed(t *testing.T) {
	t.Parallel()
	for _, both := range []bool{true, false} {
		c := newCity(t)
		silent := c.witnesses(2, both, "市审计局", "市档案馆", "省大数据局")
		s := c.serve()
		s.register("SP-1")
		answer, err := s.as("food-approval").Query(t.Context(), question("SP-1"))
		if err != nil {
			t.Fatal(err)
		}
		index := answer.Receipt.Index
		silent[0].Store(true)
		silent[1].Store(true)
		if err := s.AskWitnesses(t.Context()); err != nil {
			t.Fatal(err)
		}
		v := s.receiptOf(index)
		if q := v.Beside.Witnessed.Quorum; q == nil || q.Trees != "none" || q.Need != 2 || q.Of != 3 || check.Find(v.Steps, "witness-quorum").State != check.NotCheckable {
			t.Errorf("%+v", v)
		}
		silent[1].Store(false)
		if err := s.AskWitnesses(t.Context()); err != nil {
			t.Fatal(err)
		}
		v = s.receiptOf(index)
		q, trees := v.Beside.Witnessed.Quorum, map[bool]string{true: "both", false: "sha256"}[both]
		if string(q.Trees) != trees || strings.Join(q.By, " ") != "市档案馆 省大数据局" || time.Since(q.Time.Time) > time.Minute || (len(q.BothTrees) == 2) != both {
			t.Errorf("%+v", q)
		}
		for _, name := range []string{"witness-quorum", "witnessed-time"} {
			if step := check.Find(v.Steps, name); step.State != check.OK {
				t.Errorf("%+v", step)
			}
		}
		if f := found(t, s.Findings(t.Context()), "quorum", ""); f.State != HealthOK || f.Figure == "0" {
			t.Errorf("%+v", f)
		}
		if f := found(t, s.Findings(t.Context()), "witness", "w1.example/witness"); f.State != HealthOK {
			t.Errorf("%+v", f)
		}
		if code, text := s.get("/metrics"); code != http.StatusOK || !strings.Contains(text, `oncegate_cosignatures_total{result="refused",witness="w0.example/witness"} 2`) {
			t.Errorf("%d %s", code, text)
		}
		if log := s.logs.String(); strings.Count(log, "a witness does not co-sign the log") != 2 { // said once of each
			t.Error(log)
		}
		late, err := s.as("food-approval").Query(t.Context(), question("SP-1"))
		if err != nil {
			t.Fatal(err)
		}
		if q := s.receiptOf(late.Receipt.Index).Beside.Witnessed.Quorum; q.Trees != "none" {
			t.Errorf("a record beyond the witnessed size: %+v", q)
		}
	}
}

// A quorum that two histories could both find, a key of two organisations, and a policy without members are faults of the configuration.
func TestWitnessFaults(t *testing.T) {
	t.Parallel()
	c := newCity(t)
	c.witnesses(2, true, "A", "B", "C")
	for name, x := range map[string]struct{ from, to, want string }{
		"too small a quorum": {"quorum: 2", "quorum: 1", "lets two histories both find one: at least 2 are needed"},
		"too large a quorum": {"quorum: 2", "quorum: 4", "must be 1 to 3"},
		"two keys of one":    {"organization: C", "organization: B", ""},
		"no organisation":    {"organization: C", `organization: ""`, "say whose witness it is"},
		"no address":         {`url: "http`, `url: "ftp`, "is no address of a witness"},
		"a slip in a key":    {"key: w0.", "key: x0.", "key id is of another name"},
	} {
		c := c.copyOf(t)
		c.Edit(config.MainFile, x.from, x.to)
		_, faults := config.Load(c.Main, time.Now())
		if (len(faults.Fatal()) > 0) != (x.want != "") || x.want != "" && !strings.Contains(faults.Error(), x.want) {
			t.Errorf("%s: %v", name, faults)
		}
	}
	for name, keep := range map[string]int{"one key twice": 0, "two organisations": 1} {
		c := c.copyOf(t)
		setup, _ := config.Load(c.Main, time.Now())
		key := setup.WitnessKeys[keep]
		c.Edit(config.MainFile, setup.WitnessKeys[2], key)
		_, faults := config.Load(c.Main, time.Now())
		if !strings.Contains(faults.Error(), "it would count twice") {
			t.Errorf("%s: %v", name, faults)
		}
	}
}

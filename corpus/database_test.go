package corpus

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/config"
	"oncegate/install"
	"oncegate/tlog"
	"oncegate/verdict"
)

const (
	databaseFile = "data/oncegate.db"
	dumpFile     = "data/dump.sql" // plain SQL, without COPY
	dsnFile      = "dsn"
)

// TestSQLite opens a copy of each version's SQLite database with its own configuration and keystore.
func TestSQLite(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, v version) {
		dir := v.unpack(t, "city", "sqlite")
		file := filepath.Join(dir, "sqlite", filepath.FromSlash(databaseFile))
		v.wholeFile(t, "sqlite", file)
		stop := v.opens(t, "sqlite", dir)
		stop()
		v.wholeFile(t, "sqlite", file)
		v.tables(t, filepath.Join(dir, "sqlite", config.MainFile))
	})
}

// TestSQLiteWithoutSearch opens it without the file that audit search reads: it is made again.
func TestSQLiteWithoutSearch(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, v version) {
		dir := v.unpack(t, "city", "sqlite")
		if err := os.Remove(filepath.Join(dir, "sqlite", filepath.FromSlash(databaseFile+"-search"))); err != nil {
			t.Fatal(err)
		}
		s, _ := serve(t, v.onPorts(t, filepath.Join(dir, "sqlite", config.MainFile)), v.clock())
		v.finds(t, s, "sqlite")
	})
}

// TestPostgres loads each version's dump into a database of its own.
func TestPostgres(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, v version) {
		d := newDatabase(t)
		if d == nil {
			t.Skip("ONCEGATE_TEST_POSTGRES is not set")
		}
		dir := v.unpack(t, "city", "postgres")
		d.load(read(t, filepath.Join(dir, "postgres", filepath.FromSlash(dumpFile))))
		write(t, filepath.Join(dir, "postgres", dsnFile), []byte(d.url.String()))
		stop := v.opens(t, "postgres", dir)
		stop()
		v.tables(t, filepath.Join(dir, "postgres", config.MainFile))
	})
}

// tables verifies the tables against the log: rows from before records bound their changes were adopted, later rows are bound.
func (v version) tables(t *testing.T, main string) {
	t.Helper()
	state, err := install.VerifyState(t.Context(), main, install.StateOptions{Now: v.clock()})
	if err != nil {
		t.Fatal(err)
	}
	if state.Verdict() != api.VerdictProven {
		t.Errorf("%s: %+v %+v", state.Verdict(), state.Steps, state.Faults)
	}
	trusted := map[string]int{}
	for _, b := range state.Adopted {
		trusted[b.Table] = b.Rows
	}
	if !v.has(1) && !v.has(2) { // records bind their changes since schema 3
		if len(trusted) > 0 {
			t.Errorf("every record binds its changes, and rows are trusted: %v", trusted)
		}
		return
	}
	if trusted["cases"] == 0 || trusted["versions"] == 0 || trusted["policy_sets"] == 0 {
		t.Errorf("rows of before are not said to be trusted: %v", trusted)
	}
}

// wholeFile verifies the whole log in the file of a stopped node, without any key.
func (v version) wholeFile(t *testing.T, name, file string) {
	t.Helper()
	trust := v.trust(t, name)
	db, err := install.OpenLogFile(t.Context(), file, trust.Origins()[0])
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	head, err := db.Log().Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := trust.VerifyLog(t.Context(), db.Log(), head.Checkpoint, nil); err != nil {
		t.Error(err)
	}
}

// listening are the addresses that a configuration listens on.
var listening = regexp.MustCompile(`(?m)^(  (?:listen|admin): )\S+`)

// onPorts has a configuration listen on free ports.
func (v version) onPorts(t *testing.T, main string) string {
	t.Helper()
	text := read(t, main)
	if len(listening.FindAll(text, -1)) != 2 {
		t.Fatalf("%s does not say where it listens", main)
	}
	write(t, main, listening.ReplaceAll(text, []byte("${1}127.0.0.1:0")))
	return main
}

// opens serves from the folder of one engine's gateway, and checks it against the version's artefacts.
func (v version) opens(t *testing.T, name, dir string) (stop func()) {
	t.Helper()
	s, stop := serve(t, v.onPorts(t, filepath.Join(dir, name, config.MainFile)), v.clock())
	v.replays(t, s, name)
	size := v.whole(t, s, name)
	v.records(t, s, name, size)
	v.receipts(t, s, name)
	v.finds(t, s, name)
	v.licenses(t, s, name)
	s.appends(api.HolderID{Type: "001", Code: v.Unasked})
	if grown := v.whole(t, s, name); grown <= size {
		t.Errorf("the log has %d records and had %d", grown, size)
	}
	return stop
}

// replays makes a call again that was answered: it is known.
func (v version) replays(t *testing.T, s *site, name string) {
	t.Helper()
	call := v.set(t, name, "licenses.query")
	r, err := http.NewRequest(http.MethodPost, s.setup.Gateway.PublicURL+"/v1/licenses/query", bytes.NewReader(call["request.body"]))
	s.must(err)
	r.Header.Set("Authorization", "Bearer "+string(call["request.jwt"]))
	r.Header.Set("Content-Type", "application/json")
	res, err := s.wire.RoundTrip(r)
	s.must(err)
	defer res.Body.Close()
	var p api.Problem
	if s.must(json.NewDecoder(res.Body).Decode(&p)); p.Code != "token-replayed" {
		t.Errorf("a call that was answered is made again: %d %s", res.StatusCode, p.Code)
	}
}

// whole verifies the whole log, as an auditor reads it.
func (v version) whole(t *testing.T, s *site, name string) (size uint64) {
	t.Helper()
	log := s.as(auditor).Log()
	checkpoint, err := log.Checkpoint(t.Context())
	s.must(err)
	c, steps, err := v.trust(t, name).VerifyLog(t.Context(), log, checkpoint, nil)
	if err != nil {
		t.Fatalf("%v %+v", err, steps)
	}
	return c.Size
}

// records opens the evidence of every record, and verifies the receipt that the log gives for it today.
func (v version) records(t *testing.T, s *site, name string, size uint64) {
	t.Helper()
	audits := s.as(auditor)
	schemas := map[int]bool{}
	for index := range size {
		a, err := audits.RecordReceipt(t.Context(), index)
		if err != nil {
			t.Fatalf("receipt of record %d: %v", index, err)
		}
		data, err := json.Marshal(a.Answer.Receipt)
		s.must(err)
		receipt, err := tlog.ParseReceipt(data)
		s.must(err)
		record, err := audit.ParseRecord(receipt.Record)
		s.must(err)
		schemas[record.V] = true
		if found := s.trust.Verify(verdict.Artefact{Name: fmt.Sprint("record ", index), Data: data})[0]; found.Kind != verdict.Receipt || verdict.Failure(found.Steps) != nil {
			t.Errorf("%s (%s): %+v", found.Name, found.Kind, found.Steps)
		}
		if _, err := audits.Evidence(t.Context(), index, api.EvidenceRequest{Why: "corpus", Persons: true, Request: true}); err != nil {
			t.Errorf("evidence of record %d: %v", index, err)
		}
	}
	v.erased(t, s, name)
	for _, schema := range v.Schemas {
		if !schemas[schema] {
			t.Errorf("the log has no record of schema %d", schema)
		}
	}
}

// erased asks for the evidence that was erased by order: it is gone, and its absence is no damage.
func (v version) erased(t *testing.T, s *site, name string) {
	t.Helper()
	if !v.hasSet(name, "audit.erase") { // the first version erased nothing
		return
	}
	var was api.EraseAnswer
	v.answer(t, name, "audit.erase", &was)
	a, err := s.as(auditor).Evidence(t.Context(), uint64(was.Index), api.EvidenceRequest{Why: "corpus", Persons: true, Request: true})
	if s.must(err); len(was.Parts) == 0 || !slices.Equal(a.Answer.Erased, was.Parts) {
		t.Errorf("of record %d %v is erased, and %v was", was.Index, a.Answer.Erased, was.Parts)
	}
}

// receipts holds every receipt that was handed out against the log: the record is still the one of its index.
func (v version) receipts(t *testing.T, s *site, name string) {
	t.Helper()
	n := 0
	for _, set := range folders(t, v.path("artefacts", name)) {
		for file, data := range v.set(t, name, set) {
			var receipt tlog.Receipt
			var err error
			switch file {
			case "answer.json", "problem.json":
				_, receipt, err = audit.SplitAnswer(data)
			case "receipt.json":
				receipt, err = tlog.ParseReceipt(data)
			default:
				continue
			}
			s.must(err)
			a, err := s.as(auditor).RecordReceipt(t.Context(), receipt.Index)
			s.must(err)
			today, err := json.Marshal(a.Answer.Receipt)
			s.must(err)
			now, err := tlog.ParseReceipt(today)
			if s.must(err); !bytes.Equal(now.Record, receipt.Record) {
				t.Errorf("%s/%s: record %d is another one", set, file, receipt.Index)
			}
			n++
		}
	}
	if n == 0 {
		t.Error("no receipt was kept")
	}
}

// finds repeats the version's searches.
func (v version) finds(t *testing.T, s *site, name string) {
	t.Helper()
	var was api.SearchAnswer
	v.answer(t, name, "audit.search", &was)
	a, err := s.as(auditor).Search(t.Context(), api.SearchRequest{Case: foodCase})
	s.must(err)
	if len(was.Records) == 0 {
		t.Error("nothing had been found")
	}
	for _, r := range was.Records {
		if !slices.ContainsFunc(a.Answer.Records, func(now api.AuditRecord) bool { return now.Index == r.Index && now.Operation == r.Operation }) {
			t.Errorf("record %d, %s, is not found", r.Index, r.Operation)
		}
	}
}

// licenses asks for the license that was released: its status, the same signature, and the original behind the copy of it; and for
// one that was revoked, and by a consent that was given.
func (v version) licenses(t *testing.T, s *site, name string) {
	t.Helper()
	ctx := t.Context()
	var was api.QueryAnswer
	v.answer(t, name, "licenses.query", &was)
	l, purpose := was.Licenses[0], api.Purpose{Case: foodCase, Material: businessType}
	status, err := s.as(food).Status(ctx, api.StatusRequest{Identifier: l.Identifier, Purpose: purpose})
	if s.must(err); status.Answer.Status != l.Status {
		t.Errorf("status %s, was %s", status.Answer.Status, l.Status)
	}
	var call api.QueryRequest
	s.must(json.Unmarshal(v.set(t, name, "licenses.query")["request.body"], &call))
	call.Form = api.DocumentFormOfd
	again, err := s.as(food).Query(ctx, call)
	s.must(err)
	now := again.Answer.Licenses[0]
	signed, _, _ := strings.Cut(l.License, "~")
	if today, _, _ := strings.Cut(now.License, "~"); today != signed {
		t.Error("the license is signed anew")
	}
	if v.hasSet(name, "licenses.query-ofd") {
		var copied api.QueryAnswer
		v.answer(t, name, "licenses.query-ofd", &copied)
		if was := copied.Licenses[0].Document.OriginalSM3; was == "" || now.Document.OriginalSM3 != was {
			t.Errorf("the copy is of the original %q, was of %q", now.Document.OriginalSM3, was)
		}
	}
	var order api.OrderRequest
	s.must(json.Unmarshal(v.set(t, name, "licenses.order-revoke")["request.body"], &order))
	list, err := s.as(steward).List(ctx, api.ListRequest{Identifier: order.Identifier})
	if s.must(err); len(list.Answer.Licenses) == 0 || list.Answer.Licenses[0].Status != "revoked" {
		t.Errorf("a license that was revoked: %+v", list.Answer.Licenses)
	}
	portal := s.as("citizen-portal")
	var given api.ConsentRequest
	s.must(json.Unmarshal(v.set(t, name, "consents.give")["request.body"], &given))
	if _, err := portal.Precheck(ctx, api.PrecheckRequest{Consent: given.ID, Holder: given.Holder, Matter: foodMatter}); err != nil {
		t.Errorf("by a consent that was given: %v", err)
	}
	p, is := errors.AsType[*api.Problem](discard(portal.Precheck(ctx, api.PrecheckRequest{Consent: "consent-2", Holder: given.Holder, Matter: foodMatter})))
	if !is || p.Code != "consent-not-usable" {
		t.Errorf("by a consent that was withdrawn: %+v", p)
	}
}

// appends registers a case and asks for a company's license that was never requested before.
func (s *site) appends(c api.HolderID) {
	s.t.Helper()
	ctx, no := s.t.Context(), "SP-2026-999999"
	_, err := s.as(acceptance).RegisterCase(ctx, api.CaseRequest{No: no, Matter: foodMatter, Attestation: "platform", Accepted: api.At(s.now()), Parties: []api.Party{{Role: "applicant", Holder: c}}})
	s.must(err)
	a, err := s.as(food).Query(ctx, api.QueryRequest{LicenseType: businessType, Holder: c, Purpose: api.Purpose{Case: no, Material: businessType}})
	s.must(err)
	for _, v := range s.trust.Verify(verdict.Artefact{Name: "answer", Data: a.Raw}, verdict.Artefact{Name: "license", Data: []byte(a.Answer.Licenses[0].License)}) {
		if err := verdict.Failure(v.Steps); err != nil {
			s.t.Errorf("a new %s: %v", v.Name, err)
		}
	}
}

// set are the files of a set of artefacts.
func (v version) set(t *testing.T, name, set string) map[string][]byte {
	t.Helper()
	return files(t, v.path("artefacts", name, set))
}

func (v version) hasSet(name, set string) bool {
	_, err := os.Stat(v.path("artefacts", name, set))
	return err == nil
}

// answer reads the answer of a set.
func (v version) answer(t *testing.T, name, set string, answer any) {
	t.Helper()
	envelope := struct {
		Answer any `json:"answer"`
	}{answer}
	if err := json.Unmarshal(v.set(t, name, set)["answer.json"], &envelope); err != nil {
		t.Fatalf("%s: %v", set, err)
	}
}

// A database is one of a test's own on the PostgreSQL that ONCEGATE_TEST_POSTGRES names.
type database struct {
	t   *testing.T
	url *url.URL
}

// newDatabase makes an empty database; nil where there is no server.
func newDatabase(t *testing.T) *database {
	t.Helper()
	text := os.Getenv("ONCEGATE_TEST_POSTGRES")
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal("ONCEGATE_TEST_POSTGRES is no URL")
	}
	admin, err := sql.Open("pgx", text)
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("corpus_%d_%d", os.Getpid(), time.Now().UnixNano())
	do := func(statement string) {
		t.Helper()
		if _, err := admin.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	do("CREATE DATABASE " + name)
	t.Cleanup(func() {
		do("DROP DATABASE " + name + " WITH (FORCE)")
		admin.Close()
	})
	own := *u
	own.Path = "/" + name
	return &database{t, &own}
}

// load runs a dump, many statements in one text.
func (d *database) load(dump []byte) {
	d.t.Helper()
	u := *d.url
	q := u.Query()
	q.Set("default_query_exec_mode", "simple_protocol")
	u.RawQuery = q.Encode()
	db, err := sql.Open("pgx", u.String())
	if err != nil {
		d.t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(context.Background(), string(dump)); err != nil {
		d.t.Fatal(err)
	}
}

package store

import (
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"oncegate/audit"
	"oncegate/canonical"
	"oncegate/cases"
	"oncegate/license"
	"oncegate/register"
	"oncegate/store/sqldb"
	"oncegate/tlog"
	"oncegate/tlog/tlogtest"
)

// A sqlTable is a table as the database describes it, with its rows as they are and as they were before they last changed.
type sqlTable struct {
	name       string
	columns    []string
	nullable   []bool
	key        []int  // of the columns
	copy       string // a table with the rows as they are
	now, older [][]any
}

// keyOf names a row.
func (s *sqlTable) keyOf(row []any) string {
	var b strings.Builder
	for _, i := range s.key {
		fmt.Fprintf(&b, "%v/", row[i])
	}
	return b.String()
}

// was is the row as it stood before its last change; nil if it did not change.
func (s *sqlTable) was(row []any) []any {
	for _, old := range s.older {
		if s.keyOf(old) == s.keyOf(row) && !slices.EqualFunc(old, row, same) {
			return old
		}
	}
	return nil
}

func same(a, b any) bool { return fmt.Sprintf("%T%v", a, a) == fmt.Sprintf("%T%v", b, b) }

// A ground is a database with everything in it, and a way to write it past its program.
type ground struct {
	engine engine
	config Config
	keys   tlogtest.Keys
	mark   string  // the high-water mark
	raw    *sql.DB // somebody who has no key
	tables []*sqlTable
	base   *DB // over which rigs are made
}

// A rig is a process that has just begun: it knows the log's head, and remembers no row.
type rig struct {
	db       *DB
	log      *tlog.Log
	auditor  *audit.Auditor
	recorder *audit.Recorder
	trust    tlog.Trust
}

// groundRecords is how many records there are at least: a full tile in each tree, and some more.
const groundRecords = tlog.TileWidth + 4

// groundVictim is a record whose evidence was erased; it and the two behind it are altered.
const groundVictim = 240

const oldOrigin = "store.example/before"

// at is a moment of what the ground has.
func at(hours int) time.Time { return accepted.Add(time.Duration(hours) * time.Hour) }

func groundVersion(n, list, slot int) register.Version {
	return register.Version{
		Subject: [32]byte{byte(n)}, Type: fmt.Sprint("type-", n%2), Issuer: fmt.Sprint("issuer-", n), Serial: fmt.Sprint("serial-", n), Number: 1, Identifier: fmt.Sprint("id-", n),
		Content: [32]byte{byte(n), 1}, JWT: fmt.Sprint("jwt-", n), KeyID: fmt.Sprint("key-", n), Signed: at(n), Status: license.Valid, Stated: license.Valid, StatusAt: at(n),
		List: fmt.Sprint("list-", list), Slot: slot,
	}
}

// groundVersions is how many first versions there are.
const groundVersions = 9

// groundList is the list of a version: two have several, the third one.
func groundList(n int) int {
	if n == 8 {
		return 2
	}
	return n % 2
}

// groundSessions is when the console's sessions expire: they are judged by the clock.
var groundSessions = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)

func groundCase(n int) cases.Case {
	return cases.Case{
		No: fmt.Sprint("C-", n), Matter: fmt.Sprint("matter-", n), Parts: []cases.Part{{Matter: fmt.Sprint("part-", n)}}, Registrar: fmt.Sprint("registrar-", n),
		Attestation: []cases.Attestation{cases.Platform, cases.Self}[n%2], Parties: []cases.Party{{Role: cases.Applicant, Holder: holder(n)}},
		Accepted: at(n), Registered: at(n + 1), Revision: 1 + n%2,
	}
}

func holder(n int) license.HolderID {
	return license.HolderID{Type: "111", Code: fmt.Sprint("holder-", n)}
}

func groundConsent(n int) cases.Consent {
	return cases.Consent{
		ID: fmt.Sprint("k-", n), Holder: holder(n), System: fmt.Sprint("system-", n%2), Types: []string{fmt.Sprint("type-", n)}, Matters: []string{fmt.Sprint("matter-", n)},
		Expires: at(100 + n), Evidence: []string{"holder", "identity-service"}[n%2], Digest: fmt.Sprint("d-", n), Given: at(n),
	}
}

func groundFiling(n int) cases.File {
	content := fmt.Append(nil, "file ", n)
	return cases.File{Content: content, R: [32]byte{1}, Filing: cases.Filing{
		ID: fmt.Sprint("f-", n), Type: fmt.Sprint("type-", n%2), Holder: holder(n % 4), Case: fmt.Sprint("C-", n%4), Matter: fmt.Sprint("matter-", n), Material: fmt.Sprint("material-", n),
		Department: fmt.Sprint("department-", n), System: fmt.Sprint("window-", n), Verifier: fmt.Sprint("clerk-", n), Proof: []string{"asserted", "session"}[n%2], Verification: fmt.Sprint("seen-", n),
		Level: []string{"A", "B"}[n%2], Digest: canonical.Digest(tlogtest.NewHash, content), Media: []string{"application/pdf", "image/png"}[n%2], Size: len(content), Filed: at(n), Until: license.Date(fmt.Sprint("2027-01-1", n)), Keep: at(1000 + n),
	}}
}

// registrar is the register over a store, at a moment.
func registrar(t *testing.T, db *DB, hours int) *register.Register {
	r, err := register.New(register.Config{
		Storage: db.Register(), Issuer: struct{ register.Issuer }{}, Sealer: db.config.Sealer, Catalogue: &license.Catalogue{}, NewSM3: tlogtest.NewHash, Key: make([]byte, 32), Origin: origin,
		BaseURL: "https://store.example", Originals: time.Duration(2+hours) * time.Hour, Now: func() time.Time { return at(hours) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func groundQuestion(n int) license.Question {
	return license.Question{Type: fmt.Sprint("type-", n), Holder: holder(n)}
}

// keepCopy is the change that keeps what a source said of a license.
func keepCopy(t *testing.T, db *DB, n, hours int) any {
	said := license.Finding{State: license.IsFound, Source: "source", AsOf: at(hours), Records: []license.License{{Number: fmt.Sprint(n, "-", hours)}}}
	changes, err := registrar(t, db, hours).KeepCopy(t.Context(), groundQuestion(n), said, time.Duration(50+n)*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return changes[0]
}

// original is the original of a version, and the change that keeps it where there is none.
func original(ctx context.Context, t *testing.T, db *DB, n, hours int) (any, []any, error) {
	r := registrar(t, db, hours)
	o, changes, err := r.Original(ctx, groundVersion(n, 0, 0), func(context.Context) ([]byte, error) { return fmt.Append(nil, "document ", n, hours), nil })
	if err != nil {
		return nil, nil, err
	}
	document, err := r.OpenOriginal(o)
	return []any{string(document), o.Digest, o.Made, o.Expires}, changes, err
}

func newOriginal(t *testing.T, db *DB, n, hours int) any {
	_, changes, err := original(t.Context(), t, db, n, hours)
	if err != nil || len(changes) != 1 {
		t.Fatal(changes, err)
	}
	return changes[0]
}

func groundReceived(n, i int) cases.Received {
	return cases.Received{Case: fmt.Sprint("C-", n), Matter: fmt.Sprint("matter-", i), Material: fmt.Sprint("material-", i), How: []string{"uploaded", "promised"}[i%2], Digest: fmt.Sprint("r-", i), By: fmt.Sprint("window-", i), At: at(i)}
}

// newGround makes a database in which every table has rows, through the ways by which a gateway does. wrap is for the connections of its rigs.
func newGround(t *testing.T, e engine, wrap sqldb.Wrapper) *ground {
	g := &ground{engine: e, config: e.fresh(t), keys: tlogtest.NewKeys(t, origin), mark: filepath.Join(t.TempDir(), "mark")}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	g.config.Recover = true
	before := g.config
	before.Log = oldOrigin
	g.fill(t, before, tlogtest.NewKeys(t, oldOrigin), func(r *rig) {
		for n := range 3 {
			g.record(t, r, n, cases.Register{Case: groundCase(20 + n), R: [32]byte{1}})
		}
		g.follow(t, r)
	})
	g.fill(t, g.config, g.keys, func(r *rig) {
		for n := range 4 {
			g.record(t, r, n, cases.Register{Case: groundCase(n), R: [32]byte{1}}, cases.Give{Consent: groundConsent(n), R: [32]byte{1}})
			g.record(t, r, n, cases.Represent{Representative: cases.Representative{Case: fmt.Sprint("C-", n%2), Kind: cases.Agent, Person: license.HolderID{Type: "111", Code: fmt.Sprint("came-", n)}, Mandate: fmt.Sprint("d-", n), By: "window", At: at(n)}, R: [32]byte{1}}, cases.Receive{Received: groundReceived(n%2, n)}, cases.Receive{Received: groundReceived(n%2, n+4)})
			g.record(t, r, n, cases.Issue{Result: aResult(fmt.Sprint("C-", n%2), fmt.Sprint("holder-", n), fmt.Sprint("number-", n)), R: [32]byte{1}})
			g.record(t, r, n, groundFiling(n), groundFiling(n+4))
			g.record(t, r, n, aHandOver(fmt.Sprint("C-", n%2), fmt.Sprint("package ", n)))
			_, err := r.recorder.Activate(t.Context(), []audit.File{{Path: fmt.Sprint("grants-", n), Data: []byte{byte(n)}}})
			must(err)
		}
		g.record(t, r, 0, register.Issue{Version: groundVersion(0, 0, 0)}, register.Issue{Version: groundVersion(1, 1, 1)})
		for n := range groundVersions {
			if n > 1 {
				g.record(t, r, n, register.Issue{Version: groundVersion(n, groundList(n), n)})
			}
			g.record(t, r, n, newOriginal(t, r.db, n, n%3), keepCopy(t, r.db, n, n))
		}
		second := groundVersion(3, 1, 60)
		second.Identifier, second.Number = "id-3b", 2
		g.record(t, r, 2, register.Issue{Version: second, Supersedes: "id-3"})
		g.record(t, r, 1, register.SetStatus{Identifier: "id-6", From: license.Valid, To: license.Suspended, At: at(3)}, register.SetStatus{Identifier: "id-7", From: license.Valid, To: license.Revoked, At: at(4)})
		must(r.log.Cosign(t.Context(), r.log.Known()))
		head, err := r.db.Log().Head(t.Context())
		must(err)
		for n := range groundRecords - int(head.Size) {
			g.recordCall(t, r, n, fmt.Sprint("call-", n), at(n%7-3)) // some are purged
		}
		must(r.log.Cosign(t.Context(), r.log.Known()))
		must(r.db.Audit().Purge(t.Context(), at(-2)))
		g.follow(t, r)
		for n := range 3 {
			id := [32]byte{byte(n)}
			must(r.db.Console().AddSession(t.Context(), id, [32]byte{}, fmt.Append(nil, "session ", n), at(1000+n)))
			must(r.db.Console().Keep(t.Context(), id, [32]byte{1}, fmt.Append(nil, "reply ", n), at(1000+n)))
			_, err := r.db.Console().Claim(t.Context(), [32]byte{9}, id, at(1000))
			must(err)
		}
	})
	g.openRaw(t)
	for _, s := range g.tables {
		s.older = g.rows(t, s)
	}
	must(g.raw.Close())
	g.fill(t, g.config, g.keys, func(r *rig) {
		g.record(t, r, 1, cases.Close{No: "C-0", Revision: 1, At: at(6)}, cases.Withdraw{ID: "k-0", At: at(6)})
		g.record(t, r, 1, cases.Unfile{ID: "f-0", By: cases.WithdrawnByHolder, At: at(6)}, cases.EraseFile{ID: "f-5", At: at(6)})
		g.record(t, r, 1, aHandOver("C-0", "package of a closed case"))
		g.record(t, r, 2, register.SetStatus{Identifier: "id-0", From: license.Valid, To: license.Revoked, At: at(6)}, register.Order{Identifier: "id-1", To: license.Suspended, At: at(6)})
		g.record(t, r, 3, keepCopy(t, r.db, 0, 9), newOriginal(t, r.db, 0, 9))
		_, err := r.db.Console().ReplaceSession(t.Context(), [32]byte{1}, 1, []byte("session 1, used"), at(1001))
		must(err)
		must(r.db.Console().Keep(t.Context(), [32]byte{1}, [32]byte{1}, []byte("a newer reply"), at(1001)))
		first, err := r.log.Cosigned(t.Context(), 0)
		must(err)
		text, _, _ := strings.Cut(first.Note, "\n\n")
		must(r.log.Cosign(t.Context(), first.Note+tlogtest.Line(t, tlogtest.NewKeys(t, "witness").Ed25519, text+"\n")))
		index := uint64(groundVictim)
		order, err := r.recorder.RecordOwn(t.Context(), audit.Own{Operation: audit.OperationErase, Policy: groundPolicy, Erase: &audit.Order{Index: &index}})
		must(err)
		must(r.auditor.Erase(t.Context(), order.Index))
		must(r.db.Audit().Purge(t.Context(), at(-1)))
		g.record(t, r, 5)
		g.follow(t, r)
	})
	g.openRaw(t)
	for _, s := range g.tables {
		s.now = g.rows(t, s)
		if len(s.now) == 0 {
			t.Fatalf("table %s has no rows", s.name)
		}
	}
	g.base = mustOpenWith(t, g.config, wrap)
	if g.engine.name == SQLite { // the start is tried beside it, with a lock file of its own
		must(os.Remove(g.base.engine.Path() + ".lock"))
	}
	return g
}

var groundPolicy = strings.Repeat("A", 43)

// fill opens a log, makes it where it is not there, and lets do write.
func (g *ground) fill(t *testing.T, c Config, keys tlogtest.Keys, do func(r *rig)) {
	t.Helper()
	db, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if err := tlog.Create(t.Context(), keys.Config(db.Log())); err != nil && !errors.Is(err, fs.ErrExist) {
		t.Fatal(err)
	}
	mark := ""
	if c.Log == origin {
		mark = g.mark
	}
	r, err := rigOn(t, db, keys, mark)
	if err != nil {
		t.Fatal(err)
	}
	do(r)
	if err := errors.Join(r.log.Close(t.Context()), db.Close()); err != nil {
		t.Fatal(err)
	}
}

// record leaves the record of a call with changes.
func (g *ground) record(t *testing.T, r *rig, n int, changes ...any) {
	t.Helper()
	g.recordCall(t, r, n, timeOrdered(), at(30), changes...)
}

// recordCall leaves the record of a call with an id that expires.
func (g *ground) recordCall(t *testing.T, r *rig, n int, jti string, expires time.Time, changes ...any) {
	t.Helper()
	use := func(i int) audit.Use {
		return audit.Use{
			Person: holder(i % 3), Material: fmt.Sprint("material-", i%3), Matter: fmt.Sprint("matter-", i%4), Case: fmt.Sprint("C-", i%4), LicenseType: fmt.Sprint("type-", i%5),
			Decision: []string{"met", "missing"}[i%2], Need: []int{1, 3}[i%2], Rules: []string{"r"}, Fields: []string{"name"},
		}
	}
	if _, err := r.recorder.Record(t.Context(), audit.Draft{
		Operation: fmt.Sprint("licenses.op", n%3), System: fmt.Sprint("system-", n%2), Operator: fmt.Sprint("clerk-", n%3), RequestID: fmt.Sprint("request-", n), Policy: groundPolicy, Time: at(n % 5),
		Token: fmt.Sprint("token-", n), Body: []byte(`{}`), Answer: []byte(`{}`), Inputs: map[string]any{"n": n}, Uses: []audit.Use{use(n), use(n + 1)},
		Claim: &audit.Claim{System: fmt.Sprint("system-", n%2), JTI: jti, Exp: expires}, Changes: changes,
	}); err != nil {
		t.Error(err)
	}
}

func (g *ground) follow(t *testing.T, r *rig) {
	t.Helper()
	for {
		covered, size, err := r.db.Audit().Follow(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if covered == size {
			return
		}
	}
}

func rigOn(t *testing.T, db *DB, keys tlogtest.Keys, mark string) (*rig, error) {
	config := keys.Config(db.Log())
	config.Poll, config.Mark, config.Patience, config.Logger = 5*time.Millisecond, mark, 50*time.Millisecond, slog.New(slog.DiscardHandler)
	log, err := tlog.Open(t.Context(), config)
	if err != nil {
		return nil, err
	}
	r := &rig{db: db, log: log, trust: keys.Trust}
	auditing := audit.Config{Self: "gateway", Log: log, View: log.View, Storage: db.Audit(), Sealer: db.config.Sealer, NewSM3: tlogtest.NewHash, IndexKeys: [][]byte{make([]byte, 32)}}
	if r.auditor, err = audit.NewAuditor(auditing); err == nil {
		r.recorder, err = audit.NewRecorder(auditing)
	}
	return r, err
}

// rig makes a process over the connections of base.
func (g *ground) rig(t *testing.T) *rig {
	t.Helper()
	db := g.process()
	r, err := rigOn(t, db, g.keys, "")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// openRaw opens the database past its program, with a copy of every table beside it.
func (g *ground) openRaw(t *testing.T) {
	t.Helper()
	var err error
	if g.engine.name == SQLite {
		dir := t.TempDir()
		for _, name := range []string{"", "-search"} {
			data, err := os.ReadFile(g.config.Path + name)
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, "copy"+name), data, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if g.raw, err = sql.Open("sqlite", "file:"+(&url.URL{Path: g.config.Path}).EscapedPath()+"?_pragma=busy_timeout(5000)&_pragma=ignore_check_constraints(1)&_pragma=synchronous(0)"); err != nil {
			t.Fatal(err)
		}
		g.raw.SetMaxOpenConns(1)
		g.exec(t, "ATTACH ? AS beside", g.config.Path+"-search") // first: its tables are meant where no schema is named
		g.exec(t, "ATTACH ? AS kept", filepath.Join(dir, "copy"))
		g.exec(t, "ATTACH ? AS keptbeside", filepath.Join(dir, "copy-search"))
		g.exec(t, "PRAGMA beside.synchronous = 0")
	} else {
		if g.raw, err = sql.Open("pgx", g.config.DSN); err != nil {
			t.Fatal(err)
		}
		g.raw.SetMaxOpenConns(1)
		g.exec(t, "SET session_replication_role = replica")
		g.exec(t, "SET synchronous_commit = off")
	}
	t.Cleanup(func() { g.raw.Close() })
	g.describe(t)
}

// describe reads the schema.
func (g *ground) describe(t *testing.T) {
	t.Helper()
	tables, before := map[string]*sqlTable{}, map[string][][]any{}
	for _, s := range g.tables {
		before[s.name] = s.older
	}
	g.tables = nil
	add := func(name, column string, nullable bool, key int64) {
		s := tables[name]
		if s == nil {
			s = &sqlTable{name: name, older: before[name]}
			tables[name], g.tables = s, append(g.tables, s)
		}
		if key > 0 {
			s.key = append(s.key, len(s.columns))
		}
		s.columns, s.nullable = append(s.columns, column), append(s.nullable, nullable)
	}
	if g.engine.name == SQLite {
		for schema, kept := range map[string]string{"main": "kept", "beside": "keptbeside"} {
			for _, row := range g.query(t, `SELECT m.name, c.name, c."notnull", c.pk FROM `+schema+`.sqlite_master m, pragma_table_info(m.name, '`+schema+`') c WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY m.name, c.cid`) {
				add(row[0].(string), row[1].(string), row[2].(int64) == 0 && row[3].(int64) == 0, row[3].(int64))
				tables[row[0].(string)].copy = kept + "." + row[0].(string)
			}
		}
	} else {
		for _, row := range g.query(t, `SELECT c.table_name::text, c.column_name::text, c.is_nullable = 'YES',
			coalesce((SELECT 1 FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
				WHERE i.indisprimary AND i.indrelid = c.table_name::regclass AND a.attname = c.column_name), 0)::bigint
			FROM information_schema.columns c WHERE c.table_schema = current_schema() ORDER BY c.table_name, c.ordinal_position`) {
			if name := row[0].(string); !strings.HasPrefix(name, "kept_") {
				add(name, row[1].(string), row[2].(bool), row[3].(int64))
			}
		}
		for _, row := range g.query(t, "SELECT conrelid::regclass::text, conname::text FROM pg_constraint WHERE contype = 'c' AND connamespace = current_schema()::regnamespace") {
			g.exec(t, "ALTER TABLE "+row[0].(string)+" DROP CONSTRAINT "+row[1].(string)) // it would stop nobody who owns the table
		}
		for _, s := range g.tables {
			s.copy = "kept_" + s.name
			g.exec(t, "DROP TABLE IF EXISTS "+s.copy)
			g.exec(t, "CREATE TABLE "+s.copy+" AS TABLE "+s.name)
		}
	}
	slices.SortFunc(g.tables, func(a, b *sqlTable) int { return cmp.Compare(a.name, b.name) })
}

func (g *ground) text(text string) string {
	if g.engine.name == SQLite {
		return text
	}
	n := 0
	return regexp.MustCompile(`\?`).ReplaceAllStringFunc(text, func(string) string { n++; return fmt.Sprint("$", n) })
}

func (g *ground) exec(t *testing.T, text string, args ...any) {
	t.Helper()
	if _, err := g.raw.Exec(g.text(text), args...); err != nil {
		t.Fatal(text, err)
	}
}

func (g *ground) query(t *testing.T, text string, args ...any) (all [][]any) {
	t.Helper()
	rows, err := g.raw.Query(g.text(text), args...)
	if err != nil {
		t.Fatal(text, err)
	}
	if err := sqldb.ScanAll(rows, func(rows *sql.Rows) error {
		columns, err := rows.Columns()
		if err != nil {
			return err
		}
		row, dest := make([]any, len(columns)), make([]any, len(columns))
		for i := range row {
			dest[i] = &row[i]
		}
		err = rows.Scan(dest...)
		all = append(all, row)
		return err
	}); err != nil {
		t.Fatal(text, err)
	}
	return all
}

// batches are the ids of the batches that are altered.
func (g *ground) batches() (ids [][16]byte) {
	for _, s := range g.tables {
		if s.name == "batches" {
			for _, row := range s.now[:2] {
				ids = append(ids, [16]byte(row[slices.Index(s.columns, "id")].([]byte)))
			}
		}
	}
	return ids
}

// rows are a table's, in the order of their keys.
func (g *ground) rows(t *testing.T, s *sqlTable) [][]any {
	t.Helper()
	all := g.query(t, "SELECT * FROM "+s.name)
	slices.SortFunc(all, func(a, b []any) int { return cmp.Compare(s.keyOf(a), s.keyOf(b)) })
	return all
}

// restore makes all tables as they were left.
func (g *ground) restore(t *testing.T) {
	t.Helper()
	tx, err := g.raw.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	for _, s := range g.tables {
		var key []string
		for _, i := range s.key {
			key = append(key, s.columns[i])
		}
		of := strings.Join(key, ", ")
		for _, text := range []string{ // most rows stand as they were
			"DELETE FROM " + s.name + " WHERE (" + of + ") IN (SELECT " + of + " FROM (SELECT * FROM " + s.name + " EXCEPT SELECT * FROM " + s.copy + ") AS altered)",
			"INSERT INTO " + s.name + " SELECT * FROM " + s.copy + " EXCEPT SELECT * FROM " + s.name,
		} {
			if _, err := tx.Exec(text); err != nil {
				t.Fatal(text, err)
			}
		}
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
}

// An edit takes rows out of a table and puts others in.
type edit struct {
	table    *sqlTable
	out, put [][]any
}

func (e edit) reverse() edit { return edit{e.table, e.put, e.out} }

// apply makes an edit. The error says that the database itself cannot hold it.
func (g *ground) apply(t *testing.T, e edit) error {
	t.Helper()
	tx, err := g.raw.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	where := ""
	for n, i := range e.table.key {
		if n > 0 {
			where += " AND "
		}
		where += e.table.columns[i] + " = ?"
	}
	for _, row := range e.out {
		var key []any
		for _, i := range e.table.key {
			key = append(key, row[i])
		}
		if _, err := tx.Exec(g.text("DELETE FROM "+e.table.name+" WHERE "+where), key...); err != nil {
			t.Fatal(e.table.name, err)
		}
	}
	for _, row := range e.put {
		if _, err := tx.Exec(g.text("INSERT INTO "+e.table.name+" VALUES ("+sqldb.Marks(len(row))+")"), row...); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// keptOriginal is the original that is kept of a version, as it opens.
func keptOriginal(ctx context.Context, t *testing.T, db *DB, n, hours int) (any, error) {
	o, changes, err := original(ctx, t, db, n, hours)
	if len(changes) > 0 {
		return nil, fs.ErrNotExist
	}
	return o, err
}

// A question is one that answers rest on, and to which tables.
type question struct {
	tables string
	ask    func(ctx context.Context, r *rig) (any, error)
}

// questions are all ways to read.
func questions(t *testing.T, batches [][16]byte) map[string]question {
	q := map[string]question{}
	add := func(name, tables string, ask func(ctx context.Context, r *rig) (any, error)) {
		q[name] = question{tables, ask}
	}
	for n := range 4 {
		no, id := fmt.Sprint("C-", n), fmt.Sprint("k-", n)
		add("case "+no, "cases", func(ctx context.Context, r *rig) (any, error) { return r.db.Cases().Case(ctx, no) })
		add("received "+no, "case_received", func(ctx context.Context, r *rig) (any, error) { return r.db.Cases().Received(ctx, no) })
		add("hand-overs of "+no, "case_received", func(ctx context.Context, r *rig) (any, error) { return r.db.Cases().HandOvers(ctx, no) })
		add(fmt.Sprint("cases of registrar-", n), "cases", func(ctx context.Context, r *rig) (any, error) {
			return r.db.Cases().Registered(ctx, cases.Filter{Registrar: fmt.Sprint("registrar-", n), Limit: 9})
		})
		add(fmt.Sprint("cases handled by window-", n), "cases case_received", func(ctx context.Context, r *rig) (any, error) {
			return r.db.Cases().Registered(ctx, cases.Filter{Registrar: fmt.Sprint("window-", n), Handled: true, Limit: 9})
		})
		add(fmt.Sprint("results of holder-", n), "case_received", func(ctx context.Context, r *rig) (any, error) {
			return r.db.Cases().Results(ctx, "permit", license.HolderID{Type: "111", Code: fmt.Sprint("holder-", n)})
		})
		filing := fmt.Sprint("f-", n)
		add("filing "+filing, "filings", func(ctx context.Context, r *rig) (any, error) { return r.db.Cases().Filing(ctx, filing) })
		add("filings of "+filing, "filings", func(ctx context.Context, r *rig) (any, error) {
			return r.db.Cases().Filings(ctx, fmt.Sprint("type-", n%2), holder(n), 9)
		})
		add("file of "+filing, "filings filed_files", func(ctx context.Context, r *rig) (any, error) { return r.db.Cases().FiledFile(ctx, filing) })
		add("consent "+id, "consents", func(ctx context.Context, r *rig) (any, error) { return r.db.Cases().Consent(ctx, id) })
		add("consents of "+id, "consents", func(ctx context.Context, r *rig) (any, error) {
			return r.db.Cases().Consents(ctx, holder(n), fmt.Sprint("system-", n%2))
		})
		add(fmt.Sprint("policy ", n), "policy_sets", func(ctx context.Context, r *rig) (any, error) {
			digest, err := canonical.FilesDigest(tlogtest.NewHash, []audit.File{{Path: fmt.Sprint("grants-", n), Data: []byte{byte(n)}}})
			if err != nil {
				return nil, err
			}
			return r.db.Audit().PolicySet(ctx, digest)
		})
		add(fmt.Sprint("case before ", n), "cases", func(ctx context.Context, r *rig) (any, error) {
			if n == 3 {
				return nil, nil
			}
			return r.db.Cases().Case(ctx, fmt.Sprint("C-", 20+n))
		})
	}
	for n := range groundVersions {
		identifier := fmt.Sprint("id-", n)
		add("latest of "+identifier, "versions", func(ctx context.Context, r *rig) (any, error) { return r.db.Register().Latest(ctx, [32]byte{byte(n)}) })
		add("version "+identifier, "versions", func(ctx context.Context, r *rig) (any, error) { return r.db.Register().ByIdentifier(ctx, identifier) })
		add(fmt.Sprint("version in slot ", n), "versions", func(ctx context.Context, r *rig) (any, error) {
			return r.db.Register().At(ctx, fmt.Sprint("list-", groundList(n)), n)
		})
		add(fmt.Sprint("copy ", n), "snapshots", func(ctx context.Context, r *rig) (any, error) {
			return registrar(t, r.db, 20).LastCopy(ctx, groundQuestion(n), 100*time.Hour)
		})
		add("original "+identifier, "originals", func(ctx context.Context, r *rig) (any, error) { return keptOriginal(ctx, t, r.db, n, n%3) })
		add(fmt.Sprint("taken slot ", n), "versions", func(ctx context.Context, r *rig) (any, error) {
			return r.db.Register().Taken(ctx, fmt.Sprint("list-", groundList(n)), n)
		})
	}
	add("filings due", "filings case_received", func(ctx context.Context, r *rig) (any, error) {
		ids, err := r.db.Cases().FilingsDue(ctx, at(2000), 99)
		slices.Sort(ids)
		return ids, err
	})
	add("new original", "originals", func(ctx context.Context, r *rig) (any, error) { return keptOriginal(ctx, t, r.db, 0, 10) })
	for n := range 3 {
		list := fmt.Sprint("list-", n)
		add("statuses of "+list, "versions status_lists", func(ctx context.Context, r *rig) (any, error) {
			all := map[int]license.Status{}
			err := r.db.Register().Statuses(ctx, list, func(slot int, s license.Status) { all[slot] = s })
			return all, err
		})
		add("occupied of "+list, "versions", func(ctx context.Context, r *rig) (any, error) {
			all := map[int]bool{}
			err := r.db.Register().Occupied(ctx, list, func(slot int) { all[slot] = true })
			return all, err
		})
		add(fmt.Sprint("versions of type ", n), "versions", func(ctx context.Context, r *rig) (any, error) {
			return r.db.Register().Versions(ctx, register.Filter{Type: fmt.Sprint("type-", n), Limit: 100})
		})
	}
	add("lists", "status_lists", func(ctx context.Context, r *rig) (any, error) { return r.db.Register().Lists(ctx) })
	add("horizon", "horizon", func(ctx context.Context, r *rig) (any, error) { return r.db.Audit().Horizon(ctx) })
	for n := range 12 {
		add(fmt.Sprint("call ", n), "claims", func(ctx context.Context, r *rig) (any, error) {
			return r.db.Audit().ByJTI(ctx, fmt.Sprint("system-", n%2), fmt.Sprint("call-", n))
		})
	}
	for n := range 3 {
		id := [32]byte{byte(n)}
		add(fmt.Sprint("session ", n), "console_sessions", func(ctx context.Context, r *rig) (any, error) {
			content, revision, err := r.db.Console().Session(ctx, id)
			return fmt.Sprintf("%s %d", content, revision), err
		})
		add(fmt.Sprint("kept ", n), "console_kept", func(ctx context.Context, r *rig) (any, error) { return r.db.Console().Kept(ctx, id, [32]byte{1}) })
		add(fmt.Sprint("used code ", n), "console_kept", func(ctx context.Context, r *rig) (any, error) { return r.db.Console().Kept(ctx, [32]byte{9}, id) })
	}
	add("last cosigned", "cosigned", func(ctx context.Context, r *rig) (any, error) { return r.log.LastCosigned(ctx) })
	for _, index := range []uint64{0, groundVictim, groundRecords} {
		add(fmt.Sprint("cosigned ", index), "cosigned", func(ctx context.Context, r *rig) (any, error) { return r.log.Cosigned(ctx, index) })
	}
	add("checkpoint", "logs", func(ctx context.Context, r *rig) (any, error) { return r.log.Checkpoint(ctx) })
	for _, index := range []uint64{0, 100, groundVictim, groundVictim + 1, groundVictim + 2, groundRecords} {
		add(fmt.Sprint("receipt ", index), "logs records tiles", func(ctx context.Context, r *rig) (any, error) { return r.log.Receipt(ctx, index) })
		add(fmt.Sprint("evidence ", index), "records", func(ctx context.Context, r *rig) (any, error) {
			e, err := r.auditor.Evidence(ctx, index)
			text, _ := json.Marshal([]any{e.Record, e.Request, e.Inputs, e.Operator, e.Holders, e.Cases, e.Order, e.Steps})
			return string(text), err
		})
	}
	for n := range 2 {
		add(fmt.Sprint("tile ", n), "tiles logs", func(ctx context.Context, r *rig) (any, error) {
			w := httptest.NewRecorder()
			r.log.Handler().ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", []string{"", "/sm3"}[n]+"/tile/0/000", nil))
			if w.Code >= 500 {
				return nil, errors.New(w.Body.String())
			}
			return fmt.Sprint(w.Code, sha256.Sum256(w.Body.Bytes())), nil
		})
	}
	for name, ask := range map[string]audit.Ask{
		"all": {}, "system": {System: "system-1"}, "operation": {Operation: "licenses.op1"}, "operator": {Operator: "clerk-1"}, "case": {Case: "C-1"}, "matter": {Matter: "matter-1"},
		"holder": {Holder: holder(1)}, "type": {LicenseType: "type-1"}, "decision": {Decision: "met"}, "period": {From: at(1), To: at(3)},
	} {
		ask.Limit = 60
		add("search by "+name, "hits projection records", func(ctx context.Context, r *rig) (any, error) { return r.auditor.Search(ctx, ask) })
	}
	for _, batch := range batches {
		add(fmt.Sprintf("batch %x", batch), "batches", func(ctx context.Context, r *rig) (any, error) { return r.db.Log().Committed(ctx, batch) })
	}
	add("reuse", "hits projection records", func(ctx context.Context, r *rig) (any, error) { return r.auditor.Reuse(ctx, at(-10), at(100), "") })
	return q
}

// A deed is a record that changes something, or tries to.
type deed struct {
	name, tables string
	claim        *audit.Claim
	changes      []any
}

// deeds are batches that touch rows, in their order; those that are refused as things stand, too.
func deeds(t *testing.T, db *DB) []deed {
	another := register.Original{Identifier: "id-1", Digest: [32]byte{1}, Made: at(1), Expires: at(5)}
	other := groundVersion(9, 0, 0)
	later := groundVersion(0, 0, 50)
	later.Identifier = "id-0b"
	next := groundVersion(2, 0, 51)
	next.Identifier, next.Number, next.JWT = "id-2b", 2, "jwt-2b"
	return []deed{
		{name: "nothing", tables: "logs records tiles batches"},
		{name: "to receive for a closed case", tables: "cases", changes: []any{cases.Receive{Received: groundReceived(0, 9)}}},
		{name: "to go on in a case", tables: "cases", changes: []any{cases.StillOpen{No: "C-1", Revision: 2}}},
		{name: "to register a case again", tables: "cases", changes: []any{cases.Register{Case: groundCase(0), R: [32]byte{1}}}},
		{name: "to hand over a closed case", tables: "cases", changes: []any{aHandOver("C-0", "package again")}},
		{name: "to hand over a case that is not there", tables: "cases", changes: []any{aHandOver("C-9", "package")}},
		{name: "to close a case", tables: "cases", changes: []any{cases.Close{No: "C-1", Revision: 2, At: at(9)}}},
		{name: "to use a withdrawn filing", tables: "filings", changes: []any{cases.StillFiled{ID: "f-0"}}},
		{name: "to use an erased filing", tables: "filings", changes: []any{cases.StillFiled{ID: "f-5"}}},
		{name: "to use a filing", tables: "filings", changes: []any{cases.StillFiled{ID: "f-1"}}},
		{name: "to file again", tables: "filings", changes: []any{groundFiling(3)}},
		{name: "to withdraw a filing", tables: "filings filed_files", changes: []any{cases.Unfile{ID: "f-2", By: cases.WithdrawnByDepartment, At: at(9)}}},
		{name: "to withdraw a filing again", tables: "filings", changes: []any{cases.Unfile{ID: "f-0", By: cases.WithdrawnByDepartment, At: at(9)}}},
		{name: "to use a withdrawn consent", tables: "consents", changes: []any{cases.StillGiven{ID: "k-0", At: at(9)}}},
		{name: "to use a consent", tables: "consents", changes: []any{cases.StillGiven{ID: "k-1", At: at(9)}}},
		{name: "to give a consent again", tables: "consents", changes: []any{cases.Give{Consent: groundConsent(0), R: [32]byte{1}}}},
		{name: "to withdraw", tables: "consents", changes: []any{cases.Withdraw{ID: "k-1", At: at(9)}}},
		{name: "to suspend a revoked version", tables: "versions", changes: []any{register.SetStatus{Identifier: "id-0", From: license.Valid, To: license.Suspended, At: at(9)}}},
		{name: "to issue the first version again", tables: "versions", changes: []any{register.Issue{Version: later}}},
		{name: "to take a slot again", tables: "versions", changes: []any{register.Issue{Version: other}}},
		{name: "to issue the next version", tables: "versions status_lists", changes: []any{register.Issue{Version: next, Supersedes: "id-2"}}},
		{name: "to revoke in one list", tables: "versions status_lists", changes: []any{register.SetStatus{Identifier: "id-4", From: license.Valid, To: license.Revoked, At: at(9)}}},
		{name: "to revoke in the other", tables: "versions status_lists", changes: []any{register.SetStatus{Identifier: "id-5", From: license.Valid, To: license.Revoked, At: at(9)}}},
		{name: "to replay a call", tables: "claims horizon", claim: &audit.Claim{System: "system-0", JTI: "call-6", Exp: at(3)}},
		{name: "to replay another", tables: "claims horizon", claim: &audit.Claim{System: "system-1", JTI: "call-5", Exp: at(2)}},
		{name: "to replay a call that was purged", tables: "claims horizon", claim: &audit.Claim{System: "system-0", JTI: "call-0", Exp: at(-3)}},
		{name: "a new call", tables: "claims horizon", claim: &audit.Claim{System: "system-0", JTI: "call-new", Exp: at(30)}},
		{name: "to keep an older copy", tables: "snapshots", changes: []any{keepCopy(t, db, 0, 1)}},
		{name: "to keep another original", tables: "originals", changes: []any{register.KeepOriginal{Original: another}}},
		{name: "to activate again", tables: "policy_sets", changes: []any{audit.PolicySet{Digest: groundPolicy, Files: nil}}},
	}
}

// do does it, and returns how the storage judged it.
func (d deed) do(ctx context.Context, r *rig) (verdict string, err error) {
	draft := audit.Draft{Operation: "probe", System: "system-0", Policy: groundPolicy, Claim: d.claim, Changes: d.changes}
	_, err = r.recorder.Record(ctx, draft)
	for _, verdict := range []error{cases.ErrChanged, cases.ErrRegistered, register.ErrTaken, audit.ErrReplayed} {
		if errors.Is(err, verdict) {
			return verdict.Error(), nil
		}
	}
	return "done", err
}

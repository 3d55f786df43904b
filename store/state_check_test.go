package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"oncegate/audit"
	"oncegate/canonical"
	"oncegate/cases"
	"oncegate/certs/envelope"
	"oncegate/check"
	"oncegate/license"
	"oncegate/register"
	"oncegate/store/sqldb"
	"oncegate/tlog"
	"oncegate/tlog/tlogtest"
)

// A world is a database with every kind of row and change in it, over a log that was recovered once.
type world struct {
	t        testing.TB
	config   Config
	db       *DB
	log      *tlog.Log
	recorder *audit.Recorder
	auditor  *audit.Auditor
	calls    int
}

func (w *world) auditConfig() audit.Config {
	return audit.Config{
		Self: "gateway", Log: w.log, View: w.log, Storage: w.db.Audit(), Sealer: w.db.config.Sealer, NewSM3: tlogtest.NewHash,
		IndexKeys: [][]byte{[]byte("index key of thirty-two bytes 01"), []byte("index key of thirty-two bytes 00")},
	}
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// open opens the database with a log that is there, or is begun by create.
func (w *world) open(keys tlogtest.Keys, create func(tlog.Config) error) {
	w.t.Helper()
	var err error
	w.config.Log, w.config.Recover = keys.Trust.Origin, true
	w.db, err = Open(w.t.Context(), w.config)
	w.must(err)
	config := keys.Config(w.db.Log())
	w.must(create(config))
	w.log, err = tlog.Open(w.t.Context(), config)
	w.must(err)
	w.recorder, err = audit.NewRecorder(w.auditConfig())
	w.must(err)
	w.auditor, err = audit.NewAuditor(w.auditConfig())
	w.must(err)
}

func (w *world) close() {
	w.t.Helper()
	w.must(errors.Join(w.log.Close(context.Background()), w.db.Close()))
}

// token is a call as claimOf reads it.
func (w *world) token(jti string) (string, *audit.Claim) {
	exp := accepted.Add(time.Hour)
	return fmt.Sprintf("window|%s|%d", jti, exp.UnixMicro()), &audit.Claim{System: "window", JTI: jti, Exp: exp}
}

func claimOf(r audit.Request) (audit.Claim, error) {
	parts := strings.Split(r.Token, "|")
	if len(parts) != 3 {
		return audit.Claim{}, errors.New("no token")
	}
	exp, err := strconv.ParseInt(parts[2], 10, 64)
	return audit.Claim{System: parts[0], JTI: parts[1], Exp: time.UnixMicro(exp)}, err
}

// call records a call about a holder with an operator that makes changes, and returns its index.
func (w *world) call(at time.Time, changes ...any) uint64 {
	w.t.Helper()
	w.calls++
	compact, claim := w.token(fmt.Sprint("j-", w.calls))
	r, err := w.recorder.Record(w.t.Context(), audit.Draft{
		Operation: "licenses.query", System: "window", Operator: "op-1", RequestID: fmt.Sprint("r-", w.calls), Time: at, Token: compact, Body: []byte("{}"), Answer: []byte("{}"),
		Uses: []audit.Use{
			{Basis: "case", Case: "C-1", Matter: "food-permit", Material: "m", LicenseType: "t", Decision: "release", Need: 1, Fields: []string{}, Rules: []string{}, Person: license.HolderID{Type: "001", Code: "X"}},
			{Basis: "case", Decision: "denied", Fields: []string{}, Rules: []string{}, CommittedCase: "whatever"},
		},
		Inputs: map[string]any{"a": 1}, Claim: claim, Changes: changes,
	})
	w.must(err)
	return r.Index
}

func random32() (r [32]byte) {
	rand.Read(r[:])
	return r
}

func aVersion(id, list string, slot, number int) register.Version {
	return register.Version{
		Subject: [32]byte{id[0]}, Number: number, Type: "t", Issuer: "i", Serial: "s", Identifier: id, Content: [32]byte{1}, JWT: "jwt of " + id, KeyID: "k",
		Status: license.Valid, Stated: license.Valid, Signed: accepted, List: list, Slot: slot,
	}
}

func newWorld(t testing.TB, e engine) *world {
	t.Helper()
	w := &world{t: t, config: e.fresh(t)}
	w.config.UnknownKey = envelope.ErrUnknownKey
	first, second := tlogtest.NewKeys(t, origin), tlogtest.NewKeys(t, "store.example/second")
	w.open(first, func(c tlog.Config) error { return tlog.Create(t.Context(), c) })
	_, err := w.recorder.Activate(t.Context(), []audit.File{{Path: "a", Data: []byte("permit")}})
	w.must(err)
	old := w.call(accepted, // its evidence goes by retention
		cases.Register{Case: aCase("C-1"), R: random32()}, cases.Register{Case: aCase("C-2"), R: random32()}, cases.Register{Case: aCase("C-3"), R: random32()})
	w.call(accepted.Add(2*time.Hour), cases.Receive{Received: cases.Received{Case: "C-1", Material: "a", How: "uploaded", Digest: "d", At: accepted}},
		cases.SetState{LastState: cases.LastState{Case: "C-1", Material: "c", State: cases.Missing, By: "window", At: accepted}},
		cases.Issue{Result: aResult("C-1", "Z", "1"), R: random32()},
		cases.Represent{Representative: cases.Representative{Case: "C-1", Kind: cases.Agent, Person: license.HolderID{Type: "111", Code: "Z"}, Mandate: "d", Until: "2026-12-31", By: "window", At: accepted}, R: random32()},
		cases.Receive{Received: cases.Received{Case: "C-1", Material: "b", How: "promised", At: accepted}})
	w.call(accepted.Add(2*time.Hour), aFiling("F-1", "C-1", "X"), aFiling("F-2", "C-1", "Y"), aFiling("F-3", "C-1", "X"))
	w.call(accepted.Add(2*time.Hour), cases.Unfile{ID: "F-2", By: cases.WithdrawnByHolder, At: accepted}, cases.EraseFile{ID: "F-3", At: accepted})
	w.call(accepted.Add(2*time.Hour), cases.Close{No: "C-2", Revision: 1, At: accepted})
	w.call(accepted.Add(2*time.Hour), aHandOver("C-1", "first"))
	w.call(accepted.Add(2*time.Hour), cases.Give{Consent: aConsent("K-1", "X", "window"), R: random32()}, cases.Give{Consent: aConsent("K-2", "Y", "window"), R: random32()})
	w.call(accepted.Add(2*time.Hour), cases.Withdraw{ID: "K-2", At: accepted})
	w.call(accepted.Add(2*time.Hour), register.Issue{Version: aVersion("a-1", "list-1", 1, 1)}, register.Issue{Version: aVersion("b-1", "list-2", 1, 1)}, register.Issue{Version: aVersion("c-1", "list-1", 2, 1)})
	w.call(accepted.Add(2*time.Hour), register.Issue{Version: aVersion("a-2", "list-1", 3, 2), Supersedes: "a-1"})
	w.call(accepted.Add(2*time.Hour), register.SetStatus{Identifier: "a-2", From: license.Valid, To: license.Revoked, At: accepted})
	w.call(accepted.Add(2*time.Hour), register.Order{Identifier: "b-1", To: license.Suspended, At: accepted},
		register.Keep{Snapshot: register.Snapshot{Key: [32]byte{1}, Sealed: []byte("x"), AsOf: accepted, Expires: accepted.Add(time.Hour)}},
		register.KeepOriginal{Original: register.Original{Identifier: "b-1", Digest: [32]byte{1}, Sealed: []byte("x"), Made: accepted, Expires: accepted.Add(time.Hour)}})
	if n, err := w.auditor.Retain(t.Context(), accepted.Add(time.Hour), nil); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	_ = old
	one := w.call(accepted.Add(3 * time.Hour))
	order, err := w.recorder.RecordOwn(t.Context(), audit.Own{Operation: audit.OperationErase, Erase: &audit.Order{Index: &one}})
	w.must(err)
	w.must(w.auditor.Erase(t.Context(), order.Index))
	checkpoint, err := w.log.Checkpoint(t.Context())
	w.must(err)
	w.close()

	w.open(second, func(c tlog.Config) error { return tlog.Recover(t.Context(), c, checkpoint) })
	w.call(accepted.Add(4*time.Hour), cases.Close{No: "C-3", Revision: 1, At: accepted}, register.Order{Identifier: "c-1", To: license.Revoked, At: accepted})
	w.call(accepted.Add(4*time.Hour), aHandOver("C-3", "closed"))
	_, err = w.recorder.Activate(t.Context(), []audit.File{{Path: "a", Data: []byte("forbid")}})
	w.must(err)
	w.call(accepted.Add(4*time.Hour), cases.Register{Case: aCase("C-4"), R: random32()}, register.Issue{Version: aVersion("d-1", "list-3", 1, 1)})
	for covered, size := uint64(0), uint64(1); covered < size; {
		covered, size, err = w.db.Audit().Follow(t.Context())
		w.must(err)
	}
	t.Cleanup(func() {
		if w.db != nil {
			w.close()
		}
	})
	return w
}

// verify returns the faults of all checks, by step, and whether nothing was left open.
func (w *world) verify() (faults []audit.StateFault, state State) {
	w.t.Helper()
	state, err := w.db.VerifyState(w.t.Context(), StateOptions{NewSM3: tlogtest.NewHash})
	w.must(err)
	beside, err := audit.VerifyStored(w.t.Context(), w.auditConfig(), w.db.Stored(), audit.StoredOptions{Claimed: claimOf})
	w.must(err)
	for _, c := range append(state.Checks, beside...) {
		faults = append(faults, c.Faults...)
		if s := c.Step(); len(c.Faults) == 0 && s.State != check.OK {
			w.t.Errorf("%s is %s: %s", c.Name, s.State, s.Reason)
		}
	}
	return faults, state
}

// exec alters the database as whoever can write it does.
func (w *world) exec(text string, args ...any) {
	w.t.Helper()
	p := w.db.write
	if strings.Contains(text, "hits") {
		p = w.db.search.write
	}
	r, err := p.DB().Exec(p.Rebind(text), args...)
	w.must(err)
	if n, err := r.RowsAffected(); err == nil && n == 0 && !strings.HasPrefix(text, "CREATE") {
		w.t.Fatalf("nothing was altered by: %s", text)
	}
}

// resign does what an operator with all keys can do: every row as it stands gets its tag, and the sums are what the rows add up to.
func (w *world) resign() {
	w.t.Helper()
	db, ctx := w.db, w.t.Context()
	type update struct {
		text string
		args []any
	}
	var updates []update
	collect := func(text string, scan func(*sql.Rows) (update, error)) {
		w.must(sqldb.Each(ctx, db.read, func(rows *sql.Rows) error {
			u, err := scan(rows)
			updates = append(updates, u)
			return err
		}, text))
	}
	apply := func() {
		w.must(db.write.Transact(ctx, func(ctx context.Context, t *sqldb.Tx) error {
			for _, u := range updates {
				if _, err := t.Exec(ctx, u.text, u.args...); err != nil {
					return err
				}
			}
			return nil
		}))
		updates = nil
	}
	for _, a := range db.adoptions(0) {
		switch a.table {
		case "claims", "records", "horizon", "snapshots", "originals":
			collect(a.read, func(rows *sql.Rows) (update, error) {
				one, err := a.scan(rows)
				return update{"UPDATE " + a.table + " SET " + strings.Join(a.set, " = ?, ") + " = ? WHERE " + strings.Join(a.key, " = ? AND ") + " = ?", append(one.values, one.key...)}, err
			})
		}
	}
	collect(selectCase, func(rows *sql.Rows) (update, error) {
		r := &caseRow{}
		err := r.scan(rows)
		return update{"UPDATE cases SET mac = ? WHERE no = ?", []any{db.tag("cases", r.columns()...), r.no}}, err
	})
	collect(selectReceived, func(rows *sql.Rows) (update, error) {
		r := receivedRow{}
		err := r.scan(rows)
		return update{"UPDATE case_received SET mac = ? WHERE case_no = ? AND pos = ? AND n = ?", []any{db.tag("case_received", r.columns()...), r.Case, r.pos, r.n}}, err
	})
	collect(selectConsent, func(rows *sql.Rows) (update, error) {
		r := &consentRow{}
		err := r.scan(rows)
		return update{"UPDATE consents SET mac = ? WHERE id = ?", []any{db.tag("consents", r.columns()...), r.id}}, err
	})
	collect(selectFiling, func(rows *sql.Rows) (update, error) {
		r := &filingRow{}
		err := r.scan(rows)
		return update{"UPDATE filings SET mac = ? WHERE id = ?", []any{db.tag("filings", r.columns()...), r.id}}, err
	})
	collect(selectVersion, func(rows *sql.Rows) (update, error) {
		r := &versionRow{}
		err := r.scan(rows, true)
		r.jwtDigest = db.jwtDigest(r.JWT)
		return update{"UPDATE versions SET mac = ?, jwt_digest = ? WHERE identifier = ?", []any{db.tag("versions", r.columns()...), r.jwtDigest, r.Identifier}}, err
	})
	collect(selectPolicySet, func(rows *sql.Rows) (update, error) {
		r := &policySetRow{}
		err := r.scan(rows)
		return update{"UPDATE policy_sets SET mac = ? WHERE digest = ?", []any{db.tag("policy_sets", r.columns()...), r.digest}}, err
	})
	apply()
	var lists []*listRow
	w.must(sqldb.Each(ctx, db.read, func(rows *sql.Rows) error {
		r := &listRow{}
		lists = append(lists, r)
		return r.scan(rows)
	}, selectList))
	for _, r := range lists {
		s, err := db.notValid(r.list)
		w.must(err)
		r.notValid, err = db.sealNotValid(s, r.list)
		w.must(err)
		updates = append(updates, update{"UPDATE status_lists SET not_valid = ?, mac = ? WHERE list = ?", []any{r.notValid, db.tag("status_lists", r.columns()...), r.list}})
	}
	apply()
	s, err := db.addUp(ctx, db.read, nil)
	w.must(err)
	_, err = sqldb.One(ctx, db.read, []any{&s.horizon}, "SELECT horizon FROM horizon WHERE one = 1")
	w.must(err)
	head, err := db.Log().Head(ctx)
	w.must(err)
	sealed, err := db.sealSums(s, head.Checkpoint)
	w.must(err)
	w.exec("UPDATE logs SET sums = ? WHERE number = ?", sealed, db.number)
	w.must(db.Check(ctx, nil)) // it is done well: tags and sums say nothing any more
}

var kept = []string{"case_received", "filings", "filed_files", "cases", "consents", "versions", "status_lists", "policy_sets", "records", "claims", "horizon", "snapshots", "originals", "logs"}

// alter makes a change and returns what is found; the database is then as it was.
func (w *world) alter(keys bool, change func()) (faults []audit.StateFault) {
	w.t.Helper()
	w.saved(func() {
		change()
		if keys {
			w.resign()
		}
		faults, _ = w.verify()
	})
	return faults
}

// saved runs do and puts the tables back as they were.
func (w *world) saved(do func()) {
	w.t.Helper()
	var save, restore []string
	for _, table := range kept {
		save = append(save, "CREATE TABLE was_"+table+" AS SELECT * FROM "+table)
		restore = append(restore, "DELETE FROM "+table)
	}
	for _, table := range slices.Backward(kept) {
		restore = append(restore, "INSERT INTO "+table+" SELECT * FROM was_"+table, "DROP TABLE was_"+table)
	}
	w.all(w.db.write, save)
	w.all(w.db.search.write, []string{"CREATE TABLE was_found AS SELECT * FROM hits"})
	do()
	w.all(w.db.write, restore)
	w.all(w.db.search.write, []string{"DELETE FROM hits", "INSERT INTO hits SELECT * FROM was_found", "DROP TABLE was_found"})
}

// all runs statements in one transaction.
func (w *world) all(p *sqldb.Pool, texts []string) {
	w.t.Helper()
	t, err := p.DB().Begin()
	w.must(err)
	defer t.Rollback()
	for _, text := range texts {
		_, err := t.Exec(text)
		w.must(err)
	}
	w.must(t.Commit())
}

// sealedAgain returns a column that the holder of the keys sealed.
func (w *world) sealedAgain(v any, aad []byte) []byte {
	w.t.Helper()
	sealed, err := w.db.seal(v, aad)
	w.must(err)
	return sealed
}

// evidence rewrites the evidence of a record.
func (w *world) evidence(pos int64, rewrite func([]audit.Sealed) []audit.Sealed) {
	w.t.Helper()
	var column []byte
	_, err := sqldb.One(w.t.Context(), w.db.read, []any{&column}, "SELECT evidence FROM records WHERE pos = ?", pos)
	w.must(err)
	parts, err := unpackEvidence(column)
	w.must(err)
	column, erasable, err := packEvidence(rewrite(parts))
	w.must(err)
	w.exec("UPDATE records SET evidence = ?, erasable = ? WHERE pos = ?", column, flag(erasable), pos)
}

// TestState: what the log says is proven, whatever happened; and whatever somebody alters is named, also when they have all keys.
func TestState(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		w := newWorld(t, e)
		if faults, state := w.verify(); len(faults) > 0 || len(state.Adopted) > 0 {
			t.Fatalf("nothing was altered: %v, trusted %v", faults, state.Adopted)
		}
		var newest, registered int64
		_, err := sqldb.One(t.Context(), w.db.read, []any{&newest}, "SELECT max(pos) FROM records")
		w.must(err)
		_, err = sqldb.One(t.Context(), w.db.read, []any{&registered}, "SELECT pos FROM cases WHERE no = 'C-1'")
		w.must(err)
		alter := func(text string, args ...any) func() { return func() { w.exec(text, args...) } }
		without := func(kind string) func([]audit.Sealed) []audit.Sealed {
			return func(parts []audit.Sealed) []audit.Sealed {
				for i := range parts {
					if parts[i].Kind == kind {
						parts[i].Blob = nil
					}
				}
				return parts
			}
		}
		for _, a := range []struct {
			name             string
			change           func()
			table, key, step string // of the fault that must be among those found with keys
		}{
			{"a closed case is open again", alter("UPDATE cases SET closed = 0, revision = 1 WHERE no = 'C-2'"), "cases", "C-2", audit.StepReplay},
			{"a case is as it once was", alter("UPDATE cases SET closed = 0, revision = 1, pos = ? WHERE no = 'C-2'", registered), "cases", "C-2", audit.StepReplay},
			{"a case that was closed after the recovery", alter("UPDATE cases SET closed = 0, revision = 1, pos = ? WHERE no = 'C-3'", registered), "cases", "C-3", audit.StepReplay},
			{"a case is attested by more", alter("UPDATE cases SET attestation = 'holder' WHERE no = 'C-1'"), "cases", "C-1", audit.StepReplay},
			{"a case has a tag of a key that nobody has", alter("UPDATE cases SET attestation = 'holder', mac = ? WHERE no = 'C-1'", make([]byte, envelope.TagSize)), "cases", "C-1", audit.StepReplay},
			{"a case is of another matter", alter("UPDATE cases SET matter = 'flat' WHERE no = 'C-1'"), "cases", "C-1", audit.StepReplay},
			{"a case has parts", alter(`UPDATE cases SET parts = '[{"matter":"flat"}]' WHERE no = 'C-1'`), "cases", "C-1", audit.StepReplay},
			{"a case names another record", alter("UPDATE cases SET pos = ? WHERE no = 'C-1'", newest), "cases", "C-1", audit.StepReplay},
			{"a case is gone", alter("DELETE FROM cases WHERE no = 'C-2'"), "cases", "C-2", audit.StepReplay},
			{"a case is made up", func() {
				w.exec("INSERT INTO cases (no, matter, parts, registrar, attestation, parties, accepted, registered, closed, revision, pos) SELECT 'C-9', matter, parts, registrar, attestation, parties, accepted, registered, closed, revision, pos FROM cases WHERE no = 'C-1'")
			}, "cases", "C-9", audit.StepReplay},
			{"a case has another party", func() {
				var r caseRow
				w.must(sqldb.Each(t.Context(), w.db.read, func(rows *sql.Rows) error { return r.scan(rows) }, selectCase+"WHERE no = 'C-1'"))
				_, random, err := openPersonal[[]cases.Party](w.db, r.parties, partiesAAD("C-1"))
				w.must(err)
				w.exec("UPDATE cases SET parties = ? WHERE no = 'C-1'", w.sealedAgain(personalValue[[]cases.Party]{random, []cases.Party{{Role: cases.Applicant, Holder: license.HolderID{Type: "001", Code: "Z"}}}}, partiesAAD("C-1")))
			}, "cases", "C-1", audit.StepReplay},
			{"a case has parties that nothing proves", func() {
				w.exec("UPDATE cases SET parties = ? WHERE no = 'C-1'", w.sealedAgain([]cases.Party{}, partiesAAD("C-1")))
			}, "cases", "C-1", audit.StepReplay},
			{"what was received is gone", alter("DELETE FROM case_received WHERE material = 'b'"), "case_received", "", audit.StepReplay},
			{"what was received is another thing", alter("UPDATE case_received SET how = 'uploaded' WHERE material = 'b'"), "case_received", "C-1", audit.StepReplay},
			{"what was received changes places", func() {
				w.exec("UPDATE case_received SET n = n + 10 WHERE material = 'b'") // behind the other as before, but not in one batch with it
			}, "case_received", "C-1", audit.StepReplay},
			{"what was received is made up", func() {
				w.exec("INSERT INTO case_received (case_no, pos, n, matter, material, how, digest, by_system, at) SELECT case_no, ?, n, matter, material, how, digest, by_system, at FROM case_received WHERE material = 'a'", newest)
			}, "case_received", "C-1", audit.StepReplay},
			{"a hand-over is gone", alter("DELETE FROM case_received WHERE how = 'handed-over' AND case_no = 'C-1'"), "case_received", "", audit.StepReplay},
			{"a hand-over is of another package", alter("UPDATE case_received SET digest = (SELECT digest FROM case_received WHERE how = 'handed-over' AND case_no = 'C-3') WHERE how = 'handed-over' AND case_no = 'C-1'"), "case_received", "C-1", audit.StepReplay},
			{"a hand-over is of another case", alter("UPDATE case_received SET case_no = 'C-4' WHERE how = 'handed-over' AND case_no = 'C-3'"), "case_received", "C-4", audit.StepReplay},
			{"a hand-over was later", alter("UPDATE case_received SET at = at + 1000 WHERE how = 'handed-over' AND case_no = 'C-1'"), "case_received", "C-1", audit.StepReplay},
			{"a hand-over is by another system", alter("UPDATE case_received SET by_system = 'other' WHERE how = 'handed-over' AND case_no = 'C-1'"), "case_received", "C-1", audit.StepReplay},
			{"an upload is a hand-over", alter("UPDATE case_received SET how = 'handed-over', material = '', matter = '' WHERE material = 'a'"), "case_received", "C-1", audit.StepReplay},
			{"a hand-over is an upload", alter("UPDATE case_received SET how = 'uploaded' WHERE how = 'handed-over' AND case_no = 'C-1'"), "case_received", "C-1", audit.StepReplay},
			{"a hand-over is made up", func() {
				w.exec("INSERT INTO case_received (case_no, pos, n, matter, material, how, digest, by_system, at) SELECT 'C-4', ?, 9, matter, material, how, digest, by_system, at FROM case_received WHERE how = 'handed-over' AND case_no = 'C-1'", newest)
			}, "case_received", "C-4", audit.StepReplay},
			{"a withdrawn consent is given", alter("UPDATE consents SET withdrawn = 0 WHERE id = 'K-2'"), "consents", "K-2", audit.StepReplay},
			{"a consent covers more", alter(`UPDATE consents SET types = '["id-card","t"]' WHERE id = 'K-1'`), "consents", "K-1", audit.StepReplay},
			{"a consent lasts longer", alter("UPDATE consents SET expires = expires + 1 WHERE id = 'K-1'"), "consents", "K-1", audit.StepReplay},
			{"a consent is found by another holder", alter("UPDATE consents SET holder = (SELECT holder FROM consents WHERE id = 'K-2') WHERE id = 'K-1'"), "consents", "K-1", audit.StepReplay},
			{"a consent is another holder's", func() {
				h := license.HolderID{Type: "111", Code: "Z"}
				w.exec("UPDATE consents SET holder = ?, sealed_holder = ? WHERE id = 'K-1'", w.db.holderDigest(h), w.sealedAgain(personalValue[license.HolderID]{make([]byte, 31+1), h}, holderAAD("K-1")))
			}, "consents", "K-1", audit.StepReplay},
			{"a consent is gone", alter("DELETE FROM consents WHERE id = 'K-2'"), "consents", "K-2", audit.StepReplay},
			{"a withdrawn filing stands", alter("UPDATE filings SET withdrawn = 0, withdrawn_by = '' WHERE id = 'F-2'"), "filings", "F-2", audit.StepReplay},
			{"a filing was withdrawn by somebody else", alter("UPDATE filings SET withdrawn_by = 'department' WHERE id = 'F-2'"), "filings", "F-2", audit.StepReplay},
			{"a filing is trusted more", alter("UPDATE filings SET level = 'A' WHERE id = 'F-1'"), "filings", "F-1", audit.StepReplay},
			{"a filing may be used longer", alter("UPDATE filings SET valid_until = '2099-01-01' WHERE id = 'F-1'"), "filings", "F-1", audit.StepReplay},
			{"a file is kept longer", alter("UPDATE filings SET keep_until = keep_until + 1 WHERE id = 'F-1'"), "filings", "F-1", audit.StepReplay},
			{"a filing is found by another holder", alter("UPDATE filings SET holder = (SELECT holder FROM filings WHERE id = 'F-2') WHERE id = 'F-1'"), "filings", "F-1", audit.StepReplay},
			{"a filing is another holder's", func() {
				h := license.HolderID{Type: "111", Code: "Z"}
				w.exec("UPDATE filings SET holder = ?, person = ? WHERE id = 'F-1'", w.db.filingDigest(h), w.sealedAgain(personalValue[knownFiling]{make([]byte, 31+1), knownFiling{h, "clerk"}}, filingAAD("F-1")))
			}, "filings", "F-1", audit.StepReplay},
			{"a filing is gone", alter("DELETE FROM filings WHERE id = 'F-1'"), "filings", "F-1", audit.StepReplay},
			{"an erased filing is there", alter("UPDATE filings SET erased = 0 WHERE id = 'F-3'"), "filings", "F-3", audit.StepReplay},
			{"a file is gone", alter("DELETE FROM filed_files WHERE id = 'F-1'"), "filed_files", "F-1", audit.StepCopies},
			{"a file is another", func() {
				sealed, err := w.db.config.Sealer.Seal([]byte("another"), fileAAD("F-1"))
				w.must(err)
				w.exec("UPDATE filed_files SET sealed = ? WHERE id = 'F-1'", sealed)
			}, "filed_files", "F-1", audit.StepCopies},
			{"an erased file is there", func() {
				sealed, err := w.db.config.Sealer.Seal([]byte("file F-3"), fileAAD("F-3"))
				w.must(err)
				w.exec("INSERT INTO filed_files (id, sealed) VALUES ('F-3', ?)", sealed)
			}, "filed_files", "F-3", audit.StepCopies},
			{"a revoked license is valid", alter("UPDATE versions SET status = 'valid', stated = 'valid' WHERE identifier = 'a-2'"), "versions", "a-2", audit.StepReplay},
			{"a suspended license is valid", alter("UPDATE versions SET status = 'valid' WHERE identifier = 'b-1'"), "versions", "b-1", audit.StepReplay},
			{"an order is gone", alter("UPDATE versions SET status = 'valid', ordered = '', ordered_at = 0 WHERE identifier = 'c-1'"), "versions", "c-1", audit.StepReplay},
			{"a superseded license is valid", alter("UPDATE versions SET status = 'valid', stated = 'valid' WHERE identifier = 'a-1'"), "versions", "a-1", audit.StepReplay},
			{"a license has another text", alter("UPDATE versions SET jwt = 'forged' WHERE identifier = 'c-1'"), "versions", "c-1", audit.StepReplay},
			{"a license has another slot", alter("UPDATE versions SET slot = 77 WHERE identifier = 'c-1'"), "versions", "c-1", audit.StepReplay},
			{"a license is gone", alter("DELETE FROM versions WHERE identifier = 'a-2'"), "versions", "a-2", audit.StepReplay},
			{"a license is made up", func() {
				w.exec("INSERT INTO versions (subject, number, type, issuer, serial, identifier, content, jwt, key_id, signed, status, status_at, list, slot, stated, ordered, ordered_at, jwt_digest, pos) SELECT subject, 9, type, issuer, serial, 'z-9', content, jwt, key_id, signed, status, status_at, list, 99, stated, ordered, ordered_at, jwt_digest, pos FROM versions WHERE identifier = 'c-1'")
			}, "versions", "z-9", audit.StepReplay},
			{"a list begins elsewhere", alter("UPDATE status_lists SET pos = ? WHERE list = 'list-2'", newest), "status_lists", "list-2", audit.StepReplay},
			{"a list never changed", alter("UPDATE status_lists SET changes = 0 WHERE list = 'list-1'"), "status_lists", "list-1", audit.StepReplay},
			{"a list changed more often", alter("UPDATE status_lists SET changes = 100 WHERE list = 'list-1'"), "status_lists", "list-1", audit.StepReplay},
			{"a list names another record", alter("UPDATE status_lists SET changed = ? WHERE list = 'list-2'", newest), "status_lists", "list-2", audit.StepReplay},
			{"a list is gone", alter("DELETE FROM status_lists WHERE list = 'list-3'"), "status_lists", "list-3", audit.StepReplay},
			{"a list is made up", func() {
				w.exec("INSERT INTO status_lists (list, pos, n, changes, changed, not_valid) SELECT 'list-9', pos, n, changes, changed, not_valid FROM status_lists WHERE list = 'list-3'")
			}, "status_lists", "list-9", audit.StepReplay},
			{"a policy has other files", alter(`UPDATE policy_sets SET files = ?`, []byte(`[{"path":"a","data":"YQ=="}]`)), "policy_sets", "", audit.StepReplay},
			{"a policy is gone", alter("DELETE FROM policy_sets WHERE pos = (SELECT min(pos) FROM policy_sets)"), "policy_sets", "", audit.StepReplay},
			{"a policy is made up", func() {
				digest, err := canonical.FilesDigest(tlogtest.NewHash, []audit.File{})
				w.must(err)
				w.exec("INSERT INTO policy_sets (digest, files, pos) VALUES (?, ?, ?)", digest, []byte("[]"), newest)
			}, "policy_sets", "", audit.StepReplay},
			{"changes are others", alter(`UPDATE records SET changes = replace(changes, '"revision":1', '"revision":2') WHERE pos = ?`, registered), "records", "", audit.StepChanges},
			{"changes are gone", alter("UPDATE records SET changes = '' WHERE pos = ?", registered), "records", "", audit.StepChanges},
			{"changes are made up", alter(`UPDATE records SET changes = '[{"change":"cases.close"}]' WHERE pos = ?`, position(1, 0)+11), "records", "", audit.StepChanges},
			{"search has another matter", alter("UPDATE records SET search = replace(search, 'food-permit', 'flat') WHERE pos = ?", newest), "records", "", audit.StepIndexed},
			{"search has another holder", alter(`UPDATE records SET search = replace(search, '"holder":"', '"holder":"A') WHERE pos = ?`, newest), "records", "", audit.StepIndexed},
			{"search has another operator", alter(`UPDATE records SET search = replace(search, '"operator":"', '"operator":"A') WHERE pos = ?`, newest), "records", "", audit.StepIndexed},
			{"search counts a use", alter(`UPDATE records SET search = replace(search, '"need":1', '"need":3') WHERE pos = ?`, newest), "records", "", audit.StepIndexed},
			{"search has another time", alter("UPDATE records SET time = time + 1000 WHERE pos = ?", newest), "records", "", audit.StepIndexed},
			{"search is gone", alter("UPDATE records SET search = '{}' WHERE pos = ?", newest), "records", "", audit.StepIndexed},
			{"a hit is another", alter("UPDATE hits SET case_no = 'C-7' WHERE pos = ? AND n = 0", newest), "hits", "", audit.StepIndexed},
			{"a hit is gone", alter("DELETE FROM hits WHERE pos = ? AND n = 1", newest), "hits", "", audit.StepIndexed},
			{"a hit is made up", func() {
				w.exec("INSERT INTO hits (pos, n, uses, mac, time, system, operation, operator, matter, case_no, material, need, license_type, decision, holder) SELECT pos, 7, uses, mac, time, system, operation, operator, matter, case_no, material, need, license_type, decision, holder FROM hits WHERE pos = ? AND n = 1", newest)
			}, "hits", "", audit.StepIndexed},
			{"a person is gone without an order", func() { w.evidence(newest, without("person")) }, "records", "", audit.StepKept},
			{"a request is gone without an order", func() { w.evidence(newest, without("request")) }, "records", "", audit.StepKept},
			{"inputs are gone", func() { w.evidence(newest, without("inputs")) }, "records", "", audit.StepKept},
			{"inputs are gone where persons may be", func() {
				w.evidence(position(1, 1), func(parts []audit.Sealed) []audit.Sealed {
					for i := range parts {
						if parts[i].Kind == "inputs" {
							parts[i].Kind, parts[i].Blob = "person", nil
						}
					}
					return parts
				})
			}, "records", "", audit.StepKept},
			{"evidence is another record's", alter("UPDATE records SET evidence = (SELECT evidence FROM records WHERE pos = ?) WHERE pos = ?", position(1, 3), newest), "records", "", audit.StepKept},
			{"retention does not see a part", alter("UPDATE records SET erasable = 0 WHERE pos = ?", newest), "records", "", audit.StepKept},
			{"retention sees a part that is gone", alter("UPDATE records SET erasable = 1 WHERE pos = ?", position(1, 1)), "records", "", audit.StepKept},
			{"a taken call is forgotten", alter("DELETE FROM claims WHERE pos = ?", newest), "claims", "", audit.StepOnce},
			{"a taken call is another", alter("UPDATE claims SET jti = 'other' WHERE pos = ?", newest), "claims", "", audit.StepOnce},
			{"a taken call is made up", func() {
				w.exec("INSERT INTO claims (jti, system, expires, pos) SELECT 'made up', system, expires, pos + 1000 FROM claims WHERE pos = ?", newest)
			}, "claims", "", audit.StepOnce},
			{"a taken call names another record", alter("UPDATE claims SET pos = ? WHERE pos = ?", position(2, 0), newest), "claims", "", audit.StepOnce},
		} {
			t.Run(a.name, func(t *testing.T) {
				w.t = t
				for _, keys := range []bool{true, false} {
					faults := w.alter(keys, a.change)
					if !slices.ContainsFunc(faults, func(f audit.StateFault) bool {
						return f.Table == a.table && strings.HasPrefix(f.Key, a.key) && f.Step == a.step
					}) {
						t.Errorf("with keys %v: %v", keys, faults)
					}
					tags := func(f audit.StateFault) bool { return f.Step == audit.StepTags }
					if keys && slices.ContainsFunc(faults, tags) {
						t.Errorf("tags and sums were not made well: %v", faults)
					}
					if tagged := a.step == audit.StepReplay || a.step == audit.StepChanges; !keys && tagged && !slices.ContainsFunc(faults, tags) {
						t.Errorf("without keys, tags and sums say nothing: %v", faults)
					}
				}
			})
		}
		w.t = t
		w.saved(func() {
			w.exec("UPDATE horizon SET horizon = 1")
			w.resign()
			for _, a := range []struct{ text, table string }{
				{"UPDATE logs SET sums = NULL", "logs"},
				{"UPDATE logs SET sums = (SELECT sums FROM was_logs WHERE number = 1)", "logs"}, // of another checkpoint
				{"UPDATE horizon SET horizon = 0", "horizon"},
				{"UPDATE snapshots SET expires = expires + 1", "snapshots"},
				{"UPDATE originals SET expires = expires + 1", "originals"},
			} {
				w.exec(a.text)
				if faults, _ := w.verifyTables(); !slices.ContainsFunc(faults, func(f audit.StateFault) bool {
					return f.Table == a.table && (f.Step == audit.StepTags || f.Step == audit.StepCopies)
				}) {
					t.Errorf("%s: %v", a.text, faults)
				}
				w.resign()
			}
		})
		if faults, _ := w.verify(); len(faults) > 0 {
			t.Errorf("the database is as it was: %v", faults)
		}
	})
}

// TestStateFollows makes changes in batches, in any order and number, some of which are refused: the replay always comes to the rows that
// the batches wrote.
func TestStateFollows(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		seed := uint64(time.Now().UnixNano())
		t.Log("seed", seed)
		who := &clerk{Rand: mathrand.New(mathrand.NewPCG(seed, 0)), issued: map[byte][]register.Version{}}
		w := &world{t: t, config: e.fresh(t)}
		w.open(tlogtest.NewKeys(t, origin), func(c tlog.Config) error { return tlog.Create(t.Context(), c) })
		t.Cleanup(w.close)
		for range 25 {
			n := 1 + who.IntN(12)
			done := make(chan error, n)
			for range n {
				changes := []any{who.next()}
				if who.IntN(3) == 0 {
					changes = append(changes, who.next())
				}
				for i, c := range changes {
					switch c := c.(type) {
					case cases.Register:
						c.R = random32()
						changes[i] = c
					case cases.Give:
						c.R = random32()
						changes[i] = c
					case audit.PolicySet:
						c.Files = []audit.File{{Path: c.Digest}}
						c.Digest, _ = canonical.FilesDigest(tlogtest.NewHash, c.Files)
						changes[i] = c
					}
				}
				go func() {
					_, err := w.recorder.RecordOwn(t.Context(), audit.Own{Operation: "test", Inputs: "x", Changes: changes})
					done <- err
				}()
			}
			for range n {
				if err := <-done; errors.Is(err, tlog.ErrUnavailable) {
					t.Fatal(err)
				}
			}
		}
		if faults, _ := w.verify(); len(faults) > 0 {
			t.Errorf("%v", faults)
		}
	})
}

// TestStateRollback: a row that is put back as it once was, with the tag that it had then, is found by the sums and by the replay, and so
// is one that is gone.
func TestStateRollback(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		w := newWorld(t, e)
		w.exec("CREATE TABLE old_cases AS SELECT * FROM cases WHERE no = 'C-4'")
		w.call(accepted.Add(4*time.Hour), cases.Close{No: "C-4", Revision: 1, At: accepted})
		for _, a := range []struct {
			texts     []string
			sums, row string
		}{
			{[]string{"DELETE FROM cases WHERE no = 'C-4'", "INSERT INTO cases SELECT * FROM old_cases"}, "as it once was", rowNamed},
			{[]string{"DELETE FROM cases WHERE no = 'C-4'"}, "there are 3 rows", rowMissing},
		} {
			w.saved(func() {
				w.all(w.db.write, a.texts)
				faults, _ := w.verifyTables()
				says := func(step, key, what string) bool {
					return slices.ContainsFunc(faults, func(f audit.StateFault) bool {
						return f.Step == step && f.Table == "cases" && f.Key == key && strings.Contains(f.What, what)
					})
				}
				if !says(audit.StepTags, "", a.sums) || !says(audit.StepReplay, "C-4", a.row) {
					t.Errorf("%v", faults)
				}
			})
		}
	})
}

// TestStateReplayedCall: a used call id that somebody took away lets the call be made again, which the log shows for ever.
func TestStateReplayedCall(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		w := newWorld(t, e)
		w.call(accepted.Add(4 * time.Hour))
		w.exec("DELETE FROM claims WHERE pos = (SELECT max(pos) FROM claims)")
		w.calls--
		w.db.accepted = newRecent(recentRows) // by a process that did not take it
		again := w.call(accepted.Add(4 * time.Hour))
		faults, _ := w.verify()
		if len(faults) == 0 || !slices.ContainsFunc(faults, func(f audit.StateFault) bool {
			return f.Step == audit.StepOnce && strings.Contains(f.What, "taken twice")
		}) {
			t.Errorf("record %d: %v", again, faults)
		}
	})
}

// oldRecord appends a record of the version before, which binds nothing.
func (w *world) oldRecord(changes ...any) {
	w.t.Helper()
	at := accepted
	leaf, err := canonical.Marshal(audit.Record{
		V: 2, Time: at.Format(canonical.TimeLayout), System: "window", Operation: "licenses.query", Evidence: canonical.Base64(make([]byte, 32)), Uses: []audit.Use{},
		RequestID: canonical.Base64(random32Slice()),
	})
	w.must(err)
	_, err = w.log.Append(w.t.Context(), leaf, audit.Entry{Record: leaf, Index: audit.Index{Time: at, System: "window", Operation: "licenses.query"}, Changes: changes})
	w.must(err)
}

func random32Slice() []byte { r := random32(); return r[:] }

// verifyTables is verify without what stands beside records, which those of oldRecord have not.
func (w *world) verifyTables() ([]audit.StateFault, State) {
	w.t.Helper()
	state, err := w.db.VerifyState(w.t.Context(), StateOptions{NewSM3: tlogtest.NewHash})
	w.must(err)
	var faults []audit.StateFault
	for _, c := range state.Checks {
		faults = append(faults, c.Faults...)
	}
	return faults, state
}

// TestStateAdopted: rows that no record makes are trusted as far as the record of their adoption says how many there were, and what
// happens to them afterwards is bound.
func TestStateAdopted(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		w := &world{t: t, config: e.fresh(t)}
		w.open(tlogtest.NewKeys(t, origin), func(c tlog.Config) error { return tlog.Create(t.Context(), c) })
		t.Cleanup(func() { w.close() })
		digest, err := canonical.FilesDigest(tlogtest.NewHash, []audit.File{})
		w.must(err)
		w.oldRecord(cases.Register{Case: aCase("C-1"), R: random32()}, cases.Register{Case: aCase("C-2"), R: random32()}, audit.PolicySet{Digest: digest, Files: []audit.File{}})
		w.oldRecord(cases.Receive{Received: cases.Received{Case: "C-1", Material: "a", How: "uploaded", At: accepted}})
		w.oldRecord(cases.Give{Consent: aConsent("K-1", "X", "window"), R: random32()}, cases.Give{Consent: aConsent("K-2", "X", "window"), R: random32()})
		w.oldRecord(register.Issue{Version: aVersion("a-1", "list-1", 1, 1)}, register.Issue{Version: aVersion("b-1", "list-1", 2, 1)}, register.Issue{Version: aVersion("c-1", "list-1", 3, 1)})
		for _, a := range w.db.adoptions(0) {
			text := "UPDATE " + a.table + " SET mac = NULL"
			if len(a.set) > 1 && a.table != "versions" {
				text += ", " + a.set[0] + " = 0"
			}
			w.all(w.db.write, []string{text})
		}
		w.exec("UPDATE logs SET sums = NULL")
		w.db.lastSums.Store(nil)
		w.db.recent = newRecent(recentRows)
		rows, err := w.db.Adopt(t.Context(), nil)
		w.must(err)
		adopted, err := w.recorder.RecordOwn(t.Context(), audit.Own{Operation: "store.adopt", Inputs: rows, Changes: []any{audit.Adopt{Rows: rows}}})
		w.must(err)
		want := []AdoptedRows{{"cases", 2, origin, adopted.Index}, {"case_received", 1, origin, adopted.Index}, {"consents", 2, origin, adopted.Index},
			{"versions", 3, origin, adopted.Index}, {"status_lists", 1, origin, adopted.Index}, {"policy_sets", 1, origin, adopted.Index}}
		holds := func(when string) {
			t.Helper()
			if faults, state := w.verifyTables(); len(faults) > 0 || !slices.Equal(state.Adopted, want) {
				t.Errorf("%s: %v, trusted %v", when, faults, state.Adopted)
			}
		}
		holds("adopted")
		w.call(accepted, cases.Close{No: "C-1", Revision: 1, At: accepted}, cases.Withdraw{ID: "K-1", At: accepted}, cases.Register{Case: aCase("C-3"), R: random32()}, audit.PolicySet{Digest: digest, Files: []audit.File{}})
		w.call(accepted, register.Issue{Version: aVersion("a-2", "list-1", 4, 2), Supersedes: "a-1"}, register.Order{Identifier: "b-1", To: license.Suspended, At: accepted}, register.SetStatus{Identifier: "c-1", From: license.Valid, To: license.Revoked, At: accepted})
		w.call(accepted, cases.Receive{Received: cases.Received{Case: "C-3", Material: "a", How: "uploaded", At: accepted}}, register.Issue{Version: aVersion("d-1", "list-2", 1, 1)})
		holds("changed afterwards")

		var newest int64
		_, err = sqldb.One(t.Context(), w.db.read, []any{&newest}, "SELECT max(pos) FROM records")
		w.must(err)
		took := position(1, adopted.Index)
		for _, a := range []struct{ name, text, table, key string }{
			{"a case that was closed since", "UPDATE cases SET closed = 0, revision = 1 WHERE no = 'C-1'", "cases", "C-1"},
			{"that case as it was adopted", fmt.Sprintf("UPDATE cases SET closed = 0, revision = 1, pos = %d WHERE no = 'C-1'", took), "cases", "C-1"},
			{"one more case", fmt.Sprintf("INSERT INTO cases (no, matter, parts, registrar, attestation, parties, accepted, registered, closed, revision, pos) SELECT 'C-9', matter, parts, registrar, attestation, parties, accepted, registered, closed, revision, %d FROM cases WHERE no = 'C-1'", took), "cases", ""},
			{"one more case that names no adoption", "INSERT INTO cases (no, matter, parts, registrar, attestation, parties, accepted, registered, closed, revision, pos) SELECT 'C-9', matter, parts, registrar, attestation, parties, accepted, registered, closed, revision, pos FROM cases WHERE no = 'C-1'", "cases", "C-9"},
			{"one case less", "DELETE FROM cases WHERE no = 'C-2'", "cases", ""},
			{"one changed case less", "DELETE FROM consents WHERE id = 'K-1'", "consents", "K-1"},
			{"a consent that was withdrawn since", "UPDATE consents SET withdrawn = 0 WHERE id = 'K-1'", "consents", "K-1"},
			{"a license that was superseded since", "UPDATE versions SET status = 'valid', stated = 'valid' WHERE identifier = 'a-1'", "versions", "a-1"},
			{"a license that was suspended since", "UPDATE versions SET status = 'valid' WHERE identifier = 'b-1'", "versions", "b-1"},
			{"an order since", "UPDATE versions SET status = 'valid', ordered = '' WHERE identifier = 'b-1'", "versions", "b-1"},
			{"a license that was revoked since", "UPDATE versions SET status = 'valid', stated = 'valid' WHERE identifier = 'c-1'", "versions", "c-1"},
			{"one thing received less", "DELETE FROM case_received WHERE case_no = 'C-1'", "case_received", ""},
			{"one thing received more", fmt.Sprintf("INSERT INTO case_received (case_no, pos, n, matter, material, how, digest, by_system, at) SELECT case_no, pos, n + 1, matter, material, how, digest, by_system, at FROM case_received WHERE pos < %d", took), "case_received", ""},
			{"one policy more", fmt.Sprintf("INSERT INTO policy_sets (digest, files, pos) SELECT 'x', files, %d FROM policy_sets", took), "policy_sets", ""},
			{"a list", "DELETE FROM status_lists WHERE list = 'list-1'", "status_lists", "list-1"},
		} {
			t.Run(a.name, func(t *testing.T) {
				w.t = t
				found := w.alterTables(func() { w.exec(a.text) })
				if !slices.ContainsFunc(found, func(f audit.StateFault) bool {
					return f.Step == audit.StepReplay && f.Table == a.table && strings.HasPrefix(f.Key, a.key)
				}) || slices.ContainsFunc(found, func(f audit.StateFault) bool { return f.Step == audit.StepTags }) {
					t.Errorf("%v", found)
				}
			})
		}
		w.t = t
		holds("as it was")
	})
}

// TestStateAdoptedMore: a record that took on fewer rows than name it is found out.
func TestStateAdoptedMore(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		w := newWorld(t, e)
		var err error
		w.db.config.Sealer, err = envelope.NewKeyring(nil, envelope.Key{ID: "test-2", Secret: [32]byte{2}})
		w.must(err)
		w.db.lastSums.Store(nil)
		rows, err := w.db.AdoptLost(t.Context(), nil)
		w.must(err)
		w.recorder, err = audit.NewRecorder(w.auditConfig())
		w.must(err)
		rows["cases"]--
		adopted, err := w.recorder.RecordOwn(t.Context(), audit.Own{Operation: "keys.restore", Inputs: rows, Changes: []any{audit.Adopt{Rows: rows}}})
		w.must(err)
		faults, _ := w.verifyTables()
		if len(faults) != 1 || faults[0].Table != "cases" || *faults[0].Record != adopted.Index || !strings.HasPrefix(faults[0].What, "4 rows name the record") {
			t.Errorf("%v", faults)
		}
	})
}

// alterTables is alter with all keys, without what stands beside records.
func (w *world) alterTables(change func()) (faults []audit.StateFault) {
	w.t.Helper()
	w.saved(func() {
		change()
		w.resign()
		faults, _ = w.verifyTables()
	})
	return faults
}

// TestStateLostKey: rows that were taken on after an envelope key was lost are held against the records all the same; what was sealed
// under the key is not proven, and not called wrong.
func TestStateLostKey(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		w := newWorld(t, e)
		keys := w.config
		other, err := envelope.NewKeyring(nil, envelope.Key{ID: "test-2", Secret: [32]byte{2}})
		w.must(err)
		w.db.config.Sealer, w.db.config.UnknownKey = other, envelope.ErrUnknownKey
		w.db.lastSums.Store(nil)
		if _, state := w.verifyTables(); state.Checks[0].Step().State == check.OK {
			t.Error("tags under a lost key are called good")
		}
		rows, err := w.db.AdoptLost(t.Context(), nil)
		w.must(err)
		w.recorder, err = audit.NewRecorder(w.auditConfig())
		w.must(err)
		_, err = w.recorder.RecordOwn(t.Context(), audit.Own{Operation: "keys.restore", Inputs: rows, Changes: []any{audit.Adopt{Rows: rows}}})
		w.must(err)
		faults, state := w.verifyTables()
		if len(faults) > 0 || len(state.Adopted) > 0 {
			t.Errorf("%v, trusted %v", faults, state.Adopted)
		}
		for _, c := range state.Checks {
			if s := c.Step(); (s.State == check.NotCheckable) != (s.Name == audit.StepReplay) {
				t.Errorf("%s is %s %s", s.Name, s.State, s.Reason)
			}
		}
		beside, err := audit.VerifyStored(t.Context(), w.auditConfig(), w.db.Stored(), audit.StoredOptions{Claimed: claimOf, UnknownKey: envelope.ErrUnknownKey})
		w.must(err)
		for _, c := range beside {
			if s := c.Step(); s.State == check.Failed || s.Name == audit.StepKept && s.State == check.OK {
				t.Errorf("%s is %s %s", s.Name, s.State, s.Reason)
			}
		}
		w.config = keys
		for _, a := range []struct{ text, table, key string }{
			{"UPDATE cases SET closed = 0, revision = 1 WHERE no = 'C-2'", "cases", "C-2"},
			{"UPDATE versions SET status = 'valid', stated = 'valid' WHERE identifier = 'a-2'", "versions", "a-2"},
			{"DELETE FROM consents WHERE id = 'K-2'", "consents", "K-2"},
		} {
			if found := w.alterTables(func() { w.exec(a.text) }); !slices.ContainsFunc(found, func(f audit.StateFault) bool {
				return f.Step == audit.StepReplay && f.Table == a.table && f.Key == a.key
			}) {
				t.Errorf("%s: %v", a.text, found)
			}
		}
	})
}

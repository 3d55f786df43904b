package attack

import (
	"database/sql"
	"os"
	"strconv"
	"testing"
	"time"

	lognote "oncegate/certs/note"
	"oncegate/config"

	"oncegate/certs/keystore"
	"oncegate/certs/sm"
	"oncegate/store"
	"oncegate/store/storetest"
)

// agedRecords is how long the log of a victim of age is: its history reads all of it over HTTP.
const agedRecords = 50_000

// age gives an installation that has not served yet the log of one that has for years.
func (in *installation) age(records int) {
	in.t.Helper()
	ctx := in.t.Context()
	setup, faults := config.Load(in.main, time.Now())
	if setup == nil || setup.Keys == nil {
		in.t.Fatal(faults)
	}
	c, err := setup.StoreConfig(time.Now)
	in.must(err)
	db, err := store.Open(ctx, c)
	in.must(err)
	for covered, size := uint64(0), uint64(1); covered < size; {
		covered, size, err = db.Audit().Follow(ctx)
		in.must(err)
	}
	in.must(db.Close())
	signer, err := setup.Keys.Signer(keystore.Log, "")
	in.must(err)
	private, err := setup.Keys.Ed25519(keystore.Log, "")
	in.must(err)
	h := storetest.History{Path: c.Path, DSN: c.DSN, Log: setup.Log.Origin, NewSM3: sm.New, Proofs: c.Proofs(), Records: records, Evidence: 200, Begin: time.Now().AddDate(-4, 0, 0), Every: 4 * 365 * 24 * time.Hour / time.Duration(records)}
	h.SM2, err = lognote.SM2NoteSigner(setup.Log.Origin, signer)
	in.must(err)
	h.Ed25519, err = lognote.Ed25519NoteSigner(setup.Log.Origin, private)
	in.must(err)
	in.must(h.Fill(ctx))
}

// TestKillAged kills a node on a long log, while somebody reads its database and so keeps the write-ahead log from being begun
// anew: nothing that was answered is lost.
func TestKillAged(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	in.age(agedRecords)
	v := newVictim(t, in)
	in.churn()
	v.survive(false)
	reader, err := sql.Open("sqlite", "file:"+in.path("data", "oncegate.db")+"?mode=ro&_pragma=busy_timeout(2000)")
	in.must(err)
	defer reader.Close()
	reading, err := reader.BeginTx(t.Context(), nil)
	in.must(err)
	defer reading.Rollback()
	var size int
	in.must(reading.QueryRow("SELECT size FROM logs").Scan(&size))
	if size <= agedRecords {
		t.Fatalf("the log has %d records only", size)
	}
	v.survive(false)
	v.survive(true)
	v.report(3)
}

// TestStartAged starts a node on a long log over PostgreSQL, twice, and has it answer: nothing at start reads the whole log.
// ONCEGATE_TEST_START counts records it has; how long the start takes is logged.
func TestStartAged(t *testing.T) {
	d := newDatabase(t)
	if d == nil {
		return
	}
	records := agedRecords
	if text := os.Getenv("ONCEGATE_TEST_START"); text != "" {
		var err error
		if records, err = strconv.Atoi(text); err != nil || records < 1 {
			t.Fatal("ONCEGATE_TEST_START is no number of records")
		}
	}
	in := installOn(t, d)
	in.age(records)
	for range 2 {
		begun := time.Now()
		p := in.start()
		took := time.Since(begun)
		if size := p.figure("oncegate_log_size"); int(size) <= records {
			t.Errorf("the log has %v records", size)
		}
		for p.figure("oncegate_projection_records") < p.figure("oncegate_log_size") {
			time.Sleep(10 * time.Millisecond)
		}
		t.Logf("on %d records a node serves after %s", records, took.Round(time.Millisecond))
		p.stop()
	}
}

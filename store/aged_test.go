package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"oncegate/audit"
	"oncegate/canonical"
	"oncegate/cases"
	"oncegate/store/sqldb"
	"oncegate/store/storetest"
	"oncegate/tlog"
	"oncegate/tlog/tlogtest"
)

// agedRecords is how long the log is that tests of age start from: ONCEGATE_TEST_RECORDS, 100,000 by default.
func agedRecords(t testing.TB) int {
	text := os.Getenv("ONCEGATE_TEST_RECORDS")
	if text == "" {
		return 100_000
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1000 {
		t.Fatal("ONCEGATE_TEST_RECORDS is no number from 1000 on")
	}
	return n
}

// The aged log's records are a minute apart, and the newest is of this moment.
const agedEvery = time.Minute

// aged opens a log of many records, with evidence of so many bytes each. Old is a moment before all but a tenth of them.
func aged(t testing.TB, e engine, evidence int) (b *bench, old time.Time) {
	t.Helper()
	records := agedRecords(t)
	c := e.fresh(t)
	db, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	keys := tlogtest.NewKeys(t, origin)
	if err := tlog.Create(t.Context(), keys.Config(db.Log())); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	now := time.Now().Truncate(time.Second)
	h := storetest.History{
		Path: c.Path, DSN: c.DSN, Log: origin, NewSM3: tlogtest.NewHash, SM2: keys.SM2, Ed25519: keys.Ed25519, Proofs: c.Proofs(),
		Records: records, Evidence: evidence, Begin: now.Add(-time.Duration(records) * agedEvery), Every: agedEvery, Claims: 5000,
	}
	begun := time.Now()
	if err := h.Fill(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: %d records in %.1f s", e.name, records, time.Since(begun).Seconds())
	begun = time.Now()
	db = mustOpen(t, c)
	log, err := tlog.Open(t.Context(), keys.Config(db.Log()))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("opened in %s", time.Since(begun).Round(time.Millisecond))
	t.Cleanup(func() { log.Close(context.Background()) })
	return &bench{db, log, keys}, now.Add(-time.Duration(records/10) * agedEvery)
}

// plan is what the database says that it will do for a statement.
func plan(t *testing.T, p *sqldb.Pool, text string, args ...any) string {
	t.Helper()
	word := "EXPLAIN "
	if p.Engine() == SQLite {
		word = "EXPLAIN QUERY PLAN "
	}
	rows, err := p.DB().QueryContext(t.Context(), p.Rebind(word+text), args...)
	if err != nil {
		t.Fatal(text, err)
	}
	var lines []string
	err = sqldb.ScanAll(rows, func(rows *sql.Rows) error {
		columns, err := rows.Columns()
		if err != nil {
			return err
		}
		row, dest := make([]sql.NullString, len(columns)), make([]any, len(columns))
		for i := range row {
			dest[i] = &row[i]
		}
		err = rows.Scan(dest...)
		lines = append(lines, row[len(row)-1].String)
		return err
	})
	if err != nil {
		t.Fatal(text, err)
	}
	return strings.Join(lines, "\n")
}

// TestAged holds what grows with the log to indexes, and lets retention run on a long log while a reader has it open.
func TestAged(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		b, old := aged(t, e, 200)
		db, a := b.db, auditView{b.db}
		reading, err := db.read.DB().BeginTx(t.Context(), &sql.TxOptions{ReadOnly: e.name == Postgres})
		if err != nil {
			t.Fatal(err)
		}
		defer reading.Rollback()
		var n int
		if err := reading.QueryRow("SELECT count(*) FROM tiles").Scan(&n); err != nil {
			t.Fatal(err)
		}

		t.Run("verifies", func(t *testing.T) {
			head, err := db.Log().Head(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			c, _, err := tlog.VerifyCheckpoint(head.Checkpoint, b.keys.Trust)
			if err != nil {
				t.Fatal(err)
			}
			if err := tlog.VerifyLog(t.Context(), db.Log(), c, tlogtest.NewHash, nil); err != nil {
				t.Error(err)
			}
		})

		t.Run("plans", func(t *testing.T) {
			p, err := a.projection(t.Context(), db.search.read)
			if err != nil || p.size() != uint64(agedRecords(t)) {
				t.Fatalf("the projection covers %d records, %v", p.covered, err)
			}
			search := func(q audit.Query) (text string, args []any) {
				q.Limit = 10
				return a.statement(q, position(db.number, p.size()))
			}
			operation, operationArgs := search(audit.Query{Operation: "config.activate"})
			often, oftenArgs := search(audit.Query{Operation: "licenses.query"})
			for name, s := range map[string]struct {
				pool  *sqldb.Pool
				text  string
				args  []any
				index string // "" any
			}{
				"calls of a batch":      {db.write, takenClaims(4), []any{"a", "b", "c", "d", "e", "f", "g", "h"}, ""},
				"call by id":            {db.read, "SELECT pos FROM claims WHERE jti = ? AND system = ?", []any{"a", "b"}, ""},
				"expired calls":         {db.read, oldestClaims, []any{0, canonical.Micros(old), claimStep}, "claims_expires"},
				"deleting them":         {db.upkeep, deletedClaims(2), []any{"a", "b", "c", "d", canonical.Micros(old)}, ""},
				"old batches":           {db.write, oldBatches, []any{1, 10}, map[string]string{SQLite: "(hour=? AND id=?)"}[e.name]},
				"old evidence":          {db.read, oldEvidence, []any{0, canonical.Micros(old), eraseStep}, "records_erasable"},
				"whether there is any":  {db.read, anyOldEvidence, []any{canonical.Micros(old)}, "records_erasable"},
				"search by a rare word": {db.search.read, operation, operationArgs, "hits_operation"},
				"search by a frequent":  {db.search.read, often, oftenArgs, ""},
			} {
				got := plan(t, s.pool, s.text, s.args...)
				if !strings.Contains(got, s.index) {
					t.Errorf("%s: not by %s:\n%s", name, s.index, got)
				}
				for _, table := range []string{"records", "claims", "hits", "tiles"} {
					for line := range strings.SplitSeq(got, "\n") {
						whole := strings.Contains(line, "Seq Scan on "+table+" ") || strings.HasPrefix(line, "SCAN "+table) && !strings.Contains(line, "INDEX")
						if whole {
							t.Errorf("%s: reads a whole table:\n%s", name, got)
						}
					}
				}
			}
		})

		t.Run("audit", func(t *testing.T) {
			begun := time.Now()
			if rows, err := a.Search(t.Context(), audit.Query{Operation: "config.activate", Limit: 1}); err != nil || len(rows) != 0 {
				t.Errorf("found %v, %v", rows, err)
			}
			t.Logf("an operation that nobody did is sought in %s", time.Since(begun).Round(time.Microsecond))
			begun = time.Now()
			rates, err := a.Reuse(t.Context(), old, time.Now().Add(time.Hour), "", 0)
			if err != nil || len(rates) != 1 || rates[0].Denominator < agedRecords(t)/40 {
				t.Errorf("reuse is %v, %v", rates, err)
			}
			t.Logf("reuse over a tenth of the log is counted in %s", time.Since(begun).Round(time.Millisecond))
		})

		t.Run("retention", func(t *testing.T) {
			const few = 3 * eraseStep
			if n, err := a.EraseBefore(t.Context(), old, few); err != nil || n != few {
				t.Errorf("erased %d, %v", n, err)
			}
			if n, err := a.EraseBefore(t.Context(), old.AddDate(-50, 0, 0), few); err != nil || n != 0 {
				t.Errorf("where nothing is old, erased %d, %v", n, err)
			}
			if err := a.Purge(t.Context(), time.Now().Add(-4000*agedEvery)); err != nil {
				t.Error(err)
			}
			var left int
			if err := db.read.DB().QueryRow("SELECT count(*) FROM claims").Scan(&left); err != nil || left < 4000 || left > 4010 {
				t.Errorf("%d calls are left, %v", left, err)
			}
			mustChange(t, b)
			follow(t, db)
			if rows, err := a.Search(t.Context(), audit.Query{Case: "SP-000000002", Limit: 10}); err != nil || len(rows) != 4 {
				t.Errorf("found %d records of a case, %v", len(rows), err)
			} else if _, err := audit.ParseRecord(rows[0].Leaf); err != nil {
				t.Errorf("a record of the history: %v", err)
			}
		})
	})
}

// BenchmarkAged measures appends at an even rate on an aged log: some seconds in peace, then as many with retention, a backup and
// searches beside them, in many turns, so that what else the machine does falls on both alike. Percentiles are over all turns.
//
//	ONCEGATE_TEST_RECORDS=1000000 go test ./store -run '^$' -bench Aged -benchtime 1x -timeout 30m
func BenchmarkAged(b *testing.B) {
	const (
		rate  = 500 // appends in a second
		turns = 10
		turn  = 6 * time.Second
	)
	for _, e := range engines() {
		b.Run(e.name, func(b *testing.B) {
			bench, old := aged(b, e, 1000)
			a := bench.db.Audit()
			for i := range 100 {
				if err := bench.change(b.Context(), cases.Register{Case: aCase(fmt.Sprint("C-", i))}); err != nil {
					b.Fatal(err)
				}
			}
			following, stop := context.WithCancel(b.Context())
			var follower sync.WaitGroup
			follower.Go(func() {
				for following.Err() == nil {
					a.Follow(following)
					time.Sleep(250 * time.Millisecond)
				}
			})
			defer follower.Wait()
			defer stop()
			n := int64(0)
			var quiet, busy []time.Duration
			var erased, searches, backups atomic.Int64
			b.ResetTimer()
			for range turns {
				quiet = append(quiet, paced(b, bench, rate, turn, &n)...)
				ctx, cancel := context.WithCancel(b.Context())
				var work sync.WaitGroup
				again := func(do func() error) {
					work.Go(func() {
						for ctx.Err() == nil {
							if err := do(); err != nil && ctx.Err() == nil {
								b.Error(err)
								return
							}
						}
					})
				}
				again(func() error {
					n, err := a.EraseBefore(ctx, old, 500)
					erased.Add(int64(n))
					return errors.Join(err, a.Purge(ctx, time.Now().Add(-20*time.Minute)))
				})
				again(func() error {
					_, err := a.Search(ctx, audit.Query{System: "food-approval", From: old, Limit: 100})
					searches.Add(1)
					time.Sleep(100 * time.Millisecond)
					return err
				})
				if e.name == SQLite {
					again(func() error {
						defer backups.Add(1)
						return bench.db.Backup(ctx, filepath.Join(b.TempDir(), rand.Text()), nil)
					})
				}
				busy = append(busy, paced(b, bench, rate, turn, &n)...)
				cancel()
				work.Wait()
			}
			slices.Sort(quiet)
			slices.Sort(busy)
			for name, part := range map[string]float64{"p50": 0.5, "p99": 0.99, "p99.9": 0.999} {
				in := func(list []time.Duration) float64 {
					return float64(list[int(part*float64(len(list)))].Microseconds()) / 1000
				}
				b.ReportMetric(in(quiet), "quiet-"+name+"-ms")
				b.ReportMetric(in(busy), "busy-"+name+"-ms")
			}
			b.ReportMetric(float64(erased.Load()), "erased")
			b.ReportMetric(float64(searches.Load()), "searches")
			b.ReportMetric(float64(backups.Load()), "backups")
		})
	}
}

// paced appends at an even rate for a time, and returns how long each took from when it was due.
func paced(b *testing.B, bench *bench, rate int, spell time.Duration, n *int64) (all []time.Duration) {
	var mu sync.Mutex
	var group sync.WaitGroup
	begun := time.Now()
	for i := range int(spell.Seconds() * float64(rate)) {
		due := begun.Add(time.Duration(i) * time.Second / time.Duration(rate))
		time.Sleep(time.Until(due))
		*n++
		entry := wide(*n)
		group.Go(func() {
			if _, err := bench.append(b.Context(), entry); err != nil {
				b.Error(err)
			}
			took := time.Since(due)
			mu.Lock()
			all = append(all, took)
			mu.Unlock()
		})
	}
	group.Wait()
	return all
}

package store

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"oncegate/audit"
	"oncegate/cases"
	"oncegate/license"
	"oncegate/register"
	"oncegate/tlog"
	"oncegate/tlog/tlogtest"
)

// BenchmarkState verifies a log that was written as calls write it: each record with evidence, a third of them with a case, a consent or
// a license. ONCEGATE_STATE_RECORDS says how many; default 5000.
func BenchmarkState(b *testing.B) {
	records := 5000
	if n, err := strconv.Atoi(os.Getenv("ONCEGATE_STATE_RECORDS")); err == nil {
		records = n
	}
	for _, e := range engines() {
		b.Run(fmt.Sprint(e.name, "/", records), func(b *testing.B) {
			w := &world{t: b, config: e.fresh(b)}
			w.open(tlogtest.NewKeys(b, origin), func(c tlog.Config) error { return tlog.Create(b.Context(), c) })
			b.Cleanup(w.close)
			w.fill(records)
			var before, after runtime.MemStats
			for b.Loop() {
				runtime.GC()
				runtime.ReadMemStats(&before)
				begun := time.Now()
				state, err := w.db.VerifyState(b.Context(), StateOptions{NewSM3: tlogtest.NewHash})
				w.must(err)
				replayed := time.Since(begun)
				_, err = audit.VerifyStored(b.Context(), w.auditConfig(), w.db.Stored(), audit.StoredOptions{Claimed: claimOf})
				w.must(err)
				runtime.ReadMemStats(&after)
				for _, c := range state.Checks {
					if c.Count > 0 {
						b.Fatal(c.Faults)
					}
				}
				b.ReportMetric(float64(replayed.Microseconds())/float64(records), "replay-µs/record")
				b.ReportMetric(float64((time.Since(begun)-replayed).Microseconds())/float64(records), "evidence-µs/record")
				b.ReportMetric(float64(after.Sys-min(after.Sys, before.Sys))/float64(records), "sys-B/record")
			}
		})
	}
}

// fill makes records from several callers at once.
func (w *world) fill(records int) {
	w.t.Helper()
	var group sync.WaitGroup
	const callers = 64
	for c := range callers {
		group.Go(func() {
			for i := c; i < records; i += callers {
				compact, claim := w.token(fmt.Sprint("j-", i))
				var changes []any
				switch i % 9 {
				case 0:
					changes = []any{cases.Register{Case: aCase(fmt.Sprint("C-", i)), R: random32()}}
				case 3:
					changes = []any{cases.Give{Consent: aConsent(fmt.Sprint("K-", i), "X", "window"), R: random32()}}
				case 6:
					v := aVersion(fmt.Sprint("a-", i), "list-1", i, 1)
					v.Subject = random32()
					changes = []any{register.Issue{Version: v}}
				}
				_, err := w.recorder.Record(w.t.Context(), audit.Draft{
					Operation: "licenses.query", System: "window", Operator: "op-1", RequestID: fmt.Sprint("r-", i), Time: accepted, Token: compact, Body: make([]byte, 300), Answer: []byte("{}"),
					Uses:   []audit.Use{{Basis: "case", Case: "C-1", Matter: "food-permit", Material: "m", LicenseType: "t", Decision: "release", Need: 1, Fields: []string{}, Rules: []string{}, Person: license.HolderID{Type: "001", Code: "X"}}},
					Inputs: map[string]any{"a": make([]byte, 300)}, Claim: claim, Changes: changes,
				})
				if err != nil {
					w.t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
}

//go:build unix

package node

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"oncegate/api"
	"oncegate/install/installtest"
	"oncegate/license"
)

// BenchmarkIssue signs licenses in bulk on a running node, each number a license: signed call, source, number, signature, second
// voice, record and store. licenses/cpu-s is the figure of one core, which client and source share; of a busy machine it is the
// one that says something.
func BenchmarkIssue(b *testing.B) {
	c := newCity(b)
	s := c.serve()
	steward := s.as("market-licenses")
	made := 0
	holders := func(n int) []api.HolderID {
		list := make([]api.HolderID, n)
		var rows []any
		for i := range list {
			code, err := license.MakeUSCC(fmt.Sprintf("91379901MA%07d", made))
			if err != nil {
				b.Fatal(err)
			}
			made++
			list[i] = api.HolderID{Type: "001", Code: code}
			rows = append(rows, "B-"+code, code)
		}
		fill(b, filepath.Join(c.Dir, "sources/market.db"), rows)
		return list
	}
	if err := installtest.Exec(filepath.Join(c.Dir, "sources/market.db"), `create index by_holder on licenses (uscc)`); err != nil {
		b.Fatal(err)
	}
	var used time.Duration
	b.ResetTimer()
	for n := 0; n < b.N; {
		b.StopTimer()
		list := holders(min(64, b.N-n))
		b.StartTimer()
		before := cpuTime(b)
		done, err := steward.Issue(b.Context(), api.IssueRequest{LicenseType: "business-license", Holders: list})
		if err != nil {
			b.Fatal(err)
		}
		used += cpuTime(b) - before
		for i, h := range done.Answer.Holders {
			if h.State != api.IssuedHolderStateSigned {
				b.Fatalf("holder %d: %+v", i, h)
			}
		}
		n += len(list)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "licenses/s")
	b.ReportMetric(float64(b.N)/used.Seconds(), "licenses/cpu-s")
}

// cpuTime is what this process has used of the processors.
func cpuTime(tb testing.TB) time.Duration {
	tb.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// fill adds licenses to the legacy system: number and holder of each.
func fill(tb testing.TB, path string, rows []any) {
	tb.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		tb.Fatal(err)
	}
	defer db.Close()
	tx, err := db.Begin()
	if err != nil {
		tb.Fatal(err)
	}
	for i := 0; i < len(rows); i += 2 {
		if _, err := tx.Exec(`insert into licenses values (?, ?, '云川小面馆有限公司', '甲乙', '示例路 1 号', '2024-03-01', '', '1')`, rows[i:i+2]...); err != nil {
			tb.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		tb.Fatal(err)
	}
}

package store

import (
	"crypto/rand"
	"database/sql"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"oncegate/audit"
	"oncegate/cases"
	"oncegate/license"
	"oncegate/store/sqldb"
	"oncegate/tlog"
)

var accepted = time.Date(2026, 11, 23, 1, 0, 0, 0, time.UTC)

// timeOrdered is a jti as callers make them: time first.
func timeOrdered() string {
	var b [16]byte
	rand.Read(b[:])
	binary.BigEndian.PutUint64(b[:], uint64(time.Now().UnixNano()))
	return fmt.Sprintf("%x", b)
}

// wide makes an entry as a query leaves it: about 700 bytes of record, 1.5 KB of evidence, a claim and an open case.
func wide(n int64) audit.Entry {
	record := make([]byte, 700)
	copy(record, fmt.Sprintf(`{"n":%d,"t":%d}`, n, time.Now().UnixNano()))
	part := func(kind string, size int) audit.Sealed {
		return audit.Sealed{Kind: kind, Digest: make([]byte, 32), Blob: make([]byte, size)}
	}
	holder := fmt.Sprintf("%043d", n%5000)
	return audit.Entry{
		Record: record,
		Sealed: []audit.Sealed{part("request", 900), part("inputs", 450), part("person", 130)},
		Index: audit.Index{Time: time.Now().UTC(), System: "window", Operation: "licenses.query", RequestID: "0198c2f0-0000-7000-8000-000000000000", Operator: holder,
			Uses: []audit.IndexUse{{Matter: "food-permit", Case: fmt.Sprint("C-", n%100), Material: "business-license", LicenseType: "business-license", Decision: "release", Holder: holder}}},
		Changes: []any{
			audit.Claim{System: fmt.Sprint("system-", n%10), JTI: timeOrdered(), Exp: time.Now().Add(5 * time.Minute)},
			cases.StillOpen{No: fmt.Sprint("C-", n%100), Revision: 1},
		},
	}
}

func aCase(no string) cases.Case {
	return cases.Case{
		No: no, Matter: "food-permit", Parts: []cases.Part{}, Registrar: "platform", Attestation: cases.Platform,
		Parties:  []cases.Party{{Role: cases.Applicant, Holder: license.HolderID{Type: "001", Code: "91110000MA00000000"}}},
		Accepted: accepted, Registered: accepted.Add(time.Second), Revision: 1,
	}
}

// busy opens a bench with the hundred cases that wide cites.
func busy(b testing.TB, e engine) *bench {
	bench := newBench(b, e)
	for i := range 100 {
		if err := bench.change(b.Context(), cases.Register{Case: aCase(fmt.Sprint("C-", i))}); err != nil {
			b.Fatal(err)
		}
	}
	return bench
}

// BenchmarkAppend is the whole write path: writers wait for their receipt over the store.
func BenchmarkAppend(b *testing.B) {
	for _, e := range engines() {
		for _, writers := range []int{1, 64, 512} {
			b.Run(fmt.Sprint(e.name, "/writers=", writers), func(b *testing.B) {
				bench := busy(b, e)
				var n atomic.Int64
				b.ResetTimer()
				var group sync.WaitGroup
				for range writers {
					group.Go(func() {
						for i := n.Add(1); i <= int64(b.N); i = n.Add(1) {
							if _, err := bench.append(b.Context(), wide(i)); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				group.Wait()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
				var batches int
				if err := bench.db.read.DB().QueryRow("SELECT count(*) FROM batches").Scan(&batches); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(b.N)/float64(batches-100), "rows/batch")
			})
		}
	}
}

// BenchmarkCommit is one batch of 64 wide rows at the store alone.
func BenchmarkCommit(b *testing.B) {
	for _, e := range engines() {
		b.Run(e.name, func(b *testing.B) {
			bench := busy(b, e)
			s := bench.db.Log()
			n := int64(0)
			for b.Loop() {
				batch := tlog.Batch{Integrate: func(h tlog.Head, _ tlog.Reader, accepted []int) (tlog.Update, error) {
					h.Size += uint64(len(accepted))
					return tlog.Update{Head: h, Leaves: make([]tlog.LeafHash, len(accepted))}, nil
				}}
				rand.Read(batch.ID[:])
				for range 64 {
					n++
					e := wide(n)
					batch.Entries = append(batch.Entries, tlog.Entry{Leaf: e.Record, Attached: e})
				}
				if _, err := s.Commit(b.Context(), batch); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

// BenchmarkFollow is the projection alone, catching up.
func BenchmarkFollow(b *testing.B) {
	for _, e := range engines() {
		b.Run(e.name, func(b *testing.B) {
			bench := busy(b, e)
			var group sync.WaitGroup
			for w := range 64 {
				group.Go(func() {
					for i := range 200 {
						bench.append(b.Context(), wide(int64(w*1000+i)))
					}
				})
			}
			group.Wait()
			n := uint64(0)
			for b.Loop() {
				b.StopTimer()
				if err := bench.db.Audit().Rebuild(b.Context()); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				for {
					covered, size, err := bench.db.Audit().Follow(b.Context())
					if err != nil {
						b.Fatal(err)
					}
					if covered == size {
						n += size
						break
					}
				}
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

// BenchmarkRead is what a row costs to read, and how much of that is trusting it.
func BenchmarkRead(b *testing.B) {
	for _, e := range engines() {
		bench := busy(b, e)
		db := bench.db
		db.cases = nil // as where other nodes write
		numbers := make([]string, 100)
		for i := range numbers {
			numbers[i] = fmt.Sprint("C-", i)
		}
		b.Run(e.name+"/case", func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				if _, err := db.Cases().Case(b.Context(), numbers[i%100]); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(e.name+"/row", func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				if err := sqldb.Each(b.Context(), db.read, (&caseRow{}).scan, selectCase+"WHERE no = ?", numbers[i%100]); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(e.name+"/row trusted", func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				k := rowKey{"cases", numbers[i%100]}
				last := db.recent.last(k)
				if err := sqldb.Each(b.Context(), db.read, func(rows *sql.Rows) error {
					r, err := db.scanCase(rows)
					if err == nil {
						err = db.checkFresh(k, last, r.pos)
					}
					return err
				}, selectCase+"WHERE no = ?", numbers[i%100]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkCheck adds up the rows of state, as at start.
func BenchmarkCheck(b *testing.B) {
	for _, e := range engines() {
		b.Run(e.name, func(b *testing.B) {
			bench := newBench(b, e)
			const rows = 20_000
			var group sync.WaitGroup
			for w := range 64 {
				group.Go(func() {
					for i := w; i < rows; i += 64 {
						if err := bench.change(b.Context(), cases.Register{Case: aCase(fmt.Sprint("C-", i))}); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			group.Wait()
			for b.Loop() {
				if err := bench.db.Check(b.Context(), nil); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/rows, "ns/row")
		})
	}
}

package tlog_test

import (
	"bytes"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"oncegate/tlog"
	"oncegate/tlog/tlogtest"
)

// BenchmarkAppend measures the log itself: storage in memory, leaves of 512 bytes, receipts with both
// proofs. One operation is one entry.
func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 64, 512} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			l := newBench(b)
			leaf := bytes.Repeat([]byte{'x'}, 512)
			var next atomic.Int64
			var wg sync.WaitGroup
			b.ResetTimer()
			for range writers {
				wg.Go(func() {
					for next.Add(1) <= int64(b.N) {
						if _, err := l.Append(b.Context(), leaf, nil); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "entries/s")
			b.ReportMetric(float64(b.N)/float64(max(1, l.Stats().Batches)), "entries/batch")
		})
	}
}

func BenchmarkVerifyReceipt(b *testing.B) {
	l := newBench(b)
	var o oracle
	l.grow(b, &o, 2000)
	r, err := l.Receipt(b.Context(), 777)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := tlog.VerifyReceipt(r, l.keys.Trust); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReceipt measures a receipt for an old entry, read from tiles.
func BenchmarkReceipt(b *testing.B) {
	l := newBench(b)
	var o oracle
	l.grow(b, &o, 70000)
	for i := uint64(0); b.Loop(); i++ {
		if _, err := l.Receipt(b.Context(), i*7919%70000); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyLog(b *testing.B) {
	l := newBench(b)
	var o oracle
	l.grow(b, &o, 20000)
	c, err := tlog.ParseCheckpoint(l.Known())
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := tlog.VerifyLog(b.Context(), l.memory, c, tlogtest.NewHash, nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(20000*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
}

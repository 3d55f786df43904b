package hammer

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkQuery is the full durable query over loopback, and beside it the bare handler that verifies the same token by the same
// code and writes an answer of the same length: 64 callers, one operation is one call. Profile it with
//
//	go test ./hammer -run '^$' -bench Query/full -benchtime 20000x -cpuprofile cpu.out
func BenchmarkQuery(b *testing.B) {
	o, err := Options{Dir: b.TempDir(), Cost: 10}.withDefaults()
	if err != nil {
		b.Fatal(err)
	}
	r := &bench{Options: o, meter: &meter{}}
	drop, err := r.prepare(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { r.close(); drop() })
	if err := r.warm(b.Context()); err != nil {
		b.Fatal(err)
	}
	length, err := r.answerLength(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	floor, err := r.startBare(length)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { floor.close(b.Context()) })
	for _, c := range []struct{ name, address string }{{"bare", floor.address}, {"full", r.service}} {
		b.Run(c.name, func(b *testing.B) {
			list, err := r.sign(b.Context(), b.N, []kind{query})
			if err != nil {
				b.Fatal(err)
			}
			s := stretch{name: c.name, address: c.address, callers: min(64, b.N), calls: list, longest: time.Minute}
			b.ResetTimer()
			p, err := s.run(b.Context())
			if err != nil || p.Codes["ok"] != p.Calls {
				b.Fatal(err, p.Codes)
			}
			b.ReportMetric(p.Rate, "calls/s")
			b.ReportMetric(p.P50, "p50-ms")
			b.ReportMetric(p.P99, "p99-ms")
			b.ReportMetric(p.CPU, "cpu-µs/call")
		})
	}
}

// BenchmarkRecord is Recorder.Record over its own log and store, from 1, 64 and 512 callers.
func BenchmarkRecord(b *testing.B) {
	for _, callers := range []int{1, 64, 512} {
		b.Run(fmt.Sprint("callers=", callers), func(b *testing.B) {
			l, err := openLedger(b.Context(), b.TempDir())
			if err != nil {
				b.Fatal(err)
			}
			defer l.close()
			spent := cpuTime()
			b.ResetTimer()
			took, all, err := l.work(b.Context(), callers, b.N, time.Minute)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(len(took))/all.Seconds(), "records/s")
			b.ReportMetric(p50(took), "p50-ms")
			b.ReportMetric(float64((cpuTime()-spent).Microseconds())/float64(len(took)), "cpu-µs/record")
			b.ReportMetric(float64(len(took))/float64(max(1, l.log.Stats().Batches)), "records/batch")
		})
	}
}

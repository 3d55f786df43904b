package hammer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"oncegate/adapters/sqldb"
	"oncegate/api"
	"oncegate/config"
	"oncegate/license"
)

// BenchmarkQuery is the full durable query over loopback, and beside it the bare handler that verifies the same token by the same
// code and writes an answer of the same length: 64 callers, one operation is one call. Between the two stands least, a handler that
// decides nothing and signs nothing: it verifies the token, asks the source, and makes the record of the call durable with its
// evidence, by the packages of the gateway. It is the cost of recording alone: least ÷ full by processor time (cpu-µs/call, within one
// run) is its part of a query. docs/performance.md, section 4, has the figures. Profile it with
//
//	go test ./hammer -run '^$' -bench Query/full -benchtime 20000x -cpuprofile cpu.out
func BenchmarkQuery(b *testing.B) {
	o, err := Options{Dir: b.TempDir(), Cost: 10}.withDefaults()
	if err != nil {
		b.Fatal(err)
	}
	r := &session{Options: o, meter: &meter{}}
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
	floor, err := r.startBare(length, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { floor.close(context.Background()) })
	least, err := r.startBare(length, leastOf(b, r.installation))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { least.close(context.Background()) })
	for _, c := range []struct{ name, address string }{{"bare", floor.address}, {"least", least.address}, {"full", r.service}} {
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

// leastOf asks the source and makes the record durable.
func leastOf(b *testing.B, in *installation) func(context.Context, verifiedCall) error {
	at := slices.IndexFunc(in.setup.Sources, func(s config.Source) bool { return s.ID == "market-registration" })
	_, adapter := in.setup.Sources[at].Adapter.Config()
	source, err := sqldb.Open(*adapter.(*sqldb.Config), in.setup.Catalogue, sqldb.Deps{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { source.Close() })
	l, err := openLedger(b.Context(), b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.close() })
	following, stop := context.WithCancel(b.Context())
	b.Cleanup(stop)
	go func() { // what is recorded can be found
		for range time.Tick(250 * time.Millisecond) {
			if _, _, err := l.db.Audit().Follow(following); err != nil {
				return
			}
		}
	}()
	return func(ctx context.Context, call verifiedCall) error {
		question, err := api.DecodeStrict[api.QueryRequest](call.body)
		if err != nil {
			return err
		}
		holder := license.HolderID{Type: question.Holder.Type, Code: question.Holder.Code}
		found, err := source.Find(ctx, license.Request{Questions: []license.Question{{Type: question.LicenseType, Holder: holder}}})
		if err != nil || found[0].State != license.IsFound {
			return errors.Join(err, found[0].Err)
		}
		d, err := draft()
		if err != nil {
			return err
		}
		d.Token, d.Body, d.Answer, d.RequestID, d.Claim.JTI = call.token, call.body, call.answer, call.claims.ID, call.claims.ID
		d.Uses[0].Person, d.Uses[0].Case = holder, question.Purpose.Case
		_, err = l.recorder.Record(ctx, d)
		return err
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
			took, all, err := l.recordFor(b.Context(), callers, b.N, time.Minute)
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

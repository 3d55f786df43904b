package hammer

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"oncegate/audit"
	"oncegate/certs/envelope"
	lognote "oncegate/certs/note"
	"oncegate/certs/sm"
	"oncegate/certs/token"
	"oncegate/license"
	"oncegate/store"
	"oncegate/tlog"
)

// A ledger is the recorder over its own log and store, with nothing around it.
type ledger struct {
	db       *store.DB
	log      *tlog.Log
	recorder *audit.Recorder
}

const ledgerOrigin = "hammer.example/log"

// openLedger makes a new log in a folder, with keys of its own.
func openLedger(ctx context.Context, dir string) (_ *ledger, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	ring, err := envelope.NewKeyring(nil, envelope.Key{ID: "hammer", Secret: sm.Digest([]byte(rand.Text()))})
	if err != nil {
		return nil, err
	}
	index := sm.Digest([]byte(rand.Text()))
	l := &ledger{}
	l.db, err = store.Open(ctx, store.Config{
		Path: filepath.Join(dir, "oncegate.db"), Log: ledgerOrigin, Sealer: ring, Digest: func(b []byte) []byte { d := sm.HMAC(index[:], b); return d[:] },
	})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.close())
		}
	}()
	c := tlog.Config{Origin: ledgerOrigin, Storage: l.db.Log(), NewSM3: sm.New, Mark: filepath.Join(dir, "mark")}
	if err := throwAwayKeys(&c); err != nil {
		return nil, err
	}
	if err := tlog.Create(ctx, c); err != nil {
		return nil, err
	}
	if l.log, err = tlog.Open(ctx, c); err != nil {
		return nil, err
	}
	l.recorder, err = audit.NewRecorder(audit.Config{Self: "hammer", Log: l.log, Sealer: ring, NewSM3: sm.New, IndexKeys: [][]byte{index[:]}})
	return l, err
}

// throwAwayKeys gives a log keys that nobody keeps.
func throwAwayKeys(c *tlog.Config) error {
	key, err := sm.GenerateKey(nil)
	if err != nil {
		return err
	}
	signer, err := sm.NewSigner("hammer", key, nil)
	if err != nil {
		return err
	}
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return err
	}
	if c.SM2, err = lognote.SM2NoteSigner(c.Origin, signer); err != nil {
		return err
	}
	if c.Ed25519, err = lognote.Ed25519NoteSigner(c.Origin, private); err != nil {
		return err
	}
	c.Own, err = lognote.Ed25519NoteVerifiers(c.Origin, public)
	return err
}

func (l *ledger) close() error {
	var err error
	if l.log != nil {
		err = l.log.Close(context.Background())
	}
	return errors.Join(err, l.db.Close())
}

// ledgerHolder is who the records are about.
var ledgerHolder = companyCode(0)

// draft is a query's record with its evidence and its claim, as a gateway makes it: a new call each.
func draft() (audit.Draft, error) {
	now := time.Now()
	jti, err := token.NewID(now, nil)
	return audit.Draft{
		Operation: "licenses.query", System: approval, Operator: "hammer", RequestID: jti, Token: strings.Repeat("t", 700) + jti,
		Body:   []byte(`{"purpose":{"case":"HM-2026-000001","material":"business-license"},"license_type":"business-license","holder":{"type":"001","code":"` + ledgerHolder + `"}}`),
		Answer: []byte(`{"nonce":"` + jti + `","text":"` + strings.Repeat("x", 3000) + `"}`), Policy: sm.DigestB64([]byte("policy")),
		Uses: []audit.Use{{
			Person: license.HolderID{Type: "001", Code: ledgerHolder}, Material: "business-license", Matter: foodMatter, Case: "HM-2026-000001", Basis: "case", LicenseType: "business-license", Decision: "release",
			Rules: []string{"food/business-license"}, Fields: []string{"address", "business_scope", "enterprise_type", "holder_code", "holder_name", "name", "number", "status"},
			Source: "market-registration", Freshness: "live",
		}},
		Inputs: map[string]any{"decisions": []any{map[string]any{"operation": "licenses.query", "system": approval, "matter": foodMatter}}},
		Claim:  &audit.Claim{System: approval, JTI: jti, Exp: now.Add(5 * time.Minute)},
	}, err
}

// measureRecords measures what a durable record costs: at Recorder.Record with 64 callers, and appends by 1, 64 and 512 writers
// against the rate at which one writer can sync a file on the same disk in the same minute.
func (b *bench) measureRecords(ctx context.Context) error {
	longest := min(2*time.Second, b.Duration)
	var syncs, p50s []float64
	rates, ratios := map[int][]float64{}, map[int][]float64{}
	writers := []int{1, 64, 512}
	for round := range b.Rounds {
		dir := b.path("ledger", fmt.Sprint(round))
		l, err := openLedger(ctx, dir)
		if err != nil {
			return err
		}
		b.meter.say("syncing a file")
		rate, err := syncRate(filepath.Join(dir, "sync"), longest/2)
		if err != nil {
			return errors.Join(err, l.close())
		}
		syncs = append(syncs, rate)
		for _, w := range writers {
			b.meter.say(fmt.Sprintf("records by %d writers", w))
			took, spent, err := l.work(ctx, w, math.MaxInt, longest)
			if err != nil || ctx.Err() != nil {
				return errors.Join(err, ctx.Err(), l.close())
			}
			per := float64(len(took)) / spent.Seconds()
			rates[w], ratios[w] = append(rates[w], per), append(ratios[w], per/rate)
			if w == 64 {
				slices.Sort(took)
				p50s = append(p50s, quantile(took, 0.5))
			}
		}
		if err := l.close(); err != nil {
			return err
		}
	}
	b.figure("what the durable record adds at 64 callers, p50 at Recorder.Record", "ms", "at most 4", p50s...)
	b.figure("syncs of one writer, 512 bytes appended each", "per second", "", syncs...)
	for _, w := range writers {
		b.figure(fmt.Sprintf("records by %d writers ÷ syncs of one writer", w), "×", fmt.Sprintf("%s records/s, sealed evidence and claim included", spreadOf(rates[w])), ratios[w]...)
	}
	return nil
}

// work makes at most so many records from so many callers, for a time, and returns how long each took.
func (l *ledger) work(ctx context.Context, callers, most int, longest time.Duration) (all []time.Duration, spent time.Duration, err error) {
	var mu sync.Mutex
	var failed atomic.Pointer[error]
	var begun atomic.Int64
	begin := time.Now()
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			var own []time.Duration
			for ctx.Err() == nil && failed.Load() == nil && begun.Add(1) <= int64(most) && time.Since(begin) < longest {
				d, err := draft()
				from := time.Now()
				if err == nil {
					_, err = l.recorder.Record(ctx, d)
				}
				if err != nil && ctx.Err() == nil {
					failed.Store(&err)
					return
				}
				own = append(own, time.Since(from))
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, own...)
		})
	}
	group.Wait()
	if p := failed.Load(); p != nil {
		err = *p
	}
	return all, time.Since(begin), err
}

// syncRate is how often a second one writer can append 512 bytes to a file and have them on the disk.
func syncRate(name string, longest time.Duration) (float64, error) {
	f, err := os.Create(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	block := make([]byte, 512)
	begin, n := time.Now(), 0
	for ; time.Since(begin) < longest; n++ {
		if _, err := f.Write(block); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
	}
	return float64(n) / time.Since(begin).Seconds(), nil
}

func p50(list []time.Duration) float64 {
	slices.Sort(list)
	return quantile(list, 0.5)
}

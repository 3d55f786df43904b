// Package storetest fills databases with years of history for tests and benchmarks, by bulk SQL: see [History].
package storetest

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"time"

	"oncegate/audit"
	"oncegate/canonical"
	"oncegate/tlog"
	"oncegate/tlog/tlogtest"
)

// A History is what a log gains in years, without anything but records, and what belongs to them: hashes, tiles, a signed head,
// evidence, the projection for search, and the claims of the newest calls. Everything in it is synthetic, and follows from the
// index alone. Records are of the form that audit.ParseRecord reads; evidence has its form and its length, and no key opens it.
type History struct {
	Path         string // SQLite: the database file, which nobody has open
	DSN          string // PostgreSQL, if Path is empty
	Log          string // origin
	NewSM3       func() hash.Hash
	SM2, Ed25519 tlog.Signer // of the log
	Proofs       Proofs      // of the rows

	Records  int           // how many are added
	Evidence int           // bytes of each record's evidence that retention erases; 0: 1000, as a query leaves them
	Begin    time.Time     // of the first record
	Every    time.Duration // between two records
	Claims   int           // how many of the newest calls are not forgotten yet
	Holders  int           // how many holders the records are about; 0: one for each ten records
}

// Proofs make and verify the tags of rows: store.Config.Proofs.
type Proofs interface {
	// Tag authenticates a row of a table.
	Tag(table string, columns ...any) []byte
	// Sums binds what stands sealed beside one checkpoint to another: a history adds nothing to the tables that are summed.
	Sums(sealed []byte, was, is string) ([]byte, error)
}

// chunk is how many records are handed on at once.
const chunk = 512

// A made is a run of records with what they brought.
type made struct {
	first   uint64
	records []record
	tiles   []tlog.Tile
}

type record struct {
	leaf     []byte
	search   string
	evidence []byte
	hash     tlog.LeafHash
	index    audit.Index
	jti      string
}

// A sink is one of the databases. It takes everything in the order of the log.
type sink interface {
	// before calls leaf with the hashes of each record that the log has.
	before(ctx context.Context, leaf func(both []byte) error) error
	records(ctx context.Context, all <-chan made, first uint64) error
	hits(ctx context.Context, all <-chan made) error
	// finish brings indexes back and puts the head and the projection's position in place.
	finish(ctx context.Context, head tlog.Head, last []byte) error
	close() error
}

// Fill adds the history to the log, which must have been created in a database of today's schema, and to a projection that covers
// all of it. The high-water mark is not touched: a log that grew is ahead of it.
func (h History) Fill(ctx context.Context) error {
	if err := h.fill(ctx); err != nil {
		return fmt.Errorf("make a history of %d records: %w", h.Records, err)
	}
	return nil
}

func (h History) fill(ctx context.Context) (err error) {
	if h.Evidence == 0 {
		h.Evidence = 1000
	}
	if h.Holders == 0 {
		h.Holders = max(1, h.Records/10)
	}
	to, err := h.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.close()) }()
	bulk := tlogtest.NewBulk(h.NewSM3)
	if err := to.before(ctx, func(both []byte) error {
		_, err := bulk.Append(tlog.LeafHash{SM3: [tlog.HashSize]byte(both), SHA256: [tlog.HashSize]byte(both[tlog.HashSize:])})
		return err
	}); err != nil {
		return err
	}
	first := bulk.Size()

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	records, hits := make(chan made, 4), make(chan made, 4)
	done := make(chan error, 2)
	go func() { done <- to.records(ctx, records, first) }()
	go func() { done <- to.hits(ctx, hits) }()
	last := h.make(ctx, bulk, first, func(m made) bool {
		for _, c := range []chan made{records, hits} {
			select {
			case c <- m:
			case <-ctx.Done():
				return false
			case err := <-done:
				cancel(errors.Join(err, errors.New("a table took no more rows")))
				return false
			}
		}
		return true
	})
	close(records)
	close(hits)
	if err := context.Cause(ctx); err != nil {
		return err
	}
	for range 2 {
		if err := <-done; err != nil {
			return err
		}
	}
	head, err := bulk.Head(ctx, h.Log, h.SM2, h.Ed25519)
	if err != nil {
		return err
	}
	return to.finish(ctx, head, last)
}

func (h History) open(ctx context.Context) (sink, error) {
	if h.Path == "" {
		return openPostgres(ctx, h)
	}
	return openSQLite(ctx, h)
}

// make calls emit with chunk after chunk, until it says no, and returns the hashes of the last record as the projection keeps them.
func (h History) make(ctx context.Context, bulk *tlogtest.Bulk, first uint64, emit func(made) bool) (last []byte) {
	sm3, sha := h.NewSM3(), sha256.New()
	for at := first; at < first+uint64(h.Records); at += chunk {
		m := made{first: at}
		for i := at; i < min(at+chunk, first+uint64(h.Records)); i++ {
			r := h.record(i, i-first)
			r.hash = tlogtest.HashLeaf(sm3, sha, r.leaf)
			full, err := bulk.Append(r.hash)
			if err != nil {
				panic(err) // two ranges that do not meet: a fault of this package
			}
			m.tiles, m.records = append(m.tiles, full...), append(m.records, r)
		}
		if !emit(m) {
			return nil
		}
		newest := m.records[len(m.records)-1].hash
		last = append(newest.SM3[:], newest.SHA256[:]...)
	}
	return last
}

var systems = []string{"food-approval", "health-window", "housing-bureau", "tax-counter", "citizen-portal"}

// record makes a record of a query that was answered, the nth of the history.
func (h History) record(index, nth uint64) record {
	at := h.Begin.Add(time.Duration(nth) * h.Every).UTC().Truncate(time.Millisecond)
	random := sha256.Sum256(binary.BigEndian.AppendUint64(nil, index))
	digest := canonical.Base64(random[:])
	seconds := at.UnixMilli()
	jti := fmt.Sprintf("%08x-%04x-7%03x-8%03x-%012x", seconds>>16, seconds&0xffff, random[0], random[1], index)
	holder := sha256.Sum256(binary.BigEndian.AppendUint64([]byte("holder"), binary.BigEndian.Uint64(random[8:])%uint64(h.Holders)))
	use := audit.IndexUse{
		Matter: "food-permit", Case: fmt.Sprintf("SP-%09d", index/4), Material: "business-license", Need: 1, LicenseType: "business-license",
		Decision: "met", Holder: canonical.Base64(holder[:]),
	}
	x := audit.Index{Time: at, System: systems[index%uint64(len(systems))], Operation: "licenses.query", RequestID: jti, Uses: []audit.IndexUse{use}}
	text := at.Format(canonical.TimeLayout)
	return record{
		index: x, jti: jti,
		leaf: fmt.Appendf(make([]byte, 0, 800), `{"answer_digest":"%[1]s","evidence":"%[1]s","operation":"licenses.query","policy":"%[1]s","request_id":"%[2]s","system":"%[3]s","time":"%[4]s","token_digest":"%[1]s",`+
			`"uses":[{"basis":"case","case":"%[5]s","decision":"met","fields":["name","number","status"],"freshness":"live","holder":"%[1]s","license_type":"business-license","material":"business-license",`+
			`"matter":"food-permit","operator":"","rules":["food/business-license"],"source":"market-registration"}],"v":1}`, digest, jti, x.System, text, use.Case),
		search: fmt.Sprintf(`{"time":"%s","system":"%s","operation":"licenses.query","request_id":"%s","uses":[{"matter":"food-permit","case":"%s","material":"business-license","need":1,"license_type":"business-license","decision":"met","holder":"%s"}]}`,
			text, x.System, jti, use.Case, use.Holder),
		evidence: evidence(random, h.Evidence),
	}
}

// evidence has the form of the column: kind, digest, and the blob with its length plus one.
func evidence(random [32]byte, size int) []byte {
	column := make([]byte, 0, size+160)
	for _, part := range []struct {
		kind string
		size int
	}{{"request", size * 9 / 10}, {"inputs", 40}, {"person", size / 10}} {
		column = append(append(column, byte(len(part.kind))), part.kind...)
		column = append(append(column, byte(len(random))), random[:]...)
		column = binary.BigEndian.AppendUint32(column, uint32(part.size+1))
		blob := make([]byte, part.size)
		copy(blob, random[:])
		column = append(column, blob...)
	}
	return column
}

// claimed reports whether the nth record's call is among those not forgotten.
func (h History) claimed(nth uint64) bool { return nth+uint64(h.Claims) >= uint64(h.Records) }

package store

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/bits"
	"sync"

	"oncegate/audit"
	"oncegate/canonical"
	"oncegate/cases"
	"oncegate/register"
	"oncegate/store/sqldb"
	"oncegate/tlog"
)

// ErrAltered is the integrity error: somebody without the keys altered the database (design law 9). Nothing that rests on it is
// answered.
var ErrAltered = audit.ErrTables

// An alteration is an ErrAltered with the table and what is wrong. Values of the row are not repeated.
type alteration struct{ table, what string }

func (a *alteration) Error() string {
	return fmt.Sprintf("%v: %s: %s", ErrAltered, a.table, a.what)
}
func (a *alteration) Unwrap() error { return ErrAltered }

// altered returns the error for a row that fails its authentication. It is counted and reported to the operator, whichever caller
// met it.
func (db *DB) altered(table, what string) error {
	db.alterations.Add(1)
	if db.config.Alarm != nil {
		db.config.Alarm(table, what)
	}
	return &alteration{table, what}
}

// Altered is how many integrity errors this process met.
func (db *DB) Altered() int64 { return db.alterations.Load() }

// A rowText is the encoding of a row that its tag (MAC) is over: the table's name, then each column with its type and, where that varies, its
// length, so that the encoding is injective.
type rowText []byte

var rowTexts = sync.Pool{New: func() any { return new(rowText) }}

func (t rowText) append(column any) rowText {
	switch v := column.(type) {
	case int64:
		return binary.BigEndian.AppendUint64(append(t, 'i'), uint64(v))
	case int:
		return binary.BigEndian.AppendUint64(append(t, 'i'), uint64(v))
	case string:
		return append(binary.BigEndian.AppendUint32(append(t, 's'), uint32(len(v))), v...)
	case []byte:
		return append(binary.BigEndian.AppendUint32(append(t, 'b'), uint32(len(v))), v...)
	}
	panic(fmt.Sprintf("a row has no column of type %T", column))
}

// withText calls do with the text of a row, which it may not keep.
func withText(table string, columns []any, do func(text []byte)) {
	p := rowTexts.Get().(*rowText)
	text := (*p)[:0].append(table)
	for _, c := range columns {
		text = text.append(c)
	}
	do(text)
	*p = text
	rowTexts.Put(p)
}

// tag returns a row's tag: a MAC under the current key.
func (db *DB) tag(table string, columns ...any) (tag []byte) {
	withText(table, columns, func(text []byte) { tag = db.config.Sealer.Tag(text) })
	return tag
}

// authentic reports whether a row was written with our keys.
func (db *DB) authentic(mac []byte, table string, columns ...any) (ok bool) {
	withText(table, columns, func(text []byte) { ok = db.config.Sealer.CheckTag(mac, text) == nil })
	return ok
}

// authenticate proves that a row was written with our keys.
func (db *DB) authenticate(mac []byte, table string, columns ...any) error {
	if !db.authentic(mac, table, columns...) {
		return db.altered(table, "a row has no tag of ours")
	}
	return nil
}

func isAltered(err error) bool { return errors.Is(err, ErrAltered) }

// summed are the tables whose rows are summed: no row of them is ever deleted, and none may come back as it once was. Their order is
// stored. Kept copies and originals come and go with their age, which bounds what an old one can do; records, and what
// search has, follow each other without a gap.
var summed = [...]string{"cases", "case_received", "consents", "versions", "status_lists", "policy_sets", "filings"}

// summedOnce is how many of them there were before windows filed materials: of the others nothing was written, and the sums are 0.
const summedOnce = 6

// A sum is an additive multiset hash of a table's rows: their number, and the sum of their weights modulo 2^256. A weight is a keyed
// digest of the row's tag and is stored nowhere: who could see weights, or sums of tags, could search for other rows with the same
// sum.
type sum struct {
	rows  uint64
	total [4]uint64 // least significant first
}

const sumSize = 8 + 32

func (s *sum) add(w [32]byte) {
	s.rows++
	var carry uint64
	for i := range s.total {
		s.total[i], carry = bits.Add64(s.total[i], binary.LittleEndian.Uint64(w[8*i:]), carry)
	}
}

func (s *sum) sub(w [32]byte) {
	s.rows--
	var borrow uint64
	for i := range s.total {
		s.total[i], borrow = bits.Sub64(s.total[i], binary.LittleEndian.Uint64(w[8*i:]), borrow)
	}
}

func (s sum) append(to []byte) []byte {
	to = binary.BigEndian.AppendUint64(to, s.rows)
	for _, t := range s.total {
		to = binary.BigEndian.AppendUint64(to, t)
	}
	return to
}

func readSum(from []byte) (s sum) {
	s.rows = binary.BigEndian.Uint64(from)
	for i := range s.total {
		s.total[i] = binary.BigEndian.Uint64(from[8+8*i:])
	}
	return s
}

// weight returns what a row adds to its table's sum.
func (db *DB) weight(table string, mac []byte) (w [32]byte) {
	withText("sum/"+table, []any{mac}, func(text []byte) { copy(w[:], db.config.Digest(text)) })
	return w
}

// sums are the multiset hashes of all summed tables under one checkpoint, and the horizon of claims, which never falls.
type sums struct {
	tables  [len(summed)]sum
	horizon int64
}

func (s *sums) of(table string) *sum {
	for i, name := range summed {
		if name == table {
			return &s.tables[i]
		}
	}
	panic("no sum of table " + table)
}

// replace takes the row that had a tag out of its table's sum, and puts in the one that has the other; nil is no row.
func (db *DB) replace(s *sum, table string, was, is []byte) {
	if was != nil {
		s.sub(db.weight(table, was))
	}
	if is != nil {
		s.add(db.weight(table, is))
	}
}

func sumsAAD(checkpoint string) []byte { return []byte("logs/sums/" + checkpoint) }

func (db *DB) sealSums(s sums, checkpoint string) ([]byte, error) {
	plain := binary.BigEndian.AppendUint64(nil, uint64(s.horizon))
	for _, t := range s.tables {
		plain = t.append(plain)
	}
	sealed, err := db.config.Sealer.Seal(plain, sumsAAD(checkpoint))
	if err != nil {
		return nil, fmt.Errorf("sums could not be sealed: %w", err)
	}
	return sealed, nil
}

// openSums opens what was sealed beside a checkpoint.
func (db *DB) openSums(sealed []byte, checkpoint string) (s sums, err error) {
	if len(sealed) == 0 {
		return s, ErrNotAdopted
	}
	plain, err := db.config.Sealer.Open(sealed, sumsAAD(checkpoint))
	if err != nil || !areSums(plain) {
		return s, db.altered("logs", "the sums are not those of the checkpoint")
	}
	return readSums(plain), nil
}

// areSums reports whether bytes have the length of sums.
func areSums(plain []byte) bool {
	return len(plain) == 8+len(summed)*sumSize || len(plain) == 8+summedOnce*sumSize
}

func readSums(plain []byte) (s sums) {
	s.horizon = int64(binary.BigEndian.Uint64(plain))
	for i := range (len(plain) - 8) / sumSize {
		s.tables[i] = readSum(plain[8+i*sumSize:])
	}
	return s
}

// committedSums cache the sums that this process committed last: a batch on the same head need not decrypt them again.
type committedSums struct {
	checkpoint string
	sealed     string
	sums       sums
}

// sumsOf returns the sums beside a head that is authenticated.
func (db *DB) sumsOf(h tlog.Head, sealed []byte) (sums, error) {
	if k := db.lastSums.Load(); k != nil && k.checkpoint == h.Checkpoint && k.sealed == string(sealed) {
		return k.sums, nil
	}
	return db.openSums(sealed, h.Checkpoint)
}

// sealNotValid seals the sum of a status list's rows that are not valid, for the list's own row.
func (db *DB) sealNotValid(s sum, list string) ([]byte, error) {
	return db.config.Sealer.Seal(s.append(nil), notValidAAD(list))
}

func notValidAAD(list string) []byte { return []byte("status_lists/not_valid/" + list) }

func (db *DB) openNotValid(sealed []byte, list string) (sum, error) {
	plain, err := db.config.Sealer.Open(sealed, notValidAAD(list))
	if err != nil || len(plain) != sumSize {
		return sum{}, db.altered("status_lists", "a list's sum cannot be opened")
	}
	return readSum(plain), nil
}

// A recent is a bounded cache of which record last changed a row, for freshness: a row that is older now, or gone, was rolled back or
// deleted by somebody else. What was evicted the sums detect.
type recent struct {
	most int

	mu sync.Mutex // protects at
	at map[rowKey]int64
}

// A rowKey names a row of a summed table.
type rowKey struct{ table, key string }

// recentRows is how many rows are remembered: some ten megabytes.
const recentRows = 1 << 17

func newRecent(most int) *recent { return &recent{most: most, at: make(map[rowKey]int64)} }

// last returns the record known to have changed a row, 0 if none is. It is asked before the row is read: what is read
// afterwards is as new at least.
func (r *recent) last(k rowKey) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.at[k]
}

// note remembers that a record changed a row. Only records of the log are noted, after they are committed, or rows whose tag
// was checked.
func (r *recent) note(k rowKey, pos int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if pos <= r.at[k] {
		return
	}
	if _, known := r.at[k]; !known {
		for old := range r.at {
			if len(r.at) < r.most {
				break
			}
			delete(r.at, old)
		}
	}
	r.at[k] = pos
}

// checkFresh proves that a row was not rolled back or deleted: last is the record noted before the row was read, pos the record
// that the row names, 0 where there is no row.
func (db *DB) checkFresh(k rowKey, last, pos int64) error {
	switch {
	case pos == 0 && last != 0:
		return db.altered(k.table, "a row is gone")
	case pos < last:
		return db.altered(k.table, "an older row was put back")
	case pos != 0:
		db.recent.note(k, pos)
	}
	return nil
}

// checkFreshLocked is checkFresh for a row that is read under the head's lock: nobody writes it meanwhile.
func (db *DB) checkFreshLocked(table, key string, pos int64) error {
	k := rowKey{table, key}
	return db.checkFresh(k, db.recent.last(k), pos)
}

// checkAbsent proves that rows which were not found under the head's lock were not deleted: none was noted.
func checkAbsent[K comparable, R any](db *DB, table string, wanted map[K]bool, found map[K]R, key func(K) string) error {
	for k := range wanted {
		if _, ok := found[k]; ok {
			continue
		}
		if err := db.checkFreshLocked(table, key(k), 0); err != nil {
			return err
		}
	}
	return nil
}

// rereads is how often rows are read that a batch may change while they are read.
const rereads = 4

// readFresh retries read, which calls saw for every row of a table that it reads, until no row is older than noted.
func (db *DB) readFresh(table string, read func(saw func(key string, pos int64)) error) error {
	for range rereads {
		stale := false
		if err := read(func(key string, pos int64) {
			k := rowKey{table, key}
			if stale = stale || pos < db.recent.last(k); !stale {
				db.recent.note(k, pos)
			}
		}); err != nil || !stale {
			return err
		}
	}
	return db.altered(table, "an older row was put back")
}

// learnStep is how many records one statement reads.
const learnStep = 1024

// Learn notes which rows the records of other nodes have changed since the last call, so that an older row that is put back, or
// one that is taken away, is refused here too. What was changed before the first call the sums have proven. On SQLite nobody
// else writes.
func (db *DB) Learn(ctx context.Context) error {
	if db.write.Engine() == SQLite {
		return nil
	}
	db.learning.Lock()
	defer db.learning.Unlock()
	if err := db.learn(ctx); err != nil {
		return fmt.Errorf("changes of other nodes could not be learned: %w", err)
	}
	return nil
}

func (db *DB) learn(ctx context.Context) error {
	head, err := db.head(ctx, db.read, "")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !db.learns {
		db.learned, db.learns = head.Size, true
	}
	for db.learned < head.Size {
		end := min(head.Size, db.learned+learnStep)
		if err := db.learnBetween(ctx, position(db.number, db.learned), position(db.number, end)); err != nil {
			return err
		}
		db.learned = end
	}
	return nil
}

func (db *DB) learnBetween(ctx context.Context, start, end int64) error {
	var moved []noted // versions, whose lists their records do not name
	err := sqldb.Each(ctx, db.read, func(rows *sql.Rows) error {
		var pos, time int64
		var search, changes string
		var mac []byte
		if err := rows.Scan(&pos, &time, &search, &changes, &mac); err != nil {
			return err
		}
		if err := db.authenticate(mac, "records", pos, time, search, changes); err != nil {
			return err
		}
		all, more, err := changedRows([]byte(changes))
		for _, k := range all {
			db.recent.note(k, pos)
		}
		for _, k := range more {
			moved = append(moved, noted{k, pos})
		}
		return err
	}, "SELECT pos, time, search, changes, mac FROM records WHERE pos >= ? AND pos < ? AND changes <> '' ORDER BY pos", start, end)
	for _, m := range moved {
		if err != nil {
			break
		}
		var v register.Version
		if v, err = (registerView{db}).ByIdentifier(ctx, m.key); err == nil {
			db.recent.note(rowKey{"status_lists", v.List}, m.pos)
		}
	}
	return err
}

// changedRows are the rows that a record's bound changes change, and those of versions whose list changes with them.
func changedRows(bound []byte) (rows, moved []rowKey, err error) {
	list, err := audit.ParseBoundList(bound)
	if err != nil {
		return nil, nil, err
	}
	for _, raw := range list {
		if one, err := cases.ParseBound(raw); err == nil {
			switch c := one.(type) {
			case cases.BoundRegister:
				rows = append(rows, rowKey{"cases", c.No})
			case cases.BoundClose:
				rows = append(rows, rowKey{"cases", c.No})
			case cases.BoundGive:
				rows = append(rows, rowKey{"consents", c.ID})
			case cases.BoundWithdraw:
				rows = append(rows, rowKey{"consents", c.ID})
			case cases.BoundFile:
				rows = append(rows, rowKey{"filings", c.ID})
			case cases.BoundUnfile:
				rows = append(rows, rowKey{"filings", c.ID})
			case cases.BoundEraseFile:
				rows = append(rows, rowKey{"filings", c.ID})
			}
			continue
		}
		one, err := register.ParseBound(raw)
		if err != nil {
			continue // audit's own
		}
		switch c := one.(type) {
		case register.BoundIssue:
			subject, err := canonical.ParseBase64(c.Subject)
			if err != nil {
				return nil, nil, err
			}
			rows = append(rows, rowKey{"versions", c.Identifier}, rowKey{"versions", string(subject)}, rowKey{"status_lists", c.List})
			if c.Supersedes != "" {
				rows, moved = append(rows, rowKey{"versions", c.Supersedes}), append(moved, rowKey{"versions", c.Supersedes})
			}
		case register.BoundSetStatus:
			rows, moved = append(rows, rowKey{"versions", c.Identifier}), append(moved, rowKey{"versions", c.Identifier})
		case register.BoundOrder:
			rows, moved = append(rows, rowKey{"versions", c.Identifier}), append(moved, rowKey{"versions", c.Identifier})
		}
	}
	return rows, moved, nil
}

// Proofs make tags and sums of rows, for tests that write the tables past the store (package storetest). It needs the keys; nothing
// else in this program does so.
type Proofs struct{ db DB }

// Proofs uses the keys of a configuration.
func (c Config) Proofs() *Proofs { return &Proofs{DB{config: c}} }

// Tag authenticates a row.
func (p *Proofs) Tag(table string, columns ...any) []byte { return p.db.tag(table, columns...) }

// Sums reseals the sums of one checkpoint for another.
func (p *Proofs) Sums(sealed []byte, was, is string) ([]byte, error) {
	s, err := p.db.openSums(sealed, was)
	if err != nil {
		return nil, err
	}
	return p.db.sealSums(s, is)
}

// Keys of sets that are one column.
func textKey(k string) []any     { return []any{k} }
func digestKey(k [32]byte) []any { return []any{k[:]} }

package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"sync"

	"oncegate/audit"
	"oncegate/tlog"
)

// ErrAltered says that the database is not as its keys' holder left it (design law 9). Nothing that rests on it is answered.
var ErrAltered = audit.ErrTables

// An alteration names what was found. Values of the row are not repeated.
type alteration struct{ table, what string }

func (a *alteration) Error() string {
	return fmt.Sprintf("%v: %s: %s", ErrAltered, a.table, a.what)
}
func (a *alteration) Unwrap() error { return ErrAltered }

// altered is the error for a row that is not believed. It is counted and told to the operator, whoever met it.
func (db *DB) altered(table, what string) error {
	db.alterations.Add(1)
	if db.config.Alarm != nil {
		db.config.Alarm(table, what)
	}
	return &alteration{table, what}
}

// Altered is how often this process met something altered.
func (db *DB) Altered() int64 { return db.alterations.Load() }

// A rowText is a row as its tag is over it: the table's name, then each column with its type and, where that varies, its
// length, so that no two rows have one text.
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

// tag authenticates a row.
func (db *DB) tag(table string, columns ...any) (tag []byte) {
	withText(table, columns, func(text []byte) { tag = db.config.Sealer.Tag(text) })
	return tag
}

// ours reports whether a row was written with our keys.
func (db *DB) ours(mac []byte, table string, columns ...any) (ours bool) {
	withText(table, columns, func(text []byte) { ours = db.config.Sealer.CheckTag(mac, text) == nil })
	return ours
}

// believe proves that a row was written with our keys.
func (db *DB) believe(mac []byte, table string, columns ...any) error {
	if !db.ours(mac, table, columns...) {
		return db.altered(table, "a row has no tag of ours")
	}
	return nil
}

func isAltered(err error) bool { return errors.Is(err, ErrAltered) }

// The tables whose rows are added up: no row of them is ever deleted, and none may come back as it once was. Their order is
// stored. Kept copies and originals come and go with their age, which bounds what an old one can do; records, and what
// search has, follow each other without a gap.
var summed = [...]string{"cases", "case_received", "consents", "versions", "status_lists", "policy_sets"}

// A sum is how many rows there are and what their weights add up to, modulo 2^256. A weight is a keyed digest of the row's
// tag, and stands nowhere: who could see weights, or sums of tags, could look for other rows that add up to the same.
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

// weight is what a row adds to its table's sum.
func (db *DB) weight(table string, mac []byte) (w [32]byte) {
	withText("sum/"+table, []any{mac}, func(text []byte) { copy(w[:], db.config.Digest(text)) })
	return w
}

// sums are what all summed tables add up to under one checkpoint, and the horizon of claims, which never falls.
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
	if err != nil || len(plain) != 8+len(summed)*sumSize {
		return s, db.altered("logs", "the sums are not those of the checkpoint")
	}
	return readSums(plain), nil
}

func readSums(plain []byte) (s sums) {
	s.horizon = int64(binary.BigEndian.Uint64(plain))
	for i := range s.tables {
		s.tables[i] = readSum(plain[8+i*sumSize:])
	}
	return s
}

// committedSums are the sums that this process committed last: a batch on the head that it left need not open them again.
type committedSums struct {
	checkpoint string
	sealed     string
	sums       sums
}

// sumsOf returns the sums beside a head that is believed.
func (db *DB) sumsOf(h tlog.Head, sealed []byte) (sums, error) {
	if k := db.lastSums.Load(); k != nil && k.checkpoint == h.Checkpoint && k.sealed == string(sealed) {
		return k.sums, nil
	}
	return db.openSums(sealed, h.Checkpoint)
}

// A notValid is what the rows of a status list that are not valid add up to, as it stands in the list's row.
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

// A recent remembers which record last changed a row, of rows that were written or read lately: one that is older now, or gone,
// was put back or taken away by somebody else. It is bounded; what it has forgotten, the sums find.
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

// current proves that a row that was read is the newest known: last is what was known before it was read, pos the record
// that the row names, 0 where there is none.
func (db *DB) current(k rowKey, last, pos int64) error {
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

// locked is current for a row that is read under the head's lock: nobody writes it meanwhile.
func (db *DB) locked(table, key string, pos int64) error {
	k := rowKey{table, key}
	return db.current(k, db.recent.last(k), pos)
}

// there proves that the rows that a batch asked for and that were not found under the head's lock are not known to be there.
func there[K comparable, R any](db *DB, table string, wanted map[K]bool, found map[K]R, key func(K) string) error {
	for k := range wanted {
		if _, ok := found[k]; ok {
			continue
		}
		if err := db.locked(table, key(k), 0); err != nil {
			return err
		}
	}
	return nil
}

// rereads is how often rows are read that a batch may change while they are read.
const rereads = 4

// newest runs read, which calls saw for every row of a table that it reads, until none of them is older than what is known.
func (db *DB) newest(table string, read func(saw func(key string, pos int64)) error) error {
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

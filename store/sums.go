package store

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"oncegate/tlog"
)

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

// knownSums are the sums that this process committed last: a batch on the head that it left need not open them again.
type knownSums struct {
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

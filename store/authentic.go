package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"oncegate/audit"
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

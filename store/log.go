package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"

	"oncegate/store/sqldb"
	"oncegate/tlog"
)

// indexBits is how many bits of a record's key hold its index; the log's number stands above them.
const indexBits = 40

// logView is the log Config.Log.
type logView struct{ db *DB }

var (
	_ tlog.Storage  = logView{}
	_ tlog.Preparer = logView{}
)

func (l logView) reader() reader { return reader{l.db.read, l.db.number} }

// enrol returns the number of a log in this database, giving it one if it is new.
func (db *DB) enrol(ctx context.Context, origin string) (number int64, err error) {
	find := func(q sqldb.Querier) (bool, error) {
		return sqldb.One(ctx, q, []any{&number}, "SELECT number FROM logs WHERE origin = ?", origin)
	}
	if found, err := find(db.read); found || err != nil {
		return number, err
	}
	err = db.write.Transact(ctx, func(ctx context.Context, t *sqldb.Tx) error {
		_, err := t.Exec(ctx, `INSERT INTO logs (number, origin, size, sm3, sha256, checkpoint, batch, asked)
			VALUES ((SELECT coalesce(max(number), 0) + 1 FROM logs), ?, 0, ?, ?, '', ?, 0)`, origin, []byte{}, []byte{}, make([]byte, 16))
		return err
	})
	found, again := find(db.read) // another node may have been first
	if again == nil && !found {
		again = err
	}
	return number, again
}

// Create begins the log on the tables as they are: empty in a new database, and after a recovery those of the log before.
func (l logView) Create(ctx context.Context, h tlog.Head) error {
	db := l.db
	return db.write.Transact(ctx, func(ctx context.Context, t *sqldb.Tx) error {
		sealed, err := db.firstSums(ctx, t, h)
		if err != nil {
			return err
		}
		n, err := t.Exec(ctx, "UPDATE logs SET size = ?, sm3 = ?, sha256 = ?, checkpoint = ?, batch = ?, sums = ? WHERE number = ? AND checkpoint = ''",
			int64(h.Size), filled(h.SM3), filled(h.SHA256), h.Checkpoint, h.Batch[:], sealed, db.number)
		if err == nil && n == 0 {
			err = fmt.Errorf("log was created before: %w", fs.ErrExist)
		}
		return err
	})
}

// firstSums are those that a new log begins with: what the newest log that the database keeps has left, nothing where that was
// not adopted.
func (db *DB) firstSums(ctx context.Context, q sqldb.Querier, h tlog.Head) ([]byte, error) {
	var checkpoint string
	var sealed []byte
	before, err := sqldb.One(ctx, q, []any{&checkpoint, &sealed}, "SELECT checkpoint, sums FROM logs WHERE checkpoint <> '' AND number <> ? ORDER BY number DESC LIMIT 1", db.number)
	if err != nil {
		return nil, err
	}
	var s sums
	if before {
		s, err = db.openSums(sealed, checkpoint)
		if k := db.adoption.Load(); errors.Is(err, ErrNotAdopted) && k != nil && k.checkpoint == "" {
			s, err = k.sums, nil
		}
		if errors.Is(err, ErrNotAdopted) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
	}
	return db.sealSums(s, h.Checkpoint)
}

func (l logView) Head(ctx context.Context) (tlog.Head, error) {
	return l.db.head(ctx, l.db.read, "")
}

// head reads the head, with the dialect's words for locking it.
func (db *DB) head(ctx context.Context, q sqldb.Querier, lock string) (tlog.Head, error) {
	h, _, err := db.headAndSums(ctx, q, lock)
	return h, err
}

// headAndSums reads the head with the sealed sums beside it.
func (db *DB) headAndSums(ctx context.Context, q sqldb.Querier, lock string) (h tlog.Head, sealed []byte, err error) {
	var size int64
	var batch []byte
	found, err := sqldb.One(ctx, q, []any{&size, &h.SM3, &h.SHA256, &h.Checkpoint, &batch, &sealed},
		"SELECT size, sm3, sha256, checkpoint, batch, sums FROM logs WHERE number = ?"+lock, db.number)
	if err != nil {
		return h, nil, fmt.Errorf("head of the log could not be read: %w", err)
	}
	if !found || h.Checkpoint == "" {
		return h, nil, fmt.Errorf("log was never created: %w", fs.ErrNotExist)
	}
	if len(batch) != len(h.Batch) {
		return h, nil, db.altered("logs", "a batch has no id of 16 bytes")
	}
	h.Size = uint64(size)
	copy(h.Batch[:], batch)
	return h, sealed, nil
}

func (l logView) Committed(ctx context.Context, id [16]byte) (committed bool, err error) {
	db := l.db
	now := db.hour()
	err = db.write.Transact(ctx, func(ctx context.Context, t *sqldb.Tx) error {
		if db.write.Engine() == Postgres {
			// Writing under the lock and committing without a warning also means that a standby has all before it.
			if _, err := t.Exec(ctx, "UPDATE logs SET asked = asked + 1 WHERE number = ?", db.number); err != nil {
				return err
			}
		}
		var there int64
		committed, err = sqldb.One(ctx, t, []any{&there}, "SELECT 1 FROM batches WHERE hour >= ? AND hour <= ? AND id = ?", now-keptHours, now+keptHours, id[:])
		return err
	})
	if err != nil {
		return false, fmt.Errorf("outcome of a batch could not be asked: %w", err)
	}
	return committed, nil
}

func (l logView) Cosign(ctx context.Context, c tlog.Cosigned) error {
	if err := text(c.Note); err != nil {
		return err
	}
	return l.db.write.Transact(ctx, func(ctx context.Context, t *sqldb.Tx) error {
		_, err := t.Exec(ctx, "INSERT INTO cosigned (log, size, note) VALUES (?, ?, ?) ON CONFLICT (log, size) DO UPDATE SET note = excluded.note",
			l.db.number, int64(c.Size), c.Note)
		return err
	})
}

func (l logView) Cosigned(ctx context.Context, index uint64) (tlog.Cosigned, error) {
	return l.cosigned(ctx, " AND size > ? ORDER BY size LIMIT 1", int64(min(index, 1<<indexBits)))
}

func (l logView) LastCosigned(ctx context.Context) (tlog.Cosigned, error) {
	return l.cosigned(ctx, " ORDER BY size DESC LIMIT 1")
}

func (l logView) cosigned(ctx context.Context, which string, args ...any) (c tlog.Cosigned, err error) {
	var size int64
	found, err := sqldb.One(ctx, l.db.read, []any{&size, &c.Note}, "SELECT size, note FROM cosigned WHERE log = ?"+which, append([]any{l.db.number}, args...)...)
	if err != nil {
		return c, fmt.Errorf("cosigned checkpoint could not be read: %w", err)
	}
	if !found {
		return c, fmt.Errorf("no such cosigned checkpoint: %w", fs.ErrNotExist)
	}
	c.Size = uint64(size)
	return c, nil
}

// keptHours is how long batch ids are kept: a day, and an hour for clocks that differ.
const keptHours = 25

func (db *DB) hour() int64 { return db.config.Now().Unix() / 3600 }

// A reader reads the log with this number, in a transaction or outside.
type reader struct {
	q      sqldb.Querier
	number int64
}

func (l logView) Tile(ctx context.Context, tree tlog.Tree, level int, index uint64) ([]byte, error) {
	return l.reader().Tile(ctx, tree, level, index)
}

func (l logView) LeafHashes(ctx context.Context, tree tlog.Tree, start, end uint64) ([]byte, error) {
	return l.reader().LeafHashes(ctx, tree, start, end)
}

func (l logView) Leaves(ctx context.Context, start, end uint64) ([][]byte, error) {
	return l.reader().Leaves(ctx, start, end)
}

func (r reader) Tile(ctx context.Context, tree tlog.Tree, level int, index uint64) (hashes []byte, err error) {
	if index >= 1<<indexBits {
		return nil, fs.ErrNotExist
	}
	found, err := sqldb.One(ctx, r.q, []any{&hashes}, "SELECT hashes FROM tiles WHERE log = ? AND tree = ? AND level = ? AND idx = ?",
		r.number, int64(tree), int64(level), int64(index))
	if err != nil {
		return nil, fmt.Errorf("tile could not be read: %w", err)
	}
	if !found {
		return nil, fmt.Errorf("no such tile: %w", fs.ErrNotExist)
	}
	return hashes, nil
}

func (r reader) LeafHashes(ctx context.Context, tree tlog.Tree, start, end uint64) ([]byte, error) {
	if tree != tlog.SM3 && tree != tlog.SHA256 {
		return nil, fmt.Errorf("no such tree: %w", fs.ErrNotExist)
	}
	var all []byte
	err := r.scan(ctx, "hashes", start, end, func(rows *sql.Rows) error {
		var both sql.RawBytes
		if err := rows.Scan(&both); err != nil {
			return err
		}
		if len(both) != 2*tlog.HashSize {
			return fmt.Errorf("%d bytes instead of two hashes", len(both))
		}
		if tree == tlog.SM3 {
			all = append(all, both[:tlog.HashSize]...)
		} else {
			all = append(all, both[tlog.HashSize:]...)
		}
		return nil
	})
	return all, err
}

func (r reader) Leaves(ctx context.Context, start, end uint64) ([][]byte, error) {
	var all [][]byte
	err := r.scan(ctx, "leaf", start, end, func(rows *sql.Rows) error {
		var leaf []byte
		all = append(all, nil)
		err := rows.Scan(&leaf)
		all[len(all)-1] = leaf
		return err
	})
	return all, err
}

// scan reads a column of all records with start ≤ index < end; it is fs.ErrNotExist if one is missing.
func (r reader) scan(ctx context.Context, column string, start, end uint64, scan func(*sql.Rows) error) error {
	if start > end || end > 1<<indexBits {
		return fmt.Errorf("no such leaves: %w", fs.ErrNotExist)
	}
	if start == end {
		return nil
	}
	var n uint64
	err := sqldb.Each(ctx, r.q, func(rows *sql.Rows) error {
		n++
		return scan(rows)
	}, "SELECT "+column+" FROM records WHERE pos >= ? AND pos < ? ORDER BY pos", position(r.number, start), position(r.number, end))
	if err != nil {
		return fmt.Errorf("leaves could not be read: %w", err)
	}
	if n != end-start {
		return fmt.Errorf("no such leaves: %w", fs.ErrNotExist)
	}
	return nil
}

// position is the key of a record. end may be one past the last index a log can hold.
func position(number int64, index uint64) int64 { return number<<indexBits + int64(index) }

// filled makes of nil an empty value: the columns are NOT NULL.
func filled(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

package store

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"sync/atomic"

	sqlite3 "modernc.org/sqlite/lib"
)

// searching is where the projection stands. Nothing in it is the only copy. On SQLite it is a file of its own beside the
// database: there one writes at a time, and no answer shall wait until an index is written. On PostgreSQL it is the database,
// over connections of its own, whose statements may take longer than those of an answer.
type searching struct {
	write, read *pool

	newest  atomic.Pointer[projection] // the newest that Follow saw
	doubted atomic.Bool                // what stands there is of other records, or something in it was altered: Follow hides it and begins anew
}

// searchReaders is how many searches run at once.
const searchReaders = 4

// openSearch opens what search has. A file that is damaged or of another program is made anew, and so is a projection of other
// records, as after an older database was put back.
func (db *DB) openSearch(ctx context.Context) error {
	if db.write.dialect.name != SQLite {
		db.search.write = db.upkeep
		if err := db.migrate(ctx, db.upkeep, searchSchema); err != nil {
			return err
		}
		return auditView{db}.adopt(ctx)
	}
	file := db.config.Path + "-search"
	err := db.openSearchFile(ctx, file)
	if errors.Is(err, ErrNewer) || errors.Is(err, errOtherStep) || code(err) == sqlite3.SQLITE_CORRUPT || code(err) == sqlite3.SQLITE_NOTADB {
		err = errors.Join(db.search.close(), removeFile(file))
		if err == nil {
			err = db.openSearchFile(ctx, file)
		}
	}
	return err
}

// openSearchFile opens a file whose commits are not synced: a loss of power may take the last of them, and nothing else.
func (db *DB) openSearchFile(ctx context.Context, file string) (err error) {
	if _, err := ownFile(file); err != nil {
		return err
	}
	if db.search.write, err = openFile(sqliteSource(file, "NORMAL", true, restartFrames), 1, asItIs); err != nil {
		return err
	}
	if db.search.read, err = openFile(sqliteSource(file, "NORMAL", false, 0), searchReaders, asItIs); err != nil {
		return err
	}
	if err := db.migrate(ctx, db.search.write, searchSchema); err != nil {
		return err
	}
	return auditView{db}.adopt(ctx)
}

func (s *searching) close() (err error) {
	for _, p := range []*pool{s.read, s.write} {
		if p != nil {
			err = errors.Join(err, p.db.Close())
		}
	}
	return err
}

// removeFile removes an SQLite file with the files beside it.
func removeFile(file string) (err error) {
	for _, end := range []string{"-wal", "-shm", ""} {
		if e := os.Remove(file + end); !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// adopt looks whether the projection is of these records: the last one that it covers must be the one that is here. Any other, as after
// an older database was put back, is hidden and emptied by the next Follow, and not searched until then. It reads without keys, which
// who only reads the log does not have: nothing rests on what it reads.
func (v auditView) adopt(ctx context.Context) error {
	var p projection
	if _, err := one(ctx, v.db.search.read, []any{&p.covered, &p.hashes}, "SELECT covered, hashes FROM projection WHERE log = ?", v.db.number); err != nil {
		return err
	}
	same, err := v.sameLast(ctx, p)
	v.db.search.doubted.Store(!same)
	return err
}

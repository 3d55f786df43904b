package store

import (
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"io/fs"
	"time"

	"oncegate/canonical"
	"oncegate/store/sqldb"
)

// Console keeps the sessions of the console's users. A row is sealed as a whole: its key, revision and expiry are the associated data, so
// that a row that was altered, or moved to another key, does not open (ErrAltered). An older row put back in its place does: package
// console/session says what bounds that.
func (db *DB) Console() ConsoleView { return ConsoleView{db} }

// A ConsoleView stores sessions and what they keep. All keys are digests. Methods are safe for concurrent use by several nodes.
type ConsoleView struct{ db *DB }

const (
	sessionsTable = "console_sessions"
	keptTable     = "console_kept"
)

// consoleAAD binds a sealed value to its table, key and the other columns of its row.
func consoleAAD(table string, key []byte, numbers ...int64) []byte {
	aad := append([]byte(table), 0)
	aad = append(binary.BigEndian.AppendUint32(aad, uint32(len(key))), key...)
	for _, n := range numbers {
		aad = binary.BigEndian.AppendUint64(aad, uint64(n))
	}
	return aad
}

// Session reads the session of an id with its revision. fs.ErrNotExist if there is none, ErrAltered if the row is not ours. Whether it
// has expired is for the caller to judge.
func (v ConsoleView) Session(ctx context.Context, id [32]byte) (content []byte, revision int64, err error) {
	var expires int64
	var sealed []byte
	found, err := sqldb.One(ctx, v.db.read, []any{&revision, &expires, &sealed}, "SELECT revision, expires, sealed FROM console_sessions WHERE id = ?", id[:])
	switch {
	case err != nil:
		return nil, 0, fmt.Errorf("read console session: %w", err)
	case !found:
		return nil, 0, fmt.Errorf("read console session: %w", fs.ErrNotExist)
	}
	if content, err = v.db.config.Sealer.Open(sealed, consoleAAD(sessionsTable, id[:], revision, expires)); err != nil {
		return nil, 0, v.db.altered(sessionsTable, "a session does not open")
	}
	return content, revision, nil
}

// AddSession writes the first revision of a session. Where was is not zero, that session ends in the same transaction: its id was renewed.
func (v ConsoleView) AddSession(ctx context.Context, id, was [32]byte, content []byte, expires time.Time) error {
	at := canonical.Micros(expires)
	sealed, err := v.db.config.Sealer.Seal(content, consoleAAD(sessionsTable, id[:], 1, at))
	if err != nil {
		return fmt.Errorf("seal console session: %w", err)
	}
	err = v.db.upkeep.Transact(ctx, func(ctx context.Context, t *sqldb.Tx) error {
		if was != ([32]byte{}) {
			if n, err := t.Exec(ctx, "DELETE FROM console_sessions WHERE id = ?", was[:]); err != nil || n == 0 {
				return orNotExist(err)
			}
		}
		_, err := t.Exec(ctx, "INSERT INTO console_sessions (id, revision, expires, sealed) VALUES (?,?,?,?)", id[:], 1, at, sealed)
		return err
	})
	if err != nil {
		return fmt.Errorf("write console session: %w", err)
	}
	return nil
}

func orNotExist(err error) error {
	if err == nil {
		return fs.ErrNotExist
	}
	return err
}

// ReplaceSession writes the revision that follows the one that the caller read (optimistic lock). It reports false where another call
// wrote, or ended, the session meanwhile.
func (v ConsoleView) ReplaceSession(ctx context.Context, id [32]byte, read int64, content []byte, expires time.Time) (bool, error) {
	at := canonical.Micros(expires)
	sealed, err := v.db.config.Sealer.Seal(content, consoleAAD(sessionsTable, id[:], read+1, at))
	if err != nil {
		return false, fmt.Errorf("seal console session: %w", err)
	}
	var n int64
	err = v.db.upkeep.TransactUnsynced(ctx, func(ctx context.Context, t *sqldb.Tx) (err error) {
		n, err = t.Exec(ctx, "UPDATE console_sessions SET revision = ?, expires = ?, sealed = ? WHERE id = ? AND revision = ?", read+1, at, sealed, id[:], read)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("write console session: %w", err)
	}
	return n == 1, nil
}

// EndSession removes a session and all that its owner key keeps. It is durable when it returns.
func (v ConsoleView) EndSession(ctx context.Context, id, owner [32]byte) error {
	err := v.db.upkeep.Transact(ctx, func(ctx context.Context, t *sqldb.Tx) error {
		if _, err := t.Exec(ctx, "DELETE FROM console_sessions WHERE id = ?", id[:]); err != nil {
			return err
		}
		_, err := t.Exec(ctx, "DELETE FROM console_kept WHERE owner = ?", owner[:])
		return err
	})
	if err != nil {
		return fmt.Errorf("end console session: %w", err)
	}
	return nil
}

// Keep writes a value under a key of its owner, in the place of the one before.
func (v ConsoleView) Keep(ctx context.Context, owner, key [32]byte, content []byte, expires time.Time) error {
	at := canonical.Micros(expires)
	sealed, err := v.sealKept(owner, key, content, at)
	if err != nil {
		return err
	}
	err = v.db.upkeep.TransactUnsynced(ctx, func(ctx context.Context, t *sqldb.Tx) error {
		_, err := t.Exec(ctx, "INSERT INTO console_kept (owner, key, expires, sealed) VALUES (?,?,?,?) ON CONFLICT (owner, key) DO UPDATE SET expires = excluded.expires, sealed = excluded.sealed", owner[:], key[:], at, sealed)
		return err
	})
	if err != nil {
		return fmt.Errorf("keep for console session: %w", err)
	}
	return nil
}

func keptKey(owner, key [32]byte) []byte { return append(owner[:], key[:]...) }

func (v ConsoleView) sealKept(owner, key [32]byte, content []byte, expires int64) ([]byte, error) {
	sealed, err := v.db.config.Sealer.Seal(content, consoleAAD(keptTable, keptKey(owner, key), expires))
	if err != nil {
		return nil, fmt.Errorf("seal what a console session keeps: %w", err)
	}
	return sealed, nil
}

const selectKept = "SELECT expires, sealed FROM console_kept WHERE owner = ? AND key = ?"

// Kept reads the value under a key of its owner. fs.ErrNotExist if there is none or it has expired, ErrAltered if it is not ours.
func (v ConsoleView) Kept(ctx context.Context, owner, key [32]byte) ([]byte, error) {
	var expires int64
	var sealed []byte
	found, err := sqldb.One(ctx, v.db.read, []any{&expires, &sealed}, selectKept, owner[:], key[:])
	if err != nil {
		return nil, fmt.Errorf("read what a console session keeps: %w", err)
	}
	return v.openKept(found, owner, key, expires, sealed)
}

func (v ConsoleView) openKept(found bool, owner, key [32]byte, expires int64, sealed []byte) ([]byte, error) {
	if !found || expires <= canonical.Micros(v.db.config.Now()) {
		return nil, fmt.Errorf("read what a console session keeps: %w", fs.ErrNotExist)
	}
	content, err := v.db.config.Sealer.Open(sealed, consoleAAD(keptTable, keptKey(owner, key), expires))
	if err != nil {
		return nil, v.db.altered(keptTable, "a kept value does not open")
	}
	return content, nil
}

// TakeKept reads the value under a key and removes it: of several calls at once one has it, the others get fs.ErrNotExist.
func (v ConsoleView) TakeKept(ctx context.Context, owner, key [32]byte) ([]byte, error) {
	var expires int64
	var sealed []byte
	var found bool
	err := v.db.upkeep.Transact(ctx, func(ctx context.Context, t *sqldb.Tx) (err error) {
		if found, err = sqldb.One(ctx, t, []any{&expires, &sealed}, selectKept, owner[:], key[:]); err != nil || !found {
			return err
		}
		n, err := t.Exec(ctx, "DELETE FROM console_kept WHERE owner = ? AND key = ?", owner[:], key[:])
		found = n == 1
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("take what a console session keeps: %w", err)
	}
	return v.openKept(found, owner, key, expires, sealed)
}

// Claim takes a key for its only use, and reports false where it was taken before. It is durable when it returns.
func (v ConsoleView) Claim(ctx context.Context, owner, key [32]byte, expires time.Time) (first bool, err error) {
	at := canonical.Micros(expires)
	sealed, err := v.sealKept(owner, key, nil, at)
	if err != nil {
		return false, err
	}
	err = v.db.upkeep.Transact(ctx, func(ctx context.Context, t *sqldb.Tx) error {
		n, err := t.Exec(ctx, "INSERT INTO console_kept (owner, key, expires, sealed) VALUES (?,?,?,?) ON CONFLICT (owner, key) DO NOTHING", owner[:], key[:], at, sealed)
		first = n == 1
		return err
	})
	if err != nil {
		return false, fmt.Errorf("claim for the console: %w", err)
	}
	return first, nil
}

// PurgeConsole removes sessions and kept values that have expired before t, in steps.
func (v ConsoleView) PurgeConsole(ctx context.Context, t time.Time) error {
	for _, text := range []string{
		"DELETE FROM console_sessions WHERE id IN (SELECT id FROM console_sessions WHERE expires < ? ORDER BY expires LIMIT 128)",
		"DELETE FROM console_kept WHERE (owner, key) IN (SELECT owner, key FROM console_kept WHERE expires < ? ORDER BY expires LIMIT 128)",
	} {
		err := inSteps(ctx, func(ctx context.Context) (n int64, err error) {
			err = v.db.upkeep.TransactUnsynced(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
				n, err = tx.Exec(ctx, text, canonical.Micros(t))
				return err
			})
			return n, err
		})
		if err != nil {
			return fmt.Errorf("purge console sessions: %w", err)
		}
	}
	return nil
}

// CountSessions returns how many sessions have not expired at t.
func (v ConsoleView) CountSessions(ctx context.Context, t time.Time) (n int64, err error) {
	err = sqldb.Each(ctx, v.db.read, func(rows *sql.Rows) error { return rows.Scan(&n) }, "SELECT COUNT(*) FROM console_sessions WHERE expires >= ?", canonical.Micros(t))
	if err != nil {
		return 0, fmt.Errorf("count console sessions: %w", err)
	}
	return n, nil
}

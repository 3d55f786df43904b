package demo

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"oncegate/audit"
	"oncegate/certs/sm"
	"oncegate/config"
	"oncegate/install"
	"oncegate/store"
	"oncegate/tlog"
	"oncegate/verdict"
)

// tampering is step 7: the log is copied, the copy verified, one byte of the clerk's refused query changed, and the copy
// verified again.
func tampering(ctx context.Context, s *scene) error {
	auditor, err := s.as("audit-office")
	if err != nil {
		return err
	}
	checkpoint, err := auditor.Public(ctx, "log.checkpoint", nil)
	if err != nil {
		return err
	}
	if _, err := s.verifyAll(verdict.Artefact{Name: "checkpoint", Data: checkpoint}); err != nil {
		return err
	}
	proven, err := tlog.ParseCheckpoint(string(checkpoint))
	if err != nil {
		return err
	}
	copied, err := copyLog(ctx, s.setup)
	if err != nil {
		return err
	}
	err = s.tamper(ctx, copied, proven)
	return errors.Join(err, copied.drop())
}

// tamper verifies the copy, changes it and verifies it again.
func (s *scene) tamper(ctx context.Context, copied *logCopy, proven tlog.Checkpoint) error {
	if err := copied.verify(ctx, proven); err != nil {
		return err
	}
	s.claim(true, "日志数据库的副本：%d 条记录，两棵树，全部成立", "a copy of the log's database: %d records, both trees, all of it holds", proven.Size)
	at, err := copied.flip(ctx, s.refused)
	if err != nil {
		return err
	}
	s.say("副本中第 %d 条（步骤 4 的拒绝）的第 %d 字节被改动一位", "in the copy of entry %d, the refusal of step 4, one bit of byte %d is flipped", s.refused, at)
	return s.named(copied.verify(ctx, proven))
}

// named checks that verification names the changed entry.
func (s *scene) named(err error) error {
	corrupt, ok := errors.AsType[*tlog.CorruptError](err)
	if !ok {
		if err != nil {
			return err
		}
		s.claim(false, "验证指出被改动的记录", "verification names the entry that was changed")
		return nil
	}
	s.claim(corrupt.Entry == s.refused, "验证指出被改动的记录：%s", "verification names it: %s", corrupt.Error())
	s.show("one flipped bit found: %s", corrupt.Error())
	return nil
}

// A logCopy is a copy of the log's database: a SQLite file, or a PostgreSQL schema.
type logCopy struct {
	store.Config
	drop func() error
}

// copyLog copies a database that is in use, as one committed state.
func copyLog(ctx context.Context, s *config.Setup) (*logCopy, error) {
	copied := copyFile
	if s.Store.Driver == store.Postgres {
		copied = copySchema
	}
	c, err := copied(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("copy the log's database: %w", err)
	}
	return c, nil
}

func copyFile(ctx context.Context, s *config.Setup) (*logCopy, error) {
	dir, err := os.MkdirTemp("", "oncegate-copy-")
	if err != nil {
		return nil, err
	}
	c := &logCopy{store.Config{Path: filepath.Join(dir, "copy.db")}, func() error { return os.RemoveAll(dir) }}
	db, err := sql.Open("sqlite", "file:"+s.Store.Path+"?mode=ro&_pragma=busy_timeout(5000)")
	if err != nil {
		return nil, errors.Join(err, c.drop())
	}
	defer db.Close()
	if _, err := db.ExecContext(ctx, "VACUUM INTO ?", c.Path); err != nil {
		return nil, errors.Join(err, c.drop())
	}
	return c, nil
}

func copySchema(ctx context.Context, s *config.Setup) (*logCopy, error) {
	from, err := s.Store.ReadDSN()
	if err != nil {
		return nil, err
	}
	to, drop, err := store.NewSchema(ctx, from, "demo_copy")
	if err != nil {
		return nil, err
	}
	c := &logCopy{store.Config{Driver: store.Postgres, DSN: to}, drop}
	if err := copyTables(ctx, from, to); err != nil {
		return nil, errors.Join(err, c.drop())
	}
	return c, nil
}

// copyTables copies all tables of a schema, as one state, into another one of the same database. Connection URLs name them.
func copyTables(ctx context.Context, from, to string) error {
	target, err := url.Parse(to)
	if err != nil {
		return err
	}
	db, err := sql.Open("pgx", from)
	if err != nil {
		return err
	}
	defer db.Close()
	tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead})
	if err != nil {
		return err
	}
	defer tx.Rollback()
	var names []string
	rows, err := tx.QueryContext(ctx, "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return err
		}
		names = append(names, name)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for _, name := range names { // both are names of our own
		copied := target.Query().Get("search_path") + "." + name
		if _, err := tx.ExecContext(ctx, "CREATE TABLE "+copied+" (LIKE "+name+" INCLUDING ALL)"); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO "+copied+" SELECT * FROM "+name); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// flip changes one bit in the middle of a stored entry.
func (c *logCopy) flip(ctx context.Context, entry uint64) (at int, err error) {
	db, err := sql.Open("sqlite", "file:"+c.Path)
	if c.Driver == store.Postgres {
		db, err = sql.Open("pgx", c.DSN)
	}
	if err != nil {
		return 0, err
	}
	defer db.Close()
	var leaf []byte
	if err := db.QueryRowContext(ctx, "SELECT leaf FROM records WHERE pos & 1099511627775 = $1", int64(entry)).Scan(&leaf); err != nil {
		return 0, fmt.Errorf("read entry %d of the copy: %w", entry, err)
	}
	at = len(leaf) / 2
	leaf[at] ^= 1
	if _, err := db.ExecContext(ctx, "UPDATE records SET leaf = $1 WHERE pos & 1099511627775 = $2", leaf, int64(entry)); err != nil {
		return 0, fmt.Errorf("change entry %d of the copy: %w", entry, err)
	}
	return at, nil
}

// verify reads every entry of the copy, without any key, and verifies it against a verified checkpoint.
func (c *logCopy) verify(ctx context.Context, known tlog.Checkpoint) (err error) {
	config := c.Config
	config.Log = known.Origin
	db, err := install.OpenKeyless(ctx, config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return audit.VerifyLog(ctx, db.Log(), known, sm.New, nil)
}

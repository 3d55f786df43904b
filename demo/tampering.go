package demo

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"oncegate/audit"
	"oncegate/certs/sm"
	"oncegate/install"
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
	dir, err := os.MkdirTemp("", "oncegate-copy-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	copied := filepath.Join(dir, "copy.db")
	if err := copyDatabase(ctx, s.setup.Store.Path, copied); err != nil {
		return err
	}
	if err := verifyCopy(ctx, copied, proven); err != nil {
		return err
	}
	s.claim(true, "日志数据库的副本：%d 条记录，两棵树，全部成立", "a copy of the log's database: %d records, both trees, all of it holds", proven.Size)
	at, err := flip(ctx, copied, s.refused)
	if err != nil {
		return err
	}
	s.say("副本中第 %d 条（步骤 4 的拒绝）的第 %d 字节被改动一位", "in the copy of entry %d, the refusal of step 4, one bit of byte %d is flipped", s.refused, at)
	return s.named(verifyCopy(ctx, copied, proven))
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

// copyDatabase copies a database that is in use, as one committed state.
func copyDatabase(ctx context.Context, from, to string) error {
	db, err := sql.Open("sqlite", "file:"+from+"?mode=ro&_pragma=busy_timeout(5000)")
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err := db.ExecContext(ctx, "VACUUM INTO ?", to); err != nil {
		return fmt.Errorf("copy the log's database: %w", err)
	}
	return nil
}

// flip changes one bit in the middle of a stored entry.
func flip(ctx context.Context, name string, entry uint64) (at int, err error) {
	db, err := sql.Open("sqlite", "file:"+name)
	if err != nil {
		return 0, err
	}
	defer db.Close()
	var leaf []byte
	if err := db.QueryRowContext(ctx, "SELECT leaf FROM records WHERE pos & 1099511627775 = ?", int64(entry)).Scan(&leaf); err != nil {
		return 0, fmt.Errorf("read entry %d of the copy: %w", entry, err)
	}
	at = len(leaf) / 2
	leaf[at] ^= 1
	if _, err := db.ExecContext(ctx, "UPDATE records SET leaf = ? WHERE pos & 1099511627775 = ?", leaf, int64(entry)); err != nil {
		return 0, fmt.Errorf("change entry %d of the copy: %w", entry, err)
	}
	return at, nil
}

// verifyCopy reads every entry of a copy, without any key, and verifies it against a verified checkpoint.
func verifyCopy(ctx context.Context, name string, c tlog.Checkpoint) (err error) {
	db, err := install.OpenLogFile(ctx, name, c.Origin)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return audit.VerifyLog(ctx, db.Log(), c, sm.New, nil)
}

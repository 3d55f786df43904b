package install

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"oncegate/audit"
	"oncegate/certs/token"
	"oncegate/config"
	"oncegate/store"
	"oncegate/store/sqldb"
	"oncegate/tlog"
)

// Backup copies the SQLite database of a configuration to a new file at path, while a node serves it or not. The copy is the
// committed state of the moment the backup began; progress, if not nil, is told pages done and pages in all. Call it from a
// process of its own, not from the one that serves. fs.ErrExist if the name is taken.
func Backup(ctx context.Context, file, path string, progress func(done, total int)) error {
	setup, faults := config.Load(file, time.Now())
	if err := faults.Err(); err != nil {
		return err
	}
	if setup.Store.Driver == store.Postgres {
		return errors.New("a postgres database is backed up by its own tools, such as pg_basebackup")
	}
	if err := sqldb.BackupFile(ctx, setup.Store.Path, path, progress); err != nil {
		return fmt.Errorf("back up the database: %w", err)
	}
	if err := os.WriteFile(BackupNote(setup), []byte(time.Now().UTC().Format(time.RFC3339)+" "+path+"\n"), 0o644); err != nil {
		return fmt.Errorf("the backup is made, but not noted: %w", err)
	}
	return nil
}

// BackupNote is a file beside the high-water mark whose time of modification is that of the newest backup. Backup writes it; who backs up
// by other means touches it.
func BackupNote(s *config.Setup) string { return s.Log.Mark + ".backup" }

// LastBackup is when the newest backup was made, as BackupNote says; fs.ErrNotExist if none is known.
func LastBackup(s *config.Setup) (time.Time, error) {
	info, err := os.Stat(BackupNote(s))
	switch {
	case err != nil:
		return time.Time{}, fmt.Errorf("read the note of the last backup: %w", err)
	case !info.Mode().IsRegular():
		return time.Time{}, errors.New("read the note of the last backup: it is no file")
	}
	return info.ModTime(), nil
}

// lostCalls is for how long after the last known checkpoint a call may still be made again that the lost part of the log had
// refused for ever.
const lostCalls = token.MaxLifetime + 3*token.Skew

// RecoverOptions say how a log is recovered. The zero value is usable.
type RecoverOptions struct {
	// Checkpoint is the last checkpoint known of the old log. Default: the one in the high-water mark.
	Checkpoint string
	// At is when that checkpoint was made, about: calls from before are not taken any more. Default: when the mark was
	// written; now where Checkpoint is given.
	At time.Time
	// Adopt says that the backup is of a program that did not authenticate rows: they are trusted as they stand, and the first record
	// says how many (see Adopt). Without it such a database is refused, for it may as well be one whose tags somebody took away.
	Adopt bool

	Now func() time.Time
}

// A Recovered is the result of a recovery.
type Recovered struct {
	Old    tlog.Checkpoint // the last known of the old log: what verifiers can prove to be lost, if it is
	Origin string          // of the new log
	Until  time.Time       // calls that expire before it are refused: some could be replays of lost ones
}

// Recover continues with a new log after a start was refused with tlog.ErrRolledBack because an old backup was restored. The configuration
// names a new log.origin; the log under it begins with the last checkpoint known of the old one as entry 0, and the mark
// follows it. The database stays: what the backup has of cases, licenses and old records. What came after the backup is lost,
// and says so: its receipts still verify, for who keeps the old origin in its trust, and the old log's records prove that they
// are missing.
//
// No node may be running. Recover may be repeated until it succeeds. The error is a fault.List where the configuration is unusable.
func Recover(ctx context.Context, path string, o RecoverOptions) (Recovered, error) {
	done, err := o.recover(ctx, path)
	if err != nil {
		return Recovered{}, fmt.Errorf("recover log: %w", err)
	}
	return done, nil
}

func (o RecoverOptions) recover(ctx context.Context, path string) (done Recovered, err error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	setup, err := config.LoadWithKeys(path, o.Now())
	if err != nil {
		return done, err
	}
	if err := o.lastKnown(setup); err != nil {
		return done, err
	}
	db, keyring, err := setup.OpenStore(ctx, config.OpenOptions{Now: o.Now, Recover: true})
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return o.into(ctx, setup, db, keyring)
}

// lastKnown fills in the options from the high-water mark.
func (o *RecoverOptions) lastKnown(s *config.Setup) error {
	if o.Checkpoint != "" {
		if o.At.IsZero() {
			o.At = o.Now()
		}
		return nil
	}
	info, err := os.Stat(s.Log.Mark)
	if err != nil {
		return fmt.Errorf("read high-water mark: %s", config.PathReason(err))
	}
	if o.At.IsZero() {
		o.At = info.ModTime()
	}
	o.Checkpoint, err = tlog.ReadMark(s.Log.Mark)
	return err
}

// into makes the new log in the database, with its first records.
func (o RecoverOptions) into(ctx context.Context, s *config.Setup, db *store.DB, keyring *config.Keyring) (done Recovered, err error) {
	if done.Old, err = tlog.ParseCheckpoint(o.Checkpoint); err != nil {
		return done, err
	}
	done.Origin, done.Until = s.Log.Origin, o.At.Add(lostCalls)
	if done.Old.Origin == s.Log.Origin {
		return done, fmt.Errorf("the last known checkpoint is of %s itself: give the new log another name under log.origin", s.Log.Origin)
	}
	adopted, err := db.Adopted(ctx)
	if err != nil {
		return done, err
	}
	if !adopted && !o.Adopt {
		return done, fmt.Errorf("%w: restore a backup that was made since; if there is none, and this one was made before, say so with --adopt", store.ErrNotAdopted)
	}
	// First the calls: a node that starts on half a recovery takes none again.
	if err := db.Audit().Purge(ctx, done.Until); err != nil {
		return done, err
	}
	var changes []any
	if !adopted {
		rows, err := db.Adopt(ctx, nil)
		if err != nil {
			return done, err
		}
		changes = []any{audit.Adopt{Rows: rows}}
	}
	c, err := s.LogConfig(db.Log(), nil)
	if err != nil {
		return done, err
	}
	if err := tlog.Recover(ctx, c, o.Checkpoint); err != nil {
		return done, err
	}
	return done, leaveRecord(ctx, s, db, keyring, o.Now, audit.Own{Operation: OperationRecover, RequestID: s.Log.Origin, Inputs: map[string]any{
		"origin": s.Log.Origin, "keys": DescribeKeys(s), "old": map[string]any{"origin": done.Old.Origin, "size": done.Old.Size},
	}, Changes: changes})
}

package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"oncegate/store"
)

// Backup copies the SQLite database of a configuration to a new file at path, while a node serves it or not. The copy is the
// committed state of the moment the backup began; progress, if not nil, is told pages done and pages in all. Call it from a
// process of its own, not from the one that serves. fs.ErrExist if the name is taken.
func Backup(ctx context.Context, config, path string, progress func(done, total int)) error {
	setup, faults := Load(config, time.Now())
	if err := faults.Err(); err != nil {
		return err
	}
	if setup.Store.Driver == store.Postgres {
		return errors.New("a postgres database is backed up by its own tools, such as pg_basebackup")
	}
	if err := store.BackupFile(ctx, setup.Store.Path, path, progress); err != nil {
		return fmt.Errorf("back up the database: %w", err)
	}
	return nil
}

package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"modernc.org/sqlite"
)

const (
	backupPages = 256 // copied in one step, followed by a rest as long as the step took
	syncedSteps = 16  // after how many of them the copy is synced
)

// Backup is an online backup: it copies an SQLite database to a new file at path, while it serves. The copy is one committed state,
// that in which the backup began. progress, if not nil, is called with pages done and pages in all. The file appears under its name
// only when it is complete, checked and synced; fs.ErrExist if the name is taken. While it runs the write-ahead log grows. For
// PostgreSQL use pg_basebackup or pg_dump.
func (db *DB) Backup(ctx context.Context, path string, progress func(done, total int)) error {
	if db.path == "" {
		return errors.New("a postgres database is backed up by its own tools")
	}
	if err := backup(ctx, db.Read.db, path, progress); err != nil {
		return fmt.Errorf("backup failed: %w", db.Read.dialect.explain(err))
	}
	return nil
}

// BackupFile is Backup of an SQLite file, whether another process has it open or none. Never call it in the
// process that has it open: closing the file there would drop its locks.
func BackupFile(ctx context.Context, file, path string, progress func(done, total int)) error {
	if _, err := os.Stat(file); err != nil {
		return fmt.Errorf("backup failed: %w", err)
	}
	connector, err := sqlite.NewConnector("file:" + escaped(file) + "?mode=ro&_pragma=busy_timeout(5000)")
	if err != nil {
		return fmt.Errorf("backup failed: %w", err)
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	if err := backup(ctx, db, path, progress); err != nil {
		return fmt.Errorf("backup failed: %w", err)
	}
	return nil
}

func backup(ctx context.Context, read *sql.DB, path string, progress func(done, total int)) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w", filepath.Base(path), fs.ErrExist)
	}
	part, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.part") // mode 0600
	if err != nil {
		return err
	}
	part.Close()
	defer os.Remove(part.Name())
	if err := copyPages(ctx, read, part.Name(), progress); err != nil {
		return err
	}
	if err := checkCopy(ctx, part.Name()); err != nil {
		return err
	}
	if err := syncFile(part.Name()); err != nil {
		return err
	}
	if err := os.Link(part.Name(), path); err != nil { // unlike a rename it never replaces a file
		return err
	}
	return syncDir(filepath.Dir(path))
}

// copyPages holds one read transaction over all steps: in WAL mode that is one snapshot, and the copy never starts over.
func copyPages(ctx context.Context, read *sql.DB, to string, progress func(done, total int)) error {
	conn, err := read.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, "BEGIN"); err != nil {
		return err
	}
	defer conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
	var steps int
	if err := conn.QueryRowContext(ctx, "SELECT count(*) FROM "+StepsTable).Scan(&steps); err != nil {
		return err
	}
	return conn.Raw(func(c any) error {
		source, ok := c.(interface {
			NewBackup(string) (*sqlite.Backup, error)
		})
		if !ok {
			return errors.New("the driver has no backup")
		}
		b, err := source.NewBackup("file:" + escaped(to))
		if err != nil {
			return err
		}
		f, err := os.Open(to)
		if err != nil {
			return errors.Join(err, b.Finish())
		}
		err = step(ctx, b, f, progress)
		return errors.Join(err, b.Finish(), f.Close())
	})
}

// step copies all pages. It leaves half of the time and most of the disk to others: a file system that orders its journal lets the
// next commit's sync wait for all that the copy has written and not synced.
func step(ctx context.Context, b *sqlite.Backup, to *os.File, progress func(done, total int)) error {
	for n, more := 1, true; more; n++ {
		begun := time.Now()
		var err error
		if more, err = b.Step(backupPages); err != nil {
			return err
		}
		if n%syncedSteps == 0 {
			if err := to.Sync(); err != nil {
				return err
			}
		}
		if progress != nil {
			progress(b.PageCount()-b.Remaining(), b.PageCount())
		}
		if err := Rest(ctx, begun, 1); err != nil {
			return err
		}
	}
	return nil
}

// checkCopy reads the copy as a database of its own and leaves no file beside it.
func checkCopy(ctx context.Context, path string) error {
	connector, err := sqlite.NewConnector("file:" + escaped(path) + "?_pragma=journal_mode(DELETE)")
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	var verdict string
	if err := db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&verdict); err != nil {
		return err
	}
	if verdict != "ok" {
		return errors.New("the copy fails SQLite's quick_check; look at the disk")
	}
	return nil
}

// syncFile flushes a file to its disk. It is opened for writing, without which Windows flushes nothing.
func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// syncDir makes a renaming durable. Windows cannot flush a folder; NTFS journals the renaming.
func syncDir(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

package store

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"oncegate/store/sqldb"
	"oncegate/tlog"
	"oncegate/tlog/tlogtest"
)

// TestBackup copies a database while many append to it, and restores the copy: it holds a whole log of one moment, and
// everything that was answered before the backup began.
func TestBackup(t *testing.T) {
	b := busy(t, engine{SQLite, freshSQLite})
	var stop atomic.Bool
	var group sync.WaitGroup
	for w := range 8 {
		group.Go(func() {
			for i := int64(w * 1e6); !stop.Load(); i++ {
				if _, err := b.append(context.Background(), wide(i)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	before, err := b.append(t.Context(), wide(1e9))
	if err != nil {
		t.Fatal(err)
	}
	cosigned := b.log.Known()
	if err := b.log.Cosign(t.Context(), cosigned); err != nil {
		t.Fatal(err)
	}
	c := freshSQLite(t)
	steps, last := 0, 0
	err = b.db.Backup(t.Context(), c.Path, func(done, total int) {
		if done < last || done > total {
			t.Errorf("progress is %d of %d after %d", done, total, last)
		}
		steps, last = steps+1, done
	})
	stop.Store(true)
	group.Wait()
	if err != nil {
		t.Fatal(err)
	}
	if steps == 0 {
		t.Error("no progress was told")
	}
	left, err := os.ReadDir(filepath.Dir(c.Path))
	if err != nil || len(left) != 1 {
		t.Errorf("beside the copy lie %v, %v", left, err)
	}
	if info, err := os.Stat(c.Path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the copy is %v, %v", info.Mode(), err)
	}
	wantError(t, "backup onto a file", b.db.Backup(t.Context(), c.Path, nil), fs.ErrExist)

	copied := mustOpen(t, c)
	checkpoint := tlogtest.CheckLog(t, copied.Log(), b.keys.Trust)
	if checkpoint.Size <= before {
		t.Errorf("copy has %d entries, entry %d was answered before", checkpoint.Size, before)
	}
	config := b.keys.Config(copied.Log())
	log, err := tlog.Open(t.Context(), config) // without a mark: with one an old copy is refused
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close(context.Background())
	if got, err := log.LastCosigned(t.Context()); err != nil || got.Note != cosigned {
		t.Errorf("the copy has the cosigned checkpoint %+v, %v", got, err)
	}
	if _, err := log.Append(t.Context(), []byte("on the copy"), nil); err != nil {
		t.Error(err)
	}
}

func TestBackupCancelled(t *testing.T) {
	b := busy(t, engine{SQLite, freshSQLite})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dir := t.TempDir()
	if err := b.db.Backup(ctx, filepath.Join(dir, "copy"), nil); err == nil {
		t.Error("a cancelled backup succeeded")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	mustChange(t, b)
}

// TestBackupFile copies a file that this process has not open, as the backup of another process is.
func TestBackupFile(t *testing.T) {
	b := newBench(t, engine{SQLite, freshSQLite})
	mustChange(t, b)
	first, c := freshSQLite(t), freshSQLite(t)
	if err := b.db.Backup(t.Context(), first.Path, nil); err != nil {
		t.Fatal(err)
	}
	if err := sqldb.BackupFile(t.Context(), first.Path, c.Path, nil); err != nil {
		t.Fatal(err)
	}
	tlogtest.CheckLog(t, mustOpen(t, c).Log(), b.keys.Trust)
	wantError(t, "backup onto a file", sqldb.BackupFile(t.Context(), first.Path, c.Path, nil), fs.ErrExist)
	wantError(t, "backup of nothing", sqldb.BackupFile(t.Context(), first.Path+".gone", filepath.Join(t.TempDir(), "copy"), nil), fs.ErrNotExist)
}

package sqldb

import (
	"context"
	"database/sql"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// How an SQLite database's write-ahead log (WAL) is kept short.
const (
	checkpointEvery = 500 * time.Millisecond
	restartFrames   = 4000             // from how many pages on the WAL is begun anew: 16 MB
	leftFrames      = 500              // most pages that are moved while batches wait
	forgetEvery     = 10 * time.Second // how often emptying the WAL is tried
)

// A checkpointer makes the WAL checkpoints: it moves what was written from the WAL into the database file, in a goroutine and over a connection of its own.
// SQLite's automatic checkpoint does it inside the commit that comes to some size, and after it inside each one while a reader,
// such as a backup, needs the WAL. It never waits for a reader. nil, as on PostgreSQL, does nothing.
type checkpointer struct {
	write *Pool   // its connection is the only one that writes
	own   *sql.DB // one connection
	file  string  // the WAL

	mu      sync.Mutex  // one checkpoint at a time
	pending atomic.Bool // something was erased, and the WAL still holds its pages
	tried   time.Time   // when the WAL was last to be emptied
	stop    context.CancelFunc
	stopped chan struct{}
}

func newCheckpointer(path string, write *Pool) (*checkpointer, error) {
	own, err := openFile(sqliteSource(path, "FULL", true, 0), 1, true, unwrapped)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	k := &checkpointer{write: write, own: own.db, file: path + "-wal", stop: stop, stopped: make(chan struct{})}
	go k.run(ctx)
	return k, nil
}

func (k *checkpointer) close() error {
	if k == nil {
		return nil
	}
	k.stop()
	<-k.stopped
	return k.own.Close()
}

// run makes a checkpoint where something was committed since the last, once the WAL has come to its size. One that fails is made
// the next time.
func (k *checkpointer) run(ctx context.Context) {
	defer close(k.stopped)
	ticker := time.NewTicker(checkpointEvery)
	defer ticker.Stop()
	seen := int64(0)
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if now := k.write.commits.Load(); now != seen && k.long() {
			seen = now
			k.checkpoint(ctx)
		}
		k.mu.Lock()
		due := k.pending.Load() && time.Since(k.tried) >= forgetEvery
		k.mu.Unlock()
		if due {
			k.forget(ctx)
		}
	}
}

// long reports whether the WAL has come to the size at which it is begun anew. The file keeps that size afterwards.
func (k *checkpointer) long() bool {
	info, err := os.Stat(k.file)
	return err == nil && info.Size() >= restartFrames*4096
}

// moveFrames is a PASSIVE checkpoint: it waits for nobody and makes nobody wait. It returns how many pages the WAL has and how
// many of them are in the file.
func moveFrames(ctx context.Context, q interface {
	QueryRowContext(context.Context, string, ...any) *sql.Row
}) (frames, moved int, err error) {
	var busy int
	err = q.QueryRowContext(ctx, "PRAGMA wal_checkpoint(PASSIVE)").Scan(&busy, &frames, &moved)
	return frames, moved, err
}

// checkpoint moves what it can. The WAL begins anew with the first batch that finds all of it moved: for that the writer's
// connection is taken for the last few pages, unless a reader holds them back.
func (k *checkpointer) checkpoint(ctx context.Context) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.moveMost(ctx) {
		return
	}
	conn, err := k.write.connection(ctx)
	if err != nil {
		return
	}
	defer conn.Close()
	moveFrames(ctx, conn)
}

// moveMost moves pages until few are left, and reports whether the WAL is to be begun anew. Batches add to it meanwhile: each
// round has less to do than the last, or the WAL is already so long that they may wait for more than a few.
func (k *checkpointer) moveMost(ctx context.Context) bool {
	for before := -1; ; {
		frames, moved, err := moveFrames(ctx, k.own)
		if err != nil || frames < restartFrames || moved == before { // a reader holds the rest back
			return err == nil && frames >= restartFrames && frames-moved <= leftFrames
		}
		if frames-moved <= leftFrames || frames > 8*restartFrames && moved > before && before >= 0 {
			return true
		}
		before = moved
	}
}

// erased takes note that the WAL holds pages of what was erased.
func (k *checkpointer) erased() {
	if k != nil {
		k.pending.Store(true)
	}
}

// forget empties the WAL of what was erased. While a reader needs it that is left to a later time: nobody waits for the reader.
func (k *checkpointer) forget(ctx context.Context) {
	if k == nil || !k.pending.Load() {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.tried = time.Now()
	frames, moved, err := moveFrames(ctx, k.own)
	if err != nil || frames-moved > leftFrames {
		return
	}
	conn, err := k.write.connection(ctx)
	if err != nil {
		return
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, "PRAGMA busy_timeout = 0"); err != nil {
		return
	}
	k.pending.Store(false) // what is erased from now on is not in this emptying
	busy := 1
	if err := conn.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &frames, &moved); err != nil || busy != 0 {
		k.pending.Store(true)
	}
	if _, err := conn.ExecContext(context.WithoutCancel(ctx), "PRAGMA busy_timeout = 2000"); err != nil {
		discard(conn)
	}
}

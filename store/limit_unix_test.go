//go:build unix

package store

import (
	"context"
	"errors"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"oncegate/audit"
	"oncegate/tlog"
	"oncegate/tlog/tlogtest"
)

// TestFileLimit lets the operating system refuse to write at some point, which SQLite sees as an I/O error, often in the
// middle of a commit: nobody is answered until it writes again, and then the log goes on by itself, whole.
func TestFileLimit(t *testing.T) {
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	limit := func(bytes uint64) {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: bytes, Max: before.Max}); err != nil {
			t.Fatal(err)
		}
	}
	defer limit(before.Cur)

	db := mustOpen(t, freshSQLite(t))
	b := benchOn(t, db)
	answered := map[string]uint64{}
	try := func(ctx context.Context) error {
		jti := timeOrdered()
		index, err := b.append(ctx, audit.Entry{Record: []byte("record " + jti), Sealed: []audit.Sealed{{Kind: "request", Blob: make([]byte, 30<<10)}},
			Changes: []any{audit.Claim{System: "window", JTI: jti, Exp: accepted}}})
		if err == nil {
			answered[jti] = index
		}
		return err
	}
	for range 3 {
		limit(uint64(len(files(t, db.config.Path))) + 100<<10)
		var err error
		for err == nil {
			err = try(t.Context())
		}
		if !errors.Is(err, tlog.ErrUnavailable) {
			t.Errorf("refused with %v", err)
		}
		limit(before.Cur)
		start := time.Now()
		for err = try(t.Context()); err != nil; err = try(t.Context()) {
			if time.Since(start) > 5*time.Second {
				t.Fatalf("no recovery: %v", err)
			}
		}
	}
	for jti, want := range answered {
		if got, err := db.Audit().ByJTI(t.Context(), "window", jti); err != nil || got != want {
			t.Errorf("call %s: record %d, %v; answered %d", jti, got, err, want)
		}
	}
	tlogtest.CheckLog(t, db.Log(), b.keys.Trust)
}

package tlog

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	earlier = "log\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\nsm3-root AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n— log AAAAAAA=\n"
	later   = "log\n2\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\nsm3-root AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n— log AAAAAAA=\n"
)

// A mark that cannot be written is tried again, with the latest checkpoint; the log says so once, and the age counts from the first
// commit that the mark lacks.
func TestMarkIsTriedAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "missing")
	var said bytes.Buffer
	m := &mark{path: filepath.Join(dir, "mark"), logger: slog.New(slog.NewTextHandler(&said, nil)), wake: make(chan struct{}, 1)}
	if m.age() != 0 {
		t.Error("a mark that lacks nothing has an age")
	}
	m.raise(earlier)
	behind := m.behind
	for n := range uint64(2) {
		<-m.wake
		if err := m.write(); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "high-water mark") {
			t.Errorf("write: %v", err)
		}
		if m.failures.Load() != n+1 || m.next != earlier || len(m.wake) != 1 {
			t.Errorf("after %d failures %d were counted, %q waits", n+1, m.failures.Load(), m.next)
		}
	}
	if n := strings.Count(said.String(), "was not written"); n != 1 {
		t.Errorf("it was said %d times", n)
	}
	m.raise(later)
	if m.again(earlier); m.next != later {
		t.Error("an earlier checkpoint is tried again instead of a later one")
	}
	if time.Sleep(time.Millisecond); !m.behind.Equal(behind) || m.age() < time.Millisecond {
		t.Error("the age does not count from the first commit that the mark lacks")
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := m.write(); err != nil {
		t.Error(err)
	}
	if signed, err := ReadMark(m.path); err != nil || signed != later {
		t.Errorf("the mark is %q: %v", signed, err)
	}
	if m.next != "" || m.age() != 0 {
		t.Errorf("%q is still to be written, the mark is %s old", m.next, m.age())
	}
}

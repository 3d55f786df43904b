package tlog_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"oncegate/tlog"
	"oncegate/tlog/tlogtest"
)

func markedBench(t *testing.T) bench {
	path := filepath.Join(t.TempDir(), "mark")
	return newBench(t, func(c *tlog.Config) { c.Mark, c.MarkEvery = path, time.Millisecond })
}

func readMark(t testing.TB, path string) tlog.Checkpoint {
	t.Helper()
	signed, err := tlog.ReadMark(path)
	if err != nil {
		t.Fatal(err)
	}
	c, err := tlog.ParseCheckpoint(signed)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestMarkFollows(t *testing.T) {
	b := markedBench(t)
	if c := readMark(t, b.config.Mark); c.Size != 0 {
		t.Errorf("mark of a new log has size %d", c.Size)
	}
	b.add(t, 3)
	wait(t, func() bool { return readMark(t, b.config.Mark).Size == 3 })
	b.add(t, 40)
	if err := b.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if signed, err := tlog.ReadMark(b.config.Mark); err != nil || signed != b.Known() {
		t.Errorf("mark after Close is not the last checkpoint: %v", err)
	}
	if stray, _ := filepath.Glob(b.config.Mark + ".*"); len(stray) > 0 {
		t.Errorf("left behind: %v", stray)
	}
}

// However seldom the mark is written, Close writes what it lacks, and says when it cannot.
func TestCloseWritesMark(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "of the mark")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	b := newBench(t, func(c *tlog.Config) { c.Mark, c.MarkEvery = filepath.Join(dir, "mark"), time.Hour })
	b.add(t, 3)
	wait(t, func() bool { return readMark(t, b.config.Mark).Size > 0 })
	b.add(t, 40)
	if err := b.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if signed, err := tlog.ReadMark(b.config.Mark); err != nil || signed != b.Known() {
		t.Errorf("mark after Close is not the last checkpoint: %v", err)
	}

	l, err := tlog.Open(t.Context(), b.config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(t.Context(), []byte("x"), nil); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(context.Background()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("close: %v", err)
	}
}

// TestMarkIsNeverAhead: a commit that is not known does not raise the mark.
func TestMarkIsNeverAhead(t *testing.T) {
	b := markedBench(t)
	b.add(t, 1)
	wait(t, func() bool { return readMark(t, b.config.Mark).Size == 1 })
	for _, f := range []tlogtest.Failure{tlogtest.Lost, tlogtest.UnknownLost} {
		b.memory.Inject(f)
		if _, err := b.Append(t.Context(), []byte("x"), nil); !errors.Is(err, tlog.ErrUnavailable) {
			t.Fatal(err)
		}
	}
	if err := b.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if c := readMark(t, b.config.Mark); c.Size != 1 {
		t.Errorf("mark has size %d, want 1", c.Size)
	}
}

// TestMarkBehindIsFine: after a crash the mark may be behind, never wrong.
func TestMarkBehindIsFine(t *testing.T) {
	b := markedBench(t)
	b.add(t, 5)
	wait(t, func() bool { return readMark(t, b.config.Mark).Size == 5 })
	behind, err := os.ReadFile(b.config.Mark)
	if err != nil {
		t.Fatal(err)
	}
	b.add(t, 600)
	if err := b.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(b.config.Mark, behind, 0o600); err != nil {
		t.Fatal(err)
	}
	openLog(t, b.config)
	if c := readMark(t, b.config.Mark); c.Size != 605 {
		t.Errorf("mark after Open has size %d, want 605", c.Size)
	}
}

// TestUnfinishedMarks: a process that is killed while it writes the mark leaves a file; the next start removes it, and no other.
func TestUnfinishedMarks(t *testing.T) {
	b := markedBench(t)
	if err := b.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	left, others := b.config.Mark+".new-123", []string{b.config.Mark + "2.new-123", b.config.Mark + ".old"}
	folder := b.config.Mark + ".new-folder"
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range append(others, left) {
		if err := os.WriteFile(name, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(filepath.Dir(b.config.Mark))
	b.config.Mark = filepath.Base(b.config.Mark) // relative to where the process runs
	openLog(t, b.config)
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the unfinished mark is still there: %v", err)
	}
	for _, name := range append(others, folder) {
		if _, err := os.Stat(name); err != nil {
			t.Error(err)
		}
	}
}

func TestRolledBackIsRefused(t *testing.T) {
	b := markedBench(t)
	b.add(t, 300)
	backup := b.memory.Copy()
	b.add(t, 300)
	if err := b.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	before, _ := tlog.ReadMark(b.config.Mark)

	config := b.config
	config.Storage = backup
	refused(t, config, "a smaller log")

	// The backup is appended to behind the mark's back: same size, then larger, another history.
	fork := bench{memory: backup, keys: b.keys, config: config}
	config.Mark = ""
	fork.Log = openLog(t, config)
	for range 300 {
		fork.mustAppend(t, "another history")
	}
	config.Mark = b.config.Mark
	refused(t, config, "a fork of the same size")
	fork.add(t, 100)
	refused(t, config, "a larger fork")

	if after, _ := tlog.ReadMark(b.config.Mark); after != before {
		t.Error("a refused Open changed the mark")
	}
	openLog(t, b.config) // the true one still opens
}

func refused(t testing.TB, config tlog.Config, what string) {
	t.Helper()
	if l, err := tlog.Open(t.Context(), config); err == nil {
		l.Close(context.Background())
		t.Errorf("%s was opened", what)
	} else if !errors.Is(err, tlog.ErrRolledBack) {
		t.Errorf("%s: %v, want ErrRolledBack", what, err)
	}
}

func TestMarkOfAnotherLogIsRefused(t *testing.T) {
	b, other := markedBench(t), newBench(t, func(c *tlog.Config) {
		keys := tlogtest.NewKeys(t, "log.example/other")
		c.Origin, c.SM2, c.Ed25519 = "log.example/other", keys.SM2, keys.Ed25519
		c.Own = keys.Config(c.Storage).Own
	})
	config := other.config
	config.Mark = b.config.Mark
	if l, err := tlog.Open(t.Context(), config); err == nil {
		l.Close(context.Background())
		t.Error("log was opened")
	}
}

// A mark that our key did not sign says nothing, and one of another log that our key signed says nothing of this one.
func TestForgedMarkIsRefused(t *testing.T) {
	b := markedBench(t)
	b.add(t, 5)
	if err := b.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	c := readMark(t, b.config.Mark)
	other := c
	other.Origin = "log.example/other"
	stranger := tlogtest.NewKeys(t, origin)
	for name, signed := range map[string]string{
		"of a strange key": c.Text() + "\n" + tlogtest.Line(t, stranger.Ed25519, c.Text()),
		"of another log":   other.Text() + "\n" + tlogtest.Line(t, b.keys.Ed25519, other.Text()),
	} {
		if err := os.WriteFile(b.config.Mark, []byte(signed), 0o600); err != nil {
			t.Fatal(err)
		}
		if l, err := tlog.Open(t.Context(), b.config); err == nil {
			l.Close(context.Background())
			t.Errorf("a log was opened with a mark %s", name)
		} else if errors.Is(err, tlog.ErrRolledBack) {
			t.Errorf("a mark %s says nothing about a rollback: %v", name, err)
		}
	}
}

func TestCreateWithMarkIsRefused(t *testing.T) {
	b := markedBench(t)
	b.config.Storage = new(tlogtest.Memory) // the database is gone
	if err := tlog.Create(t.Context(), b.config); !errors.Is(err, fs.ErrExist) {
		t.Errorf("error is %v, want fs.ErrExist", err)
	}
}

func TestCreateRefuses(t *testing.T) {
	b := markedBench(t)
	b.Close(context.Background())
	b.config.Storage = new(tlogtest.Memory)
	if err := os.WriteFile(b.config.Mark, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := tlog.Create(t.Context(), b.config); !errors.Is(err, tlog.ErrCheckpoint) {
		t.Errorf("beside a damaged mark: %v", err)
	}
	b.config.Mark, b.config.Origin = "", "no name"
	if err := tlog.Create(t.Context(), b.config); err == nil {
		t.Error("without a name")
	}
}

func TestDamagedMarkIsRefused(t *testing.T) {
	b := markedBench(t)
	b.Close(context.Background())
	if err := os.WriteFile(b.config.Mark, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := tlog.ReadMark(b.config.Mark); !errors.Is(err, tlog.ErrCheckpoint) {
		t.Errorf("read: %v", err)
	}
	if l, err := tlog.Open(t.Context(), b.config); !errors.Is(err, tlog.ErrCheckpoint) {
		l.Close(context.Background())
		t.Errorf("error is %v, want ErrCheckpoint", err)
	}
}

func TestMarkThatCannotBeWritten(t *testing.T) {
	config := newBench(t).config
	config.Mark = filepath.Join(t.TempDir(), "no such directory", "mark")
	if l, err := tlog.Open(t.Context(), config); err == nil {
		l.Close(context.Background())
		t.Error("log was opened without a mark")
	}
}

func TestRecover(t *testing.T) {
	b := markedBench(t)
	b.add(t, 5)
	if err := b.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	last, err := tlog.ReadMark(b.config.Mark)
	if err != nil {
		t.Fatal(err)
	}
	if err := tlog.Recover(t.Context(), b.config, last); err == nil {
		t.Error("recovered into the same origin")
	}

	const again = "log.example/oncegate/2"
	keys, memory := tlogtest.NewKeys(t, again), new(tlogtest.Memory)
	config := keys.Config(memory)
	config.Mark = b.config.Mark
	memory.Inject(tlogtest.Lost)
	if err := tlog.Recover(t.Context(), config, last); !errors.Is(err, tlog.ErrUnavailable) {
		t.Errorf("error is %v, want ErrUnavailable", err)
	}
	for range 2 { // a recovery that was cut short is repeated; one too many does no harm
		if err := tlog.Recover(t.Context(), config, last); err != nil {
			t.Fatal(err)
		}
	}
	l := openLog(t, config)
	if size := l.Stats().Size; size != 1 {
		t.Errorf("the new log has %d entries", size)
	}
	r, err := l.Receipt(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if string(r.Record) != last {
		t.Error("entry 0 is not the last known checkpoint")
	}
	if _, err := l.Append(t.Context(), []byte("x"), nil); err != nil {
		t.Error(err)
	}
	tlogtest.CheckLog(t, memory, keys.Trust)
	if err := tlog.Recover(t.Context(), config, newBench(t).Known()); !errors.Is(err, fs.ErrExist) {
		t.Errorf("recovered from another beginning: %v", err)
	}
}

// Why a log is not begun anew, and that without a mark it is.
func TestRecoverRefuses(t *testing.T) {
	old := newBench(t)
	last := old.Known()
	again := func() tlog.Config {
		const origin = "log.example/again"
		return tlogtest.NewKeys(t, origin).Config(new(tlogtest.Memory))
	}
	if err := tlog.Recover(t.Context(), again(), last[:len(last)-1]); !errors.Is(err, tlog.ErrCheckpoint) {
		t.Errorf("from no checkpoint: %v", err)
	}
	if err := tlog.Recover(t.Context(), old.keys.Config(new(tlogtest.Memory)), last); err == nil {
		t.Error("recovered into the same origin")
	}
	config := again()
	config.Mark = filepath.Join(t.TempDir(), "no such directory", "mark")
	if err := tlog.Recover(t.Context(), config, last); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("recovered without the mark that is to be written: %v", err)
	}
	synctest.Test(t, func(t *testing.T) { // it demands that nothing runs on
		if err := tlog.Recover(t.Context(), again(), last); err != nil {
			t.Errorf("without a mark: %v", err)
		}
	})
}

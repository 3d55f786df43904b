package tlog

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// mark is the high-water mark: a file with the last checkpoint known to be committed. A background
// writer keeps it up, many commits to one write. It is never ahead of a known commit.
type mark struct {
	path     string
	every    time.Duration
	logger   *slog.Logger
	failures atomic.Uint64

	wake chan struct{} // holds one token while there is something to write
	quit chan struct{}
	done chan struct{}
	stop sync.Once
	last error // of the final write; read after done

	// mu protects the checkpoint to write next, and since when the mark lacks a commit.
	mu     sync.Mutex
	next   string
	behind time.Time // zero if it lacks none
}

// startMark writes the checkpoint, to know at once that it can, and starts the writer.
func startMark(config Config, checkpoint string) (*mark, error) {
	removeUnfinished(config.Mark)
	if err := writeMark(config.Mark, checkpoint); err != nil {
		return nil, err
	}
	m := &mark{
		path:   config.Mark,
		every:  config.MarkEvery,
		logger: config.Logger,
		wake:   make(chan struct{}, 1),
		quit:   make(chan struct{}),
		done:   make(chan struct{}),
	}
	go m.run()
	return m, nil
}

// raise has the writer write this checkpoint, or a later one, soon.
func (m *mark) raise(checkpoint string) {
	m.mu.Lock()
	if m.next = checkpoint; m.behind.IsZero() {
		m.behind = time.Now()
	}
	m.mu.Unlock()
	m.nudge()
}

// age is for how long the mark has lacked a commit; 0 if it lacks none.
func (m *mark) age() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.behind.IsZero() {
		return 0
	}
	return time.Since(m.behind)
}

func (m *mark) nudge() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// run writes whenever there is something to write, at most once in every.
func (m *mark) run() {
	defer close(m.done)
	for {
		select {
		case <-m.wake:
			m.write()
		case <-m.quit:
			m.last = m.write()
			return
		}
		select {
		case <-time.After(m.every):
		case <-m.quit:
			m.last = m.write()
			return
		}
	}
}

func (m *mark) write() error {
	m.mu.Lock()
	checkpoint := m.next
	m.next = ""
	m.mu.Unlock()
	if checkpoint == "" {
		return nil
	}
	begun := time.Now()
	err := writeMark(m.path, checkpoint)
	if err != nil {
		if m.failures.Add(1) == 1 {
			m.logger.Error("high-water mark was not written, trying on", "error", err)
		}
		m.again(checkpoint)
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.behind = begun; m.next == "" {
		m.behind = time.Time{}
	}
	return nil
}

// again keeps a checkpoint that could not be written, unless a later one has come.
func (m *mark) again(checkpoint string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.next == "" {
		m.next = checkpoint
		m.nudge()
	}
}

// close writes what is left and stops the writer.
func (m *mark) close() error {
	m.stop.Do(func() { close(m.quit) })
	<-m.done
	return m.last
}

// ReadMark returns the checkpoint in a high-water mark, or fs.ErrNotExist.
func ReadMark(path string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read high-water mark: %w", err)
	}
	if _, err := ParseCheckpoint(string(data)); err != nil {
		return "", fmt.Errorf("read high-water mark: %w", err)
	}
	return string(data), nil
}

// unfinished stands behind the mark's name, and before a random part, while it is written.
const unfinished = ".new-"

// removeUnfinished removes what processes left behind that were killed while they wrote the mark, so that many deaths do not fill
// its folder. What cannot be removed is in nobody's way.
func removeUnfinished(path string) {
	dir, name := filepath.Split(path)
	if dir == "" {
		dir = "."
	}
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), name+unfinished) && e.Type().IsRegular() {
			_ = os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}

// writeMark replaces the mark so that a crash leaves the old one or the new one, whole.
func writeMark(path, checkpoint string) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("write high-water mark: %w", err)
		}
	}()
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, filepath.Base(path)+unfinished+"*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // not there any more once it is renamed
	_, err = f.WriteString(checkpoint)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir makes the renaming itself durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

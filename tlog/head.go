package tlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/transparency-dev/merkle/proof"
	"golang.org/x/mod/sumdb/note"
)

func (h Head) frontier(tree Tree) []byte {
	if tree == SM3 {
		return h.SM3
	}
	return h.SHA256
}

// checkHead proves that a stored head is whole: its frontiers add up to the roots of its checkpoint.
func checkHead(h hashers, origin string, head Head) (Checkpoint, error) {
	c, err := ParseCheckpoint(head.Checkpoint)
	if err != nil {
		return c, fmt.Errorf("stored head: %w", err)
	}
	if c.Origin != origin {
		return c, fmt.Errorf("stored log is %q, not %q", c.Origin, origin)
	}
	if c.Size != head.Size {
		return c, fmt.Errorf("stored head has size %d, its checkpoint %d", head.Size, c.Size)
	}
	for _, tree := range Trees {
		g, err := updateTree(h.of(tree), head.Size, head.frontier(tree), nil)
		if err != nil {
			return c, fmt.Errorf("stored head: %w", err)
		}
		if !bytes.Equal(g.root(), c.Root(tree)) {
			return c, fmt.Errorf("stored head: %s frontier does not add up to its checkpoint", tree)
		}
	}
	return c, nil
}

// equal reports whether two heads are the same, byte for byte.
func (h Head) equal(o Head) bool {
	return h.Size == o.Size && h.Batch == o.Batch && h.Checkpoint == o.Checkpoint && bytes.Equal(h.SM3, o.SM3) && bytes.Equal(h.SHA256, o.SHA256)
}

// signedByUs proves that one of the log's own keys signed a checkpoint. Only the Ed25519 line is looked at: it takes a
// twentieth of the other's time, which counts under the storage's lock.
func (c Config) signedByUs(checkpoint string) error {
	if _, err := note.Open([]byte(checkpoint), note.VerifierList(c.Own...)); err != nil {
		return fmt.Errorf("%w: no line of its checkpoint is of our Ed25519 key", ErrForged)
	}
	return nil
}

// maxGap is how many leaf hashes are read to prove that a head extends another one; beyond it a consistency proof is shorter.
const maxGap = 16 * TileWidth

// extends proves that a head extends another one that is proven. Both must be whole.
func (v *View) extends(ctx context.Context, r Reader, from, to Head) error {
	if to.Size-from.Size > maxGap {
		a, err := ParseCheckpoint(from.Checkpoint)
		if err != nil {
			return err
		}
		b, err := ParseCheckpoint(to.Checkpoint)
		if err != nil {
			return err
		}
		plan, err := proof.Consistency(from.Size, to.Size)
		if err != nil {
			return err
		}
		for _, tree := range Trees {
			hashes, err := v.nodes.walk(ctx, r, tree, to.Size).prove(plan)
			if err != nil {
				return err
			}
			if verifyConsistency(v.nodes.of(tree), a, b, hashes) != nil {
				return fmt.Errorf("%w: size %d does not extend size %d in the %s tree", ErrForged, to.Size, from.Size, tree)
			}
		}
		return nil
	}
	for _, tree := range Trees {
		var leaves []byte
		for at := from.Size; at < to.Size; at = min(at+TileWidth, to.Size) {
			part, err := r.LeafHashes(ctx, tree, at, min(at+TileWidth, to.Size))
			if err != nil {
				return fmt.Errorf("read leaf hashes: %w", err)
			}
			leaves = append(leaves, part...)
		}
		g, err := updateTree(v.nodes.of(tree), from.Size, from.frontier(tree), split(leaves))
		if err != nil {
			return err
		}
		if !bytes.Equal(g.frontier(), to.frontier(tree)) {
			return fmt.Errorf("%w: size %d does not extend size %d in the %s tree", ErrForged, to.Size, from.Size, tree)
		}
	}
	return nil
}

// checkStored reads the head a log is opened with and holds it against its tiles and the mark. Only a log that was never
// created is fs.ErrNotExist: one that has a head and lost what is under it is ErrUnproven.
func checkStored(ctx context.Context, config Config, view *View) (Head, error) {
	head, err := config.Storage.Head(ctx)
	if err != nil {
		return head, fmt.Errorf("read head: %w", err)
	}
	c, err := checkHead(view.nodes.hashers, config.Origin, head)
	if err != nil {
		return head, err
	}
	if err := config.signedByUs(head.Checkpoint); err != nil {
		return head, err
	}
	if err := checkUnder(ctx, config, view, c); errors.Is(err, fs.ErrNotExist) {
		return head, fmt.Errorf("%w: part of the stored log is missing: %v", ErrUnproven, err)
	} else if err != nil {
		return head, err
	}
	return head, nil
}

// checkUnder holds tiles and mark against the head's checkpoint.
func checkUnder(ctx context.Context, config Config, view *View, c Checkpoint) error {
	// The mark first: a rolled back log must be called that.
	if err := checkMark(ctx, config, view, c); err != nil {
		return err
	}
	return view.checkRoots(ctx, c)
}

// checkMark refuses a log that is below its high-water mark, or does not extend it.
func checkMark(ctx context.Context, config Config, view *View, c Checkpoint) error {
	if config.Mark == "" {
		return nil
	}
	signed, err := ReadMark(config.Mark)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // first start of this process
	}
	if err != nil {
		return err
	}
	mark, err := ParseCheckpoint(signed)
	if err != nil {
		return err
	}
	if mark.Origin != c.Origin {
		return fmt.Errorf("high-water mark is of log %q", mark.Origin)
	}
	if err := config.signedByUs(signed); err != nil {
		return fmt.Errorf("high-water mark: %w", err)
	}
	if c.Size < mark.Size {
		return fmt.Errorf("%w: size %d, known is %d", ErrRolledBack, c.Size, mark.Size)
	}
	// The head may have grown since it was read; what is proven is that it extends the mark.
	p, err := view.ProveConsistency(ctx, mark.Size, c.Size)
	if err != nil {
		return fmt.Errorf("prove that the log extends its high-water mark: %w", err)
	}
	if err := VerifyConsistency(config.NewSM3, mark, c, p); err != nil {
		return fmt.Errorf("%w: %w", ErrRolledBack, err)
	}
	return nil
}

// verifyHead accepts a stored head only if it is the one last known, byte for byte, or one of another node: larger, whole, signed by
// one of our keys, and an extension of the one last known. The tables are not trusted beyond that: somebody who can write them
// and has no key can neither grow the log nor change its frontier, from which the next checkpoint would be signed.
func (l *Log) verifyHead(ctx context.Context, known, head Head, r Reader) error {
	switch {
	case head.equal(known):
		return nil
	case head.Size < known.Size:
		return fmt.Errorf("%w: stored head has size %d, known is %d", ErrRolledBack, head.Size, known.Size)
	case head.Size == known.Size:
		return fmt.Errorf("%w: another head of size %d was committed", ErrForged, head.Size)
	}
	if _, err := checkHead(l.nodes.hashers, l.config.Origin, head); err != nil {
		return fmt.Errorf("%w: %w", ErrForged, err)
	}
	if err := l.config.signedByUs(head.Checkpoint); err != nil {
		return err
	}
	return l.extends(ctx, r, known, head)
}

// watch looks at the stored head again and again until the log is closed. A head of another node becomes the one last known, so
// that the next batch has little to prove; one that is not verified has new entries refused until it is gone.
func (l *Log) watch() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go func() {
		select {
		case <-l.stopped:
			stop()
		case <-ctx.Done():
		}
	}()
	every := time.NewTicker(l.config.Poll)
	defer every.Stop()
	for {
		select {
		case <-l.stopped:
			return
		case <-every.C:
			l.look(ctx)
		}
	}
}

// look reads the stored head once.
func (l *Log) look(ctx context.Context) {
	known := l.known.Load()
	head, err := l.config.Storage.Head(ctx)
	if err != nil {
		return // that it cannot be read says nothing about it
	}
	err = l.verifyHead(ctx, *known, head, l.config.Storage)
	switch {
	case err == nil:
		if !head.equal(*known) {
			l.known.CompareAndSwap(known, &head)
		}
		if l.forged.Swap(nil) != nil {
			l.config.Logger.Warn("the stored head of the log verifies again")
		}
	case errors.Is(err, ErrForged) || errors.Is(err, ErrRolledBack):
		if l.forged.Swap(&err) == nil {
			l.config.Logger.Error("the stored head of the log is not verified, refusing entries", "error", err)
		}
	}
}

// verifiedHead reads the stored head and returns it if it is verified, for everything that is proven under it. Any other is ErrUnproven:
// also one that is older than what is known, and none at all. A head of another node becomes the one last known.
func (l *Log) verifiedHead(ctx context.Context) (Head, error) {
	known := l.known.Load() // before the stored one is read: that can then only be newer
	head, err := l.config.Storage.Head(ctx)
	if err == nil {
		err = l.verifyHead(ctx, *known, head, l.config.Storage)
	}
	switch {
	case err == nil:
	case errors.Is(err, ErrForged) || errors.Is(err, ErrRolledBack):
		return Head{}, fmt.Errorf("read head: %w: %w", ErrUnproven, err)
	default:
		return Head{}, fmt.Errorf("read head: %w", committed(err))
	}
	if !head.equal(*known) {
		l.known.CompareAndSwap(known, &head)
	}
	return head, nil
}

// signed proves that one of the log's own SM2 keys signed a checkpoint, once for each that another node wrote.
func (l *Log) signed(checkpoint string) error {
	if last := l.signedSM2.Load(); last != nil && *last == checkpoint {
		return nil
	}
	if err := l.signedBySM2(checkpoint); err != nil {
		return err
	}
	l.signedSM2.Store(&checkpoint)
	return nil
}

func (l *Log) signedBySM2(checkpoint string) error {
	if len(l.config.OwnSM2) == 0 {
		return nil
	}
	if _, err := note.Open([]byte(checkpoint), note.VerifierList(l.config.OwnSM2...)); err != nil {
		return fmt.Errorf("%w: no line of the stored checkpoint is of our SM2 key", ErrUnproven)
	}
	return nil
}

// Distrusted says why the stored head is not verified; nil while it is.
func (l *Log) Distrusted() error {
	if err := l.forged.Load(); err != nil {
		return *err
	}
	return nil
}

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
	if err := WriteMark(config.Mark, checkpoint); err != nil {
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
	err := WriteMark(m.path, checkpoint)
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
func WriteMark(path, checkpoint string) (err error) {
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

// syncDir makes the renaming itself durable. Windows cannot flush a folder; NTFS journals the renaming.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

package tlog

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/mod/sumdb/note"
)

var (
	// ErrUnavailable says that an entry could not be appended, or that it is not known whether it
	// was: nothing may be released on its account. Trying again later is right.
	ErrUnavailable = errors.New("log is unavailable")

	// ErrRolledBack says that the storage has lost, or replaced, what was committed before: a
	// backup was restored. Only Recover leads on from there.
	ErrRolledBack = errors.New("stored log is behind what was committed before")

	// ErrForged says that the storage holds a head that none of our keys signed, or one that does
	// not extend what was committed before: somebody wrote it who has no key of the log. Nothing
	// is appended to it.
	ErrForged = errors.New("stored head is not one that this log signed")

	// ErrClosed says that the log takes no more entries.
	ErrClosed = errors.New("log is closed")

	// ErrLeafSize says that a leaf is empty or longer than MaxLeaf.
	ErrLeafSize = errors.New("leaf is empty or too long")
)

// Config says which log to open and with what.
type Config struct {
	// Origin names the log, and is the name of both its keys: no spaces, no plus sign.
	Origin string

	// Storage keeps the log. It is not closed with the log.
	Storage Storage

	// NewSM3 returns a fresh SM3 state.
	NewSM3 func() hash.Hash

	// SM2 and Ed25519 sign every checkpoint, in this order of lines.
	SM2, Ed25519 Signer

	// Own verifies the Ed25519 lines of the log's own keys, present and retired. A stored head or
	// mark is verified only if one of them signed it. Required.
	Own []note.Verifier

	// OwnSM2 verifies the SM2 lines of the same keys. Own verifies a head of another node, or of an earlier start, by the other line alone:
	// this one takes too long under the storage's lock. A receipt or a checkpoint under such a head is handed out only if one of
	// OwnSM2 signed it too, or else nobody could verify it. nil leaves that unchecked.
	OwnSM2 []note.Verifier

	// Poll is how often the stored head is looked at, so that one that was tampered with is
	// noticed while nothing is appended, and one of another node soon. Default 1 s.
	Poll time.Duration

	// Mark is the path of the high-water mark: the last checkpoint known to be committed by this
	// process, in a file of its own outside the database and its backups. Every process has its
	// own. The file is made if it is not there. Empty keeps no mark: for tests only.
	Mark string

	// MarkEvery is the shortest time between two writes of the mark, so that its fsync does not
	// slow the database's. The mark may be behind by that much after a crash. Default 100 ms.
	MarkEvery time.Duration

	// MaxBatch is the largest number of entries committed together. Default 512.
	MaxBatch int

	// Queue is how many entries may wait to be grouped; beyond it Append waits. Default 4096.
	Queue int

	// Patience is how long callers wait for an unknown commit to be resolved, and for a failed
	// batch to be retried entry by entry, before they get ErrUnavailable. Default 5 s.
	Patience time.Duration

	// Rand yields batch ids. Default crypto/rand.
	Rand io.Reader

	// Logger gets the few events an operator must know. Default slog.Default.
	Logger *slog.Logger
}

func (c Config) withDefaults() (Config, error) {
	switch {
	case !isOrigin(c.Origin):
		return c, fmt.Errorf("origin %q is no key name", c.Origin)
	case c.Storage == nil || c.NewSM3 == nil || c.SM2 == nil || c.Ed25519 == nil:
		return c, errors.New("storage, SM3 and both signers are required")
	case !slices.ContainsFunc(c.Own, func(v note.Verifier) bool { return v.KeyHash() == c.Ed25519.KeyHash() }):
		return c, errors.New("own verifiers are required, that of the Ed25519 signer among them")
	case c.SM2.Name() != c.Origin || c.Ed25519.Name() != c.Origin:
		return c, fmt.Errorf("keys are not named %q as the log is", c.Origin)
	case c.SM2.KeyHash() == c.Ed25519.KeyHash():
		return c, errors.New("both keys have the same id")
	case c.MarkEvery < 0 || c.MaxBatch < 0 || c.Queue < 0 || c.Patience < 0 || c.Poll < 0:
		return c, errors.New("a limit is negative")
	}
	c.MarkEvery = cmp.Or(c.MarkEvery, 100*time.Millisecond)
	c.MaxBatch = cmp.Or(c.MaxBatch, 512)
	c.Queue = cmp.Or(c.Queue, 4096)
	c.Patience = cmp.Or(c.Patience, 5*time.Second)
	c.Poll = cmp.Or(c.Poll, time.Second)
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	c.Logger = cmp.Or(c.Logger, slog.Default())
	return c, nil
}

// Log appends to one log. Several Logs, in several processes, may append to the same one: each batch
// is integrated from the head that the storage has locked, not from memory. It is safe for
// concurrent use.
type Log struct {
	*View
	config Config
	mark   *mark // nil if no mark is kept
	stats  stats

	// known is the head last known to be committed. It never shrinks.
	known atomic.Pointer[Head]

	// signedSM2 is the checkpoint whose SM2 line was verified, or made, last.
	signedSM2 atomic.Pointer[string]

	// forged is why the stored head is not verified, nil while it is; watch's own.
	forged atomic.Pointer[error]

	// doubt is set while a commit stays unknown beyond Patience: Append refuses at once.
	doubt atomic.Bool

	// accepting is held for reading while an entry is put into the queue, and for writing to
	// close it, so that nothing is sent on a closed channel. It protects closed.
	accepting sync.RWMutex
	closed    bool
	queue     chan *pending

	taken []*pending // the group being committed; the committer's own

	abandon   chan struct{} // closed when Close may not wait for an unknown commit any longer
	abandoned sync.Once
	stopped   chan struct{} // closed by the committer at its end
}

// pending is an entry that waits for its batch. The committer sets attempt and position, or err, and
// then closes done; after that nobody changes it.
type pending struct {
	leaf     []byte
	hash     LeafHash
	attached any

	attempt  *batchAttempt
	position int // among the accepted entries of the attempt
	err      error
	finished bool // the committer's own: done is closed
	done     chan struct{}
}

func (p *pending) finish() {
	p.finished = true
	close(p.done)
}

// failAll finishes with err those entries that are not finished.
func failAll(group []*pending, err error) {
	for _, p := range group {
		if !p.finished {
			p.err = err
			p.finish()
		}
	}
}

// Open opens a log that Create or Recover has made and starts its committer.
//
// It refuses with fs.ErrNotExist a log that was never created, and with ErrRolledBack a stored head
// that is below the high-water mark or does not extend it. A head that its own tiles do not add up
// to is refused too.
func Open(ctx context.Context, config Config) (*Log, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	view := NewView(config.Storage, config.NewSM3)
	head, err := checkStored(ctx, config, view)
	if err != nil {
		return nil, fmt.Errorf("open log %s: %w", config.Origin, err)
	}
	l := &Log{
		View:    view,
		config:  config,
		queue:   make(chan *pending, config.Queue),
		abandon: make(chan struct{}),
		stopped: make(chan struct{}),
	}
	if config.Mark != "" {
		if l.mark, err = startMark(config, head.Checkpoint); err != nil {
			return nil, fmt.Errorf("open log %s: %w", config.Origin, err)
		}
	}
	l.known.Store(&head)
	view.verifiedHead, view.signed = l.verifiedHead, l.signed
	go l.run()
	go l.watch()
	return l, nil
}

// Append adds a leaf of 1 to MaxLeaf bytes to the log and commits attached, whatever that is to the
// storage, in the same transaction. It returns after the commit is known, with a receipt under the
// checkpoint of its batch.
//
// If the storage refuses the entry, the error is the storage's own reason, with errors.Is intact;
// nothing of the entry is kept. With ErrUnavailable nothing may be released. If ctx ends first, its
// error is returned, and the entry is appended all the same if it was taken.
func (l *Log) Append(ctx context.Context, leaf []byte, attached any) (Receipt, error) {
	if len(leaf) == 0 || len(leaf) > MaxLeaf {
		return Receipt{}, ErrLeafSize
	}
	leaf = bytes.Clone(leaf) // a caller who gives up may reuse it
	if s, ok := l.config.Storage.(Preparer); ok {
		attached = s.Prepare(Entry{Leaf: leaf, Attached: attached})
	}
	p := &pending{leaf: leaf, hash: l.nodes.leaf(leaf), attached: attached, done: make(chan struct{})}
	if err := l.accept(ctx, p); err != nil {
		return Receipt{}, err
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		select {
		case <-p.done: // finished at the same time
		default:
			return Receipt{}, fmt.Errorf("wait for the log: %w", context.Cause(ctx))
		}
	}
	if p.err != nil {
		return Receipt{}, p.err
	}
	return p.attempt.receipt(p), nil
}

func (l *Log) accept(ctx context.Context, p *pending) error {
	l.accepting.RLock()
	defer l.accepting.RUnlock()
	if l.closed {
		return ErrClosed
	}
	if l.doubt.Load() {
		return errInDoubt
	}
	if err := l.Distrusted(); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	select {
	case l.queue <- p:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for a place in the log's queue: %w", context.Cause(ctx))
	}
}

// Known returns the checkpoint last known to be committed by this process.
func (l *Log) Known() string { return l.known.Load().Checkpoint }

// Close finishes the entries that were accepted, writes the mark and stops. New entries get
// ErrClosed at once. When ctx ends, a commit that is still unknown is left so, for the next Open to
// find out; a commit that runs is waited for in any case. Closing twice is the same as once.
func (l *Log) Close(ctx context.Context) error {
	l.accepting.Lock()
	if !l.closed {
		l.closed = true
		close(l.queue)
	}
	l.accepting.Unlock()

	var err error
	select {
	case <-l.stopped:
	case <-ctx.Done():
		l.abandoned.Do(func() { close(l.abandon) })
		<-l.stopped
		err = fmt.Errorf("close log: %w", context.Cause(ctx))
	}
	if l.mark != nil {
		err = errors.Join(err, l.mark.close())
	}
	return err
}

// run is the committer: whatever waits when a batch has ended makes up the next one.
func (l *Log) run() {
	defer close(l.stopped)
	for p := range l.queue {
		l.commit(l.gather(p))
	}
}

func (l *Log) gather(first *pending) []*pending {
	runtime.Gosched() // callers just released may have the next entry ready
	group := []*pending{first}
	for len(group) < l.config.MaxBatch {
		select {
		case p, ok := <-l.queue:
			if !ok {
				return group
			}
			group = append(group, p)
		default:
			return group
		}
	}
	return group
}

// commit finishes every entry of the group. A group that failed is tried again entry by entry, so
// that one bad entry fails alone.
func (l *Log) commit(group []*pending) {
	l.taken = group
	deadline := time.Now().Add(l.config.Patience)
	err := l.attempt(group)
	if err == nil {
		return
	}
	if len(group) == 1 || errors.Is(err, ErrRolledBack) || errors.Is(err, ErrForged) {
		failAll(group, err)
		return
	}
	l.config.Logger.Warn("log batch failed, trying its entries one by one", "entries", len(group), "error", err)
	for i := range group {
		if group[i].finished {
			continue // given up while an entry before it was in doubt
		}
		if time.Now().After(deadline) {
			failAll(group, err)
			return
		}
		one := group[i : i+1]
		if err := l.attempt(one); err != nil {
			failAll(one, err)
		}
	}
}

// Create makes the log that config names, empty and with a signed checkpoint. It is the only way for
// a log to come into being, besides Recover, so that no slip in a configuration begins a second
// history. The error is fs.ErrExist if the storage has the log already, or a mark says that it had.
func Create(ctx context.Context, config Config) error {
	config, err := config.withDefaults()
	if err != nil {
		return fmt.Errorf("create log: %w", err)
	}
	if config.Mark != "" {
		if _, err := ReadMark(config.Mark); err == nil {
			return fmt.Errorf("create log %s: there is a high-water mark: %w", config.Origin, fs.ErrExist)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("create log %s: %w", config.Origin, err)
		}
	}
	if err := create(ctx, config); err != nil {
		return fmt.Errorf("create log %s: %w", config.Origin, err)
	}
	return nil
}

func create(ctx context.Context, config Config) error {
	h := newHashers(config.NewSM3)
	c := Checkpoint{
		Origin: config.Origin,
		SM3:    [HashSize]byte(h.sm3.EmptyRoot()),
		SHA256: [HashSize]byte(h.sha256.EmptyRoot()),
	}
	signed, err := signCheckpoint(ctx, c, config.SM2, config.Ed25519)
	if err != nil {
		return err
	}
	return config.Storage.Create(ctx, Head{Checkpoint: signed})
}

// Recover begins a new log after ErrRolledBack. config names a new origin with keys of its own name
// and the storage of that origin, which is empty; last is the last checkpoint known of the old log,
// as ReadMark returns it. It becomes entry 0, so that the new history says where the old one broke
// off and verifiers of the old one can prove what it lost. The mark then follows the new log.
//
// Recover may be repeated until it succeeds.
func Recover(ctx context.Context, config Config, last string) error {
	if err := recoverLog(ctx, config, last); err != nil {
		return fmt.Errorf("recover into log %s: %w", config.Origin, err)
	}
	return nil
}

func recoverLog(ctx context.Context, config Config, last string) error {
	config, err := config.withDefaults()
	if err != nil {
		return err
	}
	old, err := ParseCheckpoint(last)
	if err != nil {
		return fmt.Errorf("last known checkpoint: %w", err)
	}
	if old.Origin == config.Origin {
		return errors.New("the new log needs an origin of its own")
	}
	if err := create(ctx, config); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	path := config.Mark
	config.Mark = "" // it is of the old log still
	if err := appendFirst(ctx, config, last); err != nil {
		return err
	}
	head, err := config.Storage.Head(ctx)
	if err != nil || path == "" {
		return err
	}
	return WriteMark(path, head.Checkpoint)
}

// appendFirst makes sure that last is entry 0.
func appendFirst(ctx context.Context, config Config, last string) (err error) {
	l, err := Open(ctx, config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close(ctx)) }()
	if l.known.Load().Size == 0 {
		_, err := l.Append(ctx, []byte(last), nil)
		return err
	}
	leaves, err := config.Storage.Leaves(ctx, 0, 1)
	if err != nil {
		return err
	}
	if string(leaves[0]) != last {
		return fmt.Errorf("a log with another beginning is there: %w", fs.ErrExist)
	}
	return nil
}

// Stats counts since Open what a log has done, for metrics.
type Stats struct {
	Batches  uint64 // committed
	Entries  uint64 // appended
	Refused  uint64 // refused by the storage, each for its own reason
	Failed   uint64 // attempts to commit that failed for certain
	Unknown  uint64 // attempts whose outcome was not known at once
	Waiting  int    // entries in the queue now
	InDoubt  bool   // entries are refused because a commit stays unknown
	Size     uint64 // of the head last known to be committed
	MarkFail uint64 // failed writes of the high-water mark

	MarkAge time.Duration // for how long the high-water mark has lacked a commit; 0 if it lacks none
}

type stats struct {
	batches, entries, refused, failed, unknown atomic.Uint64
}

func (s *stats) add(entries, refused int) {
	if entries > 0 {
		s.batches.Add(1)
	}
	s.entries.Add(uint64(entries))
	s.refused.Add(uint64(refused))
}

// Stats returns the present counts.
func (l *Log) Stats() Stats {
	s := Stats{
		Batches: l.stats.batches.Load(),
		Entries: l.stats.entries.Load(),
		Refused: l.stats.refused.Load(),
		Failed:  l.stats.failed.Load(),
		Unknown: l.stats.unknown.Load(),
		Waiting: len(l.queue),
		InDoubt: l.doubt.Load(),
		Size:    l.known.Load().Size,
	}
	if l.mark != nil {
		s.MarkFail, s.MarkAge = l.mark.failures.Load(), l.mark.age()
	}
	return s
}

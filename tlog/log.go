package tlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

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

	// forged is why the stored head is not believed, nil while it is; watch's own.
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

// pending is an entry that waits for its batch. The committer sets turn and position, or err, and
// then closes done; after that nobody changes it.
type pending struct {
	leaf     []byte
	hash     LeafHash
	attached any

	turn     *turn
	position int // among the accepted entries of the turn
	err      error
	settled  bool // the committer's own: done is closed
	done     chan struct{}
}

func (p *pending) settle() {
	p.settled = true
	close(p.done)
}

// failAll settles with err those entries that are not settled.
func failAll(group []*pending, err error) {
	for _, p := range group {
		if !p.settled {
			p.err = err
			p.settle()
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
	view.believed, view.signed = l.believed, l.signed
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
	if s, ok := l.config.Storage.(Readier); ok {
		attached = s.Ready(Entry{Leaf: leaf, Attached: attached})
	}
	p := &pending{leaf: leaf, hash: l.nodes.leaf(leaf), attached: attached, done: make(chan struct{})}
	if err := l.accept(ctx, p); err != nil {
		return Receipt{}, err
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		select {
		case <-p.done: // settled at the same moment
		default:
			return Receipt{}, fmt.Errorf("wait for the log: %w", context.Cause(ctx))
		}
	}
	if p.err != nil {
		return Receipt{}, p.err
	}
	return p.turn.receipt(p)
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

// commit settles every entry of the group. A group that failed is tried again entry by entry, so
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
		if group[i].settled {
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

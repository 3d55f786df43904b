package tlog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// believe accepts a stored head only if it is the one last known, byte for byte, or one of another node: larger, whole, signed by
// one of our keys, and an extension of the one last known. The tables are not believed beyond that: somebody who can write them
// and has no key can neither grow the log nor change its frontier, from which the next checkpoint would be signed.
func (l *Log) believe(ctx context.Context, known, head Head, r Reader) error {
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
// that the next batch has little to prove; one that is not believed has new entries refused until it is gone.
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
	err = l.believe(ctx, *known, head, l.config.Storage)
	switch {
	case l.known.Load() != known: // a batch was committed meanwhile: the head may be older than what is known now
	case err == nil:
		if !head.equal(*known) {
			l.known.CompareAndSwap(known, &head)
		}
		if l.forged.Swap(nil) != nil {
			l.config.Logger.Warn("the stored head of the log is believed again")
		}
	case errors.Is(err, ErrForged) || errors.Is(err, ErrRolledBack):
		if l.forged.Swap(&err) == nil {
			l.config.Logger.Error("the stored head of the log is not believed, refusing entries", "error", err)
		}
	}
}

// believed reads the stored head and returns it if it is believed, for everything that is proven under it. Any other is ErrUnproven:
// also one that is older than what is known, and none at all. A head of another node becomes the one last known.
func (l *Log) believed(ctx context.Context) (Head, error) {
	known := l.known.Load() // before the stored one is read: that can then only be newer
	head, err := l.config.Storage.Head(ctx)
	if err == nil {
		err = l.believe(ctx, *known, head, l.config.Storage)
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
	if last := l.signedSM2.Load(); len(l.config.OwnSM2) == 0 || last != nil && *last == checkpoint {
		return nil
	}
	if _, err := note.Open([]byte(checkpoint), note.VerifierList(l.config.OwnSM2...)); err != nil {
		return fmt.Errorf("%w: no line of the stored checkpoint is of our SM2 key", ErrUnproven)
	}
	l.signedSM2.Store(&checkpoint)
	return nil
}

// Distrusted says why the stored head is not believed; nil while it is.
func (l *Log) Distrusted() error {
	if err := l.forged.Load(); err != nil {
		return *err
	}
	return nil
}

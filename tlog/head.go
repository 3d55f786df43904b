package tlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
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
		g, err := grow(h.of(tree), head.Size, head.frontier(tree), nil)
		if err != nil {
			return c, fmt.Errorf("stored head: %w", err)
		}
		if !bytes.Equal(g.root(), c.Root(tree)) {
			return c, fmt.Errorf("stored head: %s frontier does not add up to its checkpoint", tree)
		}
	}
	return c, nil
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

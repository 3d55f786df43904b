package tlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"

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
		g, err := grow(v.nodes.of(tree), from.Size, from.frontier(tree), split(leaves))
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

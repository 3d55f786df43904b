package tlog

import (
	"context"
	"fmt"
	"hash"
	"io/fs"

	"github.com/transparency-dev/merkle/proof"
)

// Published is the part of a Storage that reading a log takes.
type Published interface {
	Reader
	Head(ctx context.Context) (Head, error)
}

// View reads a log and proves what is in it. It needs no key. It is safe for concurrent use.
type View struct {
	storage Published
	nodes   *nodes
}

// NewView returns a view of the log that storage keeps.
func NewView(storage Published, newSM3 func() hash.Hash) *View {
	return &View{storage, newNodes(newHashers(newSM3))}
}

// Checkpoint returns the newest committed checkpoint, a signed note, or fs.ErrNotExist if the log
// was never created.
func (v *View) Checkpoint(ctx context.Context) (string, error) {
	head, err := v.storage.Head(ctx)
	if err != nil {
		return "", fmt.Errorf("read head: %w", err)
	}
	return head.Checkpoint, nil
}

// Receipt returns a receipt for the entry at index under the newest checkpoint, or fs.ErrNotExist.
func (v *View) Receipt(ctx context.Context, index uint64) (Receipt, error) {
	head, err := v.storage.Head(ctx)
	if err != nil {
		return Receipt{}, fmt.Errorf("read head: %w", err)
	}
	if index >= head.Size {
		return Receipt{}, fmt.Errorf("entry %d: %w", index, fs.ErrNotExist)
	}
	leaves, err := v.storage.Leaves(ctx, index, index+1)
	if err != nil {
		return Receipt{}, fmt.Errorf("read entry %d: %w", index, err)
	}
	plan, err := proof.Inclusion(index, head.Size)
	if err != nil {
		return Receipt{}, fmt.Errorf("prove entry %d: %w", index, err)
	}
	r := Receipt{Record: leaves[0], Index: index, Checkpoint: head.Checkpoint}
	r.Proofs, err = v.prove(ctx, head.Size, plan)
	return r, err
}

// ProveConsistency proves in both trees that the log of size to extends the one of size from.
// The error is fs.ErrNotExist if the log is smaller than that; from must not be above to.
func (v *View) ProveConsistency(ctx context.Context, from, to uint64) (Proofs, error) {
	head, err := v.storage.Head(ctx)
	if err != nil {
		return Proofs{}, fmt.Errorf("read head: %w", err)
	}
	if from > to || to > head.Size {
		return Proofs{}, fmt.Errorf("prove size %d from size %d: %w", to, from, fs.ErrNotExist)
	}
	plan, err := proof.Consistency(from, to)
	if err != nil {
		return Proofs{}, fmt.Errorf("prove size %d from size %d: %w", to, from, err)
	}
	return v.prove(ctx, to, plan)
}

func (v *View) prove(ctx context.Context, size uint64, plan proof.Nodes) (Proofs, error) {
	var p Proofs
	for _, tree := range Trees {
		hashes, err := v.nodes.walk(ctx, v.storage, tree, size).prove(plan)
		if err != nil {
			return Proofs{}, fmt.Errorf("prove in the %s tree: %w", tree, err)
		}
		p.set(tree, hashes)
	}
	return p, nil
}

// checkRoots proves that tiles and leaf hashes add up to the checkpoint.
func (v *View) checkRoots(ctx context.Context, c Checkpoint) error {
	for _, tree := range Trees {
		r, err := v.nodes.walk(ctx, v.storage, tree, c.Size).frontier()
		if err != nil {
			return err
		}
		root, err := v.nodes.of(tree).root(r)
		if err != nil {
			return err
		}
		if string(root) != string(c.Root(tree)) {
			return fmt.Errorf("%w: tiles do not add up to the %s root of size %d", ErrUnproven, tree, c.Size)
		}
	}
	return nil
}

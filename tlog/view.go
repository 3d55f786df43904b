package tlog

import (
	"bytes"
	"context"
	"errors"
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

// View reads a log and proves what is in it. It is safe for concurrent use.
//
// Nothing that is stored is verified (design law 9): whoever can write the storage but holds no key can have a View fail, and never have
// it hand out what does not prove. Every error of a View that is ErrUnproven says that the storage was tampered with or damaged.
type View struct {
	storage Published
	nodes   *nodes

	// verifiedHead reads the stored head and returns it only if the log verifies it: its Log's. nil in a view without keys.
	verifiedHead func(context.Context) (Head, error)

	// signed proves the line of a verified head's checkpoint that this verification leaves out. nil beside verifiedHead.
	signed func(checkpoint string) error
}

// NewView returns a view without keys, which takes the head that storage returns for the log's. It is for whoever verifies what it
// hands out, or has proven the head before: its receipts hold under the checkpoint that they name, whose signatures nobody has looked
// at, and its consistency proofs prove nothing until they are verified. What has no checkpoint beside it, it refuses with ErrUnproven:
// Prove, bundles and tiles. The View of a Log verifies a head as that Log does.
func NewView(storage Published, newSM3 func() hash.Hash) *View {
	return &View{storage: storage, nodes: newNodes(newHashers(newSM3))}
}

// head returns the newest committed head that is verified. Without keys that is the stored one.
func (v *View) head(ctx context.Context) (Head, error) {
	if v.verifiedHead != nil {
		return v.verifiedHead(ctx)
	}
	head, err := v.storage.Head(ctx)
	if err != nil {
		return head, fmt.Errorf("read head: %w", err)
	}
	return head, nil
}

// handedOut is head for what leaves with its checkpoint: all lines of that are looked at.
func (v *View) handedOut(ctx context.Context) (Head, error) {
	head, err := v.head(ctx)
	if err == nil && v.signed != nil {
		err = v.signed(head.Checkpoint)
	}
	return head, err
}

// checkpoint reads what the head's checkpoint commits to.
func (h Head) checkpoint() (Checkpoint, error) {
	c, err := ParseCheckpoint(h.Checkpoint)
	if err != nil {
		return c, fmt.Errorf("%w: stored head: %w", ErrUnproven, err)
	}
	if c.Size != h.Size {
		return c, fmt.Errorf("%w: stored head has size %d, its checkpoint %d", ErrUnproven, h.Size, c.Size)
	}
	return c, nil
}

// Checkpoint returns the newest committed checkpoint, a signed note, or fs.ErrNotExist if the log
// was never created. It is ErrUnproven if the log does not verify the stored one.
func (v *View) Checkpoint(ctx context.Context) (string, error) {
	head, err := v.handedOut(ctx)
	if err != nil {
		return "", err
	}
	return head.Checkpoint, nil
}

// Receipt returns a receipt for the entry at index under the newest checkpoint, which it verifies in both trees before it
// returns it. The error is fs.ErrNotExist if the log has no such entry, and ErrUnproven if what is stored of it does not prove:
// a leaf or a tile that was altered or is missing, or a head that the log does not verify.
func (v *View) Receipt(ctx context.Context, index uint64) (Receipt, error) {
	head, err := v.handedOut(ctx)
	if err != nil {
		return Receipt{}, err
	}
	if index >= head.Size {
		return Receipt{}, fmt.Errorf("entry %d: %w", index, fs.ErrNotExist)
	}
	c, err := head.checkpoint()
	if err != nil {
		return Receipt{}, err
	}
	r, err := v.receipt(ctx, head, c, index)
	if errors.Is(err, ErrUnproven) { // derived, perhaps, from tiles that were wrong then and have been put right
		v.nodes.forgetEdges()
		r, err = v.receipt(ctx, head, c, index)
	}
	if err != nil {
		return Receipt{}, fmt.Errorf("prove entry %d: %w", index, err)
	}
	return r, nil
}

// receipt makes a receipt of what is stored and verifies it. The tiles that it takes need no proof of their own: a wrong hash in one of
// them, or in the leaf, does not lead to the root.
func (v *View) receipt(ctx context.Context, head Head, c Checkpoint, index uint64) (Receipt, error) {
	leaves, err := v.storage.Leaves(ctx, index, index+1)
	if err != nil {
		return Receipt{}, fmt.Errorf("read entry: %w", committed(err))
	}
	plan, err := proof.Inclusion(index, head.Size)
	if err != nil {
		return Receipt{}, err
	}
	r := Receipt{Record: leaves[0], Index: index, Checkpoint: head.Checkpoint}
	for _, tree := range Trees {
		hashes, err := v.nodes.walk(ctx, v.storage, tree, head.Size).prove(plan)
		if err != nil {
			return Receipt{}, fmt.Errorf("prove in the %s tree: %w", tree, committed(err))
		}
		r.Proofs.set(tree, hashes)
		if verifyInclusion(v.nodes.of(tree), r, c) != nil {
			return Receipt{}, &CorruptError{Entry: index, Reason: "its bytes, or the tiles above it, are not those that were logged"}
		}
	}
	return r, nil
}

// committed marks the error of reading what a head commits to: that it is not there is no answer but damage.
func committed(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: part of the stored log is missing: %v", ErrUnproven, err)
	}
	return err
}

// ProveConsistency proves in both trees that the log of size to extends the one of size from.
// The error is fs.ErrNotExist if the log is smaller than that, and ErrUnproven if what is stored does not prove; from must not
// be above to.
func (v *View) ProveConsistency(ctx context.Context, from, to uint64) (Proofs, error) {
	head, err := v.head(ctx)
	if err != nil {
		return Proofs{}, err
	}
	if from > to || to > head.Size {
		return Proofs{}, fmt.Errorf("prove size %d from size %d: %w", to, from, fs.ErrNotExist)
	}
	plan, err := proof.Consistency(from, to)
	if err != nil {
		return Proofs{}, fmt.Errorf("prove size %d from size %d: %w", to, from, err)
	}
	p, err := v.prove(ctx, head, to, plan)
	return p, committed(err)
}

// prove carries out a plan in the trees of a size that is not above the head's. Where the head is verified, every hash is proven
// under it; else whoever calls it verifies the proofs.
func (v *View) prove(ctx context.Context, head Head, size uint64, plan proof.Nodes) (Proofs, error) {
	var p Proofs
	for _, tree := range Trees {
		walk := v.nodes.walk(ctx, v.storage, tree, size)
		if v.verifiedHead != nil {
			walk = v.proven(ctx, tree, head).walk(size)
		}
		hashes, err := walk.prove(plan)
		if err != nil {
			return Proofs{}, fmt.Errorf("prove in the %s tree: %w", tree, err)
		}
		p.set(tree, hashes)
	}
	return p, nil
}

// checkRoots proves that tiles and leaf hashes add up to the checkpoint.
func (v *View) checkRoots(ctx context.Context, c Checkpoint) error {
	_, err := v.frontiers(ctx, c)
	return err
}

// frontiers proves that tiles and leaf hashes add up to the checkpoint, and returns by which hashes: a head without a signed checkpoint.
func (v *View) frontiers(ctx context.Context, c Checkpoint) (Head, error) {
	head := Head{Size: c.Size}
	for _, tree := range Trees {
		r, err := v.nodes.walk(ctx, v.storage, tree, c.Size).frontier()
		if err != nil {
			return head, err
		}
		root, err := v.nodes.of(tree).root(r)
		if err != nil {
			return head, err
		}
		if string(root) != string(c.Root(tree)) {
			return head, fmt.Errorf("%w: tiles do not add up to the %s root of size %d", ErrUnproven, tree, c.Size)
		}
		hashes := bytes.Join(r.Hashes(), nil)
		if tree == SM3 {
			head.SM3 = hashes
		} else {
			head.SHA256 = hashes
		}
	}
	return head, nil
}

// Cosign keeps a checkpoint that witnesses have cosigned, once it is proven to be one that this log signed. It does not look at the
// witnesses' lines: whoever verifies them brings their keys.
func (l *Log) Cosign(ctx context.Context, note string) error {
	c, err := ParseCheckpoint(note)
	if err == nil {
		err = l.checkCosigned(Cosigned{c.Size, note})
	}
	if err == nil {
		err = l.config.Storage.Cosign(ctx, Cosigned{c.Size, note})
	}
	if err != nil {
		return fmt.Errorf("keep cosigned checkpoint: %w", err)
	}
	return nil
}

// Cosigned returns the first kept checkpoint that covers the entry at index, with its cosignatures, or fs.ErrNotExist. A receipt for the
// entry under it shows when witnesses had seen the entry. The log's own signatures are proven; the error is ErrUnproven if they do not
// hold, or the checkpoint does not belong to the stored size.
func (l *Log) Cosigned(ctx context.Context, index uint64) (Cosigned, error) {
	c, err := l.config.Storage.Cosigned(ctx, index)
	return l.readCosigned(c, err)
}

// CosignedReceipt returns a receipt for the entry at index under the first kept checkpoint that covers it, proven in both trees, or
// fs.ErrNotExist if there is none yet. Its proofs are those of a smaller tree than the newest one: anybody can make it from public tiles.
// The error is ErrUnproven as that of Receipt and Cosigned is.
func (l *Log) CosignedReceipt(ctx context.Context, index uint64) (Receipt, error) {
	kept, err := l.Cosigned(ctx, index)
	if err != nil {
		return Receipt{}, err
	}
	c, err := ParseCheckpoint(kept.Note)
	if err != nil {
		return Receipt{}, err
	}
	r, err := l.receiptAt(ctx, kept.Note, c, index)
	if err != nil {
		return Receipt{}, fmt.Errorf("prove entry %d: %w", index, err)
	}
	return r, nil
}

func (l *Log) receiptAt(ctx context.Context, signed string, c Checkpoint, index uint64) (Receipt, error) {
	head, err := l.head(ctx)
	if err != nil {
		return Receipt{}, err
	}
	if index >= c.Size || c.Size > head.Size {
		return Receipt{}, fmt.Errorf("%w: cosigned checkpoint of size %d of a log of size %d", ErrUnproven, c.Size, head.Size)
	}
	leaves, err := l.storage.Leaves(ctx, index, index+1)
	if err != nil {
		return Receipt{}, fmt.Errorf("read entry: %w", committed(err))
	}
	plan, err := proof.Inclusion(index, c.Size)
	if err != nil {
		return Receipt{}, err
	}
	r := Receipt{Record: leaves[0], Index: index, Checkpoint: signed}
	if r.Proofs, err = l.prove(ctx, head, c.Size, plan); err != nil {
		return Receipt{}, committed(err)
	}
	for _, tree := range Trees {
		if verifyInclusion(l.nodes.of(tree), r, c) != nil {
			return Receipt{}, &CorruptError{Entry: index, Reason: "its bytes, or the checkpoint that was cosigned, are not those that were logged"}
		}
	}
	return r, nil
}

// LastCosigned returns the newest kept checkpoint as Cosigned does.
func (l *Log) LastCosigned(ctx context.Context) (Cosigned, error) {
	c, err := l.config.Storage.LastCosigned(ctx)
	return l.readCosigned(c, err)
}

func (l *Log) readCosigned(c Cosigned, err error) (Cosigned, error) {
	if err == nil {
		err = l.checkCosigned(c)
	}
	if err != nil {
		return Cosigned{}, fmt.Errorf("read cosigned checkpoint: %w", err)
	}
	return c, nil
}

// checkCosigned proves that a checkpoint is one that this log signed, of the size it is stored under.
func (l *Log) checkCosigned(c Cosigned) error {
	if _, err := c.parse(l.config.Origin); err != nil {
		return err
	}
	if err := errors.Join(l.config.signedByUs(c.Note), l.signedBySM2(c.Note)); err != nil {
		return fmt.Errorf("%w: %w", ErrUnproven, err)
	}
	return nil
}

// parse reads what a checkpoint says, which must be the log and the size that it is stored under.
func (c Cosigned) parse(origin string) (Checkpoint, error) {
	is, err := ParseCheckpoint(c.Note)
	if err == nil && (is.Origin != origin || is.Size != c.Size) {
		err = fmt.Errorf("it is of size %d of log %s, not of size %d of %s", is.Size, is.Origin, c.Size, origin)
	}
	if err != nil {
		return is, fmt.Errorf("%w: cosigned checkpoint: %w", ErrUnproven, err)
	}
	return is, nil
}

// Holds proves that a kept checkpoint has the roots that the tiles and leaf hashes add up to at its size. It looks at no signature. The
// error is ErrUnproven if it is of another log, or of other entries.
func (v *View) Holds(ctx context.Context, origin string, c Cosigned) error {
	is, err := c.parse(origin)
	if err != nil {
		return err
	}
	head, err := v.head(ctx)
	if err != nil {
		return err
	}
	if is.Size > head.Size {
		return fmt.Errorf("%w: cosigned checkpoint of size %d of a log of size %d", ErrUnproven, is.Size, head.Size)
	}
	return committed(v.checkRoots(ctx, is))
}

package tlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash"
	"io/fs"

	"github.com/transparency-dev/merkle/compact"
)

// CorruptError names the first place where a log is not what its checkpoint says. It is ErrUnproven.
type CorruptError struct {
	Entry  uint64 // index of the entry; with Tile, the first entry it covers wrongly
	Tile   string // path of the wrong tile, such as "sm3/tile/0/001"; empty if the entry is wrong
	Reason string
}

// Error names the entry or the tile.
func (e *CorruptError) Error() string {
	if e.Tile != "" {
		return fmt.Sprintf("tile %s: %s (entry %d)", e.Tile, e.Reason, e.Entry)
	}
	return fmt.Sprintf("entry %d: %s", e.Entry, e.Reason)
}

// Unwrap returns ErrUnproven.
func (e *CorruptError) Unwrap() error { return ErrUnproven }

// VerifyLog reads a whole log and proves that its entries and its full tiles are exactly those under
// a checkpoint, which VerifyCheckpoint has proven before. It stops at the first thing wrong with a
// CorruptError. progress, if not nil, is called with the number of entries done, and c.Size.
func VerifyLog(ctx context.Context, r Reader, c Checkpoint, newSM3 func() hash.Hash, progress func(done, total uint64)) error {
	w := &whole{r: r, hashers: newHashers(newSM3), size: c.Size, trees: make(map[Tree]*wholeTree)}
	for _, tree := range Trees {
		w.trees[tree] = &wholeTree{hashes: w.of(tree).factory().NewEmptyRange(0)}
	}
	for start := uint64(0); start < c.Size; start += TileWidth {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("verify log: %w", err)
		}
		end := min(start+TileWidth, c.Size)
		if err := w.verify(ctx, start, end); err != nil {
			return fmt.Errorf("verify log: %w", err)
		}
		if progress != nil {
			progress(end, c.Size)
		}
	}
	return w.compareRoots(c)
}

// whole is a verification that has come to some entry.
type whole struct {
	hashers
	r     Reader
	size  uint64
	trees map[Tree]*wholeTree
}

// wholeTree is one tree computed from the entries alone.
type wholeTree struct {
	hashes *compact.Range
	tiles  [maxTileLevel + 1][]byte // hashes since the last full tile of each level
}

// verify takes the entries of one tile of level 0.
func (w *whole) verify(ctx context.Context, start, end uint64) error {
	leaves, err := w.r.Leaves(ctx, start, end)
	if errors.Is(err, fs.ErrNotExist) || err == nil && uint64(len(leaves)) != end-start {
		return &CorruptError{Entry: start, Reason: fmt.Sprintf("of the entries up to %d some are missing", end-1)}
	}
	if err != nil {
		return fmt.Errorf("read entries from %d: %w", start, err)
	}
	hashes := make([]LeafHash, len(leaves))
	for i, leaf := range leaves {
		hashes[i] = w.leaf(leaf)
	}
	if err := w.compareLeaves(ctx, start, hashes); err != nil {
		return err
	}
	for _, h := range hashes {
		for _, tree := range Trees {
			if err := w.append(ctx, tree, h.Of(tree)); err != nil {
				return err
			}
		}
	}
	return nil
}

// compareLeaves holds leaf hashes against the stored ones. An entry that is wrong in both trees was
// altered itself; one that is wrong in one tree shows that the hashes of that tree were.
func (w *whole) compareLeaves(ctx context.Context, start uint64, hashes []LeafHash) error {
	stored := make(map[Tree][]byte)
	for _, tree := range Trees {
		var err error
		if stored[tree], err = w.stored(ctx, tree, start, len(hashes)); err != nil {
			return err
		}
	}
	for i, h := range hashes {
		var wrong []Tree
		for _, tree := range Trees {
			got := h.Of(tree)
			if !bytes.Equal(got[:], stored[tree][i*HashSize:(i+1)*HashSize]) {
				wrong = append(wrong, tree)
			}
		}
		switch len(wrong) {
		case 1:
			return &CorruptError{start + uint64(i), tilePath(wrong[0], 0, start/TileWidth, len(hashes)), "does not hold the hash of its entry"}
		case 2:
			return &CorruptError{Entry: start + uint64(i), Reason: "its bytes are not those that were logged"}
		}
	}
	return nil
}

// stored returns the leaf hashes as they are stored: of a full tile the tile's.
func (w *whole) stored(ctx context.Context, tree Tree, start uint64, width int) ([]byte, error) {
	path := tilePath(tree, 0, start/TileWidth, width)
	var hashes []byte
	var err error
	if width == TileWidth {
		hashes, err = w.r.Tile(ctx, tree, 0, start/TileWidth)
	} else {
		hashes, err = w.r.LeafHashes(ctx, tree, start, start+uint64(width))
	}
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(hashes) != width*HashSize {
		return nil, &CorruptError{start, path, "is missing or cut short"}
	}
	if err != nil {
		return nil, fmt.Errorf("read tile %s: %w", path, err)
	}
	return hashes, nil
}

// append extends a tree by a leaf hash and compares every higher tile that becomes full.
func (w *whole) append(ctx context.Context, tree Tree, leaf [HashSize]byte) (err error) {
	t := w.trees[tree]
	visit := func(id compact.NodeID, hash []byte) {
		level := int(id.Level / 8)
		if id.Level%8 != 0 || level == 0 || level > maxTileLevel {
			return
		}
		t.tiles[level] = append(t.tiles[level], hash...)
		if len(t.tiles[level]) == TileWidth*HashSize && err == nil {
			err = w.compareTile(ctx, tree, level, id.Index/TileWidth, t.tiles[level])
			t.tiles[level] = t.tiles[level][:0]
		}
	}
	if appendErr := t.hashes.Append(leaf[:], visit); appendErr != nil {
		return appendErr
	}
	return err
}

func (w *whole) compareTile(ctx context.Context, tree Tree, level int, index uint64, want []byte) error {
	path := tilePath(tree, level, index, TileWidth)
	first := (index * TileWidth) << (8 * level)
	got, err := w.r.Tile(ctx, tree, level, index)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read tile %s: %w", path, err)
	}
	if err != nil || len(got) != len(want) {
		return &CorruptError{first, path, "is missing or cut short"}
	}
	for i := 0; i < len(want); i += HashSize {
		if !bytes.Equal(got[i:i+HashSize], want[i:i+HashSize]) {
			return &CorruptError{first + uint64(i/HashSize)<<(8*level), path, "does not hold the hash of the tile below"}
		}
	}
	return nil
}

func (w *whole) compareRoots(c Checkpoint) error {
	for _, tree := range Trees {
		root, err := w.of(tree).root(w.trees[tree].hashes)
		if err != nil {
			return fmt.Errorf("verify log: %w", err)
		}
		if !bytes.Equal(root, c.Root(tree)) {
			return fmt.Errorf("verify log: %w: entries and tiles agree, but not with the %s root of the checkpoint", ErrUnproven, tree)
		}
	}
	return nil
}

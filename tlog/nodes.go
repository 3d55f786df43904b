package tlog

import (
	"context"
	"fmt"
	"io/fs"
	"sync"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/proof"
)

// nodes derives from full tiles and leaf hashes what the storage does not keep: the partial tiles
// at the right edge, and every perfect node.
type nodes struct {
	hashers

	// edge keeps the last partial tile derived at each level above 0, as its hashes cost a full
	// tile each. What is committed never changes, so it can be short; it is wrong only where a stored
	// tile was, and then nothing that is derived from it proves: see forgetEdges.
	mu   sync.Mutex
	edge map[edgeKey]edgeTile

	kept *tileCache // full tiles that were proven
}

// errTileLength says that a tile has not as many bytes as its hashes need: somebody wrote to the storage.
var errTileLength = fmt.Errorf("%w: wrong length", ErrUnproven)

type edgeKey struct {
	tree  Tree
	level int
}

type edgeTile struct {
	index  uint64
	hashes []byte
}

func newNodes(h hashers) *nodes {
	return &nodes{hashers: h, edge: make(map[edgeKey]edgeTile), kept: newTileCache()}
}

// tile returns the first width hashes of a tile. All of them must be committed.
func (n *nodes) tile(ctx context.Context, r Reader, tree Tree, level int, index uint64, width int) ([]byte, error) {
	var hashes []byte
	var err error
	switch {
	case width == TileWidth:
		hashes, err = r.Tile(ctx, tree, level, index)
	case level == 0:
		hashes, err = r.LeafHashes(ctx, tree, index*TileWidth, index*TileWidth+uint64(width))
	default:
		hashes, err = n.edgeTile(ctx, r, tree, level, index, width)
	}
	if err != nil {
		return nil, fmt.Errorf("read tile %s: %w", tilePath(tree, level, index, width), err)
	}
	if len(hashes) != width*HashSize {
		return nil, fmt.Errorf("read tile %s: %d bytes: %w", tilePath(tree, level, index, width), len(hashes), errTileLength)
	}
	return hashes, nil
}

func (n *nodes) edgeTile(ctx context.Context, r Reader, tree Tree, level int, index uint64, width int) ([]byte, error) {
	key := edgeKey{tree, level}
	n.mu.Lock()
	known := n.edge[key]
	n.mu.Unlock()
	if known.index != index {
		known = edgeTile{index: index}
	}
	have := len(known.hashes) / HashSize
	if have >= width {
		return known.hashes[: width*HashSize : width*HashSize], nil
	}
	hashes := append(make([]byte, 0, width*HashSize), known.hashes...)
	for i := have; i < width; i++ {
		child, err := n.tile(ctx, r, tree, level-1, index*TileWidth+uint64(i), TileWidth)
		if err != nil {
			return nil, err
		}
		hashes = append(hashes, n.of(tree).fold(child)...)
	}
	n.mu.Lock()
	if old := n.edge[key]; index > old.index || len(hashes) > len(old.hashes) && index == old.index {
		n.edge[key] = edgeTile{index, hashes}
	}
	n.mu.Unlock()
	return hashes, nil
}

// forgetEdges drops the partial tiles that were derived, so that they are derived anew.
func (n *nodes) forgetEdges() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.edge)
}

// walk reads nodes of one tree at one size, each tile once. It is used by one goroutine.
type walk struct {
	hash  *hasher
	size  uint64
	read  func(level int, index uint64, width int) ([]byte, error)
	tiles map[compact.NodeID][]byte // by level and index of the tile
}

// walk reads what is stored. Nothing of it is proven: whoever calls it holds what comes out against a root.
func (n *nodes) walk(ctx context.Context, r Reader, tree Tree, size uint64) *walk {
	return n.walkTiles(tree, size, func(level int, index uint64, width int) ([]byte, error) {
		return n.tile(ctx, r, tree, level, index, width)
	})
}

func (n *nodes) walkTiles(tree Tree, size uint64, read func(level int, index uint64, width int) ([]byte, error)) *walk {
	return &walk{n.of(tree), size, read, make(map[compact.NodeID][]byte)}
}

// node returns a perfect node of the tree.
func (w *walk) node(id compact.NodeID) ([]byte, error) {
	level, height := int(id.Level/8), id.Level%8
	first := id.Index << height
	index, offset := first/TileWidth, first%TileWidth
	width := min((w.size>>(8*level))-index*TileWidth, TileWidth)
	count := uint64(1) << height
	if first >= w.size>>(8*level) || offset+count > width {
		return nil, fmt.Errorf("node %d/%d is not in a tree of size %d: %w", id.Level, id.Index, w.size, fs.ErrNotExist)
	}
	at := compact.NewNodeID(uint(level), index)
	if w.tiles[at] == nil {
		hashes, err := w.read(level, index, int(width))
		if err != nil {
			return nil, err
		}
		w.tiles[at] = hashes
	}
	return w.hash.fold(w.tiles[at][offset*HashSize : (offset+count)*HashSize]), nil
}

// frontier returns the compact range of the whole tree.
func (w *walk) frontier() (*compact.Range, error) {
	ids := compact.RangeNodes(0, w.size, nil)
	hashes, err := w.hashes(ids)
	if err != nil {
		return nil, err
	}
	return w.hash.factory().NewRange(0, w.size, hashes)
}

// prove carries out a plan of package proof.
func (w *walk) prove(plan proof.Nodes) ([][]byte, error) {
	hashes, err := w.hashes(plan.IDs)
	if err != nil {
		return nil, err
	}
	return plan.Rehash(hashes, w.hash.HashChildren)
}

func (w *walk) hashes(ids []compact.NodeID) ([][]byte, error) {
	hashes := make([][]byte, len(ids))
	for i, id := range ids {
		var err error
		if hashes[i], err = w.node(id); err != nil {
			return nil, err
		}
	}
	return hashes, nil
}

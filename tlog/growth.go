package tlog

import (
	"bytes"
	"fmt"
	"math/bits"

	"github.com/transparency-dev/merkle/compact"
)

// growth is what one batch does to one tree: every node that the proofs of its leaves need. It is
// made from the frontier alone, without a look at the storage, and read-only once made.
type growth struct {
	hasher   *hasher
	from, to uint64   // sizes before and after
	before   [][]byte // frontier at from, left to right
	after    [][]byte // frontier at to
	levels   [][][]byte
	// levels[l][i] is node (l, from>>l + i): the perfect nodes that are new are contiguous.
	edge [][]byte
	// edge[l] is the root over the leaves at the right that make up no perfect node of level l, nil if there are none.
}

// grow appends leaf hashes to a tree of the given size and frontier.
func grow(h *hasher, size uint64, frontier []byte, leaves [][]byte) (*growth, error) {
	if len(frontier) != bits.OnesCount64(size)*HashSize {
		return nil, fmt.Errorf("%s frontier of size %d has %d bytes", h.tree, size, len(frontier))
	}
	g := &growth{hasher: h, from: size, to: size + uint64(len(leaves)), before: split(frontier)}
	g.levels = make([][][]byte, bits.Len64(g.to))
	// The range changes the list it is given.
	r, err := h.factory().NewRange(0, size, split(frontier))
	if err != nil {
		return nil, fmt.Errorf("%s frontier: %w", h.tree, err)
	}
	keep := func(id compact.NodeID, hash []byte) { g.levels[id.Level] = append(g.levels[id.Level], hash) }
	for _, leaf := range leaves {
		if err := r.Append(leaf, keep); err != nil {
			return nil, fmt.Errorf("%s frontier: %w", h.tree, err)
		}
	}
	g.after = r.Hashes()
	g.close()
	return g, nil
}

// close makes the right edge, from below.
func (g *growth) close() {
	g.edge = make([][]byte, len(g.levels)+1)
	for l, k := 0, len(g.after); l < len(g.levels); l++ {
		g.edge[l+1] = g.edge[l]
		if g.to>>l&1 == 0 {
			continue
		}
		k--
		g.edge[l+1] = g.after[k]
		if g.edge[l] != nil {
			g.edge[l+1] = g.hasher.HashChildren(g.after[k], g.edge[l])
		}
	}
}

// root returns the root of the tree after.
func (g *growth) root() []byte {
	if g.to == 0 {
		return g.hasher.EmptyRoot()
	}
	return g.edge[len(g.levels)]
}

// frontier returns the frontier afterwards as a Head keeps it.
func (g *growth) frontier() []byte { return bytes.Join(g.after, nil) }

// node returns a perfect node that is new or in the frontier before, nil for any other.
func (g *growth) node(id compact.NodeID) []byte {
	first := g.from >> id.Level
	if id.Index >= first {
		if int(id.Level) < len(g.levels) && id.Index-first < uint64(len(g.levels[id.Level])) {
			return g.levels[id.Level][id.Index-first]
		}
		return nil
	}
	if id.Index+1 == first && first&1 == 1 {
		return g.before[bits.OnesCount64(first>>1)]
	}
	return nil
}

// prove returns the proof that the leaf with this index, one of the new ones, is in the tree after.
// Siblings to its left are in the frontier or grew from it; none lies deeper.
func (g *growth) prove(index uint64) ([][]byte, error) {
	hashes := make([][]byte, 0, len(g.levels))
	for l := range g.levels {
		sibling, perfect := index>>l^1, g.to>>l
		hash := g.edge[l]
		if sibling < perfect {
			if hash = g.node(compact.NewNodeID(uint(l), sibling)); hash == nil {
				return nil, fmt.Errorf("prove entry %d: node %d/%d is not at hand", index, l, sibling)
			}
		}
		if sibling <= perfect && hash != nil {
			hashes = append(hashes, hash)
		}
	}
	return hashes, nil
}

// fullTiles returns the tiles that this growth completed. head brings the hashes of a tile that were
// there before.
func (g *growth) fullTiles(head func(level int, index uint64, width int) ([]byte, error)) ([]Tile, error) {
	var tiles []Tile
	for level := 0; 8*level < len(g.levels); level++ {
		before, after := g.from>>(8*level), g.to>>(8*level)
		for index := before / TileWidth; index < after/TileWidth; index++ {
			hashes := make([]byte, 0, TileWidth*HashSize)
			if old := int(max(before, index*TileWidth) - index*TileWidth); old > 0 {
				start, err := head(level, index, old)
				if err != nil {
					return nil, err
				}
				hashes = append(hashes, start...)
			}
			for i := index*TileWidth + uint64(len(hashes)/HashSize); i < (index+1)*TileWidth; i++ {
				hashes = append(hashes, g.node(compact.NewNodeID(uint(8*level), i))...)
			}
			tiles = append(tiles, Tile{g.hasher.tree, level, index, hashes})
		}
	}
	return tiles, nil
}

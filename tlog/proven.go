package tlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/bits"
	"sync"
)

// A Leaf is an entry of a log as somebody read it, from a place that is not believed.
type Leaf struct {
	Index uint64
	Data  []byte
}

// errKeyless says that a view cannot tell whether the stored head is one that the log signed.
var errKeyless = fmt.Errorf("%w: this view of the log has no key to believe a head by", ErrUnproven)

// Prove proves that every leaf stands in both trees, at its index and with these bytes, under the newest checkpoint that the log
// believes, and returns what that checkpoint says. Without leaves it proves the checkpoint alone. Leaves may come in any order; in
// the order of their indices, up or down, each tile is read once. That takes a tile of either tree for each 256 leaves that are neighbours,
// and one for each leaf that has none near it.
//
// The error is ErrUnproven, a *CorruptError where an entry or a tile is wrong or missing, and names what is wrong; any other error says
// that the storage could not be read, which says nothing about the leaves. Only the View of a Log proves: see [NewView].
func (v *View) Prove(ctx context.Context, leaves []Leaf) (Checkpoint, error) {
	if v.believed == nil {
		return Checkpoint{}, errKeyless
	}
	head, err := v.head(ctx)
	if err != nil {
		return Checkpoint{}, err
	}
	c, err := head.checkpoint()
	if err != nil {
		return Checkpoint{}, err
	}
	for _, tree := range Trees {
		tiles := v.proven(ctx, tree, head)
		for _, leaf := range leaves {
			if err := tiles.leaf(leaf); err != nil {
				return Checkpoint{}, fmt.Errorf("prove entries: %w", err)
			}
		}
	}
	return c, nil
}

// provenTiles reads the tiles of one tree as a head has them, and proves each before a hash of it is used: a full tile adds up to one
// hash of the tile above it, and a tile at the right edge to hashes of the head's frontier. The head must be believed. It keeps the tile
// it read last at each level, which is all that proofs in the order of their indices need. It is used by one goroutine.
type provenTiles struct {
	*nodes
	ctx  context.Context
	r    Reader
	tree Tree
	head Head
	last [maxTileLevel + 1]lastTile
}

type lastTile struct {
	index  uint64
	hashes []byte // nil: none
}

func (v *View) proven(ctx context.Context, tree Tree, head Head) *provenTiles {
	return &provenTiles{nodes: v.nodes, ctx: ctx, r: v.storage, tree: tree, head: head}
}

// leaf proves one leaf.
func (p *provenTiles) leaf(leaf Leaf) error {
	if leaf.Index >= p.head.Size {
		return &CorruptError{Entry: leaf.Index, Reason: fmt.Sprintf("the log has %d entries only", p.head.Size)}
	}
	hashes, err := p.tile(0, leaf.Index/TileWidth)
	if err != nil {
		return err
	}
	at := leaf.Index % TileWidth * HashSize
	if !bytes.Equal(p.of(p.tree).HashLeaf(leaf.Data), hashes[at:at+HashSize]) {
		return &CorruptError{Entry: leaf.Index, Reason: "its bytes are not those that were logged"}
	}
	return nil
}

// width is how many hashes the tile has at the head's size; 0 if there is no such tile.
func (p *provenTiles) width(level int, index uint64) int {
	nodes, first := p.head.Size>>(8*level), index*TileWidth
	if first >= nodes {
		return 0
	}
	return int(min(nodes-first, TileWidth))
}

// tile returns a tile, proven, as wide as it is at the head's size. The caller does not change it.
func (p *provenTiles) tile(level int, index uint64) ([]byte, error) {
	if last := p.last[level]; last.hashes != nil && last.index == index {
		return last.hashes, nil
	}
	width := p.width(level, index)
	if width == 0 {
		return nil, fmt.Errorf("tile %s: %w", tilePath(p.tree, level, index, TileWidth), fs.ErrNotExist)
	}
	key := tileKey{p.tree, level, index}
	hashes := p.kept.get(key)
	if hashes == nil || width < TileWidth {
		var err error
		if hashes, err = p.read(level, index, width); err != nil {
			return nil, err
		}
		if width == TileWidth {
			p.kept.put(key, hashes)
		}
	}
	p.last[level] = lastTile{index, hashes}
	return hashes, nil
}

// read reads a tile and proves it. What was derived from tiles that were wrong then is derived anew once: they may have been put right.
func (p *provenTiles) read(level int, index uint64, width int) ([]byte, error) {
	first := index * TileWidth << (8 * level)
	for again := false; ; again = true {
		hashes, err := p.nodes.tile(p.ctx, p.r, p.tree, level, index, width)
		switch {
		case errors.Is(err, fs.ErrNotExist) || errors.Is(err, errTileLength):
			return nil, &CorruptError{first, tilePath(p.tree, level, index, width), "is missing or cut short"}
		case err != nil:
			return nil, err
		}
		ok, err := p.holds(level, index, hashes)
		if ok || err != nil {
			return hashes, err
		}
		if again || level == 0 || width == TileWidth {
			return nil, &CorruptError{first, tilePath(p.tree, level, index, width), "does not add up to what the checkpoint commits to"}
		}
		p.forgetEdges()
	}
}

// holds reports whether a tile adds up to what is proven above it.
func (p *provenTiles) holds(level int, index uint64, hashes []byte) (bool, error) {
	h := p.of(p.tree)
	if len(hashes) == TileWidth*HashSize {
		above, err := p.tile(level+1, index/TileWidth)
		if err != nil {
			return false, err
		}
		at := index % TileWidth * HashSize
		return bytes.Equal(h.fold(hashes), above[at:at+HashSize]), nil
	}
	// The tile's width is the size's bits of this level; each of them stands for one hash of the frontier.
	frontier := p.head.frontier(p.tree)
	for bit := 7; bit >= 0; bit-- {
		if p.head.Size>>(8*level+bit)&1 == 0 {
			continue
		}
		at := bits.OnesCount64(p.head.Size>>(8*level+bit+1)) * HashSize
		run := HashSize << bit
		if !bytes.Equal(h.fold(hashes[:run]), frontier[at:at+HashSize]) {
			return false, nil
		}
		hashes = hashes[run:]
	}
	return true, nil
}

// walk walks the proven tiles as a tree of a size that is not above the head's.
func (p *provenTiles) walk(size uint64) *walk {
	return p.nodes.walkTiles(p.tree, size, func(level int, index uint64, width int) ([]byte, error) {
		hashes, err := p.tile(level, index)
		if err != nil {
			return nil, err
		}
		return hashes[:width*HashSize], nil
	})
}

// Room of a tileCache, in tiles of 8 KiB. All that stand above level 0 in a log of 16 million entries fit in, in both trees.
const (
	keptLeafTiles = 128
	keptTiles     = 512
)

// A tileCache keeps full tiles that were proven. They never change, so nothing need be invalidated. It is safe for concurrent use.
type tileCache struct {
	mu     sync.Mutex // protects both maps
	leaves map[tileKey][]byte
	above  map[tileKey][]byte
}

type tileKey struct {
	tree  Tree
	level int
	index uint64
}

func newTileCache() *tileCache {
	return &tileCache{leaves: make(map[tileKey][]byte), above: make(map[tileKey][]byte)}
}

func (c *tileCache) of(key tileKey) (tiles map[tileKey][]byte, room int) {
	if key.level == 0 {
		return c.leaves, keptLeafTiles
	}
	return c.above, keptTiles
}

func (c *tileCache) get(key tileKey) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	tiles, _ := c.of(key)
	return tiles[key]
}

// put keeps a tile, in the place of any other where there is no room.
func (c *tileCache) put(key tileKey, hashes []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	tiles, room := c.of(key)
	for old := range tiles {
		if len(tiles) < room {
			break
		}
		delete(tiles, old)
	}
	tiles[key] = hashes
}

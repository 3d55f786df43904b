package tlog

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"math/bits"
	"sync"

	"github.com/transparency-dev/merkle"
	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/proof"

	"oncegate/hashpool"
)

// RFC 6962 section 2.1: leaves and inner nodes are hashed with different first bytes, so that
// neither can pass for the other.
var (
	leafPrefix = []byte{0x00}
	nodePrefix = []byte{0x01}
)

// hasher hashes one tree in the shape of RFC 6962. It is safe for concurrent use.
type hasher struct {
	tree Tree
	pool *hashpool.Pool
}

var _ merkle.LogHasher = (*hasher)(nil)

func newHasher(tree Tree, h func() hash.Hash) *hasher { return &hasher{tree, hashpool.New(h)} }

func (h *hasher) sum(parts ...[]byte) []byte {
	return h.pool.Append(make([]byte, 0, HashSize), parts...)
}

// EmptyRoot returns the root of a tree without leaves: the hash of nothing.
func (h *hasher) EmptyRoot() []byte { return h.sum() }

// HashLeaf returns H(0x00 ‖ leaf).
func (h *hasher) HashLeaf(leaf []byte) []byte { return h.sum(leafPrefix, leaf) }

// HashChildren returns H(0x01 ‖ l ‖ r).
func (h *hasher) HashChildren(l, r []byte) []byte { return h.sum(nodePrefix, l, r) }

// Size returns HashSize.
func (h *hasher) Size() int { return HashSize }

func (h *hasher) factory() *compact.RangeFactory {
	return &compact.RangeFactory{Hash: h.HashChildren}
}

// fold returns the root of a perfect tree over the concatenated hashes, whose number is a power of 2.
func (h *hasher) fold(hashes []byte) []byte {
	if len(hashes) == HashSize {
		return hashes
	}
	// Every level overwrites the first half of the one below: a tile takes 255 hashes, and no memory for each.
	level := make([]byte, 0, len(hashes)/2)
	for from := hashes; len(from) > HashSize; from = level {
		level = level[:0]
		for ; len(from) > 0; from = from[2*HashSize:] {
			level = h.pool.Append(level, nodePrefix, from[:2*HashSize])
		}
	}
	return level
}

// root returns the root of the tree that a compact range stands for.
func (h *hasher) root(r *compact.Range) ([]byte, error) {
	if r.End() == 0 {
		return h.EmptyRoot(), nil
	}
	return r.GetRootHash(nil)
}

// hashers holds the hashers of both trees.
type hashers struct{ sm3, sha256 *hasher }

func newHashers(sm3 func() hash.Hash) hashers {
	return hashers{newHasher(SM3, sm3), newHasher(SHA256, sha256.New)}
}

func (h hashers) of(tree Tree) *hasher {
	if tree == SM3 {
		return h.sm3
	}
	return h.sha256
}

func (h hashers) leaf(leaf []byte) LeafHash {
	return LeafHash{
		SM3:    [HashSize]byte(h.sm3.HashLeaf(leaf)),
		SHA256: [HashSize]byte(h.sha256.HashLeaf(leaf)),
	}
}

// split cuts concatenated hashes apart, without copying them.
func split(hashes []byte) [][]byte {
	list := make([][]byte, 0, len(hashes)/HashSize)
	for ; len(hashes) >= HashSize; hashes = hashes[HashSize:] {
		list = append(list, hashes[:HashSize:HashSize])
	}
	return list
}

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
		if partial, ok := r.(partialReader); ok {
			hashes, err = partial.partialTile(ctx, tree, level, index, width)
		} else {
			hashes, err = n.edgeTile(ctx, r, tree, level, index, width)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read tile %s: %w", tilePath(tree, level, index, width), err)
	}
	if len(hashes) != width*HashSize {
		return nil, fmt.Errorf("read tile %s: %d bytes: %w", tilePath(tree, level, index, width), len(hashes), errTileLength)
	}
	return hashes, nil
}

// partialReader is a Reader that has partial tiles above level 0, too.
type partialReader interface {
	partialTile(ctx context.Context, tree Tree, level int, index uint64, width int) ([]byte, error)
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

// A Leaf is an entry of a log as somebody read it, from a place that is not verified.
type Leaf struct {
	Index uint64
	Data  []byte
}

// errKeyless says that a view cannot tell whether the stored head is one that the log signed.
var errKeyless = fmt.Errorf("%w: this view of the log has no key to verify a head with", ErrUnproven)

// Prove proves that every leaf stands in both trees, at its index and with these bytes, under the newest checkpoint that the log
// verifies, and returns what that checkpoint says. Without leaves it proves the checkpoint alone. Leaves may come in any order; in
// the order of their indices, up or down, each tile is read once. That takes a tile of either tree for each 256 leaves that are neighbours,
// and one for each leaf that has none near it.
//
// The error is ErrUnproven, a *CorruptError where an entry or a tile is wrong or missing, and names what is wrong; any other error says
// that the storage could not be read, which says nothing about the leaves. Only the View of a Log proves: see [NewView].
func (v *View) Prove(ctx context.Context, leaves []Leaf) (Checkpoint, error) {
	if v.verifiedHead == nil {
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
// hash of the tile above it, and a tile at the right edge to hashes of the head's frontier. The head must be verified. It keeps the tile
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

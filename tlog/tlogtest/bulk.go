package tlogtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"hash"

	"github.com/transparency-dev/merkle/compact"
	"golang.org/x/mod/sumdb/note"

	"oncegate/tlog"
)

// A Bulk grows both trees of a log from leaf hashes alone, for fixtures of logs that would take too long to append to. It is not
// safe for concurrent use.
type Bulk struct {
	size  uint64
	trees map[tlog.Tree]*bulkTree
}

type bulkTree struct {
	hash  hash.Hash
	nodes *compact.Range
	tiles map[int][]byte // hashes of the last tile of each level, while it is not full
}

// NewBulk begins an empty log.
func NewBulk(newSM3 func() hash.Hash) *Bulk {
	b := &Bulk{trees: map[tlog.Tree]*bulkTree{}}
	for tree, h := range map[tlog.Tree]hash.Hash{tlog.SM3: newSM3(), tlog.SHA256: sha256.New()} {
		t := &bulkTree{hash: h, tiles: map[int][]byte{}}
		factory := compact.RangeFactory{Hash: func(l, r []byte) []byte { return sum(h, 1, l, r) }}
		t.nodes = factory.NewEmptyRange(0)
		b.trees[tree] = t
	}
	return b
}

// sum is RFC 6962 section 2.1: the first byte tells leaves from inner nodes.
func sum(h hash.Hash, first byte, parts ...[]byte) []byte {
	h.Reset()
	h.Write([]byte{first})
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(make([]byte, 0, tlog.HashSize))
}

// HashLeaf is the leaf's hash in each tree.
func HashLeaf(sm3, sha hash.Hash, leaf []byte) (h tlog.LeafHash) {
	copy(h.SM3[:], sum(sm3, 0, leaf))
	copy(h.SHA256[:], sum(sha, 0, leaf))
	return h
}

// Append adds a leaf by its hashes and returns the tiles that it made full.
func (b *Bulk) Append(h tlog.LeafHash) (full []tlog.Tile, err error) {
	for _, tree := range tlog.Trees {
		t, leaf := b.trees[tree], h.Of(tree)
		visit := func(id compact.NodeID, node []byte) {
			if id.Level%8 != 0 {
				return
			}
			level := int(id.Level / 8)
			hashes := append(t.tiles[level], node...)
			if len(hashes) == tlog.TileWidth*tlog.HashSize {
				full = append(full, tlog.Tile{Tree: tree, Level: level, Index: id.Index / tlog.TileWidth, Hashes: hashes})
				hashes = nil
			}
			t.tiles[level] = hashes
		}
		if err := t.nodes.Append(leaf[:], visit); err != nil {
			return nil, fmt.Errorf("grow the %s tree: %w", tree, err)
		}
	}
	b.size++
	return full, nil
}

// Head signs what has been appended, at least one leaf.
func (b *Bulk) Head(ctx context.Context, origin string, sm2, ed25519 tlog.Signer) (tlog.Head, error) {
	head := tlog.Head{Size: b.size, Batch: [16]byte{1}}
	c := tlog.Checkpoint{Origin: origin, Size: b.size}
	for _, tree := range tlog.Trees {
		t := b.trees[tree]
		root, err := t.nodes.GetRootHash(nil)
		if err != nil {
			return tlog.Head{}, err
		}
		frontier := bytes.Join(t.nodes.Hashes(), nil)
		if tree == tlog.SM3 {
			c.SM3, head.SM3 = [tlog.HashSize]byte(root), frontier
		} else {
			c.SHA256, head.SHA256 = [tlog.HashSize]byte(root), frontier
		}
	}
	signed, err := note.Sign(&note.Note{Text: c.Text()}, bound{sm2, ctx}, bound{ed25519, ctx})
	if err != nil {
		return tlog.Head{}, fmt.Errorf("sign the head: %w", err)
	}
	head.Checkpoint = string(signed)
	return head, nil
}

// bound lends a signer to package note.
type bound struct {
	tlog.Signer
	ctx context.Context
}

func (s bound) Sign(msg []byte) ([]byte, error) { return s.Signer.Sign(s.ctx, msg) }

// Size is how many leaves were appended.
func (b *Bulk) Size() uint64 { return b.size }

package tlog

import (
	"crypto/sha256"
	"hash"

	"oncegate/hashpool"

	"github.com/transparency-dev/merkle"
	"github.com/transparency-dev/merkle/compact"
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
	var level []byte
	for from := hashes; len(from) > HashSize; from = level {
		if level == nil {
			level = make([]byte, 0, len(hashes)/2)
		}
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

package tlogtest

import (
	"bytes"
	"crypto/sha256"
	"math/bits"
	"testing"

	"oncegate/tlog"
)

// allReceipts is the size up to which CheckLog looks at every receipt; of a larger log it takes as
// many, spread evenly, and those at the right edge.
const allReceipts = 300

// CheckLog proves the whole truth about a stored log: it computes both trees from the leaves by the
// definition in RFC 6962, and holds head, signatures, leaf hashes, tiles and receipts against that. It
// returns what the checkpoint says.
func CheckLog(t testing.TB, storage tlog.Published, trust tlog.Trust) tlog.Checkpoint {
	t.Helper()
	ctx := t.Context()
	head, err := storage.Head(ctx)
	if err != nil {
		t.Fatal(err)
	}
	c, _, err := tlog.VerifyCheckpoint(head.Checkpoint, trust)
	if err != nil {
		t.Fatal(err)
	}
	if c.Size != head.Size {
		t.Fatalf("head has size %d, its checkpoint %d", head.Size, c.Size)
	}
	leaves := readLeaves(t, storage, c.Size)
	for _, tree := range tlog.Trees {
		checkTree(t, storage, tree, trust, c, head, leaves)
	}
	if err := tlog.VerifyLog(ctx, storage, c, trust.NewSM3, nil); err != nil {
		t.Fatal(err)
	}
	checkReceipts(t, storage, trust, leaves)
	return c
}

func readLeaves(t testing.TB, storage tlog.Reader, size uint64) (leaves [][]byte) {
	t.Helper()
	for start := uint64(0); start < size; start += tlog.TileWidth {
		list, err := storage.Leaves(t.Context(), start, min(start+tlog.TileWidth, size))
		if err != nil {
			t.Fatal(err)
		}
		leaves = append(leaves, list...)
	}
	if uint64(len(leaves)) != size {
		t.Fatalf("log of size %d has %d leaves", size, len(leaves))
	}
	return leaves
}

func checkTree(t testing.TB, storage tlog.Reader, tree tlog.Tree, trust tlog.Trust, c tlog.Checkpoint, head tlog.Head, leaves [][]byte) {
	t.Helper()
	n := naive{trust, tree}
	// levels[l] holds the roots of all perfect subtrees of 2^l leaves.
	levels := [][][]byte{make([][]byte, len(leaves))}
	for i, leaf := range leaves {
		levels[0][i] = n.hash([]byte{0}, leaf)
	}
	for l := 0; len(levels[l]) > 1; l++ {
		up := make([][]byte, len(levels[l])/2)
		for i := range up {
			up[i] = n.hash([]byte{1}, levels[l][2*i], levels[l][2*i+1])
		}
		levels = append(levels, up)
	}
	if root := n.root(levels, 0, len(leaves)); !bytes.Equal(root, c.Root(tree)) {
		t.Fatalf("%s root of size %d is not the one of its leaves", tree, c.Size)
	}
	for start := uint64(0); start < c.Size; start += tlog.TileWidth {
		end := min(start+tlog.TileWidth, c.Size)
		stored, err := storage.LeafHashes(t.Context(), tree, start, end)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(stored, bytes.Join(levels[0][start:end], nil)) {
			t.Fatalf("%s leaf hashes from %d are not those of the leaves", tree, start)
		}
	}
	checkTiles(t, storage, tree, levels)
	checkFrontier(t, tree, head, levels)
}

func checkTiles(t testing.TB, storage tlog.Reader, tree tlog.Tree, levels [][][]byte) {
	t.Helper()
	for l := 0; l < len(levels); l += 8 {
		for i := 0; (i+1)*tlog.TileWidth <= len(levels[l]); i++ {
			tile, err := storage.Tile(t.Context(), tree, l/8, uint64(i))
			if err != nil {
				t.Fatalf("%s tile %d/%d: %v", tree, l/8, i, err)
			}
			if !bytes.Equal(tile, bytes.Join(levels[l][i*tlog.TileWidth:(i+1)*tlog.TileWidth], nil)) {
				t.Fatalf("%s tile %d/%d does not hold the hashes of the leaves", tree, l/8, i)
			}
		}
	}
}

func checkFrontier(t testing.TB, tree tlog.Tree, head tlog.Head, levels [][][]byte) {
	t.Helper()
	var want []byte
	for l := bits.Len64(head.Size) - 1; l >= 0; l-- {
		if head.Size>>l&1 == 1 {
			want = append(want, levels[l][head.Size>>l-1]...)
		}
	}
	got := head.SHA256
	if tree == tlog.SM3 {
		got = head.SM3
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("%s frontier of the head is not the one of its leaves", tree)
	}
}

func checkReceipts(t testing.TB, storage tlog.Published, trust tlog.Trust, leaves [][]byte) {
	t.Helper()
	view := tlog.NewView(storage, trust.NewSM3)
	step := max(1, len(leaves)/allReceipts)
	for i := 0; i < len(leaves); i++ {
		if i%step != 0 && i < len(leaves)-2 {
			continue
		}
		r, err := view.Receipt(t.Context(), uint64(i))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(r.Record, leaves[i]) || r.Index != uint64(i) {
			t.Fatalf("receipt of entry %d is for another", i)
		}
		if _, err := tlog.VerifyReceipt(r, trust); err != nil {
			t.Fatalf("receipt of entry %d: %v", i, err)
		}
	}
}

// naive computes a tree as RFC 6962 section 2.1 defines it.
type naive struct {
	trust tlog.Trust
	tree  tlog.Tree
}

func (n naive) hash(parts ...[]byte) []byte {
	h := sha256.New()
	if n.tree == tlog.SM3 {
		h = n.trust.NewSM3()
	}
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

// root returns MTH of the leaves from start to end; perfect subtrees are looked up.
func (n naive) root(levels [][][]byte, start, end int) []byte {
	size := end - start
	if size == 0 {
		return n.hash()
	}
	level := bits.Len(uint(size)) - 1
	if size == 1<<level {
		return levels[level][start>>level]
	}
	k := 1 << level
	return n.hash([]byte{1}, n.root(levels, start, start+k), n.root(levels, start+k, end))
}

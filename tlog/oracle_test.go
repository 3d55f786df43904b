package tlog_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/mod/sumdb/note"
	sumdb "golang.org/x/mod/sumdb/tlog"

	"oncegate/tlog"
	"oncegate/tlog/tlogtest"
)

// oracle grows the tree of golang.org/x/mod/sumdb/tlog beside ours.
type oracle struct {
	hashes []sumdb.Hash
	size   int64
}

func (o *oracle) ReadHashes(indexes []int64) ([]sumdb.Hash, error) {
	list := make([]sumdb.Hash, len(indexes))
	for i, x := range indexes {
		list[i] = o.hashes[x]
	}
	return list, nil
}

func (o *oracle) add(t testing.TB, leaf []byte) {
	t.Helper()
	hashes, err := sumdb.StoredHashes(o.size, leaf, o)
	if err != nil {
		t.Fatal(err)
	}
	o.hashes = append(o.hashes, hashes...)
	o.size++
}

func (o *oracle) root(t testing.TB) sumdb.Hash {
	t.Helper()
	root, err := sumdb.TreeHash(o.size, o)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// proofIs compares an inclusion proof of ours with the oracle's own.
func (o *oracle) proofIs(t testing.TB, r tlog.Receipt) {
	t.Helper()
	want, err := sumdb.ProveRecord(o.size, int64(r.Index), o)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.EqualFunc(r.Proofs.SHA256, want, sameHash) {
		t.Fatalf("proof of entry %d at size %d differs", r.Index, o.size)
	}
}

func sameHash(ours []byte, theirs sumdb.Hash) bool { return bytes.Equal(ours, theirs[:]) }

func TestEqualsSumDBAtEverySize(t *testing.T) {
	b := newBench(t)
	var o oracle
	for {
		c, err := tlog.ParseCheckpoint(b.Known())
		if err != nil {
			t.Fatal(err)
		}
		if c.Size != uint64(o.size) || sumdb.Hash(c.SHA256) != o.root(t) {
			t.Fatalf("root of size %d differs", o.size)
		}
		if o.size == 1000 {
			break
		}
		leaf := fmt.Appendf(nil, "leaf %d", o.size)
		o.add(t, leaf)
		r, err := b.Append(t.Context(), leaf, nil)
		if err != nil {
			t.Fatal(err)
		}
		o.proofIs(t, r)
		if old, err := b.Receipt(t.Context(), rand.Uint64N(uint64(o.size))); err != nil {
			t.Fatal(err)
		} else {
			o.proofIs(t, old)
		}
	}
}

// grow appends n leaves, in whatever order they come, and has the oracle follow.
func (b bench) grow(t testing.TB, o *oracle, n int) {
	t.Helper()
	var wg sync.WaitGroup
	leaves := make(chan int, n)
	for i := range n {
		leaves <- i
	}
	close(leaves)
	for range 256 {
		wg.Go(func() {
			for i := range leaves {
				if _, err := b.Append(t.Context(), fmt.Appendf(nil, "leaf %d", i), nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	list, err := b.memory.Leaves(t.Context(), uint64(o.size), uint64(o.size)+uint64(n))
	if err != nil {
		t.Fatal(err)
	}
	for _, leaf := range list {
		o.add(t, leaf)
	}
}

// TestEqualsSumDBAtRandomSizes goes past the first tile of level 1, and compares roots, inclusion and
// consistency proofs.
func TestEqualsSumDBAtRandomSizes(t *testing.T) {
	b := newBench(t)
	var o oracle
	var checkpoints []tlog.Checkpoint
	for _, size := range []int64{65535, 65536, 65537, 66000 + rand.Int64N(3000)} {
		b.grow(t, &o, int(size-o.size))
		c, err := tlog.ParseCheckpoint(b.Known())
		if err != nil {
			t.Fatal(err)
		}
		if sumdb.Hash(c.SHA256) != o.root(t) {
			t.Fatalf("root of size %d differs", size)
		}
		for range 20 {
			r, err := b.Receipt(t.Context(), rand.Uint64N(c.Size))
			if err != nil {
				t.Fatal(err)
			}
			o.proofIs(t, r)
		}
		for _, from := range checkpoints {
			consistent(t, b, &o, from, c)
		}
		checkpoints = append(checkpoints, c)
	}
	tlogtest.CheckLog(t, b.memory, b.keys.Trust)
}

func consistent(t testing.TB, b bench, o *oracle, from, to tlog.Checkpoint) {
	t.Helper()
	p, err := b.ProveConsistency(t.Context(), from.Size, to.Size)
	if err != nil {
		t.Fatal(err)
	}
	want, err := sumdb.ProveTree(int64(to.Size), int64(from.Size), o)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.EqualFunc(p.SHA256, want, sameHash) {
		t.Fatalf("proof of size %d from %d differs", to.Size, from.Size)
	}
	if err := tlog.VerifyConsistency(tlogtest.NewHash, from, to, p); err != nil {
		t.Fatal(err)
	}
}

// served reads a log over HTTP the way Go's checksum database client does.
type served struct {
	t    testing.TB
	base string
}

func (s served) Height() int { return 8 }

func (s served) SaveTiles([]sumdb.Tile, [][]byte) {}

func (s served) ReadTiles(tiles []sumdb.Tile) ([][]byte, error) {
	list := make([][]byte, len(tiles))
	for i, tile := range tiles {
		// C2SP leaves the height out of the path; the rest is the same.
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		list[i] = []byte(s.get(path))
	}
	return list, nil
}

func (s served) get(path string) string {
	s.t.Helper()
	res, err := http.Get(s.base + path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		s.t.Fatalf("GET %s: %s, %v", path, res.Status, err)
	}
	return string(body)
}

// TestServedToSumDB: public code, unmodified, reads the Ed25519 line and the tiles, and proves
// entries and consistency from them.
func TestServedToSumDB(t *testing.T) {
	b := newBench(t)
	b.add(t, 700)
	server := httptest.NewServer(http.StripPrefix("/log", b.Handler()))
	defer server.Close()
	s := served{t, server.URL + "/log/"}

	old := openTree(t, b.keys.VKey, s.get("checkpoint"))
	b.add(t, 137)
	tree := openTree(t, b.keys.VKey, s.get("checkpoint"))
	if old.N != 700 || tree.N != 837 {
		t.Fatalf("sizes are %d and %d", old.N, tree.N)
	}
	reader := sumdb.TileHashReader(tree, s)
	for _, i := range []int64{0, 255, 256, 511, 512, 700, 836} {
		p, err := sumdb.ProveRecord(tree.N, i, reader)
		if err != nil {
			t.Fatal(err)
		}
		if err := sumdb.CheckRecord(p, tree.N, tree.Hash, i, sumdb.RecordHash(fmt.Appendf(nil, "leaf %d", i))); err != nil {
			t.Errorf("entry %d: %v", i, err)
		}
	}
	p, err := sumdb.ProveTree(tree.N, old.N, reader)
	if err != nil {
		t.Fatal(err)
	}
	if err := sumdb.CheckTree(p, tree.N, tree.Hash, old.N, old.Hash); err != nil {
		t.Error(err)
	}
}

func openTree(t testing.TB, vkey, signed string) sumdb.Tree {
	t.Helper()
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		t.Fatal(err)
	}
	n, err := note.Open([]byte(signed), note.VerifierList(verifier))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(n.Text, "\n")
	var size int64
	if _, err := fmt.Sscan(lines[1], &size); err != nil {
		t.Fatal(err)
	}
	root, err := sumdb.ParseHash(lines[2])
	if err != nil {
		t.Fatal(err)
	}
	return sumdb.Tree{N: size, Hash: root}
}

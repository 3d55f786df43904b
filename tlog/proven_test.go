package tlog_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"oncegate/tlog"
	"oncegate/tlog/tlogtest"
)

// A tampered storage answers as a database does whose rows somebody changed who has no key of the log. What is nil is missing.
type tampered struct {
	*tlogtest.Memory

	mu     sync.Mutex // protects all fields below
	leaves map[uint64][]byte
	hashes map[hashAt][]byte
	tiles  map[tileAt][]byte
	head   func(tlog.Head) (tlog.Head, error)
	reads  map[tileAt]int
}

type hashAt struct {
	tree  tlog.Tree
	index uint64
}

type tileAt struct {
	tree  tlog.Tree
	level int
	index uint64
}

func newTampered(m *tlogtest.Memory) *tampered {
	s := &tampered{Memory: m}
	s.restore()
	return s
}

// restore puts everything right.
func (s *tampered) restore() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leaves, s.hashes, s.tiles, s.head, s.reads = map[uint64][]byte{}, map[hashAt][]byte{}, map[tileAt][]byte{}, nil, map[tileAt]int{}
}

func (s *tampered) Head(ctx context.Context) (tlog.Head, error) {
	head, err := s.Memory.Head(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil && s.head != nil {
		return s.head(head)
	}
	return head, err
}

func (s *tampered) Tile(ctx context.Context, tree tlog.Tree, level int, index uint64) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := tileAt{tree, level, index}
	s.reads[at]++
	if tile, ok := s.tiles[at]; ok {
		if tile == nil {
			return nil, fs.ErrNotExist
		}
		return bytes.Clone(tile), nil
	}
	return s.Memory.Tile(ctx, tree, level, index)
}

func (s *tampered) LeafHashes(ctx context.Context, tree tlog.Tree, start, end uint64) ([]byte, error) {
	hashes, err := s.Memory.LeafHashes(ctx, tree, start, end)
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := start; i < end && err == nil; i++ {
		if hash, ok := s.hashes[hashAt{tree, i}]; ok && hash == nil {
			return nil, fs.ErrNotExist
		} else if ok {
			copy(hashes[(i-start)*tlog.HashSize:], hash)
		}
	}
	return hashes, err
}

func (s *tampered) Leaves(ctx context.Context, start, end uint64) ([][]byte, error) {
	leaves, err := s.Memory.Leaves(ctx, start, end)
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range leaves {
		if leaf, ok := s.leaves[start+uint64(i)]; ok && leaf == nil {
			return nil, fs.ErrNotExist
		} else if ok {
			leaves[i] = leaf
		}
	}
	return leaves, err
}

// stored returns a leaf as the database has it.
func (s *tampered) stored(t *testing.T, index uint64) []byte {
	t.Helper()
	list, err := s.Leaves(t.Context(), index, index+1)
	if err != nil {
		t.Fatal(err)
	}
	return list[0]
}

// setHash changes what is stored of a leaf's hash, in its row and, where there is one, in its tile; up is how many levels of tiles above
// are made to fit.
func (s *tampered) setHash(t *testing.T, tree tlog.Tree, index uint64, hash []byte, tiles bool) {
	t.Helper()
	s.mu.Lock()
	s.hashes[hashAt{tree, index}] = hash
	s.mu.Unlock()
	if !tiles {
		return
	}
	for level := 0; ; level++ { // every tile on the way up is made to fit, as far as full ones go
		at := tileAt{tree, level, index / tlog.TileWidth}
		tile, err := s.Tile(t.Context(), tree, level, at.index)
		if errors.Is(err, fs.ErrNotExist) {
			return
		}
		copy(tile[index%tlog.TileWidth*tlog.HashSize:], hash)
		s.mu.Lock()
		s.tiles[at] = tile
		s.mu.Unlock()
		hash, index = foldTile(tree, tile), at.index
	}
}

func hashOf(tree tlog.Tree, parts ...[]byte) []byte {
	h := tlogtest.NewHash()
	if tree == tlog.SHA256 {
		h = sha256.New()
	}
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

// foldTile is the root over a full tile, by the definition of RFC 6962.
func foldTile(tree tlog.Tree, tile []byte) []byte {
	nodes := slices.Collect(slices.Chunk(tile, tlog.HashSize))
	for len(nodes) > 1 {
		for i := range len(nodes) / 2 {
			nodes[i] = hashOf(tree, []byte{1}, nodes[2*i], nodes[2*i+1])
		}
		nodes = nodes[:len(nodes)/2]
	}
	return nodes[0]
}

// attacks are what somebody with the database, and without a key, does about one leaf. alters says that they change what the leaf says, or
// take away what proves it, so that nothing of it may be shown.
var attacks = map[string]struct {
	alters bool
	do     func(t *testing.T, s *tampered, size, index uint64)
}{
	"words": {true, func(t *testing.T, s *tampered, _, index uint64) { s.leaves[index] = altered(s.stored(t, index)) }},
	"words and one hash": {true, func(t *testing.T, s *tampered, _, index uint64) {
		s.leaves[index] = altered(s.stored(t, index))
		s.setHash(t, tlog.SM3, index, hashOf(tlog.SM3, []byte{0}, s.leaves[index]), false)
	}},
	"words and both hashes": {true, func(t *testing.T, s *tampered, _, index uint64) {
		s.leaves[index] = altered(s.stored(t, index))
		for _, tree := range tlog.Trees {
			s.setHash(t, tree, index, hashOf(tree, []byte{0}, s.leaves[index]), false)
		}
	}},
	"words, hashes and all tiles": {true, func(t *testing.T, s *tampered, _, index uint64) {
		s.leaves[index] = altered(s.stored(t, index))
		for _, tree := range tlog.Trees {
			s.setHash(t, tree, index, hashOf(tree, []byte{0}, s.leaves[index]), true)
		}
	}},
	"the words of another": {true, func(t *testing.T, s *tampered, size, index uint64) {
		other := (index + 1) % size
		s.leaves[index], s.leaves[other] = s.stored(t, other), s.stored(t, index)
		for _, tree := range tlog.Trees {
			s.setHash(t, tree, index, hashOf(tree, []byte{0}, s.leaves[index]), true)
			s.setHash(t, tree, other, hashOf(tree, []byte{0}, s.leaves[other]), true)
		}
	}},
	"words cut": {true, func(t *testing.T, s *tampered, _, index uint64) { s.leaves[index] = s.stored(t, index)[:3] }},
	"no words":  {true, func(_ *testing.T, s *tampered, _, index uint64) { s.leaves[index] = []byte{} }},
	"hash of one tree": {false, func(t *testing.T, s *tampered, _, index uint64) {
		s.setHash(t, tlog.SHA256, index, make([]byte, tlog.HashSize), true)
	}},
	"no hash": {false, func(_ *testing.T, s *tampered, _, index uint64) { s.hashes[hashAt{tlog.SM3, index}] = nil }},
	"no tile": {false, func(_ *testing.T, s *tampered, _, index uint64) {
		s.tiles[tileAt{tlog.SM3, 0, index / tlog.TileWidth}] = nil
	}},
	"a tile cut short": {false, func(t *testing.T, s *tampered, _, index uint64) {
		s.tiles[tileAt{tlog.SHA256, 0, index / tlog.TileWidth}] = make([]byte, 100)
	}},
	"tiles of the other tree": {false, func(t *testing.T, s *tampered, _, index uint64) {
		for level := range 2 {
			index /= tlog.TileWidth
			if tile, err := s.Memory.Tile(t.Context(), tlog.SM3, level, index); err == nil {
				s.tiles[tileAt{tlog.SHA256, level, index}] = tile
			}
		}
	}},
	"a tile above": {false, func(t *testing.T, s *tampered, _, index uint64) {
		if tile, err := s.Memory.Tile(t.Context(), tlog.SM3, 1, index>>16); err == nil {
			tile[index>>8%256*tlog.HashSize] ^= 1
			s.tiles[tileAt{tlog.SM3, 1, index >> 16}] = tile
		}
	}},
}

// altered changes one bit.
func altered(leaf []byte) []byte {
	leaf = bytes.Clone(leaf)
	leaf[len(leaf)/2] ^= 1
	return leaf
}

// Whatever somebody without a key does to what is stored, nothing false is proven: a leaf that was changed is refused by every way out of
// the log, and what is not refused is the truth.
func TestAlteredIsNotProven(t *testing.T) {
	for _, size := range []int{1, 2, 255, 256, 257, 700, 65536 + 700} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			b := newBench(t)
			var o oracle
			b.grow(t, &o, size)
			size, rounds := uint64(size), 6
			if testing.Short() {
				rounds = 1
			}
			for name, attack := range attacks {
				if size < 2 && name == "the words of another" {
					continue
				}
				for range rounds {
					storage := newTampered(b.memory)
					config := b.config
					config.Storage, config.Poll = storage, time.Hour
					l := openLog(t, config) // it has no tile in memory but those at the edge
					index := rand.Uint64N(size)
					truth := storage.stored(t, index)
					storage.reads = map[tileAt]int{}
					attack.do(t, storage, size, index)
					shown(t, fmt.Sprint(name, " of entry ", index), bench{l, b.memory, b.keys, config}, storage, size, index, truth, attack.alters)
				}
			}
		})
	}
}

// shown tries every way by which entry index, whose bytes are truth, leaves the log.
func shown(t *testing.T, name string, b bench, storage *tampered, size, index uint64, truth []byte, alters bool) {
	t.Helper()
	unproven := func(way string, err error) {
		t.Helper()
		if !errors.Is(err, tlog.ErrUnproven) || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %s: %v", name, way, err)
		}
	}
	r, err := b.Receipt(t.Context(), index)
	if err != nil || alters {
		unproven("receipt", err)
	} else if _, err := tlog.VerifyReceipt(r, b.keys.Trust); err != nil || !bytes.Equal(r.Record, truth) {
		t.Errorf("%s: a receipt of %q: %v", name, r.Record, err)
	}
	leaf, err := storage.Leaves(t.Context(), index, index+1)
	if err == nil {
		if _, err = b.Prove(t.Context(), []tlog.Leaf{{Index: index, Data: leaf[0]}}); err != nil || alters {
			unproven("proof", err)
		}
	}
	first := index / tlog.TileWidth * tlog.TileWidth
	path := fmt.Sprintf("tile/entries/%s", tilePathOf(first/tlog.TileWidth, min(size-first, tlog.TileWidth)))
	bundle, err := b.Bundle(t.Context(), path)
	if err != nil || alters {
		unproven("bundle "+path, err)
	} else if !bytes.Contains(bundle, truth) {
		t.Errorf("%s: bundle is %q", name, bundle)
	}
	for _, tree := range []struct {
		tlog.Tree
		prefix string
	}{{tlog.SM3, "/sm3"}, {tlog.SHA256, ""}} {
		w := ask(b.Handler(), http.MethodGet, tree.prefix+"/tile/0/"+tilePathOf(first/tlog.TileWidth, min(size-first, tlog.TileWidth)))
		at := index % tlog.TileWidth * tlog.HashSize
		switch {
		case w.Code == http.StatusServiceUnavailable:
		case w.Code != http.StatusOK:
			t.Errorf("%s: tile: %d", name, w.Code)
		case !bytes.Equal(w.Body.Bytes()[at:at+tlog.HashSize], hashOf(tree.Tree, []byte{0}, truth)):
			t.Errorf("%s: a tile with another hash was served", name)
		}
	}
	clean := tlog.NewView(b.memory, tlogtest.NewHash)
	want, err := clean.ProveConsistency(t.Context(), index+1, size)
	if err != nil {
		t.Fatal(err)
	}
	if p, err := b.ProveConsistency(t.Context(), index+1, size); err != nil {
		unproven("consistency", err)
	} else if !reflect.DeepEqual(p, want) {
		t.Errorf("%s: a wrong consistency proof", name)
	}
}

// tilePathOf is how C2SP writes the number and the width of a tile.
func tilePathOf(index, width uint64) string {
	text := fmt.Sprintf("%03d", index%1000)
	if index >= 1000 {
		text = fmt.Sprintf("x%03d/%s", index/1000, text)
	}
	if width < tlog.TileWidth {
		text += fmt.Sprintf(".p/%d", width)
	}
	return text
}

// Every leaf proves at its own place with its own bytes, in any order, and nowhere else; and each tile is read once.
func TestProve(t *testing.T) {
	for _, size := range []uint64{1, 255, 256, 257, 65536 + 600} {
		b := newBench(t)
		var o oracle
		b.grow(t, &o, int(size))
		storage := newTampered(b.memory)
		config := b.config
		config.Storage, config.Poll = storage, time.Hour
		l := openLog(t, config)
		var leaves []tlog.Leaf
		for i := uint64(0); i < size; i += 1 + size/500 {
			leaves = append(leaves, tlog.Leaf{Index: i, Data: storage.stored(t, i)})
		}
		slices.Reverse(leaves) // as a search finds them
		storage.restore()
		c, err := l.Prove(t.Context(), leaves)
		if err != nil || c.Size != size || c.Origin != origin {
			t.Fatalf("size %d: %+v, %v", size, c, err)
		}
		for at, n := range storage.reads {
			if n > 1 && at.level == 0 && at.index < size>>16<<8 { // tiles at the edge above level 0 are derived from those below
				t.Errorf("size %d: tile %v was read %d times", size, at, n)
			}
		}
		rand.Shuffle(len(leaves), func(i, j int) { leaves[i], leaves[j] = leaves[j], leaves[i] })
		if _, err := l.Prove(t.Context(), leaves); err != nil {
			t.Errorf("size %d, in any order: %v", size, err)
		}
		one := leaves[rand.IntN(len(leaves))]
		for name, wrong := range map[string]tlog.Leaf{
			"bytes": {Index: one.Index, Data: altered(one.Data)}, "place": {Index: (one.Index + 1) % (size + 1), Data: one.Data},
			"end": {Index: size, Data: one.Data}, "far": {Index: 1 << 60, Data: one.Data}, "nothing": {Index: one.Index},
		} {
			var corrupt *tlog.CorruptError
			if _, err := l.Prove(t.Context(), append(slices.Clone(leaves), wrong)); !errors.As(err, &corrupt) || corrupt.Entry != wrong.Index {
				t.Errorf("size %d, wrong %s: %v", size, name, err)
			}
		}
	}
}

// A head that the log does not verify proves nothing: not an older one of its own, not one whose signature for people's other tools is
// spoilt, and none at all.
func TestNothingIsProvenUnderAnotherHead(t *testing.T) {
	b := newBench(t)
	b.add(t, 300)
	old, err := b.memory.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b.add(t, 5)
	storage := newTampered(b.memory)
	config := b.config
	config.Storage, config.Poll = storage, time.Hour
	l := openLog(t, config)
	leaf := tlog.Leaf{Index: 7, Data: storage.stored(t, 7)}
	edits := map[string]func(tlog.Head) (tlog.Head, error){
		"older": func(tlog.Head) (tlog.Head, error) { return old, nil },
		"gone":  func(tlog.Head) (tlog.Head, error) { return tlog.Head{}, fs.ErrNotExist },
	}
	for name, edit := range headEdits(t, b) {
		edits[name] = func(h tlog.Head) (tlog.Head, error) { return edit(h), nil }
	}
	refused := func(name string, l *tlog.Log, spared string) {
		t.Helper()
		ways := map[string]func() error{
			"receipt":     func() error { _, err := l.Receipt(t.Context(), 7); return err },
			"checkpoint":  func() error { _, err := l.Checkpoint(t.Context()); return err },
			"proof":       func() error { _, err := l.Prove(t.Context(), []tlog.Leaf{leaf}); return err },
			"nothing":     func() error { _, err := l.Prove(t.Context(), nil); return err },
			"bundle":      func() error { _, err := l.Bundle(t.Context(), "tile/entries/000"); return err },
			"consistency": func() error { _, err := l.ProveConsistency(t.Context(), 7, 300); return err },
		}
		for way, run := range ways {
			if err := run(); (!errors.Is(err, tlog.ErrUnproven) || errors.Is(err, fs.ErrNotExist)) && !strings.Contains(spared, way) {
				t.Errorf("%s: %s: %v", name, way, err)
			}
		}
	}
	for name, edit := range edits {
		storage.head = edit
		refused(name, l, "")
		for _, path := range []string{"/checkpoint", "/tile/0/000", "/sm3/tile/0/000.p/3"} {
			if w := ask(l.Handler(), http.MethodGet, path); w.Code != http.StatusServiceUnavailable {
				t.Errorf("%s: %s: %d", name, path, w.Code)
			}
		}
		storage.head = nil
	}
	if _, err := l.Receipt(t.Context(), 7); err != nil {
		t.Errorf("once the head is right again: %v", err)
	}

	// The line of SM2 is spoilt in a head that another node writes, which the other line has verified.
	storage.head = func(h tlog.Head) (tlog.Head, error) {
		text, lines, _ := strings.Cut(h.Checkpoint, "\n\n")
		first, rest, _ := strings.Cut(lines, "\n")
		at := strings.LastIndexByte(first, ' ') + 20
		h.Checkpoint = text + "\n\n" + first[:at] + string('A'+('B'-first[at])&1) + first[at+1:] + "\n" + rest
		return h, nil
	}
	b.add(t, 1)
	refused("another node's SM2 line", l, "proof nothing bundle consistency")
}

// What another node has just appended is proven at once, not at the next look.
func TestProvesWhatAnotherNodeAppended(t *testing.T) {
	b := newBench(t, func(c *tlog.Config) { c.Poll = time.Hour })
	other := openLog(t, b.config)
	for i := range 3 {
		appendTo(t, other, 1+100*i)
		head, err := b.memory.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		r, err := b.Receipt(t.Context(), head.Size-1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tlog.VerifyReceipt(r, b.keys.Trust); err != nil || r.Checkpoint != head.Checkpoint {
			t.Error(err)
		}
		if c, err := b.Prove(t.Context(), []tlog.Leaf{{Index: r.Index, Data: r.Record}}); err != nil || c.Size != head.Size {
			t.Errorf("%+v, %v", c, err)
		}
	}
}

// A log that was put right proves again, without a new start: what was derived from a wrong tile meanwhile is dropped.
func TestProvesAgainOnceRestored(t *testing.T) {
	for way, run := range map[string]func(*tlog.Log) error{
		"proof": func(l *tlog.Log) error {
			_, err := l.Prove(t.Context(), []tlog.Leaf{{Index: 5, Data: []byte("leaf 5")}})
			return err
		},
		"receipt": func(l *tlog.Log) error { _, err := l.Receipt(t.Context(), 5); return err },
	} {
		b := newBench(t)
		b.add(t, 3*tlog.TileWidth)
		storage := newTampered(b.memory)
		config := b.config
		config.Storage, config.Poll = storage, time.Hour
		l := openLog(t, config)
		b.add(t, tlog.TileWidth+1) // a tile that l has not seen
		for _, tree := range tlog.Trees {
			storage.tiles[tileAt{tree, 0, 3}] = make([]byte, tlog.TileWidth*tlog.HashSize)
		}
		if err := run(l); !errors.Is(err, tlog.ErrUnproven) {
			t.Errorf("%s: %v", way, err)
		}
		storage.restore()
		if err := run(l); err != nil {
			t.Errorf("%s, restored: %v", way, err)
		}
	}
}

// That the storage cannot be read says nothing about what it holds.
func TestProveWithoutStorage(t *testing.T) {
	b := newBench(t)
	b.add(t, 300)
	config := b.config
	storage := &failing{Storage: b.memory}
	config.Storage = storage
	l := openLog(t, config)
	storage.down = true
	for _, run := range []func() error{
		func() error { _, err := l.Receipt(t.Context(), 7); return err },
		func() error {
			_, err := l.Prove(t.Context(), []tlog.Leaf{{Index: 7, Data: []byte("leaf 7")}})
			return err
		},
		func() error { _, err := l.Bundle(t.Context(), "tile/entries/000"); return err },
	} {
		if err := run(); !errors.Is(err, errDown) || errors.Is(err, tlog.ErrUnproven) {
			t.Error(err)
		}
	}
}

// failing is a storage whose tiles and leaves cannot be read while it is down.
type failing struct {
	tlog.Storage
	down bool
}

func (f *failing) Tile(ctx context.Context, tree tlog.Tree, level int, index uint64) ([]byte, error) {
	if f.down {
		return nil, errDown
	}
	return f.Storage.Tile(ctx, tree, level, index)
}

func (f *failing) Leaves(ctx context.Context, start, end uint64) ([][]byte, error) {
	if f.down {
		return nil, errDown
	}
	return f.Storage.Leaves(ctx, start, end)
}

// A view without keys hands out nothing but what is verified beside its checkpoint, and its receipts are.
func TestViewWithoutKeys(t *testing.T) {
	b := newBench(t)
	b.add(t, 300)
	view := tlog.NewView(b.memory, tlogtest.NewHash)
	if r, err := view.Receipt(t.Context(), 7); err != nil {
		t.Error(err)
	} else if _, err := tlog.VerifyReceipt(r, b.keys.Trust); err != nil {
		t.Error(err)
	}
	if _, err := view.Prove(t.Context(), nil); !errors.Is(err, tlog.ErrUnproven) {
		t.Errorf("proof: %v", err)
	}
	if _, err := view.Bundle(t.Context(), "tile/entries/000"); !errors.Is(err, tlog.ErrUnproven) {
		t.Errorf("bundle: %v", err)
	}
	b.memory.AlterLeaf(7)
	b.memory.AlterTile(tlog.SM3, 0, 0, 3000) // entry 93
	for _, index := range []uint64{7, 8} {
		if _, err := view.Receipt(t.Context(), index); !errors.Is(err, tlog.ErrUnproven) {
			t.Errorf("entry %d: %v", index, err)
		}
	}
}

// Commit gives the batch what the database says, as the store does within its transaction.
func (s *tampered) Commit(ctx context.Context, b tlog.Batch) ([]error, error) {
	integrate := b.Integrate
	b.Integrate = func(head tlog.Head, _ tlog.Reader, accepted []int) (tlog.Update, error) {
		return integrate(head, s, accepted)
	}
	return s.Memory.Commit(ctx, b)
}

// A tile is completed of hashes that prove: one that somebody altered before is not written for ever, and nothing is recorded until it is
// put right.
func TestNoTileOfAlteredHashes(t *testing.T) {
	for _, tree := range tlog.Trees {
		b := newBench(t)
		b.add(t, tlog.TileWidth-1)
		storage := newTampered(b.memory)
		config := b.config
		config.Storage, config.Poll = storage, time.Hour
		l := openLog(t, config)
		storage.setHash(t, tree, 7, make([]byte, tlog.HashSize), false)
		if _, err := l.Append(t.Context(), []byte("the last of the tile"), nil); !errors.Is(err, tlog.ErrUnavailable) || !errors.Is(err, tlog.ErrUnproven) {
			t.Errorf("%s: %v", tree, err)
		}
		storage.restore()
		if _, err := l.Append(t.Context(), []byte("the last of the tile"), nil); err != nil {
			t.Errorf("%s, restored: %v", tree, err)
		}
		if err := l.Close(t.Context()); err != nil {
			t.Error(err)
		}
		tlogtest.CheckLog(t, b.memory, b.keys.Trust)
	}
}

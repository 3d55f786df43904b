package tlog_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"oncegate/certs/sm"
	"oncegate/tlog"
	"oncegate/tlog/tlogtest"
)

// BenchmarkAppend measures the log itself: storage in memory, leaves of 512 bytes, receipts with both
// proofs. One operation is one entry.
func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 64, 512} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			l := newBench(b)
			leaf := bytes.Repeat([]byte{'x'}, 512)
			var next atomic.Int64
			var wg sync.WaitGroup
			b.ResetTimer()
			for range writers {
				wg.Go(func() {
					for next.Add(1) <= int64(b.N) {
						if _, err := l.Append(b.Context(), leaf, nil); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "entries/s")
			b.ReportMetric(float64(b.N)/float64(max(1, l.Stats().Batches)), "entries/batch")
		})
	}
}

func BenchmarkVerifyReceipt(b *testing.B) {
	l := newBench(b)
	var o oracle
	l.grow(b, &o, 2000)
	r, err := l.Receipt(b.Context(), 777)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := tlog.VerifyReceipt(r, l.keys.Trust); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReceipt measures a receipt for an old entry, read from tiles.
func BenchmarkReceipt(b *testing.B) {
	l := newBench(b)
	var o oracle
	l.grow(b, &o, 70000)
	for i := uint64(0); b.Loop(); i++ {
		if _, err := l.Receipt(b.Context(), i*7919%70000); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyLog(b *testing.B) {
	l := newBench(b)
	var o oracle
	l.grow(b, &o, 20000)
	c, err := tlog.ParseCheckpoint(l.Known())
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := tlog.VerifyLog(b.Context(), l.memory, c, tlogtest.NewHash, nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(20000*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
}

var proveSize = flag.Uint64("prove.size", 1e6, "entries of the log that BenchmarkProve proves leaves in")

// sampled is a log too large to append to: all tiles above level 0, and those of level 0 that hold the leaves asked for.
type sampled struct {
	*tlogtest.Memory
	head  tlog.Head
	tiles map[tileAt][]byte
	edge  map[tlog.Tree][]byte // leaf hashes behind the last full tile
	first uint64               // of them
}

func (s *sampled) Head(context.Context) (tlog.Head, error) { return s.head, nil }

func (s *sampled) Tile(_ context.Context, tree tlog.Tree, level int, index uint64) ([]byte, error) {
	if tile, ok := s.tiles[tileAt{tree, level, index}]; ok {
		return tile, nil
	}
	return nil, fs.ErrNotExist
}

func (s *sampled) LeafHashes(_ context.Context, tree tlog.Tree, start, end uint64) ([]byte, error) {
	return s.edge[tree][(start-s.first)*tlog.HashSize : (end-s.first)*tlog.HashSize], nil
}

// BenchmarkProve proves leaves of a large log with the real hashes: as the newest page of a search, scattered at random as an old
// page, and the largest page. "cold" is the first proof of a process; "warm" has the tiles above level 0 in memory, as after some.
func BenchmarkProve(b *testing.B) {
	keys := tlogtest.NewKeys(b, origin)
	keys.Trust.NewSM3 = sm.New
	size := *proveSize
	wanted := map[string][]uint64{}
	for name, n := range map[string]int{"scattered 1": 1, "scattered 100": 100, "scattered 1000": 1000} {
		for range n {
			wanted[name] = append(wanted[name], rand.Uint64N(size))
		}
		slices.Sort(wanted[name])
	}
	for i := range uint64(100) {
		wanted["newest 100"] = append(wanted["newest 100"], size-100+i)
	}
	keep := map[uint64]bool{}
	for _, list := range wanted {
		for _, index := range list {
			keep[index/tlog.TileWidth] = true
		}
	}
	s := &sampled{tiles: map[tileAt][]byte{}, edge: map[tlog.Tree][]byte{}, first: size / tlog.TileWidth * tlog.TileWidth}
	bulk, sm3, sha := tlogtest.NewBulk(sm.New), sm.New(), sha256.New()
	leaf := func(i uint64) []byte { return fmt.Appendf(make([]byte, 0, 800), "%0700d", i) }
	for i := range size {
		h := tlogtest.HashLeaf(sm3, sha, leaf(i))
		full, err := bulk.Append(h)
		if err != nil {
			b.Fatal(err)
		}
		for _, tile := range full {
			if tile.Level > 0 || keep[tile.Index] || tile.Index >= s.first/tlog.TileWidth-tlog.TileWidth {
				s.tiles[tileAt{tile.Tree, tile.Level, tile.Index}] = tile.Hashes
			}
		}
		if i >= s.first {
			s.edge[tlog.SM3] = append(s.edge[tlog.SM3], h.SM3[:]...)
			s.edge[tlog.SHA256] = append(s.edge[tlog.SHA256], h.SHA256[:]...)
		}
	}
	var err error
	if s.head, err = bulk.Head(b.Context(), origin, keys.SM2, keys.Ed25519); err != nil {
		b.Fatal(err)
	}
	s.Memory = new(tlogtest.Memory)
	config := keys.Config(s)
	config.NewSM3, config.Poll = sm.New, time.Hour
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		var leaves []tlog.Leaf
		for _, index := range wanted[name] {
			leaves = append(leaves, tlog.Leaf{Index: index, Data: leaf(index)})
		}
		prove := func(b *testing.B, l *tlog.Log) {
			if _, err := l.Prove(b.Context(), leaves); err != nil {
				b.Fatal(err)
			}
		}
		b.Run(name+"/cold", func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				l, err := tlog.Open(b.Context(), config)
				if err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				prove(b, l)
				b.StopTimer()
				l.Close(b.Context())
				b.StartTimer()
			}
		})
		b.Run(name+"/warm", func(b *testing.B) {
			l := openLog(b, config)
			prove(b, l)
			for b.Loop() {
				prove(b, l)
			}
		})
	}
}

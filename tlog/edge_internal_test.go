package tlog

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"testing"
)

// A countedTiles has every full tile of level 0, each of hashes that no other has, and counts how many are read.
type countedTiles struct {
	Reader
	read int
}

func (r *countedTiles) Tile(_ context.Context, tree Tree, level int, index uint64) (tile []byte, err error) {
	r.read++
	for i := range uint64(TileWidth) {
		sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte{byte(tree), byte(level)}, index*TileWidth+i))
		tile = append(tile, sum[:]...)
	}
	return tile, nil
}

// A tile at the right edge is derived once: as it grows, only what is new of it is read. A tile that was read before it, and one after it,
// are others.
func TestEdgeTileIsKept(t *testing.T) {
	r := &countedTiles{}
	n := newNodes(newHashers(sha256.New))
	for i, ask := range []struct {
		index       uint64
		width, read int
	}{
		{0, 3, 3}, {0, 3, 0}, {0, 2, 0}, {0, 5, 2}, {0, 5, 0},
		{1, 2, 2}, {1, 2, 0}, {0, 5, 5}, {1, 2, 0}, {1, 1, 0}, {1, 4, 2},
	} {
		r.read = 0
		n.kept = newTileCache() // full tiles are kept beside it
		got, err := n.edgeTile(t.Context(), r, SM3, 1, ask.index, ask.width)
		if err != nil {
			t.Fatal(err)
		}
		if r.read != ask.read {
			t.Errorf("%d: %d tiles were read, want %d", i, r.read, ask.read)
		}
		want, err := newNodes(newHashers(sha256.New)).edgeTile(t.Context(), &countedTiles{}, SM3, 1, ask.index, ask.width)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d: tile %d of %d hashes is another: %v", i, ask.index, ask.width, err)
		}
	}
}

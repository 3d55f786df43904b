package tlog

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// errTilePath says that a path names no tile. There is one way only to write the path of a tile.
var errTilePath = errors.New("not the path of a tile")

// maxTileLevel is the highest level a tile can have in a log of MaxSize leaves; C2SP allows more.
const maxTileLevel = 6

// tileName is what a path of C2SP tlog-tiles names: tile/<L>/<N>[.p/<W>].
type tileName struct {
	entries bool // tile/entries/…: leaves instead of hashes; level is 0
	level   int
	index   uint64
	width   int // 1 to TileWidth
}

// tilePath names a tile for people, as it is served below the log's prefix.
func tilePath(tree Tree, level int, index uint64, width int) string {
	path := tileName{level: level, index: index, width: width}.String()
	if tree == SM3 {
		return "sm3/" + path
	}
	return path
}

// String returns the path: N in groups of three digits, all but the last marked with x.
func (t tileName) String() string {
	n := fmt.Sprintf("%03d", t.index%1000)
	for rest := t.index / 1000; rest > 0; rest /= 1000 {
		n = fmt.Sprintf("x%03d/%s", rest%1000, n)
	}
	level := strconv.Itoa(t.level)
	if t.entries {
		level = "entries"
	}
	if t.width == TileWidth {
		return "tile/" + level + "/" + n
	}
	return fmt.Sprintf("tile/%s/%s.p/%d", level, n, t.width)
}

// parseTilePath reads what String writes, and nothing else.
func parseTilePath(path string) (tileName, error) {
	if len(path) > 64 {
		return tileName{}, errTilePath
	}
	t := tileName{width: TileWidth}
	rest, ok := strings.CutPrefix(path, "tile/")
	level, rest, ok2 := strings.Cut(rest, "/")
	if !ok || !ok2 {
		return tileName{}, errTilePath
	}
	if level == "entries" {
		t.entries = true
	} else if n, err := strconv.ParseUint(level, 10, 8); err == nil && n <= maxTileLevel {
		t.level = int(n)
	} else {
		return tileName{}, errTilePath
	}
	if n, width, ok := strings.Cut(rest, ".p/"); ok {
		w, err := strconv.ParseUint(width, 10, 8)
		if err != nil || w == 0 {
			return tileName{}, errTilePath
		}
		rest, t.width = n, int(w)
	}
	for group := range strings.SplitSeq(rest, "/") {
		n, err := strconv.ParseUint(strings.TrimPrefix(group, "x"), 10, 16)
		if err != nil || n > 999 || t.index > MaxSize/1000 {
			return tileName{}, errTilePath
		}
		t.index = t.index*1000 + n
	}
	// Everything that was read leniently above (leading zeros, signs, x marks) shows here.
	if t.index > MaxSize/TileWidth || t.String() != path {
		return tileName{}, errTilePath
	}
	return t, nil
}

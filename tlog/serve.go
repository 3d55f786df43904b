package tlog

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
)

// Cache rules. What a tile holds never changes; a partial one is soon replaced by a wider one.
const (
	cacheCheckpoint = "no-cache"
	cacheFull       = "public, max-age=31536000, immutable"
	cachePartial    = "public, max-age=60"
	cacheEntries    = "private, max-age=31536000, immutable"
	cacheError      = "no-store"
)

// Handler serves what is public of the log, as C2SP tlog-tiles below the prefix where it is mounted
// with http.StripPrefix: /checkpoint, /tile/<L>/<N>[.p/<W>] of the SHA-256 tree, and the same below
// /sm3 of the SM3 tree. Partial tiles are derived, up to the committed size. Everything else is 404.
func (v *View) Handler() http.Handler {
	return get(func(ctx context.Context, path string) (resource, error) {
		if path == "/checkpoint" {
			signed, err := v.Checkpoint(ctx)
			return resource{[]byte(signed), "text/plain; charset=utf-8", cacheCheckpoint}, err
		}
		tree := SHA256
		if rest, ok := strings.CutPrefix(path, "/sm3/"); ok {
			tree, path = SM3, "/"+rest
		}
		name, err := parseTilePath(strings.TrimPrefix(path, "/"))
		if err != nil || path[0] != '/' || name.entries {
			return resource{}, fs.ErrNotExist
		}
		hashes, err := v.tile(ctx, tree, name)
		return resource{hashes, "application/octet-stream", cacheOf(name)}, err
	})
}

// EntriesHandler serves entry bundles, /tile/entries/<N>[.p/<W>]: leaves, each after its length in two
// bytes. Leaves are not public: the caller puts it behind the right to read them.
func (v *View) EntriesHandler() http.Handler {
	return get(func(ctx context.Context, path string) (resource, error) {
		rest, ok := strings.CutPrefix(path, "/")
		name, err := parseTilePath(rest)
		if err != nil || !ok || !name.entries {
			return resource{}, fs.ErrNotExist
		}
		bundle, err := v.bundle(ctx, name)
		return resource{bundle, "application/octet-stream", cacheEntries}, err
	})
}

func cacheOf(name tileName) string {
	if name.width == TileWidth {
		return cacheFull
	}
	return cachePartial
}

// tile returns a tile within the committed size, or fs.ErrNotExist. A stored tile that does not prove is ErrUnproven, and not served,
// though it would deceive no tool that verifies: one that fetched it would report the log as forked or broken, and a full tile stays in
// caches for a year, also after it was put right.
func (v *View) tile(ctx context.Context, tree Tree, name tileName) ([]byte, error) {
	head, err := v.published(ctx, name)
	if err != nil {
		return nil, err
	}
	hashes, err := v.proven(ctx, tree, head).tile(name.level, name.index)
	if err != nil {
		return nil, err
	}
	return hashes[:name.width*HashSize], nil
}

// published returns the head under which a tile is served, or fs.ErrNotExist if less is committed of the tile than its name says.
func (v *View) published(ctx context.Context, name tileName) (Head, error) {
	if v.verifiedHead == nil {
		return Head{}, errKeyless
	}
	head, err := v.head(ctx)
	if err != nil {
		return head, err
	}
	nodes, first := head.Size>>(8*name.level), name.index*TileWidth
	if first >= nodes || nodes-first < uint64(name.width) {
		return head, fs.ErrNotExist
	}
	return head, nil
}

func (v *View) bundle(ctx context.Context, name tileName) ([]byte, error) {
	head, err := v.published(ctx, name)
	if err != nil {
		return nil, err
	}
	first := name.index * TileWidth
	leaves, err := v.storage.Leaves(ctx, first, first+uint64(name.width))
	if err != nil {
		return nil, committed(err)
	}
	for _, tree := range Trees {
		tiles := v.proven(ctx, tree, head)
		for i, leaf := range leaves {
			if err := tiles.leaf(Leaf{first + uint64(i), leaf}); err != nil {
				return nil, err
			}
		}
	}
	var bundle []byte
	for _, leaf := range leaves {
		bundle = binary.BigEndian.AppendUint16(bundle, uint16(len(leaf)))
		bundle = append(bundle, leaf...)
	}
	return bundle, nil
}

type resource struct {
	body  []byte
	kind  string // Content-Type
	cache string // Cache-Control
}

// get serves resources by path. Errors say nothing but their status.
func get(find func(ctx context.Context, path string) (resource, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", cacheError)
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		if r.URL.RawPath != "" || r.URL.Path == "" { // no public path needs escapes
			http.Error(w, "not found", http.StatusNotFound)
			return
		}
		res, err := find(r.Context(), r.URL.Path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			http.Error(w, "not found", http.StatusNotFound)
		case err != nil:
			http.Error(w, "log is unavailable", http.StatusServiceUnavailable)
		default:
			w.Header().Set("Cache-Control", res.cache)
			w.Header().Set("Content-Type", res.kind)
			w.Header().Set("Content-Length", strconv.Itoa(len(res.body)))
			w.Write(res.body)
		}
	})
}

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

// Bundle returns an entry bundle by its C2SP path below the log, "tile/entries/<N>[.p/<W>]", within the committed size.
// fs.ErrNotExist for everything else, and ErrUnproven if one of the leaves does not prove: a bundle names no checkpoint that its
// reader would hold it against, so that an altered leaf would be read as a record. Leaves are not public: the caller checks the right to
// read them.
func (v *View) Bundle(ctx context.Context, path string) ([]byte, error) {
	name, err := parseTilePath(strings.TrimPrefix(path, "/"))
	if err != nil || !name.entries {
		return nil, fs.ErrNotExist
	}
	return v.bundle(ctx, name)
}

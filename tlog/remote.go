package tlog

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strings"
)

// maxBundle is the length in bytes of the largest possible entry bundle.
const maxBundle = TileWidth * (2 + MaxLeaf)

// Remote reads a log over HTTP, as Handler and EntriesHandler serve it under one prefix. Nothing that
// it returns is proven: VerifyLog and VerifyCheckpoint do that.
type Remote struct {
	Base   string       // URL of the prefix, such as "https://gateway.example/log"
	Client *http.Client // nil is http.DefaultClient

	// Authorize, if not nil, adds to a request what entries ask for.
	Authorize func(*http.Request) error

	// Refused, if not nil, makes an error of an answer that is neither 200 nor 404, of at most maxRefusal bytes of its body; nil is
	// the status.
	Refused func(status int, body []byte) error
}

// maxRefusal is how many bytes of a refusal are read.
const maxRefusal = 256 << 10

var _ Reader = (*Remote)(nil)

// Checkpoint returns the newest checkpoint, a signed note.
func (r *Remote) Checkpoint(ctx context.Context) (string, error) {
	b, err := r.get(ctx, "checkpoint", MaxCheckpoint)
	return string(b), err
}

// Tile implements Reader.
func (r *Remote) Tile(ctx context.Context, tree Tree, level int, index uint64) ([]byte, error) {
	return r.tile(ctx, tree, level, index, TileWidth)
}

func (r *Remote) tile(ctx context.Context, tree Tree, level int, index uint64, width int) ([]byte, error) {
	path := tilePath(tree, level, index, width)
	b, err := r.get(ctx, path, width*HashSize)
	if err == nil && len(b) != width*HashSize {
		err = fmt.Errorf("get %s: %d bytes", path, len(b))
	}
	return b, err
}

// LeafHashes implements Reader.
func (r *Remote) LeafHashes(ctx context.Context, tree Tree, start, end uint64) (hashes []byte, err error) {
	err = eachTile(start, end, func(index uint64, from, to int) error {
		b, err := r.tile(ctx, tree, 0, index, to)
		if err == nil {
			hashes = append(hashes, b[from*HashSize:]...)
		}
		return err
	})
	return hashes, err
}

// Leaves implements Reader. It asks for entry bundles, which need a right.
func (r *Remote) Leaves(ctx context.Context, start, end uint64) (leaves [][]byte, err error) {
	err = eachTile(start, end, func(index uint64, from, to int) error {
		path := tileName{entries: true, index: index, width: to}.String()
		b, err := r.get(ctx, path, maxBundle)
		if err != nil {
			return err
		}
		list, err := parseBundle(b, to)
		if err != nil {
			return fmt.Errorf("get %s: %w", path, err)
		}
		leaves = append(leaves, list[from:]...)
		return nil
	})
	return leaves, err
}

// eachTile calls visit for every tile of level 0 that start to end touches, with the part of it.
func eachTile(start, end uint64, visit func(index uint64, from, to int) error) error {
	for start < end {
		index := start / TileWidth
		to := min(end-index*TileWidth, TileWidth)
		if err := visit(index, int(start%TileWidth), int(to)); err != nil {
			return err
		}
		start = index*TileWidth + to
	}
	return nil
}

// parseBundle reads exactly count leaves, each after its length in two bytes.
func parseBundle(b []byte, count int) ([][]byte, error) {
	leaves := make([][]byte, 0, count)
	for range count {
		if len(b) < 2 || len(b)-2 < int(binary.BigEndian.Uint16(b)) {
			return nil, errors.New("entry bundle is cut short")
		}
		n := 2 + int(binary.BigEndian.Uint16(b))
		leaves = append(leaves, b[2:n:n])
		b = b[n:]
	}
	if len(b) > 0 {
		return nil, errors.New("entry bundle is too long")
	}
	return leaves, nil
}

// get reads at most limit bytes of a resource; fs.ErrNotExist is the server's 404.
func (r *Remote) get(ctx context.Context, path string, limit int) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(r.Base, "/")+"/"+path, nil)
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", path, err)
	}
	if r.Authorize != nil {
		if err := r.Authorize(req); err != nil {
			return nil, fmt.Errorf("get %s: %w", path, err)
		}
	}
	client := r.Client
	if client == nil {
		client = http.DefaultClient
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", path, err)
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusNotFound {
		return nil, fmt.Errorf("get %s: %w", path, fs.ErrNotExist)
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("get %s: %w", path, r.refused(res))
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, int64(limit)+1))
	if err == nil && len(b) > limit {
		err = errors.New("answer is too long")
	}
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", path, err)
	}
	return b, nil
}

// refused is the error of an answer that is a refusal.
func (r *Remote) refused(res *http.Response) (err error) {
	if r.Refused != nil {
		body, _ := io.ReadAll(io.LimitReader(res.Body, maxRefusal))
		err = r.Refused(res.StatusCode, body)
	}
	if err == nil {
		err = fmt.Errorf("status %d", res.StatusCode)
	}
	return err
}

package hammer

import (
	"context"
	"fmt"
	"slices"

	"oncegate/certs/sm"
	"oncegate/tlog"
)

// mostHistory bounds how many checkpoints of receipts are held against the log, spread evenly from the first to the last: each
// takes a proof of its own.
const mostHistory = 64

// history proves that the log extends the checkpoints that receipts stand under: that no answer was given in another history.
func (p *prover) history(ctx context.Context, r tlog.Reader, newest tlog.Checkpoint, signed string) error {
	view := tlog.NewView(fixed{&cached{Reader: r}, tlog.Head{Size: newest.Size, Checkpoint: signed}}, sm.New)
	for _, c := range spread(p.seen) {
		if c.Size > newest.Size {
			p.wrong(CheckHistory, fmt.Errorf("a receipt's checkpoint has size %d, the log %d", c.Size, newest.Size))
			continue
		}
		proofs, err := view.ProveConsistency(ctx, c.Size, newest.Size)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil {
			err = tlog.VerifyConsistency(sm.New, c, newest, proofs)
		}
		if err != nil {
			p.wrong(CheckHistory, err)
		}
	}
	return nil
}

// spread picks at most mostHistory checkpoints, the smallest and the largest among them, in order of size.
func spread(seen map[string]tlog.Checkpoint) []tlog.Checkpoint {
	all := make([]tlog.Checkpoint, 0, len(seen))
	for _, c := range seen {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b tlog.Checkpoint) int { return int(int64(a.Size) - int64(b.Size)) })
	if len(all) <= mostHistory {
		return all
	}
	picked := make([]tlog.Checkpoint, mostHistory)
	for i := range picked {
		picked[i] = all[i*(len(all)-1)/(mostHistory-1)]
	}
	return picked
}

// fixed is a log as it stood at one head.
type fixed struct {
	tlog.Reader
	head tlog.Head
}

// Head implements tlog.Published.
func (f fixed) Head(context.Context) (tlog.Head, error) { return f.head, nil }

// cached keeps what it has read: proofs share most of their tiles.
type cached struct {
	tlog.Reader
	tiles  map[tileKey][]byte
	hashes map[hashKey][]byte
}

type tileKey struct {
	tree  tlog.Tree
	level int
	index uint64
}

type hashKey struct {
	tree       tlog.Tree
	start, end uint64
}

// Tile implements tlog.Reader.
func (c *cached) Tile(ctx context.Context, tree tlog.Tree, level int, index uint64) ([]byte, error) {
	return remembered(&c.tiles, tileKey{tree, level, index}, func() ([]byte, error) { return c.Reader.Tile(ctx, tree, level, index) })
}

// LeafHashes implements tlog.Reader.
func (c *cached) LeafHashes(ctx context.Context, tree tlog.Tree, start, end uint64) ([]byte, error) {
	return remembered(&c.hashes, hashKey{tree, start, end}, func() ([]byte, error) { return c.Reader.LeafHashes(ctx, tree, start, end) })
}

func remembered[K comparable](known *map[K][]byte, key K, read func() ([]byte, error)) ([]byte, error) {
	if b, ok := (*known)[key]; ok {
		return slices.Clone(b), nil
	}
	b, err := read()
	if err == nil {
		if *known == nil {
			*known = map[K][]byte{}
		}
		(*known)[key] = slices.Clone(b)
	}
	return b, err
}

package tlog_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"oncegate/tlog"
	"oncegate/tlog/tlogtest"
)

func TestVerifyLogNamesWhatIsWrong(t *testing.T) {
	b := newBench(t)
	var o oracle
	b.grow(t, &o, 66000)
	for name, x := range map[string]struct {
		damage func(*tlogtest.Memory)
		entry  uint64
		tile   string
	}{
		"first entry":         {func(m *tlogtest.Memory) { m.AlterLeaf(0) }, 0, ""},
		"entry in a tile":     {func(m *tlogtest.Memory) { m.AlterLeaf(1000) }, 1000, ""},
		"entry at the edge":   {func(m *tlogtest.Memory) { m.AlterLeaf(65999) }, 65999, ""},
		"two entries":         {func(m *tlogtest.Memory) { m.AlterLeaf(700); m.AlterLeaf(600) }, 600, ""},
		"tile":                {func(m *tlogtest.Memory) { m.AlterTile(tlog.SHA256, 0, 3, 32*7) }, 3*256 + 7, "tile/0/003"},
		"SM3 tile":            {func(m *tlogtest.Memory) { m.AlterTile(tlog.SM3, 0, 255, 0) }, 255 * 256, "sm3/tile/0/255"},
		"tile of level 1":     {func(m *tlogtest.Memory) { m.AlterTile(tlog.SHA256, 1, 0, 32*9+31) }, 9 * 256, "tile/1/000"},
		"entry, and its tile": {func(m *tlogtest.Memory) { m.AlterLeaf(5); m.AlterTile(tlog.SM3, 0, 0, 32*5) }, 5, ""},
	} {
		t.Run(name, func(t *testing.T) {
			m := b.memory.Copy()
			x.damage(m)
			c, err := tlog.ParseCheckpoint(b.Known())
			if err != nil {
				t.Fatal(err)
			}
			err = tlog.VerifyLog(t.Context(), m, c, tlogtest.NewHash, nil)
			var wrong *tlog.CorruptError
			if !errors.As(err, &wrong) || !errors.Is(err, tlog.ErrUnproven) {
				t.Fatalf("error is %v", err)
			}
			if wrong.Entry != x.entry || wrong.Tile != x.tile {
				t.Errorf("error is %v", err)
			}
		})
	}
}

func TestVerifyLogAgainstAnotherCheckpoint(t *testing.T) {
	b, other := newBench(t), newBench(t)
	b.add(t, 300)
	for range 300 {
		other.mustAppend(t, "another history")
	}
	for name, x := range map[string]struct {
		c    func() tlog.Checkpoint
		want bool
	}{
		"own":     {func() tlog.Checkpoint { c, _ := tlog.ParseCheckpoint(b.Known()); return c }, true},
		"foreign": {func() tlog.Checkpoint { c, _ := tlog.ParseCheckpoint(other.Known()); return c }, false},
		"larger":  {func() tlog.Checkpoint { c, _ := tlog.ParseCheckpoint(b.Known()); c.Size++; return c }, false},
		"smaller": {func() tlog.Checkpoint { c, _ := tlog.ParseCheckpoint(b.Known()); c.Size--; return c }, false},
	} {
		err := tlog.VerifyLog(t.Context(), b.memory, x.c(), tlogtest.NewHash, nil)
		if (err == nil) != x.want || err != nil && !errors.Is(err, tlog.ErrUnproven) {
			t.Errorf("%s: error is %v", name, err)
		}
	}
}

func TestVerifyLogProgress(t *testing.T) {
	b := newBench(t)
	b.add(t, 600)
	c, err := tlog.ParseCheckpoint(b.Known())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var seen []string
	progress := func(done, total uint64) { seen = append(seen, fmt.Sprintf("%d/%d", done, total)) }
	if err := tlog.VerifyLog(ctx, b.memory, c, tlogtest.NewHash, progress); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(seen); got != "[256/600 512/600 600/600]" {
		t.Errorf("progress is %s", got)
	}
	stop := func(uint64, uint64) { cancel() }
	if err := tlog.VerifyLog(ctx, b.memory, c, tlogtest.NewHash, stop); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
}

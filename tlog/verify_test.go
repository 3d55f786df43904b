package tlog_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"oncegate/check"
	"oncegate/tlog"
	"oncegate/tlog/tlogtest"
)

var allSteps = []string{
	tlog.StepCheckpoint, tlog.StepOrigin, tlog.StepSM2, tlog.StepEd25519, tlog.StepSM3Tree, tlog.StepSHA256Tree,
}

func TestVerifyReceipt(t *testing.T) {
	b := newBench(t)
	b.add(t, 5)
	good := b.mustAppend(t, "the one")
	b.add(t, 3)
	other := b.mustAppend(t, "another")
	strange := tlogtest.NewKeys(t, origin)
	c, err := tlog.ParseCheckpoint(good.Checkpoint)
	if err != nil {
		t.Fatal(err)
	}
	sm2, ed := tlogtest.Line(t, b.keys.SM2, c.Text()), tlogtest.Line(t, b.keys.Ed25519, c.Text())
	flip := func(p [][]byte) [][]byte {
		p = append([][]byte(nil), p...)
		h := []byte(string(p[0]))
		h[5] ^= 1
		p[0] = h
		return p
	}
	for name, x := range map[string]struct {
		change func(*tlog.Receipt, *tlog.Trust)
		failed []string
		cannot []string
	}{
		"good":                {func(*tlog.Receipt, *tlog.Trust) {}, nil, nil},
		"record":              {func(r *tlog.Receipt, _ *tlog.Trust) { r.Record = []byte("the 0ne") }, []string{tlog.StepSM3Tree, tlog.StepSHA256Tree}, nil},
		"index":               {func(r *tlog.Receipt, _ *tlog.Trust) { r.Index-- }, []string{tlog.StepSM3Tree, tlog.StepSHA256Tree}, nil},
		"index beyond":        {func(r *tlog.Receipt, _ *tlog.Trust) { r.Index = 6 }, []string{tlog.StepSM3Tree, tlog.StepSHA256Tree}, nil},
		"SM3 proof":           {func(r *tlog.Receipt, _ *tlog.Trust) { r.Proofs.SM3 = flip(r.Proofs.SM3) }, []string{tlog.StepSM3Tree}, nil},
		"SHA-256 proof":       {func(r *tlog.Receipt, _ *tlog.Trust) { r.Proofs.SHA256 = flip(r.Proofs.SHA256) }, []string{tlog.StepSHA256Tree}, nil},
		"no SM3 proof":        {func(r *tlog.Receipt, _ *tlog.Trust) { r.Proofs.SM3 = nil }, []string{tlog.StepSM3Tree}, nil},
		"proofs swapped":      {func(r *tlog.Receipt, _ *tlog.Trust) { r.Proofs.SM3, r.Proofs.SHA256 = r.Proofs.SHA256, r.Proofs.SM3 }, []string{tlog.StepSM3Tree, tlog.StepSHA256Tree}, nil},
		"later checkpoint":    {func(r *tlog.Receipt, _ *tlog.Trust) { r.Checkpoint = other.Checkpoint }, []string{tlog.StepSM3Tree, tlog.StepSHA256Tree}, nil},
		"no form":             {func(r *tlog.Receipt, _ *tlog.Trust) { r.Checkpoint = "x" }, []string{tlog.StepCheckpoint}, nil},
		"no Ed25519 line":     {func(r *tlog.Receipt, _ *tlog.Trust) { r.Checkpoint = c.Text() + "\n" + sm2 }, nil, []string{tlog.StepEd25519}},
		"no SM2 line":         {func(r *tlog.Receipt, _ *tlog.Trust) { r.Checkpoint = c.Text() + "\n" + ed }, []string{tlog.StepSM2}, nil},
		"Ed25519 unknown":     {func(_ *tlog.Receipt, t *tlog.Trust) { t.Ed25519 = nil }, nil, []string{tlog.StepEd25519}},
		"keys of another log": {func(_ *tlog.Receipt, t *tlog.Trust) { t.SM2, t.Ed25519 = strange.Trust.SM2, strange.Trust.Ed25519 }, []string{tlog.StepSM2}, []string{tlog.StepEd25519}},
		"other origin":        {func(_ *tlog.Receipt, t *tlog.Trust) { t.Origin = "log.example/other" }, []string{tlog.StepOrigin}, nil},
		"SM2 line altered":    {func(r *tlog.Receipt, _ *tlog.Trust) { r.Checkpoint = c.Text() + "\n" + alter(sm2) + ed }, []string{tlog.StepSM2}, nil},
		"Ed25519 altered":     {func(r *tlog.Receipt, _ *tlog.Trust) { r.Checkpoint = c.Text() + "\n" + sm2 + alter(ed) }, []string{tlog.StepEd25519}, nil},
		"size altered": {func(r *tlog.Receipt, _ *tlog.Trust) {
			r.Checkpoint = strings.Replace(r.Checkpoint, "\n6\n", "\n7\n", 1)
		}, []string{tlog.StepSM2, tlog.StepEd25519, tlog.StepSM3Tree, tlog.StepSHA256Tree}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r, trust := good, b.keys.Trust
			x.change(&r, &trust)
			steps, err := tlog.VerifyReceipt(r, trust)
			if (err != nil) != (len(x.failed) > 0 || name == "no Ed25519 line") || err != nil && !errors.Is(err, tlog.ErrUnproven) {
				t.Errorf("error is %v", err)
			}
			var names, failed, cannot []string
			for _, s := range steps {
				names = append(names, s.Name)
				switch s.State {
				case check.Failed:
					failed = append(failed, s.Name)
				case check.NotCheckable:
					cannot = append(cannot, s.Name)
				}
				if (s.Reason == "") != (s.State == check.OK) {
					t.Errorf("step %+v", s)
				}
			}
			want := allSteps
			if name == "no form" {
				want = allSteps[:1]
			}
			if diff := cmp.Diff([][]string{want, x.failed, x.cannot}, [][]string{names, failed, cannot}); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// alter changes a bit of a signature line's signature, behind its key id.
func alter(line string) string {
	b := []byte(line)
	at := len(b) - 20
	if b[at] == 'A' {
		b[at] = 'B'
	} else {
		b[at] = 'A'
	}
	return string(b)
}

func TestVerifyWithoutTrust(t *testing.T) {
	b, r, _ := sample(t)
	for _, trust := range []tlog.Trust{{}, {Origin: origin, SM2: b.keys.Trust.SM2}, {Origin: origin, NewSM3: tlogtest.NewHash}} {
		if _, err := tlog.VerifyReceipt(r, trust); !errors.Is(err, tlog.ErrUnproven) {
			t.Errorf("error is %v", err)
		}
	}
}

func TestConsistency(t *testing.T) {
	b := newBench(t)
	checkpoint := func() tlog.Checkpoint {
		c, err := tlog.ParseCheckpoint(b.Known())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	all := []tlog.Checkpoint{checkpoint()}
	for range 20 {
		b.add(t, 1)
		all = append(all, checkpoint())
	}
	for _, from := range all {
		for _, to := range all {
			p, err := b.ProveConsistency(t.Context(), from.Size, to.Size)
			if (err == nil) != (from.Size <= to.Size) {
				t.Fatalf("from %d to %d: %v", from.Size, to.Size, err)
			}
			if err != nil {
				continue
			}
			if err := tlog.VerifyConsistency(tlogtest.NewHash, from, to, p); err != nil {
				t.Fatalf("from %d to %d: %v", from.Size, to.Size, err)
			}
			for _, tree := range tlog.Trees {
				fork := from
				if tree == tlog.SM3 {
					fork.SM3[0] ^= 1
				} else {
					fork.SHA256[0] ^= 1
				}
				if err := tlog.VerifyConsistency(tlogtest.NewHash, fork, to, p); !errors.Is(err, tlog.ErrUnproven) {
					t.Fatalf("fork in %s from %d to %d: %v", tree, from.Size, to.Size, err)
				}
			}
		}
	}
	if _, err := b.ProveConsistency(t.Context(), 3, 21); err == nil {
		t.Error("proved a size that is not there")
	}
	other := all[3]
	other.Origin = "log.example/other"
	if err := tlog.VerifyConsistency(tlogtest.NewHash, other, all[3], tlog.Proofs{}); !errors.Is(err, tlog.ErrUnproven) {
		t.Errorf("two logs: %v", err)
	}
}

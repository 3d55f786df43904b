package audit_test

import (
	"errors"
	"fmt"
	"testing"

	"oncegate/audit"
	"oncegate/tlog"
	"oncegate/tlog/tlogtest"
)

// checkpoint returns the proven newest checkpoint of the bench.
func (b *bench) checkpoint(t *testing.T) tlog.Checkpoint {
	t.Helper()
	signed, err := b.log.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c, _, err := tlog.VerifyCheckpoint(signed, b.keys.Trust)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestVerifyLog(t *testing.T) {
	b := newBench(t)
	for i := range 300 {
		d := draft()
		d.RequestID = fmt.Sprint(i)
		b.record(t, d)
	}
	c := b.checkpoint(t)
	var last uint64
	if err := audit.VerifyLog(t.Context(), b.storage, c, newSM3, func(done, total uint64) { last = done }); err != nil || last != 300 {
		t.Fatalf("verified %d entries, %v", last, err)
	}
	b.storage.AlterLeaf(123)
	var corrupt *tlog.CorruptError
	err := audit.VerifyLog(t.Context(), b.storage, c, newSM3, nil)
	if !errors.As(err, &corrupt) || corrupt.Entry != 123 {
		t.Errorf("one bit of entry 123 changed: %v", err)
	}
}

func TestVerifyLogOfOtherLeaves(t *testing.T) {
	b := newBench(t)
	old := newBench(t).checkpointOf(t, "old.example/log")
	append := func(leaf string) {
		t.Helper()
		if _, err := b.log.Append(t.Context(), []byte(leaf), nil); err != nil {
			t.Fatal(err)
		}
	}
	append(old) // this log was recovered
	b.record(t, draft())
	if err := audit.VerifyLog(t.Context(), b.storage, b.checkpoint(t), newSM3, nil); err != nil {
		t.Fatalf("a recovered log: %v", err)
	}
	append(old) // but nowhere else
	var corrupt *tlog.CorruptError
	err := audit.VerifyLog(t.Context(), b.storage, b.checkpoint(t), newSM3, nil)
	if !errors.As(err, &corrupt) || corrupt.Entry != 2 || !errors.Is(err, tlog.ErrUnproven) {
		t.Errorf("entry 2 is no record: %v", err)
	}
}

// checkpointOf returns a signed checkpoint of an empty log of that origin.
func (b *bench) checkpointOf(t *testing.T, origin string) string {
	t.Helper()
	storage := new(tlogtest.Memory)
	config := tlogtest.NewKeys(t, origin).Config(storage)
	if err := tlog.Create(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	head, err := storage.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return head.Checkpoint
}

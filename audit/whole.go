package audit

import (
	"context"
	"fmt"
	"hash"

	"oncegate/tlog"
)

// VerifyLog reads a whole log and proves that it is the one of a checkpoint, which tlog.VerifyCheckpoint has proven before,
// and that every entry is a record; entry 0 may be the last checkpoint of the log that this one recovered from. It stops at
// the first thing wrong with a *tlog.CorruptError that names the entry. progress, if not nil, is called with the number of
// entries done and of all.
func VerifyLog(ctx context.Context, r tlog.Reader, c tlog.Checkpoint, newSM3 func() hash.Hash, progress func(done, total uint64)) error {
	reader := &recordReader{Reader: r, origin: c.Origin}
	if err := tlog.VerifyLog(ctx, reader, c, newSM3, progress); err != nil {
		return fmt.Errorf("verify records: %w", err)
	}
	if reader.wrong != nil {
		return fmt.Errorf("verify records: %w", reader.wrong)
	}
	return nil
}

// recordReader parses every leaf that passes through it. An altered leaf is for the trees to find: what it finds stands
// only where the trees have nothing to say.
type recordReader struct {
	tlog.Reader
	origin string
	wrong  *tlog.CorruptError
}

func (r *recordReader) Leaves(ctx context.Context, start, end uint64) ([][]byte, error) {
	leaves, err := r.Reader.Leaves(ctx, start, end)
	for i, leaf := range leaves {
		index := start + uint64(i)
		if r.wrong != nil || index == 0 && recoveredFrom(leaf, r.origin) {
			continue
		}
		if _, err := ParseRecord(leaf); err != nil {
			r.wrong = &tlog.CorruptError{Entry: index, Reason: err.Error()}
		}
	}
	return leaves, err
}

// recoveredFrom reports whether a leaf is a checkpoint of another log.
func recoveredFrom(leaf []byte, origin string) bool {
	old, err := tlog.ParseCheckpoint(string(leaf))
	return err == nil && old.Origin != origin
}

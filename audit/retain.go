package audit

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// retainStep is how many records one step of Retain erases, so that others come between.
const retainStep = 500

// Operations of the records that erasure leaves.
const (
	OperationErase  = "audit.erase"
	OperationRetain = "audit.retain"
)

// Erase deletes what personal evidence stands beside one record, the request and the persons, and leaves a record of its
// own first, so that no evidence is gone without a trace. reason is a stable code, such as "objection". The log still
// verifies, and the record still says what was decided. The error is fs.ErrNotExist if there is no such record.
func (a *Auditor) Erase(ctx context.Context, index uint64, reason string) (Recorded, error) {
	if _, _, err := a.config.Storage.Entry(ctx, index); err != nil {
		return Recorded{}, fmt.Errorf("erase evidence of record %d: %w", index, err)
	}
	recorded, err := a.own(ctx, Own{Operation: OperationErase, Inputs: map[string]any{"index": index, "reason": reason}})
	if err != nil {
		return Recorded{}, fmt.Errorf("erase evidence of record %d: %w", index, err)
	}
	if err := a.config.Storage.Erase(ctx, index); err != nil {
		return recorded, fmt.Errorf("erase evidence of record %d: %w", index, err)
	}
	return recorded, nil
}

// Retain erases, as Erase does, the evidence of every record from before a moment (留存期满), and leaves one record of its
// own for the whole run, before it begins, and none where nothing is old enough. Evidence of a log from before a recovery is
// erased too. It returns how many records' evidence is gone; a run that was broken off is continued by the next one. progress
// may be nil.
func (a *Auditor) Retain(ctx context.Context, before time.Time, progress func(done int)) (int, error) {
	if found, err := a.config.Storage.Erasable(ctx, before); err != nil || !found {
		if err != nil {
			err = fmt.Errorf("erase old evidence: %w", err)
		}
		return 0, err
	}
	inputs := map[string]any{"before": before.UTC().Format(TimeFormat)}
	if _, err := a.own(ctx, Own{Operation: OperationRetain, Inputs: inputs}); err != nil {
		return 0, fmt.Errorf("erase old evidence: %w", err)
	}
	for done := 0; ; {
		n, err := a.config.Storage.EraseBefore(ctx, before, retainStep)
		if err != nil {
			return done, fmt.Errorf("erase old evidence: %w", err)
		}
		if n == 0 {
			return done, nil
		}
		if done += n; progress != nil {
			progress(done)
		}
	}
}

// Purge forgets the jti of calls that expired before a moment. The horizon that Storage keeps refuses them from then on, so
// nothing can be replayed. It holds no personal data and decides nothing, and so leaves no record.
func (a *Auditor) Purge(ctx context.Context, before time.Time) error {
	if err := a.config.Storage.Purge(ctx, before); err != nil {
		return fmt.Errorf("purge claims: %w", err)
	}
	return nil
}

func (a *Auditor) own(ctx context.Context, own Own) (Recorded, error) {
	if a.config.Log == nil {
		return Recorded{}, errors.New("this auditor only reads")
	}
	return (&Recorder{a.config}).RecordOwn(ctx, own)
}

package audit

import (
	"context"
	"fmt"

	"oncegate/canonical"

	"github.com/go-json-experiment/json/jsontext"
)

// A Replay is all that it takes to make a recorded decision again.
type Replay struct {
	Record Record
	Inputs jsontext.Value // as Draft.Inputs was recorded
	Policy []File         // the files of the policy set that decided; nil if the record names none
}

// Replay returns the recorded inputs of the decisions of a record together with the policy set that made them, each held
// against the record. The error is fs.ErrNotExist if there is no such record or set, or ErrAltered.
func (a *Auditor) Replay(ctx context.Context, index uint64) (Replay, error) {
	evidence, err := a.Evidence(ctx, index)
	if err != nil {
		return Replay{}, fmt.Errorf("replay: %w", err)
	}
	replay := Replay{Record: evidence.Record, Inputs: evidence.Inputs}
	if replay.Record.Policy == "" {
		return replay, nil
	}
	if replay.Policy, err = a.config.Storage.PolicySet(ctx, replay.Record.Policy); err != nil {
		return Replay{}, fmt.Errorf("replay record %d: read policy set: %w", index, err)
	}
	digest, err := canonical.FilesDigest(a.config.NewSM3, replay.Policy)
	if err != nil || digest != replay.Record.Policy {
		return Replay{}, fmt.Errorf("replay record %d: the stored policy set: %w", index, ErrAltered)
	}
	return replay, nil
}

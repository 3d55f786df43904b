package audit

import (
	"context"

	"oncegate/canonical"
)

// An Own is something the gateway did itself: a policy set activated, keys, systems or configuration changed, evidence
// erased, calls refused by a limit.
type Own struct {
	Operation string // such as "policy.activate"
	System    string // the system it concerns; empty: the gateway itself
	RequestID string // may be empty
	Policy    string // digest of the policy set in force; empty before the first
	Inputs    any    // what was done, without personal codes: sealed with the record
	Erase     *Order // as Draft.Erase
	Changes   []any  // such as PolicySet
}

// RecordOwn records it, as Record does. Such a record answers nobody: token_digest and answer_digest are empty.
func (r *Recorder) RecordOwn(ctx context.Context, own Own) (Recorded, error) {
	system := own.System
	if system == "" {
		system = r.config.Self
	}
	return r.Record(ctx, Draft{
		Operation: own.Operation,
		System:    system,
		RequestID: own.RequestID,
		Policy:    own.Policy,
		Inputs:    own.Inputs,
		Erase:     own.Erase,
		Changes:   own.Changes,
	})
}

// Activate records that a policy set is in force from now, and keeps its files by their digest so that every decision
// made with it can be replayed.
func (r *Recorder) Activate(ctx context.Context, files []File) (Recorded, error) {
	set := PolicySet{Files: files}
	var err error
	if set.Digest, err = canonical.FilesDigest(r.config.NewSM3, files); err != nil {
		return Recorded{}, err
	}
	return r.RecordOwn(ctx, Own{Operation: "policy.activate", Policy: set.Digest, Changes: []any{set}})
}

package store

import (
	"context"
	"fmt"
	"io/fs"
	"time"

	"github.com/go-json-experiment/json"

	"oncegate/audit"
)

type auditView struct{ db *DB }

var _ audit.Storage = auditView{}

func (v auditView) Entry(ctx context.Context, index uint64) (leaf []byte, parts []audit.Sealed, err error) {
	var column []byte
	found := false
	if index < 1<<indexBits {
		found, err = one(ctx, v.db.read, []any{&leaf, &column}, "SELECT leaf, evidence FROM records WHERE pos = ?", position(v.db.number, index))
	}
	if err == nil && !found {
		err = fs.ErrNotExist
	}
	if err == nil {
		parts, err = unpackEvidence(column)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("record %d could not be read: %w", index, err)
	}
	return leaf, parts, nil
}

func (v auditView) ByJTI(ctx context.Context, system, jti string) (uint64, error) {
	var pos int64
	found, err := one(ctx, v.db.read, []any{&pos}, "SELECT pos FROM claims WHERE jti = ? AND system = ?", jti, system)
	if err != nil {
		return 0, fmt.Errorf("call could not be looked up: %w", err)
	}
	if !found || pos>>indexBits != v.db.number {
		return 0, fmt.Errorf("call left no record: %w", fs.ErrNotExist)
	}
	return indexOf(pos), nil
}

// indexOf is the index that a record's key holds.
func indexOf(pos int64) uint64 { return uint64(pos) & (1<<indexBits - 1) }

func (v auditView) PolicySet(ctx context.Context, digest string) (files []audit.File, err error) {
	var data []byte
	found, err := one(ctx, v.db.read, []any{&data}, "SELECT files FROM policy_sets WHERE digest = ?", digest)
	if err == nil && !found {
		err = fs.ErrNotExist
	}
	if err == nil {
		err = json.Unmarshal(data, &files)
	}
	if err != nil {
		return nil, fmt.Errorf("policy set could not be read: %w", err)
	}
	return files, nil
}

func (v auditView) Horizon(ctx context.Context) (time.Time, error) {
	var us int64
	if _, err := one(ctx, v.db.read, []any{&us}, "SELECT horizon FROM claim_horizon WHERE one = 1"); err != nil {
		return time.Time{}, fmt.Errorf("purge horizon could not be read: %w", err)
	}
	return moment(us), nil
}

package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/go-json-experiment/json"

	"oncegate/audit"
	"oncegate/canonical"
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
	var pos, expires int64
	var mac []byte
	found, err := one(ctx, v.db.read, []any{&expires, &pos, &mac}, "SELECT expires, pos, mac FROM claims WHERE jti = ? AND system = ?", jti, system)
	if err == nil && found {
		err = v.db.believe(mac, "claims", jti, system, expires, pos)
	}
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
	var p *policySetRow
	k := rowKey{"policy_sets", digest}
	last := v.db.recent.last(k)
	err = each(ctx, v.db.read, func(rows *sql.Rows) (err error) {
		p, err = v.db.scanPolicySet(rows)
		return err
	}, selectPolicySet+"WHERE digest = ?", digest)
	switch {
	case err != nil:
	case p == nil:
		err = cmp.Or(v.db.current(k, last, 0), error(fs.ErrNotExist))
	default:
		if err = v.db.current(k, last, p.pos); err == nil {
			err = json.Unmarshal(p.files, &files)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("policy set could not be read: %w", err)
	}
	return files, nil
}

// Horizon proves that the horizon is not below the one that the sums beside the head have.
func (v auditView) Horizon(ctx context.Context) (time.Time, error) {
	var us int64
	err := v.db.atOnce(ctx, func(ctx context.Context, q querier) (err error) {
		h, sealed, err := v.db.headAndSums(ctx, q, "")
		var s sums
		switch {
		case err == nil && len(sealed) > 0:
			s, err = v.db.openSums(sealed, h.Checkpoint)
		case errors.Is(err, fs.ErrNotExist): // there is no log yet
			err = nil
		}
		if err == nil {
			us, err = v.db.horizon(ctx, q, s)
		}
		return err
	})
	if err != nil {
		return time.Time{}, fmt.Errorf("purge horizon could not be read: %w", err)
	}
	return canonical.FromMicros(us), nil
}

// horizon reads the horizon and proves that it is ours and did not fall.
func (db *DB) horizon(ctx context.Context, q querier, s sums) (us int64, err error) {
	var mac []byte
	found, err := one(ctx, q, []any{&us, &mac}, "SELECT horizon, mac FROM horizon WHERE one = 1")
	switch {
	case err != nil:
	case !found:
		err = db.altered("horizon", "the row is gone")
	case us < s.horizon:
		err = db.altered("horizon", "it fell")
	default:
		err = db.believeHorizon(us, mac)
	}
	return us, err
}

package store

import (
	"context"
	"database/sql"
	"fmt"
	"math"

	"oncegate/audit"
)

// Stored reads the records of all logs of the database with what stands beside them, for audit.VerifyStored.
func (db *DB) Stored() audit.Stored { return storedView{db} }

type storedView struct{ db *DB }

// storedStep is how many records are read at once, with their evidence.
const storedStep = 128

// Records reads newest first, in short statements: there may be any number.
func (v storedView) Records(ctx context.Context, yield func(audit.StoredRecord) error) error {
	origins, err := v.origins(ctx)
	if err != nil {
		return err
	}
	for last, n := int64(math.MaxInt64), storedStep; n == storedStep; {
		var all []audit.StoredRecord
		n = 0
		if err := each(ctx, v.db.upkeepReader(), func(rows *sql.Rows) error {
			var evidence []byte
			var search string
			r := audit.StoredRecord{}
			if err := rows.Scan(&last, &r.Time, &r.Erasable, &r.Leaf, &search, &evidence); err != nil {
				return err
			}
			n++
			r.Log, r.Index, r.Search = origins[last>>indexBits], indexOf(last), []byte(search)
			r.Parts, r.PartsErr = unpackEvidence(evidence)
			if r.Log != "" { // one of no log is named elsewhere
				all = append(all, r)
			}
			return nil
		}, "SELECT pos, time, erasable, leaf, search, evidence FROM records WHERE pos < ? ORDER BY pos DESC LIMIT ?", last, storedStep); err != nil {
			return fmt.Errorf("records could not be read: %w", err)
		}
		for _, r := range all {
			if err := yield(r); err != nil {
				return err
			}
		}
	}
	return nil
}

// Claims reads in steps too.
func (v storedView) Claims(ctx context.Context, yield func(audit.StoredClaim) error) error {
	origins, err := v.origins(ctx)
	if err != nil {
		return err
	}
	var last claimKey
	for n := recordStep; n == recordStep; {
		n = 0
		if err := each(ctx, v.db.upkeepReader(), func(rows *sql.Rows) error {
			var expires, pos int64
			if err := rows.Scan(&last.jti, &last.system, &expires, &pos); err != nil {
				return err
			}
			n++
			return yield(audit.StoredClaim{Log: origins[pos>>indexBits], Index: indexOf(pos), System: last.system, JTI: last.jti, Expires: expires})
		}, "SELECT jti, system, expires, pos FROM claims WHERE (jti, system) > (?, ?) ORDER BY jti, system LIMIT ?", last.jti, last.system, recordStep); err != nil {
			return fmt.Errorf("claims could not be read: %w", err)
		}
	}
	return nil
}

// Horizon is at or before which calls are refused unread, in microseconds since 1970.
func (v storedView) Horizon(ctx context.Context) (horizon int64, err error) {
	if _, err = one(ctx, v.db.read, []any{&horizon}, "SELECT horizon FROM horizon WHERE one = 1"); err != nil {
		err = fmt.Errorf("horizon could not be read: %w", err)
	}
	return horizon, err
}

func (v storedView) origins(ctx context.Context) (map[int64]string, error) {
	logs, err := v.db.Logs(ctx)
	origins := map[int64]string{}
	for _, l := range logs {
		origins[l.number] = l.Origin
	}
	return origins, err
}

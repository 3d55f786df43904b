package store

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"time"

	"oncegate/canonical"
	"oncegate/register"
)

type registerView struct{ db *DB }

var _ register.Storage = registerView{}

func (v registerView) Latest(ctx context.Context, subject [32]byte) (register.Version, error) {
	return v.db.latest.get(subject, func() (register.Version, error) {
		return v.version(ctx, rowKey{"versions", subjectKey(subject)}, selectVersion+"WHERE subject = ? ORDER BY number DESC LIMIT 1", subject[:])
	})
}

func (v registerView) ByIdentifier(ctx context.Context, identifier string) (register.Version, error) {
	return v.version(ctx, rowKey{"versions", identifier}, selectVersion+"WHERE identifier = ?", identifier)
}

// version reads one version. The key is what the newest record about it is known by.
func (v registerView) version(ctx context.Context, k rowKey, text string, key any) (register.Version, error) {
	var r *versionRow
	err := v.db.newest("versions", func(saw func(string, int64)) error {
		r = nil
		last := v.db.recent.last(k)
		err := each(ctx, v.db.read, func(rows *sql.Rows) (err error) {
			r, err = v.db.scanVersion(rows, true)
			return err
		}, text, key)
		if err != nil || r == nil {
			return cmp.Or(err, v.db.current(k, last, 0))
		}
		saw(r.Identifier, r.pos) // what changes a version names it by that
		return v.db.current(k, last, r.pos)
	})
	if err != nil {
		return register.Version{}, fmt.Errorf("license version could not be read: %w", err)
	}
	if r == nil {
		return register.Version{}, fmt.Errorf("license was never signed: %w", fs.ErrNotExist)
	}
	return r.Version, nil
}

func (v registerView) Snapshot(ctx context.Context, key [32]byte, now time.Time) (register.Snapshot, error) {
	s, err := v.db.copies.get(key, func() (register.Snapshot, error) { return v.snapshot(ctx, key) })
	if err == nil && !now.Before(s.Expires) {
		err = errNoCopy
	}
	if err != nil {
		return register.Snapshot{}, err
	}
	return s, nil
}

var errNoCopy = fmt.Errorf("no copy is kept: %w", fs.ErrNotExist)

func (v registerView) snapshot(ctx context.Context, key [32]byte) (register.Snapshot, error) {
	s := register.Snapshot{Key: key}
	var asOf, expires int64
	var mac []byte
	found, err := one(ctx, v.db.read, []any{&s.Sealed, &asOf, &expires, &mac}, "SELECT sealed, as_of, expires, mac FROM snapshots WHERE key = ?", key[:])
	if err == nil && found {
		err = v.db.believe(mac, "snapshots", key[:], asOf, expires)
	}
	if err != nil {
		return s, fmt.Errorf("kept copy could not be read: %w", err)
	}
	if !found {
		return s, errNoCopy
	}
	s.AsOf, s.Expires = canonical.FromMicros(asOf), canonical.FromMicros(expires)
	return s, nil
}

// Occupied believes each row: what it yields of a closed list is valid there.
func (v registerView) Occupied(ctx context.Context, list string, yield func(slot int)) error {
	err := each(ctx, v.db.read, func(rows *sql.Rows) error {
		r, err := v.db.scanVersion(rows, false)
		if err == nil {
			yield(r.Slot)
		}
		return err
	}, "SELECT "+versionColumns+" FROM versions WHERE list = ?", list)
	if err != nil {
		return fmt.Errorf("slots of a list could not be read: %w", err)
	}
	return nil
}

func (v registerView) Versions(ctx context.Context, f register.Filter) (list []register.Version, err error) {
	text, args := selectVersion+"WHERE identifier > ? AND type = ?", []any{f.After, f.Type}
	for _, c := range []struct{ column, value string }{{"issuer", f.Issuer}, {"status", string(f.Status)}} {
		if c.value != "" {
			text, args = text+" AND "+c.column+" = ?", append(args, c.value)
		}
	}
	err = v.db.newest("versions", func(saw func(string, int64)) error {
		list = nil
		return each(ctx, v.db.read, func(rows *sql.Rows) error {
			r, err := v.db.scanVersion(rows, true)
			if err == nil {
				list = append(list, r.Version)
				saw(r.Identifier, r.pos)
			}
			return err
		}, text+" ORDER BY identifier LIMIT ?", append(args, f.Limit)...)
	})
	if err != nil {
		return nil, fmt.Errorf("license versions could not be read: %w", err)
	}
	return list, nil
}

func (v registerView) Taken(ctx context.Context, list string, slot int) (bool, error) {
	var n int64
	taken, err := one(ctx, v.db.read, []any{&n}, "SELECT 1 FROM versions WHERE list = ? AND slot = ?", list, slot)
	if err != nil {
		return false, fmt.Errorf("slot of a status list could not be read: %w", err)
	}
	return taken, nil
}

// expired delete what has expired, a few rows each: an original has some hundred kilobytes.
var expired = []string{
	"DELETE FROM snapshots WHERE key IN (SELECT key FROM snapshots WHERE expires <= ? LIMIT 64)",
	"DELETE FROM originals WHERE identifier IN (SELECT identifier FROM originals WHERE expires <= ? LIMIT 4)",
}

// Purge deletes in steps, as retention does.
func (v registerView) Purge(ctx context.Context, now time.Time) error {
	for _, text := range expired {
		err := inSteps(ctx, func(ctx context.Context) (n int64, err error) {
			err = v.db.transactUnsynced(ctx, func(ctx context.Context, t *tx) (err error) {
				n, err = t.exec(ctx, text, canonical.Micros(now))
				return err
			})
			return n, err
		})
		if err != nil {
			return fmt.Errorf("what has expired could not be deleted: %w", err)
		}
	}
	return nil
}

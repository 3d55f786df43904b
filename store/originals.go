package store

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"time"

	"oncegate/canonical"
	"oncegate/register"
)

// Original reads one row; its blob has some hundred kilobytes, so that none is remembered.
func (v registerView) Original(ctx context.Context, identifier string, now time.Time) (register.Original, error) {
	o := register.Original{Identifier: identifier}
	var digest, mac []byte
	var made, expires int64
	found, err := one(ctx, v.db.read, []any{&digest, &o.Sealed, &made, &expires, &mac}, "SELECT digest, sealed, made, expires, mac FROM originals WHERE identifier = ?", identifier)
	if err == nil && found {
		err = v.db.believe(mac, "originals", identifier, digest, made, expires) // the bytes are bound to identifier and digest (register.Original)
	}
	if err != nil {
		return register.Original{}, fmt.Errorf("original could not be read: %w", err)
	}
	o.Made, o.Expires = canonical.FromMicros(made), canonical.FromMicros(expires)
	if !found || !now.Before(o.Expires) {
		return register.Original{}, fmt.Errorf("no original is kept: %w", fs.ErrNotExist)
	}
	copy(o.Digest[:], digest)
	return o, nil
}

// An originalRow is an original with what must be written of it. One that was read has no bytes.
type originalRow struct {
	register.Original
	mark mark
}

func (r *originalRow) marked() mark { return r.mark }

type keepOriginal register.Original

func (c keepOriginal) need(w *wanted) {
	w.originals[c.Identifier] = true
	w.identifiers[c.Identifier] = true
}

func (c keepOriginal) judge(s *state) error {
	if s.identifiers[c.Identifier] == nil {
		return register.ErrTaken
	}
	if there := s.originals[c.Identifier]; there != nil && c.Made.Before(there.Expires) {
		if there.Digest != c.Digest {
			return register.ErrTaken
		}
		return nil
	}
	put(s, s.originals, c.Identifier, &originalRow{register.Original(c), fresh})
	return nil
}

func (s *state) loadOriginals(ctx context.Context, q querier, w *wanted) error {
	return readSet(ctx, q, w.originals, in("SELECT identifier, digest, made, expires, mac FROM originals WHERE identifier"), text1, func(rows *sql.Rows) error {
		var digest, mac []byte
		var made, expires int64
		r := &originalRow{}
		if err := rows.Scan(&r.Identifier, &digest, &made, &expires, &mac); err != nil {
			return err
		}
		if s.db.believe(mac, "originals", r.Identifier, digest, made, expires) != nil {
			return nil // it is written anew
		}
		copy(r.Digest[:], digest)
		r.Expires = canonical.FromMicros(expires)
		s.originals[r.Identifier] = r
		return nil
	})
}

func (s *state) writeOriginals(ctx context.Context, q querier) error {
	return writeSet(ctx, q, marked(s.originals, fresh), "INSERT INTO originals (identifier, digest, sealed, made, expires, mac)", 6,
		" ON CONFLICT (identifier) DO UPDATE SET digest = excluded.digest, sealed = excluded.sealed, made = excluded.made, expires = excluded.expires, mac = excluded.mac",
		func(r *originalRow) []any {
			mac := s.db.tag("originals", r.Identifier, r.Digest[:], canonical.Micros(r.Made), canonical.Micros(r.Expires))
			return []any{r.Identifier, r.Digest[:], filled(r.Sealed), canonical.Micros(r.Made), canonical.Micros(r.Expires), mac}
		})
}

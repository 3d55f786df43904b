package store

import (
	"cmp"
	"context"
	"crypto/hmac"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"oncegate/canonical"
	"oncegate/license"
	"oncegate/register"
	"oncegate/store/sqldb"
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
	err := v.db.readFresh("versions", func(saw func(string, int64)) error {
		r = nil
		last := v.db.recent.last(k)
		err := sqldb.Each(ctx, v.db.read, func(rows *sql.Rows) (err error) {
			r, err = v.db.scanVersion(rows, true)
			return err
		}, text, key)
		if err != nil || r == nil {
			return cmp.Or(err, v.db.checkFresh(k, last, 0))
		}
		saw(r.Identifier, r.pos) // what changes a version names it by that
		return v.db.checkFresh(k, last, r.pos)
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
	found, err := sqldb.One(ctx, v.db.read, []any{&s.Sealed, &asOf, &expires, &mac}, "SELECT sealed, as_of, expires, mac FROM snapshots WHERE key = ?", key[:])
	if err == nil && found {
		err = v.db.authenticate(mac, "snapshots", key[:], asOf, expires)
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

// Occupied trusts each row: what it yields of a closed list is valid there.
func (v registerView) Occupied(ctx context.Context, list string, yield func(slot int)) error {
	err := sqldb.Each(ctx, v.db.read, func(rows *sql.Rows) error {
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
	err = v.db.readFresh("versions", func(saw func(string, int64)) error {
		list = nil
		return sqldb.Each(ctx, v.db.read, func(rows *sql.Rows) error {
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
	taken, err := sqldb.One(ctx, v.db.read, []any{&n}, "SELECT 1 FROM versions WHERE list = ? AND slot = ?", list, slot)
	if err != nil {
		return false, fmt.Errorf("slot of a status list could not be read: %w", err)
	}
	return taken, nil
}

// At finds the version by the index of slots, and proves that it is the one whose row names the slot. A row that was taken away is found
// missing by the check of the table.
func (v registerView) At(ctx context.Context, list string, slot int) (register.Version, error) {
	var identifier string
	found, err := sqldb.One(ctx, v.db.read, []any{&identifier}, "SELECT identifier FROM versions WHERE list = ? AND slot = ?", list, slot)
	if err != nil {
		return register.Version{}, fmt.Errorf("slot of a status list could not be read: %w", err)
	}
	if !found {
		return register.Version{}, fmt.Errorf("no license stands in the slot: %w", fs.ErrNotExist)
	}
	version, err := v.ByIdentifier(ctx, identifier)
	if err == nil && (version.List != list || version.Slot != slot) {
		err = v.db.altered("versions", "a row names another slot than it was found by")
	}
	if err != nil {
		return register.Version{}, err
	}
	return version, nil
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
			err = v.db.upkeep.TransactUnsynced(ctx, func(ctx context.Context, t *sqldb.Tx) (err error) {
				n, err = t.Exec(ctx, text, canonical.Micros(now))
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

type slotKey struct {
	list string
	slot int
}

// A versionRow is a license version with what must be written of it.
type versionRow struct {
	register.Version
	jwtDigest []byte
	pos       int64
	mac       []byte         // as it was read; nil for a new row
	was       license.Status // as it was read; "" for a new row

	entry int // that changed it
	dirty dirty
}

func (r *versionRow) toWrite() dirty { return r.dirty }

// columns are what the row's tag is over: all but jwt, which jwt_digest stands for.
func (r *versionRow) columns() []any {
	return []any{r.Subject[:], r.Number, r.Type, r.Issuer, r.Serial, r.Identifier, r.Content[:], r.jwtDigest, r.KeyID, canonical.Micros(r.Signed),
		string(r.Status), string(r.Stated), canonical.Micros(r.StatusAt), string(r.Ordered), canonical.Micros(r.OrderedAt), r.List, r.Slot, r.pos}
}

// jwtDigest stands for a signed license under the tag of its row.
func (db *DB) jwtDigest(jwt string) []byte { return db.config.Digest([]byte("versions/jwt/" + jwt)) }

type issue register.Issue

func (c issue) reads(w *keySet) {
	w.subjects[c.Version.Subject] = true
	w.identifiers[c.Version.Identifier] = true
	w.slots[slotKey{c.Version.List, c.Version.Slot}] = true
}

func (c issue) apply(s *state) error {
	slot := slotKey{c.Version.List, c.Version.Slot}
	last := s.latest[c.Version.Subject]
	number, inherited, before := 0, license.Status(""), ""
	if last != nil {
		number, inherited, before = last.Number, last.Inherited(), last.Identifier
	}
	if c.Version.Number != number+1 || c.Version.Ordered != inherited || c.Supersedes != before || s.identifiers[c.Version.Identifier] != nil || s.slots[slot] {
		return register.ErrTaken
	}
	if last != nil {
		revert(s, last)
		last.Status, last.Stated, last.StatusAt, last.entry, last.dirty = license.Superseded, license.Superseded, c.Version.Signed, s.entry, last.dirty.touch()
	}
	v := &versionRow{Version: c.Version, jwtDigest: s.db.jwtDigest(c.Version.JWT), entry: s.entry, dirty: fresh}
	put(s, s.latest, c.Version.Subject, v)
	put(s, s.identifiers, c.Version.Identifier, v)
	put(s, s.slots, slot, true)
	revert(s, &s.versions)
	s.versions = append(s.versions, v)
	return nil
}

type setStatus register.SetStatus

func (c setStatus) reads(w *keySet) { w.identifiers[c.Identifier] = true }

func (c setStatus) apply(s *state) error {
	v := s.identifiers[c.Identifier]
	if v == nil || v.Stated != c.From {
		return register.ErrTaken
	}
	revert(s, v)
	v.Stated, v.StatusAt, v.Status, v.entry, v.dirty = c.To, c.At, register.EffectiveStatus(c.To, v.Ordered), s.entry, v.dirty.touch()
	return nil
}

type order register.Order

func (c order) reads(w *keySet) { w.identifiers[c.Identifier] = true }

func (c order) apply(s *state) error {
	v := s.identifiers[c.Identifier]
	if v == nil || v.Ordered != c.From || v.Gone() {
		return register.ErrTaken
	}
	revert(s, v)
	v.Ordered, v.OrderedAt, v.Status, v.entry, v.dirty = c.To, c.At, register.EffectiveStatus(v.Stated, c.To), s.entry, v.dirty.touch()
	return nil
}

// versionColumns are those of the tag, and the tag.
const versionColumns = "subject, number, type, issuer, serial, identifier, content, jwt_digest, key_id, signed, status, stated, status_at, ordered, ordered_at, list, slot, pos, mac"

const selectVersion = "SELECT " + versionColumns + ", jwt FROM versions "

// errWidth says that a keyed digest has not its length. The tag of the row is over 32 bytes: others would not be under it.
var errWidth = errors.New("a digest of a version is not 32 bytes")

// scan reads a row, with jwt or without.
func (r *versionRow) scan(rows *sql.Rows, jwt bool) error {
	var subject, content []byte
	var signed, statusAt, orderedAt int64
	dest := []any{&subject, &r.Number, &r.Type, &r.Issuer, &r.Serial, &r.Identifier, &content, &r.jwtDigest, &r.KeyID, &signed, &r.Status, &r.Stated,
		&statusAt, &r.Ordered, &orderedAt, &r.List, &r.Slot, &r.pos, &r.mac}
	if jwt {
		dest = append(dest, &r.JWT)
	}
	err := rows.Scan(dest...)
	if err == nil && (len(subject) != len(r.Subject) || len(content) != len(r.Content)) {
		err = errWidth
	}
	copy(r.Subject[:], subject)
	copy(r.Content[:], content)
	r.Signed, r.StatusAt, r.OrderedAt, r.was = canonical.FromMicros(signed), canonical.FromMicros(statusAt), canonical.FromMicros(orderedAt), r.Status
	return err
}

// scanVersion reads a row, with jwt or without, and proves that it is ours.
func (db *DB) scanVersion(rows *sql.Rows, jwt bool) (*versionRow, error) {
	r := &versionRow{}
	if err := r.scan(rows, jwt); errors.Is(err, errWidth) {
		return nil, db.altered("versions", err.Error())
	} else if err != nil {
		return nil, err
	}
	if err := db.authenticate(r.mac, "versions", r.columns()...); err != nil {
		return nil, err
	}
	if jwt && !hmac.Equal(db.jwtDigest(r.JWT), r.jwtDigest) {
		return nil, db.altered("versions", "a signed license is not the one of its row")
	}
	return r, nil
}

// loadVersions reads the latest version of every subject and every version named by its identifier. One version found
// both ways is one row of the state.
func (s *state) loadVersions(ctx context.Context, q sqldb.Querier, w *keySet) error {
	scan := func(latest bool) func(*sql.Rows) error {
		return func(rows *sql.Rows) error {
			v, err := s.db.scanVersion(rows, true)
			if err != nil {
				return err
			}
			r := s.identifiers[v.Identifier]
			if r == nil {
				r = v
				s.identifiers[v.Identifier] = r
			}
			if latest {
				s.latest[v.Subject] = r
				if err := s.db.checkFreshLocked("versions", subjectKey(v.Subject), v.pos); err != nil {
					return err
				}
			}
			return s.db.checkFreshLocked("versions", v.Identifier, v.pos)
		}
	}
	err := sqldb.ReadSet(ctx, q, w.subjects, func(n int) string {
		return selectVersion + "AS v WHERE subject IN (" + sqldb.Marks(n) + ") AND number = (SELECT max(number) FROM versions WHERE subject = v.subject)"
	}, digestKey, scan(true))
	if err == nil {
		err = checkAbsent(s.db, "versions", w.subjects, s.latest, subjectKey)
	}
	if err == nil {
		err = sqldb.ReadSet(ctx, q, w.identifiers, sqldb.In(selectVersion+"WHERE identifier"), textKey, scan(false))
	}
	if err != nil {
		return err
	}
	return checkAbsent(s.db, "versions", w.identifiers, s.identifiers, func(identifier string) string { return identifier })
}

// subjectKey is what the newest record about a subject is known by.
func subjectKey(subject [32]byte) string { return string(subject[:]) }

func (s *state) loadSlots(ctx context.Context, q sqldb.Querier, w *keySet) error {
	for slot := range w.slots { // few: a license is signed once per version
		var n int64
		taken, err := sqldb.One(ctx, q, []any{&n}, "SELECT 1 FROM versions WHERE list = ? AND slot = ?", slot.list, slot.slot)
		if err != nil {
			return err
		}
		s.slots[slot] = taken
	}
	return nil
}

func (s *state) writeVersions(ctx context.Context, q sqldb.Querier, position func(entry int) int64) error {
	lists := listRows{}
	seal := func(v *versionRow) []byte {
		v.pos = position(v.entry)
		mac := s.tagRow("versions", v.Identifier, v.pos, v.mac, v.columns())
		if v.was != license.Superseded { // it is the subject's latest, or the one that it supersedes
			s.notes = append(s.notes, noted{rowKey{"versions", subjectKey(v.Subject)}, v.pos})
		}
		lists.of(v.List).moved(v, mac)
		return mac
	}
	err := sqldb.WriteSet(ctx, q, s.versions, "INSERT INTO versions ("+versionColumns+", jwt)", 20, "", func(v *versionRow) []any {
		mac := seal(v)
		return append(v.columns(), mac, v.JWT)
	})
	if err != nil {
		return err
	}
	for _, v := range rowsToWrite(s.identifiers, changed) {
		mac := seal(v)
		if _, err := q.Exec(ctx, "UPDATE versions SET status = ?, stated = ?, status_at = ?, ordered = ?, ordered_at = ?, pos = ?, mac = ? WHERE identifier = ?",
			string(v.Status), string(v.Stated), canonical.Micros(v.StatusAt), string(v.Ordered), canonical.Micros(v.OrderedAt), v.pos, mac, v.Identifier); err != nil {
			return err
		}
	}
	return s.writeLists(ctx, q, lists)
}

// A snapshotRow is a kept copy with what must be written of it.
type snapshotRow struct {
	register.Snapshot
	dirty dirty
}

func (r *snapshotRow) toWrite() dirty { return r.dirty }

type keep register.Snapshot

func (c keep) reads(w *keySet) { w.snapshots[c.Key] = true }

func (c keep) apply(s *state) error {
	if there := s.snapshots[c.Key]; there == nil || !there.AsOf.After(c.AsOf) {
		put(s, s.snapshots, c.Key, &snapshotRow{register.Snapshot(c), fresh})
	}
	return nil
}

func (s *state) loadSnapshots(ctx context.Context, q sqldb.Querier, w *keySet) error {
	return sqldb.ReadSet(ctx, q, w.snapshots, sqldb.In("SELECT key, as_of, expires, mac FROM snapshots WHERE key"), digestKey, func(rows *sql.Rows) error {
		var key, mac []byte
		var asOf, expires int64
		if err := rows.Scan(&key, &asOf, &expires, &mac); err != nil {
			return err
		}
		if s.db.authenticate(mac, "snapshots", key, asOf, expires) != nil {
			return nil // it is written anew
		}
		r := &snapshotRow{}
		copy(r.Key[:], key)
		r.AsOf = canonical.FromMicros(asOf)
		s.snapshots[r.Key] = r
		return nil
	})
}

func (s *state) writeSnapshots(ctx context.Context, q sqldb.Querier) error {
	rows := rowsToWrite(s.snapshots, fresh)
	slices.SortFunc(rows, func(a, b *snapshotRow) int { return cmp.Compare(string(a.Key[:]), string(b.Key[:])) }) // neighbours share pages
	return sqldb.WriteSet(ctx, q, rows, "INSERT INTO snapshots (key, sealed, as_of, expires, mac)", 5,
		" ON CONFLICT (key) DO UPDATE SET sealed = excluded.sealed, as_of = excluded.as_of, expires = excluded.expires, mac = excluded.mac", func(r *snapshotRow) []any {
			// The sealed bytes are bound to key and moment already (register.Keep).
			return []any{r.Key[:], filled(r.Sealed), canonical.Micros(r.AsOf), canonical.Micros(r.Expires), s.db.tag("snapshots", r.Key[:], canonical.Micros(r.AsOf), canonical.Micros(r.Expires))}
		})
}

// Original reads one row; its blob has some hundred kilobytes, so that none is remembered.
func (v registerView) Original(ctx context.Context, identifier string, now time.Time) (register.Original, error) {
	o := register.Original{Identifier: identifier}
	var digest, mac []byte
	var made, expires int64
	found, err := sqldb.One(ctx, v.db.read, []any{&digest, &o.Sealed, &made, &expires, &mac}, "SELECT digest, sealed, made, expires, mac FROM originals WHERE identifier = ?", identifier)
	if err == nil && found {
		err = v.db.authenticate(mac, "originals", identifier, digest, made, expires) // the bytes are bound to identifier and digest (register.Original)
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
	dirty dirty
}

func (r *originalRow) toWrite() dirty { return r.dirty }

type keepOriginal register.Original

func (c keepOriginal) reads(w *keySet) {
	w.originals[c.Identifier] = true
	w.identifiers[c.Identifier] = true
}

func (c keepOriginal) apply(s *state) error {
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

func (s *state) loadOriginals(ctx context.Context, q sqldb.Querier, w *keySet) error {
	return sqldb.ReadSet(ctx, q, w.originals, sqldb.In("SELECT identifier, digest, made, expires, mac FROM originals WHERE identifier"), textKey, func(rows *sql.Rows) error {
		var digest, mac []byte
		var made, expires int64
		r := &originalRow{}
		if err := rows.Scan(&r.Identifier, &digest, &made, &expires, &mac); err != nil {
			return err
		}
		if s.db.authenticate(mac, "originals", r.Identifier, digest, made, expires) != nil {
			return nil // it is written anew
		}
		copy(r.Digest[:], digest)
		r.Expires = canonical.FromMicros(expires)
		s.originals[r.Identifier] = r
		return nil
	})
}

func (s *state) writeOriginals(ctx context.Context, q sqldb.Querier) error {
	return sqldb.WriteSet(ctx, q, rowsToWrite(s.originals, fresh), "INSERT INTO originals (identifier, digest, sealed, made, expires, mac)", 6,
		" ON CONFLICT (identifier) DO UPDATE SET digest = excluded.digest, sealed = excluded.sealed, made = excluded.made, expires = excluded.expires, mac = excluded.mac",
		func(r *originalRow) []any {
			mac := s.db.tag("originals", r.Identifier, r.Digest[:], canonical.Micros(r.Made), canonical.Micros(r.Expires))
			return []any{r.Identifier, r.Digest[:], filled(r.Sealed), canonical.Micros(r.Made), canonical.Micros(r.Expires), mac}
		})
}

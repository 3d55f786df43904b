package store

import (
	"cmp"
	"context"
	"crypto/hmac"
	"database/sql"
	"errors"
	"slices"

	"oncegate/canonical"
	"oncegate/license"
	"oncegate/register"
)

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
	mark  mark
}

func (r *versionRow) marked() mark { return r.mark }

// columns are what the row's tag is over: all but jwt, which jwt_digest stands for.
func (r *versionRow) columns() []any {
	return []any{r.Subject[:], r.Number, r.Type, r.Issuer, r.Serial, r.Identifier, r.Content[:], r.jwtDigest, r.KeyID, canonical.Micros(r.Signed),
		string(r.Status), string(r.Stated), canonical.Micros(r.StatusAt), string(r.Ordered), canonical.Micros(r.OrderedAt), r.List, r.Slot, r.pos}
}

// jwtDigest stands for a signed license under the tag of its row.
func (db *DB) jwtDigest(jwt string) []byte { return db.config.Digest([]byte("versions/jwt/" + jwt)) }

type issue register.Issue

func (c issue) need(w *wanted) {
	w.subjects[c.Version.Subject] = true
	w.identifiers[c.Version.Identifier] = true
	w.slots[slotKey{c.Version.List, c.Version.Slot}] = true
}

func (c issue) judge(s *state) error {
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
		last.Status, last.Stated, last.StatusAt, last.entry, last.mark = license.Superseded, license.Superseded, c.Version.Signed, s.entry, last.mark.touch()
	}
	v := &versionRow{Version: c.Version, jwtDigest: s.db.jwtDigest(c.Version.JWT), entry: s.entry, mark: fresh}
	put(s, s.latest, c.Version.Subject, v)
	put(s, s.identifiers, c.Version.Identifier, v)
	put(s, s.slots, slot, true)
	revert(s, &s.versions)
	s.versions = append(s.versions, v)
	return nil
}

type setStatus register.SetStatus

func (c setStatus) need(w *wanted) { w.identifiers[c.Identifier] = true }

func (c setStatus) judge(s *state) error {
	v := s.identifiers[c.Identifier]
	if v == nil || v.Stated != c.From {
		return register.ErrTaken
	}
	revert(s, v)
	v.Stated, v.StatusAt, v.Status, v.entry, v.mark = c.To, c.At, register.Standing(c.To, v.Ordered), s.entry, v.mark.touch()
	return nil
}

type order register.Order

func (c order) need(w *wanted) { w.identifiers[c.Identifier] = true }

func (c order) judge(s *state) error {
	v := s.identifiers[c.Identifier]
	if v == nil || v.Ordered != c.From || v.Gone() {
		return register.ErrTaken
	}
	revert(s, v)
	v.Ordered, v.OrderedAt, v.Status, v.entry, v.mark = c.To, c.At, register.Standing(v.Stated, c.To), s.entry, v.mark.touch()
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
	if err := db.believe(r.mac, "versions", r.columns()...); err != nil {
		return nil, err
	}
	if jwt && !hmac.Equal(db.jwtDigest(r.JWT), r.jwtDigest) {
		return nil, db.altered("versions", "a signed license is not the one of its row")
	}
	return r, nil
}

// loadVersions reads the latest version of every subject and every version named by its identifier. One version found
// both ways is one row of the state.
func (s *state) loadVersions(ctx context.Context, q querier, w *wanted) error {
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
				if err := s.db.locked("versions", subjectKey(v.Subject), v.pos); err != nil {
					return err
				}
			}
			return s.db.locked("versions", v.Identifier, v.pos)
		}
	}
	err := readSet(ctx, q, w.subjects, func(n int) string {
		return selectVersion + "AS v WHERE subject IN (" + marks(n) + ") AND number = (SELECT max(number) FROM versions WHERE subject = v.subject)"
	}, bytes1, scan(true))
	if err == nil {
		err = there(s.db, "versions", w.subjects, s.latest, subjectKey)
	}
	if err == nil {
		err = readSet(ctx, q, w.identifiers, in(selectVersion+"WHERE identifier"), text1, scan(false))
	}
	if err != nil {
		return err
	}
	return there(s.db, "versions", w.identifiers, s.identifiers, func(identifier string) string { return identifier })
}

// subjectKey is what the newest record about a subject is known by.
func subjectKey(subject [32]byte) string { return string(subject[:]) }

func (s *state) loadSlots(ctx context.Context, q querier, w *wanted) error {
	for slot := range w.slots { // few: a license is signed once per version
		var n int64
		taken, err := one(ctx, q, []any{&n}, "SELECT 1 FROM versions WHERE list = ? AND slot = ?", slot.list, slot.slot)
		if err != nil {
			return err
		}
		s.slots[slot] = taken
	}
	return nil
}

func (s *state) writeVersions(ctx context.Context, q querier, position func(entry int) int64) error {
	lists := listRows{}
	seal := func(v *versionRow) []byte {
		v.pos = position(v.entry)
		mac := s.sealed("versions", v.Identifier, v.pos, v.mac, v.columns())
		if v.was != license.Superseded { // it is the subject's latest, or the one that it supersedes
			s.notes = append(s.notes, noted{rowKey{"versions", subjectKey(v.Subject)}, v.pos})
		}
		lists.of(v.List).moved(v, mac)
		return mac
	}
	err := writeSet(ctx, q, s.versions, "INSERT INTO versions ("+versionColumns+", jwt)", 20, "", func(v *versionRow) []any {
		mac := seal(v)
		return append(v.columns(), mac, v.JWT)
	})
	if err != nil {
		return err
	}
	for _, v := range marked(s.identifiers, changed) {
		mac := seal(v)
		if _, err := q.exec(ctx, "UPDATE versions SET status = ?, stated = ?, status_at = ?, ordered = ?, ordered_at = ?, pos = ?, mac = ? WHERE identifier = ?",
			string(v.Status), string(v.Stated), canonical.Micros(v.StatusAt), string(v.Ordered), canonical.Micros(v.OrderedAt), v.pos, mac, v.Identifier); err != nil {
			return err
		}
	}
	return s.writeLists(ctx, q, lists)
}

// A snapshotRow is a kept copy with what must be written of it.
type snapshotRow struct {
	register.Snapshot
	mark mark
}

func (r *snapshotRow) marked() mark { return r.mark }

type keep register.Snapshot

func (c keep) need(w *wanted) { w.snapshots[c.Key] = true }

func (c keep) judge(s *state) error {
	if there := s.snapshots[c.Key]; there == nil || !there.AsOf.After(c.AsOf) {
		put(s, s.snapshots, c.Key, &snapshotRow{register.Snapshot(c), fresh})
	}
	return nil
}

func (s *state) loadSnapshots(ctx context.Context, q querier, w *wanted) error {
	return readSet(ctx, q, w.snapshots, in("SELECT key, as_of, expires, mac FROM snapshots WHERE key"), bytes1, func(rows *sql.Rows) error {
		var key, mac []byte
		var asOf, expires int64
		if err := rows.Scan(&key, &asOf, &expires, &mac); err != nil {
			return err
		}
		if s.db.believe(mac, "snapshots", key, asOf, expires) != nil {
			return nil // it is written anew
		}
		r := &snapshotRow{}
		copy(r.Key[:], key)
		r.AsOf = canonical.FromMicros(asOf)
		s.snapshots[r.Key] = r
		return nil
	})
}

func (s *state) writeSnapshots(ctx context.Context, q querier) error {
	rows := marked(s.snapshots, fresh)
	slices.SortFunc(rows, func(a, b *snapshotRow) int { return cmp.Compare(string(a.Key[:]), string(b.Key[:])) }) // neighbours share pages
	return writeSet(ctx, q, rows, "INSERT INTO snapshots (key, sealed, as_of, expires, mac)", 5,
		" ON CONFLICT (key) DO UPDATE SET sealed = excluded.sealed, as_of = excluded.as_of, expires = excluded.expires, mac = excluded.mac", func(r *snapshotRow) []any {
			// The sealed bytes are bound to key and moment already (register.Keep).
			return []any{r.Key[:], filled(r.Sealed), canonical.Micros(r.AsOf), canonical.Micros(r.Expires), s.db.tag("snapshots", r.Key[:], canonical.Micros(r.AsOf), canonical.Micros(r.Expires))}
		})
}

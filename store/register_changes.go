package store

import (
	"cmp"
	"context"
	"database/sql"
	"maps"
	"slices"

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
	entry int // that issues it
	mark  mark
}

func (r *versionRow) marked() mark { return r.mark }

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
		last.Status, last.Stated, last.StatusAt, last.mark = license.Superseded, license.Superseded, c.Version.Signed, last.mark.touch()
	}
	v := &versionRow{Version: c.Version, entry: s.entry, mark: fresh}
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
	v.Stated, v.StatusAt, v.Status, v.mark = c.To, c.At, register.Standing(c.To, v.Ordered), v.mark.touch()
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
	v.Ordered, v.OrderedAt, v.Status, v.mark = c.To, c.At, register.Standing(v.Stated, c.To), v.mark.touch()
	return nil
}

const selectVersion = "SELECT subject, number, type, issuer, serial, identifier, content, jwt, key_id, signed, status, stated, status_at, ordered, ordered_at, list, slot FROM versions "

func scanVersion(rows *sql.Rows) (v register.Version, err error) {
	var subject, content []byte
	var signed, statusAt, orderedAt int64
	err = rows.Scan(&subject, &v.Number, &v.Type, &v.Issuer, &v.Serial, &v.Identifier, &content, &v.JWT, &v.KeyID, &signed, &v.Status, &v.Stated,
		&statusAt, &v.Ordered, &orderedAt, &v.List, &v.Slot)
	copy(v.Subject[:], subject)
	copy(v.Content[:], content)
	v.Signed, v.StatusAt, v.OrderedAt = moment(signed), moment(statusAt), moment(orderedAt)
	return v, err
}

// loadVersions reads the latest version of every subject and every version named by its identifier. One version found
// both ways is one row of the state.
func (s *state) loadVersions(ctx context.Context, q querier, w *wanted) error {
	scan := func(latest bool) func(*sql.Rows) error {
		return func(rows *sql.Rows) error {
			v, err := scanVersion(rows)
			if err != nil {
				return err
			}
			r := s.identifiers[v.Identifier]
			if r == nil {
				r = &versionRow{Version: v}
				s.identifiers[v.Identifier] = r
			}
			if latest {
				s.latest[v.Subject] = r
			}
			return nil
		}
	}
	err := readSet(ctx, q, w.subjects, func(n int) string {
		return selectVersion + "AS v WHERE subject IN (" + marks(n) + ") AND number = (SELECT max(number) FROM versions WHERE subject = v.subject)"
	}, bytes1, scan(true))
	if err != nil {
		return err
	}
	return readSet(ctx, q, w.identifiers, in(selectVersion+"WHERE identifier"), text1, scan(false))
}

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
	err := writeSet(ctx, q, s.versions,
		"INSERT INTO versions (subject, number, type, issuer, serial, identifier, content, jwt, key_id, signed, status, stated, status_at, ordered, ordered_at, list, slot)", 17, "", func(v *versionRow) []any {
			return []any{v.Subject[:], v.Number, v.Type, v.Issuer, v.Serial, v.Identifier, v.Content[:], v.JWT, v.KeyID,
				micros(v.Signed), string(v.Status), string(v.Stated), micros(v.StatusAt), string(v.Ordered), micros(v.OrderedAt), v.List, v.Slot}
		})
	if err != nil {
		return err
	}
	lists := map[string]bool{}
	for n, v := range s.versions {
		if lists[v.List] {
			continue
		}
		lists[v.List] = true
		if _, err := q.exec(ctx, "INSERT INTO status_lists (list, pos, n) VALUES (?, ?, ?) ON CONFLICT (list) DO NOTHING", v.List, position(v.entry), n); err != nil {
			return err
		}
	}
	moved := map[string]bool{}
	for _, v := range s.versions {
		moved[v.List] = moved[v.List] || v.Status != license.Valid
	}
	for _, v := range marked(s.identifiers, changed) {
		moved[v.List] = true
		if _, err := q.exec(ctx, "UPDATE versions SET status = ?, stated = ?, status_at = ?, ordered = ?, ordered_at = ? WHERE identifier = ?",
			string(v.Status), string(v.Stated), micros(v.StatusAt), string(v.Ordered), micros(v.OrderedAt), v.Identifier); err != nil {
			return err
		}
	}
	for _, list := range slices.Sorted(maps.Keys(moved)) {
		if moved[list] {
			if _, err := q.exec(ctx, "UPDATE status_lists SET changes = changes + 1 WHERE list = ?", list); err != nil {
				return err
			}
		}
	}
	return nil
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
	return readSet(ctx, q, w.snapshots, in("SELECT key, as_of FROM snapshots WHERE key"), bytes1, func(rows *sql.Rows) error {
		var key []byte
		var asOf int64
		err := rows.Scan(&key, &asOf)
		r := &snapshotRow{}
		copy(r.Key[:], key)
		r.AsOf = moment(asOf)
		s.snapshots[r.Key] = r
		return err
	})
}

func (s *state) writeSnapshots(ctx context.Context, q querier) error {
	rows := marked(s.snapshots, fresh)
	slices.SortFunc(rows, func(a, b *snapshotRow) int { return cmp.Compare(string(a.Key[:]), string(b.Key[:])) }) // neighbours share pages
	return writeSet(ctx, q, rows, "INSERT INTO snapshots (key, sealed, as_of, expires)", 4,
		" ON CONFLICT (key) DO UPDATE SET sealed = excluded.sealed, as_of = excluded.as_of, expires = excluded.expires", func(r *snapshotRow) []any {
			return []any{r.Key[:], filled(r.Sealed), micros(r.AsOf), micros(r.Expires)}
		})
}

package store

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"

	"oncegate/license"
	"oncegate/register"
	"oncegate/store/sqldb"
)

// A listRow is a status list as the table has it: the record of its first version and the version's place there, the record
// that changed it last, and what its versions that are not valid add up to. A list is published only if they still do: a row that
// was taken away, or put back as it was, un-revokes nothing.
type listRow struct {
	list            string
	pos, n, changes int64
	changed         int64
	notValid        []byte // sealed
	mac             []byte // as it was read; nil for a new row
}

// columns are what the row's tag is over.
func (r *listRow) columns() []any {
	return []any{r.list, r.pos, r.n, r.changes, r.changed, r.notValid}
}

const selectList = "SELECT list, pos, n, changes, changed, not_valid, mac FROM status_lists "

func (r *listRow) scan(rows *sql.Rows) error {
	return rows.Scan(&r.list, &r.pos, &r.n, &r.changes, &r.changed, &r.notValid, &r.mac)
}

// scanList reads a row and proves that it is ours.
func (db *DB) scanList(rows *sql.Rows) (*listRow, error) {
	r := &listRow{}
	if err := r.scan(rows); err != nil {
		return nil, err
	}
	return r, db.authenticate(r.mac, "status_lists", r.columns()...)
}

// A listChange is what a batch does to a list.
type listChange struct {
	moves    []listMove
	statuses bool // the status of a slot differs from before
}

// A listMove takes a version's row out of what is not valid, or puts it in; nil is no row.
type listMove struct {
	was, is []byte // tags
	version *versionRow
}

type listRows map[string]*listChange

func (l listRows) of(list string) *listChange {
	if l[list] == nil {
		l[list] = &listChange{}
	}
	return l[list]
}

// moved notes that a version's row is written with a tag.
func (c *listChange) moved(v *versionRow, mac []byte) {
	m := listMove{version: v}
	if v.mac != nil && v.was != license.Valid {
		m.was = v.mac
	}
	if v.Status != license.Valid {
		m.is = mac
	}
	c.moves = append(c.moves, m)
	c.statuses = c.statuses || v.mac != nil || v.Status != license.Valid
}

// writeLists brings the rows of lists up to what the batch does to them. Lists are written in one order by all.
func (s *state) writeLists(ctx context.Context, q sqldb.Querier, lists listRows) error {
	for _, list := range slices.Sorted(maps.Keys(lists)) {
		if err := s.writeList(ctx, q, list, lists[list]); err != nil {
			return err
		}
	}
	return nil
}

func (s *state) writeList(ctx context.Context, q sqldb.Querier, list string, c *listChange) error {
	var r *listRow
	err := sqldb.Each(ctx, q, func(rows *sql.Rows) (err error) {
		r, err = s.db.scanList(rows)
		return err
	}, selectList+"WHERE list = ?", list)
	if err == nil && r == nil {
		err = s.db.checkFreshLocked("status_lists", list, 0)
	}
	if err != nil {
		return err
	}
	var notValid sum
	first := r == nil
	if first {
		v := c.moves[0].version
		n := slices.Index(s.versions, v)
		if n < 0 { // it is of a version that was there before
			return s.db.altered("status_lists", "a row is gone")
		}
		r = &listRow{list: list, pos: v.pos, n: int64(n)}
	} else if err := s.db.checkFreshLocked("status_lists", list, r.changed); err != nil {
		return err
	} else if notValid, err = s.db.openNotValid(r.notValid, list); err != nil {
		return err
	}
	for _, m := range c.moves {
		s.db.replace(&notValid, "versions", m.was, m.is)
		r.changed = max(r.changed, m.version.pos)
	}
	if c.statuses {
		r.changes++
	}
	if r.notValid, err = s.db.sealNotValid(notValid, list); err != nil {
		return fmt.Errorf("sum of a list: %w", err)
	}
	mac := s.tagRow("status_lists", list, r.changed, r.mac, r.columns())
	if first {
		_, err = q.Exec(ctx, "INSERT INTO status_lists (list, pos, n, changes, changed, not_valid, mac) VALUES (?, ?, ?, ?, ?, ?, ?)", append(r.columns(), mac)...)
	} else {
		_, err = q.Exec(ctx, "UPDATE status_lists SET changes = ?, changed = ?, not_valid = ?, mac = ? WHERE list = ?", r.changes, r.changed, r.notValid, mac, list)
	}
	return err
}

// Lists takes a list for closed whose first version stands in another log than the one that is written: the database was
// restored, and the log recovered under a new name.
func (v registerView) Lists(ctx context.Context) (lists []register.List, err error) {
	rows, err := v.listRows(ctx, selectList+"ORDER BY pos, n")
	if err != nil {
		return nil, fmt.Errorf("status lists could not be read: %w", err)
	}
	for _, r := range rows {
		lists = append(lists, register.List{ID: r.list, Changes: r.changes, Closed: r.pos>>indexBits != v.db.number})
	}
	return lists, nil
}

// listRows reads rows of lists that are the newest known.
func (v registerView) listRows(ctx context.Context, text string, args ...any) (lists []*listRow, err error) {
	err = v.db.readFresh("status_lists", func(saw func(key string, pos int64)) error {
		lists = nil
		return sqldb.Each(ctx, v.db.read, func(rows *sql.Rows) error {
			r, err := v.db.scanList(rows)
			if err == nil {
				lists = append(lists, r)
				saw(r.list, r.changed)
			}
			return err
		}, text, args...)
	})
	return lists, err
}

// Statuses reads the list's row and its versions at one moment, and yields nothing unless they agree.
func (v registerView) Statuses(ctx context.Context, list string, yield func(slot int, status license.Status)) error {
	if err := v.statuses(ctx, list, yield); err != nil {
		return fmt.Errorf("statuses of a list could not be read: %w", err)
	}
	return nil
}

func (v registerView) statuses(ctx context.Context, list string, yield func(slot int, status license.Status)) error {
	type slot struct {
		n      int
		status license.Status
	}
	db := v.db
	var l *listRow
	var found []slot
	var is sum
	k := rowKey{"status_lists", list}
	last := db.recent.last(k)
	err := db.read.Snapshot(ctx, func(ctx context.Context, q sqldb.Querier) error {
		if err := sqldb.Each(ctx, q, func(rows *sql.Rows) (err error) {
			l, err = db.scanList(rows)
			return err
		}, selectList+"WHERE list = ?", list); err != nil {
			return err
		}
		return sqldb.Each(ctx, q, func(rows *sql.Rows) error {
			r, err := db.scanVersion(rows, false)
			if err != nil {
				return err
			}
			is.add(db.weight("versions", r.mac))
			found = append(found, slot{r.Slot, r.Status})
			return nil
		}, "SELECT "+versionColumns+" FROM versions WHERE list = ? AND status <> 'valid'", list)
	})
	if err != nil {
		return err
	}
	var pos int64
	var was sum
	if l != nil {
		pos = l.changed
		if was, err = db.openNotValid(l.notValid, list); err != nil {
			return err
		}
	}
	if err := db.checkFresh(k, last, pos); err != nil {
		return err
	}
	if is != was {
		return db.altered("versions", "the versions of a list that are not valid are not those of its last change")
	}
	for _, s := range found {
		yield(s.n, s.status)
	}
	return nil
}

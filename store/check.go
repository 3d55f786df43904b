package store

import (
	"context"
	"database/sql"
	"fmt"
)

// Rows is how many rows of state the database has, which Check reads: cases and what was received for them, consents, license
// versions, status lists and policy sets. It reads none of them.
func (db *DB) Rows(ctx context.Context) (rows uint64, err error) {
	h, sealed, err := db.headAndSums(ctx, db.read, "")
	if err != nil {
		return 0, err
	}
	s, err := db.sumsOf(h, sealed)
	for _, t := range s.tables {
		rows += t.rows
	}
	return rows, err
}

// Check reads all rows of state as they are at one moment, and proves that each is ours and that together they are those of the
// head: none is missing, and none is as it once was. Where they are not, the error is ErrAltered, and no batch is taken any more
// until the database is opened again. progress may be nil.
func (db *DB) Check(ctx context.Context, progress func(rows uint64)) error {
	err := db.atLength(ctx, func(ctx context.Context, q querier) error {
		h, sealed, err := db.headAndSums(ctx, q, "")
		if err != nil {
			return err
		}
		was, err := db.openSums(sealed, h.Checkpoint)
		if err != nil {
			return err
		}
		is, err := db.addUp(ctx, q, progress)
		if err != nil {
			return err
		}
		for i, table := range summed {
			switch {
			case is.tables[i].rows < was.tables[i].rows:
				return db.altered(table, fmt.Sprintf("%d of %d rows are gone", was.tables[i].rows-is.tables[i].rows, was.tables[i].rows))
			case is.tables[i].rows > was.tables[i].rows:
				return db.altered(table, fmt.Sprintf("there are %d rows instead of %d", is.tables[i].rows, was.tables[i].rows))
			case is.tables[i] != was.tables[i]:
				return db.altered(table, "a row is as it once was")
			}
		}
		_, err = db.horizon(ctx, q, was)
		return err
	})
	if err != nil {
		err = fmt.Errorf("tables could not be checked: %w", err)
		if isAltered(err) {
			db.distrusted.Store(&err)
		}
	}
	return err
}

// Distrusted is why no batch is taken any more, nil while they are.
func (db *DB) Distrusted() error {
	if why := db.distrusted.Load(); why != nil {
		return *why
	}
	return nil
}

// checkedRows is after how many rows progress is told.
const checkedRows = 4096

// addUp believes every row of the summed tables and adds them up, lists against their versions too.
func (db *DB) addUp(ctx context.Context, q querier, progress func(rows uint64)) (s sums, err error) {
	var rows uint64
	count := func(table string, mac []byte) {
		s.of(table).add(db.weight(table, mac))
		if rows++; progress != nil && rows%checkedRows == 0 {
			progress(rows)
		}
	}
	notValid, lists := map[string]*sum{}, []*listRow{}
	for _, t := range []struct {
		text string
		scan func(rows *sql.Rows) error
	}{
		{selectCase, func(rows *sql.Rows) error {
			r, err := db.scanCase(rows)
			if err == nil {
				count("cases", r.mac)
			}
			return err
		}},
		{selectReceived, func(rows *sql.Rows) error {
			r, err := db.scanReceived(rows)
			if err == nil {
				count("case_received", r.mac)
			}
			return err
		}},
		{selectConsent, func(rows *sql.Rows) error {
			r, err := db.scanConsent(rows)
			if err == nil {
				count("consents", r.mac)
			}
			return err
		}},
		{selectVersion, func(rows *sql.Rows) error {
			r, err := db.scanVersion(rows, true)
			if err == nil {
				count("versions", r.mac)
				if r.Status != "valid" {
					if notValid[r.List] == nil {
						notValid[r.List] = &sum{}
					}
					notValid[r.List].add(db.weight("versions", r.mac))
				}
			}
			return err
		}},
		{selectList, func(rows *sql.Rows) error {
			r, err := db.scanList(rows)
			if err == nil {
				count("status_lists", r.mac)
				lists = append(lists, r)
			}
			return err
		}},
		{selectPolicySet, func(rows *sql.Rows) error {
			r, err := db.scanPolicySet(rows)
			if err == nil {
				count("policy_sets", r.mac)
			}
			return err
		}},
	} {
		if err := each(ctx, q, t.scan, t.text); err != nil {
			return s, err
		}
	}
	for _, l := range lists {
		was, err := db.openNotValid(l.notValid, l.list)
		if err != nil {
			return s, err
		}
		var is sum
		if notValid[l.list] != nil {
			is = *notValid[l.list]
		}
		if is != was {
			return s, db.altered("status_lists", "a list's versions that are not valid are not those of its last change")
		}
	}
	return s, nil
}

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"

	"oncegate/audit"
	"oncegate/canonical"
	"oncegate/cases"
	"oncegate/register"
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

// learnStep is how many records one statement reads.
const learnStep = 1024

// Learn notes which rows the records of other nodes have changed since the last call, so that an older row that is put back, or
// one that is taken away, is refused here too. What was changed before the first call the sums have proven. On SQLite nobody
// else writes.
func (db *DB) Learn(ctx context.Context) error {
	if db.write.dialect.name == SQLite {
		return nil
	}
	db.learning.Lock()
	defer db.learning.Unlock()
	if err := db.learn(ctx); err != nil {
		return fmt.Errorf("changes of other nodes could not be learned: %w", err)
	}
	return nil
}

func (db *DB) learn(ctx context.Context) error {
	head, err := db.head(ctx, db.read, "")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !db.learns {
		db.learned, db.learns = head.Size, true
	}
	for db.learned < head.Size {
		end := min(head.Size, db.learned+learnStep)
		if err := db.learnBetween(ctx, position(db.number, db.learned), position(db.number, end)); err != nil {
			return err
		}
		db.learned = end
	}
	return nil
}

func (db *DB) learnBetween(ctx context.Context, start, end int64) error {
	var moved []noted // versions, whose lists their records do not name
	err := each(ctx, db.read, func(rows *sql.Rows) error {
		var pos, time int64
		var search, changes string
		var mac []byte
		if err := rows.Scan(&pos, &time, &search, &changes, &mac); err != nil {
			return err
		}
		if err := db.believe(mac, "records", pos, time, search, changes); err != nil {
			return err
		}
		all, more, err := changedRows([]byte(changes))
		for _, k := range all {
			db.recent.note(k, pos)
		}
		for _, k := range more {
			moved = append(moved, noted{k, pos})
		}
		return err
	}, "SELECT pos, time, search, changes, mac FROM records WHERE pos >= ? AND pos < ? AND changes <> '' ORDER BY pos", start, end)
	for _, m := range moved {
		if err != nil {
			break
		}
		var v register.Version
		if v, err = (registerView{db}).ByIdentifier(ctx, m.key); err == nil {
			db.recent.note(rowKey{"status_lists", v.List}, m.pos)
		}
	}
	return err
}

// changedRows are the rows that a record's bound changes change, and those of versions whose list changes with them.
func changedRows(bound []byte) (rows, moved []rowKey, err error) {
	list, err := audit.ParseBoundList(bound)
	if err != nil {
		return nil, nil, err
	}
	for _, raw := range list {
		if one, err := cases.ParseBound(raw); err == nil {
			switch c := one.(type) {
			case cases.BoundRegister:
				rows = append(rows, rowKey{"cases", c.No})
			case cases.BoundClose:
				rows = append(rows, rowKey{"cases", c.No})
			case cases.BoundGive:
				rows = append(rows, rowKey{"consents", c.ID})
			case cases.BoundWithdraw:
				rows = append(rows, rowKey{"consents", c.ID})
			}
			continue
		}
		one, err := register.ParseBound(raw)
		if err != nil {
			continue // audit's own
		}
		switch c := one.(type) {
		case register.BoundIssue:
			subject, err := canonical.ParseBase64(c.Subject)
			if err != nil {
				return nil, nil, err
			}
			rows = append(rows, rowKey{"versions", c.Identifier}, rowKey{"versions", string(subject)}, rowKey{"status_lists", c.List})
			if c.Supersedes != "" {
				rows, moved = append(rows, rowKey{"versions", c.Supersedes}), append(moved, rowKey{"versions", c.Supersedes})
			}
		case register.BoundSetStatus:
			rows, moved = append(rows, rowKey{"versions", c.Identifier}), append(moved, rowKey{"versions", c.Identifier})
		case register.BoundOrder:
			rows, moved = append(rows, rowKey{"versions", c.Identifier}), append(moved, rowKey{"versions", c.Identifier})
		}
	}
	return rows, moved, nil
}

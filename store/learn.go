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

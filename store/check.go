package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"oncegate/license"
	"oncegate/store/sqldb"
	"oncegate/tlog"
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

// Check is the full integrity check: in one snapshot it authenticates every row of state and compares the sums with those of the
// head, so that no row is missing and none was rolled back. Where it fails, the error is ErrAltered, and no batch is accepted until the
// database is opened again. progress may be nil.
func (db *DB) Check(ctx context.Context, progress func(rows uint64)) error {
	err := db.bulk.LongSnapshot(ctx, func(ctx context.Context, q sqldb.Querier) error {
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

// Distrusted returns the integrity error since which no batch is accepted, nil if there is none.
func (db *DB) Distrusted() error {
	if why := db.distrusted.Load(); why != nil {
		return *why
	}
	return nil
}

// checkedRows is after how many rows progress is told.
const checkedRows = 4096

// addUp authenticates every row of the summed tables and sums them; status lists are compared with their versions.
func (db *DB) addUp(ctx context.Context, q sqldb.Querier, progress func(rows uint64)) (s sums, err error) {
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
		{selectFiling, func(rows *sql.Rows) error {
			r, err := db.scanFiling(rows)
			if err == nil {
				count("filings", r.mac)
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
		if err := sqldb.Each(ctx, q, t.scan, t.text); err != nil {
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

// ErrNotAdopted says that the database was written before rows were authenticated. No row is served, and no batch accepted,
// until Adopt has been run once.
var ErrNotAdopted = errors.New("the tables were written before rows were authenticated, and were not adopted")

// Adopted reports whether the rows are authenticated. A database without a log is.
func (db *DB) Adopted(ctx context.Context) (bool, error) {
	var others int64
	_, err := sqldb.One(ctx, db.read, []any{&others}, "SELECT count(*) FROM logs WHERE checkpoint <> '' AND sums IS NULL AND number = (SELECT max(number) FROM logs WHERE checkpoint <> '')")
	if err != nil {
		return false, fmt.Errorf("database could not be read: %w", err)
	}
	return others == 0, nil
}

// adoptStep is how many rows one transaction of Adopt takes on.
const adoptStep = 256

// Adopt migrates a database that was written before rows were authenticated (trust on first use): it tags every row as it is, and sums
// them. It returns how many rows of each table it accepted without proof. With them the caller appends the record of the adoption (audit.Adopt) as
// the log's next: with that record the adoption is done, and without it nothing is. No node may be running. An Adopt that was
// broken off may be run again. progress may be nil. Where the log is not created yet, as in a recovery, its creation takes the
// sums, and its first record after entry 0 states the adoption.
//
// The caller must have proven that the log's newest record is older than the authentication of rows too: otherwise tags and sums were
// here once, and somebody deleted them.
func (db *DB) Adopt(ctx context.Context, progress func(done, total uint64)) (map[string]int, error) {
	done, err := db.adopt(ctx, progress)
	if err != nil {
		return nil, fmt.Errorf("tables could not be adopted: %w", err)
	}
	return done, nil
}

func (db *DB) adopt(ctx context.Context, progress func(done, total uint64)) (map[string]int, error) {
	if adopted, err := db.Adopted(ctx); err != nil || adopted {
		return nil, errors.Join(err, errAdopted)
	}
	return db.adoptRows(ctx, false, progress)
}

// LostKeys reports whether the sums beside the head were sealed under a key that is lost: then rows were tagged under it, too.
func (db *DB) LostKeys(ctx context.Context) (bool, error) {
	h, sealed, err := db.headAndSums(ctx, db.read, "")
	if err != nil || len(sealed) == 0 {
		return false, err
	}
	_, err = db.config.Sealer.Open(sealed, sumsAAD(h.Checkpoint))
	return errors.Is(err, db.config.UnknownKey), nil
}

// AdoptLost is Adopt for rows that were tagged under a key that is lost. It accepts without proof every row whose tag
// cannot be checked, so it is a decision of somebody who knows that a key was lost, and is recorded as that.
func (db *DB) AdoptLost(ctx context.Context, progress func(done, total uint64)) (map[string]int, error) {
	done, err := db.adoptRows(ctx, true, progress)
	if err != nil {
		return nil, fmt.Errorf("tables could not be adopted: %w", err)
	}
	return done, nil
}

// adoptRows tags rows that have no tag, or with every those whose tag does not verify.
func (db *DB) adoptRows(ctx context.Context, every bool, progress func(done, total uint64)) (map[string]int, error) {
	head, _, err := db.headAndSums(ctx, db.read, "")
	if errors.Is(err, fs.ErrNotExist) { // it is about to begin with the checkpoint of the log before
		head, err = tlog.Head{Size: 1}, nil
	}
	if err != nil {
		return nil, err
	}
	var rows, total uint64
	if progress != nil {
		for _, t := range db.adoptions(0) {
			var n uint64
			if err := db.bulk.LongSnapshot(ctx, func(ctx context.Context, q sqldb.Querier) error { return countRows(ctx, q, t.table, &n) }); err != nil {
				return nil, err
			}
			total += n
		}
	}
	counts := map[string]int{}
	for _, t := range db.adoptions(position(db.number, head.Size)) {
		n, err := db.adoptTable(ctx, t, every, func(read int) {
			if rows += uint64(read); progress != nil {
				progress(min(rows, total), total)
			}
		})
		if err == nil && !every { // an adoption that was broken off had begun with some
			err = db.bulk.LongSnapshot(ctx, func(ctx context.Context, q sqldb.Querier) error { return countRows(ctx, q, t.table, &n) })
		}
		if err != nil {
			return nil, fmt.Errorf("table %s: %w", t.table, err)
		}
		counts[t.table] = n
	}
	k := &committedSums{checkpoint: head.Checkpoint}
	if err := db.bulk.LongSnapshot(ctx, func(ctx context.Context, q sqldb.Querier) (err error) {
		k.sums, err = db.addUp(ctx, q, nil)
		return err
	}); err != nil {
		return nil, err
	}
	if every { // what search has was tagged under the lost key too
		if err := (auditView{db}).Rebuild(ctx); err != nil {
			return nil, err
		}
	}
	db.adoption.Store(k)
	return counts, nil
}

func countRows(ctx context.Context, q sqldb.Querier, table string, n any) error {
	_, err := sqldb.One(ctx, q, []any{n}, "SELECT count(*) FROM "+table)
	return err
}

// adopting is the change of the record that states an adoption.
type adopting struct{}

func (adopting) reads(*keySet) {}

func (adopting) apply(s *state) error {
	s.adopts = true
	return nil
}

// sumsBefore are those that a batch begins with: beside the head or, for the record that states an adoption and for no other, those
// of the adoption.
func (db *DB) sumsBefore(s *state, h tlog.Head, sealed []byte) (sums, error) {
	if k := db.adoption.Load(); s.adopts && k != nil && k.checkpoint == h.Checkpoint {
		return k.sums, nil
	}
	return db.sumsOf(h, sealed)
}

var errAdopted = errors.New("they were adopted before")

// An adoption is how the rows of a table get their tags: read selects rows, scan reads one.
type adoption struct {
	table    string
	key, set []string
	read     string
	scan     func(rows *sql.Rows) (adoptee, error)
}

// An adoptee is a row: its key, whether its tag is ours as it stands, and what the columns set become otherwise, mac the last of
// them.
type adoptee struct {
	key    []any
	ours   bool // its tag verifies
	values []any
}

// adoptTable tags rows of a table in the order of their keys, some in each transaction, and returns how many.
func (db *DB) adoptTable(ctx context.Context, a adoption, every bool, read func(rows int)) (n int, err error) {
	key := strings.Join(a.key, ", ")
	update := "UPDATE " + a.table + " SET " + strings.Join(a.set, " = ?, ") + " = ? WHERE " + strings.Join(a.key, " = ? AND ") + " = ?"
	which := " WHERE mac IS NULL"
	if every {
		which = " WHERE 1 = 1"
	}
	where, after := which, []any(nil)
	for {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		var all []adoptee
		taken := 0
		err := db.upkeep.TransactUnsynced(ctx, func(ctx context.Context, t *sqldb.Tx) error {
			all, taken = all[:0], 0
			if err := sqldb.Each(ctx, t, func(rows *sql.Rows) error {
				one, err := a.scan(rows)
				all = append(all, one)
				return err
			}, a.read+where+" ORDER BY "+key+" LIMIT ?", append(after[:len(after):len(after)], adoptStep)...); err != nil {
				return err
			}
			for _, r := range all {
				if r.ours {
					continue
				}
				if _, err := t.Exec(ctx, update, append(r.values, r.key...)...); err != nil {
					return err
				}
				taken++
			}
			return nil
		})
		if err != nil {
			return n, err
		}
		n += taken
		read(len(all))
		if len(all) < adoptStep {
			return n, nil
		}
		where, after = which+" AND ("+key+") > ("+sqldb.Marks(len(a.key))+")", all[len(all)-1].key
	}
}

// adoptions are those of all tables, versions before the lists, which add them up. Rows that say which record changed them last
// say at.
func (db *DB) adoptions(at int64) []adoption {
	names := func(all ...string) []string { return all }
	values := func(all ...any) []any { return all }
	plain := func(table, columns string, key ...string) adoption { // whose tag is over all that is read
		return adoption{table, key, names("mac"), "SELECT " + columns + ", mac FROM " + table, func(rows *sql.Rows) (adoptee, error) {
			names := strings.Split(columns, ", ")
			row, dest := make([]any, len(names)), make([]any, len(names)+1)
			for i := range names {
				dest[i] = &row[i]
			}
			var mac []byte
			dest[len(names)] = &mac
			err := rows.Scan(dest...)
			return adoptee{row[:len(key)], db.authentic(mac, table, row...), values(db.tag(table, row...))}, err
		}}
	}
	return []adoption{
		{"cases", names("no"), names("pos", "mac"), selectCase, func(rows *sql.Rows) (adoptee, error) {
			r := &caseRow{}
			err := r.scan(rows)
			ours := db.authentic(r.mac, "cases", r.columns()...)
			r.pos = at
			return adoptee{values(r.no), ours, values(at, db.tag("cases", r.columns()...))}, err
		}},
		{"case_received", names("case_no", "pos", "n"), names("mac"), selectReceived, func(rows *sql.Rows) (adoptee, error) {
			r := &receivedRow{}
			err := r.scan(rows)
			return adoptee{values(r.Case, r.pos, r.n), db.authentic(r.mac, "case_received", r.columns()...), values(db.tag("case_received", r.columns()...))}, err
		}},
		{"consents", names("id"), names("pos", "mac"), selectConsent, func(rows *sql.Rows) (adoptee, error) {
			r := &consentRow{}
			err := r.scan(rows)
			ours := db.authentic(r.mac, "consents", r.columns()...)
			r.pos = at
			return adoptee{values(r.id), ours, values(at, db.tag("consents", r.columns()...))}, err
		}},
		{"filings", names("id"), names("pos", "mac"), selectFiling, func(rows *sql.Rows) (adoptee, error) {
			r := &filingRow{}
			err := r.scan(rows)
			ours := db.authentic(r.mac, "filings", r.columns()...)
			r.pos = at
			return adoptee{values(r.id), ours, values(at, db.tag("filings", r.columns()...))}, err
		}},
		{"versions", names("identifier"), names("jwt_digest", "pos", "mac"), selectVersion, func(rows *sql.Rows) (adoptee, error) {
			r := &versionRow{}
			err := r.scan(rows, true)
			ours := db.authentic(r.mac, "versions", r.columns()...)
			r.pos, r.jwtDigest = at, db.jwtDigest(r.JWT)
			return adoptee{values(r.Identifier), ours, values(r.jwtDigest, at, db.tag("versions", r.columns()...))}, err
		}},
		{"status_lists", names("list"), names("changed", "not_valid", "mac"), selectList, func(rows *sql.Rows) (adoptee, error) {
			r := &listRow{}
			if err := r.scan(rows); err != nil {
				return adoptee{}, err
			}
			notValid, err := db.notValid(r.list) // versions are taken on already, with other tags
			if err == nil {
				r.changed = at
				r.notValid, err = db.sealNotValid(notValid, r.list)
			}
			return adoptee{values(r.list), false, values(at, r.notValid, db.tag("status_lists", r.columns()...))}, err
		}},
		{"policy_sets", names("digest"), names("pos", "mac"), selectPolicySet, func(rows *sql.Rows) (adoptee, error) {
			r := &policySetRow{}
			err := r.scan(rows)
			ours := db.authentic(r.mac, "policy_sets", r.columns()...)
			r.pos = at
			return adoptee{values(r.digest), ours, values(at, db.tag("policy_sets", r.columns()...))}, err
		}},
		plain("snapshots", "key, as_of, expires", "key"),
		plain("originals", "identifier, digest, made, expires", "identifier"),
		plain("claims", "jti, system, expires, pos", "jti", "system"),
		plain("records", "pos, time, search, changes", "pos"),
		{"horizon", names("one"), names("mac"), "SELECT one, horizon, mac FROM horizon", func(rows *sql.Rows) (adoptee, error) {
			var one, horizon int64
			var mac []byte
			err := rows.Scan(&one, &horizon, &mac)
			return adoptee{values(one), db.authentic(mac, "horizon", horizon), values(db.tag("horizon", horizon))}, err
		}},
	}
}

// notValid adds up the rows of a list that are not valid, as they stand.
func (db *DB) notValid(list string) (s sum, err error) {
	err = sqldb.Each(context.Background(), db.read, func(rows *sql.Rows) error {
		r, err := db.scanVersion(rows, false)
		if err == nil {
			s.add(db.weight("versions", r.mac))
		}
		return err
	}, "SELECT "+versionColumns+" FROM versions WHERE list = ? AND status <> ?", list, string(license.Valid))
	return s, err
}

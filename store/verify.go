package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"math"
	"slices"

	"oncegate/audit"
	"oncegate/canonical"
	"oncegate/store/sqldb"
	"oncegate/tlog"
)

// StateOptions are the parameters of VerifyState. NewSM3 is required.
type StateOptions struct {
	NewSM3   func() hash.Hash
	Progress func(done, total uint64) // rows and records; nil: nobody asks
}

// A State is the result of comparing the tables with a replay of the logs.
type State struct {
	Checks  []audit.StateCheck // StepTags, StepChanges, StepReplay, StepIndexed for what search has, and StepCopies
	Adopted []AdoptedRows      // rows that no record makes
}

// AdoptedRows is how many rows of a table a record accepted as they were (audit.Adopt), without proof.
type AdoptedRows struct {
	Table  string `json:"table"`
	Rows   int    `json:"rows"`
	Log    string `json:"log"`
	Record uint64 `json:"record"`
}

// A KeptLog is one of the logs that the database keeps: after a recovery there are several.
type KeptLog struct {
	Origin string
	Head   tlog.Head
	Reader tlog.Reader

	number int64
}

// Logs are those of the database that were begun, the oldest first; the last is the one that is written. The error is fs.ErrNotExist
// where that is not Config.Log.
func (db *DB) Logs(ctx context.Context) (logs []KeptLog, err error) {
	logs, err = begunLogs(ctx, db.read)
	for i := range logs {
		logs[i].Reader = reader{db.bulk, logs[i].number}
	}
	if err == nil && (len(logs) == 0 || logs[len(logs)-1].number != db.number) {
		err = fmt.Errorf("the log that the database writes is not %s: %w", db.config.Log, fs.ErrNotExist)
	}
	if err != nil {
		return nil, fmt.Errorf("logs could not be read: %w", err)
	}
	return logs, nil
}

// begunLogs are the logs of a database that were begun, the oldest first, without their readers; none of a database that has no tables.
func begunLogs(ctx context.Context, q *sqldb.Pool) (logs []KeptLog, err error) {
	exists := "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'logs')"
	if q.Engine() == Postgres {
		exists = "SELECT to_regclass('logs') IS NOT NULL"
	}
	var there bool
	if _, err := sqldb.One(ctx, q, []any{&there}, exists); err != nil || !there {
		return nil, err
	}
	err = sqldb.Each(ctx, q, func(rows *sql.Rows) error {
		var l KeptLog
		var size int64
		err := rows.Scan(&l.number, &l.Origin, &size, &l.Head.SM3, &l.Head.SHA256, &l.Head.Checkpoint)
		l.Head.Size = uint64(size)
		logs = append(logs, l)
		return err
	}, "SELECT number, origin, size, sm3, sha256, checkpoint FROM logs WHERE checkpoint <> '' ORDER BY number")
	return logs, err
}

// VerifyState replays the records of all logs (event sourcing) and compares every row of every table with the result. It changes
// nothing, and no node may be running. That the records themselves are those of the logs is for the caller to prove, with Logs.
//
// What was altered without keys is found by tags and sums. What the holder of all keys altered is found by the replay, as far as the log
// itself is fixed by somebody else: a checkpoint that a witness signed, or that somebody filed.
func (db *DB) VerifyState(ctx context.Context, o StateOptions) (State, error) {
	s, err := db.verifyState(ctx, o)
	if err != nil {
		return State{}, fmt.Errorf("tables could not be verified: %w", err)
	}
	return s, nil
}

func (db *DB) verifyState(ctx context.Context, o StateOptions) (s State, err error) {
	logs, err := db.Logs(ctx)
	if err != nil {
		return s, err
	}
	origins, total := map[int64]string{}, uint64(0)
	for _, l := range logs {
		origins[l.number] = l.Origin
		total += l.Head.Size
	}
	c := &comparison{replay: newReplay(o.NewSM3, origins), db: db, tags: audit.StateCheck{Name: audit.StepTags}, foreign: audit.StateCheck{Name: audit.StepTags}, sealed: audit.StateCheck{Name: audit.StepCopies}, notValid: map[string]*sum{}, files: map[string]string{}, orders: map[int64]int64{}}
	if err := c.records(ctx, total, o.Progress); err != nil {
		return s, err
	}
	if err := db.bulk.LongSnapshot(ctx, func(ctx context.Context, q sqldb.Querier) error {
		if err := c.tables(ctx, q); err != nil {
			return err
		}
		if err := c.horizon(ctx, q); err != nil {
			return err
		}
		return c.addsUp(ctx, q)
	}); err != nil {
		return s, err
	}
	if err := c.cosigned(ctx, logs); err != nil {
		return s, err
	}
	s.Adopted = c.adoptedRows()
	if c.unknown > 0 {
		c.rows.Unknown(fmt.Sprintf("%d sealed columns are under a key that the keystore lacks", c.unknown))
	}
	copies, err := db.verifyCopies(ctx, c)
	if err != nil {
		return s, err
	}
	copies.Join(c.sealed)
	if c.keyLost {
		c.tags.Unknown("what the tables add up to was sealed under a key that the keystore lacks")
	} else {
		c.tags.Join(c.foreign)
	}
	search, err := db.verifyHits(ctx)
	s.Checks = []audit.StateCheck{c.tags, c.changes, c.rows, search, copies}
	return s, err
}

// lostKey reports whether a blob cannot be opened because the keystore lacks its key.
func (db *DB) lostKey(err error) bool {
	return db.config.UnknownKey != nil && errors.Is(err, db.config.UnknownKey)
}

// recordStep is how many records are read at once.
const recordStep = 512

// records replays all records in the order of the logs, and looks at their tags.
func (c *comparison) records(ctx context.Context, total uint64, progress func(done, total uint64)) error {
	var last int64
	for done := uint64(0); ; {
		n := 0
		err := sqldb.Each(ctx, c.db.bulk, func(rows *sql.Rows) error {
			var pos, time int64
			var leaf, mac []byte
			var search, changes string
			if err := rows.Scan(&pos, &time, &leaf, &search, &changes, &mac); err != nil {
				return err
			}
			n, last = n+1, pos
			c.tags.Checked++
			if c.origins[pos>>indexBits] == "" {
				c.fault(&c.changes, "records", fmt.Sprint(pos), 0, "the record is of no log of this database")
				return nil
			}
			c.tagged(&c.tags, "records", "", pos, mac, []any{pos, time, search, changes})
			c.record(pos, leaf, changes)
			return nil
		}, "SELECT pos, time, leaf, search, changes, mac FROM records WHERE pos > ? ORDER BY pos LIMIT ?", last, recordStep)
		if err != nil {
			return err
		}
		if done += uint64(n); progress != nil {
			progress(min(done, total), total)
		}
		if n < recordStep {
			if done > total {
				c.fault(&c.changes, "records", "", 0, "there are %d records, and the logs have %d", done, total)
			}
			return nil
		}
	}
}

// cosigned holds cosigned checkpoints against the trees of their logs. Signatures are for whoever brings the keys.
func (c *comparison) cosigned(ctx context.Context, logs []KeptLog) error {
	for _, l := range logs {
		view := tlog.NewView(keptHead{l.Reader, l.Head}, c.newSM3)
		last := int64(-1)
		for n := recordStep; n == recordStep; {
			var all []tlog.Cosigned
			if err := sqldb.Each(ctx, c.db.bulk, func(rows *sql.Rows) error {
				var one tlog.Cosigned
				err := rows.Scan(&last, &one.Note)
				one.Size = uint64(last)
				all = append(all, one)
				return err
			}, "SELECT size, note FROM cosigned WHERE log = ? AND size > ? ORDER BY size LIMIT ?", l.number, last, recordStep); err != nil {
				return err
			}
			n = len(all)
			for _, one := range all {
				c.tags.Checked++
				err := view.Holds(ctx, l.Origin, one)
				switch {
				case errors.Is(err, tlog.ErrUnproven):
					c.tags.Fault(audit.StateFault{Table: "cosigned", Key: fmt.Sprint(one.Size), Log: l.Origin, What: "the cosigned checkpoint is none of this log"})
				case err != nil:
					return err
				}
			}
		}
	}
	return nil
}

type keptHead struct {
	tlog.Reader
	head tlog.Head
}

func (k keptHead) Head(context.Context) (tlog.Head, error) { return k.head, nil }

// horizon looks at the horizon's tag, and that it did not fall.
func (c *comparison) horizon(ctx context.Context, q sqldb.Querier) error {
	var mac []byte
	_, err := sqldb.One(ctx, q, []any{&c.sums.horizon, &mac}, "SELECT horizon, mac FROM horizon WHERE one = 1")
	if err == nil && c.sums.horizon != 0 {
		c.tagged(&c.tags, "horizon", "", 0, mac, []any{c.sums.horizon})
	}
	return err
}

// addsUp holds what the rows add up to against what the head says.
func (c *comparison) addsUp(ctx context.Context, q sqldb.Querier) error {
	h, sealed, err := c.db.headAndSums(ctx, q, "")
	if err != nil {
		return err
	}
	if len(sealed) == 0 {
		if len(c.versioned) > 0 {
			c.fault(&c.tags, "logs", "", 0, "what the tables add up to is gone from beside the head")
		}
		c.tags.Unknown("the tables were written before rows were authenticated, and were not adopted")
		return nil
	}
	plain, err := c.db.config.Sealer.Open(sealed, sumsAAD(h.Checkpoint))
	switch {
	case c.db.lostKey(err):
		c.keyLost = true
		return nil
	case err != nil || !areSums(plain):
		c.fault(&c.tags, "logs", "", 0, "what the tables add up to, beside the head, is not that of the checkpoint")
		return nil
	}
	was := readSums(plain)
	if c.sums.horizon < was.horizon {
		c.fault(&c.tags, "horizon", "", 0, "the horizon of used calls fell")
	}
	for i, table := range summed {
		switch is := c.sums.tables[i]; {
		case is.rows != was.tables[i].rows:
			c.fault(&c.tags, table, "", 0, "there are %d rows, and under the checkpoint there are %d", is.rows, was.tables[i].rows)
		case is != was.tables[i]:
			c.fault(&c.tags, table, "", 0, "rows are not those that are under the checkpoint: one of them is as it once was")
		}
	}
	return nil
}

// verifyCopies looks at the tags of kept copies and originals, which the sums leave out, and of claims.
func (db *DB) verifyCopies(ctx context.Context, c *comparison) (check audit.StateCheck, err error) {
	check.Name = audit.StepCopies
	for _, t := range []struct {
		table, columns string
		scan           func(rows *sql.Rows, mac *[]byte) (key string, columns []any, err error)
		into           *audit.StateCheck
	}{
		{"snapshots", "key, as_of, expires", func(rows *sql.Rows, mac *[]byte) (string, []any, error) {
			var key []byte
			var asOf, expires int64
			err := rows.Scan(&key, &asOf, &expires, mac)
			return canonical.Base64(key), []any{key, asOf, expires}, err
		}, &check},
		{"originals", "identifier, digest, made, expires", func(rows *sql.Rows, mac *[]byte) (string, []any, error) {
			var identifier string
			var digest []byte
			var made, expires int64
			err := rows.Scan(&identifier, &digest, &made, &expires, mac)
			return identifier, []any{identifier, digest, made, expires}, err
		}, &check},
		{"claims", "jti, system, expires, pos", func(rows *sql.Rows, mac *[]byte) (string, []any, error) {
			var jti, system string
			var expires, pos int64
			err := rows.Scan(&jti, &system, &expires, &pos, mac)
			return "", []any{jti, system, expires, pos}, err // a call's id is its caller's
		}, &c.tags},
	} {
		err := db.bulk.LongSnapshot(ctx, func(ctx context.Context, q sqldb.Querier) error {
			return sqldb.Each(ctx, q, func(rows *sql.Rows) error {
				var mac []byte
				key, columns, err := t.scan(rows, &mac)
				if err == nil {
					t.into.Checked++
					c.tagged(t.into, t.table, key, 0, mac, columns)
				}
				return err
			}, "SELECT "+t.columns+", mac FROM "+t.table)
		})
		if err != nil {
			return check, err
		}
	}
	return check, nil
}

// verifyHits makes again what search has of the log that is written, as Follow makes it, and compares.
func (db *DB) verifyHits(ctx context.Context) (check audit.StateCheck, err error) {
	check.Name = audit.StepIndexed
	v := auditView{db}
	p, err := v.projection(ctx, db.search.read)
	if err != nil {
		if lost, lostErr := db.LostKeys(ctx); lostErr == nil && lost {
			check.Unknown("what search has was tagged under a key that the keystore lacks")
			return check, nil
		}
	}
	if isAltered(err) {
		check.Fault(audit.StateFault{Table: "projection", Log: db.config.Log, What: "the row is not as it was left"})
		return check, nil
	}
	if err != nil {
		return check, err
	}
	covered := p.size()
	for start := uint64(0); start < covered; {
		end := min(covered, start+uint64(recordStep))
		want, _, err := v.hits(ctx, start, end)
		if ctx.Err() != nil {
			return check, ctx.Err()
		}
		if isAltered(err) {
			check.Fault(audit.StateFault{Table: "records", Log: db.config.Log, What: fmt.Sprintf("what search has of records %d to %d cannot be made again: %v", start, end-1, err)})
			start = end
			continue
		}
		if err != nil { // what stands beside a record is damaged: other steps say which
			check.Unknown("what search has cannot be made again where what stands beside a record is damaged")
			start = end
			continue
		}
		if err := db.compareHits(ctx, &check, want, position(db.number, start), position(db.number, end)); err != nil {
			return check, err
		}
		start = end
	}
	return check, nil
}

func (db *DB) compareHits(ctx context.Context, check *audit.StateCheck, want []hit, start, end int64) error {
	at := 0
	fault := func(pos int64, what string) {
		index := indexOf(pos)
		check.Fault(audit.StateFault{Table: "hits", Log: db.config.Log, Record: &index, What: what})
	}
	err := sqldb.Each(ctx, db.search.read, func(rows *sql.Rows) error {
		var is hit
		if err := is.scan(rows); err != nil {
			return err
		}
		check.Checked++
		for at < len(want) && (want[at].pos < is.pos || want[at].pos == is.pos && want[at].n < is.n) {
			fault(want[at].pos, "search does not find the record by one of its uses")
			at++
		}
		if at == len(want) || want[at].pos != is.pos || want[at].n != is.n {
			fault(is.pos, "search finds the record by what stands nowhere in it")
			return nil
		}
		if !slices.Equal(is.columns(), want[at].columns()) {
			fault(is.pos, "search finds the record by something else than what stands beside it")
		} else if !db.authentic(is.mac, "hits", is.columns()...) {
			fault(is.pos, "the row has no tag of our keys: it was written without them")
		}
		at++
		return nil
	}, "SELECT "+hitColumns+" FROM hits WHERE pos >= ? AND pos < ? ORDER BY pos, n", start, end)
	for ; err == nil && at < len(want); at++ {
		fault(want[at].pos, "search does not find the record by one of its uses")
	}
	return err
}

// Stored reads the records of all logs of the database with what stands beside them, for audit.VerifyStored.
func (db *DB) Stored() audit.Stored { return storedView{db} }

type storedView struct{ db *DB }

// storedStep is how many records are read at once, with their evidence.
const storedStep = 128

// Records reads newest first, in short statements: there may be any number.
func (v storedView) Records(ctx context.Context, yield func(audit.StoredRecord) error) error {
	origins, err := v.origins(ctx)
	if err != nil {
		return err
	}
	for last, n := int64(math.MaxInt64), storedStep; n == storedStep; {
		var all []audit.StoredRecord
		n = 0
		if err := sqldb.Each(ctx, v.db.bulk, func(rows *sql.Rows) error {
			var evidence []byte
			var search string
			r := audit.StoredRecord{}
			if err := rows.Scan(&last, &r.Time, &r.Erasable, &r.Leaf, &search, &evidence); err != nil {
				return err
			}
			n++
			r.Log, r.Index, r.Search = origins[last>>indexBits], indexOf(last), []byte(search)
			r.Parts, r.PartsErr = unpackEvidence(evidence)
			if r.Log != "" { // one of no log is named elsewhere
				all = append(all, r)
			}
			return nil
		}, "SELECT pos, time, erasable, leaf, search, evidence FROM records WHERE pos < ? ORDER BY pos DESC LIMIT ?", last, storedStep); err != nil {
			return fmt.Errorf("records could not be read: %w", err)
		}
		for _, r := range all {
			if err := yield(r); err != nil {
				return err
			}
		}
	}
	return nil
}

// Claims reads in steps too.
func (v storedView) Claims(ctx context.Context, yield func(audit.StoredClaim) error) error {
	origins, err := v.origins(ctx)
	if err != nil {
		return err
	}
	var last claimKey
	for n := recordStep; n == recordStep; {
		n = 0
		if err := sqldb.Each(ctx, v.db.bulk, func(rows *sql.Rows) error {
			var expires, pos int64
			if err := rows.Scan(&last.jti, &last.system, &expires, &pos); err != nil {
				return err
			}
			n++
			return yield(audit.StoredClaim{Log: origins[pos>>indexBits], Index: indexOf(pos), System: last.system, JTI: last.jti, Expires: expires})
		}, "SELECT jti, system, expires, pos FROM claims WHERE (jti, system) > (?, ?) ORDER BY jti, system LIMIT ?", last.jti, last.system, recordStep); err != nil {
			return fmt.Errorf("claims could not be read: %w", err)
		}
	}
	return nil
}

// Horizon is at or before which calls are refused unread, in microseconds since 1970.
func (v storedView) Horizon(ctx context.Context) (horizon int64, err error) {
	if _, err = sqldb.One(ctx, v.db.read, []any{&horizon}, "SELECT horizon FROM horizon WHERE one = 1"); err != nil {
		err = fmt.Errorf("horizon could not be read: %w", err)
	}
	return horizon, err
}

func (v storedView) origins(ctx context.Context) (map[int64]string, error) {
	logs, err := v.db.Logs(ctx)
	origins := map[int64]string{}
	for _, l := range logs {
		origins[l.number] = l.Origin
	}
	return origins, err
}

package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"

	"oncegate/canonical"
	"oncegate/store/sqldb"
)

// A projection is the position of the search projection: how many records of a log its rows cover.
type projection struct {
	made    int64  // when it was begun, in microseconds
	covered int64  // how many records they cover; emptying
	hashes  []byte // of the last record covered
}

// emptying, as the position of a projection, says that it is being reset and old rows may be left: nothing is covered.
const emptying = -1

// emptyStep is about how many rows of the projection are deleted in one transaction.
const emptyStep = 2000

func (p projection) size() uint64 { return uint64(max(p.covered, 0)) }

// before reports whether a projection was rolled back: none is made older again, nor shorter.
func (p projection) before(than projection) bool {
	return p.made < than.made || p.made == than.made && p.size() < than.size()
}

// projection reads and authenticates the position. A log that no Follow has begun with has none. A position older than one
// that this process saw was rolled back by somebody else.
func (v auditView) projection(ctx context.Context, q sqldb.Querier) (p projection, err error) {
	known := v.db.search.newest.Load()
	var mac []byte
	found, err := sqldb.One(ctx, q, []any{&p.made, &p.covered, &p.hashes, &mac}, "SELECT made, covered, hashes, mac FROM projection WHERE log = ?", v.db.number)
	if err == nil && found {
		err = v.db.authenticate(mac, "projection", v.db.number, p.made, p.covered, p.hashes)
	}
	if err == nil && known != nil && p.before(*known) {
		err = v.db.altered("projection", "an older one was put back")
	}
	if err != nil {
		return projection{}, err
	}
	return p, nil
}

// remember keeps an authentic projection for rollback checks. It keeps a copy: others read it meanwhile.
func (v auditView) remember(p projection) { v.db.search.newest.Store(&p) }

// set are the columns of a projection's row but its log, with their tag.
func (v auditView) set(p projection) []any {
	p.hashes = filled(p.hashes)
	return []any{p.made, p.covered, p.hashes, v.db.tag("projection", v.db.number, p.made, p.covered, p.hashes)}
}

// Follow covers up to Config.Follow more records. It reads outside the transaction, records never change, and writes
// only if nobody else was faster. Records that are not authentic stop it: search then stays behind the log, and reports that.
// A projection that is not authentic is reset and made again.
func (v auditView) Follow(ctx context.Context) (covered, size uint64, err error) {
	v.db.follow.Lock()
	defer v.db.follow.Unlock()
	if covered, size, err = v.follow(ctx); err != nil {
		return 0, 0, fmt.Errorf("projection could not follow the log: %w", err)
	}
	return covered, size, nil
}

func (v auditView) follow(ctx context.Context) (covered, size uint64, err error) {
	db := v.db
	p, found := v.projection(ctx, db.search.read) // before the head: the log is no shorter then
	switch {
	case found == nil:
		v.remember(p)
	case !isAltered(found):
		return 0, 0, found
	}
	head, sums, err := db.headAndSums(ctx, db.read, "")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return 0, 0, nil
	case err != nil:
		return 0, 0, err
	case len(sums) == 0:
		return 0, 0, ErrNotAdopted
	case head.Size < db.longest:
		return 0, 0, db.altered("logs", "the log is shorter than it was")
	}
	db.longest = head.Size
	if found == nil && !db.search.stale.Load() {
		if found = v.checkPosition(ctx, p, head.Size); found != nil && !isAltered(found) {
			return 0, 0, found
		}
	}
	switch {
	case found != nil || db.search.stale.Load():
		p, err = v.rebuild(ctx)
	case p.covered == emptying: // a Rebuild that was broken off
		p, err = v.empty(ctx, p)
	}
	if err != nil {
		return 0, 0, err
	}
	v.remember(p)
	covered = p.size()
	if covered >= head.Size {
		return covered, head.Size, nil
	}
	end := min(head.Size, covered+uint64(db.config.Follow))
	hits, last, err := v.hits(ctx, covered, end)
	if err != nil {
		return 0, 0, err
	}
	if err := v.cover(ctx, p, end, last, hits); err != nil {
		return 0, 0, err
	}
	if p, err = v.projection(ctx, db.search.read); err != nil {
		return 0, 0, err
	}
	v.remember(p)
	return p.size(), max(head.Size, p.size()), nil
}

// checkPosition proves that a projection is one of this log: it covers no more than there is, and its last record is the one that is here.
func (v auditView) checkPosition(ctx context.Context, p projection, size uint64) error {
	if p.size() > size {
		return v.db.altered("projection", "it covers more records than the log has")
	}
	same, err := v.sameLast(ctx, p)
	if err == nil && !same {
		err = v.db.altered("projection", "it is of other records")
	}
	return err
}

// sameLast reports whether the last record that a projection covers is the one that is here.
func (v auditView) sameLast(ctx context.Context, p projection) (bool, error) {
	if p.covered <= 0 {
		return true, nil
	}
	var is []byte
	_, err := sqldb.One(ctx, v.db.read, []any{&is}, "SELECT hashes FROM records WHERE pos = ?", position(v.db.number, uint64(p.covered-1)))
	return bytes.Equal(p.hashes, is), err
}

// cover moves the position and adds the rows between, unless another node moved it meanwhile. Rows behind the position are none of
// ours: it was put back to where it once stood, or taken away.
func (v auditView) cover(ctx context.Context, was projection, end uint64, last []byte, hits []hit) error {
	is := projection{was.made, int64(end), last}
	if is.made == 0 {
		is.made = v.nextEpoch()
	}
	return v.db.search.write.Transact(ctx, func(ctx context.Context, t *sqldb.Tx) error {
		n, err := t.Exec(ctx, "UPDATE projection SET made = ?, covered = ?, hashes = ?, mac = ? WHERE log = ? AND made = ? AND covered = ?",
			append(v.set(is), v.db.number, was.made, was.covered)...)
		if err == nil && n == 0 && was.made == 0 {
			n, err = t.Exec(ctx, "INSERT INTO projection (made, covered, hashes, mac, log) VALUES (?, ?, ?, ?, ?) ON CONFLICT (log) DO NOTHING", append(v.set(is), v.db.number)...)
		}
		if err != nil || n == 0 {
			return err
		}
		var pos int64
		behind, err := sqldb.One(ctx, t, []any{&pos}, "SELECT pos FROM hits WHERE pos >= ? AND pos < ? ORDER BY pos LIMIT 1",
			position(v.db.number, uint64(was.covered)), position(v.db.number+1, 0))
		if err == nil && behind {
			v.db.search.stale.Store(true)
			err = v.db.altered("projection", "there are rows behind its position")
		}
		if err != nil {
			return err
		}
		return v.writeHits(ctx, t, hits)
	})
}

// hits reads what the records from start to end may be found by, and the hashes of the last. Each record is authenticated: the
// projection is no better than what it is made of.
func (v auditView) hits(ctx context.Context, start, end uint64) (hits []hit, last []byte, err error) {
	next := position(v.db.number, start)
	err = sqldb.Each(ctx, v.db.read, func(rows *sql.Rows) error {
		var pos, time int64
		var search, changes string
		var hashes sql.RawBytes
		var mac []byte
		if err := rows.Scan(&pos, &hashes, &time, &search, &changes, &mac); err != nil {
			return err
		}
		if err := v.db.authenticate(mac, "records", pos, time, search, changes); err != nil {
			return fmt.Errorf("record %d: %w", indexOf(pos), err)
		}
		if pos != next {
			return v.db.altered("records", fmt.Sprintf("record %d is gone", indexOf(next)))
		}
		next++
		last = append(last[:0], hashes...)
		more, err := hitsOf(pos, time, []byte(search))
		hits = append(hits, more...)
		return err
	}, "SELECT pos, hashes, time, search, changes, mac FROM records WHERE pos >= ? AND pos < ? ORDER BY pos", next, position(v.db.number, end))
	if err == nil && next != position(v.db.number, end) {
		err = v.db.altered("records", fmt.Sprintf("record %d is gone", indexOf(next)))
	}
	return hits, last, err
}

func (v auditView) writeHits(ctx context.Context, q sqldb.Querier, hits []hit) error {
	return sqldb.WriteSet(ctx, q, hits, "INSERT INTO hits ("+hitColumns+")", hitWidth, "", func(h hit) []any {
		columns := h.columns()
		return append(columns, v.db.tag("hits", columns...))
	})
}

// nextEpoch is the time of a projection that is begun now, later than that of any seen before.
func (v auditView) nextEpoch() int64 {
	now := canonical.Micros(v.db.config.Now())
	if known := v.db.search.newest.Load(); known != nil {
		now = max(now, known.made+1)
	}
	return now
}

// Rebuild resets the projection at once and then deletes its rows in steps, so that the log's batches get their turn.
func (v auditView) Rebuild(ctx context.Context) error {
	v.db.follow.Lock()
	defer v.db.follow.Unlock()
	switch p, err := v.projection(ctx, v.db.search.read); { // the new one is begun after it, whatever this node's clock says
	case err == nil:
		v.remember(p)
	case !isAltered(err):
		return fmt.Errorf("projection could not be read: %w", err)
	}
	_, err := v.rebuild(ctx)
	return err
}

func (v auditView) rebuild(ctx context.Context) (projection, error) {
	p, err := v.reset(ctx)
	if err != nil {
		return p, fmt.Errorf("projection could not be reset: %w", err)
	}
	v.remember(p)
	v.db.search.stale.Store(false) // what was found altered is not covered any more
	return v.empty(ctx, p)
}

// reset makes nothing covered until the projection is empty.
func (v auditView) reset(ctx context.Context) (projection, error) {
	p := projection{made: v.nextEpoch(), covered: emptying}
	return p, v.db.search.write.Transact(ctx, func(ctx context.Context, t *sqldb.Tx) error {
		_, err := t.Exec(ctx, `INSERT INTO projection (made, covered, hashes, mac, log) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (log) DO UPDATE SET made = excluded.made, covered = excluded.covered, hashes = excluded.hashes, mac = excluded.mac`,
			append(v.set(p), v.db.number)...)
		return err
	})
}

// empty deletes what is left of a projection that is being emptied, and returns how it stands then. Every step holds the position's row,
// so that no node deletes what another has begun to fill again.
func (v auditView) empty(ctx context.Context, p projection) (projection, error) {
	start, end := position(v.db.number, 0), position(v.db.number+1, 0)
	for more := true; more; {
		err := ctx.Err()
		if err == nil {
			err = v.db.search.write.Transact(ctx, func(ctx context.Context, t *sqldb.Tx) error {
				more = false
				n, err := t.Exec(ctx, "UPDATE projection SET covered = ? WHERE log = ? AND made = ? AND covered = ?", emptying, v.db.number, p.made, emptying)
				if err != nil || n == 0 {
					return err
				}
				upTo := end
				if more, err = sqldb.One(ctx, t, []any{&upTo}, "SELECT pos FROM hits WHERE pos >= ? AND pos < ? ORDER BY pos LIMIT 1 OFFSET ?", start, end, emptyStep); err != nil {
					return err
				}
				if _, err = t.Exec(ctx, "DELETE FROM hits WHERE pos >= ? AND pos < ?", start, upTo); err != nil || more {
					return err
				}
				_, err = t.Exec(ctx, "UPDATE projection SET made = ?, covered = ?, hashes = ?, mac = ? WHERE log = ?", append(v.set(projection{made: p.made}), v.db.number)...)
				return err
			})
		}
		if err != nil {
			return p, fmt.Errorf("projection could not be emptied: %w", err)
		}
	}
	return v.projection(ctx, v.db.search.read)
}

// searching is the storage of the search projection. Nothing in it is the only copy. On SQLite it is a file of its own beside the
// database: there one writes at a time, and no answer shall wait until an index is written. On PostgreSQL it is the database,
// over connections of its own, whose statements may take longer than those of an answer.
type searching struct {
	write, read *sqldb.Pool

	newest atomic.Pointer[projection] // the newest that Follow saw
	stale  atomic.Bool                // it covers other records, or something in it was altered: Follow resets it
}

// searchReaders is how many searches run at once.
const searchReaders = 4

// openSearch opens what search has. A file that is damaged or of another program is made anew, and so is a projection of other
// records, as after an older database was put back.
func (db *DB) openSearch(ctx context.Context, wrap sqldb.Wrapper) error {
	if db.write.Engine() != SQLite {
		db.search.write, db.search.read = db.upkeep, db.engine.Search
		if err := db.upkeep.Migrate(ctx, searchSchema(db.config.Now)); err != nil {
			return err
		}
		return auditView{db}.adopt(ctx)
	}
	file := db.engine.Path() + "-search"
	err := db.openSearchFile(ctx, file, wrap)
	if sqldb.Unusable(err) {
		if err = errors.Join(db.search.close(), sqldb.RemoveFile(file)); err == nil {
			err = db.openSearchFile(ctx, file, wrap)
		}
	}
	return err
}

func (db *DB) openSearchFile(ctx context.Context, file string, wrap sqldb.Wrapper) (err error) {
	if db.search.write, db.search.read, err = sqldb.OpenUnsynced(file, searchReaders, wrap); err != nil {
		return err
	}
	if err := db.search.write.Migrate(ctx, searchSchema(db.config.Now)); err != nil {
		return err
	}
	return auditView{db}.adopt(ctx)
}

func (s *searching) close() error { return errors.Join(s.read.Close(), s.write.Close()) }

// adopt looks whether the projection is of these records: the last one that it covers must be the one that is here. Any other, as after
// an older database was put back, is reset by the next Follow, and not searched until then. It reads without keys, which
// who only reads the log does not have: nothing rests on what it reads.
func (v auditView) adopt(ctx context.Context) error {
	var p projection
	if _, err := sqldb.One(ctx, v.db.search.read, []any{&p.covered, &p.hashes}, "SELECT covered, hashes FROM projection WHERE log = ?", v.db.number); err != nil {
		return err
	}
	same, err := v.sameLast(ctx, p)
	v.db.search.stale.Store(!same)
	return err
}

package store

import (
	"context"
	"fmt"

	"oncegate/tlog"
)

// Commit makes the entries ready before it takes the lock, judges them in memory, and writes what was accepted in a few
// statements of many rows. Tables are always written in the same order.
func (l logView) Commit(ctx context.Context, b tlog.Batch) (verdicts []error, err error) {
	db := l.db
	if why := db.Distrusted(); why != nil {
		return nil, why
	}
	rows := make([]*row, len(b.Entries))
	for i, e := range b.Entries {
		rows[i] = db.prepare(e)
	}
	wanted := want(rows)
	var held []func() // by each time that the transaction was begun
	var left knownSums
	var notes, taken []noted
	defer func() {
		for _, release := range held {
			release()
		}
	}()
	err = db.transact(ctx, func(ctx context.Context, t *tx) error {
		head, sealed, err := db.headAndSums(ctx, t, t.pool.dialect.lock)
		if err != nil {
			return err
		}
		left, notes, taken = knownSums{}, nil, nil
		s, err := db.load(ctx, t, wanted)
		if err != nil {
			return fmt.Errorf("what the batch changes could not be read: %w", err)
		}
		var accepted []int
		verdicts = make([]error, len(rows))
		for i, r := range rows {
			if verdicts[i] = s.accept(i, r); verdicts[i] == nil {
				accepted = append(accepted, i)
			}
		}
		if len(accepted) == 0 {
			return nil
		}
		update, err := b.Integrate(head, reader{t, db.number}, accepted)
		if err != nil {
			return fmt.Errorf("batch could not be integrated: %w", err)
		}
		if err := db.checkUpdate(head, update, len(accepted)); err != nil {
			return err
		}
		if s.sums, err = db.sumsBefore(s, head, sealed); err != nil { // the head is believed now
			return err
		}
		if err := s.keepHorizon(); err != nil {
			return err
		}
		if left, err = db.writeBatch(ctx, t, b.ID, rows, accepted, head, update, s); err != nil {
			return fmt.Errorf("batch could not be written: %w", err)
		}
		notes, taken = s.notes, s.taken
		held = append(held, db.hold(s))
		return nil
	})
	if err == nil && left.checkpoint != "" {
		db.lastSums.Store(&left)
		for _, n := range notes {
			db.recent.note(n.rowKey, n.pos)
		}
		for _, n := range taken {
			db.taken.note(n.rowKey, n.pos)
		}
	}
	return verdicts, err
}

// checkUpdate refuses an update that is none of the head: better no log than a forked one.
func (db *DB) checkUpdate(head tlog.Head, u tlog.Update, accepted int) error {
	if len(u.Leaves) != accepted || u.Head.Size != head.Size+uint64(accepted) || u.Head.Size >= 1<<indexBits {
		return fmt.Errorf("update of %d leaves to size %d does not follow from %d entries on size %d",
			len(u.Leaves), u.Head.Size, accepted, head.Size)
	}
	return nil
}

func (db *DB) writeBatch(ctx context.Context, t *tx, id [16]byte, rows []*row, accepted []int, head tlog.Head, u tlog.Update, s *state) (left knownSums, err error) {
	positions := make(map[int]int64, len(accepted))
	for k, i := range accepted {
		positions[i] = position(db.number, head.Size+uint64(k))
	}
	at := func(entry int) int64 { return positions[entry] }
	if err := db.writeRecords(ctx, t, rows, accepted, at, u.Leaves); err != nil {
		return left, err
	}
	if err := writeSet(ctx, t, u.Tiles, "INSERT INTO tiles (log, tree, level, idx, hashes)", 5, "", func(tile tlog.Tile) []any {
		return []any{db.number, int64(tile.Tree), int64(tile.Level), int64(tile.Index), tile.Hashes}
	}); err != nil {
		return left, err
	}
	if err := s.write(ctx, t, at); err != nil {
		return left, err
	}
	if err := db.noteBatch(ctx, t, id); err != nil {
		return left, err
	}
	sealed, err := db.sealSums(s.sums, u.Head.Checkpoint)
	if err != nil {
		return left, err
	}
	_, err = t.exec(ctx, "UPDATE logs SET size = ?, sm3 = ?, sha256 = ?, checkpoint = ?, batch = ?, sums = ? WHERE number = ?",
		int64(u.Head.Size), filled(u.Head.SM3), filled(u.Head.SHA256), u.Head.Checkpoint, id[:], sealed, db.number)
	return knownSums{u.Head.Checkpoint, string(sealed), s.sums}, err
}

// sweepEvery is after how many batches ids that nobody will ask for any more are deleted: four of them for each new one.
const sweepEvery = 256

// oldBatches finds each row by its key: after a long stop there may be millions that are old.
const oldBatches = "DELETE FROM batches WHERE (hour, id) IN (SELECT hour, id FROM batches WHERE hour < ? ORDER BY hour, id LIMIT ?)"

func (db *DB) noteBatch(ctx context.Context, t *tx, id [16]byte) error {
	if db.batches.Add(1)%sweepEvery == 1 {
		old := db.hour() - keptHours
		if _, err := t.exec(ctx, oldBatches, old, 4*sweepEvery); err != nil {
			return err
		}
	}
	_, err := t.exec(ctx, "INSERT INTO batches (hour, id) VALUES (?, ?)", db.hour(), id[:])
	return err
}

func (db *DB) writeRecords(ctx context.Context, t *tx, rows []*row, accepted []int, at func(int) int64, hashes []tlog.LeafHash) error {
	k := 0
	return writeSet(ctx, t, accepted,
		"INSERT INTO records (pos, hashes, time, erasable, leaf, search, evidence, changes, mac)", 9, "", func(i int) []any {
			r, hash := rows[i], hashes[k]
			k++
			both := make([]byte, 0, 2*tlog.HashSize)
			both = append(append(both, hash.SM3[:]...), hash.SHA256[:]...)
			pos, search, changes := at(i), string(r.search), string(r.bound)
			return []any{pos, both, r.time, flag(r.erasable), r.leaf, search, r.evidence, changes, db.tag("records", pos, r.time, search, changes)}
		})
}

// write stores what the accepted entries changed.
func (s *state) write(ctx context.Context, q querier, at func(entry int) int64) error {
	for _, write := range []func(context.Context, querier, func(int) int64) error{
		s.writeClaims, s.writePolicySets, s.writeCases, s.writeConsents, s.writeVersions,
	} {
		if err := write(ctx, q, at); err != nil {
			return err
		}
	}
	if err := s.writeSnapshots(ctx, q); err != nil {
		return err
	}
	return s.writeOriginals(ctx, q)
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

package store

import "sync"

// A recent remembers which record last changed a row, of rows that were written or read lately: one that is older now, or gone,
// was put back or taken away by somebody else. It is bounded; what it has forgotten, the sums find.
type recent struct {
	most int

	mu sync.Mutex // protects at
	at map[rowKey]int64
}

// A rowKey names a row of a summed table.
type rowKey struct{ table, key string }

// recentRows is how many rows are remembered: some ten megabytes.
const recentRows = 1 << 17

func newRecent(most int) *recent { return &recent{most: most, at: make(map[rowKey]int64)} }

// last returns the record known to have changed a row, 0 if none is. It is asked before the row is read: what is read
// afterwards is as new at least.
func (r *recent) last(k rowKey) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.at[k]
}

// note remembers that a record changed a row. Only records of the log are noted, after they are committed, or rows whose tag
// was checked.
func (r *recent) note(k rowKey, pos int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if pos <= r.at[k] {
		return
	}
	if _, known := r.at[k]; !known {
		for old := range r.at {
			if len(r.at) < r.most {
				break
			}
			delete(r.at, old)
		}
	}
	r.at[k] = pos
}

// current proves that a row that was read is the newest known: last is what was known before it was read, pos the record
// that the row names, 0 where there is none.
func (db *DB) current(k rowKey, last, pos int64) error {
	switch {
	case pos == 0 && last != 0:
		return db.altered(k.table, "a row is gone")
	case pos < last:
		return db.altered(k.table, "an older row was put back")
	case pos != 0:
		db.recent.note(k, pos)
	}
	return nil
}

// locked is current for a row that is read under the head's lock: nobody writes it meanwhile.
func (db *DB) locked(table, key string, pos int64) error {
	k := rowKey{table, key}
	return db.current(k, db.recent.last(k), pos)
}

// there proves that the rows that a batch asked for and that were not found under the head's lock are not known to be there.
func there[K comparable, R any](db *DB, table string, wanted map[K]bool, found map[K]R, key func(K) string) error {
	for k := range wanted {
		if _, ok := found[k]; ok {
			continue
		}
		if err := db.locked(table, key(k), 0); err != nil {
			return err
		}
	}
	return nil
}

// rereads is how often rows are read that a batch may change while they are read.
const rereads = 4

// newest runs read, which calls saw for every row of a table that it reads, until none of them is older than what is known.
func (db *DB) newest(table string, read func(saw func(key string, pos int64)) error) error {
	for range rereads {
		stale := false
		if err := read(func(key string, pos int64) {
			k := rowKey{table, key}
			if stale = stale || pos < db.recent.last(k); !stale {
				db.recent.note(k, pos)
			}
		}); err != nil || !stale {
			return err
		}
	}
	return db.altered(table, "an older row was put back")
}

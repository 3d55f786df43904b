package store

import (
	"context"

	"oncegate/audit"
	"oncegate/cases"
)

// wanted collects the keys that a batch's changes look at, so that they are read set by set and not one by one.
type wanted struct {
	claims      map[claimKey]bool
	cases       map[string]bool
	consents    map[string]bool
	subjects    map[[32]byte]bool
	identifiers map[string]bool
	slots       map[slotKey]bool
	snapshots   map[[32]byte]bool
	originals   map[string]bool
	policySets  map[string]bool
	rewritten   map[string]bool // cases that are changed: what is remembered of them is not enough
}

// state is what the batch's changes look at, as the locked transaction sees it and as the entries accepted so far leave it.
// Judging happens here, in memory; afterwards what is marked as new or changed is written, set by set.
type state struct {
	db          *DB
	sums        sums    // before the batch, and as it leaves them
	notes       []noted // for DB.recent, once the batch is committed
	taken       []noted // for DB.taken
	horizon     int64
	horizonRead bool
	adopts      bool // the batch has the record of an adoption
	claims      map[claimKey]*claimRow
	cases       map[string]*caseRow
	consents    map[string]*consentRow
	latest      map[[32]byte]*versionRow
	identifiers map[string]*versionRow
	slots       map[slotKey]bool
	snapshots   map[[32]byte]*snapshotRow
	originals   map[string]*originalRow
	policySets  map[string]*policySetRow
	received    []receivedRow
	versions    []*versionRow // issued here, in order

	entry int      // being judged
	undo  []func() // what takes back the changes of that entry, to be run backwards
}

// A mark says what must be written of a row of the state.
type mark int

const (
	stored  mark = iota // stands in the database like this
	fresh               // must be inserted
	changed             // must be updated
)

// touch is the mark of a row after a change to it.
func (m mark) touch() mark {
	if m == fresh {
		return fresh
	}
	return changed
}

func want(rows []*row) *wanted {
	w := &wanted{
		claims: map[claimKey]bool{}, cases: map[string]bool{}, consents: map[string]bool{}, subjects: map[[32]byte]bool{},
		identifiers: map[string]bool{}, slots: map[slotKey]bool{}, snapshots: map[[32]byte]bool{}, policySets: map[string]bool{},
		originals: map[string]bool{}, rewritten: map[string]bool{},
	}
	for _, r := range rows {
		if r.refused != nil {
			continue
		}
		for _, c := range r.changes {
			c.need(w)
		}
	}
	return w
}

// load reads what is wanted. The head is locked: nobody else changes any of it until the transaction ends.
func (db *DB) load(ctx context.Context, q querier, w *wanted) (*state, error) {
	s := &state{
		db: db, claims: map[claimKey]*claimRow{}, cases: map[string]*caseRow{}, consents: map[string]*consentRow{}, latest: map[[32]byte]*versionRow{},
		identifiers: map[string]*versionRow{}, slots: map[slotKey]bool{}, snapshots: map[[32]byte]*snapshotRow{}, policySets: map[string]*policySetRow{},
		originals: map[string]*originalRow{},
	}
	for _, read := range []func(context.Context, querier, *wanted) error{
		s.loadCases, s.loadClaims, s.loadConsents, s.loadVersions, s.loadSlots, s.loadSnapshots, s.loadOriginals, s.loadPolicySets,
	} {
		if err := read(ctx, q, w); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// accept judges an entry and makes its changes, all of them or none.
func (s *state) accept(entry int, r *row) error {
	if r.refused != nil {
		return r.refused
	}
	s.entry, s.undo = entry, s.undo[:0]
	for _, c := range r.changes {
		if err := c.judge(s); err != nil {
			for i := len(s.undo) - 1; i >= 0; i-- {
				s.undo[i]()
			}
			return err
		}
	}
	return nil
}

// noted is a row that a batch writes, and the record that changes it.
type noted struct {
	rowKey
	pos int64
}

// sealed returns the tag of a row of a summed table that is written, and puts the row in the place of the one that had the tag
// was; nil is no row.
func (s *state) sealed(table, key string, pos int64, was []byte, columns []any) []byte {
	mac := s.db.tag(table, columns...)
	s.db.replace(s.sums.of(table), table, was, mac)
	s.notes = append(s.notes, noted{rowKey{table, key}, pos})
	return mac
}

// revert remembers the value of *p, to be put back if the entry is refused.
func revert[T any](s *state, p *T) {
	before := *p
	s.undo = append(s.undo, func() { *p = before })
}

// put sets a key of a map of the state, and forgets or restores it if the entry is refused.
func put[K comparable, V any](s *state, m map[K]V, k K, v V) {
	before, there := m[k]
	s.undo = append(s.undo, func() {
		if there {
			m[k] = before
		} else {
			delete(m, k)
		}
	})
	m[k] = v
}

// Types of changes that need no making ready.
type (
	claim      audit.Claim
	closing    cases.Close
	receipt    cases.Received
	stillOpen  cases.StillOpen
	withdrawal cases.Withdraw
	stillGiven cases.StillGiven
)

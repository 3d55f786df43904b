package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"oncegate/audit"
	"oncegate/canonical"
	"oncegate/cases"
	"oncegate/register"
	"oncegate/store/sqldb"
	"oncegate/tlog"
)

// Commit is a group commit: it prepares the entries before it takes the lock, applies them in memory, and writes what was accepted in a few
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
	wanted := keysOf(rows)
	var invalidated []func() // by each time that the transaction was begun
	var left committedSums
	var notes, taken []noted
	erases := false
	defer func() {
		for _, release := range invalidated {
			release()
		}
	}()
	err = db.write.Transact(ctx, func(ctx context.Context, t *sqldb.Tx) error {
		head, sealed, err := db.headAndSums(ctx, t, t.ForUpdate())
		if err != nil {
			return err
		}
		left, notes, taken = committedSums{}, nil, nil
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
		if s.sums, err = db.sumsBefore(s, head, sealed); err != nil { // the head is authenticated now
			return err
		}
		if err := s.keepHorizon(); err != nil {
			return err
		}
		if left, err = db.writeBatch(ctx, t, b.ID, rows, accepted, head, update, s); err != nil {
			return fmt.Errorf("batch could not be written: %w", err)
		}
		notes, taken, erases = s.notes, s.taken, s.erasesFiles()
		invalidated = append(invalidated, db.invalidate(s))
		return nil
	})
	if err == nil && erases {
		db.engine.Erased()
	}
	if err == nil && left.checkpoint != "" {
		db.lastSums.Store(&left)
		for _, n := range notes {
			db.recent.note(n.rowKey, n.pos)
		}
		for _, n := range taken {
			db.accepted.note(n.rowKey, n.pos)
		}
	}
	return verdicts, err
}

// checkUpdate refuses an update that does not extend the head: better no log than a forked one.
func (db *DB) checkUpdate(head tlog.Head, u tlog.Update, accepted int) error {
	if len(u.Leaves) != accepted || u.Head.Size != head.Size+uint64(accepted) || u.Head.Size >= 1<<indexBits {
		return fmt.Errorf("update of %d leaves to size %d does not follow from %d entries on size %d",
			len(u.Leaves), u.Head.Size, accepted, head.Size)
	}
	return nil
}

func (db *DB) writeBatch(ctx context.Context, t *sqldb.Tx, id [16]byte, rows []*row, accepted []int, head tlog.Head, u tlog.Update, s *state) (left committedSums, err error) {
	positions := make(map[int]int64, len(accepted))
	for k, i := range accepted {
		positions[i] = position(db.number, head.Size+uint64(k))
	}
	at := func(entry int) int64 { return positions[entry] }
	if err := db.writeRecords(ctx, t, rows, accepted, at, u.Leaves); err != nil {
		return left, err
	}
	if err := sqldb.WriteSet(ctx, t, u.Tiles, "INSERT INTO tiles (log, tree, level, idx, hashes)", 5, "", func(tile tlog.Tile) []any {
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
	_, err = t.Exec(ctx, "UPDATE logs SET size = ?, sm3 = ?, sha256 = ?, checkpoint = ?, batch = ?, sums = ? WHERE number = ?",
		int64(u.Head.Size), filled(u.Head.SM3), filled(u.Head.SHA256), u.Head.Checkpoint, id[:], sealed, db.number)
	return committedSums{u.Head.Checkpoint, string(sealed), s.sums}, err
}

// sweepEvery is after how many batches ids that nobody will ask for any more are deleted: four of them for each new one.
const sweepEvery = 256

// oldBatches finds each row by its key: after a long stop there may be millions that are old.
const oldBatches = "DELETE FROM batches WHERE (hour, id) IN (SELECT hour, id FROM batches WHERE hour < ? ORDER BY hour, id LIMIT ?)"

func (db *DB) noteBatch(ctx context.Context, t *sqldb.Tx, id [16]byte) error {
	if db.batches.Add(1)%sweepEvery == 1 {
		old := db.hour() - keptHours
		if _, err := t.Exec(ctx, oldBatches, old, 4*sweepEvery); err != nil {
			return err
		}
	}
	_, err := t.Exec(ctx, "INSERT INTO batches (hour, id) VALUES (?, ?)", db.hour(), id[:])
	return err
}

func (db *DB) writeRecords(ctx context.Context, t *sqldb.Tx, rows []*row, accepted []int, at func(int) int64, hashes []tlog.LeafHash) error {
	k := 0
	return sqldb.WriteSet(ctx, t, accepted,
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
func (s *state) write(ctx context.Context, q sqldb.Querier, at func(entry int) int64) error {
	for _, write := range []func(context.Context, sqldb.Querier, func(int) int64) error{
		s.writeClaims, s.writePolicySets, s.writeCases, s.writeConsents, s.writeFilings, s.writeVersions,
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

// A row is an entry made ready before the lock is taken: everything that takes time is done.
type row struct {
	refused error // the entry cannot be stored, whatever stands there

	leaf     []byte
	time     int64
	search   []byte
	evidence []byte
	bound    []byte // what the record's changes digest is of
	erasable bool
	changes  []change
}

// A change is one value of audit.Entry.Changes, made ready.
type change interface {
	// reads adds the keys of what apply looks at.
	reads(w *keySet)
	// apply refuses the change, or makes it in the state.
	apply(s *state) error
}

// Prepare encodes, seals and checks an entry before the lock is taken.
func (l logView) Prepare(e tlog.Entry) any { return l.db.prepare(e) }

// prepare never fails: an entry that cannot be stored is one that is refused.
func (db *DB) prepare(e tlog.Entry) *row {
	if ready, ok := e.Attached.(*row); ok {
		return ready
	}
	r := &row{leaf: e.Leaf, search: []byte{}, evidence: []byte{}}
	switch a := e.Attached.(type) {
	case nil:
	case audit.Entry:
		r.refused = db.attach(r, a)
	case *audit.Entry:
		r.refused = db.attach(r, *a)
	default:
		r.refused = fmt.Errorf("unknown attachment %T", a)
	}
	return r
}

func (db *DB) attach(r *row, e audit.Entry) (err error) {
	if len(e.Record) > 0 && !bytes.Equal(e.Record, r.leaf) {
		return errors.New("the record is not the leaf")
	}
	if err := indexText(e.Index); err != nil {
		return err
	}
	r.time = canonical.Micros(e.Index.Time)
	if r.search, err = json.Marshal(e.Index); err != nil {
		return fmt.Errorf("index cannot be stored: %w", err)
	}
	if r.evidence, r.erasable, err = packEvidence(e.Sealed); err != nil {
		return err
	}
	r.bound = e.Bound
	for _, c := range e.Changes {
		ready, err := db.prepareChange(c)
		if err != nil {
			return err
		}
		r.changes = append(r.changes, ready)
	}
	return nil
}

// prepareChange interprets one change. This is the only list of all change types.
func (db *DB) prepareChange(c any) (change, error) {
	switch c := c.(type) {
	case audit.Claim:
		return claim(c), text(c.System, c.JTI)
	case audit.PolicySet:
		return preparePolicySet(c)
	case audit.Adopt:
		return adopting{}, nil
	case cases.Register:
		return db.prepareCase(c.Case, c.R)
	case cases.Close:
		return closing(c), text(c.No)
	case cases.Receive:
		if cases.State(c.Received.How).IsFound() || cases.IsRepresentative(c.Received.How) || isMark(c.Received.How) {
			return nil, errors.New("what the window received is neither a state that a check found nor a person")
		}
		return receipt(c.Received), text(c.Received.Case, c.Received.Matter, c.Received.Material, c.Received.How, c.Received.Digest, c.Received.By)
	case cases.StillOpen:
		return stillOpen(c), text(c.No)
	case cases.SetState:
		if !c.State.IsFound() {
			return nil, errors.New("the state is none that a check finds")
		}
		return receipt{Case: c.Case, Matter: c.Matter, Material: c.Material, How: string(c.State), By: c.By, At: c.At}, text(c.Case, c.Matter, c.Material, string(c.State), c.By)
	case cases.AddHandOver:
		return handOver{receipt{Case: c.Case, How: cases.HandOverMark, Digest: c.Digest, By: c.By, At: c.At}}, text(c.Case, c.Digest, c.By)
	case cases.Issue:
		return db.prepareResult(c)
	case cases.Represent:
		return db.prepareRepresentative(c)
	case cases.Give:
		return db.prepareConsent(c.Consent, c.R)
	case cases.Withdraw:
		return withdrawal(c), text(c.ID)
	case cases.File:
		return db.prepareFiling(c)
	case cases.Unfile:
		return unfiling(c), text(c.ID, c.By)
	case cases.EraseFile:
		return erasure(c), text(c.ID)
	case cases.StillFiled:
		return stillFiled(c), text(c.ID)
	case cases.StillGiven:
		return stillGiven(c), text(c.ID)
	case register.Issue:
		v := c.Version
		return issue(c), text(c.Supersedes, v.Type, v.Issuer, v.Serial, v.Identifier, v.JWT, v.KeyID, string(v.Status), string(v.Stated), string(v.Ordered), v.List)
	case register.SetStatus:
		return setStatus(c), text(c.Identifier, string(c.From), string(c.To))
	case register.Order:
		return order(c), text(c.Identifier, string(c.From), string(c.To))
	case register.Keep:
		return keep(c.Snapshot), nil
	case register.KeepOriginal:
		return keepOriginal(c.Original), text(c.Original.Identifier)
	}
	return nil, fmt.Errorf("unknown change %T", c)
}

var errText = errors.New("a text holds what no database text may hold")

// text refuses what a TEXT column cannot take in both databases, so that one entry's fault does not fail its batch.
func text(all ...string) error {
	for _, s := range all {
		if !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 {
			return errText
		}
	}
	return nil
}

func indexText(i audit.Index) error {
	if err := text(i.System, i.Operation, i.RequestID, i.Operator); err != nil {
		return err
	}
	for _, u := range i.Uses {
		if err := text(u.Matter, u.Case, u.Material, u.LicenseType, u.Decision, u.Holder); err != nil {
			return err
		}
	}
	return nil
}

// keySet collects the keys that a batch's changes look at, so that they are read set by set and not one by one.
type keySet struct {
	claims      map[claimKey]bool
	cases       map[string]bool
	consents    map[string]bool
	filings     map[string]bool
	subjects    map[[32]byte]bool
	identifiers map[string]bool
	slots       map[slotKey]bool
	snapshots   map[[32]byte]bool
	originals   map[string]bool
	policySets  map[string]bool
	rewritten   map[string]bool // cases that are changed: what is remembered of them is not enough
}

// state is what the batch's changes look at, as the locked transaction sees it and as the entries accepted so far leave it.
// Judging happens here, in memory; afterwards what is flagged as new or changed is written, set by set.
type state struct {
	db          *DB
	sums        sums    // before the batch, and as it leaves them
	notes       []noted // for DB.recent, once the batch is committed
	taken       []noted // for DB.accepted
	horizon     int64
	horizonRead bool
	adopts      bool // the batch has the record of an adoption
	claims      map[claimKey]*claimRow
	cases       map[string]*caseRow
	consents    map[string]*consentRow
	filings     map[string]*filingRow
	files       map[string]*filedFile // of filings; nil: to be deleted
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

// A dirty flag says what must be written of a row of the state.
type dirty int

const (
	stored  dirty = iota // stands in the database like this
	fresh                // must be inserted
	changed              // must be updated
)

// touch is the flag of a row after a change to it.
func (m dirty) touch() dirty {
	if m == fresh {
		return fresh
	}
	return changed
}

func keysOf(rows []*row) *keySet {
	w := &keySet{
		claims: map[claimKey]bool{}, cases: map[string]bool{}, consents: map[string]bool{}, filings: map[string]bool{}, subjects: map[[32]byte]bool{},
		identifiers: map[string]bool{}, slots: map[slotKey]bool{}, snapshots: map[[32]byte]bool{}, policySets: map[string]bool{},
		originals: map[string]bool{}, rewritten: map[string]bool{},
	}
	for _, r := range rows {
		if r.refused != nil {
			continue
		}
		for _, c := range r.changes {
			c.reads(w)
		}
	}
	return w
}

// load reads what is wanted. The head is locked: nobody else changes any of it until the transaction ends.
func (db *DB) load(ctx context.Context, q sqldb.Querier, w *keySet) (*state, error) {
	s := &state{
		db: db, claims: map[claimKey]*claimRow{}, cases: map[string]*caseRow{}, consents: map[string]*consentRow{}, latest: map[[32]byte]*versionRow{},
		identifiers: map[string]*versionRow{}, slots: map[slotKey]bool{}, snapshots: map[[32]byte]*snapshotRow{}, policySets: map[string]*policySetRow{},
		originals: map[string]*originalRow{}, filings: map[string]*filingRow{}, files: map[string]*filedFile{},
	}
	for _, read := range []func(context.Context, sqldb.Querier, *keySet) error{
		s.loadCases, s.loadClaims, s.loadConsents, s.loadFilings, s.loadVersions, s.loadSlots, s.loadSnapshots, s.loadOriginals, s.loadPolicySets,
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
		if err := c.apply(s); err != nil {
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

// tagRow returns the tag of a row of a summed table that is written, and puts the row in the place of the one that had the tag
// was; nil is no row.
func (s *state) tagRow(table, key string, pos int64, was []byte, columns []any) []byte {
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

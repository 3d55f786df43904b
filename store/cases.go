package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"

	"github.com/go-json-experiment/json"

	"oncegate/canonical"
	"oncegate/cases"
	"oncegate/license"
	"oncegate/store/sqldb"
)

type casesView struct{ db *DB }

var _ cases.Storage = casesView{}

// Case returns the case. Its parties are opened; a row that was moved or altered is an error. A number that nobody registered costs what
// one costs that somebody did, read or remembered: a timing side channel would tell callers which numbers there are.
func (v casesView) Case(ctx context.Context, no string) (cases.Case, error) {
	return v.db.cases.get(no, func() (c cases.Case, err error) {
		unknown, err := v.db.unregistered.get(no, func() (error, error) {
			c, err = v.read(ctx, no)
			if errors.Is(err, fs.ErrNotExist) {
				return err, nil // remembered
			}
			return nil, cmp.Or(err, errIsRegistered)
		})
		switch {
		case err == nil:
			return c, unknown
		case errors.Is(err, errIsRegistered):
			return c, nil
		}
		return cases.Case{}, err
	})
}

// errIsRegistered keeps a case from being remembered as unknown.
var errIsRegistered = errors.New("the case is registered")

func (v casesView) read(ctx context.Context, no string) (c cases.Case, err error) {
	var r *caseRow
	k := rowKey{"cases", no}
	last := v.db.recent.last(k)
	err = sqldb.Each(ctx, v.db.read, func(rows *sql.Rows) (err error) {
		r, err = v.db.scanCase(rows)
		return err
	}, selectCase+"WHERE no = ?", no)
	if err == nil {
		var pos int64
		if r != nil {
			pos = r.pos
		}
		err = v.db.checkFresh(k, last, pos)
	}
	if err != nil {
		return c, fmt.Errorf("case could not be read: %w", err)
	}
	if r == nil {
		v.db.openDecoy()
		return c, fmt.Errorf("case is not registered: %w", fs.ErrNotExist)
	}
	return v.db.openCase(r)
}

// openCase opens a row.
func (db *DB) openCase(r *caseRow) (c cases.Case, err error) {
	c = cases.Case{
		No: r.no, Matter: r.matter, Registrar: r.registrar, Attestation: cases.Attestation(r.attestation),
		Accepted: canonical.FromMicros(r.accepted), Registered: canonical.FromMicros(r.registered), Closed: canonical.FromMicros(r.closed), Revision: int(r.revision),
	}
	if err := json.Unmarshal([]byte(r.parts), &c.Parts); err != nil {
		return cases.Case{}, fmt.Errorf("parts of the case could not be read: %w", err)
	}
	if c.Parties, _, err = openPersonal[[]cases.Party](db, r.parties, partiesAAD(r.no)); err != nil {
		return cases.Case{}, fmt.Errorf("parties of the case could not be read: %w", err)
	}
	return c, nil
}

// openDecoy does what is done for a case that is registered: whoever asks for a number learns nothing from how long that takes (timing side
// channel).
func (db *DB) openDecoy() {
	if db.decoy == nil {
		return
	}
	var c cases.Case
	withText("cases", db.decoy.columns(), func(text []byte) { _ = db.config.Sealer.CheckTag(db.decoy.mac, text) })
	_ = json.Unmarshal([]byte(db.decoy.parts), &c.Parts)
	c.Parties, _, _ = openPersonal[[]cases.Party](db, db.decoy.parties, partiesAAD(db.decoy.no))
}

// newDecoy makes a row as that of an ordinary case; there is no such case. A store that was opened without its keys has none.
func (db *DB) newDecoy() *caseRow {
	party := cases.Party{Role: cases.Applicant, Holder: license.HolderID{Type: "111", Code: "000000000000000000"}}
	row, err := db.prepareCase(cases.Case{No: "decoy", Parties: []cases.Party{party, party}}, [32]byte{1})
	if err != nil {
		return nil
	}
	decoy := row.(*caseRow)
	decoy.mac = db.tag("cases", decoy.columns()...)
	return decoy
}

func (v casesView) Received(ctx context.Context, no string) (all []cases.Received, err error) {
	rows, err := v.received(ctx, no)
	for _, r := range rows {
		if !cases.State(r.How).IsFound() && !cases.IsRepresentative(r.How) && !isMark(r.How) {
			all = append(all, cases.Received(r.receipt))
		}
	}
	return all, err
}

// isMark reports whether a row of case_received is neither what a window received, nor what a check found, nor who came.
func isMark(how string) bool { return how == cases.ResultMark || how == cases.HandOverMark }

func (v casesView) HandOvers(ctx context.Context, no string) (all []cases.HandOver, err error) {
	rows, err := v.received(ctx, no)
	for _, r := range rows {
		if r.How == cases.HandOverMark {
			all = append(all, cases.HandOver{Case: r.Case, Digest: r.Digest, By: r.By, At: r.At})
		}
	}
	return all, err
}

func (v casesView) States(ctx context.Context, no string) (all []cases.LastState, err error) {
	rows, err := v.received(ctx, no)
	for _, r := range rows {
		if state := cases.State(r.How); state.IsFound() {
			all = append(all, cases.LastState{Case: r.Case, Matter: r.Matter, Material: r.Material, State: state, By: r.By, At: r.At})
		}
	}
	return all, err
}

// received reads all rows of a case: what the window received, and what checks found.
func (v casesView) received(ctx context.Context, no string) (all []receivedRow, err error) {
	err = v.db.readFresh("case_received", func(saw func(string, int64)) error {
		all = nil
		return sqldb.Each(ctx, v.db.read, func(rows *sql.Rows) error {
			r, err := v.db.scanReceived(rows)
			if err == nil {
				all = append(all, r)
				saw(r.key(), r.pos)
			}
			return err
		}, selectReceived+"WHERE case_no = ? ORDER BY pos, n", no)
	})
	if err != nil {
		return nil, fmt.Errorf("what was received for the case could not be read: %w", err)
	}
	return all, nil
}

// Registered reads rows that are the newest known; that none is gone, the sums say (Check).
func (v casesView) Registered(ctx context.Context, f cases.Filter) (all []cases.Case, err error) {
	where, args := "WHERE registrar = ?", []any{f.Registrar}
	if f.Handled {
		where, args = "WHERE (registrar = ? OR closed = 0 AND no IN (SELECT case_no FROM case_received WHERE by_system = ?))", append(args, f.Registrar)
	}
	if f.After != (cases.Place{}) {
		where, args = where+" AND (registered, no) > (?, ?)", append(args, canonical.Micros(f.After.Registered), f.After.No)
	}
	if f.Matter != "" {
		where, args = where+" AND matter = ?", append(args, f.Matter)
	}
	if f.Open {
		where += " AND closed = 0"
	}
	if f.Closed {
		where += " AND closed <> 0"
	}
	err = v.db.readFresh("cases", func(saw func(string, int64)) error {
		all = nil
		return sqldb.Each(ctx, v.db.read, func(rows *sql.Rows) error {
			r, err := v.db.scanCase(rows)
			if err != nil {
				return err
			}
			saw(r.no, r.pos)
			c, err := v.db.openCase(r)
			all = append(all, c)
			return err
		}, selectCase+where+" ORDER BY registered, no LIMIT ?", append(args, f.Limit)...)
	})
	if err != nil {
		return nil, fmt.Errorf("cases of a registrar could not be read: %w", err)
	}
	return all, nil
}

func (v casesView) Consent(ctx context.Context, id string) (cases.Consent, error) {
	k := rowKey{"consents", id}
	last := v.db.recent.last(k)
	all, err := v.consents(ctx, selectConsent+"WHERE id = ?", id)
	if err == nil && len(all) == 0 {
		v.db.openDecoy() // as much as of one that is known, or the time would tell
		if err = v.db.checkFresh(k, last, 0); err == nil {
			err = fmt.Errorf("consent is unknown: %w", fs.ErrNotExist)
		}
	}
	if err != nil {
		return cases.Consent{}, err
	}
	return all[0], nil
}

func (v casesView) Consents(ctx context.Context, holder license.HolderID, system string) ([]cases.Consent, error) {
	if system == "" {
		return v.consents(ctx, selectConsent+"WHERE holder = ? ORDER BY given DESC, id DESC", v.db.holderDigest(holder))
	}
	return v.consents(ctx, selectConsent+"WHERE holder = ? AND system = ? ORDER BY given DESC, id DESC", v.db.holderDigest(holder), system)
}

func (v casesView) consents(ctx context.Context, text string, args ...any) (all []cases.Consent, err error) {
	err = v.db.readFresh("consents", func(saw func(string, int64)) error {
		all = nil
		return sqldb.Each(ctx, v.db.read, func(rows *sql.Rows) error {
			r, err := v.db.scanConsent(rows)
			if err != nil {
				return err
			}
			saw(r.id, r.pos)
			c, err := v.db.consent(r)
			all = append(all, c)
			return err
		}, text, args...)
	})
	if err != nil {
		return nil, fmt.Errorf("consents could not be read: %w", err)
	}
	return all, nil
}

// consent opens a row.
func (db *DB) consent(r *consentRow) (cases.Consent, error) {
	c := cases.Consent{
		ID: r.id, System: r.system, Evidence: r.evidence, Digest: r.digest,
		Expires: canonical.FromMicros(r.expires), Given: canonical.FromMicros(r.given), Withdrawn: canonical.FromMicros(r.withdrawn),
	}
	if err := json.Unmarshal([]byte(r.types), &c.Types); err != nil {
		return c, err
	}
	if err := json.Unmarshal([]byte(r.matters), &c.Matters); err != nil {
		return c, err
	}
	var err error
	c.Holder, _, err = openPersonal[license.HolderID](db, r.sealedHolder, holderAAD(c.ID))
	return c, err
}

// holderDigest is what a holder's consents are looked up by: keyed, so that it tells nothing without the key.
func (db *DB) holderDigest(h license.HolderID) []byte {
	data, err := json.Marshal([]string{"consents.holder", h.Type, h.Code})
	if err != nil { // invalid UTF-8: no such holder was ever given a consent
		data = nil
	}
	return db.config.Digest(data)
}

// A caseRow is a case as the table has it: parties sealed.
type caseRow struct {
	no, matter, parts, registrar, attestation string
	parties                                   []byte
	accepted, registered, closed              int64
	revision                                  int64
	pos                                       int64
	mac                                       []byte // as it was read; nil for a new row

	known bool // only number, closed and revision are set: it was remembered, not read
	entry int  // that changed it
	dirty dirty
}

func (r *caseRow) toWrite() dirty { return r.dirty }

// columns are what the row's tag is over, in the order of selectCase.
func (r *caseRow) columns() []any {
	return []any{r.no, r.matter, r.parts, r.registrar, r.attestation, r.parties, r.accepted, r.registered, r.closed, r.revision, r.pos}
}

func partiesAAD(no string) []byte { return []byte("cases/parties/" + no) }

// A personalValue is a sealed value that names a person, with the randomness of the commitment that its record binds (audit.Change). Values of before
// records did stand by themselves.
type personalValue[V any] struct {
	R     []byte `json:"r"`
	Value V      `json:"value"`
}

// openPersonal opens a sealed value of either form; r is nil where no record binds it.
func openPersonal[V any](db *DB, sealed, aad []byte) (value V, r []byte, err error) {
	plain, err := db.config.Sealer.Open(sealed, aad)
	if err != nil {
		return value, nil, fmt.Errorf("sealed column cannot be opened: %w", err)
	}
	var h personalValue[V]
	if err := json.Unmarshal(plain, &h, json.RejectUnknownMembers(true)); err == nil && len(h.R) > 0 {
		return h.Value, h.R, nil
	}
	if json.Unmarshal(plain, &value) != nil {
		return value, nil, errors.New("sealed column cannot be decoded")
	}
	return value, nil, nil
}

func (db *DB) prepareCase(c cases.Case, r [32]byte) (change, error) {
	if err := text(c.No, c.Matter, c.Registrar, string(c.Attestation)); err != nil {
		return nil, err
	}
	for _, p := range c.Parts {
		if err := text(p.Matter); err != nil {
			return nil, err
		}
	}
	parts, err := json.Marshal(c.Parts)
	if err != nil {
		return nil, fmt.Errorf("parts of a case: %w", errText)
	}
	parties, err := db.seal(personalValue[[]cases.Party]{r[:], c.Parties}, partiesAAD(c.No))
	return &caseRow{
		no: c.No, matter: c.Matter, parts: string(parts), registrar: c.Registrar, attestation: string(c.Attestation), parties: parties,
		accepted: canonical.Micros(c.Accepted), registered: canonical.Micros(c.Registered), closed: canonical.Micros(c.Closed), revision: int64(max(c.Revision, 1)), dirty: fresh,
	}, err
}

// seal encodes and seals a value; the error repeats nothing of it.
func (db *DB) seal(v any, aad []byte) ([]byte, error) {
	plain, err := json.Marshal(v)
	if err != nil {
		return nil, errors.New("personal value cannot be encoded")
	}
	return db.config.Sealer.Seal(plain, aad)
}

func (r *caseRow) reads(w *keySet) { w.cases[r.no] = true }

func (r *caseRow) apply(s *state) error {
	if s.cases[r.no] != nil {
		return cases.ErrRegistered
	}
	own := *r // a transaction that starts over must find r as it was
	own.entry = s.entry
	put(s, s.cases, r.no, &own)
	return nil
}

func (c closing) reads(w *keySet) { w.cases[c.No], w.rewritten[c.No] = true, true }

func (c closing) apply(s *state) error {
	r, err := s.openCase(c.No, c.Revision)
	if err != nil {
		return err
	}
	revert(s, r)
	r.closed, r.revision, r.entry, r.dirty = max(canonical.Micros(c.At), 1), r.revision+1, s.entry, r.dirty.touch()
	return nil
}

func (c stillOpen) reads(w *keySet) { w.cases[c.No] = true }

func (c stillOpen) apply(s *state) error {
	_, err := s.openCase(c.No, c.Revision)
	return err
}

// openCase returns the case if it is open and still what was read.
func (s *state) openCase(no string, revision int) (*caseRow, error) {
	r := s.cases[no]
	if r == nil || r.closed != 0 || r.revision != int64(revision) {
		return nil, cases.ErrChanged
	}
	return r, nil
}

// A receivedRow is what the window received, with the entry that brings it.
type receivedRow struct {
	receipt
	person []byte // sealed: who came for the parties; nil for what was received or found
	entry  int
	pos, n int64
	mac    []byte // as it was read
}

func (c receipt) reads(w *keySet) { w.cases[c.Case] = true }

// judge does not raise the case's revision: what was received is no part of what decisions are made on.
func (c receipt) apply(s *state) error { return c.add(s, nil) }

func (c receipt) add(s *state, person []byte) error {
	if r := s.cases[c.Case]; r == nil || r.closed != 0 {
		return cases.ErrChanged
	}
	revert(s, &s.received)
	s.received = append(s.received, receivedRow{receipt: c, person: person, entry: s.entry})
	return nil
}

// A handOver is a receipt that a closed case takes, too.
type handOver struct{ receipt }

func (c handOver) apply(s *state) error {
	if s.cases[c.Case] == nil {
		return cases.ErrChanged
	}
	revert(s, &s.received)
	s.received = append(s.received, receivedRow{receipt: c.receipt, entry: s.entry})
	return nil
}

// loadCases reads cases, but for those that are known and only looked at.
func (s *state) loadCases(ctx context.Context, q sqldb.Querier, w *keySet) error {
	unknown := make(map[string]bool, len(w.cases))
	for no := range w.cases {
		if c, ok := s.db.cases.peek(no); ok && !w.rewritten[no] {
			s.cases[no] = &caseRow{no: no, closed: canonical.Micros(c.Closed), revision: int64(c.Revision), known: true}
		} else {
			unknown[no] = true
		}
	}
	err := sqldb.ReadSet(ctx, q, unknown, sqldb.In(selectCase+"WHERE no"), textKey, func(rows *sql.Rows) error {
		r, err := s.db.scanCase(rows)
		if err == nil {
			s.cases[r.no] = r
			err = s.db.checkFreshLocked("cases", r.no, r.pos)
		}
		return err
	})
	if err != nil {
		return err
	}
	return checkAbsent(s.db, "cases", unknown, s.cases, func(no string) string { return no })
}

const selectCase = "SELECT no, matter, parts, registrar, attestation, parties, accepted, registered, closed, revision, pos, mac FROM cases "

func (r *caseRow) scan(rows *sql.Rows) error {
	return rows.Scan(&r.no, &r.matter, &r.parts, &r.registrar, &r.attestation, &r.parties, &r.accepted, &r.registered, &r.closed, &r.revision, &r.pos, &r.mac)
}

// scanCase reads a row and proves that it is ours.
func (db *DB) scanCase(rows *sql.Rows) (*caseRow, error) {
	r := &caseRow{}
	if err := r.scan(rows); err != nil {
		return nil, err
	}
	return r, db.authenticate(r.mac, "cases", r.columns()...)
}

func (s *state) writeCases(ctx context.Context, q sqldb.Querier, position func(entry int) int64) error {
	seal := func(r *caseRow) []any {
		r.pos = position(r.entry)
		columns := r.columns()
		return append(columns, s.tagRow("cases", r.no, r.pos, r.mac, columns))
	}
	err := sqldb.WriteSet(ctx, q, rowsToWrite(s.cases, fresh),
		"INSERT INTO cases (no, matter, parts, registrar, attestation, parties, accepted, registered, closed, revision, pos, mac)", 12, "", seal)
	if err != nil {
		return err
	}
	for _, r := range rowsToWrite(s.cases, changed) {
		mac := seal(r)[11]
		if _, err := q.Exec(ctx, "UPDATE cases SET closed = ?, revision = ?, pos = ?, mac = ? WHERE no = ?", r.closed, r.revision, r.pos, mac, r.no); err != nil {
			return err
		}
	}
	n := 0
	return sqldb.WriteSet(ctx, q, s.received, "INSERT INTO case_received (case_no, pos, n, matter, material, how, digest, by_system, at, person, mac)", 11, "", func(r receivedRow) []any {
		n++
		r.pos, r.n = position(r.entry), int64(n)
		mac := s.tagRow("case_received", r.key(), r.pos, nil, r.columns())
		var person any // NULL where there is nobody
		if r.person != nil {
			person = r.person
		}
		return []any{r.Case, r.pos, r.n, r.Matter, r.Material, r.How, r.Digest, r.By, canonical.Micros(r.At), person, mac}
	})
}

// columns are what the row's tag is over. Rows of before there were representatives have no column person, and their tags do not cover one.
func (r receivedRow) columns() []any {
	columns := []any{r.Case, r.pos, r.n, r.Matter, r.Material, r.How, r.Digest, r.By, canonical.Micros(r.At)}
	if r.person != nil {
		columns = append(columns, r.person)
	}
	return columns
}

const selectReceived = "SELECT case_no, pos, n, matter, material, how, digest, by_system, at, person, mac FROM case_received "

func (r *receivedRow) scan(rows *sql.Rows) error {
	var at int64
	err := rows.Scan(&r.Case, &r.pos, &r.n, &r.Matter, &r.Material, &r.How, &r.Digest, &r.By, &at, &r.person, &r.mac)
	r.At = canonical.FromMicros(at)
	return err
}

// scanReceived reads a row and proves that it is ours.
func (db *DB) scanReceived(rows *sql.Rows) (r receivedRow, err error) {
	if err := r.scan(rows); err != nil {
		return r, err
	}
	return r, db.authenticate(r.mac, "case_received", r.columns()...)
}

func (r receivedRow) key() string { return fmt.Sprint(r.Case, "/", r.pos, "/", r.n) }

// A consentRow is a consent as the table has it: its holder sealed, and digested for lookup.
type consentRow struct {
	id                                       string
	holder, sealedHolder                     []byte
	system, types, matters, evidence, digest string
	expires, given, withdrawn                int64
	pos                                      int64
	mac                                      []byte // as it was read; nil for a new row

	entry int // that changed it
	dirty dirty
}

func (r *consentRow) toWrite() dirty { return r.dirty }

// columns are what the row's tag is over, in the order of selectConsent.
func (r *consentRow) columns() []any {
	return []any{r.id, r.holder, r.sealedHolder, r.system, r.types, r.matters, r.expires, r.evidence, r.digest, r.given, r.withdrawn, r.pos}
}

func holderAAD(id string) []byte { return []byte("consents/holder/" + id) }

func (db *DB) prepareConsent(c cases.Consent, r [32]byte) (change, error) {
	if err := text(append(append([]string{c.ID, c.System, c.Evidence, c.Digest}, c.Types...), c.Matters...)...); err != nil {
		return nil, err
	}
	types, _ := json.Marshal(c.Types)
	matters, _ := json.Marshal(c.Matters)
	sealed, err := db.seal(personalValue[license.HolderID]{r[:], c.Holder}, holderAAD(c.ID))
	return &consentRow{
		id: c.ID, holder: db.holderDigest(c.Holder), sealedHolder: sealed, system: c.System, types: string(types), matters: string(matters),
		evidence: c.Evidence, digest: c.Digest, expires: canonical.Micros(c.Expires), given: canonical.Micros(c.Given), withdrawn: canonical.Micros(c.Withdrawn), dirty: fresh,
	}, err
}

func (r *consentRow) reads(w *keySet) { w.consents[r.id] = true }

func (r *consentRow) apply(s *state) error {
	if s.consents[r.id] != nil {
		return cases.ErrRegistered
	}
	own := *r
	own.entry = s.entry
	put(s, s.consents, r.id, &own)
	return nil
}

func (c withdrawal) reads(w *keySet) { w.consents[c.ID] = true }

func (c withdrawal) apply(s *state) error {
	r := s.consents[c.ID]
	if r == nil || r.withdrawn != 0 {
		return cases.ErrChanged
	}
	revert(s, r)
	r.withdrawn, r.entry, r.dirty = max(canonical.Micros(c.At), 1), s.entry, r.dirty.touch()
	return nil
}

func (c stillGiven) reads(w *keySet) { w.consents[c.ID] = true }

func (c stillGiven) apply(s *state) error {
	r := s.consents[c.ID]
	if r == nil || r.withdrawn != 0 || !c.At.Before(canonical.FromMicros(r.expires)) {
		return cases.ErrChanged
	}
	return nil
}

func (s *state) loadConsents(ctx context.Context, q sqldb.Querier, w *keySet) error {
	err := sqldb.ReadSet(ctx, q, w.consents, sqldb.In(selectConsent+"WHERE id"), textKey, func(rows *sql.Rows) error {
		r, err := s.db.scanConsent(rows)
		if err == nil {
			s.consents[r.id] = r
			err = s.db.checkFreshLocked("consents", r.id, r.pos)
		}
		return err
	})
	if err != nil {
		return err
	}
	return checkAbsent(s.db, "consents", w.consents, s.consents, func(id string) string { return id })
}

const selectConsent = "SELECT id, holder, sealed_holder, system, types, matters, expires, evidence, digest, given, withdrawn, pos, mac FROM consents "

func (r *consentRow) scan(rows *sql.Rows) error {
	return rows.Scan(&r.id, &r.holder, &r.sealedHolder, &r.system, &r.types, &r.matters, &r.expires, &r.evidence, &r.digest, &r.given, &r.withdrawn, &r.pos, &r.mac)
}

// scanConsent reads a row and proves that it is ours.
func (db *DB) scanConsent(rows *sql.Rows) (*consentRow, error) {
	r := &consentRow{}
	if err := r.scan(rows); err != nil {
		return nil, err
	}
	return r, db.authenticate(r.mac, "consents", r.columns()...)
}

func (s *state) writeConsents(ctx context.Context, q sqldb.Querier, position func(entry int) int64) error {
	seal := func(r *consentRow) []any {
		r.pos = position(r.entry)
		columns := r.columns()
		return append(columns, s.tagRow("consents", r.id, r.pos, r.mac, columns))
	}
	err := sqldb.WriteSet(ctx, q, rowsToWrite(s.consents, fresh),
		"INSERT INTO consents (id, holder, sealed_holder, system, types, matters, expires, evidence, digest, given, withdrawn, pos, mac)", 13, "", seal)
	if err != nil {
		return err
	}
	for _, r := range rowsToWrite(s.consents, changed) {
		mac := seal(r)[12]
		if _, err := q.Exec(ctx, "UPDATE consents SET withdrawn = ?, pos = ?, mac = ? WHERE id = ?", r.withdrawn, r.pos, mac, r.id); err != nil {
			return err
		}
	}
	return nil
}

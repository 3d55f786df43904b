package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"

	"oncegate/cases"
)

// A caseRow is a case as the table has it: parties sealed.
type caseRow struct {
	no, matter, parts, registrar, attestation string
	parties                                   []byte
	accepted, registered, closed              int64
	revision                                  int64
	mark                                      mark
}

func (r *caseRow) marked() mark { return r.mark }

func partiesAAD(no string) []byte { return []byte("cases/parties/" + no) }

func (db *DB) readyCase(c cases.Case) (change, error) {
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
	parties, err := db.seal(c.Parties, partiesAAD(c.No))
	return &caseRow{
		no: c.No, matter: c.Matter, parts: string(parts), registrar: c.Registrar, attestation: string(c.Attestation), parties: parties,
		accepted: micros(c.Accepted), registered: micros(c.Registered), closed: micros(c.Closed), revision: int64(max(c.Revision, 1)), mark: fresh,
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

func (db *DB) unseal(sealed, aad []byte, v any) error {
	plain, err := db.config.Sealer.Open(sealed, aad)
	if err != nil {
		return fmt.Errorf("sealed column cannot be opened: %w", err)
	}
	if json.Unmarshal(plain, v) != nil {
		return errors.New("sealed column cannot be decoded")
	}
	return nil
}

func (r *caseRow) need(w *wanted) { w.cases[r.no] = true }

func (r *caseRow) judge(s *state) error {
	if s.cases[r.no] != nil {
		return cases.ErrRegistered
	}
	own := *r // a transaction that starts over must find r as it was
	put(s, s.cases, r.no, &own)
	return nil
}

func (c closing) need(w *wanted) { w.cases[c.No] = true }

func (c closing) judge(s *state) error {
	r, err := s.openCase(c.No, c.Revision)
	if err != nil {
		return err
	}
	revert(s, r)
	r.closed, r.revision, r.mark = max(micros(c.At), 1), r.revision+1, r.mark.touch()
	return nil
}

func (c stillOpen) need(w *wanted) { w.cases[c.No] = true }

func (c stillOpen) judge(s *state) error {
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
	entry int
}

func (c receipt) need(w *wanted) { w.cases[c.Case] = true }

// judge does not raise the case's revision: what was received is no part of what decisions are made on.
func (c receipt) judge(s *state) error {
	if r := s.cases[c.Case]; r == nil || r.closed != 0 {
		return cases.ErrChanged
	}
	revert(s, &s.received)
	s.received = append(s.received, receivedRow{c, s.entry})
	return nil
}

// loadCases reads where the cases stand, as far as it is not known: no change looks at more.
func (s *state) loadCases(ctx context.Context, q querier, w *wanted, known *known[string, cases.Case]) error {
	unknown := make(map[string]bool, len(w.cases))
	for no := range w.cases {
		if c, ok := known.peek(no); ok {
			s.cases[no] = &caseRow{no: no, closed: micros(c.Closed), revision: int64(c.Revision)}
		} else {
			unknown[no] = true
		}
	}
	return readSet(ctx, q, unknown, in("SELECT no, closed, revision FROM cases WHERE no"), text1, func(rows *sql.Rows) error {
		r := &caseRow{}
		err := rows.Scan(&r.no, &r.closed, &r.revision)
		s.cases[r.no] = r
		return err
	})
}

const selectCase = "SELECT no, matter, parts, registrar, attestation, parties, accepted, registered, closed, revision FROM cases "

func scanCase(rows *sql.Rows) (*caseRow, error) {
	r := &caseRow{}
	return r, rows.Scan(&r.no, &r.matter, &r.parts, &r.registrar, &r.attestation, &r.parties, &r.accepted, &r.registered, &r.closed, &r.revision)
}

func (s *state) writeCases(ctx context.Context, q querier, position func(entry int) int64) error {
	err := writeSet(ctx, q, marked(s.cases, fresh),
		"INSERT INTO cases (no, matter, parts, registrar, attestation, parties, accepted, registered, closed, revision)", 10, "", func(r *caseRow) []any {
			return []any{r.no, r.matter, r.parts, r.registrar, r.attestation, r.parties, r.accepted, r.registered, r.closed, r.revision}
		})
	if err != nil {
		return err
	}
	for _, r := range marked(s.cases, changed) {
		if _, err := q.exec(ctx, "UPDATE cases SET closed = ?, revision = ? WHERE no = ?", r.closed, r.revision, r.no); err != nil {
			return err
		}
	}
	n := 0
	return writeSet(ctx, q, s.received, "INSERT INTO case_received (case_no, pos, n, matter, material, how, digest, by_system, at)", 9, "", func(r receivedRow) []any {
		n++
		return []any{r.Case, position(r.entry), n, r.Matter, r.Material, r.How, r.Digest, r.By, micros(r.At)}
	})
}

// A consentRow is a consent as the table has it: its holder sealed, and digested for lookup.
type consentRow struct {
	id                                       string
	holder, sealedHolder                     []byte
	system, types, matters, evidence, digest string
	expires, given, withdrawn                int64
	mark                                     mark
}

func (r *consentRow) marked() mark { return r.mark }

func holderAAD(id string) []byte { return []byte("consents/holder/" + id) }

func (db *DB) readyConsent(c cases.Consent) (change, error) {
	if err := text(append(append([]string{c.ID, c.System, c.Evidence, c.Digest}, c.Types...), c.Matters...)...); err != nil {
		return nil, err
	}
	types, _ := json.Marshal(c.Types)
	matters, _ := json.Marshal(c.Matters)
	sealed, err := db.seal(c.Holder, holderAAD(c.ID))
	return &consentRow{
		id: c.ID, holder: db.holderDigest(c.Holder), sealedHolder: sealed, system: c.System, types: string(types), matters: string(matters),
		evidence: c.Evidence, digest: c.Digest, expires: micros(c.Expires), given: micros(c.Given), withdrawn: micros(c.Withdrawn), mark: fresh,
	}, err
}

func (r *consentRow) need(w *wanted) { w.consents[r.id] = true }

func (r *consentRow) judge(s *state) error {
	if s.consents[r.id] != nil {
		return cases.ErrRegistered
	}
	own := *r
	put(s, s.consents, r.id, &own)
	return nil
}

func (c withdrawal) need(w *wanted) { w.consents[c.ID] = true }

func (c withdrawal) judge(s *state) error {
	r := s.consents[c.ID]
	if r == nil || r.withdrawn != 0 {
		return cases.ErrChanged
	}
	revert(s, r)
	r.withdrawn, r.mark = max(micros(c.At), 1), r.mark.touch()
	return nil
}

func (c stillGiven) need(w *wanted) { w.consents[c.ID] = true }

func (c stillGiven) judge(s *state) error {
	r := s.consents[c.ID]
	if r == nil || r.withdrawn != 0 || !c.At.Before(moment(r.expires)) {
		return cases.ErrChanged
	}
	return nil
}

func (s *state) loadConsents(ctx context.Context, q querier, w *wanted) error {
	return readSet(ctx, q, w.consents, in("SELECT id, expires, withdrawn FROM consents WHERE id"), text1, func(rows *sql.Rows) error {
		r := &consentRow{}
		err := rows.Scan(&r.id, &r.expires, &r.withdrawn)
		s.consents[r.id] = r
		return err
	})
}

func (s *state) writeConsents(ctx context.Context, q querier) error {
	err := writeSet(ctx, q, marked(s.consents, fresh),
		"INSERT INTO consents (id, holder, sealed_holder, system, types, matters, expires, evidence, digest, given, withdrawn)", 11, "", func(r *consentRow) []any {
			return []any{r.id, r.holder, r.sealedHolder, r.system, r.types, r.matters, r.expires, r.evidence, r.digest, r.given, r.withdrawn}
		})
	if err != nil {
		return err
	}
	for _, r := range marked(s.consents, changed) {
		if _, err := q.exec(ctx, "UPDATE consents SET withdrawn = ? WHERE id = ?", r.withdrawn, r.id); err != nil {
			return err
		}
	}
	return nil
}

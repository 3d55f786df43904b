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
	err = each(ctx, v.db.read, func(rows *sql.Rows) (err error) {
		r, err = v.db.scanCase(rows)
		return err
	}, selectCase+"WHERE no = ?", no)
	if err == nil {
		var pos int64
		if r != nil {
			pos = r.pos
		}
		err = v.db.current(k, last, pos)
	}
	if err != nil {
		return c, fmt.Errorf("case could not be read: %w", err)
	}
	if r == nil {
		v.db.openDecoy()
		return c, fmt.Errorf("case is not registered: %w", fs.ErrNotExist)
	}
	c = cases.Case{
		No: r.no, Matter: r.matter, Registrar: r.registrar, Attestation: cases.Attestation(r.attestation),
		Accepted: canonical.FromMicros(r.accepted), Registered: canonical.FromMicros(r.registered), Closed: canonical.FromMicros(r.closed), Revision: int(r.revision),
	}
	if err := json.Unmarshal([]byte(r.parts), &c.Parts); err != nil {
		return cases.Case{}, fmt.Errorf("parts of the case could not be read: %w", err)
	}
	if c.Parties, _, err = openHidden[[]cases.Party](v.db, r.parties, partiesAAD(no)); err != nil {
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
	c.Parties, _, _ = openHidden[[]cases.Party](db, db.decoy.parties, partiesAAD(db.decoy.no))
}

// newDecoy makes a row as that of an ordinary case; there is no such case. A store that was opened without its keys has none.
func (db *DB) newDecoy() *caseRow {
	party := cases.Party{Role: cases.Applicant, Holder: license.HolderID{Type: "111", Code: "000000000000000000"}}
	row, err := db.readyCase(cases.Case{No: "decoy", Parties: []cases.Party{party, party}}, [32]byte{1})
	if err != nil {
		return nil
	}
	decoy := row.(*caseRow)
	decoy.mac = db.tag("cases", decoy.columns()...)
	return decoy
}

func (v casesView) Received(ctx context.Context, no string) (all []cases.Received, err error) {
	err = v.db.newest("case_received", func(saw func(string, int64)) error {
		all = nil
		return each(ctx, v.db.read, func(rows *sql.Rows) error {
			r, err := v.db.scanReceived(rows)
			if err == nil {
				all = append(all, cases.Received(r.receipt))
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

func (v casesView) Consent(ctx context.Context, id string) (cases.Consent, error) {
	k := rowKey{"consents", id}
	last := v.db.recent.last(k)
	all, err := v.consents(ctx, selectConsent+"WHERE id = ?", id)
	if err == nil && len(all) == 0 {
		v.db.openDecoy() // as much as of one that is known, or the time would tell
		if err = v.db.current(k, last, 0); err == nil {
			err = fmt.Errorf("consent is unknown: %w", fs.ErrNotExist)
		}
	}
	if err != nil {
		return cases.Consent{}, err
	}
	return all[0], nil
}

func (v casesView) Consents(ctx context.Context, holder license.HolderID, system string) ([]cases.Consent, error) {
	return v.consents(ctx, selectConsent+"WHERE holder = ? AND system = ? ORDER BY given DESC, id DESC", v.db.holderDigest(holder), system)
}

func (v casesView) consents(ctx context.Context, text string, args ...any) (all []cases.Consent, err error) {
	err = v.db.newest("consents", func(saw func(string, int64)) error {
		all = nil
		return each(ctx, v.db.read, func(rows *sql.Rows) error {
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
	c.Holder, _, err = openHidden[license.HolderID](db, r.sealedHolder, holderAAD(c.ID))
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

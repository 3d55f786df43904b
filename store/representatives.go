package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"

	"oncegate/canonical"
	"oncegate/cases"
	"oncegate/license"
	"oncegate/store/sqldb"
)

// Who came for the parties of a case (cases.represent), and the license with which it ended (cases.result), are rows of case_received as what was
// received is: what is personal in them is sealed.

// A knownPerson is what is sealed of a representative.
type knownPerson struct {
	Person license.HolderID `json:"person"`
	Until  license.Date     `json:"until"`
}

func personAAD(no string) []byte { return []byte("case_received/person/" + no) }

// A coming is a representative, made ready.
type coming struct {
	receipt
	person []byte
}

func (db *DB) prepareRepresentative(c cases.Represent) (change, error) {
	if !cases.IsRepresentative(c.Kind) {
		return nil, errors.New("the representative is of no kind that there is")
	}
	if err := text(c.Case, c.Kind, c.Mandate, c.By); err != nil {
		return nil, err
	}
	sealed, err := db.seal(personalValue[knownPerson]{c.R[:], knownPerson{c.Person, c.Until}}, personAAD(c.Case))
	return coming{receipt{Case: c.Case, How: c.Kind, Digest: c.Mandate, By: c.By, At: c.At}, sealed}, err
}

// A knownResult is what is sealed of a license with which a case ended.
type knownResult struct {
	Holder  license.HolderID `json:"holder"`
	License license.License  `json:"license"`
}

func resultAAD(no string) []byte { return []byte("case_received/result/" + no) }

// resultDigest is what the licenses of a holder are looked up by: keyed, so that it tells nothing without the key.
func (db *DB) resultDigest(h license.HolderID) string {
	data, err := json.Marshal([]string{"case_received.result", h.Type, h.Code})
	if err != nil { // invalid UTF-8: no such holder was ever issued a license
		data = nil
	}
	return canonical.Base64(db.config.Digest(data))
}

func (db *DB) prepareResult(c cases.Issue) (change, error) {
	if err := text(c.Case, c.License.Type, c.By); err != nil {
		return nil, err
	}
	sealed, err := db.seal(personalValue[knownResult]{c.R[:], knownResult{c.Holder, c.License}}, resultAAD(c.Case))
	return coming{receipt{Case: c.Case, Material: c.License.Type, How: cases.ResultMark, Digest: db.resultDigest(c.Holder), By: c.By, At: c.At}, sealed}, err
}

// Results opens the licenses that a holder was issued. That none is gone, the sums say (Check).
func (v casesView) Results(ctx context.Context, licenseType string, holder license.HolderID) (all []license.License, err error) {
	err = v.db.readFresh("case_received", func(saw func(string, int64)) error {
		all = nil
		return sqldb.Each(ctx, v.db.read, func(rows *sql.Rows) error {
			r, err := v.db.scanReceived(rows)
			if err != nil {
				return err
			}
			saw(r.key(), r.pos)
			known, _, err := openPersonal[knownResult](v.db, r.person, resultAAD(r.Case))
			if len(known.License.Flags) == 0 {
				known.License.Flags = nil // JSON does not tell them apart
			}
			all = append(all, known.License)
			return err
		}, selectReceived+"WHERE how = 'result' AND digest = ? AND material = ? ORDER BY pos, n", v.db.resultDigest(holder), licenseType)
	})
	if err != nil {
		return nil, fmt.Errorf("licenses with which cases ended could not be read: %w", err)
	}
	return all, nil
}

func (c coming) apply(s *state) error { return c.receipt.add(s, c.person) }

// Representatives opens who came for the parties of a case.
func (v casesView) Representatives(ctx context.Context, no string) (all []cases.Representative, err error) {
	rows, err := v.received(ctx, no)
	for _, r := range rows {
		if !cases.IsRepresentative(r.How) {
			continue
		}
		known, _, err := openPersonal[knownPerson](v.db, r.person, personAAD(no))
		if err != nil {
			return nil, fmt.Errorf("representative of the case could not be read: %w", err)
		}
		all = append(all, cases.Representative{Case: no, Kind: r.How, Person: known.Person, Mandate: r.Digest, Until: known.Until, By: r.By, At: r.At})
	}
	return all, err
}

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/go-json-experiment/json"

	"oncegate/canonical"
	"oncegate/cases"
	"oncegate/license"
	"oncegate/store/sqldb"
)

// A filingRow is a filing as the table has it: holder and verifier sealed, the holder digested for lookup too.
type filingRow struct {
	id, kind                           string
	holder, person                     []byte
	caseNo, matter, material           string
	department, bySystem, proof        string
	verification, level, digest, media string
	size, filed                        int64
	validUntil                         string
	keepUntil, withdrawn               int64
	withdrawnBy                        string
	erased                             int64
	pos                                int64
	mac                                []byte // as it was read; nil for a new row

	entry int // that changed it
	dirty dirty
}

func (r *filingRow) toWrite() dirty { return r.dirty }

// columns are what the row's tag is over, in the order of selectFiling.
func (r *filingRow) columns() []any {
	return []any{
		r.id, r.kind, r.holder, r.person, r.caseNo, r.matter, r.material, r.department, r.bySystem, r.proof, r.verification, r.level, r.digest, r.media,
		r.size, r.filed, r.validUntil, r.keepUntil, r.withdrawn, r.withdrawnBy, r.erased, r.pos,
	}
}

const filingColumns = "id, type, holder, person, case_no, matter, material, department, by_system, proof, verification, level, digest, media, " +
	"size, filed, valid_until, keep_until, withdrawn, withdrawn_by, erased, pos, mac"

const selectFiling = "SELECT " + filingColumns + " FROM filings "

func (r *filingRow) scan(rows *sql.Rows) error {
	return rows.Scan(&r.id, &r.kind, &r.holder, &r.person, &r.caseNo, &r.matter, &r.material, &r.department, &r.bySystem, &r.proof, &r.verification, &r.level, &r.digest, &r.media,
		&r.size, &r.filed, &r.validUntil, &r.keepUntil, &r.withdrawn, &r.withdrawnBy, &r.erased, &r.pos, &r.mac)
}

// scanFiling reads a row and proves that it is ours.
func (db *DB) scanFiling(rows *sql.Rows) (*filingRow, error) {
	r := &filingRow{}
	if err := r.scan(rows); err != nil {
		return nil, err
	}
	return r, db.authenticate(r.mac, "filings", r.columns()...)
}

// A knownFiling is what is sealed of a filing.
type knownFiling struct {
	Holder   license.HolderID `json:"holder"`
	Verifier string           `json:"verifier"`
}

func filingAAD(id string) []byte { return []byte("filings/person/" + id) }
func fileAAD(id string) []byte   { return []byte("filed_files/sealed/" + id) }

// filingDigest is what the filings of a holder are looked up by: keyed, so that it tells nothing without the key.
func (db *DB) filingDigest(h license.HolderID) []byte {
	data, err := json.Marshal([]string{"filings.holder", h.Type, h.Code})
	if err != nil { // invalid UTF-8: nothing was ever filed of such a holder
		data = nil
	}
	return db.config.Digest(data)
}

// filing opens a row.
func (db *DB) filing(r *filingRow) (cases.Filing, error) {
	known, _, err := openPersonal[knownFiling](db, r.person, filingAAD(r.id))
	return cases.Filing{
		ID: r.id, Type: r.kind, Holder: known.Holder, Case: r.caseNo, Matter: r.matter, Material: r.material, Department: r.department, System: r.bySystem,
		Verifier: known.Verifier, Proof: r.proof, Verification: r.verification, Level: r.level, Digest: r.digest, Media: r.media, Size: int(r.size),
		Filed: canonical.FromMicros(r.filed), Until: license.Date(r.validUntil), Keep: canonical.FromMicros(r.keepUntil),
		Withdrawn: canonical.FromMicros(r.withdrawn), WithdrawnBy: r.withdrawnBy, Erased: canonical.FromMicros(r.erased),
	}, err
}

// Filings reads rows that are the newest known; that none is gone, the sums say (Check).
func (v casesView) Filings(ctx context.Context, filingType string, holder license.HolderID, limit int) ([]cases.Filing, error) {
	return v.filings(ctx, selectFiling+"WHERE holder = ? AND type = ? ORDER BY filed DESC, id DESC LIMIT ?", v.db.filingDigest(holder), filingType, limit)
}

func (v casesView) filings(ctx context.Context, text string, args ...any) (all []cases.Filing, err error) {
	err = v.db.readFresh("filings", func(saw func(string, int64)) error {
		all = nil
		return sqldb.Each(ctx, v.db.read, func(rows *sql.Rows) error {
			r, err := v.db.scanFiling(rows)
			if err != nil {
				return err
			}
			saw(r.id, r.pos)
			f, err := v.db.filing(r)
			all = append(all, f)
			return err
		}, text, args...)
	})
	if err != nil {
		return nil, fmt.Errorf("filed materials could not be read: %w", err)
	}
	return all, nil
}

func (v casesView) Filing(ctx context.Context, id string) (cases.Filing, error) {
	k := rowKey{"filings", id}
	last := v.db.recent.last(k)
	all, err := v.filings(ctx, selectFiling+"WHERE id = ?", id)
	if err == nil && len(all) == 0 {
		v.db.openDecoy() // as much as of one that is known, or the time would tell
		if err = v.db.checkFresh(k, last, 0); err == nil {
			err = fmt.Errorf("filed material is unknown: %w", fs.ErrNotExist)
		}
	}
	if err != nil {
		return cases.Filing{}, err
	}
	return all[0], nil
}

// FiledFile opens the file of a filing. Where the filing says that there is one, and there is none, somebody took it away.
func (v casesView) FiledFile(ctx context.Context, id string) ([]byte, error) {
	var sealed []byte
	found := false
	for range 2 { // it may be erased between the two readings
		f, err := v.Filing(ctx, id)
		switch {
		case err != nil:
			return nil, err
		case !f.Erased.IsZero():
			return nil, fmt.Errorf("file of a filed material is erased: %w", fs.ErrNotExist)
		}
		if found, err = sqldb.One(ctx, v.db.read, []any{&sealed}, "SELECT sealed FROM filed_files WHERE id = ?", id); err != nil {
			return nil, fmt.Errorf("file of a filed material could not be read: %w", err)
		}
		if found {
			break
		}
	}
	if !found {
		return nil, v.db.altered("filed_files", "a row is gone")
	}
	content, err := v.db.config.Sealer.Open(sealed, fileAAD(id))
	if err != nil {
		return nil, v.db.altered("filed_files", "a file cannot be opened")
	}
	return content, nil
}

func (v casesView) FilingsDue(ctx context.Context, at time.Time, limit int) (ids []string, err error) {
	over := make(map[string]bool) // cases that were handed over
	var due []*filingRow
	err = v.db.readFresh("filings", func(saw func(string, int64)) error {
		due = nil
		return sqldb.Each(ctx, v.db.read, func(rows *sql.Rows) error {
			r, err := v.db.scanFiling(rows)
			if err == nil {
				due = append(due, r)
				saw(r.id, r.pos)
			}
			return err
		}, selectFiling+"WHERE erased = 0 AND keep_until <= ? AND case_no IN (SELECT case_no FROM case_received WHERE how = ?) ORDER BY keep_until LIMIT ?", canonical.Micros(at), cases.HandOverMark, limit)
	})
	for _, r := range due {
		if err != nil {
			break
		}
		if _, known := over[r.caseNo]; !known { // a row that the database was made to have is refused here
			var all []cases.HandOver
			all, err = v.HandOvers(ctx, r.caseNo)
			over[r.caseNo] = len(all) > 0
		}
		if over[r.caseNo] {
			ids = append(ids, r.id)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("filed materials at the end of their retention could not be read: %w", err)
	}
	return ids, nil
}

// Forget keeps files that were erased from staying readable in SQLite's write-ahead log.
func (db *DB) Forget(ctx context.Context) { db.engine.Forget(ctx) }

// A filedFile is a file, sealed.
type filedFile struct {
	id     string
	sealed []byte
}

// Changes of filings, made ready.
type (
	filing struct {
		row  filingRow
		file filedFile
	}
	unfiling   cases.Unfile
	erasure    cases.EraseFile
	stillFiled cases.StillFiled
)

func (db *DB) prepareFiling(c cases.File) (change, error) {
	f := c.Filing
	if err := text(f.ID, f.Type, f.Case, f.Matter, f.Material, f.Department, f.System, f.Proof, f.Verification, f.Level, f.Digest, f.Media, string(f.Until)); err != nil {
		return nil, err
	}
	if len(c.Content) == 0 || len(c.Content) > cases.MaxFile || len(c.Content) != f.Size {
		return nil, errors.New("the file of a filing is empty, too large, or not of its size")
	}
	person, err := db.seal(personalValue[knownFiling]{c.R[:], knownFiling{f.Holder, f.Verifier}}, filingAAD(f.ID))
	if err != nil {
		return nil, err
	}
	sealed, err := db.config.Sealer.Seal(c.Content, fileAAD(f.ID))
	return filing{
		filingRow{
			id: f.ID, kind: f.Type, holder: db.filingDigest(f.Holder), person: person, caseNo: f.Case, matter: f.Matter, material: f.Material,
			department: f.Department, bySystem: f.System, proof: f.Proof, verification: f.Verification, level: f.Level, digest: f.Digest, media: f.Media,
			size: int64(f.Size), filed: canonical.Micros(f.Filed), validUntil: string(f.Until), keepUntil: canonical.Micros(f.Keep), dirty: fresh,
		},
		filedFile{f.ID, sealed},
	}, err
}

func (c filing) reads(w *keySet) { w.filings[c.row.id], w.cases[c.row.caseNo] = true, true }

func (c filing) apply(s *state) error {
	if r := s.cases[c.row.caseNo]; r == nil || r.closed != 0 {
		return cases.ErrChanged
	}
	if s.filings[c.row.id] != nil {
		return cases.ErrRegistered
	}
	own := c.row
	own.entry = s.entry
	put(s, s.filings, own.id, &own)
	put(s, s.files, own.id, &c.file)
	return nil
}

func (c unfiling) reads(w *keySet) { w.filings[c.ID] = true }

func (c unfiling) apply(s *state) error {
	r := s.filings[c.ID]
	if r == nil || r.withdrawn != 0 {
		return cases.ErrChanged
	}
	revert(s, r)
	r.withdrawn, r.withdrawnBy = max(canonical.Micros(c.At), 1), c.By
	s.eraseFile(r, r.withdrawn)
	return nil
}

func (c erasure) reads(w *keySet) { w.filings[c.ID] = true }

func (c erasure) apply(s *state) error {
	r := s.filings[c.ID]
	if r == nil || r.erased != 0 {
		return cases.ErrChanged
	}
	revert(s, r)
	s.eraseFile(r, max(canonical.Micros(c.At), 1))
	return nil
}

// eraseFile erases the file of a filing that is changed. One that is erased already keeps its time.
func (s *state) eraseFile(r *filingRow, at int64) {
	r.entry, r.dirty = s.entry, r.dirty.touch()
	if r.erased == 0 {
		r.erased = at
		put(s, s.files, r.id, nil)
	}
}

func (c stillFiled) reads(w *keySet) { w.filings[c.ID] = true }

func (c stillFiled) apply(s *state) error {
	if r := s.filings[c.ID]; r == nil || r.withdrawn != 0 || r.erased != 0 {
		return cases.ErrChanged
	}
	return nil
}

func (s *state) loadFilings(ctx context.Context, q sqldb.Querier, w *keySet) error {
	err := sqldb.ReadSet(ctx, q, w.filings, sqldb.In(selectFiling+"WHERE id"), textKey, func(rows *sql.Rows) error {
		r, err := s.db.scanFiling(rows)
		if err == nil {
			s.filings[r.id] = r
			err = s.db.checkFreshLocked("filings", r.id, r.pos)
		}
		return err
	})
	if err != nil {
		return err
	}
	return checkAbsent(s.db, "filings", w.filings, s.filings, func(id string) string { return id })
}

func (s *state) writeFilings(ctx context.Context, q sqldb.Querier, position func(entry int) int64) error {
	seal := func(r *filingRow) []any {
		r.pos = position(r.entry)
		columns := r.columns()
		return append(columns, s.tagRow("filings", r.id, r.pos, r.mac, columns))
	}
	if err := sqldb.WriteSet(ctx, q, rowsToWrite(s.filings, fresh), "INSERT INTO filings ("+filingColumns+")", 23, "", seal); err != nil {
		return err
	}
	for _, r := range rowsToWrite(s.filings, changed) {
		mac := seal(r)[22]
		_, err := q.Exec(ctx, "UPDATE filings SET withdrawn = ?, withdrawn_by = ?, erased = ?, pos = ?, mac = ? WHERE id = ?", r.withdrawn, r.withdrawnBy, r.erased, r.pos, mac, r.id)
		if err != nil {
			return err
		}
	}
	var added []*filedFile
	for id, file := range s.files {
		if file != nil {
			added = append(added, file)
			continue
		}
		if _, err := q.Exec(ctx, "DELETE FROM filed_files WHERE id = ?", id); err != nil {
			return err
		}
	}
	return sqldb.WriteSet(ctx, q, added, "INSERT INTO filed_files (id, sealed)", 2, "", func(f *filedFile) []any { return []any{f.id, f.sealed} })
}

// erasesFiles reports whether the batch erases a file.
func (s *state) erasesFiles() bool {
	for _, file := range s.files {
		if file == nil {
			return true
		}
	}
	return false
}

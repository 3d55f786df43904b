package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"time"

	"github.com/go-json-experiment/json"

	"oncegate/audit"
	"oncegate/canonical"
	"oncegate/store/sqldb"
)

type auditView struct{ db *DB }

var _ audit.Storage = auditView{}

func (v auditView) Entry(ctx context.Context, index uint64) (leaf []byte, parts []audit.Sealed, err error) {
	var column []byte
	found := false
	if index < 1<<indexBits {
		found, err = sqldb.One(ctx, v.db.read, []any{&leaf, &column}, "SELECT leaf, evidence FROM records WHERE pos = ?", position(v.db.number, index))
	}
	if err == nil && !found {
		err = fs.ErrNotExist
	}
	if err == nil {
		parts, err = unpackEvidence(column)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("record %d could not be read: %w", index, err)
	}
	return leaf, parts, nil
}

func (v auditView) ByJTI(ctx context.Context, system, jti string) (uint64, error) {
	var pos, expires int64
	var mac []byte
	found, err := sqldb.One(ctx, v.db.read, []any{&expires, &pos, &mac}, "SELECT expires, pos, mac FROM claims WHERE jti = ? AND system = ?", jti, system)
	if err == nil && found {
		err = v.db.authenticate(mac, "claims", jti, system, expires, pos)
	}
	if err != nil {
		return 0, fmt.Errorf("call could not be looked up: %w", err)
	}
	if !found || pos>>indexBits != v.db.number {
		return 0, fmt.Errorf("call left no record: %w", fs.ErrNotExist)
	}
	return indexOf(pos), nil
}

// indexOf is the index that a record's key holds.
func indexOf(pos int64) uint64 { return uint64(pos) & (1<<indexBits - 1) }

func (v auditView) PolicySet(ctx context.Context, digest string) (files []audit.File, err error) {
	var p *policySetRow
	k := rowKey{"policy_sets", digest}
	last := v.db.recent.last(k)
	err = sqldb.Each(ctx, v.db.read, func(rows *sql.Rows) (err error) {
		p, err = v.db.scanPolicySet(rows)
		return err
	}, selectPolicySet+"WHERE digest = ?", digest)
	switch {
	case err != nil:
	case p == nil:
		err = cmp.Or(v.db.checkFresh(k, last, 0), error(fs.ErrNotExist))
	default:
		if err = v.db.checkFresh(k, last, p.pos); err == nil {
			err = json.Unmarshal(p.files, &files)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("policy set could not be read: %w", err)
	}
	return files, nil
}

// Horizon proves that the horizon is not below the one that the sums beside the head have.
func (v auditView) Horizon(ctx context.Context) (time.Time, error) {
	var us int64
	err := v.db.read.Snapshot(ctx, func(ctx context.Context, q sqldb.Querier) (err error) {
		h, sealed, err := v.db.headAndSums(ctx, q, "")
		var s sums
		switch {
		case err == nil && len(sealed) > 0:
			s, err = v.db.openSums(sealed, h.Checkpoint)
		case errors.Is(err, fs.ErrNotExist): // there is no log yet
			err = nil
		}
		if err == nil {
			us, err = v.db.horizon(ctx, q, s)
		}
		return err
	})
	if err != nil {
		return time.Time{}, fmt.Errorf("purge horizon could not be read: %w", err)
	}
	return canonical.FromMicros(us), nil
}

// horizon reads the horizon and proves that it is ours and did not fall.
func (db *DB) horizon(ctx context.Context, q sqldb.Querier, s sums) (us int64, err error) {
	var mac []byte
	found, err := sqldb.One(ctx, q, []any{&us, &mac}, "SELECT horizon, mac FROM horizon WHERE one = 1")
	switch {
	case err != nil:
	case !found:
		err = db.altered("horizon", "the row is gone")
	case us < s.horizon:
		err = db.altered("horizon", "it fell")
	default:
		err = db.verifyHorizon(us, mac)
	}
	return us, err
}

// Evidence is one column: for each part, in order, the kind's length (1 byte) and the kind, the digest's length (1) and
// the digest, the blob's length plus one (4, big endian; 0: erased) and the blob.

var errEvidence = errors.New("evidence cannot be kept in this form")

// packEvidence returns the column. erasable tells whether a part that retention erases still has its blob.
func packEvidence(parts []audit.Sealed) (column []byte, erasable bool, err error) {
	size := 0
	for _, p := range parts {
		size += 6 + len(p.Kind) + len(p.Digest) + len(p.Blob)
	}
	column = make([]byte, 0, size)
	for _, p := range parts {
		if len(p.Kind) > math.MaxUint8 || len(p.Digest) > math.MaxUint8 || len(p.Blob) >= math.MaxInt32 {
			return nil, false, errEvidence
		}
		column = append(column, byte(len(p.Kind)))
		column = append(column, p.Kind...)
		column = append(column, byte(len(p.Digest)))
		column = append(column, p.Digest...)
		if p.Blob == nil {
			column = binary.BigEndian.AppendUint32(column, 0)
			continue
		}
		erasable = erasable || isErasable(p.Kind)
		column = binary.BigEndian.AppendUint32(column, uint32(len(p.Blob)+1))
		column = append(column, p.Blob...)
	}
	return column, erasable, nil
}

// isErasable tells the parts that name or quote a person.
func isErasable(kind string) bool { return kind == "request" || kind == "person" }

// unpackEvidence is the inverse of packEvidence. The parts are slices of the column.
func unpackEvidence(column []byte) (parts []audit.Sealed, err error) {
	short := func(width int) (field []byte) {
		if len(column) < width {
			err = errEvidence
			return nil
		}
		n := int(column[0])
		if width == 4 {
			n = int(binary.BigEndian.Uint32(column)) - 1
		}
		column = column[width:]
		if n < 0 {
			return nil
		}
		if len(column) < n {
			err = errEvidence
			return nil
		}
		field, column = column[:n:n], column[n:]
		return field
	}
	for len(column) > 0 && err == nil {
		parts = append(parts, audit.Sealed{Kind: string(short(1)), Digest: short(1), Blob: short(4)})
	}
	if err != nil {
		return nil, err
	}
	return parts, nil
}

type claimKey struct{ system, jti string }

// rowKey is what the claim is remembered by (DB.accepted).
func (k claimKey) rowKey() rowKey { return rowKey{k.system, k.jti} }

// A claimRow is a call that was taken. One that was read has its key only.
type claimRow struct {
	claimKey
	expires int64
	entry   int
	dirty   dirty
}

func (r *claimRow) toWrite() dirty { return r.dirty }

func (c claim) reads(w *keySet) { w.claims[claimKey{c.System, c.JTI}] = true }

func (c claim) apply(s *state) error {
	key, expires := claimKey{c.System, c.JTI}, canonical.Micros(c.Exp)
	if s.claims[key] != nil || s.horizon != 0 && expires <= s.horizon {
		return audit.ErrReplayed
	}
	if s.db.accepted.last(key.rowKey()) != 0 { // it is not purged, and its row is gone
		_ = s.db.altered("claims", "a row is gone")
		return audit.ErrReplayed
	}
	put(s, s.claims, key, &claimRow{key, expires, s.entry, fresh})
	return nil
}

// takenClaims selects which of n calls were taken, and the horizon.
func takenClaims(n int) string {
	return "SELECT system, jti, -1, mac FROM claims WHERE (jti, system) IN (VALUES " + sqldb.Values(n, 2) + ")" +
		" UNION ALL SELECT '', '', horizon, mac FROM horizon WHERE one = 1"
}

// loadClaims reads the horizon with the claims, at one moment and by one statement.
func (s *state) loadClaims(ctx context.Context, q sqldb.Querier, w *keySet) error {
	err := sqldb.ReadSet(ctx, q, w.claims, takenClaims, func(k claimKey) []any { return []any{k.jti, k.system} }, func(rows *sql.Rows) error {
		var k claimKey
		var horizon int64
		var mac []byte
		if err := rows.Scan(&k.system, &k.jti, &horizon, &mac); err != nil {
			return err
		}
		if horizon < 0 { // whoever puts a row here for which no call was made only has that call refused
			s.claims[k] = &claimRow{claimKey: k, dirty: stored}
			return nil
		}
		s.horizon, s.horizonRead = horizon, true
		return s.db.verifyHorizon(horizon, mac)
	})
	if err == nil && len(w.claims) > 0 && !s.horizonRead {
		err = s.db.altered("horizon", "the row is gone")
	}
	return err
}

func (s *state) writeClaims(ctx context.Context, q sqldb.Querier, at func(entry int) int64) error {
	return sqldb.WriteSet(ctx, q, rowsToWrite(s.claims, fresh), "INSERT INTO claims (jti, system, expires, pos, mac)", 5, "", func(r *claimRow) []any {
		pos := at(r.entry)
		columns := []any{r.jti, r.system, r.expires, pos}
		s.taken = append(s.taken, noted{r.rowKey(), pos})
		return append(columns, s.db.tag("claims", columns...))
	})
}

// verifyHorizon proves that a horizon is ours. Where nothing was purged yet there is none; the sums say where there was one.
func (db *DB) verifyHorizon(horizon int64, mac []byte) error {
	if horizon == 0 {
		return nil
	}
	return db.authenticate(mac, "horizon", horizon)
}

// keepHorizon takes the horizon into the sums, where it cannot fall.
func (s *state) keepHorizon() error {
	if s.horizonRead && s.horizon < s.sums.horizon {
		return s.db.altered("horizon", "it fell")
	}
	s.sums.horizon = max(s.sums.horizon, s.horizon)
	return nil
}

// A policySetRow is an activated policy set.
type policySetRow struct {
	digest string
	files  []byte
	pos    int64
	mac    []byte // as it was read; nil for a new row

	entry int // that activated it
	dirty dirty
}

// columns are what the row's tag is over, in the order of selectPolicySet.
func (p *policySetRow) columns() []any { return []any{p.digest, p.files, p.pos} }

func preparePolicySet(set audit.PolicySet) (change, error) {
	for _, f := range set.Files {
		if err := text(f.Path); err != nil {
			return nil, err
		}
	}
	files, err := json.Marshal(set.Files)
	return &policySetRow{digest: set.Digest, files: files, dirty: fresh}, joinText(err, set.Digest)
}

// joinText returns err, or what is wrong with the texts.
func joinText(err error, all ...string) error {
	if err != nil {
		return err
	}
	return text(all...)
}

func (p *policySetRow) reads(w *keySet) { w.policySets[p.digest] = true }

func (p *policySetRow) apply(s *state) error {
	if s.policySets[p.digest] == nil {
		own := *p
		own.entry = s.entry
		put(s, s.policySets, p.digest, &own)
	}
	return nil
}

func (s *state) loadPolicySets(ctx context.Context, q sqldb.Querier, w *keySet) error {
	err := sqldb.ReadSet(ctx, q, w.policySets, sqldb.In(selectPolicySet+"WHERE digest"), textKey, func(rows *sql.Rows) error {
		p, err := s.db.scanPolicySet(rows)
		if err == nil {
			s.policySets[p.digest] = p
			err = s.db.checkFreshLocked("policy_sets", p.digest, p.pos)
		}
		return err
	})
	if err != nil {
		return err
	}
	return checkAbsent(s.db, "policy_sets", w.policySets, s.policySets, func(digest string) string { return digest })
}

const selectPolicySet = "SELECT digest, files, pos, mac FROM policy_sets "

func (p *policySetRow) scan(rows *sql.Rows) error {
	return rows.Scan(&p.digest, &p.files, &p.pos, &p.mac)
}

// scanPolicySet reads a row and proves that it is ours.
func (db *DB) scanPolicySet(rows *sql.Rows) (*policySetRow, error) {
	p := &policySetRow{}
	if err := p.scan(rows); err != nil {
		return nil, err
	}
	return p, db.authenticate(p.mac, "policy_sets", p.columns()...)
}

func (s *state) writePolicySets(ctx context.Context, q sqldb.Querier, at func(entry int) int64) error {
	return sqldb.WriteSet(ctx, q, rowsToWrite(s.policySets, fresh), "INSERT INTO policy_sets (digest, files, pos, mac)", 4, "", func(p *policySetRow) []any {
		p.pos = at(p.entry)
		columns := p.columns()
		return append(columns, s.tagRow("policy_sets", p.digest, p.pos, nil, columns))
	})
}

func (p *policySetRow) toWrite() dirty { return p.dirty }

// rowsToWrite returns the rows of a map that are to be written in one way.
func rowsToWrite[K comparable, R interface {
	comparable
	toWrite() dirty
}](m map[K]R, want dirty) []R {
	var none R
	var rows []R
	for _, r := range m {
		if r != none && r.toWrite() == want {
			rows = append(rows, r)
		}
	}
	return rows
}

package store

import (
	"context"
	"database/sql"

	"github.com/go-json-experiment/json"

	"oncegate/audit"
	"oncegate/canonical"
)

type claimKey struct{ system, jti string }

// rowKey is what the claim is remembered by (DB.taken).
func (k claimKey) rowKey() rowKey { return rowKey{k.system, k.jti} }

// A claimRow is a call that was taken. One that was read has its key only.
type claimRow struct {
	claimKey
	expires int64
	entry   int
	mark    mark
}

func (r *claimRow) marked() mark { return r.mark }

func (c claim) need(w *wanted) { w.claims[claimKey{c.System, c.JTI}] = true }

func (c claim) judge(s *state) error {
	key, expires := claimKey{c.System, c.JTI}, canonical.Micros(c.Exp)
	if s.claims[key] != nil || s.horizon != 0 && expires <= s.horizon {
		return audit.ErrReplayed
	}
	if s.db.taken.last(key.rowKey()) != 0 { // it is not purged, and its row is gone
		_ = s.db.altered("claims", "a row is gone")
		return audit.ErrReplayed
	}
	put(s, s.claims, key, &claimRow{key, expires, s.entry, fresh})
	return nil
}

// takenClaims selects which of n calls were taken, and the horizon.
func takenClaims(n int) string {
	return "SELECT system, jti, -1, mac FROM claims WHERE (jti, system) IN (VALUES " + values(n, 2) + ")" +
		" UNION ALL SELECT '', '', horizon, mac FROM horizon WHERE one = 1"
}

// loadClaims reads the horizon with the claims, at one moment and by one statement.
func (s *state) loadClaims(ctx context.Context, q querier, w *wanted) error {
	err := readSet(ctx, q, w.claims, takenClaims, func(k claimKey) []any { return []any{k.jti, k.system} }, func(rows *sql.Rows) error {
		var k claimKey
		var horizon int64
		var mac []byte
		if err := rows.Scan(&k.system, &k.jti, &horizon, &mac); err != nil {
			return err
		}
		if horizon < 0 { // whoever puts a row here for which no call was made only has that call refused
			s.claims[k] = &claimRow{claimKey: k, mark: stored}
			return nil
		}
		s.horizon, s.horizonRead = horizon, true
		return s.db.believeHorizon(horizon, mac)
	})
	if err == nil && len(w.claims) > 0 && !s.horizonRead {
		err = s.db.altered("horizon", "the row is gone")
	}
	return err
}

func (s *state) writeClaims(ctx context.Context, q querier, at func(entry int) int64) error {
	return writeSet(ctx, q, marked(s.claims, fresh), "INSERT INTO claims (jti, system, expires, pos, mac)", 5, "", func(r *claimRow) []any {
		pos := at(r.entry)
		columns := []any{r.jti, r.system, r.expires, pos}
		s.taken = append(s.taken, noted{r.rowKey(), pos})
		return append(columns, s.db.tag("claims", columns...))
	})
}

// believeHorizon proves that a horizon is ours. Where nothing was purged yet there is none; the sums say where there was one.
func (db *DB) believeHorizon(horizon int64, mac []byte) error {
	if horizon == 0 {
		return nil
	}
	return db.believe(mac, "horizon", horizon)
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
	mark  mark
}

// columns are what the row's tag is over, in the order of selectPolicySet.
func (p *policySetRow) columns() []any { return []any{p.digest, p.files, p.pos} }

func readyPolicySet(set audit.PolicySet) (change, error) {
	for _, f := range set.Files {
		if err := text(f.Path); err != nil {
			return nil, err
		}
	}
	files, err := json.Marshal(set.Files)
	return &policySetRow{digest: set.Digest, files: files, mark: fresh}, joinText(err, set.Digest)
}

// joinText returns err, or what is wrong with the texts.
func joinText(err error, all ...string) error {
	if err != nil {
		return err
	}
	return text(all...)
}

func (p *policySetRow) need(w *wanted) { w.policySets[p.digest] = true }

func (p *policySetRow) judge(s *state) error {
	if s.policySets[p.digest] == nil {
		own := *p
		own.entry = s.entry
		put(s, s.policySets, p.digest, &own)
	}
	return nil
}

func (s *state) loadPolicySets(ctx context.Context, q querier, w *wanted) error {
	err := readSet(ctx, q, w.policySets, in(selectPolicySet+"WHERE digest"), text1, func(rows *sql.Rows) error {
		p, err := s.db.scanPolicySet(rows)
		if err == nil {
			s.policySets[p.digest] = p
			err = s.db.locked("policy_sets", p.digest, p.pos)
		}
		return err
	})
	if err != nil {
		return err
	}
	return there(s.db, "policy_sets", w.policySets, s.policySets, func(digest string) string { return digest })
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
	return p, db.believe(p.mac, "policy_sets", p.columns()...)
}

func (s *state) writePolicySets(ctx context.Context, q querier, at func(entry int) int64) error {
	return writeSet(ctx, q, marked(s.policySets, fresh), "INSERT INTO policy_sets (digest, files, pos, mac)", 4, "", func(p *policySetRow) []any {
		p.pos = at(p.entry)
		columns := p.columns()
		return append(columns, s.sealed("policy_sets", p.digest, p.pos, nil, columns))
	})
}

func (p *policySetRow) marked() mark { return p.mark }

// marked returns the rows of a map that bear a mark.
func marked[K comparable, R interface {
	comparable
	marked() mark
}](m map[K]R, want mark) []R {
	var none R
	var rows []R
	for _, r := range m {
		if r != none && r.marked() == want {
			rows = append(rows, r)
		}
	}
	return rows
}

package store

import (
	"context"
	"database/sql"

	"github.com/go-json-experiment/json"

	"oncegate/audit"
)

type claimKey struct{ system, jti string }

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
	key, expires := claimKey{c.System, c.JTI}, micros(c.Exp)
	if s.claims[key] != nil || s.horizon != 0 && expires <= s.horizon {
		return audit.ErrReplayed
	}
	put(s, s.claims, key, &claimRow{key, expires, s.entry, fresh})
	return nil
}

// takenClaims selects which of n calls were taken, and the horizon.
func takenClaims(n int) string {
	return "SELECT system, jti, -1 FROM claims WHERE (jti, system) IN (VALUES " + values(n, 2) + ")" +
		" UNION ALL SELECT '', '', horizon FROM claim_horizon WHERE one = 1"
}

// loadClaims reads the horizon with the claims, at one moment and by one statement.
func (s *state) loadClaims(ctx context.Context, q querier, w *wanted) error {
	return readSet(ctx, q, w.claims, takenClaims, func(k claimKey) []any { return []any{k.jti, k.system} }, func(rows *sql.Rows) error {
		var k claimKey
		var horizon int64
		if err := rows.Scan(&k.system, &k.jti, &horizon); err != nil {
			return err
		}
		if horizon >= 0 {
			s.horizon = horizon
		} else {
			s.claims[k] = &claimRow{claimKey: k, mark: stored}
		}
		return nil
	})
}

func (s *state) writeClaims(ctx context.Context, q querier, at func(entry int) int64) error {
	return writeSet(ctx, q, marked(s.claims, fresh), "INSERT INTO claims (jti, system, expires, pos)", 4, "",
		func(r *claimRow) []any { return []any{r.jti, r.system, r.expires, at(r.entry)} })
}

// A policySetRow is an activated policy set.
type policySetRow struct {
	digest string
	files  []byte
	mark   mark
}

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
		put(s, s.policySets, p.digest, p)
	}
	return nil
}

func (s *state) loadPolicySets(ctx context.Context, q querier, w *wanted) error {
	return readSet(ctx, q, w.policySets, in("SELECT digest FROM policy_sets WHERE digest"), text1, func(rows *sql.Rows) error {
		p := &policySetRow{}
		err := rows.Scan(&p.digest)
		s.policySets[p.digest] = p
		return err
	})
}

func (s *state) writePolicySets(ctx context.Context, q querier) error {
	return writeSet(ctx, q, marked(s.policySets, fresh), "INSERT INTO policy_sets (digest, files)", 2, "",
		func(p *policySetRow) []any { return []any{p.digest, p.files} })
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

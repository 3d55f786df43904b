package gateway

import (
	"context"
	"errors"
	"io/fs"

	"oncegate/api"
	"oncegate/cases"
	"oncegate/license"
	"oncegate/policy"
	"oncegate/register"
)

// status says how a license stands now (POST /v1/licenses/status). The identifier does not say who holds it, so the source
// is asked about the parties that the case names for a material of that type.
func (g *Gateway) status(ctx context.Context, c *call, q api.StatusRequest) (*result, error) {
	if _, err := license.ParseIdentifier(q.Identifier); err != nil {
		return nil, refuse("identifier-invalid").at("/identifier", reasonCode(err))
	}
	if q.Purpose.Case == "" || q.Purpose.Basis != "" {
		return nil, refuse("purpose-invalid").at("/purpose/case", "a status is asked for a case")
	}
	version, err := c.config.Register.Version(ctx, q.Identifier)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	needs, err := g.holdersOf(ctx, c, q, version.Type)
	if err != nil {
		return nil, err
	}
	if err := g.settle(ctx, c, needs); err != nil {
		return nil, err
	}
	work := g.newWork(c)
	for _, n := range needs {
		answer, err := work.statusOf(ctx, n, version)
		if err != nil {
			return nil, err
		}
		if answer != nil {
			n.outcome = "status"
			return work.result(*answer, []*need{n})
		}
	}
	for _, n := range needs {
		if n.decision.Allow && n.role == nil && n.finding.State == license.IsUnavailable {
			return nil, n.unavailable(c)
		}
	}
	return nil, needs[0].notUsable(c)
}

// holdersOf are the needs of every party whose license of the type the case is about; at least one, or a refusal.
func (g *Gateway) holdersOf(ctx context.Context, c *call, q api.StatusRequest, licenseType string) ([]*need, error) {
	n := &need{facts: cases.Facts{Case: q.Purpose.Case}, question: policy.Question{Operation: c.row.right, System: c.system.ID, Basis: policy.ByCase, Now: c.now}}
	cited, err := g.Cases.Case(ctx, q.Purpose.Case)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err != nil || !g.entitled(c, cited) {
		return nil, n.notUsable(c)
	}
	if !cited.IsOpen() {
		return nil, refuse("case-closed")
	}
	var needs []*need
	for _, f := range c.config.Book.Plan(cited, c.system.ID) {
		if f.Material.LicenseType == licenseType && licenseType != "" && f.Usable() &&
			(q.Purpose.Matter == "" || q.Purpose.Matter == f.Matter.Code) && (q.Purpose.Material == "" || q.Purpose.Material == f.Material.Code) {
			needs = append(needs, g.planNeed(c, f))
		}
	}
	if len(needs) == 0 {
		return nil, n.notUsable(c)
	}
	return needs, nil
}

// statusOf finds the license among what the source says of one holder; nil if it is not there.
func (w *work) statusOf(ctx context.Context, n *need, version register.Version) (*api.StatusAnswer, error) {
	for _, record := range n.finding.Records {
		if record.Type != version.Type || record.Issuer.Code != version.Issuer {
			continue
		}
		signed, err := w.current(ctx, record, n.finding.AsOf)
		if err != nil {
			return nil, withNeed(err, w.c, n)
		}
		if signed.Version.Subject != version.Subject {
			continue
		}
		status := record.StatusAt(license.DateOf(w.c.now))
		if signed.Version.Number > version.Number {
			status = license.Superseded
		}
		return &api.StatusAnswer{
			Nonce: w.g.nonce(), Time: api.At(w.c.now), Operation: w.c.row.ID, Decision: decided(n.decision), Identifier: version.Identifier,
			Version: version.Number, Status: api.Status(status), Source: n.finding.Source, Freshness: w.c.config.freshness(n.finding), AsOf: api.At(n.finding.AsOf),
		}, nil
	}
	return nil, nil
}

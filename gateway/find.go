package gateway

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"time"

	"oncegate/api"
	"oncegate/cases"
	"oncegate/license"
)

// Why a question can never be answered, whatever the sources have. Whether there is a license that no source serves is not known, so
// that a material without a source is unavailable, not missing.
var (
	errNoSource   = errors.New("no source serves this license type")
	errHolderType = fmt.Errorf("%w: no license of this type is held under a code of this type", license.ErrCannotAsk)
)

// cannotAsk says why a question can never be answered; nil if it can. Nobody is asked for that, and it is told only to a caller whose
// purpose and rules let the question be put: to others the question stays as unanswered as any (design law 2).
func (c *call) cannotAsk(q license.Question) error {
	if !c.config.Catalogue.CanHold(q.Type, q.Holder.Type) {
		return errHolderType
	}
	source := c.config.source(q.Type)
	if source == nil {
		return errNoSource
	}
	if s, ok := source.Source.(Selective); ok {
		return s.CanAsk(q)
	}
	return nil
}

// unanswered is the refusal of a question that has no answer, by why it has none: the caller's fault if it can never have one, with the
// place of the body; the source's if what it keeps cannot be read; else the source is down. holder is the pointer to the holder asked about.
func unanswered(why error, holder string) *refusal {
	switch {
	case errors.Is(why, errHolderType):
		return refuse("holder-type-impossible").at(holder+"/type", "no license of this type is held under such a code").because(inside("question-unanswerable", why))
	case errors.Is(why, errNoSource):
		return refuse("license-type-not-served").because(inside("question-unanswerable", why))
	case errors.Is(why, license.ErrCannotAsk):
		return refuse("question-unanswerable").because(inside("question-unanswerable", why))
	case errors.Is(why, errNoSlot):
		return refuse("source-busy").because(inside("source-busy", why))
	case errors.Is(why, license.ErrUnanswerable):
		return refuse("source-faulty").because(inside("source-faulty", why))
	}
	return refuse("source-unavailable").because(inside(string(cases.SourceUnavailable), why))
}

// find asks the sources what the needs want: each source once with all its questions, all sources at once, and nothing that
// this call asked before.
func (g *Gateway) find(ctx context.Context, c *call, needs []*need) {
	bySource := make(map[*guardedSource][]license.Question)
	for _, n := range needs {
		if _, known := c.asked[n.ask]; known || !n.wanted() {
			continue
		}
		if why := c.cannotAsk(n.ask); why != nil {
			c.asked[n.ask] = license.Finding{State: license.IsUnavailable, Err: why, AsOf: c.now}
			continue
		}
		source := c.config.source(n.ask.Type)
		if !slices.Contains(bySource[source], n.ask) {
			bySource[source] = append(bySource[source], n.ask)
		}
	}
	var mu sync.Mutex // protects c.asked
	var all sync.WaitGroup
	for source, questions := range bySource {
		all.Go(func() {
			findings := source.Find(ctx, c.claims.Issuer, questions)
			mu.Lock()
			defer mu.Unlock()
			for i, q := range questions {
				c.asked[q] = findings[i]
			}
		})
	}
	all.Wait()
	for _, n := range needs {
		if !n.wanted() {
			continue
		}
		if n.finding = c.asked[n.ask]; n.finding.State == license.IsUnavailable {
			g.fallBack(ctx, c, n)
		}
	}
}

// fallBack takes the kept copy instead of an unavailable source, where the grant allows its age. The decision is made again
// with the age, so that guards see it. A copy that cannot be read is none: the other materials do not notice.
func (g *Gateway) fallBack(ctx context.Context, c *call, n *need) {
	if n.decision.MaxAge <= 0 {
		return
	}
	copied, err := c.config.Register.LastCopy(ctx, n.ask, n.decision.MaxAge)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			g.logger.ErrorContext(ctx, "a kept copy was not read", "source", n.finding.Source, "error", err.Error())
		}
		return
	}
	aged := *n
	aged.question.Age = max(c.now.Sub(copied.AsOf).Truncate(time.Millisecond), time.Millisecond)
	if aged.decision = c.weigh(&aged); !aged.decision.Allow {
		return
	}
	if aged.finding = copied; copied.Source == "" {
		aged.finding.Source = n.finding.Source
	}
	aged.down = n.finding.Err
	*n = aged
}

// freshness labels where a finding comes from.
func (r *running) freshness(f license.Finding) api.Freshness {
	if f.Stale {
		return api.FreshnessStale
	}
	if s := r.sources[f.Source]; s != nil && s.Kind == "drop" {
		return api.FreshnessDrop
	}
	return api.FreshnessLive
}

// belongs reports whether a record is an answer to a question at all: of the type and the holder asked about.
func belongs(record license.License, q license.Question) bool {
	return record.Type == q.Type && slices.ContainsFunc(record.Holders, func(h license.Holder) bool { return h.Code != "" && h.HolderID.Normal() == q.Holder })
}

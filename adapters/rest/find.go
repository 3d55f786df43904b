package rest

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"oncegate/adapters/mapping"
	"oncegate/license"
)

// Find answers the questions in their order, one finding each, asking some at once. It fails only when ctx ended; what
// is wrong with one question stands in its finding.
func (s *Source) Find(ctx context.Context, r license.Request) ([]license.Finding, error) {
	questions := r.Questions
	if s.closed.Load() {
		return nil, mapping.ErrClosed
	}
	findings := make([]license.Finding, len(questions))
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(cmp.Or(s.cfg.Parallel, defaultParallel), len(questions)) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(questions)) && ctx.Err() == nil; i = next.Add(1) - 1 {
				findings[i] = s.one(ctx, questions[i])
			}
		})
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("cannot ask the source: %w", err)
	}
	return findings, nil
}

// CanAsk says why a question can never be answered, without sending anything; nil if it can.
func (s *Source) CanAsk(q license.Question) error {
	p, ok := s.calls[q.Type]
	if !ok {
		return mapping.ErrUnknownType
	}
	asked, err := p.plan.Ask(q)
	if err == nil {
		_, _, _, err = p.request.write(base(s.cfg), asked)
	}
	return err
}

// one asks one question.
func (s *Source) one(ctx context.Context, q license.Question) license.Finding {
	f := mapping.Unavailable(mapping.ErrUnknownType)
	if p, ok := s.calls[q.Type]; ok {
		rows, err := s.rows(ctx, p, q)
		if err != nil {
			f = mapping.Unavailable(err)
		} else {
			f = p.plan.Answer(q, rows)
		}
	}
	f.Source, f.AsOf = s.cfg.ID, s.deps.Now()
	return f
}

func (s *Source) rows(ctx context.Context, p prepared, q license.Question) ([]mapping.Row, error) {
	asked, err := p.plan.Ask(q)
	if err != nil {
		return nil, err
	}
	target, body, contentType, err := p.request.write(base(s.cfg), asked)
	if err != nil {
		return nil, err
	}
	r, err := s.send(ctx, p.request.method, target, body, contentType)
	if err != nil {
		return nil, err
	}
	return p.call.read(r, cmp.Or(s.cfg.MaxRecords, defaultRecords))
}

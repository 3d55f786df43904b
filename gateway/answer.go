package gateway

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"

	"oncegate/audit"
	"oncegate/cases"
	"oncegate/license"
	"oncegate/register"
)

// tries bounds how often one call is decided because something changed before its record.
const tries = 4

// A step computes an operation's result; a *refusal ends it, any other error is a fault of ours.
type step func(ctx context.Context, c *call) (*result, error)

// answer decides, records, and only then hands out the answer. What a decision was made on may change until the record is
// durable: the configuration, the case, the consent, the license's version. The record's own transaction notices, and the
// call is decided again on what is true then; the sources are not asked again, but for a license that changed.
func (g *Gateway) answer(ctx context.Context, c *call) (rep *reply, err error) {
	defer func() {
		if p := recover(); p != nil { // while recording: nothing may leave
			rep, err = nil, g.panicked(ctx, c, p)
		}
	}()
	var last *result
	for range tries {
		res, failed := g.attempt(ctx, c)
		last = res
		if !c.overtaken(g, failed) {
			rep, err := g.record(ctx, c, res, failed)
			switch {
			case err == nil:
				return rep, nil
			case errors.Is(err, audit.ErrReplayed):
				return nil, unprovenFor("token-replayed")
			case !isRace(err):
				return nil, err
			}
		}
		g.metrics.again.Inc()
	}
	uses := c.usesOf(c.needs...)
	if last != nil {
		uses = last.uses
	}
	return g.record(ctx, c, nil, refuse("changed-meanwhile").with(denied(uses)...))
}

// An outdated error says that a license was signed anew after its source had answered this call: the source must be asked
// again.
type outdated struct{ question license.Question }

func (o *outdated) Error() string { return "the license changed meanwhile" }

// overtaken reports whether what an attempt was made on is not true any more, before anything is recorded: the snapshot, or
// what a source said.
func (c *call) overtaken(g *Gateway, failed error) bool {
	if o := (*outdated)(nil); errors.As(failed, &o) {
		delete(c.asked, o.question)
		return true
	}
	return g.running.Load() != c.config
}

// attempt runs the operation once. A panic in it is a fault of ours like any other: it is answered and recorded.
func (g *Gateway) attempt(ctx context.Context, c *call) (res *result, err error) {
	defer func() {
		if p := recover(); p != nil {
			res, err = nil, g.panicked(ctx, c, p)
		}
	}()
	if err := c.begin(g); err != nil {
		return nil, err
	}
	return c.row.run(ctx, c)
}

// panicked logs a panic. Only the runtime's own sentences are repeated: others may hold anything.
func (g *Gateway) panicked(ctx context.Context, c *call, p any) error {
	err := fmt.Errorf("panic of type %T", p)
	if own, ok := p.(runtime.Error); ok {
		err = fmt.Errorf("panic: %w", own)
	}
	g.logger.ErrorContext(ctx, "operation panicked", "operation", c.row.ID, "system", c.system.ID, "stack", string(debug.Stack()))
	return err
}

// isRace reports whether the record was refused because somebody else was first.
func isRace(err error) bool {
	return errors.Is(err, register.ErrTaken) || errors.Is(err, cases.ErrChanged) || errors.Is(err, cases.ErrRegistered)
}

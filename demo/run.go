// Package demo is the guided demonstration: it starts the legacy systems of five departments of the sample city and a gateway, and
// runs seven steps with signed calls over HTTP. Every step checks its own claims.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// ErrStepFailed reports that a claim of a step failed or a call of it could not be made.
var ErrStepFailed = errors.New("a step of the demo failed")

// Options configure the demo. The zero value is usable, but for Out.
type Options struct {
	Dir   string    // keeps everything: city, gateway, trust, artefacts. Empty: a temporary folder, gone at the end
	Once  bool      // end after the story; otherwise serve until the context ends
	JSON  bool      // print a Result and nothing else, and end after the story
	Out   io.Writer // where the story goes
	Lang  string    // "zh" for Chinese sentences; English otherwise. Terms stand in both
	Color bool      // whether Out shows colours
	Width int       // of Out in columns; 0: 100

	// Postgres is the connection URL of a PostgreSQL, over which the gateway runs, in a schema of its own; empty: SQLite. The schema is
	// dropped at the end unless Dir keeps everything.
	Postgres string
}

// A Result is the outcome of the story, as JSON prints it.
type Result struct {
	OK    bool   `json:"ok"`
	Steps []Step `json:"steps"` // all seven; steps that were not reached are not ok
	Reuse Reuse  `json:"reuse"` // over the whole story
}

// Reuse is the reuse rate (复用率) with both its numbers.
type Reuse struct {
	Numerator   int `json:"numerator"`   // materials met from the source
	Denominator int `json:"denominator"` // materials required
}

// A Step is the outcome of one step.
type Step struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	MS     int64  `json:"ms"`     // milliseconds
	Detail string `json:"detail"` // a summary, or the claim that failed
}

// Run runs all steps and then, unless Options say to end there, serves until ctx ends. The error is ErrStepFailed if a step failed.
func Run(ctx context.Context, o Options) error {
	p := newPrinter(o)
	st, err := open(ctx, o.Dir, o.Postgres)
	if err != nil {
		if o.JSON {
			err = errors.Join(err, p.result(notReached()))
		}
		return fmt.Errorf("start the demo: %w", err)
	}
	err = run(ctx, st, p, o)
	return errors.Join(err, st.close())
}

func run(ctx context.Context, st *stage, p *printer, o Options) error {
	p.opening(st)
	result := newStory(st, p).tell(ctx)
	if o.JSON {
		if err := p.result(result); err != nil {
			return err
		}
	} else {
		p.closing(result, st)
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case !result.OK && (o.Once || o.JSON):
		return ErrStepFailed
	case o.Once || o.JSON:
		return nil
	}
	if err := p.invitation(ctx, st); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-st.failed:
		return err
	}
}

// tell runs all steps in order and stops at the first that fails: later steps depend on earlier ones.
func (s *story) tell(ctx context.Context) Result {
	result := notReached()
	result.OK = true
	for i, chapter := range chapters {
		sc := &scene{story: s, number: i + 1, chapter: chapter}
		begun := time.Now()
		err := chapter.tell(ctx, sc)
		took := time.Since(begun)
		result.Steps[i] = sc.outcome(err, took)
		s.print.scene(sc, result.Steps[i], took)
		if !result.Steps[i].OK {
			result.OK = false
			break
		}
	}
	result.Reuse = Reuse{s.reuse.Numerator, s.reuse.Denominator}
	return result
}

// notReached is the result before the first step.
func notReached() (r Result) {
	for _, c := range chapters {
		r.Steps = append(r.Steps, Step{Name: c.name, Detail: "not reached"})
	}
	return r
}

// Package demo is the sample city at work: it starts the legacy systems of five departments and a gateway, and tells in seven steps
// what happens when nobody is asked twice. Every step goes over the wire with signed calls, and checks what it claims.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// ErrUntold says that a step of the story did not hold.
var ErrUntold = errors.New("a step of the story did not hold")

// Options say how the story is told. The zero value is usable, but for Out.
type Options struct {
	Dir   string    // keeps everything: city, gateway, trust, artefacts. Empty: a temporary folder, gone at the end
	Once  bool      // end after the story; otherwise serve until the context ends
	JSON  bool      // print a Result and nothing else, and end after the story
	Out   io.Writer // where the story goes
	Lang  string    // "zh" for Chinese sentences; English otherwise. Terms stand in both
	Color bool      // whether Out shows colours
	Width int       // of Out in columns; 0: 100
}

// A Result is the outcome of the story, as JSON prints it.
type Result struct {
	OK    bool   `json:"ok"`
	Steps []Step `json:"steps"` // all seven; those that were never begun are not ok
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
	Detail string `json:"detail"` // what was shown, or why it does not hold
}

// Run tells the story and, unless it ends there, serves until ctx ends. The error is ErrUntold if some step did not hold.
func Run(ctx context.Context, o Options) error {
	p := newPrinter(o)
	st, err := open(ctx, o.Dir)
	if err != nil {
		if o.JSON {
			err = errors.Join(err, p.result(untold()))
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
		return ErrUntold
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

// tell tells all steps in order. One that does not hold ends the story: the later ones stand on it.
func (s *story) tell(ctx context.Context) Result {
	result := untold()
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

// untold is the result before anything was told.
func untold() (r Result) {
	for _, c := range chapters {
		r.Steps = append(r.Steps, Step{Name: c.name, Detail: "not reached"})
	}
	return r
}

package config

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"oncegate/adapters/mapping"
	"oncegate/license"
)

// A Trial is what came of trying one source: whether it can be asked, and what it answers about a sample.
type Trial struct {
	Source  string // id
	Kind    string // key of its adapter
	Err     error  // why it cannot be asked: a *license.SourceError, or why its adapter cannot be opened; nil: it can
	Samples []Sample

	// IssuedHere says that the gateway keeps the licenses itself: there was nothing to connect to.
	IssuedHere bool
}

// A Sample is what a source answers about some holders of one of its license types. Records are whole: whoever prints them masks them.
type Sample struct {
	Type     license.Type
	Findings []license.Finding // one for each holder
	Err      error             // why there is none: mapping.ErrNoSample, or a *license.SourceError
}

// A sampler is a source that knows some of the holders it has licenses of.
type sampler interface {
	// Sample returns at most n of them, each once.
	Sample(ctx context.Context, licenseType string, n int) ([]license.HolderID, error)
}

// MaxSample is how many holders of each type a source is tried with at most.
const MaxSample = 100

// Try connects to a source of a checked configuration and has it try its queries, for nobody. With a sample it also asks about so many of
// the holders that the source itself lists, of each of its license types. Nobody is told whom it asked about: that is the caller's duty.
func (s *Setup) Try(ctx context.Context, source Source, sample int) Trial {
	k, _ := source.Adapter.Config()
	trial := Trial{Source: source.ID, Kind: k.Key, IssuedHere: source.IssuedHere()}
	if trial.IssuedHere {
		return trial
	}
	a, err := OpenSource{Now: time.Now, Logger: slog.New(slog.DiscardHandler)}.Open(source, s)
	if err != nil {
		trial.Err = err
		return trial
	}
	defer a.Close()
	deadline := cmp.Or(time.Duration(source.Deadline), defaultDeadline)
	trial.Err = within(ctx, deadline, a.Check)
	for _, id := range source.types() {
		if trial.Err != nil || sample <= 0 {
			break
		}
		t, _ := s.Catalogue.Type(id)
		one := Sample{Type: t}
		one.Err = within(ctx, deadline, func(ctx context.Context) (err error) {
			one.Findings, err = sampled(ctx, a, id, min(sample, MaxSample))
			return err
		})
		trial.Samples = append(trial.Samples, one)
	}
	return trial
}

// within bounds a step by the source's deadline, and says so where it has passed.
func within(ctx context.Context, deadline time.Duration, step func(context.Context) error) error {
	bounded, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	err := step(bounded)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return &license.SourceError{Cause: license.TimedOut}
	}
	return err
}

func sampled(ctx context.Context, a Adapter, licenseType string, n int) ([]license.Finding, error) {
	lists, ok := a.(sampler)
	if !ok {
		return nil, mapping.ErrNoSample
	}
	holders, err := lists.Sample(ctx, licenseType, n)
	if err != nil || len(holders) == 0 {
		return nil, err
	}
	r := license.Request{}
	for _, h := range holders {
		r.Questions = append(r.Questions, license.Question{Type: licenseType, Holder: h})
	}
	return a.Find(ctx, r)
}

// Source returns the source with an id.
func (s *Setup) Source(id string) (Source, error) {
	if i := slices.IndexFunc(s.Sources, func(c Source) bool { return c.ID == id }); i >= 0 {
		return s.Sources[i], nil
	}
	var ids []string
	for _, c := range s.Sources {
		ids = append(ids, c.ID)
	}
	return Source{}, fmt.Errorf("there is no source %q; there are %v", id, ids)
}

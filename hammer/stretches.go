package hammer

import (
	"context"
	"errors"
	"fmt"
)

// load runs the stretches: bare, full and half load, in turns so that the machine's moods meet all alike, then the mix.
func (b *bench) load(ctx context.Context) error {
	if err := b.warm(ctx); err != nil {
		return err
	}
	length, err := b.answerLength(ctx)
	if err != nil {
		return err
	}
	floor, err := b.startBare(length, nil)
	if err != nil {
		return err
	}
	defer floor.close(context.WithoutCancel(ctx))
	for range b.Rounds {
		r, err := b.round(ctx, floor.address)
		if err != nil || ctx.Err() != nil {
			return err
		}
		b.report.Rounds = append(b.report.Rounds, r)
	}
	b.report.settle()
	mixed, err := b.stretch(ctx, "mixed load", b.service, b.Mix.pattern(), 0, b.answers)
	if err == nil {
		b.report.Mixed = mixed
	}
	return err
}

// round measures each stretch once.
func (b *bench) round(ctx context.Context, bareAddress string) (r Round, err error) {
	queries := []kind{query}
	if r.Bare, err = b.stretch(ctx, "bare handler", bareAddress, queries, 0, nil); err != nil {
		return r, err
	}
	if r.Full, err = b.stretch(ctx, "full load", b.service, queries, 0, b.answers); err != nil {
		return r, err
	}
	rate := b.Rate
	if rate == 0 {
		rate = max(1, r.Full.Rate/2)
	}
	if r.Half, err = b.stretch(ctx, "half load", b.service, queries, rate, b.answers); err != nil {
		return r, err
	}
	if r.Bare.Rate > 0 {
		r.Ratio = r.Full.Rate / r.Bare.Rate
	}
	if r.Full.CPU > 0 {
		r.CPU = r.Bare.CPU / r.Full.CPU
	}
	return r, nil
}

func (b *bench) stretch(ctx context.Context, name, address string, pattern []kind, rate float64, keep *answers) (Phase, error) {
	calls := b.Calls
	if rate > 0 {
		calls = min(calls, int(rate*b.Duration.Seconds())+1)
	}
	b.meter.say("signing " + fmt.Sprint(calls) + " calls")
	list, err := b.sign(ctx, calls, pattern)
	if err != nil {
		return Phase{}, err
	}
	s := stretch{name: name, address: address, callers: b.Callers, calls: list, rate: rate, longest: b.Duration, keep: keep, meter: b.meter}
	return s.run(ctx)
}

// warm registers the cases and has every license signed once.
func (b *bench) warm(ctx context.Context) error {
	var list []*call
	add := func(c *call, err error) error {
		list = append(list, c)
		return err
	}
	var errs []error
	for i := range b.companies {
		errs = append(errs, add(b.body(ctx, register, acceptance, "/v1/cases", b.acceptance(caseNumber(i), foodMatter, i))))
	}
	for i := range chains {
		errs = append(errs, add(b.body(ctx, register, acceptance, "/v1/cases", b.acceptance(chainNumber(i), "YC-INVEST-CHAIN", i))))
	}
	errs = append(errs, add(b.body(ctx, register, acceptance, "/v1/cases", b.acceptance(eightCase, eightMatter, 0))))
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if err := b.all(ctx, "registering cases", list); err != nil {
		return err
	}
	queries, err := b.sign(ctx, len(b.companies), []kind{query})
	if err != nil {
		return err
	}
	eights, err := b.body(ctx, check, approval, "/v1/cases/"+eightCase+"/check", struct{}{})
	if err != nil {
		return err
	}
	return b.all(ctx, "signing licenses", append(queries, eights))
}

// all makes every call and wants each answered.
func (b *bench) all(ctx context.Context, name string, list []*call) error {
	s := stretch{name: name, address: b.service, callers: min(b.Callers, len(list)), calls: list, longest: maxDuration, keep: b.answers, meter: b.meter}
	p, err := s.run(ctx)
	if err != nil || ctx.Err() != nil {
		return errors.Join(err, ctx.Err())
	}
	if p.Codes["ok"] != len(list) {
		return fmt.Errorf("%s: not every call was answered: %v", name, p.Codes)
	}
	return nil
}

// answerLength is the mean length of a query's answer, with its receipt as it is under load.
func (b *bench) answerLength(ctx context.Context) (int, error) {
	list, err := b.sign(ctx, min(b.Calls, 4*b.Callers), []kind{query})
	if err != nil {
		return 0, err
	}
	p, err := stretch{name: "warming up", address: b.service, callers: b.Callers, calls: list, longest: b.Duration, keep: b.answers, meter: b.meter}.run(ctx)
	if err == nil && p.Bytes == 0 && ctx.Err() == nil {
		err = fmt.Errorf("no query was answered: %v", p.Codes)
	}
	return p.Bytes, errors.Join(err, ctx.Err())
}

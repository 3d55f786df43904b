package console

import (
	"context"
	"errors"
	"io/fs"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"oncegate/api"
)

// errands are the calls that go on behind pages: a page waits for its call a short while and then says that it is under way. Each has a key,
// its form's one-time id in its session, so that a form that was sent twice waits for the one call.
type errands struct {
	mu      sync.Mutex // protects underway
	running map[string]*errand
	slots   chan struct{}
}

type errand struct {
	done chan struct{}

	mu       sync.Mutex // protects what is kept: the end of the errand is never overwritten by its beginning
	finished bool
}

func newErrands(most int) errands {
	return errands{running: make(map[string]*errand), slots: make(chan struct{}, most)}
}

// begin starts work unless the key's is under way. An error is an *api.Problem: too much goes on already.
func (e *errands) begin(key string, work func(*errand)) (*errand, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if one := e.running[key]; one != nil {
		return one, nil
	}
	select {
	case e.slots <- struct{}{}:
	default:
		return nil, api.NewProblem("too-many-requests")
	}
	one := &errand{done: make(chan struct{})}
	e.running[key] = one
	go func() {
		defer func() {
			e.mu.Lock()
			delete(e.running, key)
			e.mu.Unlock()
			<-e.slots
			close(one.done)
		}()
		work(one)
	}()
	return one, nil
}

// keep keeps a value as JSON for the session.
func (v *visit) keep(ctx context.Context, key string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return v.console.gate.Keep(ctx, v.Session, key, text)
}

// kept reads what the session keeps under a key. fs.ErrNotExist: nothing.
func kept[T any](v *visit, key string) (value T, err error) {
	if !onceID.MatchString(key) {
		return value, fs.ErrNotExist
	}
	text, err := v.console.gate.Kept(v.r.Context(), v.Session, key)
	if err != nil {
		return value, err
	}
	return value, json.Unmarshal(text, &value)
}

// ran is run, and what is kept of it afterwards: what came, or first where the work goes on.
func (v *visit) ran(key string, first counterCase, work func(ctx context.Context) any) (counterCase, error) {
	if err := v.run(key, first, work); err != nil {
		return counterCase{}, err
	}
	return kept[counterCase](v, key)
}

// run does the work of a form behind its page, once for its key, and keeps what comes of it. The page waits at most Config.Late; until the
// work is done, first is kept. Work goes on when the browser leaves. Work that finds that the same form is under way at another
// node changes nothing (counterCase.elsewhere): what the other one keeps is not overwritten.
func (v *visit) run(key string, first any, work func(ctx context.Context) any) error {
	_, err := v.console.gate.Kept(v.r.Context(), v.Session, key)
	if err == nil {
		return nil // the form was sent before
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	behind := context.WithoutCancel(v.r.Context())
	one, err := v.console.errands.begin(v.FormToken+key, func(e *errand) {
		ctx, cancel := context.WithTimeout(behind, v.console.Call+5*time.Second)
		defer cancel()
		if _, err := v.console.gate.Kept(ctx, v.Session, key); err == nil {
			return // another one ended since it was looked for
		}
		result := work(ctx)
		e.mu.Lock()
		defer e.mu.Unlock()
		if other, ok := result.(interface{ elsewhere() bool }); result == nil || ok && other.elsewhere() {
			return
		}
		e.finished = true
		if err := v.keep(behind, key, result); err != nil {
			v.console.Logger.ErrorContext(behind, "reply was not kept", "error", err.Error())
		}
	})
	if err != nil {
		return err
	}
	late := time.NewTimer(v.console.Late)
	defer late.Stop()
	select {
	case <-one.done:
	case <-late.C:
	case <-v.r.Context().Done():
	}
	one.mu.Lock()
	defer one.mu.Unlock()
	if one.finished {
		return nil
	}
	if _, err := v.console.gate.Kept(behind, v.Session, key); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return v.keep(behind, key, first)
}

// elsewhere reports whether a call was refused because the same form is, or was, under way at another node.
func (k counterCase) elsewhere() bool { return k.Refused != nil && k.Refused.Code == "token-replayed" }

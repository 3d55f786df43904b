package register

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// A pending version is signed, or being signed, and not known to be committed. Many callers of one moment share it, so that
// a new license is signed once: the first to commit wins, the others are refused with ErrTaken and find it by then.
type pending struct {
	number  int
	content [32]byte
	since   time.Time
	done    chan struct{} // closed when version or err is set
	version Version
	err     error
}

// errCommitted says that the pending version was committed after the register was read.
var errCommitted = fmt.Errorf("read again: %w", ErrTaken)

const (
	maxPending  = 4096
	maxDrawn    = 1 << 17
	pendingLife = time.Minute

	// signPatience bounds one signing, whoever waits for it.
	signPatience = 10 * time.Second
)

// issue returns the version after latest, signing it unless somebody is about to.
func (r *Register) issue(ctx context.Context, latest Version, s stated) (Version, error) {
	p, mine := r.join(latest.Number+1, s)
	if mine {
		// Others wait for it, so it must not end with this caller.
		signing, cancel := context.WithTimeout(context.WithoutCancel(ctx), signPatience)
		defer cancel()
		p.version, p.err = r.sign(signing, latest, s)
		close(p.done)
		if p.err != nil {
			r.drop(s.subject, p)
		}
		return p.version, p.err
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		return Version{}, context.Cause(ctx)
	}
	if p.err != nil {
		return Version{}, p.err
	}
	return r.reuse(ctx, latest, s, p)
}

// reuse takes a version that another caller signed, unless it is committed by now or has lost its slot to another license.
func (r *Register) reuse(ctx context.Context, latest Version, s stated, p *pending) (Version, error) {
	taken, err := r.config.Storage.Taken(ctx, p.version.List, p.version.Slot)
	if err != nil {
		return Version{}, err
	}
	if !taken {
		v := p.version
		v.stand(latest, s)
		return v, nil
	}
	if _, err := r.config.Storage.ByIdentifier(ctx, p.version.Identifier); err == nil {
		return Version{}, errCommitted
	} else if !errors.Is(err, fs.ErrNotExist) {
		return Version{}, err
	}
	r.drop(s.subject, p)
	return r.issue(ctx, latest, s)
}

// join finds the pending version with this content, or begins one, which is then the caller's to sign.
func (r *Register) join(number int, s stated) (p *pending, mine bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.config.Now()
	if p, ok := r.pending[s.subject]; ok && p.number == number && p.content == s.content && now.Sub(p.since) < pendingLife {
		return p, false
	}
	p = &pending{number: number, content: s.content, since: now, done: make(chan struct{})}
	r.sweep(now)
	if len(r.pending) < maxPending {
		r.pending[s.subject] = p
	}
	return p, true
}

// sweep forgets what is old, now and then. Callers hold mu.
func (r *Register) sweep(now time.Time) {
	if now.Sub(r.swept) < pendingLife {
		return
	}
	r.swept = now
	for at, since := range r.drawn {
		if now.Sub(since) >= pendingLife {
			delete(r.drawn, at)
		}
	}
	for subject, p := range r.pending {
		if now.Sub(p.since) >= pendingLife {
			delete(r.pending, subject)
		}
	}
}

// drop forgets a pending version, unless another has taken its place.
func (r *Register) drop(subject [32]byte, p *pending) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pending[subject] == p {
		delete(r.pending, subject)
	}
}

package register

import (
	"context"
	"crypto/hmac"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"time"

	"oncegate/license"
)

// Why a license has no signed version to release.
var (
	// ErrNoSigner says that no key signs for the body that issued the license.
	ErrNoSigner = errors.New("no key signs for the issuing body")
	// ErrNoSeal says that no seal stands for the issuing body: its licenses have no document form.
	ErrNoSeal = errors.New("no seal stands for the issuing body")
	// ErrFaulty says that the source's record breaks a rule that a signed license must keep; the error wraps the
	// license.Reasons. Signing is strict where import only flags.
	ErrFaulty = errors.New("the source's record cannot be signed")
	// ErrOutdated says that the record is older than what is signed already and says something else: a stale copy never
	// becomes the next version. It is ErrFaulty.
	ErrOutdated = fmt.Errorf("%w: a newer state of the license is signed", ErrFaulty)
)

// A Register knows for every license which content was signed as which version. It is safe for concurrent use; several
// over one Storage agree by ErrTaken.
type Register struct {
	config Config
	keys   keys
	cache  *disclosures

	mu      sync.Mutex // protects all fields below
	pending map[[32]byte]*pending
	drawn   map[place]time.Time
	swept   time.Time // when both were last rid of what is old
	copies  map[[32]byte]keptCopy

	originals map[originalKey]*pendingOriginal
}

// New returns a Register.
func New(config Config) (*Register, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("make register: %w", err)
	}
	return &Register{
		config: config, keys: config.keys(), cache: new(disclosures), pending: make(map[[32]byte]*pending), drawn: make(map[place]time.Time), copies: make(map[[32]byte]keptCopy),
		originals: make(map[originalKey]*pendingOriginal),
	}, nil
}

// A Signed is the current version of a license with what can be disclosed of it.
type Signed struct {
	Version Version         // as it stands once the changes are committed
	New     bool            // signed just now: nobody may see it before its Issue is committed
	Claims  []license.Claim // what it says; Claim.Holder is the place in the record's holders

	register *Register
}

// Current returns the signed version of a license as its source stated it at asOf, and the changes that must commit with
// the record of its release: an Issue, with the version's label, if the content was never signed, changed or was ordered to be superseded, a SetStatus if
// only the status moved, else none. What the department ordered of the license stands in Version beside what the source states. A refusal of these changes with ErrTaken means that somebody was first: call Current again.
//
// A record that is older than what the register knows changes nothing: its content must be the one signed (else
// ErrOutdated), and the status known stands in Version. The errors ErrNoSigner and ErrFaulty are lasting.
func (r *Register) Current(ctx context.Context, l license.License, asOf time.Time) (Signed, []any, error) {
	s, err := r.read(l, asOf)
	if err != nil {
		return Signed{}, nil, fmt.Errorf("find signed license: %w", err)
	}
	signed, changes, err := r.current(ctx, s)
	if errors.Is(err, errCommitted) {
		signed, changes, err = r.current(ctx, s) // finds it
	}
	if err != nil {
		return Signed{}, nil, fmt.Errorf("find signed license: %w", err)
	}
	return signed, changes, nil
}

func (r *Register) current(ctx context.Context, s stated) (Signed, []any, error) {
	latest, err := r.config.Storage.Latest(ctx, s.subject)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Signed{}, nil, err
	}
	same := latest.Number > 0 && hmac.Equal(latest.Content[:], s.content[:])
	if same && latest.Ordered != license.Superseded && !r.config.Retired(latest.KeyID) {
		return r.known(latest, s)
	}
	if s.asOf.Before(latest.StatusAt) {
		return Signed{}, nil, ErrOutdated
	}
	version, err := r.issue(ctx, latest, s)
	if err != nil {
		return Signed{}, nil, err
	}
	label, err := r.keepLabel(version, s.license)
	if err != nil {
		return Signed{}, nil, err
	}
	return r.signed(version, s, true), append([]any{Issue{version, latest.Identifier}}, label...), nil
}

// known returns a version that is signed already.
func (r *Register) known(latest Version, s stated) (Signed, []any, error) {
	var changes []any
	if move, ok := moveStatus(latest, s.license.Status, s.asOf); ok {
		latest.Stated, latest.StatusAt, changes = move.To, move.At, []any{move}
		latest.Status = EffectiveStatus(latest.Stated, latest.Ordered)
	}
	return r.signed(latest, s, false), changes, nil
}

func (r *Register) signed(v Version, s stated, fresh bool) Signed {
	return Signed{Version: v, New: fresh, Claims: s.claims, register: r}
}

// moveStatus is the change that takes over a status from the source, if it is news.
func moveStatus(v Version, to license.Status, at time.Time) (SetStatus, bool) {
	if v.Stated == to || at.Before(v.StatusAt) {
		return SetStatus{}, false
	}
	return SetStatus{Identifier: v.Identifier, From: v.Stated, To: to, At: at}, true
}

// Observe takes over the status of a license that is not released: the change moves the status of its signed version.
// There is none if it was never signed or nothing moved.
func (r *Register) Observe(ctx context.Context, l license.License, asOf time.Time) ([]any, error) {
	if !slices.Contains(license.Statuses(), l.Status) {
		return nil, fmt.Errorf("observe license: %w: %w", ErrFaulty, license.WrongStatus)
	}
	subject, err := r.subject(l)
	if err != nil {
		return nil, fmt.Errorf("observe license: %w", err)
	}
	latest, err := r.config.Storage.Latest(ctx, subject)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("observe license: %w", err)
	}
	if move, ok := moveStatus(latest, l.Status, truncateMillis(asOf)); ok {
		return []any{move}, nil
	}
	return nil, nil
}

// Version returns a version by its identifier; fs.ErrNotExist if it was not signed here.
func (r *Register) Version(ctx context.Context, identifier string) (Version, error) {
	v, err := r.config.Storage.ByIdentifier(ctx, identifier)
	if err != nil {
		return Version{}, fmt.Errorf("find license version: %w", err)
	}
	return v, nil
}

// IsOf reports whether a record is of the license that a version was signed of, whatever either says by now.
func (r *Register) IsOf(v Version, l license.License) bool {
	subject, err := r.subject(l)
	return err == nil && hmac.Equal(subject[:], v.Subject[:])
}

// stated is a license as its source stated it, read for signing.
type stated struct {
	license license.License // in normal form
	typ     license.Type
	claims  []license.Claim
	subject [32]byte
	content [32]byte
	asOf    time.Time
}

// read checks a record as strictly as what is signed must be, and digests it.
func (r *Register) read(l license.License, asOf time.Time) (stated, error) {
	l, err := license.Validate(r.config.Catalogue, l, license.Strict)
	if err != nil {
		return stated{}, fmt.Errorf("%w: %w", ErrFaulty, err)
	}
	s := stated{license: l, asOf: truncateMillis(asOf)}
	s.typ, _ = r.config.Catalogue.Type(l.Type) // Validate has found it
	if s.claims, err = license.Claims(s.typ, l); err != nil {
		return stated{}, fmt.Errorf("%w: %w", ErrFaulty, err)
	}
	content, err := license.Content(l.Type, s.claims)
	if err != nil {
		return stated{}, fmt.Errorf("%w: %w", ErrFaulty, err)
	}
	s.content = r.keys.content.Sum(content)
	s.subject, err = r.subject(l)
	return s, err
}

// subject says which license a record is of, over all its versions.
func (r *Register) subject(l license.License) ([32]byte, error) {
	subject, err := sumOf(r.keys.subject, l.Type, l.Issuer.Code, l.Number)
	if err != nil {
		return subject, fmt.Errorf("%w: %w", ErrFaulty, err)
	}
	return subject, nil
}

// truncateMillis is a time as it is kept: UTC, milliseconds.
func truncateMillis(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

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

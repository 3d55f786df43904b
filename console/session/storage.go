package session

import (
	"context"
	"errors"
	"io/fs"
	"sync"
	"time"

	"oncegate/audit"
)

// Storage keeps sessions and what they keep, sealed, for all nodes. Keys are digests. What is absent is fs.ErrNotExist; a row that was
// altered is audit.ErrTables. Methods are safe for concurrent use.
type Storage interface {
	// Session reads a session and its revision.
	Session(ctx context.Context, id [32]byte) (content []byte, revision int64, err error)
	// AddSession writes the first revision of a session, durably, and ends was in the same transaction unless it is zero: fs.ErrNotExist if
	// was is gone.
	AddSession(ctx context.Context, id, was [32]byte, content []byte, expires time.Time) error
	// ReplaceSession writes the revision after the one that was read; false if it is not the newest any more. It may be lost in a crash.
	ReplaceSession(ctx context.Context, id [32]byte, read int64, content []byte, expires time.Time) (bool, error)
	// EndSession removes a session and all that its owner keeps, durably.
	EndSession(ctx context.Context, id, owner [32]byte) error
	// Keep writes a value under a key; it may be lost in a crash. Kept reads it until it expires; TakeKept also removes it, for one caller.
	Keep(ctx context.Context, owner, key [32]byte, content []byte, expires time.Time) error
	Kept(ctx context.Context, owner, key [32]byte) ([]byte, error)
	TakeKept(ctx context.Context, owner, key [32]byte) ([]byte, error)
	// Claim takes a key for its only use, durably; false if it was taken before.
	Claim(ctx context.Context, owner, key [32]byte, expires time.Time) (bool, error)
}

// Bounds of what is kept.
const (
	maxKept = 1 << 20 // bytes of one value

	touchEvery = time.Minute // how exact Session.Seen is: fewer writes than requests
	clockSlack = time.Minute // by how much clocks of nodes may differ
)

// ErrTooLarge says that a value is larger than 1 MiB.
var ErrTooLarge = errors.New("the value to keep is too large")

// Keep keeps a value under a key for a session, sealed, until the session ends: the reply that a page shows, so that reload and Back make
// no call. It replaces the value before. fs.ErrNotExist: the session has ended.
func (g *Gate) Keep(ctx context.Context, s *Session, key string, value []byte) error {
	if len(value) > maxKept {
		return ErrTooLarge
	}
	return g.Storage.Keep(ctx, s.family, digest("kept", key), value, s.Ends)
}

// Kept returns what Keep kept for this session under the key; fs.ErrNotExist if there is nothing. Another session's is never found.
func (g *Gate) Kept(ctx context.Context, s *Session, key string) ([]byte, error) {
	return g.Storage.Kept(ctx, s.family, digest("kept", key))
}

// Share keeps a value under an unguessable key, sealed, for all sessions, until a time. It replaces the value before.
func (g *Gate) Share(ctx context.Context, key string, value []byte, until time.Time) error {
	if len(value) > maxKept {
		return ErrTooLarge
	}
	return g.Storage.Keep(ctx, digest("shared"), digest("shared", key), value, until)
}

// Shared returns what Share kept under the key; fs.ErrNotExist if there is nothing.
func (g *Gate) Shared(ctx context.Context, key string) ([]byte, error) {
	return g.Storage.Kept(ctx, digest("shared"), digest("shared", key))
}

// A memory remembers the newest revision of sessions that this process saw, and which ended, so that an older row put back into the
// database is refused (rollback). Other processes, and this one after a restart, do not know: docs/threat-model.md says what bounds it there.
type memory struct {
	mu   sync.Mutex // protects both maps
	seen map[[32]byte]remembered
	most int
}

type remembered struct {
	revision int64
	ended    bool
	until    time.Time // the session's absolute end
}

func newMemory() *memory { return &memory{seen: map[[32]byte]remembered{}, most: 1 << 16} }

// note remembers a revision, or that a session ended.
func (m *memory) note(id [32]byte, r remembered, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	was := m.seen[id]
	r.revision, r.ended = max(r.revision, was.revision), r.ended || was.ended
	if r.until.Before(was.until) {
		r.until = was.until
	}
	if len(m.seen) >= m.most {
		for k, v := range m.seen {
			if now.After(v.until) || len(m.seen) >= m.most && !v.ended {
				delete(m.seen, k)
			}
		}
	}
	if len(m.seen) < 2*m.most {
		m.seen[id] = r
	}
}

// stale reports whether a row is older than what this process knows.
func (m *memory) stale(id [32]byte, revision int64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, known := m.seen[id]
	return known && (r.ended || revision < r.revision)
}

// find reads the session of a cookie's value; nil if it has none that is in force. The error is of the database.
func (g *Gate) find(ctx context.Context, cookie string) (*Session, error) {
	if len(cookie) != cookieLength {
		return nil, nil
	}
	id := digest("cookie", cookie)
	content, revision, err := g.Storage.Session(ctx, id)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case errors.Is(err, audit.ErrTables):
		g.metrics.refused.WithLabelValues(CodeAltered).Inc()
		return nil, nil
	case err != nil:
		return nil, err
	}
	now := g.Now()
	s, err := decode(content, id, revision)
	if err != nil || g.memory.stale(id, revision) {
		g.metrics.refused.WithLabelValues(CodeAltered).Inc()
		return nil, nil
	}
	if !now.Before(s.Ends) || now.Before(s.Opened.Add(-clockSlack)) { // or the clock went back before its beginning
		return nil, nil
	}
	g.memory.note(id, remembered{revision: revision, until: s.Ends}, now)
	if !g.update(s) {
		return nil, nil
	}
	return s, nil
}

// update brings a session up to the configuration in force: its roles are what the hall has and the person still is. It reports false where
// the account is gone, or has another password or second factor, or the provider is gone: the session has ended.
func (g *Gate) update(s *Session) bool {
	current := g.Current()
	if s.Account != "" {
		account, known := current.Accounts.Find(s.Account)
		if !known || account.Disabled || account.password() != s.password {
			return false
		}
		s.Assignments = account.Assignments
	} else if current.Providers[s.Provider] == nil {
		return false
	}
	h, there := current.Settings.Hall(s.Hall)
	if s.Roles = h.rolesOf(s.Assignments); !there || len(s.Roles) == 0 {
		s.Hall, s.Desk, s.Department, s.Roles = "", "", "", nil
	}
	return true
}

// password names an account's password and second factor.
func (a Account) password() [32]byte { return digest("password", a.Password, a.Secret) }

// change writes what fn does to a session; other requests of the session may do so at the same time. fs.ErrNotExist if it ended meanwhile.
func (g *Gate) change(ctx context.Context, s *Session, fn func(*Session)) error {
	for range 8 {
		next := s.clone()
		fn(next)
		content, err := next.encode()
		if err != nil {
			return err
		}
		done, err := g.Storage.ReplaceSession(ctx, s.id, s.revision, content, s.Ends)
		if err != nil {
			return err
		}
		if done {
			next.revision++
			*s = *next
			g.memory.note(s.id, remembered{revision: s.revision, until: s.Ends}, g.Now())
			return nil
		}
		content, revision, err := g.Storage.Session(ctx, s.id)
		if err != nil {
			return err
		}
		fresh, err := decode(content, s.id, revision)
		if err != nil {
			return err
		}
		*s = *fresh
	}
	return errors.New("the session changes too often at once")
}

// end signs out: the row and everything kept are gone, and this process takes no older row of it.
func (g *Gate) end(ctx context.Context, s *Session) error {
	g.memory.note(s.id, remembered{ended: true, until: s.Ends}, g.Now())
	return g.Storage.EndSession(ctx, s.id, s.family)
}

// renew gives a session another id and form token (against fixation), and returns the value of its new cookie. Where it was of this
// browser before, the former row ends with it.
func (g *Gate) renew(ctx context.Context, s *Session) (cookie string, err error) {
	was, until := s.id, s.Ends
	next := s.clone()
	cookie = secret()
	next.id, next.revision, next.token = digest("cookie", cookie), 1, secret()
	next.FormToken = next.token
	content, err := next.encode()
	if err != nil {
		return "", err
	}
	if err := g.Storage.AddSession(ctx, next.id, was, content, next.Ends); err != nil {
		return "", err
	}
	if was != ([32]byte{}) {
		g.memory.note(was, remembered{ended: true, until: until}, g.Now())
	}
	*s = *next
	return cookie, nil
}

package register_test

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"oncegate/license"
	"oncegate/register"
	"oncegate/register/registertest"
)

// memory is a register.Storage. mu is the lock of its commits.
type memory struct {
	mu sync.Mutex
	state
}

type state struct {
	versions  []register.Version // in the order of commits
	copies    map[[32]byte]register.Snapshot
	originals map[string]register.Original
	changes   map[string]int64 // by list
	closed    map[string]bool  // lists of before a recovery
}

var _ register.Storage = (*memory)(nil)

func newMemory() *memory {
	return &memory{state: state{copies: map[[32]byte]register.Snapshot{}, originals: map[string]register.Original{}, changes: map[string]int64{}, closed: map[string]bool{}}}
}

// Commit applies all changes or none.
func (m *memory) Commit(_ context.Context, changes ...any) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	next := state{slices.Clone(m.versions), maps.Clone(m.copies), maps.Clone(m.originals), maps.Clone(m.changes), m.closed}
	for _, change := range changes {
		if err := next.apply(change); err != nil {
			return err
		}
	}
	m.state = next
	return nil
}

func (s *state) apply(change any) error {
	switch c := change.(type) {
	case register.Issue:
		latest := s.latest(c.Version.Subject)
		for _, v := range s.versions {
			if v.Identifier == c.Version.Identifier || v.List == c.Version.List && v.Slot == c.Version.Slot {
				return fmt.Errorf("issue: %w", register.ErrTaken)
			}
		}
		if latest == nil && c.Version.Number != 1 || latest != nil && c.Version.Number != latest.Number+1 {
			return fmt.Errorf("issue: %w", register.ErrTaken)
		}
		if latest != nil && c.Supersedes != latest.Identifier || latest == nil && c.Supersedes != "" {
			return fmt.Errorf("issue: %w", register.ErrTaken)
		}
		if latest != nil && c.Version.Ordered != latest.Inherited() || latest == nil && c.Version.Ordered != "" {
			return fmt.Errorf("issue: %w", register.ErrTaken)
		}
		if latest != nil {
			latest.Status, latest.Stated, latest.StatusAt = license.Superseded, license.Superseded, c.Version.Signed
			s.changes[latest.List]++
		}
		s.versions = append(s.versions, c.Version)
		s.changes[c.Version.List]++
	case register.SetStatus:
		i := slices.IndexFunc(s.versions, func(v register.Version) bool { return v.Identifier == c.Identifier && v.Stated == c.From })
		if i < 0 {
			return fmt.Errorf("set status: %w", register.ErrTaken)
		}
		v := &s.versions[i]
		v.Stated, v.StatusAt, v.Status = c.To, c.At, register.EffectiveStatus(c.To, v.Ordered)
		s.changes[v.List]++
	case register.Order:
		i := slices.IndexFunc(s.versions, func(v register.Version) bool {
			return v.Identifier == c.Identifier && v.Ordered == c.From && !v.Gone()
		})
		if i < 0 {
			return fmt.Errorf("order: %w", register.ErrTaken)
		}
		v := &s.versions[i]
		v.Ordered, v.OrderedAt, v.Status = c.To, c.At, register.EffectiveStatus(v.Stated, c.To)
		s.changes[v.List]++
	case register.Keep:
		if old, ok := s.copies[c.Snapshot.Key]; !ok || c.Snapshot.AsOf.After(old.AsOf) {
			s.copies[c.Snapshot.Key] = c.Snapshot
		}
	case register.KeepOriginal:
		known := slices.ContainsFunc(s.versions, func(v register.Version) bool { return v.Identifier == c.Original.Identifier })
		old, there := s.originals[c.Original.Identifier]
		there = there && c.Original.Made.Before(old.Expires)
		if !known || there && old.Digest != c.Original.Digest {
			return fmt.Errorf("keep original: %w", register.ErrTaken)
		}
		if !there {
			s.originals[c.Original.Identifier] = c.Original
		}
	default:
		return fmt.Errorf("unknown change %T", change)
	}
	return nil
}

func (s *state) latest(subject [32]byte) (latest *register.Version) {
	for i, v := range s.versions {
		if v.Subject == subject && (latest == nil || v.Number > latest.Number) {
			latest = &s.versions[i]
		}
	}
	return latest
}

func (m *memory) Latest(_ context.Context, subject [32]byte) (register.Version, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if v := m.latest(subject); v != nil {
		return *v, nil
	}
	return register.Version{}, fs.ErrNotExist
}

func (m *memory) ByIdentifier(_ context.Context, identifier string) (register.Version, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, v := range m.versions {
		if v.Identifier == identifier {
			return v, nil
		}
	}
	return register.Version{}, fs.ErrNotExist
}

func (m *memory) Snapshot(_ context.Context, key [32]byte, now time.Time) (register.Snapshot, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s, ok := m.copies[key]; ok && now.Before(s.Expires) {
		return s, nil
	}
	return register.Snapshot{}, fs.ErrNotExist
}

func (m *memory) Original(_ context.Context, identifier string, now time.Time) (register.Original, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if o, ok := m.originals[identifier]; ok && now.Before(o.Expires) {
		return o, nil
	}
	return register.Original{}, fs.ErrNotExist
}

func (m *memory) Statuses(_ context.Context, list string, yield func(int, license.Status)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, v := range m.versions {
		if v.List == list && v.Status != license.Valid {
			yield(v.Slot, v.Status)
		}
	}
	return nil
}

func (m *memory) Lists(context.Context) (lists []register.List, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, v := range m.versions {
		if !slices.ContainsFunc(lists, func(l register.List) bool { return l.ID == v.List }) {
			lists = append(lists, register.List{ID: v.List, Closed: m.closed[v.List], Changes: m.changes[v.List]})
		}
	}
	return lists, nil
}

func (m *memory) Occupied(_ context.Context, list string, yield func(int)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, v := range m.versions {
		if v.List == list {
			yield(v.Slot)
		}
	}
	return nil
}

func (m *memory) Versions(_ context.Context, f register.Filter) (found []register.Version, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, v := range m.versions {
		if v.Type == f.Type && v.Identifier > f.After && (f.Issuer == "" || v.Issuer == f.Issuer) && (f.Status == "" || v.Status == f.Status) {
			found = append(found, v)
		}
	}
	slices.SortFunc(found, func(a, b register.Version) int { return strings.Compare(a.Identifier, b.Identifier) })
	return found[:min(len(found), f.Limit)], nil
}

func (m *memory) Taken(_ context.Context, list string, slot int) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.ContainsFunc(m.versions, func(v register.Version) bool { return v.List == list && v.Slot == slot }), nil
}

func (m *memory) At(_ context.Context, list string, slot int) (register.Version, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := slices.IndexFunc(m.versions, func(v register.Version) bool { return v.List == list && v.Slot == slot })
	if i < 0 {
		return register.Version{}, fs.ErrNotExist
	}
	return m.versions[i], nil
}

func (m *memory) Purge(_ context.Context, now time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.DeleteFunc(m.copies, func(_ [32]byte, s register.Snapshot) bool { return !now.Before(s.Expires) })
	maps.DeleteFunc(m.originals, func(_ string, o register.Original) bool { return !now.Before(o.Expires) })
	return nil
}

// TestMemory proves the suite on a storage that is known to be right, and the storage on the suite.
func TestMemory(t *testing.T) {
	registertest.Test(t, func(t *testing.T) registertest.Bench {
		m := newMemory()
		return registertest.Bench{Storage: m, Commit: m.Commit}
	})
}

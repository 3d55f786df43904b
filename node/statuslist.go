package node

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"sync"
	"time"

	"oncegate/certs/jws"
	"oncegate/certs/keystore"
	"oncegate/certs/second"
	"oncegate/certs/statuslist"
	"oncegate/config"
	"oncegate/gateway"
	"oncegate/register"
)

const (
	statusTTL      = time.Minute            // how long others may keep it before asking again, and an unchanged one is served again: none is served past its ttl
	statusExpires  = 24 * time.Hour         // default of gateway.status_list: for how long it is trusted offline
	statusRecheck  = 100 * time.Millisecond // how long a list is served again without looking whether it changed
	maxCachedLists = 256                    // lists that are kept signed
)

// statusLists is a cache of signed status lists, invalidated when the register changes: many requests cost one signature, and a revocation is
// published at once.
type statusLists struct {
	mu   sync.Mutex // protects made
	made map[string]*cachedList

	making sync.Mutex // held while an array is built: one at a time is in memory
}

// A cachedList is a list as it was signed last.
type cachedList struct {
	mu      sync.Mutex // protects all below; held while making it, so that one makes it and the others wait
	signed  gateway.SignedList
	by      string // id of the key that signed it
	changes int64  // of the register's, when it was made
	until   time.Time
	look    time.Time // when the register is asked again; by this process's clock, which is never set back
}

// A listMaker is what lists are made with.
type listMaker struct {
	register *register.Register
	keys     *keystore.Store
	dual     *second.DualVerifier // both confirm a list before it is published
	expires  time.Duration
	now      func() time.Time
}

// get returns the signed list; fs.ErrNotExist if there is none of this id.
func (s *statusLists) get(ctx context.Context, id string, m listMaker) (gateway.SignedList, error) {
	l := s.find(id)
	l.mu.Lock()
	defer l.mu.Unlock()
	key, err := config.FindCurrent(m.keys, keystore.Status, "")
	if err != nil {
		return gateway.SignedList{}, fmt.Errorf("sign status list: %w", err)
	}
	now := m.now()
	usable := l.by == key.ID && now.Before(l.until)
	if usable && time.Now().Before(l.look) {
		return l.signed, nil
	}
	begun := time.Now()
	changes, err := m.register.ListChanges(ctx, id) // before the array is read: what changes between is seen next time
	if err != nil {
		return gateway.SignedList{}, err
	}
	if !usable || changes != l.changes {
		s.making.Lock()
		defer s.making.Unlock()
		if l.signed, err = m.sign(ctx, id, key, now); err != nil {
			l.by = ""
			return gateway.SignedList{}, err
		}
		l.by, l.changes, l.until = key.ID, changes, now.Add(l.signed.Keep)
		s.keep(id, l)
	}
	// Lists that take long to make are made less often.
	l.look = time.Now().Add(min(max(statusRecheck, 4*time.Since(begun)), 8*statusRecheck))
	return l.signed, nil
}

// find returns the list that is kept; a new one is kept when it turns out to exist.
func (s *statusLists) find(id string) *cachedList {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.made[id]; l != nil {
		return l
	}
	return &cachedList{}
}

func (s *statusLists) keep(id string, l *cachedList) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.made == nil || len(s.made) >= maxCachedLists && s.made[id] == nil {
		s.made = make(map[string]*cachedList) // more lists than are asked for at once: begin anew
	}
	s.made[id] = l
}

// sign makes a list as it stands.
func (m listMaker) sign(ctx context.Context, id string, key keystore.Info, now time.Time) (signed gateway.SignedList, err error) {
	packed, err := m.register.StatusList(ctx, id)
	if err != nil {
		return signed, err
	}
	list, err := statuslist.FromBytes(register.StatusBits, packed)
	if err != nil {
		return signed, fmt.Errorf("sign status list: %w", err)
	}
	signer, err := m.keys.SignerByID(key.ID)
	if err != nil {
		return signed, fmt.Errorf("sign status list: %w", err)
	}
	signed.Expires, signed.Keep = now.Add(m.expires).Truncate(time.Second), min(statusTTL, m.expires/4)
	signed.Token, err = statuslist.Sign(ctx, m.dual.Signer(signer), jws.Header{Kid: key.ID, X5C: key.Chain}, statuslist.Token{
		Subject: m.register.ListURI(id), IssuedAt: now, Expires: signed.Expires, TTL: signed.Keep, List: list,
	})
	sum := sha256.Sum256([]byte(signed.Token))
	signed.Tag = base64.RawURLEncoding.EncodeToString(sum[:16])
	return signed, err
}

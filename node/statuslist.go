package node

import (
	"context"
	"fmt"
	"sync"
	"time"

	"oncegate/certs/jws"
	"oncegate/certs/keystore"
	"oncegate/certs/statuslist"
	"oncegate/register"
)

const (
	statusFresh   = 15 * time.Second // how long a signed list is served again
	statusTTL     = 5 * time.Minute  // how long others may keep it
	statusExpires = 24 * time.Hour
)

// statusLists signs the register's status lists and keeps each for a moment, so that a crowd that asks costs one signature.
type statusLists struct {
	mu   sync.Mutex // protects all below; held while signing, so that one signs and the others wait
	made map[string]madeList
}

type madeList struct {
	token string
	by    string // id of the key that signed it
	until time.Time
}

// token returns the signed list; fs.ErrNotExist if there is none of this id.
func (l *statusLists) token(ctx context.Context, id string, r *register.Register, keys *keystore.Store, now time.Time) (string, error) {
	key, err := currentKey(keys, keystore.Status, "")
	if err != nil {
		return "", fmt.Errorf("sign status list: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if made, ok := l.made[id]; ok && now.Before(made.until) && made.by == key.ID {
		return made.token, nil
	}
	packed, err := r.StatusList(ctx, id)
	if err != nil {
		return "", err
	}
	list, err := statuslist.FromBytes(register.StatusBits, packed)
	if err != nil {
		return "", fmt.Errorf("sign status list: %w", err)
	}
	signer, err := keys.SignerByID(key.ID)
	if err != nil {
		return "", fmt.Errorf("sign status list: %w", err)
	}
	token, err := statuslist.Sign(ctx, signer, jws.Header{Kid: key.ID, X5C: key.Chain}, statuslist.Token{
		Subject: r.ListURI(id), IssuedAt: now, Expires: now.Add(statusExpires), TTL: statusTTL, List: list,
	})
	if err != nil {
		return "", err
	}
	if l.made == nil {
		l.made = make(map[string]madeList)
	}
	l.made[id] = madeList{token, key.ID, now.Add(statusFresh)} // ids come from the register: they are few
	return token, nil
}

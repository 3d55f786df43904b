package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"oncegate/audit"
	"oncegate/certs/keystore"
)

// operationRestore is the operation of the record that accepts an older keystore.
const operationRestore = "keys.restore"

// ErrOldKeys says that an older keystore, or an old file of a key in it, was put back: a rollback. A key file is sealed, so that nobody
// without the passphrase can make a retired key current again; but the file of before its rotation still says current. The keystore
// alone cannot tell, because all of it can be put back. The log can: it has a record of every set of keys that was in force.
var ErrOldKeys = errors.New("an older keystore was put back")

// checkKeys holds the keystore against the newest record of the keys: a key that was retired by then, or had left the keystore by then,
// must not be current.
func (n *Node) checkKeys(ctx context.Context, s *Setup) error {
	newest, err := n.newestKeys(ctx)
	if err != nil || newest == nil {
		return err
	}
	recorded, err := n.keysAt(ctx, newest.Index)
	if err != nil {
		return fmt.Errorf("%w: the keys of record %d cannot be read with it: %w; %s", ErrOldKeys, newest.Index, err, oldKeysAdvice)
	}
	var old []string
	for _, k := range s.Keys.List() {
		if k.State != keystore.Current || recorded[k.ID] == string(keystore.Current) {
			continue
		}
		_, known := recorded[k.ID]
		if !known {
			if known, err = n.everHad(ctx, k.ID); err != nil {
				return err
			}
		}
		if known {
			old = append(old, k.ID)
		}
	}
	if old != nil {
		return fmt.Errorf("%w: %s, current in %s, was replaced before record %d; %s", ErrOldKeys, strings.Join(old, ", "), s.Config.Keys.Dir, newest.Index, oldKeysAdvice)
	}
	for _, k := range s.Keys.List() {
		delete(recorded, k.ID)
	}
	for _, id := range slices.Sorted(maps.Keys(recorded)) {
		n.Logger.Warn("a key that the log knows is not in the keystore any more", "key", id)
	}
	return nil
}

// keyOperations are those of the records that list the keys in force.
var keyOperations = []string{operationKeys, operationCreate, operationRecover, operationRestore}

const oldKeysAdvice = "put the newest backup of the keystore back, or, if it is lost, replace these keys (oncegate keys rotate) or go on with them (oncegate keys accept)"

// newestKeys is the newest record of the keys in force; nil if there is none.
func (n *Node) newestKeys(ctx context.Context) (newest *audit.Found, err error) {
	for _, operation := range keyOperations {
		page, err := n.auditor.Search(ctx, audit.Ask{Operation: operation, Limit: 1})
		if err != nil {
			return nil, err
		}
		for _, f := range page.Found {
			if newest == nil || f.Index > newest.Index {
				newest = &f
			}
		}
	}
	return newest, nil
}

// keysAt are the gateway's own keys of a record, and their states, by id.
func (n *Node) keysAt(ctx context.Context, index uint64) (map[string]string, error) {
	e, err := n.auditor.Evidence(ctx, index)
	if err != nil {
		return nil, err
	}
	keys, err := keysIn(e.Inputs)
	if err != nil {
		return nil, fmt.Errorf("read the keys of record %d: %w", index, err)
	}
	own := make(map[string]string, len(keys))
	for _, k := range keys {
		if k.State != registered {
			own[k.ID] = k.State
		}
	}
	return own, nil
}

// keysIn are the keys that the inputs of a record of the keys list.
func keysIn(list jsontext.Value) (keys []keyDescription, err error) {
	if list.Kind() == jsontext.KindBeginObject {
		var whole struct {
			Keys jsontext.Value `json:"keys"`
		}
		if err := json.Unmarshal(list, &whole); err != nil {
			return nil, err
		}
		list = whole.Keys
	}
	err = json.Unmarshal(list, &keys)
	return keys, err
}

// everHad reports whether some record of the keys names a key. It reads all of them, and only where a key is new.
func (n *Node) everHad(ctx context.Context, id string) (bool, error) {
	for before := uint64(0); ; {
		page, err := n.auditor.Search(ctx, audit.Ask{Operation: operationKeys, Before: before, Limit: audit.MaxPage})
		if err != nil {
			return false, err
		}
		for _, f := range page.Found {
			keys, err := n.keysAt(ctx, f.Index)
			if err != nil { // sealed under a key that was lost, as an accepted keystore may have been
				n.Logger.Warn("an old record of the keys cannot be read", "record", f.Index)
			}
			if _, had := keys[id]; had {
				return true, nil
			}
		}
		if before = page.Next; before == 0 {
			return false, nil
		}
	}
}

// AcceptKeys goes on with an older keystore that was put back because the newer one is lost: the next start finds a record that its keys
// are meant. why stands in the record's sealed evidence. No node may be running. The error is a fault.List where the configuration is unusable.
func AcceptKeys(ctx context.Context, path, why string, now func() time.Time) (err error) {
	if now == nil {
		now = time.Now
	}
	setup, faults := Load(path, now())
	if err := cmp.Or(faults.Err(), setup.KeysErr); err != nil {
		return err
	}
	db, sealer, err := setup.openStore(ctx, now)
	if err != nil {
		return fmt.Errorf("accept keys: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	config, err := setup.logConfig(db.Log(), nil)
	if err != nil {
		return fmt.Errorf("accept keys: %w", err)
	}
	keys := setup.describeKeys()
	digest, err := digestOf(keys)
	var changes []any
	if err == nil {
		changes, err = adoptLost(ctx, db)
	}
	if err == nil {
		err = setup.recordBeginning(ctx, config, db, sealer, now, audit.Own{
			Operation: operationRestore, RequestID: digest, Policy: setup.Policy.Digest(), Inputs: map[string]any{"keys": keys, "why": why}, Changes: changes,
		})
	}
	if err != nil {
		return fmt.Errorf("accept keys: %w", err)
	}
	return nil
}

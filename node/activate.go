package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"oncegate/audit"
	"oncegate/certs/keystore"
	"oncegate/config"
	"oncegate/install"
)

// activate records the policy set, the configuration and the keys before they come in force, each where it differs from the last record of it.
// It comes before use, so that no decision stands in the log before the rules it was made by.
func (n *Node) activate(ctx context.Context, r *running) error {
	if err := n.catchUp(ctx); err != nil {
		return err
	}
	s := r.setup
	if err := n.checkKeys(ctx, s); err != nil {
		return err
	}
	last, err := n.last(ctx, "policy.activate")
	if err != nil {
		return err
	}
	if last.Policy != s.Policy.Digest() {
		if _, err := n.recorder.Activate(ctx, s.Policy.Files()); err != nil {
			return fmt.Errorf("record the policy: %w", err)
		}
		n.Logger.Info("policy set activated", "policy", s.Policy.Digest())
	}
	if err := n.recordChange(ctx, install.OperationConfig, s.Digest, describe(s), s.Policy.Digest()); err != nil {
		return fmt.Errorf("record the configuration: %w", err)
	}
	keys := install.DescribeKeys(s)
	digest, err := install.Digest(keys)
	if err != nil {
		return err
	}
	if err := n.recordChange(ctx, install.OperationKeys, digest, keys, s.Policy.Digest()); err != nil {
		return fmt.Errorf("record the keys: %w", err)
	}
	return nil
}

// recordChange leaves a record unless the last of its operation says the same. The request id names what is in force.
func (n *Node) recordChange(ctx context.Context, operation, digest string, inputs any, policy string) error {
	last, err := n.last(ctx, operation)
	if err != nil || last.RequestID == digest {
		return err
	}
	_, err = n.recorder.RecordOwn(ctx, audit.Own{Operation: operation, RequestID: digest, Policy: policy, Inputs: inputs})
	return err
}

// last returns the newest record of the gateway's own of an operation; the zero record if there is none.
func (n *Node) last(ctx context.Context, operation string) (audit.Record, error) {
	page, err := n.auditor.Search(ctx, audit.Ask{Operation: operation, Limit: 1})
	if err != nil || len(page.Found) == 0 {
		return audit.Record{}, err
	}
	return page.Found[0].Record, nil
}

// catchUp lets the projection that searches read cover the whole log, as it may not after a crash. After a restored backup that
// is all of it: the log says how far it is.
func (n *Node) catchUp(ctx context.Context) error {
	logged := n.Now()
	for before := uint64(0); ; {
		covered, size, err := n.db.Audit().Follow(ctx)
		if errors.Is(err, fs.ErrNotExist) || err == nil && (covered >= size || covered == before) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("follow the log: %w", err)
		}
		if now := n.Now(); now.Sub(logged) >= progressEvery {
			n.Logger.Info("building the search projection", "records", covered, "of", size)
			logged = now
		}
		before = covered
	}
}

// describe says what a configuration is, for its record: digests and ids, nothing personal.
func describe(s *config.Setup) any {
	list := func(n int, id func(int) string) []string {
		ids := make([]string, n)
		for i := range ids {
			ids[i] = id(i)
		}
		return ids
	}
	return map[string]any{
		"configuration": s.Digest,
		"policy":        s.Policy.Digest(),
		"departments":   list(len(s.Departments), func(i int) string { return s.Departments[i].ID }),
		"systems":       list(len(s.Systems), func(i int) string { return s.Systems[i].ID }),
		"sources":       list(len(s.Sources), func(i int) string { return s.Sources[i].ID }),
		"catalogue":     s.Catalogue.List,
		"matters":       s.Book.List,
		"calendar":      s.Calendar.List,
		"holders":       s.Holders.Name(),
	}
}

// checkKeys detects a rolled-back keystore: a key that was retired, or had left the keystore, by the newest record of the keys must not be
// current.
func (n *Node) checkKeys(ctx context.Context, s *config.Setup) error {
	newest, err := n.newestKeys(ctx)
	if err != nil || newest == nil {
		return err
	}
	recorded, err := n.keysAt(ctx, newest.Index)
	if err != nil {
		return fmt.Errorf("%w: the keys of record %d cannot be read with it: %w; %s", install.ErrOldKeys, newest.Index, err, install.OldKeysAdvice)
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
		return fmt.Errorf("%w: %s, current in %s, was replaced before record %d; %s", install.ErrOldKeys, strings.Join(old, ", "), s.Config.Keys.Dir, newest.Index, install.OldKeysAdvice)
	}
	for _, k := range s.Keys.List() {
		delete(recorded, k.ID)
	}
	for _, id := range slices.Sorted(maps.Keys(recorded)) {
		n.Logger.Warn("a key that the log knows is not in the keystore any more", "key", id)
	}
	return nil
}

// newestKeys is the newest record of the keys in force; nil if there is none.
func (n *Node) newestKeys(ctx context.Context) (newest *audit.Found, err error) {
	for _, operation := range install.KeyOperations {
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
	keys, err := install.ParseKeys(e.Inputs)
	if err != nil {
		return nil, fmt.Errorf("read the keys of record %d: %w", index, err)
	}
	own := make(map[string]string, len(keys))
	for _, k := range keys {
		if k.State != install.Registered {
			own[k.ID] = k.State
		}
	}
	return own, nil
}

// everHad reports whether some record of the keys names a key. It reads all of them, and only where a key is new.
func (n *Node) everHad(ctx context.Context, id string) (bool, error) {
	for before := uint64(0); ; {
		page, err := n.auditor.Search(ctx, audit.Ask{Operation: install.OperationKeys, Before: before, Limit: audit.MaxPage})
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

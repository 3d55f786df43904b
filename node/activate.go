package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"oncegate/audit"
	"oncegate/canonical"
	"oncegate/certs/sm"
)

// Operations of the records that a node leaves about itself, besides "policy.activate".
const (
	operationConfig = "config.activate"
	operationKeys   = "keys.change"
	operationCreate = "log.create"
)

// activate records what is about to be in force: policy set, configuration and keys, each where it differs from what was
// recorded last. It comes before use, so that no decision stands in the log before the rules it was made by.
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
	if err := n.recordChange(ctx, operationConfig, s.Digest, s.describe(), s.Policy.Digest()); err != nil {
		return fmt.Errorf("record the configuration: %w", err)
	}
	keys := s.describeKeys()
	digest, err := digestOf(keys)
	if err != nil {
		return err
	}
	if err := n.recordChange(ctx, operationKeys, digest, keys, s.Policy.Digest()); err != nil {
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
	said := n.Now()
	for before := uint64(0); ; {
		covered, size, err := n.db.Audit().Follow(ctx)
		if errors.Is(err, fs.ErrNotExist) || err == nil && (covered >= size || covered == before) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("follow the log: %w", err)
		}
		if now := n.Now(); now.Sub(said) >= sayEvery {
			n.Logger.Info("making what search needs", "records", covered, "of", size)
			said = now
		}
		before = covered
	}
}

// describe says what a configuration is, for its record: digests and ids, nothing personal.
func (s *Setup) describe() any {
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
	}
}

// A keyDescription is a key as its record shows it.
type keyDescription struct {
	ID    string `json:"id"`
	Usage string `json:"usage"`
	Owner string `json:"owner"`
	State string `json:"state"`
}

// registered is the state of a caller's key in a keyDescription.
const registered = "registered"

// describeKeys lists our keys and the callers', without any secret.
func (s *Setup) describeKeys() (list []keyDescription) {
	for _, k := range s.Keys.List() {
		list = append(list, keyDescription{k.ID, k.Usage, k.Owner, string(k.State)})
	}
	for _, id := range sortedKeys(s.Callers) {
		for _, kid := range sortedKeys(s.Callers[id].Keys) {
			fingerprint := sm.DigestB64(sm.MarshalPoint(s.Callers[id].Keys[kid].Public))
			list = append(list, keyDescription{kid + "/" + fingerprint, "call", id, registered})
		}
	}
	return list
}

func digestOf(v any) (string, error) {
	text, err := canonical.Marshal(v)
	if err != nil {
		return "", err
	}
	return sm.DigestB64(text), nil
}

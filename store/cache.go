package store

import (
	"sync"
)

// A known remembers rows that were read, in the form that readers want. Only a process that alone writes the database may
// have one; a nil known remembers nothing. What it returns is shared and must not be changed.
type known[K comparable, V any] struct {
	most int // values it holds

	mu     sync.Mutex // protects all fields below
	held   map[K]int  // keys that transactions are about to change
	holds  uint64     // how often keys were held or let go
	values map[K]V
}

func newKnown[K comparable, V any](most int) *known[K, V] {
	return &known[K, V]{most: most, held: make(map[K]int), values: make(map[K]V)}
}

// get returns what is known under a key, or reads it. What was read while keys were held or let go may be of before and is
// not kept; under a key that is held, readers see what the database shows them.
func (k *known[K, V]) get(key K, read func() (V, error)) (V, error) {
	if k == nil {
		return read()
	}
	k.mu.Lock()
	value, ok := k.values[key]
	holds := k.holds
	k.mu.Unlock()
	if ok {
		return value, nil
	}
	value, err := read()
	if err != nil {
		return value, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.holds == holds && k.held[key] == 0 {
		k.room()
		k.values[key] = value
	}
	return value, nil
}

// peek returns what is known under a key. Within a transaction that holds the write lock that is what stands: whoever
// changed it before is done, and what changes is forgotten first.
func (k *known[K, V]) peek(key K) (value V, ok bool) {
	if k == nil {
		return value, false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	value, ok = k.values[key]
	return value, ok
}

// room drops whatever comes first where there is no place for one more.
func (k *known[K, V]) room() {
	for old := range k.values {
		if len(k.values) < k.most {
			return
		}
		delete(k.values, old)
	}
}

// hold forgets the keys that a transaction changes, before it is committed, and keeps them from being remembered until
// release is called, when everybody sees what became of it.
func (k *known[K, V]) hold(keys []K) (release func()) {
	if k == nil || len(keys) == 0 {
		return func() {}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.holds++
	for _, key := range keys {
		k.held[key]++
		delete(k.values, key)
	}
	return func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.holds++
		for _, key := range keys {
			if k.held[key]--; k.held[key] == 0 {
				delete(k.held, key)
			}
		}
	}
}

// hold holds what the entries of a batch change.
func (db *DB) hold(s *state) (release func()) {
	var numbers []string
	for no, r := range s.cases {
		if r.mark != stored {
			numbers = append(numbers, no)
		}
	}
	var subjects, copies [][32]byte
	for _, v := range s.identifiers {
		if v.mark != stored {
			subjects = append(subjects, v.Subject)
		}
	}
	for key, r := range s.snapshots {
		if r.mark != stored {
			copies = append(copies, key)
		}
	}
	all := []func(){db.cases.hold(numbers), db.unregistered.hold(numbers), db.latest.hold(subjects), db.copies.hold(copies)}
	return func() {
		for _, release := range all {
			release()
		}
	}
}

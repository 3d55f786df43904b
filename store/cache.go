package store

import (
	"sync"
)

// A rowCache is a read-through cache of rows, invalidated before the commit that changes them. Only a process that alone writes the
// database may have one; a nil rowCache caches nothing. What it returns is shared and must not be changed.
type rowCache[K comparable, V any] struct {
	most int // values it holds

	mu         sync.Mutex // protects all fields below
	blocked    map[K]int  // keys that transactions are about to change
	generation uint64     // changes with every invalidation, at its beginning and its end
	values     map[K]V
}

func newRowCache[K comparable, V any](most int) *rowCache[K, V] {
	return &rowCache[K, V]{most: most, blocked: make(map[K]int), values: make(map[K]V)}
}

// get returns what is cached under a key, or reads it. What was read during an invalidation may be of before and is
// not kept; under a key that is blocked, readers see what the database shows them.
func (k *rowCache[K, V]) get(key K, read func() (V, error)) (V, error) {
	if k == nil {
		return read()
	}
	k.mu.Lock()
	value, ok := k.values[key]
	generation := k.generation
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
	if k.generation == generation && k.blocked[key] == 0 {
		k.evict()
		k.values[key] = value
	}
	return value, nil
}

// peek returns what is cached under a key. Within a transaction that holds the write lock that is what stands: whoever
// changed it before is done, and what changes is forgotten first.
func (k *rowCache[K, V]) peek(key K) (value V, ok bool) {
	if k == nil {
		return value, false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	value, ok = k.values[key]
	return value, ok
}

// evict drops whatever comes first where there is no place for one more.
func (k *rowCache[K, V]) evict() {
	for old := range k.values {
		if len(k.values) < k.most {
			return
		}
		delete(k.values, old)
	}
}

// invalidate drops the keys that a transaction changes, before it is committed, and keeps them from being cached until
// release is called, when everybody sees what became of it.
func (k *rowCache[K, V]) invalidate(keys []K) (release func()) {
	if k == nil || len(keys) == 0 {
		return func() {}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.generation++
	for _, key := range keys {
		k.blocked[key]++
		delete(k.values, key)
	}
	return func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.generation++
		for _, key := range keys {
			if k.blocked[key]--; k.blocked[key] == 0 {
				delete(k.blocked, key)
			}
		}
	}
}

// invalidate drops from the caches what the entries of a batch change.
func (db *DB) invalidate(s *state) (release func()) {
	var numbers []string
	for no, r := range s.cases {
		if r.dirty != stored {
			numbers = append(numbers, no)
		}
	}
	var subjects, copies [][32]byte
	for _, v := range s.identifiers {
		if v.dirty != stored {
			subjects = append(subjects, v.Subject)
		}
	}
	for key, r := range s.snapshots {
		if r.dirty != stored {
			copies = append(copies, key)
		}
	}
	all := []func(){db.cases.invalidate(numbers), db.unregistered.invalidate(numbers), db.latest.invalidate(subjects), db.copies.invalidate(copies)}
	return func() {
		for _, release := range all {
			release()
		}
	}
}

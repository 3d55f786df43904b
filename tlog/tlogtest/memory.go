package tlogtest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"

	"oncegate/tlog"
)

// ErrClaimed refuses an entry whose Claim was made before.
var ErrClaimed = errors.New("claimed before")

// ErrAttached refuses an entry with something attached that the storage does not know.
var ErrAttached = errors.New("unknown attachment")

// errInjected is the cause of every failure that a test asked for.
var errInjected = errors.New("failure asked for by the test")

// Claim is the one thing that Memory understands as attached: a key that can be claimed once.
type Claim string

// Poison, attached, makes every batch with it fail as a whole.
type Poison struct{}

// Failure is one way in which a commit goes wrong. The kinds come in pairs: the caller sees the same,
// once nothing was kept and once everything was.
type Failure int

// The kinds of Failure.
const (
	Lost             Failure = iota + 1 // an error, known not to be committed
	UnknownLost                         // ErrUnknown, and nothing was kept
	UnknownPersisted                    // ErrUnknown, and the batch is committed
)

// Memory is a tlog.Storage in memory. The zero value holds no log.
type Memory struct {
	// lock is the head's: Commit and Committed hold it all along, as a database does.
	lock sync.Mutex

	// mu protects all fields below. Commit takes it to make its changes visible at once.
	mu       sync.Mutex
	head     *tlog.Head
	leaves   [][]byte
	hashes   map[tlog.Tree][]byte
	tiles    map[tileKey][]byte
	batches  map[[16]byte]bool
	claims   map[Claim]bool
	cosigned []tlog.Cosigned // by size
	failures []Failure
	silent   int // number of times that Committed is to fail
	commits  int
	gate     chan struct{}
	waiting  int // commits that wait at the gate
}

type tileKey struct {
	tree  tlog.Tree
	level int
	index uint64
}

var _ tlog.Storage = (*Memory)(nil)

// Inject makes the next commits fail, in this order.
func (m *Memory) Inject(failures ...Failure) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failures = append(m.failures, failures...)
}

// InjectAfter lets n commits pass and then does as Inject.
func (m *Memory) InjectAfter(n int, failures ...Failure) {
	m.Inject(append(make([]Failure, n), failures...)...)
}

// Silence makes the next n calls of Committed fail.
func (m *Memory) Silence(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.silent = n
}

// Hold makes commits wait, before they do anything, until the returned function is called.
func (m *Memory) Hold() (release func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	gate := make(chan struct{})
	m.gate = gate
	return sync.OnceFunc(func() { close(gate) })
}

// Waiting returns the number of commits that Hold keeps waiting, 0 or 1.
func (m *Memory) Waiting() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.waiting
}

// Commits returns the number of batches that were committed.
func (m *Memory) Commits() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.commits
}

// Copy returns a Memory with the same log, as a backup is.
func (m *Memory) Copy() *Memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := &Memory{leaves: slices.Clone(m.leaves), cosigned: slices.Clone(m.cosigned), commits: m.commits}
	if m.head != nil {
		head := *m.head
		c.head = &head
	}
	c.init()
	for k, v := range m.hashes {
		c.hashes[k] = bytes.Clone(v)
	}
	for k, v := range m.tiles {
		c.tiles[k] = bytes.Clone(v)
	}
	for k := range m.batches {
		c.batches[k] = true
	}
	for k := range m.claims {
		c.claims[k] = true
	}
	return c
}

// AlterLeaf changes one bit of a stored leaf.
func (m *Memory) AlterLeaf(index uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	leaf := bytes.Clone(m.leaves[index])
	leaf[len(leaf)/2] ^= 1
	m.leaves[index] = leaf
}

// AlterTile changes one bit of a stored full tile; offset counts bytes.
func (m *Memory) AlterTile(tree tlog.Tree, level int, index uint64, offset int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tiles[tileKey{tree, level, index}][offset] ^= 1
}

// AlterHead changes the stored head.
func (m *Memory) AlterHead(change func(*tlog.Head)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(m.head)
}

func (m *Memory) init() {
	if m.hashes == nil {
		m.hashes = make(map[tlog.Tree][]byte)
		m.tiles = make(map[tileKey][]byte)
		m.batches = make(map[[16]byte]bool)
		m.claims = make(map[Claim]bool)
	}
}

// Create implements tlog.Storage.
func (m *Memory) Create(_ context.Context, head tlog.Head) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.head != nil {
		return fmt.Errorf("create log: %w", fs.ErrExist)
	}
	m.init()
	m.head = &head
	return nil
}

// Head implements tlog.Storage.
func (m *Memory) Head(context.Context) (tlog.Head, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.head == nil {
		return tlog.Head{}, fmt.Errorf("log: %w", fs.ErrNotExist)
	}
	return *m.head, nil
}

// Commit implements tlog.Storage.
func (m *Memory) Commit(ctx context.Context, b tlog.Batch) ([]error, error) {
	m.lock.Lock()
	defer m.lock.Unlock()
	failure := m.start()
	head, err := m.Head(ctx)
	if err != nil {
		return nil, err
	}
	verdicts, accepted, claims, err := m.judge(b.Entries)
	if err != nil || len(accepted) == 0 {
		return verdicts, err
	}
	update, err := b.Integrate(head, m, accepted)
	if err != nil {
		return nil, fmt.Errorf("commit batch: %w", err)
	}
	switch failure {
	case Lost:
		return nil, fmt.Errorf("commit batch: %w", errInjected)
	case UnknownLost:
		return verdicts, fmt.Errorf("commit batch: %w: %w", tlog.ErrUnknown, errInjected)
	}
	m.store(b, accepted, claims, update)
	if failure == UnknownPersisted {
		return verdicts, fmt.Errorf("commit batch: %w: %w", tlog.ErrUnknown, errInjected)
	}
	return verdicts, nil
}

// start waits at the gate and returns how this commit is to fail, if at all.
func (m *Memory) start() (failure Failure) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if gate := m.gate; gate != nil {
		m.waiting++
		m.mu.Unlock()
		<-gate
		m.mu.Lock()
		m.waiting--
	}
	if len(m.failures) > 0 {
		failure, m.failures = m.failures[0], m.failures[1:]
	}
	return failure
}

// judge decides on each entry as though the accepted ones before it were committed.
func (m *Memory) judge(entries []tlog.Entry) (verdicts []error, accepted []int, claims map[Claim]bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	verdicts, claims = make([]error, len(entries)), make(map[Claim]bool)
	for i, e := range entries {
		switch a := e.Attached.(type) {
		case nil:
		case Poison:
			return nil, nil, nil, fmt.Errorf("commit batch: %w", errInjected)
		case Claim:
			if m.claims[a] || claims[a] {
				verdicts[i] = fmt.Errorf("entry refused: %w", ErrClaimed)
				continue
			}
			claims[a] = true
		default:
			verdicts[i] = fmt.Errorf("entry refused: %w", ErrAttached)
			continue
		}
		accepted = append(accepted, i)
	}
	return verdicts, accepted, claims, nil
}

func (m *Memory) store(b tlog.Batch, accepted []int, claims map[Claim]bool, u tlog.Update) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k, i := range accepted {
		m.leaves = append(m.leaves, b.Entries[i].Leaf)
		for _, tree := range tlog.Trees {
			h := u.Leaves[k].Of(tree)
			m.hashes[tree] = append(m.hashes[tree], h[:]...)
		}
	}
	for _, t := range u.Tiles {
		m.tiles[tileKey{t.Tree, t.Level, t.Index}] = t.Hashes
	}
	for c := range claims {
		m.claims[c] = true
	}
	m.batches[b.ID] = true
	m.head = &u.Head
	m.commits++
}

// Committed implements tlog.Storage.
func (m *Memory) Committed(_ context.Context, id [16]byte) (bool, error) {
	m.lock.Lock()
	defer m.lock.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.silent > 0 {
		m.silent--
		return false, fmt.Errorf("ask for batch: %w", errInjected)
	}
	return m.batches[id], nil
}

// Cosign implements tlog.Storage.
func (m *Memory) Cosign(_ context.Context, c tlog.Cosigned) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	i, found := slices.BinarySearchFunc(m.cosigned, c.Size, func(c tlog.Cosigned, size uint64) int { return cmp.Compare(c.Size, size) })
	if found {
		m.cosigned[i] = c
	} else {
		m.cosigned = slices.Insert(m.cosigned, i, c)
	}
	return nil
}

// Cosigned implements tlog.Storage.
func (m *Memory) Cosigned(_ context.Context, index uint64) (tlog.Cosigned, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.cosigned {
		if c.Size > index {
			return c, nil
		}
	}
	return tlog.Cosigned{}, fmt.Errorf("cosigned checkpoint: %w", fs.ErrNotExist)
}

// LastCosigned implements tlog.Storage.
func (m *Memory) LastCosigned(context.Context) (tlog.Cosigned, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.cosigned) == 0 {
		return tlog.Cosigned{}, fmt.Errorf("cosigned checkpoint: %w", fs.ErrNotExist)
	}
	return m.cosigned[len(m.cosigned)-1], nil
}

// Tile implements tlog.Storage.
func (m *Memory) Tile(_ context.Context, tree tlog.Tree, level int, index uint64) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if t, ok := m.tiles[tileKey{tree, level, index}]; ok {
		return bytes.Clone(t), nil
	}
	return nil, fmt.Errorf("tile: %w", fs.ErrNotExist)
}

// LeafHashes implements tlog.Storage.
func (m *Memory) LeafHashes(_ context.Context, tree tlog.Tree, start, end uint64) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if start > end || end > uint64(len(m.leaves)) {
		return nil, fmt.Errorf("leaf hashes: %w", fs.ErrNotExist)
	}
	return bytes.Clone(m.hashes[tree][start*tlog.HashSize : end*tlog.HashSize]), nil
}

// Leaves implements tlog.Storage.
func (m *Memory) Leaves(_ context.Context, start, end uint64) ([][]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if start > end || end > uint64(len(m.leaves)) {
		return nil, fmt.Errorf("leaves: %w", fs.ErrNotExist)
	}
	list := make([][]byte, 0, end-start)
	for _, leaf := range m.leaves[start:end] {
		list = append(list, bytes.Clone(leaf))
	}
	return list, nil
}

package tlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"runtime/debug"
	"time"

	"github.com/transparency-dev/merkle/compact"
)

// signTimeout bounds what both signers may take under the storage's lock.
const signTimeout = time.Second

// errInDoubt fails closed: an earlier batch may or may not be in the log.
var errInDoubt = fmt.Errorf("%w: an earlier commit is not known yet", ErrUnavailable)

// batchAttempt is one attempt to commit a group of entries. The committer alone touches it until the entries
// are released; from then on it is read-only.
type batchAttempt struct {
	id    [16]byte
	group []*pending

	// What the last call of integrate made.
	accepted []int
	update   Update
	updates  map[Tree]*treeUpdate
}

// attempt commits the group in one transaction. With nil every entry is finished: released, refused,
// or failed in doubt. With an error none is, and nothing was committed.
func (l *Log) attempt(group []*pending) error {
	t := &batchAttempt{group: group}
	if _, err := io.ReadFull(l.config.Rand, t.id[:]); err != nil {
		return fmt.Errorf("%w: draw a batch id: %w", ErrUnavailable, err)
	}
	// Values of no caller: the batch belongs to all of them, and none can cancel it.
	ctx := context.Background()
	batch := Batch{ID: t.id, Entries: make([]Entry, len(group))}
	for i, p := range group {
		batch.Entries[i] = Entry{Leaf: p.leaf, Attached: p.attached}
	}
	batch.Integrate = func(head Head, r Reader, accepted []int) (update Update, err error) {
		err = l.recovered(ErrUnavailable, "integrate batch", func() (err error) { // for the storage to roll back
			update, err = l.integrate(ctx, t, head, r, accepted)
			return err
		})
		return update, err
	}
	var verdicts []error
	err := l.recovered(ErrUnknown, "commit batch", func() (err error) {
		verdicts, err = l.config.Storage.Commit(ctx, batch)
		return err
	})
	if errors.Is(err, ErrUnknown) {
		l.stats.unknown.Add(1)
		return l.resolve(ctx, t, verdicts, err)
	}
	if err != nil {
		l.stats.failed.Add(1)
		return unavailable(err)
	}
	l.release(t, verdicts)
	return nil
}

// recovered turns a panic of a signer or of the storage into an error that is as: the committer must finish every entry and go on, or
// nobody answers the callers who wait. Only the type of the panic is repeated, its value may hold anything.
func (l *Log) recovered(as error, step string, run func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %s: panic of type %T", as, step, p)
			l.config.Logger.Error("log batch panicked", "step", step, "type", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
		}
	}()
	return run()
}

// unavailable marks an error of the storage as one that releases nothing.
func unavailable(err error) error {
	if errors.Is(err, ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// integrate makes of the locked head what the accepted entries add to it, and signs that.
func (l *Log) integrate(ctx context.Context, t *batchAttempt, head Head, r Reader, accepted []int) (Update, error) {
	if err := l.checkLocked(ctx, head, r); err != nil {
		return Update{}, err
	}
	if head.Size+uint64(len(accepted)) > MaxSize {
		return Update{}, errors.New("log is full")
	}
	t.accepted, t.updates = append([]int(nil), accepted...), make(map[Tree]*treeUpdate)
	update := Update{Head: Head{Size: head.Size + uint64(len(accepted)), Batch: t.id}}
	for _, i := range accepted {
		update.Leaves = append(update.Leaves, t.group[i].hash)
	}
	c := Checkpoint{Origin: l.config.Origin, Size: update.Head.Size}
	for _, tree := range Trees {
		g, err := l.growTree(ctx, tree, head, r, &update)
		if err != nil {
			return Update{}, fmt.Errorf("integrate batch: %w", err)
		}
		t.updates[tree] = g
		c.setRoot(tree, g.root())
	}
	update.Head.SM3, update.Head.SHA256 = t.updates[SM3].frontier(), t.updates[SHA256].frontier()
	ctx, cancel := context.WithTimeout(ctx, signTimeout)
	defer cancel()
	var err error
	if update.Head.Checkpoint, err = signCheckpoint(ctx, c, l.config.SM2, l.config.Ed25519); err != nil {
		return Update{}, err
	}
	t.update = update
	return update, nil
}

// growTree appends the leaves of update to one tree and adds the tiles that become full to update.
func (l *Log) growTree(ctx context.Context, tree Tree, head Head, r Reader, update *Update) (*treeUpdate, error) {
	leaves := make([][]byte, len(update.Leaves))
	for i := range leaves {
		hash := update.Leaves[i].Of(tree)
		leaves[i] = hash[:]
	}
	g, err := updateTree(l.nodes.of(tree), head.Size, head.frontier(tree), leaves)
	if err != nil {
		return nil, err
	}
	// What a tile began with is proven, or a hash that somebody altered would stand in it for ever, and 256 entries prove no more.
	old := &provenTiles{nodes: l.nodes, ctx: ctx, r: r, tree: tree, head: head}
	tiles, err := g.fullTiles(func(level int, index uint64, width int) ([]byte, error) {
		hashes, err := old.tile(level, index)
		if err != nil {
			return nil, err
		}
		return hashes[:width*HashSize], nil
	})
	update.Tiles = append(update.Tiles, tiles...)
	return g, err
}

// checkLocked refuses to integrate from a head that does not follow what is known.
func (l *Log) checkLocked(ctx context.Context, head Head, r Reader) error {
	return l.verifyHead(ctx, *l.known.Load(), head, r)
}

// release hands every entry of a committed attempt its verdict or its place.
func (l *Log) release(t *batchAttempt, verdicts []error) {
	if err := t.check(verdicts); err != nil {
		// The storage broke its contract: what it committed is not what was signed.
		failAll(t.group, fmt.Errorf("%w: %w", ErrUnavailable, err))
		return
	}
	l.noteCommitted(t)
	for i, k := 0, 0; i < len(t.group); i++ {
		p := t.group[i]
		if verdicts[i] != nil {
			failAll(t.group[i:i+1], verdicts[i])
			continue
		}
		p.attempt, p.position = t, k
		k++
		p.finish()
	}
	l.stats.add(len(t.accepted), len(t.group)-len(t.accepted))
}

// check compares the verdicts with what integrate was told.
func (t *batchAttempt) check(verdicts []error) error {
	if len(verdicts) != len(t.group) {
		return fmt.Errorf("%d verdicts for %d entries", len(verdicts), len(t.group))
	}
	k := 0
	for i, v := range verdicts {
		if v != nil {
			continue
		}
		if k >= len(t.accepted) || t.accepted[k] != i {
			return errors.New("verdicts are not those that were integrated")
		}
		k++
	}
	if k == 0 { // integrate was not called, or what it made was dropped
		t.accepted = nil
	}
	if k != len(t.accepted) {
		return errors.New("verdicts are not those that were integrated")
	}
	return nil
}

// noteCommitted takes note that an attempt is known to be committed.
func (l *Log) noteCommitted(t *batchAttempt) {
	if len(t.accepted) == 0 {
		return
	}
	for { // watch may see a head of another node meanwhile
		known := l.known.Load()
		if known.Size >= t.update.Head.Size || l.known.CompareAndSwap(known, &t.update.Head) {
			break
		}
	}
	l.signedSM2.Store(&t.update.Head.Checkpoint)
	if l.mark != nil {
		l.mark.raise(t.update.Head.Checkpoint)
	}
}

// receipt proves a released entry. Callers do this at the same time, outside the committer.
func (t *batchAttempt) receipt(p *pending) Receipt {
	index := t.updates[SM3].from + uint64(p.position)
	r := Receipt{Record: p.leaf, Index: index, Checkpoint: t.update.Head.Checkpoint}
	for _, tree := range Trees {
		r.Proofs.set(tree, t.updates[tree].prove(index))
	}
	return r
}

// resolve finds out whether an unknown attempt was committed, and then does as attempt does. It asks
// until it is told. After Patience every caller stops waiting, with ErrUnavailable, and no entry is
// taken until the answer comes.
func (l *Log) resolve(ctx context.Context, t *batchAttempt, verdicts []error, cause error) error {
	l.config.Logger.Warn("log commit is unknown, asking the storage", "entries", len(t.group), "error", cause)
	overdue := time.Now().Add(l.config.Patience)
	failed := false
	for wait := 5 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		var committed bool
		err := l.recovered(ErrUnknown, "look for the commit", func() (err error) {
			committed, err = l.config.Storage.Committed(ctx, t.id)
			if err != nil {
				return err
			}
			if committed {
				return l.inHead(ctx, t)
			}
			return nil
		})
		if err == nil {
			l.doubt.Store(false)
			return l.resolved(t, verdicts, committed, failed)
		}
		if !failed && time.Now().After(overdue) {
			failed = true
			l.config.Logger.Error("log commit stays unknown, refusing entries", "entries", len(t.group), "error", err)
			l.doubt.Store(true)
			failAll(l.taken, errInDoubt)
		}
		if failed {
			l.refuseWaiting()
		}
		select {
		case <-time.After(wait):
		case <-l.abandon:
			failAll(l.taken, errInDoubt)
			l.refuseWaiting()
			return nil
		}
	}
}

// inHead proves that the stored head has what an attempt added to the log. That the batch's id is noted is not verified by itself: whoever
// can write the database could break a commit off and note its id, and the entries would be answered without being recorded.
func (l *Log) inHead(ctx context.Context, t *batchAttempt) error {
	head, err := l.config.Storage.Head(ctx)
	if err != nil {
		return err
	}
	if err := l.verifyHead(ctx, t.update.Head, head, l.config.Storage); err != nil {
		return fmt.Errorf("the batch is noted as committed, but the stored head does not have it: %w", err)
	}
	return nil
}

// resolved does with an attempt what its outcome asks for. Entries that failed in doubt stay failed,
// even if they are in the log now: nothing was released on their account. The head that has them is then
// like one of another node.
func (l *Log) resolved(t *batchAttempt, verdicts []error, committed, failed bool) error {
	l.config.Logger.Info("log commit is known", "entries", len(t.group), "committed", committed)
	if failed {
		return nil
	}
	if !committed {
		return fmt.Errorf("%w: commit was lost", ErrUnavailable)
	}
	l.release(t, verdicts)
	return nil
}

func (l *Log) refuseWaiting() {
	for {
		select {
		case p, ok := <-l.queue:
			if !ok {
				return
			}
			failAll([]*pending{p}, errInDoubt)
		default:
			return
		}
	}
}

// treeUpdate is what one batch does to one tree: every node that the proofs of its leaves need. It is
// made from the frontier alone, without a look at the storage, and read-only once made.
type treeUpdate struct {
	hasher   *hasher
	from, to uint64   // sizes before and after
	before   [][]byte // frontier at from, left to right
	after    [][]byte // frontier at to
	levels   [][][]byte
	// levels[l][i] is node (l, from>>l + i): the perfect nodes that are new are contiguous.
	edge [][]byte
	// edge[l] is the root over the leaves at the right that make up no perfect node of level l, nil if there are none.
}

// updateTree appends leaf hashes to a tree of the given size and frontier.
func updateTree(h *hasher, size uint64, frontier []byte, leaves [][]byte) (*treeUpdate, error) {
	if len(frontier) != bits.OnesCount64(size)*HashSize {
		return nil, fmt.Errorf("%s frontier of size %d has %d bytes", h.tree, size, len(frontier))
	}
	g := &treeUpdate{hasher: h, from: size, to: size + uint64(len(leaves)), before: split(frontier)}
	g.levels = make([][][]byte, bits.Len64(g.to))
	// The range changes the list it is given.
	r, err := h.factory().NewRange(0, size, split(frontier))
	if err != nil {
		return nil, fmt.Errorf("%s frontier: %w", h.tree, err)
	}
	keep := func(id compact.NodeID, hash []byte) { g.levels[id.Level] = append(g.levels[id.Level], hash) }
	for _, leaf := range leaves {
		if err := r.Append(leaf, keep); err != nil {
			return nil, fmt.Errorf("%s frontier: %w", h.tree, err)
		}
	}
	g.after = r.Hashes()
	g.close()
	return g, nil
}

// close makes the right edge, from below.
func (g *treeUpdate) close() {
	g.edge = make([][]byte, len(g.levels)+1)
	for l, k := 0, len(g.after); l < len(g.levels); l++ {
		g.edge[l+1] = g.edge[l]
		if g.to>>l&1 == 0 {
			continue
		}
		k--
		g.edge[l+1] = g.after[k]
		if g.edge[l] != nil {
			g.edge[l+1] = g.hasher.HashChildren(g.after[k], g.edge[l])
		}
	}
}

// root returns the root of the tree after.
func (g *treeUpdate) root() []byte {
	if g.to == 0 {
		return g.hasher.EmptyRoot()
	}
	return g.edge[len(g.levels)]
}

// frontier returns the frontier afterwards as a Head keeps it.
func (g *treeUpdate) frontier() []byte { return bytes.Join(g.after, nil) }

// node returns a perfect node that is new, or the one to the left of those: of its level there is no other in the frontier before.
func (g *treeUpdate) node(level int, index uint64) []byte {
	first := g.from >> level
	if index >= first {
		return g.levels[level][index-first]
	}
	return g.before[bits.OnesCount64(first>>1)]
}

// prove returns the proof that the leaf with this index, one of the new ones, is in the tree after.
// Siblings to its left are in the frontier or grew from it; none lies deeper.
func (g *treeUpdate) prove(index uint64) [][]byte {
	hashes := make([][]byte, 0, len(g.levels))
	for l := range g.levels {
		sibling, perfect := index>>l^1, g.to>>l
		hash := g.edge[l]
		if sibling < perfect {
			hash = g.node(l, sibling)
		}
		if sibling <= perfect && hash != nil {
			hashes = append(hashes, hash)
		}
	}
	return hashes
}

// fullTiles returns the tiles that this update completed. head brings the hashes of a tile that were
// there before.
func (g *treeUpdate) fullTiles(head func(level int, index uint64, width int) ([]byte, error)) ([]Tile, error) {
	var tiles []Tile
	for level := 0; 8*level < len(g.levels); level++ {
		before, after := g.from>>(8*level), g.to>>(8*level)
		for index := before / TileWidth; index < after/TileWidth; index++ {
			hashes := make([]byte, 0, TileWidth*HashSize)
			if old := int(max(before, index*TileWidth) - index*TileWidth); old > 0 {
				start, err := head(level, index, old)
				if err != nil {
					return nil, err
				}
				hashes = append(hashes, start...)
			}
			for i := index*TileWidth + uint64(len(hashes)/HashSize); i < (index+1)*TileWidth; i++ {
				hashes = append(hashes, g.node(8*level, i)...)
			}
			tiles = append(tiles, Tile{g.hasher.tree, level, index, hashes})
		}
	}
	return tiles, nil
}

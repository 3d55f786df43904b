package tlog

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"maps"
	"math/bits"
	"slices"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/proof"
	"golang.org/x/mod/sumdb/note"

	"oncegate/check"
)

// ErrUnproven says that something was read well but is not what it claims to be.
var ErrUnproven = errors.New("not proven")

// Trust is what a verifier brings along to judge a log's artefacts.
type Trust struct {
	Origin  string
	SM2     note.Verifier // of the SM2 line; required
	Ed25519 note.Verifier // of the Ed25519 line; nil leaves that line unchecked
	NewSM3  func() hash.Hash
}

// The steps of VerifyReceipt, in order; those of VerifyCheckpoint are the first four.
const (
	StepCheckpoint = "checkpoint-form"
	StepOrigin     = "checkpoint-origin"
	StepSM2        = "checkpoint-sm2-signature"
	StepEd25519    = "checkpoint-ed25519-signature"
	StepSM3Tree    = "record-in-sm3-tree"
	StepSHA256Tree = "record-in-sha256-tree"
)

// VerifyReceipt proves offline that r.Record is entry r.Index of the log t names. Both proofs and
// the SM2 line must hold, and the Ed25519 line where t knows its key. It returns every step taken,
// and an error that is ErrUnproven if one of these does not hold.
func VerifyReceipt(r Receipt, t Trust) ([]check.Step, error) {
	c, steps, err := VerifyCheckpoint(r.Checkpoint, t)
	if c == (Checkpoint{}) {
		return steps, err
	}
	h := newHashers(t.NewSM3)
	for _, tree := range Trees {
		steps = append(steps, check.Result("record-in-"+tree.String()+"-tree", verifyInclusion(h.of(tree), r, c)))
	}
	return steps, failure(steps, t)
}

// VerifyCheckpoint checks origin and signatures of a signed checkpoint as VerifyReceipt does. The
// Checkpoint returned is zero unless its form is right; it is proven only if err is nil.
func VerifyCheckpoint(signed string, t Trust) (Checkpoint, []check.Step, error) {
	if t.SM2 == nil || t.NewSM3 == nil || t.Origin == "" {
		return Checkpoint{}, nil, fmt.Errorf("%w: trust names no log, no SM2 key or no SM3", ErrUnproven)
	}
	c, err := ParseCheckpoint(signed)
	if err != nil {
		steps := []check.Step{check.Result(StepCheckpoint, err)}
		return Checkpoint{}, steps, failure(steps, t)
	}
	steps := []check.Step{check.Result(StepCheckpoint, nil), check.Result(StepOrigin, checkOrigin(c.Origin, t.Origin))}
	steps = append(steps, signatureStep(StepSM2, signed, t.SM2, true))
	steps = append(steps, signatureStep(StepEd25519, signed, t.Ed25519, false))
	return c, steps, failure(steps, t)
}

func checkOrigin(got, want string) error {
	if got != want {
		return fmt.Errorf("checkpoint is of log %q, not of %q", got, want)
	}
	return nil
}

// signatureStep checks the line of one key. A missing line refutes the checkpoint only where no checkpoint goes without it;
// else the checkpoint is merely not proven.
func signatureStep(name, signed string, v note.Verifier, required bool) check.Step {
	if v == nil {
		return check.CannotCheck(name, "the key is not known here")
	}
	_, err := note.Open([]byte(signed), note.VerifierList(v))
	var absent *note.UnverifiedNoteError
	if errors.As(err, &absent) {
		if !required {
			return check.CannotCheck(name, "the checkpoint has no line of this key")
		}
		err = errors.New("the checkpoint has no line of this key")
	}
	return check.Result(name, err)
}

func verifyInclusion(h *hasher, r Receipt, c Checkpoint) error {
	if r.Index >= c.Size {
		return fmt.Errorf("index %d is beyond the checkpoint's size %d", r.Index, c.Size)
	}
	leaf := h.HashLeaf(r.Record)
	if err := proof.VerifyInclusion(h, r.Index, c.Size, leaf, r.Proofs.Of(h.tree), c.Root(h.tree)); err != nil {
		return fmt.Errorf("record is not entry %d under the %s root", r.Index, h.tree)
	}
	return nil
}

// VerifyConsistency proves that the log of size to.Size extends the one of from.Size in both trees.
// It checks no signature: both checkpoints must be proven already. The error is ErrUnproven.
func VerifyConsistency(newSM3 func() hash.Hash, from, to Checkpoint, p Proofs) error {
	h := newHashers(newSM3)
	if from.Origin != to.Origin {
		return fmt.Errorf("%w: checkpoints are of two logs", ErrUnproven)
	}
	if from.Size > to.Size {
		return fmt.Errorf("%w: size %d is not above %d", ErrUnproven, to.Size, from.Size)
	}
	for _, tree := range Trees {
		if err := verifyConsistency(h.of(tree), from, to, p.Of(tree)); err != nil {
			return fmt.Errorf("%w: size %d does not extend size %d in the %s tree", ErrUnproven, to.Size, from.Size, tree)
		}
	}
	return nil
}

func verifyConsistency(h *hasher, from, to Checkpoint, p [][]byte) error {
	// The library does not look at the root of an empty tree.
	if from.Size == 0 && !bytes.Equal(from.Root(h.tree), h.EmptyRoot()) {
		return errors.New("root of an empty tree is wrong")
	}
	return proof.VerifyConsistency(h, from.Size, to.Size, p, from.Root(h.tree), to.Root(h.tree))
}

// failure names the first step that failed, or a line that is not there though its key is known.
func failure(steps []check.Step, t Trust) error {
	for _, s := range steps {
		if s.State == check.Failed || s.Name == StepEd25519 && s.State == check.NotCheckable && t.Ed25519 != nil {
			return fmt.Errorf("%w: %s: %s", ErrUnproven, s.Name, s.Reason)
		}
	}
	return nil
}

// CorruptError names the first place where a log is not what its checkpoint says. It is ErrUnproven.
type CorruptError struct {
	Entry  uint64 // index of the entry; with Tile, the first entry it covers wrongly
	Tile   string // path of the wrong tile, such as "sm3/tile/0/001"; empty if the entry is wrong
	Reason string
}

// Error names the entry or the tile.
func (e *CorruptError) Error() string {
	if e.Tile != "" {
		return fmt.Sprintf("tile %s: %s (entry %d)", e.Tile, e.Reason, e.Entry)
	}
	return fmt.Sprintf("entry %d: %s", e.Entry, e.Reason)
}

// Unwrap returns ErrUnproven.
func (e *CorruptError) Unwrap() error { return ErrUnproven }

// VerifyLog reads a whole log and proves that its entries and its full tiles are exactly those under
// a checkpoint, which VerifyCheckpoint has proven before. It stops at the first thing wrong with a
// CorruptError. progress, if not nil, is called with the number of entries done, and c.Size.
func VerifyLog(ctx context.Context, r Reader, c Checkpoint, newSM3 func() hash.Hash, progress func(done, total uint64)) error {
	w := &whole{r: r, hashers: newHashers(newSM3), size: c.Size, trees: make(map[Tree]*wholeTree)}
	for _, tree := range Trees {
		w.trees[tree] = &wholeTree{hashes: w.of(tree).factory().NewEmptyRange(0)}
	}
	for start := uint64(0); start < c.Size; start += TileWidth {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("verify log: %w", err)
		}
		end := min(start+TileWidth, c.Size)
		if err := w.verify(ctx, start, end); err != nil {
			return fmt.Errorf("verify log: %w", err)
		}
		if progress != nil {
			progress(end, c.Size)
		}
	}
	return w.compareRoots(c)
}

// whole is a verification that has come to some entry.
type whole struct {
	hashers
	r     Reader
	size  uint64
	trees map[Tree]*wholeTree
}

// wholeTree is one tree computed from the entries alone.
type wholeTree struct {
	hashes *compact.Range
	tiles  [maxTileLevel + 1][]byte // hashes since the last full tile of each level
}

// verify takes the entries of one tile of level 0.
func (w *whole) verify(ctx context.Context, start, end uint64) error {
	leaves, err := w.r.Leaves(ctx, start, end)
	if errors.Is(err, fs.ErrNotExist) || err == nil && uint64(len(leaves)) != end-start {
		return &CorruptError{Entry: start, Reason: fmt.Sprintf("of the entries up to %d some are missing", end-1)}
	}
	if err != nil {
		return fmt.Errorf("read entries from %d: %w", start, err)
	}
	hashes := make([]LeafHash, len(leaves))
	for i, leaf := range leaves {
		hashes[i] = w.leaf(leaf)
	}
	if err := w.compareLeaves(ctx, start, hashes); err != nil {
		return err
	}
	for _, h := range hashes {
		for _, tree := range Trees {
			if err := w.append(ctx, tree, h.Of(tree)); err != nil {
				return err
			}
		}
	}
	return nil
}

// compareLeaves holds leaf hashes against the stored ones. An entry that is wrong in both trees was
// altered itself; one that is wrong in one tree shows that the hashes of that tree were.
func (w *whole) compareLeaves(ctx context.Context, start uint64, hashes []LeafHash) error {
	stored := make(map[Tree][]byte)
	for _, tree := range Trees {
		var err error
		if stored[tree], err = w.stored(ctx, tree, start, len(hashes)); err != nil {
			return err
		}
	}
	for i, h := range hashes {
		var wrong []Tree
		for _, tree := range Trees {
			got := h.Of(tree)
			if !bytes.Equal(got[:], stored[tree][i*HashSize:(i+1)*HashSize]) {
				wrong = append(wrong, tree)
			}
		}
		switch len(wrong) {
		case 1:
			return &CorruptError{start + uint64(i), tilePath(wrong[0], 0, start/TileWidth, len(hashes)), "does not hold the hash of its entry"}
		case 2:
			return &CorruptError{Entry: start + uint64(i), Reason: "its bytes are not those that were logged"}
		}
	}
	return nil
}

// stored returns the leaf hashes as they are stored: of a full tile the tile's.
func (w *whole) stored(ctx context.Context, tree Tree, start uint64, width int) ([]byte, error) {
	path := tilePath(tree, 0, start/TileWidth, width)
	var hashes []byte
	var err error
	if width == TileWidth {
		hashes, err = w.r.Tile(ctx, tree, 0, start/TileWidth)
	} else {
		hashes, err = w.r.LeafHashes(ctx, tree, start, start+uint64(width))
	}
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(hashes) != width*HashSize {
		return nil, &CorruptError{start, path, "is missing or cut short"}
	}
	if err != nil {
		return nil, fmt.Errorf("read tile %s: %w", path, err)
	}
	return hashes, nil
}

// append extends a tree by a leaf hash and compares every higher tile that becomes full.
func (w *whole) append(ctx context.Context, tree Tree, leaf [HashSize]byte) (err error) {
	t := w.trees[tree]
	visit := func(id compact.NodeID, hash []byte) {
		level := int(id.Level / 8)
		if id.Level%8 != 0 || level == 0 || level > maxTileLevel {
			return
		}
		t.tiles[level] = append(t.tiles[level], hash...)
		if len(t.tiles[level]) == TileWidth*HashSize && err == nil {
			err = w.compareTile(ctx, tree, level, id.Index/TileWidth, t.tiles[level])
			t.tiles[level] = t.tiles[level][:0]
		}
	}
	if appendErr := t.hashes.Append(leaf[:], visit); appendErr != nil {
		return appendErr
	}
	return err
}

func (w *whole) compareTile(ctx context.Context, tree Tree, level int, index uint64, want []byte) error {
	path := tilePath(tree, level, index, TileWidth)
	first := (index * TileWidth) << (8 * level)
	got, err := w.r.Tile(ctx, tree, level, index)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read tile %s: %w", path, err)
	}
	if err != nil || len(got) != len(want) {
		return &CorruptError{first, path, "is missing or cut short"}
	}
	for i := 0; i < len(want); i += HashSize {
		if !bytes.Equal(got[i:i+HashSize], want[i:i+HashSize]) {
			return &CorruptError{first + uint64(i/HashSize)<<(8*level), path, "does not hold the hash of the tile below"}
		}
	}
	return nil
}

func (w *whole) compareRoots(c Checkpoint) error {
	for _, tree := range Trees {
		root, err := w.of(tree).root(w.trees[tree].hashes)
		if err != nil {
			return fmt.Errorf("verify log: %w", err)
		}
		if !bytes.Equal(root, c.Root(tree)) {
			return fmt.Errorf("verify log: %w: entries and tiles agree, but not with the %s root of the checkpoint", ErrUnproven, tree)
		}
	}
	return nil
}

// ErrFork says that two checkpoints of one log cannot both be of one append-only history: its operator shows different
// histories to different people (a split view). It is an ErrUnproven.
var ErrFork = fmt.Errorf("fork: %w", ErrUnproven)

// A ForkError names two sources whose trees differ.
type ForkError struct {
	Origin   string
	A, B     string // names of the sources, as given to [History.Add]
	Roots    bool   // the roots of one size differ; else the hashes of a subtree
	From, To uint64 // the leaves [From, To) of which both have a hash, and not the same
	Shorter  bool   // B ends at From, before the To entries that A has
	Tree     Tree
}

func (e *ForkError) Error() string {
	if e.Shorter {
		return fmt.Sprintf("fork: %s has %d entries of log %s, %s only %d", e.A, e.To, e.Origin, e.B, e.From)
	}
	if e.Roots {
		return fmt.Sprintf("fork: %s and %s show log %s at size %d with different roots of the %s tree", e.A, e.B, e.Origin, e.To, e.Tree)
	}
	return fmt.Sprintf("fork: %s and %s show different entries %d to %d of log %s in the %s tree", e.A, e.B, e.From, e.To-1, e.Origin, e.Tree)
}

// Unwrap makes a ForkError an ErrFork.
func (e *ForkError) Unwrap() error { return ErrFork }

// A History compares checkpoints and receipts of logs: every hash of a tree that two of them name must be the same. Checkpoints
// of one size must have one root. The hashes on an inclusion path are those of subtrees, which a larger tree of the same history
// contains too; so receipts of different sizes contradict one another wherever their paths meet. The subtrees to the left of a path make
// the roots of the trees that end there, as those of a consistency proof do; so a receipt contradicts, or extends, checkpoints of these
// sizes. That no contradiction is found does not prove consistency: see [History.Proven].
//
// The zero value is not usable; see [NewHistory]. It is not safe for concurrent use.
type History struct {
	hashers hashers
	seen    map[node]source
	logs    map[string]*compared // by origin
}

// compared is what is known of one log.
type compared struct {
	sizes  map[uint64]bool   // of its checkpoints
	begins map[uint64]uint64 // by the size of a tree: a larger size at which a receipt shows that the log begins with it
	forked bool
}

// node is a hash of a log's tree: that of the leaves [from, to).
type node struct {
	origin   string
	tree     Tree
	from, to uint64
}

// source says where a hash was seen first.
type source struct {
	hash string
	name string
	root bool
}

// NewHistory returns an empty history.
func NewHistory(newSM3 func() hash.Hash) *History {
	return &History{newHashers(newSM3), make(map[node]source), make(map[string]*compared)}
}

// Proven reports whether everything that was added of a log is proven to be of one history: of every two checkpoints the larger tree
// begins with the smaller.
func (h *History) Proven(origin string) bool {
	log := h.log(origin)
	largest := slices.Max(append(slices.Collect(maps.Keys(log.sizes)), 0))
	for size := range log.sizes { // each is the beginning of a larger one, and so in the end of the largest
		if size != largest && !log.sizes[log.begins[size]] {
			return false
		}
	}
	return !log.forked
}

func (h *History) log(origin string) *compared {
	if h.logs[origin] == nil {
		h.logs[origin] = &compared{sizes: make(map[uint64]bool), begins: make(map[uint64]uint64)}
	}
	return h.logs[origin]
}

// Add takes a checkpoint whose signatures hold, under a name that errors call it by. The error is a *ForkError if it contradicts
// one that was added before.
func (h *History) Add(name string, c Checkpoint) error {
	for _, tree := range Trees {
		if err := h.see(node{c.Origin, tree, 0, c.Size}, source{string(c.Root(tree)), name, true}); err != nil {
			return err
		}
	}
	h.log(c.Origin).sizes[c.Size] = true
	return nil
}

// AddReceipt takes a receipt that holds under its checkpoint c: the checkpoint, the record and every hash of both proofs.
func (h *History) AddReceipt(name string, c Checkpoint, r Receipt) error {
	if err := h.Add(name, c); err != nil {
		return err
	}
	if r.Index >= c.Size {
		return errors.New("the receipt's index is beyond its checkpoint")
	}
	for _, tree := range Trees {
		if err := h.path(name, c, r, tree); err != nil {
			return err
		}
	}
	return nil
}

// path walks from the record to the root (RFC 9162, 2.1.3.2): beside each node on the way stands its sibling, which the proof
// names.
func (h *History) path(name string, c Checkpoint, r Receipt, tree Tree) error {
	hash := h.hashers.of(tree)
	own, from, to := hash.HashLeaf(r.Record), r.Index, r.Index+1
	proof := r.Proofs.Of(tree)
	var ends []end      // of the nodes on the way
	var before [][]byte // the siblings to their left, from the smallest
	for {
		if err := h.see(node{c.Origin, tree, from, to}, source{string(own), name, false}); err != nil {
			return err
		}
		ends = append(ends, end{from, nil, len(before)}, end{to, own, len(before)})
		if from == 0 && to == c.Size {
			return h.beginnings(name, c, tree, ends, before)
		}
		if len(proof) == 0 {
			return errors.New("the receipt's proof is too short")
		}
		sibling := proof[0]
		proof = proof[1:]
		left, start, end := besides(from, to, c.Size)
		if err := h.see(node{c.Origin, tree, start, end}, source{string(sibling), name, false}); err != nil {
			return err
		}
		if left {
			before = append(before, sibling)
			own = hash.HashChildren(sibling, own)
		} else {
			own = hash.HashChildren(own, sibling)
		}
		from, to = min(from, start), max(to, end)
	}
}

// An end is where a node on the way to the root begins or ends: the tree of so many leaves consists of the node, unless it begins there,
// and of the siblings to its left, those after the first below.
type end struct {
	at    uint64
	own   []byte // nil where the node begins
	below int
}

// beginnings compares the roots of the trees that end where a node on the way to the root does.
func (h *History) beginnings(name string, c Checkpoint, tree Tree, ends []end, before [][]byte) error {
	hash, log := h.hashers.of(tree), h.log(c.Origin)
	for _, e := range ends {
		root := e.own
		for _, sibling := range before[e.below:] {
			if root == nil {
				root = sibling
			} else {
				root = hash.HashChildren(sibling, root)
			}
		}
		if e.at == 0 {
			continue
		}
		if err := h.see(node{c.Origin, tree, 0, e.at}, source{string(root), name, false}); err != nil {
			return err
		}
		if e.at < c.Size {
			log.begins[e.at] = max(log.begins[e.at], c.Size)
		}
	}
	return nil
}

// besides returns the leaves of the sibling of the node [from, to) in a tree of this size, and whether it stands to the left.
// The left child of every node has a power of two of leaves, and begins at a multiple of it. So a node whose beginning has the
// bit of its width is a right child, and so is every node on the right edge, whose own width may be any.
func besides(from, to, size uint64) (left bool, start, end uint64) {
	width := to - from
	switch {
	case to == size: // from is not 0: that is the root
		return true, from - 1<<bits.TrailingZeros64(from), from
	case from&width != 0:
		return true, from - width, from
	}
	return false, to, min(to+width, size)
}

// see notes a hash and compares it with what was seen.
func (h *History) see(n node, s source) error {
	old, known := h.seen[n]
	if !known {
		h.seen[n] = s
		return nil
	}
	if old.hash == s.hash {
		return nil
	}
	h.log(n.origin).forked = true
	return &ForkError{Origin: n.origin, A: old.name, B: s.name, Roots: old.root && s.root, From: n.from, To: n.to, Tree: n.tree}
}

// VerifyExtends proves, from the hash tiles that a log publishes, that the log of checkpoint to extends the one of checkpoint from:
// every entry of from is there, unchanged and in its place. Both checkpoints must be proven already, and of one log. It reads no
// entries, and some tiles a level. The error is a *ForkError, whose A is "the filed checkpoint" and B "the log", where the two
// contradict one another or the log has become shorter; ErrUnproven where its tiles are not those of to; else it could not be read.
func VerifyExtends(ctx context.Context, r Reader, newSM3 func() hash.Hash, from, to Checkpoint) error {
	if from.Origin != to.Origin {
		return fmt.Errorf("%w: checkpoints are of two logs", ErrUnproven)
	}
	fork := &ForkError{Origin: to.Origin, A: "the filed checkpoint", B: "the log", Tree: SM3, From: to.Size, To: from.Size}
	if from.Size > to.Size {
		fork.Shorter = true
		return fork
	}
	var storage Published = published{Reader: r, head: Head{Size: to.Size}}
	if remote, ok := r.(*Remote); ok {
		storage = publishedRemote{storage, remote}
	}
	view := NewView(storage, newSM3)
	head, err := view.frontiers(ctx, to)
	if err != nil {
		return fmt.Errorf("read the log's tiles: %w", err)
	}
	for _, tree := range Trees {
		// Each tile is proven under the root of to. So a beginning with another root than from is a fork, and not a tile that somebody
		// altered on its way.
		r, err := view.proven(ctx, tree, head).walk(from.Size).frontier()
		if err != nil {
			return fmt.Errorf("read the log's tiles: %w", err)
		}
		root, err := view.nodes.of(tree).root(r)
		if err != nil {
			return err
		}
		if !bytes.Equal(root, from.Root(tree)) {
			fork.Tree, fork.Roots, fork.From, fork.To = tree, true, 0, from.Size
			return fork
		}
	}
	return nil
}

// published is a Reader with a head that is known from elsewhere.
type published struct {
	Reader
	head Head
}

func (p published) Head(context.Context) (Head, error) { return p.head, nil }

// publishedRemote is published over HTTP, where a partial tile takes one answer and deriving it would take hundreds.
type publishedRemote struct {
	Published
	remote *Remote
}

func (p publishedRemote) partialTile(ctx context.Context, tree Tree, level int, index uint64, width int) ([]byte, error) {
	return p.remote.tile(ctx, tree, level, index, width)
}

// VerifySHA256Growth proves that the SHA-256 tree of checkpoint to extends that of from, by the consistency proof of RFC 6962, 2.1.2, that
// somebody sent along (C2SP tlog-witness). It looks at no other tree and at no signature. The error is ErrUnproven.
func VerifySHA256Growth(from, to Checkpoint, proof [][]byte) error {
	h := newHasher(SHA256, sha256.New)
	switch {
	case from.Origin != to.Origin:
		return fmt.Errorf("%w: checkpoints are of two logs", ErrUnproven)
	case from.Size > to.Size || verifyConsistency(h, from, to, proof) != nil:
		return fmt.Errorf("%w: size %d does not extend size %d in the %s tree", ErrUnproven, to.Size, from.Size, SHA256)
	}
	return nil
}

// EmptyCheckpoint is what every log begins with.
func EmptyCheckpoint(origin string, newSM3 func() hash.Hash) Checkpoint {
	c := Checkpoint{Origin: origin}
	for _, tree := range Trees {
		c.setRoot(tree, newHashers(newSM3).of(tree).EmptyRoot())
	}
	return c
}

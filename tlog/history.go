package tlog

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"maps"
	"math/bits"
	"slices"
)

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
	view := NewView(published{Reader: r, head: Head{Size: to.Size}}, newSM3)
	if err := view.checkRoots(ctx, to); err != nil {
		return fmt.Errorf("read the log's tiles: %w", err)
	}
	proofs, err := view.ProveConsistency(ctx, from.Size, to.Size)
	if err != nil {
		return err
	}
	for _, tree := range Trees {
		if verifyConsistency(view.nodes.of(tree), from, to, proofs.Of(tree)) != nil {
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

// Package tlog is a transparency log: an append-only Merkle tree log that returns a receipt for every entry.
//
// A log keeps two Merkle trees of RFC 6962 shape over the same leaves, one hashed with SM3, one with
// SHA-256, so that both Chinese auditors and the world's log tools can check it. Entries waiting at
// one moment are committed together, in one transaction of a [Storage], under one checkpoint that
// carries both roots and is signed with SM2 and Ed25519 (C2SP tlog-checkpoint). Each entry's
// [Receipt] holds its inclusion proofs and that checkpoint, and verifies offline.
//
// The rules that keep it one history (design 5.7): every batch is integrated from the head that the
// storage has locked; a signature leaves the process only after a known commit; a high-water mark
// outside the database refuses a database that has lost what was answered.
//
// The package knows nothing of what a leaf means and holds no cryptography beyond the standard
// library: SM3, signers and verifiers are handed in.
package tlog

import (
	"context"
	"errors"
)

// ErrUnknown says that a batch may or may not have been committed: the connection was lost, or the
// database warned, while the commit was under way. Nothing of such a batch may be released before
// [Storage.Committed] has answered.
var ErrUnknown = errors.New("outcome of the commit is not known")

// HashSize is the length in bytes of every hash in both trees; SM3 and SHA-256 share it.
const HashSize = 32

// TileWidth is the number of hashes in a full tile (C2SP tlog-tiles).
const TileWidth = 256

// MaxLeaf is the length in bytes of the longest leaf that a log takes (design 5.6: 60 KiB).
const MaxLeaf = 60 << 10

// Tree names one of the two trees over the same leaves. The values are stored: they never change.
type Tree uint8

// The two trees of every log.
const (
	SM3    Tree = 1
	SHA256 Tree = 2
)

// Trees lists both trees, in the order in which results name them.
var Trees = [2]Tree{SM3, SHA256}

// String returns "sm3" or "sha256".
func (t Tree) String() string {
	switch t {
	case SM3:
		return "sm3"
	case SHA256:
		return "sha256"
	}
	return "unknown tree"
}

// Storage keeps one log: the one of one origin. The store binds a value to that log before it hands
// it out; a database may keep several logs side by side (after a recovery it does).
//
// All methods may be called concurrently, by several processes too. Slices given to a Storage are
// not changed by the caller afterwards, and the Storage does not change them; slices it returns
// belong to the caller.
type Storage interface {
	Reader

	// Create stores the head of a log that has never existed, durably.
	// The error is fs.ErrExist if there is a head already: a log is created once.
	Create(ctx context.Context, head Head) error

	// Head returns the committed head, or fs.ErrNotExist if the log was never created.
	// It does not wait for a running Commit.
	Head(ctx context.Context) (Head, error)

	// Commit runs one batch as one durable transaction:
	//
	//  1. lock the head, so that batches of all processes happen one after another;
	//  2. take the entries in order, judge and apply each Attached on its own, as though the
	//     accepted ones before it were committed already. verdicts[i] != nil refuses entry i:
	//     it becomes no leaf, and nothing of it stays;
	//  3. call b.Integrate with the locked head, a Reader inside this transaction, and the
	//     positions of the accepted entries, ascending. Entry accepted[k] becomes the leaf with
	//     index head.Size+k;
	//  4. store those leaves (bytes and Update.Leaves[k]), the tiles, the batch id and the new
	//     head, and commit. (log, index) is unique, and so is (tree, level, index) of a tile.
	//
	// If every entry is refused, Integrate is not called, nothing is written and err is nil.
	// An error of Integrate rolls the transaction back and is returned wrapped.
	// Commit may start over, and so call Integrate again, only while it is known that the
	// transaction before was not committed; what the last call returned is what counts.
	//
	// err == nil: the batch is known to be committed, durably, for as long as the database
	// lives. errors.Is(err, ErrUnknown): not known; ask Committed; verdicts are then those that
	// hold if it was. Any other error: known not to be committed, verdicts mean nothing.
	//
	// The context carries values only, it is never cancelled: an accepted batch is not given up
	// halfway. Commit itself bounds how long it waits for locks and statements (≤ 2 s each).
	Commit(ctx context.Context, b Batch) (verdicts []error, err error)

	// Committed reports whether the batch with this id was committed. It takes the head's lock
	// to ask, so that a commit still under way in the database has ended one way or the other:
	// false means that it never will be. A store may forget ids after a day.
	// With an error nothing is known still.
	Committed(ctx context.Context, id [16]byte) (bool, error)

	// Cosign keeps a checkpoint of this log with the cosignatures of witnesses, durably and for
	// as long as the log. Of one size the latest is kept.
	Cosign(ctx context.Context, c Cosigned) error

	// Cosigned returns the kept checkpoint of the smallest size above index: the first that covers
	// that entry. LastCosigned returns the one of the greatest size. The error is fs.ErrNotExist
	// if there is none. Nothing of it is proven: see Log.Cosigned.
	Cosigned(ctx context.Context, index uint64) (Cosigned, error)
	LastCosigned(ctx context.Context) (Cosigned, error)
}

// Cosigned is a checkpoint with the signature lines of witnesses after those of the log.
type Cosigned struct {
	Size uint64
	Note string // the signed note, verbatim
}

// Reader reads the committed part of a log. What it has returned once never changes.
type Reader interface {
	// Tile returns the TileWidth*HashSize bytes of a full tile, as Update.Tiles brought it, or
	// fs.ErrNotExist. Level 0 holds leaf hashes; a hash of level l+1 covers a tile of level l.
	Tile(ctx context.Context, tree Tree, level int, index uint64) ([]byte, error)

	// LeafHashes returns the leaf hashes with start ≤ index < end, concatenated, as
	// Update.Leaves brought them: all end-start of them, or fs.ErrNotExist. Callers ask for at
	// most TileWidth at once.
	LeafHashes(ctx context.Context, tree Tree, start, end uint64) ([]byte, error)

	// Leaves returns the bytes of the leaves with start ≤ index < end, all end-start of them,
	// or fs.ErrNotExist. Callers ask for at most TileWidth at once.
	Leaves(ctx context.Context, start, end uint64) ([][]byte, error)
}

// Batch is a group of entries that are committed together under one checkpoint.
type Batch struct {
	ID      [16]byte // random, unique for each attempt to commit
	Entries []Entry  // at least one

	// Integrate computes what the accepted entries make of the locked head, and signs it. It is
	// quick, and calls nothing of the Storage but r. It keeps neither r nor its arguments.
	Integrate func(head Head, r Reader, accepted []int) (Update, error)
}

// Entry is one leaf with what must be committed in the same transaction.
type Entry struct {
	Leaf     []byte // 1 to MaxLeaf bytes
	Attached any    // opaque to the log; the store knows its types and refuses others; nil: nothing
}

// A Preparer is a Storage that can do some of an entry's work before its batch: on the goroutine of its caller, where many
// work at once, instead of the one that commits. What Prepare returns is attached in place of what was. It never fails: an
// entry that cannot be stored is one that Commit refuses.
type Preparer interface {
	Prepare(e Entry) (attached any)
}

// Head is the state of a log at one size, all that is needed to append to it.
type Head struct {
	Size uint64 // number of leaves

	// SM3 and SHA256 hold, concatenated from left to right, the roots of the perfect subtrees
	// that make up each tree (its compact range): one hash for every bit set in Size.
	SM3, SHA256 []byte

	Checkpoint string   // the signed note over this size and both roots, verbatim
	Batch      [16]byte // id of the batch that made this head; zero for a created log
}

// Update is what a batch adds to a log.
type Update struct {
	Head   Head       // replaces the locked head
	Leaves []LeafHash // for each accepted entry, in order
	Tiles  []Tile     // tiles that became full; partial ones are derived when asked for
}

// LeafHash is what one leaf hashes to in each tree. It is stored beside the leaf so that an altered
// leaf can be named even where no full tile covers it yet.
type LeafHash struct {
	SM3, SHA256 [HashSize]byte
}

// Of returns the hash for the given tree.
func (h LeafHash) Of(tree Tree) [HashSize]byte {
	if tree == SM3 {
		return h.SM3
	}
	return h.SHA256
}

// Tile is a full tile of one tree (C2SP tlog-tiles, height 8).
type Tile struct {
	Tree   Tree
	Level  int    // 0 to 7
	Index  uint64 // from the left within the level
	Hashes []byte // TileWidth*HashSize bytes
}

package attack

import (
	"bytes"
	"context"
	"crypto/sha256"
	"hash"
	"testing"

	"oncegate/audit"
	"oncegate/certs/sm"
	"oncegate/tlog"
	"oncegate/verdict"
)

// A history is a log as somebody outside has followed it: it computes both trees from the leaves by the definition in RFC 6962,
// with no code of ours, and knows the roots of every size there has ever been. A log that forks, forgets or rewrites does not get
// past it.
type history struct {
	trust  *verdict.Trust
	leaves [][sha256.Size]byte // hash of each leaf
	trees  [2]*tree            // as tlog.Trees
	roots  [][2][]byte         // by size
}

func newHistory(trust *verdict.Trust) *history {
	h := &history{trust: trust, trees: [2]*tree{{new: sm.New}, {new: sha256.New}}}
	h.roots = append(h.roots, [2][]byte{h.trees[0].root(), h.trees[1].root()})
	return h
}

// follow reads the new entries since the last call, and verifies the newest checkpoint against them.
func (h *history) follow(t testing.TB, log *tlog.Remote) tlog.Checkpoint {
	t.Helper()
	signed, err := log.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c, err := tlog.ParseCheckpoint(signed)
	if err != nil {
		t.Fatal(err)
	}
	if size := uint64(len(h.leaves)); c.Size > size {
		leaves, err := log.Leaves(t.Context(), size, c.Size)
		if err != nil {
			t.Fatal(err)
		}
		for _, leaf := range leaves {
			h.add(leaf)
		}
	}
	h.checkpoint(t, signed)
	return c
}

func (h *history) add(leaf []byte) {
	h.leaves = append(h.leaves, sha256.Sum256(leaf))
	var roots [2][]byte
	for i, tree := range h.trees {
		tree.add(leaf)
		roots[i] = tree.root()
	}
	h.roots = append(h.roots, roots)
}

// checkpoint proves that a checkpoint is signed, and of this history.
func (h *history) checkpoint(t testing.TB, signed string) tlog.Checkpoint {
	t.Helper()
	if v := h.trust.Verify(verdict.Artefact{Name: "checkpoint", Data: []byte(signed)})[0]; v.Err() != nil {
		t.Fatalf("checkpoint: %v", v.Err())
	}
	c, err := tlog.ParseCheckpoint(signed)
	if err != nil {
		t.Fatal(err)
	}
	h.contains(t, c)
	return c
}

// contains proves that the history had a checkpoint's roots at its size.
func (h *history) contains(t testing.TB, c tlog.Checkpoint) {
	t.Helper()
	if c.Size >= uint64(len(h.roots)) {
		t.Fatalf("checkpoint of size %d, the log has %d entries", c.Size, len(h.leaves))
	}
	for i, tree := range tlog.Trees {
		if !bytes.Equal(h.roots[c.Size][i], c.Root(tree)) {
			t.Fatalf("the log forked: at size %d the %s root is another", c.Size, tree)
		}
	}
}

// answered proves an answer or a recorded refusal to be in the history: it verifies offline together with the call, its leaf is
// where the receipt says, and its checkpoint is of this history.
func (h *history) answered(t testing.TB, e *exchange) tlog.Receipt {
	t.Helper()
	for _, v := range h.trust.Verify(verdict.Artefact{Name: "answer", Data: e.answer}, verdict.Artefact{Name: "call", Data: []byte(e.token)}, verdict.Artefact{Name: "body", Data: e.body}) {
		if v.Err() != nil {
			t.Fatalf("%s of %s: %v", v.Name, e.path, v.Err())
		}
	}
	receipt := receiptOf(t, e)
	h.holds(t, receipt)
	return receipt
}

// each proves every answer to be in the history, and one in so many of them in all respects, which takes longer.
func (h *history) each(t testing.TB, all []*exchange, full int) {
	t.Helper()
	for i, e := range all {
		if i%full == 0 {
			h.answered(t, e)
			continue
		}
		h.holds(t, receiptOf(t, e))
	}
}

func receiptOf(t testing.TB, e *exchange) tlog.Receipt {
	t.Helper()
	_, receipt, err := audit.SplitAnswer(e.answer)
	if err != nil {
		t.Fatal(err)
	}
	return receipt
}

// holds proves a receipt's leaf and checkpoint to be of this history.
func (h *history) holds(t testing.TB, r tlog.Receipt) {
	t.Helper()
	if r.Index >= uint64(len(h.leaves)) || h.leaves[r.Index] != sha256.Sum256(r.Record) {
		t.Fatalf("record %d is lost: the log has %d entries", r.Index, len(h.leaves))
	}
	c, err := tlog.ParseCheckpoint(r.Checkpoint)
	if err != nil {
		t.Fatal(err)
	}
	h.contains(t, c)
}

// whole has our own command's verification read all of a served log, tiles and records too.
func (h *history) whole(t testing.TB, log *tlog.Remote) {
	t.Helper()
	signed, err := log.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := h.trust.VerifyLog(context.Background(), log, signed, nil); err != nil {
		t.Fatal(err)
	}
}

// A tree is a Merkle tree (RFC 6962 section 2.1) that grows: the roots of its perfect subtrees, the largest first.
type tree struct {
	new   func() hash.Hash
	sizes []int
	roots [][]byte
}

func (m *tree) hash(parts ...[]byte) []byte {
	h := m.new()
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

func (m *tree) add(leaf []byte) {
	m.sizes, m.roots = append(m.sizes, 1), append(m.roots, m.hash([]byte{0}, leaf))
	for n := len(m.sizes); n > 1 && m.sizes[n-1] == m.sizes[n-2]; n-- {
		m.sizes[n-2] *= 2
		m.roots[n-2] = m.hash([]byte{1}, m.roots[n-2], m.roots[n-1])
		m.sizes, m.roots = m.sizes[:n-1], m.roots[:n-1]
	}
}

func (m *tree) root() []byte {
	if len(m.roots) == 0 {
		return m.hash()
	}
	root := m.roots[len(m.roots)-1]
	for i := len(m.roots) - 2; i >= 0; i-- {
		root = m.hash([]byte{1}, m.roots[i], root)
	}
	return root
}

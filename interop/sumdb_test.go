package interop_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/transparency-dev/formats/log"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// note: the Go checksum database's note package opens a checkpoint unmodified, by the Ed25519 line. Our SM2 line is to it the
// signature of a key that it does not know.
func (l *publicLog) note(t *testing.T) {
	n, err := note.Open(l.after, note.VerifierList(l.key))
	must(t, err)
	if len(n.Sigs) != 1 || len(n.UnverifiedSigs) != 1 {
		t.Fatalf("%d signatures hold and %d are unknown; want one each", len(n.Sigs), len(n.UnverifiedSigs))
	}
	if sm2 := n.UnverifiedSigs[0]; sm2.Name != l.key.Name() || sm2.Hash == l.key.KeyHash() {
		t.Errorf("the unknown line is of %s, key %08x", sm2.Name, sm2.Hash)
	}

	changed := bytes.Replace(l.after, []byte("\nsm3-root "), []byte("\nsm3-rooT "), 1)
	if _, err := note.Open(changed, note.VerifierList(l.key)); !errors.As(err, new(*note.InvalidSignatureError)) {
		t.Errorf("a changed checkpoint: %v", err)
	}
	_, vkey, err := note.GenerateKey(rand.Reader, l.key.Name())
	must(t, err)
	other, err := note.NewVerifier(vkey)
	must(t, err)
	if _, err := note.Open(l.after, note.VerifierList(other)); !errors.As(err, new(*note.UnverifiedNoteError)) {
		t.Errorf("a key of the same name that did not sign: %v", err)
	}
}

// tree opens a checkpoint as x/mod sees it. NOT UNMODIFIED: tlog.ParseTree reads the header of the Go checksum database only,
// which C2SP's tlog-checkpoint replaced by a line of the log's own; size and root come from formats/log.
func (l *publicLog) tree(t *testing.T, signed []byte) tlog.Tree {
	t.Helper()
	if _, err := tlog.ParseTree(signed); err == nil {
		t.Error("tlog.ParseTree reads a C2SP checkpoint now: use it, and say so in docs/verify.md")
	}
	c, _, _, err := log.ParseCheckpoint(signed, l.key.Name(), l.key)
	must(t, err)
	return tlog.Tree{N: int64(c.Size), Hash: tlog.Hash(c.Hash)}
}

// tiles is the tlog.TileReader that a user of x/mod always writes. A path of C2SP's tlog-tiles is one of tlog's without the
// height, which is always 8.
type tiles struct {
	ctx    context.Context
	log    string
	client *http.Client
}

func (r tiles) Height() int { return 8 }

func (r tiles) ReadTiles(list []tlog.Tile) (all [][]byte, err error) {
	for _, tile := range list {
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		data, err := fetch(r.ctx, r.client, r.log+path)
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}

func (r tiles) SaveTiles([]tlog.Tile, [][]byte) {}

// sumdb: x/mod's tlog reads the served tiles unmodified, and from them proves the record of a receipt, and that the log only grew.
func (l *publicLog) sumdb(t *testing.T) {
	filed, before, after := l.tree(t, l.filed.checkpoint), l.tree(t, l.before), l.tree(t, l.after)
	if filed.N > before.N || before.N >= 256 || after.N < size {
		t.Fatalf("sizes are %d, %d, %d: no growth past a full tile", filed.N, before.N, after.N)
	}
	hashes := tlog.TileHashReader(after, tiles{t.Context(), l.log, http.DefaultClient})

	var own tlog.RecordProof
	for _, hash := range l.filed.proof {
		own = append(own, hash)
	}
	tiled, err := tlog.ProveRecord(after.N, l.filed.index, hashes)
	must(t, err)
	leaf := tlog.RecordHash(l.filed.record)
	for _, x := range []struct {
		what  string
		proof tlog.RecordProof
		tree  tlog.Tree
	}{
		{"the receipt's own proof", own, filed},
		{"a proof from served tiles", tiled, after},
	} {
		if err := tlog.CheckRecord(x.proof, x.tree.N, x.tree.Hash, l.filed.index, leaf); err != nil {
			t.Errorf("%s: %v", x.what, err)
		}
		other := tlog.RecordHash(append(bytes.Clone(l.filed.record), ' '))
		if tlog.CheckRecord(x.proof, x.tree.N, x.tree.Hash, l.filed.index, other) == nil {
			t.Errorf("%s holds for another record too", x.what)
		}
	}

	for _, older := range []tlog.Tree{filed, before} {
		proof, err := tlog.ProveTree(after.N, older.N, hashes)
		must(t, err)
		if err := tlog.CheckTree(proof, after.N, after.Hash, older.N, older.Hash); err != nil {
			t.Errorf("from %d to %d: %v", older.N, after.N, err)
		}
		older.Hash[0] ^= 1
		if tlog.CheckTree(proof, after.N, after.Hash, older.N, older.Hash) == nil {
			t.Errorf("from %d to %d holds for another root too", older.N, after.N)
		}
	}

	spoiled := tlog.TileHashReader(after, tiles{t.Context(), l.log, l.spoiled("tile/0/000")})
	if _, err := tlog.ProveRecord(after.N, l.filed.index, spoiled); err == nil {
		t.Error("a wrong bit in a tile is not noticed")
	}
}

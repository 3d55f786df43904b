package interop_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	formatslog "github.com/transparency-dev/formats/log"
	formatsnote "github.com/transparency-dev/formats/note"
	"github.com/transparency-dev/formats/proof"
	"golang.org/x/mod/sumdb/tlog"
)

// formats: transparency-dev's checkpoint parser reads ours unmodified, and hands the SM3 root back as data of another. Our receipt
// holds all that a C2SP tlog-proof does.
func (l *publicLog) formats(t *testing.T) {
	key, err := formatsnote.NewVerifier(string(l.read(t, "trust", "log.ed25519.pub")))
	must(t, err)
	c, other, n, err := formatslog.ParseCheckpoint(l.after, key.Name(), key)
	must(t, err)
	if rest := string(other); !strings.HasPrefix(rest, "sm3-root ") || strings.Count(rest, "\n") != 1 {
		t.Errorf("the rest of the checkpoint is %q", rest)
	}
	if again := append(c.Marshal(), other...); string(again) != n.Text {
		t.Errorf("written again it is %q", again)
	}
	if _, _, _, err := formatslog.ParseCheckpoint(l.after, "another.example/log", key); err == nil {
		t.Error("it is taken for another log's")
	}
	changed := bytes.Replace(l.after, []byte("\nsm3-root "), []byte("\nsm3-rooT "), 1)
	if _, _, _, err := formatslog.ParseCheckpoint(changed, key.Name(), key); err == nil {
		t.Error("a changed checkpoint is not noticed")
	}

	written := proof.TLogProof{Index: uint64(l.filed.index), Hashes: l.filed.proof, Checkpoint: l.filed.checkpoint}
	var p proof.TLogProof
	must(t, p.Unmarshal(written.Marshal()))
	if p.Index != written.Index || !slices.Equal(p.Hashes, written.Hashes) || !bytes.Equal(p.Checkpoint, written.Checkpoint) {
		t.Error("the receipt as a tlog-proof is not read as it was written")
	}
	tree := l.tree(t, p.Checkpoint)
	hashes := make(tlog.RecordProof, len(p.Hashes))
	for i, hash := range p.Hashes {
		hashes[i] = hash
	}
	if err := tlog.CheckRecord(hashes, tree.N, tree.Hash, int64(p.Index), tlog.RecordHash(l.filed.record)); err != nil {
		t.Error(err)
	}
}

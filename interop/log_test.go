// Package interop_test has strangers read the log that a running gateway serves: the transparency log tools of others, as their
// authors published them, know nothing of Oncegate. It is a module of its own, so that they never come into ours, and it imports
// nothing of ours: it runs the built program and speaks HTTP with it.
//
// What each tool needs that is not in it stands here as code, and the section "Public log tools" of docs/verify.md says it in words.
package interop_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
)

// size is how far the log is grown: past the first full tile and bundle, so that there are full and partial ones, on two levels.
const size = 256 + 19

// A publicLog is a served log with what its strangers bring along, and what they saw of it.
type publicLog struct {
	*gateway
	auditor       *auditor
	key           note.Verifier // of the Ed25519 line
	before, after []byte        // signed checkpoints
	filed         filed
}

// filed is an answer's receipt, as its caller keeps it.
type filed struct {
	record     []byte
	index      int64
	proof      [][32]byte // in the SHA-256 tree
	checkpoint []byte
}

func TestPublicLogTools(t *testing.T) {
	l := &publicLog{gateway: serve(t)}
	var err error
	l.key, err = note.NewVerifier(string(l.read(t, "trust", "log.ed25519.pub")))
	must(t, err)
	l.filed = l.receipt(t)
	l.before = l.checkpoint(t)
	l.auditor = l.newAuditor(t)
	l.auditor.calls(t, l.gateway, size-l.tree(t, l.checkpoint(t)).N)
	l.after = l.checkpoint(t)

	t.Run("golang.org/x/mod/sumdb/note", l.note)
	t.Run("golang.org/x/mod/sumdb/tlog", l.sumdb)
	t.Run("transparency-dev/formats", l.formats)
	t.Run("transparency-dev/tessera/client", l.tesseraClient)
	t.Run("transparency-dev/tessera/fsck", l.tesseraFsck)
	t.Run("transparency-dev/tessera/cmd/fsck", l.tesseraCommand)
}

// checkpoint fetches what the log serves now.
func (l *publicLog) checkpoint(t *testing.T) []byte {
	t.Helper()
	signed, err := fetch(t.Context(), http.DefaultClient, l.log+"checkpoint")
	must(t, err)
	return signed
}

// receipt reads the receipt out of answer.json.
func (l *publicLog) receipt(t *testing.T) (f filed) {
	t.Helper()
	var envelope struct {
		Receipt struct {
			Record     string `json:"record"`
			Index      int64  `json:"index"`
			Checkpoint string `json:"checkpoint"`
			Proofs     struct {
				SHA256 [][]byte `json:"sha256"`
			} `json:"proofs"`
		} `json:"receipt"`
	}
	must(t, json.Unmarshal(l.read(t, "artefacts", "answer.json"), &envelope))
	r := envelope.Receipt
	var err error
	f.record, err = base64.RawURLEncoding.DecodeString(r.Record)
	must(t, err)
	for _, hash := range r.Proofs.SHA256 {
		f.proof = append(f.proof, [32]byte(hash))
	}
	f.index, f.checkpoint = r.Index, []byte(r.Checkpoint)
	return f
}

// spoiled is a client of a log in whose answers below a path one bit is wrong.
func (l *publicLog) spoiled(path string) *http.Client {
	return &http.Client{Transport: spoiler{l.log + path, l.auditor}}
}

type spoiler struct {
	below string
	http.RoundTripper
}

func (s spoiler) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := s.RoundTripper.RoundTrip(r)
	if err == nil && strings.HasPrefix(r.URL.String(), s.below) {
		res.Body = &flipped{ReadCloser: res.Body}
	}
	return res, err
}

// flipped is a body whose byte 30 has a wrong bit: in a tile's first hash, in a bundle's first entry, and below a checkpoint's origin.
type flipped struct {
	io.ReadCloser
	at int
}

func (f *flipped) Read(p []byte) (int, error) {
	const wrong = 30
	n, err := f.ReadCloser.Read(p)
	if f.at <= wrong && wrong < f.at+n {
		p[wrong-f.at] ^= 1
	}
	f.at += n
	return n, err
}

package note_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	xnote "golang.org/x/mod/sumdb/note"

	"oncegate/certs/certstest"
	"oncegate/certs/note"
	"oncegate/certs/sm"
)

const origin = "gate.example.gov.cn/log"

const text = origin + "\n3\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\nsm3-root GrIdg1XPoX+OYRlIMegajyK+yMco/vt0ftA161CCqis=\n"

func signed(t testing.TB) (w *certstest.World, msg []byte, sm2, ed xnote.Verifier) {
	t.Helper()
	w = certstest.New(t, "note")
	a, err := note.SM2NoteSigner(origin, w.Signer("log-1"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := note.Ed25519NoteSigner(origin, w.Ed25519("log-1"))
	if err != nil {
		t.Fatal(err)
	}
	msg, err = xnote.Sign(&xnote.Note{Text: text}, a.Bind(t.Context()), b.Bind(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	if sm2, err = note.SM2NoteVerifier(origin, w.Signer("log-1").Public(), nil); err != nil {
		t.Fatal(err)
	}
	vkey, err := note.MarshalVKey(origin, w.Ed25519("log-1").Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	if ed, err = note.Ed25519NoteVerifier(vkey); err != nil {
		t.Fatal(err)
	}
	return w, msg, sm2, ed
}

func TestBothLines(t *testing.T) {
	_, msg, sm2, ed := signed(t)
	n, err := xnote.Open(msg, xnote.VerifierList(sm2, ed))
	if err != nil || n.Text != text || len(n.Sigs) != 2 || len(n.UnverifiedSigs) != 0 {
		t.Fatalf("%+v, %v", n, err)
	}
	// A public tool that knows the Ed25519 key alone opens the same note.
	if n, err = xnote.Open(msg, xnote.VerifierList(ed)); err != nil || len(n.Sigs) != 1 || len(n.UnverifiedSigs) != 1 {
		t.Errorf("%+v, %v", n, err)
	}
	changed := []byte(strings.Replace(string(msg), "\n3\n", "\n4\n", 1))
	if _, err := xnote.Open(changed, xnote.VerifierList(sm2)); err == nil {
		t.Error("SM2 line holds for another text")
	}
}

// The line to the byte, as design 5.6 fixes it.
func TestSM2LineBytes(t *testing.T) {
	w, msg, _, _ := signed(t)
	pub := w.Signer("log-1").Public()
	id := sha256.Sum256([]byte(origin + "\n\xffoncegate/sm2-sm3/v1" + string(sm.MarshalPoint(pub))))
	if note.SM2KeyHash(origin, pub) != binary.BigEndian.Uint32(id[:4]) {
		t.Error("key id")
	}
	_, lines, _ := strings.Cut(string(msg), "\n\n")
	line, _, _ := strings.Cut(lines, "\n")
	raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(line, "— "+origin+" "))
	if err != nil || len(raw) != 4+64 || string(raw[:4]) != string(id[:4]) {
		t.Fatalf("%q: %v", line, err)
	}
	if err := sm.Verify(pub, []byte(text), raw[4:]); err != nil {
		t.Error(err)
	}
}

func TestVKey(t *testing.T) {
	// C2SP signed-note and x/mod: the key of sum.golang.org.
	const vkey = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
	name, pub, err := note.ParseVKey(vkey + "\n")
	if err != nil || name != "sum.golang.org" {
		t.Fatal(name, err)
	}
	if back, err := note.MarshalVKey(name, pub); err != nil || back != vkey {
		t.Error(back, err)
	}
	for _, s := range []string{"", "x", strings.Replace(vkey, "033d", "033e", 1), strings.Replace(vkey, "sum.", "sun.", 1), vkey + "AAAA"} {
		if _, _, err := note.ParseVKey(s); err == nil {
			t.Errorf("%q is accepted", s)
		}
	}
}

func TestRefuses(t *testing.T) {
	w := certstest.New(t, "note")
	for _, name := range []string{"", "a b", "a+b", "\xff", "a\nb"} {
		_, e1 := note.SM2NoteSigner(name, w.Signer("k"))
		_, e2 := note.Ed25519NoteSigner(name, w.Ed25519("k"))
		_, e3 := note.SM2NoteVerifier(name, w.Signer("k").Public(), nil)
		_, e4 := note.MarshalVKey(name, make([]byte, 32))
		if e1 == nil || e2 == nil || e3 == nil || e4 == nil {
			t.Errorf("name %q: %v %v %v %v", name, e1, e2, e3, e4)
		}
	}
	if _, err := note.SM2NoteVerifier(origin, nil, nil); !errors.Is(err, sm.ErrBadKey) {
		t.Error(err)
	}
	if _, err := note.Ed25519NoteSigner(origin, nil); err == nil {
		t.Error("no key")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s, _ := note.SM2NoteSigner(origin, w.Signer("k"))
	e, _ := note.Ed25519NoteSigner(origin, w.Ed25519("k"))
	for _, s := range []*note.Signer{s, e} {
		if _, err := s.Sign(ctx, []byte("x")); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
}

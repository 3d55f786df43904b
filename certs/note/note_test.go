package note_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

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

// cosigner signs as a witness does, by the text of c2sp.org/tlog-cosignature. It implements xnote.Signer.
type cosigner struct {
	name string
	key  ed25519.PrivateKey
	at   int64
}

func (c cosigner) id() []byte {
	sum := sha256.Sum256([]byte(c.name + "\n\x04" + string(c.key.Public().(ed25519.PublicKey))))
	return sum[:4]
}

func (c cosigner) vkey() string {
	return fmt.Sprintf("%s+%x+%s", c.name, c.id(), base64.StdEncoding.EncodeToString(append([]byte{4}, c.key.Public().(ed25519.PublicKey)...)))
}

func (c cosigner) Name() string    { return c.name }
func (c cosigner) KeyHash() uint32 { return binary.BigEndian.Uint32(c.id()) }
func (c cosigner) Sign(msg []byte) ([]byte, error) {
	signature := ed25519.Sign(c.key, fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", c.at, msg))
	return append(binary.BigEndian.AppendUint64(nil, uint64(c.at)), signature...), nil
}

func witnessKey(t *testing.T, vkey string) []*note.Witness {
	t.Helper()
	all, err := note.WitnessNoteVerifiers(vkey)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// A witness's line is verified as cosignature/v1, and its time is read; the same key as a plain Ed25519 key still is.
func TestWitness(t *testing.T) {
	w, msg, _, _ := signed(t)
	witness := cosigner{"witness.example/w1", w.Ed25519("witness"), 1764043200}
	plain, err := note.Ed25519NoteSigner(witness.name, witness.key)
	if err != nil {
		t.Fatal(err)
	}
	old, err := note.MarshalVKey(witness.name, witness.key.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	n, err := xnote.Open(msg, xnote.VerifierList())
	var unverified *xnote.UnverifiedNoteError
	if !errors.As(err, &unverified) {
		t.Fatal(n, err)
	}
	both, err := xnote.Sign(&xnote.Note{Text: text, UnverifiedSigs: unverified.Note.UnverifiedSigs}, witness, plain.Bind(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, vkey string
		at         time.Time
	}{
		{"cosignature/v1", witness.vkey() + "\n", time.Unix(witness.at, 0)},
		{"plain", old, time.Time{}},
	} {
		v := witnessKey(t, c.vkey)[0]
		n, err := xnote.Open(both, xnote.VerifierList(v))
		if err != nil || len(n.Sigs) != 1 || !v.SignedAt(n.Sigs[0]).Equal(c.at) || !v.Key().Equal(witness.key.Public()) {
			t.Errorf("%s: %+v, %v", c.name, n, err)
		}
		changed := []byte(strings.Replace(string(both), "\n3\n", "\n4\n", 1))
		if _, err := xnote.Open(changed, xnote.VerifierList(v)); err == nil {
			t.Errorf("%s: the line holds for another text", c.name)
		}
		if _, err := xnote.Open(msg, xnote.VerifierList(v)); err == nil {
			t.Errorf("%s: a checkpoint that nobody co-signed is opened", c.name)
		}
	}
	v := witnessKey(t, witness.vkey())[0]
	// A plain key is also that of the witness's cosignatures.
	if all := witnessKey(t, old); len(all) != 2 || all[1].KeyHash() != witness.KeyHash() {
		t.Errorf("%d verifiers", len(all))
	} else if n, err := xnote.Open(both, xnote.VerifierList(all[1])); err != nil || !all[1].SignedAt(n.Sigs[0]).Equal(time.Unix(witness.at, 0)) {
		t.Error(err)
	}
	good, _ := witness.Sign([]byte(text))
	later := append(binary.BigEndian.AppendUint64(nil, uint64(witness.at+1)), good[8:]...)
	far := cosigner{witness.name, witness.key, -1}
	beyond, _ := far.Sign([]byte(text))
	for name, sig := range map[string][]byte{
		"another time": later, "no time": good[8:], "cut": good[:71], "longer": append(good, 0), "a time beyond all clocks": beyond, "empty": nil,
	} {
		if v.Verify([]byte(text), sig) {
			t.Errorf("%s: accepted", name)
		}
	}
	// The room's own signer makes the line that the text of the standard says, byte for byte.
	signer, err := note.WitnessNoteSigner(witness.name, witness.key, func() time.Time { return time.Unix(witness.at, 0) })
	if err != nil || signer.KeyHash() != witness.KeyHash() || signer.Name() != witness.name {
		t.Fatal(signer, err)
	}
	if sig, err := signer.Sign(t.Context(), []byte(text)); err != nil || string(sig) != string(good) {
		t.Errorf("%x, %v", sig, err)
	}
	if vkey, err := note.MarshalWitnessVKey(witness.name, v.Key()); err != nil || vkey != witness.vkey() {
		t.Error(vkey, err)
	}
	if _, err := note.Ed25519NoteVerifier(witness.vkey()); err == nil {
		t.Error("a witness's key is taken for a log's")
	}
	wrong := witness.vkey()
	for name, s := range map[string]string{
		"another name":   strings.Replace(wrong, "w1", "w2", 1),
		"another type":   fmt.Sprintf("%s+%x+", witness.name, witness.id()) + base64.StdEncoding.EncodeToString(append([]byte{1}, v.Key()...)),
		"no base64":      wrong + "!",
		"longer":         wrong + "AAAA",
		"a type unknown": "witness.example+01020304+" + base64.StdEncoding.EncodeToString(append([]byte{6}, make([]byte, 1312)...)),
	} {
		if _, err := note.WitnessNoteVerifiers(s); err == nil || !note.IsVKey(s) {
			t.Errorf("%s: %q gives %v", name, s, err)
		}
	}
	for _, s := range []string{"", "witness.pub", "keys/a+b.pub", "c++/witness.pub"} {
		if note.IsVKey(s) {
			t.Errorf("the file name %q is taken for a key", s)
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
		_, e5 := note.WitnessNoteSigner(name, w.Ed25519("k"), time.Now)
		_, e6 := note.MarshalWitnessVKey(name, make([]byte, 32))
		if e1 == nil || e2 == nil || e3 == nil || e4 == nil || e5 == nil || e6 == nil {
			t.Errorf("name %q: %v %v %v %v %v %v", name, e1, e2, e3, e4, e5, e6)
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
	c, _ := note.WitnessNoteSigner(origin, w.Ed25519("k"), time.Now)
	if _, err := note.WitnessNoteSigner(origin, nil, time.Now); err == nil {
		t.Error("no witness's key")
	}
	for _, s := range []*note.Signer{s, e, c} {
		if _, err := s.Sign(ctx, []byte("x")); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
}

package tlog_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"testing"

	"oncegate/certs/note"
	"oncegate/certs/sm"
	"oncegate/tlog"
	"oncegate/tlog/tlogtest"
)

// TestWithSM2AndSM3 runs a log with the hashes and keys it is meant for.
func TestWithSM2AndSM3(t *testing.T) {
	key, err := sm.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := sm.NewSigner("log-1", key, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sm2, err := note.SM2NoteSigner(origin, signer)
	if err != nil {
		t.Fatal(err)
	}
	ed, err := note.Ed25519NoteSigner(origin, priv)
	if err != nil {
		t.Fatal(err)
	}
	vkey, err := note.MarshalVKey(origin, pub)
	if err != nil {
		t.Fatal(err)
	}
	trust := tlog.Trust{Origin: origin, NewSM3: sm.New}
	if trust.SM2, err = note.SM2NoteVerifier(origin, &key.PublicKey, sm.Verify); err != nil {
		t.Fatal(err)
	}
	if trust.Ed25519, err = note.Ed25519NoteVerifier(vkey); err != nil {
		t.Fatal(err)
	}
	own, err := note.Ed25519NoteVerifiers(origin, pub)
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t, func(c *tlog.Config) { c.NewSM3, c.SM2, c.Ed25519, c.Own = sm.New, sm2, ed, own })
	r := b.add(t, 300)
	if _, err := tlog.VerifyReceipt(r, trust); err != nil {
		t.Error(err)
	}
	tlogtest.CheckLog(t, b.memory, trust)
}

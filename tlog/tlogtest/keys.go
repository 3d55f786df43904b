// Package tlogtest is the conformance test suite of tlog.Storage, with keys, a storage in memory that fails on
// demand, and the check of a whole log, for tests of logs. It stands in for SM3 and SM2 with
// hashes and keys of the standard library, so that it needs no other cryptography.
package tlogtest

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"oncegate/tlog"
)

// NewHash returns a hash that stands in for SM3: SHA-256 of "sm3" and the bytes.
func NewHash() hash.Hash {
	h := prefixed{sha256.New()}
	h.Reset()
	return h
}

type prefixed struct{ hash.Hash }

func (h prefixed) Reset() {
	h.Hash.Reset()
	h.Hash.Write([]byte("sm3"))
}

// Keys are a log's two keys: Ed25519 as C2SP has it, and another Ed25519 key that stands in for SM2.
type Keys struct {
	SM2, Ed25519 tlog.Signer
	Trust        tlog.Trust
	VKey         string // the Ed25519 verifier key line
}

// NewKeys makes keys for the log with this origin.
func NewKeys(t testing.TB, origin string) Keys {
	t.Helper()
	skey, vkey, err := note.GenerateKey(rand.Reader, origin)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		t.Fatal(err)
	}
	standIn := newStandIn(t, origin)
	return Keys{standIn, contextSigner{signer}, tlog.Trust{
		Origin:  origin,
		SM2:     standIn.verifier(),
		Ed25519: verifier,
		NewSM3:  NewHash,
	}, vkey}
}

// Config returns the configuration of a log with these keys.
func (k Keys) Config(storage tlog.Storage) tlog.Config {
	return tlog.Config{
		Origin:  k.Trust.Origin,
		Storage: storage,
		NewSM3:  NewHash,
		SM2:     k.SM2,
		Ed25519: k.Ed25519,
		Own:     []note.Verifier{k.Trust.Ed25519},
		OwnSM2:  []note.Verifier{k.Trust.SM2},
	}
}

type contextSigner struct{ note.Signer }

func (s contextSigner) Sign(_ context.Context, msg []byte) ([]byte, error) { return s.Signer.Sign(msg) }

// standIn signs with Ed25519 under a key type of its own.
type standIn struct {
	name string
	key  ed25519.PrivateKey
}

func newStandIn(t testing.TB, name string) standIn {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return standIn{name, key}
}

func (s standIn) public() ed25519.PublicKey { return s.key.Public().(ed25519.PublicKey) }

func (s standIn) Name() string { return s.name }

func (s standIn) KeyHash() uint32 {
	sum := sha256.Sum256(append([]byte(s.name+"\n\xfftlogtest/stand-in"), s.public()...))
	return binary.BigEndian.Uint32(sum[:])
}

func (s standIn) Sign(_ context.Context, msg []byte) ([]byte, error) {
	return ed25519.Sign(s.key, append([]byte("stand-in"), msg...)), nil
}

func (s standIn) verifier() note.Verifier { return standInVerifier{s} }

type standInVerifier struct{ standIn }

func (v standInVerifier) Verify(msg, sig []byte) bool {
	return ed25519.Verify(v.public(), append([]byte("stand-in"), msg...), sig)
}

// Line returns the signature line that signer adds to the text of a signed note.
func Line(t testing.TB, signer tlog.Signer, text string) string {
	t.Helper()
	sig, err := signer.Sign(t.Context(), []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	b := append(binary.BigEndian.AppendUint32(nil, signer.KeyHash()), sig...)
	return fmt.Sprintf("— %s %s\n", signer.Name(), base64.StdEncoding.EncodeToString(b))
}

// Package certstest makes throw-away keys, a certificate authority and certificates for tests. Everything is derived from a
// seed, signatures included (RFC 6979), so that a failing test fails again; nothing is global.
package certstest

import (
	"context"
	"crypto/ed25519"
	"io"
	"math/big"
	"testing"
	"time"

	"oncegate/certs/pki"
	"oncegate/certs/sm"
)

// Epoch is the time at which a World's certificates are issued.
var Epoch = time.Date(2026, 11, 23, 4, 0, 0, 0, time.UTC)

// World is a seed for keys and an authority of two levels. Its methods end the test on failure.
type World struct {
	tb           testing.TB
	seed         string
	now          time.Time
	Root         *pki.CA
	Intermediate *pki.CA
}

// New makes a world whose clock stands at Epoch.
func New(tb testing.TB, seed string) *World { return At(tb, seed, Epoch) }

// At makes a world whose certificates are issued at the given time; for tests against a real clock give time.Now.
func At(tb testing.TB, seed string, now time.Time) *World {
	tb.Helper()
	w := &World{tb: tb, seed: seed, now: now}
	c := pki.Config{Rand: w.Stream("serial"), Now: func() time.Time { return w.now }}
	var err error
	w.Root, err = pki.NewRoot(tb.Context(), c, "示例市政务服务局", "示例市根 CA", w.Signer("ca-root"))
	if err != nil {
		tb.Fatal(err)
	}
	w.Intermediate, err = w.Root.NewIntermediate(tb.Context(), "示例市政务服务局", "示例市签发 CA", w.Signer("ca-sub"))
	if err != nil {
		tb.Fatal(err)
	}
	return w
}

// Signer returns the signer of the key named keyID: the same seed and name give the same key.
func (w *World) Signer(keyID string) sm.Signer {
	w.tb.Helper()
	stream := w.Stream("sm2/" + keyID)
	for {
		d := make([]byte, 32)
		if _, err := io.ReadFull(stream, d); err != nil {
			w.tb.Fatal(err)
		}
		priv, err := sm.ParsePrivateKey(d)
		if err != nil {
			continue // one in 2^32: not in [1, n-2]
		}
		s, err := sm.NewDeterministicSigner(keyID, priv)
		if err != nil {
			w.tb.Fatal(err)
		}
		return s
	}
}

// Ed25519 returns the Ed25519 key of a name.
func (w *World) Ed25519(name string) ed25519.PrivateKey {
	d := sm.HMAC([]byte(w.seed), []byte("ed25519/"+name))
	return ed25519.NewKeyFromSeed(d[:])
}

// Issue returns a signer for a key and its chain, leaf first, without the root.
func (w *World) Issue(keyID, usage, uscc, organization string) (sm.Signer, []*pki.Certificate) {
	w.tb.Helper()
	s := w.Signer(keyID)
	chain, err := w.Intermediate.Issue(context.Background(), pki.Request{
		Organization: organization, USCC: uscc, Usage: usage, CommonName: keyID, Public: s.Public(),
	})
	if err != nil {
		w.tb.Fatal(err)
	}
	return s, chain
}

// Trust returns a verifier that trusts the root alone.
func (w *World) Trust() *pki.Verifier {
	w.tb.Helper()
	v, err := pki.NewVerifier(pki.Trust{Anchors: []*pki.Certificate{w.Root.Certificate()}})
	if err != nil {
		w.tb.Fatal(err)
	}
	return v
}

// Lists are the revocation lists of both authorities, PEM, issued at a time for a month: the lower one's with the certificates
// that were revoked, the root's with none.
func (w *World) Lists(at time.Time, revoked ...pki.Revoked) (lower, root []byte) {
	w.tb.Helper()
	list := func(ca *pki.CA, keyID string, revoked []pki.Revoked) []byte {
		chain := ca.Chain()
		if len(chain) == 0 {
			chain = []*pki.Certificate{ca.Certificate()}
		}
		later, err := pki.LoadCA(pki.Config{Rand: w.Stream("crl"), Now: func() time.Time { return at }}, chain, w.Signer(keyID))
		if err != nil {
			w.tb.Fatal(err)
		}
		der, err := later.RevocationList(context.Background(), big.NewInt(7), 30*24*time.Hour, revoked)
		if err != nil {
			w.tb.Fatal(err)
		}
		return pki.MarshalCRL(der)
	}
	return list(w.Intermediate, "ca-sub", revoked), list(w.Root, "ca-root", nil)
}

// Stream is an endless deterministic source of bytes, for fields named Rand. It is not safe for concurrent use.
func (w *World) Stream(label string) io.Reader {
	key := sm.HMAC([]byte(w.seed), []byte("stream/"+label))
	return &stream{key: key}
}

type stream struct {
	key  [32]byte
	n    uint64
	rest []byte
}

func (s *stream) Read(p []byte) (int, error) {
	if len(s.rest) == 0 {
		s.n++
		block := sm.HMAC(s.key[:], []byte{byte(s.n >> 24), byte(s.n >> 16), byte(s.n >> 8), byte(s.n)})
		s.rest = block[:]
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

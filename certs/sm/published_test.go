package sm_test

import (
	"bytes"
	"encoding/asn1"
	"encoding/hex"
	"math/big"
	"testing"

	"github.com/emmansun/gmsm/ecdh"
	"github.com/emmansun/gmsm/sm2"

	"oncegate/certs/sm"
)

// The rest of GB/T 32918.5-2017, beside the signature in vectors_test.go: what the curve is, the key exchange of annex B
// and the encryption of annex C. The house does both by the same library, for TLCP and for enveloped keys.

func TestCurve(t *testing.T) {
	p := sm2.P256().Params()
	for name, c := range map[string]struct {
		got  *big.Int
		want string
	}{
		"p": {p.P, "fffffffeffffffffffffffffffffffffffffffff00000000ffffffffffffffff"},
		"b": {p.B, "28e9fa9e9d9f5e344d5a9e4bcf6509a7f39789f515ab8f92ddbcbd414d940e93"},
		"n": {p.N, "fffffffeffffffffffffffffffffffff7203df6b21c6052b53bbf40939d54123"},
		"x": {p.Gx, "32c4ae2c1f1981195f9904466a39c9948fe30bbff2660be1715a4589334c74c7"},
		"y": {p.Gy, "bc3736a2f4f6779c59bdcee36b692153d0a9877cc62a474002df32e52139f0a0"},
	} {
		if c.got.Text(16) != c.want {
			t.Errorf("%s = %x", name, c.got)
		}
	}
}

// The published nonce gives the published signature: r and s by the equations of GB/T 32918.2 clause 6.1.
func TestSM2Nonce(t *testing.T) {
	n := sm2.P256().Params().N
	number := func(s string) *big.Int { return new(big.Int).SetBytes(unhex(t, s)) }
	d, e, k := number(exampleD), number(exampleE), number("59276e27d506861a16680f3ad9c02dccef3cc1fa3cdbe4ce6d54b80deac1bc21")
	x, _ := sm2.P256().ScalarBaseMult(k.Bytes())
	r := new(big.Int).Add(e, x)
	r.Mod(r, n)
	s := new(big.Int).Sub(k, new(big.Int).Mul(r, d))
	s.Mul(s, new(big.Int).ModInverse(new(big.Int).Add(d, big.NewInt(1)), n)).Mod(s, n)
	if got := hex.EncodeToString(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)); got != exampleRS {
		t.Errorf("r‖s = %s", got)
	}
}

// Annex C: the message "encryption standard" for the key of annex A, C1‖C3‖C2.
func TestSM2Encryption(t *testing.T) {
	priv, err := sm.ParsePrivateKey(unhex(t, exampleD))
	if err != nil {
		t.Fatal(err)
	}
	const (
		x1 = "04ebfc718e8d1798620432268e77feb6415e2ede0e073c0f4f640ecd2e149a73"
		y1 = "e858f9d81e5430a57b36daab8f950a3c64e6ee6a63094d99283aff767e124df0"
		c3 = "59983c18f809e262923c53aec295d30383b54e39d609d160afcb1908d0bd8766"
		c2 = "21886ca989ca9c7d58087307ca93092d651efa"
	)
	raw := unhex(t, "04"+x1+y1+c3+c2)
	// SM2Cipher of GM/T 0009 clause 7.2 holds the same values.
	der, err := asn1.Marshal(struct {
		X, Y   *big.Int
		C3, C2 []byte
	}{new(big.Int).SetBytes(unhex(t, x1)), new(big.Int).SetBytes(unhex(t, y1)), unhex(t, c3), unhex(t, c2)})
	if err != nil {
		t.Fatal(err)
	}
	for name, ciphertext := range map[string][]byte{"raw": raw, "der": der} {
		plain, err := sm2.Decrypt(priv, ciphertext)
		if err != nil || string(plain) != "encryption standard" {
			t.Errorf("%s: %q, %v", name, plain, err)
		}
		changed := bytes.Clone(ciphertext)
		changed[len(changed)-1] ^= 1
		if plain, err := sm2.Decrypt(priv, changed); err == nil {
			t.Errorf("%s: changed, it opens to %q", name, plain)
		}
	}
}

// Annex B: both sides of the key exchange come to the same 128-bit key.
func TestSM2KeyExchange(t *testing.T) {
	const (
		dA = "81eb26e941bb5af16df116495f90695272ae2cd63d6c4ae1678418be48230029"
		rA = "d4de15474db74d06491c440d305e012400990f3e390c7e87153c12db2ea60bb3"
		dB = "785129917d45a9ea5437a59356b82338eaadda6ceb199088f14ae10defa229b5"
		rB = "7e07124814b309489125eaed101113164ebf0f3458c5bd88335c1f9d596243d6"
	)
	key := func(d string) *ecdh.PrivateKey {
		k, err := ecdh.P256().NewPrivateKey(unhex(t, d))
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	a, ra, b, rb := key(dA), key(rA), key(dB), key(rB)
	for name, side := range map[string]struct {
		responder              bool
		own, ownOnce           *ecdh.PrivateKey
		theirs, theirsOnce, me *ecdh.PublicKey
	}{
		"A": {false, a, ra, b.PublicKey(), rb.PublicKey(), a.PublicKey()},
		"B": {true, b, rb, a.PublicKey(), ra.PublicKey(), b.PublicKey()},
	} {
		point, err := side.own.SM2MQV(side.ownOnce, side.theirs, side.theirsOnce)
		if err != nil {
			t.Fatal(err)
		}
		k, err := point.SM2SharedKey(side.responder, 16, side.me, side.theirs, []byte(sm.UserID), []byte(sm.UserID))
		if err != nil || hex.EncodeToString(k) != "6c89347354de2484c60b4ab1fde4c6e5" {
			t.Errorf("%s: K = %x, %v", name, k, err)
		}
	}
}

package certs_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"fmt"
	"math/big"

	"oncegate/certs/sm"
)

func messages(c *craft) {
	key, other := newKey(c.t, "example"), newKey(c.t, "other")
	c.begin("the published example of GB/T 32918.5 A.2, and signatures that are not of its message", key, house16)
	msg := []byte("message digest")
	d := secret(key)
	e := digest(za(&key.PublicKey, house16), msg)
	k, _ := new(big.Int).SetString("59276e27d506861a16680f3ad9c02dccef3cc1fa3cdbe4ce6d54b80deac1bc21", 16)
	p := signWith(d, e, k)
	if p.r.Text(16) != "f5a03b0648d2c4630eeac513e1bb81a15944da3827d5b74143ac7eaceee720b3" {
		c.t.Errorf("r = %x is not the published one", p.r)
	}
	c.add("", "the published signature", "Control", "raw", msg, p.raw())
	c.add("", "the published signature, DER", "Control", "der", msg, p.der())
	for _, v := range []struct{ name, msg string }{
		{"one letter less", "message diges"}, {"a line feed more", "message digest\n"}, {"a zero more", "message digest\x00"}, {"another case", "Message digest"},
		{"a space in front", " message digest"}, {"the message twice", "message digestmessage digest"}, {"one zero byte", "\x00"},
	} {
		c.add(value, v.name, "OtherMessage", "raw", []byte(v.msg), p.raw())
	}
	q := signMessage(key, house16, []byte("another message"))
	c.add(value, "the signature of another message", "OtherMessage", "raw", msg, q.raw())
	c.add(value, "the signature of another message, DER", "OtherMessage", "der", msg, q.der())
	c.add(value, "r of one signature, s of another", "OtherMessage", "raw", msg, pair{p.r, q.s}.raw())
	hashed := sm.Digest(msg)
	c.add(value, "the signature of the digest of the message", "OtherMessage", "raw", msg, signMessage(key, house16, hashed[:]).raw())
	c.add(value, "the message's signature for its digest", "OtherMessage", "raw", hashed[:], p.raw())
	for i := range msg {
		flipped := bytes.Clone(msg)
		flipped[i] ^= 1 << (i % 8)
		c.add(value, fmt.Sprintf("bit %d of byte %d of the message", i%8, i), "BitFlip", "raw", flipped, p.raw())
	}
	c.add(value, "by another key", "OtherKey", "raw", msg, signMessage(other, house16, msg).raw())
	c.add(value, "by another key over the Z of this one", "OtherKey", "raw", msg, sign(other, e).raw())
	c.add(value, "by this key over the Z of another", "OtherKey", "raw", msg, sign(key, digest(za(&other.PublicKey, house16), msg)).raw())

	p256 := ecdsa.PrivateKey{PublicKey: ecdsa.PublicKey{Curve: elliptic.P256()}, D: d}
	p256.X, p256.Y = elliptic.P256().ScalarBaseMult(d.Bytes()) //nolint:staticcheck // the same scalar on the other curve
	sum := sha256.Sum256(msg)
	ecdsaSig, err := p256.Sign(nil, sum[:], crypto.SHA256)
	if err == nil {
		c.add(value, "ECDSA on P-256 with SHA-256, the same scalar", "OtherScheme", "der", msg, ecdsaSig)
	} else {
		c.t.Error(err)
	}
	c.add(value, "ECDSA on this curve with SM3", "OtherScheme", "der", msg, ecdsaWith(d, digest(msg), k).der())
	c.add(value, "ECDSA on this curve over e", "OtherScheme", "der", msg, ecdsaWith(d, e, k).der())
	c.add(value, "SM2 with SHA-256 for the message", "OtherScheme", "raw", msg, sign(key, sha(za(&key.PublicKey, house16), msg)).raw())
}

func sha(parts ...[]byte) *big.Int {
	d := sha256.Sum256(join(parts...))
	return new(big.Int).SetBytes(d[:])
}

// ecdsaWith is ECDSA over this curve: r = x(kG), s = (e + r d) / k.
func ecdsaWith(d, e, k *big.Int) pair {
	x, _ := curve.ScalarBaseMult(k.Bytes())
	r := new(big.Int).Mod(x, order)
	s := new(big.Int).Mul(r, d)
	s.Add(s, e).Mul(s, new(big.Int).ModInverse(k, order))
	return pair{r, s.Mod(s, order)}
}

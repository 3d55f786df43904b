package certs_test

import (
	"bytes"
	"crypto/ecdsa"
	"encoding/hex"
	"fmt"
	"math/big"
	"testing"

	"github.com/emmansun/gmsm/sm2"

	"oncegate/certs/sm"
)

var (
	curve   = sm2.P256()
	prime   = curve.Params().P
	order   = curve.Params().N
	house16 = []byte(sm.UserID)
)

// craft makes vectors. Everything follows from names, so that the files are the same each time.
type craft struct {
	t     *testing.T
	notes map[string]string // all that are known
	file  *vectors
	group *group
	key   *sm.PrivateKey
}

// begin starts a group under a key and a user id.
func (c *craft) begin(comment string, key *sm.PrivateKey, userID []byte) {
	text, err := sm.MarshalPEM(&key.PublicKey)
	if err != nil {
		c.t.Fatal(err)
	}
	c.file.TestGroups = append(c.file.TestGroups, group{
		Type: "Sm2Verify", Comment: comment, PublicKey: hex.EncodeToString(sm.MarshalPoint(&key.PublicKey)),
		PublicKeyPEM: string(text), UserID: hex.EncodeToString(userID),
	})
	c.group, c.key = &c.file.TestGroups[len(c.file.TestGroups)-1], key
}

// add appends a test; an empty reason means that it is valid.
func (c *craft) add(reason, comment, flag, encoding string, msg, sig []byte) *one {
	v := one{
		ID: c.file.NumberOfTests + 1, Comment: comment, Flags: []string{flag}, Msg: hex.EncodeToString(msg), Sig: hex.EncodeToString(sig),
		Encoding: encoding, Result: "invalid", Reason: reason,
	}
	if reason == "" {
		v.Result = "valid"
	}
	note, ok := c.notes[flag]
	if !ok {
		c.t.Fatalf("no note on %s", flag)
	}
	c.file.Notes[flag] = note
	c.file.NumberOfTests++
	c.group.Tests = append(c.group.Tests, v)
	return &c.group.Tests[len(c.group.Tests)-1]
}

// under replaces the key of one test by other octets.
func (v *one) under(key []byte) { text := hex.EncodeToString(key); v.PublicKey = &text }

// as replaces the user id of one test.
func (v *one) as(userID []byte) { text := hex.EncodeToString(userID); v.UserID = &text }

// pair is r and s as they come, in range or not.
type pair struct{ r, s *big.Int }

func (p pair) raw() []byte {
	b := make([]byte, 64)
	p.r.FillBytes(b[:32])
	p.s.FillBytes(b[32:])
	return b
}

// fits reports whether the pair can be written as 64 bytes.
func (p pair) fits() bool {
	return p.r.Sign() >= 0 && p.s.Sign() >= 0 && p.r.BitLen() <= 256 && p.s.BitLen() <= 256
}

func (p pair) der() []byte { return tlv(0x30, integer(p.r), integer(p.s)) }

// tlv is one value in DER: minimal length. It knows nothing else, so that anything can be put into it.
func tlv(tag byte, parts ...[]byte) []byte {
	body := bytes.Join(parts, nil)
	length := []byte{byte(len(body))}
	if n := len(body); n > 255 {
		length = []byte{0x82, byte(n >> 8), byte(n)}
	} else if n > 127 {
		length = []byte{0x81, byte(n)}
	}
	return bytes.Join([][]byte{{tag}, length, body}, nil)
}

// integer is an INTEGER, negative ones in two's complement.
func integer(v *big.Int) []byte { return tlv(2, content(v)) }

func content(v *big.Int) []byte {
	if v.Sign() < 0 {
		n := uint(v.BitLen()/8+1) * 8
		b := new(big.Int).Add(v, new(big.Int).Lsh(big.NewInt(1), n)).Bytes()
		if len(b) > 1 && b[0] == 0xff && b[1] >= 0x80 {
			b = b[1:]
		}
		return b
	}
	b := v.Bytes()
	if len(b) == 0 || b[0] >= 0x80 {
		b = append([]byte{0}, b...)
	}
	return b
}

// newKey is the key of a name; the name "example" gives the published one of GB/T 32918.5 A.2.
func newKey(t *testing.T, name string) *sm.PrivateKey {
	t.Helper()
	d := sm.Digest([]byte("oncegate sm2-negative key " + name))
	if name == "example" {
		b, _ := hex.DecodeString("3945208f7b2144b13f36e38ac6d39f95889393692860b51a42fb81ef4df7c5b8")
		copy(d[:], b)
	}
	return scalar(t, new(big.Int).SetBytes(d[:]))
}

func scalar(t *testing.T, d *big.Int) *sm.PrivateKey {
	t.Helper()
	key, err := sm.ParsePrivateKey(d.FillBytes(make([]byte, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func secret(key *sm.PrivateKey) *big.Int { return new(big.Int).SetBytes(sm.PrivateBytes(key)) }

// entl is the user id as ZA begins with it: its length in bits, two bytes, and itself.
func entl(userID []byte) []byte {
	return append([]byte{byte(len(userID) >> 5), byte(len(userID) << 3)}, userID...)
}

// fields are what ZA holds after the user id: a, b, the base point and the key.
func fields(pub *ecdsa.PublicKey) (curveConstants, point []byte) {
	p := curve.Params()
	a := new(big.Int).Sub(prime, big.NewInt(3))
	for _, v := range []*big.Int{a, p.B, p.Gx, p.Gy} {
		curveConstants = append(curveConstants, v.FillBytes(make([]byte, 32))...)
	}
	return curveConstants, sm.MarshalPoint(pub)[1:]
}

// za is GB/T 32918.2 clause 5.5.
func za(pub *ecdsa.PublicKey, userID []byte) []byte {
	constants, point := fields(pub)
	z := sm.Digest(entl(userID), constants, point)
	return z[:]
}

func digest(parts ...[]byte) *big.Int {
	d := sm.Digest(parts...)
	return new(big.Int).SetBytes(d[:])
}

// sign is GB/T 32918.2 clause 6.1 over e, with a nonce that follows from key and e. The scalar arithmetic is not constant in
// time: these keys are no secrets.
func sign(key *sm.PrivateKey, e *big.Int) pair {
	d := secret(key)
	eb := new(big.Int).Mod(e, new(big.Int).Lsh(big.NewInt(1), 256)).FillBytes(make([]byte, 32))
	for i := byte(0); ; i++ {
		k := digest([]byte("nonce"), d.Bytes(), eb, []byte{i})
		if p := signWith(d, e, k.Mod(k, order)); p.r.Sign() > 0 && p.s.Sign() > 0 && new(big.Int).Add(p.r, k).Cmp(order) != 0 {
			return p
		}
	}
}

// signWith is sign with the nonce given; zero makes the point at infinity, whose x is taken for zero.
func signWith(d, e, k *big.Int) pair {
	x := new(big.Int)
	if k.Sign() > 0 {
		x, _ = curve.ScalarBaseMult(k.Bytes())
	}
	r := new(big.Int).Add(e, x)
	r.Mod(r, order)
	s := new(big.Int).Mul(r, d)
	s.Sub(k, s)
	s.Mul(s, new(big.Int).ModInverse(new(big.Int).Add(d, big.NewInt(1)), order))
	return pair{r, s.Mod(s, order)}
}

func signMessage(key *sm.PrivateKey, userID, msg []byte) pair {
	return sign(key, digest(za(&key.PublicKey, userID), msg))
}

// search is the first message of a name whose signature is as wanted.
func search(key *sm.PrivateKey, name string, wanted func(pair) bool) ([]byte, pair) {
	for i := 0; ; i++ {
		msg := fmt.Appendf(nil, "%s %d", name, i)
		if p := signMessage(key, house16, msg); wanted(p) {
			return msg, p
		}
	}
}

func add(a, b *big.Int) *big.Int { return new(big.Int).Add(a, b) }
func sub(a, b *big.Int) *big.Int { return new(big.Int).Sub(a, b) }
func mul(a *big.Int, n int64) *big.Int {
	return new(big.Int).Mul(a, big.NewInt(n))
}
func neg(a *big.Int) *big.Int { return new(big.Int).Neg(a) }
func pow2(n uint) *big.Int    { return new(big.Int).Lsh(big.NewInt(1), n) }
func num(n int64) *big.Int    { return big.NewInt(n) }
func be(v *big.Int) []byte    { return v.FillBytes(make([]byte, 32)) }
func reversed(b []byte) []byte {
	out := bytes.Clone(b)
	for i, j := 0, len(out)-1; i < j; i, j = i+1, j-1 {
		out[i], out[j] = out[j], out[i]
	}
	return out
}
func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

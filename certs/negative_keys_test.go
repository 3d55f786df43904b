package certs_test

import (
	"bytes"
	"crypto/elliptic"
	"fmt"
	"math/big"

	"oncegate/certs/sm"
)

func keys(c *craft) {
	key := newKey(c.t, "key")
	c.begin("the key of the group, or octets in its place; the signature is good under the group's key", key, house16)
	msg := []byte("public key")
	p := signMessage(key, house16, msg)
	good := sm.MarshalPoint(&key.PublicKey)
	bad := func(comment, flag string, octets []byte) {
		c.add("public-key", comment, flag, "raw", msg, p.raw()).under(octets)
	}
	c.add("", "the key as it is", "Control", "raw", msg, p.raw())
	c.add("", "the key as it is, signature in DER", "Control", "der", msg, p.der())
	x, y := key.X, key.Y
	point := func(first byte, x, y *big.Int) []byte { return join([]byte{first}, be(x), be(y)) }
	bad("y + 1", "OffCurve", point(4, x, add(y, num(1))))
	bad("x + 1", "OffCurve", point(4, add(x, num(1)), y))
	bad("y, x", "OffCurve", point(4, y, x))
	bad("(5, 7)", "OffCurve", point(4, num(5), num(7)))
	bad("(1, 1)", "OffCurve", point(4, num(1), num(1)))
	bad("both numbers low byte first", "OffCurve", join([]byte{4}, reversed(be(x)), reversed(be(y))))
	for i := 1; i < len(good); i += 3 {
		flipped := bytes.Clone(good)
		flipped[i] ^= 1 << (i % 8)
		bad(fmt.Sprintf("bit %d of octet %d", i%8, i), "OffCurve", flipped)
	}
	bad("the octet 00", "PointInfinity", []byte{0})
	bad("(0, 0)", "PointInfinity", point(4, num(0), num(0)))
	bad("65 zero octets", "PointInfinity", make([]byte, 65))
	bad("00 and the point", "PointInfinity", point(0, x, y))
	bad("(0, 1)", "PointInfinity", point(4, num(0), num(1)))
	odd := byte(y.Bit(0))
	bad("compressed", "Compressed", join([]byte{2 + odd}, be(x)))
	bad("compressed, the other root", "Compressed", join([]byte{3 - odd}, be(x)))
	bad("the first octet of a compressed point, both numbers", "Compressed", point(2+odd, x, y))
	bad("04 and x alone", "Compressed", join([]byte{4}, be(x)))
	bad("hybrid", "Hybrid", point(6+odd, x, y))
	bad("hybrid, the other root", "Hybrid", point(7-odd, x, y))
	coordinates(c, bad, x, y)
	g := elliptic.P256().Params()
	bad("the base point of P-256", "OtherCurve", point(4, g.Gx, g.Gy))
	bad("66 octets: a zero behind", "PointEncoding", join(good, []byte{0}))
	bad("66 octets: a zero in front", "PointEncoding", join([]byte{0}, good))
	bad("64 octets: without 04", "PointEncoding", good[1:])
	bad("as OCTET STRING", "PointEncoding", tlv(4, good))
	bad("as BIT STRING", "PointEncoding", tlv(3, []byte{0}, good))
	bad("twice", "PointEncoding", join(good, good))
	bad("bits and 64 bytes for each number (ECCrefPublicKey of GM/T 0018)", "PointEncoding",
		join([]byte{0, 1, 0, 0}, make([]byte, 32), be(x), make([]byte, 32), be(y)))
	for _, first := range []byte{1, 5, 8, 0x30, 0x84, 0xff} {
		bad(fmt.Sprintf("first octet %02x", first), "PointEncoding", point(first, x, y))
	}
	for i := range good {
		bad(fmt.Sprintf("%d octets of 65", i), "PointTruncated", good[:i])
	}
	c.add(value, "(x, -y), which is another key", "OtherKey", "raw", msg, p.raw()).under(point(4, x, sub(prime, y)))
	other := newKey(c.t, "other")
	c.add(value, "another key", "OtherKey", "raw", msg, p.raw()).under(sm.MarshalPoint(&other.PublicKey))
	c.add(value, "the base point", "OtherKey", "raw", msg, p.raw()).under(point(4, curve.Params().Gx, curve.Params().Gy))
	edges(c)
}

// coordinates adds numbers that are not below p. Points with a small number exist twice in 256 bits; nobody knows their keys.
func coordinates(c *craft, bad func(comment, flag string, octets []byte), x, y *big.Int) {
	point := func(x, y *big.Int) []byte { return join([]byte{4}, be(x), be(y)) }
	ones := sub(pow2(256), num(1))
	bad("x = p", "Coordinate", point(prime, y))
	bad("y = p", "Coordinate", point(x, prime))
	bad("x = y = p", "Coordinate", point(prime, prime))
	bad("x = p + 1", "Coordinate", point(add(prime, num(1)), y))
	bad("x = 2^256 - 1", "Coordinate", point(ones, y))
	bad("y = 2^256 - 1", "Coordinate", point(x, ones))
	small, root := smallPoint()
	bad("x + p of a point with a small x", "Coordinate", point(add(small, prime), root))
	bad("x + p of the same point, y negated", "Coordinate", point(add(small, prime), sub(prime, root)))
	if curve.IsOnCurve(small, root) {
		c.add(value, "that point with x as it should be", "OtherKey", "raw", []byte("public key"),
			signMessage(newKey(c.t, "key"), house16, []byte("public key")).raw()).under(point(small, root))
	}
}

// smallPoint is the point with the least x above zero: y² = x³ - 3x + b.
func smallPoint() (x, y *big.Int) {
	for x = num(1); ; x.Add(x, num(1)) {
		v := new(big.Int).Exp(x, num(3), prime)
		v.Sub(v, mul(x, 3)).Add(v, curve.Params().B).Mod(v, prime)
		if y = new(big.Int).ModSqrt(v, prime); y != nil {
			return x, y
		}
	}
}

// edges are groups under keys that are allowed though they look strange.
func edges(c *craft) {
	for _, v := range []struct {
		name string
		d    *big.Int
	}{{"d = 1", num(1)}, {"d = 2", num(2)}, {"d = n-2", sub(order, num(2))}} {
		key := scalar(c.t, v.d)
		c.begin("the key "+v.name, key, house16)
		msg := []byte("edge key")
		p := signMessage(key, house16, msg)
		c.add("", v.name, "EdgeKey", "raw", msg, p.raw())
		c.add("", v.name+", DER", "EdgeKey", "der", msg, p.der())
		c.add(value, "another message", "OtherMessage", "raw", []byte("edge"), p.raw())
		e := digest(za(&key.PublicKey, house16), msg)
		c.add(value, "r = e, s = -e d / (1+d)", "Infinity", "der", msg, signWith(v.d, e, num(0)).der())
	}
}

func userIDs(c *craft) {
	msg := []byte("user id")
	key := newKey(c.t, "user id")
	pub := &key.PublicKey
	over := func(z []byte) []byte { return sign(key, digest(z, msg)).raw() }
	bad := func(comment, flag string, sig []byte) { c.add(value, comment, flag, "raw", msg, sig) }

	c.begin("the default user id 1234567812345678 (GM/T 0009 clause 10)", key, house16)
	c.add("", "under the default user id", "Control", "raw", msg, over(za(pub, house16)))
	c.add("", "under the default user id, DER", "Control", "der", msg, signMessage(key, house16, msg).der())
	for _, v := range []struct{ name, id string }{
		{"the empty user id", ""}, {"one digit less", "123456781234567"}, {"one digit more", "12345678123456789"}, {"a zero byte behind", "1234567812345678\x00"},
		{"a space behind", "1234567812345678 "}, {"half of it", "12345678"}, {"it twice", "12345678123456781234567812345678"}, {"backwards", "8765432187654321"},
		{"its value as 8 bytes", "\x12\x34\x56\x78\x12\x34\x56\x78"}, {"the @ of a wrong document", "1234567812345678@"}, {"16 zero bytes", string(make([]byte, 16))},
		{"ALICE123@YAHOO.COM", "ALICE123@YAHOO.COM"}, {"the id of TLS 1.3 (RFC 8998)", "TLSv1.3+GM+Cipher+Suite"},
	} {
		bad("under "+v.name, "OtherUserID", over(za(pub, []byte(v.id))))
	}
	bad("under the empty user id, DER", "OtherUserID", nil)
	last := &c.group.Tests[len(c.group.Tests)-1]
	last.Encoding, last.Sig = "der", fmt.Sprintf("%x", sign(key, digest(za(pub, nil), msg)).der())
	wrongZ(c, key, msg, bad)

	for _, v := range []struct {
		name string
		id   []byte
	}{
		{"the user id ALICE123@YAHOO.COM", []byte("ALICE123@YAHOO.COM")}, {"the user id of RFC 8998", []byte("TLSv1.3+GM+Cipher+Suite")},
		{"a user id of one zero byte", []byte{0}}, {"a user id of 32 bytes, whose length in bits needs both bytes", bytes.Repeat([]byte("ab"), 16)},
		{"the longest user id, 8191 bytes", bytes.Repeat([]byte{'u'}, sm.MaxUserID)},
	} {
		c.begin(v.name, key, v.id)
		c.add("", "under the user id of the group", "Control", "raw", msg, over(za(pub, v.id)))
		c.add("", "under the user id of the group, DER", "Control", "der", msg, signMessage(key, v.id, msg).der())
		bad("under the default user id", "OtherUserID", over(za(pub, house16)))
		bad("under the empty user id", "OtherUserID", over(za(pub, nil)))
		bad("without Z", "NoZ", over(nil))
	}
	c.begin("a user id that is too long", key, house16)
	c.add("", "under the default user id", "Control", "raw", msg, over(za(pub, house16)))
	long := bytes.Repeat([]byte{'u'}, sm.MaxUserID+1)
	c.add("user-id", "8192 bytes, whose length in bits is written as zero", "UserIDLength", "raw", msg, over(za(pub, long))).as(long)
	c.add("user-id", "8192 bytes, and a signature under the default user id", "UserIDLength", "raw", msg, over(za(pub, house16))).as(long)
}

// wrongZ adds signatures over other ways to make e.
func wrongZ(c *craft, key *sm.PrivateKey, msg []byte, bad func(comment, flag string, sig []byte)) {
	pub := &key.PublicKey
	constants, point := fields(pub)
	z := func(parts ...[]byte) []byte { d := sm.Digest(parts...); return d[:] }
	good := za(pub, house16)
	signed := func(parts ...[]byte) []byte { return sign(key, digest(parts...)).raw() }
	bad("without Z", "NoZ", signed(msg))
	c.add(value, "without Z, DER", "NoZ", "der", msg, sign(key, digest(msg)).der())
	bad("e is the message itself, padded with zeros", "NoZ", sign(key, new(big.Int).SetBytes(msg)).raw())
	bad("the user id in place of Z", "NoZ", signed(house16, msg))
	bad("32 zero bytes in place of Z", "NoZ", signed(make([]byte, 32), msg))
	bad("length of the user id in bytes", "WrongZ", signed(z([]byte{0, 16}, house16, constants, point), msg))
	bad("length of the user id low byte first", "WrongZ", signed(z([]byte{0x80, 0}, house16, constants, point), msg))
	bad("length of the user id left out", "WrongZ", signed(z(house16, constants, point), msg))
	bad("a, b and the base point left out", "WrongZ", signed(z(entl(house16), point), msg))
	bad("the key left out", "WrongZ", signed(z(entl(house16), constants), msg))
	bad("the key before the constants", "WrongZ", signed(z(entl(house16), point, constants), msg))
	bad("the key with 04 in front", "WrongZ", signed(z(entl(house16), constants, []byte{4}, point), msg))
	bad("the key with its numbers exchanged", "WrongZ", signed(z(entl(house16), constants, point[32:], point[:32]), msg))
	bad("Z after the message", "WrongZ", signed(msg, good))
	bad("Z in hexadecimal", "WrongZ", signed(fmt.Appendf(nil, "%x", good), msg))
	bad("Z not hashed", "WrongZ", signed(entl(house16), constants, point, msg))
	bad("e hashed again", "WrongZ", signed(z(good, msg)))
	bad("Z and the digest of the message", "WrongZ", signed(good, z(msg)))
	bad("Z with SHA-256", "WrongZ", signed(sha(entl(house16), constants, point).FillBytes(make([]byte, 32)), msg))
	bad("e low byte first", "WrongZ", sign(key, new(big.Int).SetBytes(reversed(z(good, msg)))).raw())
}

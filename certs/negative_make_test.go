package certs_test

import (
	"math/big"
	"testing"
)

// notes explain the flags.
var notes = map[string]string{
	"Control":        "A signature as it should be. Who refuses it refuses too much.",
	"OutOfRange":     "r or s is not in [1, n-1] (GB/T 32918.2 clause 7.1, steps B1 and B2).",
	"Equivalent":     "r or s is replaced by another number of the same residue, or of the same low 256 bits. Who reduces before checking the range accepts it.",
	"Negative":       "r or s is a negative INTEGER.",
	"ZeroSum":        "r + s is a multiple of n, so t is zero (step B5).",
	"Infinity":       "sG + tP is the point at infinity, which has no x. Made by who holds the key, with nonce zero and r = e. Who takes x for zero accepts it.",
	"Arithmetic":     "Numbers in range that are not the signature: negated, exchanged, small.",
	"LongLength":     "A length is written in more bytes than it needs (BER, not DER).",
	"WrongLength":    "A length says more or less than is there.",
	"Indefinite":     "Indefinite length (BER, not DER).",
	"Padded":         "An INTEGER has a leading byte that it does not need.",
	"MissingPadding": "An INTEGER lacks the zero byte in front of its high bit, which makes it negative.",
	"Trailing":       "Bytes follow the SEQUENCE.",
	"TrailingInside": "Something follows s inside the SEQUENCE.",
	"Structure":      "The SEQUENCE does not hold exactly two INTEGERs.",
	"WrongTag":       "A tag is not SEQUENCE or not INTEGER.",
	"Wrapped":        "The right bytes inside something else, or in another encoding than is demanded.",
	"Truncated":      "The first bytes of a signature, of every length. Length 0 is the empty signature.",
	"BitFlip":        "One bit is changed.",
	"Swapped":        "s where r belongs, and r where s belongs.",
	"ByteOrder":      "Numbers are written with their low byte first.",
	"Width":          "r and s are not 32 bytes each.",
	"OtherMessage":   "A good signature, of another message.",
	"OtherKey":       "A good signature of the message, by another key.",
	"OtherScheme":    "A signature of another scheme, made with the same message.",
	"NoZ":            "e is the plain digest of the message: Z is left out.",
	"WrongZ":         "Z is made otherwise than GB/T 32918.2 clause 5.5 says.",
	"OtherUserID":    "A good signature under another user id.",
	"UserIDLength":   "The user id cannot stand in Z: it is longer than 8191 bytes.",
	"OffCurve":       "The point does not satisfy the equation of the curve.",
	"PointInfinity":  "The point at infinity, or what stands for it.",
	"Compressed":     "A compressed point where 04‖x‖y is demanded.",
	"Hybrid":         "A hybrid point where 04‖x‖y is demanded.",
	"Coordinate":     "A coordinate is not below p.",
	"PointEncoding":  "The octets are no 04‖x‖y, though they may hold the key.",
	"PointTruncated": "The first octets of a key, of every length.",
	"OtherCurve":     "A point of another curve.",
	"EdgeKey":        "A key at the edge of what is allowed: d = 1, 2 or n-2.",
}

// makeVectors makes every file, by name without ".json".
func makeVectors(t *testing.T) map[string]*vectors {
	files := make(map[string]*vectors)
	for _, f := range []struct {
		name, header string
		make         func(*craft)
	}{
		{"signature-range", "Numbers r and s that no SM2 signature has, in DER and, where they fit, as 64 bytes.", ranges},
		{"signature-der", "Encodings of a good signature that are not its DER. Strict DER is demanded: one pair has one encoding.", derForms},
		{"signature-raw", "Encodings of a good signature that are not the 64 bytes r‖s.", rawForms},
		{"public-key", "Keys that are not the uncompressed octets 04‖x‖y of a finite point of the curve.", keys},
		{"user-id", "Signatures over another Z: another user id, or none.", userIDs},
		{"message", "Well-formed signatures that belong to something else.", messages},
	} {
		c := &craft{t: t, notes: notes, file: &vectors{
			Algorithm: "SM2 with SM3 (GB/T 32918.2, GB/T 32905), curve sm2p256v1 (GB/T 32918.5)",
			Schema:    "oncegate-sm2-verify-1",
			Header:    []string{f.header, "See README.md beside this file. All keys are published and protect nothing."},
			Notes:     make(map[string]string),
		}}
		f.make(c)
		files[f.name] = c.file
	}
	return files
}

const (
	form  = "signature-form"
	value = "signature-value"
)

func high(v *big.Int) bool { return v.Bit(255) == 1 }

func ranges(c *craft) {
	key := newKey(c.t, "example")
	c.begin("numbers out of range, and numbers that are not the signature", key, house16)
	msg, p := search(key, "range", func(p pair) bool { return high(p.r) && !high(p.s) })
	both := func(reason, comment, flag string, p pair) {
		c.add(reason, comment, flag, "der", msg, p.der())
		if p.fits() {
			c.add(reason, comment+", 64 bytes", flag, "raw", msg, p.raw())
		}
	}
	both("", "a good signature", "Control", p)
	for _, v := range []struct {
		name string
		n    *big.Int
	}{
		{"0", num(0)}, {"n", order}, {"n+1", add(order, num(1))}, {"p", prime}, {"2^256-1", sub(pow2(256), num(1))},
		{"2^256", pow2(256)}, {"2n", mul(order, 2)}, {"2^4096", pow2(4096)},
	} {
		both(form, "r = "+v.name, "OutOfRange", pair{v.n, p.s})
		both(form, "s = "+v.name, "OutOfRange", pair{p.r, v.n})
		both(form, "r = s = "+v.name, "OutOfRange", pair{v.n, v.n})
	}
	for _, v := range []struct {
		name string
		n    *big.Int
	}{{"n", order}, {"2n", mul(order, 2)}, {"3n", mul(order, 3)}, {"2^256", pow2(256)}, {"2^256 n", new(big.Int).Lsh(order, 256)}} {
		both(form, "r + "+v.name, "Equivalent", pair{add(p.r, v.n), p.s})
		both(form, "s + "+v.name, "Equivalent", pair{p.r, add(p.s, v.n)})
		both(form, "r + "+v.name+", s + "+v.name, "Equivalent", pair{add(p.r, v.n), add(p.s, v.n)})
	}
	for _, v := range []struct {
		name string
		pair
	}{
		{"r - n", pair{sub(p.r, order), p.s}}, {"s - n", pair{p.r, sub(p.s, order)}}, {"r - n, s - n", pair{sub(p.r, order), sub(p.s, order)}},
		{"-r", pair{neg(p.r), p.s}}, {"-s", pair{p.r, neg(p.s)}}, {"-r, -s", pair{neg(p.r), neg(p.s)}},
		{"r = -1", pair{num(-1), p.s}}, {"s = -1", pair{p.r, num(-1)}}, {"r = -n", pair{neg(order), p.s}}, {"s = -n", pair{p.r, neg(order)}},
		{"r - 2^256", pair{sub(p.r, pow2(256)), p.s}}, {"s - 2^256", pair{p.r, sub(p.s, pow2(256))}},
	} {
		both(form, v.name, "Negative", v.pair)
	}
	e := digest(za(&key.PublicKey, house16), msg)
	e.Mod(e, order)
	for _, v := range []struct {
		name string
		r    *big.Int
	}{{"r", p.r}, {"r = 1", num(1)}, {"r = n-1", sub(order, num(1))}, {"r = e", e}} {
		both(value, v.name+", s = n-r", "ZeroSum", pair{v.r, sub(order, v.r)})
	}
	both(value, "s, r = n-s", "ZeroSum", pair{sub(order, p.s), p.s})
	both(value, "r = e, s = -e d / (1+d)", "Infinity", signWith(secret(key), e, new(big.Int)))
	n1 := sub(order, num(1))
	for _, v := range []struct {
		name string
		pair
	}{
		{"r = s = 1", pair{num(1), num(1)}}, {"r = 1", pair{num(1), p.s}}, {"s = 1", pair{p.r, num(1)}},
		{"r = n-1", pair{n1, p.s}}, {"s = n-1", pair{p.r, n1}}, {"r = s = n-1", pair{n1, n1}},
		{"n-r", pair{sub(order, p.r), p.s}}, {"n-s, which ECDSA would accept", pair{p.r, sub(order, p.s)}}, {"n-r, n-s", pair{sub(order, p.r), sub(order, p.s)}},
		{"r+1", pair{add(p.r, num(1)), p.s}}, {"s+1", pair{p.r, add(p.s, num(1))}}, {"r = s", pair{p.s, p.s}}, {"s = r", pair{p.r, p.r}},
		{"t where s belongs", pair{p.r, new(big.Int).Mod(add(p.r, p.s), order)}}, {"r - e, which is x", pair{new(big.Int).Mod(sub(p.r, e), order), p.s}},
		{"r = e", pair{e, p.s}},
	} {
		both(value, v.name, "Arithmetic", v.pair)
	}
	both(value, "s, r", "Swapped", pair{p.s, p.r})
}

package matrix_test

import (
	"bytes"
	"crypto/cipher"
	"encoding/hex"
	"fmt"
	"slices"
	"testing"

	"github.com/emmansun/gmsm/sm4"

	"oncegate/certs/envelope"
	"oncegate/certs/sm"
)

func (c *city) primitives() []row {
	var rows []row
	for _, user := range []string{sm.UserID, "user@示例.example"} {
		for _, form := range []string{"der", "raw"} {
			rows = append(rows, c.signature(user, form))
		}
	}
	return append(rows, c.digest(), c.blob(), c.cbc())
}

// signature: a work is a signature of content.
func (c *city) signature(user, form string) row {
	id, shape := "default user id", "DER"
	if user != sm.UserID {
		id = "user id of its own"
	}
	if form == "raw" {
		shape = "r‖s"
	}
	r := row{name: "SM2 signature, " + shape + ", " + id}
	r.ours.make = maker{with: code("sm.Signer"), run: func(t *testing.T) work {
		rs, err := c.signer(t).Sign(t.Context(), content)
		must(t, err)
		if form == "der" {
			rs, err = sm.RawToDER(rs)
			must(t, err)
		}
		return work{rs}
	}}
	if user != sm.UserID {
		r.ours.make = maker{why: "Oncegate signs under the default id only."}
	}
	r.ours.check = checker{with: code("sm.VerifyAs"), run: func(t *testing.T, w work) error {
		rs, err := w[0], error(nil)
		if form == "der" {
			if rs, err = sm.DERToRaw(rs); err != nil {
				return err
			}
		}
		return sm.VerifyAs(&c.key.PublicKey, []byte(user), content, rs)
	}}
	encoding := map[string]string{"der": "StandardDSAEncoding", "raw": "PlainDSAEncoding"}[form]
	bc := side{
		c.made(code("SM2Signer", encoding), func(t *testing.T) work { return c.bc.demand(t, "sm2.sign", c.d, user, content, form) }),
		c.checked(code("SM2Signer", encoding), func(t *testing.T, w work) error {
			_, err := c.bc.ask("sm2.verify", c.point(), user, content, w[0], form)
			return err
		}),
	}
	const noRaw = "OpenSSL knows SM2 signatures in DER only; [verify.md](verify.md) turns one into the other."
	ssl := side{maker{why: noRaw}, checker{why: noRaw}}
	if form == "der" {
		option := " -sigopt distid:" + user
		ssl = side{
			maker{with: code("openssl dgst -sm3 -sign -sigopt distid:…"), run: func(t *testing.T) work {
				w := newWorkshop(t)
				text, err := sm.MarshalPrivatePEM(c.key)
				must(t, err)
				w.write(t, "key", text)
				w.write(t, "content", content)
				must(t, w.run("openssl dgst -sm3 -sign key"+option+" -out signature content"))
				return work{w.read(t, "signature")}
			}},
			checker{with: code("openssl dgst -sm3 -verify -sigopt distid:…"), run: func(t *testing.T, made work) error {
				return c.openSSLVerifies(t, content, made[0], option)
			}},
		}
	}
	r.theirs = map[string]side{openSSL: ssl, bouncyCastle: bc, logTools: noSM2}
	return r
}

const noSM2Why = "these tools know no SM2, SM3 and SM4, and read logs only."

var noSM2 = side{maker{why: noSM2Why}, checker{why: noSM2Why}}

func (c *city) openSSLVerifies(t *testing.T, message, signature []byte, option string) error {
	w := newWorkshop(t)
	text, err := sm.MarshalPEM(&c.key.PublicKey)
	must(t, err)
	w.write(t, "key", text)
	w.write(t, "content", message)
	w.write(t, "signature", signature)
	return w.run("openssl dgst -sm3 -verify key" + option + " -signature signature content")
}

// digest: a work is the SM3 of content.
func (c *city) digest() row {
	same := func(sum func(t *testing.T) []byte) func(t *testing.T, w work) error {
		return func(t *testing.T, w work) error { return differ(w[0], sum(t)) }
	}
	ours := func(*testing.T) []byte { d := sm.Digest(content); return d[:] }
	ssl := func(t *testing.T) []byte {
		w := newWorkshop(t)
		w.write(t, "content", content)
		must(t, w.run("openssl dgst -sm3 -binary -out digest content"))
		return w.read(t, "digest")
	}
	bc := func(t *testing.T) []byte { return c.bc.demand(t, "sm3", content)[0] }
	return row{
		name: "SM3 digest",
		ours: side{maker{with: code("sm.Digest"), run: func(t *testing.T) work { return work{ours(t)} }}, checker{with: code("sm.Digest"), run: same(ours)}},
		theirs: map[string]side{
			openSSL: {maker{with: code("openssl dgst -sm3"), run: func(t *testing.T) work { return work{ssl(t)} }}, checker{with: code("openssl dgst -sm3"), run: same(ssl)}},
			bouncyCastle: {
				c.made(code("SM3Digest"), func(t *testing.T) work { return work{bc(t)} }),
				c.checked(code("SM3Digest"), same(bc)),
			},
			logTools: noSM2,
		},
	}
}

// blob: a work is content, sealed as the house seals at rest. The other side follows the comment of package envelope.
func (c *city) blob() row {
	key := envelope.Key{ID: "key-1", Secret: [32]byte([]byte("thirty-two bytes that are secret"))}
	aad := []byte("table, column, row")
	header := slices.Concat([]byte{1, byte(len(key.ID))}, []byte(key.ID))
	ring := func(t *testing.T) *envelope.Keyring {
		k, err := envelope.NewKeyring(nil, key)
		must(t, err)
		return k
	}
	derived := func(t *testing.T, nonce []byte) []byte {
		return c.bc.demand(t, "hmac", key.Secret[:], append([]byte("oncegate/envelope/sm4-gcm/v1"), nonce[:12]...))[0][:16]
	}
	const with = "GCMBlockCipher(SM4Engine)"
	const noGCM = "OpenSSL 3.0 has no SM4-GCM."
	return row{
		name: "SM4-GCM: a blob sealed at rest",
		ours: side{
			maker{with: code("envelope.Keyring"), run: func(t *testing.T) work {
				b, err := ring(t).Seal(content, aad)
				must(t, err)
				return work{b}
			}},
			checker{with: code("envelope.Keyring"), run: func(t *testing.T, w work) error {
				clear, err := ring(t).Open(w[0], aad)
				if err != nil {
					return err
				}
				return differ(clear, content)
			}},
		},
		theirs: map[string]side{
			openSSL: {maker{why: noGCM}, checker{why: noGCM}},
			bouncyCastle: {
				c.made(code(with, "HMac(SM3Digest)"), func(t *testing.T) work {
					nonce := bytes.Repeat([]byte{7}, 24)
					head := append(header, nonce...)
					sealed := c.bc.demand(t, "gcm.seal", derived(t, nonce), nonce[12:], slices.Concat(head, aad), content)[0]
					return work{slices.Concat(head, sealed)}
				}),
				c.checked(code(with, "HMac(SM3Digest)"), func(t *testing.T, w work) error {
					head := w[0][:len(header)+24]
					nonce := head[len(header):]
					clear, err := c.bc.ask("gcm.open", derived(t, nonce), nonce[12:], slices.Concat(head, aad), w[0][len(head):])
					if err != nil {
						return err
					}
					return differ(clear[0], content)
				}),
			},
			logTools: noSM2,
		},
	}
}

// cbc: a work is content under SM4 in CBC with PKCS #7 padding, as PKCS#12 files have it.
func (c *city) cbc() row {
	key, iv := []byte("sixteen bytes, k"), []byte("sixteen bytes, v")
	option := fmt.Sprintf("-sm4-cbc -K %s -iv %s", hex.EncodeToString(key), hex.EncodeToString(iv))
	mode := func(t *testing.T) cipher.Block {
		b, err := sm4.NewCipher(key)
		must(t, err)
		return b
	}
	return row{
		name: "SM4-CBC",
		ours: side{
			maker{with: code("gmsm/sm4"), run: func(t *testing.T) work {
				pad := sm4.BlockSize - len(content)%sm4.BlockSize
				b := slices.Concat(content, bytes.Repeat([]byte{byte(pad)}, pad))
				cipher.NewCBCEncrypter(mode(t), iv).CryptBlocks(b, b)
				return work{b}
			}},
			checker{with: code("gmsm/sm4"), run: func(t *testing.T, w work) error {
				b := bytes.Clone(w[0])
				cipher.NewCBCDecrypter(mode(t), iv).CryptBlocks(b, b)
				pad := int(b[len(b)-1])
				return differ(b[:max(0, len(b)-pad)], content)
			}},
		},
		theirs: map[string]side{
			openSSL: {
				maker{with: code("openssl enc -sm4-cbc"), run: func(t *testing.T) work {
					w := newWorkshop(t)
					w.write(t, "in", content)
					must(t, w.run("openssl enc "+option+" -in in -out out"))
					return work{w.read(t, "out")}
				}},
				checker{with: code("openssl enc -d -sm4-cbc"), run: func(t *testing.T, made work) error {
					w := newWorkshop(t)
					w.write(t, "in", made[0])
					if err := w.run("openssl enc -d " + option + " -in in -out out"); err != nil {
						return err
					}
					return differ(w.read(t, "out"), content)
				}},
			},
			bouncyCastle: {
				c.made(code("CBCBlockCipher(SM4Engine)"), func(t *testing.T) work { return c.bc.demand(t, "cbc.seal", key, iv, content) }),
				c.checked(code("CBCBlockCipher(SM4Engine)"), func(t *testing.T, w work) error {
					clear, err := c.bc.ask("cbc.open", key, iv, w[0])
					if err != nil {
						return err
					}
					return differ(clear[0], content)
				}),
			},
			logTools: noSM2,
		},
	}
}

package matrix_test

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"testing"

	"oncegate/certs/keystore/pkcs12"
	"oncegate/certs/pki"
	"oncegate/certs/sm"
)

const password = "口令 pässword"

func (c *city) keys() []row {
	return []row{c.pkcs8(), c.pkcs12("PKCS12", "3DES and RC2"), c.pkcs12("PKCS12-3DES-3DES", "3DES"), c.pkcs12("", "PBES2 with AES")}
}

// pkcs8: a work is a PrivateKeyInfo. The private number is changed, not the public key that may stand beside it.
func (c *city) pkcs8() row {
	return row{
		name: "Private key (PKCS#8)",
		spoil: func(t *testing.T, b []byte) []byte {
			out := bytes.Clone(b)
			i := bytes.Index(out, c.d)
			if i < 0 {
				t.Fatal("the key is not in the file")
			}
			out[i+20] ^= 1
			return out
		},
		ours: side{
			maker{with: code("sm.MarshalPrivatePEM"), run: func(t *testing.T) work {
				text, err := sm.MarshalPrivatePEM(c.key)
				must(t, err)
				block, _ := pem.Decode(text)
				return work{block.Bytes}
			}},
			checker{with: code("sm.ParsePrivatePEM"), run: func(t *testing.T, w work) error {
				key, err := sm.ParsePrivatePEM(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: w[0]}))
				if err != nil {
					return err
				}
				return differ(sm.PrivateBytes(key), c.d)
			}},
		},
		theirs: map[string]side{
			openSSL: {
				maker{with: code("openssl pkey"), run: func(t *testing.T) work {
					w := newWorkshop(t)
					text, err := sm.MarshalPrivatePEM(c.key)
					must(t, err)
					w.write(t, "key", text)
					must(t, w.run("openssl ec -in key -out sec1 && openssl pkcs8 -topk8 -nocrypt -in sec1 -outform DER -out out"))
					return work{w.read(t, "out")}
				}},
				checker{with: code("openssl dgst -sign") + " with the key", run: func(t *testing.T, made work) error {
					w := newWorkshop(t)
					w.write(t, "key", made[0])
					w.write(t, "content", content)
					if err := w.run("openssl pkey -inform DER -in key -out pem && openssl dgst -sm3 -sign pem -sigopt $id -out signature content"); err != nil {
						return err
					}
					rs, err := sm.DERToRaw(w.read(t, "signature"))
					if err != nil {
						return err
					}
					return sm.Verify(&c.key.PublicKey, content, rs)
				}},
			},
			bouncyCastle: {
				c.made(code("BCECPrivateKey.getEncoded"), func(t *testing.T) work {
					return c.bc.demand(t, "pkcs8.make", c.d, c.Root.Certificate().Raw)
				}),
				c.checked(code("KeyFactory", "PKCS8EncodedKeySpec"), func(t *testing.T, w work) error {
					d, err := c.bc.ask("pkcs8.read", w[0])
					if err != nil {
						return err
					}
					return differ(d[0], c.d)
				}),
			},
			logTools: noSM2,
		},
	}
}

// pkcs12: a work is a file, and the key in it. The kind is that of a Java key store, or empty for what none of them writes.
func (c *city) pkcs12(kind, cipher string) row {
	const reads = "Oncegate reads such files and writes none."
	with := code("KeyStore " + kind)
	if kind == "" {
		with = code("PKCS12PfxPduBuilder")
	}
	ssl := side{
		maker{by: "certs/keystore/pkcs12/pkcs12_test.go TestReadsOpenSSL", with: code("openssl pkcs12 -export")},
		checker{},
	}
	return row{
		name: "Key and chain in a file (PKCS#12), " + cipher,
		ours: side{
			maker{why: reads},
			checker{with: code("pkcs12.Parse"), run: func(t *testing.T, w work) error {
				entries, err := pkcs12.Parse(w[0], password)
				if err != nil {
					return err
				}
				if len(entries) != 1 || entries[0].Chain == nil && cipher != "3DES and RC2" {
					return fmt.Errorf("%d entries", len(entries))
				}
				for _, cert := range entries[0].Chain {
					if err := pki.SignedBy(cert, cert, nil); err == nil {
						return fmt.Errorf("a root is in the chain")
					}
				}
				return differ(sm.PrivateBytes(entries[0].Key), w[1])
			}},
		},
		theirs: map[string]side{
			openSSL: ssl,
			bouncyCastle: {c.made(with, func(t *testing.T) work {
				x := c.theirs(t, pki.License)
				return work{c.bc.demand(t, "pkcs12.make", kind, password, x.leafKey, x.leaf, x.sub)[0], x.leafKey}
			}), checker{}},
			logTools: noSM2,
		},
	}
}

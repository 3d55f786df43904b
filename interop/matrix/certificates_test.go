package matrix_test

import (
	"encoding/pem"
	"fmt"
	"testing"
	"time"

	"oncegate/certs/pki"
	"oncegate/certs/sm"
)

func (c *city) certificates() []row {
	return []row{c.chain(), c.request()}
}

// chain: a work is leaf, intermediate, root.
func (c *city) chain() row {
	return row{
		name: "Certificate chain of three levels",
		ours: side{
			maker{with: code("pki.CA"), run: func(t *testing.T) work {
				_, chain := c.Issue("department", pki.License, uscc, organization)
				return work{chain[0].Raw, chain[1].Raw, c.Root.Certificate().Raw}
			}},
			checker{with: code("pki.Verifier.ChainDER"), run: func(t *testing.T, w work) error {
				v, err := trust(w[2])
				if err != nil {
					return err
				}
				anchor, err := pki.Parse(w[2])
				must(t, err)
				when := anchor.NotBefore.Add(time.Hour) // OpenSSL certifies from the present on
				leaf, err := v.ChainDER(w[:2], when, pki.License)
				if err == nil && leaf.USCC != uscc {
					err = fmt.Errorf("code %q", leaf.USCC)
				}
				return err
			}},
		},
		theirs: map[string]side{
			openSSL: {
				maker{with: code("openssl x509 -req -vfyopt distid:… -sigopt distid:…"), run: func(t *testing.T) work {
					w := newWorkshop(t)
					must(t, w.run(opensslChain))
					return work{w.read(t, "leaf.der"), w.read(t, "sub.der"), w.read(t, "root.der")}
				}},
				checker{by: "certs/certstest/openssl_test.go TestOpenSSL", with: code("openssl verify -vfyopt distid:…") + " link by link"},
			},
			bouncyCastle: {
				c.made(code("X509v3CertificateBuilder", "JcaContentSignerBuilder"), func(t *testing.T) work {
					x := c.theirs(t, pki.License)
					return work{x.leaf, x.sub, x.root}
				}),
				c.checked(code("CertPathValidator PKIX"), func(t *testing.T, w work) error {
					_, err := c.bc.ask("chain.verify", at.Unix(), w[2], w[0], w[1])
					return err
				}),
			},
			logTools: noSM2,
		},
	}
}

// opensslChain is an authority of two levels with one certificate below, by OpenSSL 3.
const opensslChain = `
for k in root sub leaf; do openssl genpkey -algorithm SM2 -out $k.key; done
cat >config <<'END'
[root]
basicConstraints = critical,CA:true
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[sub]
basicConstraints = critical,CA:true,pathlen:0
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[leaf]
keyUsage = critical,digitalSignature,nonRepudiation
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
END
certify() { # NAME SUBJECT OPTION...
	name=$1 subject=$2; shift 2
	openssl req -config /dev/null -new -key $name.key -sm3 -sigopt $id -subj "$subject" -out $name.csr
	openssl x509 -req -in $name.csr -vfyopt $id -sm3 -sigopt $id -days 30 -extfile config -extensions $name "$@" -out $name.pem
	openssl x509 -in $name.pem -outform DER -out $name.der
}
certify root /C=CN/O=city/CN=root -signkey root.key
certify sub /C=CN/O=city/CN=sub -CA root.pem -CAkey root.key -set_serial 2
certify leaf /C=CN/O=city/OU=license/organizationIdentifier=11330000MB0000001X/CN=leaf -CA sub.pem -CAkey sub.key -set_serial 3
`

// request: a work is a CSR and the point that it is for.
func (c *city) request() row {
	const with = "openssl req -sm3 -sigopt distid:…"
	return row{
		name: "Certificate request (PKCS#10)",
		ours: side{
			maker{with: code("pki.CreateRequest"), run: func(t *testing.T) work {
				text, err := pki.CreateRequest(t.Context(), pki.Request{Organization: organization, USCC: uscc, Usage: pki.License, CommonName: "x"}, c.signer(t))
				must(t, err)
				block, _ := pem.Decode(text)
				return work{block.Bytes, c.point()}
			}},
			checker{with: code("pki.ParseRequest"), run: func(t *testing.T, w work) error {
				pub, err := pki.ParseRequest(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: w[0]}))
				if err != nil {
					return err
				}
				return differ(sm.MarshalPoint(pub), w[1])
			}},
		},
		theirs: map[string]side{
			openSSL: {
				maker{with: code(with + " -new"), run: func(t *testing.T) work {
					w := newWorkshop(t)
					text, err := sm.MarshalPrivatePEM(c.key)
					must(t, err)
					w.write(t, "key", text)
					must(t, w.run("openssl req -config /dev/null -new -key key -sm3 -sigopt $id -subj /C=CN/O=city/OU=license/CN=x -outform DER -out csr"))
					return work{w.read(t, "csr"), c.point()}
				}},
				checker{with: code("openssl req -verify -vfyopt distid:…"), run: func(t *testing.T, made work) error {
					w := newWorkshop(t)
					w.write(t, "csr", made[0])
					// "req -verify" of OpenSSL 3.0 ends with success whatever it finds.
					return w.run("openssl req -inform DER -in csr -verify -vfyopt $id -noout 2>&1 | grep -q 'verify OK'")
				}},
			},
			bouncyCastle: {
				c.made(code("PKCS10CertificationRequestBuilder"), func(t *testing.T) work { return c.bc.demand(t, "csr.make") }),
				c.checked(code("PKCS10CertificationRequest"), func(t *testing.T, w work) error {
					point, err := c.bc.ask("csr.verify", w[0])
					if err != nil {
						return err
					}
					return differ(point[0], w[1])
				}),
			},
			logTools: noSM2,
		},
	}
}

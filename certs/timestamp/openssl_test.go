package timestamp_test

import (
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emmansun/gmsm/smx509"

	"oncegate/certs/certstest"
	"oncegate/certs/certstest/tsa"
	"oncegate/certs/pki"
	"oncegate/certs/timestamp"
)

// tool runs OpenSSL in a directory.
type tool struct {
	t   *testing.T
	dir string
}

func newTool(t *testing.T) tool {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not installed: NOT TESTED whether it understands our time stamps, and we its")
	}
	return tool{t, t.TempDir()}
}

func (o tool) try(args string) (string, error) {
	cmd := exec.CommandContext(o.t.Context(), "openssl", strings.Fields(args)...)
	cmd.Dir = o.dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// run expects success and every one of says in the output.
func (o tool) run(args string, says ...string) {
	o.t.Helper()
	out, err := o.try(args)
	if err != nil {
		o.t.Fatalf("openssl %s: %v\n%s", args, err, out)
	}
	for _, s := range says {
		if !strings.Contains(out, s) {
			o.t.Errorf("openssl %s does not say %q\n%s", args, s, out)
		}
	}
}

func (o tool) write(name string, content []byte) {
	o.t.Helper()
	if err := os.WriteFile(filepath.Join(o.dir, name), content, 0o600); err != nil {
		o.t.Fatal(err)
	}
}

func (o tool) read(name string) []byte {
	o.t.Helper()
	b, err := os.ReadFile(filepath.Join(o.dir, name))
	if err != nil {
		o.t.Fatal(err)
	}
	return b
}

// OpenSSL 3.0 makes requests that we answer, and reads our requests, responses, tokens and refusals. It does not verify a
// token signed with SM2, ours or anybody's: it checks everything up to the signature, which it computes without the user
// id. That what it says then is about the signature alone shows that the rest holds.
func TestOpenSSLReads(t *testing.T) {
	o, w := newTool(t), certstest.New(t, "tsa")
	c := config(w)
	c.Chain = c.Chain[:1]
	a := authority(t, c)
	o.write("data", signature)
	o.write("tsa.pem", pki.MarshalPEM(a.Chain[0]))
	o.run("ts -query -data data -sm3 -cert -tspolicy 1.2.156.99999.2 -out q.tsq")
	reply, err := a.Respond(t.Context(), o.read("q.tsq"))
	if err != nil {
		t.Fatal(err)
	}
	o.write("r.tsr", reply)
	o.run("ts -reply -in r.tsr -text", "Status: Granted.", "Hash Algorithm: sm3", "Policy OID: 1.2.156.99999.2", "Time stamp: Nov 23 05:00:00.12 2026 GMT", "Accuracy: 0x01 seconds")
	r, err := timestamp.ParseResponse(reply)
	if err != nil {
		t.Fatal(err)
	}
	query, err := tsa.ParseRequest(o.read("q.tsq"))
	if err != nil {
		t.Fatal(err)
	}
	v := verifier(w)
	v.Certificates = []*pki.Certificate{w.Intermediate.Certificate()}
	if got := v.Verify(t.Context(), r.Token, signature, query.Nonce); got.Failure() != nil {
		t.Error(got.Failure())
	}
	o.write("token", r.Token)
	o.run("ts -reply -in token -token_in -token_out -text", "Hash Algorithm: sm3")

	// Its "ts" takes no user id for the chain either, so the authority's certificate itself is the anchor here, and the one
	// above it is not in the token.
	const verify = "ts -verify -queryfile q.tsq -in r.tsr -CAfile tsa.pem -partial_chain -attime 1795410000"
	out, err := o.try(verify)
	if err == nil {
		t.Log("this OpenSSL verifies tokens signed with SM2")
	} else if !strings.Contains(out, "signature failure") || strings.Contains(out, "certificate verify error") {
		t.Errorf("openssl fails before the signature\n%s", out)
	}

	ours := marshal(t, timestamp.Request{Imprint: imprint(t, timestamp.SM3), Nonce: query.Nonce, Policy: policy, Certificates: true})
	o.write("ours.tsq", ours)
	o.run("ts -query -in ours.tsq -text", "Version: 1", "Hash Algorithm: sm3", "Policy OID: 1.2.156.99999.1", "Certificate required: yes")
	refused, err := a.Respond(t.Context(), marshal(t, timestamp.Request{Imprint: imprint(t, timestamp.SM3), Policy: []int{1, 2, 3}}))
	if err != nil {
		t.Fatal(err)
	}
	o.write("refused.tsr", refused)
	o.run("ts -reply -in refused.tsr -text", "Status: Rejected.", "Status description: the policy is not offered", "the requested TSA policy is not supported by the TSA")
}

const opensslConfig = `
[req]
distinguished_name = dn
prompt = no
[dn]
CN = foreign
[ca]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign
subjectKeyIdentifier = hash
[tsa]
extendedKeyUsage = critical,timeStamping
keyUsage = critical,digitalSignature
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[stamp]
serial = serial
default_policy = 1.2.3.4
digests = sha256,sm3
signer_digest = sha256
accuracy = secs:1,millisecs:5,microsecs:7
tsa_name = yes
ordering = yes
ess_cert_id_chain = yes
`

// opensslAuthority is OpenSSL's responder behind HTTP.
func (o tool) opensslAuthority(flags string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query := make([]byte, r.ContentLength)
		if _, err := r.Body.Read(query); err != nil && len(query) == 0 {
			o.t.Error(err)
		}
		o.write("q.tsq", query)
		if out, err := o.try("ts -reply -config tsa.cnf -section stamp -queryfile q.tsq -signer tsa.pem -inkey tsa.key -chain ca.pem -out r.tsr " + flags); err != nil {
			o.t.Errorf("%v\n%s", err, out)
		}
		w.Header().Set("Content-Type", "application/timestamp-reply")
		_, _ = w.Write(o.read("r.tsr"))
	})
}

// OpenSSL 3.0 as the authority, with RSA and ECDSA: it refuses to sign with SM2. Our client accepts its tokens where foreign
// ones are wanted, and refuses them, naming the signature, where not.
func TestOpenSSLAuthority(t *testing.T) {
	for _, c := range []struct{ name, key, flags string }{
		{"RSA", "rsa:2048", ""},
		{"ECDSA", "ec -pkeyopt ec_paramgen_curve:P-256", ""},
		{"ECDSA, older attribute", "ec -pkeyopt ec_paramgen_curve:P-256", "ess_cert_id_alg = sha1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := newTool(t)
			o.write("tsa.cnf", []byte(opensslConfig+c.flags+"\n"))
			o.write("serial", []byte("01\n"))
			o.run("req -x509 -nodes -config tsa.cnf -extensions ca -days 30 -newkey " + c.key + " -keyout ca.key -out ca.pem")
			o.run("req -new -nodes -config tsa.cnf -subj /CN=tsa -newkey " + c.key + " -keyout tsa.key -out tsa.csr")
			o.run("x509 -req -in tsa.csr -CA ca.pem -CAkey ca.key -set_serial 7 -days 20 -extfile tsa.cnf -extensions tsa -out tsa.pem")
			client := &timestamp.Client{
				URL: serve(t, o.opensslAuthority("")), Timeout: 30 * time.Second,
				Verifier: &timestamp.Verifier{Foreign: true, Chain: chainTo(t, o.read("ca.pem"))},
			}
			for _, algorithm := range [][]int{nil, timestamp.SHA256} {
				client.Algorithm = algorithm
				token, err := client.Stamp(t.Context(), signature)
				if err != nil {
					t.Fatal(err)
				}
				info, err := timestamp.ParseToken(token)
				if err != nil || info.Accuracy != time.Second+5*time.Millisecond+7*time.Microsecond || !info.Ordering || info.Name == nil {
					t.Errorf("%+v, %v", info, err)
				}
			}
			client.Verifier.Foreign = false
			if _, err := client.Stamp(t.Context(), signature); err == nil || !strings.Contains(err.Error(), "timestamp-signature") {
				t.Errorf("a foreign token where none is wanted: %v", err)
			}
			client.Algorithm = []int{2, 16, 840, 1, 101, 3, 4, 2, 3} // SHA-512, which it is not configured for
			var refusal *timestamp.Refusal
			if _, err := client.Stamp(t.Context(), signature); !errors.As(err, &refusal) || refusal.Failure != timestamp.BadAlgorithm {
				t.Errorf("%v", err)
			}
		})
	}
}

// chainTo judges foreign chains by the certificate library.
func chainTo(t *testing.T, anchor []byte) func(*pki.Certificate, []*pki.Certificate, time.Time, string) (pki.Leaf, error) {
	roots := smx509.NewCertPool()
	if !roots.AppendCertsFromPEM(anchor) {
		t.Fatal("no anchor")
	}
	return func(leaf *pki.Certificate, above []*pki.Certificate, at time.Time, _ string) (pki.Leaf, error) {
		_, err := leaf.Verify(smx509.VerifyOptions{Roots: roots, CurrentTime: at, KeyUsages: []smx509.ExtKeyUsage{smx509.ExtKeyUsageTimeStamping}})
		return pki.Leaf{CommonName: leaf.Subject.CommonName}, err
	}
}

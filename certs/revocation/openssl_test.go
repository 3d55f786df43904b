package revocation_test

import (
	_ "embed"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"oncegate/certs/certstest"
	"oncegate/certs/pki"
	"oncegate/certs/revocation"
)

//go:embed testdata/city.cnf
var cityConfig string

// workshop is a folder in which OpenSSL works.
type workshop struct {
	t      *testing.T
	dir    string
	server string
}

func newWorkshop(t *testing.T) *workshop {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not installed: NOT TESTED whether other tools read our lists and answers, and we theirs")
	}
	w := &workshop{t: t, dir: t.TempDir()}
	w.write("ca.cnf", []byte(cityConfig))
	return w
}

func (w *workshop) write(name string, content []byte) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, name), content, 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *workshop) read(name string) []byte {
	w.t.Helper()
	b, err := os.ReadFile(filepath.Join(w.dir, name))
	if err != nil {
		w.t.Error(err)
	}
	return b
}

// try runs a script in the folder.
func (w *workshop) try(script string) (string, error) {
	cmd := exec.Command("sh", "-ec", "id=distid:1234567812345678\n"+script)
	cmd.Dir = w.dir
	cmd.Env = append(os.Environ(), "SERVER="+w.server)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (w *workshop) run(script string) string {
	w.t.Helper()
	out, err := w.try(script)
	if err != nil {
		w.t.Fatalf("%v\n%s", err, out)
	}
	return out
}

// signed verifies a signed structure (a list, a BasicOCSPResponse) with OpenSSL: its first member, under its BIT STRING.
// "openssl crl -verify" and "openssl ocsp" cannot, in 3.0: they have no option for the user id, and use the empty one.
const signed = `
signed() { # KEY FILE
    openssl asn1parse -inform DER -in "$2" -strparse "$(openssl asn1parse -inform DER -in "$2" | awk -F: 'NR == 2 { print $1 + 0 }')" -noout -out tbs
    openssl asn1parse -inform DER -in "$2" -strparse "$(openssl asn1parse -inform DER -in "$2" | awk -F: '/d=1 .*BIT STRING/ { print $1 + 0; exit }')" -noout -out sig
    openssl dgst -sm3 -verify "$1" -sigopt "$id" -signature sig tbs
}
`

// OpenSSL reads what we make, and finds the signatures right.
func TestOpenSSLReadsOurs(t *testing.T) {
	w := newWorkshop(t)
	c := newCity(t, "openssl", false, false)
	c.revoke(certstest.Epoch.Add(-hour), pki.KeyCompromise)
	w.write("sub.pem", pki.MarshalPEM(c.path[1]))
	w.write("leaf.pem", pki.MarshalPEM(c.path[0]))
	w.write("list.der", c.list(c.Intermediate, 17, c.revoked))
	w.run("openssl x509 -in sub.pem -noout -pubkey >sub.pub")

	out := w.run("openssl crl -inform DER -in list.der -noout -text -crlnumber")
	for _, want := range []string{"SM2-with-SM3", "Key Compromise", "crlNumber=0x11", "Nov 24 04:00:00 2026"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in %s", want, out)
		}
	}
	w.run(signed + "signed sub.pub list.der")
	bad := w.read("list.der")
	bad[60] ^= 1
	w.write("bad.der", bad)
	if out, err := w.try(signed + "signed sub.pub bad.der"); err == nil {
		t.Error("OpenSSL accepts a changed list", out)
	}

	responder := c.responder(c.Intermediate, "ca-sub")
	c.set(func() { c.now = time.Now() }) // OpenSSL asks for no other time
	server := httptest.NewServer(responder)
	defer server.Close()
	w.write("responder.pem", pki.MarshalPEM(responder.Certificate))
	for _, hash := range []string{"sha1", "sm3", "sha256"} {
		out = w.run("openssl ocsp -" + hash + " -nonce -issuer sub.pem -cert leaf.pem -url " + server.URL + " -noverify -resp_text -respout answer.der")
		for _, want := range []string{"OCSP Response Status: successful", "leaf.pem: revoked", "keyCompromise", "Signature Algorithm: SM2-with-SM3"} {
			if !strings.Contains(out, want) {
				t.Errorf("%s: no %q in %s", hash, want, out)
			}
		}
		if strings.Contains(out, "Nonce Verify error") || strings.Contains(out, "WARNING: no nonce") {
			t.Errorf("%s: the nonce", hash)
		}
		r, err := revocation.ParseResponse(w.read("answer.der"))
		if err != nil {
			t.Fatal(err)
		}
		w.write("basic.der", r.Raw)
		w.run("openssl x509 -in responder.pem -noout -pubkey >responder.pub" + signed + "signed responder.pub basic.der")
	}
	c.set(func() { c.revoked = nil })
	if out := w.run("openssl ocsp -issuer sub.pem -cert leaf.pem -url " + server.URL + " -noverify"); !strings.Contains(out, "leaf.pem: good") {
		t.Error(out)
	}
}

// We read what OpenSSL makes, an authority with lists and a responder of its own, and find the signatures right.
func TestOpenSSLMakesTheirs(t *testing.T) {
	w := newWorkshop(t)
	server := httptest.NewServer(http.HandlerFunc(w.answer))
	defer server.Close()
	w.server = server.URL
	w.run(`
		for k in ca leaf ocsp; do openssl genpkey -algorithm SM2 -out $k.key; done
		openssl req -config /dev/null -x509 -new -key ca.key -sm3 -sigopt $id -subj /C=CN/O=city/CN=ca -days 30 -out ca.pem \
			-addext subjectKeyIdentifier=hash -addext basicConstraints=critical,CA:true -addext keyUsage=critical,keyCertSign,cRLSign
		touch index.txt; echo 1000 >serial; echo 05 >crlnumber
		for k in leaf ocsp; do
			openssl req -config /dev/null -new -key $k.key -sm3 -sigopt $id \
				-subj /O=city/OU=license/organizationIdentifier=11330000MB0000001X/CN=$k -out $k.csr
			openssl ca -batch -config ca.cnf -extensions $k -cert ca.pem -keyfile ca.key -sigopt $id -vfyopt $id -in $k.csr -notext -out $k.pem
		done
		openssl ca -gencrl -config ca.cnf -cert ca.pem -keyfile ca.key -sigopt $id -out ca.crl`)
	certs := func(name string) *pki.Certificate {
		list, err := pki.ParsePEM(w.read(name))
		if err != nil {
			t.Fatal(err)
		}
		return list[0]
	}
	leaf, ca := certs("leaf.pem"), certs("ca.pem")
	v, err := pki.NewVerifier(pki.Trust{Anchors: []*pki.Certificate{ca}})
	if err != nil {
		t.Fatal(err)
	}
	path, err := v.Path(leaf, nil, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	lists := *leaf
	lists.OCSPServer = nil
	for _, want := range []revocation.State{revocation.Good, revocation.Revoked} {
		for _, h := range []revocation.Hash{revocation.SHA1, revocation.SM3} {
			cl := revocation.New(revocation.Config{Hash: h, NonceRequired: true})
			for _, cert := range []*pki.Certificate{leaf, &lists} {
				s, err := cl.Status(t.Context(), cert, ca, time.Now())
				if err != nil || s.State != want {
					t.Fatalf("%s: %+v, %v", want, s, err)
				}
				if want == revocation.Revoked && s.Reason != pki.KeyCompromise {
					t.Errorf("%+v", s)
				}
			}
			if e, steps := cl.Collect(t.Context(), path); len(e.Responses) != 1 {
				t.Errorf("%+v", steps)
			}
		}
		if want == revocation.Good {
			w.run(`
				openssl ca -config ca.cnf -cert ca.pem -keyfile ca.key -revoke leaf.pem -crl_reason keyCompromise
				openssl ca -gencrl -config ca.cnf -cert ca.pem -keyfile ca.key -sigopt $id -out ca.crl`)
		}
	}
}

// answer serves the authority: its list, and its responder.
func (w *workshop) answer(out http.ResponseWriter, q *http.Request) {
	if q.Method == http.MethodGet {
		_, _ = out.Write(w.read("ca.crl"))
		return
	}
	body, err := io.ReadAll(q.Body)
	if err != nil {
		w.t.Error(err)
	}
	w.write("question.der", body)
	text, err := w.try("openssl ocsp -index index.txt -CA ca.pem -rsigner ocsp.pem -rkey ocsp.key -rmd sm3 -rsigopt $id -ndays 1 -reqin question.der -respout answer.der")
	if err != nil {
		w.t.Errorf("%v\n%s", err, text)
	}
	_, _ = out.Write(w.read("answer.der"))
}

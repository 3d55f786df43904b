package cms_test

import (
	"bytes"
	"crypto/ecdsa"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emmansun/gmsm/pkcs7"
	"github.com/emmansun/gmsm/smx509"

	"oncegate/certs/certstest"
	"oncegate/certs/cms"
	"oncegate/certs/pki"
	"oncegate/certs/second"
	"oncegate/certs/sm"
)

// node is a DER value read by hand: this reader shares no code with the package and knows nothing of CMS.
type node struct {
	tag  byte
	raw  []byte // with head
	body []byte
	kids []node
}

func read(t *testing.T, b []byte) (n node, rest []byte) {
	t.Helper()
	head, size := 2, int(b[1])
	if size&0x80 != 0 {
		head += size & 0x7f
		size = 0
		for _, o := range b[2:head] {
			size = size*256 + int(o)
		}
	}
	n = node{tag: b[0], raw: b[:head+size], body: b[head : head+size]}
	for inner := n.body; n.tag&0x20 != 0 && len(inner) > 0; {
		var kid node
		kid, inner = read(t, inner)
		n.kids = append(n.kids, kid)
	}
	return n, b[head+size:]
}

func (n node) is(t *testing.T, what string, hexes ...string) {
	t.Helper()
	for _, h := range hexes {
		if hex.EncodeToString(n.raw) == h {
			return
		}
	}
	t.Fatalf("%s: %x, want %v", what, n.raw, hexes)
}

// Octets of GB/T 35275 and its relatives, written out.
const (
	gmSigned, gmData   = "060a2a811ccf550601040202", "060a2a811ccf550601040201"
	rfcSigned, rfcData = "06092a864886f70d010702", "06092a864886f70d010701"
	sm3Algorithm       = "300a06082a811ccf55018311"
	gmAlgorithm        = "300b06092a811ccf5501822d01"
	rfcAlgorithm       = "300a06082a811ccf55018375"
	versionOne         = "020101"
	contentTypeOID     = "06092a864886f70d010903"
	messageDigestOID   = "06092a864886f70d010904"
	signingTimeOID     = "06092a864886f70d010905"
)

// dissect walks a message as GB/T 35275 clause 8.1 and RFC 5652 section 5.1 draw it, and returns what the signature
// covers, the signature, and the signer's certificate.
func dissect(t *testing.T, b []byte, c cms.Config) (covered, signature []byte, cert *pki.Certificate) {
	t.Helper()
	outer, rest := read(t, b)
	if len(rest) != 0 || outer.tag != 0x30 || len(outer.kids) != 2 {
		t.Fatal("content info")
	}
	signed, data, algorithm := gmSigned, gmData, gmAlgorithm
	if c.Dialect == cms.RFC {
		signed, data, algorithm = rfcSigned, rfcData, rfcAlgorithm
	}
	outer.kids[0].is(t, "content type", signed)
	sd := outer.kids[1].kids[0].kids
	if outer.kids[1].tag != 0xa0 || len(sd) != 5 {
		t.Fatalf("signed data of %d members", len(sd))
	}
	sd[0].is(t, "version", versionOne)
	sd[1].kids[0].is(t, "digest algorithm, without NULL", sm3Algorithm)
	sd[2].kids[0].is(t, "inner content type", data)
	if c.Detached != (len(sd[2].kids) == 1) {
		t.Fatal("content")
	}
	if !c.Detached {
		octets := sd[2].kids[1].kids[0]
		if sd[2].kids[1].tag != 0xa0 || octets.tag != 0x04 || !bytes.Equal(octets.body, content) {
			t.Fatal("content octets")
		}
	}
	if sd[3].tag != 0xa0 || len(sd[3].kids) != 2 || bytes.Compare(sd[3].kids[0].raw, sd[3].kids[1].raw) > 0 {
		t.Fatal("certificates: two, in the order of a set")
	}
	info := sd[4].kids[0].kids
	info[0].is(t, "signer version", versionOne)
	for _, n := range sd[3].kids {
		parsed, err := smx509.ParseCertificate(n.raw)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Equal(parsed.RawIssuer, info[1].kids[0].raw) && bytes.Equal(parsed.SerialNumber.Bytes(), bytes.TrimLeft(info[1].kids[1].body, "\x00")) {
			cert = parsed
		}
	}
	info[2].is(t, "signer's digest algorithm", sm3Algorithm)
	next := 3
	covered = content
	if !c.Bare {
		if info[3].tag != 0xa0 {
			t.Fatal("signed attributes")
		}
		set := bytes.Clone(info[3].raw)
		set[0] = 0x31
		covered, next = set, 4
		attributes(t, info[3].kids, data)
	}
	info[next].is(t, "signature algorithm", algorithm)
	if info[next+1].tag != 0x04 || len(info) != next+2 {
		t.Fatal("signature")
	}
	return covered, info[next+1].body, cert
}

func attributes(t *testing.T, list []node, data string) {
	t.Helper()
	seen := ""
	for i, a := range list {
		if i > 0 && bytes.Compare(list[i-1].raw, a.raw) > 0 {
			t.Fatal("attributes are not in the order of a set")
		}
		value := a.kids[1].kids[0]
		switch hex.EncodeToString(a.kids[0].raw) {
		case contentTypeOID:
			value.is(t, "content type attribute", data)
			seen += "type "
		case signingTimeOID:
			if value.tag != 0x17 || string(value.body) != "261123050000Z" {
				t.Fatalf("signing time %s", value.body)
			}
			seen += "time "
		case messageDigestOID:
			d := sm.Digest(content)
			if value.tag != 0x04 || !bytes.Equal(value.body, d[:]) {
				t.Fatal("message digest")
			}
			seen += "digest "
		}
	}
	if seen != "type time digest " { // the shortest is first in the set
		t.Fatalf("attributes: %s", seen)
	}
}

var forms = []cms.Config{
	{}, {Detached: true}, {Bare: true}, {Bare: true, Detached: true},
	{Dialect: cms.RFC}, {Dialect: cms.RFC, Detached: true}, {Dialect: cms.RFC, Bare: true},
	{Dialect: cms.RFC, Bare: true, Detached: true},
}

// A hand-written reader, another SM2 library and OpenSSL agree about what is signed and by whom. OpenSSL 3.0 verifies the
// signature value only: its "cms -verify" does not know the user id of SM2.
func TestIndependent(t *testing.T) {
	w := certstest.New(t, "cms")
	id := identity(w, "seal-1", pki.Seal)
	_, err := exec.LookPath("openssl")
	if err != nil {
		t.Log("openssl is not installed: NOT TESTED whether it verifies the signature values")
	}
	dir := t.TempDir()
	for _, c := range forms {
		b := sign(t, c, id)
		covered, signature, cert := dissect(t, b, c)
		if cert == nil || !cert.Equal(id.Chain[0]) {
			t.Fatalf("%+v: the signer's certificate is not there", c)
		}
		rs, e := sm.DERToRaw(signature)
		if e != nil {
			t.Fatal(e)
		}
		if e := second.Check(cert.PublicKey.(*ecdsa.PublicKey), covered, rs); e != nil {
			t.Errorf("%+v: %v", c, e)
		}
		if err != nil {
			continue
		}
		key, e := sm.MarshalPEM(cert.PublicKey.(*ecdsa.PublicKey))
		if e != nil {
			t.Fatal(e)
		}
		for name, content := range map[string][]byte{"key.pem": key, "covered": covered, "signature": signature, "message": b} {
			if e := os.WriteFile(filepath.Join(dir, name), content, 0o600); e != nil {
				t.Fatal(e)
			}
		}
		openssl(t, dir, "Verified OK", "dgst", "-sm3", "-verify", "key.pem", "-sigopt", "distid:1234567812345678", "-signature", "signature", "covered")
		openssl(t, dir, "SEQUENCE", "asn1parse", "-inform", "DER", "-in", "message")
		if c.Dialect == cms.RFC {
			openssl(t, dir, "sm3 (1.2.156.10197.1.401)", "cms", "-cmsout", "-print", "-noout", "-inform", "DER", "-in", "message")
		}
	}
}

func openssl(t *testing.T, dir, want string, args ...string) {
	t.Helper()
	cmd := exec.Command("openssl", args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), want) {
		t.Errorf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// The library's own PKCS #7 reads and accepts ours, and we read and accept its. It refuses what is altered, as we do.
func TestLibrary(t *testing.T) {
	w := certstest.New(t, "cms")
	id := identity(w, "seal-1", pki.Seal)
	roots := smx509.NewCertPool()
	roots.AddCert(w.Root.Certificate())
	now := clock()
	for _, c := range forms {
		if c.Dialect == cms.RFC {
			continue // it does not know signature algorithm 1.2.156.10197.1.501 here
		}
		b := sign(t, c, id)
		for _, flip := range []bool{false, true} {
			p, err := pkcs7.Parse(b)
			if err != nil {
				t.Fatalf("%+v: %v", c, err)
			}
			p.Content = bytes.Clone(content)
			if flip {
				p.Content[0] ^= 1
			}
			if err := p.VerifyWithChainAtTime(roots, &now); (err != nil) != flip {
				t.Errorf("%+v, altered %v: %v", c, flip, err)
			}
		}
	}
	key, err := pkcs7Key(t)
	if err != nil {
		t.Fatal(err)
	}
	chain, err := w.Intermediate.Issue(t.Context(), pki.Request{Organization: "示例局", USCC: "11990100000001010B", Usage: pki.Seal, CommonName: "k", Public: &key.PublicKey})
	if err != nil {
		t.Fatal(err)
	}
	for _, bare := range []bool{false, true} {
		s, err := pkcs7.NewSMSignedData(content)
		if err != nil {
			t.Fatal(err)
		}
		if bare {
			err = s.SignWithoutAttr(chain[0], key, pkcs7.SignerInfoConfig{})
			s.AddCertificate(chain[1])
		} else {
			err = s.AddSignerChain(chain[0], key, chain[1:], pkcs7.SignerInfoConfig{})
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := s.Finish()
		if err != nil {
			t.Fatal(err)
		}
		if r := verifier(w).Verify(t.Context(), b, nil, now); failed(r.Steps) != "" || r.Signers[0].Leaf.CommonName != "k" {
			t.Errorf("bare %v: %+v", bare, r.Steps)
		}
	}
}

func pkcs7Key(t *testing.T) (*sm.PrivateKey, error) {
	d := make([]byte, 32)
	d[31] = 77
	return sm.ParsePrivateKey(d)
}

// Bouncy Castle's messages hold; in BER they are refused by name.
func TestBouncyCastle(t *testing.T) {
	root, err := pki.Parse(file(t, "bouncycastle/root.der"))
	if err != nil {
		t.Fatal(err)
	}
	trust, err := pki.NewVerifier(pki.Trust{Anchors: []*pki.Certificate{root}})
	if err != nil {
		t.Fatal(err)
	}
	v := &cms.Verifier{Chain: trust.Chain, Usage: pki.Seal}
	at := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, name := range []string{"attached", "detached", "attached-bare", "detached-bare"} {
		b := file(t, "bouncycastle/cms-"+name+".der")
		for _, c := range []struct{ content, fails string }{{"content\n", ""}, {"another\n", "cms-digest"}} {
			r := v.Verify(t.Context(), b, []byte(c.content), at)
			want := c.fails
			if want != "" && name == "detached-bare" {
				want = "cms-signature" // nothing but the signature says what the content is
			}
			if failed(r.Steps) != want || r.Signers[0].Leaf.CommonName != "seal-1" {
				t.Errorf("%s of %q: %+v", name, c.content, r.Steps)
			}
		}
	}
	r := v.Verify(t.Context(), file(t, "bouncycastle/cms-attached.ber"), nil, at)
	if failed(r.Steps) != "cms-parse" || !strings.Contains(r.Steps[0].Reason, "indefinite length") {
		t.Errorf("BER: %+v", r.Steps)
	}
}

// A message of GM/T 0099 as another vendor wrote it: GB/T 35275 without attributes over the SM3 of the list of files.
func TestVendor(t *testing.T) {
	digest := sm.Digest(file(t, "ofdrw/OFDEntries.xml"))
	v := new(cms.Verifier)
	r := v.Verify(t.Context(), file(t, "ofdrw/signedvalue.dat"), digest[:], time.Time{})
	if failed(r.Steps) != "" || r.Message.Dialect != cms.GM || len(r.Message.Signers[0].Signed) != 0 {
		t.Errorf("%+v", r.Steps)
	}
	if got := r.Signers[0].Certificate.Subject.CommonName; got != "Test Certificate" {
		t.Errorf("signer %q", got)
	}
	digest[0] ^= 1
	if r := v.Verify(t.Context(), file(t, "ofdrw/signedvalue.dat"), digest[:], time.Time{}); failed(r.Steps) != "cms-digest" {
		t.Errorf("%+v", r.Steps)
	}
}

func file(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

package certstest_test

import (
	"crypto/ed25519"
	_ "embed"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	xnote "golang.org/x/mod/sumdb/note"

	"oncegate/certs/certstest"
	"oncegate/certs/note"
	"oncegate/certs/pki"
	"oncegate/certs/sdjwt"
	"oncegate/certs/sm"
	"oncegate/certs/token"
)

//go:embed testdata/openssl.sh
var script string

// artefacts writes one of each into a directory: made by us, for OpenSSL to judge.
func artefacts(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write := func(name, content string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	must := func(s string, err error) string {
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	pemOf := func(s sm.Signer) string {
		b, err := sm.MarshalPEM(s.Public())
		return must(string(b), err)
	}
	w := certstest.New(t, "openssl")

	caller := w.Signer("call-1")
	rs, err := caller.Sign(t.Context(), []byte("message\n"))
	write("message", "message\n")
	write("signature", must(string(rs), err))
	write("call.pub.pem", pemOf(caller))
	write("request.body", `{"case":"A-1"}`)
	write("request.jwt", must(token.Sign(t.Context(), caller, token.Claims{
		Issuer: "hall", Audience: "gate-1", Method: "POST", URL: "https://gate.example.gov.cn/v1/licenses/query",
		Body: token.BodyDigest([]byte(`{"case":"A-1"}`)), Operator: "clerk-7", Request: "r-1",
	}, certstest.Epoch)))

	issuer, chain := w.Issue("dept-1", pki.License, "11330000MB0000001X", "示例市市场监督管理局")
	write("root.pem", string(pki.MarshalPEM(w.Root.Certificate())))
	write("sub.pem", string(pki.MarshalPEM(chain[1])))
	write("issuer.cert.pem", string(pki.MarshalPEM(chain[0])))
	jwt, all, err := sdjwt.Issue(t.Context(), issuer, sdjwt.Issuance{
		Typ: "license+sd-jwt", Chain: pki.DER(chain...), Always: jsontext.Value(`{"iss":"11330000MB0000001X"}`),
		Claims: []sdjwt.Claim{{Name: "name", Value: jsontext.Value(`"示例餐饮有限公司"`)}, {Name: "scope", Value: jsontext.Value(`"餐饮"`)}},
		Salt:   func(path string) []byte { d := sm.Digest([]byte(path)); return d[:] }, Digests: 6,
	})
	write("license.sdjwt", must(sdjwt.Present(jwt, all), err))

	log, edKey := w.Signer("log-1"), w.Ed25519("log-1")
	a, err := note.SM2NoteSigner("gate.example.gov.cn/log", log)
	if err != nil {
		t.Fatal(err)
	}
	b, err := note.Ed25519NoteSigner("gate.example.gov.cn/log", edKey)
	if err != nil {
		t.Fatal(err)
	}
	text := "gate.example.gov.cn/log\n3\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\nsm3-root GrIdg1XPoX+OYRlIMegajyK+yMco/vt0ftA161CCqis=\n"
	msg, err := xnote.Sign(&xnote.Note{Text: text}, a.Bind(t.Context()), b.Bind(t.Context()))
	write("checkpoint", must(string(msg), err))
	write("log.sm2.pub.pem", pemOf(log))
	vkey, err := note.MarshalVKey("gate.example.gov.cn/log", edKey.Public().(ed25519.PublicKey))
	write("log.ed25519.pub", must(vkey, err)+"\n")
	return dir
}

// Other people's tools reach the same verdicts, good and bad, with the commands that docs/verify.md gives.
func TestOpenSSL(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not installed: NOT TESTED whether other tools verify our artefacts")
	}
	run := func(dir, command string) (string, error) {
		cmd := exec.Command("sh", "-c", script+"\n"+command)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	const at = " -attime 1795406400" // certstest.Epoch
	for _, c := range []struct{ name, command, spoil string }{
		{"raw signature", "verify_raw call.pub.pem message signature", "message"},
		{"request token", "verify_jws call.pub.pem request.jwt", "request.jwt"},
		{"request body", "verify_body request.jwt request.body", "request.body"},
		{"license", "verify_license issuer.cert.pem license.sdjwt", "license.sdjwt"},
		{"disclosures", "verify_disclosures license.sdjwt", "license.sdjwt~"},
		{"chain", "verify_chain root.pem sub.pem issuer.cert.pem" + at, "root.pem"},
		{"chain, leaf", "verify_chain root.pem sub.pem issuer.cert.pem" + at, "issuer.cert.pem"},
		{"checkpoint, SM2", "verify_checkpoint_sm2 log.sm2.pub.pem checkpoint", "checkpoint"},
		{"checkpoint, Ed25519", "verify_checkpoint_ed25519 log.ed25519.pub checkpoint", "checkpoint"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := artefacts(t)
			if out, err := run(dir, c.command); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			spoil(t, dir, c.spoil)
			if out, err := run(dir, c.command); err == nil {
				t.Fatalf("OpenSSL accepts a changed artefact\n%s", out)
			}
		})
	}
	t.Run("fingerprint", func(t *testing.T) {
		dir := artefacts(t)
		out, err := run(dir, "openssl x509 -in issuer.cert.pem -noout -fingerprint -sm3")
		if err != nil {
			t.Fatal(err)
		}
		b, _ := os.ReadFile(filepath.Join(dir, "issuer.cert.pem"))
		certs, err := pki.ParsePEM(b)
		if err != nil {
			t.Fatal(err)
		}
		_, hex, _ := strings.Cut(strings.TrimSpace(out), "=")
		if got := strings.ToLower(strings.ReplaceAll(hex, ":", "")); got != pki.Fingerprint(certs[0]) {
			t.Errorf("%s, ours %s", got, pki.Fingerprint(certs[0]))
		}
	})
}

// spoil changes an artefact so that only its cryptography can tell.
func spoil(t *testing.T, dir, name string) {
	t.Helper()
	name, tail := strings.CutSuffix(name, "~")
	path := filepath.Join(dir, name)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case name == "root.pem":
		b = pki.MarshalPEM(certstest.New(t, "another").Root.Certificate())
	case name == "issuer.cert.pem": // the same request, issued by another authority of the same name
		_, chain := certstest.New(t, "another").Issue("dept-1", pki.License, "11330000MB0000001X", "示例市市场监督管理局")
		b = pki.MarshalPEM(chain[0])
	case name == "checkpoint":
		b = []byte(strings.Replace(string(b), "\n3\n", "\n4\n", 1))
	case tail: // a disclosure nobody signed
		b = append(b, []byte(sm.B64([]byte(`["salt","owner","me"]`))+"~")...)
	case strings.HasPrefix(string(b), "ey"): // inside the signed part
		i := strings.IndexByte(string(b), '.') + 5
		b[i] ^= 1
	default:
		b[1] ^= 1
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

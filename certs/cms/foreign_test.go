package cms_test

import (
	"bytes"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"oncegate/certs/cms"
)

// OpenSSL's messages with RSA and ECDSA hold where they are wanted, and are refused by name where they are not.
func TestForeign(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not installed: NOT TESTED whether its messages with RSA and ECDSA are read")
	}
	dir := t.TempDir()
	run := func(args string) {
		t.Helper()
		cmd := exec.Command("openssl", strings.Fields(args)...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("openssl %s: %v\n%s", args, err, out)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "content"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, key, flags, fails string }{
		{"RSA", "-newkey rsa:2048", "-md sha256", ""},
		{"RSA by key identifier", "-newkey rsa:2048", "-md sha512 -keyid", ""},
		{"RSA without attributes", "-newkey rsa:2048", "-md sha256 -noattr", ""},
		{"short RSA", "-newkey rsa:1024", "-md sha256", "cms-signature"},
		{"SHA-1", "-newkey rsa:2048", "-md sha1", "cms-digest cms-signature"},
		{"P-256", "-newkey ec -pkeyopt ec_paramgen_curve:P-256", "-md sha256", ""},
		{"P-384", "-newkey ec -pkeyopt ec_paramgen_curve:P-384", "-md sha384", ""},
		{"P-256 with SM3", "-newkey ec -pkeyopt ec_paramgen_curve:P-256", "-md sm3", "-"},
	} {
		t.Run(c.name, func(t *testing.T) {
			run("req -x509 -nodes -subj /CN=foreign -days 30 -keyout key.pem -out cert.pem " + c.key)
			args := "cms -sign -binary -nodetach -in content -signer cert.pem -inkey key.pem -outform DER -out message " + c.flags
			if c.fails == "-" { // OpenSSL itself may not know the combination
				cmd := exec.Command("openssl", strings.Fields(args)...)
				if cmd.Dir = dir; cmd.Run() != nil {
					return
				}
				c.fails = "cms-signature"
			} else {
				run(args)
			}
			b, err := os.ReadFile(filepath.Join(dir, "message"))
			if err != nil {
				t.Fatal(err)
			}
			v := &cms.Verifier{Foreign: true}
			r := v.Verify(t.Context(), b, nil, time.Time{})
			if failed(r.Steps) != c.fails || !bytes.Equal(r.Content, content) || !bytes.Equal(r.Signers[0].Certificate.Raw, certificate(t, dir)) {
				t.Errorf("%+v", r.Steps)
			}
			if c.fails != "" {
				return
			}
			if named := []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1}; c.name == "RSA" { // rsaEncryption becomes RSA with SHA-384
				other := bytes.Clone(b)
				other[bytes.LastIndex(other, named)+8] = 12
				if r := v.Verify(t.Context(), other, nil, time.Time{}); failed(r.Steps) != "cms-signature" {
					t.Errorf("another algorithm than the digest's: %+v", r.Steps)
				}
			}
			b[bytes.Index(b, content)] ^= 1
			if r := v.Verify(t.Context(), b, nil, time.Time{}); !strings.HasPrefix(failed(r.Steps), "cms-") {
				t.Errorf("altered: %+v", r.Steps)
			}
			b[bytes.Index(b, content[1:])-1] ^= 1
			v.Foreign = false
			if r := v.Verify(t.Context(), b, nil, time.Time{}); failed(r.Steps) != "cms-signature" || !strings.Contains(r.Steps[3].Reason, "SM2") {
				t.Errorf("not wanted: %+v", r.Steps)
			}
		})
	}
}

func certificate(t *testing.T, dir string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "cert.pem"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	return block.Bytes
}

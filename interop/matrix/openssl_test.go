package matrix_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// workshop is a folder in which OpenSSL works.
type workshop string

func newWorkshop(t *testing.T) workshop {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not installed: NOT TESTED against OpenSSL")
	}
	return workshop(t.TempDir())
}

func (w workshop) write(t *testing.T, name string, content []byte) {
	t.Helper()
	must(t, os.WriteFile(filepath.Join(string(w), name), content, 0o600))
}

func (w workshop) read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(string(w), name))
	must(t, err)
	return b
}

// run runs a line of shell. $id is the option with the default user id.
func (w workshop) run(script string) error {
	cmd := exec.Command("sh", "-ec", "id=distid:1234567812345678\n"+script)
	cmd.Dir = string(w)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("OpenSSL refuses: %w: %.200s", err, out)
	}
	return nil
}

// The reasons for what OpenSSL's column leaves empty are as true as they were for OpenSSL 3.0.
func TestOpenSSLLimits(t *testing.T) {
	w := newWorkshop(t)
	if err := w.run("openssl version | grep -q '^OpenSSL 3\\.0\\.'"); err != nil {
		t.Skip("this is not OpenSSL 3.0: NOT TESTED whether the reasons in docs/interop.md hold")
	}
	must(t, w.run(`openssl genpkey -algorithm SM2 -out key
		openssl req -config /dev/null -x509 -new -key key -sm3 -sigopt $id -subj /CN=x -out certificate`))
	w.write(t, "content", content)
	for what, script := range map[string]string{
		"SM4-GCM":                   "openssl list -cipher-algorithms | grep -i sm4-gcm",
		"raw signatures":            "openssl dgst -sm3 -sign key -sigopt $id -out signature content; test $(wc -c <signature) = 64",
		"cms -sign":                 "openssl cms -sign -in content -signer certificate -inkey key -md sm3 -outform DER -out message",
		"a user id for cms -verify": "openssl cms -help 2>&1 | grep -i distid",
	} {
		if err := w.run(script); err == nil {
			t.Errorf("OpenSSL can do it: %s", what)
		}
	}
}

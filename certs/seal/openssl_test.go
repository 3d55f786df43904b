package seal_test

import (
	_ "embed"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"oncegate/certs/seal"
)

//go:embed testdata/openssl.sh
var script string

// OpenSSL takes seal and signature apart by itself and reaches the same verdicts, good and bad.
func TestOpenSSL(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not installed: NOT TESTED whether other tools verify our seals")
	}
	c := newCity(t)
	s := c.sign()
	byHand := c.document(4).signed() // by the standard's structure and another DER library
	for _, x := range []struct {
		name, command string
		files         map[string][]byte
		holds         bool
	}{
		{"seal", "verify_seal f", map[string][]byte{"f": s.Seal.Raw}, true},
		{"signature", "verify_sealed f xml", map[string][]byte{"f": s.Raw, "xml": xml}, true},
		{"signature by hand", "verify_sealed f xml", map[string][]byte{"f": byHand, "xml": xml}, true},
		{"seal, changed", "verify_seal f", map[string][]byte{"f": altered(s.Seal.Raw, 60)}, false},
		{"signature, changed", "verify_sealed f xml", map[string][]byte{"f": altered(s.Raw, 60), "xml": xml}, false},
		{"another xml", "verify_sealed f xml", map[string][]byte{"f": s.Raw, "xml": []byte("another")}, false},
	} {
		t.Run(x.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, b := range x.files {
				if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			cmd := exec.Command("sh", "-c", script+"\n"+x.command)
			cmd.Dir = dir
			if out, err := cmd.CombinedOutput(); (err == nil) != x.holds {
				t.Fatalf("%v\n%s", err, out)
			}
		})
	}
	if _, err := seal.ParseSignature(altered(s.Raw, 60)); err != nil {
		t.Errorf("the change was meant to break the signature alone: %v", err)
	}
}

func altered(b []byte, i int) []byte {
	out := append([]byte(nil), b...)
	out[i] ^= 1
	return out
}

package certs_test

import (
	"bytes"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// opensslAccepts are the invalid tests that OpenSSL 3.0 accepts, by file and comment, with why. It checks a signature like
// the house, but takes any SEC 1 point as a key; the house demands one form, so that one key has one digest.
var opensslAccepts = map[string]string{
	"public-key: compressed": "SEC 1 allows a compressed point",
	"public-key: hybrid":     "SEC 1 allows a hybrid point",
}

// opensslRefuses are the valid tests that OpenSSL 3.0 refuses.
var opensslRefuses = map[string]string{
	"user-id: under the user id of the group, 8191 bytes":      "it allows 8190 bytes: its bound is id_len >= 65535 / 8",
	"user-id: under the user id of the group, DER, 8191 bytes": "the same",
}

// TestNegativeVectorsOpenSSL gives OpenSSL every test that it can take: signatures in DER, and 64 bytes turned into DER.
func TestNegativeVectorsOpenSSL(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not installed: NOT TESTED whether it refuses the negative SM2 vectors")
	}
	files, err := filepath.Glob(folder + "/*.json")
	if err != nil {
		t.Fatal(err)
	}
	var work []question
	for _, path := range files {
		name := strings.TrimSuffix(filepath.Base(path), ".json")
		for _, g := range read(t, path).TestGroups {
			for _, v := range g.Tests {
				in := input(t, g, v)
				if !in.der {
					if len(in.sig) != 64 {
						continue
					}
					in.sig = tlv(0x30, integer(num(0).SetBytes(in.sig[:32])), integer(num(0).SetBytes(in.sig[32:])))
				}
				label := name + ": " + v.Comment
				if len(in.userID) > 1000 {
					label += fmt.Sprintf(", %d bytes", len(in.userID))
				}
				work = append(work, question{in, label, v.Result == "valid", ""})
			}
		}
	}
	dir := t.TempDir()
	var wait sync.WaitGroup
	for worker := range 2 {
		wait.Go(func() {
			for i := worker; i < len(work); i += 2 {
				work[i].said = ask(filepath.Join(dir, fmt.Sprint(worker)), work[i].given)
			}
		})
	}
	wait.Wait()
	differs := make(map[string]bool)
	for _, q := range work {
		_, accepts := opensslAccepts[q.label]
		_, refuses := opensslRefuses[q.label]
		differs[q.label] = accepts || refuses
		if (q.said == "") != (q.valid != (accepts || refuses)) {
			t.Errorf("%s: valid is %v, OpenSSL says %q", q.label, q.valid, q.said)
		}
	}
	for _, list := range []map[string]string{opensslAccepts, opensslRefuses} {
		for label := range list {
			if !differs[label] {
				t.Errorf("%s is not among the tests", label)
			}
		}
	}
	t.Logf("OpenSSL was asked about %d", len(work))
}

type question struct {
	given
	label string
	valid bool
	said  string // empty: OpenSSL accepts
}

// ask is what OpenSSL says about a test: nothing when it accepts.
func ask(prefix string, in given) string {
	// SubjectPublicKeyInfo: id-ecPublicKey, the curve's OID, the octets.
	algorithm := unhexed("301306072a8648ce3d020106082a811ccf5501822d")
	spki := tlv(0x30, algorithm, tlv(3, []byte{0}, in.key))
	key := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki})
	err := errors.Join(os.WriteFile(prefix+".pem", key, 0o600), os.WriteFile(prefix+".sig", in.sig, 0o600), os.WriteFile(prefix+".msg", in.msg, 0o600))
	if err != nil {
		return err.Error()
	}
	out, err := exec.Command("openssl", "pkeyutl", "-verify", "-pubin", "-inkey", prefix+".pem", "-rawin", "-digest", "sm3",
		"-in", prefix+".msg", "-sigfile", prefix+".sig", "-pkeyopt", "hexdistid:"+hex.EncodeToString(in.userID)).CombinedOutput()
	if err == nil && bytes.Contains(out, []byte("Signature Verified Successfully")) {
		return ""
	}
	first, _, _ := bytes.Cut(slices.Concat(out, fmt.Append(nil, err)), []byte("\n"))
	return string(first)
}

func unhexed(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err) // a constant of this file
	}
	return b
}

package pkcs12_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha1"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	xpkcs12 "golang.org/x/crypto/pkcs12"

	"oncegate/certs/certstest"
	"oncegate/certs/keystore/pkcs12"
	"oncegate/certs/pki"
	"oncegate/certs/sm"
)

const password = "口令 pässword"

// workshop is a folder with a key, its chain and its root, in which OpenSSL works.
func workshop(t *testing.T) (dir string, key *sm.PrivateKey, chain []*pki.Certificate) {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not installed: NOT TESTED whether PKCS#12 files of others are read")
	}
	w := certstest.New(t, "pkcs12")
	key, err := sm.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	chain, err = w.Intermediate.Issue(t.Context(), pki.Request{
		Organization: "示例市市场监督管理局", USCC: "11330000MB0000001X", Usage: pki.License, CommonName: "x", Public: &key.PublicKey,
	})
	if err != nil {
		t.Fatal(err)
	}
	text, err := sm.MarshalPrivatePEM(key)
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	for name, content := range map[string][]byte{
		"key.pem": text, "leaf.pem": pki.MarshalPEM(chain[0]), "above.pem": pki.MarshalPEM(w.Root.Certificate(), chain[1]), "password": []byte(password + "\n"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir, key, chain
}

func export(t *testing.T, dir, options string) []byte {
	t.Helper()
	cmd := exec.Command("sh", "-ec", "openssl pkcs12 -export -out out.p12 -passout file:password "+options)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", options, err, out)
	}
	data, err := os.ReadFile(filepath.Join(dir, "out.p12"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// What OpenSSL exports is read: today's defaults, SM4 and SM3 throughout, and the old ways.
func TestReadsOpenSSL(t *testing.T) {
	dir, key, chain := workshop(t)
	for _, c := range []struct {
		name, options string
		certs         int
		want          error
	}{
		{"defaults", "-inkey key.pem -in leaf.pem -certfile above.pem", 2, nil},
		{"no chain", "-inkey key.pem -in leaf.pem", 1, nil},
		{"key alone", "-inkey key.pem -nocerts", 0, nil},
		{"SM4 and SM3", "-inkey key.pem -in leaf.pem -certfile above.pem -keypbe SM4-CBC -certpbe SM4-CBC -macalg sm3", 2, nil},
		{"AES-128, SHA-512", "-inkey key.pem -in leaf.pem -certfile above.pem -keypbe AES-128-CBC -certpbe AES-128-CBC -macalg sha512", 2, nil},
		{"triple DES, SHA-1", "-inkey key.pem -in leaf.pem -certfile above.pem -keypbe PBE-SHA1-3DES -certpbe PBE-SHA1-3DES -macalg sha1", 2, nil},
		{"as OpenSSL 1.1 did: RC2 for certificates", "-legacy -inkey key.pem -in leaf.pem -certfile above.pem", 0, nil},
		{"not encrypted, with a MAC", "-inkey key.pem -in leaf.pem -keypbe NONE -certpbe NONE", 1, nil},
		{"certificates alone", "-nokeys -in leaf.pem", 0, pkcs12.ErrNoKey},
		{"no MAC", "-inkey key.pem -in leaf.pem -nomac", 0, pkcs12.ErrUnsupported},
		{"RC2 for the key", "-legacy -inkey key.pem -in leaf.pem -keypbe PBE-SHA1-RC2-40", 0, pkcs12.ErrUnsupported},
		{"too much work", "-inkey key.pem -in leaf.pem -iter 2000001", 0, pkcs12.ErrMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			data := export(t, dir, c.options)
			entries, err := pkcs12.Parse(data, password)
			if !errors.Is(err, c.want) {
				t.Fatal(err)
			}
			if err != nil {
				return
			}
			if len(entries) != 1 || !entries[0].Key.Equal(key) || len(entries[0].Chain) != c.certs {
				t.Fatalf("%d entries, %d certificates", len(entries), len(entries[0].Chain))
			}
			for i, got := range entries[0].Chain {
				if !got.Equal(chain[i]) {
					t.Errorf("certificate %d is another", i)
				}
			}
			for _, wrong := range []string{"", "口令", password + " "} {
				if _, err := pkcs12.Parse(data, wrong); !errors.Is(err, pkcs12.ErrPassword) {
					t.Errorf("password %q: %v", wrong, err)
				}
			}
		})
	}
}

// The library of the Go project reads no SM2: the reason for a reader of our own.
func TestWhyNotTheLibrary(t *testing.T) {
	dir, _, _ := workshop(t)
	data := export(t, dir, "-inkey key.pem -in leaf.pem -keypbe PBE-SHA1-3DES -certpbe PBE-SHA1-3DES -macalg sha1")
	if _, _, err := xpkcs12.Decode(data, password); err == nil {
		t.Error("it does now: use it")
	}
}

// A changed file is refused, wherever it was changed; a cut one too.
func TestAltered(t *testing.T) {
	dir, key, _ := workshop(t)
	data := export(t, dir, "-inkey key.pem -in leaf.pem -iter 2")
	for i := range data {
		bad := bytes.Clone(data)
		bad[i] ^= 1
		entries, err := pkcs12.Parse(bad, password)
		if err == nil && (len(entries) != 1 || !entries[0].Key.Equal(key)) {
			t.Errorf("byte %d changed: another key", i)
		}
		if err != nil && strings.Contains(err.Error(), password) {
			t.Errorf("byte %d changed: the error tells the password", i)
		}
		if _, err := pkcs12.Parse(data[:i], password); !errors.Is(err, pkcs12.ErrMalformed) {
			t.Errorf("cut at %d: %v", i, err)
		}
	}
	for name, bad := range map[string][]byte{
		"nothing": nil, "too large": make([]byte, pkcs12.MaxSize+1), "a byte more": append(bytes.Clone(data), 0), "BER": {0x30, 0x80, 2, 1, 3, 0, 0},
	} {
		if _, err := pkcs12.Parse(bad, password); !errors.Is(err, pkcs12.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Two keys in one file, signing and encryption (双证书), come each with its own certificates.
func TestPairInOneFile(t *testing.T) {
	w := certstest.New(t, "pair")
	var bags []asn1.RawValue
	var keys []*sm.PrivateKey
	for _, usage := range []string{pki.License, pki.Encryption} {
		key, err := sm.GenerateKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
		chain, err := w.Intermediate.Issue(t.Context(), pki.Request{Organization: "示例", USCC: "11330000MB0000001X", Usage: usage, Public: &key.PublicKey})
		if err != nil {
			t.Fatal(err)
		}
		bags = append(bags, keyBag(t, key), certBag(t, chain[0]))
		if usage == pki.License {
			bags = append(bags, certBag(t, chain[1]))
		}
	}
	entries, err := pkcs12.Parse(file(t, bags), password)
	if err != nil || len(entries) != 2 {
		t.Fatal(err)
	}
	for i, e := range entries {
		if !e.Key.Equal(keys[i]) || len(e.Chain) != 2 || pki.IsEncryption(e.Chain[0]) != (i == 1) {
			t.Errorf("entry %d", i)
		}
	}
}

func must(t testing.TB, v any) []byte {
	t.Helper()
	b, err := asn1.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func explicit(content []byte) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: content}
}

type tagged struct {
	ID    asn1.ObjectIdentifier
	Value asn1.RawValue
}

var pkcs = asn1.ObjectIdentifier{1, 2, 840, 113549, 1}

func oid(rest ...int) asn1.ObjectIdentifier {
	return append(append(asn1.ObjectIdentifier{}, pkcs...), rest...)
}

func keyBag(t testing.TB, key *sm.PrivateKey) asn1.RawValue {
	text, err := sm.MarshalPrivatePEM(key)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	return asn1.RawValue{FullBytes: must(t, tagged{oid(12, 10, 1, 1), explicit(block.Bytes)})}
}

func certBag(t testing.TB, c *pki.Certificate) asn1.RawValue {
	bag := must(t, tagged{oid(9, 22, 1), explicit(must(t, c.Raw))})
	return asn1.RawValue{FullBytes: must(t, tagged{oid(12, 10, 1, 3), explicit(bag)})}
}

// file is a PKCS#12 file of plain bags under a MAC.
func file(t testing.TB, bags []asn1.RawValue) []byte {
	safe := must(t, []tagged{{oid(7, 1), explicit(must(t, must(t, bags)))}})
	salt := make([]byte, 8)
	if _, err := rand.Read(salt); err != nil {
		t.Fatal(err)
	}
	type digestInfo struct {
		Algorithm pkix.AlgorithmIdentifier
		Digest    []byte
	}
	type macData struct {
		MAC        digestInfo
		Salt       []byte
		Iterations int
	}
	return must(t, struct {
		Version int
		Safe    tagged
		MAC     macData
	}{3, tagged{oid(7, 1), explicit(must(t, safe))}, macData{
		digestInfo{pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}, Parameters: asn1.NullRawValue},
			pkcs12.MAC(sha1.New, password, salt, 3, safe)}, salt, 3,
	}})
}

func FuzzParse(f *testing.F) {
	w := certstest.New(f, "fuzz")
	key, err := sm.GenerateKey(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(file(f, []asn1.RawValue{keyBag(f, key), certBag(f, w.Root.Certificate())}), true)
	f.Add(must(f, tagged{oid(7, 1), explicit(must(f, must(f, []asn1.RawValue{keyBag(f, key), certBag(f, w.Root.Certificate())})))}), true)
	f.Add([]byte{0x30, 0x80}, false)
	f.Fuzz(func(t *testing.T, data []byte, inside bool) {
		if inside { // past the MAC
			_ = pkcs12.ParseBags(data)
		}
		if entries, err := pkcs12.Parse(data, password); err == nil && len(entries) == 0 {
			t.Fatal("neither a key nor an error")
		}
	})
}

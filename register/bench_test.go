package register_test

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"oncegate/license"
	"oncegate/register"
)

var noon = time.Date(2026, 11, 23, 4, 5, 6, 789e6, time.UTC)

const (
	market   = "11100000MB0143028R" // of the published example identifier
	typeCode = market + "001"
)

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// issuer signs SD-JWTs with Ed25519 and SHA-256, which stand in for SM2 and SM3.
type issuer struct {
	keys   map[string]ed25519.PrivateKey // by department
	signed atomic.Int64
	gate   chan struct{} // if not nil, signing waits until it is closed
	fail   error
}

func newIssuer() *issuer {
	_, key, _ := ed25519.GenerateKey(rand.Reader)
	return &issuer{keys: map[string]ed25519.PrivateKey{market: key}}
}

func (i *issuer) Issue(_ context.Context, department string, issuance register.Issuance) (jwt, keyID string, err error) {
	if i.gate != nil {
		<-i.gate
	}
	key, ok := i.keys[department]
	if !ok {
		return "", "", fmt.Errorf("issue: %w", register.ErrNoSigner)
	}
	if i.fail != nil {
		return "", "", i.fail
	}
	i.signed.Add(1)
	texts, err := i.Disclose(issuance.Claims, issuance.Salt)
	if err != nil {
		return "", "", err
	}
	for n := 0; len(texts) < issuance.Digests; n++ {
		texts = append(texts, b64(issuance.Salt(fmt.Sprint("_sd/decoy/", n))))
	}
	var digests []string
	for _, text := range texts {
		digests = append(digests, digest(text))
	}
	slices.Sort(digests)
	var payload map[string]any
	if err := json.Unmarshal(issuance.Always, &payload); err != nil {
		return "", "", err
	}
	payload["_sd"] = digests
	body, err := json.Marshal(payload, json.Deterministic(true))
	if err != nil {
		return "", "", err
	}
	input := b64([]byte(`{"alg":"test"}`)) + "." + b64(body)
	return input + "." + b64(ed25519.Sign(key, []byte(input))), "key-1", nil
}

func (i *issuer) Disclose(claims []license.Claim, salt register.Salts) (texts []string, err error) {
	for _, c := range claims {
		text, err := json.Marshal([]string{b64(salt(c.Path)), c.Path, c.Value})
		if err != nil {
			return nil, err
		}
		texts = append(texts, b64(text))
	}
	return texts, nil
}

func digest(disclosure string) string {
	sum := sha256.Sum256([]byte(disclosure))
	return b64(sum[:])
}

// opened is what a verifier sees of a presentation.
type opened struct {
	open    map[string]any
	digests []string
	claims  map[string]string
	text    string // of the payload
}

// verify opens a presentation as a verifier does: the signature holds and every disclosure has a digest in it.
func (i *issuer) verify(t *testing.T, presentation string) opened {
	t.Helper()
	parts := strings.Split(presentation, "~")
	if parts[len(parts)-1] != "" {
		t.Fatal("the presentation does not end in a tilde")
	}
	jwt := strings.Split(parts[0], ".")
	signature, _ := base64.RawURLEncoding.DecodeString(jwt[2])
	if !ed25519.Verify(i.keys[market].Public().(ed25519.PublicKey), []byte(jwt[0]+"."+jwt[1]), signature) {
		t.Fatal("the signature does not hold")
	}
	payload, err := base64.RawURLEncoding.DecodeString(jwt[1])
	if err != nil {
		t.Fatal(err)
	}
	o := opened{claims: map[string]string{}, text: string(payload)}
	if err := json.Unmarshal(payload, &o.open); err != nil {
		t.Fatal(err)
	}
	for _, d := range o.open["_sd"].([]any) {
		o.digests = append(o.digests, d.(string))
	}
	delete(o.open, "_sd")
	for _, text := range parts[1 : len(parts)-1] {
		if !slices.Contains(o.digests, digest(text)) {
			t.Errorf("disclosure %s is not in the signed digests", text)
		}
		raw, _ := base64.RawURLEncoding.DecodeString(text)
		var claim [3]string
		if err := json.Unmarshal(jsontext.Value(raw), &claim); err != nil {
			t.Fatal(err)
		}
		o.claims[claim[1]] = claim[2]
	}
	return o
}

// bench is a Register over a storage in memory.
type bench struct {
	storage *memory
	issuer  *issuer
	config  register.Config
	*register.Register
}

func newBench(t testing.TB) *bench {
	t.Helper()
	b := &bench{storage: newMemory(), issuer: newIssuer()}
	b.config = register.Config{
		Storage: b.storage, Issuer: b.issuer, Sealer: newSealer(t), Catalogue: catalogue(),
		NewSM3: sha256.New, Key: bytes.Repeat([]byte{3}, 32), BaseURL: "https://gateway.example", ListSize: 4096,
		Now: func() time.Time { return noon },
	}
	b.open(t)
	return b
}

func (b *bench) open(t testing.TB) {
	t.Helper()
	var err error
	if b.Register, err = register.New(b.config); err != nil {
		t.Fatal(err)
	}
}

// release is one call of a gateway: Current, commit, again if somebody was first.
func (b *bench) release(t testing.TB, l license.License, asOf time.Time) register.Signed {
	t.Helper()
	for range 3 {
		s, changes, err := b.Current(t.Context(), l, asOf)
		if err != nil {
			t.Fatalf("current: %v", err)
		}
		if b.storage.Commit(t.Context(), changes...) == nil {
			return s
		}
	}
	t.Fatal("taken three times")
	return register.Signed{}
}

func catalogue() *license.Catalogue {
	return &license.Catalogue{Types: []license.Type{
		{
			ID: "business-license", Code: typeCode, Name: "营业执照", NameEN: "business license", Issuers: []string{market, ""},
			Fields: []license.Field{{Name: "scope", Kind: "text"}, {Name: "capital", Kind: "amount"}},
		},
		{
			ID: "marriage-certificate", Code: market + "002", Name: "结婚证",
			Fields: []license.Field{{Name: "birth_date", Kind: "date", PerHolder: true}},
		},
	}}
}

// company is a made-up license.
func company(t testing.TB, n int) license.License {
	t.Helper()
	code, err := license.MakeUSCC(fmt.Sprintf("91110000MA0%06d", n))
	if err != nil {
		t.Fatal(err)
	}
	return license.License{
		Type: "business-license", Number: fmt.Sprint("BL-", n), Issuer: license.Issuer{Name: "示例市市场监督管理局", Code: market, Level: "3"},
		Issued: "2020-01-02", ValidFrom: "2020-01-02", ValidTo: "2030-01-01", Status: license.Valid,
		Holders: []license.Holder{{HolderID: license.HolderID{Type: "001", Code: code}, Name: "示例食品店"}},
		Fields:  map[string]string{"scope": "food", "capital": "100000.00"},
	}
}

// couple is a made-up license of two holders.
func couple(t testing.TB) license.License {
	t.Helper()
	var holders []license.Holder
	for i, name := range []string{"甲示例", "乙示例"} {
		code, err := license.MakeResidentID(fmt.Sprintf("1101011990010199%d", i+1))
		if err != nil {
			t.Fatal(err)
		}
		holders = append(holders, license.Holder{HolderID: license.HolderID{Type: "111", Code: code}, Name: name})
	}
	return license.License{
		Type: "marriage-certificate", Number: "M-1", Issuer: license.Issuer{Name: "示例市民政局", Code: market}, Issued: "2021-05-20",
		Status: license.Valid, Holders: holders, Fields: map[string]string{"birth_date": "1990-01-01\n1991-02-02"},
	}
}

// sealer is AES-GCM of the standard library in the place of SM4.
type sealer struct{ cipher.AEAD }

func newSealer(t testing.TB) sealer {
	t.Helper()
	block, err := aes.NewCipher(make([]byte, 16))
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	return sealer{aead}
}

func (s sealer) Seal(plain, aad []byte) ([]byte, error) {
	nonce := make([]byte, s.NonceSize())
	rand.Read(nonce)
	return s.AEAD.Seal(nonce, nonce, plain, aad), nil
}

func (s sealer) Open(blob, aad []byte) ([]byte, error) {
	return s.AEAD.Open(nil, blob[:s.NonceSize()], blob[s.NonceSize():], aad)
}

func mac(key []byte, parts ...string) []byte {
	h := hmac.New(sha256.New, key)
	for _, p := range parts {
		h.Write([]byte(p))
	}
	return h.Sum(nil)
}

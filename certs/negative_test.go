package certs_test

import (
	"bytes"
	"crypto/ecdsa"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"oncegate/certs/second"
	"oncegate/certs/sm"
)

// update writes the vectors instead of comparing them: go test ./certs -run TestNegativeVectors -update
var update = flag.Bool("update", false, "write the negative SM2 vectors")

const folder = "testdata/sm2-negative"

// The schema of the vectors; their README.md says what each member means.
type vectors struct {
	Algorithm     string            `json:"algorithm"`
	Schema        string            `json:"schema"`
	Header        []string          `json:"header"`
	NumberOfTests int               `json:"numberOfTests"`
	Notes         map[string]string `json:"notes"`
	TestGroups    []group           `json:"testGroups"`
}

type group struct {
	Type         string `json:"type"`
	Comment      string `json:"comment"`
	PublicKey    string `json:"publicKey"`
	PublicKeyPEM string `json:"publicKeyPem"`
	UserID       string `json:"userId"`
	Tests        []one  `json:"tests"`
}

type one struct {
	ID        int      `json:"tcId"`
	Comment   string   `json:"comment"`
	Flags     []string `json:"flags"`
	PublicKey *string  `json:"publicKey,omitempty"`
	UserID    *string  `json:"userId,omitempty"`
	Msg       string   `json:"msg"`
	Sig       string   `json:"sig"`
	Encoding  string   `json:"encoding"`
	Result    string   `json:"result"`
	Reason    string   `json:"reason,omitempty"`
}

// TestNegativeVectors: every vector gets its verdict and its reason from both verifiers, and the files are what the program
// beside this test makes.
func TestNegativeVectors(t *testing.T) {
	made := makeVectors(t)
	names := make([]string, 0, len(made))
	for name, file := range made {
		names = append(names, name+".json")
		path := filepath.Join(folder, name+".json")
		text, err := json.MarshalIndent(file, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		text = append(text, '\n')
		if *update {
			if err := os.WriteFile(path, text, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		was, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(was, text) {
			t.Errorf("%s is not what its program makes (-update writes it): %v", path, err)
		}
	}
	found, err := filepath.Glob(folder + "/*.json")
	if err != nil || len(found) != len(names) {
		t.Errorf("%d files are made, %d are there, %v", len(names), len(found), err)
	}
	total, refused := 0, 0
	for _, path := range found {
		t.Run(filepath.Base(path), func(t *testing.T) {
			file := read(t, path)
			total += file.NumberOfTests
			refused += check(t, file)
		})
	}
	readme, err := os.ReadFile(folder + "/README.md")
	if says := fmt.Sprintf("%d tests, of which %d must be refused", total, refused); err != nil || !bytes.Contains(readme, []byte(says)) {
		t.Errorf("README.md does not say %q, %v", says, err)
	}
}

func read(t *testing.T, path string) vectors {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var file vectors
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&file); err != nil {
		t.Fatal(err)
	}
	return file
}

// check gives every test of a file to both verifiers, holds the file to its own schema, and counts the invalid ones.
func check(t *testing.T, file vectors) (refused int) {
	next := 1
	for _, g := range file.TestGroups {
		controls := 0
		for _, c := range g.Tests {
			if c.ID != next {
				t.Errorf("tcId %d follows %d", c.ID, next-1)
			}
			next++
			for _, f := range c.Flags {
				if file.Notes[f] == "" {
					t.Errorf("%d: no note explains %s", c.ID, f)
				}
			}
			want := c.Reason
			if c.Result == "valid" {
				controls++
				want = "valid"
			}
			in := input(t, g, c)
			for voice, verify := range map[string]verifyAs{"fast": sm.VerifyAs, "second": second.CheckAs} {
				if got := in.judge(verify); got != want {
					t.Errorf("%d %s: the %s voice says %q, want %q", c.ID, c.Comment, voice, got, want)
				}
			}
			// What the house itself calls has no other user id.
			if got := in.judge(house); want == "valid" != (got == "valid") && string(in.userID) == sm.UserID {
				t.Errorf("%d %s: the house says %q", c.ID, c.Comment, got)
			}
		}
		refused += len(g.Tests) - controls
		if controls == 0 {
			t.Errorf("group %q has no control: who refuses everything would pass", g.Comment)
		}
	}
	if file.NumberOfTests != next-1 {
		t.Errorf("%d tests, not %d", next-1, file.NumberOfTests)
	}
	return refused
}

type verifyAs func(pub *ecdsa.PublicKey, userID, message, rs []byte) error

func house(pub *ecdsa.PublicKey, _, message, rs []byte) error { return sm.Verify(pub, message, rs) }

// given is what one test hands to a verifier.
type given struct {
	key, userID, msg, sig []byte
	der                   bool
}

func input(t *testing.T, g group, c one) given {
	t.Helper()
	unhex := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatalf("%d: %v", c.ID, err)
		}
		return b
	}
	if c.PublicKey != nil {
		g.PublicKey = *c.PublicKey
	}
	if c.UserID != nil {
		g.UserID = *c.UserID
	}
	if !slices.Contains([]string{"der", "raw"}, c.Encoding) || !slices.Contains([]string{"valid", "invalid"}, c.Result) {
		t.Errorf("%d: %s, %s", c.ID, c.Encoding, c.Result)
	}
	return given{unhex(g.PublicKey), unhex(g.UserID), unhex(c.Msg), unhex(c.Sig), c.Encoding == "der"}
}

// judge decodes as the house does, and returns "valid" or the reason of the refusal.
func (in given) judge(verify verifyAs) string {
	pub, err := sm.ParsePoint(in.key)
	if err != nil {
		return reason(err)
	}
	rs := in.sig
	if in.der {
		if rs, err = sm.DERToRaw(in.sig); err != nil {
			return reason(err)
		}
	}
	return reason(verify(pub, in.userID, in.msg, rs))
}

// reason is the code of an error, as the vectors name it.
func reason(err error) string {
	switch {
	case err == nil:
		return "valid"
	case errors.Is(err, sm.ErrBadKey):
		return "public-key"
	case errors.Is(err, sm.ErrUserID):
		return "user-id"
	case errors.Is(err, sm.ErrSignatureForm):
		return "signature-form"
	case errors.Is(err, sm.ErrEmptyMessage):
		return "empty-message"
	case errors.Is(err, sm.ErrBadSignature), errors.Is(err, second.ErrRejected):
		return "signature-value"
	}
	return err.Error()
}

package matrix_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// differs are the negative vectors about which Bouncy Castle is of another opinion, by file and comment, with why.
var differs = map[string]string{
	"public-key: compressed": "SEC 1 allows a compressed point; Oncegate demands one form, so that one key has one digest",
	"public-key: hybrid":     "the same of a hybrid point",
}

// A vector is a test of certs/testdata/sm2-negative; its README.md says what the members mean.
type vector struct {
	Comment   string  `json:"comment"`
	PublicKey *string `json:"publicKey"`
	UserID    *string `json:"userId"`
	Msg       string  `json:"msg"`
	Sig       string  `json:"sig"`
	Encoding  string  `json:"encoding"`
	Result    string  `json:"result"`
}

// vectors gives Bouncy Castle every vector there is: its SM2Signer with the encoding that the vector names.
func (c *city) vectors(t *testing.T) {
	c.needCastle(t)
	paths, err := filepath.Glob(filepath.Join(root, "certs/testdata/sm2-negative/*.json"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no vectors: %v", err)
	}
	asked, seen := 0, make(map[string]bool)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		must(t, err)
		var file struct {
			TestGroups []struct {
				PublicKey string   `json:"publicKey"`
				UserID    string   `json:"userId"`
				Tests     []vector `json:"tests"`
			} `json:"testGroups"`
		}
		must(t, json.Unmarshal(text, &file))
		for _, g := range file.TestGroups {
			for _, v := range g.Tests {
				label := strings.TrimSuffix(filepath.Base(path), ".json") + ": " + v.Comment
				err := c.bc.judge(t, v, g.PublicKey, g.UserID)
				asked++
				seen[label] = true
				if _, other := differs[label]; (err == nil) != ((v.Result == "valid") != other) {
					t.Errorf("%s (%s, %s): Bouncy Castle says %v", label, v.Encoding, v.Result, err)
				}
			}
		}
	}
	for label := range differs {
		if !seen[label] {
			t.Errorf("%s is not among the vectors", label)
		}
	}
	t.Logf("Bouncy Castle was asked about %d", asked)
}

// judge is nil when Bouncy Castle accepts.
func (b *castle) judge(t *testing.T, v vector, key, user string) error {
	t.Helper()
	if v.PublicKey != nil {
		key = *v.PublicKey
	}
	if v.UserID != nil {
		user = *v.UserID
	}
	var parts [4]any
	for i, s := range []string{key, user, v.Msg, v.Sig} {
		octets, err := hex.DecodeString(s)
		must(t, err)
		parts[i] = octets
	}
	_, err := b.ask("sm2.verify", append(parts[:], v.Encoding)...)
	if err != nil && !errors.Is(err, errRefused) {
		t.Fatal(err)
	}
	return err
}

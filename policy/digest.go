package policy

import (
	"encoding/base64"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"oncegate/license"
)

// digest is base64url(SM3(JCS([[path, base64url(SM3(file))]…]))), sorted by path bytes (design §5.6).
func digest(files []File, sm3 func([]byte) []byte) string {
	list := make([][2]string, len(files))
	for i, f := range files {
		list[i] = [2]string{f.Path, base64.RawURLEncoding.EncodeToString(sm3(f.Data))}
	}
	text, err := json.Marshal(list)
	if err != nil {
		return "" // paths are checked to be UTF-8 before
	}
	value := jsontext.Value(text)
	if err := value.Canonicalize(); err != nil {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(sm3(value))
}

// Digest names the set: every record carries it as "policy".
func (s *Set) Digest() string { return s.digest }

// Files returns the files the set was loaded from, sorted by path: what is kept by its digest so that decisions can be
// replayed. The caller must not change their bytes.
func (s *Set) Files() []File { return slices.Clone(s.files) }

// Warnings are what is odd in a set without being wrong, such as a grant that can never fire; places as in New.
func (s *Set) Warnings() []license.Fault { return slices.Clone(s.warnings) }

// Grants returns the sharing agreements of the set, in the order of the files, with defaults filled in.
func (s *Set) Grants() []Grant {
	list := make([]Grant, len(s.grants))
	for i, g := range s.grants {
		list[i] = g.Grant
	}
	return list
}

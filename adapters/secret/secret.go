// Package secret reads secrets from files or environment variables: passwords and API keys of legacy interfaces, which no
// configuration file may contain.
package secret

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"oncegate/fault"
)

// maxBytes bounds a secret; anything longer is the wrong file.
const maxBytes = 64 << 10

// A Ref says where a secret is kept. Exactly one of its fields is set.
type Ref struct {
	File string `yaml:"file"` // path of a file whose content, without a last line break, is the secret
	Env  string `yaml:"env"`  // name of an environment variable
}

// IsZero says whether no secret is referred to.
func (r Ref) IsZero() bool { return r == Ref{} }

// Read returns the secret. An empty one is an error; no error repeats any of it.
func (r Ref) Read() (string, error) {
	var s string
	switch {
	case r.File != "":
		f, err := os.Open(r.File)
		if err != nil {
			return "", fmt.Errorf("cannot read secret: %w", err)
		}
		defer f.Close()
		b, err := io.ReadAll(io.LimitReader(f, maxBytes+1))
		if err != nil {
			return "", fmt.Errorf("cannot read secret: %w", err)
		}
		if len(b) > maxBytes {
			return "", errors.New("cannot read secret: the file is too long to be one")
		}
		s = strings.TrimRight(string(b), "\r\n")
	case r.Env != "":
		s = os.Getenv(r.Env)
	}
	if s == "" {
		return "", errors.New("cannot read secret: it is empty or not set")
	}
	return s, nil
}

// Check reports what is wrong with the reference, with paths from "$", without looking for the secret.
func (r Ref) Check() fault.List {
	if (r.File == "") == (r.Env == "") {
		return fault.List{{Path: "$", Reason: "say either file or env"}}
	}
	return nil
}

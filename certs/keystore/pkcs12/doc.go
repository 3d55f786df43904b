// Package pkcs12 reads PKCS#12 files (RFC 7292) that hold SM2 keys, the form in which licensed authorities and OpenSSL hand over
// a key with its certificates. It only reads. The libraries that know the format do not know SM2.
//
// Read are files protected by a password throughout: PBES2 (AES, SM4 and others, PBKDF2 with SHA or SM3) and the old
// triple DES for keys; MACs with SHA-1, SHA-2 or SM3. Certificates under the old 40-bit RC2 are passed over: they are
// public, and come by another way.
package pkcs12

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"oncegate/certs/der"
	"oncegate/certs/pki"
	"oncegate/certs/sm"
)

var (
	// ErrMalformed says that the bytes are no PKCS#12 file in strict DER, or exceed a limit.
	ErrMalformed = errors.New("pkcs#12 file cannot be read")
	// ErrPassword says that the password is wrong, or the file was changed.
	ErrPassword = errors.New("wrong password for the pkcs#12 file")
	// ErrUnsupported says that the file is protected in a way that is not known here.
	ErrUnsupported = errors.New("pkcs#12 file is protected in a way that is not supported; export it again with current OpenSSL")
	// ErrNoKey says that there is no SM2 key in the file.
	ErrNoKey = errors.New("pkcs#12 file holds no sm2 key")
)

// Limits. Key derivation is the dear part: the work of a whole file is bounded, at about a second.
const (
	MaxSize         = 256 << 10
	maxIterations   = 2_000_000 // of all derivations together
	maxKeys         = 8
	maxCertificates = 32
)

// An Entry is a private key with its certificates, leaf first, without a self-signed root; Chain is empty where the file
// holds no certificate of the key.
type Entry struct {
	Key   *sm.PrivateKey
	Chain []*pki.Certificate
}

// Parse reads a file. Errors quote nothing of it.
func Parse(data []byte, password string) (entries []Entry, err error) {
	defer func() {
		if recover() != nil { // in a library's parser
			entries, err = nil, ErrMalformed
		}
	}()
	if len(data) > MaxSize {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrMalformed, MaxSize)
	}
	if err := der.Check(data); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	r := &reader{password: password, budget: maxIterations}
	if err := r.file(data); err != nil {
		return nil, err
	}
	if len(r.keys) == 0 {
		return nil, ErrNoKey
	}
	for _, key := range r.keys {
		entries = append(entries, Entry{key, r.chain(key)})
	}
	return entries, nil
}

// chain finds the certificates of a key, from its own up to the root or as far as they go.
func (r *reader) chain(key *sm.PrivateKey) (chain []*pki.Certificate) {
	i := slices.IndexFunc(r.certs, func(c *pki.Certificate) bool { return key.PublicKey.Equal(c.PublicKey) })
	for i >= 0 && len(chain) < maxCertificates {
		c := r.certs[i]
		if bytes.Equal(c.RawIssuer, c.RawSubject) && len(chain) > 0 {
			break
		}
		chain = append(chain, c)
		i = slices.IndexFunc(r.certs, func(issuer *pki.Certificate) bool {
			return !slices.ContainsFunc(chain, issuer.Equal) && pki.SignedBy(c, issuer, sm.Verify) == nil
		})
	}
	return chain
}

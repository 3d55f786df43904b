package keystore

import (
	"crypto/ecdsa"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/emmansun/gmsm/sm2"

	"oncegate/certs/der"
	"oncegate/certs/pki"
	"oncegate/certs/sm"
)

// ErrEnveloped says that an enveloped key cannot be opened: it is malformed, wrapped to another key, or was changed.
var ErrEnveloped = errors.New("enveloped key cannot be opened")

// Limits: an SM2EnvelopedKey has about 240 bytes; what is encrypted to a key is a session key.
const (
	maxEnveloped  = 1 << 10
	maxCiphertext = 4 << 10
)

// OpenEnveloped opens an SM2EnvelopedKey (GB/T 35276 clause 7.4, GM/T 0009): the encryption key pair (加密密钥对) that an
// authority made, wrapped to the signing key it certified. This is the one thing that a signing key ever decrypts.
func OpenEnveloped(signing *sm.PrivateKey, enveloped []byte) (key *sm.PrivateKey, err error) {
	defer func() {
		if recover() != nil { // in the library's cipher, for odd lengths
			key, err = nil, ErrEnveloped
		}
	}()
	if len(enveloped) > maxEnveloped || der.Check(enveloped) != nil {
		return nil, fmt.Errorf("%w: it is no DER of at most %d bytes", ErrEnveloped, maxEnveloped)
	}
	if !plainAlgorithm(enveloped) {
		return nil, fmt.Errorf("%w: its cipher has parameters", ErrEnveloped)
	}
	opened, err := sm2.ParseEnvelopedPrivateKey(signing, enveloped)
	if err != nil {
		return nil, ErrEnveloped // the library's text could tell why, and so help to guess
	}
	if key, err = sm.ParsePrivateKey(sm.PrivateBytes(opened)); err != nil {
		return nil, ErrEnveloped
	}
	if key.PublicKey.Equal(&signing.PublicKey) {
		return nil, fmt.Errorf("%w: it holds the signing key", ErrEnveloped)
	}
	return key, nil
}

// SealEnveloped wraps an encryption key to the signing key of its holder: an SM2EnvelopedKey. It is the authority's part; nil
// random means crypto/rand.
func SealEnveloped(random io.Reader, signing *ecdsa.PublicKey, key *sm.PrivateKey) ([]byte, error) {
	if err := sm.CheckPublicKey(signing); err != nil {
		return nil, fmt.Errorf("envelop key: %w", err)
	}
	if random == nil {
		random = rand.Reader
	}
	enveloped, err := sm2.MarshalEnvelopedPrivateKey(random, signing, key)
	if err != nil {
		return nil, errors.New("envelop key: it cannot be wrapped")
	}
	return enveloped, nil
}

// plainAlgorithm tells whether the cipher's parameters are absent or NULL, as they are for SM4 in ECB mode. The library passes
// over them.
func plainAlgorithm(enveloped []byte) bool {
	in := der.Read(enveloped, ErrEnveloped)
	body := in.Sequence("enveloped key")
	algorithm := body.Sequence("cipher")
	algorithm.Content(der.OID, "cipher")
	parameters, _ := algorithm.Optional(der.Null, "parameters")
	parameters.End("parameters")
	algorithm.End("parameters")
	return in.Err() == nil
}

// ImportEnveloped opens an SM2EnvelopedKey with a signing key of the store and takes the key in for [Encryption], under the
// signing key's owner, with its encryption certificate. fs.ErrNotExist when there is no such signing key.
func (s *Store) ImportEnveloped(signingID string, enveloped []byte, chain []*pki.Certificate, replace bool) (Info, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.keys[signingID]
	if e == nil || e.Algorithm != SM2 {
		return Info{}, fmt.Errorf("import enveloped key: find sm2 key %q: %w", signingID, fs.ErrNotExist)
	}
	if e.Usage == Encryption {
		return Info{}, fmt.Errorf("import enveloped key: %w", ErrKeyUse)
	}
	signing, err := sm.ParsePrivateKey(e.secret)
	if err != nil {
		return Info{}, fmt.Errorf("import enveloped key: %w", err)
	}
	key, err := OpenEnveloped(signing, enveloped)
	if err != nil {
		return Info{}, fmt.Errorf("import enveloped key: %w", err)
	}
	info, err := s.take(Delivery{Purpose{Encryption, e.Owner, SM2}, key, chain, replace})
	if err != nil {
		return Info{}, fmt.Errorf("import enveloped key: %w", err)
	}
	return info, nil
}

// Decrypt opens an SM2Cipher (GM/T 0009 clause 7.2, DER, C1 C3 C2) with an encryption key, current or retired. ErrKeyUse for
// any other key, fs.ErrNotExist when there is none. Its errors do not tell why a ciphertext does not open.
func (s *Store) Decrypt(id string, ciphertext []byte) (clear []byte, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	e := s.keys[id]
	if e == nil || e.Algorithm != SM2 {
		return nil, fmt.Errorf("decrypt: find sm2 key %q: %w", id, fs.ErrNotExist)
	}
	if e.Usage != Encryption {
		return nil, fmt.Errorf("decrypt: %w", ErrKeyUse)
	}
	defer func() {
		if recover() != nil {
			clear, err = nil, errDecrypt
		}
	}()
	if len(ciphertext) > maxCiphertext || der.Check(ciphertext) != nil {
		return nil, errDecrypt
	}
	priv, err := sm.ParsePrivateKey(e.secret)
	if err != nil {
		return nil, errDecrypt
	}
	if clear, err = priv.Decrypt(rand.Reader, ciphertext, sm2.ASN1DecrypterOpts); err != nil {
		return nil, errDecrypt
	}
	return clear, nil
}

var errDecrypt = errors.New("decrypt: the ciphertext does not open")

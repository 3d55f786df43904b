// Package keystore is a directory of private keys and secrets, each in a file of its own, sealed under one passphrase.
//
// A key has an id, a usage, an owner, an algorithm and a state. For one purpose (usage, owner, algorithm) there is at
// most one current key: it signs and seals. Rotation makes a new current key and keeps the old one, retired, so that old
// signatures can be told apart and old blobs opened. Several departments' keys can stand in one store, by owner.
package keystore

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"slices"
	"sync"
	"time"

	"oncegate/certs/envelope"
	"oncegate/certs/sm"
)

// Usages of keys. A key has exactly one; a certificate carries it as subject OU.
const (
	Call     = "call"     // signs requests (design 5.4)
	License  = "license"  // signs licenses (design 5.5)
	Log      = "log"      // signs checkpoints (design 5.6)
	Seal     = "seal"     // signs electronic seals
	Status   = "status"   // signs status lists
	Attest   = "attest"   // signs case and holder attestations
	CA       = "ca"       // signs certificates
	Index    = "index"    // keys the search columns
	Envelope = "envelope" // seals data at rest
	Salt     = "salt"     // derives the salts of disclosures
	// Encryption opens what others encrypted to it: the second key of a pair (双证书), which an authority made and delivered.
	// It never signs.
	Encryption = "encryption"
)

// Algorithm says what kind of key a file holds.
type Algorithm string

const (
	SM2       Algorithm = "sm2"
	Ed25519   Algorithm = "ed25519"
	Symmetric Algorithm = "symmetric-32"
)

// State of a key.
type State string

const (
	Current State = "current"
	Retired State = "retired"
)

var (
	// ErrPassphrase says that the passphrase does not open the store.
	ErrPassphrase = errors.New("wrong passphrase for the keystore")
	// ErrTampered says that a key file was changed by something other than this package.
	ErrTampered = errors.New("key file was changed")
	// ErrExists says that the purpose has a current key already: rotate it instead.
	ErrExists = errors.New("the purpose has a current key")
	// ErrPermissions says that others than the owner may read a key file.
	ErrPermissions = errors.New("key file is readable by others")
	// ErrKeyUse says that a signing key was to decrypt, or an encryption key to sign.
	ErrKeyUse = errors.New("the key is for another use")
	// ErrMismatch says that a certificate is not of the key it came with, or does not allow what the key is for.
	ErrMismatch = errors.New("the certificate does not fit the key")
)

// Purpose is what a key is for. Owner is a USCC or system id, empty for the house's own keys.
type Purpose struct {
	Usage     string
	Owner     string
	Algorithm Algorithm
}

// Info describes a key without its secret part.
type Info struct {
	ID string
	Purpose
	State   State
	Created time.Time
	// SM2 is the public key of an SM2 key, Ed25519 that of an Ed25519 key; else nil.
	SM2     *ecdsa.PublicKey
	Ed25519 ed25519.PublicKey
	// Chain holds the DER certificates of the key, leaf first, without the anchor; may be empty.
	Chain [][]byte
}

// Config of a store. Dir and Passphrase are required.
type Config struct {
	// Dir is created, mode 0700, when it does not exist.
	Dir string
	// Passphrase is not kept; the key derived from it is.
	Passphrase []byte
	// Rand is the source of keys, salts and nonces; nil means crypto/rand.
	Rand io.Reader
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Cost is log2 of scrypt's N for a new store, 10 to 20; zero means 16 (64 MiB, about 0.2 s). A store keeps its cost.
	Cost int
}

// Store is an open keystore. It is safe for concurrent use in one process; two processes must not write one directory.
type Store struct {
	dir  string
	rand io.Reader
	now  func() time.Time
	kdf  kdf

	mu   sync.RWMutex // protects keys
	keys map[string]*entry
}

type entry struct {
	Info
	secret []byte // d of SM2, seed of Ed25519, or the 32 bytes
	signer sm.Signer
}

// Open opens the store in dir, or begins one there.
func Open(dir string, passphrase []byte) (*Store, error) {
	return Config{Dir: dir, Passphrase: passphrase}.Open()
}

// Open reads and unseals every key file.
func (c Config) Open() (*Store, error) {
	if len(c.Passphrase) == 0 {
		return nil, fmt.Errorf("open keystore: %w: it is empty", ErrPassphrase)
	}
	s := &Store{dir: c.Dir, rand: c.Rand, now: c.Now, keys: make(map[string]*entry)}
	if s.rand == nil {
		s.rand = rand.Reader
	}
	if s.now == nil {
		s.now = time.Now
	}
	files, err := readDir(c.Dir)
	if err != nil {
		return nil, fmt.Errorf("open keystore: %w", err)
	}
	if err := s.unlock(c, files); err != nil {
		return nil, fmt.Errorf("open keystore: %w", err)
	}
	s.retireOlder()
	return s, nil
}

// retireOlder leaves one current key per purpose: the newest. Two can stand on disk when a rotation was cut short between
// writing the new key and retiring the old.
func (s *Store) retireOlder() {
	newest := make(map[Purpose]*entry)
	for _, e := range s.sorted() {
		if e.State != Current {
			continue
		}
		if old := newest[e.Purpose]; old != nil {
			old.State = Retired
		}
		newest[e.Purpose] = e
	}
}

// sorted returns the entries, oldest first.
func (s *Store) sorted() []*entry {
	all := make([]*entry, 0, len(s.keys))
	for _, e := range s.keys {
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b *entry) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
	})
	return all
}

// List returns every key, oldest first.
func (s *Store) List() []Info {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var out []Info
	for _, e := range s.sorted() {
		out = append(out, e.Info)
	}
	return out
}

// Generate makes the first key of a purpose; ErrExists when it has one.
func (s *Store) Generate(p Purpose) (Info, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.current(p); err == nil {
		return Info{}, fmt.Errorf("generate %s key: %w", p.Usage, ErrExists)
	}
	return s.generate(p, time.Time{})
}

// Ensure returns the current key of a purpose, and makes it when there is none.
func (s *Store) Ensure(p Purpose) (Info, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, err := s.current(p); err == nil {
		return e.Info, nil
	}
	return s.generate(p, time.Time{})
}

// Rotate makes a new current key of a purpose and retires the old one; fs.ErrNotExist when there is none.
func (s *Store) Rotate(p Purpose) (Info, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, err := s.current(p)
	if err != nil {
		return Info{}, fmt.Errorf("rotate: %w", err)
	}
	info, err := s.generate(p, old.Created)
	if err != nil {
		return Info{}, fmt.Errorf("rotate: %w", err)
	}
	return info, s.retire(old)
}

// retire marks a key that a newer one has followed. The caller holds mu.
func (s *Store) retire(old *entry) error {
	retired := *old
	retired.State = Retired
	if err := s.write(&retired); err != nil {
		// The new key is on disk and newer: it is the current one now and after a restart.
		return fmt.Errorf("retire old key: %w", err)
	}
	return nil
}

var (
	usageForm = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)
	ownerForm = regexp.MustCompile(`^[A-Za-z0-9._-]{0,64}$`)
)

// generate makes a key created after the given time and writes it. The caller holds mu.
func (s *Store) generate(p Purpose, after time.Time) (Info, error) {
	if err := p.check(); err != nil {
		return Info{}, fmt.Errorf("generate key: %w", err)
	}
	e := &entry{Info: Info{Purpose: p, State: Current, Created: s.now().UTC().Truncate(time.Millisecond)}}
	if !e.Created.After(after) {
		e.Created = after.Add(time.Millisecond)
	}
	if err := e.fill(s.rand); err != nil {
		return Info{}, fmt.Errorf("generate %s key: %w", p.Usage, err)
	}
	if err := s.write(e); err != nil {
		return Info{}, fmt.Errorf("generate %s key: %w", p.Usage, err)
	}
	s.retireOlder()
	return e.Info, nil
}

// fill makes the secret and the id: usage and half a digest of the public key, or 64 random bits for a secret.
func (e *entry) fill(random io.Reader) error {
	e.secret = make([]byte, 32)
	if _, err := io.ReadFull(random, e.secret); err != nil {
		return err
	}
	tag := make([]byte, 8)
	if e.Algorithm == SM2 {
		priv, err := sm.GenerateKey(random)
		if err != nil {
			return err
		}
		e.secret = sm.PrivateBytes(priv)
	}
	if e.Algorithm == Symmetric {
		if _, err := io.ReadFull(random, tag); err != nil {
			return err
		}
		e.ID = e.Usage + "-" + hex.EncodeToString(tag)
	}
	return e.derive()
}

// derive makes public key, id and signer from the secret.
func (e *entry) derive() error {
	if len(e.secret) != 32 {
		return errors.New("secret is not 32 bytes")
	}
	id := func(public []byte) string {
		d := sm.Digest(public)
		return e.Usage + "-" + hex.EncodeToString(d[:8])
	}
	switch e.Algorithm {
	case SM2:
		priv, err := sm.ParsePrivateKey(e.secret)
		if err != nil {
			return err
		}
		e.SM2 = &priv.PublicKey
		e.ID = id(sm.MarshalPoint(e.SM2))
		if e.Usage == Encryption {
			return nil // no signer: its certificate allows none, and the authority has a copy
		}
		e.signer, err = sm.NewSigner(e.ID, priv, nil)
		return err
	case Ed25519:
		e.Ed25519 = ed25519.NewKeyFromSeed(e.secret).Public().(ed25519.PublicKey)
		e.ID = id(e.Ed25519)
		return nil
	case Symmetric:
		return nil
	}
	return fmt.Errorf("unknown key algorithm %q", e.Algorithm)
}

// current finds the current key of a purpose. The caller holds mu.
func (s *Store) current(p Purpose) (*entry, error) {
	for _, e := range s.keys {
		if e.Purpose == p && e.State == Current {
			return e, nil
		}
	}
	return nil, fmt.Errorf("find %s key %s of %q: %w", p.Algorithm, p.Usage, p.Owner, fs.ErrNotExist)
}

// Signer returns the current SM2 signer of usage and owner; fs.ErrNotExist when there is none, ErrKeyUse for [Encryption].
func (s *Store) Signer(usage, owner string) (sm.Signer, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	e, err := s.current(Purpose{usage, owner, SM2})
	if err != nil {
		return nil, err
	}
	if e.signer == nil {
		return nil, fmt.Errorf("sign: %w", ErrKeyUse)
	}
	return e.signer, nil
}

// SignerByID returns the signer of an SM2 key, current or retired; fs.ErrNotExist when there is none, ErrKeyUse for an
// encryption key.
func (s *Store) SignerByID(id string) (sm.Signer, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if e := s.keys[id]; e != nil && e.signer != nil {
		return e.signer, nil
	} else if e != nil && e.Usage == Encryption {
		return nil, fmt.Errorf("sign: %w", ErrKeyUse)
	}
	return nil, fmt.Errorf("find sm2 key %q: %w", id, fs.ErrNotExist)
}

// Ed25519 returns the current Ed25519 key of usage and owner; fs.ErrNotExist when there is none.
func (s *Store) Ed25519(usage, owner string) (ed25519.PrivateKey, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	e, err := s.current(Purpose{usage, owner, Ed25519})
	if err != nil {
		return nil, err
	}
	return ed25519.NewKeyFromSeed(e.secret), nil
}

// Secret returns the current secret of usage and owner with its id; fs.ErrNotExist when there is none.
func (s *Store) Secret(usage, owner string) (envelope.Key, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	e, err := s.current(Purpose{usage, owner, Symmetric})
	if err != nil {
		return envelope.Key{}, err
	}
	return e.key(), nil
}

// SecretByID returns a secret, current or retired; fs.ErrNotExist when there is none.
func (s *Store) SecretByID(id string) (envelope.Key, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if e := s.keys[id]; e != nil && e.Algorithm == Symmetric {
		return e.key(), nil
	}
	return envelope.Key{}, fmt.Errorf("find secret %q: %w", id, fs.ErrNotExist)
}

func (e *entry) key() envelope.Key {
	return envelope.Key{ID: e.ID, Secret: [32]byte(e.secret)}
}

// Keyring returns a ring of the secrets of usage and owner: the current one seals, the retired ones still open.
func (s *Store) Keyring(usage, owner string) (*envelope.Keyring, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	p := Purpose{usage, owner, Symmetric}
	now, err := s.current(p)
	if err != nil {
		return nil, err
	}
	var older []envelope.Key
	for _, e := range s.sorted() {
		if e.Purpose == p && e != now {
			older = append(older, e.key())
		}
	}
	return envelope.NewKeyring(nil, now.key(), older...)
}

// SetChain stores the certificates of a key, DER, leaf first; fs.ErrNotExist when there is no such key.
func (s *Store) SetChain(id string, chain [][]byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.keys[id]
	if e == nil {
		return fmt.Errorf("store certificates of %q: %w", id, fs.ErrNotExist)
	}
	with := *e
	with.Chain = chain
	if err := s.write(&with); err != nil {
		return fmt.Errorf("store certificates of %q: %w", id, err)
	}
	return nil
}

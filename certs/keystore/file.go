package keystore

import (
	"crypto/cipher"
	"crypto/hmac"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/emmansun/gmsm/sm4"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/crypto/scrypt"

	"oncegate/canonical"
	"oncegate/certs/sm"
)

// file is a key file: what may be read without the passphrase, and the sealed secret. The seal binds all the rest, so a
// retired key cannot be made current again, nor a usage changed, without the passphrase.
type file struct {
	Version   int       `json:"v"`
	ID        string    `json:"id"`
	Usage     string    `json:"usage"`
	Owner     string    `json:"owner"`
	Algorithm Algorithm `json:"algorithm"`
	State     State     `json:"state"`
	Created   time.Time `json:"created"`
	Chain     string    `json:"chain,omitzero"` // PEM, leaf first
	KDF       params    `json:"kdf"`
	Check     string    `json:"check"` // tells a wrong passphrase from a changed file
	Nonce     string    `json:"nonce,omitzero"`
	Sealed    string    `json:"sealed,omitzero"`
}

// params of scrypt (RFC 7914), written in every file.
type params struct {
	Name string `json:"name"`
	N    int    `json:"n"`
	R    int    `json:"r"`
	P    int    `json:"p"`
	Salt string `json:"salt"`
}

// kdf is what a passphrase and params give: a sealing key and a check value.
type kdf struct {
	params
	aead  cipher.AEAD
	check string
}

const (
	suffix      = ".key"
	maxFile     = 64 << 10
	defaultCost = 16
)

func (p params) derive(passphrase []byte) (kdf, error) {
	if p.Name != "scrypt" || p.N < 1<<10 || p.N > 1<<20 || p.R != 8 || p.P != 1 {
		return kdf{}, fmt.Errorf("key derivation %q with n=%d r=%d p=%d is not allowed", p.Name, p.N, p.R, p.P)
	}
	salt, err := sm.ParseB64(p.Salt)
	if err != nil || len(salt) < 16 {
		return kdf{}, errors.New("key derivation salt is malformed")
	}
	out, err := scrypt.Key(passphrase, salt, p.N, p.R, p.P, 16+32)
	if err != nil {
		return kdf{}, err
	}
	block, err := sm4.NewCipher(out[:16])
	if err != nil {
		return kdf{}, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return kdf{}, err
	}
	check := sm.HMAC(out[16:], []byte("oncegate/keystore/check/v1"))
	return kdf{p, aead, sm.B64(check[:])}, nil
}

// readDir reads the key files of dir, which it creates when it is not there.
func readDir(dir string) ([]file, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var files []file
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), suffix) || e.IsDir() {
			continue
		}
		f, err := readFile(dir, e)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", e.Name(), err)
		}
		files = append(files, f)
	}
	return files, nil
}

func readFile(dir string, e fs.DirEntry) (file, error) {
	info, err := e.Info()
	if err != nil {
		return file{}, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return file{}, fmt.Errorf("%w: mode %#o, want 0600", ErrPermissions, info.Mode().Perm())
	}
	if info.Size() > maxFile {
		return file{}, fmt.Errorf("%w: larger than a key file can be", ErrTampered)
	}
	b, err := os.ReadFile(filepath.Join(dir, e.Name()))
	if err != nil {
		return file{}, err
	}
	var f file
	if err := json.Unmarshal(b, &f, json.RejectUnknownMembers(true)); err != nil {
		return file{}, fmt.Errorf("%w: not the JSON of a key file", ErrTampered)
	}
	if f.Version != 1 {
		return file{}, fmt.Errorf("key file version %d is not known", f.Version)
	}
	if f.ID+suffix != e.Name() {
		return file{}, fmt.Errorf("%w: it names another key", ErrTampered)
	}
	return f, nil
}

// unlock derives the sealing key, once per distinct params, and opens every file.
func (s *Store) unlock(c Config, files []file) error {
	known := make(map[params]kdf)
	for _, f := range files {
		k, ok := known[f.KDF]
		if !ok {
			var err error
			if k, err = f.KDF.derive(c.Passphrase); err != nil {
				return fmt.Errorf("read %s%s: %w", f.ID, suffix, err)
			}
			known[f.KDF] = k
		}
		e, err := f.open(k)
		if err != nil {
			return fmt.Errorf("read %s%s: %w", f.ID, suffix, err)
		}
		s.keys[e.ID] = e
		s.kdf = k
	}
	if len(files) > 0 {
		return nil
	}
	return s.begin(c)
}

// begin chooses salt and cost of a new store.
func (s *Store) begin(c Config) error {
	cost := c.Cost
	if cost == 0 {
		cost = defaultCost
	}
	if cost < 10 || cost > 20 {
		return fmt.Errorf("key derivation cost %d is not in 10 to 20", cost)
	}
	salt := make([]byte, 16)
	if _, err := io.ReadFull(s.rand, salt); err != nil {
		return err
	}
	var err error
	s.kdf, err = params{"scrypt", 1 << cost, 8, 1, sm.B64(salt)}.derive(c.Passphrase)
	return err
}

func (f file) open(k kdf) (*entry, error) {
	if !hmac.Equal([]byte(f.Check), []byte(k.check)) {
		return nil, ErrPassphrase
	}
	nonce, err1 := sm.ParseB64(f.Nonce)
	sealed, err2 := sm.ParseB64(f.Sealed)
	if err1 != nil || err2 != nil || len(nonce) != k.aead.NonceSize() {
		return nil, ErrTampered
	}
	aad, err := f.aad()
	if err != nil {
		return nil, err
	}
	secret, err := k.aead.Open(nil, nonce, sealed, aad)
	if err != nil {
		return nil, ErrTampered
	}
	e := &entry{Info: Info{
		ID: f.ID, Purpose: Purpose{f.Usage, f.Owner, f.Algorithm}, State: f.State, Created: f.Created,
	}, secret: secret}
	for rest := []byte(f.Chain); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		e.Chain = append(e.Chain, block.Bytes)
	}
	if err := e.derive(); err != nil || e.ID != f.ID {
		return nil, ErrTampered
	}
	return e, nil
}

// aad is the file without the sealed part, canonical.
func (f file) aad() ([]byte, error) {
	f.Nonce, f.Sealed = "", ""
	return canonical.Marshal(f)
}

// write seals an entry into its file and makes it known. The caller holds mu.
func (s *Store) write(e *entry) error {
	var chain strings.Builder
	for _, der := range e.Chain {
		if err := pem.Encode(&chain, &pem.Block{Type: "CERTIFICATE", Bytes: der}); err != nil {
			return err
		}
	}
	f := file{
		Version: 1, ID: e.ID, Usage: e.Usage, Owner: e.Owner, Algorithm: e.Algorithm, State: e.State,
		Created: e.Created, Chain: chain.String(), KDF: s.kdf.params, Check: s.kdf.check,
	}
	aad, err := f.aad()
	if err != nil {
		return err
	}
	nonce := make([]byte, s.kdf.aead.NonceSize())
	if _, err := io.ReadFull(s.rand, nonce); err != nil {
		return err
	}
	f.Nonce, f.Sealed = sm.B64(nonce), sm.B64(s.kdf.aead.Seal(nil, nonce, e.secret, aad))
	b, err := json.Marshal(f, jsontext.WithIndent("  "))
	if err != nil {
		return err
	}
	if len(b) >= maxFile {
		return errors.New("certificates are too long for a key file")
	}
	if err := replace(filepath.Join(s.dir, e.ID+suffix), append(b, '\n')); err != nil {
		return err
	}
	s.keys[e.ID] = e
	return nil
}

// replace writes a file whole or not at all: a temporary file, fsync, rename, fsync of the directory.
func replace(path string, content []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".key-*.tmp") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // fails once it is renamed
	_, err = tmp.Write(content)
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	if runtime.GOOS == "windows" {
		return nil // a folder cannot be flushed there; NTFS journals the renaming
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

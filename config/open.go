package config

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"oncegate/audit"
	"oncegate/certs/envelope"
	"oncegate/certs/keystore"
	lognote "oncegate/certs/note"
	"oncegate/certs/sm"
	"oncegate/store"
	"oncegate/tlog"
)

// OpenOptions say how the database is opened. The zero value is usable.
type OpenOptions struct {
	Now      func() time.Time
	Alarm    func(table, what string) // of rows that were altered; see store.Config
	Name     string                   // of the node that opens it; "": a command
	Existing bool                     // refuse to make a SQLite database that is not there
	Recover  bool                     // a recovery begins another log beside those that the database holds
	Copy     string                   // a copy of the SQLite database, to be opened in its place
}

// OpenStore opens the database of the configuration with its keys. The keyring seals its columns.
func (s *Setup) OpenStore(ctx context.Context, o OpenOptions) (*store.DB, *Keyring, error) {
	c, keyring, err := s.storeConfig(o.Now)
	if err != nil {
		return nil, nil, err
	}
	c.Alarm, c.Recover, c.Name = o.Alarm, o.Recover, o.Name
	if o.Copy != "" {
		if c.Driver == store.Postgres {
			return nil, nil, errors.New("a copy of a PostgreSQL database is named by a configuration of its own")
		}
		c.Path = o.Copy
	}
	if o.Existing && c.Driver != store.Postgres {
		if _, err := os.Stat(c.Path); err != nil { // store.Open would make it
			return nil, nil, errors.New(PathReason(err))
		}
	}
	db, err := store.Open(ctx, c)
	return db, keyring, err
}

// StoreConfig says how the database of a node that is not running is opened with its keys.
func (s *Setup) StoreConfig(now func() time.Time) (store.Config, error) {
	c, _, err := s.storeConfig(now)
	return c, err
}

// storeConfig says how the database is opened. Persons are looked up under a key of their own that follows from the salt key, because
// neither may ever change.
func (s *Setup) storeConfig(now func() time.Time) (store.Config, *Keyring, error) {
	envelopes, err := s.Keys.Keyring(keystore.Envelope, "")
	if err != nil {
		return store.Config{}, nil, err
	}
	keyring := &Keyring{}
	keyring.Replace(envelopes)
	salt, err := s.Keys.Secret(keystore.Salt, "")
	if err != nil {
		return store.Config{}, nil, err
	}
	key := sm.HMAC(salt.Secret[:], []byte("oncegate/store/persons/v1"))
	c := store.Config{
		Driver: s.Store.Driver, Path: s.Store.Path, Log: s.Log.Origin, Nodes: s.Gateway.Nodes, Standby: s.Store.Standby, Sealer: keyring, Now: now,
		Digest: func(data []byte) []byte { d := sm.HMAC(key[:], data); return d[:] }, UnknownKey: envelope.ErrUnknownKey,
	}
	if s.Store.DSNFile != "" {
		if c.DSN, err = s.Store.ReadDSN(); err != nil {
			return c, nil, err
		}
		c.Reread = s.Store.ReadDSN
	}
	return c, keyring, nil
}

// ReadDSN reads the connection string of PostgreSQL from its file.
func (s Store) ReadDSN() (string, error) {
	dsn, err := ReadFile(s.DSNFile)
	if err != nil {
		return "", fmt.Errorf("read connection string: %s", PathReason(err))
	}
	return strings.TrimSpace(string(dsn)), nil
}

// LogConfig says how the log is opened, over its storage.
func (s *Setup) LogConfig(storage tlog.Storage, logger *slog.Logger) (tlog.Config, error) {
	signer, err := s.Keys.Signer(keystore.Log, "")
	if err != nil {
		return tlog.Config{}, err
	}
	ed, err := s.Keys.Ed25519(keystore.Log, "")
	if err != nil {
		return tlog.Config{}, err
	}
	c := tlog.Config{Origin: s.Log.Origin, Storage: storage, NewSM3: sm.New, Mark: s.Log.Mark, Logger: logger}
	sm2, err := lognote.SM2NoteSigner(s.Log.Origin, signer)
	if err != nil {
		return c, err
	}
	c.SM2 = sm2
	c.Ed25519, err = lognote.Ed25519NoteSigner(s.Log.Origin, ed)
	if err != nil {
		return c, err
	}
	var own []ed25519.PublicKey
	for _, k := range s.Keys.List() {
		switch {
		case k.Usage == keystore.Log && k.Ed25519 != nil:
			own = append(own, k.Ed25519)
		case k.Usage == keystore.Log && k.SM2 != nil:
			v, err := lognote.SM2NoteVerifier(s.Log.Origin, k.SM2, nil)
			if err != nil {
				return c, err
			}
			c.OwnSM2 = append(c.OwnSM2, v)
		}
	}
	c.Own, err = lognote.Ed25519NoteVerifiers(s.Log.Origin, own...)
	return c, err
}

// AuditConfig says how records are written and read.
func (s *Setup) AuditConfig(log *tlog.Log, storage audit.Storage, sealer audit.Sealer, now func() time.Time) (audit.Config, error) {
	c := audit.Config{Self: s.Gateway.ID, Log: log, View: log, Storage: storage, Sealer: sealer, NewSM3: sm.New, Now: now}
	current, err := s.Keys.Secret(keystore.Index, "")
	if err != nil {
		return c, err
	}
	c.IndexKeys = append(c.IndexKeys, current.Secret[:])
	for _, k := range s.Keys.List() {
		if k.Usage == keystore.Index && k.ID != current.ID {
			older, err := s.Keys.SecretByID(k.ID)
			if err != nil {
				return c, err
			}
			c.IndexKeys = append(c.IndexKeys, older.Secret[:])
		}
	}
	return c, nil
}

// A Keyring seals with the envelope keys of the configuration in force (envelope encryption). It is safe for concurrent use.
type Keyring struct {
	keys atomic.Pointer[envelope.Keyring]
}

func (k *Keyring) Seal(plaintext, aad []byte) ([]byte, error) {
	return k.keys.Load().Seal(plaintext, aad)
}

func (k *Keyring) Open(blob, aad []byte) ([]byte, error) { return k.keys.Load().Open(blob, aad) }

func (k *Keyring) Tag(data []byte) []byte { return k.keys.Load().Tag(data) }

func (k *Keyring) CheckTag(tag, data []byte) error { return k.keys.Load().CheckTag(tag, data) }

// Replace seals with other keys from now on. They must open what the ones before sealed.
func (k *Keyring) Replace(keys *envelope.Keyring) { k.keys.Store(keys) }

package node

import (
	"fmt"
	"io/fs"
	"path/filepath"

	"oncegate/certs/keystore"
	"oncegate/certs/sm"
)

// OpenCallers opens the keystore with the keys that Prepare made for systems and identity services; an empty dir is where
// Prepare puts it. Its passphrase is the gateway's.
func (s *Setup) OpenCallers(dir string) (*keystore.Store, error) {
	k := s.Config.Keys
	k.Dir = dir
	if dir == "" {
		k.Dir = filepath.Join(filepath.Dir(s.File), CallersFolder)
	}
	if !hasKeys(k.Dir) {
		return nil, fmt.Errorf("open keystore %s: %w", k.Dir, fs.ErrNotExist)
	}
	return openKeystore(k, nil)
}

// CallerSigner finds the key in a keystore that the configuration knows as a system's, and returns its signer under the key
// id that the certificate's file gives it.
func (s *Setup) CallerSigner(keys *keystore.Store, system string) (sm.Signer, error) {
	for _, kid := range sortedKeys(s.Callers[system].Keys) {
		for _, k := range keys.List() {
			if k.SM2 != nil && k.Usage == keystore.Call && k.SM2.Equal(s.Callers[system].Keys[kid].Public) {
				return named(keys, k.ID, kid)
			}
		}
	}
	return nil, fmt.Errorf("find a call key of system %s that the configuration knows: %w", system, fs.ErrNotExist)
}

// AsserterSigner finds the key of an identity service and returns its signer under the issuer's name.
func (s *Setup) AsserterSigner(keys *keystore.Store, issuer string) (sm.Signer, error) {
	known, ok := s.Asserters[issuer]
	for _, k := range keys.List() {
		if ok && k.SM2 != nil && k.Usage == keystore.Attest && k.SM2.Equal(known.Key.Public) {
			return named(keys, k.ID, issuer)
		}
	}
	return nil, fmt.Errorf("find the key of identity service %s: %w", issuer, fs.ErrNotExist)
}

// NamedSigner is a signer under another key id.
func NamedSigner(s sm.Signer, keyID string) sm.Signer { return namedSigner{s, keyID} }

func named(keys *keystore.Store, id, as string) (sm.Signer, error) {
	signer, err := keys.SignerByID(id)
	if err != nil {
		return nil, err
	}
	return NamedSigner(signer, as), nil
}

type namedSigner struct {
	sm.Signer
	id string
}

// KeyID implements sm.Signer.
func (s namedSigner) KeyID() string { return s.id }

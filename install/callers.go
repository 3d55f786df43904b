package install

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"oncegate/certs/keystore"
	"oncegate/certs/sm"
	"oncegate/client"
	"oncegate/config"
	"oncegate/verdict"
)

// OpenCallers opens the keystore with the keys that Prepare made for systems and identity services; an empty dir is where
// Prepare puts it. Its passphrase is the gateway's.
func OpenCallers(s *config.Setup, dir string) (*keystore.Store, error) {
	k := s.Config.Keys
	k.Dir = dir
	if dir == "" {
		k.Dir = filepath.Join(filepath.Dir(s.File), CallersFolder)
	}
	return k.Open()
}

// CallerSigner finds the key in a keystore that the configuration knows as a system's, and returns its signer under the key
// id that the certificate's file gives it.
func CallerSigner(s *config.Setup, keys *keystore.Store, system string) (sm.Signer, error) {
	for _, kid := range slices.Sorted(maps.Keys(s.Callers[system].Keys)) {
		for _, k := range keys.List() {
			if k.SM2 != nil && k.Usage == keystore.Call && k.SM2.Equal(s.Callers[system].Keys[kid].Public) {
				return named(keys, k.ID, kid)
			}
		}
	}
	return nil, fmt.Errorf("find a call key of system %s that the configuration knows: %w", system, fs.ErrNotExist)
}

// AsserterSigner finds the key of an identity service and returns its signer under the issuer's name.
func AsserterSigner(s *config.Setup, keys *keystore.Store, issuer string) (sm.Signer, error) {
	known, ok := s.Asserters[issuer]
	for _, k := range keys.List() {
		if ok && k.SM2 != nil && k.Usage == keystore.Attest && k.SM2.Equal(known.Key.Public) {
			return named(keys, k.ID, issuer)
		}
	}
	return nil, fmt.Errorf("find the key of identity service %s: %w", issuer, fs.ErrNotExist)
}

// IdentitySigner finds the key of an identity service that signs actor tokens, and returns its signer under the key id that the
// certificate's file gives it.
func IdentitySigner(s *config.Setup, keys *keystore.Store, service string) (sm.Signer, error) {
	for _, kid := range slices.Sorted(maps.Keys(s.Vouchers[service].Keys)) {
		for _, k := range keys.List() {
			if k.SM2 != nil && k.Usage == keystore.Attest && k.SM2.Equal(s.Vouchers[service].Keys[kid].Public) {
				return named(keys, k.ID, kid)
			}
		}
	}
	return nil, fmt.Errorf("find a key of identity service %s that the configuration knows: %w", service, fs.ErrNotExist)
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

// CallOptions say which gateway is called by hand, as whom and with which key. With Config, what is left empty comes from
// the gateway's own configuration; without it, everything but Trust and Connect is needed.
type CallOptions struct {
	Config   string // the gateway's configuration, on its own machine
	URL      string // public base URL
	Gateway  string // id
	System   string
	Operator string
	Keys     string      // folder of a keystore with the system's call key
	Pass     config.Keys // its passphrase; Dir is ignored
	Key      string      // PEM file with the system's private key, instead of a keystore
	KeyID    string      // kid; with a keystore default the key's id
	Trust    string      // folder or file of trust; without Config and Trust receipts are not verified
	Connect  string      // host:port to connect to instead of the URL's
}

// Caller returns a client that makes signed calls.
func (o CallOptions) Caller(now func() time.Time) (*client.Client, error) {
	c := client.Config{BaseURL: o.URL, Gateway: o.Gateway, System: o.System, Operator: o.Operator, HTTP: o.http(), Now: now}
	var setup *config.Setup
	if o.Config != "" {
		var err error
		if setup, err = o.fromConfig(&c, now); err != nil {
			return nil, err
		}
	}
	if o.Trust != "" {
		trust, err := verdict.LoadTrust(TrustPath(o.Trust))
		if err != nil {
			return nil, err
		}
		c.Trust = trust
	}
	var err error
	if c.Signer, err = o.signer(setup); err != nil {
		return nil, err
	}
	return client.New(c)
}

// TrustPath finds trust.json in a folder; a file is itself.
func TrustPath(name string) string {
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		return filepath.Join(name, TrustFile)
	}
	return name
}

func (o CallOptions) fromConfig(c *client.Config, now func() time.Time) (*config.Setup, error) {
	at := time.Now
	if now != nil {
		at = now
	}
	setup, err := config.LoadWithKeys(o.Config, at())
	if err != nil {
		return nil, err
	}
	if c.BaseURL == "" {
		c.BaseURL = setup.Gateway.PublicURL
	}
	if c.Gateway == "" {
		c.Gateway = setup.Gateway.ID
	}
	trust, err := setup.TrustConfig(at)
	if err != nil {
		return nil, err
	}
	c.Trust, err = verdict.NewTrust(trust)
	return setup, err
}

// signer finds the system's key.
func (o CallOptions) signer(setup *config.Setup) (sm.Signer, error) {
	switch {
	case o.Key != "":
		return pemSigner(o.Key, o.KeyID)
	case setup != nil:
		keys, err := OpenCallers(setup, o.Keys)
		if err != nil {
			return nil, err
		}
		return CallerSigner(setup, keys, o.System)
	case o.Keys == "":
		return nil, errors.New("find the call key: name a configuration, a keystore or a PEM file")
	}
	k := o.Pass
	k.Dir = o.Keys
	keys, err := k.Open()
	if err != nil {
		return nil, err
	}
	signer, err := keys.Signer(keystore.Call, o.System)
	if err != nil || o.KeyID == "" {
		return signer, err
	}
	return NamedSigner(signer, o.KeyID), nil
}

// pemSigner reads a private key. Its id is the file's name without its ending, as with certificates, unless another is given.
func pemSigner(name, id string) (sm.Signer, error) {
	text, err := config.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read private key: %s", config.PathReason(err))
	}
	priv, err := sm.ParsePrivatePEM(text)
	if err != nil {
		return nil, fmt.Errorf("read private key %s: %w", name, err)
	}
	if id == "" {
		id = config.KeyIDOf(name)
	}
	return sm.NewSigner(id, priv, nil)
}

// http connects elsewhere where Connect says so, as when the public name leads to a proxy.
func (o CallOptions) http() *http.Client {
	if o.Connect == "" {
		return nil
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, o.Connect)
	}
	return &http.Client{Transport: t, Timeout: time.Minute}
}

package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"oncegate/certs/keystore"
	"oncegate/certs/sm"
	"oncegate/client"
	"oncegate/verdict"
)

// CallOptions say which gateway is called by hand, as whom and with which key. With Config, what is left empty comes from
// the gateway's own configuration; without it, everything but Trust and Connect is needed.
type CallOptions struct {
	Config   string // the gateway's configuration, on its own machine
	URL      string // public base URL
	Gateway  string // id
	System   string
	Operator string
	Keys     string // folder of a keystore with the system's call key
	Pass     Keys   // its passphrase; Dir is ignored
	Key      string // PEM file with the system's private key, instead of a keystore
	KeyID    string // kid; with a keystore default the key's id
	Trust    string // folder or file of trust; without Config and Trust receipts are not verified
	Connect  string // host:port to connect to instead of the URL's
}

// Caller returns a client that makes signed calls.
func (o CallOptions) Caller(now func() time.Time) (*client.Client, error) {
	c := client.Config{BaseURL: o.URL, Gateway: o.Gateway, System: o.System, Operator: o.Operator, HTTP: o.http(), Now: now}
	var setup *Setup
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

func (o CallOptions) fromConfig(c *client.Config, now func() time.Time) (*Setup, error) {
	at := time.Now
	if now != nil {
		at = now
	}
	setup, faults := Load(o.Config, at())
	if err := faults.Err(); err != nil {
		return nil, err
	}
	if setup.Keys == nil {
		return nil, setup.KeysErr
	}
	if c.BaseURL == "" {
		c.BaseURL = setup.Gateway.PublicURL
	}
	if c.Gateway == "" {
		c.Gateway = setup.Gateway.ID
	}
	config, err := setup.trust(at)
	if err != nil {
		return nil, err
	}
	c.Trust, err = verdict.NewTrust(config)
	return setup, err
}

// signer finds the system's key.
func (o CallOptions) signer(setup *Setup) (sm.Signer, error) {
	switch {
	case o.Key != "":
		return pemSigner(o.Key, o.KeyID)
	case setup != nil:
		keys, err := setup.OpenCallers(o.Keys)
		if err != nil {
			return nil, err
		}
		return setup.CallerSigner(keys, o.System)
	case o.Keys == "":
		return nil, errors.New("find the call key: name a configuration, a keystore or a PEM file")
	}
	k := o.Pass
	k.Dir = o.Keys
	keys, err := openKeystore(k, nil)
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
	text, err := readBounded(name)
	if err != nil {
		return nil, fmt.Errorf("read private key: %s", pathReason(err))
	}
	priv, err := sm.ParsePrivatePEM(text)
	if err != nil {
		return nil, fmt.Errorf("read private key %s: %w", name, err)
	}
	if id == "" {
		id = keyIDOf(name)
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

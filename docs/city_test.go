package docs_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"oncegate/api"
	"oncegate/certs/keystore"
	"oncegate/client"
	"oncegate/config"
	"oncegate/demo/legacy"
	"oncegate/deploy"
	"oncegate/install"
	"oncegate/node"
	"oncegate/verdict"
)

// A city is the sample city with all its legacy systems and a gateway that serves, for the calls that docs/api.md shows.
type city struct {
	dir    string // gateway/, city/, trust/; the key pair that food-approval made itself
	url    string // public base URL
	admin  string // host:port
	legacy *legacy.City
	setup  *config.Setup
	keys   *keystore.Store // of callers and identity services
	trust  *verdict.Trust
	stop   func() error
}

// stopCity shuts the shared city down; nil if no test asked for it.
var stopCity func() error

// theCity is the city that the tests of this package share.
var theCity = sync.OnceValues(func() (*city, error) {
	c, err := openCity(filepath.Join(scratch, "city"))
	if err == nil {
		stopCity = c.stop
	}
	return c, err
})

// aCity returns the city.
func aCity(t *testing.T) *city {
	t.Helper()
	c, err := theCity()
	must(t, err)
	return c
}

func openCity(dir string) (*city, error) {
	c := &city{dir: dir}
	for _, step := range []func() error{c.openSources, c.configure, c.prepare, c.certify, c.serve} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *city) path(parts ...string) string {
	return filepath.Join(append([]string{c.dir}, parts...)...)
}

func (c *city) main() string { return c.path("gateway", config.MainFile) }

func (c *city) openSources() (err error) {
	c.legacy, err = legacy.Start(legacy.Config{Dir: c.path("city"), Police: "127.0.0.1:0", PoliceToken: "police-secret", Civil: "127.0.0.1:0", CivilCode: "civil-secret"})
	if err != nil {
		return err
	}
	return c.legacy.Tax.Export(time.Now())
}

// configure writes the sample configuration with addresses that are free here.
func (c *city) configure() error {
	address, err := freeAddress()
	if err != nil {
		return err
	}
	c.url = "http://" + address
	if err := deploy.WriteCity(c.path("gateway")); err != nil {
		return err
	}
	if err := os.MkdirAll(c.path("gateway", "secrets"), 0o700); err != nil {
		return err
	}
	for name, secret := range map[string]string{"police.token": "police-secret\n", "civil.appcode": "civil-secret\n"} {
		if err := os.WriteFile(c.path("gateway", "secrets", name), []byte(secret), 0o600); err != nil {
			return err
		}
	}
	for name, pairs := range map[string][]string{
		"sources/police.yaml": {"127.0.0.1:8431", c.legacy.Police.Addr()},
		"sources/civil.yaml":  {"127.0.0.1:8432", c.legacy.Civil.Addr()},
		config.MainFile:       {"  public_url: http://127.0.0.1:8420", "  public_url: " + c.url, "  listen: 127.0.0.1:8420", "  listen: " + address, "  admin: 127.0.0.1:8421", "  admin: 127.0.0.1:0"},
	} {
		if err := replaceIn(c.path("gateway", filepath.FromSlash(name)), pairs...); err != nil {
			return err
		}
	}
	return nil
}

func (c *city) prepare() error {
	prepared, err := install.Prepare(context.Background(), c.main(), install.PrepareOptions{Cost: 10})
	if err != nil {
		return err
	}
	c.keys, err = install.OpenCallers(prepared.Setup, "")
	return err
}

// certify lets food-approval make a second key itself, as docs/keys.md says, and registers it.
func (c *city) certify() error {
	out, err := commandIn(c.dir, `oncegate keys new --file food-approval-2.pem --owner food-approval > food-approval-2.csr
		oncegate keys sign -c gateway/oncegate.yaml food-approval food-approval-2.csr > gateway/certificates/food-approval-2.pem`)
	if err != nil {
		return fmt.Errorf("certify a key: %w\n%s", err, out)
	}
	return replaceIn(c.main(), "[certificates/food-approval-1.pem]", "[certificates/food-approval-1.pem, certificates/food-approval-2.pem]")
}

func (c *city) serve() error {
	setup, err := config.LoadWithKeys(c.main(), time.Now())
	if err != nil {
		return err
	}
	c.setup = setup
	n, err := node.Open(context.Background(), c.main(), node.Options{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		return err
	}
	c.admin = n.AdminAddr()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	c.stop = func() error {
		cancel()
		return errors.Join(<-done, c.legacy.Close())
	}
	if err := n.WriteTrust(c.path("trust")); err != nil {
		return err
	}
	c.trust, err = verdict.LoadTrust(c.path("trust", install.TrustFile))
	return err
}

// as returns a client that calls as a system and verifies every answer.
func (c *city) as(t *testing.T, system string) *client.Client {
	t.Helper()
	signer, err := install.CallerSigner(c.setup, c.keys, system)
	must(t, err)
	caller, err := client.New(client.Config{BaseURL: c.url, Gateway: c.setup.Gateway.ID, System: system, Operator: "clerk-7", Signer: signer, Trust: c.trust})
	must(t, err)
	return caller
}

// register makes a case of the food company known, attested by the acceptance platform.
func (c *city) register(t *testing.T, no string) {
	t.Helper()
	shop := c.legacy.Population.Cast.FoodShop
	_, err := c.as(t, "acceptance").RegisterCase(t.Context(), api.CaseRequest{No: no, Matter: "YC-FOOD-01", Accepted: api.At(time.Now()), Parties: []api.Party{
		{Role: "applicant", Holder: api.HolderID{Type: "001", Code: shop.Code}}, {Role: "legal_representative", Holder: api.HolderID{Type: "111", Code: shop.Legal.Code}},
	}})
	must(t, err)
}

// freeAddress is host and port where nobody listens.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// replaceIn replaces texts in a file; each must be there.
func replaceIn(name string, pairs ...string) error {
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	text := string(data)
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			return fmt.Errorf("%s has no %q", filepath.Base(name), pairs[i])
		}
		text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
	}
	return os.WriteFile(name, []byte(text), 0o600)
}

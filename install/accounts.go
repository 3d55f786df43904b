package install

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"oncegate/certs/envelope"
	"oncegate/certs/keystore"
	"oncegate/config"
	"oncegate/console/session"
	"oncegate/fault"
)

// Accounts are the local accounts of a gateway's console, for an operator who changes them. A node that runs notices a change.
type Accounts struct {
	setup *config.Setup
	keys  *envelope.Keyring
	all   *session.Accounts
}

// OpenAccounts opens the local accounts of a configuration, whatever other faults it has; none where the file is not there yet.
func OpenAccounts(file string, now func() time.Time) (*Accounts, error) {
	if now == nil {
		now = time.Now
	}
	setup, faults := config.Load(file, now())
	switch {
	case setup.Keys == nil:
		return nil, errors.Join(setup.KeysErr, faults.Err())
	case setup.Console == nil || setup.Console.Accounts == "":
		return nil, errors.New("the configuration names no file of local accounts: name one under console.accounts")
	}
	keys, err := setup.Keys.Keyring(keystore.Envelope, "")
	if err != nil {
		return nil, err
	}
	a := &Accounts{setup: setup, keys: keys, all: session.NewAccounts()}
	data, err := config.ReadFile(setup.Console.Accounts)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return a, nil
	case err != nil:
		return nil, err
	}
	if a.all, err = session.ParseAccounts(data, keys); err != nil {
		return nil, fmt.Errorf("the local accounts in %s cannot be used: %w", setup.Console.Accounts, err)
	}
	return a, nil
}

// List returns the accounts by their ids.
func (a *Accounts) List() []session.Account { return a.all.List() }

// Find returns the account of an id.
func (a *Accounts) Find(id string) (session.Account, bool) { return a.all.Find(id) }

// Issuer is how authenticators name the gateway.
func (a *Accounts) Issuer() string { return a.setup.Gateway.ID }

// Put adds accounts, or replaces those of their ids, and writes the file. The error is a fault.List where the accounts cannot be.
func (a *Accounts) Put(list ...session.Account) error {
	all := a.all
	for _, one := range list {
		all = all.With(one)
	}
	var faults fault.List
	for _, f := range all.Check("$", *a.setup.Console, a.setup.ConsoleKnown()) {
		faults.AddAt(fault.Place{File: a.setup.Console.Accounts}, "%s", f.Reason)
	}
	if err := faults.Err(); err != nil {
		return err
	}
	return a.write(all)
}

// Remove removes an account; fs.ErrNotExist if there is none.
func (a *Accounts) Remove(id string) error {
	if _, ok := a.all.Find(id); !ok {
		return fmt.Errorf("find account %s: %w", id, fs.ErrNotExist)
	}
	return a.write(a.all.Without(id))
}

// write replaces the file as a whole.
func (a *Accounts) write(all *session.Accounts) error {
	data, err := all.Sealed(a.keys)
	if err != nil {
		return err
	}
	name := a.setup.Console.Accounts
	f, err := os.CreateTemp(filepath.Dir(name), ".accounts-") // of mode 0600
	if err != nil {
		return fmt.Errorf("write accounts: %w", err)
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write accounts: %w", err), os.Remove(f.Name()))
	}
	a.all = all
	return nil
}

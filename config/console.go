package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"

	"oncegate/adapters/secret"
	"oncegate/certs/keystore"
	"oncegate/console/session"
)

// checkConsole validates the section console, and reads the local accounts.
func (l *loader) checkConsole() {
	c := l.setup.Console
	if c == nil {
		return
	}
	known := l.setup.ConsoleKnown()
	l.doc.AddAll("$.console", c.Check(known))
	l.setup.ProviderSecrets = map[string]string{}
	for i, p := range c.Providers {
		ref := secret.Ref{File: p.SecretFile, Env: p.SecretEnv}
		if ref.IsZero() {
			continue
		}
		l.looked = append(l.looked, p.SecretFile)
		text, err := ref.Read()
		if err != nil {
			l.doc.Add(fmt.Sprintf("$.console.providers[%d]", i), "%v", err)
			l.faults[len(l.faults)-1].Warning = l.setup.Unmade
			continue
		}
		l.setup.ProviderSecrets[p.ID] = text
	}
	if c.Accounts == "" {
		return
	}
	l.looked = append(l.looked, c.Accounts)
	info, err := os.Stat(c.Accounts)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		l.doc.Warn("$.console.accounts", "there are no local accounts yet in %s: oncegate console account add makes one", l.relative(c.Accounts))
		return
	case err == nil && runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0:
		l.doc.Add("$.console.accounts", "others may read or change the file of the local accounts, %s: set its mode to 0600", l.relative(c.Accounts))
	}
	data, ok := l.bytes("$.console.accounts", c.Accounts)
	if !ok || l.setup.Keys == nil {
		return
	}
	envelopes, err := l.setup.Keys.Keyring(keystore.Envelope, "")
	if err != nil {
		return // the missing key has a fault of its own
	}
	accounts, err := session.ParseAccounts(data, envelopes)
	if err != nil {
		l.doc.Add("$.console.accounts", "the local accounts in %s cannot be used: %v", l.relative(c.Accounts), err)
		return
	}
	l.doc.AddAll("$.console.accounts", accounts.Check("$", *c, known))
	l.setup.Accounts = accounts
}

// ConsoleKnown is what the section console is checked against.
func (s *Setup) ConsoleKnown() session.Known {
	known := session.Known{Departments: map[string]string{}, Matters: map[string]bool{}, Services: map[string][]string{}, Loopback: !s.ConsoleSecure()}
	for _, c := range s.Systems {
		known.Departments[c.ID] = c.Department
	}
	for _, m := range s.Book.Matters {
		known.Matters[m.Code] = true
	}
	for _, v := range s.IdentityServices {
		known.Services[v.ID] = v.Systems
	}
	return known
}

// ConsoleSecure reports whether browsers reach the console over https: its own, or a proxy's.
func (s *Setup) ConsoleSecure() bool { return s.Gateway.TLS != (TLS{}) || s.Gateway.BehindTLS }

// ConsoleKeyLabel derives the console's key from the salt key, which is the same on all nodes and never changes.
const ConsoleKeyLabel = "oncegate/console/v1"

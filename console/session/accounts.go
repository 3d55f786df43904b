package session

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"oncegate/certs/sm"
	"oncegate/fault"
)

// An Account is a local account: for demonstrations, and to get in when no identity provider answers (break-glass). Who signs in with one is
// asserted: no identity service vouches for the person, and it is no evidence of identity authentication for a 密评 (GB/T 39786).
type Account struct {
	ID          string       `json:"id"`
	Name        string       `json:"name"`     // shown on pages
	Password    string       `json:"password"` // argon2id in PHC string format, with its parameters
	Secret      string       `json:"secret"`   // of the second factor (TOTP, RFC 6238), base32; empty: none, allowed on loopback only
	Assignments []Assignment `json:"assignments"`
	Disabled    bool         `json:"disabled,omitempty"`
}

// Accounts are all local accounts. They never change; the zero value has none.
type Accounts struct {
	byID map[string]Account
}

// A Sealer encrypts and authenticates the accounts at rest.
type Sealer interface {
	Seal(plaintext, aad []byte) ([]byte, error)
	Open(sealed, aad []byte) ([]byte, error)
}

const (
	accountsHeader = "oncegate-console-accounts/1\n" // first line of the file; it is the associated data too
	maxAccounts    = 10_000
	minPassword    = 12  // characters
	maxPassword    = 256 // bytes: what argon2id is given
)

var accountForm = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

// ParseAccounts opens the file of local accounts.
func ParseAccounts(data []byte, s Sealer) (*Accounts, error) {
	text, ok := strings.CutPrefix(string(data), accountsHeader)
	if !ok {
		return nil, errors.New("it is no file of console accounts")
	}
	sealed, err := sm.ParseB64(strings.TrimSpace(text))
	if err != nil {
		return nil, errors.New("it is cut off or was edited; oncegate console account writes it")
	}
	content, err := s.Open(sealed, []byte(accountsHeader))
	if err != nil {
		return nil, errors.New("it is not sealed under an envelope key of this keystore, or was altered")
	}
	var list []Account
	if err := json.Unmarshal(content, &list); err != nil {
		return nil, errors.New("it has another form than this version writes")
	}
	return NewAccounts(list...), nil
}

// NewAccounts are these accounts; of two with one id the last counts.
func NewAccounts(list ...Account) *Accounts {
	a := &Accounts{byID: make(map[string]Account, len(list))}
	for _, one := range list {
		a.byID[one.ID] = one
	}
	return a
}

// List returns the accounts by their ids.
func (a *Accounts) List() (list []Account) {
	if a == nil {
		return nil
	}
	for _, id := range slices.Sorted(maps.Keys(a.byID)) {
		list = append(list, a.byID[id])
	}
	return list
}

// Find returns an account by its id.
func (a *Accounts) Find(id string) (Account, bool) {
	if a == nil {
		return Account{}, false
	}
	one, ok := a.byID[id]
	return one, ok
}

// With returns the accounts with one more, or another one in its place.
func (a *Accounts) With(one Account) *Accounts { return NewAccounts(append(a.List(), one)...) }

// Without returns the accounts without one.
func (a *Accounts) Without(id string) *Accounts {
	return NewAccounts(slices.DeleteFunc(a.List(), func(one Account) bool { return one.ID == id })...)
}

// Check reports what is wrong with the accounts under settings, each fault at path.
func (a *Accounts) Check(path string, s Settings, known Known) (f fault.List) {
	f.Unless(len(a.List()) <= maxAccounts, path, "there are more than %d local accounts", maxAccounts)
	for i, one := range a.List() { // by number: an id may name a person, and faults are logged
		f.Unless(accountForm.MatchString(one.ID), path, "account %d: an id is 1 to 64 lower-case letters, digits, dots, underscores and hyphens", i+1)
		f.Unless(shown(one.Name), path, "account %d: a name of 1 to %d bytes is expected", i+1, maxName)
		f.Unless(one.Secret != "" || known.Loopback, path, "account %d has no second factor: that is for consoles on this machine's loopback only", i+1)
		f.Unless(usableHash(one.Password), path, "account %d: its password is no argon2id hash with parameters of this program", i+1)
		checkAssignments(&f, path, fmt.Sprintf("account %d", i+1), one.Assignments, s, known)
	}
	return f
}

// checkAssignments reports roles that a hall does not have, and such that nobody may have at once.
func checkAssignments(f *fault.List, path, who string, all []Assignment, s Settings, known Known) {
	for _, a := range all {
		h, ok := s.Hall(a.Hall)
		switch {
		case !ok:
			f.Add(path, "%s: there is no hall %q", who, fault.Clip(a.Hall))
		case !slices.Contains(h.Roles, a.Role):
			f.Add(path, "%s: hall %s has no role %q", who, a.Hall, fault.Clip(a.Role))
		}
	}
	if one, other, found := ConflictOf(all, func(hall string) string { return known.Departments[hall] }); found {
		f.Add(path, "%s: nobody may be %s (%s) and %s (%s) at once (separation of duties)", who, one.Role, one.Hall, other.Role, other.Hall)
	}
}

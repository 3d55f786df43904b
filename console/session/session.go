// Package session is the session management of the console: sign-in through identity providers (OpenID Connect, or a code exchanged for a
// token) and local accounts (argon2id and TOTP), session cookies, idle locks, form tokens (CSRF protection), re-authentication, and which
// role may open which route.
//
// A session is one sealed row of the database, found by the digest of its cookie's value. Gate is the middleware that all requests of the
// console pass. The package knows no HTML: whoever draws pages implements Pages.
package session

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"oncegate/certs/sm"
	"oncegate/gateway"
)

// A Session is one signed-in person at one browser, who acts for one hall. Handlers get a copy (From): changes to it are not kept.
type Session struct {
	Person     gateway.Person `json:"person"`
	Name       string         `json:"name"`                 // shown on pages; never in URLs or logs
	Hall       string         `json:"hall,omitempty"`       // id of the system for which the session acts; empty until it is chosen
	Department string         `json:"department,omitempty"` // that commissions the hall
	Roles      []string       `json:"roles,omitempty"`      // of the console, in the hall
	Desk       string         `json:"desk,omitempty"`       // number of the window
	Opened     time.Time      `json:"opened"`
	Seen       time.Time      `json:"seen"`   // last use, exact to touchEvery
	Ends       time.Time      `json:"ends"`   // absolute
	Proven     time.Time      `json:"proven"` // when the person last gave the second factor
	FormToken  string         `json:"-"`      // value of the hidden field FormField of every form; of a locked session that of the lock's page

	Preferences Preferences `json:"preferences,omitzero"`

	Assignments []Assignment `json:"assignments,omitempty"` // what the person may be, in which halls
	Account     string       `json:"account,omitempty"`     // id of the local account; empty if a provider vouches
	Provider    string       `json:"provider,omitempty"`    // id of the provider; empty for a local account
	Locked      bool         `json:"locked,omitempty"`

	token    string   // FormToken of the session while it is not locked
	password [32]byte // digest of the local account's password and second factor, which end the session when they change
	family   [32]byte // owns the kept values: it outlives renewals of the id
	id       [32]byte // digest of the cookie's value
	revision int64
}

// Preferences are how a person wants pages.
type Preferences struct {
	Large    bool   `json:"large,omitempty"`    // 适老: large type and targets
	Contrast bool   `json:"contrast,omitempty"` // high contrast
	Language string `json:"language,omitempty"` // "zh" or "en"; empty: zh
}

// Principal is for whom a call of the session is made.
func (s *Session) Principal() gateway.Principal {
	return gateway.Principal{System: s.Hall, Person: s.Person}
}

// Has reports whether the person has a role of the console in the hall.
func (s *Session) Has(role string) bool { return s != nil && slices.Contains(s.Roles, role) }

type contextKey struct{}

// From returns the session of a request, nil where nobody is signed in. It belongs to the request.
func From(ctx context.Context) *Session {
	s, _ := ctx.Value(contextKey{}).(*Session)
	return s
}

// Into returns a context in which From finds a session: for tests of pages.
func Into(ctx context.Context, s *Session) context.Context {
	return context.WithValue(ctx, contextKey{}, s)
}

// clone returns a copy that shares nothing.
func (s *Session) clone() *Session {
	c := *s
	c.Roles, c.Assignments, c.Person.Roles = slices.Clone(s.Roles), slices.Clone(s.Assignments), slices.Clone(s.Person.Roles)
	return &c
}

// sealedSession is a session as its row has it.
type sealedSession struct {
	Session
	Token    string   `json:"token"`
	Family   [32]byte `json:"family"`
	Password [32]byte `json:"password"`
}

func (s *Session) encode() ([]byte, error) {
	content, err := json.Marshal(sealedSession{*s, s.token, s.family, s.password})
	if err != nil {
		return nil, fmt.Errorf("encode session: %w", err)
	}
	return content, nil
}

func decode(content []byte, id [32]byte, revision int64) (*Session, error) {
	var row sealedSession
	if err := json.Unmarshal(content, &row); err != nil {
		return nil, errors.New("decode session: it has another form")
	}
	s := row.Session
	s.id, s.revision, s.family, s.password, s.token, s.FormToken = id, revision, row.Family, row.Password, row.Token, row.Token
	return &s, nil
}

// secret returns 256 random bits, as they stand in cookies and forms.
func secret() string {
	var b [32]byte
	rand.Read(b[:]) // never fails
	return sm.B64(b[:])
}

// digest names a secret, or a thing of a kind, without revealing it.
func digest(kind string, parts ...string) [32]byte {
	all := [][]byte{[]byte("oncegate/console/" + kind)}
	for _, p := range parts {
		all = append(all, []byte{0}, []byte(p))
	}
	return sm.Digest(all...)
}

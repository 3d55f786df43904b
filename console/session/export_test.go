package session

import (
	"context"
	"strings"
)

// Challenge is for a test's provider.
var Challenge = challenge

// Routes of the tests' own.
const (
	TestRoute  = "/console/test/post"
	FreshRoute = "/console/test/fresh"
)

func init() {
	routesFile = append(routesFile, `
  - {route: "POST `+TestRoute+`", roles: [clerk]}
  - {route: "GET `+FreshRoute+`", roles: [any], fresh: true}
`...)
}

// IsOfTests reports whether a route is one of the tests'.
func IsOfTests(route string) bool { return strings.Contains(route, "/console/test/") }

// CookieID is the key of the row of a cookie's value.
func CookieID(value string) [32]byte { return digest("cookie", value) }

// CodeOwner is the key under which the used codes of an account stand.
func CodeOwner(account string) [32]byte { return digest("account", account) }

// DeviceOf is the device that a cookie marks an account's.
func DeviceOf(g *Gate, cookie, account string) string { return g.guesses.device(cookie, account) }

// Find is the session of a cookie's value.
func (g *Gate) Find(ctx context.Context, cookie string) (*Session, error) { return g.find(ctx, cookie) }

// The place in its cookie.
var (
	PlaceText = placeText
	PlaceOf   = placeOf
)

package session

import (
	"encoding/base64"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"oncegate/certs/sm"
)

// Cookies of the console. Under https their names begin with __Host-, which browsers accept only over https, from this host alone and for
// all paths; on loopback HTTP they have a plain name, so that neither is ever taken for the other.
//
// All are HttpOnly and SameSite=Lax. Strict would break signing in through a provider: a browser that comes back from another site sends no
// Strict cookie with the callback and the redirects that follow it, so that the first page would say that nobody is signed in. Lax cookies go with
// links from other sites, which change nothing, and never with forms of other sites.
const (
	sessionCookie = "oncegate-session" // random; the database knows its digest
	visitCookie   = "oncegate-visit"   // random, before sign-in; form tokens of the sign-in page follow from it
	flowCookie    = "oncegate-flow"    // sealed: a sign-in through a provider under way
	deviceCookie  = "oncegate-device"  // random, with marks of accounts that signed in here
	placeCookie   = "oncegate-place"   // hall and window that were chosen here last
	viewCookie    = "oncegate-view"    // preferences of a visitor

	secretLength = 43 // of 256 bits in base64url
	cookieLength = secretLength
)

func (g *Gate) cookieName(name string) string {
	if g.Secure {
		return "__Host-" + name
	}
	return name
}

// cookie returns the value of a cookie; "" without one, and where a browser sends two: one of them was planted from elsewhere.
func (g *Gate) cookie(r *http.Request, name string) string {
	all := r.CookiesNamed(g.cookieName(name))
	if len(all) != 1 {
		return ""
	}
	return all[0].Value
}

// setCookie sets a cookie for as long as the browser runs, or for a while.
func (g *Gate) setCookie(w http.ResponseWriter, name, value string, life time.Duration) {
	http.SetCookie(w, &http.Cookie{
		Name: g.cookieName(name), Value: value, Path: "/", MaxAge: int(life / time.Second), HttpOnly: true, Secure: g.Secure, SameSite: http.SameSiteLaxMode,
	})
}

func (g *Gate) dropCookie(w http.ResponseWriter, name string) { g.setCookie(w, name, "", -time.Second) }

// visit returns the form token of a browser where nobody is signed in, and gives it a visit if it has none.
func (g *Gate) visit(w http.ResponseWriter, r *http.Request) string {
	visit := g.cookie(r, visitCookie)
	if len(visit) != secretLength {
		visit = secret()
		g.setCookie(w, visitCookie, visit, 0)
	}
	return g.visitToken(visit)
}

// visitToken is the form token that belongs to a visit: nobody who does not have the key can make a pair.
func (g *Gate) visitToken(visit string) string {
	mac := sm.HMAC(g.Key, []byte("form\x00"), []byte(visit))
	return sm.B64(mac[:])
}

// lockToken is the form token of the page of the lock.
func (g *Gate) lockToken(s *Session) string {
	mac := sm.HMAC(g.Key, []byte("lock\x00"), []byte(s.token))
	return sm.B64(mac[:])
}

// PreferencesOf are the preferences of the session of a request, or of the visitor.
func (g *Gate) PreferencesOf(r *http.Request) Preferences {
	if s := From(r.Context()); s != nil {
		return s.Preferences
	}
	return parsePreferences(g.cookie(r, viewCookie))
}

// placeText writes a place for a cookie. Names of windows may be Chinese, which no cookie can hold as they are.
func placeText(hall, desk string) string {
	return hall + "/" + base64.RawURLEncoding.EncodeToString([]byte(desk))
}

// placeOf reads a place; empty where it cannot be read.
func placeOf(cookie string) (hall, desk string) {
	hall, text, _ := strings.Cut(cookie, "/")
	name, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || !utf8.Valid(name) {
		return hall, ""
	}
	return hall, string(name)
}

func parsePreferences(text string) (p Preferences) {
	for word := range strings.SplitSeq(text, ".") {
		switch word {
		case "large":
			p.Large = true
		case "contrast":
			p.Contrast = true
		case "en", "zh":
			p.Language = word
		}
	}
	return p
}

func (p Preferences) String() string {
	var words []string
	if p.Large {
		words = append(words, "large")
	}
	if p.Contrast {
		words = append(words, "contrast")
	}
	if p.Language != "" {
		words = append(words, p.Language)
	}
	return strings.Join(words, ".")
}

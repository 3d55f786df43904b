// Package sdjwt issues, presents and verifies SD-JWTs (RFC 9901): selective disclosure, by a signed JSON object
// in which fields are replaced by salted digests. A release of some fields carries the issuer's one signature over all.
//
// Issuing makes flat object disclosures, one per claim, with salts from the caller: the same claims and salts give the
// same disclosures again, so that none need be stored. Verifying follows RFC 9901 section 7.1 whole, nested and array
// disclosures included. Algorithm and digest are the caller's; ours are SM2SM3 and "sm3", an unregistered name.
package sdjwt

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"oncegate/canonical"
	"oncegate/certs/jws"
	"oncegate/certs/sm"
)

// Hash is a digest algorithm under its _sd_alg name.
type Hash struct {
	Name string
	Sum  func([]byte) []byte
}

// SM3 is the digest of the house.
func SM3() Hash {
	return Hash{"sm3", func(b []byte) []byte { d := sm.Digest(b); return d[:] }}
}

// SHA256 is the digest of other issuers, and the default of RFC 9901.
func SHA256() Hash {
	return Hash{"sha-256", func(b []byte) []byte { d := sha256.Sum256(b); return d[:] }}
}

// Digest is the digest of a disclosure, base64url, over its ASCII text (RFC 9901 section 4.2.3).
func (h Hash) Digest(text string) string { return sm.B64(h.Sum([]byte(text))) }

// Claim is one selectively disclosable field. Value is JSON; it is put in canonical form (RFC 8785).
type Claim struct {
	Name  string
	Value jsontext.Value
}

// Disclosure opens one digest. Text is what travels; Name is empty for an array element.
type Disclosure struct {
	Salt  string
	Name  string
	Value jsontext.Value
	Text  string
}

// Salts gives the salt for a path: a claim's name, or a path of this package's own that begins with "_sd". It must be
// secret, at least 16 bytes, different for every path and credential, and the same whenever asked again.
type Salts func(path string) []byte

// Issuance is what an issuer signs.
type Issuance struct {
	Typ   string
	Kid   string
	Chain [][]byte // x5c: DER, leaf first
	// Always is the JSON object of the claims that are always disclosed.
	Always jsontext.Value
	Claims []Claim
	// Digests is the number of entries that _sd is filled up to with decoys, so that the count tells nothing about which
	// optional fields exist. Fewer than there are claims: no decoys.
	Digests int
	Salt    Salts
	Hash    Hash // zero means SM3
}

var (
	// ErrClaim says that a claim cannot be issued: reserved, repeated or always disclosed name, or no JSON.
	ErrClaim = errors.New("claim cannot be disclosed selectively")
	// ErrSalt says that a salt is too short.
	ErrSalt = errors.New("salt is shorter than 16 bytes")
)

// reserved names of this package's salt paths; it covers "_sd" and "_sd_alg".
const reserved = "_sd"

// Issue signs the credential once and returns the JWT with all its disclosures, in the order of the claims.
func Issue(ctx context.Context, signer sm.Signer, i Issuance) (jwt string, all []Disclosure, err error) {
	if i.Hash.Sum == nil {
		i.Hash = SM3()
	}
	all, err = Disclose(i.Claims, i.Salt)
	if err != nil {
		return "", nil, fmt.Errorf("issue: %w", err)
	}
	payload, err := i.payload(all)
	if err != nil {
		return "", nil, fmt.Errorf("issue: %w", err)
	}
	jwt, err = jws.Sign(ctx, signer, jws.Header{Typ: i.Typ, Kid: i.Kid, X5C: i.Chain}, payload)
	if err != nil {
		return "", nil, fmt.Errorf("issue: %w", err)
	}
	return jwt, all, nil
}

// Disclose computes the disclosures of claims, in order: at issue, and again whenever some are to be released.
func Disclose(claims []Claim, salt Salts) (out []Disclosure, err error) {
	seen := make(map[string]bool, len(claims))
	out = make([]Disclosure, 0, len(claims))
	var text []byte // of one disclosure
	for _, c := range claims {
		if c.Name == "" || c.Name == "..." || strings.HasPrefix(c.Name, reserved) || seen[c.Name] {
			return nil, fmt.Errorf("%w: name %q is reserved or repeated", ErrClaim, c.Name)
		}
		seen[c.Name] = true
		d := Disclosure{Name: c.Name}
		if d.Value, err = reformat(c.Value); err != nil {
			// The library's text could quote the value.
			return nil, fmt.Errorf("%w: %q is not JSON", ErrClaim, c.Name)
		}
		s := salt(c.Name)
		if len(s) < 16 {
			return nil, fmt.Errorf("%w: %q", ErrSalt, c.Name)
		}
		d.Salt = sm.B64(s)
		// The canonical array of three canonical values.
		text = append(append(append(text[:0], `["`...), d.Salt...), `",`...)
		if text, err = jsontext.AppendQuote(text, d.Name); err != nil {
			return nil, fmt.Errorf("%w: a name is not UTF-8", ErrClaim)
		}
		text = append(append(append(text, ','), d.Value...), ']')
		d.Text = sm.B64(text)
		out = append(out, d)
	}
	return out, nil
}

// reformat returns a value in canonical form. A text in which nothing is escaped is in that form already.
func reformat(value jsontext.Value) (jsontext.Value, error) {
	if n := len(value); n >= 2 && value[0] == '"' && value[n-1] == '"' && utf8.Valid(value) &&
		!bytes.ContainsFunc(value[1:n-1], func(r rune) bool { return r < ' ' || r == '"' || r == '\\' }) {
		return value, nil
	}
	return canonical.Reformat(value)
}

// payload is Always with _sd and _sd_alg, canonical.
func (i Issuance) payload(all []Disclosure) ([]byte, error) {
	var members map[string]jsontext.Value
	if err := json.Unmarshal(i.Always, &members); err != nil || members == nil {
		return nil, fmt.Errorf("%w: the always disclosed part is not a JSON object", ErrClaim)
	}
	for name := range members {
		if name == "..." || strings.HasPrefix(name, reserved) {
			return nil, fmt.Errorf("%w: name %q is reserved", ErrClaim, name)
		}
	}
	digests := make([]string, 0, max(len(all), i.Digests))
	for _, d := range all {
		if _, ok := members[d.Name]; ok {
			return nil, fmt.Errorf("%w: %q is always disclosed", ErrClaim, d.Name)
		}
		digests = append(digests, i.Hash.Digest(d.Text))
	}
	for n := 0; len(digests) < i.Digests; n++ {
		// RFC 9901 section 4.2.5: a decoy is the digest of a random value; only who knows the salts can tell.
		s := i.Salt(reserved + "/decoy/" + strconv.Itoa(n))
		if len(s) < 16 {
			return nil, ErrSalt
		}
		digests = append(digests, i.Hash.Digest(sm.B64(s)))
	}
	slices.Sort(digests)
	var err error
	if members[keySD], err = json.Marshal(digests); err != nil {
		return nil, err
	}
	if members[keyAlg], err = json.Marshal(i.Hash.Name); err != nil {
		return nil, err
	}
	return canonical.Marshal(members)
}

// Present joins the JWT and the disclosures that are released: jwt~d1~d2~ (RFC 9901 section 4, without key binding).
func Present(jwt string, released []Disclosure) string {
	var b strings.Builder
	b.WriteString(jwt)
	b.WriteByte('~')
	for _, d := range released {
		b.WriteString(d.Text)
		b.WriteByte('~')
	}
	return b.String()
}

// Select returns the disclosures with the given names, in the order of all; a name that is not there is left out.
func Select(all []Disclosure, names ...string) []Disclosure {
	var out []Disclosure
	for _, d := range all {
		if slices.Contains(names, d.Name) {
			out = append(out, d)
		}
	}
	return out
}

package token

import (
	"context"
	"crypto/ecdsa"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"oncegate/canonical"
	"oncegate/certs/jws"
	"oncegate/certs/sm"
)

const (
	// ActorType is the header's typ of an actor token.
	ActorType = "oncegate-actor+jwt"
	// MaxActorSize bounds a compact actor token in bytes, so that one fits into a call's token beside everything else.
	MaxActorSize = 3 << 10
	// MaxRoles bounds the roles that an actor token asserts.
	MaxRoles = 16
)

// ActorClaims are the claims of an actor token (the word is RFC 8693's): the signed word of an identity service on the person who
// acts in a calling system. Exactly one of Request and Confirmation is there.
type ActorClaims struct {
	Issuer   string `json:"iss"` // identity service
	Audience string `json:"aud"` // gateway id
	System   string `json:"sys"` // calling system: iss of the call
	Subject  string `json:"sub"` // the person: opr of the call
	IssuedAt int64  `json:"iat"` // Unix seconds
	Expires  int64  `json:"exp"` // Unix seconds, at most 300 after iat
	// Roles are what the person may act as, at most MaxRoles, each once.
	Roles []string `json:"roles,omitempty"`
	// Request binds the token to one call: [RequestDigest] of its claims. The person acted in that request.
	Request string `json:"req,omitzero"`
	// Confirmation binds the token to the calling system's key (RFC 7800). The person was signed in there: for as long as the token
	// lives, the holder of that key may use it for any request.
	Confirmation *Confirmation `json:"cnf,omitzero"`
}

// A Confirmation names a key by its thumbprint: unlike a kid, it cannot come to mean another key.
type Confirmation struct {
	Key string `json:"spki#SM3"` // [KeyDigest] of the calling key
}

// How an actor token knows the person.
const (
	ProofCall    = "call"    // bound to one request
	ProofSession = "session" // bound to the calling system's key
)

// An Actor is the person of a verified actor token.
type Actor struct {
	Service string   // identity service that vouches
	KeyID   string   // its key
	Subject string   // the person: opr of the call
	Proof   string   // ProofCall or ProofSession
	Roles   []string // sorted; nil for none
}

// An IdentityService is whose actor tokens are trusted, and for what.
type IdentityService struct {
	Name    string
	Keys    map[string]ServiceKey // by kid
	Systems []string              // calling systems that it may speak for
	Roles   []string              // that it may assert
}

// A ServiceKey verifies actor tokens while its certificate is valid.
type ServiceKey struct {
	Public              *ecdsa.PublicKey
	NotBefore, NotAfter time.Time // zero: no bound
}

// at returns the key of an identity service that is registered and valid; nil if there is none.
func (s IdentityService) at(kid string, now time.Time) *ecdsa.PublicKey {
	k := s.Keys[kid]
	if !k.NotBefore.IsZero() && now.Before(k.NotBefore) || !k.NotAfter.IsZero() && now.After(k.NotAfter) {
		return nil
	}
	return k.Public
}

// RequestDigest is the req claim of an actor token for a call: base64url(SM3(JCS([iss, aud, htm, htu, sm3, jti]))). It covers
// method, URL and body, so that the calling system cannot put another request in the place of the one that the person saw.
func RequestDigest(c *Claims) (string, error) {
	text, err := canonical.AppendStrings(nil, c.Issuer, c.Audience, c.Method, c.URL, c.Body, c.ID)
	if err != nil {
		return "", fmt.Errorf("digest request: %w", err)
	}
	return sm.DigestB64(text), nil
}

// KeyDigest is the thumbprint of a key: base64url(SM3(DER of its SubjectPublicKeyInfo)).
func KeyDigest(pub *ecdsa.PublicKey) (string, error) {
	spki, err := sm.MarshalSPKI(pub)
	if err != nil {
		return "", fmt.Errorf("digest key: %w", err)
	}
	return sm.DigestB64(spki), nil
}

// SignActor returns the compact actor token of an identity service. An empty IssuedAt or Expires is filled in: now, and now + 300 s.
func SignActor(ctx context.Context, signer sm.Signer, c ActorClaims, now time.Time) (string, error) {
	if c.IssuedAt == 0 {
		c.IssuedAt = now.Unix()
	}
	if c.Expires == 0 {
		c.Expires = c.IssuedAt + int64(MaxLifetime/time.Second)
	}
	payload, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("sign actor token: %w", err)
	}
	compact, err := jws.Sign(ctx, signer, jws.Header{Typ: ActorType, Kid: signer.KeyID()}, payload)
	if err != nil {
		return "", fmt.Errorf("sign actor token: %w", err)
	}
	if len(compact) > MaxActorSize {
		return "", fmt.Errorf("sign actor token: %w", ErrActorMalformed)
	}
	return compact, nil
}

// ActorExpect is what the receiver knows of the call that carries an actor token, and of identity services.
type ActorExpect struct {
	Call     *Claims          // verified claims of the call, its Actor among them
	Key      *ecdsa.PublicKey // that verified the call
	Now      time.Time
	Services map[string]IdentityService // by iss
	Verify   sm.VerifyFunc              // nil means [sm.Verify]; called once at most
}

// VerifyActor checks the actor token that a verified call carries. Every fault of the token is one of [ActorFaults]. The cost is
// bounded: MaxActorSize bytes are read and one signature is checked, before anything that the token says is compared, so that a
// forged one learns nothing of what is expected.
func VerifyActor(e ActorExpect) (*Actor, error) {
	parts, err := splitActor(e.Call.Actor)
	if err != nil {
		return nil, err
	}
	c, err := parseActor(parts.Payload)
	if err != nil {
		return nil, err
	}
	service := e.Services[c.Issuer]
	pub := service.at(parts.Header.Kid, e.Now)
	if pub == nil {
		return nil, ErrActorService
	}
	if err := parts.Verify(pub, e.Verify); err != nil {
		return nil, ErrActorSignature
	}
	if err := checkActor(c, service, e); err != nil {
		return nil, err
	}
	proof, err := bound(c, e)
	if err != nil {
		return nil, err
	}
	return &Actor{Service: c.Issuer, KeyID: parts.Header.Kid, Subject: c.Subject, Proof: proof, Roles: slices.Sorted(slices.Values(c.Roles))}, nil
}

// ReadActor reads what an actor token says without verifying anything: it was verified when its call came.
func ReadActor(compact string) (*Actor, error) {
	parts, err := splitActor(compact)
	if err != nil {
		return nil, err
	}
	c, err := parseActor(parts.Payload)
	if err != nil {
		return nil, err
	}
	a := &Actor{Service: c.Issuer, KeyID: parts.Header.Kid, Subject: c.Subject, Proof: ProofCall, Roles: slices.Sorted(slices.Values(c.Roles))}
	if c.Confirmation != nil {
		a.Proof = ProofSession
	}
	return a, nil
}

// splitActor takes the compact form apart and looks at its header.
func splitActor(compact string) (*jws.Parts, error) {
	parts, err := jws.Split(compact, MaxActorSize)
	switch {
	case errors.Is(err, jws.ErrDuplicate):
		return nil, ErrActorDuplicate
	case err != nil:
		return nil, ErrActorMalformed
	case parts.Header.Typ != ActorType:
		return nil, ErrActorType
	case parts.Header.Alg != algorithm:
		return nil, ErrActorAlgorithm
	case len(parts.Header.X5C) > 0: // keys are registered, never brought along
		return nil, ErrActorMalformed
	}
	return parts, nil
}

// parseActor reads the payload strictly: one object, known members, each once and of its type, none empty, one binding.
func parseActor(payload []byte) (*ActorClaims, error) {
	var present struct {
		Request      jsontext.Value `json:"req"`
		Confirmation jsontext.Value `json:"cnf"`
		Rest         jsontext.Value `json:",inline"`
	}
	c := new(ActorClaims)
	if len(payload) == 0 || payload[0] != '{' {
		return nil, ErrActorMalformed
	}
	err := json.Unmarshal(payload, c, json.RejectUnknownMembers(true))
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		return nil, ErrActorDuplicate
	case err != nil, json.Unmarshal(payload, &present) != nil:
		return nil, ErrActorMalformed
	case (present.Request == nil) == (present.Confirmation == nil):
		return nil, ErrActorBinding
	case c.Request == "" && (c.Confirmation == nil || c.Confirmation.Key == ""):
		return nil, ErrActorMalformed
	case c.Issuer == "" || c.Audience == "" || c.System == "" || c.Subject == "" || c.IssuedAt == 0 || c.Expires == 0:
		return nil, ErrActorMalformed
	}
	for _, s := range append([]string{c.Issuer, c.Audience, c.System, c.Subject}, c.Roles...) {
		if s == "" || !plain(s, MaxText) {
			return nil, ErrActorMalformed
		}
	}
	if len(c.Roles) > MaxRoles || len(slices.Compact(slices.Sorted(slices.Values(c.Roles)))) != len(c.Roles) {
		return nil, ErrActorMalformed
	}
	return c, nil
}

// checkActor compares verified claims with the call: for whom, who, when and as what.
func checkActor(c *ActorClaims, service IdentityService, e ActorExpect) error {
	if c.Audience != e.Call.Audience || c.System != e.Call.Issuer || !slices.Contains(service.Systems, c.System) {
		return ErrActorForeign
	}
	if c.Subject != e.Call.Operator {
		return ErrActorPerson
	}
	if err := checkWindow(c.IssuedAt, c.Expires, e.Now, windowFaults{ErrActorMalformed, ErrActorLifetime, ErrActorNotYet, ErrActorExpired}); err != nil {
		return err
	}
	for _, role := range c.Roles {
		if !slices.Contains(service.Roles, role) {
			return ErrActorRole
		}
	}
	return nil
}

// bound says what the token is bound to, and that this is the call or its key.
func bound(c *ActorClaims, e ActorExpect) (proof string, err error) {
	var claimed, is string
	if c.Confirmation == nil {
		proof, claimed = ProofCall, c.Request
		is, err = RequestDigest(e.Call)
	} else {
		proof, claimed = ProofSession, c.Confirmation.Key
		is, err = KeyDigest(e.Key)
	}
	if err != nil {
		return "", err
	}
	if subtle.ConstantTimeCompare([]byte(claimed), []byte(is)) != 1 {
		return "", ErrActorNotBound
	}
	return proof, nil
}

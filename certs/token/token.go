// Package token signs and verifies call tokens (design 5.4): a compact JWS whose claims name the caller, the receiver, a
// short window of time, one use, and the exact request: method, URL and body digest. A call may carry an actor token, the signed
// word of an identity service on the person who acts.
//
// The caller cannot deny having asked, nor what: keep the token and the exact body.
package token

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"time"

	"github.com/go-json-experiment/json"

	"oncegate/certs/jws"
	"oncegate/certs/sm"
)

const (
	// Type is the header's typ.
	Type = "oncegate-call+jwt"
	// MaxSize bounds a compact token in bytes.
	MaxSize = 8 << 10
	// MaxLifetime bounds exp − iat.
	MaxLifetime = 300 * time.Second
	// Skew is how far the caller's clock may be off, either way.
	Skew = 60 * time.Second
	// MaxText bounds iss, aud, kid, opr, rid and jti in bytes.
	MaxText = 64
	// MaxURL bounds htu in bytes.
	MaxURL = 2 << 10
)

// Claims of a signed call. All but Actor are required.
type Claims struct {
	Issuer   string `json:"iss"` // system id of the caller
	Audience string `json:"aud"` // gateway id
	IssuedAt int64  `json:"iat"` // Unix seconds
	Expires  int64  `json:"exp"` // Unix seconds, at most 300 after iat
	ID       string `json:"jti"` // used once; starts with the time of issue, as a UUIDv7 of [NewID] does
	Method   string `json:"htm"`
	URL      string `json:"htu"` // public base URL + escaped path + "?" + raw query if any
	Body     string `json:"sm3"` // base64url(SM3(body bytes)); see [BodyDigest]
	Operator string `json:"opr"` // who acts in the calling system
	Request  string `json:"rid"` // request id; retries keep it
	// Actor is a compact actor token: an identity service's word on the operator. [VerifyActor] checks it.
	Actor string `json:"actor_token,omitzero"`

	// KeyID is the header's kid; Verify sets it, Sign takes it from the signer.
	KeyID string `json:"-"`
}

// BodyDigest is the sm3 claim of a request body; an empty body is the SM3 of nothing.
func BodyDigest(body []byte) string { return sm.DigestB64(body) }

// BodyIs is an [Expect.Body] for a digest that is known already.
func BodyIs(digest string) func() (string, error) {
	return func() (string, error) { return digest, nil }
}

// NewID returns a UUIDv7 (RFC 9562 section 5.7) for jti: 48 bits of time in milliseconds, then 74 random bits.
// A nil random means crypto/rand.
func NewID(now time.Time, random io.Reader) (string, error) {
	if random == nil {
		random = rand.Reader
	}
	var b [16]byte
	if _, err := io.ReadFull(random, b[6:]); err != nil {
		return "", fmt.Errorf("make token id: %w", err)
	}
	ms := now.UnixMilli()
	for i := range 6 {
		b[i] = byte(ms >> (40 - 8*i))
	}
	b[6] = b[6]&0x0f | 0x70
	b[8] = b[8]&0x3f | 0x80
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:], nil
}

// Sign returns the compact token of a call. An empty ID, IssuedAt or Expires is filled in from now: a new id, now, and
// now + 60 s.
func Sign(ctx context.Context, signer sm.Signer, c Claims, now time.Time) (string, error) {
	if c.IssuedAt == 0 {
		c.IssuedAt = now.Unix()
	}
	if c.Expires == 0 {
		c.Expires = c.IssuedAt + 60
	}
	if c.ID == "" {
		id, err := NewID(now, nil)
		if err != nil {
			return "", err
		}
		c.ID = id
	}
	payload, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	compact, err := jws.Sign(ctx, signer, jws.Header{Typ: Type, Kid: signer.KeyID()}, payload)
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	if len(compact) > MaxSize {
		return "", fmt.Errorf("sign token: %w", ErrTooLarge)
	}
	return compact, nil
}

// Expect is what the receiver knows of the request and of its callers.
type Expect struct {
	Audience string // our gateway id
	Method   string
	URL      string // configured public base URL + escaped path + query; never built from the Host header
	// Claimed is asked before the signature is checked, so that an id that was used costs no check; nil asks nobody. Nothing that
	// it is told is proven yet. Its error is returned as it is.
	Claimed func(iss, jti string) error
	// Admit is asked when everything but the body holds, with the verified claims and before the body is read; nil admits all.
	// Its error is returned as it is.
	Admit func(*Claims) error
	// Body gives the [BodyDigest] of the exact bytes received. It is called last, when everything else holds: nobody reads
	// the body of a stranger. Its error is returned as it is.
	Body func() (string, error)
	Now  time.Time
	// KeyOf returns the registered key of a system. An error that is fs.ErrNotExist makes the token ErrUnknownKey; any
	// other error is ours, not the caller's, and is returned as it is.
	KeyOf func(iss, kid string) (*ecdsa.PublicKey, error)
	// Verify checks the signature; nil means [sm.Verify].
	Verify sm.VerifyFunc
}

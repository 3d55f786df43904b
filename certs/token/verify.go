package token

import (
	"bytes"
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"oncegate/certs/jws"
)

// Verify checks a compact token against what is expected and returns its claims. Every fault of the token is a *[Fault];
// other errors are the receiver's own. Whether the id was used before is the caller's to ask.
func Verify(ctx context.Context, compact string, e Expect) (*Claims, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("verify token: %w", err)
	}
	if len(compact) > MaxSize {
		return nil, ErrTooLarge
	}
	parts, err := jws.Split(compact, MaxSize)
	if err != nil {
		return nil, formFault(err)
	}
	if parts.Header.Typ != Type {
		return nil, ErrType
	}
	if err := checkAlgorithm(parts.Header); err != nil {
		return nil, err
	}
	c, err := parseClaims(parts.Payload)
	if err != nil {
		return nil, err
	}
	c.KeyID = parts.Header.Kid
	if e.Claimed != nil {
		if err := e.Claimed(c.Issuer, c.ID); err != nil {
			return nil, err
		}
	}
	if err := checkSignature(parts, c, e); err != nil {
		return nil, err
	}
	if err := check(c, e); err != nil {
		return nil, err
	}
	return c, nil
}

// formFault tells which fault a JWS that cannot be taken apart is.
func formFault(err error) error {
	switch {
	case errors.Is(err, jws.ErrCrit):
		return ErrCritical
	case errors.Is(err, jws.ErrDuplicate):
		return ErrDuplicate
	}
	return ErrMalformed
}

func checkAlgorithm(h jws.Header) error {
	if h.Alg != algorithm {
		return ErrAlgorithm
	}
	if len(h.X5C) > 0 {
		// Keys are registered, never brought along.
		return ErrMalformed
	}
	return nil
}

func checkSignature(parts *jws.Parts, c *Claims, e Expect) error {
	if c.KeyID == "" || len(c.KeyID) > MaxText {
		return ErrUnknownKey
	}
	pub, err := e.KeyOf(c.Issuer, c.KeyID)
	if errors.Is(err, fs.ErrNotExist) {
		return ErrUnknownKey
	}
	if err != nil {
		return fmt.Errorf("find caller's key: %w", err)
	}
	if pub == nil {
		return errors.New("find caller's key: the registry gave none")
	}
	if err := parts.Verify(pub, e.Verify); err != nil {
		return ErrSignature
	}
	return nil
}

// parseClaims reads the payload strictly: one object, known members, each once, each of its type, all there.
func parseClaims(payload []byte) (*Claims, error) {
	c := new(Claims)
	if len(payload) == 0 || payload[0] != '{' {
		return nil, ErrMalformed
	}
	err := json.Unmarshal(payload, c, json.RejectUnknownMembers(true))
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		return nil, ErrDuplicate
	case errors.Is(err, json.ErrUnknownName):
		return nil, ErrUnknownClaim
	case err != nil:
		return nil, ErrMalformed
	}
	if c.Issuer == "" || c.Audience == "" || c.IssuedAt == 0 || c.Expires == 0 || c.ID == "" || c.Method == "" ||
		c.URL == "" || c.Body == "" || c.Operator == "" || c.Request == "" {
		return nil, ErrMissing
	}
	for _, s := range []string{c.Issuer, c.Audience, c.Operator, c.Request, c.Body} {
		if !plain(s, MaxText) {
			return nil, ErrMalformed
		}
	}
	if !plain(c.Method, 16) || !plain(c.URL, MaxURL) {
		return nil, ErrMalformed
	}
	return c, nil
}

// plain tells whether s is short and free of control characters.
func plain(s string, limit int) bool {
	return len(s) <= limit && !bytes.ContainsFunc([]byte(s), func(r rune) bool { return r < 0x20 || r == 0x7f })
}

// maxTime bounds iat and exp in Unix seconds: beyond it, the arithmetic with them could overflow.
const maxTime = int64(1) << 40

// windowFaults are what a kind of token says of its time window.
type windowFaults struct{ malformed, lifetime, notYet, expired *Fault }

// checkWindow compares the time window of a token with now, give or take Skew. It lasts MaxLifetime at most.
func checkWindow(issued, expires int64, at time.Time, faults windowFaults) error {
	now, skew, life := at.Unix(), int64(Skew/time.Second), expires-issued
	switch {
	case issued < 0 || issued > maxTime || expires < 0 || expires > maxTime:
		return faults.malformed
	case life <= 0 || life > int64(MaxLifetime/time.Second):
		return faults.lifetime
	case issued > now+skew:
		return faults.notYet
	case expires <= now-skew:
		return faults.expired
	}
	return nil
}

// check compares verified claims with the request. It goes from who and when to what, so that the first fault named is
// the one the caller should mend first.
func check(c *Claims, e Expect) error {
	if c.Audience != e.Audience {
		return ErrAudience
	}
	if err := checkWindow(c.IssuedAt, c.Expires, e.Now, windowFaults{ErrMalformed, ErrLifetime, ErrNotYet, ErrExpired}); err != nil {
		return err
	}
	if !timeOrdered(c.ID, c.IssuedAt) {
		return ErrID
	}
	if c.Method != e.Method {
		return ErrMethod
	}
	if c.URL != e.URL {
		return ErrURL
	}
	if e.Admit != nil {
		if err := e.Admit(c); err != nil {
			return err
		}
	}
	digest, err := e.Body()
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare([]byte(c.Body), []byte(digest)) != 1 {
		return ErrBody
	}
	return nil
}

package statuslist

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"

	"oncegate/certs/jws"
	"oncegate/certs/sm"
)

const (
	// Type is the header's typ.
	Type = "statuslist+jwt"
	// MaxSize bounds a status list token in bytes.
	MaxSize = 2 << 20
)

// Why a status list token does not hold.
var (
	ErrToken     = errors.New("malformed status list token")
	ErrSignature = errors.New("status list signature does not hold")
	ErrSubject   = errors.New("status list is another one")
	ErrExpired   = errors.New("status list has expired")
	ErrNotYet    = errors.New("status list is from the future")
)

// Token is a published list.
type Token struct {
	Subject  string // the URI under which it is published; licenses refer to it
	IssuedAt time.Time
	Expires  time.Time     // zero: never
	TTL      time.Duration // how long it may be kept before asking again; zero: not said
	List     *List
	Header   jws.Header // set by Verify
}

type claims struct {
	Subject  string `json:"sub"`
	IssuedAt int64  `json:"iat"`
	Expires  int64  `json:"exp,omitzero"`
	TTL      int64  `json:"ttl,omitzero"`
	List     struct {
		Bits        int    `json:"bits"`
		Lst         string `json:"lst"`
		Aggregation string `json:"aggregation_uri,omitzero"`
	} `json:"status_list"`
}

// sane tells whether the numbers are seconds of this age, so that arithmetic on them cannot overflow.
func (c claims) sane() bool {
	const horizon = int64(1) << 40
	return 0 < c.IssuedAt && c.IssuedAt < horizon && 0 <= c.Expires && c.Expires < horizon && 0 <= c.TTL && c.TTL < 1<<32
}

// Sign publishes a list; h gives kid and x5c.
func Sign(ctx context.Context, signer sm.Signer, h jws.Header, t Token) (string, error) {
	if t.Subject == "" || t.IssuedAt.IsZero() || t.List == nil {
		return "", fmt.Errorf("sign status list: %w: subject, time and list are required", ErrToken)
	}
	c := claims{Subject: t.Subject, IssuedAt: t.IssuedAt.Unix(), TTL: int64(t.TTL / time.Second)}
	if !t.Expires.IsZero() {
		c.Expires = t.Expires.Unix()
	}
	c.List.Bits, c.List.Lst = t.List.Bits(), t.List.Encode()
	payload, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("sign status list: %w", err)
	}
	h.Typ = Type
	compact, err := jws.Sign(ctx, signer, h, payload)
	if err != nil {
		return "", fmt.Errorf("sign status list: %w", err)
	}
	return compact, nil
}

// Read reads what a token says without trusting it, and without its list. Every error is ErrToken.
func Read(compact string) (*Token, error) {
	parts, err := split(compact)
	if err != nil {
		return nil, fmt.Errorf("read status list: %w", err)
	}
	t, _, err := tokenOf(parts)
	if err != nil {
		return nil, fmt.Errorf("read status list: %w", err)
	}
	return t, nil
}

func split(compact string) (*jws.Parts, error) {
	parts, err := jws.Split(compact, MaxSize)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrToken, err)
	}
	if parts.Header.Typ != Type {
		return nil, fmt.Errorf("%w: typ is not %s", ErrToken, Type)
	}
	return parts, nil
}

// tokenOf reads the claims. The list stays packed: it is much larger than its token, which nobody may have signed.
func tokenOf(parts *jws.Parts) (*Token, claims, error) {
	var c claims
	// Unknown members are allowed: the draft lets issuers add claims.
	if err := json.Unmarshal(parts.Payload, &c); err != nil || !c.sane() || c.Subject == "" {
		return nil, c, fmt.Errorf("%w: claims", ErrToken)
	}
	t := &Token{
		Subject: c.Subject, IssuedAt: time.Unix(c.IssuedAt, 0).UTC(), TTL: time.Duration(c.TTL) * time.Second, Header: parts.Header,
	}
	if c.Expires != 0 {
		t.Expires = time.Unix(c.Expires, 0).UTC()
	}
	return t, c, nil
}

// InForce is nil from the token's issue, give or take a minute, to before its expiry; else ErrNotYet or ErrExpired.
func (t *Token) InForce(now time.Time) error {
	const skew = time.Minute
	if t.IssuedAt.After(now.Add(skew)) {
		return ErrNotYet
	}
	if !t.Expires.IsZero() && !now.Before(t.Expires) {
		return ErrExpired
	}
	return nil
}

// Verify checks a status list token against the URI it was fetched for and the time. check judges the signature: find
// the issuer's key by the header and call [jws.Parts.Verify] with it.
func Verify(compact, subject string, now time.Time, check func(*jws.Parts) error) (*Token, error) {
	t, err := verify(compact, subject, now, check)
	if err != nil {
		return nil, fmt.Errorf("verify status list: %w", err)
	}
	return t, nil
}

func verify(compact, subject string, now time.Time, check func(*jws.Parts) error) (*Token, error) {
	parts, err := split(compact)
	if err != nil {
		return nil, err
	}
	if err := check(parts); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	t, c, err := tokenOf(parts)
	if err != nil {
		return nil, err
	}
	if t.Subject != subject {
		return nil, ErrSubject
	}
	if err := t.InForce(now); err != nil {
		return nil, err
	}
	t.List, err = Decode(c.List.Bits, c.List.Lst)
	return t, err
}

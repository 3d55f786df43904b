package timestamp

import (
	"context"
	"crypto/rand"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"sync"
	"time"

	"oncegate/certs/cms"
	"oncegate/certs/pki"
	"oncegate/certs/sm"
)

// Config of an authority.
type Config struct {
	// Signer makes the tokens; its key does nothing else.
	Signer sm.Signer
	// Chain is the authority's certificate, issued for [pki.TimeStamp], then those above it without the root.
	Chain []*pki.Certificate
	// Policy is what tokens are made by; there is no default, because the number says what the authority promises.
	Policy asn1.ObjectIdentifier
	// Policies are granted when asked for, besides Policy.
	Policies []asn1.ObjectIdentifier
	// Accuracy is stated in every token; zero means one second. A clock that falls back by more is not believed.
	Accuracy time.Duration
	// Dialect of tokens: cms.RFC is what RFC 3161 says and everybody reads; cms.GM, the zero value, is for closed networks
	// that want GB/T 35275 throughout.
	Dialect cms.Dialect
	// Now is the clock; nil means time.Now. Zero time: it is not available at the moment.
	Now func() time.Time
	// Rand makes serial numbers unique; nil means crypto/rand.
	Rand io.Reader
	// Confirm checks every token before it leaves; nil means [sm.Verify]. Give it both voices.
	Confirm sm.VerifyFunc
}

// Authority is a time-stamping authority (时间戳服务器). It is safe for concurrent use.
type Authority struct {
	Config

	mu   sync.Mutex // protects last and the use of Rand
	last time.Time  // the latest time that was given
}

// NewAuthority checks the configuration.
func NewAuthority(c Config) (*Authority, error) {
	if c.Signer == nil || len(c.Chain) == 0 || len(c.Policy) == 0 {
		return nil, errors.New("time-stamping authority: a key, its certificate and a policy are required")
	}
	if !c.Signer.Public().Equal(c.Chain[0].PublicKey) {
		return nil, errors.New("time-stamping authority: the certificate is not the key's")
	}
	if err := mayStamp(c.Chain[0], nil); err != nil {
		return nil, fmt.Errorf("time-stamping authority: %w", err)
	}
	if c.Accuracy == 0 {
		c.Accuracy = time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	return &Authority{Config: c}, nil
}

// Stamp returns a token over the value of a signature, without HTTP.
func (a *Authority) Stamp(ctx context.Context, signature []byte) ([]byte, error) {
	imprint, err := ImprintOf(SM3, signature)
	if err != nil {
		return nil, err
	}
	token, err := a.issue(ctx, Request{Imprint: imprint, Certificates: true})
	if err != nil {
		return nil, fmt.Errorf("stamp: %w", err)
	}
	return token, nil
}

// Respond answers a request in DER with a response in DER: a token, or a refusal that says why.
func (a *Authority) Respond(ctx context.Context, query []byte) ([]byte, error) {
	var r Response
	request, err := ParseRequest(query)
	switch {
	case errors.Is(err, errVersion):
		err = refuse(BadRequest, "only requests of version 1 are answered")
	case err != nil:
		err = refuse(BadDataFormat, "the request cannot be read")
	default:
		r.Token, err = a.issue(ctx, request)
	}
	if err != nil && !errors.As(err, &r.Refusal) {
		r.Refusal = &Refusal{statusRejection, SystemFailure, "the token could not be made"}
	}
	return r.Marshal()
}

func refuse(why Failure, text string) error { return &Refusal{statusRejection, why, text} }

// issue makes a token. An error that is a Refusal is the request's fault or the clock's.
func (a *Authority) issue(ctx context.Context, r Request) ([]byte, error) {
	if r.Extended {
		return nil, refuse(UnacceptedExtension, "no extension is known")
	}
	h, err := cms.NewHash(r.Imprint.Algorithm)
	if err != nil {
		return nil, refuse(BadAlgorithm, "the imprint is made with SM3 or SHA-2")
	}
	if len(r.Imprint.Digest) != h.Size() {
		return nil, refuse(BadDataFormat, "the imprint has another length than its algorithm gives")
	}
	policy := a.Policy
	if r.Policy != nil {
		if policy = r.Policy; !policy.Equal(a.Policy) && !slices.ContainsFunc(a.Policies, policy.Equal) {
			return nil, refuse(UnacceptedPolicy, "the policy is not offered")
		}
	}
	now, serial, err := a.next()
	if err != nil {
		return nil, err
	}
	content, err := Info{Policy: policy, Imprint: r.Imprint, Serial: serial, Time: now, Accuracy: a.Accuracy, Nonce: r.Nonce}.marshal()
	if err != nil {
		return nil, err
	}
	return cms.Sign(ctx, cms.Config{
		Dialect: a.Dialect, ContentType: tstInfo, SigningCertificate: true, OmitCertificates: !r.Certificates,
		Now: func() time.Time { return now }, Confirm: a.Confirm,
	}, content, cms.Identity{Signer: a.Signer, Chain: a.Chain})
}

// next returns the time, to the millisecond, and a serial number: the time in nanoseconds and 64 random bits, so that
// numbers stay unique when the authority starts again, and on several nodes.
func (a *Authority) next() (time.Time, *big.Int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.Now().UTC()
	if now.IsZero() {
		return now, nil, refuse(TimeNotAvailable, "the clock is not available")
	}
	if now.Before(a.last.Add(-a.Accuracy)) {
		return now, nil, refuse(TimeNotAvailable, "the clock went back")
	}
	if now.After(a.last) {
		a.last = now
	}
	var serial [16]byte
	binary.BigEndian.PutUint64(serial[:], uint64(now.UnixNano()))
	if _, err := io.ReadFull(a.Rand, serial[8:]); err != nil {
		return now, nil, fmt.Errorf("make serial number: %w", err)
	}
	return now.Truncate(time.Millisecond), new(big.Int).SetBytes(serial[:]), nil
}

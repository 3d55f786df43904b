// Package tsa is a time-stamping authority (时间戳服务器) for tests and the demo: RFC 3161 and GB/T 20520. Package timestamp is the
// client: it asks authorities and verifies their tokens.
package tsa

import (
	"context"
	"crypto/rand"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/big"
	"mime"
	"net/http"
	"slices"
	"sync"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"oncegate/certs/cms"
	"oncegate/certs/der"
	"oncegate/certs/pki"
	"oncegate/certs/sm"
	"oncegate/certs/timestamp"
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
	// Accuracy is stated in every token; zero means one second. A clock that falls back by more is not trusted.
	Accuracy time.Duration
	// Dialect of tokens: cms.RFC is what RFC 3161 says and everybody reads; cms.GM, the zero value, is for closed networks
	// that want GB/T 35275 throughout.
	Dialect cms.Dialect
	// Now is the clock; nil means time.Now. Zero time: it is not available at the moment.
	Now func() time.Time
	// Rand makes serial numbers unique; nil means crypto/rand.
	Rand io.Reader
	// VerifyBoth checks every token before it leaves; nil means [sm.Verify]. Give it [second.VerifyBoth].
	VerifyBoth sm.VerifyFunc
}

// Authority is a time-stamping authority. It is safe for concurrent use.
type Authority struct {
	Config

	mu   sync.Mutex // protects last and the use of Rand
	last time.Time  // the latest time that was given
}

// New checks the configuration.
func New(c Config) (*Authority, error) {
	if c.Signer == nil || len(c.Chain) == 0 || len(c.Policy) == 0 {
		return nil, errors.New("time-stamping authority: a key, its certificate and a policy are required")
	}
	if !c.Signer.Public().Equal(c.Chain[0].PublicKey) {
		return nil, errors.New("time-stamping authority: the certificate is not the key's")
	}
	if err := timestamp.CheckAuthority(c.Chain[0], nil); err != nil {
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
	imprint, err := timestamp.ImprintOf(timestamp.SM3, signature)
	if err != nil {
		return nil, err
	}
	token, err := a.issue(ctx, Request{Request: timestamp.Request{Imprint: imprint, Certificates: true}})
	if err != nil {
		return nil, fmt.Errorf("stamp: %w", err)
	}
	return token, nil
}

// Respond answers a request in DER with a response in DER: a token, or a refusal that says why.
func (a *Authority) Respond(ctx context.Context, query []byte) ([]byte, error) {
	var r timestamp.Response
	asked, err := ParseRequest(query)
	switch {
	case errors.Is(err, errVersion):
		err = refuse(timestamp.BadRequest, "only requests of version 1 are answered")
	case err != nil:
		err = refuse(timestamp.BadDataFormat, "the request cannot be read")
	default:
		r.Token, err = a.issue(ctx, asked)
	}
	if err != nil && !errors.As(err, &r.Refusal) {
		r.Refusal = &timestamp.Refusal{Status: rejection, Failure: timestamp.SystemFailure, Text: "the token could not be made"}
	}
	return MarshalResponse(r)
}

func refuse(why timestamp.Failure, text string) error {
	return &timestamp.Refusal{Status: rejection, Failure: why, Text: text}
}

// issue makes a token. An error that is a Refusal is the request's fault or the clock's.
func (a *Authority) issue(ctx context.Context, r Request) ([]byte, error) {
	if r.Extended {
		return nil, refuse(timestamp.UnacceptedExtension, "no extension is known")
	}
	h, err := cms.NewHash(r.Imprint.Algorithm)
	if err != nil {
		return nil, refuse(timestamp.BadAlgorithm, "the imprint is made with SM3 or SHA-2")
	}
	if len(r.Imprint.Digest) != h.Size() {
		return nil, refuse(timestamp.BadDataFormat, "the imprint has another length than its algorithm gives")
	}
	policy := a.Policy
	if r.Policy != nil {
		if policy = r.Policy; !policy.Equal(a.Policy) && !slices.ContainsFunc(a.Policies, policy.Equal) {
			return nil, refuse(timestamp.UnacceptedPolicy, "the policy is not offered")
		}
	}
	now, serial, err := a.next()
	if err != nil {
		return nil, err
	}
	content, err := marshalInfo(timestamp.Info{Policy: policy, Imprint: r.Imprint, Serial: serial, Time: now, Accuracy: a.Accuracy, Nonce: r.Nonce})
	if err != nil {
		return nil, err
	}
	return cms.Sign(ctx, cms.Config{
		Dialect: a.Dialect, ContentType: timestamp.ContentType, SigningCertificate: true, OmitCertificates: !r.Certificates,
		Now: func() time.Time { return now }, VerifyBoth: a.VerifyBoth,
	}, content, cms.Identity{Signer: a.Signer, Chain: a.Chain})
}

// next returns the time, to the millisecond, and a serial number: the time in nanoseconds and 64 random bits, so that
// numbers stay unique when the authority starts again, and on several nodes.
func (a *Authority) next() (time.Time, *big.Int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.Now().UTC()
	if now.IsZero() {
		return now, nil, refuse(timestamp.TimeNotAvailable, "the clock is not available")
	}
	if now.Before(a.last.Add(-a.Accuracy)) {
		return now, nil, refuse(timestamp.TimeNotAvailable, "the clock went back")
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

var _ http.Handler = (*Authority)(nil)

// ServeHTTP answers requests, RFC 3161 section 3.4. What is no request at all gets an HTTP status; every request gets 200
// and a response, refusals included. Limits on callers are set before it.
func (a *Authority) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "requests are posted", http.StatusMethodNotAllowed)
		return
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != queryType {
		http.Error(w, "requests are "+queryType, http.StatusUnsupportedMediaType)
		return
	}
	query, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxQuery))
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		http.Error(w, "the request is too large", http.StatusRequestEntityTooLarge)
		return
	}
	if err != nil {
		http.Error(w, "the request could not be read", http.StatusBadRequest)
		return
	}
	reply, err := a.Respond(r.Context(), query)
	if err != nil {
		http.Error(w, "the response could not be made", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", replyType)
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(reply) // whoever hung up asks again
}

// Media types of RFC 3161 section 3.4, the status rejection, and the bound of a request in bytes: it holds one digest.
const (
	queryType = "application/timestamp-query"
	replyType = "application/timestamp-reply"
	rejection = 2
	maxQuery  = 4 << 10
)

// A Request is a parsed time-stamp request, and whether it has extensions; none is supported.
type Request struct {
	timestamp.Request
	Extended bool
}

// errVersion says that a request is not of version 1, the only one.
var errVersion = errors.New("another version than 1")

// ParseRequest reads a request. Errors are ErrMalformed.
func ParseRequest(b []byte) (r Request, err error) {
	if len(b) > maxQuery || der.Check(b) != nil {
		return r, timestamp.ErrMalformed
	}
	whole := der.Read(b, timestamp.ErrMalformed)
	in := whole.Sequence("request")
	version := in.Int("version")
	if in.Err() == nil && version != 1 {
		return r, errors.Join(timestamp.ErrMalformed, errVersion)
	}
	imprint := in.Sequence("message imprint")
	r.Imprint.Algorithm = imprint.Algorithm("message imprint")
	if r.Imprint.Digest = imprint.Octets("message imprint"); len(r.Imprint.Digest) > 64 {
		imprint.Fail("message imprint")
	}
	imprint.End("message imprint")
	if in.Is(der.OID) {
		r.Policy = in.OID("policy")
	}
	if in.Is(der.Integer) {
		if r.Nonce = in.BigInt("nonce"); r.Nonce.BitLen() > 512 {
			in.Fail("nonce")
		}
	}
	set, present := in.Bool("certificate request")
	if r.Certificates = set; present && !set { // DER writes no default
		in.Fail("certificate request")
	}
	_, r.Extended = in.Optional(der.Explicit(0), "extensions")
	in.End("extensions")
	return r, in.Err()
}

// MarshalResponse writes a response as DER.
func MarshalResponse(r timestamp.Response) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(der.Sequence, func(b *cryptobyte.Builder) {
		if r.Refusal == nil {
			b.AddASN1(der.Sequence, func(b *cryptobyte.Builder) { b.AddASN1Int64(0) })
			b.AddBytes(r.Token)
			return
		}
		b.AddASN1(der.Sequence, func(b *cryptobyte.Builder) {
			b.AddASN1Int64(int64(r.Refusal.Status))
			if r.Refusal.Text != "" {
				b.AddASN1(der.Sequence, func(b *cryptobyte.Builder) {
					b.AddASN1(der.UTF8String, func(b *cryptobyte.Builder) { b.AddBytes([]byte(r.Refusal.Text)) })
				})
			}
			if f := r.Refusal.Failure; f >= 0 && f <= 31 {
				bits := make([]byte, f/8+1) // a named bit list ends with its last one
				bits[f/8] = 0x80 >> (f % 8)
				b.AddASN1(der.BitString, func(b *cryptobyte.Builder) { b.AddBytes(append([]byte{byte(7 - f%8)}, bits...)) })
			}
		})
	})
	return b.Bytes()
}

// marshalInfo writes TSTInfo.
func marshalInfo(i timestamp.Info) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(der.Sequence, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(1)
		b.AddASN1ObjectIdentifier(i.Policy)
		b.AddASN1(der.Sequence, func(b *cryptobyte.Builder) {
			b.AddASN1(der.Sequence, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(i.Imprint.Algorithm) })
			b.AddASN1OctetString(i.Imprint.Digest)
		})
		b.AddASN1BigInt(i.Serial)
		b.AddASN1(der.GeneralizedTime, func(b *cryptobyte.Builder) { b.AddBytes([]byte(i.Time.UTC().Format("20060102150405.999999999Z"))) })
		if i.Accuracy > 0 {
			addAccuracy(b, i.Accuracy)
		}
		if i.Ordering {
			b.AddASN1Boolean(true)
		}
		if i.Nonce != nil {
			b.AddASN1BigInt(i.Nonce)
		}
	})
	return b.Bytes()
}

// addAccuracy writes Accuracy: seconds, milliseconds, microseconds, each where it is not zero.
func addAccuracy(b *cryptobyte.Builder, d time.Duration) {
	b.AddASN1(der.Sequence, func(b *cryptobyte.Builder) {
		if s := int64(d / time.Second); s > 0 {
			b.AddASN1Int64(s)
		}
		if ms := int64(d % time.Second / time.Millisecond); ms > 0 {
			b.AddASN1Int64WithTag(ms, der.Context(0))
		}
		if us := int64(d % time.Millisecond / time.Microsecond); us > 0 {
			b.AddASN1Int64WithTag(us, der.Context(1))
		}
	})
}

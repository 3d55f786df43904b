package gateway

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"oncegate/api"
	"oncegate/certs/token"
)

var (
	errNotYetCertified    = errors.New("the key's certificate is not valid yet")
	errCertificateExpired = errors.New("the key's certificate has expired")
)

// unproven is a refusal of somebody who did not prove who they are: counted and limited, never recorded.
type unproven struct {
	problem *api.Problem
}

func (u *unproven) Error() string { return "unproven caller: " + u.problem.Code }

func unprovenFor(code string) error { return &unproven{problem: api.NewProblem(code)} }

// open finds out who calls and claims the call's id: the first step of every operation. It believes nothing that the
// token's signature does not cover: method, URL and body are compared with what was signed.
func (g *Gateway) open(row *operation) func(context.Context, *http.Request) (any, error) {
	return func(ctx context.Context, r *http.Request) (any, error) {
		start := g.now()
		c, err := g.proved(ctx, row, r, start)
		if l := (*limited)(nil); errors.As(err, &l) {
			g.metrics.call(row.ID, "too-many-requests", g.now().Sub(start), nil)
			return nil, l
		}
		return c, err
	}
}

// proved makes a call of a request whose token holds. What costs nothing is looked at before what does: the signature of a
// registered key, then the call's id and the system's shares, then the body, whose digest is the last thing compared.
func (g *Gateway) proved(ctx context.Context, row *operation, r *http.Request, start time.Time) (_ *call, err error) {
	compact, err := bearer(r)
	if err != nil {
		return nil, err
	}
	config, now := g.running.Load(), g.now()
	var key *ecdsa.PublicKey
	var body []byte
	var suspect suspect
	var claimed *claim
	var crowded error
	defer func() {
		if err != nil && claimed != nil {
			g.claims.release(*claimed)
		}
		if suspect.key != "" && errors.As(err, new(*unproven)) && crowded == nil {
			g.suspects.failed(suspect, g.now())
		}
	}()
	claims, err := token.Verify(ctx, compact, token.Expect{
		Audience: g.Audience,
		Method:   r.Method,
		URL:      g.PublicURL + signedTarget(r),
		Body: func() (_ string, err error) {
			body, err = readBody(r, row.Most)
			return token.BodyDigest(body), err
		},
		Now: now,
		KeyOf: func(iss, kid string) (_ *ecdsa.PublicKey, err error) {
			if key, err = config.key(iss, kid, now); err == nil {
				suspect.network, suspect.key = g.client(r), iss+" "+kid
			}
			return key, err
		},
		Verify: func(pub *ecdsa.PublicKey, message, rs []byte) error {
			leave, err := g.suspects.enter(ctx, suspect, now)
			if err != nil {
				crowded = err
				return err
			}
			defer leave()
			return g.VerifySM2(pub, message, rs)
		},
		Claimed: func(iss, jti string) error {
			if g.claims.taken(claim{iss, jti}) {
				return unprovenFor("token-replayed")
			}
			return nil
		},
		Admit: func(c *token.Claims) error {
			one := claim{c.Issuer, c.ID}
			if !g.claims.take(one, time.Unix(c.Expires, 0).Add(2*token.Skew), now) {
				return unprovenFor("token-replayed")
			}
			claimed = &one
			return r.Body.(*visit).admit(c.Issuer, now)
		},
	})
	switch {
	case crowded != nil:
		return nil, crowded
	case errors.As(err, new(*unproven)), errors.As(err, new(*limited)):
		return nil, err
	case err != nil:
		return nil, tokenProblem(err)
	}
	c := &call{
		row: row, config: config, system: config.Systems[claims.Issuer], key: key, claims: claims, token: compact, body: body,
		start: start, now: now.UTC().Truncate(time.Millisecond), asked: answers{},
	}
	if c.params, c.malformed = paramsOf(r); c.malformed == nil {
		c.malformed = row.CheckHeaders(r)
	}
	return c, nil
}

// bearer returns the one token of a request; the scheme's name has no case (RFC 9110 section 11.1).
func bearer(r *http.Request) (string, error) {
	headers := r.Header.Values("Authorization")
	if len(headers) != 1 {
		return "", unprovenFor("token-missing")
	}
	scheme, compact, ok := strings.Cut(headers[0], " ")
	switch {
	case !ok || !strings.EqualFold(scheme, "Bearer"):
		return "", unprovenFor("token-missing")
	case len(compact) > token.MaxSize:
		return "", unprovenFor("token-too-large")
	}
	return compact, nil
}

// signedTarget is the path and query as they came over the wire: the escaped path and, if there is one, the raw query. The
// Host header has no part in it.
func signedTarget(r *http.Request) string {
	target := r.URL.EscapedPath()
	if r.URL.RawQuery != "" || r.URL.ForceQuery {
		target += "?" + r.URL.RawQuery
	}
	return target
}

// readBody reads at most the limit. A body over it cannot be compared with its digest, so its caller stays unproven.
func readBody(r *http.Request, most int) ([]byte, error) {
	if r.ContentLength > int64(most) {
		return nil, unprovenFor("too-large")
	}
	body, err := readAll(io.LimitReader(r.Body, int64(most)+1))
	switch {
	case errors.As(err, new(*limited)):
		return nil, err
	case errors.As(err, new(*http.MaxBytesError)), len(body) > most:
		return nil, unprovenFor("too-large")
	case err != nil:
		return nil, unprovenFor("body-unreadable")
	}
	return body, nil
}

// readAll is io.ReadAll for what may be large: what was read is copied once, not each time that a buffer is full. A body that
// is cut off may end without an error; its digest tells.
func readAll(r io.Reader) ([]byte, error) {
	first, err := io.ReadAll(io.LimitReader(r, api.MaxBody))
	if err != nil || len(first) < api.MaxBody {
		return first, err
	}
	chunks := [][]byte{first}
	for {
		chunk := make([]byte, 64<<10)
		n, err := io.ReadFull(r, chunk)
		chunks = append(chunks, chunk[:n])
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return slices.Concat(chunks...), nil
		case err != nil:
			return nil, err
		}
	}
}

// kept is what of the body is kept as evidence. A large one is a document that the caller has: the token, which is kept, holds
// its digest.
func (c *call) kept() []byte {
	if len(c.body) > api.MaxBody {
		return nil
	}
	return c.body
}

// tokenProblem turns a verifier's error into the code the caller may see.
func tokenProblem(err error) error {
	switch code := token.Code(err); {
	case code != "":
		return unprovenFor(code)
	case errors.Is(err, errCertificateExpired):
		return unprovenFor("certificate-expired")
	case errors.Is(err, errNotYetCertified):
		return unprovenFor("certificate-not-yet-valid")
	}
	return fmt.Errorf("verify token: %w", err)
}

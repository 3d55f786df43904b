package gateway

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io"
	"net/http"
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
		body, err := readBody(r)
		if err != nil {
			return nil, err
		}
		compact, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok || len(r.Header.Values("Authorization")) != 1 {
			return nil, unprovenFor("token-missing")
		}
		config := g.running.Load()
		claims, err := token.Verify(ctx, compact, token.Expect{
			Audience: g.Audience,
			Method:   r.Method,
			URL:      g.PublicURL + signedTarget(r),
			Body:     token.BodyDigest(body),
			Now:      start,
			KeyOf:    func(iss, kid string) (*ecdsa.PublicKey, error) { return config.key(iss, kid, start) },
			Verify:   g.VerifySM2,
		})
		if err != nil {
			return nil, g.tokenProblem(err)
		}
		if !g.claims.take(claim{claims.Issuer, claims.ID}, time.Unix(claims.Expires, 0).Add(2*token.Skew), start) {
			return nil, unprovenFor("token-replayed")
		}
		return &call{
			row: row, config: config, system: config.Systems[claims.Issuer], claims: claims, token: compact, body: body,
			params: paramsOf(r), headers: row.CheckHeaders(r),
			start: start, now: start.UTC().Truncate(time.Millisecond), asked: answers{},
		}, nil
	}
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
func readBody(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, api.MaxBody+1))
	switch {
	case err != nil:
		return nil, unprovenFor("malformed-json")
	case len(body) > api.MaxBody:
		return nil, unprovenFor("too-large")
	}
	return body, nil
}

// tokenProblem turns a verifier's error into the code the caller may see.
func (g *Gateway) tokenProblem(err error) error {
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

package session

import (
	"context"
	"crypto/subtle"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// openID is what was discovered of an OpenID provider. Discovery waits until somebody signs in, so that a provider that is down keeps no
// gateway from starting, and is made again until it succeeds.
type openID struct {
	mu       sync.Mutex // protects provider; held during discovery
	provider *oidc.Provider
}

// algorithms of ID tokens that are accepted, whatever the provider says that it supports: signatures with keys that it publishes.
var algorithms = []string{oidc.RS256, oidc.RS384, oidc.RS512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.EdDSA}

func (c *Connection) discover(ctx context.Context) (*oidc.Provider, error) {
	c.openID.mu.Lock()
	defer c.openID.mu.Unlock()
	if c.openID.provider != nil {
		return c.openID.provider, nil
	}
	// The context goes on to later requests for keys: it must not end with this one. The client has a time limit.
	p, err := oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), c.client), c.provider.Issuer)
	if mismatch := (*oidc.IssuerMismatchError)(nil); errors.As(err, &mismatch) {
		return nil, &Refusal{Code: CodeProviderIssuer, Status: http.StatusBadGateway, Cause: errors.New("the description of the OpenID provider names another issuer than the configuration")}
	} else if err != nil {
		return nil, down(err)
	}
	var described struct {
		Keys string `json:"jwks_uri"`
	}
	if err := p.Claims(&described); err != nil {
		return nil, down(err)
	}
	for _, address := range []string{described.Keys, p.Endpoint().AuthURL, p.Endpoint().TokenURL} {
		if !safeURL(address) {
			return nil, &Refusal{Code: CodeProviderAnswer, Status: http.StatusBadGateway, Cause: errors.New("the OpenID provider names an address without https")}
		}
	}
	c.openID.provider = p
	return p, nil
}

func (c *Connection) oauth(p *oidc.Provider) *oauth2.Config {
	scopes := append([]string{oidc.ScopeOpenID}, slices.DeleteFunc(slices.Clone(c.provider.Scopes), func(s string) bool { return s == oidc.ScopeOpenID })...)
	return &oauth2.Config{ClientID: c.provider.Client, ClientSecret: c.secret, Endpoint: p.Endpoint(), RedirectURL: c.callback, Scopes: scopes}
}

// openIDAddress is where OpenID Connect sends the browser: authorization code flow with PKCE, state and nonce.
func (c *Connection) openIDAddress(ctx context.Context, f flow) (string, error) {
	p, err := c.discover(ctx)
	if err != nil {
		return "", err
	}
	// The person is asked although the provider may know the browser, at which another one may sit by now (OpenID Connect Core 1.0 section
	// 3.1.2.1). With max_age the token says when it was asked (auth_time).
	return c.oauth(p).AuthCodeURL(f.State, oidc.Nonce(f.Nonce), oauth2.S256ChallengeOption(f.Verifier), oauth2.SetAuthURLParam("prompt", "login"), oauth2.SetAuthURLParam("max_age", "0")), nil
}

// redeem exchanges the code for an ID token, verifies it (OpenID Connect Core 1.0 section 3.1.3.7), and returns the claims about the person.
// proven is when the person proved who it is; zero if the provider does not say.
func (c *Connection) redeem(ctx context.Context, now time.Time, f flow, code string) (claims any, proven time.Time, err error) {
	p, err := c.discover(ctx)
	if err != nil {
		return nil, time.Time{}, err
	}
	ctx = oidc.ClientContext(ctx, c.client)
	token, err := c.oauth(p).Exchange(ctx, code, oauth2.VerifierOption(f.Verifier))
	if refused := (*oauth2.RetrieveError)(nil); errors.As(err, &refused) && refused.Response.StatusCode < 500 {
		return nil, time.Time{}, &Refusal{Code: CodeProviderCode, Status: http.StatusForbidden}
	} else if err != nil {
		return nil, time.Time{}, down(err)
	}
	raw, _ := token.Extra("id_token").(string)
	all := map[string]any{}
	id, proven, err := c.verifyIDToken(ctx, now, f, raw, all)
	if err != nil {
		return nil, time.Time{}, err
	}
	if id.AccessTokenHash != "" && id.VerifyAccessToken(token.AccessToken) != nil {
		return nil, time.Time{}, &Refusal{Code: CodeProviderSignature, Status: http.StatusForbidden}
	}
	if p.UserInfoEndpoint() == "" || c.provider.Person.SkipUserInfo {
		return all, proven, nil
	}
	if !safeURL(p.UserInfoEndpoint()) {
		return nil, time.Time{}, &Refusal{Code: CodeProviderAnswer, Status: http.StatusBadGateway}
	}
	more, err := c.userInfo(ctx, p, token, id.Subject)
	if err != nil {
		return nil, time.Time{}, err
	}
	maps.Copy(more, all) // what is signed stands
	return more, proven, nil
}

// userInfo asks for further claims about the subject of an ID token (OpenID Connect Core 1.0 section 5.3).
func (c *Connection) userInfo(ctx context.Context, p *oidc.Provider, token *oauth2.Token, subject string) (map[string]any, error) {
	info, err := p.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil {
		return nil, down(err)
	}
	claims := map[string]any{}
	if info.Subject != subject || info.Claims(&claims) != nil { // 5.3.2: a substituted token
		return nil, &Refusal{Code: CodeProviderPerson, Status: http.StatusForbidden}
	}
	return claims, nil
}

// verifyIDToken verifies an ID token with codes of its own for each thing that can be wrong.
func (c *Connection) verifyIDToken(ctx context.Context, now time.Time, f flow, raw string, claims map[string]any) (*oidc.IDToken, time.Time, error) {
	refuse := func(code string) (*oidc.IDToken, time.Time, error) {
		return nil, time.Time{}, &Refusal{Code: code, Status: http.StatusForbidden}
	}
	// The signature first, by the library; what the claims must say is judged below.
	verifier := c.openID.provider.VerifierContext(ctx, &oidc.Config{SupportedSigningAlgs: algorithms, SkipClientIDCheck: true, SkipIssuerCheck: true, SkipExpiryCheck: true})
	id, err := verifier.Verify(ctx, raw)
	if unreachable := (*url.Error)(nil); errors.As(err, &unreachable) {
		return nil, time.Time{}, down(err)
	}
	var more struct {
		Authorized string  `json:"azp"`
		AuthTime   float64 `json:"auth_time"`
		NotBefore  float64 `json:"nbf"`
	}
	if err != nil || id.Claims(&more) != nil || id.Claims(&claims) != nil {
		return refuse(CodeProviderSignature)
	}
	switch {
	case id.Issuer != c.provider.Issuer:
		return refuse(CodeProviderIssuer)
	case !slices.Contains(id.Audience, c.provider.Client) || more.Authorized != "" && more.Authorized != c.provider.Client || len(id.Audience) > 1 && more.Authorized == "":
		return refuse(CodeProviderAudience)
	case subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(f.Nonce)) != 1:
		return refuse(CodeProviderNonce)
	case !now.Before(id.Expiry.Add(clockSlack)) || id.IssuedAt.Before(f.Begun.Add(-clockSlack)) || id.IssuedAt.After(now.Add(clockSlack)) || now.Add(clockSlack).Before(unix(more.NotBefore)):
		return refuse(CodeProviderExpired)
	}
	if c.provider.NoAuthTime {
		return id, time.Time{}, nil
	}
	proven := unix(more.AuthTime)
	if proven.Before(f.Begun.Add(-clockSlack)) || proven.After(now.Add(clockSlack)) {
		return refuse(CodeProviderStale)
	}
	return id, proven, nil
}

func unix(seconds float64) time.Time { return time.Unix(int64(seconds), 0) }

// challenge is the PKCE challenge of a verifier (RFC 7636, S256).
func challenge(verifier string) string { return oauth2.S256ChallengeFromVerifier(verifier) }

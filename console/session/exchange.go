package session

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/theory/jsonpath"

	"oncegate/certs/sm"
)

// signatures are the algorithms of Signature, in lower-case hex.
var signatures = map[string]func(key, text []byte) []byte{
	"md5":         func(_, text []byte) []byte { d := md5.Sum(text); return d[:] },
	"sha256":      func(_, text []byte) []byte { d := sha256.Sum256(text); return d[:] },
	"sm3":         func(_, text []byte) []byte { d := sm.Digest(text); return d[:] },
	"hmac-sha256": func(key, text []byte) []byte { h := hmac.New(sha256.New, key); h.Write(text); return h.Sum(nil) },
	"hmac-sm3":    func(key, text []byte) []byte { d := sm.HMAC(key, text); return d[:] },
}

// expand puts values into a text.
func expand(text string, values map[string]string) string {
	return variable.ReplaceAllStringFunc(text, func(v string) string {
		if v == "$$" {
			return "$"
		}
		return values[v[1:]]
	})
}

// values are what the texts of a step may hold now.
func (c *Connection) values(now time.Time, s Step, more map[string]string) map[string]string {
	v := map[string]string{
		"client_id": c.provider.Client, "client_secret": c.secret, "redirect_uri": c.callback,
		"time": now.In(c.zone).Format("20060102150405"), "seconds": strconv.FormatInt(now.Unix(), 10), "millis": strconv.FormatInt(now.UnixMilli(), 10), "random": secret(),
	}
	for key, text := range more {
		v[key] = text
	}
	if sign := signatures[s.Sign.Algorithm]; sign != nil {
		v["signature"] = hex.EncodeToString(sign([]byte(c.secret), []byte(expand(s.Sign.Over, v))))
	}
	return v
}

// query adds parameters to an address.
func query(address string, texts, values map[string]string) (string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", err
	}
	q := u.Query()
	for name, text := range texts {
		q.Set(name, expand(text, values))
	}
	u.RawQuery = q.Encode()
	return u.String(), nil
}

// exchangeAddress is where an exchange sends the browser.
func (c *Connection) exchangeAddress(now time.Time, f flow) (string, error) {
	e := c.provider.Exchange
	v := c.values(now, e.Authorize, map[string]string{"state": f.State, "challenge": challenge(f.Verifier)})
	texts := map[string]string{}
	for name, text := range e.Authorize.Query {
		texts[name] = text
	}
	for name, text := range e.Again {
		texts[name] = text
	}
	return query(e.Authorize.URL, texts, v)
}

// exchange buys a token for the code, and the user's data for the token.
func (c *Connection) exchange(ctx context.Context, now time.Time, f flow, code string) (any, error) {
	e := c.provider.Exchange
	more := map[string]string{"code": code, "verifier": f.Verifier}
	answer, err := c.step(ctx, now, e.Token, more)
	if err != nil {
		return nil, err
	}
	token := text(answer, e.Token.Take)
	if token == "" {
		return nil, &Refusal{Code: CodeProviderCode, Status: http.StatusForbidden}
	}
	more["token"] = token
	return c.step(ctx, now, e.UserInfo, more)
}

// maxAnswer bounds what a provider answers.
const maxAnswer = 1 << 20 // bytes

// step makes one request and reads its answer. What the provider says is in no error: it may name the person.
func (c *Connection) step(ctx context.Context, now time.Time, s Step, more map[string]string) (any, error) {
	v := c.values(now, s, more)
	address, err := query(s.URL, s.Query, v)
	if err != nil {
		return nil, err
	}
	var body io.Reader
	kind := ""
	switch {
	case s.Form != nil:
		form := url.Values{}
		for name, text := range s.Form {
			form.Set(name, expand(text, v))
		}
		body, kind = strings.NewReader(form.Encode()), "application/x-www-form-urlencoded"
	case s.JSON != nil:
		object := map[string]string{}
		for name, text := range s.JSON {
			object[name] = expand(text, v)
		}
		content, err := json.Marshal(object, json.Deterministic(true))
		if err != nil {
			return nil, err
		}
		body, kind = bytes.NewReader(content), "application/json"
	}
	method := s.Method
	if method == "" {
		method = http.MethodGet
	}
	r, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return nil, errors.New("the request to the identity provider cannot be made")
	}
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	r.Header.Set("Accept", "application/json")
	for name, text := range s.Headers {
		r.Header.Set(name, expand(text, v))
	}
	res, err := c.client.Do(r)
	if err != nil {
		return nil, down(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, down(err)
	case res.StatusCode >= 500:
		return nil, &Refusal{Code: CodeProviderDown, Status: http.StatusServiceUnavailable, Cause: fmt.Errorf("the identity provider answered status %d", res.StatusCode)}
	case res.StatusCode != http.StatusOK:
		return nil, &Refusal{Code: CodeProviderCode, Status: http.StatusForbidden}
	case len(data) > maxAnswer:
		return nil, &Refusal{Code: CodeProviderAnswer, Status: http.StatusBadGateway}
	}
	var answer any
	if err := json.Unmarshal(data, &answer); err != nil {
		return nil, &Refusal{Code: CodeProviderAnswer, Status: http.StatusBadGateway}
	}
	if s.OK.At != "" && !slices.Contains(s.OK.Is, text(answer, s.OK.At)) {
		return nil, &Refusal{Code: CodeProviderCode, Status: http.StatusForbidden}
	}
	return answer, nil
}

// down is the refusal where a provider cannot be reached. The cause does not repeat addresses, which hold codes and tokens.
func down(err error) error {
	cause := errors.New("the identity provider cannot be reached")
	if u := (*url.Error)(nil); errors.As(err, &u) {
		err = u.Err
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		cause = errors.New("the identity provider does not answer in time")
	}
	return &Refusal{Code: CodeProviderDown, Status: http.StatusServiceUnavailable, Cause: cause}
}

// texts are the values that a JSONPath selects, as texts: numbers and true as they are written.
func texts(answer any, path string) (all []string) {
	if path == "" {
		return nil
	}
	p, err := jsonpath.Parse(path)
	if err != nil {
		return nil
	}
	for _, v := range p.Select(answer) {
		switch v := v.(type) {
		case string:
			all = append(all, v)
		case bool:
			all = append(all, strconv.FormatBool(v))
		case float64:
			all = append(all, strconv.FormatFloat(v, 'f', -1, 64))
		case []any:
			for _, one := range v {
				if s, ok := one.(string); ok {
					all = append(all, s)
				}
			}
		}
		if len(all) > maxRules {
			break
		}
	}
	return all
}

// text is the one value that a JSONPath selects; "" where there is none or several.
func text(answer any, path string) string {
	if all := texts(answer, path); len(all) == 1 {
		return all[0]
	}
	return ""
}

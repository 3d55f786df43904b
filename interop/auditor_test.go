package interop_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tjfoc/gmsm/sm2"
	"github.com/tjfoc/gmsm/sm3"
	"github.com/tjfoc/gmsm/x509"
)

// An auditor is a system with the right to read entries. It signs its calls as the design's section 5.4 says, with an SM2 that is
// not ours. As an [http.RoundTripper] it adds a token to each request that needs one: a token is for one URL and for one use, so
// that no fixed header can stand in for it. What is public goes out as it is.
type auditor struct {
	system, kid, gateway string
	key                  *sm2.PrivateKey
}

// newAuditor gives the system audit-office a second key, as operations.md tells it for rotation, and waits until the running
// gateway has taken it over by itself.
func (g *gateway) newAuditor(t *testing.T) *auditor {
	t.Helper()
	const system, kid = "audit-office", "audit-office-2"
	file, config := g.path(kid+".pem"), g.path("gateway", "oncegate.yaml")
	request := g.path(kid + ".csr")
	must(t, os.WriteFile(request, g.run(t, "keys", "new", "--file", file, "--owner", system), 0o600))
	chain := g.run(t, "keys", "sign", "-c", config, system, request)
	must(t, os.WriteFile(g.path("gateway", "certificates", kid+".pem"), chain, 0o600))

	const was, is = "[certificates/audit-office-1.pem]", "[certificates/audit-office-1.pem, certificates/audit-office-2.pem], rate: 1000"
	text := string(g.read(t, "gateway", "oncegate.yaml"))
	if strings.Count(text, was) != 1 {
		t.Fatalf("the configuration does not have %s once", was)
	}
	must(t, os.WriteFile(config, []byte(strings.Replace(text, was, is, 1)), 0o600))

	key, err := x509.ReadPrivateKeyFromPem(g.read(t, kid+".pem"), nil)
	must(t, err)
	a := &auditor{system, kid, g.id, key}
	for deadline := time.Now().Add(30 * time.Second); ; {
		err := a.call(t.Context(), g)
		if err == nil {
			return a
		}
		if time.Now().After(deadline) {
			t.Fatalf("the gateway does not take the new key over: %v", err)
		}
		select {
		case <-time.After(200 * time.Millisecond): // the reload cannot be waited for from outside
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		}
	}
}

func (a *auditor) client() *http.Client { return &http.Client{Transport: a} }

// call makes the plainest signed call there is. It leaves one record.
func (a *auditor) call(ctx context.Context, g *gateway) error {
	_, err := fetch(ctx, a.client(), g.base+"/v1/catalog/types")
	return err
}

// calls makes n calls, some at a time.
func (a *auditor) calls(t *testing.T, g *gateway, n int64) {
	t.Helper()
	const atOnce = 8
	var left atomic.Int64
	left.Store(n)
	ended := make(chan error, atOnce)
	for range atOnce {
		go func() {
			for left.Add(-1) >= 0 {
				if err := a.call(t.Context(), g); err != nil {
					ended <- err
					return
				}
			}
			ended <- nil
		}()
	}
	for range atOnce {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	if t.Failed() {
		t.FailNow()
	}
}

// RoundTrip implements [http.RoundTripper].
func (a *auditor) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasPrefix(r.URL.Path, "/v1/") || strings.HasPrefix(r.URL.Path, "/log/tile/entries/") {
		token, err := a.token(r.Method, r.URL.String(), time.Now().Unix())
		if err != nil {
			return nil, err
		}
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return http.DefaultTransport.RoundTrip(r)
}

// token signs a request without a body.
func (a *auditor) token(method, url string, now int64) (string, error) {
	id := fmt.Sprintf("%d-%s", now, rand.Text())
	input := encoded(map[string]any{"typ": "oncegate-call+jwt", "alg": "SM2SM3", "kid": a.kid}) + "." + encoded(map[string]any{
		"iss": a.system, "aud": a.gateway, "iat": now, "exp": now + 60, "jti": id, "rid": id, "opr": "interop",
		"htm": method, "htu": url, "sm3": base64.RawURLEncoding.EncodeToString(sm3.Sm3Sum(nil)),
	})
	r, s, err := sm2.Sm2Sign(a.key, []byte(input), []byte("1234567812345678"), rand.Reader)
	if err != nil {
		return "", err
	}
	var signature [64]byte
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return input + "." + base64.RawURLEncoding.EncodeToString(signature[:]), nil
}

func encoded(members map[string]any) string {
	text, err := json.Marshal(members)
	if err != nil {
		panic(err) // texts and numbers only
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

package token_test

import (
	"crypto/ecdsa"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"oncegate/certs/certstest"
	"oncegate/certs/jws"
	"oncegate/certs/sm"
	"oncegate/certs/token"
)

// actorBench has one identity service that may speak for approval-hall, and one that may not.
type actorBench struct {
	service, stranger, caller sm.Signer
	call                      token.Claims
	expect                    token.ActorExpect
}

func newActorBench(t testing.TB) *actorBench {
	w := certstest.New(t, "actor")
	b := &actorBench{service: w.Signer("staff-1"), stranger: w.Signer("other-1"), caller: w.Signer("call-1")}
	id, err := token.NewID(now, strings.NewReader("0123456789"))
	if err != nil {
		t.Fatal(err)
	}
	b.call = token.Claims{
		Issuer: "approval-hall", Audience: "gate-1", IssuedAt: now.Unix(), Expires: now.Unix() + 60, ID: id, Method: "POST", URL: url,
		Body: token.BodyDigest([]byte("{}")), Operator: "clerk-7", Request: "r-1",
	}
	key := func(s sm.Signer) map[string]token.ServiceKey {
		return map[string]token.ServiceKey{s.KeyID(): {Public: s.Public()}}
	}
	b.expect = token.ActorExpect{
		Call: &b.call, Key: b.caller.Public(), Now: now,
		Services: map[string]token.IdentityService{
			"staff-id": {Keys: key(b.service), Systems: []string{"approval-hall"}, Roles: []string{"clerk", "head"}},
			"other-id": {Keys: key(b.stranger), Systems: []string{"court"}, Roles: []string{"judge"}},
		},
	}
	return b
}

// claims is a good payload as a map, for tests that spoil it.
func (b *actorBench) claims(t testing.TB) map[string]any {
	t.Helper()
	req, err := token.RequestDigest(&b.call)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]any{
		"iss": "staff-id", "aud": "gate-1", "sys": "approval-hall", "sub": "clerk-7", "iat": now.Unix(), "exp": now.Unix() + 300,
		"roles": []string{"head", "clerk"}, "req": req,
	}
}

var goodActor = jws.Header{Typ: token.ActorType, Kid: "staff-1"}

func sign(t testing.TB, signer sm.Signer, h jws.Header, payload any) string {
	t.Helper()
	raw, ok := payload.([]byte)
	if !ok {
		var err error
		if raw, err = json.Marshal(payload, json.Deterministic(true)); err != nil {
			t.Fatal(err)
		}
	}
	compact, err := jws.Sign(t.Context(), signer, h, raw)
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

func (b *actorBench) verify(compact string) (*token.Actor, error) {
	b.call.Actor = compact
	return token.VerifyActor(b.expect)
}

func TestActorProofs(t *testing.T) {
	b := newActorBench(t)
	req, err := token.RequestDigest(&b.call)
	if err != nil {
		t.Fatal(err)
	}
	key, err := token.KeyDigest(b.caller.Public())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		proof  string
		claims token.ActorClaims
	}{
		{token.ProofCall, token.ActorClaims{Request: req}},
		{token.ProofSession, token.ActorClaims{Confirmation: &token.Confirmation{Key: key}}},
	} {
		c.claims.Issuer, c.claims.Audience, c.claims.System, c.claims.Subject = "staff-id", "gate-1", "approval-hall", "clerk-7"
		c.claims.Roles = []string{"head", "clerk"}
		compact, err := token.SignActor(t.Context(), b.service, c.claims, now)
		if err != nil {
			t.Fatal(err)
		}
		got, err := b.verify(compact)
		if err != nil || got.Proof != c.proof || got.Service != "staff-id" || got.KeyID != "staff-1" || got.Subject != "clerk-7" || !slices.Equal(got.Roles, []string{"clerk", "head"}) {
			t.Errorf("%s: %+v, %v", c.proof, got, err)
		}
	}
}

// The digests are what others compute: RFC 8785 of six strings, and the DER that OpenSSL writes.
func TestActorDigests(t *testing.T) {
	b := newActorBench(t)
	b.call.URL = `https://gate.example.gov.cn/v1/cases/办件"1`
	req, err := token.RequestDigest(&b.call)
	if want := sm.DigestB64([]byte(`["approval-hall","gate-1","POST","https://gate.example.gov.cn/v1/cases/办件\"1","` + b.call.Body + `","` + b.call.ID + `"]`)); err != nil || req != want {
		t.Errorf("%s, %v, want %s", req, err, want)
	}
	pem, err := sm.MarshalPEM(b.caller.Public())
	if err != nil {
		t.Fatal(err)
	}
	pub, err := sm.ParsePEM(pem)
	if err != nil {
		t.Fatal(err)
	}
	one, err1 := token.KeyDigest(b.caller.Public())
	two, err2 := token.KeyDigest(pub)
	if err1 != nil || err2 != nil || one != two || len(one) != 43 {
		t.Errorf("%s and %s, %v, %v", one, two, err1, err2)
	}
	if _, err := token.KeyDigest(&ecdsa.PublicKey{}); err == nil {
		t.Error("a digest of no key")
	}
}

// Every way in which an actor token can be wrong has its own code.
func TestActorFaults(t *testing.T) {
	b := newActorBench(t)
	key, err := token.KeyDigest(b.caller.Public())
	if err != nil {
		t.Fatal(err)
	}
	otherKey, err := token.KeyDigest(b.stranger.Public())
	if err != nil {
		t.Fatal(err)
	}
	spoilt := func(changes map[string]any) string {
		c := b.claims(t)
		maps.Copy(c, changes)
		maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
		return sign(t, b.service, goodActor, c)
	}
	with := func(name string, value any) string { return spoilt(map[string]any{name: value}) }
	head := func(h string) string {
		fine := sign(t, b.service, goodActor, b.claims(t))
		return sm.B64([]byte(h)) + fine[strings.IndexByte(fine, '.'):]
	}
	raw, err := json.Marshal(b.claims(t))
	if err != nil {
		t.Fatal(err)
	}
	seg := strings.Split(sign(t, b.service, goodActor, raw), ".")
	other := func(change func(*token.Claims)) string {
		call := b.call
		change(&call)
		req, err := token.RequestDigest(&call)
		if err != nil {
			t.Fatal(err)
		}
		return with("req", req)
	}
	many := make([]string, token.MaxRoles+1)
	for i := range many {
		many[i] = fmt.Sprint("r", i)
	}
	type want = *token.Fault
	covered := map[string]bool{}
	for _, c := range []struct {
		name    string
		compact string
		fault   want
	}{
		{"text", "hello", token.ErrActorMalformed},
		{"too large", with("sub", strings.Repeat("x", token.MaxActorSize)), token.ErrActorMalformed},
		{"payload array", sign(t, b.service, goodActor, []byte("[]")), token.ErrActorMalformed},
		{"payload twice", sign(t, b.service, goodActor, append(raw, raw...)), token.ErrActorMalformed},
		{"unknown claim", with("nbf", 1), token.ErrActorMalformed},
		{"case of a claim", with("SUB", "clerk-7"), token.ErrActorMalformed},
		{"iat as text", with("iat", "1"), token.ErrActorMalformed},
		{"exp beyond", with("exp", int64(1)<<62), token.ErrActorMalformed},
		{"role empty", with("roles", []string{""}), token.ErrActorMalformed},
		{"role twice", with("roles", []string{"clerk", "clerk"}), token.ErrActorMalformed},
		{"too many roles", with("roles", many), token.ErrActorMalformed},
		{"sub with a line break", with("sub", "clerk\n7"), token.ErrActorMalformed},
		{"critical extension", head(`{"alg":"SM2SM3","typ":"oncegate-actor+jwt","kid":"staff-1","crit":["b64"],"b64":false}`), token.ErrActorMalformed},
		{"chain brought along", sign(t, b.service, jws.Header{Typ: token.ActorType, Kid: "staff-1", X5C: [][]byte{{48, 0}}}, raw), token.ErrActorMalformed},
		{"req empty", with("req", ""), token.ErrActorMalformed},
		{"cnf of an unknown kind", spoilt(map[string]any{"req": nil, "cnf": map[string]string{"kid": "call-1"}}), token.ErrActorMalformed},
		{"cnf empty", spoilt(map[string]any{"req": nil, "cnf": map[string]string{}}), token.ErrActorMalformed},
		{"typ of a call", sign(t, b.service, jws.Header{Typ: token.Type, Kid: "staff-1"}, raw), token.ErrActorType},
		{"typ of an assertion", sign(t, b.service, jws.Header{Typ: "oncegate-assertion+jwt", Kid: "staff-1"}, raw), token.ErrActorType},
		{"alg none", head(`{"alg":"none","typ":"oncegate-actor+jwt","kid":"staff-1"}`), token.ErrActorAlgorithm},
		{"alg ES256", head(`{"alg":"ES256","typ":"oncegate-actor+jwt","kid":"staff-1"}`), token.ErrActorAlgorithm},
		{"claim twice", sign(t, b.service, goodActor, []byte(`{"sub":"x",`+string(raw[1:]))), token.ErrActorDuplicate},
		{"header member twice", head(`{"alg":"none","alg":"SM2SM3","typ":"oncegate-actor+jwt","kid":"staff-1"}`), token.ErrActorDuplicate},
		{"both bindings", with("cnf", map[string]string{"spki#SM3": key}), token.ErrActorBinding},
		{"both, one empty", spoilt(map[string]any{"req": "", "cnf": map[string]string{"spki#SM3": key}}), token.ErrActorBinding},
		{"no binding", with("req", nil), token.ErrActorBinding},
		{"unknown service", with("iss", "nobody"), token.ErrActorService},
		{"unknown kid", sign(t, b.service, jws.Header{Typ: token.ActorType, Kid: "staff-9"}, raw), token.ErrActorService},
		{"no kid", sign(t, b.service, jws.Header{Typ: token.ActorType}, raw), token.ErrActorService},
		{"forged", sign(t, b.stranger, goodActor, raw), token.ErrActorSignature},
		{"signed by the calling system itself", sign(t, b.caller, goodActor, raw), token.ErrActorSignature},
		{"changed payload", seg[0] + "." + sm.B64([]byte(strings.Replace(string(raw), "clerk-7", "clerk-8", 1))) + "." + seg[2], token.ErrActorSignature},
		{"zero signature", seg[0] + "." + seg[1] + "." + sm.B64(make([]byte, 64)), token.ErrActorSignature},
		{"other gateway", with("aud", "gate-2"), token.ErrActorForeign},
		{"other system", with("sys", "court"), token.ErrActorForeign},
		{"service not pinned to the system", sign(t, b.stranger, jws.Header{Typ: token.ActorType, Kid: "other-1"}, func() any { c := b.claims(t); c["iss"] = "other-id"; return c }()), token.ErrActorForeign},
		{"other person", with("sub", "clerk-8"), token.ErrActorPerson},
		{"lives too long", with("exp", now.Unix()+301), token.ErrActorLifetime},
		{"never lives", with("exp", now.Unix()), token.ErrActorLifetime},
		{"not yet", spoilt(map[string]any{"iat": now.Unix() + 61, "exp": now.Unix() + 100}), token.ErrActorNotYet},
		{"expired", spoilt(map[string]any{"iat": now.Unix() - 300, "exp": now.Unix() - 60}), token.ErrActorExpired},
		{"role not pinned", with("roles", []string{"clerk", "judge"}), token.ErrActorRole},
		{"replayed with another jti", other(func(c *token.Claims) { c.ID = strings.Replace(c.ID, "-7", "-8", 1) + "x" }), token.ErrActorNotBound},
		{"swapped body", other(func(c *token.Claims) { c.Body = token.BodyDigest([]byte("{ }")) }), token.ErrActorNotBound},
		{"other URL", other(func(c *token.Claims) { c.URL += "&x=1" }), token.ErrActorNotBound},
		{"other method", other(func(c *token.Claims) { c.Method = "GET" }), token.ErrActorNotBound},
		{"other caller", other(func(c *token.Claims) { c.Issuer = "court" }), token.ErrActorNotBound},
		{"session of another key", spoilt(map[string]any{"req": nil, "cnf": map[string]string{"spki#SM3": otherKey}}), token.ErrActorNotBound},
	} {
		got, err := b.verify(c.compact)
		if !errors.Is(err, c.fault) || got != nil || token.Code(err) != c.fault.Code {
			t.Errorf("%s: %+v, %v, want %s", c.name, got, err, c.fault.Code)
		}
		covered[c.fault.Code] = true
	}
	for name := range b.claims(t) {
		if _, err := b.verify(with(name, nil)); name != "roles" && token.Code(err) == "" {
			t.Errorf("without %s: %v", name, err)
		}
	}
	for _, f := range token.ActorFaults() {
		if !covered[f.Code] {
			t.Errorf("no case for %s", f.Code)
		}
	}
	if _, err := b.verify(sign(t, b.service, goodActor, raw)); err != nil {
		t.Errorf("the unspoilt token: %v", err)
	}
}

// A key of an identity service is trusted while its certificate is valid.
func TestActorKeyDates(t *testing.T) {
	b := newActorBench(t)
	compact := sign(t, b.service, goodActor, b.claims(t))
	for _, c := range []struct {
		from, until time.Time
		err         error
	}{{now.Add(-time.Hour), now.Add(time.Hour), nil}, {now.Add(time.Second), time.Time{}, token.ErrActorService}, {time.Time{}, now.Add(-time.Second), token.ErrActorService}} {
		b.expect.Services["staff-id"].Keys["staff-1"] = token.ServiceKey{Public: b.service.Public(), NotBefore: c.from, NotAfter: c.until}
		if _, err := b.verify(compact); !errors.Is(err, c.err) {
			t.Errorf("%v–%v: %v", c.from, c.until, err)
		}
	}
}

// A call carries its actor token as one more claim; it is none of the call's own faults what stands there.
func TestCallWithActor(t *testing.T) {
	b, call := newActorBench(t), newBench(t)
	c := claims(t)
	c["actor_token"] = sign(t, b.service, goodActor, b.claims(t))
	got, err := token.Verify(t.Context(), call.sign(t, good, c), call.expect)
	if err != nil || got.Actor != c["actor_token"] {
		t.Fatalf("%+v, %v", got, err)
	}
	c["actor_token"] = 1
	if _, err := token.Verify(t.Context(), call.sign(t, good, c), call.expect); !errors.Is(err, token.ErrMalformed) {
		t.Error(err)
	}
}

func FuzzVerifyActor(f *testing.F) {
	b := newActorBench(f)
	fine := sign(f, b.service, goodActor, b.claims(f))
	f.Add(fine)
	f.Add(fine[:len(fine)-3])
	f.Add("e30.e30.AAAA")
	f.Fuzz(func(t *testing.T, compact string) {
		got, err := b.verify(compact)
		if err == nil && compact != fine {
			t.Fatalf("accepted %q: %+v", compact, got)
		}
		if err != nil && token.Code(err) == "" {
			t.Fatalf("a fault without a code: %v", err)
		}
	})
}

// FuzzActorPayload reaches what stands behind the signature: any payload that the identity service might sign.
func FuzzActorPayload(f *testing.F) {
	b := newActorBench(f)
	b.expect.Verify = func(*ecdsa.PublicKey, []byte, []byte) error { return nil }
	raw, err := json.Marshal(b.claims(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(raw))
	f.Add(`{"req":"","cnf":{}}`)
	f.Fuzz(func(t *testing.T, payload string) {
		got, err := b.verify(sm.B64([]byte(`{"alg":"SM2SM3","kid":"staff-1","typ":"oncegate-actor+jwt"}`)) + "." + sm.B64([]byte(payload)) + "." + sm.B64(make([]byte, 64)))
		switch {
		case err != nil && token.Code(err) == "":
			t.Fatalf("a fault without a code: %v", err)
		case err == nil && (got.Subject != "clerk-7" || got.Service != "staff-id" || len(got.Roles) > token.MaxRoles || got.Proof != token.ProofCall && got.Proof != token.ProofSession):
			t.Fatalf("accepted %q: %+v", payload, got)
		}
	})
}

func BenchmarkVerifyActor(b *testing.B) {
	e := newActorBench(b)
	e.call.Actor = sign(b, e.service, goodActor, e.claims(b))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := token.VerifyActor(e.expect); err != nil {
			b.Fatal(err)
		}
	}
}

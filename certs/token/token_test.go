package token_test

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"oncegate/certs/certstest"
	"oncegate/certs/jws"
	"oncegate/certs/sm"
	"oncegate/certs/token"
)

var now = certstest.Epoch

const url = "https://gate.example.gov.cn/v1/licenses/query?q=%E4%B8%80"

// claims is a good payload as a map, for tests that spoil it.
func claims(t testing.TB) map[string]any {
	t.Helper()
	// A fixed id: fuzzing runs in several processes, and all must make the same token.
	id, err := token.NewID(now, strings.NewReader("0123456789"))
	if err != nil {
		t.Fatal(err)
	}
	return map[string]any{
		"iss": "approval-hall", "aud": "gate-1", "iat": now.Unix(), "exp": now.Unix() + 60, "jti": id,
		"htm": "POST", "htu": url, "sm3": token.BodyDigest([]byte("{}")), "opr": "clerk-7", "rid": "r-1",
	}
}

type bench struct {
	signer sm.Signer
	other  sm.Signer
	expect token.Expect
}

func newBench(t testing.TB) bench {
	w := certstest.New(t, "token")
	b := bench{signer: w.Signer("call-1"), other: w.Signer("call-2")}
	b.expect = token.Expect{
		Audience: "gate-1", Method: "POST", URL: url, Body: token.BodyIs(token.BodyDigest([]byte("{}"))), Now: now,
		KeyOf: func(iss, kid string) (*ecdsa.PublicKey, error) {
			if iss == "approval-hall" && kid == "call-1" {
				return b.signer.Public(), nil
			}
			return nil, fs.ErrNotExist
		},
	}
	return b
}

func (b bench) sign(t testing.TB, h jws.Header, payload any) string {
	t.Helper()
	raw, ok := payload.([]byte)
	if !ok {
		var err error
		if raw, err = json.Marshal(payload, json.Deterministic(true)); err != nil {
			t.Fatal(err)
		}
	}
	compact, err := jws.Sign(t.Context(), b.signer, h, raw)
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

var good = jws.Header{Typ: token.Type, Kid: "call-1"}

func TestSignVerify(t *testing.T) {
	b := newBench(t)
	compact, err := token.Sign(t.Context(), b.signer, token.Claims{
		Issuer: "approval-hall", Audience: "gate-1", Method: "POST", URL: url,
		Body: token.BodyDigest([]byte("{}")), Operator: "clerk-7", Request: "r-1",
	}, now)
	if err != nil {
		t.Fatal(err)
	}
	c, err := token.Verify(t.Context(), compact, b.expect)
	if err != nil {
		t.Fatal(err)
	}
	if c.Issuer != "approval-hall" || c.KeyID != "call-1" || c.Operator != "clerk-7" || c.Expires != now.Unix()+60 || len(c.ID) != 36 {
		t.Errorf("%+v", c)
	}
	if empty := token.BodyDigest(nil); empty != "GrIdg1XPoX-OYRlIMegajyK-yMco_vt0ftA161CCqis" {
		t.Errorf("digest of an empty body is %s", empty)
	}
}

// Other ids that start with the time serve as well.
func TestOtherIDs(t *testing.T) {
	b := newBench(t)
	for _, id := range []string{fmt.Sprint(now.Unix()), fmt.Sprint(now.UnixMilli(), "-a.B_c~9"), fmt.Sprint(now.Unix(), "-", strings.Repeat("x", 53))} {
		compact, err := token.Sign(t.Context(), b.signer, token.Claims{
			Issuer: "approval-hall", Audience: "gate-1", Method: "POST", URL: url, ID: id,
			Body: token.BodyDigest([]byte("{}")), Operator: "clerk-7", Request: "r-1",
		}, now)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := token.Verify(t.Context(), compact, b.expect); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
}

func TestNewIDGrows(t *testing.T) {
	last := ""
	for i := range 20 {
		id, err := token.NewID(now.Add(time.Duration(i)*time.Millisecond), nil)
		if err != nil || id <= last || len(id) != 36 || id[14] != '7' {
			t.Fatalf("%q after %q, %v", id, last, err)
		}
		last = id
	}
}

// Every way a token can be wrong has its own code.
func TestFaults(t *testing.T) {
	b := newBench(t)
	with := func(name string, value any) string {
		c := claims(t)
		if value == nil {
			delete(c, name)
		} else {
			c[name] = value
		}
		return b.sign(t, good, c)
	}
	raw, err := json.Marshal(claims(t))
	if err != nil {
		t.Fatal(err)
	}
	fine := b.sign(t, good, raw)
	head := func(h string) string {
		return sm.B64([]byte(h)) + fine[strings.IndexByte(fine, '.'):]
	}
	twice := []byte(`{"iss":"x",` + string(raw[1:]))
	id := claims(t)["jti"].(string)
	old, _ := token.NewID(now.Add(-time.Hour), nil)
	seg := strings.Split(fine, ".")
	swapped := b
	swapped.signer = b.other

	type want = *token.Fault
	covered := map[string]bool{}
	for _, c := range []struct {
		name    string
		compact string
		fault   want
	}{
		{"empty", "", token.ErrMalformed},
		{"text", "hello", token.ErrMalformed},
		{"payload no JSON", b.sign(t, good, []byte("hello")), token.ErrMalformed},
		{"payload array", b.sign(t, good, []byte("[]")), token.ErrMalformed},
		{"payload null", b.sign(t, good, []byte("null")), token.ErrMalformed},
		{"payload twice", b.sign(t, good, append(raw, raw...)), token.ErrMalformed},
		{"deep", b.sign(t, good, []byte(`{"iss":`+strings.Repeat("[", 2000)+strings.Repeat("]", 2000)+`}`)), token.ErrMalformed},
		{"iat as text", with("iat", "1"), token.ErrMalformed},
		{"iat with fraction", with("iat", 1.5), token.ErrMalformed},
		{"iat beyond", with("iat", int64(1)<<62), token.ErrMalformed},
		{"long operator", with("opr", strings.Repeat("x", 65)), token.ErrMalformed},
		{"operator with a line break", with("opr", "a\nb"), token.ErrMalformed},
		{"chain brought along", b.sign(t, jws.Header{Typ: token.Type, Kid: "call-1", X5C: [][]byte{{48, 0}}}, claims(t)), token.ErrMalformed},
		{"embedded key", head(`{"alg":"SM2SM3","typ":"oncegate-call+jwt","kid":"call-1","jwk":{}}`), token.ErrMalformed},
		{"too large", with("opr", strings.Repeat("x", token.MaxSize)), token.ErrTooLarge},
		{"typ JWT", b.sign(t, jws.Header{Typ: "JWT", Kid: "call-1"}, claims(t)), token.ErrType},
		{"no typ", b.sign(t, jws.Header{Kid: "call-1"}, claims(t)), token.ErrType},
		{"alg none", head(`{"alg":"none","typ":"oncegate-call+jwt","kid":"call-1"}`), token.ErrAlgorithm},
		{"alg None", head(`{"alg":"None","typ":"oncegate-call+jwt","kid":"call-1"}`), token.ErrAlgorithm},
		{"alg HS256", head(`{"alg":"HS256","typ":"oncegate-call+jwt","kid":"call-1"}`), token.ErrAlgorithm},
		{"alg ES256", head(`{"alg":"ES256","typ":"oncegate-call+jwt","kid":"call-1"}`), token.ErrAlgorithm},
		{"no alg", head(`{"typ":"oncegate-call+jwt","kid":"call-1"}`), token.ErrAlgorithm},
		{"crit", head(`{"alg":"SM2SM3","typ":"oncegate-call+jwt","kid":"call-1","crit":["b64"],"b64":false}`), token.ErrCritical},
		{"header alg twice", head(`{"alg":"none","alg":"SM2SM3","typ":"oncegate-call+jwt","kid":"call-1"}`), token.ErrDuplicate},
		{"iss twice", b.sign(t, good, twice), token.ErrDuplicate},
		{"unknown claim", with("nbf", 1), token.ErrUnknownClaim},
		{"case of a claim", with("ISS", "x"), token.ErrUnknownClaim},
		{"unknown issuer", with("iss", "nobody"), token.ErrUnknownKey},
		{"unknown kid", b.sign(t, jws.Header{Typ: token.Type, Kid: "call-9"}, claims(t)), token.ErrUnknownKey},
		{"no kid", b.sign(t, jws.Header{Typ: token.Type}, claims(t)), token.ErrUnknownKey},
		{"another system's key", swapped.sign(t, good, claims(t)), token.ErrSignature},
		{"changed payload", seg[0] + "." + sm.B64([]byte(strings.Replace(string(raw), "r-1", "r-2", 1))) + "." + seg[2], token.ErrSignature},
		{"short signature", seg[0] + "." + seg[1] + ".AAAA", token.ErrSignature},
		{"zero signature", seg[0] + "." + seg[1] + "." + sm.B64(make([]byte, 64)), token.ErrSignature},
		{"audience", with("aud", "gate-2"), token.ErrAudience},
		{"expired", with("exp", now.Unix()-60), token.ErrLifetime}, // and before iat
		{"issued too late", with("iat", now.Unix()+61), token.ErrLifetime},
		{"lifetime", with("exp", now.Unix()+301), token.ErrLifetime},
		{"jti text", with("jti", "0"), token.ErrID},
		{"jti v4", with("jti", id[:14]+"4"+id[15:]), token.ErrID},
		{"jti upper case", with("jti", strings.ToUpper(id[:8])+"-AAAA"+id[13:]), token.ErrID},
		{"jti variant", with("jti", id[:19]+"c"+id[20:]), token.ErrID},
		{"jti of another hour", with("jti", old), token.ErrID},
		{"jti decimal of another hour", with("jti", fmt.Sprint(now.Unix()-3600, "-a")), token.ErrID},
		{"jti decimal of no known unit", with("jti", fmt.Sprint(now.Unix(), "0")), token.ErrID},
		{"jti with a space", with("jti", fmt.Sprint(now.Unix(), " a")), token.ErrID},
		{"jti long", with("jti", strings.Repeat("0", 65)), token.ErrID},
		{"method", with("htm", "GET"), token.ErrMethod},
		{"method case", with("htm", "post"), token.ErrMethod},
		{"url", with("htu", url+"&x=1"), token.ErrURL},
		{"url escaping", with("htu", strings.Replace(url, "%E4", "%e4", 1)), token.ErrURL},
		{"body", with("sm3", token.BodyDigest([]byte("{} "))), token.ErrBody},
	} {
		got, err := token.Verify(t.Context(), c.compact, b.expect)
		if !errors.Is(err, c.fault) || got != nil || token.Code(err) != c.fault.Code {
			t.Errorf("%s: %v, %v, want %s", c.name, got, err, c.fault.Code)
		}
		covered[c.fault.Code] = true
	}
	for name := range claims(t) {
		if _, err := token.Verify(t.Context(), with(name, nil), b.expect); !errors.Is(err, token.ErrMissing) {
			t.Errorf("without %s: %v", name, err)
		}
	}
	covered[token.ErrMissing.Code] = true
	covered[token.ErrExpired.Code], covered[token.ErrNotYet.Code] = true, true // TestWindow
	for _, f := range token.Faults() {
		if !covered[f.Code] {
			t.Errorf("no case for %s", f.Code)
		}
	}
	if _, err := token.Verify(t.Context(), fine, b.expect); err != nil {
		t.Errorf("the unspoilt token: %v", err)
	}
}

func TestWindow(t *testing.T) {
	b := newBench(t)
	compact := b.sign(t, good, claims(t)) // iat now, exp now+60
	for _, c := range []struct {
		after time.Duration
		err   error
	}{
		{0, nil}, {-60 * time.Second, nil}, {-61 * time.Second, token.ErrNotYet},
		{119 * time.Second, nil}, {120 * time.Second, token.ErrExpired}, {time.Hour, token.ErrExpired},
	} {
		b.expect.Now = now.Add(c.after)
		if _, err := token.Verify(t.Context(), compact, b.expect); !errors.Is(err, c.err) {
			t.Errorf("after %v: %v, want %v", c.after, err, c.err)
		}
	}
}

// A registry that cannot answer is our fault, not the token's.
func TestRegistryFailure(t *testing.T) {
	b := newBench(t)
	down := errors.New("registry is down")
	b.expect.KeyOf = func(string, string) (*ecdsa.PublicKey, error) { return nil, down }
	_, err := token.Verify(t.Context(), b.sign(t, good, claims(t)), b.expect)
	if !errors.Is(err, down) || token.Code(err) != "" {
		t.Error(err)
	}
	b.expect.KeyOf = func(string, string) (*ecdsa.PublicKey, error) { return nil, nil }
	if _, err := token.Verify(t.Context(), b.sign(t, good, claims(t)), b.expect); err == nil || token.Code(err) != "" {
		t.Error("no key, and no error of ours:", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := token.Verify(ctx, "", b.expect); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func FuzzVerify(f *testing.F) {
	b := newBench(f)
	fine := b.sign(f, good, claims(f))
	f.Add(fine)
	f.Add(fine[:len(fine)-3])
	f.Add("e30.e30.AAAA")
	f.Fuzz(func(t *testing.T, compact string) {
		c, err := token.Verify(t.Context(), compact, b.expect)
		if err == nil && compact != fine {
			t.Fatalf("accepted %q: %+v", compact, c)
		}
		if err != nil && token.Code(err) == "" {
			t.Fatalf("a fault without a code: %v", err)
		}
	})
}

func BenchmarkVerifyToken(b *testing.B) {
	e := newBench(b)
	compact := e.sign(b, good, claims(b))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := token.Verify(b.Context(), compact, e.expect); err != nil {
			b.Fatal(err)
		}
	}
}

// The part of VerifyToken that is arithmetic.
func BenchmarkVerifyRaw(b *testing.B) {
	e := newBench(b)
	parts, err := jws.Split(e.sign(b, good, claims(b)), token.MaxSize)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := sm.Verify(e.signer.Public(), []byte(parts.SigningInput), parts.Signature); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSignToken(b *testing.B) {
	e := newBench(b)
	c := token.Claims{Issuer: "approval-hall", Audience: "gate-1", Method: "POST", URL: url, Body: token.BodyDigest([]byte("{}")), Operator: "o", Request: "r"}
	for b.Loop() {
		if _, err := token.Sign(b.Context(), e.signer, c, now); err != nil {
			b.Fatal(err)
		}
	}
}

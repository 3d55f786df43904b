package timestamp_test

import (
	"context"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"oncegate/certs/certstest"
	"oncegate/certs/certstest/tsa"
	"oncegate/certs/cms"
	"oncegate/certs/pki"
	"oncegate/certs/second"
	"oncegate/certs/timestamp"
	"oncegate/check"
)

var (
	signature = []byte("the value of a signature")
	policy    = asn1.ObjectIdentifier{1, 2, 156, 99999, 1}
	other     = asn1.ObjectIdentifier{1, 2, 156, 99999, 2}
)

func clock() time.Time { return certstest.Epoch.Add(time.Hour + 120*time.Millisecond) }

func config(w *certstest.World) tsa.Config {
	s, chain := w.Issue("tsa-1", pki.TimeStamp, "11990100000001010B", "示例市政务服务局")
	return tsa.Config{
		Signer: s, Chain: chain, Policy: policy, Policies: []asn1.ObjectIdentifier{other}, Dialect: cms.RFC,
		Now: clock, Rand: w.Stream("tsa"), VerifyBoth: second.Check,
	}
}

func authority(t testing.TB, c tsa.Config) *tsa.Authority {
	t.Helper()
	a, err := tsa.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func verifier(w *certstest.World) *timestamp.Verifier {
	return &timestamp.Verifier{
		Chain: w.Trust().Chain, Now: clock,
		Revocation: func(context.Context, cms.Evidence) (check.State, string) { return check.OK, "not on the list" },
	}
}

func failed(steps []check.Step) string {
	var names []string
	for _, s := range steps {
		if s.State == check.Failed {
			names = append(names, strings.TrimPrefix(s.Name, "timestamp-"))
		}
	}
	return strings.Join(names, " ")
}

const allSteps = "timestamp-parse timestamp-imprint timestamp-policy timestamp-digest timestamp-signer timestamp-signature " +
	"timestamp-chain timestamp-usage timestamp-revocation timestamp-time"

// A stamp holds in both dialects, and says when.
func TestStamp(t *testing.T) {
	w := certstest.New(t, "tsa")
	for _, dialect := range []cms.Dialect{cms.RFC, cms.GM} {
		c := config(w)
		c.Dialect = dialect
		token, err := authority(t, c).Stamp(t.Context(), signature)
		if err != nil {
			t.Fatal(err)
		}
		at, steps := verifier(w).Check(token, signature)
		var names []string
		for _, s := range steps {
			names = append(names, s.Name)
			if s.State != check.OK {
				t.Errorf("%+v", s)
			}
		}
		if got := strings.Join(names, " "); got != allSteps {
			t.Errorf("steps: %s", got)
		}
		if !at.Equal(clock()) {
			t.Errorf("time %v", at)
		}
		parsed, err := timestamp.ParseToken(token)
		if err != nil || parsed.Accuracy != time.Second || !parsed.Policy.Equal(policy) || parsed.Message.Dialect != dialect {
			t.Errorf("%+v, %v", parsed, err)
		}
		if got := parsed.String(); got != "2026-11-23T05:00:00.12Z ±1s policy 1.2.156.99999.1" {
			t.Error(got)
		}
		if at, steps := verifier(w).Check(token, []byte("another")); !at.IsZero() || failed(steps) != "imprint" {
			t.Errorf("another signature: %v %+v", at, steps)
		}
	}
}

// A key with another usage stamps nothing, and no key stamps for another's certificate or without a policy.
func TestNewAuthority(t *testing.T) {
	w := certstest.New(t, "tsa")
	for name, spoil := range map[string]func(*tsa.Config){
		"no key":                func(c *tsa.Config) { c.Signer = nil },
		"no certificate":        func(c *tsa.Config) { c.Chain = nil },
		"no policy":             func(c *tsa.Config) { c.Policy = nil },
		"another's certificate": func(c *tsa.Config) { c.Signer = w.Signer("tsa-2") },
		"a sealing certificate": func(c *tsa.Config) {
			c.Signer, c.Chain = w.Issue("seal-1", pki.Seal, "11990100000001010B", "示例市政务服务局")
		},
	} {
		c := config(w)
		spoil(&c)
		if _, err := tsa.New(c); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func imprint(t testing.TB, algorithm asn1.ObjectIdentifier) timestamp.Imprint {
	t.Helper()
	i, err := timestamp.ImprintOf(algorithm, signature)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func marshal(t testing.TB, r timestamp.Request) []byte {
	t.Helper()
	b, err := r.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRequest(t *testing.T) {
	for _, r := range []timestamp.Request{
		{Imprint: imprint(t, timestamp.SM3)},
		{Imprint: imprint(t, timestamp.SHA256), Policy: policy, Nonce: big.NewInt(4711), Certificates: true},
		{Imprint: imprint(t, timestamp.SM3), Nonce: new(big.Int).Lsh(big.NewInt(1), 500)},
	} {
		got, err := tsa.ParseRequest(marshal(t, r))
		if err != nil {
			t.Fatal(err)
		}
		equal := cmp.Comparer(func(a, b *big.Int) bool { return a == nil && b == nil || a != nil && b != nil && a.Cmp(b) == 0 })
		if d := cmp.Diff(r, got.Request, equal); d != "" {
			t.Error(d)
		}
		b := marshal(t, r)
		for i := range b {
			if _, err := tsa.ParseRequest(b[:i]); !errors.Is(err, timestamp.ErrMalformed) {
				t.Fatalf("cut at %d: %v", i, err)
			}
		}
	}
}

// An authority refuses in the terms of RFC 3161.
func TestRefusals(t *testing.T) {
	w := certstest.New(t, "tsa")
	sm3 := imprint(t, timestamp.SM3)
	sha1 := timestamp.Imprint{Algorithm: asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}, Digest: make([]byte, 20)}
	changed := func(at, to int) []byte {
		b := marshal(t, timestamp.Request{Imprint: sm3, Certificates: true})
		b[at] = byte(to)
		return b
	}
	extended := append(marshal(t, timestamp.Request{Imprint: sm3}), 0xa0, 2, 0x30, 0)
	extended[1] += 4
	for _, c := range []struct {
		name  string
		query []byte
		why   timestamp.Failure
	}{
		{"nothing", nil, timestamp.BadDataFormat},
		{"not DER", []byte{0x30, 0x80, 0, 0}, timestamp.BadDataFormat},
		{"version 2", changed(4, 2), timestamp.BadRequest},
		{"certReq FALSE, written", changed(len(changed(0, 0x30))-1, 0), timestamp.BadDataFormat},
		{"SHA-1", marshal(t, timestamp.Request{Imprint: sha1}), timestamp.BadAlgorithm},
		{"short digest", marshal(t, timestamp.Request{Imprint: timestamp.Imprint{Algorithm: timestamp.SM3, Digest: sm3.Digest[:31]}}), timestamp.BadDataFormat},
		{"a policy not offered", marshal(t, timestamp.Request{Imprint: sm3, Policy: asn1.ObjectIdentifier{1, 2, 3}}), timestamp.UnacceptedPolicy},
		{"extensions", extended, timestamp.UnacceptedExtension},
		{"a nonce of 65 bytes", marshal(t, timestamp.Request{Imprint: sm3, Nonce: new(big.Int).Lsh(big.NewInt(1), 512)}), timestamp.BadDataFormat},
		{"more than a request", make([]byte, 5000), timestamp.BadDataFormat},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := respond(t, authority(t, config(w)), c.query)
			if r.Refusal == nil || r.Refusal.Failure != c.why || r.Refusal.Status != 2 || r.Refusal.Text == "" || r.Token != nil {
				t.Errorf("%+v", r.Refusal)
			}
		})
	}
}

func respond(t testing.TB, a *tsa.Authority, query []byte) timestamp.Response {
	t.Helper()
	b, err := a.Respond(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	r, err := timestamp.ParseResponse(b)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A clock that is gone, or goes back by more than the accuracy, stamps nothing.
func TestClock(t *testing.T) {
	w := certstest.New(t, "tsa")
	c := config(w)
	now := clock()
	c.Now = func() time.Time { return now }
	a := authority(t, c)
	query := marshal(t, timestamp.Request{Imprint: imprint(t, timestamp.SM3)})
	for _, step := range []struct {
		at      time.Time
		refused bool
	}{
		{clock(), false}, {clock().Add(-900 * time.Millisecond), false}, {clock().Add(-2 * time.Second), true}, {time.Time{}, true},
		{clock().Add(time.Minute), false}, {clock(), true},
	} {
		now = step.at
		r := respond(t, a, query)
		if (r.Refusal != nil) != step.refused || r.Refusal != nil && r.Refusal.Failure != timestamp.TimeNotAvailable {
			t.Errorf("at %v: %+v", step.at, r.Refusal)
		}
	}
}

// Serial numbers are unique, also when many ask at the same moment.
func TestSerialNumbers(t *testing.T) {
	w := certstest.New(t, "tsa")
	a := authority(t, config(w))
	const callers, each = 8, 25
	tokens := make(chan []byte, callers*each)
	var wait sync.WaitGroup
	for range callers {
		wait.Go(func() {
			for range each {
				token, err := a.Stamp(t.Context(), signature)
				if err != nil {
					t.Error(err)
					return
				}
				tokens <- token
			}
		})
	}
	wait.Wait()
	close(tokens)
	seen := make(map[string]bool)
	for token := range tokens {
		parsed, err := timestamp.ParseToken(token)
		if err != nil {
			t.Fatal(err)
		}
		if bits := parsed.Serial.BitLen(); bits > 160 || parsed.Serial.Sign() <= 0 {
			t.Errorf("serial number of %d bits", bits)
		}
		seen[parsed.Serial.String()] = true
	}
	if len(seen) != callers*each {
		t.Errorf("%d serial numbers in %d tokens", len(seen), callers*each)
	}
}

// Responses come back as they were written; cut off they are malformed.
func TestResponse(t *testing.T) {
	w := certstest.New(t, "tsa")
	token, err := authority(t, config(w)).Stamp(t.Context(), signature)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []timestamp.Response{
		{Token: token},
		{Refusal: &timestamp.Refusal{Status: 2, Failure: timestamp.BadAlgorithm, Text: "算法不支持"}},
		{Refusal: &timestamp.Refusal{Status: 3, Failure: timestamp.SystemFailure}},
		{Refusal: &timestamp.Refusal{Status: 5, Failure: timestamp.TimeNotAvailable, Text: "x"}},
	} {
		b, err := tsa.MarshalResponse(r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := timestamp.ParseResponse(b)
		if d := cmp.Diff(r, got); err != nil || d != "" {
			t.Errorf("%v %s", err, d)
		}
		for i := range b {
			if _, err := timestamp.ParseResponse(b[:i]); !errors.Is(err, timestamp.ErrMalformed) {
				t.Fatalf("cut at %d: %v", i, err)
			}
		}
	}
	for failure, want := range map[timestamp.Failure]string{ // a named bit list has no zeros at its end
		timestamp.BadAlgorithm: "300930070201020302" + "0780", timestamp.UnacceptedPolicy: "300a30080201020303" + "000001",
		timestamp.SystemFailure: "300c300a0201020305" + "0600000040",
	} {
		b, err := tsa.MarshalResponse(timestamp.Response{Refusal: &timestamp.Refusal{Status: 2, Failure: failure}})
		if got := hex.EncodeToString(b); err != nil || got != want {
			t.Errorf("%v: %s, %v", failure, got, err)
		}
	}
	for name, b := range map[string][]byte{
		"granted without a token":     {0x30, 5, 0x30, 3, 2, 1, 0},
		"refused with a token":        {0x30, 7, 0x30, 3, 2, 1, 2, 0x30, 0},
		"status 6":                    {0x30, 5, 0x30, 3, 2, 1, 6},
		"negative status":             {0x30, 5, 0x30, 3, 2, 1, 0xff},
		"text that is not UTF8String": {0x30, 10, 0x30, 8, 2, 1, 2, 0x30, 3, 0x13, 1, 'x'},
	} {
		if _, err := timestamp.ParseResponse(b); !errors.Is(err, timestamp.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func BenchmarkStamp(b *testing.B) {
	a := authority(b, config(certstest.New(b, "tsa")))
	a.VerifyBoth = nil
	for b.Loop() {
		if _, err := a.Stamp(b.Context(), signature); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	w := certstest.New(b, "tsa")
	token, err := authority(b, config(w)).Stamp(b.Context(), signature)
	if err != nil {
		b.Fatal(err)
	}
	v := verifier(w)
	for b.Loop() {
		if at, steps := v.Check(token, signature); at.IsZero() {
			b.Fatal(steps)
		}
	}
}

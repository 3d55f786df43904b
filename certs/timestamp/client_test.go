package timestamp_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"oncegate/certs/certstest"
	"oncegate/certs/certstest/tsa"
	"oncegate/certs/timestamp"
)

// client of a server, impatient.
func client(w *certstest.World, url string) *timestamp.Client {
	return &timestamp.Client{URL: url, Verifier: verifier(w), Wait: time.Millisecond, Timeout: 5 * time.Second}
}

func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// What the client gets from the authority holds, and holds for others too.
func TestClient(t *testing.T) {
	w := certstest.New(t, "tsa")
	url := serve(t, authority(t, config(w)))
	for _, spoil := range []func(*timestamp.Client){
		func(*timestamp.Client) {},
		func(c *timestamp.Client) { c.Policy = other },
		func(c *timestamp.Client) { c.Algorithm = timestamp.SHA256 },
		func(c *timestamp.Client) { c.HTTP = http.DefaultClient },
	} {
		c := client(w, url)
		spoil(c)
		token, err := c.Stamp(t.Context(), signature)
		if err != nil {
			t.Fatal(err)
		}
		if at, steps := verifier(w).Check(token, signature); !at.Equal(clock()) {
			t.Errorf("%+v", steps)
		}
	}
}

// A refusal comes back as one, and is not asked again unless time may help.
func TestClientRefused(t *testing.T) {
	w := certstest.New(t, "tsa")
	var asked atomic.Int32
	c := config(w)
	gone := c
	gone.Now = func() time.Time { return time.Time{} }
	for _, k := range []struct {
		name      string
		authority *tsa.Authority
		why       timestamp.Failure
		asked     int32
		later     bool
	}{
		{"policy", authority(t, c), timestamp.UnacceptedPolicy, 1, false},
		{"clock", authority(t, gone), timestamp.TimeNotAvailable, 3, true},
	} {
		asked.Store(0)
		client := client(w, serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			k.authority.ServeHTTP(w, r)
		})))
		if k.why == timestamp.UnacceptedPolicy {
			client.Policy = []int{1, 2, 3}
		}
		_, err := client.Stamp(t.Context(), signature)
		var refusal *timestamp.Refusal
		if !errors.As(err, &refusal) || refusal.Failure != k.why || asked.Load() != k.asked || errors.Is(err, timestamp.ErrUnavailable) != k.later {
			t.Errorf("%s: %v, asked %d times", k.name, err, asked.Load())
		}
	}
}

// Whatever a server answers, the client returns a good token or an error; and asks again only where that may help.
func TestClientBadServers(t *testing.T) {
	w, stranger := certstest.New(t, "tsa"), certstest.New(t, "stranger")
	good := authority(t, config(w))
	old, err := good.Stamp(t.Context(), signature)
	if err != nil {
		t.Fatal(err)
	}
	replayed, err := tsa.MarshalResponse(timestamp.Response{Token: old})
	if err != nil {
		t.Fatal(err)
	}
	reply := func(b []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/timestamp-reply")
			_, _ = w.Write(b)
		}
	}
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	for _, c := range []struct {
		name    string
		handler http.Handler
		says    string
		asked   int32
	}{
		{"a token for another request", reply(replayed), "timestamp-nonce", 1},
		{"no response at all", reply(nil), "cannot be read", 1},
		{"something else", reply([]byte("<html>")), "cannot be read", 1},
		{"more than a response", reply(make([]byte, 2<<20)), "more than", 1},
		{"an authority nobody trusts", authority(t, config(stranger)), "timestamp-chain", 1},
		{"another content type", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(replayed) }), "something else", 1},
		{"not found", status(404), "404", 1},
		{"a redirect", http.RedirectHandler("http://127.0.0.1:1/", http.StatusTemporaryRedirect), "307", 1},
		{"overload", status(503), "503", 3},
		{"too many requests", status(429), "429", 3},
		{"a body that breaks off", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/timestamp-reply")
			w.Header().Set("Content-Length", "4000")
			_, _ = w.Write(replayed[:100])
		}), "unavailable", 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			var asked atomic.Int32
			url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				c.handler.ServeHTTP(w, r)
			}))
			token, err := client(w, url).Stamp(t.Context(), signature)
			if err == nil || token != nil || !strings.Contains(err.Error(), c.says) || asked.Load() != c.asked {
				t.Errorf("%v, asked %d times", err, asked.Load())
			}
			if errors.Is(err, timestamp.ErrUnavailable) != (c.asked > 1) {
				t.Errorf("unavailable? %v", err)
			}
		})
	}
	t.Run("nobody listens", func(t *testing.T) {
		s := httptest.NewServer(good)
		s.Close()
		if _, err := client(w, s.URL).Stamp(t.Context(), signature); !errors.Is(err, timestamp.ErrUnavailable) {
			t.Error(err)
		}
	})
	t.Run("no verifier", func(t *testing.T) {
		if _, err := (&timestamp.Client{URL: "http://127.0.0.1:1/"}).Stamp(t.Context(), signature); err == nil {
			t.Error("accepted")
		}
	})
}

// A token with the right nonce may still answer another question than the one asked.
func TestClientAnotherQuestion(t *testing.T) {
	w := certstest.New(t, "tsa")
	good := authority(t, config(w))
	for name, twist := range map[string]func(*timestamp.Request){
		"another digest": func(r *timestamp.Request) { r.Imprint = imprint(t, timestamp.SHA256) },
		"another policy": func(r *timestamp.Request) { r.Policy = other },
	} {
		c := client(w, serve(t, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			body, err := io.ReadAll(q.Body)
			if err != nil {
				t.Error(err)
			}
			r, err := tsa.ParseRequest(body)
			if err != nil {
				t.Error(err)
			}
			twist(&r.Request)
			q.Body = io.NopCloser(bytes.NewReader(marshal(t, r.Request)))
			good.ServeHTTP(w, q)
		})))
		c.Policy = policy
		if _, err := c.Stamp(t.Context(), signature); err == nil || !strings.Contains(err.Error(), "another question") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// After a failure the next try may do; each try has a nonce of its own.
func TestClientTriesAgain(t *testing.T) {
	w := certstest.New(t, "tsa")
	good := authority(t, config(w))
	var bodies [][]byte
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if bodies = append(bodies, body); len(bodies) < 3 {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		good.ServeHTTP(w, r)
	}))
	if _, err := client(w, url).Stamp(t.Context(), signature); err != nil {
		t.Fatal(err)
	}
	if len(bodies) != 3 || bytes.Equal(bodies[0], bodies[1]) || bytes.Equal(bodies[1], bodies[2]) {
		t.Errorf("%d requests", len(bodies))
	}
}

// A server that does not answer costs the timeout, and a caller that goes away is not kept.
func TestClientDeadline(t *testing.T) {
	w := certstest.New(t, "tsa")
	var asked atomic.Int32
	release := make(chan struct{})
	url := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-r.Context().Done():
		case <-release:
		}
	}))
	t.Cleanup(func() { close(release) }) // before the server closes
	c := client(w, url)
	c.Timeout, c.Tries = 20*time.Millisecond, 2
	if _, err := c.Stamp(t.Context(), signature); !errors.Is(err, timestamp.ErrUnavailable) || asked.Load() != 2 {
		t.Errorf("%v, asked %d times", err, asked.Load())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Stamp(ctx, signature); err == nil {
		t.Error("a caller that went away got a token")
	}
}

// What is no request gets an HTTP status, and a request gets a response whatever it says.
func TestHandler(t *testing.T) {
	w := certstest.New(t, "tsa")
	url := serve(t, authority(t, config(w)))
	for _, c := range []struct {
		method, kind string
		body         []byte
		code         int
	}{
		{"GET", "", nil, 405},
		{"PUT", "application/timestamp-query", nil, 405},
		{"POST", "", nil, 415},
		{"POST", "text/plain", nil, 415},
		{"POST", "application/timestamp-query", make([]byte, 5000), 413},
		{"POST", "application/timestamp-query; x=y", []byte("junk"), 200},
		{"POST", "application/timestamp-query", nil, 200},
	} {
		r, err := http.NewRequestWithContext(t.Context(), c.method, url, bytes.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", c.kind)
		got, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(got.Body)
		got.Body.Close()
		if err != nil || got.StatusCode != c.code {
			t.Errorf("%+v: %d, %v", c, got.StatusCode, err)
		}
		if c.code != 200 {
			continue
		}
		if p, err := timestamp.ParseResponse(body); err != nil || p.Refusal == nil || got.Header.Get("Content-Type") != "application/timestamp-reply" {
			t.Errorf("%+v: %+v, %v", c, p, err)
		}
	}
}

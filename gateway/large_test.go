package gateway

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"oncegate/api"
)

const verifyPath = "/v1/licenses/verify"

// documentBody is a body of about n bytes.
func documentBody(n int) []byte {
	return []byte(`{"document":"` + base64.RawURLEncoding.EncodeToString(make([]byte, n*3/4)) + `"}`)
}

// Documents may be larger than other bodies, up to the contract's bound; their evidence is the token with their digest.
func TestDocumentBodies(t *testing.T) {
	var got int
	w := newWorld(t, func(c *Config) {
		c.Verify = func(_ context.Context, q api.VerifyRequest) (api.VerifyAnswer, error) {
			got = len(q.Document)
			return api.VerifyAnswer{Kind: "ofd", Verdict: api.VerdictProven, Says: api.Sentence{Zh: "已证实。", En: "Proven."}, Signatures: []api.DocumentSignature{{Type: "Seal"}}}, nil
		}
	})
	for _, n := range []int{1000, api.MaxBody, 7 << 20} {
		body, size := documentBody(n), w.size()
		a := w.send("POST", verifyPath, body, w.token("food-approval", "POST", verifyPath, body, nil))
		if a.status != http.StatusOK || got < n-2 || !strings.Contains(string(a.body), `"signatures":[{"proven":false,"type":"Seal"}]`) {
			t.Errorf("%d bytes: %d %s", n, a.status, a.body)
		}
		e := must(w.auditor.Evidence(t.Context(), size))(t)
		if kept := len(e.Request.Body) > 0; e.Request.Token == "" || kept != (len(body) <= api.MaxBody) {
			t.Errorf("%d bytes: %d of them are kept", n, len(e.Request.Body))
		}
	}
	body := documentBody(8 << 20)
	if a := w.send("POST", verifyPath, body, w.token("food-approval", "POST", verifyPath, body, nil)); a.problem.Code != "too-large" {
		t.Errorf("%d %s", a.status, a.problem.Code)
	}
	body = documentBody(api.MaxBody)
	if a := w.send("POST", queryPath, body, w.token("food-approval", "POST", queryPath, body, nil)); a.problem.Code != "too-large" {
		t.Errorf("another operation: %d %s", a.status, a.problem.Code)
	}
	if left := w.gateway.large.left; left != largeBodies {
		t.Errorf("%d bytes were not given back", largeBodies-left)
	}
}

// stall begins a call with a document and stops after so many bytes of it.
func (w *world) stall(compact string, body []byte, sent int) net.Conn {
	w.t.Helper()
	conn := must(net.Dial("tcp", strings.TrimPrefix(w.server.URL, "http://")))(w.t)
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n", verifyPath, compact, len(body))
	if _, err := conn.Write(body[:sent]); err != nil && sent < api.MaxBody {
		w.t.Fatal(err)
	}
	return conn
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// Callers who announce documents and stall cost what they have sent, and all together no more than the pool; somebody who
// does not fit is told to come again, and small bodies are not touched.
func TestStalledDocuments(t *testing.T) {
	w := newWorld(t)
	body := documentBody(7 << 20)
	compact := w.token("food-approval", "POST", verifyPath, body, nil) // not claimed before its body is there
	before, running := heap(), runtime.NumGoroutine()
	for range 400 {
		defer w.stall(compact, body, 1000).Close()
	}
	settle := func(want func() bool) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); !want(); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("it does not settle")
			}
		}
	}
	settle(func() bool { return runtime.NumGoroutine() >= running+400 })
	if grown := heap() - before; grown > 64<<20 {
		t.Errorf("400 stalled callers cost %d MB", grown>>20)
	}
	var held []net.Conn
	for range 2 { // each takes 26 MB of the 64
		held = append(held, w.stall(compact, body, len(body)-10))
	}
	taken := func() int {
		w.gateway.large.mu.Lock()
		defer w.gateway.large.mu.Unlock()
		return largeBodies - w.gateway.large.left
	}
	settle(func() bool { return taken() > 50<<20 })
	crowded := w.stall(compact, body, len(body)-10)
	answer, err := http.ReadResponse(bufio.NewReader(crowded), nil)
	if err != nil || answer.StatusCode != http.StatusTooManyRequests {
		t.Fatalf("%v %v", answer, err)
	}
	crowded.Close()
	if a := w.call("food-approval", "POST", verifyPath, map[string]any{"license": "a.b.c~"}); a.status != http.StatusOK {
		t.Errorf("a small body: %d %s", a.status, a.body)
	}
	if grown := heap() - before; grown > 128<<20 {
		t.Errorf("the pool and 400 stalled callers cost %d MB", grown>>20)
	}
	_, _ = held[0].Write(body[len(body)-10:])
	if answer, err := http.ReadResponse(bufio.NewReader(held[0]), nil); err != nil || answer.StatusCode != http.StatusOK {
		t.Errorf("one that goes on: %v %v", answer, err)
	} else {
		_, _ = io.Copy(io.Discard, answer.Body)
	}
	for _, conn := range held {
		conn.Close()
	}
	settle(func() bool { return taken() == 0 })
}

// Somebody who proves nothing has nothing of a body read, however long it is.
func TestUnprovenDocuments(t *testing.T) {
	w := newWorld(t)
	body := documentBody(7 << 20)
	compact := w.token("food-approval", "POST", verifyPath, body, nil)
	compact = compact[:len(compact)-6] + "AAAAAA"
	r := w.request("POST", verifyPath, nil, compact)
	seen := &counted{Reader: strings.NewReader(string(body))}
	r.Body, r.ContentLength = io.NopCloser(seen), int64(len(body))
	w.gateway.ServeHTTP(discard{}, r)
	if seen.n > 0 {
		t.Errorf("%d bytes were read", seen.n)
	}
}

type counted struct {
	io.Reader
	n int
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += n
	return n, err
}

type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) WriteHeader(int)             {}

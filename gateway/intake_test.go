package gateway

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"oncegate/api"
	"oncegate/certs/token"
	"oncegate/gateway/intake"
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
	if used := w.gateway.intake.Usage().Memory; used != 0 {
		t.Errorf("%d bytes were not given back", used)
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

// settle waits until something holds.
func settle(t testing.TB, what string, want func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !want(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: it does not settle", what)
		}
	}
}

// answerOn reads the answer that stands on a connection.
func answerOn(t testing.TB, conn net.Conn) int {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, answer.Body)
	return answer.StatusCode
}

// A system that announces documents and stalls holds its share of calls and of memory and no more; what it has beyond is refused.
// Another system is served all the while, with documents too, and all is given back.
func TestStalledDocuments(t *testing.T) {
	w := newWorld(t)
	body := documentBody(7 << 20)
	digest := token.BodyDigest(body)
	signed := func(system string) string {
		return w.token(system, "POST", verifyPath, nil, func(c *token.Claims) { c.Body = digest })
	}
	before := heap()
	calls := func() int { return w.gateway.intake.Usage().Calls }
	memory := func() int { return w.gateway.intake.Usage().Memory }
	var stalled []net.Conn
	for range 400 { // 64 of its own, and half of the 512 that are lent
		stalled = append(stalled, w.stall(signed("food-approval"), body, 1000))
	}
	settle(t, "400 stalled calls", func() bool { return calls() == 320 })
	settle(t, "the refusals", func() bool {
		return strings.Contains(w.exposition(), `oncegate_limited_total{share="calls",system="food-approval"} 80`)
	})
	if grown := heap() - before; grown > 64<<20 || memory() > 320<<16 {
		t.Errorf("400 stalled calls cost %d MB, %d accounted", grown>>20, memory()>>20)
	}
	if a := w.send("POST", verifyPath, body, signed("land-approval")); a.status != http.StatusOK {
		t.Errorf("a document of another system: %d %s", a.status, a.body)
	}
	for _, conn := range stalled {
		conn.Close()
	}
	settle(t, "after they have hung up", func() bool { return calls() == 0 && memory() == 0 })

	stalled = nil
	for range 20 { // each would take 28 MB of the system's 80
		conn := w.stall(signed("food-approval"), body, 1000)
		go func() { _, _ = conn.Write(body[1000 : len(body)-10]) }()
		stalled = append(stalled, conn)
	}
	settle(t, "documents but for their end", func() bool { return calls() == 2 && memory() > 50<<20 })
	if memory() > 80<<20 {
		t.Errorf("%d MB are held", memory()>>20)
	}
	if grown := heap() - before; grown > 128<<20 {
		t.Errorf("20 documents cost %d MB", grown>>20)
	}
	if a := w.call("food-approval", "POST", verifyPath, map[string]any{"license": "a.b.c~"}); a.status != http.StatusOK {
		t.Errorf("a small body: %d %s", a.status, a.body)
	}
	if a := w.send("POST", verifyPath, body, signed("land-approval")); a.status != http.StatusOK {
		t.Errorf("a document of another system: %d %s", a.status, a.body)
	}
	for _, conn := range stalled {
		conn.Close()
	}
	settle(t, "at last", func() bool { return calls() == 0 && memory() == 0 })
}

// One token has one body on its way: somebody who got hold of it cannot hold its system's share. When that body fails, the token
// may come again.
func TestStalledReplays(t *testing.T) {
	w := newWorld(t)
	body := documentBody(100_000)
	compact := w.token("food-approval", "POST", verifyPath, body, nil)
	first := w.stall(compact, body, 1000)
	settle(t, "the first", func() bool { return w.gateway.intake.Usage().Calls == 1 })
	var all sync.WaitGroup
	for range 50 {
		again := w.stall(compact, body, 1000)
		all.Go(func() {
			if status := answerOn(t, again); status != http.StatusUnauthorized && status != http.StatusConflict {
				t.Errorf("once more: %d", status)
			}
			again.Close()
		})
	}
	all.Wait()
	if used := w.gateway.intake.Usage().Calls; used != 1 {
		t.Errorf("%d calls are under way", used)
	}
	first.Close()
	settle(t, "its end", func() bool { return w.gateway.intake.Usage().Calls == 0 })
	if a := w.send("POST", verifyPath, body, compact); a.status != http.StatusOK {
		t.Errorf("the token again: %d %s", a.status, a.body)
	}
}

// A body that is not read keeps its connection no longer than intake.UnreadPatience.
func TestSlowBodies(t *testing.T) {
	w := newWorld(t)
	conn := w.stall("forged", documentBody(100_000), 1000)
	defer conn.Close()
	begun := time.Now()
	if status := answerOn(t, conn); status != http.StatusUnauthorized {
		t.Errorf("%d", status)
	}
	_, err := conn.Read(make([]byte, 1))
	if took := time.Since(begun); err == nil || took > 2*intake.UnreadPatience {
		t.Errorf("%v after %s", err, took)
	}
}

// While one system has documents verified that cost the most, as many as it can, another's are verified in turn, and not more at
// once than half of the processors.
func TestVerificationsInTurn(t *testing.T) {
	var busy, most atomic.Int64
	release := make(chan struct{})
	w := newWorld(t, func(c *Config) {
		c.Verify = func(_ context.Context, q api.VerifyRequest) (api.VerifyAnswer, error) {
			most.Store(max(most.Load(), busy.Add(1)))
			defer busy.Add(-1)
			if q.License == "hostile" {
				<-release
			}
			return api.VerifyAnswer{Kind: "license", Verdict: api.VerdictProven, Says: api.Sentence{Zh: "已证实。", En: "Proven."}}, nil
		}
	})
	order := make(chan string, 200)
	var all sync.WaitGroup
	ask := func(system, license string) {
		all.Go(func() {
			w.call(system, "POST", verifyPath, map[string]any{"license": license})
			order <- system
		})
	}
	const waiting = 50
	for range intake.Processors() + waiting {
		ask("food-approval", "hostile")
	}
	settle(t, "hostile documents", func() bool { return w.gateway.intake.Usage().Calls == intake.Processors()+waiting })
	ask("land-approval", "harmless")
	settle(t, "a harmless one", func() bool { return w.gateway.intake.Usage().Calls == intake.Processors()+waiting+1 })
	for range 2 * intake.Processors() { // those under way, and one more turn
		release <- struct{}{}
	}
	settle(t, "its turn", func() bool { return len(order) >= 2*intake.Processors() })
	passed := false
	for range 2*intake.Processors() + 1 {
		passed = passed || <-order == "land-approval"
	}
	if !passed {
		t.Error("one system waits for all that another has sent")
	}
	close(release)
	all.Wait()
	if most.Load() > int64(intake.Processors()) {
		t.Errorf("%d at once", most.Load())
	}
}

// Documents are drawn in turns too, out of the same processors: however many one system wants, another waits for one turn.
func TestDrawingsInTurn(t *testing.T) {
	w := newWorld(t)
	gate, order := make(chan struct{}), make(chan string, 100)
	heavy := func() int { return w.gateway.intake.Usage().Heavy }
	waiting := func() int { return w.gateway.intake.Usage().Waiting }
	draw := func(ctx context.Context, system string) error {
		_, err := w.gateway.newAttempt(&call{principal: Principal{System: system}}).drawInTurn(ctx, func(context.Context) ([]byte, error) {
			<-gate
			order <- system
			return nil, nil
		})
		return err
	}
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() { _ = draw(t.Context(), "food-approval") })
	}
	settle(t, "the greedy one", func() bool { return heavy() == intake.Processors() && waiting() == 50-intake.Processors() })
	all.Go(func() { _ = draw(t.Context(), "land-approval") })
	settle(t, "the modest one", func() bool { return waiting() == 51-intake.Processors() })
	hangUp, cancel := context.WithCancel(t.Context())
	cancel()
	if err := draw(hangUp, "food-approval"); !errors.Is(err, context.Canceled) {
		t.Errorf("who has hung up: %v", err)
	}
	close(gate)
	all.Wait()
	at := 0
	for at = 1; <-order != "land-approval"; at++ {
	}
	if at > 3*intake.Processors() {
		t.Errorf("the modest one is number %d of 51", at)
	}
	if heavy() != 0 {
		t.Errorf("%d are still held", heavy())
	}
}

// Readers of public artefacts who do not go on reading hold their network's share of what is answered at once: other networks are
// answered, and calls do not notice.
func TestSlowReadersOfPublicArtefacts(t *testing.T) {
	release := make(chan struct{})
	var reading atomic.Int64
	w := newWorld(t, func(c *Config) {
		c.Limits.InFlight, c.ClientHeader = 40, "X-Forwarded-For"
		c.StatusList = func(_ context.Context, id string) (SignedList, error) {
			if id == "1" {
				reading.Add(1)
				<-release
			}
			return SignedList{Token: "a.b.c", Tag: "1", Expires: time.Now().Add(time.Hour), Keep: time.Minute}, nil
		}
	})
	get := func(network, id string) int {
		r := w.request("GET", "/status-lists/"+id, nil, "")
		r.Header.Set("X-Forwarded-For", network)
		resp := must(http.DefaultClient.Do(r))(t)
		defer resp.Body.Close()
		return resp.StatusCode
	}
	var all sync.WaitGroup
	for range 5 { // half of 10
		all.Go(func() { get("192.0.2.1", "1") })
	}
	settle(t, "slow readers", func() bool { return reading.Load() == 5 })
	if status := get("192.0.2.1", "2"); status != http.StatusServiceUnavailable {
		t.Errorf("one more of theirs: %d", status)
	}
	if status := get("192.0.2.2", "2"); status != http.StatusOK {
		t.Errorf("another network: %d", status)
	}
	if a := w.call("food-approval", "GET", "/v1/catalog/types", nil); a.status != http.StatusOK {
		t.Errorf("a call: %d", a.status)
	}
	close(release)
	all.Wait()
	settle(t, "their end", func() bool { return w.gateway.intake.Usage().Public == 0 })
}

// Somebody who proves nothing has nothing of a body read, however long it is.
func TestUnauthenticatedDocuments(t *testing.T) {
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

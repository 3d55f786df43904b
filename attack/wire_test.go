package attack

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"oncegate/api"
)

// A rawReply is one answer on a connection of our own.
type rawReply struct {
	status int
	header http.Header
	body   string
}

// say sends bytes as they are over a connection of their own, and returns every answer that comes until the node closes it or says
// no more for a while. With cut the connection is closed behind the bytes: the node would wait for more.
func (p *process) say(text string, cut bool) (all []rawReply) {
	p.t.Helper()
	conn, err := net.Dial("tcp", p.addr)
	if err != nil {
		p.t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(soon))
	go func() {
		io.WriteString(conn, text) // the node may close before it has read everything
		if cut {
			conn.(*net.TCPConn).CloseWrite()
		}
	}()
	for in := bufio.NewReader(conn); ; {
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			return all
		}
		body, err := io.ReadAll(res.Body)
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return all
		}
		all = append(all, rawReply{res.StatusCode, res.Header, string(body)})
		conn.SetReadDeadline(time.Now().Add(2 * time.Second))
	}
}

// A wireCase is malformed or hostile input.
type wireCase struct {
	name     string
	text     string
	statuses string // of the answers, in order; alternatives with |
	records  int    // that it may leave
}

// request writes a request with a token of its own, its headers and its body, the last on its connection.
func request(c *callers, method, target, extra, body string) string {
	return fmt.Sprintf("%s %s HTTP/1.1\r\nHost: 127.0.0.1:8420\r\nConnection: close\r\nAuthorization: Bearer %s\r\n%s\r\n%s",
		method, target, c.sign("acceptance", method, target, []byte(body)), extra, body)
}

const (
	matters = "/v1/catalog/matters"
	query   = "/v1/licenses/query"
)

// TestWire sends requests by hand: two in one, wrapped, bent, cut off. None makes two records, none that is not signed as it came
// makes any, and the node goes on.
func TestWire(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	p := in.start()
	c := in.callers()
	for _, w := range wireCases(c) {
		before := p.figure("oncegate_log_size")
		replies := p.say(w.text, strings.HasPrefix(w.name, "cut:"))
		var got []string
		for _, r := range replies {
			got = append(got, fmt.Sprint(r.status))
			if strings.Contains(r.body, "evil.example") || strings.Contains(fmt.Sprint(r.header), "evil.example") {
				t.Errorf("%s: the answer repeats what was sent: %v %s", w.name, r.header, r.body)
			}
		}
		fits := false
		for want := range strings.SplitSeq(w.statuses, "|") {
			fits = fits || strings.Join(got, " ") == want
		}
		if records := int(p.figure("oncegate_log_size") - before); !fits || records != w.records {
			t.Errorf("%s: answered %q and left %d records, want %q and %d", w.name, got, records, w.statuses, w.records)
			for _, r := range replies {
				t.Logf("%d %.200s", r.status, r.body)
			}
		}
	}
	if err := errorOf(c.as("acceptance", wireTo(p)).Matters(t.Context())); err != nil {
		t.Error(err)
	}
	p.stop()
	if strings.Contains(p.logs.String(), "evil.example") || strings.Contains(p.logs.String(), "panic") {
		t.Errorf("the log repeats what was sent, or tells of a panic:\n%s", p.logs)
	}
}

func errorOf[T any](_ T, err error) error { return err }

func wireCases(c *callers) []wireCase {
	body := `{"license_type":"business-license","holder":{"type":"001","code":"91379901MA9920002Q"},"purpose":{"case":"SP-0"}}`
	length := fmt.Sprintf("Content-Length: %d\r\nContent-Type: application/json\r\n", len(body))
	chunked := func(text string) string { return fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(text), text) }
	get := func(extra string) string { return request(c, "GET", matters, extra, "") }
	post := func(extra string) string { return request(c, "POST", query, extra, body) }
	head := func(text string) string { return strings.TrimSuffix(text, body) }
	keep := func(text string) string { return strings.Replace(text, "Connection: close\r\n", "", 1) }
	twice := get("")
	return []wireCase{
		{"an honest call", get(""), "200", 1},
		{"an honest question", post(length), "403|404|409|422", 1},

		// One request that two parsers read differently.
		{"length and chunks, a second request behind the chunks", keep(head(post(length+"Transfer-Encoding: chunked\r\n"))) + chunked(body) + get(""), "400|403", 1},
		{"chunks, a second request behind them", keep(head(post("Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n"))) + chunked(body) + get(""), "403", 1},
		{"a length of nothing and chunks", head(post("Content-Length: 0\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n")) + chunked(body), "400|403", 1},
		{"two lengths", post(length + "Content-Length: 3\r\n"), "400", 0},
		{"two equal lengths", post(length + fmt.Sprintf("Content-Length: %d\r\n", len(body))), "400|403", 1},
		{"a list of lengths", post(fmt.Sprintf("Content-Length: %d, %d\r\n", len(body), len(body))), "400", 0},
		{"a signed length", post(fmt.Sprintf("Content-Length: +%d\r\n", len(body))), "400", 0},
		{"a hexadecimal length", post(fmt.Sprintf("Content-Length: 0x%x\r\n", len(body))), "400", 0},
		{"a negative length", post("Content-Length: -1\r\n"), "400", 0},
		{"chunks by another name", head(post("Transfer-Encoding: xchunked\r\n")) + chunked(body), "400|501", 0},
		{"chunks and identity", head(post("Transfer-Encoding: chunked, identity\r\n")) + chunked(body), "400|501", 0},
		{"chunks twice", head(post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")) + chunked(body), "400|501", 0},
		{"a space before the colon", head(post("Transfer-Encoding : chunked\r\n")) + chunked(body), "400", 0},
		{"a chunk of endless size", head(post("Transfer-Encoding: chunked\r\n")) + "ffffffffffffffff0\r\n" + body, "400|401", 0},
		{"a token in the trailer", fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: Authorization\r\n\r\n%x\r\n%s\r\n0\r\nAuthorization: Bearer %s\r\n\r\n",
			query, len(body), body, c.sign("acceptance", "POST", query, []byte(body))), "400|401", 0},
		{"the same request twice on one line", keep(twice) + twice, "200 401", 1},
		{"cut: a body that is cut short", post(fmt.Sprintf("Content-Length: %d\r\n", len(body)+10)), "400|401", 0},
		{"a body that nobody announced", strings.Replace(post(""), "\r\n\r\n", "\r\n\r\n", 1), "401 400|401", 0},

		// Where it is said to be going.
		{"another host", strings.Replace(get(""), "Host: 127.0.0.1:8420", "Host: evil.example", 1), "200", 1},
		{"another host with the right one forwarded", strings.Replace(get("X-Forwarded-Host: evil.example\r\nForwarded: host=evil.example\r\nX-Original-URL: /v1/cases\r\n"), "8420", "1", 1), "200", 1},
		{"two hosts", strings.Replace(get(""), "Host: ", "Host: evil.example\r\nHost: ", 1), "400", 0},
		{"no host", strings.Replace(get(""), "Host: 127.0.0.1:8420\r\n", "", 1), "400", 0},
		{"a whole URL of somebody else", strings.Replace(get(""), "GET /", "GET http://evil.example/", 1), "200|400|421", 1},
		{"a path with two slashes", strings.Replace(get(""), "GET /v1/", "GET /v1//", 1), "404", 0},
		{"a path with dots", strings.Replace(get(""), "GET /v1/", "GET /v1/x/../", 1), "404", 0},
		{"an escaped path", strings.Replace(get(""), "catalog", "%63atalog", 1), "401|404", 0},
		{"an added query", strings.Replace(get(""), "matters HTTP", "matters?evil.example HTTP", 1), "401", 0},
		{"an empty query", strings.Replace(get(""), "matters HTTP", "matters? HTTP", 1), "401", 0},
		{"a fragment", strings.Replace(get(""), "matters HTTP", "matters#x HTTP", 1), "400|401|404", 0},
		{"another method by header", strings.Replace(get("X-HTTP-Method-Override: POST\r\n"), "\r\n\r\n", "\r\n\r\n", 1), "200", 1},

		// What carries it.
		{"two tokens", get("Authorization: Bearer evil.example\r\n"), "401", 0},
		{"a token of basic credentials", strings.Replace(get(""), "Bearer ", "Basic ", 1), "401", 0},
		{"a compressed body", post(length + "Content-Encoding: gzip\r\n"), "415", 1},
		{"a body on a call without one", request(c, "GET", matters, length, body), "400", 1},
		{"a body of another type", request(c, "POST", query, fmt.Sprintf("Content-Length: %d\r\nContent-Type: text/xml\r\n", len(body)), body), "415", 1},
		{"an old protocol", strings.Replace(get(""), "HTTP/1.1", "HTTP/1.0", 1), "200", 1},
		{"cut: an older protocol", "GET " + matters + "\r\n\r\n", "400", 0},
		{"cut: a newer protocol", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "400|404|405|505", 0},
		{"a protocol of its own", strings.Replace(get(""), "HTTP/1.1", "EVIL/1.1", 1), "400", 0},
		{"an upgrade", get("Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"), "200", 1},
		{"cut: no bytes of HTTP", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03evil.example", "400", 0},
		{"a NUL in a header", get("X-A: evil\x00.example\r\n"), "400", 0},
		{"a header without a name", get(": evil.example\r\n"), "400", 0},
		{"expecting to be told to go on", post(length + "Expect: 100-continue\r\n"), "100 403", 1},
		{"expecting something else", post(length + "Expect: evil.example\r\n"), "417", 0},

		// Methods.
		{"HEAD", strings.Replace(get(""), "GET", "HEAD", 1), "401|405", 0},
		{"OPTIONS", strings.Replace(get("Origin: http://evil.example\r\nAccess-Control-Request-Method: GET\r\n"), "GET ", "OPTIONS ", 1), "405", 0},
		{"OPTIONS of all", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "200|404|405", 0},
		{"TRACE", strings.Replace(get("X-Secret: evil.example\r\n"), "GET", "TRACE", 1), "405", 0},
		{"CONNECT", "CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example\r\n\r\n", "400|404|405", 0},
		{"a method in small letters", strings.Replace(get(""), "GET", "get", 1), "405", 0},

		// Too much.
		{"a long path", "GET /v1/" + strings.Repeat("a", 20<<10) + " HTTP/1.1\r\nHost: x\r\n\r\n", "404|414|431", 0},
		{"a longer path", "GET /v1/" + strings.Repeat("a", 200<<10) + " HTTP/1.1\r\nHost: x\r\n\r\n", "414|431", 0},
		{"a large header", get("X-A: " + strings.Repeat("a", 64<<10) + "\r\n"), "431", 0},
		{"many headers", get(strings.Repeat("X-A: a\r\n", 10_000)), "431", 0},
		{"a large token", strings.Replace(get(""), "Bearer ", "Bearer "+strings.Repeat("a", 9<<10), 1), "401", 0},
		{"a large body", request(c, "POST", query, fmt.Sprintf("Content-Length: %d\r\n", api.MaxBody+1), strings.Repeat(" ", api.MaxBody+1)), "413", 0},
		{"a body that is said to be larger than anything", head(post("Content-Length: 9000000000000000000\r\n")), "413", 0},
		{"large chunks", strings.TrimRight(request(c, "POST", query, "Transfer-Encoding: chunked\r\n", ""), "") + chunked(strings.Repeat(" ", api.MaxBody+1)), "400|413", 0},
	}
}

// TestSlowPeers opens many connections that send their headers byte by byte. They are closed in time, and other callers do not wait for them.
func TestSlowPeers(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	p := in.start()
	c := in.callers()
	var slow sync.WaitGroup
	longest := make([]time.Duration, 100)
	for i := range longest {
		slow.Go(func() { longest[i] = drip(t, p, "GET /v1/catalog/matters HTTP/1.1\r\nX-A: ", 8*time.Second) })
	}
	if err := errorOf(c.as("acceptance", wireTo(p)).Matters(t.Context())); err != nil {
		t.Errorf("an honest call beside slow ones: %v", err)
	}
	slow.Wait()
	t.Logf("%d slow peers were borne for at most %s", len(longest), slices.Max(longest).Round(100*time.Millisecond))
	if os.Getenv("ONCEGATE_LONG") != "" {
		drip(t, p, "POST /v1/cases HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer a.b.c\r\nContent-Length: 1000\r\n\r\n", 35*time.Second)
	}
	p.stop()
}

// drip sends the beginning of a request and then a byte every now and then, until the node has had enough.
func drip(t testing.TB, p *process, beginning string, atMost time.Duration) time.Duration {
	conn, err := net.Dial("tcp", p.addr)
	if err != nil {
		t.Error(err)
		return 0
	}
	defer conn.Close()
	begun := time.Now()
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		io.Copy(io.Discard, conn)
	}()
	io.WriteString(conn, beginning)
	next := time.NewTicker(250 * time.Millisecond)
	defer next.Stop()
	for {
		select {
		case <-gone:
			return time.Since(begun)
		case <-next.C:
			io.WriteString(conn, "a")
		}
		if time.Since(begun) > atMost {
			t.Errorf("a slow peer was borne for %s", time.Since(begun))
			return time.Since(begun)
		}
	}
}

// TestFlood makes unauthenticated calls as fast as possible: the log stays short, memory flat, no record comes of it, and a
// caller from elsewhere does not notice.
func TestFlood(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	p := in.start()
	c := in.callers()
	before, size, lines := p.footprint(), p.figure("oncegate_log_size"), p.logs.lines()
	begun := time.Now()
	const calls = 3000
	var flood sync.WaitGroup
	for i := range 4 {
		flood.Go(func() {
			over := p.transport()
			defer over.CloseIdleConnections()
			for n := range calls / 4 {
				r, err := http.NewRequest("POST", fmt.Sprint(publicURL, "/v1/licenses/", []string{"query", "nothing"}[n%2]), strings.NewReader("{}"))
				if err != nil {
					t.Error(err)
					return
				}
				r.Header.Set("Authorization", fmt.Sprintf("Bearer a%d.b%d.c", i, n))
				res, err := over.RoundTrip(r)
				if err != nil {
					t.Error(err)
					return
				}
				io.Copy(io.Discard, res.Body)
				res.Body.Close()
				if res.StatusCode != 401 && res.StatusCode != 429 && res.StatusCode != 404 {
					t.Errorf("answered %d", res.StatusCode)
				}
			}
		})
	}
	elsewhere := p.transport()
	elsewhere.DialContext = (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}).DialContext
	honest := c.trusting("acceptance", redirected{elsewhere, p.addr}, c.trust)
	for range 5 {
		if err := errorOf(honest.Matters(t.Context())); err != nil {
			t.Errorf("a caller from elsewhere during the flood: %v", err)
		}
	}
	flood.Wait()
	took := time.Since(begun)
	if grown := p.figure("oncegate_log_size") - size; grown != 5 {
		t.Errorf("the flood left %v records", grown-5)
	}
	bound := 12*(int(took/time.Second)+2) + 5 // ten a second, one about what was left out, and the honest calls
	if got := p.logs.lines() - lines; got > bound {
		t.Errorf("%d calls that prove nothing left %d lines in %s, at most %d are bearable", calls, got, took, bound)
	}
	if after := p.footprint(); after.heap > before.heap+8<<20 || after.goroutines > before.goroutines+20 {
		t.Errorf("the flood left %d KiB and %v goroutines", (after.heap-before.heap)>>10, after.goroutines-before.goroutines)
	}
	p.stop()
}

// redirected leads calls to an address over a transport that dials by itself.
type redirected struct {
	*http.Transport
	addr string
}

// RoundTrip implements http.RoundTripper.
func (r redirected) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.URL.Host = r.addr
	return r.Transport.RoundTrip(req)
}

// lines counts log lines.
func (j *journal) lines() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return bytes.Count(j.text.Bytes(), []byte("\n"))
}

package node

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"oncegate/api"
	"oncegate/api/apitest"
	"oncegate/certs/token"
	"oncegate/config"
	"oncegate/install"
	"oncegate/install/installtest"
)

// described reads the document that a node serves.
func (s *served) described() *apitest.Document {
	s.t.Helper()
	_, _, served := s.raw(s.Addr(), http.MethodGet, "GET /openapi.yaml HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n")
	if err := apitest.Plain(served); err != nil {
		s.t.Fatal(err)
	}
	d, err := apitest.Read(served)
	if err != nil {
		s.t.Fatal(err)
	}
	if len(d.Servers) != 1 || d.Servers[0].URL != s.PublicURL() {
		s.t.Fatalf("servers: %+v, want %s", d.Servers, s.PublicURL())
	}
	return d
}

// raw sends bytes on a connection of their own and reads the answer.
func (s *served) raw(address, method, request string) (int, http.Header, []byte) {
	s.t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	go io.WriteString(conn, request) // an answer may come before the end
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		s.t.Errorf("%.60q: %v", request, err)
		return 0, http.Header{}, nil
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Errorf("%.60q: %v", request, err)
	}
	return resp.StatusCode, resp.Header, body
}

// Whatever is wrong with a request, on whatever path: the answer is a problem that the served document describes.
func TestEveryErrorIsAProblem(t *testing.T) {
	t.Parallel()
	c := newCity(t)
	c.Edit(config.MainFile, "127.0.0.1:0", fmt.Sprintf("127.0.0.1:%d", installtest.FreePort(t)))
	s := c.serve()
	s.register("SP-1")
	doc := s.described()
	contract, err := api.NewContract()
	if err != nil {
		t.Fatal(err)
	}
	expect := func(address, method, path, request, code string) http.Header {
		t.Helper()
		status, header, body := s.raw(address, method, request)
		if status < 400 {
			t.Errorf("%.80q: status %d", request, status)
			return header
		}
		if err := doc.Check(method, path, status, header, body); err != nil {
			t.Errorf("%.80q: %v", request, err)
		}
		if code != "" && !bytes.Contains(body, []byte(`"code":"`+code+`"`)) {
			t.Errorf("%.80q: want %s: %s", request, code, body)
		}
		return header
	}
	paths := apitest.Paths(contract)
	for _, op := range contract.Operations() {
		path := paths[op.ID]
		for _, r := range []struct{ method, path, headers, body, code string }{
			{"PUT", path, "", "", "method-not-allowed"},
			{"OPTIONS", path, "", "", "method-not-allowed"},
			{"BREW", path, "", "", "method-not-allowed"},
			{map[string]string{"GET": "POST", "POST": "GET"}[op.Method], path, "", "", "method-not-allowed"},
			{op.Method, "/" + path, "", "", "not-found"},
			{op.Method, path + "//", "", "", ""},
			{op.Method, strings.Replace(path, "/", "/%2e%2e/", 1), "", "", "not-found"},
			{op.Method, path + "/" + strings.Repeat("x", 20<<10), "", "", ""},
			{op.Method, path + strings.Repeat("x", 100<<10), "", "", "header-too-large"},
			{op.Method, path, "X-Padding: " + strings.Repeat("x", 100<<10) + "\r\n", "", "header-too-large"},
			{op.Method, path, "Transfer-Encoding: gzip\r\n", "", "transfer-encoding-refused"},
			{op.Method, path, "Content-Length: x\r\n", "", "request-malformed"},
			{op.Method, path, "X Y: z\r\n", "", "request-malformed"},
			{op.Method, path, "Expect: the-worst\r\n", "", "expectation-refused"},
		} {
			if r.code == "method-not-allowed" && slices.Contains(contract.Allow(r.path), r.method) {
				continue // another operation: GET /v1/cases/list reads the case with that number
			}
			if op.ID == "document-code" && r.code == "" {
				continue // whatever stands there is the page of a code that stands for nothing (TestCodePages)
			}
			request := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: gateway\r\n%s\r\n%s", r.method, r.path, r.headers, r.body)
			header := expect(s.Addr(), r.method, r.path, request, r.code)
			if want := op.Method; r.code == "method-not-allowed" && !strings.Contains(header.Get("Allow"), want) {
				t.Errorf("%s %s: Allow %q", r.method, r.path, header.Get("Allow"))
			}
		}
		if !op.Signed {
			continue
		}
		for _, headers := range []string{"", "Authorization: Bearer x\r\n", "Authorization: Basic eDp5\r\n", "Authorization: Bearer a.b.c\r\nAuthorization: Bearer a.b.c\r\n",
			"Authorization: Bearer " + strings.Repeat("x", 9<<10) + "\r\n"} {
			expect(s.Addr(), op.Method, path, fmt.Sprintf("%s %s HTTP/1.1\r\nHost: gateway\r\n%s\r\n", op.Method, path, headers), "")
		}
		for _, body := range []string{"", "{}", "[]", "{", "null", `{"x":1.5}`, `{"a":1,"a":2}`, "{\"a\":\"\xff\"}", strings.Repeat("[", 40), `{` + strings.Repeat(`"":1,`, 40) + `"b":1}`} {
			if op.Body == (body == "{}") && (op.ID == "cases.check" || op.ID == "cases.close" || op.ID == "audit.search" || op.ID == "consents.withdraw") || !op.Body && body == "" {
				continue // nothing is wrong with it
			}
			expect(s.Addr(), op.Method, path, s.signed("food-approval", op.Method, path, body), "")
		}
	}
	for _, r := range []struct{ method, path, request, code string }{
		{"GET", "/", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "not-found"},
		{"GET", "//", "GET // HTTP/1.1\r\nHost: x\r\n\r\n", "not-found"},
		{"GET", "/favicon.ico", "GET /favicon.ico HTTP/1.1\r\nHost: x\r\n\r\n", "not-found"},
		{"GET", "/v1", "GET /v1/../openapi.yaml HTTP/1.1\r\nHost: x\r\n\r\n", "not-found"},
		{"HEAD", "/nothing", "HEAD /nothing HTTP/1.1\r\nHost: x\r\n\r\n", ""},
		{"CONNECT", "/", "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n", "not-found"},
		{"GET", "/openapi.yaml", "GET /openapi.yaml HTTP/1.1\r\n\r\n", "request-malformed"},
		{"GET", "/openapi.yaml", "GET /openapi.yaml HTTP/1.1\r\nHost: a b\r\n\r\n", "request-malformed"},
		{"GET", "/openapi.yaml", "GET /openapi.yaml HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "request-malformed"},
		{"GET", "/openapi.yaml", "GET /openapi.yaml HTTP/7.0\r\nHost: a\r\n\r\n", "http-version-refused"},
		{"GET", "/openapi.yaml", "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", "request-malformed"},
		{"GET", "/openapi.yaml", "\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", "request-malformed"},
		{"GET", "/openapi.yaml", "GET /openapi.yaml HTTP/1.1\r\nHost: a\r\nRange: bytes=9999999-\r\n\r\n", "range-impossible"},
		{"GET", "/openapi.yaml", "GET /openapi.yaml HTTP/1.1\r\nHost: a\r\nIf-Match: \"x\"\r\n\r\n", "precondition-failed"},
		{"GET", "/status-lists/99999", "GET /status-lists/99999 HTTP/1.1\r\nHost: a\r\n\r\n", "not-found"},
		{"GET", "/log/tile/0/999", "GET /log/tile/0/999 HTTP/1.1\r\nHost: a\r\n\r\n", "not-found"},
		{"HEAD", "/log/tile/0/999", "HEAD /log/tile/0/999 HTTP/1.1\r\nHost: a\r\n\r\n", ""},
		{"GET", "/log/tile/9/000", "GET /log/tile/9/000 HTTP/1.1\r\nHost: a\r\n\r\n", "not-found"},
		{"GET", "/log/sm3/tile/0/x999/999", "GET /log/sm3/tile/0/x999/999 HTTP/1.1\r\nHost: a\r\n\r\n", "not-found"},
	} {
		expect(s.Addr(), r.method, r.path, r.request, r.code)
	}
	for _, r := range []struct{ method, path, code string }{
		{"GET", "/", "not-found"}, {"GET", "//metrics", "not-found"}, {"GET", "/debug/../metrics", "not-found"}, {"GET", "/healthz/x", "not-found"},
		{"POST", "/metrics", "method-not-allowed"}, {"DELETE", "/readyz", "method-not-allowed"}, {"GET", "/debug/pprof/none", "not-found"},
	} {
		expect(s.AdminAddr(), r.method, "/nothing", fmt.Sprintf("%s %s HTTP/1.1\r\nHost: a\r\n\r\n", r.method, r.path), r.code)
	}
	expect(s.AdminAddr(), "GET", "/nothing", "GET /metrics HTTP/1.1\r\nHost: a b\r\n\r\n", "request-malformed")
}

// signed is a request of a system over one connection.
func (s *served) signed(system, method, path, body string) string {
	s.t.Helper()
	setup := s.current.Load().setup
	keys, err := install.OpenCallers(setup, "")
	if err != nil {
		s.t.Fatal(err)
	}
	signer, err := install.CallerSigner(setup, keys, system)
	if err != nil {
		s.t.Fatal(err)
	}
	claims := token.Claims{Issuer: system, Audience: "example-gateway", Method: method, URL: s.PublicURL() + path, Body: token.BodyDigest([]byte(body)), Operator: "window-3", Request: "r-1"}
	compact, err := token.Sign(s.t.Context(), signer, claims, time.Now())
	if err != nil {
		s.t.Fatal(err)
	}
	return fmt.Sprintf("%s %s HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\nContent-Length: %d\r\nAuthorization: Bearer %s\r\n\r\n%s", method, path, len(body), compact, body)
}

// Clients and proxies may escape the slashes in a tile's number, once: it is one parameter of the path. What they escape twice, or
// outside it, names nothing; and htu is compared with the path as it came.
func TestEscapedTiles(t *testing.T) {
	t.Parallel()
	c := newCity(t)
	s := c.serve()
	s.register("SP-1")
	get := func(path string) (int, string) {
		status, _, body := s.raw(s.Addr(), http.MethodGet, "GET "+path+" HTTP/1.1\r\nHost: gateway\r\n\r\n")
		return status, string(body)
	}
	for _, tree := range []string{"/log", "/log/sm3"} {
		status, plain := get(tree + "/tile/0/000.p/1")
		if status != http.StatusOK || len(plain) != 32 {
			t.Fatalf("%s: %d, %d bytes", tree, status, len(plain))
		}
		for _, same := range []string{"/tile/0/000.p%2F1", "/tile/0/000.p%2f1", "/tile/%30/000.p/1", "/%74ile/0/000%2ep/1"} {
			if status, got := get(tree + same); status != http.StatusOK || got != plain {
				t.Errorf("%s%s: %d", tree, same, status)
			}
		}
		for path, want := range map[string]int{
			"/tile/0/000.p%252F1": 400, "/tile/0%2F000.p%2F1": 404, "/tile%2F0/000.p/1": 404, "/tile/0/..%2F000.p/1": 400, "/tile/0/000.p%2F1%2F": 400,
			"/tile/0/000.p//1": 400, "/tile/0/%00": 400, "/tile/0/000.p%5C1": 400, "/tile/entries%2F000.p/1": 400,
		} {
			if status, _ := get(tree + path); status != want {
				t.Errorf("%s%s: %d, want %d", tree, path, status, want)
			}
		}
	}
	for path, want := range map[string]int{"/log/tile/entries/000.p/1": 401, "/log/tile/entries/000.p%2F1": 401, "/log/tile/%65ntries/000.p/1": 401} {
		if status, _ := get(path); status != want {
			t.Errorf("%s: %d, want %d: leaves are not public", path, status, want)
		}
	}
	signed := s.signed("food-approval", "GET", "/log/tile/entries/000.p%2F1", "")
	if status, _, body := s.raw(s.Addr(), http.MethodGet, signed); status != http.StatusForbidden || !bytes.Contains(body, []byte(`"not-permitted"`)) {
		t.Errorf("signed as it was sent: %d %s", status, body)
	}
	changed := strings.Replace(s.signed("food-approval", "GET", "/log/tile/entries/000.p%2F1", ""), "000.p%2F1 ", "000.p/1 ", 1)
	if _, _, body := s.raw(s.Addr(), http.MethodGet, changed); !bytes.Contains(body, []byte(`"token-url-mismatch"`)) {
		t.Errorf("a path that somebody decoded on the way: %s", body)
	}
}

package gateway

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"oncegate/api"
	"oncegate/certs/token"
)

// One request is one record, whatever its framing says: what net/http refuses leaves none, what it lets pass leaves one.
func TestOneRequestIsOneRecord(t *testing.T) {
	w := newWorld(t)
	w.accept("SP-1")
	body := string(w.bodyOf(query("business-license", company, "SP-1")))
	chunked := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body)
	inner := "POST /v1/receipts HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
	for name, c := range map[string]struct {
		headers, body string
		records       uint64
		status        int
	}{
		"content length":        {fmt.Sprintf("Content-Length: %d\r\n", len(body)), body, 1, 200},
		"chunked":               {"Transfer-Encoding: chunked\r\n", chunked, 1, 200},
		"both":                  {fmt.Sprintf("Content-Length: %d\r\nTransfer-Encoding: chunked\r\n", len(chunked)), chunked, 1, 200},
		"both, a request after": {"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", chunked + inner, 1, 200},
		"two lengths":           {fmt.Sprintf("Content-Length: %d\r\nContent-Length: %d\r\n", len(body), len(body)+1), body, 0, 400},
		"unknown encoding":      {"Transfer-Encoding: xchunked\r\n", chunked, 0, 501},
		"space before colon":    {fmt.Sprintf("Content-Length : %d\r\n", len(body)), body, 0, 400},
		"a length too long":     {"Content-Length: 99999999999999999999\r\n", body, 0, 400},
	} {
		size := w.size()
		compact := w.token("food-approval", "POST", queryPath, []byte(body), nil)
		conn := must(net.Dial("tcp", strings.TrimPrefix(w.server.URL, "http://")))(t)
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\nAuthorization: Bearer %s\r\n%s\r\n%s", queryPath, compact, c.headers, c.body)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || resp.StatusCode != c.status {
			t.Errorf("%s: %v %v", name, resp, err)
		}
		conn.Close()
		if got := w.size() - size; got != c.records {
			t.Errorf("%s: %d records, want %d", name, got, c.records)
		}
	}
}

// Methods, addresses, media types and queries that the contract does not know are refused with their own code; where the
// caller is known, the refusal is a record.
func TestMethodsAndMedia(t *testing.T) {
	w := newWorld(t)
	size := w.size()
	for _, c := range []struct{ method, path, code, allow string }{
		{"OPTIONS", queryPath, "method-not-allowed", "POST"},
		{"DELETE", queryPath, "method-not-allowed", "POST"},
		{"POST", "/v1/catalog/types", "method-not-allowed", "GET, HEAD"},
		{"GET", "/v1/moon", "not-found", ""},
		{"GET", "/" + strings.Repeat("x", 64<<10), "not-found", ""},
		{"GET", "//v1/catalog/types", "not-found", ""},
		{"GET", "/v1/catalog/types/", "not-found", ""},
		{"GET", "/status-lists/..%2f..", "invalid-field", ""},
	} {
		a := w.send(c.method, c.path, nil, "")
		if a.problem.Code != c.code || a.header.Get("Allow") != c.allow || len(a.body) > 2000 {
			t.Errorf("%s %.40s: %d %s, allow %q", c.method, c.path, a.status, a.problem.Code, a.header.Get("Allow"))
		}
	}
	if w.size() != size {
		t.Errorf("nobody left %d records", w.size()-size)
	}
	body := w.bodyOf(query("business-license", company, "SP-1"))
	send := func(path, header, value string) answered {
		r := w.request("POST", path, body, w.token("food-approval", "POST", path, body, nil))
		if header != "" {
			r.Header.Set(header, value)
		}
		return w.do(r, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	}
	w.refused(send(queryPath, "Content-Type", "text/plain"), "unsupported-media-type")
	w.refused(send(queryPath, "Content-Type", "application/json; charset=gb18030"), "unsupported-media-type")
	w.refused(send(queryPath, "Content-Encoding", "gzip"), "content-encoding-refused")
	w.refused(send(queryPath+"?holder=x", "", ""), "query-refused")
	w.refused(send("/v1/cases/"+strings.Repeat("9", 65)+"/check", "", ""), "invalid-field")
	w.refused(send("/v1/cases/a%20b/check", "", ""), "invalid-field")
	w.refused(w.call("food-approval", "GET", "/v1/catalog/types", []byte("{}")), "body-refused")

	compact := w.token("food-approval", "HEAD", "/v1/catalog/types", nil, nil)
	size = w.size()
	if a := w.send("HEAD", "/v1/catalog/types", nil, compact); a.status != http.StatusOK || len(a.body) != 0 || w.size() != size+1 {
		t.Errorf("HEAD: %d, %d bytes, %d records", a.status, len(a.body), w.size()-size)
	}
	lower := w.token("food-approval", "GET", "/v1/catalog/types", nil, nil)
	r := w.request("GET", "/v1/catalog/types", nil, "")
	r.Header.Set("Authorization", "bearer "+lower)
	if a := w.do(r, lower); a.status != http.StatusOK || a.header.Get("X-Content-Type-Options") != "nosniff" || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("bearer in lower case: %d %v", a.status, a.header)
	}
}

// Bodies that are too large are refused before they are read, and prove nobody.
func TestLargeBodies(t *testing.T) {
	w := newWorld(t)
	size := w.size()
	body := []byte(`{"x":"` + strings.Repeat("a", api.MaxBody) + `"}`)
	if a := w.send("POST", queryPath, body, w.token("food-approval", "POST", queryPath, body, nil)); a.problem.Code != "too-large" {
		t.Errorf("%d %s", a.status, a.problem.Code)
	}
	long := strings.Repeat("a", token.MaxSize+1)
	if a := w.send("POST", queryPath, []byte("{}"), long); a.problem.Code != "token-too-large" {
		t.Errorf("%d %s", a.status, a.problem.Code)
	}
	if w.size() != size {
		t.Error("callers who proved nothing left records")
	}
	deep := []byte(strings.Repeat("[", 20) + strings.Repeat("]", 20))
	w.refused(w.call("food-approval", "POST", queryPath, deep), "too-deep")
	w.refused(w.call("food-approval", "POST", queryPath, []byte(`{"license_type":1.5}`)), "number-not-integer")
	w.refused(w.call("food-approval", "POST", queryPath, []byte("{\"license_type\":\"\xff\"}")), "invalid-utf8")
}

// What needs no case: the catalogues, and a status list with the rules of its caches.
func TestCataloguesAndLists(t *testing.T) {
	list := SignedList{Token: "e30.e30.AA", Tag: "t-1", Expires: time.Now().Add(time.Hour), Keep: time.Minute}
	w := newWorld(t, func(c *Config) {
		c.StatusList = func(_ context.Context, id string) (SignedList, error) {
			if id != "1" {
				return SignedList{}, fs.ErrNotExist
			}
			return list, nil
		}
	})
	matters := read[api.MattersAnswer](t, w.call("food-approval", "GET", "/v1/catalog/matters", nil))
	if len(matters.Matters) != len(w.base.Book.Matters) {
		t.Errorf("%d matters", len(matters.Matters))
	}
	if a := w.send("GET", "/status-lists/1", nil, ""); a.status != http.StatusOK || string(a.body) != list.Token || a.header.Get("ETag") != `"t-1"` {
		t.Errorf("status list: %d %s %v", a.status, a.body, a.header)
	}
	if a := w.send("GET", "/status-lists/2", nil, ""); a.problem.Code != "not-found" {
		t.Errorf("no status list: %d %s", a.status, a.body)
	}
	r := w.request("GET", "/status-lists/1", nil, "")
	r.Header.Set("Range", "bytes=1000-")
	if a := w.do(r, ""); a.problem.Code != "range-impossible" || a.header.Get("ETag") != "" {
		t.Errorf("no such range: %d %s %v", a.status, a.body, a.header)
	}
}

// The pages that need no sign-in get what stands under /v/, in either case of letters, whatever the method; where there are none, nobody does.
func TestPages(t *testing.T) {
	var got []string
	w := newWorld(t, func(c *Config) {
		c.Pages = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			got = append(got, r.Method+" "+r.URL.Path)
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = io.WriteString(w, "<!DOCTYPE html><title>page</title>")
		})
	})
	for _, path := range []string{"/v/", "/v/7ZK3M9Q2T8WX4C6V1B5N0GHJDR", "/V/7ZK3M9Q2T8WX4C6V1B5N0GHJDR", "/v/a/b"} {
		for _, method := range []string{"GET", "POST"} {
			must(http.DefaultClient.Do(w.request(method, path, nil, "")))(t).Body.Close()
			if want := method + " " + path; len(got) == 0 || got[len(got)-1] != want {
				t.Errorf("%s did not reach the pages", want)
			}
		}
	}
	w.send("GET", "/v/7ZK3M9Q2T8WX4C6V1B5N0GHJDR", nil, "")
	reached := len(got)
	for _, path := range []string{"/v", "/V", "/v1/licenses/query", "/vv/x", "/", "//v/x", "/openapi.yaml"} {
		w.send("GET", path, nil, "")
	}
	if len(got) != reached {
		t.Errorf("%q reached the pages", got[reached:])
	}
	if a := newWorld(t).send("GET", "/v/7ZK3M9Q2T8WX4C6V1B5N0GHJDR", nil, ""); a.problem.Code != "not-found" {
		t.Errorf("without pages: %d %s", a.status, a.body)
	}
}

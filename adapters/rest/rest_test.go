package rest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"oncegate/adapters/adaptertest"
	"oncegate/adapters/mapping"
	"oncegate/adapters/secret"
	"oncegate/fault"
	"oncegate/license"
)

// A legacy is a real HTTP server in the manner of such systems: everything is status 200 and a code in the body for its
// newer face (POST /api/v2/query), and persons' codes in the path for its older one (GET /api/person/...).
type legacy struct {
	*httptest.Server
	broken  atomic.Bool
	hanging atomic.Pointer[chan struct{}]
	seen    atomic.Pointer[http.Request]
}

func newLegacy(t *testing.T) *legacy {
	l := &legacy{}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v2/query", l.query)
	mux.HandleFunc("GET /api/person/{type}/{code}/estates", l.person)
	mux.HandleFunc("GET /api/health", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("ok")) })
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.seen.Store(r)
		if release := l.hanging.Load(); release != nil {
			io.Copy(io.Discard, r.Body)
			select {
			case <-*release:
			case <-r.Context().Done():
			}
			return
		}
		if l.broken.Load() {
			// a broken system repeats what it was asked, and the status pages of some look like an empty answer
			body, _ := io.ReadAll(r.Body)
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusInternalServerError)
			fmt.Fprintf(w, `{"code":"E404","data":[],"message":%q}`, r.URL.String()+string(body))
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(l.Server.Close)
	return l
}

func numbersOf(code, kind string) (numbers []string) {
	for _, r := range append(adaptertest.Rows(), adaptertest.BadRow()) {
		if r["id_no"] == code && r["id_type"] == kind {
			numbers = append(numbers, r["cert_no"])
		}
	}
	return numbers
}

func write(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}

// query answers with one object per certificate and its owners in a list.
func (l *legacy) query(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Who  struct{ Kind, Code string }
		Page int
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.Page != 1 {
		write(w, 200, map[string]any{"code": "E400"})
		return
	}
	list := []map[string]any{}
	for _, number := range numbersOf(in.Who.Code, in.Who.Kind) {
		var record map[string]any
		var owners []any
		for _, row := range append(adaptertest.Rows(), adaptertest.BadRow()) {
			if row["cert_no"] != number {
				continue
			}
			record = map[string]any{"cert_no": number, "status": json.Number(row["status"]), "issued": row["issued"], "valid_to": row["valid_to"],
				"site": map[string]any{"location": row["location"], "area": json.Number(row["area"])}}
			owners = append(owners, map[string]string{"owner": row["owner"], "id_type": row["id_type"], "id_no": row["id_no"], "share": row["share"]})
		}
		record["owners"] = owners
		list = append(list, record)
	}
	if len(list) == 0 {
		write(w, 200, map[string]any{"code": "E404", "message": "没有记录"})
		return
	}
	write(w, 200, map[string]any{"code": 0, "data": map[string]any{"total": len(list), "list": list}})
}

// person answers with one flat object per certificate and owner.
func (l *legacy) person(w http.ResponseWriter, r *http.Request) {
	numbers := numbersOf(r.PathValue("code"), r.PathValue("type"))
	if len(numbers) == 0 {
		write(w, 404, map[string]any{"error": "no_record"})
		return
	}
	var rows []mapping.Row
	for _, row := range append(adaptertest.Rows(), adaptertest.BadRow()) {
		if slices.Contains(numbers, row["cert_no"]) {
			rows = append(rows, row)
		}
	}
	write(w, 200, rows)
}

func (l *legacy) nested() Config {
	return Config{ID: "estates", BaseURL: l.URL + "/api/", Health: "/health", Calls: []Call{{
		Path: "/v2/query",
		Body: map[string]any{"who": map[string]any{"kind": "{holder_type}", "code": "{holder_code}"}, "page": uint64(1), "number": "{number}"},
		Answer: Answer{
			Records: "/data/list", Holders: "/owners", Total: "/data/total", Success: Mark{"/code", []string{"0"}},
			NotFound: []NotFound{{Mark: Mark{"/code", []string{"E404"}}}},
		},
		Record: adaptertest.Record(func(column string) string {
			switch column {
			case "owner", "id_type", "id_no", "share":
				return "/owners/-/" + column
			case "location", "area":
				return "/site/" + column
			}
			return "/" + column
		}),
	}}}
}

func (l *legacy) flat() Config {
	return Config{ID: "estates", BaseURL: l.URL + "/api", Calls: []Call{{
		Method: http.MethodGet, Path: "/person/{holder_type}/{holder_code}/estates", Query: map[string]string{"no": "{number}"},
		Answer: Answer{NotFound: []NotFound{{Status: 404, Mark: Mark{"/error", []string{"no_record"}}}}},
		Record: adaptertest.Record(func(column string) string { return "/" + column }),
	}}}
}

func (l *legacy) subject(cfg Config) adaptertest.Subject {
	return adaptertest.Subject{
		Bad: true,
		Open: func(t *testing.T) adaptertest.Source {
			src, err := Open(cfg, adaptertest.Catalogue(), Deps{})
			if err != nil {
				t.Fatal(err)
			}
			if err := src.Check(t.Context()); err != nil {
				t.Errorf("Check: %v", err)
			}
			return src
		},
		Break: func(*testing.T) func() {
			l.broken.Store(true)
			return func() { l.broken.Store(false) }
		},
		Hang: func(*testing.T) func() {
			release := make(chan struct{})
			l.hanging.Store(&release)
			return func() { l.hanging.Store(nil); close(release) }
		},
	}
}

func TestSuiteBodies(t *testing.T) {
	l := newLegacy(t)
	adaptertest.Run(t, l.subject(l.nested()))
}

func TestSuitePaths(t *testing.T) {
	l := newLegacy(t)
	adaptertest.Run(t, l.subject(l.flat()))
}

func question(person int) license.Question {
	return license.Question{Type: adaptertest.Type, Holder: adaptertest.Person(person).HolderID}
}

func ask(t *testing.T, cfg Config, deps Deps, q license.Question) license.Finding {
	t.Helper()
	src, err := Open(cfg, adaptertest.Catalogue(), deps)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	findings, err := src.Find(t.Context(), license.Request{Questions: []license.Question{q}})
	if err != nil {
		t.Fatal(err)
	}
	return findings[0]
}

// TestServerAway: a connection refused is unavailable, and the error holds neither URL nor code.
func TestServerAway(t *testing.T) {
	l := newLegacy(t)
	cfg := l.flat()
	l.Server.Close()
	f := ask(t, cfg, Deps{}, question(0))
	if f.State != license.IsUnavailable || strings.Contains(f.Err.Error(), adaptertest.Person(0).Code) || strings.Contains(f.Err.Error(), "/person/") {
		t.Errorf("%q, %v", f.State, f.Err)
	}
}

// TestUnexpected: whatever the configuration does not expect is unavailable.
func TestUnexpected(t *testing.T) {
	const jsonType = "application/json"
	record := func(id int) string {
		b, _ := json.Marshal(adaptertest.Rows()[id])
		return string(b)
	}
	for name, c := range map[string]struct {
		status     int
		kind, body string
		state      license.Found
	}{
		"found":                 {200, jsonType, `[` + record(0) + `]`, license.IsFound},
		"one object":            {200, "application/vnd.x+json; charset=utf-8", record(0), license.IsFound},
		"not found":             {404, jsonType, `{"error":"no_record"}`, license.IsNotFound},
		"wrong path":            {404, jsonType, `{"error":"no_such_path"}`, license.IsUnavailable},
		"proxy's page":          {404, "text/html", `<h1>Not Found</h1>`, license.IsUnavailable},
		"404 empty":             {404, jsonType, ``, license.IsUnavailable},
		"gone":                  {410, jsonType, `{"error":"no_record"}`, license.IsUnavailable},
		"server error":          {500, jsonType, `{"error":"no_record"}`, license.IsUnavailable},
		"redirect":              {302, jsonType, `{"error":"no_record"}`, license.IsUnavailable},
		"no content":            {204, "", ``, license.IsUnavailable},
		"empty list":            {200, jsonType, `[]`, license.IsUnavailable},
		"null":                  {200, jsonType, `null`, license.IsUnavailable},
		"list of null":          {200, jsonType, `[null]`, license.IsUnavailable},
		"page with 200":         {200, "text/html", `[` + record(0) + `]`, license.IsUnavailable},
		"no content type":       {200, "", record(0), license.IsUnavailable},
		"other charset":         {200, jsonType + "; charset=GBK", record(0), license.IsUnavailable},
		"cut short":             {200, jsonType, `[` + record(0), license.IsUnavailable},
		"two values":            {200, jsonType, record(0) + record(0), license.IsUnavailable},
		"duplicate name":        {200, jsonType, strings.Replace(record(0), `{`, `{"status":"1",`, 1), license.IsUnavailable},
		"invalid UTF-8":         {200, jsonType, strings.Replace(record(0), `甲`, "\xbc\xd7", 1), license.IsUnavailable},
		"replaced character":    {200, jsonType, strings.Replace(record(0), `甲`, "\ufffd", 1), license.IsUnavailable},
		"deep":                  {200, jsonType, strings.Repeat("[", 100) + strings.Repeat("]", 100), license.IsUnavailable},
		"long":                  {200, jsonType, `[` + record(0) + strings.Repeat(" ", 5000) + `]`, license.IsUnavailable},
		"too many":              {200, jsonType, `[` + strings.Repeat(record(0)+",", 5) + record(0) + `]`, license.IsUnavailable},
		"somebody else":         {200, jsonType, `[` + record(1) + `]`, license.IsUnavailable},
		"path missing":          {200, jsonType, strings.Replace(record(0), `"status"`, `"zt"`, 1), license.IsUnavailable},
		"object for text":       {200, jsonType, strings.Replace(record(0), `"status":"1"`, `"status":{"v":1}`, 1), license.IsUnavailable},
		"list for text":         {200, jsonType, strings.Replace(record(0), `"status":"1"`, `"status":["1"]`, 1), license.IsUnavailable},
		"status null":           {200, jsonType, strings.Replace(record(0), `"status":"1"`, `"status":null`, 1), license.IsUnavailable},
		"end of validity empty": {200, jsonType, strings.Replace(record(1), `"长期"`, `""`, 1), license.IsUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header()["Content-Type"] = []string{c.kind}
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(c.status)
				io.WriteString(w, c.body)
			}))
			defer server.Close()
			cfg := (&legacy{Server: server}).flat()
			cfg.MaxBytes, cfg.MaxRecords = 4000, 5
			f := ask(t, cfg, Deps{}, question(0))
			if f.State != c.state {
				t.Errorf("%q, %v; want %q", f.State, f.Err, c.state)
			}
			if f.Err != nil && (strings.Contains(f.Err.Error(), adaptertest.Person(0).Code) || strings.Contains(f.Err.Error(), "no_")) {
				t.Errorf("the error repeats the answer: %v", f.Err)
			}
		})
	}
}

func TestRead(t *testing.T) {
	l := newLegacy(t)
	for name, c := range map[string]struct {
		answer Answer
		status int
		body   string
		none   bool
	}{
		"empty list":                {Answer{Records: "/l", NotFound: []NotFound{{Empty: true}}}, 200, `{"l":[]}`, true},
		"empty null":                {Answer{Records: "/l", NotFound: []NotFound{{Empty: true}}}, 200, `{"l":null}`, true},
		"list missing":              {Answer{Records: "/l", NotFound: []NotFound{{Empty: true}}}, 200, `{"m":[]}`, false},
		"empty though it failed":    {Answer{Records: "/l", Success: Mark{"/c", []string{"0"}}, NotFound: []NotFound{{Empty: true}}}, 200, `{"c":9,"l":[]}`, false},
		"empty and succeeded":       {Answer{Records: "/l", Success: Mark{"/c", []string{"0"}}, NotFound: []NotFound{{Empty: true}}}, 200, `{"c":0,"l":[]}`, true},
		"no body":                   {Answer{NotFound: []NotFound{{Status: 204, NoBody: true}}}, 204, ``, true},
		"no body expected, but one": {Answer{NotFound: []NotFound{{Status: 204, NoBody: true}}}, 204, `{}`, false},
		"no body at another status": {Answer{NotFound: []NotFound{{Status: 204, NoBody: true}}}, 200, ``, false},
		"mark and list":             {Answer{Records: "/l", NotFound: []NotFound{{Empty: true, Mark: Mark{"/c", []string{"7"}}}}}, 200, `{"c":7,"l":[]}`, true},
		"list without mark":         {Answer{Records: "/l", NotFound: []NotFound{{Empty: true, Mark: Mark{"/c", []string{"7"}}}}}, 200, `{"c":8,"l":[]}`, false},
		"mark is an object":         {Answer{NotFound: []NotFound{{Mark: Mark{"/c", []string{""}}}}}, 200, `{"c":{}}`, false},
	} {
		call := l.flat().Calls[0]
		call.Answer = c.answer
		f := &fault.List{}
		c.answer.check(f, "$")
		rows, err := call.read(reply{c.status, "application/json", []byte(c.body)}, 10)
		if none := err == nil && len(rows) == 0; none != c.none || len(*f) > 0 {
			t.Errorf("%s: %d rows, %v, %v; want none: %v", name, len(rows), err, *f, c.none)
		}
	}
}

// TestIncomplete: one page of several is no answer.
func TestIncomplete(t *testing.T) {
	call := newLegacy(t).flat().Calls[0]
	call.Answer = Answer{Records: "/list", Total: "/total", NotFound: []NotFound{{Empty: true}}}
	b, _ := json.Marshal(adaptertest.Rows()[:1])
	for _, total := range []string{"2", `"x"`, "0", "null", "1e0"} {
		if rows, err := call.read(reply{200, "application/json", fmt.Appendf(nil, `{"total":%s,"list":%s}`, total, b)}, 10); err == nil {
			t.Errorf("total %s with one record: %v", total, rows)
		}
	}
	if _, err := call.read(reply{200, "application/json", fmt.Appendf(nil, `{"total":"1","list":%s}`, b)}, 10); err != nil {
		t.Error(err)
	}
}

func TestRequest(t *testing.T) {
	hostile := mapping.Asked{HolderCode: `a/b?c#d"}{\ e&f=g`, HolderType: "10", Number: "号%2F{holder_code}"}
	call := Call{
		Path: "/p%20q/{holder_code}/x-{number}", Query: map[string]string{"q": "{holder_code}", "n": "{{{number}}}"},
		Body: map[string]any{"a": []any{"{holder_code}", uint64(7), true, nil}, "b": map[string]any{"t": "x{holder_type}y"}},
	}
	r, faults := call.compile()
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	target, body, kind, err := r.write("https://x/api/", hostile)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	segments := strings.Split(u.EscapedPath(), "/")
	if len(segments) != 5 || u.Host != "x" || u.Fragment != "" {
		t.Errorf("the path is %v of %s", segments, target)
	}
	if code, _ := url.PathUnescape(segments[3]); code != hostile.HolderCode {
		t.Errorf("the code came out as %q", code)
	}
	if diff := cmp.Diff(url.Values{"q": {hostile.HolderCode}, "n": {"{" + hostile.Number + "}"}}, u.Query()); diff != "" {
		t.Error(diff)
	}
	var back any
	if err := json.Unmarshal(body, &back); err != nil || kind != "application/json" {
		t.Fatal(err, kind)
	}
	want := map[string]any{"a": []any{hostile.HolderCode, 7.0, true, nil}, "b": map[string]any{"t": "x10y"}}
	if diff := cmp.Diff(want, back); diff != "" {
		t.Error(diff)
	}
	if _, _, _, err := r.write("https://x", mapping.Asked{HolderCode: "..", Number: "1"}); !errors.Is(err, mapping.ErrCannotAsk) {
		t.Errorf("a code of dots: %v", err)
	}
	form, _ := Call{Form: map[string]string{"id": "{holder_code}"}}.compile()
	if _, body, _, _ := form.write("https://x", hostile); string(body) != "id="+url.QueryEscape(hostile.HolderCode) {
		t.Errorf("form %s", body)
	}
}

func TestAuth(t *testing.T) {
	l := newLegacy(t)
	t.Setenv("LEGACY_KEY", "sesame")
	cfg := l.nested()
	cfg.Auth = Auth{Header: "X-Api-Key", Prefix: "key ", Secret: secret.Ref{Env: "LEGACY_KEY"}}
	cfg.Header = map[string]string{"X-App": "oncegate"}
	if f := ask(t, cfg, Deps{}, question(0)); f.State != license.IsFound {
		t.Errorf("%v", f.Err)
	}
	if h := l.seen.Load().Header; h.Get("X-Api-Key") != "key sesame" || h.Get("X-App") != "oncegate" {
		t.Errorf("headers %v", h)
	}
	cfg.Auth = Auth{Prefix: "Bearer ", Signed: true}
	if _, err := Open(cfg, adaptertest.Catalogue(), Deps{}); err == nil {
		t.Error("opened without a signer")
	}
	sign := func(_ context.Context, method, target string, body []byte) (string, error) {
		if method != "POST" || target != l.URL+"/api/v2/query" || !strings.Contains(string(body), adaptertest.Person(0).Code) {
			t.Errorf("signs %s %s %s", method, target, body)
		}
		return "token", nil
	}
	if f := ask(t, cfg, Deps{Sign: sign}, question(0)); f.State != license.IsFound || l.seen.Load().Header.Get("Authorization") != "Bearer token" {
		t.Errorf("%v", f.Err)
	}
	refuse := func(context.Context, string, string, []byte) (string, error) { return "", errors.New("key is sealed") }
	if f := ask(t, cfg, Deps{Sign: refuse}, question(0)); f.State != license.IsUnavailable {
		t.Errorf("%q without a token", f.State)
	}
}

// TestTLS: a certificate that no given authority signed is not trusted.
func TestTLS(t *testing.T) {
	l := &legacy{Server: httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		write(w, 404, map[string]any{"error": "no_record"})
	}))}
	l.Config.ErrorLog = log.New(io.Discard, "", 0) // it would report what we want to see
	l.StartTLS()
	defer l.Server.Close()
	if f := ask(t, l.flat(), Deps{}, question(0)); f.State != license.IsUnavailable || !strings.Contains(f.Err.Error(), "certificate") {
		t.Errorf("%q, %v", f.State, f.Err)
	}
}

func TestCheckReportsAllFaults(t *testing.T) {
	cfg := Config{
		BaseURL: "http://legacy.example/api", TLS: TLS{Key: "k"}, Auth: Auth{Signed: true, Secret: secret.Ref{Env: "X"}}, Health: "health",
		Header: map[string]string{"Bad Name": "x"}, Parallel: -1,
		Calls: []Call{
			{Method: "PUT", Path: "/a?b={holder_code}", Answer: Answer{Records: "data"}},
			{Body: map[string]any{"a": "{holder}"}, Form: map[string]string{"b": "{"}, Answer: Answer{NotFound: []NotFound{{}, {Status: 403}, {Status: 500, Mark: Mark{Path: "/x"}}}}},
			{Body: map[string]any{"a": "everybody"}, Record: adaptertest.Record(func(c string) string { return c })},
		},
	}
	paths := map[string]bool{}
	for _, f := range cfg.Check(adaptertest.Catalogue()) {
		paths[f.Path] = true
	}
	for _, want := range []string{
		"$.base_url", "$.tls", "$.auth", "$.health", "$.header.Bad Name", "$", "$.calls[0].method", "$.calls[0].path", "$.calls[0].answer.records",
		"$.calls[0].answer.not_found", "$.calls[0].record.type", "$.calls[1].body.a", "$.calls[1].form.b", "$.calls[1].form",
		"$.calls[1].answer.not_found[0]", "$.calls[1].answer.not_found[1].status", "$.calls[1].answer.not_found[2].status", "$.calls[1].answer.not_found[2].mark",
		"$.calls[2]", "$.calls[2].record",
	} {
		if !paths[want] {
			t.Errorf("no fault at %s in %v", want, paths)
		}
	}
}

// FuzzAnswer: no answer panics, and none becomes "not found" unless it says so.
func FuzzAnswer(f *testing.F) {
	rows, _ := json.Marshal(adaptertest.Rows())
	for _, seed := range []string{string(rows), `{"code":"E404"}`, `{"code":0,"data":{"total":1,"list":[{"owners":[{}]}]}}`, `[[[[]]]]`, `{"code":0,"data":{"list":[]}}`, `{"code":"E404"} x`} {
		f.Add(200, "application/json", []byte(seed))
	}
	f.Add(404, "application/json", []byte(`{"error":"no_record"}`))
	l := &legacy{Server: &httptest.Server{URL: "http://127.0.0.1"}}
	nested, flat := l.nested().Calls[0], l.flat().Calls[0]
	f.Fuzz(func(t *testing.T, status int, kind string, body []byte) {
		r := reply{status, kind, body}
		if rows, err := nested.read(r, 100); err == nil && len(rows) == 0 && (status != 200 || !strings.Contains(string(body), "40")) {
			t.Errorf("%d %q is not found", status, body)
		}
		if rows, err := flat.read(r, 100); err == nil && len(rows) == 0 && (status != 404 || !strings.Contains(string(body), "rec") && !strings.Contains(string(body), `\u`)) {
			t.Errorf("%d %q is not found", status, body)
		}
		if rows, err := flat.read(r, 100); err == nil {
			plan, _ := flat.Record.Bind(adaptertest.Catalogue())
			plan.Answer(question(0), rows)
		}
	})
}

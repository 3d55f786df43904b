package rest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"oncegate/adapters/adaptertest"
	"oncegate/license"
)

// What keeps an interface from answering is told apart by real faults, and the reason repeats neither the URL, which names the person, nor
// what the interface says, which repeats what it was asked.
func TestFailures(t *testing.T) {
	const jsonType = "application/json"
	answer := func(status int, contentType, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(status)
			fmt.Fprint(w, strings.ReplaceAll(body, "ASKED", r.URL.String()))
		}
	}
	good := `{"cert_no":"N1","status":"1","issued":"20200101","valid_to":"长期","owner":"` + adaptertest.Person(0).Name + `","id_type":"10","id_no":"` + adaptertest.Person(0).Code + `","location":"某地","area":"1","share":"1"}`
	for name, c := range map[string]struct {
		serve http.HandlerFunc
		cause license.Cause
		says  string
	}{
		"401":           {answer(401, jsonType, `{"error":"ASKED"}`), license.Authentication, "HTTP 401"},
		"403":           {answer(403, "text/html", `ASKED`), license.Forbidden, "HTTP 403"},
		"429":           {answer(429, "text/html", `ASKED`), license.Busy, "HTTP 429"},
		"500":           {answer(500, jsonType, `{"error":"ASKED"}`), license.HTTPStatus, "HTTP status 500"},
		"wrong path":    {answer(404, "text/html", `<h1>ASKED</h1>`), license.HTTPStatus, "HTTP status 404"},
		"proxy's page":  {answer(200, "text/html", `<h1>ASKED</h1>`), license.UnreadableAnswer, "no JSON by its content type"},
		"malformed":     {answer(200, jsonType, `[{"id":"ASKED"`), license.UnreadableAnswer, "no JSON that can be used"},
		"hangs up":      {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, license.Disconnected, "closed the connection"},
		"another form":  {answer(200, jsonType, `["ASKED"]`), license.BadRecord, "row 1 cannot be mapped: it is no JSON object"},
		"path is gone":  {answer(200, jsonType, `[`+strings.Replace(good, `"status"`, `"zt"`, 1)+`]`), license.NoColumn, "row 1 has no column /status"},
		"no day":        {answer(200, jsonType, `[`+strings.Replace(good, `20200101`, `20200231`, 1)+`]`), license.NotADay, "row 1, column /issued cannot be mapped"},
		"unlisted code": {answer(200, jsonType, `[`+strings.Replace(good, `"status":"1"`, `"status":"九"`, 1)+`]`), license.UnlistedCode, "row 1, column /status cannot be mapped"},
		"another's":     {answer(200, jsonType, `[`+strings.Replace(good, adaptertest.Person(0).Code, adaptertest.Person(1).Code, 1)+`]`), license.OtherHolder, "another holder"},
	} {
		server := httptest.NewUnstartedServer(c.serve)
		server.Config.ErrorLog = log.New(io.Discard, "", 0)
		server.Start()
		l := &legacy{Server: server}
		said(t, name, ask(t, l.flat(), Deps{}, question(0)).Err, c.cause, c.says)
		server.Close()
		said(t, name+", closed", ask(t, l.flat(), Deps{}, question(0)).Err, license.ConnectionRefused, "nothing listens")
	}

	secure := httptest.NewUnstartedServer(answer(200, jsonType, `[]`))
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	said(t, "unknown authority", ask(t, (&legacy{Server: secure}).flat(), Deps{}, question(0)).Err, license.TLSFailed, "no trusted authority")
	bare := httptest.NewServer(answer(200, jsonType, `[]`))
	defer bare.Close()
	cfg := (&legacy{Server: bare}).flat()
	cfg.BaseURL = strings.Replace(cfg.BaseURL, "http://", "https://", 1)
	said(t, "no TLS", ask(t, cfg, Deps{}, question(0)).Err, license.TLSFailed, "does not speak TLS")
	cfg.BaseURL = "https://nowhere.invalid/api"
	said(t, "unknown host", ask(t, cfg, Deps{}, question(0)).Err, license.UnknownHost, "host name")
}

// An interface that takes the connection and says nothing runs into the deadline, which the call's context says.
func TestHanging(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cfg := (&legacy{Server: &httptest.Server{URL: "http://" + l.Addr().String()}}).flat()
	src, err := Open(cfg, adaptertest.Catalogue(), Deps{})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := src.Find(ctx, license.Request{Questions: []license.Question{question(0)}}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

func said(t *testing.T, name string, err error, cause license.Cause, says string) {
	t.Helper()
	var e *license.SourceError
	if !errors.As(err, &e) || e.Cause != cause || !strings.Contains(e.Error(), says) {
		t.Errorf("%s: %v; want %s, %q", name, err, cause, says)
		return
	}
	for _, secret := range []string{adaptertest.Person(0).Code, adaptertest.Person(1).Code, adaptertest.Person(0).Name, "/person", "127.0.0.1", "nowhere.invalid", "九"} {
		if strings.Contains(err.Error()+e.Chinese()+fmt.Sprintf("%+v", *e), secret) {
			t.Errorf("%s: the reason repeats %s: %+v", name, secret, *e)
		}
	}
}

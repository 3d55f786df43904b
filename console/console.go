// Package console serves the web pages for people at windows, in the audit office and at home. It is a caller like any other: each page is
// one operation through Gateway.Do, for the person and the hall of the session. Package session signs people in.
package console

import (
	"embed"
	"html/template"
	"log/slog"
	"net/http"
	"strconv"

	"oncegate/console/session"
)

// A Config says what the console works with. All fields are required.
type Config struct {
	Session session.Config // its Pages are the console's own
	Logger  *slog.Logger
}

//go:embed pages/*.html
var files embed.FS

// A pages draws templates.
type pages struct {
	templates *template.Template
	logger    *slog.Logger
}

// New makes the handler of everything below /console/.
func New(c Config) (http.Handler, error) {
	templates, err := template.New("").Funcs(template.FuncMap{"sentence": session.Sentence}).ParseFS(files, "pages/*.html")
	if err != nil {
		return nil, err
	}
	p := &pages{templates, c.Logger}
	c.Session.Pages = p
	gate, err := session.New(c.Session)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /console/{$}", func(w http.ResponseWriter, r *http.Request) {
		p.Draw(w, r, http.StatusOK, session.From(r.Context()))
	})
	return gate.Handler(mux), nil
}

// Draw draws a view of package session.
func (p *pages) Draw(w http.ResponseWriter, r *http.Request, status int, view any) {
	name := "refused"
	switch view.(type) {
	case *session.SignIn:
		name = "sign-in"
	case *session.Lock:
		name = "lock"
	case *session.Place:
		name = "place"
	case *session.Session:
		name = "home"
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	if err := p.templates.ExecuteTemplate(w, name, view); err != nil {
		p.logger.ErrorContext(r.Context(), "console: page", "page", name, "status", strconv.Itoa(status), "error", err.Error())
	}
}

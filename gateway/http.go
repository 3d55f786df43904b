package gateway

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	kithttp "github.com/go-kit/kit/transport/http"

	"oncegate/api"
	"oncegate/certs/token"
	"oncegate/gateway/intake"
)

// pathKey carries the router's result through the request's context to the handler; nothing else travels in a context.
type pathKey struct{}

// A matchedPath is the path's parameters, or what is wrong with them.
type matchedPath struct {
	params    map[string]string
	malformed error
}

func paramsOf(r *http.Request) (map[string]string, error) {
	matched, _ := r.Context().Value(pathKey{}).(matchedPath)
	return matched.params, matched.malformed
}

// ClientNetwork is the network that a request comes from, by which unauthenticated callers are told apart.
func (g *Gateway) ClientNetwork(r *http.Request) string { return g.intake.ClientNetwork(r) }

// ServeHTTP finds the operation by the API description and serves it.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if r.ContentLength != 0 { // net/http reads what is left of a body that nobody wanted
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(intake.UnreadPatience))
	}
	if g.Pages != nil && isPage(r.URL.Path) {
		g.Pages.ServeHTTP(w, r)
		return
	}
	op, params, err := g.contract.Match(r.Method, r.URL.EscapedPath())
	if op != nil && (err == nil || op.Signed) { // a caller who is known gets a record, also of a malformed path
		matched := matchedPath{params, err}
		g.handlers[op.ID].ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), pathKey{}, matched)))
		return
	}
	problem := api.AsProblem(err)
	if problem.Status == http.StatusMethodNotAllowed {
		allow := g.contract.Allow(r.URL.EscapedPath())
		if slices.Contains(allow, http.MethodGet) {
			allow = append(allow, http.MethodHead)
		}
		w.Header().Set("Allow", strings.Join(allow, ", "))
	}
	g.metrics.refused.WithLabelValues(problem.Code).Inc()
	problem.Write(w)
}

// pagesPath is where the pages for people are that need no sign-in. QR codes have it in upper case.
const pagesPath = "/v/"

func isPage(path string) bool {
	return len(path) >= len(pagesPath) && strings.EqualFold(path[:len(pagesPath)], pagesPath)
}

// signed serves an operation that takes a token.
func (g *Gateway) signed(row *operation) http.Handler {
	server := kithttp.NewServer(row.endpoint, g.open(row), writeReply, kithttp.ServerErrorEncoder(g.writeError))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r, leave := g.intake.Arrive(w, r, row.Most)
		defer leave()
		server.ServeHTTP(w, r)
	})
}

// open makes a call of a request whose token authenticates its caller.
func (g *Gateway) open(row *operation) kithttp.DecodeRequestFunc {
	return func(ctx context.Context, r *http.Request) (any, error) {
		start, config := g.now(), g.running.Load()
		opened, err := g.intake.Open(ctx, r, config.key)
		if l := (*intake.Limited)(nil); errors.As(err, &l) {
			g.metrics.call(row.ID, "too-many-requests", g.now().Sub(start), nil)
			return nil, l
		}
		if err != nil {
			return nil, err
		}
		c := newCall(row, config, principalOf(opened.Claims), start, opened.Now)
		c.key, c.keyID, c.token, c.body, c.requestID = opened.Key, opened.Claims.KeyID, opened.Token, opened.Body, opened.Claims.Request
		if opened.Claims.Actor != "" {
			c.actor = opened.Claims
		}
		claim := claimOf(opened.Claims)
		c.claim = &claim
		if c.sealed = c.body; row.unkept || len(c.body) > api.MaxBody { // a document that the caller has: the token, which is kept, holds its digest
			c.sealed = nil
		}
		if c.params, c.malformed = paramsOf(r); c.malformed == nil {
			c.malformed = row.CheckHeaders(r)
		}
		return c, nil
	}
}

// principalOf is who the claims of a verified token say is calling. Who acts is the system's word, until call.identify has verified
// another.
func principalOf(claims *token.Claims) Principal {
	return Principal{System: claims.Issuer, Person: Person{ID: claims.Operator}.normal()}
}

// writeReply sends a recorded reply. It never fails: what was recorded is answered, and a caller who is gone is told nothing else.
func writeReply(_ context.Context, w http.ResponseWriter, response any) error {
	reply := response.(*Reply)
	h := w.Header()
	h.Set("Content-Type", reply.Media)
	h.Set("Cache-Control", cmp.Or(reply.Cache, "no-store"))
	h.Set("Content-Length", strconv.Itoa(len(reply.Body)))
	if reply.Problem != nil && reply.Problem.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(reply.Problem.RetryAfter))
	}
	w.WriteHeader(reply.Status)
	_, _ = w.Write(reply.Body)
	return nil
}

// writeError sends one of the fixed answers that have no record.
func (g *Gateway) writeError(ctx context.Context, err error, w http.ResponseWriter) {
	g.unrecorded(ctx, err).Write(w)
}

// public are the operations that need no token: artefacts that are signed in themselves, and the description of this API.
func (g *Gateway) public() (map[string]http.Handler, error) {
	document, err := api.Described(g.PublicURL)
	if err != nil {
		return nil, err
	}
	log := g.View.Handler()
	handlers := map[string]http.Handler{
		"log.checkpoint": api.Problems(ofLog(log, func(map[string]string) string { return "/checkpoint" })),
		"log.tile":       api.Problems(ofLog(log, func(p map[string]string) string { return "/tile/" + p["level"] + "/" + p["tile"] })),
		"log.tile-sm3":   api.Problems(ofLog(log, func(p map[string]string) string { return "/sm3/tile/" + p["level"] + "/" + p["tile"] })),
		"status-lists":   api.Problems(http.HandlerFunc(g.statusList)),
		"openapi":        api.Problems(describe(document)),
		"document-code":  api.Problems(http.NotFoundHandler()), // where there are no pages: ServeHTTP
	}
	for id, h := range handlers {
		handlers[id] = g.unsigned(h)
	}
	return handlers, nil
}

// unsigned bounds how many requests for public artefacts are answered at once, each network having its share.
func (g *Gateway) unsigned(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		leave, ok := g.intake.Public(g.intake.ClientNetwork(r))
		if !ok {
			g.metrics.refused.WithLabelValues("overloaded").Inc()
			api.NewProblem("overloaded").Write(w)
			return
		}
		defer leave()
		next.ServeHTTP(w, r)
	})
}

// Turn waits for the turn of a request for a page that needs no sign-in: whoever makes it, few are worked on at once, and each network
// in its turn. The caller calls leave when the work is done, before it writes. Where ok is false the page is refused as overloaded.
func (g *Gateway) Turn(r *http.Request) (leave func(), ok bool) {
	leave, ok = g.intake.Page(r.Context(), g.intake.ClientNetwork(r))
	if !ok {
		g.metrics.refused.WithLabelValues("overloaded").Inc()
	}
	return leave, ok
}

// ofLog serves a resource of the log by the parameters of its path, which the contract has decoded and checked: clients and
// proxies may escape a tile's slashes.
func ofLog(log http.Handler, path func(params map[string]string) string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		params, _ := paramsOf(r)
		r = r.Clone(r.Context())
		r.URL = &url.URL{Path: path(params)}
		log.ServeHTTP(w, r)
	})
}

func describe(document []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/yaml")
		w.Header().Set("Cache-Control", "public, max-age=300")
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(document))
	})
}

// A SignedList is a status list token with what its HTTP cache must know.
type SignedList struct {
	Token   string
	Tag     string        // another one for every token
	Expires time.Time     // after it nobody accepts the list
	Keep    time.Duration // how long it may be kept before asking again
}

// statusList serves a signed status list. It tells nothing about any license to somebody who does not know its position, so
// every web page may read it.
func (g *Gateway) statusList(w http.ResponseWriter, r *http.Request) {
	params, _ := paramsOf(r)
	list, err := g.StatusList(r.Context(), params["id"])
	if errors.Is(err, fs.ErrNotExist) {
		api.NewProblem("not-found").Write(w)
		return
	}
	if err != nil {
		g.logger.ErrorContext(r.Context(), "status list failed", "error", err.Error())
		api.NewProblem("internal").Write(w)
		return
	}
	keep := max(0, min(list.Keep, list.Expires.Sub(g.now())))
	w.Header().Set("Content-Type", "application/statuslist+jwt")
	w.Header().Set("Cache-Control", fmt.Sprintf("public, max-age=%d", keep/time.Second))
	w.Header().Set("ETag", `"`+list.Tag+`"`)
	w.Header().Set("Access-Control-Allow-Origin", "*")
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(list.Token))
}

package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"time"

	"oncegate/api"
)

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
	}
	for id, h := range handlers {
		handlers[id] = g.unsigned(h)
	}
	return handlers, nil
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

// A SignedList is a status list token with what its cache must know.
type SignedList struct {
	Token   string
	Tag     string        // another one for every token
	Expires time.Time     // after it the list is believed by nobody
	Keep    time.Duration // how long it may be kept before asking again
}

// statusList serves a signed status list. It tells nothing about any license to who does not hold its position, so every
// page may read it.
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

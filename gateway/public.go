package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
	"time"

	"oncegate/api"
)

// public are the operations that need no token: artefacts that are signed in themselves, and the description of this API.
func (g *Gateway) public() map[string]http.Handler {
	log := http.StripPrefix("/log", g.View.Handler())
	return map[string]http.Handler{
		"log.checkpoint": log,
		"log.tile":       log,
		"log.tile-sm3":   log,
		"status-lists":   http.HandlerFunc(g.statusList),
		"openapi":        http.HandlerFunc(describe),
	}
}

func describe(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/yaml")
	w.Header().Set("Cache-Control", "public, max-age=300")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(api.Document))
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

package gateway

import (
	"bytes"
	"errors"
	"io/fs"
	"net/http"
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

// statusList serves a signed status list. It tells nothing about any license to who does not hold its position.
func (g *Gateway) statusList(w http.ResponseWriter, r *http.Request) {
	params, _ := paramsOf(r)
	token, err := g.StatusList(r.Context(), params["id"])
	if errors.Is(err, fs.ErrNotExist) {
		api.NewProblem("not-found").Write(w)
		return
	}
	if err != nil {
		g.logger.ErrorContext(r.Context(), "status list failed", "error", err.Error())
		api.NewProblem("internal").Write(w)
		return
	}
	w.Header().Set("Content-Type", "application/statuslist+jwt")
	w.Header().Set("Cache-Control", "public, max-age=60")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader([]byte(token)))
}

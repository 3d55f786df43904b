package timestamp

import (
	"errors"
	"io"
	"mime"
	"net/http"
)

// Media types of RFC 3161 section 3.4.
const (
	queryType = "application/timestamp-query"
	replyType = "application/timestamp-reply"
)

var _ http.Handler = (*Authority)(nil)

// ServeHTTP answers requests, RFC 3161 section 3.4. What is no request at all gets an HTTP status; every request gets 200
// and a response, refusals included. Limits on callers are set before it.
func (a *Authority) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "requests are posted", http.StatusMethodNotAllowed)
		return
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != queryType {
		http.Error(w, "requests are "+queryType, http.StatusUnsupportedMediaType)
		return
	}
	query, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxQuery))
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		http.Error(w, "the request is too large", http.StatusRequestEntityTooLarge)
		return
	}
	if err != nil {
		http.Error(w, "the request could not be read", http.StatusBadRequest)
		return
	}
	reply, err := a.Respond(r.Context(), query)
	if err != nil {
		http.Error(w, "the response could not be made", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", replyType)
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(reply) // whoever hung up asks again
}

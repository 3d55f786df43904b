package hammer

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"oncegate/certs/second"
	"oncegate/certs/token"
)

// A bare server is the floor to compare with: it verifies the same token by the same code as the gateway and writes an answer
// of the same length, and does nothing else.
type bare struct {
	address string
	server  *http.Server
	voices  *second.DualVerifier
}

// A proven call is one whose token the bare server has verified.
type proven struct {
	claims *token.Claims
	token  string
	body   []byte
	answer []byte // what is answered
}

// startBare starts a bare server whose answers are length bytes. More, if not nil, is done before each is written.
func (in *installation) startBare(length int, more func(context.Context, proven) error) (*bare, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start the bare server: %w", err)
	}
	b := &bare{address: l.Addr().String(), voices: second.New(second.Config{})}
	text := []byte(`"` + strings.Repeat("x", max(0, length-2)) + `"`)
	b.server = &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		call, err := in.verified(b.voices, r)
		if err != nil {
			http.Error(w, "unproven", http.StatusUnauthorized)
			return
		}
		if call.answer = text; more != nil {
			if err := more(r.Context(), call); err != nil {
				http.Error(w, "failed", http.StatusServiceUnavailable)
				return
			}
		}
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Length", strconv.Itoa(len(text)))
		w.WriteHeader(http.StatusOK)
		w.Write(text)
	})}
	go b.server.Serve(l)
	return b, nil
}

func (in *installation) verified(voices *second.DualVerifier, r *http.Request) (call proven, err error) {
	var ok bool
	if call.token, ok = strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); !ok {
		return call, errors.New("no token")
	}
	call.claims, err = token.Verify(r.Context(), call.token, token.Expect{
		Audience: in.setup.Gateway.ID, Method: r.Method, URL: in.publicURL() + r.URL.EscapedPath(), Now: time.Now(), Verify: voices.Verify,
		Body: func() (string, error) {
			var err error
			call.body, err = io.ReadAll(io.LimitReader(r.Body, maxAnswer))
			return token.BodyDigest(call.body), err
		},
		KeyOf: func(iss, kid string) (*ecdsa.PublicKey, error) {
			if key, ok := in.setup.Callers[iss].Keys[kid]; ok {
				return key.Public, nil
			}
			return nil, fs.ErrNotExist
		},
	})
	return call, err
}

func (b *bare) close(ctx context.Context) error {
	defer b.voices.Close()
	return b.server.Shutdown(ctx)
}

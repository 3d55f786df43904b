package tlog_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"oncegate/tlog"
	"oncegate/tlog/tlogtest"
)

func ask(h http.Handler, method, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w
}

func TestServe(t *testing.T) {
	b := newBench(t)
	var o oracle
	b.grow(t, &o, 65536+256+10)
	public, entries := b.Handler(), b.EntriesHandler()
	for _, x := range []struct {
		handler http.Handler
		path    string
		status  int
		length  int
		cache   string
	}{
		{public, "/checkpoint", 200, len(b.Known()), "no-cache"},
		{public, "/tile/0/000", 200, 8192, "public, max-age=31536000, immutable"},
		{public, "/sm3/tile/0/000", 200, 8192, "public, max-age=31536000, immutable"},
		{public, "/tile/0/256", 200, 8192, "public, max-age=31536000, immutable"},
		{public, "/tile/0/257.p/10", 200, 320, "public, max-age=60"},
		{public, "/tile/0/257.p/3", 200, 96, "public, max-age=60"},
		{public, "/tile/0/000.p/7", 200, 224, "public, max-age=60"},
		{public, "/tile/1/000", 200, 8192, "public, max-age=31536000, immutable"},
		{public, "/tile/1/000.p/200", 200, 6400, "public, max-age=60"},
		{public, "/sm3/tile/1/001.p/1", 200, 32, "public, max-age=60"},
		{public, "/tile/2/000.p/1", 200, 32, "public, max-age=60"},
		{public, "/tile/0/257", 404, 0, "no-store"},
		{public, "/tile/0/257.p/11", 404, 0, "no-store"},
		{public, "/tile/0/258.p/1", 404, 0, "no-store"},
		{public, "/tile/1/001.p/2", 404, 0, "no-store"},
		{public, "/tile/2/000.p/2", 404, 0, "no-store"},
		{public, "/tile/3/000.p/1", 404, 0, "no-store"},
		{public, "/tile/6/000.p/1", 404, 0, "no-store"},
		{public, "/tile/7/000", 404, 0, "no-store"},
		{public, "/tile/0/x035/x184/x372/088/832.p/1", 404, 0, "no-store"},
		{public, "/tile/0/x999/x999/x999/x999/999.p/1", 404, 0, "no-store"},
		{public, "/tile/entries/000", 404, 0, "no-store"},
		{public, "/sm3/tile/entries/000", 404, 0, "no-store"},
		{public, "/sm3/checkpoint", 404, 0, "no-store"},
		{public, "/sm3/sm3/tile/0/000", 404, 0, "no-store"},
		{public, "/", 404, 0, "no-store"},
		{public, "/tile/0/%3000", 404, 0, "no-store"},
		{public, "//tile/0/000", 404, 0, "no-store"},
		{public, "/tile/0/../0/000", 404, 0, "no-store"},
		{entries, "/tile/entries/000", 200, -1, "private, max-age=31536000, immutable"},
		{entries, "/tile/entries/257.p/10", 200, -1, "private, max-age=31536000, immutable"},
		{entries, "/tile/entries/257", 404, 0, "no-store"},
		{entries, "/tile/entries/257.p/11", 404, 0, "no-store"},
		{entries, "/sm3/tile/entries/000", 404, 0, "no-store"},
		{entries, "/tile/0/000", 404, 0, "no-store"},
		{entries, "/checkpoint", 404, 0, "no-store"},
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			w := ask(x.handler, method, x.path)
			if w.Code != x.status || w.Header().Get("Cache-Control") != x.cache {
				t.Errorf("%s %s: %d, %s", method, x.path, w.Code, w.Header().Get("Cache-Control"))
			}
			if x.status == 200 && x.length >= 0 && w.Body.Len() != x.length {
				t.Errorf("%s %s: %d bytes, want %d", method, x.path, w.Body.Len(), x.length)
			}
			if w.Header().Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%s %s may be taken for something else", method, x.path)
			}
			kind := "application/octet-stream"
			if x.path == "/checkpoint" {
				kind = "text/plain; charset=utf-8"
			}
			if x.status == 200 && (w.Header().Get("Content-Type") != kind || w.Header().Get("Content-Length") != strconv.Itoa(w.Body.Len())) {
				t.Errorf("%s %s: %v", method, x.path, w.Header())
			}
			if x.status == 404 && w.Body.String() != "not found\n" {
				t.Errorf("%s %s says %q", method, x.path, w.Body)
			}
		}
	}
	if w := ask(public, http.MethodPost, "/checkpoint"); w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d, %v", w.Code, w.Header())
	}
	for path, handler := range map[string]http.Handler{"": public, "tile/0/000": public, "tile/entries/000": entries} { // mounted without its slash
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.URL.Path = path
		w := httptest.NewRecorder()
		if handler.ServeHTTP(w, r); w.Code != 404 {
			t.Errorf("%q: %d", path, w.Code)
		}
	}
}

func TestServedEntries(t *testing.T) {
	b := newBench(t)
	b.add(t, 260)
	bundle := ask(b.EntriesHandler(), http.MethodGet, "/tile/entries/001.p/3").Body.Bytes()
	for i := 256; i < 259; i++ {
		n := binary.BigEndian.Uint16(bundle)
		if want := fmt.Sprintf("leaf %d", i); string(bundle[2:2+n]) != want {
			t.Errorf("entry %d is %q", i, bundle[2:2+n])
		}
		bundle = bundle[2+n:]
	}
	if len(bundle) > 0 {
		t.Errorf("%d bytes more", len(bundle))
	}
}

// TestServedTilesAtEverySize: partial tiles hold the same hashes as the full tile later.
func TestServedTilesAtEverySize(t *testing.T) {
	b := newBench(t)
	var partial [257][]byte
	for size := 1; size <= 256; size++ {
		b.add(t, 1)
		if size < 256 {
			partial[size] = ask(b.Handler(), http.MethodGet, fmt.Sprintf("/sm3/tile/0/000.p/%d", size)).Body.Bytes()
		}
	}
	full := ask(b.Handler(), http.MethodGet, "/sm3/tile/0/000").Body.Bytes()
	for size := 1; size < 256; size++ {
		if !bytes.Equal(partial[size], full[:size*tlog.HashSize]) {
			t.Fatalf("tile at size %d is no beginning of the full tile", size)
		}
	}
}

// TestServeWithoutStorage: an error of the storage says nothing of its cause.
func TestServeWithoutStorage(t *testing.T) {
	v := tlog.NewView(down{}, tlogtest.NewHash)
	for _, path := range []string{"/checkpoint", "/tile/0/000", "/tile/0/000.p/1"} {
		if w := ask(v.Handler(), http.MethodGet, path); w.Code != 503 || w.Body.String() != "log is unavailable\n" {
			t.Errorf("%s: %d %q", path, w.Code, w.Body)
		}
	}
	empty := tlog.NewView(new(tlogtest.Memory), tlogtest.NewHash)
	if _, err := empty.Receipt(t.Context(), 0); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error is %v", err)
	}
}

var errDown = errors.New("password is swordfish")

type down struct{ tlog.Storage }

func (down) Head(context.Context) (tlog.Head, error) { return tlog.Head{}, errDown }

func (down) Tile(context.Context, tlog.Tree, int, uint64) ([]byte, error) { return nil, errDown }

func (down) Leaves(context.Context, uint64, uint64) ([][]byte, error) { return nil, errDown }

func (down) LeafHashes(context.Context, tlog.Tree, uint64, uint64) ([]byte, error) {
	return nil, errDown
}

package tlog_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"oncegate/tlog"
)

// TestLongestCheckpoint: a checkpoint may be as long as MaxCheckpoint says, and an origin 255 bytes; a signature has five bytes at least.
func TestLongestCheckpoint(t *testing.T) {
	filled := func(n int) string { // with a signature that fills it up
		line := "— log.example/a "
		room := n - len(wellFormed) - len(line) - len("\n")
		return wellFormed + line + base64.StdEncoding.EncodeToString(make([]byte, room/4*3)) + "\n"
	}
	longest := filled(tlog.MaxCheckpoint)
	for len(longest) < tlog.MaxCheckpoint { // base64 comes in fours
		longest = strings.Replace(longest, "log.example/a\n", "log.example/a"+strings.Repeat("a", tlog.MaxCheckpoint-len(longest))+"\n", 1)
	}
	if _, err := tlog.ParseCheckpoint(longest); err != nil || len(longest) != tlog.MaxCheckpoint {
		t.Errorf("%d bytes: %v", len(longest), err)
	}
	if _, err := tlog.ParseCheckpoint(strings.Replace(longest, "log.", "logs.", 1)); !errors.Is(err, tlog.ErrCheckpoint) {
		t.Errorf("one byte more: %v", err)
	}
	for n, ok := range map[int]bool{255: true, 256: false} {
		if _, err := tlog.ParseCheckpoint(strings.Replace(wellFormed, "log.example/a\n", strings.Repeat("a", n)+"\n", 1)); (err == nil) != ok {
			t.Errorf("an origin of %d bytes: %v", n, err)
		}
	}
	for size, ok := range map[uint64]bool{tlog.MaxSize: true, tlog.MaxSize + 1: false} {
		if c, err := tlog.ParseCheckpoint(strings.Replace(wellFormed, "\n42\n", fmt.Sprintf("\n%d\n", size), 1)); (err == nil) != ok || ok && c.Size != size {
			t.Errorf("size %d: %v", size, err)
		}
	}
	for name, origin := range map[string]string{"a space": "a\u00a0b", "a control": "a\x01b", "a plus": "a+b"} {
		if _, err := tlog.ParseCheckpoint(strings.Replace(wellFormed, "log.example/a\n", origin+"\n", 1)); err == nil {
			t.Errorf("an origin with %s", name)
		}
	}
}

// TestReceiptEdges: what a receipt may hold at most, and no more.
func TestReceiptEdges(t *testing.T) {
	_, good, text := sample(t)
	proof := func(n int) [][]byte {
		list := make([][]byte, n)
		for i := range list {
			list[i] = make([]byte, tlog.HashSize)
		}
		return list
	}
	for name, c := range map[string]struct {
		change func(*tlog.Receipt)
		ok     bool
	}{
		"the longest record":    {func(r *tlog.Receipt) { r.Record = make([]byte, tlog.MaxLeaf) }, true},
		"a longer record":       {func(r *tlog.Receipt) { r.Record = make([]byte, tlog.MaxLeaf+1) }, false},
		"no record":             {func(r *tlog.Receipt) { r.Record = nil }, false},
		"the last index":        {func(r *tlog.Receipt) { r.Index = tlog.MaxSize - 1 }, true},
		"an index behind it":    {func(r *tlog.Receipt) { r.Index = tlog.MaxSize }, false},
		"the longest SM3 proof": {func(r *tlog.Receipt) { r.Proofs.SM3 = proof(64) }, true},
		"a longer SM3 proof":    {func(r *tlog.Receipt) { r.Proofs.SM3 = proof(65) }, false},
		"a longer SHA-256 one":  {func(r *tlog.Receipt) { r.Proofs.SHA256 = proof(65) }, false},
		"a short hash":          {func(r *tlog.Receipt) { r.Proofs.SHA256[0] = make([]byte, 31) }, false},
		"no checkpoint":         {func(r *tlog.Receipt) { r.Checkpoint = "" }, false},
	} {
		r := good
		r.Proofs.SHA256 = append([][]byte{}, good.Proofs.SHA256...)
		c.change(&r)
		text, err := r.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tlog.ParseReceipt(text); (err == nil) != c.ok || err != nil && !errors.Is(err, tlog.ErrReceipt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := tlog.ParseReceipt([]byte(text + strings.Repeat(" ", tlog.MaxReceipt-len(text)))); err != nil {
		t.Errorf("the longest: %v", err)
	}
	if _, err := tlog.ParseReceipt([]byte(text + strings.Repeat(" ", tlog.MaxReceipt-len(text)+1))); !errors.Is(err, tlog.ErrReceipt) {
		t.Errorf("a longer one: %v", err)
	}
	bad := good
	bad.Checkpoint = "\xff"
	if text, err := bad.MarshalJSON(); err == nil {
		t.Errorf("a checkpoint that is no text is written as %s", text)
	}
	var r tlog.Receipt
	if err := r.UnmarshalJSON([]byte("{}")); !errors.Is(err, tlog.ErrReceipt) || r.Record != nil {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestRemoteAnswers: what a server answers is told by its own name.
func TestRemoteAnswers(t *testing.T) {
	broken := errors.New("broken by the test")
	bundle := func(n int) string { return strings.Repeat("\x00\x01a", n) }
	tile := string(make([]byte, tlog.TileWidth*tlog.HashSize))
	for name, c := range map[string]struct {
		status int
		body   string
		ask    func(*tlog.Remote) error
		is     error
		says   string // "" for no error
	}{
		"a checkpoint":             {200, strings.Repeat("x", tlog.MaxCheckpoint), func(r *tlog.Remote) error { return second(r.Checkpoint(t.Context())) }, nil, ""},
		"one too long":             {200, strings.Repeat("x", tlog.MaxCheckpoint+1), func(r *tlog.Remote) error { return second(r.Checkpoint(t.Context())) }, nil, "too long"},
		"a tile":                   {200, tile, func(r *tlog.Remote) error { return second(r.Tile(t.Context(), tlog.SM3, 1, 2)) }, nil, ""},
		"a short tile":             {200, tile[1:], func(r *tlog.Remote) error { return second(r.Tile(t.Context(), tlog.SM3, 1, 2)) }, nil, "sm3/tile/1/002: 8191 bytes"},
		"no tile":                  {404, tile, func(r *tlog.Remote) error { return second(r.Tile(t.Context(), tlog.SHA256, 1, 2)) }, fs.ErrNotExist, "tile/1/002"},
		"no leaf hashes":           {404, "", func(r *tlog.Remote) error { return second(r.LeafHashes(t.Context(), tlog.SHA256, 0, 2)) }, fs.ErrNotExist, "tile/0/000.p/2"},
		"leaves":                   {200, bundle(3), func(r *tlog.Remote) error { return second(r.Leaves(t.Context(), 1, 3)) }, nil, ""},
		"a leaf too few":           {200, bundle(2), func(r *tlog.Remote) error { return second(r.Leaves(t.Context(), 1, 3)) }, nil, "cut short"},
		"a leaf too many":          {200, bundle(4), func(r *tlog.Remote) error { return second(r.Leaves(t.Context(), 1, 3)) }, nil, "too long"},
		"half a leaf's length":     {200, bundle(2) + "\x00", func(r *tlog.Remote) error { return second(r.Leaves(t.Context(), 1, 3)) }, nil, "cut short"},
		"a leaf that is cut":       {200, bundle(2) + "\x00\x02a", func(r *tlog.Remote) error { return second(r.Leaves(t.Context(), 1, 3)) }, nil, "cut short"},
		"an empty leaf at the end": {200, bundle(2) + "\x00\x00", func(r *tlog.Remote) error { return second(r.Leaves(t.Context(), 1, 3)) }, nil, ""},
		"a refusal":                {403, "no", func(r *tlog.Remote) error { return second(r.Checkpoint(t.Context())) }, nil, "status 403"},
		"a refusal with words": {403, "no", func(r *tlog.Remote) error {
			r.Refused = func(status int, body []byte) error { return fmt.Errorf("%d %s: %w", status, body, broken) }
			return second(r.Checkpoint(t.Context()))
		}, broken, "403 no"},
		"a refusal without words": {403, "no", func(r *tlog.Remote) error {
			r.Refused = func(int, []byte) error { return nil }
			return second(r.Checkpoint(t.Context()))
		}, nil, "status 403"},
		"no right": {200, "x", func(r *tlog.Remote) error {
			r.Authorize = func(*http.Request) error { return broken }
			return second(r.Checkpoint(t.Context()))
		}, broken, "get checkpoint"},
		"no address": {200, "x", func(r *tlog.Remote) error { r.Base = ":"; return second(r.Checkpoint(t.Context())) }, nil, "get checkpoint"},
		"a slash at the end": {200, "x", func(r *tlog.Remote) error {
			r.Base += "/"
			return second(r.Checkpoint(t.Context()))
		}, nil, ""},
		"a client of its own": {200, "x", func(r *tlog.Remote) error {
			r.Client = &http.Client{Transport: failingTransport{broken}}
			return second(r.Checkpoint(t.Context()))
		}, broken, "get checkpoint"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "//") {
				t.Errorf("%s: asked for %s", name, r.URL.Path)
			}
			w.WriteHeader(c.status)
			w.Write([]byte(c.body))
		}))
		err := c.ask(&tlog.Remote{Base: server.URL})
		server.Close()
		if (err == nil) != (c.says == "") || c.is != nil && !errors.Is(err, c.is) || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var refused []byte
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(500)
		w.Write(bytes.Repeat([]byte("x"), 1<<20))
	}))
	defer server.Close()
	remote := tlog.Remote{Base: server.URL, Refused: func(_ int, body []byte) error { refused = body; return nil }}
	if _, err := remote.Checkpoint(t.Context()); err == nil || len(refused) != 256<<10 {
		t.Errorf("of a refusal %d bytes were read, %v", len(refused), err)
	}
}

type failingTransport struct{ err error }

func (f failingTransport) RoundTrip(*http.Request) (*http.Response, error) { return nil, f.err }

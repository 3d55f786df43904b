package tlog_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"oncegate/tlog"
	"oncegate/tlog/tlogtest"
)

// serve puts a log on HTTP as a gateway does: entries only with a right. change sees, and may change, every bundle on its way.
func serve(t *testing.T, b bench, change func(path string, body []byte)) *tlog.Remote {
	mux := http.NewServeMux()
	mux.Handle("/log/", http.StripPrefix("/log", b.Handler()))
	entries := http.StripPrefix("/log", b.EntriesHandler())
	mux.HandleFunc("/log/tile/entries/", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "auditor" {
			http.Error(w, "forbidden", http.StatusForbidden)
			return
		}
		answer := httptest.NewRecorder()
		entries.ServeHTTP(answer, r)
		body := answer.Body.Bytes()
		change(r.URL.Path, body)
		w.WriteHeader(answer.Code)
		w.Write(body)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return &tlog.Remote{Base: server.URL + "/log", Authorize: func(r *http.Request) error {
		r.Header.Set("Authorization", "auditor")
		return nil
	}}
}

func TestVerifyRemoteLog(t *testing.T) {
	b := newBench(t)
	b.add(t, 600)
	var onTheWay func(path string, body []byte)
	remote := serve(t, b, func(path string, body []byte) {
		if onTheWay != nil {
			onTheWay(path, body)
		}
	})
	verify := func() error {
		signed, err := remote.Checkpoint(t.Context())
		if err != nil {
			return err
		}
		c, _, err := tlog.VerifyCheckpoint(signed, b.keys.Trust)
		if err != nil {
			return err
		}
		return tlog.VerifyLog(t.Context(), remote, c, tlogtest.NewHash, nil)
	}
	if err := verify(); err != nil {
		t.Fatal(err)
	}
	onTheWay = func(path string, body []byte) {
		if strings.HasSuffix(path, "/entries/002.p/88") {
			body[len(body)-1] ^= 1
		}
	}
	var wrong *tlog.CorruptError
	if err := verify(); !errors.As(err, &wrong) || wrong.Entry != 599 || wrong.Tile != "" {
		t.Errorf("changed on the way: %v", err)
	}
	onTheWay = nil
	b.memory.AlterLeaf(599) // what is stored is proven before it is served
	remote.Refused = func(status int, body []byte) error {
		return fmt.Errorf("refused with %d: %q", status, body)
	}
	if err := verify(); err == nil || errors.Is(err, tlog.ErrUnproven) || !strings.Contains(err.Error(), `refused with 503: "log is unavailable\n"`) {
		t.Errorf("changed in the storage: %v", err)
	}
	if _, err := remote.Leaves(t.Context(), 590, 601); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("beyond the end: %v", err)
	}
	if list, err := remote.Leaves(t.Context(), 250, 260); err != nil || len(list) != 10 || string(list[9]) != "leaf 259" {
		t.Errorf("across tiles: %q, %v", list, err)
	}
	remote.Authorize = nil
	if _, err := remote.Leaves(t.Context(), 0, 1); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without the right: %v", err)
	}
}

func TestRemoteRefusesMalformed(t *testing.T) {
	for name, body := range map[string]string{
		"empty": "", "short": "\x00", "cut": "\x00\x05abc", "long": "\x00\x01ab", "endless": string(make([]byte, tlog.MaxCheckpoint+1)),
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(body)) }))
		remote := &tlog.Remote{Base: server.URL}
		if _, err := remote.Leaves(t.Context(), 0, 1); err == nil {
			t.Errorf("%s: leaves were read", name)
		}
		if _, err := remote.Tile(t.Context(), tlog.SM3, 0, 0); err == nil {
			t.Errorf("%s: a tile was read", name)
		}
		if _, err := remote.Checkpoint(t.Context()); name == "endless" && err == nil {
			t.Error("an endless checkpoint was read")
		}
		server.Close()
	}
}

// Over HTTP a tile at the right edge takes one answer, however many tiles it stands for.
func TestExtendsTakesFewAnswers(t *testing.T) {
	b := newBench(t)
	b.add(t, 10)
	from, err := tlog.ParseCheckpoint(b.Known())
	if err != nil {
		t.Fatal(err)
	}
	appendTo(t, b.Log, 40*tlog.TileWidth)
	to, err := tlog.ParseCheckpoint(b.Known())
	if err != nil {
		t.Fatal(err)
	}
	answers := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answers++
		b.Handler().ServeHTTP(w, r)
	}))
	defer server.Close()
	if err := tlog.VerifyExtends(t.Context(), &tlog.Remote{Base: server.URL}, tlogtest.NewHash, from, to); err != nil {
		t.Error(err)
	}
	if answers > 8 {
		t.Errorf("%d answers were read", answers)
	}
}

package tlog_test

import (
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"testing"

	"oncegate/tlog"
	"oncegate/tlog/tlogtest"
)

// serve puts a log on HTTP as a gateway does: entries only with a right.
func serve(t *testing.T, b bench) *tlog.Remote {
	mux := http.NewServeMux()
	mux.Handle("/log/", http.StripPrefix("/log", b.Handler()))
	entries := http.StripPrefix("/log", b.EntriesHandler())
	mux.HandleFunc("/log/tile/entries/", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "auditor" {
			http.Error(w, "forbidden", http.StatusForbidden)
			return
		}
		entries.ServeHTTP(w, r)
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
	remote := serve(t, b)
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
	b.memory.AlterLeaf(599)
	var wrong *tlog.CorruptError
	if err := verify(); !errors.As(err, &wrong) || wrong.Entry != 599 || wrong.Tile != "" {
		t.Errorf("error is %v", err)
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

package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"oncegate/language"
)

// The service manager is told when the node serves, not before: READY=1 is sent once the health check agrees.
func TestServiceManagerIsTold(t *testing.T) {
	dir, sockets := filepath.Join(t.TempDir(), "new"), t.TempDir()
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(sockets, "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	t.Setenv("NOTIFY_SOCKET", filepath.Join(sockets, "notify"))
	program := func(ctx context.Context, out *bytes.Buffer, args ...string) int {
		return run(ctx, args, &terminal{in: new(bytes.Buffer), out: out, err: out, Printer: catalogue.Printer(language.English)})
	}
	var said bytes.Buffer
	if code := program(t.Context(), &said, "init", dir, "--cost", "10"); code != exitOK {
		t.Fatalf("init: %d\n%s", code, said.String())
	}
	config := filepath.Join(dir, "oncegate.yaml")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	admin := freeAddress(t)
	text = regexp.MustCompile(`(?m)^(  public_url: http://|  listen: )127\.0\.0\.1:8420`).ReplaceAll(text, []byte("${1}"+freeAddress(t)))
	text = regexp.MustCompile(`(?m)^(  admin: )127\.0\.0\.1:8421`).ReplaceAll(text, []byte("${1}"+admin))
	if err := os.WriteFile(config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended, log := make(chan int, 1), new(bytes.Buffer)
	go func() {
		code := program(ctx, log, "serve", "-c", config)
		socket.Close() // nothing will be told any more
		ended <- code
	}()
	buffer := make([]byte, 64)
	n, err := socket.Read(buffer)
	if err != nil || string(buffer[:n]) != "READY=1" {
		t.Errorf("told %q, %v", buffer[:n], err)
	}
	if code := program(t.Context(), &said, "ready", "--admin", admin); code != exitOK {
		t.Errorf("told that it is ready, and it is not: %s", said.String())
	}
	stop()
	if code := <-ended; code != exitOK {
		t.Errorf("serve: %d\n%s", code, log.String())
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

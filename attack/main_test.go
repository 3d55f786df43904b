// Package attack holds end-to-end attack and fault-injection tests: real node processes with real clients over HTTP, killed, cut
// off from their database, starved of disk, flooded and sent forged input. Afterwards every answered call must be recorded,
// provably; a refused call must have released nothing; and no identity number or name may be found in plain text.
package attack

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"oncegate/node"
)

// roleVariable makes the test binary play the program of a node: see serve.
const roleVariable = "ONCEGATE_ATTACK_NODE"

func TestMain(m *testing.M) {
	if config := os.Getenv(roleVariable); config != "" {
		if err := serve(config); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	code := m.Run()
	tearDown()
	os.Exit(code)
}

// serve is a node as a program runs it: until SIGTERM, or until whoever started it is gone. It says where it listens in one
// line, and logs all there is to log.
func serve(config string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	go func() {
		io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	logger := slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	n, err := node.Open(ctx, config, node.Options{Logger: logger})
	if err != nil {
		return err
	}
	fmt.Println("serving", n.Addr(), n.AdminAddr())
	return n.Run(ctx)
}

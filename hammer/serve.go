package hammer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"oncegate/certs/sm"
	"oncegate/client"
	"oncegate/config"
	"oncegate/install"
	"oncegate/node"
)

// An installation is a city with its keys: what a gateway is started on, and what its callers sign with.
type installation struct {
	*city
	setup   *config.Setup
	signers map[string]sm.Signer // by system
}

// newInstallation makes keys, certificates and the log.
func newInstallation(ctx context.Context, c *city, cost int) (*installation, error) {
	prepared, err := install.Prepare(ctx, c.mainFile(), install.PrepareOptions{Cost: cost})
	if err != nil {
		return nil, err
	}
	in := &installation{city: c, setup: prepared.Setup, signers: map[string]sm.Signer{}}
	keys, err := install.OpenCallers(in.setup, "")
	if err != nil {
		return nil, err
	}
	for _, system := range []string{acceptance, approval, platform, auditor} {
		if in.signers[system], err = install.CallerSigner(in.setup, keys, system); err != nil {
			return nil, err
		}
	}
	return in, install.WriteTrust(in.setup, c.path("trust"))
}

func (in *installation) publicURL() string { return in.setup.Gateway.PublicURL }
func (in *installation) trustFile() string { return in.path("trust", install.TrustFile) }

// client is a calm client that calls as a system.
func (in *installation) client(system string) (*client.Client, error) {
	return client.New(client.Config{BaseURL: in.publicURL(), Gateway: in.setup.Gateway.ID, System: system, Signer: in.signers[system], Operator: "hammer"})
}

// A gateway is one that runs.
type gateway struct {
	stop func() error
	pid  int // of the process; ours if it runs here
}

// open runs the gateway in this process.
func (in *installation) open(ctx context.Context) (*gateway, error) {
	n, err := node.Open(ctx, in.mainFile(), node.Options{Logger: slog.New(slog.NewJSONHandler(io.Discard, nil))})
	if err != nil {
		return nil, err
	}
	serving, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	go func() { done <- n.Run(serving) }()
	return &gateway{pid: os.Getpid(), stop: func() error { cancel(); return <-done }}, in.ready(ctx)
}

// spawn runs the gateway in a process of its own: a command that takes the configuration's file as its last argument.
func (in *installation) spawn(ctx context.Context, command []string) (*gateway, error) {
	log, err := os.OpenFile(in.path("gateway.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	args := append(command[1:len(command):len(command)], in.mainFile())
	cmd := exec.Command(command[0], args...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", filepath.Base(command[0]), err)
	}
	g := &gateway{pid: cmd.Process.Pid, stop: func() error {
		return errors.Join(cmd.Process.Signal(os.Interrupt), cmd.Wait())
	}}
	if err := in.ready(ctx); err != nil {
		return nil, errors.Join(err, cmd.Process.Kill(), cmd.Wait())
	}
	return g, nil
}

// ready waits until the gateway takes calls.
func (in *installation) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+in.admin+"/readyz", nil)
		if err != nil {
			return err
		}
		if res, err := http.DefaultClient.Do(req); err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the gateway to be ready: %w", context.Cause(ctx))
		case <-time.After(time.Millisecond):
		}
	}
}

// peak is the most memory that a process has had, in bytes; 0 where the system does not say.
func peak(pid int) int64 {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "VmHWM:"); ok {
			kb, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(rest, "kB")), 10, 64)
			return kb << 10
		}
	}
	return 0
}

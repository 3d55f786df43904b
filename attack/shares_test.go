//go:build unix

package attack

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// openFilesOf lets a node open no more than so many files.
func openFilesOf(n int) func(*exec.Cmd) {
	return func(cmd *exec.Cmd) {
		cmd.Args = []string{"sh", "-c", fmt.Sprintf(`ulimit -n %d && exec "$0"`, n), cmd.Path}
		cmd.Path = "/bin/sh"
	}
}

// TestDescriptors opens more connections than a node has descriptors and says half a header on each. Who calls is served all the
// same, sources are asked, the mark is written, and admin answers. A node with too few does not start, and says what it needs.
func TestDescriptors(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	if _, err := in.try(in.main, openFilesOf(100)); err == nil || !strings.Contains(err.Error(), "raise the limit (ulimit -n, LimitNOFILE)") {
		t.Errorf("with 100 descriptors: %v", err)
	}
	const files = 450
	p := in.startWith(in.main, openFilesOf(files))
	if n, _ := p.logs.mentions("the limit of open files leaves fewer connections"); n != 1 {
		t.Errorf("the node warns %d times", n)
	}
	c := in.callers()
	for i := range 2 * files {
		conn, err := net.DialTimeout("tcp", p.addr, soon)
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "GET /v1/catalog/types HTTP/1.1\r\nX-Slow: ") // it may be closed already
	}
	w := wireTo(p)
	company := in.city.Population.Companies[0]
	if err := errorOf(c.as("acceptance", w).RegisterCase(t.Context(), foodCase("D-1", party("applicant", company.Holder()), party("legal_representative", company.Legal.Holder())))); err != nil {
		t.Fatalf("a call: %v", err)
	}
	if err := errorOf(c.as("food-approval", w).Query(t.Context(), businessLicense("D-1", company.Holder()))); err != nil {
		t.Fatalf("a call that asks a source: %v", err)
	}
	if code, text := p.ask("/readyz"); code != 200 || p.figure("oncegate_log_mark_failures_total") > 0 {
		t.Errorf("%d %s", code, text)
	}
	if open := p.figure("oncegate_connections"); open > files {
		t.Errorf("%v connections are open", open)
	}
	p.stop()
}

// TestUnfinishedBodies begins 400 calls of one registered system and never ends their bodies. They cost no more memory than the
// system's share, and another system is served meanwhile.
func TestUnfinishedBodies(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	p := in.start()
	c := in.callers()
	w := wireTo(p)
	if err := errorOf(c.as("acceptance", w).Matters(t.Context())); err != nil {
		t.Fatal(err)
	}
	before := p.figure("process_resident_memory_bytes")
	const size, verify = 500 << 10, "/v1/licenses/verify"
	body := bytes.Repeat([]byte("x"), size)
	compact := make([]string, 400)
	for i := range compact {
		compact[i] = c.sign("food-approval", "POST", verify, body)
	}
	for _, one := range compact {
		conn, err := net.DialTimeout("tcp", p.addr, soon)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetWriteDeadline(time.Now().Add(soon))
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n", verify, one, size)
		_, _ = conn.Write(body[:size-10]) // it may be refused already
	}
	await(t, "what is beyond the share is refused", soon, func() bool {
		_, text := p.ask("/metrics")
		return strings.Contains(text, `oncegate_limited_total{share="memory",system="food-approval"}`)
	})
	time.Sleep(time.Second) // what can be read has been
	if err := errorOf(c.as("acceptance", w).Matters(t.Context())); err != nil {
		t.Errorf("another system: %v", err)
	}
	grown := p.figure("process_resident_memory_bytes") - before
	t.Logf("400 bodies of 500 kB, all but their end: %.0f MB", grown/1e6)
	if grown > 130<<20 {
		t.Errorf("they cost %.0f MB", grown/1e6)
	}
	p.kill()
}

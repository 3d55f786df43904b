package interop_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// A gateway is the running program in its demonstration city. What is known of it is what anybody can read: its configuration,
// its artefacts and what it serves.
type gateway struct {
	program string // path of the built program
	dir     string // holds gateway, trust and artefacts
	id      string // audience of signed calls
	base    string // public base URL
	log     string // URL of the log, with the slash at its end
}

// serve starts the demonstration and waits until it has told its story and goes on serving. The test's end interrupts it.
func serve(t *testing.T) *gateway {
	t.Helper()
	g := &gateway{program: program(t), dir: t.TempDir()}
	cmd := exec.Command(g.program, "demo", "--dir", g.dir)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "NO_COLOR=1")
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	cmd.Stderr = cmd.Stdout
	must(t, cmd.Start())

	ready, over := make(chan string, 1), make(chan struct{})
	var told strings.Builder // read once over is closed
	served := false
	go func() {
		defer close(over)
		for s := bufio.NewScanner(stdout); s.Scan(); {
			fmt.Fprintln(&told, s.Text())
			if url := strings.TrimSpace(s.Text()); strings.HasSuffix(url, "/readyz") {
				select {
				case ready <- url:
				default:
				}
			}
		}
	}()
	t.Cleanup(func() {
		must(t, cmd.Process.Signal(os.Interrupt))
		hung := time.AfterFunc(30*time.Second, func() { cmd.Process.Kill() })
		defer hung.Stop()
		<-over
		if err := cmd.Wait(); err != nil || !served {
			t.Errorf("the demonstration ended with %v and said:\n%s", err, told.String())
		}
	})
	select {
	case url := <-ready:
		if _, err := fetch(t.Context(), http.DefaultClient, url); err != nil {
			t.Fatal(err)
		}
		served = true
	case <-over:
		t.Fatal("the demonstration does not serve")
	case <-time.After(2 * time.Minute):
		t.Fatal("the demonstration does not serve in time")
	}
	config := string(g.read(t, "gateway", "oncegate.yaml"))
	g.id, g.base = setting(t, config, "id"), setting(t, config, "public_url")
	g.log = g.base + "/log/"
	return g
}

// program is the built program: ONCEGATE_BINARY, or, where that is not set, one built from the module around this one.
func program(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("ONCEGATE_BINARY"); path != "" {
		return path
	}
	path := filepath.Join(t.TempDir(), "oncegate")
	build := exec.Command("go", "build", "-o", path, "./cmd/oncegate")
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build oncegate: %v\n%s", err, out)
	}
	return path
}

// setting reads a key of the configuration's section gateway, whose keys stand two columns in.
func setting(t *testing.T, config, key string) string {
	t.Helper()
	found := regexp.MustCompile(`(?m)^  ` + key + `: (\S+)`).FindStringSubmatch(config)
	if found == nil {
		t.Fatalf("the configuration has no %s", key)
	}
	return found[1]
}

// run runs a command of the program and returns what it prints.
func (g *gateway) run(t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), g.program, args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("oncegate %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return out
}

func (g *gateway) path(parts ...string) string {
	return filepath.Join(append([]string{g.dir}, parts...)...)
}

func (g *gateway) read(t *testing.T, parts ...string) []byte {
	t.Helper()
	data, err := os.ReadFile(g.path(parts...))
	must(t, err)
	return data
}

// fetch gets what stands at a URL.
func fetch(ctx context.Context, c *http.Client, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	res, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s: %.300s", url, res.Status, body)
	}
	return body, err
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

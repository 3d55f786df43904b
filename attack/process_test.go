package attack

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// soon bounds everything that has to happen by itself.
const soon = 20 * time.Second

// A process is one running node.
type process struct {
	t     testing.TB
	cmd   *exec.Cmd
	stdin io.Closer
	addr  string // of the service
	admin string
	logs  *journal
	says  chan string // its first line, "" if it ends without one
	line  *http.Transport
	ended chan struct{}
	err   error // of Wait; read after ended
}

// start runs the node and waits until it serves.
func (in *installation) start() *process {
	in.t.Helper()
	return in.startWith(in.main, nil)
}

// startWith runs a node with a main file of its own, and lets prepare change the command.
func (in *installation) startWith(main string, prepare func(*exec.Cmd)) *process {
	in.t.Helper()
	p, err := in.try(main, prepare)
	if err != nil {
		in.t.Fatalf("the node did not start: %v", err)
	}
	return p
}

// try runs a node; the error is its output when it refused to start.
func (in *installation) try(main string, prepare func(*exec.Cmd)) (*process, error) {
	in.t.Helper()
	p := in.launch(main, prepare)
	said := <-p.says
	if said == "" {
		<-p.ended
		return nil, errors.New(p.logs.String())
	}
	if n, err := fmt.Sscanf(said, "serving %s %s", &p.addr, &p.admin); n != 2 {
		return nil, fmt.Errorf("the node says %q: %v", said, err)
	}
	return p, nil
}

// launch begins to start a node.
func (in *installation) launch(main string, prepare func(*exec.Cmd)) *process {
	in.t.Helper()
	p := &process{t: in.t, logs: &journal{}, says: make(chan string, 1), ended: make(chan struct{})}
	p.cmd = exec.Command(os.Args[0])
	p.cmd.Env = append(os.Environ(), roleVariable+"="+main)
	p.cmd.Stderr = p.logs
	if prepare != nil {
		prepare(p.cmd)
	}
	var err error
	p.stdin, err = p.cmd.StdinPipe()
	in.must(err)
	out, err := p.cmd.StdoutPipe()
	in.must(err)
	in.must(p.cmd.Start())
	in.t.Cleanup(p.kill)
	go func() {
		lines := bufio.NewScanner(out)
		lines.Scan()
		p.says <- lines.Text()
		for lines.Scan() {
		}
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	return p
}

// kill ends the node without asking it, as a power cut does, and waits until it is gone.
func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.ended
	p.stdin.Close()
}

// stop ends the node as an operator does.
func (p *process) stop() {
	p.t.Helper()
	p.cmd.Process.Signal(syscall.SIGTERM)
	<-p.ended
	p.stdin.Close()
	if p.err != nil {
		p.t.Errorf("the node stopped with %v\n%s", p.err, p.logs)
	}
}

// transport leads every call to this node, whatever its URL says.
func (p *process) transport() *http.Transport { return transportTo(p.addr) }

// over is a transport that is kept as long as the node.
func (p *process) over() *http.Transport {
	if p.line == nil {
		p.line = p.transport()
		p.t.Cleanup(p.line.CloseIdleConnections)
	}
	return p.line
}

func transportTo(addr string) *http.Transport {
	return &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, addr)
		},
		MaxIdleConnsPerHost: 64,
	}
}

// ask asks the admin listener.
func (p *process) ask(path string) (int, string) {
	p.t.Helper()
	res, err := http.Get("http://" + p.admin + path)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

// figure reads a metric; the name with its labels.
func (p *process) figure(name string) float64 {
	p.t.Helper()
	_, text := p.ask("/metrics")
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			if err != nil {
				p.t.Fatal(err)
			}
			return v
		}
	}
	p.t.Fatalf("there is no metric %s", name)
	return 0
}

// await asks again and again until something holds, and returns how long that took.
func await(t testing.TB, what string, within time.Duration, holds func() bool) time.Duration {
	t.Helper()
	begun := time.Now()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for !holds() {
		if time.Since(begun) > within {
			t.Fatalf("%s: not within %s", what, within)
		}
		<-again.C
	}
	return time.Since(begun)
}

// A journal is a node's process log.
type journal struct {
	mu    sync.Mutex
	text  bytes.Buffer
	wrote chan struct{} // closed when more has come; nil while nobody waits
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.wrote != nil {
		close(j.wrote)
		j.wrote = nil
	}
	return j.text.Write(p)
}

// mentions counts a text, and returns a channel that is closed when more has come.
func (j *journal) mentions(text string) (int, <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.wrote == nil {
		j.wrote = make(chan struct{})
	}
	return bytes.Count(j.text.Bytes(), []byte(text)), j.wrote
}

// await waits until a text has been logged more often than before.
func (j *journal) await(t testing.TB, text string, before int) {
	t.Helper()
	late := time.NewTimer(soon)
	defer late.Stop()
	for {
		n, more := j.mentions(text)
		if n > before {
			return
		}
		select {
		case <-more:
		case <-late.C:
			all := j.String()
			t.Fatalf("%q is not logged; the last of what is:\n%s", text, all[max(0, len(all)-4000):])
		}
	}
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

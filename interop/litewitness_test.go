package interop_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// TestLitewitness has torchwood's litewitness co-sign our log, unmodified and configured as its README says: its key in an SSH agent, the log
// added with witnessctl. The gateway asks it by its own configuration, and hands out a receipt under the checkpoint that it co-signed.
func TestLitewitness(t *testing.T) {
	g := &gateway{program: program(t), dir: t.TempDir()}
	config := g.path("new", "oncegate.yaml")
	g.run(t, "init", g.path("new"), "--cost", "10")
	text := string(g.read(t, "new", "oncegate.yaml"))
	service, admin, listen := freeAddress(t), freeAddress(t), freeAddress(t)
	text = strings.NewReplacer("127.0.0.1:8420", service, "127.0.0.1:8421", admin).Replace(text)
	origin := regexp.MustCompile(`(?m)^  origin: (\S+)`).FindStringSubmatch(text)[1]

	vkey := litewitness(t, origin, strings.TrimSpace(string(g.read(t, "new", "trust", "log.ed25519.pub"))), listen)
	text += fmt.Sprintf("\nwitnesses:\n  quorum: 1\n  members:\n    - {organization: 示例公共见证方, key: %s, url: \"http://%s\"}\n", vkey, listen)
	must(t, os.WriteFile(config, []byte(text), 0o600))
	if said := string(g.run(t, "check", "-c", config)); !strings.Contains(said, "1 of 1 organisations make a quorum; no fork while at most 0 of them are false") {
		t.Errorf("check says %s", said)
	}

	cmd := exec.Command(g.program, "serve", "-c", config)
	log := start(t, cmd)
	await(t, log, func() bool {
		_, err := fetch(t.Context(), http.DefaultClient, "http://"+admin+"/readyz")
		return err == nil
	})
	await(t, log, func() bool {
		metrics, err := fetch(t.Context(), http.DefaultClient, "http://"+admin+"/metrics")
		return err == nil && regexp.MustCompile(`(?m)^oncegate_witnessed_size [1-9]`).Match(metrics)
	})
	g.run(t, "keys", "export", "-c", config, "--trust", g.path("trust"))
	if said := string(g.run(t, "audit", "receipt", "-c", config, "--system", "audit-office", "0")); !strings.Contains(said, "witnessed by 示例公共见证方, at ") || !strings.Contains(said, "SHA-256 only") || !strings.Contains(said, "Proven") {
		t.Errorf("the receipt says %s", said)
	}
}

// litewitness runs the witness as its README says, for one log, and returns its key.
func litewitness(t *testing.T, origin, key, listen string) (vkey string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "lw") // a socket's path has 107 bytes at most
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	build := exec.Command("go", "build", "-o", dir+string(filepath.Separator), "filippo.io/torchwood/cmd/litewitness", "filippo.io/torchwood/cmd/witnessctl")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build litewitness: %v\n%s", err, out)
	}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	keyring := agent.NewKeyring()
	must(t, keyring.Add(agent.AddedKey{PrivateKey: private}))
	socket, err := net.Listen("unix", filepath.Join(dir, "agent.sock"))
	must(t, err)
	t.Cleanup(func() { socket.Close() })
	go func() {
		for {
			c, err := socket.Accept()
			if err != nil {
				return
			}
			go func() { _ = agent.ServeAgent(keyring, c) }()
		}
	}()
	signer, err := ssh.NewSignerFromKey(private)
	must(t, err)
	db := filepath.Join(dir, "litewitness.db")
	for _, args := range [][]string{{"add-log", "-db", db, "-origin", origin}, {"add-key", "-db", db, "-origin", origin, "-key", key}} {
		if out, err := exec.Command(filepath.Join(dir, "witnessctl"), args...).CombinedOutput(); err != nil {
			t.Fatalf("witnessctl %v: %v\n%s", args, err, out)
		}
	}
	cmd := exec.Command(filepath.Join(dir, "litewitness"), "-db", db, "-name", "public.example/witness", "-ssh-agent", filepath.Join(dir, "agent.sock"), "-key", ssh.FingerprintSHA256(signer.PublicKey()), "-listen", listen)
	log := start(t, cmd)
	said := regexp.MustCompile(`vkey=(\S+)`)
	await(t, log, func() bool {
		if c, err := net.Dial("tcp", listen); err != nil {
			return false
		} else {
			c.Close()
		}
		return said.MatchString(read(t, log))
	})
	return strings.Trim(said.FindStringSubmatch(read(t, log))[1], `"`)
}

// start runs a program to the end of the test and returns the file that it writes to.
func start(t *testing.T, cmd *exec.Cmd) (log string) {
	t.Helper()
	log = filepath.Join(t.TempDir(), "log")
	out, err := os.Create(log)
	must(t, err)
	cmd.Stdout, cmd.Stderr = out, out
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		hung := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
		defer hung.Stop()
		_ = cmd.Wait()
		_ = out.Close()
		if t.Failed() {
			t.Log(read(t, log))
		}
	})
	return log
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	must(t, err)
	return string(data)
}

// await waits until something is so.
func await(t *testing.T, log string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(90 * time.Second); !so(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it does not come: %s", read(t, log))
		}
	}
}

// freeAddress is a loopback address that nobody listens at.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().String()
}

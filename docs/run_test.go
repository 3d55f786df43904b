package docs_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"oncegate/demo"
)

// scratch is a folder for all tests of this package.
var scratch string

func TestMain(m *testing.M) {
	var err error
	if scratch, err = os.MkdirTemp("", "oncegate-docs-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if stopCity != nil {
		if err := stopCity(); err != nil {
			fmt.Fprintln(os.Stderr, "stop the city:", err)
			code = max(code, 1)
		}
	}
	os.RemoveAll(scratch)
	os.Exit(code)
}

// told is the folder of one demonstration, whose artefacts the documents speak of.
var told = sync.OnceValues(func() (string, error) {
	dir := filepath.Join(scratch, "demo")
	return dir, demo.Run(context.Background(), demo.Options{Dir: dir, Once: true, JSON: true, Out: io.Discard})
})

func theDemo(t *testing.T) string {
	t.Helper()
	dir, err := told()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// built is a folder with the program in it.
var built = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("go", "build", "-o", filepath.Join(scratch, "bin", "oncegate"), "oncegate/cmd/oncegate").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, out)
	}
	return filepath.Join(scratch, "bin"), err
})

// program runs shell commands in which oncegate is the program.
func program(t *testing.T, dir, commands string) (string, error) {
	t.Helper()
	if _, err := built(); err != nil {
		t.Fatal(err)
	}
	return commandIn(dir, commands)
}

// commandIn is program outside of a test.
func commandIn(dir, commands string) (string, error) {
	bin, err := built()
	if err != nil {
		return "", err
	}
	cmd := exec.Command("sh", "-eu", "-c", commands)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "LC_ALL=C.UTF-8")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

var promptForm = regexp.MustCompile(`(?m)^\s*\$ (.*)$`)

// prompted are the commands after "$ " in the console blocks of a document, without their remarks.
func prompted(t *testing.T, document string) (list []string) {
	t.Helper()
	for _, part := range strings.Split(read(t, document), "```console\n")[1:] {
		lines, _, _ := strings.Cut(part, "```")
		for _, m := range promptForm.FindAllStringSubmatch(lines, -1) {
			command, _, _ := strings.Cut(m[1], "  #")
			list = append(list, strings.TrimSpace(command))
		}
	}
	return list
}

// elsewhere are commands that other tests run, or that need more than the program.
var elsewhere = map[string]string{
	"go run ./cmd/oncegate demo": "demo's own tests",
	"./test.sh":                  "runs this test",
	"CGO_ENABLED=0 go build -trimpath -o oncegate ./cmd/oncegate": "as the tests build it",
	"deploy/release.sh dist linux/amd64":                          "the tests of deploy/kit",
}

// TestCommands runs the commands of the documents as they stand there: those of an installation in an empty folder, the others on a
// demonstration that serves.
func TestCommands(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Symlink(theDemo(t), filepath.Join(dir, "DIR")))
	elsewhereListens(t, filepath.Join(dir, "DIR", "gateway", "oncegate.yaml"))
	stop := serve(t, dir, "DIR/gateway/oncegate.yaml")
	defer stop()
	question := `{"license_type":"business-license","holder":{"type":"001","code":"91379901MA9920002Q"},"purpose":{"case":"SP-1","material":"business-license"}}`
	if err := os.WriteFile(filepath.Join(dir, "question.json"), []byte(question), 0o600); err != nil {
		t.Fatal(err)
	}
	done := make(map[string]bool)
	for _, document := range []string{"../README.md", "../README.zh-CN.md", "api.md", "verify.md", "operations.md", "keys.md"} {
		for _, command := range prompted(t, document) {
			if elsewhere[command] != "" || done[command] {
				continue
			}
			done[command] = true
			t.Run(strings.ReplaceAll(command, "/", "_"), func(t *testing.T) { try(t, dir, command) })
		}
	}
}

func try(t *testing.T, dir, command string) {
	if config, ok := strings.CutPrefix(command, "oncegate serve -c "); ok {
		elsewhereListens(t, filepath.Join(dir, config))
		serve(t, dir, config)()
		return
	}
	at := dir
	if strings.HasPrefix(command, "oncegate verify --trust ../trust ") {
		at = filepath.Join(dir, "DIR", "artefacts")
	}
	out, err := program(t, at, strings.ReplaceAll(command, "go run ./cmd/oncegate", "oncegate"))
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if _, lost := exec.LookPath("curl"); strings.Contains(command, "--curl") && lost == nil {
		if out, err = program(t, at, out); err != nil || !strings.Contains(out, `"receipt":`) && !strings.Contains(out, `"code":`) {
			t.Fatalf("what it printed does not work: %v\n%s", err, out)
		}
	}
}

// elsewhereListens gives a configuration ports that are free: others may listen where the sample does.
func elsewhereListens(t *testing.T, config string) {
	t.Helper()
	free := func() string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		defer l.Close()
		return l.Addr().String()
	}
	service, admin := free(), free()
	rewrite(t, config, func(b []byte) []byte {
		b = regexp.MustCompile(`(?m)^(  public_url: http://|  listen: )127\.0\.0\.1:[0-9]+`).ReplaceAll(b, []byte("${1}"+service))
		return regexp.MustCompile(`(?m)^(  admin: )127\.0\.0\.1:[0-9]+`).ReplaceAll(b, []byte("${1}"+admin))
	})
}

// serve runs the program until the function that it returns is called.
func serve(t *testing.T, dir, config string) func() {
	t.Helper()
	bin, err := built()
	must(t, err)
	cmd := exec.Command(filepath.Join(bin, "oncegate"), "serve", "-c", config)
	cmd.Dir = dir
	stderr, err := cmd.StderrPipe()
	must(t, err)
	must(t, cmd.Start())
	said := make(chan string, 1)
	var text strings.Builder // read once said is closed
	go func() {
		for s := bufio.NewScanner(stderr); s.Scan(); {
			fmt.Fprintln(&text, s.Text())
			if m := regexp.MustCompile(`admin=(\S+)`).FindStringSubmatch(s.Text()); m != nil {
				said <- m[1]
			}
		}
		close(said)
	}()
	select {
	case admin, ok := <-said:
		if !ok {
			t.Fatalf("%s does not serve:\n%s", config, text.String())
		}
		res, err := http.Get("http://" + admin + "/readyz")
		must(t, err)
		defer res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Errorf("%s is not ready: %s", config, res.Status)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("%s does not serve in time", config)
	}
	return func() {
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("serve ended badly: %v", err)
		}
	}
}

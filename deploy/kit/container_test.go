package kit_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
)

const (
	containerfile = "../container/Containerfile"
	composeFile   = "../container/compose.yaml"
)

// An instruction is one line of the container file.
type instruction struct{ name, text string }

func instructions(t *testing.T) (list []instruction) {
	t.Helper()
	for s := bufio.NewScanner(strings.NewReader(read(t, containerfile))); s.Scan(); {
		if line := strings.TrimSpace(s.Text()); line != "" && !strings.HasPrefix(line, "#") {
			name, text, _ := strings.Cut(line, " ")
			list = append(list, instruction{name, text})
		}
	}
	return list
}

func one(t *testing.T, list []instruction, name string) string {
	t.Helper()
	at := slices.IndexFunc(list, func(i instruction) bool { return i.name == name })
	if at < 0 {
		t.Fatalf("the container file has no %s", name)
	}
	return list[at].text
}

func words(t *testing.T, text string) (list []string) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		t.Fatalf("%q is no list of words: %v", text, err)
	}
	return list
}

// TestContainer lays out the root file system that the container file says, without an engine, and runs it as an engine would: that user,
// a read-only root, its command line, its health check.
func TestContainer(t *testing.T) {
	list := instructions(t)
	if list[0] != (instruction{"FROM", "scratch"}) {
		t.Fatalf("the image begins with %v: what it brings would have to be tested too", list[0])
	}
	for _, i := range list {
		if !slices.Contains([]string{"FROM", "ARG", "COPY", "USER", "WORKDIR", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD"}, i.name) {
			t.Errorf("this test does not know what %s does", i.name)
		}
	}
	demand(t, root(), "only root can make mounts")
	dir, image := theRelease(t), t.TempDir()
	copied := regexp.MustCompile(`^--chmod=0755 (\S+) (/\S+)$`).FindStringSubmatch(one(t, list, "COPY"))
	if copied == nil {
		t.Fatalf("COPY %s", one(t, list, "COPY"))
	}
	program, err := os.ReadFile(filepath.Join(dir, strings.ReplaceAll(copied[1], "${TARGETARCH}", "amd64")))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(image, copied[2]), program, 0o755); err != nil {
		t.Fatal(err)
	}
	folder := one(t, list, "WORKDIR")
	if err := os.MkdirAll(filepath.Join(image, folder), 0o755); err != nil {
		t.Fatal(err)
	}
	_, probe, _ := strings.Cut(one(t, list, "HEALTHCHECK"), "CMD ")
	entry := words(t, one(t, list, "ENTRYPOINT"))
	out := inside(t, "testdata/container.sh", "IMAGE="+image, "FOLDER="+folder, "RUNAS="+one(t, list, "USER"), "ENTRYPOINT="+strings.Join(entry, " "),
		"COMMAND="+strings.Join(words(t, one(t, list, "CMD")), " "), "PROBE="+strings.Join(words(t, probe), " "))
	if !strings.Contains(out, "the image holds") {
		t.Errorf("it did not come to its end:\n%s", out)
	}
}

// TestContainerfileLint has hadolint read the container file.
func TestContainerfileLint(t *testing.T) {
	hadolint := os.Getenv("ONCEGATE_TEST_HADOLINT")
	demand(t, hadolint != "", "ONCEGATE_TEST_HADOLINT is not set")
	if out, err := exec.Command(hadolint, containerfile).CombinedOutput(); err != nil {
		t.Errorf("hadolint: %v\n%s", err, out)
	}
}

// TestCompose reads the Compose file as the specification's own library does, and holds what it promises.
func TestCompose(t *testing.T) {
	path, err := filepath.Abs(composeFile)
	if err != nil {
		t.Fatal(err)
	}
	project, err := loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir: filepath.Dir(path), ConfigFiles: []types.ConfigFile{{Filename: path}}, Environment: types.Mapping{"ONCEGATE_VERSION": "1.0"},
	})
	if err != nil {
		t.Fatal(err)
	}
	digest, own := regexp.MustCompile(`^[a-z]+:[0-9][0-9a-z.-]+@sha256:[0-9a-f]{64}$`), regexp.MustCompile(`^oncegate:1\.0$`)
	for name, s := range project.Services {
		if !digest.MatchString(s.Image) && !own.MatchString(s.Image) {
			t.Errorf("%s: the image %s is not pinned", name, s.Image)
		}
		if s.HealthCheck == nil || len(s.HealthCheck.Test) == 0 {
			t.Errorf("%s has no health check", name)
		}
		if !s.ReadOnly || !slices.Contains(s.CapDrop, "ALL") || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") || s.Privileged {
			t.Errorf("%s may do more than it must", name)
		}
		for key, value := range s.Environment {
			if value != nil && (strings.Contains(*value, "://") || strings.Contains(key, "PASSWORD") && !strings.HasSuffix(key, "_FILE")) {
				t.Errorf("%s: %s brings a secret by the environment", name, key)
			}
		}
		for _, secret := range s.Secrets {
			if project.Secrets[secret.Source].File == "" {
				t.Errorf("%s: the secret %s is no file", name, secret.Source)
			}
		}
		if len(s.Secrets) != 1 {
			t.Errorf("%s has %d secrets; each service has its own one", name, len(s.Secrets))
		}
		for _, p := range s.Ports {
			if p.HostIP != "127.0.0.1" {
				t.Errorf("%s listens on %q: TLS ends in a proxy on this machine", name, p.HostIP)
			}
		}
	}
	list := instructions(t)
	gateway := project.Services["oncegate"]
	if gateway.User != one(t, list, "USER") {
		t.Errorf("the image runs as %s, Compose as %s", one(t, list, "USER"), gateway.User)
	}
	if len(gateway.Volumes) != 1 || gateway.Volumes[0].Target != one(t, list, "WORKDIR") {
		t.Errorf("the gateway writes to %s, and its volumes are %v", one(t, list, "WORKDIR"), gateway.Volumes)
	}
	if got := gateway.DependsOn["database"].Condition; got != types.ServiceConditionHealthy {
		t.Errorf("the gateway waits for a database that is %q", got)
	}
	if _, probe, _ := strings.Cut(one(t, list, "HEALTHCHECK"), "CMD "); fmt.Sprint(words(t, probe)) != fmt.Sprint([]string(gateway.HealthCheck.Test[1:])) {
		t.Errorf("health checks differ: %s and %v", probe, gateway.HealthCheck.Test)
	}
	if !project.Networks["database"].Internal || slices.Contains(slices.Collect(keys(project.Services["database"].Networks)), "service") {
		t.Error("the database can be reached from outside")
	}
}

func keys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

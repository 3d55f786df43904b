package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"oncegate/language"
	"oncegate/node"
)

// doctor prints what it found and what to do, in the reader's language or as JSON, of a gateway that runs or does not; the exit code says
// whether there is something to do.
func TestDoctor(t *testing.T) {
	home := filepath.Join(t.TempDir(), "gateway")
	main := filepath.Join(home, "oncegate.yaml")
	if code, printed := do(t, language.English, "init", home, "--cost", "10"); code != exitOK {
		t.Fatal(printed)
	}
	away := "127.0.0.1:1"
	code, printed := do(t, language.English, "doctor", "-c", main, "--admin", away)
	if code != exitNo || !strings.Contains(printed, "✗ no gateway answers at "+away) || !strings.Contains(printed, "→ start it: oncegate serve -c ") || !strings.Contains(printed, "! no backup is known") {
		t.Errorf("exit code %d: %s", code, printed)
	}
	if code, printed := do(t, language.English, "doctor", "-c", filepath.Join(home, "none.yaml")); code != exitMisused {
		t.Errorf("exit code %d: %s", code, printed)
	}

	text, err := os.ReadFile(main)
	if err != nil {
		t.Fatal(err)
	}
	free := strings.NewReplacer("listen: 127.0.0.1:8420", "listen: 127.0.0.1:0", "admin: 127.0.0.1:8421", "admin: 127.0.0.1:0")
	if err := os.WriteFile(main, []byte(free.Replace(string(text))), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	serving := make(chan string, 1)
	out := &announcement{said: regexp.MustCompile(`msg=serving .* admin=(\S+)`), to: serving}
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"serve", "-c", main}, &terminal{in: strings.NewReader(""), out: out, err: out, Printer: catalogue.Printer(language.English)})
	}()
	var admin string
	select {
	case admin = <-serving:
	case code := <-ended:
		t.Fatalf("serve ended with %d", code)
	}
	if code, printed := do(t, language.English, "doctor", "-c", main, "--admin", admin); code != exitOpen || !strings.Contains(printed, "✓ the gateway takes calls") {
		t.Errorf("without a backup: exit code %d: %s", code, printed)
	}
	if code, printed := do(t, language.English, "backup", "-c", main, filepath.Join(home, "copy.db")); code != exitOK {
		t.Fatal(printed)
	}
	code, printed = do(t, language.English, "doctor", "-c", main, "--admin", admin, "--json")
	var h node.Health
	if err := json.Unmarshal([]byte(printed), &h); err != nil || code != exitOK || len(h.Findings) < 8 || h.Build.Go == "" || time.Since(h.Time) > time.Minute {
		t.Errorf("exit code %d, %v: %s", code, err, printed)
	}
	code, printed = do(t, language.Chinese, "doctor", "-c", main, "--admin", admin)
	if code != exitOK || regexp.MustCompile(`[a-z]+ [a-z]+ [a-z]+`).MatchString(printed) {
		t.Errorf("exit code %d, and English is left: %s", code, printed)
	}
	stop()
	if code := <-ended; code != exitOK {
		t.Errorf("serve: exit code %d", code)
	}
}

// Every sentence of a finding has its Chinese.
func TestFindingsInChinese(t *testing.T) {
	source, err := os.ReadFile("../../node/health.go")
	if err != nil {
		t.Fatal(err)
	}
	texts := regexp.MustCompile(`"([a-z][^"]* [^"]* [^"]*)"`).FindAllStringSubmatch(string(source), -1)
	if len(texts) < 30 {
		t.Fatalf("only %d texts were found", len(texts))
	}
	term := &terminal{out: &bytes.Buffer{}, err: &bytes.Buffer{}, Printer: catalogue.Printer(language.Chinese)}
	values := strings.NewReplacer("%s's", "store's", "of the %s has", "of the store has", "%s", "x", "%d", "3", "%.3f", "1.5", "%.0f", "2")
	for _, m := range texts {
		said := term.Text(strings.TrimSuffix(values.Replace(m[1]), ": "))
		prose := regexp.MustCompile(`oncegate [a-z]+( [a-z]+)?`).ReplaceAllString(said, "")
		if regexp.MustCompile(`[a-z]+ [a-z]+ [a-z]+`).MatchString(prose) {
			t.Errorf("no Chinese for %q: %s", m[1], said)
		}
	}
}

// An announcement sends what a text that was written names.
type announcement struct {
	bytes.Buffer
	said *regexp.Regexp
	to   chan<- string
}

func (a *announcement) Write(p []byte) (int, error) {
	if m := a.said.FindSubmatch(p); m != nil {
		a.to <- string(m[1])
	}
	return a.Buffer.Write(p)
}

package node

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestHalfWrittenFile cuts a file off where it is sound by chance, as an editor does that writes in steps: what it says then is
// never in force.
func TestHalfWrittenFile(t *testing.T) {
	c := newCity(t)
	s := c.serve()
	s.register("SP-1")
	caller := s.as("food-approval")
	name := filepath.Join(c.Dir, "policy/grants.yaml")
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	half := string(whole)[:strings.Index(string(whole), "grants:")]
	before := s.current.Load()

	done := make(chan error, 1)
	if err := os.WriteFile(name, []byte(half), 0o600); err != nil {
		t.Fatal(err)
	}
	go func() { done <- s.Reload(t.Context()) }()
	for begun := time.Now(); time.Since(begun) < 3*quietPeriod; { // the editor goes on, never long after its last step
		if err := os.WriteFile(name, []byte(half+"# "), 0o600); err != nil {
			t.Fatal(err)
		}
		if s.current.Load() != before {
			t.Fatal("half a file is in force")
		}
	}
	if err := os.WriteFile(name, append(whole, "# written\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got := s.released(caller); len(got) != 2 {
		t.Errorf("%v was released", got)
	}
}

// TestStill holds files against the clock.
func TestStill(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	for _, c := range []struct {
		changed time.Duration // after begun
		want    bool
	}{{-time.Hour, true}, {-2 * quietPeriod, true}, {-quietPeriod / 2, false}, {time.Hour, true}} {
		if err := os.Chtimes(name, time.Time{}, begun.Add(c.changed)); err != nil {
			t.Fatal(err)
		}
		if got := unchangedSince([]string{name}, begun); got != c.want {
			t.Errorf("changed %s after: still is %v", c.changed, got)
		}
	}
	if !unchangedSince([]string{name + "2"}, begun) {
		t.Error("a file that is gone is waited for")
	}
}

package demo

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"oncegate/cases"
	"oncegate/config"
	"oncegate/license"
)

// A port in use is replaced by a free one, and the configuration is changed.
func TestPortsAreFree(t *testing.T) {
	dir := t.TempDir()
	if _, err := configure(dir, time.Now()); err != nil {
		t.Fatal(err)
	}
	main := filepath.Join(dir, config.MainFile)
	before, err := addressIn(main, listen)
	if err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", before)
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if _, err := configure(dir, time.Now()); err != nil {
		t.Fatal(err)
	}
	after, err := addressIn(main, listen)
	if err != nil || after == before {
		t.Errorf("the port stayed at %s: %v", after, err)
	}
	data, err := os.ReadFile(main)
	if err != nil || !strings.Contains(string(data), "public_url: http://"+after) {
		t.Errorf("callers are not told the new port: %v", err)
	}
}

// The calendar covers deadlines whenever the demo runs.
func TestCalendarReaches(t *testing.T) {
	for _, year := range []int{2024, 2026, 2027, 2041} {
		dir := t.TempDir()
		now := time.Date(year, 12, 28, 3, 0, 0, 0, time.UTC)
		if _, err := configure(dir, now); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(filepath.Join(dir, "calendar.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		var c cases.Calendar
		if err := yaml.UnmarshalWithOptions(data, &c, yaml.Strict()); err != nil {
			t.Fatal(err)
		}
		if faults := c.Check(); len(faults) > 0 {
			t.Errorf("%d: %v", year, faults)
		}
		if _, err := c.Working("2026-12-31"); err != nil {
			t.Errorf("%d: the sample's own years are gone: %v", year, err)
		}
		if day, err := c.Add(license.DateOf(now), 10); err != nil || day == "" {
			t.Errorf("%d: %v", year, err)
		}
	}
}

// The sample in the repository is a valid starting point: its only warnings are for files that Prepare makes, and for accounts, which people make.
func TestSampleIsAccepted(t *testing.T) {
	setup, faults := config.Load("../deploy/city/oncegate.yaml", time.Now())
	if len(faults.Fatal()) > 0 {
		t.Fatal(faults)
	}
	for _, w := range faults.Warnings() {
		if !strings.Contains(w.Reason, "oncegate init makes it") && !strings.Contains(w.Reason, "there are no local accounts yet") {
			t.Error(w)
		}
	}
	for _, s := range setup.Sources {
		if !s.IssuedHere() {
			continue
		}
		if trial := setup.Try(t.Context(), s, 1); s.ID != "samr-permits" || trial.Err != nil || !trial.IssuedHere {
			t.Errorf("%s is tried: %+v", s.ID, trial)
		}
	}
	if len(setup.Sources) != 6 || len(setup.Tables) == 0 {
		t.Errorf("%d sources, %d tables of decisions", len(setup.Sources), len(setup.Tables))
	}
}

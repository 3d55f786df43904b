package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"oncegate/config"
	"oncegate/fault"
	"oncegate/install/installtest"
)

// Planned maintenance is read in China's time, and every entry that cannot be one is a fault at its place.
func TestMaintenance(t *testing.T) {
	c := installtest.New(t)
	c.Edit(config.MainFile, "  calendar: calendar.yaml", "  calendar: calendar.yaml\n  maintenance: maintenance.yaml")
	load := func(text string) (*config.Setup, fault.List) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(c.Dir, "maintenance.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return config.Load(c.Main, time.Now())
	}
	entry := func(source, from, to, zh string) string {
		return fmt.Sprintf("  - {source: %q, from: %q, to: %q, zh: %q}\n", source, from, to, zh)
	}
	good := entry("market-registration", "2026-12-05 20:00", "2026-12-06 06:00", "系统升级")
	setup, faults := load("maintenance:\n" + good + entry("market-registration", "2026-12-06 06:00", "2026-12-06 08:00", "再升级"))
	if faults.Err() != nil || len(setup.Maintenance) != 2 {
		t.Fatalf("%v, %v", faults, setup.Maintenance)
	}
	if m := setup.Maintenance[0]; !m.From.Equal(time.Date(2026, 12, 5, 12, 0, 0, 0, time.UTC)) || !m.To.Equal(time.Date(2026, 12, 5, 22, 0, 0, 0, time.UTC)) || m.Why.Zh != "系统升级" || m.Source != "market-registration" {
		t.Errorf("%+v", m)
	}
	was := setup.Digest
	if setup, _ = load("maintenance:\n" + good); setup.Digest == was {
		t.Error("another plan is the same configuration: nothing would be reloaded or recorded")
	}
	for _, test := range []struct{ name, text, reason string }{
		{"an unknown source", entry("nobody", "2026-12-05 20:00", "2026-12-06 06:00", "x"), `there is no source "nobody"`},
		{"no sentence", entry("market-registration", "2026-12-05 20:00", "2026-12-06 06:00", ""), "one sentence for people is required"},
		{"a long sentence", entry("market-registration", "2026-12-05 20:00", "2026-12-06 06:00", strings.Repeat("长", 81)), "at most 80 characters"},
		{"no begin", entry("market-registration", "", "2026-12-06 06:00", "x"), "is no time"},
		{"another form of time", entry("market-registration", "2026-12-05T20:00:00Z", "2026-12-06 06:00", "x"), "is no time"},
		{"a day that is none", entry("market-registration", "2026-11-31 20:00", "2026-12-06 06:00", "x"), "is no time"},
		{"an end before the begin", entry("market-registration", "2026-12-06 06:00", "2026-12-05 20:00", "x"), "ends after it begins"},
		{"an end at the begin", entry("market-registration", "2026-12-06 06:00", "2026-12-06 06:00", "x"), "ends after it begins"},
		{"a month", entry("market-registration", "2026-12-01 00:00", "2026-12-31 00:00", "x"), "by at most 14 days"},
		{"two at once", good + entry("market-registration", "2026-12-06 05:59", "2026-12-07 06:00", "x"), "planned for the same time"},
		{"an unknown key", "  - {source: market-registration, until: x}\n", "unknown key"},
		{"too many", strings.Repeat(good, 1001), "at most 1000 entries"},
	} {
		_, faults := load("maintenance:\n" + test.text)
		found := false
		for _, f := range faults.Fatal() {
			found = found || strings.HasSuffix(f.Place.File, "maintenance.yaml") && f.Place.Line > 0 && strings.Contains(f.Reason, test.reason)
		}
		if !found {
			t.Errorf("%s: %v", test.name, faults)
		}
	}
	if err := os.Remove(filepath.Join(c.Dir, "maintenance.yaml")); err != nil {
		t.Fatal(err)
	}
	if _, faults := config.Load(c.Main, time.Now()); !strings.Contains(fmt.Sprint(faults.Fatal()), "is not there") {
		t.Errorf("a file that is gone: %v", faults)
	}
}

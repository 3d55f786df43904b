package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"oncegate/config"
	"oncegate/fault"
	"oncegate/install"
	"oncegate/install/installtest"
)

// found returns the finding of a check about something.
func found(t *testing.T, list []Finding, check, about string) Finding {
	t.Helper()
	for _, f := range list {
		if f.Check == check && (about == "" || f.About == about) {
			return f
		}
	}
	t.Fatalf("no finding of %s %s in %+v", check, about, list)
	return Finding{}
}

func wantState(t *testing.T, f Finding, want HealthState) {
	t.Helper()
	if f.State != want || f.Says == "" || (f.State == HealthOK) != (f.Do == "") {
		t.Errorf("%s %s is %+v, want %s", f.Check, f.About, f, want)
	}
}

// Each finding appears when what it is about goes wrong, and says what to do; a fresh gateway lacks a backup only.
func TestFindings(t *testing.T) {
	t.Parallel()
	c := newCity(t)
	s := c.serve()
	s.register("SP-1")
	await(t, "the projection follows", func() bool { return found(t, s.Findings(t.Context()), "search", "").Figure == "0" })
	for _, f := range s.Findings(t.Context()) {
		switch {
		case f.Check == "backup":
			wantState(t, f, HealthWarning)
		case f.State != HealthOK:
			t.Errorf("a fresh gateway: %+v", f)
		}
	}
	setup := s.current.Load().setup

	t.Run("backup", func(t *testing.T) {
		if err := install.Backup(t.Context(), c.Main, filepath.Join(t.TempDir(), "copy.db"), nil); err != nil {
			t.Fatal(err)
		}
		wantState(t, found(t, s.Findings(t.Context()), "backup", ""), HealthOK)
		if _, text := s.get("/metrics"); strings.Contains(text, "oncegate_backup_timestamp_seconds 0\n") {
			t.Error("the metrics do not know of the backup")
		}
		old := time.Now().Add(-72 * time.Hour)
		if err := os.Chtimes(install.BackupNote(setup), old, old); err != nil {
			t.Fatal(err)
		}
		if f := found(t, s.Findings(t.Context()), "backup", ""); f.State != HealthWarning || f.Figure != "72 h" {
			t.Errorf("an old backup: %+v", f)
		}
	})
	t.Run("disk", func(t *testing.T) {
		free, known, err := s.folders[0].free(t.Context())
		if err != nil || !known {
			t.Skip("this system does not say what is free")
		}
		for floor, want := range map[uint64]HealthState{1: HealthOK, free / 4: HealthWarning, free * 2: HealthFailed} {
			full := *setup
			full.Limits.FreeSpace = int(floor)
			wantState(t, found(t, diskFindings(t.Context(), s.folders, &full), "disk", "store"), want)
		}
		gone := *setup
		gone.Log.Mark = filepath.Join(t.TempDir(), "none", "mark")
		wantState(t, found(t, diskFindings(t.Context(), foldersOf(&gone), &gone), "disk", "mark"), HealthUnknown)
	})
	t.Run("certificates", func(t *testing.T) {
		for _, about := range []string{"license/market", "status/service", "acceptance/acceptance-1"} {
			f := found(t, certificateFindings(setup, time.Now()), "certificate", about)
			wantState(t, f, HealthOK)
			var days int
			if _, err := fmt.Sscanf(f.Figure, "%d d", &days); err != nil {
				t.Fatal(err)
			}
			end := time.Now().Add(time.Duration(days) * 24 * time.Hour)
			wantState(t, found(t, certificateFindings(setup, end.Add(-20*24*time.Hour)), "certificate", about), HealthWarning)
			wantState(t, found(t, certificateFindings(setup, end.Add(48*time.Hour)), "certificate", about), HealthFailed)
		}
	})
	t.Run("reload", func(t *testing.T) {
		c.Edit("matters.yaml", "department: service", "department: nobody")
		var faults fault.List
		if err := s.Reload(t.Context()); !errors.As(err, &faults) {
			t.Fatal(err)
		}
		f := found(t, s.Findings(t.Context()), "configuration", "")
		wantState(t, f, HealthFailed)
		if !strings.Contains(f.Says, "matters.yaml:") {
			t.Errorf("it does not say where: %s", f.Says)
		}
		c.Edit("matters.yaml", "department: nobody", "department: service")
		_ = s.Reload(t.Context())
		wantState(t, found(t, s.Findings(t.Context()), "configuration", ""), HealthOK)
	})
	t.Run("source", func(t *testing.T) {
		c.Edit("sources/market.yaml", "from licenses", "from nothing_of_this_name") // a schema that drifted is no outage
		c.Edit("sources/market.yaml", "file:market.db?mode=ro", "file:gone/market.db?mode=ro", "from nothing_of_this_name", "from licenses")
		if err := s.Reload(t.Context()); err != nil && !errors.Is(err, ErrUnchanged) {
			t.Fatal(err)
		}
		caller := s.as("food-approval")
		for range 8 {
			_, _ = caller.Query(t.Context(), question("SP-1"))
		}
		wantState(t, found(t, s.Findings(t.Context()), "source", "market-registration"), HealthFailed)
	})
	t.Run("over HTTP", func(t *testing.T) {
		status, text := s.get("/doctor")
		if status != 200 || !strings.Contains(text, `"check":"source","about":"market-registration","state":"failed"`) || !strings.Contains(text, `"go":"go1.`) {
			t.Errorf("%d: %s", status, text)
		}
	})
}

// What a node that is not run yet shows of clock, mark and projection.
func TestFindingsOfTime(t *testing.T) {
	t.Parallel()
	c := newCity(t)
	if d := installtest.NewDatabase(t); d != nil {
		c.OnPostgres(d.URL.String())
	}
	n, err := Open(t.Context(), c.Main, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	postgres := n.current.Load().setup.Store.Driver == "postgres"
	for off, want := range map[time.Duration]HealthState{0: HealthOK, 5 * time.Second: HealthWarning, time.Minute: HealthFailed} {
		n.Now = func() time.Time { return time.Now().Add(-off) }
		list := n.clockFindings(t.Context())
		if postgres {
			wantState(t, found(t, list, "clock", "database"), want)
		}
		if off == time.Minute {
			wantState(t, found(t, list, "clock", "log"), HealthFailed)
		}
	}
	n.Now = time.Now
	wantState(t, found(t, n.markFindings(n.current.Load().setup), "mark", ""), HealthOK)
	n.markPatience = -1
	wantState(t, found(t, n.markFindings(n.current.Load().setup), "mark", ""), HealthFailed)
	n.metrics.covered.Set(-2 * lagWarning)
	wantState(t, found(t, n.projectionFindings(), "search", ""), HealthWarning)
	wantState(t, found(t, n.readyFindings(t.Context()), "ready", ""), HealthFailed) // it does not serve
}

// Of a gateway that does not answer the files are examined.
func TestExamine(t *testing.T) {
	t.Parallel()
	c := newCity(t)
	setup, faults := config.Load(c.Main, time.Now())
	list := Examine(t.Context(), setup, faults, time.Now())
	for _, check := range []string{"configuration", "disk", "certificate", "mark"} {
		wantState(t, found(t, list, check, ""), HealthOK)
	}
	c.Edit("matters.yaml", "department: service", "department: nobody")
	if err := os.Remove(filepath.Join(c.Dir, "mark/checkpoint")); err != nil {
		t.Fatal(err)
	}
	setup, faults = config.Load(c.Main, time.Now())
	list = Examine(t.Context(), setup, faults, time.Now())
	wantState(t, found(t, list, "mark", ""), HealthFailed)
	if f := found(t, list, "configuration", ""); f.State != HealthFailed || !strings.Contains(f.Says, "matters.yaml:") {
		t.Errorf("configuration: %+v", f)
	}
}

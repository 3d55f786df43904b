package node

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"oncegate/api"
	"oncegate/fault"
	"oncegate/install"
)

// seen is the state of a node as its operation tells it.
func seen(t *testing.T, n *Node) api.NodeAnswer {
	t.Helper()
	a, err := n.status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// A note of a backup counts only where it says when: none, one of tomorrow, and a folder in its place are no backup.
func TestBackupNotes(t *testing.T) {
	t.Parallel()
	s := newCity(t).serve()
	setup := s.current.Load().setup
	note := install.BackupNote(setup)
	state := func() Finding { return found(t, backupFindings(setup, time.Now()), "backup", "") }
	wantState(t, state(), HealthWarning)
	if at := seen(t, s.Node).Backup.At; !at.IsZero() {
		t.Errorf("no backup was made at %v", at)
	}
	if err := os.WriteFile(note, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wantState(t, state(), HealthOK)
	future := time.Now().Add(300 * time.Hour)
	if err := os.Chtimes(note, future, future); err != nil {
		t.Fatal(err)
	}
	if f := state(); f.State != HealthWarning || !strings.Contains(f.Says, "from now") {
		t.Errorf("a backup of tomorrow: %+v", f)
	}
	if err := errors.Join(os.Remove(note), os.Mkdir(note, 0o700)); err != nil {
		t.Fatal(err)
	}
	wantState(t, state(), HealthUnknown)
	if at := seen(t, s.Node).Backup.At; !at.IsZero() {
		t.Errorf("a folder is a backup of %v", at)
	}
}

// The mark on the disk is compared with the log: cut off, gone, of another log, of another past, and of before.
func TestMarksOnDisk(t *testing.T) {
	t.Parallel()
	c := newCity(t)
	n, err := Open(t.Context(), c.Main, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	setup := n.current.Load().setup
	await(t, "the mark follows", func() bool { a, _ := n.compareMark(setup); return a == api.NodeMarkAgreesYes })
	whole, err := os.ReadFile(setup.Log.Mark)
	if err != nil {
		t.Fatal(err)
	}
	fake := *setup
	fake.Log.Mark = filepath.Join(t.TempDir(), "mark")
	lines := strings.SplitN(string(whole), "\n", 4)
	for _, test := range []struct {
		name, text string
		want       api.NodeMarkAgrees
		state      HealthState
	}{
		{"gone", "", api.NodeMarkAgreesUnreadable, HealthFailed},
		{"cut off", string(whole[:40]), api.NodeMarkAgreesUnreadable, HealthFailed},
		{"of another log", strings.Replace(string(whole), lines[0], "other.example/log", 1), api.NodeMarkAgreesOther, HealthFailed},
		{"of another past", strings.Replace(string(whole), lines[2], strings.Repeat("A", 43)+"=", 1), api.NodeMarkAgreesOther, HealthFailed},
		{"of before", strings.Replace(string(whole), "\n"+lines[1]+"\n", "\n1\n", 1), api.NodeMarkAgreesBehind, HealthOK},
		{"of more", strings.Replace(string(whole), "\n"+lines[1]+"\n", "\n9999\n", 1), api.NodeMarkAgreesAhead, HealthOK},
		{"itself", string(whole), api.NodeMarkAgreesYes, HealthOK},
	} {
		if test.text == "" {
			os.Remove(fake.Log.Mark)
		} else if err := os.WriteFile(fake.Log.Mark, []byte(test.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, _ := n.compareMark(&fake); got != test.want {
			t.Errorf("a mark that is %s: %s", test.name, got)
		}
		wantState(t, found(t, n.markFindings(&fake), "mark", ""), test.state)
	}
}

// The last reload stays told until another one is tried: who began it, and why it was refused. A drop in a watched folder hides nothing.
func TestLastReload(t *testing.T) {
	t.Parallel()
	c := newCity(t)
	s := c.serve()
	last := func() api.NodeReload { return seen(t, s.Node).Configuration.Last }
	if l := last(); l.By != api.NodeReloadByStart || l.Result != api.NodeReloadResultOk || l.At.IsZero() {
		t.Errorf("after the start: %+v", l)
	}
	c.Edit("matters.yaml", "department: service", "department: nobody")
	await(t, "the change is refused", func() bool { return last().Result == api.NodeReloadResultRefused })
	if l := last(); l.By != api.NodeReloadByFile || l.File != "matters.yaml" || !strings.Contains(l.Why.En, "matters.yaml:") || !strings.Contains(l.Why.Zh, "没有部门") {
		t.Errorf("a refused reload: %+v", l)
	}
	if err := s.reloadFor(t.Context(), cause{by: api.NodeReloadByFile, file: "drop.csv"}); !errors.As(err, new(fault.List)) {
		t.Fatal(err)
	}
	since := seen(t, s.Node).Configuration.Since
	c.Edit("matters.yaml", "department: nobody", "department: service")
	await(t, "the old files are back", func() bool { return last().Result == api.NodeReloadResultUnchanged })
	if l := last(); l.Why != (api.Sentence{}) || seen(t, s.Node).Configuration.Since != since {
		t.Errorf("nothing is refused any more: %+v", l)
	}
	was := last()
	if err := s.reloadFor(t.Context(), cause{by: api.NodeReloadByFile, file: "drop.csv"}); !errors.Is(err, ErrUnchanged) || last() != was {
		t.Errorf("a drop hid the last reload: %v, %+v", err, last())
	}
	if err := s.Reload(t.Context()); !errors.Is(err, ErrUnchanged) || last().By != api.NodeReloadBySignal {
		t.Errorf("a reload that was asked for: %v, %+v", err, last())
	}
}

// The operation names nobody and no case, in both languages, and no other system is told.
func TestStatusTellsNothingOfCases(t *testing.T) {
	t.Parallel()
	c := newCity(t)
	s := c.serve()
	s.register("SP-2026-00017")
	_, err := s.as("food-approval").Query(t.Context(), question("SP-2026-00017"))
	if err != nil {
		t.Fatal(err)
	}
	a := seen(t, s.Node)
	text, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"SP-2026-00017", question("SP-2026-00017").Holder.Code, "licenses.query", "audit."} {
		if secret != "" && bytes.Contains(text, []byte(secret)) {
			t.Errorf("the state of the node says %q", secret)
		}
	}
	if a.Log.Size == 0 || a.Log.LastRecord.IsZero() || !a.Node.Ready || a.Node.Since.IsZero() {
		t.Errorf("what is told: %+v", a)
	}
	for _, f := range a.Findings {
		if f.Check == "certificate" && (f.Until.IsZero() || f.Whose.Zh == "") {
			t.Errorf("a certificate without its end or owner: %+v", f)
		}
		if f.Says.Zh == f.Says.En || f.Says.Zh == "" {
			t.Errorf("no Chinese for %q", f.Says.En)
		}
	}
	for _, system := range []string{"food-approval", "acceptance"} {
		if _, err := s.as(system).NodeStatus(context.WithoutCancel(t.Context())); !errors.Is(err, api.NewProblem("not-permitted")) {
			t.Errorf("%s is told how the node is: %v", system, err)
		}
	}
}

// A plan is taken over by a reload, which opens no source anew: what is known of its outage stays, and is explained.
func TestMaintenanceIsReloaded(t *testing.T) {
	t.Parallel()
	c := newCity(t)
	plans := filepath.Join(c.Dir, "maintenance.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(plans, []byte("maintenance:"+text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(" []")
	c.Edit("oncegate.yaml", "  calendar: calendar.yaml", "  calendar: calendar.yaml\n  maintenance: maintenance.yaml")
	c.Edit("sources/market.yaml", "file:market.db?mode=ro", "file:gone/market.db?mode=ro")
	s := c.serve()
	s.register("SP-1")
	caller := s.as("food-approval")
	for range 8 {
		_, _ = caller.Query(t.Context(), question("SP-1"))
	}
	if list := s.outages(); len(list) != 1 || !list[0].Until.IsZero() {
		t.Fatalf("the outage: %+v", list)
	}
	since := s.outages()[0].Since
	shanghai := time.FixedZone("", 8*3600)
	form := func(at time.Time) string { return at.In(shanghai).Format("2006-01-02 15:04") }
	end := time.Now().Add(3 * time.Hour).Truncate(time.Minute)
	write("\n  - {source: market-registration, from: \"" + form(time.Now().Add(-time.Hour)) + "\", to: \"" + form(end) + "\", zh: 机房停电}")
	await(t, "the plan is in force", func() bool { list := s.outages(); return len(list) == 1 && list[0].Until.Equal(end) })
	if o := s.outages()[0]; o.Why.Zh != "机房停电" || !o.Since.Equal(since) || o.Planned {
		t.Errorf("the outage: %+v", o)
	}
	if f := found(t, s.Findings(t.Context()), "source", "market-registration"); f.State != HealthOK || !strings.Contains(f.Says, "maintenance is planned until") {
		t.Errorf("the finding: %+v", f)
	}
	write("\n  - {source: market-registration, from: \"" + form(time.Now().Add(2*time.Hour)) + "\", to: \"" + form(end.Add(time.Hour)) + "\", zh: 机房停电}")
	await(t, "the plan is another", func() bool { list := s.outages(); return len(list) == 2 && list[0].Until.IsZero() && list[1].Planned })
	write("\n  - {source: market-registration, from: x, to: y, zh: z}")
	await(t, "it is refused", func() bool { return seen(t, s.Node).Configuration.Last.Result == api.NodeReloadResultRefused })
	if list := s.outages(); len(list) != 2 {
		t.Errorf("a refused plan changed what is told: %+v", list)
	}
}

package node

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"oncegate/audit"
	"oncegate/certs/keystore"
	"oncegate/client"
	"oncegate/config"
	"oncegate/fault"
	"oncegate/install"
	"oncegate/install/installtest"
	"oncegate/verdict"
)

// released are the fields that a query gets.
func (s *served) released(c *client.Client) []string {
	s.t.Helper()
	answer, err := c.Query(s.t.Context(), question("SP-1"))
	if err != nil {
		s.t.Error(err)
		return nil
	}
	return slices.Sorted(maps.Keys(answer.Answer.Licenses[0].Fields))
}

func TestGoodFileIsTakenOverWhileServing(t *testing.T) {
	t.Parallel()
	c := newCity(t)
	s := c.serve()
	s.register("SP-1")
	caller := s.as("food-approval")
	source := s.current.Load().sources["market-registration"].Adapter
	old := s.current.Load().snapshot.Policy.Digest()

	stop := make(chan struct{})
	var asking sync.WaitGroup
	for range 4 { // calls go on all the while
		asking.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					if got := s.released(caller); len(got) == 0 {
						t.Error("a call got nothing during the reload")
					}
				}
			}
		})
	}
	c.Edit("policy/grants.yaml", "holder_code, legal_representative", "holder_code")
	// The node may have seen the change by itself already.
	if err := s.Reload(t.Context()); err != nil && !errors.Is(err, ErrUnchanged) {
		t.Fatal(err)
	}
	close(stop)
	asking.Wait()

	if got := s.released(caller); len(got) != 1 || got[0] != "name" {
		t.Errorf("after the reload %v was released", got)
	}
	if s.current.Load().sources["market-registration"].Adapter != source {
		t.Error("a source that did not change was opened again")
	}
	s.orderedActivations(old, s.current.Load().snapshot.Policy.Digest())
	if err := s.Reload(t.Context()); !errors.Is(err, ErrUnchanged) {
		t.Errorf("a second reload: %v", err)
	}
}

// orderedActivations checks that no record names a policy before the record of its activation.
func (s *served) orderedActivations(want ...string) {
	s.t.Helper()
	active := map[string]bool{}
	for index := uint64(0); index < s.log.Stats().Size; index++ {
		leaf, _, err := s.db.Audit().Entry(s.t.Context(), index)
		if err != nil {
			s.t.Fatal(err)
		}
		r, err := audit.ParseRecord(leaf)
		if err != nil {
			s.t.Fatal(err)
		}
		if r.Operation == "policy.activate" {
			active[r.Policy] = true
		}
		if r.Policy != "" && !active[r.Policy] {
			s.t.Errorf("record %d (%s) was decided by a policy before it was activated", index, r.Operation)
		}
	}
	for _, digest := range want {
		if !active[digest] {
			s.t.Errorf("the activation of %s is not recorded", digest)
		}
	}
}

func TestBadFileChangesNothing(t *testing.T) {
	t.Parallel()
	c := newCity(t)
	s := c.serve()
	s.register("SP-1")
	caller := s.as("food-approval")
	before := s.current.Load()
	size := s.log.Stats().Size

	c.Edit("policy/grants.yaml", "holder_code, legal_representative", "holder_code", "basis: 审计法", "bases: 审计法")
	c.Edit("matters.yaml", "department: service", "department: nobody")
	var faults fault.List
	if err := s.Reload(t.Context()); !errors.As(err, &faults) || len(faults.Fatal()) < 2 {
		t.Fatalf("the reload said %v", err)
	}
	if s.current.Load() != before {
		t.Error("something is in force that was not before")
	}
	if got := s.released(caller); len(got) != 2 {
		t.Errorf("after the refused reload %v was released", got)
	}
	if grown := s.log.Stats().Size - size; grown != 1 {
		t.Errorf("the refused reload left %d records", grown-1)
	}
	// The reasons stand in one line of the log, with their places, and the figures say so.
	var line string
	for l := range strings.Lines(s.logs.String()) {
		if strings.Contains(l, "level=ERROR") && strings.Contains(l, "reload refused") {
			line = l
		}
	}
	for _, f := range faults.Fatal() {
		if !strings.Contains(line, strings.ReplaceAll(f.String(), `"`, `\"`)) {
			t.Errorf("the log does not say %q in the line %q", f, line)
		}
	}
	const figure = "\noncegate_config_last_reload_successful "
	if _, text := s.get("/metrics"); !strings.Contains(text, figure+"0\n") {
		t.Error("the metrics do not say that the last reload was refused")
	}
	c.Edit("policy/grants.yaml", "bases: 审计法", "basis: 审计法")
	c.Edit("matters.yaml", "department: nobody", "department: service")
	if err := s.Reload(t.Context()); err != nil && !errors.Is(err, ErrUnchanged) {
		t.Fatal(err)
	}
	if _, text := s.get("/metrics"); !strings.Contains(text, figure+"1\n") {
		t.Error("the metrics do not say that the reload was taken over")
	}
}

// What a refused configuration names and was not there is taken over when it appears, without anybody's doing: no file of the configuration
// in force changes then.
func TestWhatAppearsAfterARefusalIsTakenOver(t *testing.T) {
	t.Parallel()
	c := newCity(t)
	certificate, err := os.ReadFile(filepath.Join(c.Dir, "certificates/acceptance-1.pem"))
	if err != nil {
		t.Fatal(err)
	}
	layout, err := os.ReadFile(filepath.Join(c.Dir, "layouts/business-license.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	market := c.read("sources/market.yaml")
	database := market[strings.Index(market, "    sqldb:"):strings.Index(market, "          record:")]
	drops := "    files:\n      dir: ../inbox/market\n      pattern: m-*.csv\n      encoding: utf-8\n      max_age: 48h\n      record:\n"
	_, record, _ := strings.Cut(market, "          record:\n")
	drops += strings.ReplaceAll(record, "            ", "        ")
	s := c.serveAs(func(n *Node) { n.reloadRetry = time.Hour }) // events must do
	for _, test := range []struct {
		name             string
		file, old, new   string
		appears, content string
	}{
		{"certificate", config.MainFile, "certificates/food-approval-1.pem]", "certificates/food-approval-1.pem, new/folder/food-approval-2.pem]", "new/folder/food-approval-2.pem", string(certificate)},
		{"layout", config.MainFile, "layouts: [layouts/*.yaml]", "layouts: [layouts-2/*.yaml]", "layouts-2/business-license.yaml", string(layout)},
		{"drop folder", "sources/market.yaml", database + "          record:\n" + record, drops, "inbox/market/README", "for drops"},
	} {
		was := s.current.Load()
		c.Edit(test.file, test.old, test.new)
		await(t, test.name+": the reload is refused", func() bool { return s.refused.Load() != nil })
		if s.current.Load() != was {
			t.Fatalf("%s: taken over though something is missing", test.name)
		}
		c.Write(test.appears, []byte(test.content))
		await(t, test.name+": it is taken over", func() bool { return s.refused.Load() == nil && s.current.Load() != was })
	}
}

// await waits until something holds that nobody tells of.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not within 20 s: " + what)
		}
	}
}

func (c *city) read(name string) string {
	c.T.Helper()
	data, err := os.ReadFile(filepath.Join(c.Dir, name))
	if err != nil {
		c.T.Fatal(err)
	}
	return string(data)
}

// A folder on the way to an input, or one that a pattern may find, is about the configuration; what lies beside it is not.
func TestLeadsTo(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, input string
		want        bool
	}{
		{"/srv/a.yaml", "/srv/a.yaml", true},
		{"/srv/b.yaml", "/srv/a.yaml", false},
		{"/srv", "/srv/a.yaml", true},
		{"/srv/a.yaml/x", "/srv/a.yaml", false},
		{"/srv/more/x.crl", "/srv/more/*", true},
		{"/srv/more/x/y", "/srv/more/*", false},
		{"/srv/city/market", "/srv/city/*/grants.yaml", true},
		{"/srv/city/market/grants.yaml", "/srv/city/*/grants.yaml", true},
		{"/srv/city/market/else.yaml", "/srv/city/*/grants.yaml", false},
		{"a.yaml", "a.yaml", true},
		{"sources", "sources/*.yaml", true},
	} {
		if got := leadsTo(test.name, test.input); got != test.want {
			t.Errorf("leadsTo(%q, %q) = %v", test.name, test.input, got)
		}
	}
}

// inForce waits until a policy other than old is in force.
func (s *served) inForce(old string) {
	s.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for s.current.Load().snapshot.Policy.Digest() == old {
		if time.Now().After(deadline) {
			s.t.Fatal("nothing was taken over")
		}
		time.Sleep(20 * time.Millisecond) // nothing tells a stranger of a reload
	}
}

func TestChangesAreSeen(t *testing.T) {
	t.Parallel()
	c := newCity(t)
	s := c.serve()
	s.get("/healthz") // it serves, so it watches or is about to
	old := s.current.Load().snapshot.Policy.Digest()
	c.Edit("policy/grants.yaml", "holder_code, legal_representative", "holder_code")
	s.inForce(old)

	// A folder that nobody reports on: SIGHUP does.
	old = s.current.Load().snapshot.Policy.Digest()
	c.Edit("policy/grants.yaml", "example agreement 001", "example agreement 002")
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	s.inForce(old)
}

func TestKeysRotateWhileServing(t *testing.T) {
	t.Parallel()
	c := newCity(t)
	s := c.serve()
	s.register("SP-1")
	caller := s.as("food-approval")
	first, err := caller.Query(t.Context(), question("SP-1"))
	if err != nil {
		t.Fatal(err)
	}
	ring, err := install.OpenKeystore(c.Main, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, usage := range []string{"log", "salt"} {
		if _, err := ring.Rotate(t.Context(), purposeOf(usage, "")); !errors.Is(err, install.ErrFixed) {
			t.Errorf("%s key: %v", usage, err)
		}
	}
	k, err := ring.Rotate(t.Context(), purposeOf("license", "market"))
	if err != nil || len(k.Chain) == 0 {
		t.Fatalf("rotate: %v", err)
	}
	if err := s.Reload(t.Context()); err != nil && !errors.Is(err, ErrUnchanged) {
		t.Fatal(err)
	}
	if err := installtest.Exec(filepath.Join(c.Dir, "sources/market.db"), "update licenses set addr = '示例路 2 号'"); err != nil {
		t.Fatal(err)
	}
	second, err := caller.Query(t.Context(), question("SP-1"))
	if err != nil {
		t.Fatal(err)
	}
	if got := second.Answer.Licenses[0]; got.Version != 2 || got.License == first.Answer.Licenses[0].License {
		t.Errorf("the changed license is version %d", got.Version)
	}
	trust := s.trusted()
	for _, raw := range [][]byte{first.Raw, second.Raw} {
		if v := trust.Verify(verdict.Artefact{Name: "a", Data: raw})[0]; v.Err() != nil {
			t.Errorf("%s: %v", v.Kind, v.Err())
		}
	}
}

func purposeOf(usage, owner string) keystore.Purpose {
	return keystore.Purpose{Usage: usage, Owner: owner, Algorithm: keystore.SM2}
}

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
	for _, f := range faults.Fatal() {
		if !strings.Contains(s.logs.String(), f.Reason) && !strings.Contains(s.logs.String(), strings.ReplaceAll(f.Reason, `"`, `\"`)) {
			t.Errorf("the log does not say %q", f)
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

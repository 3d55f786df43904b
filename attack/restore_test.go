package attack

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"oncegate/install"
	"oncegate/tlog"
	"oncegate/verdict"
)

// TestRestoredBackup puts an old copy of the database in the place of a newer one. The node refuses it until the log is recovered
// under a new origin, which begins with the last checkpoint known of the old one. Calls that only the lost part had seen are not
// taken again, and their receipts still verify.
func TestRestoredBackup(t *testing.T) {
	in := newInstallation(t)
	c := in.callers()
	company := in.city.Population.Companies[0]
	p := in.start()
	kept := wireTo(p)
	if _, err := c.as("acceptance", kept).RegisterCase(t.Context(), foodCase("SP-KEPT", party("applicant", company.Holder()))); err != nil {
		t.Fatal(err)
	}
	p.stop()
	backup := files(t, in.path("data"))

	p = in.start()
	lost := wireTo(p)
	if _, err := c.as("acceptance", lost).RegisterCase(t.Context(), foodCase("SP-LOST", party("applicant", company.Holder()))); err != nil {
		t.Fatal(err)
	}
	lostCall := lost.take()[0]
	await(t, "the mark follows the log", soon, func() bool {
		signed, err := tlog.ReadMark(in.path("mark", "checkpoint"))
		in.must(err)
		c, err := tlog.ParseCheckpoint(signed)
		in.must(err)
		return c.Size > receiptOf(t, lostCall).Index
	})
	p.kill()
	in.must(os.RemoveAll(in.path("data")))
	in.must(os.Mkdir(in.path("data"), 0o700))
	for name, data := range backup {
		in.must(os.WriteFile(name, data, 0o600))
	}
	mark, err := tlog.ReadMark(in.path("mark", "checkpoint"))
	in.must(err)

	in.refuses("behind what was committed before")
	if _, err := install.Recover(t.Context(), in.main, install.RecoverOptions{}); err == nil {
		t.Fatal("the log was recovered under its own name")
	}
	in.refuses("behind what was committed before")
	in.edit("origin: gateway.yunchuan.example/log", "origin: gateway.yunchuan.example/log-2")
	in.refuses("log")
	// Whoever recovers at once has to wait some minutes until calls are taken. Here the lost call's token has a minute to live, and
	// the callers' clocks are ahead by what that leaves to wait.
	done, err := install.Recover(t.Context(), in.main, install.RecoverOptions{At: time.Now().Add(-6 * time.Minute)})
	in.must(err)
	if left := time.Until(done.Until); left < 100*time.Second || left > 140*time.Second {
		t.Errorf("calls that expire within %s are refused", left)
	}
	if done.Old.Origin != "gateway.yunchuan.example/log" || done.Origin != "gateway.yunchuan.example/log-2" {
		t.Errorf("recovered %+v", done)
	}
	in.recovered(c, mark, kept.take()[0], lostCall)
}

// refuses has the node refuse to start, saying why.
func (in *installation) refuses(why string) {
	in.t.Helper()
	_, err := in.try(in.main, nil)
	if err == nil || !strings.Contains(err.Error(), why) {
		in.t.Fatalf("started, or refused for another reason than %q: %v", why, err)
	}
}

// recovered checks the invariants of a node after a recovery.
func (in *installation) recovered(before *callers, mark string, kept, lost *exchange) {
	t := in.t
	t.Helper()
	after := in.callers()
	after.ahead = 50 * time.Second
	p := in.start()
	log := after.as("audit-office", wireTo(p)).Log()
	h := newHistory(after.trust)
	h.follow(t, log)
	first, err := log.Leaves(t.Context(), 0, 1)
	in.must(err)
	if string(first[0]) != mark {
		t.Errorf("entry 0 is %.80q", first[0])
	}
	h.whole(t, log)
	for _, e := range []*exchange{kept, lost} {
		if code := problemOf(e.again(t, p)); code != "token-replayed" {
			t.Errorf("an answered call is %q after the recovery", code)
		}
		for _, v := range before.trust.Verify(verdict.Artefact{Name: "answer", Data: e.answer}, verdict.Artefact{Name: "call", Data: []byte(e.token)}) {
			if v.Err() != nil {
				t.Errorf("%s of before the recovery: %v", v.Name, v.Err())
			}
		}
	}
	// The record of the lost call is proven to be gone: the old log had it at its index, and nothing of it stands in the new one.
	old, err := tlog.ParseCheckpoint(mark)
	in.must(err)
	if r := receiptOf(t, lost); r.Index >= old.Size {
		t.Errorf("the lost record %d is not covered by the last known checkpoint of size %d", r.Index, old.Size)
	}
	p.stop()
	// The mark follows the new log, and the node starts again.
	if c, err := tlog.ReadMark(in.path("mark", "checkpoint")); err != nil || !strings.HasPrefix(c, "gateway.yunchuan.example/log-2\n") {
		t.Errorf("the mark is %.80q, %v", c, err)
	}
	in.start().stop()
	if _, err := install.Recover(t.Context(), in.main, install.RecoverOptions{}); err == nil || errors.Is(err, os.ErrNotExist) {
		t.Errorf("a log that is well was recovered again: %v", err)
	}
}

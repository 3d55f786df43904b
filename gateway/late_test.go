package gateway

import (
	"context"
	"errors"
	"testing"
	"time"

	"oncegate/api"
	"oncegate/license"
)

// TestCheckStopsWaiting checks with a bound on the wait: what came is answered, the late source is named, no kept copy stands in for it, and the next
// check of the same system and case takes the answer to the same question. Another system's check asks for itself.
func TestCheckStopsWaiting(t *testing.T) {
	w := newWorld(t)
	w.acceptFlat("BDC-1")
	hold := func(licenseType string) (release func()) {
		go_ := make(chan struct{})
		w.legacy[licenseType].set(func(l *legacy) {
			l.before = func(ctx context.Context) {
				select {
				case <-go_:
				case <-ctx.Done():
				}
			}
		})
		return func() { close(go_) }
	}
	bounded := map[string]any{"wait_ms": 200}

	before := w.legacy["tax-clearance"].asked()
	release := hold("tax-clearance")
	start := time.Now()
	got := w.check("land-approval", "BDC-1", bounded)
	if took := time.Since(start); took > 1500*time.Millisecond {
		t.Errorf("the answer took %s", took)
	}
	m := material(t, got, "tax-clearance")
	if m.State != api.MaterialStateUnavailable || m.Reason.Code != "source-late" || m.Source != "tax-system" || m.Reason.Zh == "" {
		t.Errorf("the late one: %+v", m)
	}
	if m := material(t, got, "real-estate-certificate"); m.State != api.MaterialStateMet {
		t.Errorf("what came: %+v", m)
	}
	time.AfterFunc(100*time.Millisecond, release)
	got = w.check("land-approval", "BDC-1", map[string]any{"materials": []string{"tax-clearance"}})
	if m := material(t, got, "tax-clearance"); m.Reason.Code == "source-late" || m.State == api.MaterialStateUnavailable {
		t.Errorf("afterwards: %+v", m)
	}
	if n := w.legacy["tax-clearance"].asked() - before; n != 1 {
		t.Errorf("the source was asked %d times for two checks of the same", n)
	}

	// The source that confirms a role is late: the materials that wait for the role say so.
	release = hold("marriage-certificate")
	got = w.check("land-approval", "BDC-1", bounded)
	if m := material(t, got, "spouse-id"); m.Reason.Code != "role-source-late" {
		t.Errorf("a role's source is late: %+v", m)
	}
	if m := material(t, got, "applicant-id"); m.State != api.MaterialStateMet {
		t.Errorf("what waits for no role waited for the source that confirms one: %+v", m)
	}
	release()

	// A source that fails while it is waited for is an outage, not late.
	w.legacy["tax-clearance"].set(func(l *legacy) { l.before, l.err = nil, errors.New("reset by peer") })
	if m := material(t, w.check("land-approval", "BDC-1", bounded), "tax-clearance"); m.Reason.Code != "source-unavailable" {
		t.Errorf("an outage: %+v", m)
	}
	if n := len(w.gateway.late.owed); n > 1 {
		t.Errorf("%d questions are remembered", n)
	}
}

// TestLateAnswerIsNobodyElses holds what makes two questions one: source, system, person, case and material.
func TestLateAnswerIsNobodyElses(t *testing.T) {
	var l lateAnswers
	stop := make(chan struct{})
	defer close(stop)
	base := lateQuestion{system: "a", request: "x"}
	ask := func() []license.Finding { <-stop; return nil }
	first := l.find(base, true, ask)
	if l.find(base, false, ask) != first {
		t.Error("the same question is asked anew")
	}
	for _, other := range []lateQuestion{{system: "b", request: "x"}, {system: "a", request: "y"}} {
		if l.find(other, false, ask) != nil {
			t.Errorf("%+v takes another's answer", other)
		}
	}
	for i := range maxLate {
		l.find(lateQuestion{system: "c", request: string(rune(i + 256))}, true, ask)
	}
	if l.find(lateQuestion{system: "d"}, true, ask) != nil || len(l.owed) != maxLate {
		t.Errorf("%d questions under way", len(l.owed))
	}
}

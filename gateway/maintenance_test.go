package gateway

import (
	"errors"
	"testing"
	"time"

	"oncegate/api"
)

// Planned maintenance explains an outage and makes none: it is told where the source does not answer within its time, and nowhere else.
func TestMaintenance(t *testing.T) {
	w := newWorld(t)
	now := w.now().Truncate(time.Millisecond)
	plan := func(source string, from, to time.Duration) {
		w.reload(func(s *Snapshot) {
			s.Maintenance = []Maintenance{{Source: source, From: now.Add(from), To: now.Add(to), Why: api.Sentence{Zh: "系统升级", En: "an upgrade"}}}
		})
	}
	expected := func(no string) (api.CheckedMaterial, *Outage) {
		t.Helper()
		w.accept(no)
		m := material(t, w.check("food-approval", no, map[string]any{"materials": []string{"business-license"}}), "business-license")
		for _, o := range w.gateway.Outages() {
			if o.Source == "samr-system" {
				return m, &o
			}
		}
		return m, nil
	}
	w.legacy["business-license"].set(func(l *legacy) { l.err = errors.New("the source is down") })
	for no, test := range map[string]struct {
		source   string
		from, to time.Duration
		told     bool
	}{
		"SP-2": {"samr-system", -time.Hour, time.Hour, true},
		"SP-3": {"samr-system", time.Hour, 2 * time.Hour, false},
		"SP-4": {"samr-system", -2 * time.Hour, -time.Hour, false},
		"SP-5": {"tax-system", -time.Hour, time.Hour, false},
		"SP-6": {"no-system", -time.Hour, time.Hour, false},
	} {
		plan(test.source, test.from, test.to)
		m, o := expected(no)
		if m.State != api.MaterialStateUnavailable || o == nil || o.Since.IsZero() {
			t.Fatalf("%s: %s, outage %+v", no, m.State, o)
		}
		until := now.Add(test.to)
		if told := m.Expected.Equal(until) && o.Until.Equal(until) && o.Why.Zh == "系统升级"; told != test.told || !test.told && (!m.Expected.IsZero() || !o.Until.IsZero() || o.Why.Zh != "") {
			t.Errorf("%s: expected %v, outage %+v", no, m.Expected, o)
		}
	}
	w.legacy["business-license"].set(func(l *legacy) { l.err = nil })
	time.Sleep(60 * time.Millisecond) // the breaker's cooldown
	plan("samr-system", -time.Hour, time.Hour)
	if m, o := expected("SP-1"); m.State != api.MaterialStateMet || !m.Expected.IsZero() || o != nil {
		t.Errorf("a source that answers during its maintenance: %s, expected %v, outage %+v", m.State, m.Expected, o)
	}
	plan("samr-system", 2*time.Hour, 3*time.Hour)
	if list := w.gateway.Upcoming(12 * time.Hour); len(list) != 1 || list[0].Department != "samr" || !list[0].Since.Equal(now.Add(2*time.Hour)) || !list[0].Until.Equal(now.Add(3*time.Hour)) {
		t.Errorf("upcoming: %+v", list)
	}
	if list := w.gateway.Upcoming(time.Hour); list != nil {
		t.Errorf("too early: %+v", list)
	}
}

package cases_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"oncegate/cases"
	"oncegate/license"
)

// evidence is about one material of a case, allowed, with the role confirmed and nothing found yet.
func evidence(t *testing.T, c cases.Case, material string) cases.Evidence {
	t.Helper()
	for _, f := range book(t).Plan(c, "asker") {
		if f.Material.Code == material {
			kind, _ := catalogue(t).Type(f.Material.LicenseType)
			return cases.Evidence{Facts: f, Type: kind, Allowed: true, Confirmed: true, Day: today}
		}
	}
	t.Fatalf("no material %s", material)
	return cases.Evidence{}
}

func with(l license.License, change func(*license.License)) license.License {
	change(&l)
	return l
}

func TestJudgeState(t *testing.T) {
	cal := calendar(t)
	status := func(s license.Status) func(*license.License) { return func(l *license.License) { l.Status = s } }
	sound := record("flat-certificate", map[string]string{"ownership": "共同共有"}, anna, bert)
	food := record("business-license", map[string]string{"kind_of_business": "f 1"}, company)
	for _, c := range []struct {
		name     string
		on       cases.Case
		material string
		spoil    func(*cases.Evidence)
		finding  license.Finding
		state    cases.State
		reason   cases.Reason
		record   int
	}{
		{"met", couple(), "flat-certificate", nil, found(sound), cases.Met, "", 0},
		{"met by code in another spelling", shop(), "business-license", nil, found(food), cases.Met, "", 0},
		{"met by the second", couple(), "flat-certificate", nil, found(with(sound, status(license.Revoked)), sound), cases.Met, "", 1},
		{"met, kept copy", couple(), "flat-certificate", nil, license.Finding{State: license.IsFound, Records: []license.License{sound}, Stale: true}, cases.Met, "", 0},
		{"not found", couple(), "flat-certificate", nil, license.Finding{State: license.IsNotFound}, cases.Missing, cases.NotFound, -1},
		{"found without record", couple(), "flat-certificate", nil, found(), cases.Missing, cases.NotFound, -1},
		{"unavailable", couple(), "flat-certificate", nil, license.Finding{State: license.IsUnavailable}, cases.Unavailable, cases.SourceUnavailable, -1},
		{"faulty", couple(), "flat-certificate", nil, license.Finding{State: license.IsUnavailable, Err: &license.SourceError{Cause: license.NotADay}}, cases.Unavailable, cases.SourceFaulty, -1},
		{"can never be asked", couple(), "flat-certificate", nil, license.Finding{State: license.IsUnavailable, Err: license.ErrCannotAsk}, cases.Missing, cases.NotAskable, -1},
		{"no finding at all", couple(), "flat-certificate", nil, license.Finding{}, cases.Unavailable, cases.SourceUnavailable, -1},
		{"expired", couple(), "flat-certificate", nil, found(with(sound, func(l *license.License) { l.ValidTo = "2026-11-22" })), cases.Lapsed, cases.IsExpired, 0},
		{"last day", couple(), "flat-certificate", nil, found(with(sound, func(l *license.License) { l.ValidTo = today })), cases.Met, "", 0},
		{"revoked", couple(), "flat-certificate", nil, found(with(sound, status(license.Revoked))), cases.Lapsed, cases.IsRevoked, 0},
		{"unknown status", couple(), "flat-certificate", nil, found(with(sound, status("good"))), cases.Lapsed, cases.IsRevoked, 0},
		{"suspended", couple(), "flat-certificate", nil, found(with(sound, status(license.Suspended))), cases.Lapsed, cases.IsSuspended, 0},
		{"superseded", couple(), "flat-certificate", nil, found(with(sound, status(license.Superseded))), cases.Lapsed, cases.IsSuperseded, 0},
		{"not yet", couple(), "flat-certificate", nil, found(with(sound, func(l *license.License) { l.ValidFrom = "2026-11-24" })), cases.Lapsed, cases.NotYetValid, 0},
		{"other value", couple(), "flat-certificate", nil, found(record("flat-certificate", map[string]string{"ownership": "单独所有"}, anna, bert)), cases.Mismatched, cases.NotAsExpected, 0},
		{"says nothing", couple(), "flat-certificate", nil, found(record("flat-certificate", nil, anna, bert)), cases.Mismatched, cases.NotAsExpected, 0},
		{"co-owner missing", couple(), "flat-certificate", nil, found(record("flat-certificate", map[string]string{"ownership": "共同共有"}, anna)), cases.Mismatched, cases.NotAsExpected, 0},
		{"nobody to expect", couple(), "flat-certificate", func(e *cases.Evidence) { e.Facts.Parties = nil }, found(sound), cases.Mismatched, cases.NoPartyInRole, 0},
		{"somebody else's", couple(), "applicant-id", nil, found(record("resident-id", nil, bert)), cases.Mismatched, cases.OtherHolder, 0},
		{"another type", couple(), "applicant-id", nil, found(sound), cases.Mismatched, cases.OtherType, 0},
		{"unreadable", couple(), "flat-certificate", nil, found(record("flat-certificate", map[string]string{"colour": "red"}, anna, bert)), cases.Mismatched, cases.Unreadable, 0},
		{"mismatch tells more than lapse", couple(), "flat-certificate", nil, found(with(sound, status(license.Revoked)), record("flat-certificate", nil, anna, bert)), cases.Mismatched, cases.NotAsExpected, 1},
		{"denied", couple(), "applicant-id", func(e *cases.Evidence) { e.Allowed, e.Reason = false, "no-grant" }, found(), cases.Denied, "no-grant", -1},
		{"denied without reason", couple(), "applicant-id", func(e *cases.Evidence) { e.Allowed = false }, found(), cases.Denied, cases.ByPolicy, -1},
		{"no facts", couple(), "applicant-id", func(e *cases.Evidence) { e.Facts = cases.Facts{} }, found(), cases.Denied, cases.ByPolicy, -1},
		{"closed", changed(couple(), func(c *cases.Case) { c.Closed = now }), "applicant-id", nil, found(), cases.Denied, cases.CaseClosed, -1},
		{"role unconfirmed", couple(), "spouse-id", func(e *cases.Evidence) { e.Confirmed, e.Role = false, cases.RoleNotInRecord }, found(), cases.Denied, cases.RoleNotInRecord, -1},
		{"role's source down", couple(), "spouse-id", func(e *cases.Evidence) { e.Confirmed, e.Role = false, cases.RoleUnavailable }, found(), cases.Unavailable, cases.RoleUnavailable, -1},
		{"role never asked", couple(), "spouse-id", func(e *cases.Evidence) { e.Confirmed = false }, found(record("resident-id", nil, bert)), cases.Unavailable, cases.RoleUnavailable, -1},
		{"nobody in the role", changed(couple(), func(c *cases.Case) { c.Parties = c.Parties[:1] }), "spouse-id", nil, found(), cases.Missing, cases.NoPartyInRole, -1},
		{"no source", shop(), "form", nil, found(), cases.Missing, cases.NoSource, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := evidence(t, c.on, c.material)
			e.Finding = c.finding
			if c.spoil != nil {
				c.spoil(&e)
			}
			j := cases.Judge(e, cal)
			if j.State != c.state || j.Reason != c.reason || j.Record != c.record || j.Stale != c.finding.Stale {
				t.Errorf("judged %+v", j)
			}
			if again := cases.Judge(e, cal); !cmp.Equal(j, again) {
				t.Error("the same evidence is judged differently")
			}
			if (j.State == cases.Met) != (j.Fallback == cases.Fallen{}) {
				t.Errorf("fallback %+v", j.Fallback)
			}
		})
	}
}

func changed(c cases.Case, change func(*cases.Case)) cases.Case {
	change(&c)
	return c
}

func TestJudgeFallback(t *testing.T) {
	cal := calendar(t)
	got := func(how string, day int) cases.Received {
		return cases.Received{Case: "FLAT-2026-0001", Matter: "FLAT", How: how, At: now.AddDate(0, 0, day)}
	}
	for _, c := range []struct {
		name     string
		material string
		finding  license.Found
		received []cases.Received
		day      license.Date
		cal      *cases.Calendar
		covered  string
		fallback cases.Fallen
		next     cases.NextStep
		blocks   bool
		settled  bool
	}{
		{"tolerated", "tax-clearance", license.IsNotFound, nil, today, cal, "", cases.Fallen{Kind: "tolerate", Deadline: "2026-12-07"}, cases.NextFollow, false, false},
		{"tolerated, source down", "tax-clearance", license.IsUnavailable, nil, today, cal, "", cases.Fallen{Kind: "tolerate", Deadline: "2026-12-07"}, cases.NextAgain, false, false},
		{"tolerated on the last day", "tax-clearance", license.IsNotFound, nil, "2026-12-07", cal, "", cases.Fallen{Kind: "tolerate", Deadline: "2026-12-07"}, cases.NextFollow, false, false},
		{"tolerated too long", "tax-clearance", license.IsNotFound, nil, "2026-12-08", cal, "", cases.Fallen{Kind: "upload", Deadline: "2026-12-07", Overdue: true}, cases.NextUpload, true, false},
		{"tolerated, no calendar", "tax-clearance", license.IsNotFound, nil, today, nil, "", cases.Fallen{Kind: "tolerate", Reason: cases.CalendarEnds}, cases.NextFollow, false, false},
		{"to promise", "marriage-certificate", license.IsNotFound, nil, today, cal, "", cases.Fallen{Kind: "promise", Deadline: "2026-11-30"}, cases.NextPromise, true, false},
		{"promised", "marriage-certificate", license.IsNotFound, []cases.Received{got("promised", 1)}, "2026-11-25", cal, "promised", cases.Fallen{Kind: "promise", Deadline: "2026-12-01"}, cases.NextFollow, false, false},
		{"promised, source down", "marriage-certificate", license.IsUnavailable, []cases.Received{got("promised", 1)}, "2026-11-25", cal, "promised", cases.Fallen{Kind: "promise", Deadline: "2026-12-01"}, cases.NextAgain, false, false},
		{"promise broken", "marriage-certificate", license.IsNotFound, []cases.Received{got("promised", 1)}, "2026-12-02", cal, "", cases.Fallen{Kind: "upload", Deadline: "2026-12-01", Overdue: true}, cases.NextUpload, true, false},
		{"promise renewed", "marriage-certificate", license.IsNotFound, []cases.Received{got("promised", 1), got("promised", 8)}, "2026-12-02", cal, "promised", cases.Fallen{Kind: "promise", Deadline: "2026-12-08"}, cases.NextFollow, false, false},
		{"promise kept", "marriage-certificate", license.IsNotFound, []cases.Received{got("promised", 1), got("uploaded", 2)}, "2027-12-02", cal, "uploaded", cases.Fallen{}, cases.NextNothing, false, true},
		{"promise after upload", "marriage-certificate", license.IsNotFound, []cases.Received{got("uploaded", 1), got("promised", 2)}, "2027-12-02", cal, "uploaded", cases.Fallen{}, cases.NextNothing, false, true},
		{"necessary, promised", "spouse-id", license.IsNotFound, []cases.Received{got("promised", 0)}, today, cal, "promised", cases.Fallen{Kind: "promise", Deadline: "2026-12-14"}, cases.NextFollow, false, false},
		{"to upload", "applicant-id", license.IsUnavailable, nil, today, cal, "", cases.Fallen{Kind: "upload"}, cases.NextUpload, true, false},
		{"uploaded", "applicant-id", license.IsUnavailable, []cases.Received{got("uploaded", 0)}, today, cal, "uploaded", cases.Fallen{}, cases.NextNothing, false, true},
		{"waived", "applicant-id", license.IsUnavailable, []cases.Received{got("waived", 0)}, today, cal, "waived", cases.Fallen{}, cases.NextNothing, false, true},
		{"a promise nobody may give", "applicant-id", license.IsUnavailable, []cases.Received{got("promised", 0)}, today, cal, "", cases.Fallen{Kind: "upload"}, cases.NextUpload, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := evidence(t, couple(), c.material)
			e.Finding, e.From, e.Day = license.Finding{State: c.finding}, today, c.day
			e.Received = []cases.Received{{Matter: "FOOD", Material: c.material, How: "waived", At: now}, {Matter: "FLAT", Material: "x", How: "waived", At: now}}
			for _, r := range c.received {
				r.Material = c.material
				e.Received = append(e.Received, r)
			}
			j := cases.Judge(e, c.cal)
			if diff := cmp.Diff(c.fallback, j.Fallback); diff != "" {
				t.Errorf("fallback (-want +got):\n%s", diff)
			}
			if j.Covered != c.covered || j.Next != c.next || j.Blocks() != c.blocks || j.Done() != c.settled {
				t.Errorf("covered %q, next %q, blocks %v, done %v", j.Covered, j.Next, j.Blocks(), j.Done())
			}
		})
	}
}

// Checking again mends no data: what a faulty source does not say follows by the deadline like anything that is missing.
func TestFaultyIsNotCheckedAgain(t *testing.T) {
	for err, want := range map[error]cases.NextStep{nil: cases.NextAgain, license.ErrFaulty: cases.NextFollow} {
		e := evidence(t, couple(), "tax-clearance")
		e.Finding, e.From, e.Day = license.Finding{State: license.IsUnavailable, Err: err}, today, today
		if j := cases.Judge(e, calendar(t)); j.State != cases.Unavailable || j.Next != want {
			t.Errorf("%v: %s, next %q, want %q", err, j.State, j.Next, want)
		}
	}
}

// A source that comes back makes a covered material met after all, and an optional one never blocks.
func TestJudgeLater(t *testing.T) {
	e := evidence(t, couple(), "applicant-id")
	e.Received = []cases.Received{{Matter: "FLAT", Material: "applicant-id", How: cases.HowUploaded, At: now}}
	e.Finding = found(record("resident-id", nil, anna))
	if j := cases.Judge(e, nil); j.State != cases.Met || j.Covered != "" {
		t.Errorf("judged %+v", j)
	}
	form := cases.Judge(evidence(t, shop(), "form"), nil)
	if form.Blocks() || !form.Done() || form.Next != cases.NextNothing || form.Fallback.Kind != cases.FallUpload {
		t.Errorf("optional: %+v", form)
	}
}

func TestConclude(t *testing.T) {
	met := cases.Judgement{Need: cases.Required, State: cases.Met}
	uploaded := cases.Judgement{Need: cases.Required, State: cases.Missing, Covered: cases.HowUploaded}
	later := cases.Judgement{Need: cases.Tolerable, State: cases.Unavailable, Fallback: cases.Fallen{Kind: cases.FallTolerate, Deadline: "2026-12-07"}}
	sooner := later
	sooner.Fallback.Deadline = "2026-12-01"
	missing := cases.Judgement{Need: cases.Required, State: cases.Missing, Fallback: cases.Fallen{Kind: cases.FallUpload}}
	for _, c := range []struct {
		name string
		of   []cases.Judgement
		want cases.Outcome
	}{
		{"nothing", nil, cases.Outcome{}},
		{"all met", []cases.Judgement{met, met}, cases.Outcome{GoesOn: true, Complete: true}},
		{"one uploaded", []cases.Judgement{met, uploaded}, cases.Outcome{GoesOn: true, Complete: true}},
		{"two to follow", []cases.Judgement{later, met, sooner}, cases.Outcome{GoesOn: true, Deadline: "2026-12-01"}},
		{"one missing", []cases.Judgement{met, missing, later}, cases.Outcome{Deadline: "2026-12-07"}},
	} {
		if diff := cmp.Diff(c.want, cases.Conclude(c.of)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

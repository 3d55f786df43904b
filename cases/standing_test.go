package cases_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"oncegate/cases"
	"oncegate/license"
)

// TestStandingIsTheJudgement: what Stand says of a material between checks is what the check said, for random evidence: the state, what
// covers it, and until when. Nothing is due of what is done; whatever is overdue is what a check does not count as covered any more.
func TestStandingIsTheJudgement(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	calendar := &cases.Calendar{Years: []int{2026}, Holidays: []license.Date{"2026-10-01", "2026-10-02"}, Worked: []license.Date{"2026-10-10"}}
	day := func() license.Date {
		return license.DateOf(time.Date(2026, 9, 1+random.IntN(130), 4, 0, 0, 0, time.UTC))
	}
	dues := 0
	for range 20000 {
		material := cases.Material{Code: "m", Need: cases.Need(1 + random.IntN(3)), Route: []string{cases.RouteLicense, cases.RoutePromise}[random.IntN(2)], LicenseType: "t"}
		material.Fallback = []cases.Fallback{{Kind: cases.FallUpload}, {Kind: cases.FallTolerate, Days: 1 + random.IntN(20)}, {Kind: cases.FallPromise, Days: 1 + random.IntN(20)}}[random.IntN(3)]
		e := cases.Evidence{
			Facts: cases.Facts{Matter: cases.Matter{Code: "x"}, Material: material}, Allowed: random.IntN(4) > 0, From: day(), Day: day(),
			Finding: license.Finding{State: []license.Found{license.IsNotFound, license.IsUnavailable}[random.IntN(2)]},
		}
		if material.Route == cases.RoutePromise {
			e.Facts.Reasons = append(e.Facts.Reasons, cases.NoSource)
		}
		for range random.IntN(3) {
			at, _ := day().Start()
			e.Received = append(e.Received, cases.Received{Matter: "x", Material: "m", How: []string{cases.HowUploaded, cases.HowPromised, cases.HowWaived}[random.IntN(3)], At: at})
		}
		judged := cases.Judge(e, calendar)
		var states []cases.LastState
		for _, found := range cases.StatesOf(nil, cases.LastState{Case: "c"}, []cases.Judgement{judged}) {
			states = append(states, found.LastState)
		}
		if (len(states) == 1) != (judged.State != cases.Denied) {
			t.Fatalf("%s is kept as %v", judged.State, states)
		}
		standing := cases.Stand(e, states, calendar)
		judged.Reason, judged.Next = standing.Reason, standing.Next // what is kept has neither: a check tells
		if diff := cmp.Diff(judged, standing.Judgement); diff != "" {
			t.Fatalf("%+v\n(-judged +standing):\n%s", e, diff)
		}
		due := standing.Due
		switch {
		case due == nil:
		case standing.Done(), due.Overdue != (due.Deadline != "" && due.Deadline.Before(e.Day)), due.Overdue && standing.Covered != "", (due.Deadline == "") != (due.Reason == cases.CalendarEnds):
			t.Fatalf("%+v of %+v", due, standing)
		default:
			dues++
			if n, err := calendar.Add(e.Day, due.Days); due.Deadline != "" && !due.Overdue && err == nil && n.After(due.Deadline) {
				t.Fatalf("%d working days from %s are %s, the deadline %s", due.Days, e.Day, n, due.Deadline)
			}
		}
		if !e.Allowed && material.FromSource() && standing.Last != nil {
			t.Fatal("what may not be known is told")
		}
	}
	if dues < 1000 {
		t.Errorf("only %d were due: nothing was tried", dues)
	}
}

// TestStatesOf: of a material that several parties have the worst is kept, and only what is news; what could not be told leaves nothing.
func TestStatesOf(t *testing.T) {
	j := func(material string, state cases.State) cases.Judgement {
		return cases.Judgement{Matter: "x", Material: material, State: state}
	}
	known := []cases.LastState{{Matter: "x", Material: "a", State: cases.Missing}, {Matter: "x", Material: "a", State: cases.Met}, {Matter: "y", Material: "b", State: cases.Met}}
	got := cases.StatesOf(known, cases.LastState{Case: "c", By: "s"}, []cases.Judgement{
		j("a", cases.Met), j("b", cases.Met), j("c", cases.Met), j("c", cases.Lapsed), j("c", cases.Met), j("d", cases.Met), j("d", cases.Denied), j("e", cases.Unavailable),
	})
	var text []string
	for _, one := range got {
		text = append(text, one.Material+" "+string(one.State))
	}
	if want := []string{"b met", "c lapsed", "e unavailable"}; !slices.Equal(text, want) {
		t.Errorf("kept %v, want %v", text, want)
	}
}

// TestBetween counts what Add counts.
func TestBetween(t *testing.T) {
	calendar := &cases.Calendar{Years: []int{2026}, Holidays: []license.Date{"2026-10-01", "2026-10-02"}, Worked: []license.Date{"2026-10-10"}}
	for n := range 60 {
		end, err := calendar.Add("2026-09-25", n)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := calendar.Between("2026-09-25", end); err != nil || got != n {
			t.Errorf("%d working days later it is %s, which is %d, %v", n, end, got, err)
		}
	}
	if got, err := calendar.Between("2026-10-09", "2026-09-25"); got != 0 || err != nil {
		t.Errorf("back: %d, %v", got, err)
	}
	if _, err := calendar.Between("2026-12-30", "2027-01-05"); err == nil {
		t.Error("a year that is not covered is counted")
	}
}

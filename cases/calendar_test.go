package cases_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"oncegate/cases"
	"oncegate/license"
)

func TestCalendarIsSound(t *testing.T) {
	if faults := calendar(t).Check(); len(faults) > 0 {
		t.Errorf("faults in a sound calendar: %v", faults)
	}
}

func TestCalendarFaults(t *testing.T) {
	bad := cases.Calendar{
		Years:    []int{26, 2026},
		Holidays: []license.Date{"2026-02-30", "2026-10-01", "2026-10-01", "2028-01-01"},
		Worked:   []license.Date{"2026-10-10", "2026-10-12", "soon", "2026-10-01"},
	}
	var paths []string
	for _, fault := range bad.Check() {
		paths = append(paths, fault.Path)
	}
	want := []string{
		"$.list", "$.years[0]", "$.holidays[0]", "$.holidays[2]", "$.holidays[3]", "$.worked[1]", "$.worked[2]", "$.worked[3]", "$.worked[3]",
	}
	if diff := cmp.Diff(want, paths); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
	if faults := (&cases.Calendar{}).Check(); len(faults) != 2 {
		t.Errorf("faults of an empty calendar: %v", faults)
	}
}

func TestAddWorkingDays(t *testing.T) {
	c := calendar(t)
	for _, x := range []struct {
		from license.Date
		n    int
		want license.Date
	}{
		{"2026-11-23", 0, "2026-11-23"},
		{"2026-11-23", 1, "2026-11-24"},
		{"2026-11-23", 5, "2026-11-30"}, // over a weekend
		{"2026-11-28", 1, "2026-11-30"}, // from a Saturday
		{"2026-02-13", 1, "2026-02-14"}, // a Saturday that is worked
		{"2026-02-14", 1, "2026-02-24"}, // over the spring festival
		{"2026-09-30", 1, "2026-10-08"}, // over the national holiday
		{"2026-09-30", 3, "2026-10-10"}, // a worked Saturday counts
		{"2026-12-31", 1, "2027-01-04"}, // into the next year
		{"2025-12-31", 1, "2026-01-04"}, // the day itself is not looked up
	} {
		if got, err := c.Add(x.from, x.n); err != nil || got != x.want {
			t.Errorf("%s + %d = %s, %v, want %s", x.from, x.n, got, err, x.want)
		}
	}
}

func TestAddRefuses(t *testing.T) {
	c := calendar(t)
	if _, err := c.Add("2027-12-30", 5); !errors.Is(err, cases.ErrNotCovered) {
		t.Errorf("beyond the covered years: %v", err)
	}
	if _, err := (*cases.Calendar)(nil).Add(today, 1); !errors.Is(err, cases.ErrNotCovered) {
		t.Errorf("without a calendar: %v", err)
	}
	if _, err := c.Add(today, -1); err == nil {
		t.Error("counted backwards")
	}
	if _, err := c.Add("soon", 1); license.ReasonOf(err) != license.WrongDate {
		t.Errorf("from no date: %v", err)
	}
	if _, err := c.Working("soon"); license.ReasonOf(err) != license.WrongDate {
		t.Errorf("no date: %v", err)
	}
}

// Add lands on a working day with exactly n working days behind it.
func TestAddCounts(t *testing.T) {
	c := calendar(t)
	rapid.Check(t, func(t *rapid.T) {
		from, err := license.Date("2026-01-01").AddDays(rapid.IntRange(0, 600).Draw(t, "from"))
		if err != nil {
			t.Fatal(err)
		}
		n := rapid.IntRange(1, 60).Draw(t, "n")
		to, err := c.Add(from, n)
		if err != nil {
			t.Fatal(err)
		}
		count := 0
		for day := from; day != to; {
			if day, err = day.AddDays(1); err != nil {
				t.Fatal(err)
			}
			working, err := c.Working(day)
			if err != nil {
				t.Fatal(err)
			}
			if working {
				count++
			}
			if day == to && !working {
				t.Fatal("the last day is free")
			}
		}
		if count != n {
			t.Fatalf("%s + %d = %s, but %d working days lie between", from, n, to, count)
		}
		if slices.Contains(c.Holidays, to) {
			t.Fatal("the last day is a holiday")
		}
	})
}

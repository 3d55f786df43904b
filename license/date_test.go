package license_test

import (
	"fmt"
	"testing"
	"time"

	"oncegate/license"
)

func TestParseDate(t *testing.T) {
	for _, c := range []struct {
		text   string
		layout string
		want   license.Date
	}{
		{"2026-11-23", "", "2026-11-23"},
		{"20261123", "", "2026-11-23"},
		{"20240229", "", "2024-02-29"},
		{"1940-06-01", "", "1940-06-01"}, // the clocks skipped its midnight
		{"1940年6月1日", "2006年1月2日", "1940-06-01"},
		{"2026年1月2日", "2006年1月2日", "2026-01-02"},
		{"2026/01/02 23:59:59", "2006/01/02 15:04:05", "2026-01-02"},
		{"2026-01-01T16:00:00Z", time.RFC3339, "2026-01-02"},
		{"2026-01-02T00:00:00+08:00", time.RFC3339, "2026-01-02"},
		{"1767283200000", license.UnixMillis, "2026-01-02"},
		{"1767283200", license.UnixSeconds, "2026-01-02"},
		{"", "", ""},
		{"2026-02-29", "", ""},
		{"20260230", "", ""},
		{"2026-13-01", "", ""},
		{"2026-1-2", "", ""},
		{"2026年1月2日", "", ""},
		{"0000-00-00", "", ""},
		{"0001-01-01", "", ""},
		{"1799-12-31", "", ""},
		{"2026-11-23 ", "", ""},
		{"长期", "", ""},
		{"99999999999999999999", license.UnixMillis, ""},
		{"9223372036854775807", license.UnixSeconds, ""},
	} {
		var layouts []string
		if c.layout != "" {
			layouts = append(layouts, c.layout)
		}
		got, err := license.ParseDate(c.text, layouts...)
		if got != c.want || (err == nil) != (c.want != "") || err != nil && license.ReasonOf(err) != license.WrongDate {
			t.Errorf("%q: %q, %v, want %q", c.text, got, err, c.want)
		}
	}
}

func TestParseEnd(t *testing.T) {
	for text, want := range map[string]license.Date{"": "", "长期": "", "20301231": "2030-12-31"} {
		if got, err := license.ParseEnd(text); err != nil || got != want {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	if _, err := license.ParseEnd("forever"); err == nil {
		t.Error("forever is no end")
	}
}

func TestDate(t *testing.T) {
	if day := license.DateOf(time.Date(2026, 1, 1, 16, 0, 0, 0, time.UTC)); day != "2026-01-02" {
		t.Errorf("midnight in Shanghai falls on %s", day)
	}
	a, b := license.Date("2026-01-01"), license.Date("2026-01-02")
	if !a.Before(b) || a.After(b) || !b.After(a) || a.Before(a) || license.Date("").Before(a) || a.Before("") {
		t.Error("the order of days is wrong")
	}
	if next, err := a.AddDays(-1); err != nil || next != "2025-12-31" {
		t.Errorf("the day before is %s, %v", next, err)
	}
	if _, err := license.Date("soon").AddDays(1); err == nil {
		t.Error("soon has a next day")
	}
	if start, err := b.Start(); err != nil || !start.Equal(time.Date(2026, 1, 1, 16, 0, 0, 0, time.UTC)) {
		t.Errorf("the day starts at %v, %v", start, err)
	}
	for _, wrong := range []license.Date{"20260101", "2026-02-30"} {
		if _, err := wrong.Start(); err == nil || wrong.Check() == nil {
			t.Errorf("%s passes for a date", wrong)
		}
	}
	start := func(d license.Date) time.Time {
		at, err := d.Start()
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	for day, want := range map[license.Date]time.Time{
		"9999-12-31": time.Date(9999, 12, 31, 16, 0, 0, 0, time.UTC), // how older registers write 长期
		"1800-01-01": start("1800-01-02"),
		"1940-06-01": start("1940-06-02"), // clocks skipped a midnight there
		"2026-01-01": start("2026-01-02"),
	} {
		if end, err := day.End(); err != nil || !end.Equal(want) || day.Check() != nil {
			t.Errorf("%s ends at %v, %v, want %v", day, end, err, want)
		}
	}
	for _, wrong := range []license.Date{"", "2026-02-30", "20260101"} {
		if _, err := wrong.End(); err == nil {
			t.Errorf("%q has an end", wrong)
		}
	}
	if next, err := license.Date("9999-12-31").AddDays(1); err == nil || next != "" {
		t.Errorf("after the last day comes %q", next)
	}
	if _, err := license.Date("").Start(); err == nil || license.Date("").Check() != nil {
		t.Error("the empty date is allowed, but has no start")
	}
}

// TestDateIsTheCalendar: package time says which days there are.
func TestDateIsTheCalendar(t *testing.T) {
	for year := 1790; year < 2110; year++ {
		for month := range 15 {
			for day := range 35 {
				text := fmt.Sprintf("%04d-%02d-%02d", year, month, day)
				_, err := time.Parse("2006-01-02", text)
				if got := license.Date(text).Check() == nil; got != (err == nil && year >= 1800) {
					t.Fatalf("%s is a day: %v", text, got)
				}
			}
		}
	}
	for i := range len("2026-11-23") { // no other character stands in any place
		for c := range 256 {
			text := []byte("2026-11-23")
			text[i] = byte(c)
			_, err := time.Parse("2006-01-02", string(text))
			if got := license.Date(text).Check() == nil; got != (err == nil && string(text) >= "1800") {
				t.Fatalf("%q is a day: %v", text, got)
			}
		}
	}
}

func TestStatusAt(t *testing.T) {
	for _, c := range []struct {
		status license.Status
		day    license.Date
		want   license.Status
		force  bool
	}{
		{license.Valid, "2026-01-01", license.Valid, true},
		{license.Valid, "2026-12-31", license.Valid, true},
		{license.Valid, "2027-01-01", license.Expired, false},
		{license.Valid, "2025-12-31", license.Valid, false},
		{license.Suspended, "2026-06-01", license.Suspended, false},
		{license.Suspended, "2027-06-01", license.Expired, false},
		{license.Revoked, "2027-06-01", license.Revoked, false},
		{license.Superseded, "2027-06-01", license.Superseded, false},
		{license.Expired, "2026-06-01", license.Expired, false},
	} {
		l := license.License{Status: c.status, ValidFrom: "2026-01-01", ValidTo: "2026-12-31"}
		if got := l.StatusAt(c.day); got != c.want || l.InForce(c.day) != c.force {
			t.Errorf("%s on %s: %s, in force %v", c.status, c.day, got, l.InForce(c.day))
		}
	}
	unlimited := license.License{Status: license.Valid}
	if !unlimited.InForce("9999-12-31") {
		t.Error("an unlimited license ended")
	}
}

func FuzzParseDate(f *testing.F) {
	for _, seed := range []string{"2026-11-23", "20261123", "2026年1月2日", "1767283200000", "长期", "2026-01-01T16:00:00Z"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		day, err := license.ParseDate(text, "2006年1月2日", time.RFC3339, license.UnixMillis)
		if err != nil {
			if day != "" {
				t.Fatal("a refused date has a value")
			}
			return
		}
		if again, err := license.ParseDate(string(day)); err != nil || again != day || day.Check() != nil {
			t.Fatalf("%q is read again as %q, %v", day, again, err)
		}
	})
}

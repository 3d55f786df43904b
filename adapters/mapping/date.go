package mapping

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"oncegate/license"
)

const (
	rfc3339 = "rfc3339"
	// serial is a number of days since 1899-12-30, as spreadsheets keep dates and write them where they take a date for a number. A
	// part of a day is the time of day.
	serial = "excel-serial"
)

// defaultLayouts are those that can be mistaken for nothing else: how SQL writes a day and a time stamp, and eight digits.
var defaultLayouts = []string{"yyyy-MM-dd", "yyyyMMdd", "yyyy-MM-dd HH:mm:ss"}

// Which day of a month a text means that names no day.
const (
	firstDay = "first"
	lastDay  = "last"
)

var layoutWords = strings.NewReplacer("yyyy", "2006", "MM", "01", "M", "1", "dd", "02", "d", "2", "HH", "15", "mm", "04", "ss", "05")

func goLayout(layout string) string { return layoutWords.Replace(layout) }

// hasZone says whether texts in the layout name an instant, whose day depends on the place: 2026-01-01T16:00:00Z is
// the 2nd of January in China.
func hasZone(layout string) bool {
	return layout == rfc3339 || layout == license.UnixSeconds || layout == license.UnixMillis
}

// isMonth says whether texts in the layout name a month and no day: yyyyMM, yyyy-MM, yyyy年M月.
func isMonth(layout string) bool {
	return !hasZone(layout) && layout != serial && !strings.Contains(layout, "d")
}

// CheckLayout says what is wrong with a layout of a moment, or "".
func CheckLayout(layout string) string {
	if hasZone(layout) {
		return ""
	}
	if layout == serial || isMonth(layout) {
		return "a layout needs yyyy, MM or M, and dd or d"
	}
	return checkLayout(layout)
}

// checkLayout says what is wrong with a layout of Value.Layouts, or "".
func checkLayout(layout string) string {
	if hasZone(layout) || layout == serial {
		return ""
	}
	sample := time.Date(2031, 11, 29, 0, 0, 0, 0, time.UTC)
	needed, complaint := []string{"yyyy", "M", "d"}, "a layout needs yyyy, MM or M, and dd or d"
	if isMonth(layout) {
		needed, complaint = needed[:2], "a layout needs yyyy, and MM or M"
		sample = sample.AddDate(0, 0, 1-sample.Day())
	}
	for _, word := range needed {
		if !strings.Contains(layout, word) {
			return complaint
		}
	}
	if back, err := time.Parse(goLayout(layout), sample.Format(goLayout(layout))); err != nil || !back.Equal(sample) {
		return "the layout does not read back what it writes; it may use yyyy, MM, M, dd, d, HH, mm, ss and signs"
	}
	return ""
}

// ParseTime reads a moment written in a layout of Value.Layouts, as China's time where the text has no offset.
func ParseTime(layout, s string) (time.Time, error) {
	t, err := time.ParseInLocation(goLayout(layout), s, license.Shanghai())
	if err != nil { // its text repeats the value
		return time.Time{}, errors.New("not in the layout " + layout)
	}
	return t, nil
}

// day reads a calendar day in one layout; the caller checks that there is such a day. A layout without a zone is read in UTC and
// never moved, because there are days whose midnight Shanghai's clocks skipped.
func day(layout, s string) (license.Date, error) {
	switch {
	case layout == "yyyy-MM-dd": // this and the next are in almost every record
		return license.Date(s), nil
	case layout == "yyyyMMdd" && len(s) == len(layout):
		return license.Date(s[:4] + "-" + s[4:6] + "-" + s[6:]), nil
	case layout == rfc3339:
		t, err := time.Parse(time.RFC3339, s)
		return license.DateOf(t), err
	case layout == serial:
		return serialDay(s)
	case hasZone(layout): // a number; license.ParseDate would try its own two forms first
		n, err := strconv.ParseInt(s, 10, 64)
		if layout == license.UnixSeconds {
			return license.DateOf(time.Unix(n, 0)), err
		}
		return license.DateOf(time.UnixMilli(n)), err
	}
	t, err := time.Parse(goLayout(layout), s)
	return license.Date(t.Format("2006-01-02")), err
}

// serialDay reads a spreadsheet's number of a day. Before 1900-03-01 spreadsheets do not agree on it, because the first of them took 1900
// for a leap year.
func serialDay(s string) (license.Date, error) {
	days, err := strconv.ParseFloat(s, 64)
	if err != nil || !(days >= 61 && days < 2958466) { // up to 9999-12-31
		return "", errors.New("not the number of a day")
	}
	return license.Date(time.Date(1899, 12, 30+int(days), 0, 0, 0, 0, time.UTC).Format("2006-01-02")), nil
}

// dayOfMonth is the day that a text means which names a month.
func (v Value) dayOfMonth(first license.Date) license.Date {
	t, err := time.Parse("2006-01-02", string(first))
	if err != nil || v.Day != lastDay {
		return first
	}
	return license.Date(t.AddDate(0, 1, -1).Format("2006-01-02"))
}

// date reads a calendar day. Impossible days, and placeholders such as 0001-01-01, are refused.
func (v Value) date(r Row) (license.Date, error) {
	s, err := v.raw(r)
	if err != nil {
		return "", err
	}
	return v.day(s)
}

func (v Value) day(s string) (license.Date, error) {
	if s == "" || slices.Contains(v.Unlimited, s) {
		return "", nil
	}
	layouts := v.Layouts
	if len(layouts) == 0 || v.From == "" {
		layouts = defaultLayouts
	}
	for _, layout := range layouts {
		d, err := day(layout, s)
		if err == nil && isMonth(layout) {
			d = v.dayOfMonth(d)
		}
		if err == nil && d.Check() == nil {
			return d, nil
		}
	}
	return "", errNotADay
}

// end reads the end of a validity, where "not stated" would read as "unlimited": the empty text counts only if the
// configuration says so.
func (v Value) end(r Row) (license.Date, error) {
	if s, err := v.raw(r); err == nil && v.set() && s == "" && !slices.Contains(v.Unlimited, "") {
		return "", errors.New(`the end of validity is empty; list "" under unlimited if that means 长期`)
	}
	return v.date(r)
}

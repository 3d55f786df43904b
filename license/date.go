package license

import (
	"fmt"
	"strconv"
	"sync"
	"time"
)

// Unlimited is how GB/T 36903 writes an end of validity that never comes.
const Unlimited = "长期"

// Layouts of ParseDate that are no pattern.
const (
	UnixSeconds = "unix-s"  // seconds since 1970
	UnixMillis  = "unix-ms" // milliseconds since 1970
)

const (
	dateLayout = "2006-01-02"
	firstYear  = 1800 // an earlier day in a register is a placeholder, not a fact
	lastYear   = 9999
)

var shanghai = sync.OnceValue(func() *time.Location {
	if place, err := time.LoadLocation("Asia/Shanghai"); err == nil {
		return place
	}
	return time.FixedZone("Asia/Shanghai", 8*60*60)
})

// Shanghai is the time zone of every legal day here. Where no time zone data are at hand it is a fixed UTC+8.
func Shanghai() *time.Location { return shanghai() }

// ParseDate reads a day written as yyyy-mm-dd or yyyyMMdd, or in one of the layouts given (patterns of package time,
// UnixSeconds or UnixMillis). A moment with a zone becomes its day in Shanghai. Days that do not exist, and years before
// 1800, are refused with an error that wraps WrongDate.
func ParseDate(text string, layouts ...string) (Date, error) {
	for _, layout := range append([]string{dateLayout, "20060102"}, layouts...) {
		day, err := parseDay(text, layout)
		if err == nil && day.Year() >= firstYear && day.Year() <= lastYear {
			return Date(day.Format(dateLayout)), nil
		}
	}
	return "", fmt.Errorf("read date: %w", WrongDate)
}

// parseDay returns a time whose own clock shows the day. A text without a zone is never moved through one: there are
// days whose midnight the clocks of Shanghai skipped.
func parseDay(text, layout string) (time.Time, error) {
	switch layout {
	case UnixSeconds, UnixMillis:
		number, err := strconv.ParseInt(text, 10, 64)
		if layout == UnixMillis {
			return time.UnixMilli(number).In(Shanghai()), err
		}
		return time.Unix(number, 0).In(Shanghai()), err
	}
	written, err := time.Parse(layout, text)
	if err != nil {
		return time.Time{}, err
	}
	// Read in another zone it is the same moment only if the text names its zone itself.
	if there, err := time.ParseInLocation(layout, text, Shanghai()); err == nil && there.Equal(written) {
		return written.In(Shanghai()), nil
	}
	return written, nil
}

// ParseEnd reads the end of a validity: as ParseDate, and nothing or 长期 for unlimited, which is the empty Date.
func ParseEnd(text string, layouts ...string) (Date, error) {
	if text == "" || text == Unlimited {
		return "", nil
	}
	return ParseDate(text, layouts...)
}

// DateOf returns the day on which a moment falls in Shanghai.
func DateOf(moment time.Time) Date { return Date(moment.In(Shanghai()).Format(dateLayout)) }

// Check returns an error that wraps WrongDate unless the date is empty or a real day in the one form.
func (d Date) Check() error {
	if d == "" || d.real() {
		return nil
	}
	return fmt.Errorf("read date: %w", WrongDate)
}

// real reads the one form by hand: every date of every record is looked at several times on its way, and package time takes ten
// times as long to read it.
func (d Date) real() bool {
	if len(d) != len(dateLayout) {
		return false
	}
	parts, at := [3]int{}, 0
	for i := range len(dateLayout) {
		switch {
		case dateLayout[i] == '-' && d[i] == '-':
			at++
		case dateLayout[i] == '-' || d[i] < '0' || d[i] > '9':
			return false
		default:
			parts[at] = parts[at]*10 + int(d[i]-'0')
		}
	}
	// A day that does not exist becomes another one.
	year, month, day := time.Date(parts[0], time.Month(parts[1]), parts[2], 0, 0, 0, 0, time.UTC).Date()
	return [3]int{year, int(month), day} == parts && year >= firstYear
}

// Before reports whether d is an earlier day than other. An empty date is neither before nor after.
func (d Date) Before(other Date) bool { return d != "" && other != "" && d < other }

// After reports whether d is a later day than other. An empty date is neither before nor after.
func (d Date) After(other Date) bool { return other.Before(d) }

// Start returns the first moment of the day in Shanghai.
func (d Date) Start() (time.Time, error) {
	if err := d.Check(); err != nil || d == "" {
		return time.Time{}, fmt.Errorf("read date: %w", WrongDate)
	}
	return time.ParseInLocation(dateLayout, string(d), Shanghai())
}

// End returns the first moment after the day in Shanghai. Every real day has one, 9999-12-31 too, though no Date follows it.
func (d Date) End() (time.Time, error) {
	day, err := time.Parse(dateLayout, string(d))
	if err != nil || !d.real() {
		return time.Time{}, fmt.Errorf("read date: %w", WrongDate)
	}
	return time.Date(day.Year(), day.Month(), day.Day()+1, 0, 0, 0, 0, Shanghai()), nil
}

// AddDays returns the day n calendar days later (earlier if n is negative). The error wraps WrongDate if there is no Date for it, as
// after 9999-12-31.
func (d Date) AddDays(n int) (Date, error) {
	day, err := time.Parse(dateLayout, string(d))
	if err != nil {
		return "", fmt.Errorf("read date: %w", WrongDate)
	}
	if day = day.AddDate(0, 0, n); day.Year() < firstYear || day.Year() > lastYear {
		return "", fmt.Errorf("read date: %w", WrongDate)
	}
	return Date(day.Format(dateLayout)), nil
}

// StatusAt returns the license's standing on a day: what the source says, except that a license whose validity has
// ended by then is Expired even if the source did not notice. Revoked and Superseded stay what they are. The last day of
// a validity still counts.
func (l License) StatusAt(day Date) Status {
	ended := l.ValidTo.Before(day)
	if ended && (l.Status == Valid || l.Status == Suspended) {
		return Expired
	}
	return l.Status
}

// Begun reports whether the validity has begun on a day; a license that states no beginning has.
func (l License) Begun(day Date) bool { return !l.ValidFrom.After(day) }

// InForce reports whether the license can be relied upon on a day.
func (l License) InForce(day Date) bool { return l.Begun(day) && l.StatusAt(day) == Valid }

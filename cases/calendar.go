package cases

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"oncegate/fault"
	"oncegate/license"
)

// ErrNotCovered says that a calendar was asked beyond the years it covers.
var ErrNotCovered = errors.New("the working-day calendar does not cover the year")

// A Calendar knows the working days (工作日) of some years, in Shanghai: Monday to Friday, but for holidays, and weekends
// that are worked instead (调休). It is data, because each year's arrangement is published the autumn before.
type Calendar struct {
	List     string         `yaml:"list"`     // list id with version
	Years    []int          `yaml:"years"`    // years whose arrangement is complete
	Holidays []license.Date `yaml:"holidays"` // days not worked; weekends among them do no harm
	Worked   []license.Date `yaml:"worked"`   // Saturdays and Sundays that are worked
}

// Check returns every fault of the calendar at once, with YAML paths from its root; nil if it is sound.
func (c *Calendar) Check() fault.List {
	var f fault.List
	f.Unless(c.List != "", "$.list", "the list id with its version is missing")
	f.Unless(len(c.Years) > 0, "$.years", "the calendar covers no year")
	days := f.Unique()
	for i, year := range c.Years {
		f.Unless(year >= 2000 && year <= 9999, fmt.Sprintf("$.years[%d]", i), "the year must have four digits")
	}
	check := func(path string, day license.Date) time.Weekday {
		days(path, string(day))
		start, err := day.Start()
		f.Unless(err == nil, path, "the day must be a real one, written yyyy-mm-dd")
		f.Unless(err != nil || slices.Contains(c.Years, start.Year()), path, "the year is not one of years")
		return start.Weekday()
	}
	for i, day := range c.Holidays {
		check(fmt.Sprintf("$.holidays[%d]", i), day)
	}
	for i, day := range c.Worked {
		path := fmt.Sprintf("$.worked[%d]", i)
		weekday := check(path, day)
		f.Unless(day.Check() != nil || weekend(weekday), path, "only a Saturday or Sunday is worked instead")
	}
	return f
}

func weekend(day time.Weekday) bool { return day == time.Saturday || day == time.Sunday }

// Working reports whether a day is a working day. Beyond the covered years the error wraps ErrNotCovered.
func (c *Calendar) Working(day license.Date) (bool, error) {
	start, err := day.Start()
	if err != nil {
		return false, fmt.Errorf("look up working day: %w", err)
	}
	if c == nil || !slices.Contains(c.Years, start.Year()) {
		return false, fmt.Errorf("look up working day in %d: %w", start.Year(), ErrNotCovered)
	}
	if weekend(start.Weekday()) {
		return slices.Contains(c.Worked, day), nil
	}
	return !slices.Contains(c.Holidays, day), nil
}

// Between returns how many working days there are after one day, up to and with another: 0 where the other is not later. Beyond the
// covered years the error wraps ErrNotCovered.
func (c *Calendar) Between(from, to license.Date) (n int, err error) {
	for day := from; day.Before(to); {
		if day, err = day.AddDays(1); err != nil {
			return 0, fmt.Errorf("count working days: %w", err)
		}
		working, err := c.Working(day)
		if err != nil {
			return 0, fmt.Errorf("count working days: %w", err)
		}
		if working {
			n++
		}
	}
	return n, nil
}

// Add returns the n-th working day after a day, the day itself not counted; with n = 0 the day itself. Beyond the covered
// years the error wraps ErrNotCovered.
func (c *Calendar) Add(from license.Date, n int) (license.Date, error) {
	if n < 0 {
		return "", errors.New("count working days: the number is negative")
	}
	day := from
	for n > 0 {
		var err error
		if day, err = day.AddDays(1); err != nil {
			return "", fmt.Errorf("count working days: %w", err)
		}
		working, err := c.Working(day)
		if err != nil {
			return "", fmt.Errorf("count working days: %w", err)
		}
		if working {
			n--
		}
	}
	return day, nil
}

package api

import (
	"errors"
	"time"
)

// TimeLayout is the one form of a moment on the wire: RFC 3339 in UTC with milliseconds.
const TimeLayout = "2006-01-02T15:04:05.000Z"

// errTime says that a text is no moment, or one in another form.
var errTime = errors.New("no time of the form 2006-01-02T15:04:05.000Z")

// A Time is a moment on the wire, in UTC and whole milliseconds. The zero Time is absent.
type Time struct{ time.Time }

// At returns t as it goes over the wire: in UTC, cut to milliseconds.
func At(t time.Time) Time { return Time{t.UTC().Truncate(time.Millisecond)} }

// ParseTime reads a moment in exactly TimeLayout; there is one text for each moment.
func ParseTime(s string) (Time, error) {
	t, err := time.Parse(TimeLayout, s)
	if err != nil || t.Format(TimeLayout) != s {
		return Time{}, errTime // the parser's error quotes the text
	}
	return Time{t.UTC()}, nil
}

// String returns the moment in TimeLayout.
func (t Time) String() string { return t.UTC().Format(TimeLayout) }

// MarshalText returns String.
func (t Time) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// AppendText appends String.
func (t Time) AppendText(b []byte) ([]byte, error) { return append(b, t.String()...), nil }

// UnmarshalText is ParseTime.
func (t *Time) UnmarshalText(b []byte) (err error) {
	*t, err = ParseTime(string(b))
	return err
}

// MarshalJSON returns String in quotes; without it the embedded time's own form would win.
func (t Time) MarshalJSON() ([]byte, error) { return []byte(`"` + t.String() + `"`), nil }

// UnmarshalJSON reads a string as ParseTime does.
func (t *Time) UnmarshalJSON(b []byte) error {
	if len(b) < 2 || b[0] != '"' || b[len(b)-1] != '"' {
		return errTime
	}
	return t.UnmarshalText(b[1 : len(b)-1])
}

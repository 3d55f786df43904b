package policy

import (
	"fmt"
	"oncegate/fault"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// china is the zone of days in policies. It has no daylight saving, so that a day means the same on every machine.
var china = time.FixedZone("China Standard Time", 8*60*60)

// A checker reports every fault of a set's rules against each other and against the names known outside.
type checker struct {
	known *Known // nil: names outside are not checked, as when a stored set is loaded again for replay
	bases map[string]bool
	ids   map[string]fault.Place // id → where it was first written
	rules map[string]bool        // ids of grants and permissions, which a suspension may name
	fault.List
}

// id checks the form and the uniqueness of an id and returns whether it may be used.
func (c *checker) id(at fault.Place, kind, id string) bool {
	if !wellFormed(id) || id == DenyByDefault || strings.HasPrefix(id, sharePrefix) {
		c.AddAt(at, "the %s has no usable id %q: letters, digits and ._-:/ are expected, at most 96 bytes", kind, fault.Clip(id))
		return false
	}
	if first, taken := c.ids[id]; taken {
		c.AddAt(at, "duplicate id %q, first given at %s", id, first)
		return false
	}
	c.ids[id] = at
	return true
}

// wellFormed says whether an id can stand in a record and be read aloud.
func wellFormed(id string) bool {
	if id == "" || len(id) > 96 || !utf8.ValidString(id) {
		return false
	}
	return !strings.ContainsFunc(id, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("._-:/", r)
	})
}

// list checks that a list is not empty, repeats nothing and holds only what ok accepts.
func list[T any](c *checker, p *placed[T], key string, values []string, needed bool, ok func(string) bool, what string) {
	if needed && len(values) == 0 {
		c.AddAt(p.at(key, -1), "%s must not be empty", key)
	}
	seen := make(map[string]bool, len(values))
	for i, v := range values {
		switch {
		case v == "" || len(v) > 200:
			c.AddAt(p.at(key, i), "%s holds an empty or overlong entry", key)
		case seen[v]:
			c.AddAt(p.at(key, i), "%s repeats %q", key, fault.Clip(v))
		case ok != nil && !ok(v):
			c.AddAt(p.at(key, i), "%q is no known %s", fault.Clip(v), what)
		}
		seen[v] = true
	}
}

// text checks that a text is there where needed, and not endless.
func text[T any](c *checker, p *placed[T], key, value string, needed bool) {
	if needed && strings.TrimSpace(value) == "" {
		c.AddAt(p.at(key, -1), "%s must be given", key)
	}
	if len(value) > 4000 {
		c.AddAt(p.at(key, -1), "%s is longer than 4000 bytes", key)
	}
}

// oneOf checks a value of a short list.
func oneOf[T any](c *checker, p *placed[T], key, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		c.AddAt(p.at(key, -1), "%s is %q; expected is one of %s", key, fault.Clip(value), strings.Join(allowed, ", "))
	}
}

// span reads the first and the last moment of a rule; until is exclusive, and zero times do not restrict.
func span[T any](c *checker, p *placed[T], fromKey, fromText, untilKey, untilText string) (from, until time.Time) {
	from, err := moment(fromText, false)
	if err != nil {
		c.AddAt(p.at(fromKey, -1), "%s: %v", fromKey, err)
	}
	until, err = moment(untilText, true)
	if err != nil {
		c.AddAt(p.at(untilKey, -1), "%s: %v", untilKey, err)
	}
	if !from.IsZero() && !until.IsZero() && !from.Before(until) {
		c.AddAt(p.at(untilKey, -1), "%s lies before %s", untilKey, fromKey)
	}
	return from, until
}

// moment reads a day of China Standard Time or an RFC 3339 moment; end turns a day into the moment after it.
func moment(s string, end bool) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if day, err := time.ParseInLocation("2006-01-02", s, china); err == nil {
		if end {
			day = day.AddDate(0, 0, 1)
		}
		return day.UTC(), nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is neither a day such as 2026-01-31 nor an RFC 3339 moment", fault.Clip(s))
	}
	return t.UTC(), nil
}

// maxAge is the longest age of a copy that a grant may allow.
const maxAge = 3660 * 24 * time.Hour

// age reads a duration such as "36h" or "7d".
func age(s string) (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	var d time.Duration
	var err error
	if days, ok := strings.CutSuffix(s, "d"); ok {
		var n uint64
		n, err = strconv.ParseUint(days, 10, 12)
		d = time.Duration(n) * 24 * time.Hour
	} else {
		d, err = time.ParseDuration(s)
	}
	if err != nil || d < 0 || d > maxAge || d%time.Second != 0 {
		return 0, fmt.Errorf("%q is no age of whole seconds such as 90m, 36h or 7d, at most ten years", fault.Clip(s))
	}
	return d, nil
}

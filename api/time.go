package api

import (
	"time"

	"oncegate/canonical"
)

// A Time is a time on the wire: RFC 3339 in UTC with milliseconds. The zero Time is absent.
type Time = canonical.Time

// At returns t as it goes over the wire: in UTC, cut to milliseconds.
func At(t time.Time) Time { return canonical.At(t) }

package node

import (
	"fmt"
	"time"
)

// A Duration is written as Go writes durations: "3s", "250ms", "24h".
type Duration time.Duration

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil || v < 0 {
		return fmt.Errorf("%q is no duration; write it like \"3s\" or \"250ms\"", text)
	}
	*d = Duration(v)
	return nil
}

package sheet

import (
	"fmt"
	"strconv"
)

// UnmarshalText reads "#RRGGBB".
func (c *Color) UnmarshalText(text []byte) error {
	if len(text) == 7 && text[0] == '#' {
		if n, err := strconv.ParseUint(string(text[1:]), 16, 32); err == nil {
			*c = Color{uint8(n >> 16), uint8(n >> 8), uint8(n)}
			return nil
		}
	}
	return fmt.Errorf(`a colour is written "#RRGGBB"`)
}

// MarshalText writes "#RRGGBB".
func (c Color) MarshalText() ([]byte, error) { return []byte(c.hex()), nil }

func (c Color) hex() string { return fmt.Sprintf("#%02X%02X%02X", c.R, c.G, c.B) }

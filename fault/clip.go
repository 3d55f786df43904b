package fault

import "unicode/utf8"

// Clip bounds a text that a file brings before it is quoted: at most 200 bytes of it stay.
func Clip(s string) string {
	const limit = 200
	if len(s) <= limit {
		return s
	}
	cut := limit
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}

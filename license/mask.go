package license

import (
	"strings"
	"unicode/utf8"
)

// Masking (脱敏) for screens and reports: whoever knows the holder recognises the holder, and nobody else learns a code or a name. A masked
// text is for people to read; it is no key, and two holders may have the same one.

// mask replaces the characters of a text but the first and last few by asterisks. Of a text that is too short to hide half of it, all are.
func mask(text string, first, last int) string {
	runes := []rune(text)
	if len(runes) < 2*(first+last) {
		first, last = 0, 0
	}
	return string(runes[:first]) + strings.Repeat("*", len(runes)-first-last) + string(runes[len(runes)-last:])
}

// MaskCode masks a holder code or a license number: the first four and the last two characters stay.
func MaskCode(code string) string { return mask(code, 4, 2) }

// Masked is the holder as TYPE:CODE with the code masked.
func (h HolderID) Masked() string { return h.Type + ":" + MaskCode(h.Code) }

// MaskedName is the name of a holder as a screen may show it: that of a body with a 统一社会信用代码 as it is, because it is public; of anybody
// else only the first character.
func (h Holder) MaskedName() string {
	if h.HolderID.Type == "001" || h.Name == "" {
		return h.Name
	}
	_, first := utf8.DecodeRuneInString(h.Name)
	return h.Name[:first] + strings.Repeat("*", utf8.RuneCountInString(h.Name[first:]))
}

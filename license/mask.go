package license

import (
	"slices"
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

// open are the fields of a claim that say nothing of the holder.
var open = []string{FieldName, FieldIssuerName, FieldIssuerCode, FieldIssuerLevel, FieldHolderCodeType, FieldTypeCode}

// MaskClaims returns the claims of a license of type t with their values masked (脱敏), so that a mapping can be checked and nobody learns
// whose license it is: more is hidden than by MaskCode, because no record says who looked. What stands in the clear says nothing of the
// holder: the type, the issuing body, the code type. Of the days of the license itself the year stays, of a holder's name its first
// character, of everything else its length, up to 20.
func MaskClaims(t Type, claims []Claim) []Claim {
	masked := slices.Clone(claims)
	for i, c := range masked {
		field, _ := t.Field(c.Field)
		masked[i].Value = maskClaim(c.Field, field.Kind, c.Value)
	}
	return masked
}

func maskClaim(name, kind, value string) string {
	switch {
	case slices.Contains(open, name), name == FieldValidTo && value == Unlimited:
		return value
	case slices.Contains([]string{FieldIssued, FieldValidFrom, FieldValidTo}, name) && len(value) == len(dateLayout):
		return value[:4] + "-**-**"
	case kind == KindDate:
		return "****-**-**"
	}
	shown := 0
	if name == FieldHolderName {
		shown = 1
	}
	length := utf8.RuneCountInString(value)
	if length > 20 {
		value = string([]rune(value)[:shown]) + strings.Repeat(" ", 20-shown)
	}
	return mask(value, min(shown, length/2), 0)
}

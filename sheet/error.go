package sheet

import "fmt"

// A Code says why a page could not be laid out.
type Code string

// Why a page could not be laid out.
const (
	DoesNotFit         Code = "does-not-fit"        // longer than its place, even in the smallest size that the layout allows
	NoGlyph            Code = "no-glyph"            // a character that no font has
	ForbiddenCharacter Code = "forbidden-character" // one that cannot be drawn by itself: control, bidirectional, combining, …
	TooLong            Code = "too-long"            // more than any field may hold
	TooManyValues      Code = "too-many-values"     // more holders than the layout has places for
	NoLayout           Code = "no-layout"           // no layout of the license type; for who looks one up
	NoSealPlace        Code = "no-seal-place"       // the page has no place for a seal
	BadPicture         Code = "bad-picture"         // not a PNG, or too large a one
)

// An Error says why a page could not be laid out or drawn. It names the field and the character, never the value.
type Error struct {
	Code  Code
	Field string // path of the dictionary, "qr", "watermark" or "seal"; empty: a fixed text of the layout
	Rune  rune   // the character, of NoGlyph and ForbiddenCharacter
}

// Error implements error.
func (e *Error) Error() string {
	field := e.Field
	if field == "" {
		field = "a fixed text"
	}
	switch e.Code {
	case NoGlyph:
		return fmt.Sprintf("lay out %s: no font has a glyph for U+%04X; name a font that has one in the configuration", field, e.Rune)
	case ForbiddenCharacter:
		return fmt.Sprintf("lay out %s: the character U+%04X cannot be drawn", field, e.Rune)
	}
	return fmt.Sprintf("lay out %s: %s", field, e.Code)
}

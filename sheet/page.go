// Package sheet (版面) is the page layout engine: it fills a layout with the fields of a license and draws the page.
//
// A [Layout] is data: which field stands where, in which font, where the seal and the QR go. Filling a layout gives a
// [Page], a list of things to draw in millimetres; a page is drawn as PDF, PNG or SVG here and as OFD by certs/ofd, so
// that all forms of a license show the same: the same glyphs of the same fonts in the same places.
//
// A page shows all of its content, or there is no page: a value that does not fit, a character that no font has or that
// cannot be drawn by itself is an [*Error] that names the field. It shows nothing else either: its fonts are cut down to the
// characters on it. Whether a page is genuine is not this room's question; signatures are made and checked in certs.
package sheet

import (
	"fmt"
	"strconv"
)

// A Page is one page ready to be drawn. All lengths are millimetres; the origin is the top left corner, y grows
// downward. Items are drawn in order, later ones over earlier ones.
type Page struct {
	Title         string // what the page is, such as 营业执照; for metadata, not drawn
	Width, Height float64
	Items         []Item
	Watermark     []Item // watermark or overprint, drawn over everything but the QR code; OFD puts it into an annotation of its own; nil: none
	Seal          *Box   // where the seal is stamped; nil when the page has no place for one
	Fonts         Fonts  // what Text.Font names; each has a glyph for every character that the page draws in it
}

// A Box is a rectangle: its top left corner and its size.
type Box struct{ X, Y, W, H float64 }

// An Item is one thing drawn: a *[Text], a *[Path] or an *[Image].
type Item interface{ isItem() }

// A Text is one line of characters in one font.
type Text struct {
	X, Y     float64   // where the baseline of the first character begins
	Size     float64   // height of the em square
	Font     string    // name of a font in Page.Fonts
	Color    Color     //
	Alpha    float64   // 0 invisible … 1 opaque
	Rotate   float64   // degrees clockwise about (X, Y)
	Stroke   float64   // width of a line round every glyph in the same colour, which makes it bolder; 0: none
	Text     string    // never empty; no control characters
	Advances []float64 // from each character to the next; one fewer than Text has characters
}

// A Path is an outline, filled or stroked or both.
type Path struct {
	Segments []Segment
	Fill     *Color  // nil: not filled
	Stroke   *Color  // nil: not stroked
	Line     float64 // width of the stroke
	Alpha    float64 // 0 invisible … 1 opaque
}

// A Segment moves the pen: Op 'M' move and 'L' line take one point, 'C' a cubic Bézier curve takes three, 'Z' closes
// the outline and takes none.
type Segment struct {
	Op     byte
	Points [3][2]float64
}

// An Image is a raster picture stretched over a box.
type Image struct {
	Box
	PNG   []byte
	Alpha float64
}

// A Color is an sRGB colour.
type Color struct{ R, G, B uint8 }

// Fonts are the TrueType fonts that a page draws with, by the name that its texts use. Each is cut down to what the page
// draws, so that it can be embedded as it is.
type Fonts map[string][]byte

func (*Text) isItem()  {}
func (*Path) isItem()  {}
func (*Image) isItem() {}

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

// A Code is the reason why a page could not be laid out.
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

// An Error is the reason why a page could not be laid out or drawn. It names the field and the character, never the value.
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

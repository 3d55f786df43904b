package sheet

import (
	"fmt"
	"slices"

	"golang.org/x/image/font/sfnt"
)

// maxDrawn bounds the pages that are drawn: items, and characters of all their texts.
const maxDrawn = 100_000

// A drawing is a page with its fonts opened, ready for any form.
type drawing struct {
	page   Page
	items  []Item // page and watermark
	faces  map[string]*typeface
	buffer sfnt.Buffer
}

// open checks a page and opens its fonts: every character must have a glyph, because a page is never drawn with a gap.
func open(p Page) (*drawing, error) {
	d := &drawing{page: p, items: slices.Concat(p.Items, p.Watermark), faces: make(map[string]*typeface, len(p.Fonts))}
	if !between(p.Width, 1, 5000) || !between(p.Height, 1, 5000) || len(d.items) > maxDrawn {
		return nil, fmt.Errorf("draw page: its size or its number of items is out of bounds")
	}
	for name, data := range p.Fonts {
		face, err := openTypeface(name, data)
		if err != nil {
			return nil, err
		}
		d.faces[name] = face
	}
	chars := 0
	for _, it := range d.items {
		if t, ok := it.(*Text); ok {
			if chars += len(t.Text); chars > maxDrawn {
				return nil, fmt.Errorf("draw page: more than %d characters", maxDrawn)
			}
			if _, err := d.glyphs(t); err != nil {
				return nil, err
			}
		}
	}
	return d, nil
}

// A placed glyph stands at x from the beginning of its text, on the baseline.
type placed struct {
	rune
	index sfnt.GlyphIndex
	x     float64
}

// glyphs returns the glyphs of a text and where they stand.
func (d *drawing) glyphs(t *Text) ([]placed, error) {
	face := d.faces[t.Font]
	if face == nil {
		return nil, fmt.Errorf("draw page: there is no font %q", t.Font)
	}
	out := make([]placed, 0, len(t.Text))
	x := 0.0
	for _, r := range t.Text {
		index := face.glyph(&d.buffer, r)
		if index == 0 {
			return nil, &Error{Code: NoGlyph, Rune: r}
		}
		if n := len(out); n > 0 {
			if n > len(t.Advances) {
				return nil, fmt.Errorf("draw page: a text has fewer advances than it needs")
			}
			x += t.Advances[n-1]
		}
		out = append(out, placed{r, index, x})
	}
	return out, nil
}

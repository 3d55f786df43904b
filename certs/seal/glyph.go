package seal

import (
	"fmt"
	"unicode"

	"golang.org/x/image/font"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
)

// maxFont bounds a font in bytes: the largest Chinese collections have 30 MB.
const maxFont = 64 << 20

// descent is how far below the baseline the square of a Chinese character reaches, in em.
const descent = 0.14

// A point of an outline is in em, y upward from the baseline; of a canvas in radii, y downward.
type point struct{ x, y float64 }

// A segment moves the pen: 'M' and 'L' take one point, 'Q' two, 'C' three.
type segment struct {
	op     byte
	points []point
}

// An outline is one character as a font draws it.
type outline struct {
	segments []segment
	advance  float64 // em
}

// width of characters side by side, in em.
func width(chars []outline) (w float64) {
	for _, g := range chars {
		w += g.advance
	}
	return w
}

// A face is a font, read unhinted in its own units.
type face struct {
	font *sfnt.Font
	buf  sfnt.Buffer
	em   fixed.Int26_6
}

func openFace(data []byte) (f *face, err error) {
	defer func() {
		if recover() != nil {
			f, err = nil, fmt.Errorf("%w: the font cannot be read", ErrPicture)
		}
	}()
	if len(data) > maxFont {
		return nil, fmt.Errorf("%w: a font of more than %d bytes", ErrPicture, maxFont)
	}
	c, err := sfnt.ParseCollection(data)
	if err != nil {
		return nil, fmt.Errorf("%w: the font cannot be read", ErrPicture)
	}
	first, err := c.Font(0)
	if err != nil {
		return nil, fmt.Errorf("%w: the font cannot be read", ErrPicture)
	}
	return &face{font: first, em: fixed.I(int(first.UnitsPerEm()))}, nil
}

// outlines reads the characters of a text. One without glyph, or whose glyph is blank, is ErrGlyph: a seal never lacks a
// character. The error says which by number, because a name may be a person's.
func (f *face) outlines(text string) (out []outline, err error) {
	n := 0
	defer func() {
		if recover() != nil {
			out, err = nil, fmt.Errorf("%w: character %d cannot be read from the font", ErrPicture, n)
		}
	}()
	for _, r := range text {
		n++
		if !unicode.IsPrint(r) {
			return nil, fmt.Errorf("%w: character %d is not printable", ErrPicture, n)
		}
		i, err := f.font.GlyphIndex(&f.buf, r)
		if err != nil {
			return nil, fmt.Errorf("%w: character %d: %w", ErrPicture, n, err)
		}
		if i == 0 {
			return nil, fmt.Errorf("%w: character %d", ErrGlyph, n)
		}
		g, err := f.outline(i)
		if err != nil {
			return nil, fmt.Errorf("%w: character %d: %w", ErrPicture, n, err)
		}
		if len(g.segments) == 0 && !unicode.IsSpace(r) {
			return nil, fmt.Errorf("%w: character %d is blank", ErrGlyph, n)
		}
		out = append(out, g)
	}
	return out, nil
}

func (f *face) outline(i sfnt.GlyphIndex) (outline, error) {
	segments, err := f.font.LoadGlyph(&f.buf, i, f.em, nil)
	if err != nil {
		return outline{}, err
	}
	advance, err := f.font.GlyphAdvance(&f.buf, i, f.em, font.HintingNone)
	if err != nil {
		return outline{}, err
	}
	g := outline{advance: f.length(advance)}
	for _, s := range segments {
		op := "MLQC"[s.Op]
		count := map[byte]int{'M': 1, 'L': 1, 'Q': 2, 'C': 3}[op]
		points := make([]point, count)
		for k := range points {
			points[k] = point{f.length(s.Args[k].X), -f.length(s.Args[k].Y)}
		}
		g.segments = append(g.segments, segment{op, points})
	}
	return g, nil
}

func (f *face) length(v fixed.Int26_6) float64 { return float64(v) / float64(f.em) }

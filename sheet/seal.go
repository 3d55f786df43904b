package sheet

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"unicode"
	"unicode/utf8"

	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/vector"
)

// A SealDrawing is the design of a round seal (圆章): a red ring, a five-pointed star, the name on an arc over it.
type SealDrawing struct {
	Name     string // on the arc, from left to right; at most 60 characters
	Line     string // under the star, such as "证照专用章"; at most 20 characters, empty for none
	Font     []byte // TrueType or OpenType; of a collection the first font
	Diameter int64  // mm, 20 to 60; zero means SealDiameter
	DPI      int    // 72 to 600; zero means 300
}

// SealDiameter is the usual diameter of a round seal in mm.
const SealDiameter = 40

// Why a seal cannot be drawn. The errors name a character by its place, because a name may be a person's.
var (
	ErrSealDrawing = errors.New("the seal cannot be drawn")
	ErrSealGlyph   = errors.New("the font has no glyph for a character of the seal")
)

// Proportions of a round seal, in radii.
const (
	sealRing     = 0.06 // width of the ring
	sealGap      = 0.05 // between ring and name
	sealLetter   = 0.25 // height of the name's characters
	sealStar     = 0.33 // from the centre to a point of the star
	sealLineTop  = 0.42 // where the line under the star begins
	sealLineSize = 0.17 // its height
	sealWidest   = 280  // degrees that the name takes at most
	sealBeside   = 240  // the same when there is a line under the star
	sealSpacing  = 1.22 // from one character to the next, in widths, when there is room
	sealNarrow   = 0.94 // the same where there is none: characters become narrower
	sealDescent  = 0.14 // how far below the baseline the square of a Chinese character reaches, in ems
)

// sealRed is the ink, and sealShades in how many shades of transparency its edges are drawn: sixteen make four bits a pixel.
var sealRed = color.NRGBA{R: 0xd9, G: 0x0f, B: 0x14}

const sealShades = 16

// DrawSeal draws a round seal as a PNG with transparent background. A character without a glyph in the font is ErrSealGlyph; whatever
// else cannot be drawn is ErrSealDrawing.
func DrawSeal(d SealDrawing) ([]byte, error) {
	if d.Diameter == 0 {
		d.Diameter = SealDiameter
	}
	if d.DPI == 0 {
		d.DPI = 300
	}
	if d.Diameter < 20 || d.Diameter > 60 || d.DPI < 72 || d.DPI > 600 {
		return nil, fmt.Errorf("%w: %d mm at %d dpi", ErrSealDrawing, d.Diameter, d.DPI)
	}
	if n, m := utf8.RuneCountInString(d.Name), utf8.RuneCountInString(d.Line); n < 1 || n > 60 || m > 20 {
		return nil, fmt.Errorf("%w: %d characters on the arc and %d under the star", ErrSealDrawing, n, m)
	}
	if len(d.Font) > maxFont {
		return nil, fmt.Errorf("%w: a font of more than %d bytes", ErrSealDrawing, maxFont)
	}
	font := new(typeface)
	if err := font.parse(d.Font); err != nil {
		return nil, fmt.Errorf("%w: the font cannot be read", ErrSealDrawing)
	}
	name, err := sealGlyphs(font, d.Name)
	if err != nil {
		return nil, fmt.Errorf("draw the name: %w", err)
	}
	line, err := sealGlyphs(font, d.Line)
	if err != nil {
		return nil, fmt.Errorf("draw the line: %w", err)
	}
	if sealWidth(name) <= 0 {
		return nil, fmt.Errorf("%w: the font gives the name no width", ErrSealDrawing)
	}
	c := newSealCanvas(int(math.Round(float64(d.Diameter) / 25.4 * float64(d.DPI))))
	c.ring()
	c.star()
	c.arc(name, len(line) > 0)
	c.straight(line)
	data, err := c.png()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSealDrawing, err)
	}
	return data, nil
}

// A sealGlyph is one character as a font draws it, in ems, y downward from the baseline.
type sealGlyph struct {
	segments []Segment
	advance  float64
}

// sealWidth is the width of characters side by side, in ems.
func sealWidth(chars []sealGlyph) (w float64) {
	for _, g := range chars {
		w += g.advance
	}
	return w
}

// sealGlyphs reads the characters of a text. One without a glyph, or whose glyph is blank, is ErrSealGlyph: a seal never lacks a
// character.
func sealGlyphs(font *typeface, text string) (out []sealGlyph, err error) {
	n := 0
	defer func() { // the library panics on some fonts
		if recover() != nil {
			out, err = nil, fmt.Errorf("%w: character %d cannot be read from the font", ErrSealDrawing, n)
		}
	}()
	var buffer sfnt.Buffer
	for _, r := range text {
		n++
		if !unicode.IsPrint(r) {
			return nil, fmt.Errorf("%w: character %d is not printable", ErrSealDrawing, n)
		}
		index, err := font.font.GlyphIndex(&buffer, r)
		if err != nil {
			return nil, fmt.Errorf("%w: character %d: %w", ErrSealDrawing, n, err)
		}
		if index == 0 {
			return nil, fmt.Errorf("%w: character %d", ErrSealGlyph, n)
		}
		segments, err := font.outline(&buffer, index)
		if err != nil {
			return nil, fmt.Errorf("%w: character %d: %w", ErrSealDrawing, n, err)
		}
		if len(segments) == 0 && !unicode.IsSpace(r) {
			return nil, fmt.Errorf("%w: character %d is blank", ErrSealGlyph, n)
		}
		out = append(out, sealGlyph{segments, font.advance(&buffer, index)})
	}
	return out, nil
}

// A sealCanvas is a square of ink. Its coordinates are radii of the seal about the centre, y downward.
type sealCanvas struct {
	ink *image.Alpha
	pen *vector.Rasterizer
	r   float64 // pixels of a radius
}

func newSealCanvas(side int) *sealCanvas {
	return &sealCanvas{image.NewAlpha(image.Rect(0, 0, side, side)), vector.NewRasterizer(side, side), float64(side) / 2}
}

func (c *sealCanvas) at(p [2]float64) (x, y float32) {
	return float32((p[0] + 1) * c.r), float32((p[1] + 1) * c.r)
}

// fill inks the path drawn since the last fill.
func (c *sealCanvas) fill() {
	c.pen.Draw(c.ink, c.ink.Rect, image.Opaque, image.Point{})
	c.pen.Reset(c.ink.Rect.Dx(), c.ink.Rect.Dy())
}

func (c *sealCanvas) ring() {
	edge := 1 - 1/c.r // one pixel of air, for the smooth edge
	c.circle(edge, 1)
	c.circle(edge-sealRing, -1)
	c.fill()
}

// circle goes round in one direction or the other: the inner one takes away from the outer one.
func (c *sealCanvas) circle(radius, direction float64) {
	const sides = 360
	for i := range sides {
		c.vertex(i, polar(radius, direction*2*math.Pi*float64(i)/sides))
	}
	c.pen.ClosePath()
}

func (c *sealCanvas) star() {
	inner := sealStar * math.Sin(math.Pi/10) / math.Sin(7*math.Pi/10)
	for i := range 10 {
		radius := sealStar
		if i%2 == 1 {
			radius = inner
		}
		c.vertex(i, polar(radius, math.Pi*float64(i)/5))
	}
	c.pen.ClosePath()
	c.fill()
}

func (c *sealCanvas) vertex(i int, p [2]float64) {
	if x, y := c.at(p); i == 0 {
		c.pen.MoveTo(x, y)
	} else {
		c.pen.LineTo(x, y)
	}
}

// arc sets characters around the centre, each standing on a smaller circle, in the middle of the top. Many
// characters become narrower; none is left out.
func (c *sealCanvas) arc(chars []sealGlyph, line bool) {
	base := 1 - sealRing - sealGap - sealLetter
	middle := base + sealLetter/2
	angle := sealSpacing * sealLetter * sealWidth(chars) / middle
	limit := sealWidest * math.Pi / 180
	if line {
		limit = sealBeside * math.Pi / 180
	}
	squeeze := 1.0
	if angle > limit {
		squeeze = min(1, limit/angle*sealSpacing*sealNarrow)
		angle = limit
	}
	turn := -angle / 2
	for _, g := range chars {
		step := angle * g.advance / sealWidth(chars)
		a := turn + step/2
		c.glyph(g, func(p [2]float64) [2]float64 {
			// The em stands sealLetter high between base and the gap.
			return rotate([2]float64{(p[0] - g.advance/2) * sealLetter * squeeze, -(base + sealLetter*(sealDescent-p[1]))}, a)
		})
		turn += step
	}
}

// straight sets characters on a straight line under the star, narrower when they would touch the name.
func (c *sealCanvas) straight(chars []sealGlyph) {
	const room = 0.86
	w, h := sealLineSize, sealLineSize // of an em
	if long := w * sealWidth(chars) / room; long > 1 {
		w, h = w/long, h/math.Sqrt(long)
	}
	x := -sealWidth(chars) * w / 2
	for _, g := range chars {
		left := x
		c.glyph(g, func(p [2]float64) [2]float64 { return [2]float64{left + p[0]*w, sealLineTop + h*(1-sealDescent+p[1])} })
		x += g.advance * w
	}
}

// glyph inks one character, moved to its place.
func (c *sealCanvas) glyph(g sealGlyph, place func(p [2]float64) [2]float64) {
	for _, s := range g.segments {
		var x, y [3]float32
		for i := range s.count() {
			x[i], y[i] = c.at(place(s.Points[i]))
		}
		switch s.Op {
		case 'M':
			c.pen.MoveTo(x[0], y[0])
		case 'L':
			c.pen.LineTo(x[0], y[0])
		case 'C':
			c.pen.CubeTo(x[0], y[0], x[1], y[1], x[2], y[2])
		case 'Z':
			c.pen.ClosePath()
		}
	}
	c.fill()
}

// png writes the ink as shades of one red, which compress well.
func (c *sealCanvas) png() ([]byte, error) {
	palette := make(color.Palette, sealShades)
	for i := range palette {
		shade := sealRed
		shade.A = uint8(i * 0xff / (sealShades - 1))
		palette[i] = shade
	}
	out := image.NewPaletted(c.ink.Rect, palette)
	for i, a := range c.ink.Pix {
		out.Pix[i] = uint8((int(a)*(sealShades-1) + 127) / 0xff)
	}
	var b bytes.Buffer
	e := png.Encoder{CompressionLevel: png.BestCompression}
	err := e.Encode(&b, out)
	return b.Bytes(), err
}

func polar(radius, clockwise float64) [2]float64 { return rotate([2]float64{0, -radius}, clockwise) }

func rotate(p [2]float64, clockwise float64) [2]float64 {
	sin, cos := math.Sincos(clockwise)
	return [2]float64{p[0]*cos - p[1]*sin, p[0]*sin + p[1]*cos}
}

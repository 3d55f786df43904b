package seal

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"unicode/utf8"

	"golang.org/x/image/vector"
)

// A Drawing says how a round seal (圆章) looks: a red ring, a five-pointed star, the name on an arc over it.
type Drawing struct {
	Name     string // on the arc, from left to right; at most 60 characters
	Line     string // under the star, such as "证照专用章"; at most 20 characters, empty for none
	Font     []byte // TrueType or OpenType; of a collection the first font
	Diameter int64  // mm, 20 to 60; zero means 40
	DPI      int    // 72 to 600; zero means 300
}

// Proportions, in radii of the seal.
const (
	ring     = 0.06 // width of the ring
	gap      = 0.05 // between ring and name
	letter   = 0.25 // height of the name's characters
	star     = 0.33 // from the centre to a point of the star
	lineTop  = 0.42 // where the line under the star begins
	lineSize = 0.17 // its height
	widest   = 280  // degrees that the name takes at most
	beside   = 240  // the same when there is a line under the star
	spacing  = 1.22 // from one character to the next, in widths, when there is room
	narrow   = 0.94 // the same where there is none: characters become narrower
)

// red of a seal, and in how many shades of transparency edges are drawn: sixteen make four bits a pixel.
var red = color.NRGBA{R: 0xd9, G: 0x0f, B: 0x14}

const shades = 16

// Draw draws a round seal as a PNG with transparent background. A character without a glyph in the font is ErrGlyph,
// whatever else cannot be drawn ErrPicture.
func Draw(d Drawing) (Picture, error) {
	if d.Diameter == 0 {
		d.Diameter = 40
	}
	if d.DPI == 0 {
		d.DPI = 300
	}
	if d.Diameter < 20 || d.Diameter > 60 || d.DPI < 72 || d.DPI > 600 {
		return Picture{}, fmt.Errorf("draw seal: %w: %d mm at %d dpi", ErrPicture, d.Diameter, d.DPI)
	}
	if n, m := utf8.RuneCountInString(d.Name), utf8.RuneCountInString(d.Line); n < 1 || n > 60 || m > 20 {
		return Picture{}, fmt.Errorf("draw seal: %w: %d characters on the arc and %d under the star", ErrPicture, n, m)
	}
	face, err := openFace(d.Font)
	if err != nil {
		return Picture{}, fmt.Errorf("draw seal: %w", err)
	}
	name, err := face.outlines(d.Name)
	if err != nil {
		return Picture{}, fmt.Errorf("draw seal: the name: %w", err)
	}
	line, err := face.outlines(d.Line)
	if err != nil {
		return Picture{}, fmt.Errorf("draw seal: the line: %w", err)
	}
	if width(name) <= 0 {
		return Picture{}, fmt.Errorf("draw seal: %w: the font gives the name no width", ErrPicture)
	}
	c := newCanvas(int(math.Round(float64(d.Diameter) / 25.4 * float64(d.DPI))))
	c.ring()
	c.star()
	c.arc(name, len(line) > 0)
	c.straight(line)
	data, err := c.png()
	if err != nil {
		return Picture{}, fmt.Errorf("draw seal: %w: %w", ErrPicture, err)
	}
	return Picture{Type: "png", Data: data, Width: d.Diameter, Height: d.Diameter}, nil
}

// A canvas is a square of ink. Its coordinates are radii of the seal about the centre, y downward.
type canvas struct {
	ink *image.Alpha
	pen *vector.Rasterizer
	r   float64 // pixels of a radius
}

func newCanvas(side int) *canvas {
	return &canvas{image.NewAlpha(image.Rect(0, 0, side, side)), vector.NewRasterizer(side, side), float64(side) / 2}
}

func (c *canvas) at(p point) (x, y float32) {
	return float32((p.x + 1) * c.r), float32((p.y + 1) * c.r)
}

// fill inks what was drawn since the last fill.
func (c *canvas) fill() {
	c.pen.Draw(c.ink, c.ink.Rect, image.Opaque, image.Point{})
	c.pen.Reset(c.ink.Rect.Dx(), c.ink.Rect.Dy())
}

func (c *canvas) ring() {
	edge := 1 - 1/c.r // one pixel of air, for the smooth edge
	c.circle(edge, 1)
	c.circle(edge-ring, -1)
	c.fill()
}

// circle goes round in one direction or the other: the inner one takes away from the outer one.
func (c *canvas) circle(radius, direction float64) {
	const sides = 360
	for i := range sides {
		c.vertex(i, polar(radius, direction*2*math.Pi*float64(i)/sides))
	}
	c.pen.ClosePath()
}

func (c *canvas) star() {
	inner := star * math.Sin(math.Pi/10) / math.Sin(7*math.Pi/10)
	for i := range 10 {
		radius := star
		if i%2 == 1 {
			radius = inner
		}
		c.vertex(i, polar(radius, math.Pi*float64(i)/5))
	}
	c.pen.ClosePath()
	c.fill()
}

func (c *canvas) vertex(i int, p point) {
	if x, y := c.at(p); i == 0 {
		c.pen.MoveTo(x, y)
	} else {
		c.pen.LineTo(x, y)
	}
}

// arc sets characters around the centre, each standing on a smaller circle, in the middle of the top. When they are many,
// they become narrower, never fewer.
func (c *canvas) arc(chars []outline, line bool) {
	base := 1 - ring - gap - letter
	middle := base + letter/2
	angle := spacing * letter * width(chars) / middle
	limit := widest * math.Pi / 180
	if line {
		limit = beside * math.Pi / 180
	}
	squeeze := 1.0
	if angle > limit {
		squeeze = min(1, limit/angle*spacing*narrow)
		angle = limit
	}
	turn := -angle / 2
	for _, g := range chars {
		step := angle * g.advance / width(chars)
		a := turn + step/2
		c.glyph(g, func(p point) point {
			// p is in em, its origin on the baseline; the em stands letter high between base and the gap.
			return rotate(point{(p.x - g.advance/2) * letter * squeeze, -(base + letter*(p.y+descent))}, a)
		})
		turn += step
	}
}

// straight sets characters on a straight line under the star, narrower when they would touch the name.
func (c *canvas) straight(chars []outline) {
	const room = 0.86
	w, h := lineSize, lineSize // of an em
	if long := w * width(chars) / room; long > 1 {
		w, h = w/long, h/math.Sqrt(long)
	}
	x := -width(chars) * w / 2
	for _, g := range chars {
		left := x
		c.glyph(g, func(p point) point { return point{left + p.x*w, lineTop + h*(1-descent-p.y)} })
		x += g.advance * w
	}
}

// glyph inks one character, moved to its place.
func (c *canvas) glyph(g outline, place func(point) point) {
	for _, s := range g.segments {
		var x, y [3]float32
		for i, p := range s.points {
			x[i], y[i] = c.at(place(p))
		}
		switch s.op {
		case 'M':
			c.pen.ClosePath()
			c.pen.MoveTo(x[0], y[0])
		case 'L':
			c.pen.LineTo(x[0], y[0])
		case 'Q':
			c.pen.QuadTo(x[0], y[0], x[1], y[1])
		case 'C':
			c.pen.CubeTo(x[0], y[0], x[1], y[1], x[2], y[2])
		}
	}
	c.pen.ClosePath()
	c.fill()
}

// png writes the ink as shades of one red, which compress well.
func (c *canvas) png() ([]byte, error) {
	palette := make(color.Palette, shades)
	for i := range palette {
		shade := red
		shade.A = uint8(i * 0xff / (shades - 1))
		palette[i] = shade
	}
	out := image.NewPaletted(c.ink.Rect, palette)
	for i, a := range c.ink.Pix {
		out.Pix[i] = uint8((int(a)*(shades-1) + 127) / 0xff)
	}
	var b bytes.Buffer
	e := png.Encoder{CompressionLevel: png.BestCompression}
	err := e.Encode(&b, out)
	return b.Bytes(), err
}

func polar(radius, clockwise float64) point { return rotate(point{0, -radius}, clockwise) }

func rotate(p point, clockwise float64) point {
	sin, cos := math.Sincos(clockwise)
	return point{p.x*cos - p.y*sin, p.x*sin + p.y*cos}
}

package sheet

import (
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"math"
	"slices"

	"golang.org/x/image/draw"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/f64"
	"golang.org/x/image/vector"
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

// Bounds of a drawing in pixels: an A4 page at 300 dots per inch has nine million.
const (
	minDPI    = 24
	maxDPI    = 600
	maxPixels = 36 << 20
	maxMemory = 48 << 20 // bytes of a rasteriser: a band of the page
)

// PNG draws a page as a picture of dpi dots per inch, on white. The same page gives the same bytes.
func PNG(w io.Writer, p Page, dpi float64) error {
	picture, err := picture(p, dpi)
	if err != nil {
		return err
	}
	encoder := png.Encoder{CompressionLevel: png.BestSpeed}
	if err := encoder.Encode(w, picture); err != nil {
		return fmt.Errorf("draw page as PNG: %w", err)
	}
	return nil
}

func picture(p Page, dpi float64) (*image.RGBA, error) {
	d, err := open(p)
	if err != nil {
		return nil, err
	}
	scale := dpi / 25.4
	wide, high := int(math.Ceil(p.Width*scale)), int(math.Ceil(p.Height*scale))
	if !between(dpi, minDPI, maxDPI) || wide*high > maxPixels {
		return nil, fmt.Errorf("draw page as PNG: a resolution of %g dpi is not between %d and %d, or gives more than %d pixels", dpi, minDPI, maxDPI, maxPixels)
	}
	r := &raster{drawing: d, scale: scale, to: image.NewRGBA(image.Rect(0, 0, wide, high)), outlines: map[glyphKey][]Segment{}}
	draw.Draw(r.to, r.to.Bounds(), image.White, image.Point{}, draw.Src)
	for _, it := range d.items {
		if err := r.item(it); err != nil {
			return nil, err
		}
	}
	return r.to, nil
}

// A raster draws into a picture.
type raster struct {
	*drawing
	scale    float64 // pixels per millimetre
	to       *image.RGBA
	filler   vector.Rasterizer
	outlines map[glyphKey][]Segment
}

type glyphKey struct {
	face  *typeface
	index sfnt.GlyphIndex
}

func (r *raster) item(it Item) error {
	switch it := it.(type) {
	case *Text:
		return r.text(it)
	case *Path:
		lines := flatten(it.Segments, r.scale)
		if it.Fill != nil {
			r.fill(lines, *it.Fill, it.Alpha)
		}
		if it.Stroke != nil {
			r.fill(stroke(lines, max(it.Line*r.scale, 0.3)), *it.Stroke, it.Alpha)
		}
	case *Image:
		return r.image(it)
	}
	return nil
}

func (r *raster) text(t *Text) error {
	glyphs, err := r.glyphs(t)
	if err != nil {
		return err
	}
	sin, cos := math.Sincos(t.Rotate * math.Pi / 180)
	for _, g := range glyphs {
		outline, err := r.outline(t.Font, g.index)
		if err != nil {
			return err
		}
		moved := make([]Segment, len(outline))
		for i, s := range outline {
			for k := range s.count() {
				x, y := g.x+s.Points[k][0]*t.Size, s.Points[k][1]*t.Size
				s.Points[k] = [2]float64{t.X + x*cos - y*sin, t.Y + x*sin + y*cos}
			}
			moved[i] = s
		}
		lines := flatten(moved, r.scale)
		r.fill(lines, t.Color, t.Alpha)
		if t.Stroke > 0 {
			r.fill(stroke(lines, t.Stroke*r.scale), t.Color, t.Alpha)
		}
	}
	return nil
}

// outline remembers the outlines of glyphs.
func (d *raster) outline(font string, g sfnt.GlyphIndex) ([]Segment, error) {
	key := glyphKey{d.faces[font], g}
	if s, ok := d.outlines[key]; ok {
		return s, nil
	}
	s, err := key.face.outline(&d.buffer, g)
	if err == nil {
		d.outlines[key] = s
	}
	return s, err
}

// fill paints closed lines, given in pixels, band after band so that no page needs much memory. It paints
// points by the nonzero winding rule.
func (r *raster) fill(lines [][][2]float64, c Color, alpha float64) {
	bounds := extent(lines).Intersect(r.to.Bounds())
	if bounds.Empty() {
		return
	}
	paint := image.NewUniform(color.NRGBA{c.R, c.G, c.B, uint8(math.Round(alpha * 255))})
	high := max(1, maxMemory/8/bounds.Dx())
	for top := bounds.Min.Y; top < bounds.Max.Y; top += high {
		band := image.Rect(bounds.Min.X, top, bounds.Max.X, min(top+high, bounds.Max.Y))
		r.filler.Reset(band.Dx(), band.Dy())
		for _, line := range lines {
			for i, p := range line {
				x, y := float32(p[0]-float64(band.Min.X)), float32(p[1]-float64(band.Min.Y))
				if i == 0 {
					r.filler.MoveTo(x, y)
				} else {
					r.filler.LineTo(x, y)
				}
			}
			r.filler.ClosePath()
		}
		r.filler.Draw(r.to, band, paint, image.Point{})
	}
}

// extent is the smallest rectangle of whole pixels round lines, bounded so that no number overflows; empty if there are none:
// image.Rect would make the whole plane of corners that were never moved.
func extent(lines [][][2]float64) image.Rectangle {
	if len(lines) == 0 {
		return image.Rectangle{}
	}
	const far = 1 << 20
	low, high := [2]float64{far, far}, [2]float64{-far, -far}
	for _, line := range lines {
		for _, p := range line {
			for i := range 2 {
				low[i], high[i] = min(low[i], p[i]), max(high[i], p[i])
			}
		}
	}
	whole := func(v float64) int { return int(max(-far, min(far, v))) }
	return image.Rect(whole(math.Floor(low[0])), whole(math.Floor(low[1])), whole(math.Ceil(high[0])), whole(math.Ceil(high[1])))
}

// image draws a picture stretched over its box.
func (r *raster) image(it *Image) error {
	picture, err := decodePicture(it.PNG)
	if err != nil {
		return err
	}
	size := picture.Bounds()
	sx, sy := it.W*r.scale/float64(size.Dx()), it.H*r.scale/float64(size.Dy())
	var options *draw.Options
	if it.Alpha < 1 {
		options = &draw.Options{SrcMask: image.NewUniform(color.Alpha{uint8(math.Round(it.Alpha * 255))})}
	}
	draw.CatmullRom.Transform(r.to, f64.Aff3{sx, 0, it.X * r.scale, 0, sy, it.Y * r.scale}, picture, size, draw.Over, options)
	return nil
}

// flatten turns an outline into lines of points in pixels. Curves become as many pieces as the eye needs.
func flatten(segments []Segment, scale float64) (lines [][][2]float64) {
	var line [][2]float64
	end := func() {
		if len(line) > 1 {
			lines = append(lines, line)
		}
		line = nil
	}
	px := func(p [2]float64) [2]float64 { return [2]float64{p[0] * scale, p[1] * scale} }
	for _, s := range segments {
		switch s.Op {
		case 'M':
			end()
			line = append(line, px(s.Points[0]))
		case 'L':
			line = append(line, px(s.Points[0]))
		case 'C':
			if len(line) > 0 {
				line = bend(line, px(s.Points[0]), px(s.Points[1]), px(s.Points[2]))
			}
		case 'Z':
			if len(line) > 1 {
				first := line[0]
				line = append(line, first)
				end()
				line = [][2]float64{first}
			}
		}
	}
	end()
	return lines
}

// bend appends a cubic curve from the last point.
func bend(line [][2]float64, b, c, d [2]float64) [][2]float64 {
	a := line[len(line)-1]
	length := math.Hypot(b[0]-a[0], b[1]-a[1]) + math.Hypot(c[0]-b[0], c[1]-b[1]) + math.Hypot(d[0]-c[0], d[1]-c[1])
	n := max(2, min(64, int(math.Ceil(math.Sqrt(length)*1.5))))
	for i := 1; i <= n; i++ {
		t := float64(i) / float64(n)
		u := 1 - t
		k0, k1, k2, k3 := u*u*u, 3*u*u*t, 3*u*t*t, t*t*t
		line = append(line, [2]float64{k0*a[0] + k1*b[0] + k2*c[0] + k3*d[0], k0*a[1] + k1*b[1] + k2*c[1] + k3*d[1]})
	}
	return line
}

// stroke turns lines into the area that a round pen of a width paints along them: a strip for each piece, and a disc where
// pieces meet. All of them wind the same way, so that they add up.
func stroke(lines [][][2]float64, width float64) (area [][][2]float64) {
	half := width / 2
	for _, line := range lines {
		for i := 1; i < len(line); i++ {
			a, b := line[i-1], line[i]
			length := math.Hypot(b[0]-a[0], b[1]-a[1])
			if length == 0 {
				continue
			}
			nx, ny := (b[1]-a[1])/length*half, -(b[0]-a[0])/length*half
			area = append(area, [][2]float64{{a[0] + nx, a[1] + ny}, {b[0] + nx, b[1] + ny}, {b[0] - nx, b[1] - ny}, {a[0] - nx, a[1] - ny}})
			if i+1 < len(line) && half > 0.4 && turns(a, b, line[i+1]) {
				area = append(area, disc(b, half))
			}
		}
	}
	return area
}

// turns reports whether two pieces meet at an angle that leaves a gap to be seen.
func turns(a, b, c [2]float64) bool {
	ux, uy, vx, vy := b[0]-a[0], b[1]-a[1], c[0]-b[0], c[1]-b[1]
	return math.Abs(ux*vy-uy*vx) > 0.1*math.Hypot(ux, uy)*math.Hypot(vx, vy) || ux*vx+uy*vy < 0
}

func disc(at [2]float64, radius float64) (line [][2]float64) {
	n := max(8, min(48, int(radius*4)))
	for i := range n {
		sin, cos := math.Sincos(2 * math.Pi * float64(i) / float64(n))
		line = append(line, [2]float64{at[0] + radius*cos, at[1] + radius*sin})
	}
	return line
}

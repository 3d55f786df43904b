package sheet

import (
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"math"

	"golang.org/x/image/draw"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/f64"
	"golang.org/x/image/vector"
)

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

// fill paints closed lines, given in pixels, band after band so that no page needs much memory. Where they wind round a point
// it is painted (nonzero).
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

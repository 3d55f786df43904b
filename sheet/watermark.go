package sheet

import (
	"bytes"
	"image/png"
	"math"
	"strings"
)

// How a watermark looks: light, across the page, repeated, so that no part of the page can be cut out without it.
const (
	markSize     = 11 * point // height of its characters
	markLeast    = 4 * point  // to which they shrink
	markTurn     = -30        // degrees
	markAlpha    = 0.22
	markGapX     = 14.0 // between repetitions, along the text
	markGapY     = 18.0 // and across it
	maxWatermark = 200  // characters
	maxMarkLines = 6
)

var markColor = Color{0x3A, 0x4A, 0x6B}

// watermark lays the lines of a text over the whole page, again and again. Only repetitions that lie on the page whole are
// drawn; lines too long for that shrink until there is one.
func (f *filling) watermark(text string) error {
	if text == "" {
		return nil
	}
	chars, err := f.pen.write(Song, "watermark", maxWatermark, text)
	if err != nil {
		return err
	}
	if strings.Count(text, "\n") >= maxMarkLines {
		return &Error{Code: TooLong, Field: "watermark"}
	}
	var lines [][]char
	longest := 0.0
	for _, s := range split(chars) {
		lines = append(lines, s)
		longest = max(longest, width(s, 0))
	}
	if longest == 0 {
		return nil
	}
	for size := markSize; size >= markLeast; size *= 0.95 {
		m := mark{lines: lines, size: size, w: longest * size, h: float64(len(lines)) * size * 1.3}
		if f.page.Watermark = m.over(f.pen, f.page.Width, f.page.Height); len(f.page.Watermark) > 0 {
			return nil
		}
	}
	return &Error{Code: DoesNotFit, Field: "watermark"}
}

// split divides a text at its line ends.
func split(text []char) (lines [][]char) {
	start := 0
	for i, c := range text {
		if c.rune == '\n' {
			lines, start = append(lines, text[start:i]), i+1
		}
	}
	return append(lines, text[start:])
}

// A mark is one repetition of the watermark, w by h millimetres before it is turned.
type mark struct {
	lines      [][]char
	size, w, h float64
}

// over repeats the mark on a grid that is turned about the middle of the page, every second row shifted by half.
func (m mark) over(p *pen, width, height float64) (out []Item) {
	sin, cos := math.Sincos(markTurn * math.Pi / 180)
	turn := func(x, y float64) (float64, float64) {
		return width/2 + x*cos - y*sin, height/2 + x*sin + y*cos
	}
	inside := func(x, y float64) bool {
		for _, corner := range [...][2]float64{{x, y}, {x + m.w, y}, {x, y + m.h}, {x + m.w, y + m.h}} {
			if px, py := turn(corner[0], corner[1]); px < 0 || py < 0 || px > width || py > height {
				return false
			}
		}
		return true
	}
	stepX, stepY := m.w+markGapX, m.h+markGapY
	reach := math.Hypot(width, height)
	rows, columns := int(reach/stepY)+1, int(reach/stepX)+1
	for row := -rows; row <= rows; row++ {
		shift := 0.0
		if row%2 != 0 {
			shift = stepX / 2
		}
		for column := -columns; column <= columns; column++ {
			x, y := float64(column)*stepX+shift-m.w/2, float64(row)*stepY-m.h/2
			if inside(x, y) {
				out = append(out, m.at(p, x, y, turn)...)
			}
		}
	}
	return out
}

// at draws one repetition.
func (m mark) at(p *pen, x, y float64, turn func(x, y float64) (float64, float64)) (out []Item) {
	for i, line := range m.lines {
		if len(line) == 0 {
			continue
		}
		st := style{Align: "center", Color: &markColor}
		base := y + (float64(i)*1.3+ascent)*m.size
		for _, it := range p.line(nil, line, m.size, Box{X: x, W: m.w}, base, st) {
			t := it.(*Text)
			t.X, t.Y = turn(t.X, t.Y)
			t.Rotate, t.Alpha = markTurn, markAlpha
			out = append(out, t)
		}
	}
	return out
}

// Bounds of a picture.
const (
	maxPicture     = 4 << 20 // bytes
	maxPictureSide = 2048    // pixels: 16 MiB when decoded
)

// Stamp returns the page with a picture of the seal in its place. It is a picture for people and no signature. The error is a
// [*Error] when the page has no place for a seal, or the picture is no PNG of at most 2048 × 2048 pixels and 4 MiB.
func (p Page) Stamp(picture []byte) (Page, error) {
	if p.Seal == nil {
		return Page{}, &Error{Code: NoSealPlace, Field: "seal"}
	}
	if _, err := pictureSize(picture); err != nil {
		return Page{}, err
	}
	p.Items = append(p.Items[:len(p.Items):len(p.Items)], &Image{Box: *p.Seal, PNG: picture, Alpha: 1})
	return p, nil
}

// pictureSize looks at a picture without decoding it.
func pictureSize(picture []byte) (pixels int, err error) {
	c, err := png.DecodeConfig(bytes.NewReader(picture))
	if err != nil || len(picture) > maxPicture || c.Width > maxPictureSide || c.Height > maxPictureSide || c.Width < 1 || c.Height < 1 {
		return 0, &Error{Code: BadPicture, Field: "seal"}
	}
	return c.Width * c.Height, nil
}

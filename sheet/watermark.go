package sheet

import (
	"bytes"
	"image/png"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
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

// watermark lays the lines of a text over the whole page, again and again, but not over the QR code. Lines too long for the page
// shrink until there is a repetition that is whole: neither the edge of the page nor the QR code interrupts it.
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
		if items, whole := m.over(f); whole {
			f.page.Watermark = items
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

// A tilt rotates coordinates about the middle of the page.
type tilt struct{ x, y, sin, cos float64 }

func tilted(p Page) tilt {
	sin, cos := math.Sincos(markTurn * math.Pi / 180)
	return tilt{p.Width / 2, p.Height / 2, sin, cos}
}

// rotate maps a point, given from the middle of the page, to its rotated place on the page.
func (t tilt) rotate(x, y float64) (float64, float64) {
	return t.x + x*t.cos - y*t.sin, t.y + x*t.sin + y*t.cos
}

// corners are those of a box that is turned.
func (t tilt) corners(b Box) (out [4][2]float64) {
	for i, c := range [4][2]float64{{b.X, b.Y}, {b.X + b.W, b.Y}, {b.X, b.Y + b.H}, {b.X + b.W, b.Y + b.H}} {
		out[i][0], out[i][1] = t.rotate(c[0], c[1])
	}
	return out
}

// inside reports whether a turned box lies on the page.
func (t tilt) inside(b Box) bool {
	for _, c := range t.corners(b) {
		if c[0] < 0 || c[1] < 0 || c[0] > 2*t.x || c[1] > 2*t.y {
			return false
		}
	}
	return true
}

// meets reports whether a turned box meets one that is not turned: they lie apart where they do along the sides of either.
func (t tilt) meets(b Box, level *Box) bool {
	if level == nil {
		return false
	}
	back := tilt{sin: -t.sin, cos: t.cos}
	moved := back.corners(Box{level.X - t.x, level.Y - t.y, level.W, level.H})
	return overlap(t.corners(b), *level) && overlap(moved, b)
}

// overlap reports whether the rectangle round four corners meets a box.
func overlap(corners [4][2]float64, b Box) bool {
	low, high := corners[0], corners[0]
	for _, c := range corners[1:] {
		for i := range 2 {
			low[i], high[i] = min(low[i], c[i]), max(high[i], c[i])
		}
	}
	return low[0] < b.X+b.W && high[0] > b.X && low[1] < b.Y+b.H && high[1] > b.Y
}

// A mark is one repetition of the watermark, w by h millimetres before it is turned.
type mark struct {
	lines      [][]char
	size, w, h float64
}

// over repeats the mark on a grid that is turned about the middle of the page, every second row shifted by half. Whole says
// that some repetition is not interrupted.
func (m mark) over(f *filling) (out []Item, whole bool) {
	t := tilted(f.page)
	stepX, stepY := m.w+markGapX, m.h+markGapY
	reach := math.Hypot(f.page.Width, f.page.Height)
	rows, columns := int(reach/stepY)+1, int(reach/stepX)+1
	for row := -rows; row <= rows; row++ {
		shift := 0.0
		if row%2 != 0 {
			shift = stepX / 2
		}
		for column := -columns; column <= columns; column++ {
			at := Box{float64(column)*stepX + shift - m.w/2, float64(row)*stepY - m.h/2, m.w, m.h}
			out = append(out, m.at(f, at, t)...)
			whole = whole || t.inside(at) && !t.meets(at, f.clear)
		}
	}
	return out, whole
}

// at draws one repetition, without the characters that would leave the page or lie over the QR code.
func (m mark) at(f *filling, at Box, t tilt) (out []Item) {
	for i, line := range m.lines {
		st := style{Align: "center", Color: &markColor}
		base := at.Y + (float64(i)*1.3+ascent)*m.size
		for _, it := range f.pen.line(nil, line, m.size, Box{X: at.X, W: at.W}, base, st) {
			for _, piece := range apart(it.(*Text), func(cell Box) bool { return t.inside(cell) && !t.meets(cell, f.clear) }) {
				piece.X, piece.Y = t.rotate(piece.X, piece.Y)
				piece.Rotate, piece.Alpha = markTurn, markAlpha
				out = append(out, piece)
			}
		}
	}
	return out
}

// shortest is the least number of characters that is left of an interrupted line: fewer say nothing.
const shortest = 3

// apart divides a text into pieces without the characters whose cells are not free.
func apart(t *Text, free func(Box) bool) (out []*Text) {
	var piece *Text
	x := t.X
	for i, r := range []rune(t.Text) {
		move := t.Size // of the last character: none is wider
		if i < len(t.Advances) {
			move = t.Advances[i]
		}
		switch {
		case !free(Box{x, t.Y - ascent*t.Size, max(move, t.Size), t.Size}):
			piece = nil
		case piece == nil:
			started := *t
			started.X, started.Text, started.Advances = x, string(r), nil
			piece = &started
			out = append(out, piece)
		default:
			piece.Text += string(r)
			piece.Advances = append(piece.Advances, t.Advances[i-1])
		}
		x += move
	}
	if len(out) == 1 && out[0].Text == t.Text {
		return out
	}
	return slices.DeleteFunc(out, func(piece *Text) bool { return utf8.RuneCountInString(piece.Text) < shortest })
}

// How an overprint looks: a frame with a word as large as the page has room for, and smaller lines below; dark enough for a
// grey print, and clear enough to read what lies under it.
const (
	printLarge = 0.22 // size of the first line, in shorter sides of the page
	printSmall = 0.3  // sizes of the other lines, in that of the first
	printAlpha = 0.45
	printLeast = 14 * point // of the first line
	maxPrint   = 100        // characters
)

var printColor = Color{0xC2, 0x1F, 0x1F}

// overprint draws the lines of a text once across the page, in a frame like a stamp's, over everything but the QR code.
func (f *filling) overprint(text string) error {
	if text == "" {
		return nil
	}
	chars, err := f.pen.write(Hei, "overprint", maxPrint, text)
	if err != nil {
		return err
	}
	if strings.Count(text, "\n") >= maxMarkLines {
		return &Error{Code: TooLong, Field: "overprint"}
	}
	lines := split(chars)
	t := tilted(f.page)
	for size := printLarge * min(f.page.Width, f.page.Height); size >= printLeast; size *= 0.95 {
		w, h := 0.0, 0.0
		for i, line := range lines {
			w, h = max(w, width(line, printSpacing(i))*printSize(size, i)), h+1.25*printSize(size, i)
		}
		frame, line := grown(Box{-w / 2, -h / 2, w, h}, 0.25*size), 0.045*size
		if reach := grown(frame, line); !t.inside(reach) || t.meets(reach, f.clear) {
			continue
		}
		y := -h / 2
		for i, line := range lines {
			size := printSize(size, i)
			st := style{Align: "center", Color: &printColor, Spacing: printSpacing(i)}
			for _, it := range f.pen.line(nil, line, size, Box{X: -w / 2, W: w}, y+(0.125+ascent)*size, st) {
				piece := it.(*Text)
				piece.X, piece.Y = t.rotate(piece.X, piece.Y)
				piece.Rotate, piece.Alpha = markTurn, printAlpha
				f.page.Watermark = append(f.page.Watermark, piece)
			}
			y += 1.25 * size
		}
		border := &Path{Segments: rounded(frame, 0.12*size), Stroke: &printColor, Line: line, Alpha: printAlpha}
		for i, s := range border.Segments {
			for k := range s.count() {
				s.Points[k][0], s.Points[k][1] = t.rotate(s.Points[k][0], s.Points[k][1])
			}
			border.Segments[i] = s
		}
		f.page.Watermark = append(f.page.Watermark, border)
		return nil
	}
	return &Error{Code: DoesNotFit, Field: "overprint"}
}

// grown is a box with room on every side.
func grown(b Box, room float64) Box { return Box{b.X - room, b.Y - room, b.W + 2*room, b.H + 2*room} }

// printSize is the size of a line of an overprint whose first line has a size.
func printSize(first float64, line int) float64 {
	if line == 0 {
		return first
	}
	return printSmall * first
}

// printSpacing is the space between the characters of a line, in sizes.
func printSpacing(line int) float64 {
	if line == 0 {
		return 0.15
	}
	return 0.02
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

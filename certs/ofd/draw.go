package ofd

import (
	"fmt"
	"math"
	"strconv"

	"oncegate/sheet"
)

// drawing draws items as OFD graphic units (图元), clause 8. Units cut off what lies outside of their Boundary, so each
// gets one with room.
type drawing struct {
	*markup
	resources *resources
	fonts     sheet.Fonts
	fontIDs   map[string]string // of fonts that were used
}

func newDrawing(m *markup, r *resources, fonts sheet.Fonts) *drawing {
	return &drawing{m, r, fonts, make(map[string]string)}
}

// font returns the ID of a font.
func (d *drawing) font(name string, data []byte) string {
	if d.fontIDs[name] == "" {
		d.fontIDs[name] = d.resources.font(name, data)
	}
	return d.fontIDs[name]
}

// draw writes one item.
func (d *drawing) draw(item sheet.Item) {
	switch i := item.(type) {
	case *sheet.Text:
		d.text(i)
	case *sheet.Path:
		d.path(i)
	case *sheet.Image:
		d.image(i)
	default:
		d.fail("an item of a page is of an unknown kind")
	}
}

// text writes TextObjects, clause 11.2.
func (d *drawing) text(t *sheet.Text) {
	chars := []rune(t.Text)
	data, known := d.fonts[t.Font]
	switch {
	case !known:
		d.fail("a text is in a font that the page does not have")
		return
	case len(chars) == 0 || len(t.Advances) != len(chars)-1:
		d.fail("a text has %d characters and %d advances", len(chars), len(t.Advances))
		return
	}
	sin, cos := math.Sincos(t.Rotate * math.Pi / 180)
	along := 0.0
	for from := 0; from < len(chars); {
		to := from + 1
		for basic(chars[from]) && to < len(chars) && basic(chars[to]) {
			to++
		}
		run := *t
		run.X, run.Y = t.X+along*cos, t.Y+along*sin
		run.Text, run.Advances = string(chars[from:to]), t.Advances[from:to-1]
		d.run(&run, data, sin, cos)
		for _, a := range t.Advances[from:min(to, len(t.Advances))] {
			along += a
		}
		from = to
	}
}

// basic says whether a character is in the basic plane. Many readers are written in UTF-16: they count a character beyond it
// as two and find no glyph for the halves. So each such character is an object of its own, with its glyph named.
func basic(r rune) bool { return r <= 0xFFFF }

// run writes one TextObject.
func (d *drawing) run(t *sheet.Text, font []byte, sin, cos float64) {
	width := 0.0
	for _, a := range t.Advances {
		width += a
	}
	// Characters may reach over the em square; the baseline lies 1.25 em below the upper edge.
	room := sheet.Box{X: -t.Size / 2, Y: -1.25 * t.Size, W: width + 2*t.Size, H: 1.75 * t.Size}
	x, y := -room.X, -room.Y // of the baseline's begin in the unit
	boundary := sheet.Box{X: t.X + room.X, Y: t.Y + room.Y, W: room.W, H: room.H}
	matrix := ""
	if t.Rotate != 0 {
		boundary = turned(room, sin, cos)
		x, y = 0, 0
		matrix = fmt.Sprintf("%s %s", d.numbers(cos, sin, -sin, cos), d.numbers(-boundary.X, -boundary.Y))
		boundary.X, boundary.Y = boundary.X+t.X, boundary.Y+t.Y
	}
	stroke, line := "", ""
	if t.Stroke > 0 {
		stroke, line = "true", d.number(t.Stroke)
	}
	d.begin("TextObject", "ID", d.resources.next(), "Boundary", d.box(boundary), "CTM", matrix,
		"Font", d.font(t.Font, font), "Size", d.number(t.Size),
		"Stroke", stroke, "LineWidth", line, "Alpha", alpha(t.Alpha))
	d.empty("FillColor", "Value", color(t.Color))
	if stroke != "" {
		d.empty("StrokeColor", "Value", color(t.Color))
	}
	d.glyph([]rune(t.Text)[0], font)
	d.markup.text("TextCode", t.Text, "X", d.number(x), "Y", d.number(y), "DeltaX", d.numbers(t.Advances...))
	d.end()
}

// glyph names the glyph of a character beyond the basic plane (CGTransform, clause 11.4), in UTF-16 units as readers count.
func (d *drawing) glyph(r rune, font []byte) {
	if basic(r) {
		return
	}
	index := d.resources.glyph(font, r)
	if index == 0 {
		return // as the text stands, it is left to the reader
	}
	d.begin("CGTransform", "CodePosition", "0", "CodeCount", "2", "GlyphCount", "1")
	d.markup.text("Glyphs", strconv.Itoa(index))
	d.end()
}

// turned is the box around a box that was turned about the origin.
func turned(b sheet.Box, sin, cos float64) sheet.Box {
	var around bounds
	for _, p := range [4][2]float64{{b.X, b.Y}, {b.X + b.W, b.Y}, {b.X, b.Y + b.H}, {b.X + b.W, b.Y + b.H}} {
		around.add(p[0]*cos-p[1]*sin, p[0]*sin+p[1]*cos)
	}
	return around.box(0)
}

// path writes a PathObject, clause 9.
func (d *drawing) path(p *sheet.Path) {
	var around bounds
	for _, s := range p.Segments {
		for _, point := range s.Points[:points(s.Op)] {
			around.add(point[0], point[1])
		}
	}
	if !around.any || p.Fill == nil && p.Stroke == nil {
		d.fail("a path has no points or no colour")
		return
	}
	room := 0.1
	if p.Stroke != nil {
		room += 2 * p.Line // corners reach over the line
	}
	b := around.box(room)
	width := ""
	if p.Stroke != nil {
		width = d.number(p.Line)
	}
	d.begin("PathObject", "ID", d.resources.next(), "Boundary", d.box(b), "LineWidth", width,
		"Stroke", strconv.FormatBool(p.Stroke != nil), "Fill", strconv.FormatBool(p.Fill != nil), "Alpha", alpha(p.Alpha))
	if p.Stroke != nil {
		d.empty("StrokeColor", "Value", color(*p.Stroke))
	}
	if p.Fill != nil {
		d.empty("FillColor", "Value", color(*p.Fill))
	}
	d.begin("AbbreviatedData")
	for i, s := range p.Segments {
		if i > 0 {
			d.b.WriteByte(' ')
		}
		switch s.Op {
		case 'M', 'L':
			d.b.WriteByte(s.Op)
		case 'C':
			d.b.WriteByte('B') // cubic Bézier curve; C closes
		case 'Z':
			d.b.WriteByte('C')
		default:
			d.fail("a path has an unknown step")
		}
		for _, point := range s.Points[:points(s.Op)] {
			d.point([2]float64{point[0] - b.X, point[1] - b.Y})
		}
	}
	d.end()
	d.end()
}

// points is how many points a segment has.
func points(op byte) int {
	switch op {
	case 'M', 'L':
		return 1
	case 'C':
		return 3
	}
	return 0
}

// image writes an ImageObject, clause 10: the unit square of the picture is stretched by the matrix.
func (d *drawing) image(i *sheet.Image) {
	d.empty("ImageObject", "ID", d.resources.next(), "Boundary", d.box(i.Box), "CTM", d.numbers(i.W, 0, 0, i.H, 0, 0),
		"ResourceID", d.resources.image(i.PNG), "Alpha", alpha(i.Alpha))
}

// alpha writes transparency as OFD has it; empty for opaque.
func alpha(a float64) string {
	if !(a < 1) {
		return ""
	}
	return strconv.Itoa(int(math.Round(max(a, 0) * 255)))
}

func color(c sheet.Color) string { return fmt.Sprintf("%d %d %d", c.R, c.G, c.B) }

// bounds grows around points.
type bounds struct {
	any            bool
	x0, y0, x1, y1 float64
}

func (b *bounds) add(x, y float64) {
	if !b.any {
		*b = bounds{true, x, y, x, y}
		return
	}
	b.x0, b.y0, b.x1, b.y1 = min(b.x0, x), min(b.y0, y), max(b.x1, x), max(b.y1, y)
}

func (b *bounds) box(room float64) sheet.Box {
	return sheet.Box{X: b.x0 - room, Y: b.y0 - room, W: b.x1 - b.x0 + 2*room, H: b.y1 - b.y0 + 2*room}
}

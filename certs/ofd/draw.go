package ofd

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"

	"golang.org/x/image/font/sfnt"

	"oncegate/certs/sm"
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

// basic reports whether a character is in the basic plane. Many readers are written in UTF-16: they count a character beyond it
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

// placeEntries finds where the bytes of each entry lie, compares local headers and data descriptors with the directory, and
// demands that entries follow each other from the first byte of the package to the directory without a gap.
func placeEntries(ctx context.Context, r io.ReaderAt, all []entry, directory int64) error {
	slices.SortFunc(all, func(a, b entry) int { return cmp.Compare(a.header, b.header) })
	at := int64(0)
	for i := range all {
		if err := ctx.Err(); err != nil {
			return err
		}
		e := &all[i]
		switch {
		case e.header < at:
			return refuse(StepPackage, "the files %s and %s lie over each other", quote(all[max(i, 1)-1].name), quote(e.name))
		case e.header > at:
			return refuse(StepPackage, "there are bytes before the file %s that belong to no file", quote(e.name))
		}
		if err := placeEntry(r, e, directory); err != nil {
			return err
		}
		at = e.data + e.packed
		if e.flags&flagDescriptor != 0 {
			at += descriptorSize
		}
	}
	if at != directory {
		return refuse(StepPackage, "there are bytes before the zip directory that belong to no file")
	}
	return nil
}

// placeEntry reads the local header of an entry, and the data descriptor behind its bytes where it has one.
func placeEntry(r io.ReaderAt, e *entry, directory int64) error {
	var head [localSize + maxName]byte
	local := head[:localSize+len(e.name)]
	e.data = e.header + int64(len(local))
	if e.data > directory {
		return refuse(StepPackage, "the file %s lies outside of the zip", quote(e.name))
	}
	if err := readAt(r, local, e.header); err != nil {
		return err
	}
	var extra [maxExtra]byte
	n := int(binary.LittleEndian.Uint16(local[28:]))
	if n > len(extra) {
		return refuse(StepPackage, "the extra fields of the file %s are too long", quote(e.name))
	}
	if err := readAt(r, extra[:n], e.data); err != nil {
		return err
	}
	if err := agrees(local, extra[:n], *e); err != nil {
		return err
	}
	e.data += int64(n)
	end := e.data + e.packed
	if e.flags&flagDescriptor != 0 {
		end += descriptorSize
	}
	if end > directory {
		return refuse(StepPackage, "the file %s lies outside of the zip", quote(e.name))
	}
	if e.flags&flagDescriptor == 0 {
		return nil
	}
	var d [descriptorSize]byte
	if err := readAt(r, d[:], e.data+e.packed); err != nil {
		return err
	}
	u32 := func(i int) uint32 { return binary.LittleEndian.Uint32(d[i:]) }
	if u32(0) != descriptorMagic || u32(4) != e.crc || int64(u32(8)) != e.packed || int64(u32(12)) != e.size {
		return refuse(StepPackage, "behind the file %s stands no data descriptor with what the zip directory says", quote(e.name))
	}
	return nil
}

// agrees compares an entry's local header, and the extra fields behind it, with its header in the directory. Beside a data
// descriptor each of checksum and sizes may be zero: writers that stream fill in what they know.
func agrees(b, extra []byte, e entry) error {
	u16 := func(i int) uint16 { return binary.LittleEndian.Uint16(b[i:]) }
	u32 := func(i int) int64 { return int64(binary.LittleEndian.Uint32(b[i:])) }
	differs := func(what string) error {
		return refuse(StepPackage, "the zip says two things of the %s of the file %s", what, quote(e.name))
	}
	switch {
	case u32(0) != localMagic || int(u16(26)) != len(e.name) || string(b[localSize:]) != e.name:
		return differs("name")
	case u16(4) > maxVersion:
		return refuse(StepPackage, "the file %s needs version %d of zip to be unpacked", quote(e.name), u16(4))
	case u16(6) != e.flags:
		return differs("flags")
	case u16(8) != e.method:
		return differs("method")
	}
	if err := checkExtra(extra, e, true); err != nil {
		return err
	}
	crc, packed, size := u32(14), u32(18), u32(22)
	if packed == math.MaxUint32 && size == math.MaxUint32 && hasZip64(extra) {
		packed, size = e.packed, e.size
	}
	later := func(v int64) bool { return v == 0 && e.flags&flagDescriptor != 0 }
	switch {
	case crc != int64(e.crc) && !later(crc):
		return differs("checksum")
	case packed != e.packed && !later(packed), size != e.size && !later(size):
		return differs("size")
	}
	return nil
}

// hasZip64 reports whether there are zip64 sizes among extra fields, which checkExtra has found to be well-formed.
func hasZip64(extra []byte) bool {
	for len(extra) >= 4 && binary.LittleEndian.Uint16(extra) != tagZip64 {
		extra = extra[4+binary.LittleEndian.Uint16(extra[2:]):]
	}
	return len(extra) >= 4
}

// resources gives out the IDs of a document and collects the fonts and images that its pages use, each once.
type resources struct {
	last   int
	ids    map[string]string // of a font or image, by kind, name and digest
	fonts  []resource
	images []resource
}

// resource is a file under Res.
type resource struct {
	id, name, file string
	data           []byte
}

func newResources() *resources { return &resources{ids: make(map[string]string)} }

// next gives out an ID.
func (r *resources) next() string {
	r.last++
	return strconv.Itoa(r.last)
}

// font returns the ID of a font.
func (r *resources) font(name string, data []byte) string {
	return r.keep(&r.fonts, name, "font_%s.ttf", data)
}

// glyph returns the number of a character's glyph in a TrueType font; zero when there is none.
func (r *resources) glyph(font []byte, char rune) int {
	f, err := sfnt.Parse(font)
	if err != nil {
		return 0
	}
	index, err := f.GlyphIndex(nil, char)
	if err != nil {
		return 0
	}
	return int(index)
}

// image returns the ID of an image.
func (r *resources) image(png []byte) string { return r.keep(&r.images, "", "image_%s.png", png) }

func (r *resources) keep(list *[]resource, name, file string, data []byte) string {
	sum := sm.Digest(data)
	key := file + name + "\x00" + string(sum[:])
	id, known := r.ids[key]
	if !known {
		id = r.next()
		r.ids[key] = id
		*list = append(*list, resource{id, name, fmt.Sprintf(file, id), data})
	}
	return id
}

// public writes PublicRes.xml: the fonts, clause 7.9.
func (r *resources) public() ([]byte, error) {
	m := newMarkup("Res", "BaseLoc", "Res")
	if len(r.fonts) > 0 {
		m.begin("Fonts")
		for _, f := range r.fonts {
			m.begin("Font", "ID", f.id, "FontName", f.name, "FamilyName", f.name)
			m.text("FontFile", f.file)
			m.end()
		}
		m.end()
	}
	return m.bytes()
}

// media writes DocumentRes.xml: the images.
func (r *resources) media() ([]byte, error) {
	m := newMarkup("Res", "BaseLoc", "Res")
	m.begin("MultiMedias")
	for _, i := range r.images {
		m.begin("MultiMedia", "ID", i.id, "Type", "Image", "Format", "PNG")
		m.text("MediaFile", i.file)
		m.end()
	}
	m.end()
	return m.bytes()
}

package sheet

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/image/font"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
)

// maxFont bounds a font file: the largest free Chinese fonts have some 60 MB.
const maxFont = 96 << 20

// needed are the tables that a font must have to be cut down and embedded.
var needed = [...]string{"OS/2", "cmap", "glyf", "head", "hhea", "hmtx", "loca", "maxp", "name", "post"}

var errFont = errors.New("not a TrueType font with outlines")

// A typeface is one TrueType font, opened. It is safe for concurrent use.
type typeface struct {
	name   string
	font   *sfnt.Font
	upem   float64
	tables map[string][]byte
	loca   []uint32 // offset of each glyph in glyf, and the end
}

// openTypeface reads a TrueType font; of a collection (.ttc) the first.
func openTypeface(name string, data []byte) (*typeface, error) {
	if len(data) > maxFont {
		return nil, fmt.Errorf("open font %q: larger than %d bytes", name, maxFont)
	}
	f := &typeface{name: name}
	for _, step := range [...]func([]byte) error{f.parse, f.directory, f.locations} {
		if err := step(data); err != nil {
			return nil, fmt.Errorf("open font %q: %w", name, err)
		}
	}
	return f, nil
}

// parse has the library read what is needed for metrics, coverage and outlines.
func (f *typeface) parse(data []byte) (err error) {
	defer func() {
		if recover() != nil {
			err = errFont
		}
	}()
	collection, err := sfnt.ParseCollection(data)
	if err != nil {
		return err
	}
	if f.font, err = collection.Font(0); err != nil {
		return err
	}
	f.upem = float64(f.font.UnitsPerEm())
	if f.upem < 16 || f.upem > 16384 {
		return errFont
	}
	return nil
}

// directory finds the tables.
func (f *typeface) directory(data []byte) error {
	start := 0
	if len(data) >= 16 && string(data[:4]) == "ttcf" {
		start = int(binary.BigEndian.Uint32(data[12:]))
	}
	if start < 0 || start+12 > len(data) {
		return errFont
	}
	count := int(binary.BigEndian.Uint16(data[start+4:]))
	if start+12+16*count > len(data) {
		return errFont
	}
	f.tables = make(map[string][]byte, count)
	for i := range count {
		entry := data[start+12+16*i:]
		at, size := uint64(binary.BigEndian.Uint32(entry[8:])), uint64(binary.BigEndian.Uint32(entry[12:]))
		if at+size > uint64(len(data)) {
			return errFont
		}
		f.tables[string(entry[:4])] = data[at : at+size : at+size]
	}
	for _, tag := range needed {
		if len(f.tables[tag]) == 0 {
			return fmt.Errorf("%w: table %q is missing", errFont, tag)
		}
	}
	if len(f.tables["head"]) < 54 || len(f.tables["hhea"]) < 36 || len(f.tables["maxp"]) < 32 || len(f.tables["post"]) < 32 {
		return errFont
	}
	return nil
}

// locations reads where each glyph's outline stands.
func (f *typeface) locations([]byte) error {
	loca, size := f.tables["loca"], uint32(len(f.tables["glyf"]))
	count := int(binary.BigEndian.Uint16(f.tables["maxp"][4:])) + 1
	long := binary.BigEndian.Uint16(f.tables["head"][50:]) != 0
	if long && len(loca) < 4*count || !long && len(loca) < 2*count {
		return errFont
	}
	f.loca = make([]uint32, count)
	for i := range f.loca {
		if long {
			f.loca[i] = binary.BigEndian.Uint32(loca[4*i:])
		} else {
			f.loca[i] = 2 * uint32(binary.BigEndian.Uint16(loca[2*i:]))
		}
		if f.loca[i] > size || i > 0 && f.loca[i] < f.loca[i-1] {
			return errFont
		}
	}
	return nil
}

// glyph returns the glyph of a character; 0 when the font has none.
func (f *typeface) glyph(b *sfnt.Buffer, r rune) sfnt.GlyphIndex {
	g, err := f.font.GlyphIndex(b, r)
	if err != nil || int(g) >= len(f.loca)-1 {
		return 0
	}
	return g
}

// advance returns how far a glyph moves the pen, in ems.
func (f *typeface) advance(b *sfnt.Buffer, g sfnt.GlyphIndex) float64 {
	units, err := f.font.GlyphAdvance(b, g, fixed.Int26_6(f.upem*64), font.HintingNone)
	if err != nil {
		return 1
	}
	return float64(units) / 64 / f.upem
}

// outline returns a glyph's outline in ems, y downward, with its origin on the baseline. Quadratic curves become cubic ones.
func (f *typeface) outline(b *sfnt.Buffer, g sfnt.GlyphIndex) ([]Segment, error) {
	loaded, err := f.font.LoadGlyph(b, g, fixed.Int26_6(f.upem*64), nil)
	if err != nil {
		return nil, fmt.Errorf("read a glyph of font %q: %w", f.name, err)
	}
	em := func(p fixed.Point26_6) [2]float64 {
		return [2]float64{float64(p.X) / 64 / f.upem, float64(p.Y) / 64 / f.upem}
	}
	var pen [2]float64
	var out []Segment
	for i, s := range loaded {
		a, b, c := em(s.Args[0]), em(s.Args[1]), em(s.Args[2])
		switch s.Op {
		case sfnt.SegmentOpMoveTo:
			if i > 0 {
				out = append(out, Segment{Op: 'Z'})
			}
			out, pen = append(out, Segment{Op: 'M', Points: [3][2]float64{a}}), a
		case sfnt.SegmentOpLineTo:
			out, pen = append(out, Segment{Op: 'L', Points: [3][2]float64{a}}), a
		case sfnt.SegmentOpQuadTo:
			out, pen = append(out, Segment{Op: 'C', Points: [3][2]float64{mix(pen, a), mix(b, a), b}}), b
		case sfnt.SegmentOpCubeTo:
			out, pen = append(out, Segment{Op: 'C', Points: [3][2]float64{a, b, c}}), c
		}
	}
	if len(out) > 0 {
		out = append(out, Segment{Op: 'Z'})
	}
	return out, nil
}

// mix goes two thirds of the way from an end of a quadratic curve to its control point.
func mix(end, control [2]float64) [2]float64 {
	return [2]float64{end[0] + (control[0]-end[0])*2/3, end[1] + (control[1]-end[1])*2/3}
}

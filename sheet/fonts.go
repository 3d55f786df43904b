package sheet

import (
	"bytes"
	"compress/gzip"
	"embed"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"

	"golang.org/x/image/font"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"

	"oncegate/fault"
)

// shipped are the embedded fonts, with their licenses; README.md there names their origin.
//
//go:embed fonts
var shipped embed.FS

// Names of the fonts in the program that a layout may ask for.
const (
	Song = "song" // 宋体: GB 2312
	Hei  = "hei"  // 黑体: all of U+4E00–U+9FA5
)

// builtin opens each font of the program once, when it is first needed.
var builtin = []struct {
	name string
	open func() (*typeface, error)
}{
	{Song, once(Song)}, {Hei, once(Hei)}, {"rare-a", once("rare-a")}, {"rare-b", once("rare-b")},
}

func once(name string) func() (*typeface, error) {
	return sync.OnceValues(func() (*typeface, error) {
		data, err := Font(name)
		if err != nil {
			return nil, err
		}
		return openTypeface(name, data)
	})
}

// Font returns a font of the program, whole: [Song] or [Hei]. It is read-only. The error is fs.ErrNotExist for another name.
func Font(name string) ([]byte, error) {
	unpacked, ok := fonts[name]
	if !ok {
		return nil, fmt.Errorf("open font %q: %w", name, fs.ErrNotExist)
	}
	return unpacked()
}

// fonts are the fonts of the program, each unpacked once, when it is first needed.
var fonts = map[string]func() ([]byte, error){Song: unpack(Song), Hei: unpack(Hei), "rare-a": unpack("rare-a"), "rare-b": unpack("rare-b")}

func unpack(name string) func() ([]byte, error) {
	return sync.OnceValues(func() ([]byte, error) {
		packed, err := shipped.ReadFile("fonts/" + name + ".ttf.gz")
		if err != nil {
			return nil, fmt.Errorf("open font %q: %w", name, err)
		}
		unpacking, err := gzip.NewReader(bytes.NewReader(packed))
		if err != nil {
			return nil, fmt.Errorf("open font %q: %w", name, err)
		}
		data, err := io.ReadAll(unpacking)
		if err != nil {
			return nil, fmt.Errorf("open font %q: %w", name, err)
		}
		return data, nil
	})
}

// A FontFile is a font that the configuration brings: TrueType outlines (.ttf, or the first of a .ttc).
type FontFile struct {
	Name string // by which layouts may ask for it
	Data []byte
}

// faces are the fonts at hand. A character is looked for in the font that the layout asks for, then in those of the
// configuration in their order, then in those of the program.
type faces struct{ configured []*typeface }

func openFaces(files []FontFile, faults *fault.List) *faces {
	f := &faces{}
	for _, file := range files {
		at := fault.Place{File: file.Name}
		face, err := openTypeface(file.Name, file.Data)
		switch {
		case !styleName.MatchString(file.Name):
			faults.AddAt(at, "the name of a font is made of small letters, digits and hyphens")
		case f.has(file.Name):
			faults.AddAt(at, "a font of this name is there already")
		case err != nil:
			faults.AddAt(at, "%v", err)
		default:
			f.configured = append(f.configured, face)
		}
	}
	return f
}

// has reports whether a layout may ask for a font.
func (f *faces) has(name string) bool {
	for _, b := range builtin {
		if b.name == name {
			return true
		}
	}
	for _, c := range f.configured {
		if c.name == name {
			return true
		}
	}
	return false
}

// chain calls yield with each font in the order in which a character is looked for.
func (f *faces) chain(first string) func(yield func(*typeface, error) bool) {
	return func(yield func(*typeface, error) bool) {
		for _, wanted := range [...]bool{true, false} {
			for _, c := range f.configured {
				if (c.name == first) == wanted && !yield(c, nil) {
					return
				}
			}
			for _, b := range builtin {
				if (b.name == first) == wanted && !yield(b.open()) {
					return
				}
			}
		}
	}
}

// A glyph is a character as one font draws it.
type glyph struct {
	face    *typeface
	index   sfnt.GlyphIndex
	advance float64 // in ems
}

// A pen looks up glyphs for one page and remembers what it used. It is not safe for concurrent use.
type pen struct {
	faces  *faces
	buffer sfnt.Buffer
	known  map[string]map[rune]glyph              // by the font asked for
	used   map[*typeface]map[rune]sfnt.GlyphIndex //
}

func newPen(f *faces) *pen {
	return &pen{faces: f, known: map[string]map[rune]glyph{}, used: map[*typeface]map[rune]sfnt.GlyphIndex{}}
}

// find returns the glyph of a character in the first font of the chain that has one. The error is a [*Error] with code
// [NoGlyph] when none has.
func (p *pen) find(font, field string, r rune) (glyph, error) {
	if g, ok := p.known[font][r]; ok {
		return g, nil
	}
	for face, err := range p.faces.chain(font) {
		if err != nil {
			return glyph{}, err
		}
		index := face.glyph(&p.buffer, r)
		if index == 0 {
			continue
		}
		g := glyph{face, index, face.advance(&p.buffer, index)}
		if p.known[font] == nil {
			p.known[font] = map[rune]glyph{}
		}
		p.known[font][r] = g
		return g, nil
	}
	return glyph{}, &Error{Code: NoGlyph, Field: field, Rune: r}
}

// use notes that a glyph is drawn.
func (p *pen) use(g glyph, r rune) {
	if p.used[g.face] == nil {
		p.used[g.face] = map[rune]sfnt.GlyphIndex{}
	}
	p.used[g.face][r] = g.index
}

// fonts subsets the fonts to the characters that were drawn.
func (p *pen) fonts() Fonts {
	out := Fonts{}
	for face, chars := range p.used {
		out[face.name] = face.cut(chars)
	}
	return out
}

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

// parse parses the tables for metrics, coverage and outlines.
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

// locations reads the offset of each glyph's outline.
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

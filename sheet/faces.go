package sheet

import (
	"bytes"
	"compress/gzip"
	"embed"
	"fmt"
	"io"
	"io/fs"
	"sync"

	"oncegate/fault"

	"golang.org/x/image/font/sfnt"
)

// shipped are the fonts that stand in the program, with their licenses; README.md there says where they come from.
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

// Font returns a font of the program, whole: [Song] or [Hei]. Nobody changes it. The error is fs.ErrNotExist for another name.
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

// has says whether a layout may ask for a font.
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

// fonts cuts the fonts down to what was drawn.
func (p *pen) fonts() Fonts {
	out := Fonts{}
	for face, chars := range p.used {
		out[face.name] = face.cut(chars)
	}
	return out
}

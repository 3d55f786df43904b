package ofd

import (
	"fmt"
	"strconv"

	"golang.org/x/image/font/sfnt"

	"oncegate/certs/sm"
)

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

package sheet

import (
	"encoding/binary"
	"maps"
	"slices"

	"golang.org/x/image/font/sfnt"
)

// cut writes a font subset: a font with only the given characters, for embedding in a document. The glyph of each character is that of
// the map; names and license notices stay. The same characters give the same bytes.
func (f *typeface) cut(chars map[rune]sfnt.GlyphIndex) []byte {
	runes := slices.Sorted(maps.Keys(chars))
	c := cutter{from: f, number: map[sfnt.GlyphIndex]uint16{0: 0}, order: []sfnt.GlyphIndex{0}}
	for _, r := range runes {
		c.take(chars[r])
	}
	glyf, loca := c.glyphs()
	tables := map[string][]byte{
		"OS/2": f.tables["OS/2"], "name": f.tables["name"],
		"glyf": glyf, "loca": loca, "hmtx": c.metrics(),
		"cmap": c.characters(runes, chars),
		"head": slices.Clone(f.tables["head"]), "hhea": slices.Clone(f.tables["hhea"]), "maxp": slices.Clone(f.tables["maxp"]),
		"post": slices.Clone(f.tables["post"][:32]),
	}
	for _, tag := range [...]string{"cvt ", "fpgm", "prep"} {
		if t := f.tables[tag]; len(t) > 0 {
			tables[tag] = t
		}
	}
	count := uint16(len(c.order))
	binary.BigEndian.PutUint16(tables["head"][50:], 1) // long offsets
	binary.BigEndian.PutUint16(tables["hhea"][34:], count)
	binary.BigEndian.PutUint16(tables["maxp"][4:], count)
	binary.BigEndian.PutUint32(tables["post"], 0x30000) // no glyph names
	return assemble(tables)
}

// A cutter numbers the glyphs that are kept.
type cutter struct {
	from   *typeface
	number map[sfnt.GlyphIndex]uint16
	order  []sfnt.GlyphIndex
}

func (c *cutter) take(g sfnt.GlyphIndex) uint16 {
	if n, ok := c.number[g]; ok {
		return n
	}
	n := uint16(len(c.order))
	c.number[g], c.order = n, append(c.order, g)
	return n
}

// glyphs copies outlines; the order grows while composed glyphs bring their parts.
func (c *cutter) glyphs() (glyf, loca []byte) {
	for i := 0; i < len(c.order); i++ {
		loca = binary.BigEndian.AppendUint32(loca, uint32(len(glyf)))
		glyf = append(glyf, c.glyph(c.order[i])...)
		for len(glyf)%4 != 0 {
			glyf = append(glyf, 0)
		}
	}
	return glyf, binary.BigEndian.AppendUint32(loca, uint32(len(glyf)))
}

func (c *cutter) glyph(g sfnt.GlyphIndex) []byte {
	if int(g)+1 >= len(c.from.loca) {
		return nil
	}
	data := c.from.tables["glyf"][c.from.loca[g]:c.from.loca[int(g)+1]]
	if len(data) < 10 || int16(binary.BigEndian.Uint16(data)) >= 0 {
		return data
	}
	data = slices.Clone(data)
	const (
		words, scale, more, xy, matrix = 1, 8, 0x20, 0x40, 0x80
	)
	for at := 10; at+4 <= len(data); {
		flags := binary.BigEndian.Uint16(data[at:])
		part := sfnt.GlyphIndex(binary.BigEndian.Uint16(data[at+2:]))
		binary.BigEndian.PutUint16(data[at+2:], c.take(part))
		at += 6
		if flags&words != 0 {
			at += 2
		}
		switch {
		case flags&scale != 0:
			at += 2
		case flags&xy != 0:
			at += 4
		case flags&matrix != 0:
			at += 8
		}
		if flags&more == 0 {
			break
		}
	}
	return data
}

// metrics writes an advance and a left bearing for every glyph.
func (c *cutter) metrics() []byte {
	hmtx := c.from.tables["hmtx"]
	long := int(binary.BigEndian.Uint16(c.from.tables["hhea"][34:]))
	at := func(i int) uint16 {
		if i < 0 || i+2 > len(hmtx) {
			return 0
		}
		return binary.BigEndian.Uint16(hmtx[i:])
	}
	var out []byte
	for _, g := range c.order {
		i := int(g)
		advance, bearing := at(4*min(i, long-1)), at(4*i+2)
		if i >= long {
			bearing = at(4*long + 2*(i-long))
		}
		out = binary.BigEndian.AppendUint16(out, advance)
		out = binary.BigEndian.AppendUint16(out, bearing)
	}
	return out
}

// characters writes the character map: format 4 for the basic plane, format 12 for everything.
func (c *cutter) characters(runes []rune, chars map[rune]sfnt.GlyphIndex) []byte {
	be := binary.BigEndian
	basic, _ := slices.BinarySearch(runes, 0xFFFF)
	segments := basic + 1 // one for each character, and the end mark
	small := make([]byte, 0, 16+8*segments)
	power, log := 1, uint16(0)
	for power*2 <= segments {
		power, log = power*2, log+1
	}
	for _, v := range [...]uint16{4, uint16(16 + 8*segments), 0, uint16(2 * segments), uint16(2 * power), log, uint16(2 * (segments - power))} {
		small = be.AppendUint16(small, v)
	}
	column := func(of func(rune) uint16, last uint16) {
		for _, r := range runes[:basic] {
			small = be.AppendUint16(small, of(r))
		}
		small = be.AppendUint16(small, last)
	}
	column(func(r rune) uint16 { return uint16(r) }, 0xFFFF)
	small = be.AppendUint16(small, 0)
	column(func(r rune) uint16 { return uint16(r) }, 0xFFFF)
	column(func(r rune) uint16 { return c.number[chars[r]] - uint16(r) }, 1)
	column(func(rune) uint16 { return 0 }, 0)

	large := []byte{0, 12, 0, 0}
	for _, v := range [...]uint32{uint32(16 + 12*len(runes)), 0, uint32(len(runes))} {
		large = be.AppendUint32(large, v)
	}
	for _, r := range runes {
		for _, v := range [...]uint32{uint32(r), uint32(r), uint32(c.number[chars[r]])} {
			large = be.AppendUint32(large, v)
		}
	}

	out := []byte{0, 0, 0, 2, 0, 3, 0, 1, 0, 0, 0, 20, 0, 3, 0, 10}
	out = be.AppendUint32(out, uint32(20+len(small)))
	return append(append(out, small...), large...)
}

// assemble writes a font file: directory, tables, check sums.
func assemble(tables map[string][]byte) []byte {
	be := binary.BigEndian
	tags := slices.Sorted(maps.Keys(tables))
	power, log := 1, uint16(0)
	for power*2 <= len(tags) {
		power, log = power*2, log+1
	}
	out := []byte{0, 1, 0, 0}
	for _, v := range [...]uint16{uint16(len(tags)), uint16(16 * power), log, uint16(16 * (len(tags) - power))} {
		out = be.AppendUint16(out, v)
	}
	be.PutUint32(tables["head"][8:], 0)
	at := len(out) + 16*len(tags)
	for _, tag := range tags {
		out = append(out, tag...)
		for _, v := range [...]uint32{sum(tables[tag]), uint32(at), uint32(len(tables[tag]))} {
			out = be.AppendUint32(out, v)
		}
		at += (len(tables[tag]) + 3) &^ 3
	}
	head := 0
	for _, tag := range tags {
		if tag == "head" {
			head = len(out)
		}
		out = append(out, tables[tag]...)
		for len(out)%4 != 0 {
			out = append(out, 0)
		}
	}
	be.PutUint32(out[head+8:], 0xB1B0AFBA-sum(out))
	return out
}

func sum(data []byte) (total uint32) {
	for len(data) >= 4 {
		total, data = total+binary.BigEndian.Uint32(data), data[4:]
	}
	for i, b := range data {
		total += uint32(b) << (24 - 8*i)
	}
	return total
}

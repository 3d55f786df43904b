package sheet

import (
	"unicode"
	"unicode/utf8"

	"github.com/rivo/uniseg"
)

// point is a typographic point in millimetres.
const point = 25.4 / 72

// ascent is the distance of the baseline below the top of the em square: Chinese fonts are drawn in a square of which 0.86 lie
// above the baseline.
const ascent = 0.86

// slack is the tolerated overflow, in millimetres: sums of advances are not exact.
const slack = 1e-6

// rightToLeft are scripts whose order and joined forms this room does not lay out.
var rightToLeft = []*unicode.RangeTable{unicode.Hebrew, unicode.Arabic, unicode.Syriac, unicode.Thaana, unicode.Nko, unicode.Mongolian}

// drawable reports whether a character can be drawn by itself: controls, bidirectional marks, joiners, private and unassigned
// characters cannot, nor can marks that combine with their neighbours. They are refused, so that no page shows another text
// than its metadata say.
func drawable(r rune) bool {
	switch {
	case r == ' ' || r == '\u3000' || r == '\u00a0':
		return true
	case r == utf8.RuneError, unicode.Is(unicode.Co, r), unicode.IsSpace(r), unicode.IsMark(r):
		return false
	}
	return unicode.IsGraphic(r) && !unicode.In(r, rightToLeft...)
}

// A char is a character with the glyph that draws it.
type char struct {
	rune
	glyph
}

// write looks up the glyphs of a text. Line ends stay as '\n'; at most limit characters, if limit is not 0.
func (p *pen) write(font, field string, limit int, text string) ([]char, error) {
	if !utf8.ValidString(text) {
		return nil, &Error{Code: ForbiddenCharacter, Field: field, Rune: utf8.RuneError}
	}
	if limit > 0 && utf8.RuneCountInString(text) > limit {
		return nil, &Error{Code: TooLong, Field: field}
	}
	out := make([]char, 0, utf8.RuneCountInString(text))
	for _, r := range text {
		if r == '\n' {
			out = append(out, char{rune: r})
			continue
		}
		if !drawable(r) {
			return nil, &Error{Code: ForbiddenCharacter, Field: field, Rune: r}
		}
		g, err := p.find(font, field, r)
		if err != nil {
			return nil, err
		}
		out = append(out, char{r, g})
	}
	return out, nil
}

// width of characters in sizes, with spacing between them.
func width(line []char, spacing float64) (w float64) {
	for i, c := range line {
		if i > 0 {
			w += spacing
		}
		w += c.advance
	}
	return w
}

// A stretch of text is what no line end divides, with the spaces after it.
type stretch struct {
	chars []char
	must  bool // the line ends after it
}

// stretches divides a text where lines may end (UAX #14): between Chinese characters, but not before closing punctuation nor
// after opening punctuation, and not within words and numbers.
func stretches(text []char) (out []stretch) {
	plain := make([]rune, len(text))
	for i, c := range text {
		plain[i] = c.rune
	}
	rest, state := string(plain), -1
	for rest != "" {
		var segment string
		var must bool
		segment, rest, must, state = uniseg.FirstLineSegmentInString(rest, state)
		n := utf8.RuneCountInString(segment)
		s := stretch{chars: text[:n], must: must && rest != ""}
		if last := len(s.chars) - 1; s.chars[last].rune == '\n' {
			s.chars, s.must = s.chars[:last], true
		}
		out, text = append(out, s), text[n:]
	}
	return out
}

// wrap breaks a text into lines of at most room sizes. A stretch that is longer than a line is broken anywhere.
func wrap(text []stretch, room, spacing float64) (lines [][]char) {
	var line []char
	end := func() {
		lines, line = append(lines, trim(line)), nil
	}
	for _, s := range text {
		if len(line) > 0 && width(trim(join(line, s.chars)), spacing) > room+slack {
			end()
		}
		if width(trim(s.chars), spacing) <= room+slack {
			line = join(line, s.chars)
		} else {
			for _, c := range s.chars {
				if len(line) > 0 && width(join(line, []char{c}), spacing) > room+slack {
					end()
				}
				line = append(line, c)
			}
		}
		if s.must {
			end()
		}
	}
	return append(lines, trim(line))
}

// join appends without touching what a belongs to.
func join(a, b []char) []char { return append(a[:len(a):len(a)], b...) }

// trim drops the spaces at the end of a line.
func trim(line []char) []char {
	for len(line) > 0 && (line[len(line)-1].rune == ' ' || line[len(line)-1].rune == '\u3000') {
		line = line[:len(line)-1]
	}
	return line
}

// step is by how much the size of a text shrinks, in points.
const step = 0.25

// fit breaks a text into lines that fit a box and returns them with their size in millimetres. It shrinks as far as the style
// allows; false if that is not enough.
func fit(text []char, box Box, st style) (lines [][]char, size float64, ok bool) {
	parts := stretches(text)
	least := st.Min
	if least == 0 {
		least = st.Size
	}
	for points := st.Size; ; points = max(points-step, least) {
		size = points * point
		lines = wrap(parts, box.W/size, st.Spacing)
		if fits(lines, size, box, st) {
			return lines, size, true
		}
		if points <= least {
			return nil, 0, false
		}
	}
}

// fits reports whether lines of a size lie within the box: each in its width, all in its height. One line may be as high as the
// size itself.
func fits(lines [][]char, size float64, box Box, st style) bool {
	if st.Lines > 0 && len(lines) > st.Lines || (float64(len(lines)-1)*st.Leading+1)*size > box.H+slack {
		return false
	}
	for _, line := range lines {
		if width(line, st.Spacing)*size > box.W+slack {
			return false
		}
	}
	return true
}

// set places lines in their box and returns them as texts, one for each run of one font.
func (p *pen) set(lines [][]char, size float64, box Box, st style) (out []Item) {
	height := (float64(len(lines)-1)*st.Leading + 1) * size
	y := box.Y + ascent*size
	switch st.VAlign {
	case "middle":
		y += (box.H - height) / 2
	case "bottom":
		y += box.H - height
	}
	for _, line := range lines {
		out = p.line(out, line, size, box, y, st)
		y += st.Leading * size
	}
	return out
}

func (p *pen) line(out []Item, line []char, size float64, box Box, y float64, st style) []Item {
	spacing := st.Spacing
	space := box.W - width(line, spacing)*size
	x := box.X
	switch {
	case st.Align == "center" || st.Align == "spread" && len(line) == 1:
		x += space / 2
	case st.Align == "right":
		x += space
	case st.Align == "spread" && len(line) > 1:
		spacing += space / float64(len(line)-1) / size
	}
	for start := 0; start < len(line); {
		end := start + 1
		for end < len(line) && line[end].face == line[start].face {
			end++
		}
		t := &Text{X: x, Y: y, Size: size, Font: line[start].face.name, Color: *st.Color, Alpha: 1, Stroke: st.Bold * size}
		plain := make([]rune, 0, end-start)
		for i, c := range line[start:end] {
			p.use(c.glyph, c.rune)
			plain = append(plain, c.rune)
			move := (c.advance + spacing) * size
			if start+i+1 < end {
				t.Advances = append(t.Advances, move)
			}
			x += move
		}
		t.Text = string(plain)
		out, start = append(out, t), end
	}
	return out
}

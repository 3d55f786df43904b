package sheet

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"image/png"
	"io"
	"strconv"
	"strings"
)

// SVG draws a page as an SVG picture: outlines only, so that it looks the same wherever it is opened; the text stands in
// labels for those who cannot see it. There is no script in it and nothing outside it is referred to. The same page gives the
// same bytes.
func SVG(w io.Writer, p Page) error {
	d, err := open(p)
	if err != nil {
		return err
	}
	v := &svg{raster: raster{drawing: d, outlines: map[glyphKey][]Segment{}}, ids: map[glyphKey]string{}}
	for _, it := range d.items {
		if err := v.item(it); err != nil {
			return err
		}
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, `<?xml version="1.0" encoding="UTF-8"?>`+"\n"+`<svg xmlns="http://www.w3.org/2000/svg" width="%smm" height="%smm" viewBox="0 0 %[1]s %[2]s" xml:lang="zh-CN" role="img">`+"\n",
		number(p.Width), number(p.Height))
	fmt.Fprintf(&out, "<title>%s</title>\n<defs>\n%s</defs>\n", escaped(p.Title), v.defs.String())
	fmt.Fprintf(&out, `<rect width="%s" height="%s" fill="#FFFFFF"/>`+"\n", number(p.Width), number(p.Height))
	out.WriteString(v.body.String())
	out.WriteString("</svg>\n")
	if _, err := w.Write(out.Bytes()); err != nil {
		return fmt.Errorf("draw page as SVG: %w", err)
	}
	return nil
}

// svg writes items; each glyph is defined once.
type svg struct {
	raster
	ids        map[glyphKey]string
	defs, body strings.Builder
}

func (v *svg) item(it Item) error {
	switch it := it.(type) {
	case *Text:
		return v.text(it)
	case *Path:
		fmt.Fprintf(&v.body, `<path d="%s" fill="%s"`, outlineData(it.Segments, 1), paint(it.Fill))
		if it.Stroke != nil {
			fmt.Fprintf(&v.body, ` stroke="%s" stroke-width="%s" stroke-linejoin="round"`, it.Stroke.hex(), number(it.Line))
		}
		v.body.WriteString(opacity(it.Alpha) + "/>\n")
	case *Image:
		picture, err := decodePicture(it.PNG)
		if err != nil {
			return err
		}
		var plain bytes.Buffer // written anew: what else a caller's file holds stays outside
		if err := png.Encode(&plain, picture); err != nil {
			return fmt.Errorf("draw page as SVG: %w", err)
		}
		fmt.Fprintf(&v.body, `<image x="%s" y="%s" width="%s" height="%s" preserveAspectRatio="none"%s href="data:image/png;base64,%s"/>`+"\n",
			number(it.X), number(it.Y), number(it.W), number(it.H), opacity(it.Alpha), base64.StdEncoding.EncodeToString(plain.Bytes()))
	}
	return nil
}

// em is how many units of a defined glyph make one size.
const em = 1000

func (v *svg) text(t *Text) error {
	glyphs, err := v.glyphs(t)
	if err != nil {
		return err
	}
	turn := ""
	if t.Rotate != 0 {
		turn = " rotate(" + number(t.Rotate) + ")"
	}
	fmt.Fprintf(&v.body, `<g aria-label="%s" fill="%s"%s transform="translate(%s %s)%s scale(%s)"`,
		escaped(t.Text), t.Color.hex(), opacity(t.Alpha), number(t.X), number(t.Y), turn, strconv.FormatFloat(t.Size/em, 'f', 8, 64))
	if t.Stroke > 0 {
		fmt.Fprintf(&v.body, ` stroke="%s" stroke-width="%s"`, t.Color.hex(), number(t.Stroke/t.Size*em))
	}
	v.body.WriteString(">")
	for _, g := range glyphs {
		id, err := v.define(t.Font, g)
		if err != nil {
			return err
		}
		if id != "" { // a space has no outline
			fmt.Fprintf(&v.body, `<use href="#%s" x="%s"/>`, id, number(g.x/t.Size*em))
		}
	}
	v.body.WriteString("</g>\n")
	return nil
}

// define writes a glyph into the definitions when it is first used.
func (v *svg) define(font string, g placed) (string, error) {
	key := glyphKey{v.faces[font], g.index}
	if id, ok := v.ids[key]; ok {
		return id, nil
	}
	outline, err := v.outline(font, g.index)
	if err != nil {
		return "", err
	}
	if len(outline) > 0 {
		v.ids[key] = "g" + strconv.Itoa(len(v.ids)+1)
		fmt.Fprintf(&v.defs, `<path id="%s" d="%s"/>`+"\n", v.ids[key], outlineData(outline, em))
	}
	return v.ids[key], nil
}

// outlineData writes an outline as path data.
func outlineData(segments []Segment, scale float64) string {
	var out strings.Builder
	for _, s := range segments {
		out.WriteByte(s.Op)
		for i := range s.count() {
			if i > 0 {
				out.WriteByte(' ')
			}
			out.WriteString(number(s.Points[i][0]*scale) + " " + number(s.Points[i][1]*scale))
		}
	}
	return out.String()
}

func paint(c *Color) string {
	if c == nil {
		return "none"
	}
	return c.hex()
}

func opacity(alpha float64) string {
	if alpha == 1 {
		return ""
	}
	return ` opacity="` + number(alpha) + `"`
}

// number writes a number with at most four decimals.
func number(v float64) string {
	s := strconv.FormatFloat(v, 'f', 4, 64)
	s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	if s == "-0" {
		return "0"
	}
	return s
}

func escaped(text string) string {
	var out strings.Builder
	_ = xml.EscapeText(&out, []byte(text)) // writing to a Builder does not fail
	return out.String()
}

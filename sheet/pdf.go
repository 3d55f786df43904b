package sheet

import (
	"bytes"
	"fmt"
	"image"
	"image/draw"
	"image/png"
	"io"
	"math"
	"time"
	"unicode/utf16"

	"codeberg.org/go-pdf/fpdf"
	"golang.org/x/image/font/sfnt"
)

// pdfDate stands in every PDF, so that the same page gives the same bytes.
var pdfDate = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// PDF draws a page as a PDF whose text can be searched and copied; its fonts, cut down, are in the file. The same page gives
// the same bytes.
func PDF(w io.Writer, p Page) (err error) {
	d, err := open(p)
	if err != nil {
		return err
	}
	defer func() { // the library panics on fonts that it does not like
		if r := recover(); r != nil {
			err = fmt.Errorf("draw page as PDF: a font cannot be embedded")
		}
	}()
	f := fpdf.NewCustom(&fpdf.InitType{OrientationStr: "P", UnitStr: "mm", Size: fpdf.SizeType{Wd: p.Width, Ht: p.Height}})
	f.SetMargins(0, 0, 0)
	f.SetAutoPageBreak(false, 0)
	f.SetCatalogSort(true)
	f.SetCreationDate(pdfDate)
	f.SetModificationDate(pdfDate)
	f.SetProducer("Oncegate", true)
	f.SetTitle(p.Title, true)
	f.SetLang("zh-CN")
	v := pdf{Fpdf: f, drawing: d, fonts: map[string]*pdfFont{}, alpha: 1}
	f.AddPage()
	for _, it := range d.items {
		if err := v.item(it); err != nil {
			return err
		}
	}
	if err := f.Output(w); err != nil {
		return fmt.Errorf("draw page as PDF: %w", err)
	}
	return nil
}

// pdf draws items with fpdf.
type pdf struct {
	*fpdf.Fpdf
	*drawing
	fonts    map[string]*pdfFont
	alpha    float64
	pictures int
}

// A pdfFont is a font of the page as fpdf takes it. fpdf knows characters of the basic plane only, so that the others get codes
// of the private area; the real characters are in ActualText.
type pdfFont struct {
	codes    map[rune]rune
	advances map[rune]float64 // in sizes, by character of the page
}

const firstPrivate = '\ue000'

// font embeds a font when its first text is drawn.
func (v *pdf) font(name string) *pdfFont {
	if f, ok := v.fonts[name]; ok {
		return f
	}
	face := v.faces[name]
	f := &pdfFont{codes: map[rune]rune{}, advances: map[rune]float64{}}
	chars := map[rune]sfnt.GlyphIndex{}
	next := firstPrivate
	for _, it := range v.items {
		t, ok := it.(*Text)
		if !ok || t.Font != name {
			continue
		}
		for _, r := range t.Text {
			if _, known := f.codes[r]; known {
				continue
			}
			code := r
			if r > 0xFFFF {
				code, next = next, next+1
			}
			index := face.glyph(&v.buffer, r)
			f.codes[r], chars[code] = code, index
			f.advances[r] = math.Round(face.advance(&v.buffer, index)*1000) / 1000 // as fpdf writes widths
		}
	}
	v.AddUTF8FontFromBytes(name, "", face.cut(chars))
	v.fonts[name] = f
	return f
}

func (v *pdf) item(it Item) error {
	switch it := it.(type) {
	case *Text:
		return v.text(it)
	case *Path:
		v.path(it)
	case *Image:
		return v.image(it)
	}
	return nil
}

func (v *pdf) setAlpha(alpha float64) {
	if alpha != v.alpha {
		v.SetAlpha(alpha, "Normal")
		v.alpha = alpha
	}
}

func (v *pdf) text(t *Text) error {
	glyphs, err := v.drawing.glyphs(t)
	if err != nil || len(glyphs) == 0 {
		return err
	}
	font := v.font(t.Font)
	v.setAlpha(t.Alpha)
	v.SetFont(t.Font, "", t.Size/point)
	v.SetTextColor(int(t.Color.R), int(t.Color.G), int(t.Color.B))
	if t.Stroke > 0 {
		v.SetDrawColor(int(t.Color.R), int(t.Color.G), int(t.Color.B))
		v.SetLineWidth(t.Stroke)
		v.SetTextRenderingMode(2)
		defer v.SetTextRenderingMode(0)
	}
	if t.Rotate != 0 {
		v.TransformBegin()
		v.TransformRotate(-t.Rotate, t.X, t.Y)
		defer v.TransformEnd()
	}
	for start := 0; start < len(glyphs); {
		end := v.run(glyphs, start, font, t.Size)
		v.show(t, glyphs[start:end], font)
		start = end
	}
	return nil
}

// run returns where the characters end that can be shown at once: those which follow each other as the font moves the pen by
// itself. A character outside the basic plane stands alone.
func (v *pdf) run(glyphs []placed, start int, font *pdfFont, size float64) int {
	const tolerance = 0.01 // millimetres, below visibility
	end := start + 1
	if glyphs[start].rune > 0xFFFF {
		return end
	}
	x := glyphs[start].x
	for ; end < len(glyphs) && glyphs[end].rune <= 0xFFFF; end++ {
		x += font.advances[glyphs[end-1].rune] * size
		if math.Abs(x-glyphs[end].x) > tolerance {
			break
		}
	}
	return end
}

func (v *pdf) show(t *Text, run []placed, font *pdfFont) {
	codes := make([]rune, len(run))
	for i, g := range run {
		codes[i] = font.codes[g.rune]
	}
	if r := run[0].rune; r > 0xFFFF {
		high, low := utf16.EncodeRune(r)
		v.RawWriteStr(fmt.Sprintf("/Span <</ActualText <FEFF%04X%04X>>> BDC\n", high, low))
		defer v.RawWriteStr("EMC\n")
	}
	v.Text(t.X+run[0].x, t.Y, string(codes))
}

func (v *pdf) path(p *Path) {
	v.setAlpha(p.Alpha)
	ways := ""
	if p.Fill != nil {
		v.SetFillColor(int(p.Fill.R), int(p.Fill.G), int(p.Fill.B))
		ways = "F"
	}
	if p.Stroke != nil {
		v.SetDrawColor(int(p.Stroke.R), int(p.Stroke.G), int(p.Stroke.B))
		v.SetLineWidth(p.Line)
		ways = "D" + ways
	}
	if ways == "" {
		return
	}
	for _, s := range p.Segments {
		a, b, c := s.Points[0], s.Points[1], s.Points[2]
		switch s.Op {
		case 'M':
			v.MoveTo(a[0], a[1])
		case 'L':
			v.LineTo(a[0], a[1])
		case 'C':
			v.CurveBezierCubicTo(a[0], a[1], b[0], b[1], c[0], c[1])
		case 'Z':
			v.ClosePath()
		}
	}
	v.DrawPath(ways)
}

// image draws a picture; it is written anew, because fpdf reads not every kind of PNG.
func (v *pdf) image(it *Image) error {
	picture, err := decodePicture(it.PNG)
	if err != nil {
		return err
	}
	var plain bytes.Buffer
	if err := png.Encode(&plain, picture); err != nil {
		return fmt.Errorf("draw page as PDF: %w", err)
	}
	v.setAlpha(it.Alpha)
	v.pictures++
	name := fmt.Sprintf("picture-%d", v.pictures)
	options := fpdf.ImageOptions{ImageType: "PNG"}
	v.RegisterImageOptionsReader(name, options, &plain)
	v.ImageOptions(name, it.X, it.Y, it.W, it.H, false, options, 0, "")
	return nil
}

// decodePicture reads a PNG within the bounds of pictures.
func decodePicture(data []byte) (*image.NRGBA, error) {
	if _, err := pictureSize(data); err != nil {
		return nil, err
	}
	decoded, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, &Error{Code: BadPicture, Field: "seal"}
	}
	out := image.NewNRGBA(image.Rect(0, 0, decoded.Bounds().Dx(), decoded.Bounds().Dy()))
	draw.Draw(out, out.Bounds(), decoded, decoded.Bounds().Min, draw.Src)
	return out, nil
}

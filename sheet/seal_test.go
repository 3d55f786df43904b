package sheet_test

import (
	"bytes"
	"errors"
	"image"
	"image/png"
	"strings"
	"testing"

	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"

	"oncegate/sheet"
)

const bureau = "EXAMPLE CITY BUREAU OF LICENSES"

func drawSeal(t testing.TB, d sheet.SealDrawing) ([]byte, image.Image) {
	t.Helper()
	p, err := sheet.DrawSeal(d)
	if err != nil {
		t.Fatal(err)
	}
	im, err := png.Decode(bytes.NewReader(p))
	if err != nil {
		t.Fatal(err)
	}
	return p, im
}

// ink is how much of a ring between two radii, in an angle of the top, is covered.
func ink(im image.Image, inner, outer float64, where func(x, y float64) bool) float64 {
	r := float64(im.Bounds().Dx()) / 2
	var sum, n float64
	for y := range im.Bounds().Dy() {
		for x := range im.Bounds().Dx() {
			fx, fy := (float64(x)+0.5)/r-1, (float64(y)+0.5)/r-1
			if d := fx*fx + fy*fy; d >= inner*inner && d < outer*outer && where(fx, fy) {
				_, _, _, a := im.At(x, y).RGBA()
				sum += float64(a) / 0xffff
				n++
			}
		}
	}
	return sum / n
}

func TestDrawSeal(t *testing.T) {
	all := func(_, _ float64) bool { return true }
	top := func(_, y float64) bool { return y < 0 }
	bottom := func(x, y float64) bool { return y > 0.5 && x > -0.3 && x < 0.3 }
	p, im := drawSeal(t, sheet.SealDrawing{Name: bureau, Font: goregular.TTF})
	if im.Bounds().Dx() != 472 || im.Bounds().Dy() != 472 { // 40 mm
		t.Error(im.Bounds())
	}
	if len(p) > 24<<10 {
		t.Errorf("%d bytes", len(p))
	}
	if x := ink(im, 0.95, 0.99, all); x < 0.99 {
		t.Errorf("the ring covers %.2f", x)
	}
	if x := ink(im, 1, 2, all); x > 0 {
		t.Errorf("outside the ring %.2f", x)
	}
	if x := ink(im, 0, 0.11, all); x < 0.99 {
		t.Errorf("the star covers %.2f", x)
	}
	if x := ink(im, 0.35, 0.58, all); x > 0 {
		t.Errorf("between star and name %.3f", x)
	}
	if x := ink(im, 0.64, 0.88, top); x < 0.1 || x > 0.6 {
		t.Errorf("the name covers %.2f", x)
	}
	if x := ink(im, 0.4, 0.9, bottom); x > 0 {
		t.Errorf("under the star %.3f", x)
	}
	_, im = drawSeal(t, sheet.SealDrawing{Name: bureau, Line: "LICENSES", Font: gobold.TTF, Diameter: 30, DPI: 600})
	if im.Bounds().Dx() != 709 {
		t.Error(im.Bounds())
	}
	if x := ink(im, 0.4, 0.64, bottom); x < 0.05 {
		t.Errorf("the line covers %.3f", x)
	}
	if r, g, b, a := im.At(354, 354).RGBA(); a != 0xffff || r < 0xc000 || g > 0x3000 || b > 0x3000 {
		t.Error("the star is not red")
	}
	// Edges are smooth: not only ink and none.
	shades := map[uint32]bool{}
	for x := range im.Bounds().Dx() {
		_, _, _, a := im.At(x, 100).RGBA()
		shades[a] = true
	}
	if len(shades) < 4 {
		t.Errorf("%d shades", len(shades))
	}
}

// However long, a name stays between ring and star, and every character of it counts.
func TestLongSealNames(t *testing.T) {
	last := -1.0
	for n := 1; n <= 60; n++ {
		name := strings.Repeat("W", n)
		_, im := drawSeal(t, sheet.SealDrawing{Name: name, Font: goregular.TTF, DPI: 100})
		if x := ink(im, 0.36, 0.6, func(_, _ float64) bool { return true }); x > 0 {
			t.Errorf("%d characters reach the star: %.3f", n, x)
		}
		if n > 14 { // from here on they grow narrower
			continue
		}
		x := ink(im, 0.62, 0.9, func(_, _ float64) bool { return true })
		if x <= last {
			t.Errorf("character %d left no ink", n)
		}
		last = x
	}
}

func TestDrawSealRefuses(t *testing.T) {
	for name, x := range map[string]struct {
		d   sheet.SealDrawing
		err error
	}{
		"no glyph":          {sheet.SealDrawing{Name: "示例市公安局", Font: goregular.TTF}, sheet.ErrSealGlyph},
		"no glyph for one":  {sheet.SealDrawing{Name: "BUREAU 𠮷", Font: goregular.TTF}, sheet.ErrSealGlyph},
		"no glyph, line":    {sheet.SealDrawing{Name: "BUREAU", Line: "章", Font: goregular.TTF}, sheet.ErrSealGlyph},
		"no font":           {sheet.SealDrawing{Name: "BUREAU"}, sheet.ErrSealDrawing},
		"broken font":       {sheet.SealDrawing{Name: "BUREAU", Font: goregular.TTF[:5000]}, sheet.ErrSealDrawing},
		"no name":           {sheet.SealDrawing{Font: goregular.TTF}, sheet.ErrSealDrawing},
		"long name":         {sheet.SealDrawing{Name: strings.Repeat("A", 61), Font: goregular.TTF}, sheet.ErrSealDrawing},
		"long line":         {sheet.SealDrawing{Name: "A", Line: strings.Repeat("A", 21), Font: goregular.TTF}, sheet.ErrSealDrawing},
		"control character": {sheet.SealDrawing{Name: "A\nB", Font: goregular.TTF}, sheet.ErrSealDrawing},
		"huge":              {sheet.SealDrawing{Name: "A", Font: goregular.TTF, Diameter: 61}, sheet.ErrSealDrawing},
		"fine":              {sheet.SealDrawing{Name: "A", Font: goregular.TTF, DPI: 601}, sheet.ErrSealDrawing},
	} {
		_, err := sheet.DrawSeal(x.d)
		if !errors.Is(err, x.err) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "𠮷") {
			t.Errorf("%s: the error quotes the name", name)
		}
	}
}

// A font from nowhere is read without harm.
func FuzzSealFont(f *testing.F) {
	f.Add(goregular.TTF[:64])
	f.Add(goregular.TTF)
	f.Fuzz(func(t *testing.T, font []byte) {
		_, _ = sheet.DrawSeal(sheet.SealDrawing{Name: "BÜRO", Line: "A", Font: font, DPI: 72})
	})
}

package sheet

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
	"golang.org/x/image/draw"
	"golang.org/x/image/math/f64"

	"oncegate/sheet/sheettest"
)

// The QR code of an annotated copy is read in ten of ten tries by two decoders, from a screen, from the PDF, from a grey print that
// lies askew in a scanner, and from a photocopy that makes the pale watermark black: it lies over the whole page, but not over the
// code.
func TestQRIsRead(t *testing.T) {
	layouts := city(t)
	types := slices.Sorted(maps.Keys(sheettest.Licenses))
	for try := range 10 {
		typ, notice := types[try%len(types)], sheettest.Notices[try%len(sheettest.Notices)]
		layout, _ := layouts.For(typ)
		p, err := layout.Fill(Content{Copy: true, Granted: layout.Shows(), Values: sheettest.Licenses[typ], QR: sampleQR, Watermark: notice})
		if err != nil {
			t.Fatal(err)
		}
		sharp := aroundQR(layout, p, pictureOf(t, p, 200))
		media := map[string]image.Image{
			"screen": aroundQR(layout, p, pictureOf(t, p, 100)), "print": printed(sharp, uint64(try)), "photocopy": photocopied(sharp, 240),
		}
		if raster := rasterOfPDF(t, p, 150); raster != nil {
			media["PDF"] = aroundQR(layout, p, raster)
		}
		for medium, picture := range media {
			for decoder, got := range decodedQR(t, picture) {
				if got != sampleQR {
					t.Errorf("%s, try %d, %s: %s reads %q", typ, try, medium, decoder, got)
				}
			}
		}
	}
}

// Nothing lies over the QR code and its quiet zone, and they cut no text off.
func TestNothingMeetsTheQR(t *testing.T) {
	layouts := city(t)
	for typ, values := range sheettest.Licenses {
		layout, _ := layouts.For(typ)
		for name, content := range map[string]Content{
			"void":        {Values: values, QR: sampleQR, Overprint: sampleOverprint},
			"copy":        {Copy: true, Granted: layout.Shows(), Values: values, QR: sampleQR, Watermark: sampleMark},
			"empty copy":  {Copy: true, QR: sampleQR, Watermark: sheettest.Notices[1]},
			"short words": {Copy: true, QR: sampleQR, Watermark: "仅供"},
		} {
			p, err := layout.Fill(content)
			if err != nil {
				t.Fatal(err)
			}
			box := qrBox(layout)
			alone := p
			alone.Watermark, alone.Items = nil, nil
			for _, it := range p.Items {
				if path, ok := it.(*Path); ok {
					if low, high := extremes(path.Segments); holds(box, Box{low[0], low[1], high[0] - low[0], high[1] - low[1]}) {
						alone.Items = append(alone.Items, path)
					}
				}
			}
			whole, code := pictureOf(t, p, 100), pictureOf(t, alone, 100)
			const scale = 100 / 25.4
			dark := 0
			for y := int(box.Y*scale) + 1; y < int((box.Y+box.H)*scale); y++ {
				for x := int(box.X*scale) + 1; x < int((box.X+box.W)*scale); x++ {
					if whole.At(x, y) != code.At(x, y) {
						t.Fatalf("%s, %s: something lies on the QR code at %d, %d", typ, name, x, y)
					}
					if r, _, _, _ := code.At(x, y).RGBA(); r == 0 {
						dark++
					}
				}
			}
			if dark < 500 {
				t.Errorf("%s, %s: there is no QR code", typ, name)
			}
			pen := newPen(layout.faces)
			for _, it := range p.Items {
				if text, ok := it.(*Text); ok && meet(area(text, pen), box) {
					t.Errorf("%s, %s: the QR code cuts %q off", typ, name, text.Text)
				}
			}
			if meet(*p.Seal, box) {
				t.Errorf("%s: the seal is stamped over the QR code", typ)
			}
		}
	}
}

// A caption promises that scanning says how the license stands; it stands where there is a QR code, and nowhere else.
func TestCaptionOfTheQR(t *testing.T) {
	for typ := range sheettest.Licenses {
		layout, _ := city(t).For(typ)
		said := slices.ContainsFunc(layout.Items, func(it item) bool { return it.Text != nil && it.Text.Text == "扫描二维码核验状态" })
		if drawn := slices.ContainsFunc(layout.Items, func(it item) bool { return it.QR != nil }); said != drawn {
			t.Errorf("%s: there is a QR code: %v, a caption says so: %v", typ, drawn, said)
		}
	}
}

func qrBox(l *Layout) Box {
	at := slices.IndexFunc(l.Items, func(it item) bool { return it.QR != nil })
	return boxAt(l.Items[at].QR.Box, 0, 0)
}

func meet(a, b Box) bool {
	return a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H
}

// aroundQR cuts out what a camera held over the code sees: the code and 25 mm round it.
func aroundQR(l *Layout, p Page, picture image.Image) image.Image {
	scale := float64(picture.Bounds().Dx()) / p.Width
	b := qrBox(l)
	seen := image.Rect(int((b.X-25)*scale), int((b.Y-25)*scale), int((b.X+b.W+25)*scale), int((b.Y+b.H+25)*scale)).Intersect(picture.Bounds())
	out := image.NewRGBA(image.Rect(0, 0, seen.Dx(), seen.Dy()))
	draw.Draw(out, out.Bounds(), picture, seen.Min, draw.Src)
	return out
}

func pictureOf(t *testing.T, p Page, dpi float64) image.Image {
	t.Helper()
	drawn, err := picture(p, dpi)
	if err != nil {
		t.Fatal(err)
	}
	return drawn
}

// rasterOfPDF is a page as other people's software draws it from the PDF; nil where that is not installed.
func rasterOfPDF(t *testing.T, p Page, dpi int) image.Image {
	t.Helper()
	tool, err := exec.LookPath("pdftoppm")
	if err != nil {
		return nil
	}
	cmd := exec.CommandContext(t.Context(), tool, "-r", strconv.Itoa(dpi), "-gray", "-png", "-singlefile", "-")
	cmd.Stdin = bytes.NewReader(drawn(t, "pdf", p))
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	picture, err := png.Decode(bytes.NewReader(out))
	if err != nil {
		t.Fatal(err)
	}
	return picture
}

// printed is a page that was printed in grey and scanned: turned by two degrees, blurred, pale and noisy.
func printed(picture image.Image, seed uint64) image.Image {
	const sin, cos = 0.0349, 0.99939
	b := picture.Bounds()
	turned := image.NewGray(b)
	draw.Draw(turned, b, image.White, image.Point{}, draw.Src)
	draw.BiLinear.Transform(turned, f64.Aff3{cos, -sin, sin * float64(b.Dy()) / 2, sin, cos, -sin * float64(b.Dx()) / 2}, picture, b, draw.Over, nil)
	r := rand.New(rand.NewPCG(seed, 7))
	out := image.NewGray(b)
	for y := 1; y < b.Dy()-1; y++ {
		for x := 1; x < b.Dx()-1; x++ {
			sum := 0
			for dy := -1; dy <= 1; dy++ {
				for dx := -1; dx <= 1; dx++ {
					sum += int(turned.GrayAt(x+dx, y+dy).Y)
				}
			}
			out.SetGray(x, y, color.Gray{uint8(40 + sum/9*180/255 + r.IntN(13))})
		}
	}
	return out
}

// photocopied is a page in black and white: all that is darker than a grey is black.
func photocopied(picture image.Image, grey uint8) image.Image {
	b := picture.Bounds()
	out := image.NewGray(b)
	for y := range b.Dy() {
		for x := range b.Dx() {
			if color.GrayModel.Convert(picture.At(x, y)).(color.Gray).Y >= grey {
				out.SetGray(x, y, color.Gray{255})
			}
		}
	}
	return out
}

// decodedQR is what the decoders read, by their names: one in Go, and zbar where it is installed.
func decodedQR(t *testing.T, picture image.Image) map[string]string {
	t.Helper()
	out := map[string]string{"zxing": ""}
	if bitmap, err := gozxing.NewBinaryBitmapFromImage(picture); err == nil {
		hints := map[gozxing.DecodeHintType]any{gozxing.DecodeHintType_TRY_HARDER: true}
		if result, err := qrcode.NewQRCodeReader().Decode(bitmap, hints); err == nil {
			out["zxing"] = result.GetText()
		}
	}
	tool, err := exec.LookPath("zbarimg")
	if err != nil {
		return out
	}
	file := filepath.Join(t.TempDir(), "page.png")
	var b bytes.Buffer
	if err := png.Encode(&b, picture); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	said, _ := exec.CommandContext(t.Context(), tool, "--nodbus", "--quiet", "--raw", "-Sdisable", "-Sqrcode.enable", file).Output() // fails where it reads nothing
	out["zbar"] = strings.TrimSpace(string(said))
	return out
}

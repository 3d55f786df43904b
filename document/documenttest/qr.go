package documenttest

import (
	"archive/zip"
	"bytes"
	"image"
	"image/color"
	"image/draw"
	_ "image/png"
	"io"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
)

// QR is what a decoder reads in the QR code of a document of a form, "ofd", "pdf", "png" or "svg".
func QR(tb testing.TB, form string, data []byte) string {
	tb.Helper()
	var picture image.Image
	switch form {
	case "png":
		picture = decoded(tb, data)
	case "pdf":
		if _, err := exec.LookPath("pdftoppm"); err != nil {
			tb.Skip("pdftoppm (poppler-utils) is not installed")
		}
		cmd := exec.CommandContext(tb.Context(), "pdftoppm", "-r", "150", "-png", "-singlefile", "-")
		cmd.Stdin = bytes.NewReader(data)
		picture = decoded(tb, must(cmd.Output())(tb))
	case "svg":
		picture = squares(tb, string(data), `d="([^"]*)"`, "C")
	case "ofd":
		var pages strings.Builder
		z := must(zip.NewReader(bytes.NewReader(data), int64(len(data))))(tb)
		for _, f := range z.File {
			if strings.Contains(f.Name, "Pages/") {
				pages.Write(must(io.ReadAll(must(f.Open())(tb)))(tb))
			}
		}
		picture = squares(tb, pages.String(), `<ofd:AbbreviatedData>([^<]*)</`, "B")
	default:
		tb.Fatalf("no QR code is read in a %s", form)
	}
	bitmap := must(gozxing.NewBinaryBitmapFromImage(picture))(tb)
	result, err := qrcode.NewQRCodeReader().Decode(bitmap, map[gozxing.DecodeHintType]any{gozxing.DecodeHintType_TRY_HARDER: true})
	if err != nil {
		tb.Fatalf("no QR code is read in the %s: %v", form, err)
	}
	return result.GetText()
}

func decoded(tb testing.TB, data []byte) image.Image {
	tb.Helper()
	picture, _, err := image.Decode(bytes.NewReader(data))
	if err != nil {
		tb.Fatal(err)
	}
	return picture
}

var (
	subpath = regexp.MustCompile(`M[^M]*`)
	number  = regexp.MustCompile(`-?[0-9.]+`)
)

// squares draws the path of a page that has the most parts of all that have no curve: the QR code's.
func squares(tb testing.TB, page, path, curve string) image.Image {
	tb.Helper()
	most := []string(nil)
	for _, m := range regexp.MustCompile(path).FindAllStringSubmatch(page, -1) {
		if parts := subpath.FindAllString(m[1], -1); !strings.Contains(m[1], curve) && len(parts) > len(most) {
			most = parts
		}
	}
	const scale, margin = 20, 100 // pixels a millimetre, and round the code
	var boxes []image.Rectangle
	all := image.Rectangle{}
	for _, part := range most {
		var box image.Rectangle
		numbers := number.FindAllString(part, -1)
		for i := 0; i+1 < len(numbers); i += 2 {
			x, y := int(scale*must(strconv.ParseFloat(numbers[i], 64))(tb)+0.5), int(scale*must(strconv.ParseFloat(numbers[i+1], 64))(tb)+0.5)
			box = box.Union(image.Rect(x, y, x+1, y+1))
		}
		boxes, all = append(boxes, box), all.Union(box)
	}
	picture := image.NewGray(all.Inset(-margin).Sub(all.Min))
	draw.Draw(picture, picture.Bounds(), image.White, image.Point{}, draw.Src)
	for _, box := range boxes {
		draw.Draw(picture, box.Sub(all.Min), image.NewUniform(color.Black), image.Point{}, draw.Src)
	}
	return picture
}

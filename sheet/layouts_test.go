package sheet

import (
	"bytes"
	"flag"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"oncegate/sheet/sheettest"
)

// city loads the layouts of the sample city.
func city(t testing.TB) *Layouts {
	t.Helper()
	layouts, faults := Load(Config{Files: cityFiles(t)})
	for _, f := range faults {
		t.Errorf("%s", f)
	}
	if layouts == nil {
		t.FailNow()
	}
	return layouts
}

func cityFiles(t testing.TB) (files []File) {
	t.Helper()
	names, err := filepath.Glob("../deploy/city/layouts/*.yaml")
	if err != nil || len(names) == 0 {
		t.Fatalf("no layouts: %v", err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, File{filepath.Base(name), data})
	}
	return files
}

var pages = flag.String("pages", "", "a folder into which every page is drawn in every form, for people to look at")

// TestPages draws every layout as an original, as one that is not in force, and as a copy; people look at what -pages leaves.
func TestPages(t *testing.T) {
	layouts := city(t)
	for typ, values := range sheettest.Licenses {
		layout, _ := layouts.For(typ)
		shown := layout.Shows()
		some := map[string][]string{}
		granted := append(slices.Clone(shown[:len(shown)/2]), "issuer_name")
		for _, field := range granted {
			some[field] = values[field][:min(len(values[field]), 1)]
		}
		for kind, content := range map[string]Content{
			"":      {Values: values, QR: sampleQR},
			"-void": {Values: values, QR: sampleQR, Overprint: sampleOverprint},
			"-copy": {Copy: true, Granted: granted, Values: some, QR: sampleQR, Watermark: sampleMark},
		} {
			p, err := layout.Fill(content)
			if err == nil && !content.Copy {
				p, err = p.Stamp(roundSeal(t))
			}
			if err != nil {
				t.Fatalf("%s: %v", typ, err)
			}
			for form := range forms {
				data := drawn(t, form, p)
				if *pages == "" {
					continue
				}
				if err := os.WriteFile(filepath.Join(*pages, typ+kind+"."+form), data, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// roundSeal is a red ring with a star, drawn by this room's own raster.
func roundSeal(t testing.TB) []byte {
	t.Helper()
	red := Color{0xD3, 0x1F, 0x1F}
	star := &Path{Fill: &red, Alpha: 1}
	for i := range 5 {
		a := (float64(i)*144 - 90) * math.Pi / 180
		op := byte('L')
		if i == 0 {
			op = 'M'
		}
		star.Segments = append(star.Segments, to(op, 21+7*math.Cos(a), 21+7*math.Sin(a)))
	}
	var b bytes.Buffer
	if err := PNG(&b, Page{Width: 42, Height: 42, Items: []Item{&Path{Segments: circle(21, 21, 19.5), Stroke: &red, Line: 1.2, Alpha: 1}, star}}, 150); err != nil {
		t.Fatal(err)
	}
	picture, err := png.Decode(&b)
	if err != nil {
		t.Fatal(err)
	}
	clear := image.NewNRGBA(picture.Bounds())
	for y := range picture.Bounds().Dy() {
		for x := range picture.Bounds().Dx() {
			_, g, _, _ := picture.At(x, y).RGBA()
			clear.SetNRGBA(x, y, color.NRGBA{red.R, red.G, red.B, 255 - uint8(g>>8)})
		}
	}
	var out bytes.Buffer
	if err := png.Encode(&out, clear); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

const (
	sampleQR        = sheettest.CodeURL
	sampleOverprint = "已失效\n注销、吊销或撤销\n自2026年11月30日起"
)

var sampleMark = sheettest.Notices[0]

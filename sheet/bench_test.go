package sheet

import (
	"io"
	"testing"

	"oncegate/sheet/sheettest"
)

// One A4 page to PDF, fields in, bytes out: at most 30 ms.
func BenchmarkPDF(b *testing.B) { bench(b, PDF) }

func BenchmarkSVG(b *testing.B) { bench(b, SVG) }

func BenchmarkPNG150(b *testing.B) {
	bench(b, func(w io.Writer, p Page) error { return PNG(w, p, 150) })
}

func BenchmarkFill(b *testing.B) { bench(b, func(io.Writer, Page) error { return nil }) }

func bench(b *testing.B, draw func(io.Writer, Page) error) {
	layout, _ := city(b).For("business-license")
	content := Content{Values: sheettest.Licenses["business-license"], QR: sampleQR, Watermark: sampleMark}
	page := func() {
		p, err := layout.Fill(content)
		if err != nil {
			b.Fatal(err)
		}
		if err := draw(io.Discard, p); err != nil {
			b.Fatal(err)
		}
	}
	page() // opens the fonts
	b.ReportAllocs()
	for b.Loop() {
		page()
	}
}

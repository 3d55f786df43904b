package sheet

import (
	"bytes"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"oncegate/sheet/sheettest"
)

var update = flag.Bool("update", false, "write the golden geometry anew; read the difference before you commit it")

// geometry writes where everything on a page stands: one line for each item, lengths in tenths of a millimetre, so that no
// pixel or font version matters but every place does.
func geometry(p Page) string {
	var out bytes.Buffer
	fmt.Fprintf(&out, "page %q %s × %s\n", p.Title, number(p.Width), number(p.Height))
	if p.Seal != nil {
		fmt.Fprintf(&out, "seal %v\n", *p.Seal)
	}
	for _, it := range p.Items {
		switch it := it.(type) {
		case *Text:
			w := 0.0
			for _, a := range it.Advances {
				w += a
			}
			fmt.Fprintf(&out, "text %.1f %.1f to %.1f, %s %.2f pt %s: %s\n", it.X, it.Y, it.X+w, it.Font, it.Size/point, it.Color.hex(), it.Text)
		case *Path:
			low, high := extremes(it.Segments)
			fmt.Fprintf(&out, "path %.1f %.1f to %.1f %.1f, %d segments, fill %s, stroke %s %g\n", low[0], low[1], high[0], high[1], len(it.Segments), paint(it.Fill), paint(it.Stroke), it.Line)
		}
	}
	return out.String()
}

// extremes are the outermost points of an outline, control points among them.
func extremes(segments []Segment) (low, high [2]float64) {
	low, high = [2]float64{math.Inf(1), math.Inf(1)}, [2]float64{math.Inf(-1), math.Inf(-1)}
	for _, s := range segments {
		for _, p := range s.Points[:s.count()] {
			for i := range 2 {
				low[i], high[i] = min(low[i], p[i]), max(high[i], p[i])
			}
		}
	}
	return low, high
}

func TestGeometry(t *testing.T) {
	layouts := city(t)
	for typ := range sheettest.Licenses {
		t.Run(typ, func(t *testing.T) {
			got := geometry(filled(t, layouts, typ))
			name := filepath.Join("testdata", "golden", typ+".txt")
			if *update {
				if err := os.WriteFile(name, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("the page has changed (-was +is):\n%s", diff)
			}
		})
	}
}

func filled(t testing.TB, layouts *Layouts, typ string) Page {
	t.Helper()
	layout, ok := layouts.For(typ)
	if !ok {
		t.Fatalf("no layout of %s", typ)
	}
	p, err := layout.Fill(Content{Values: sheettest.Licenses[typ], QR: sampleQR})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Everything lies on the page, and every text within its box.
func TestNothingLeavesItsBox(t *testing.T) {
	layouts := city(t)
	for typ, values := range sheettest.Licenses {
		layout, _ := layouts.For(typ)
		f := filling{layout: layout, content: Content{Values: values, QR: sampleQR}, pen: newPen(layout.faces)}
		page := Box{W: 0, H: 0}
		page.W, page.H = layout.Page.size()
		for i, it := range layout.Items {
			before := len(f.page.Items)
			if err := f.item(it, 0, 0, 0); err != nil {
				t.Fatalf("%s item %d: %v", typ, i, err)
			}
			var boxes []Box
			for _, b := range it.boxes() {
				boxes = append(boxes, boxAt(b, 0, 0))
			}
			for _, drawn := range f.page.Items[before:] {
				if text, ok := drawn.(*Text); ok {
					b := area(text, f.pen)
					if it.Repeat == nil && !anyHolds(boxes, b) {
						t.Errorf("%s item %d: %q leaves its box: %v is not in %v", typ, i, text.Text, b, boxes)
					}
					if !holds(page, b) {
						t.Errorf("%s item %d: %q leaves the page", typ, i, text.Text)
					}
				}
				if path, ok := drawn.(*Path); ok {
					low, high := extremes(path.Segments)
					if !holds(Box{-0.5, -0.5, page.W + 1, page.H + 1}, Box{low[0], low[1], high[0] - low[0], high[1] - low[1]}) {
						t.Errorf("%s item %d: a path leaves the page: %v to %v", typ, i, low, high)
					}
				}
			}
		}
	}
}

func (it item) boxes() [][]float64 {
	switch {
	case it.Text != nil:
		return [][]float64{it.Text.Box}
	case it.Field != nil && it.Field.Label != "":
		return [][]float64{it.Field.Box, it.Field.LabelBox}
	case it.Field != nil:
		return [][]float64{it.Field.Box}
	}
	return nil
}

// area is what a text covers: em squares from the first character to the end of the last.
func area(t *Text, p *pen) Box {
	b := Box{t.X, t.Y - ascent*t.Size, 0, t.Size}
	for _, a := range t.Advances {
		b.W += a
	}
	runes := []rune(t.Text)
	for face, chars := range p.used {
		if face.name == t.Font {
			b.W += face.advance(&p.buffer, chars[runes[len(runes)-1]]) * t.Size
		}
	}
	return b
}

func holds(outer, inner Box) bool {
	const rounding = 1e-3
	return inner.X >= outer.X-rounding && inner.Y >= outer.Y-rounding && inner.X+inner.W <= outer.X+outer.W+rounding && inner.Y+inner.H <= outer.Y+outer.H+rounding
}

func anyHolds(outer []Box, inner Box) bool {
	for _, b := range outer {
		if holds(b, inner) {
			return true
		}
	}
	return false
}

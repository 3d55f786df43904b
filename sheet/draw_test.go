package sheet

import (
	"bytes"
	"encoding/xml"
	"errors"
	"image/color"
	"image/png"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"oncegate/sheet/sheettest"
)

// forms are all ways of drawing.
var forms = map[string]func(io.Writer, Page) error{
	"pdf": PDF, "svg": SVG, "png": func(w io.Writer, p Page) error { return PNG(w, p, 60) },
}

func drawn(t testing.TB, form string, p Page) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := forms[form](&out, p); err != nil {
		t.Fatalf("%s: %v", form, err)
	}
	return out.Bytes()
}

// The same content gives the same bytes, in every form.
func TestDrawingIsDeterministic(t *testing.T) {
	layout, _ := city(t).For("resident-id")
	page := func() Page {
		p, err := layout.Fill(Content{Values: sheettest.Licenses["resident-id"], QR: sampleQR, Watermark: sampleMark})
		if err != nil {
			t.Fatal(err)
		}
		if p, err = p.Stamp(roundSeal(t)); err != nil {
			t.Fatal(err)
		}
		return p
	}
	for form := range forms {
		if !bytes.Equal(drawn(t, form, page()), drawn(t, form, page())) {
			t.Errorf("%s differs from one drawing to the next", form)
		}
	}
}

// Other people's software reads from the PDF what stands on the page: every character, rare ones too, and every field.
func TestPDFText(t *testing.T) {
	if _, err := exec.LookPath("pdftotext"); err != nil {
		t.Skip("pdftotext (poppler-utils) is not installed")
	}
	layouts := city(t)
	for typ, values := range sheettest.Licenses {
		compareText(t, typ, filled(t, layouts, typ))
		layout, _ := layouts.For(typ)
		p, err := layout.Fill(Content{Values: values, Overprint: sampleOverprint})
		if err != nil {
			t.Fatal(err)
		}
		p.Items = append(p.Items, p.Watermark...)
		p.Watermark = nil
		compareText(t, typ, p)
	}
	layout, _ := layouts.For("resident-id")
	p, err := layout.Fill(Content{Values: map[string][]string{"holder_name": {"𠮷㐂𠮷喆"}}})
	if err != nil {
		t.Fatal(err)
	}
	compareText(t, "rare", p)
}

func compareText(t *testing.T, name string, p Page) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "page.pdf")
	if err := os.WriteFile(file, drawn(t, "pdf", p), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "pdftotext", "-raw", "-enc", "UTF-8", file, "-").Output()
	if err != nil {
		t.Fatalf("%s: pdftotext: %v", name, err)
	}
	read := strings.Map(func(r rune) rune {
		if strings.ContainsRune(" \n\r\f　", r) {
			return -1
		}
		return r
	}, string(out))
	if got, want := sorted(read), sorted(bare(texts(p))); got != want {
		t.Errorf("%s: the PDF says other characters:\n%s\n%s", name, got, want)
	}
	for _, it := range p.Items {
		text, ok := it.(*Text)
		if ok && !strings.Contains(read, bare(text.Text)) {
			t.Errorf("%s: %q is not in the PDF's text in one piece", name, text.Text)
		}
	}
}

func sorted(s string) string {
	runes := []rune(s)
	slices.Sort(runes)
	return string(runes)
}

// Other people's software draws from the PDF the picture that we draw: the same ink in the same places.
func TestPDFLooksLikePNG(t *testing.T) {
	if _, err := exec.LookPath("pdftoppm"); err != nil {
		t.Skip("pdftoppm (poppler-utils) is not installed")
	}
	layout, _ := city(t).For("tax-clearance")
	p, err := layout.Fill(Content{Values: sheettest.Licenses["tax-clearance"], QR: sampleQR, Watermark: sampleMark})
	if err != nil {
		t.Fatal(err)
	}
	for _, it := range p.Watermark {
		it.(*Text).Alpha = 1 // so that its place is seen
	}
	file := filepath.Join(t.TempDir(), "page.pdf")
	if err := os.WriteFile(file, drawn(t, "pdf", p), 0o600); err != nil {
		t.Fatal(err)
	}
	theirs, err := exec.CommandContext(t.Context(), "pdftoppm", "-r", "96", "-png", "-singlefile", file).Output()
	if err != nil {
		t.Fatal(err)
	}
	var ours bytes.Buffer
	if err := PNG(&ours, p, 96); err != nil {
		t.Fatal(err)
	}
	a, b := blocks(t, ours.Bytes()), blocks(t, theirs)
	apart := 0
	for at, v := range a {
		if d := v - b[at]; d > 24 || d < -24 {
			apart++
		}
	}
	if len(a) < 1000 || apart > len(a)/100 {
		t.Errorf("%d of %d squares differ", apart, len(a))
	}
}

// blocks is the mean darkness of squares of 12 pixels.
func blocks(t *testing.T, data []byte) map[[2]int]int {
	t.Helper()
	picture, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	const side = 12
	sum := map[[2]int]int{}
	for y := range picture.Bounds().Dy() / side * side {
		for x := range picture.Bounds().Dx() / side * side {
			sum[[2]int{x / side, y / side}] += int(color.GrayModel.Convert(picture.At(x, y)).(color.Gray).Y)
		}
	}
	for at := range sum {
		sum[at] /= side * side
	}
	return sum
}

func TestPNGIsNotBlank(t *testing.T) {
	layouts := city(t)
	for typ := range sheettest.Licenses {
		p := filled(t, layouts, typ)
		picture, err := png.Decode(bytes.NewReader(drawn(t, "png", p)))
		if err != nil {
			t.Fatalf("%s: %v", typ, err)
		}
		dark := 0
		for y := range picture.Bounds().Dy() {
			for x := range picture.Bounds().Dx() {
				if color.GrayModel.Convert(picture.At(x, y)).(color.Gray).Y < 96 {
					dark++
				}
			}
		}
		all := picture.Bounds().Dx() * picture.Bounds().Dy()
		if dark < all/200 || dark > all/4 {
			t.Errorf("%s: %d of %d pixels are dark", typ, dark, all)
		}
	}
	for _, dpi := range []float64{0, 1, 5000} {
		if err := PNG(io.Discard, filled(t, layouts, "resident-id"), dpi); err == nil {
			t.Errorf("%g dpi is accepted", dpi)
		}
	}
}

// A space paints nothing: it must not cost a pass over the whole page.
func TestSpaceCoversNothing(t *testing.T) {
	if got := extent(nil); !got.Empty() {
		t.Errorf("nothing covers %v", got)
	}
}

// An SVG is well-formed, carries no script and refers to nothing outside itself; the text stands in its labels.
func TestSVG(t *testing.T) {
	p, err := fill(t, "business-license", func(v map[string][]string) { v["holder_name"] = []string{`A&B<script>"'`} })
	if err != nil {
		t.Fatal(err)
	}
	p.Title = `<script>"&'`
	if p, err = p.Stamp(roundSeal(t)); err != nil {
		t.Fatal(err)
	}
	labels := ""
	for d := xml.NewDecoder(bytes.NewReader(drawn(t, "svg", p))); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		if !slices.Contains([]string{"svg", "title", "defs", "path", "rect", "g", "use", "image"}, start.Name.Local) {
			t.Errorf("element %s", start.Name.Local)
		}
		for _, a := range start.Attr {
			switch name := a.Name.Local; {
			case name == "aria-label":
				labels += a.Value
			case name == "href" && !strings.HasPrefix(a.Value, "#g") && !strings.HasPrefix(a.Value, "data:image/png;base64,"):
				t.Errorf("a reference to %q", a.Value)
			case strings.HasPrefix(name, "on") || name == "style":
				t.Errorf("attribute %s", name)
			}
		}
	}
	if labels != texts(p) {
		t.Error("the labels do not say what the page says")
	}
}

// A page that somebody else made is drawn or refused; it never panics.
func TestPagesOfOthers(t *testing.T) {
	good := filled(t, city(t), "resident-id")
	for name, p := range map[string]Page{
		"no size":      {},
		"no font":      {Width: 100, Height: 100, Items: []Item{&Text{Text: "云", Font: "song", Size: 4, Alpha: 1}}},
		"broken font":  {Width: 100, Height: 100, Fonts: Fonts{"song": []byte("OTTO")}},
		"no glyph":     {Width: 100, Height: 100, Fonts: good.Fonts, Items: []Item{&Text{Text: "龘", Font: "hei", Size: 4, Alpha: 1}}},
		"no advances":  {Width: 100, Height: 100, Fonts: good.Fonts, Items: []Item{&Text{Text: "姓名", Font: "hei", Size: 4, Alpha: 1}}},
		"no picture":   {Width: 100, Height: 100, Items: []Item{&Image{Box: Box{0, 0, 10, 10}, PNG: []byte("x"), Alpha: 1}}},
		"endless page": {Width: 1e12, Height: 1e12},
	} {
		for form, draw := range forms {
			if err := draw(io.Discard, p); err == nil {
				t.Errorf("%s as %s is drawn", name, form)
			}
		}
	}
}

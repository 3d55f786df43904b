package sheet

import (
	"errors"
	"image/color"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/image/font/sfnt"

	"oncegate/sheet/sheettest"
)

// texts is all that a page says, in the order in which it is drawn.
func texts(p Page) string {
	var out strings.Builder
	for _, it := range p.Items {
		if t, ok := it.(*Text); ok {
			out.WriteString(t.Text)
		}
	}
	return out.String()
}

func fill(t testing.TB, typ string, change func(map[string][]string)) (Page, error) {
	t.Helper()
	layout, ok := city(t).For(typ)
	if !ok {
		t.Fatalf("no layout of %s", typ)
	}
	values := maps.Clone(sheettest.Licenses[typ])
	change(values)
	return layout.Fill(Content{Values: values})
}

// Everything that a layout shows of a license stands on its page, whole.
func TestEverythingGivenIsShown(t *testing.T) {
	layouts := city(t)
	for typ, values := range sheettest.Licenses {
		said := texts(filled(t, layouts, typ))
		layout, _ := layouts.For(typ)
		for _, field := range layout.Shows() {
			if len(values[field]) == 0 {
				t.Errorf("%s: the sample does not state %s", typ, field)
			}
			for _, v := range values[field] {
				shown := []string{v, chineseDate(v), capital(v), layout.Codes["sex"][v]}
				if !slices.ContainsFunc(shown, func(s string) bool { return s != "" && strings.Contains(bare(said), bare(s)) }) {
					t.Errorf("%s: %s is not shown", typ, field)
				}
			}
		}
	}
}

// bare drops spaces, which line ends swallow.
func bare(s string) string { return strings.NewReplacer(" ", "", "　", "").Replace(s) }

// A page of granted fields shows those and nothing else.
func TestOnlyWhatIsGivenIsShown(t *testing.T) {
	p, err := fill(t, "business-license", func(v map[string][]string) {
		for field := range v {
			if field != "holder_name" {
				delete(v, field)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	said := texts(p)
	if !strings.Contains(said, "云川市青禾餐饮管理有限公司") || !strings.Contains(said, "法定代表人") {
		t.Error("the granted field or a blank label is missing")
	}
	if strings.Contains(said, "编号") {
		t.Error("a label whose row is dropped when the value is missing stands there")
	}
	for field, values := range sheettest.Licenses["business-license"] {
		if field != "holder_name" && strings.Contains(said, chineseDate(values[0])) {
			t.Errorf("%s is shown although it was not given", field)
		}
	}
	for name, data := range p.Fonts {
		face, err := openTypeface(name, data)
		if err != nil {
			t.Fatal(err)
		}
		if face.glyph(&sfnt.Buffer{}, '柏') != 0 {
			t.Error("an embedded font tells a character of a field that was not granted")
		}
	}
}

func TestTwoHolders(t *testing.T) {
	p, err := fill(t, "marriage-certificate", func(v map[string][]string) { v["holder_name"] = []string{"", "闻人语冰"} })
	if err != nil {
		t.Fatal(err)
	}
	if said := texts(p); strings.Contains(said, "柏承禾") || !strings.Contains(said, "闻人语冰") {
		t.Errorf("wrong holders: %s", said)
	}
	_, err = fill(t, "marriage-certificate", func(v map[string][]string) { v["holder_name"] = []string{"甲", "乙", "丙"} })
	wantError(t, err, TooManyValues, "holder_name", 0)
}

func TestNamesThatAreLong(t *testing.T) {
	name := strings.Repeat("云川市", 20)
	p, err := fill(t, "business-license", func(v map[string][]string) { v["holder_name"] = []string{name} })
	if err != nil || !strings.Contains(texts(p), name) {
		t.Errorf("a long name is not shown whole: %v", err)
	}
	_, err = fill(t, "business-license", func(v map[string][]string) { v["holder_name"] = []string{strings.Repeat("云川市", 100)} })
	wantError(t, err, DoesNotFit, "holder_name", 0)
	scope := strings.Repeat("餐饮服务；食品销售，", 200)
	p, err = fill(t, "business-license", func(v map[string][]string) { v["business_scope"] = []string{scope} })
	if err != nil || !strings.Contains(texts(p), scope) {
		t.Errorf("the longest business scope (2000 characters) is not shown whole: %v", err)
	}
}

func TestHostileValues(t *testing.T) {
	for _, c := range []struct {
		name, value string
		code        Code
		char        rune
	}{
		{"NUL", "云\x00川", ForbiddenCharacter, 0},
		{"escape", "云\x1b[31m川", ForbiddenCharacter, 0x1b},
		{"form feed", "云\f川", ForbiddenCharacter, '\f'},
		{"right-to-left override", "云\u202e川", ForbiddenCharacter, 0x202e},
		{"isolate", "云\u2066川", ForbiddenCharacter, 0x2066},
		{"zero width joiner", "云\u200d川", ForbiddenCharacter, 0x200d},
		{"byte order mark", "云\ufeff川", ForbiddenCharacter, 0xfeff},
		{"line separator", "云\u2028川", ForbiddenCharacter, 0x2028},
		{"combining mark", "云\u0301川", ForbiddenCharacter, 0x301},
		{"variation selector", "云\U000e0100川", ForbiddenCharacter, 0xe0100},
		{"private use", "云\ue000川", ForbiddenCharacter, 0xe000},
		{"replacement character", "云\ufffd川", ForbiddenCharacter, 0xfffd},
		{"not UTF-8", "云\xff川", ForbiddenCharacter, 0xfffd},
		{"Arabic", "سلام", ForbiddenCharacter, 'س'},
		{"Hebrew", "שלום", ForbiddenCharacter, 'ש'},
		{"emoji", "云🀄川", NoGlyph, 0x1f004},
		{"10 KB", strings.Repeat("云", 3500), TooLong, 0},
		{"10 MB", strings.Repeat("云", 3500000), TooLong, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := fill(t, "business-license", func(v map[string][]string) { v["address"] = []string{c.value} })
			wantError(t, err, c.code, "address", c.char)
		})
	}
	_, err := fill(t, "business-license", func(v map[string][]string) { v["address"] = make([]string, 1000) })
	wantError(t, err, TooManyValues, "address", 0)
}

func wantError(t *testing.T, err error, code Code, field string, char rune) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Code != code || e.Field != field || e.Rune != char {
		t.Fatalf("got %v, want %s of %s, U+%04X", err, code, field, char)
	}
}

// Names with rare characters are drawn by the fonts of the program, or else refused by name: never silently lost.
func TestRareCharacters(t *testing.T) {
	const rare = "𠮷㐂喆镕堃䶮"
	p, err := fill(t, "resident-id", func(v map[string][]string) { v["holder_name"] = []string{rare} })
	if err != nil || !strings.Contains(texts(p), rare) {
		t.Fatalf("rare characters are not drawn: %v", err)
	}
	_, err = fill(t, "resident-id", func(v map[string][]string) { v["holder_name"] = []string{"柏\U00031350"} })
	wantError(t, err, NoGlyph, "holder_name", 0x31350)
	if !strings.Contains(err.Error(), "U+31350") || strings.Contains(err.Error(), "柏") {
		t.Errorf("the error names not the character, or too much: %v", err)
	}
}

// A font of the configuration brings what those of the program lack.
func TestFontOfTheConfiguration(t *testing.T) {
	song, err := builtin[0].open()
	if err != nil {
		t.Fatal(err)
	}
	var b sfnt.Buffer
	extra := song.cut(map[rune]sfnt.GlyphIndex{0x31350: song.glyph(&b, '永'), '云': song.glyph(&b, '川')})
	layouts, faults := Load(Config{Files: cityFiles(t), Fonts: []FontFile{{"city-extra", extra}}})
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	layout, _ := layouts.For("resident-id")
	p, err := layout.Fill(Content{Values: map[string][]string{"holder_name": {"柏\U00031350云"}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, it := range p.Items {
		if text, ok := it.(*Text); ok && strings.ContainsRune(text.Text, 0x31350) && (text.Font != "city-extra" || text.Text != "\U00031350") {
			t.Errorf("%q is drawn in %s", text.Text, text.Font)
		}
	}
	if _, ok := p.Fonts["city-extra"]; !ok {
		t.Error("the font is not on the page")
	}
	for name, fonts := range map[string][]FontFile{
		"not a font": {{"bad", []byte("hello")}}, "twice": {{"a", extra}, {"a", extra}}, "name of the program's": {{"song", extra}}, "name": {{"A b", extra}},
		"cut short": {{"short", extra[:len(extra)/2]}},
	} {
		if _, faults := Load(Config{Files: cityFiles(t), Fonts: fonts}); len(faults) != 1 {
			t.Errorf("%s: %v", name, faults)
		}
	}
}

func TestWatermark(t *testing.T) {
	layout, _ := city(t).For("tax-clearance")
	p, err := layout.Fill(Content{Values: sheettest.Licenses["tax-clearance"], Watermark: sampleMark})
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Watermark) < 6 {
		t.Errorf("only %d lines of watermark", len(p.Watermark))
	}
	for _, it := range p.Watermark {
		text := it.(*Text)
		if text.Alpha > 0.4 || text.Rotate == 0 || text.X < 0 || text.X > p.Width || text.Y < 0 || text.Y > p.Height {
			t.Errorf("a watermark that hides the page, or leaves it: %+v", text)
		}
	}
	for field, content := range map[string]Content{
		"watermark": {Watermark: strings.Repeat("仅", 300)}, "qr": {QR: strings.Repeat("x", 3000)},
	} {
		_, err := layout.Fill(content)
		wantError(t, err, TooLong, field, 0)
	}
	long, err := layout.Fill(Content{Watermark: strings.Repeat("仅供办理", 45)})
	if err != nil || len(long.Watermark) == 0 {
		t.Errorf("a long watermark is not drawn: %v", err)
	}
	small, faults := Load(Config{Files: []File{{"a.yaml", []byte("layouts: [{type: small, title: small, page: {size: ID-1}, items: []}]")}}})
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	card, _ := small.For("small")
	_, err = card.Fill(Content{Watermark: strings.Repeat("仅供办理", 45)})
	wantError(t, err, DoesNotFit, "watermark", 0)
}

func TestStamp(t *testing.T) {
	p := filled(t, city(t), "marriage-certificate")
	stamped, err := p.Stamp(roundSeal(t))
	if err != nil || len(stamped.Items) != len(p.Items)+1 {
		t.Fatal(err)
	}
	_, err = p.Stamp([]byte("no picture"))
	wantError(t, err, BadPicture, "seal", 0)
	p.Seal = nil
	_, err = p.Stamp(roundSeal(t))
	wantError(t, err, NoSealPlace, "seal", 0)
}

// Notes of several lines keep them, whoever wrote them.
func TestLinesOfAValue(t *testing.T) {
	p, err := fill(t, "business-license", func(v map[string][]string) { v["address"] = []string{"云路\r\n川路\t1号"} })
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, it := range p.Items {
		if text, ok := it.(*Text); ok && (strings.HasPrefix(text.Text, "云路") || strings.HasPrefix(text.Text, "川路")) {
			lines = append(lines, text.Text)
		}
	}
	if !slices.Equal(lines, []string{"云路", "川路 1号"}) {
		t.Errorf("got %q", lines)
	}
}

// Layouts and fonts are shared: many pages are made at once.
func TestManyAtOnce(t *testing.T) {
	layouts := city(t)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for typ, values := range sheettest.Licenses {
				layout, _ := layouts.For(typ)
				p, err := layout.Fill(Content{Values: values, Watermark: sampleMark})
				if err != nil {
					t.Errorf("%s: %v", typ, err)
					continue
				}
				if err := PDF(io.Discard, p); err != nil {
					t.Errorf("%s: %v", typ, err)
				}
			}
		})
	}
	group.Wait()
}

// A copy notes every place for what was not granted, and tells it from what was granted and the license does not state.
func TestCopyNotesWhatIsNotShared(t *testing.T) {
	layouts := city(t)
	for typ, values := range sheettest.Licenses {
		layout, _ := layouts.For(typ)
		shown := layout.Shows()
		for _, withheld := range shown {
			granted, given := []string{}, map[string][]string{}
			for _, field := range shown {
				if field != withheld {
					granted, given[field] = append(granted, field), values[field]
				}
			}
			p, err := layout.Fill(Content{Copy: true, Granted: granted, Values: given})
			if err != nil {
				t.Fatalf("%s without %s: %v", typ, withheld, err)
			}
			if !strings.Contains(texts(p), notShared) {
				t.Errorf("%s without %s notes nothing", typ, withheld)
			}
			if p, err = layout.Fill(Content{Copy: true, Granted: shown, Values: given}); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(texts(p), notShared) {
				t.Errorf("%s: %s, which the license does not state, is called not shared", typ, withheld)
			}
		}
		if p := filled(t, layouts, typ); strings.Contains(texts(p), notShared) {
			t.Errorf("%s: the license itself notes what is not shared", typ)
		}
	}
}

func TestNotesOfACopy(t *testing.T) {
	layouts := city(t)
	said := func(typ string, granted []string, values map[string][]string) string {
		t.Helper()
		layout, _ := layouts.For(typ)
		p, err := layout.Fill(Content{Copy: true, Granted: granted, Values: values})
		if err != nil {
			t.Fatal(err)
		}
		return bare(texts(p))
	}
	for _, c := range []struct {
		typ     string
		granted []string
		values  map[string][]string
		want    string
	}{
		{"business-license", []string{"valid_from"}, map[string][]string{"valid_from": {"2026-11-23"}}, "营业期限自2026年11月23日至本次未共享"},
		{"business-license", nil, nil, "营业期限本次未共享住所本次未共享"},
		{"business-license", []string{"founded"}, map[string][]string{"founded": {"2026-11-23"}, "address": {"望云路188号"}}, "住所本次未共享"}, // given, and not granted
		{"business-license", nil, nil, "编号本次未共享"},                                                                                    // dropped where the license itself does not state it
		{"marriage-certificate", []string{"holder_name"}, map[string][]string{"holder_name": {"闻人语冰"}}, "姓名闻人语冰性别本次未共享身份证件号本次未共享姓名本次未共享"},
		{"marriage-certificate", []string{"holder_name", "sex"}, map[string][]string{"holder_name": {"甲", "乙"}, "sex": {"", "2"}}, "姓名甲性别身份证件号本次未共享姓名乙性别女"},
	} {
		if got := said(c.typ, c.granted, c.values); !strings.Contains(got, c.want) {
			t.Errorf("%s of %v: %q is not in %q", c.typ, c.granted, c.want, got)
		}
	}
}

// A copy does not claim the legal force of an original, even where its layout was written before copies were told apart.
func TestCopyClaimsNoForce(t *testing.T) {
	layouts := city(t)
	claimed := 0
	for typ := range sheettest.Licenses {
		layout, _ := layouts.For(typ)
		claimed += strings.Count(texts(filled(t, layouts, typ)), equalForce)
		for _, it := range layout.Items {
			if it.Text != nil && it.Text.Only == "original" && strings.Contains(it.Text.Text, equalForce) {
				it.Text.Only = "" // as it was written before
			}
		}
		p, err := layout.Fill(Content{Copy: true})
		if err != nil {
			t.Fatal(err)
		}
		if said := texts(p); strings.Contains(said, equalForce) || !strings.Contains(said, "不代替证照原件") {
			t.Errorf("%s: a copy says %q", typ, said)
		}
	}
	if claimed != 3 {
		t.Errorf("%d originals claim equal force, not 3", claimed)
	}
}

// What is not in force says so across its page, in every form: on the pixels, and in the text that software reads from it.
func TestOverprint(t *testing.T) {
	layouts := city(t)
	for typ, values := range sheettest.Licenses {
		layout, _ := layouts.For(typ)
		content := Content{Values: values, QR: sampleQR}
		plain, err := layout.Fill(content)
		if err != nil {
			t.Fatal(err)
		}
		content.Overprint = sampleOverprint
		void, err := layout.Fill(content)
		if err != nil {
			t.Fatal(err)
		}
		seal := roundSeal(t)
		if void, err = void.Stamp(seal); err != nil {
			t.Fatal(err)
		}
		if plain, err = plain.Stamp(seal); err != nil {
			t.Fatal(err)
		}
		before, after := pictureOf(t, plain, 60), pictureOf(t, void, 60)
		changed := [3][3]int{}
		b := before.Bounds()
		for y := range b.Dy() {
			for x := range b.Dx() {
				was, is := color.GrayModel.Convert(before.At(x, y)).(color.Gray).Y, color.GrayModel.Convert(after.At(x, y)).(color.Gray).Y
				if int(was)-int(is) > 40 { // darker in grey, too
					changed[y*3/b.Dy()][x*3/b.Dx()]++
				}
			}
		}
		all := b.Dx() * b.Dy()
		if changed[1][1] < all/90 || changed[0][0]+changed[0][1]+changed[0][2] == 0 || changed[2][0]+changed[2][1]+changed[2][2] == 0 {
			t.Errorf("%s: the overprint does not lie across the page: %v of %d pixels", typ, changed, all)
		}
		svg := string(drawn(t, "svg", void))
		for line := range strings.Lines(sampleOverprint) {
			if line = strings.TrimSpace(line); !strings.Contains(svg, `aria-label="`+line+`"`) {
				t.Errorf("%s: the SVG does not say %s", typ, line)
			}
		}
	}
	layout, _ := layouts.For("resident-id")
	for _, long := range []string{strings.Repeat("失", 101), strings.Repeat("失\n", 7)} {
		_, err := layout.Fill(Content{Overprint: long})
		wantError(t, err, TooLong, "overprint", 0)
	}
}

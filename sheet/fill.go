package sheet

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"rsc.io/qr"
)

// Bounds of a page's content.
const (
	maxValue   = 2500  // characters of one value: the longest field, a business scope, holds 2000
	maxPage    = 20000 // characters of all values that are drawn
	maxHolders = 64
	maxQR      = 500 // bytes of the text of a QR code; more would need a code too fine for its place
)

// Content is the data that fills a page. The zero Content is an empty form.
type Content struct {
	// Values are the license's fields, by dictionary name, such as "holder_name"; a field per holder has one value for each,
	// in the order of the holders. What is missing or empty is not drawn: so a page of some granted fields shows only those.
	Values map[string][]string

	// Copy says that the page is an annotated copy (加注件): Values holds the fields in Granted alone, and a place for any other
	// says 本次未共享, whether or not the license states it. Fixed texts that speak for the original are left out.
	Copy    bool
	Granted []string

	QR        string // text of the QR code; empty: none is drawn
	Watermark string // text of the watermark, repeated over the whole page; lines end with '\n'; empty: none
	Overprint string // drawn once, large across the page: why the license is not in force; its first line largest; empty: none
}

// Texts of annotated copies.
const (
	notShared  = "本次未共享" // of a field that was not granted
	equalForce = "同等效力"  // an electronic license has that of a paper one; a copy has none
)

// Shows returns the fields that the layout has a place for, sorted.
func (l *Layout) Shows() []string {
	var out []string
	var walk func([]item)
	walk = func(items []item) {
		for _, it := range items {
			if it.Repeat != nil {
				walk(it.Repeat.Items)
			}
			if it.Field == nil {
				continue
			}
			list, _ := pieces(it.Field.Value)
			for _, p := range list {
				if p.path != "" {
					out = append(out, p.path)
				}
			}
		}
	}
	walk(l.Items)
	slices.Sort(out)
	return slices.Compact(out)
}

// Fill lays out the page of one license. The same content gives the same page. The error is a [*Error] when a value cannot be
// drawn whole: nothing is ever cut off or left out in silence.
func (l *Layout) Fill(c Content) (Page, error) {
	w, h := l.Page.size()
	f := filling{layout: l, content: c, pen: newPen(l.faces), page: Page{Title: l.Title, Width: w, Height: h}}
	if err := f.bounded(); err != nil {
		return Page{}, err
	}
	for _, it := range l.Items {
		if err := f.item(it, 0, 0, 0); err != nil {
			return Page{}, err
		}
	}
	if err := f.watermark(c.Watermark); err != nil {
		return Page{}, err
	}
	if err := f.overprint(c.Overprint); err != nil {
		return Page{}, err
	}
	f.page.Fonts = f.pen.fonts()
	return f.page, nil
}

// A filling is a page in the making.
type filling struct {
	layout  *Layout
	content Content
	pen     *pen
	page    Page
	clear   *Box // of the QR code with its quiet zone: nothing lies over it
}

// bounded refuses content that is larger than any license, before anything is done with it.
func (f *filling) bounded() error {
	total := 0
	for _, path := range f.layout.Shows() {
		values := f.content.Values[path]
		if len(values) > maxHolders {
			return &Error{Code: TooManyValues, Field: path}
		}
		for _, v := range values {
			if len(v) > 4*maxValue {
				return &Error{Code: TooLong, Field: path}
			}
			total += len(v)
		}
	}
	if total > 4*maxPage {
		return &Error{Code: TooLong, Field: "all"}
	}
	if len(f.content.QR) > maxQR {
		return &Error{Code: TooLong, Field: "qr"}
	}
	return nil
}

// item draws one item, moved by dx and dy. Holder is the one whose fields a repeat draws, counted from 1; 0 outside.
func (f *filling) item(it item, dx, dy float64, holder int) error {
	l := f.layout
	switch {
	case it.Text != nil:
		if !f.speaks(it.Text) {
			return nil
		}
		return f.text("", it.Text.Text, boxAt(it.Text.Box, dx, dy), l.style(it.Text.Style, "text", it.Text.Look))
	case it.Field != nil:
		return f.field(it.Field, dx, dy, holder)
	case it.Repeat != nil:
		return f.repeat(it.Repeat)
	case it.QR != nil:
		return f.qr(it.QR)
	case it.Seal != nil:
		b := boxAt(it.Seal.Box, dx, dy)
		f.page.Seal = &b
	default:
		f.page.Items = append(f.page.Items, l.ornament(it, dx, dy)...)
	}
	return nil
}

// style resolves a style: what an item differs by, over the named style (or that of its role), over "text", over the plain one.
func (l *Layout) style(name, role string, look style) style {
	if name == "" {
		name = role
	}
	return look.over(l.Styles[name]).over(l.Styles["text"]).over(plain)
}

// speaks reports whether a fixed text stands on this kind of page. No copy claims equal force, whatever its layout says.
func (f *filling) speaks(it *textItem) bool {
	if f.content.Copy {
		return it.Only != "original" && !strings.Contains(it.Text, equalForce)
	}
	return it.Only != "copy"
}

func (f *filling) text(field, text string, box Box, st style) error {
	chars, err := f.pen.write(st.Font, field, maxValue, text)
	if err != nil {
		return err
	}
	lines, size, ok := fit(chars, box, st)
	if !ok {
		return &Error{Code: DoesNotFit, Field: field}
	}
	f.page.Items = append(f.page.Items, f.pen.set(lines, size, box, st)...)
	return nil
}

func (f *filling) field(it *fieldItem, dx, dy float64, holder int) error {
	if holder == 0 {
		holder = it.Holder
	}
	path, text, note, err := f.value(it, holder)
	if err != nil {
		return err
	}
	if text == "" && it.Missing == "drop" {
		return nil
	}
	l := f.layout
	if it.Label != "" {
		if err := f.text("", it.Label, boxAt(it.LabelBox, dx, dy), l.style("label", "label", it.LabelLook)); err != nil {
			return err
		}
	}
	if text == "" {
		return nil
	}
	look := l.style(it.Style, "value", it.Look)
	if note {
		look = look.quiet()
	}
	return f.text(path, text, boxAt(it.Box, dx, dy), look)
}

// quiet is the style of a note in the place of a value: pale, and on one line however small the place is.
func (s style) quiet() style {
	s.Color, s.Bold, s.Lines = &noteColor, 0, 1
	s.Size *= 0.85
	s.Min = min(s.Size, noteLeast)
	return s
}

var noteColor = Color{0x80, 0x80, 0x80}

const noteLeast = 2 // points

// value writes the pattern of a field; empty if the license says nothing of it. Note says that the text is a note in its place:
// none of its fields is said, and one was not granted. Path names the first field of it, for errors.
func (f *filling) value(it *fieldItem, holder int) (path, text string, note bool, err error) {
	list, err := pieces(it.Value)
	if err != nil {
		return "", "", false, err
	}
	var out strings.Builder
	fields, said, withheld := 0, false, false
	for _, p := range list {
		if p.path == "" {
			out.WriteString(p.text)
			continue
		}
		if fields++; fields == 1 {
			path = p.path
		}
		value := f.fieldText(it, p, holder)
		switch {
		case value != "":
			said = true
		case f.withholds(p.path, holder):
			value, withheld = notShared, true
		default:
			value = "　　" // a gap in a pattern that says something else
		}
		out.WriteString(value)
	}
	switch {
	case said:
		return path, out.String(), false, nil
	case withheld && it.Label == "" && fields == 1: // the pattern is its own label
		return path, out.String(), true, nil
	case withheld:
		return path, notShared, true, nil
	}
	return path, "", false, nil
}

// withholds reports whether a field was not granted, or not of that holder. It knows the grant alone: of what was not granted
// a reader does not learn whether the license states it, nor whether there is such a holder.
func (f *filling) withholds(path string, holder int) bool {
	if !f.content.Copy {
		return false
	}
	holders := 1
	for _, values := range f.content.Values {
		holders = max(holders, len(values))
	}
	return !slices.Contains(f.content.Granted, path) || holder > holders
}

// layoutSpace makes the line ends and tabulators that notes of several lines bring into what can be laid out.
var layoutSpace = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\t", " ")

// fieldText is the text of a field in one place of a pattern; empty where the field is withheld, whatever was given.
func (f *filling) fieldText(it *fieldItem, p piece, holder int) string {
	if f.withholds(p.path, holder) {
		return ""
	}
	values := f.content.Values[p.path]
	if holder > 0 {
		if len(values) < holder {
			return ""
		}
		values = values[holder-1 : holder]
	}
	var shown []string
	for _, v := range values {
		if v != "" {
			shown = append(shown, f.layout.show(p.format, layoutSpace.Replace(v)))
		}
	}
	separator := it.Join
	if separator == "" {
		separator = "、"
	}
	return strings.Join(shown, separator)
}

// repeat draws its items for each of its places. Values of more holders than that would be lost, so they are an error.
func (f *filling) repeat(it *repeatItem) error {
	for _, inner := range it.Items {
		if inner.Field == nil {
			continue
		}
		list, err := pieces(inner.Field.Value)
		if err != nil {
			return err
		}
		for _, p := range list {
			if len(f.content.Values[p.path]) > it.Holders {
				return &Error{Code: TooManyValues, Field: p.path}
			}
		}
	}
	for i := range it.Holders {
		for _, inner := range it.Items {
			if err := f.item(inner, float64(i)*it.Step[0], float64(i)*it.Step[1], i+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// qr draws a QR code, with its quiet zone, on white as one outline: a rectangle for each run of dark modules.
func (f *filling) qr(it *qrItem) error {
	if f.content.QR == "" {
		return nil
	}
	code, err := qr.Encode(f.content.QR, qr.M)
	if err != nil {
		return &Error{Code: TooLong, Field: "qr"}
	}
	box := boxAt(it.Box, 0, 0)
	side := min(box.W, box.H)
	const quiet = 4 // modules: the light margin that a code needs (ISO/IEC 18004, 5.3.8)
	unit := side / float64(code.Size+2*quiet)
	around := Box{box.X + (box.W-side)/2, box.Y + (box.H-side)/2, side, side}
	f.clear = &around
	x0, y0 := around.X+quiet*unit, around.Y+quiet*unit
	ground := &Path{Segments: rectangle(around), Fill: &Color{255, 255, 255}, Alpha: 1}
	path := &Path{Fill: &it.Color, Alpha: 1}
	for y := range code.Size {
		for x := 0; x < code.Size; {
			end := x
			for end < code.Size && code.Black(end, y) {
				end++
			}
			if end > x {
				path.Segments = append(path.Segments, rectangle(Box{x0 + float64(x)*unit, y0 + float64(y)*unit, float64(end-x) * unit, unit})...)
			}
			x = end + 1
		}
	}
	f.page.Items = append(f.page.Items, ground, path)
	return nil
}

func boxAt(b []float64, dx, dy float64) Box { return Box{b[0] + dx, b[1] + dy, b[2], b[3]} }

// A piece of a pattern is a fixed text or a field in a format.
type piece struct {
	text   string
	path   string // of a field; empty for a fixed text
	format string // "", "date", "capital", "money" or the name of a code list
}

var placeholder = regexp.MustCompile(`\{([a-z][a-z0-9_]*)(?::([a-z][a-z0-9_-]*))?\}`)

// pieces reads a pattern such as "自 {valid_from:date} 至 {valid_to:date}".
func pieces(pattern string) ([]piece, error) {
	var out []piece
	rest := pattern
	for {
		at := placeholder.FindStringSubmatchIndex(rest)
		if at == nil {
			break
		}
		if at[0] > 0 {
			out = append(out, piece{text: rest[:at[0]]})
		}
		p := piece{path: rest[at[2]:at[3]]}
		if at[4] >= 0 {
			p.format = rest[at[4]:at[5]]
		}
		out, rest = append(out, p), rest[at[1]:]
	}
	if rest != "" {
		out = append(out, piece{text: rest})
	}
	fields := 0
	for _, p := range out {
		if strings.ContainsAny(p.text, "{}") {
			return nil, fmt.Errorf("a pattern names fields as {field} or {field:format}")
		}
		if p.path != "" {
			fields++
		}
	}
	if fields == 0 {
		return nil, fmt.Errorf("a pattern names at least one field, such as {holder_name}")
	}
	return out, nil
}

// show writes a value in a format. What is not of the form that the format expects stays as it is: nothing is lost.
func (l *Layout) show(format, value string) string {
	switch format {
	case "":
		return value
	case "date":
		return chineseDate(value)
	case "money":
		return grouped(value)
	case "capital":
		return capital(value)
	}
	if text, ok := l.Codes[format][value]; ok {
		return text
	}
	return value
}

var isoDate = regexp.MustCompile(`^([0-9]{4})-([0-9]{2})-([0-9]{2})$`)

// chineseDate writes 2026-11-23 as 2026年11月23日; 长期 and everything else stays.
func chineseDate(value string) string {
	d := isoDate.FindStringSubmatch(value)
	if d == nil {
		return value
	}
	return d[1] + "年" + strings.TrimPrefix(d[2], "0") + "月" + strings.TrimPrefix(d[3], "0") + "日"
}

var plainAmount = regexp.MustCompile(`^(-?)([0-9]{1,15})(?:\.([0-9]{1,2}))?$`)

// grouped writes 1234567.5 as ￥1,234,567.50.
func grouped(value string) string {
	a := plainAmount.FindStringSubmatch(value)
	if a == nil {
		return value
	}
	whole := strings.TrimLeft(a[2], "0")
	if whole == "" {
		whole = "0"
	}
	for at := len(whole) - 3; at > 0; at -= 3 {
		whole = whole[:at] + "," + whole[at:]
	}
	return "￥" + a[1] + whole + "." + (a[3] + "00")[:2]
}

// capital writes an amount of 元 in the digits of cheques and receipts (大写), such as 壹万贰仟叁佰元伍角整.
func capital(value string) string {
	a := plainAmount.FindStringSubmatch(value)
	if a == nil || len(strings.TrimLeft(a[2], "0")) > 12 {
		return value
	}
	const digits = "零壹贰叁肆伍陆柒捌玖"
	digit := func(c byte) string { return digits[3*int(c-'0') : 3*int(c-'0')+3] }
	var out strings.Builder
	if a[1] != "" {
		out.WriteString("负")
	}
	whole := strings.TrimLeft(a[2], "0")
	zero, written := false, false // zeros are pending; the group of four has a digit
	for i := range len(whole) {
		place := len(whole) - 1 - i
		if whole[i] == '0' {
			zero = true
		} else {
			if zero {
				out.WriteString("零")
			}
			zero, written = false, true
			out.WriteString(digit(whole[i]) + [...]string{"", "拾", "佰", "仟"}[place%4])
		}
		if place%4 == 0 {
			if written {
				out.WriteString([...]string{"", "万", "亿"}[place/4])
			}
			written = false
		}
	}
	cents := (a[3] + "00")[:2]
	if whole != "" {
		out.WriteString("元")
	}
	switch {
	case cents == "00" && whole == "":
		return "零元整"
	case cents == "00":
		return out.String() + "整"
	case cents[0] == '0' && whole != "":
		out.WriteString("零")
	case cents[0] != '0':
		out.WriteString(digit(cents[0]) + "角")
	}
	if cents[1] == '0' {
		return out.String() + "整"
	}
	return out.String() + digit(cents[1]) + "分"
}

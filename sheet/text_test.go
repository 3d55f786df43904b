package sheet

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func wrapped(t testing.TB, text string, room float64) (lines []string) {
	t.Helper()
	p := newPen(&faces{})
	chars, err := p.write(Song, "", 0, text)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range wrap(stretches(chars), room, 0) {
		s := ""
		for _, c := range line {
			s += string(c.rune)
		}
		lines = append(lines, s)
	}
	return lines
}

// Lines end as Chinese typesetting wants it (GB/T 15834, 标点符号用法): no closing mark begins a line, no opening one ends it.
func TestWrap(t *testing.T) {
	for _, c := range []struct {
		name, text string
		room       float64
		want       []string
	}{
		{"plain", "一二三四五六七", 3, []string{"一二三", "四五六", "七"}},
		{"comma does not begin a line", "一二三，四五六", 3, []string{"一二", "三，四", "五六"}},
		{"nor a closing bracket", "一二三）四五", 3, []string{"一二", "三）四", "五"}},
		{"nor two of them", "一二三）。四五", 4, []string{"一二", "三）。四", "五"}},
		{"an opening one does not end it", "一二（三四）", 3, []string{"一二", "（三", "四）"}},
		{"book title", "一二《三四》", 3, []string{"一二", "《三", "四》"}},
		{"number stays whole", "云路12345号", 4, []string{"云路", "12345号"}},
		{"too long for any line", "1234567890", 2, []string{"1234", "5678", "90"}},
		{"line end", "一\n二", 5, []string{"一", "二"}},
		{"empty line", "一\n\n二", 5, []string{"一", "", "二"}},
		{"space at the end of a line goes", "一二 三四", 2, []string{"一二", "三四"}},
	} {
		if diff := cmp.Diff(c.want, wrapped(t, c.text, c.room)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

// Whatever the text and the box: it fits whole within the box, or is refused.
func TestFitProperty(t *testing.T) {
	p := newPen(&faces{})
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.StringOfN(rapid.SampledFrom([]rune("云川市青禾餐饮，。（）《》“”；：、 12345ABCabc-./%\n")), 1, 80, -1).Draw(rt, "text")
		box := Box{10, 10, rapid.Float64Range(1, 120).Draw(rt, "w"), rapid.Float64Range(1, 60).Draw(rt, "h")}
		st := style{
			Size: rapid.Float64Range(6, 30).Draw(rt, "size"), Spacing: rapid.Float64Range(0, 0.5).Draw(rt, "spacing"),
			Align: rapid.SampledFrom(aligns).Draw(rt, "align"), VAlign: rapid.SampledFrom(valigns).Draw(rt, "valign"),
		}.over(plain)
		st.Min = rapid.Float64Range(3, st.Size).Draw(rt, "min")
		chars, err := p.write(Song, "", 0, text)
		if err != nil {
			rt.Fatal(err)
		}
		lines, size, ok := fit(chars, box, st)
		if !ok {
			return
		}
		if size < st.Min*point-slack || size > st.Size*point+slack {
			rt.Fatalf("size %g is not between %g and %g", size/point, st.Min, st.Size)
		}
		said := ""
		for _, it := range p.set(lines, size, box, st) {
			said += it.(*Text).Text
			if b := area(it.(*Text), p); !holds(box, b) {
				rt.Fatalf("%v leaves %v", b, box)
			}
		}
		spaces := strings.NewReplacer(" ", "", "\n", "")
		if spaces.Replace(said) != spaces.Replace(text) {
			rt.Fatalf("%q became %q", text, said)
		}
	})
}

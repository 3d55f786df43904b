package demo

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/rivo/uniseg"
)

func TestWrap(t *testing.T) {
	for _, c := range []struct {
		text    string
		columns int
		want    []string
	}{
		{"", 10, []string{""}},
		{"one two three", 8, []string{"one two", "three"}},
		{"一二三四五六", 8, []string{"一二三四", "五六"}},
		{"an unbreakableword", 5, []string{"an", "unbreakableword"}},
	} {
		if got := wrap(c.text, c.columns); !slices.Equal(got, c.want) {
			t.Errorf("%q in %d: %q, want %q", c.text, c.columns, got, c.want)
		}
	}
}

// The story fits the width it is told, in both languages, and is coloured only when asked to be.
func TestStoryFits(t *testing.T) {
	for _, o := range []Options{{Width: 100}, {Width: 72, Lang: "zh_CN.UTF-8"}} {
		var out bytes.Buffer
		o.Out, o.Once, o.Dir = &out, true, t.TempDir()
		if err := Run(t.Context(), o); err != nil {
			t.Fatal(err, out.String())
		}
		for line := range strings.Lines(out.String()) {
			if width := uniseg.StringWidth(strings.TrimRight(line, "\n")); width > o.Width {
				t.Errorf("%d columns: %s", width, line)
			}
		}
		if strings.Contains(out.String(), "\x1b") {
			t.Error("coloured although nobody asked")
		}
		want := "7 of 7 steps hold"
		if o.Lang != "" {
			want = "七步中 7 步成立"
		}
		if !strings.Contains(out.String(), want) {
			t.Errorf("lacks %q", want)
		}
	}
}

func TestColor(t *testing.T) {
	for color, want := range map[bool]string{true: "   \x1b[32m✓\x1b[0m fine\n", false: "   ✓ fine\n"} {
		var out bytes.Buffer
		newPrinter(Options{Out: &out, Color: color}).line(line{mark: good, text: text{"好", "fine"}}, [4]int{})
		if out.String() != want {
			t.Errorf("%q, want %q", out.String(), want)
		}
	}
}

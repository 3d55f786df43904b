package demo

import (
	"bytes"
	"os"
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

// The story fits the width it is told, in both languages, and is coloured only when asked to be. The second run is in the
// folder of the first: it continues the same log with the same keys.
func TestStoryFits(t *testing.T) {
	dir := t.TempDir()
	var keys []string
	for _, o := range []Options{{Width: 100}, {Width: 72, Lang: "zh_CN.UTF-8"}} {
		var out bytes.Buffer
		o.Out, o.Once, o.Dir = &out, true, dir
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
		key, err := os.ReadFile(dir + "/artefacts/log.sm2.pub.pem")
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, string(key))
	}
	if keys[0] != keys[1] {
		t.Error("the second run made a new log key")
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

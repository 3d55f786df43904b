package demo

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/rivo/uniseg"
)

const (
	defaultWidth = 100
	leastWidth   = 60
	margin       = 5 // columns before the text of a line
)

// A printer writes the story for people, or its result for machines.
type printer struct {
	out   io.Writer
	lang  string
	color bool
	json  bool
	width int
}

func newPrinter(o Options) *printer {
	p := &printer{out: o.Out, lang: o.Lang, color: o.Color, json: o.JSON, width: o.Width}
	if p.out == nil {
		p.out = io.Discard
	}
	if p.width <= 0 {
		p.width = defaultWidth
	}
	p.width = min(max(p.width, leastWidth), 120)
	return p
}

func (p *printer) zh() bool { return strings.HasPrefix(p.lang, "zh") }

// in is a sentence in the reader's language.
func (p *printer) in(t text) string {
	if p.zh() {
		return t.zh
	}
	return t.en
}

func (s *story) in(t text) string { return s.print.in(t) }

// result prints the outcome for machines.
func (p *printer) result(r Result) error {
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.out, "%s\n", line)
	return err
}

// A style is an SGR sequence.
type style string

const (
	bold   style = "1"
	dim    style = "2"
	red    style = "31"
	green  style = "32"
	yellow style = "33"
)

func (p *printer) styled(s style, words string) string {
	if !p.color || words == "" {
		return words
	}
	return "\x1b[" + string(s) + "m" + words + "\x1b[0m"
}

// printf writes unless the outcome is for machines. What cannot be written has no reader to tell.
func (p *printer) printf(format string, args ...any) {
	if !p.json {
		_, _ = fmt.Fprintf(p.out, format, args...)
	}
}

// pad fills a text with spaces to a number of columns; a Chinese character takes two.
func pad(s string, columns int) string {
	return s + strings.Repeat(" ", max(0, columns-uniseg.StringWidth(s)))
}

// across writes left and right at the two ends of a line. The styles take no room.
func (p *printer) across(left, right string, leftStyle, rightStyle style) {
	gap := max(2, p.width-uniseg.StringWidth(left)-uniseg.StringWidth(right))
	p.printf("%s%s%s\n", p.styled(leftStyle, left), strings.Repeat(" ", gap), p.styled(rightStyle, right))
}

// wrap breaks a text into lines of at most so many columns, where lines may break.
func wrap(s string, columns int) (lines []string) {
	var line strings.Builder
	used, state := 0, -1
	for s != "" {
		var segment string
		segment, s, _, state = uniseg.FirstLineSegmentInString(s, state)
		width := uniseg.StringWidth(segment)
		if used > 0 && used+uniseg.StringWidth(strings.TrimRight(segment, " ")) > columns {
			lines = append(lines, strings.TrimRight(line.String(), " "))
			line.Reset()
			used = 0
		}
		line.WriteString(segment)
		used += width
	}
	return append(lines, strings.TrimRight(line.String(), " "))
}

var marks = map[mark]struct {
	sign  string
	style style
}{
	note: {"·", dim}, good: {"✓", green}, bad: {"✗", red}, lacking: {"○", yellow},
}

// scene prints a step with its real time.
func (p *printer) scene(s *scene, outcome Step, took time.Duration) {
	p.printf("\n")
	p.across(fmt.Sprintf(" %d  %s", s.number, p.in(s.title)), fmt.Sprintf("%.1f ms", float64(took.Microseconds())/1000), bold, dim)
	widths := widthsOf(s.lines)
	for _, l := range s.lines {
		p.line(l, widths)
	}
	if !outcome.OK && s.broken == "" {
		p.line(line{mark: bad, text: text{outcome.Detail, outcome.Detail}}, widths)
	}
}

// widthsOf measures the columns of a step's tables, which share theirs.
func widthsOf(lines []line) (widths [4]int) {
	for _, l := range lines {
		for i, cell := range l.columns {
			widths[i] = max(widths[i], uniseg.StringWidth(cell))
		}
	}
	return widths
}

func (p *printer) line(l line, widths [4]int) {
	m := marks[l.mark]
	lead := "   " + p.styled(m.style, m.sign) + " "
	words := p.in(l.text)
	if l.text == (text{}) {
		words = p.row(l.columns, widths)
	}
	for i, part := range wrap(words, p.width-margin) {
		if i > 0 {
			lead = strings.Repeat(" ", margin)
		}
		p.printf("%s%s\n", lead, part)
	}
}

// row writes the cells of a table, side by side where there is room for all of its columns.
func (p *printer) row(cells [4]string, widths [4]int) string {
	const gap = 2
	total, wide := margin-gap, ""
	for i, cell := range cells {
		total += widths[i] + gap
		wide += pad(cell, widths[i]+gap)
	}
	if total > p.width {
		wide = strings.Join(cells[:], "  ")
	}
	return strings.TrimRight(wide, " ")
}

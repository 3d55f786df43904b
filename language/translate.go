package language

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Bounds of what one text may cost. Names in certificates, which stand in reasons, are whatever their owners wrote: they may look like
// many sentences that each fit many patterns.
const (
	maxText      = 2048 // bytes; a longer text quotes a stranger at length, and stays in English
	maxNested    = 12   // how deep a text may quote other texts
	valueDepth   = 4    // a value counts as several: what fits one pattern may fit others, too
	maxSentences = 200  // several times what any text of ours needs; the rest stays in English
)

// Translate is the Chinese of a finished English text: of whole sentences, of formats with their values, and of sentences that quote
// others: "a; b" is two, "a: b" one with its cause, "a, b" a list. Times become China's, and time spans are spelled out, for people to
// read. What has no Chinese stays in English. The work for one text is bounded.
func (c *Catalogue) Translate(text string) string {
	if len(text) > maxText {
		return text
	}
	t := translation{patterns: c.patterns(), left: maxSentences}
	return t.of(strings.TrimSuffix(text, "."), 0)
}

// A translation is of one text, with the sentences that it may still cost.
type translation struct {
	patterns
	left int
}

// foreign are errors of libraries, which have their own words. They stand in brackets behind what they are the cause of, for who can
// use them.
var (
	foreign   = regexp.MustCompile(`^(asn1|base64|json|jsontext|pem|x509|zlib): `)
	bracketed = regexp.MustCompile(`（(asn1|base64|json|jsontext|pem|x509|zlib): [^）]*）`)
)

// of translates a sentence, and the sentences that it quotes.
func (t *translation) of(text string, depth int) string {
	if t.left--; t.left < 0 {
		return text
	}
	key := sentenceKey(text)
	if translated, ok := t.whole[key]; ok {
		return translated
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at.In(china).Format("2006-01-02 15:04:05.999")
	}
	if d, err := time.ParseDuration(text); err == nil && strings.HasSuffix(text, "s") {
		return chineseDuration(d)
	}
	switch {
	case foreign.MatchString(text):
		return "（" + text + "）"
	case depth > maxNested:
		return text
	}
	if list, ok := t.list(text, depth); ok {
		return list
	}
	for _, p := range t.formats {
		if translated, ok := p.translate(t, key, depth); ok {
			return translated
		}
	}
	for _, between := range []struct{ en, zh string }{{"; ", "；"}, {": ", "："}} {
		first, rest, ok := cutUnquoted(text, between.en)
		if !ok {
			continue
		}
		a, b := t.of(first, depth+1), t.of(rest, depth+1)
		switch {
		case strings.HasPrefix(b, "（"):
			return a + b
		case a != first || b != rest:
			return a + between.zh + b
		}
		return text
	}
	return text
}

// list translates "a, b", if each of them has Chinese.
func (t *translation) list(text string, depth int) (string, bool) {
	first, rest, ok := cutUnquoted(text, ", ")
	if !ok {
		return "", false
	}
	a, b := t.of(first, depth+1), t.of(rest, depth+1)
	return a + "、" + b, a != first && b != rest && isChinese(a) && isChinese(b)
}

// china is the time zone of Chinese texts.
var china = time.FixedZone("CST", 8*60*60)

// chineseDuration is a time span in its two largest units.
func chineseDuration(d time.Duration) string {
	for _, u := range []struct {
		size, next       time.Duration
		name, nextOfThat string
	}{{24 * time.Hour, time.Hour, "天", "小时"}, {time.Hour, time.Minute, "小时", "分钟"}, {time.Minute, time.Second, "分钟", "秒"}} {
		if d < u.size {
			continue
		}
		text := fmt.Sprintf("%d %s", d/u.size, u.name)
		if rest := d % u.size / u.next; rest > 0 {
			text += fmt.Sprintf(" %d %s", rest, u.nextOfThat)
		}
		return text
	}
	return fmt.Sprintf("%d 秒", d/time.Second)
}

// sentenceKey is a sentence without its full stop and its capital, so that "The document has no signature." and "the document has no
// signature" are one text. OFD.xml and SM2 keep theirs.
func sentenceKey(text string) string {
	text = strings.TrimSuffix(text, ".")
	first, size := utf8.DecodeRuneInString(text)
	if second, _ := utf8.DecodeRuneInString(text[size:]); unicode.IsUpper(second) {
		return text
	}
	return string(unicode.ToLower(first)) + text[size:]
}

// patterns are messages made ready to translate finished texts.
type patterns struct {
	whole   map[string]string
	formats []pattern // the one with the longest English first: the most specific one counts
}

func newPatterns(messages Messages) patterns {
	all := patterns{whole: make(map[string]string)}
	for english, chinese := range messages {
		key := sentenceKey(english)
		literals, order := parts(key)
		if len(order) == 0 {
			all.whole[key] = chinese
			continue
		}
		p := pattern{english: literals}
		p.chinese, p.order = parts(chinese)
		for _, v := range verb.FindAllString(chinese, -1) {
			p.names = append(p.names, strings.Contains(v, "#"))
		}
		if slices.IsSorted(order) && strings.ContainsFunc(strings.Join(literals, ""), unicode.IsLetter) {
			all.formats = append(all.formats, p)
		}
	}
	slices.SortFunc(all.formats, func(a, b pattern) int {
		if n := len(strings.Join(b.english, "")) - len(strings.Join(a.english, "")); n != 0 {
			return n
		}
		return slices.Compare(a.english, b.english)
	})
	return all
}

// verb is a verb of fmt, with the index of its value if it names one.
var verb = regexp.MustCompile(`%(?:\[([1-9])\])?[-+# 0]*[0-9]*(?:\.[0-9]+)?[a-zA-Z]`)

// parts takes a format apart: the texts between its verbs, and the index of each verb's value, counted from 0.
func parts(format string) (literals []string, order []int) {
	from, next := 0, 0
	for _, m := range verb.FindAllStringSubmatchIndex(format, -1) {
		literals = append(literals, format[from:m[0]])
		if m[2] >= 0 {
			n, _ := strconv.Atoi(format[m[2]:m[3]])
			next = n - 1
		}
		order = append(order, next)
		from, next = m[1], next+1
	}
	return append(literals, format[from:]), order
}

// A pattern is a message with values in it: the English between them, and the Chinese between them, with the order in which it names them.
type pattern struct {
	english, chinese []string
	order            []int
	names            []bool // of the values, in the order of the Chinese: written %#v there, they are kept as they are
}

// translate is the Chinese of a text that has this pattern.
func (p pattern) translate(t *translation, text string, depth int) (string, bool) {
	values, ok := p.match(text)
	for i, value := range values {
		if at := slices.Index(p.order, i); at >= 0 && p.names[at] {
			continue // a column named status is no status
		}
		values[i] = t.of(value, depth+valueDepth)
		if !isChinese(values[i]) {
			return "", false // it is no value, but part of a sentence
		}
	}
	if !ok {
		return "", false
	}
	var b strings.Builder
	for i, literal := range p.chinese {
		b.WriteString(literal)
		if i < len(p.order) && p.order[i] < len(values) {
			b.WriteString(values[p.order[i]])
		}
	}
	return b.String(), true
}

// match finds the values. One that is several sentences is none: they are taken apart first.
func (p pattern) match(text string) (values []string, ok bool) {
	if text, ok = strings.CutPrefix(text, p.english[0]); !ok {
		return nil, false
	}
	last := len(p.english) - 1
	for i, literal := range p.english[1:] {
		value, rest := "", ""
		if i+1 == last {
			value, ok = strings.CutSuffix(text, literal)
		} else {
			value, rest, ok = strings.Cut(text, literal)
		}
		if !ok {
			return nil, false
		}
		if bare := quoted.ReplaceAllString(value, ""); strings.Contains(bare, "; ") || strings.Contains(bare, ": ") {
			return nil, false
		}
		values, text = append(values, value), rest
	}
	return values, true
}

// Names of files and the like stand in quotes, as %q writes them.
var (
	quoted = regexp.MustCompile(`"(\\.|[^"\\])*"`)
	words  = regexp.MustCompile(`[A-Za-z]+ [A-Za-z]+`)
)

// isChinese reports whether no English is left in a text but names in quotes and what libraries said.
func isChinese(text string) bool {
	return !words.MatchString(bracketed.ReplaceAllString(quoted.ReplaceAllString(text, ""), ""))
}

// cutUnquoted is [strings.Cut] outside of quotes.
func cutUnquoted(text, separator string) (before, after string, found bool) {
	from := 0
	for _, quote := range append(quoted.FindAllStringIndex(text, -1), []int{len(text), len(text)}) {
		if at := strings.Index(text[from:quote[0]], separator); at >= 0 {
			return text[:from+at], text[from+at+len(separator):], true
		}
		from = quote[1]
	}
	return text, "", false
}

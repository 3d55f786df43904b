package verdict

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"oncegate/check"
	"oncegate/license"
)

// InChinese is a step with its name and its reason in Chinese. A name or a reason that has no Chinese stays in English.
//
// Verifying packages know nothing of languages: their reasons are English sentences with values in them. They are translated here,
// by their patterns, so that programs read the same in every language.
func InChinese(s check.Step) check.Step {
	if len(s.Reason) > maxReason {
		return check.Step{Name: chineseName(s.Name), State: s.State, Reason: s.Reason}
	}
	return check.Step{Name: chineseName(s.Name), State: s.State, Reason: chineseReason(strings.TrimSuffix(s.Reason, "."))}
}

// chineseName translates the name of a step, and the places before it: "license[0]/chain-now".
func chineseName(name string) string {
	parts := strings.Split(name, "/")
	for i, part := range parts {
		word, index, _ := strings.Cut(part, "[")
		if index != "" {
			index = "[" + index
		}
		number := ""
		if at := strings.LastIndexByte(word, '-'); at > 0 && strings.Trim(word[at+1:], "0123456789") == "" && stepNames[word] == "" {
			word, number = word[:at], " "+word[at+1:]
		}
		if translated, ok := stepNames[word]; ok {
			parts[i] = translated + number + index
		}
	}
	return strings.Join(parts, "/")
}

// foreign are errors of libraries, which have their own words. They stand in brackets behind what they are the cause of, for who can
// use them.
var (
	foreign   = regexp.MustCompile(`^(asn1|base64|json|jsontext|pem|x509|zlib): `)
	bracketed = regexp.MustCompile(`（(asn1|base64|json|jsontext|pem|x509|zlib): [^）]*）`)
)

// maxNested bounds how deep a reason may quote other reasons. A value counts as several: what fits one pattern may fit others, too, and
// names in certificates are whatever their owners wrote.
const (
	maxReason  = 2048 // bytes; a longer one quotes a stranger at length, and stays in English
	maxNested  = 12
	valueDepth = 4
)

// chineseReason translates the reason of a step.
func chineseReason(text string) string {
	t := translation{left: maxSentences}
	return t.of(text, 0)
}

// A translation is of one reason. It has a budget of sentences, because names in certificates, which stand in reasons, may look like
// many sentences that each fit many patterns: what is left when it is used up stays in English.
type translation struct{ left int }

// maxSentences is several times what any reason of ours needs.
const maxSentences = 200

// of translates a sentence, and the sentences that it quotes: "a; b" is two, "a: b" one with its cause, "a, b" a list. Moments
// become China's time, and time spans are spelled out, for people to read.
func (t *translation) of(text string, depth int) string {
	if t.left--; t.left < 0 {
		return text
	}
	key := sentenceKey(text)
	texts := chineseTexts()
	if translated, ok := texts.whole[key]; ok {
		return translated
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at.In(license.Shanghai()).Format("2006-01-02 15:04:05.999")
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
	for _, p := range texts.patterns {
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

// A pattern is a reason with values in it: the English between them, and the Chinese with {1}, {2} and so on.
type pattern struct {
	english []string
	chinese string
}

// translate is the Chinese of a text that has this pattern.
func (p pattern) translate(t *translation, text string, depth int) (string, bool) {
	values, ok := p.match(text)
	var replaced []string
	for i, value := range values {
		translated := t.of(value, depth+valueDepth)
		if !isChinese(translated) {
			return "", false // it is no value, but part of a sentence
		}
		replaced = append(replaced, placeholder(i), translated)
	}
	return strings.NewReplacer(replaced...).Replace(p.chinese), ok
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

// placeholder stands for the value i, counted from 0.
func placeholder(i int) string { return "{" + string(rune('1'+i)) + "}" }

// texts are stepReasons and stepNames, made ready once.
type texts struct {
	whole    map[string]string
	patterns []pattern // the one with the longest English first: the most specific one counts
}

var chineseTexts = sync.OnceValue(func() texts {
	t := texts{whole: make(map[string]string)}
	for name, chinese := range stepNames { // a reason may quote the name of a step
		t.whole[name] = chinese
	}
	for english, chinese := range stepReasons {
		key := sentenceKey(english)
		if !strings.Contains(key, placeholder(0)) {
			t.whole[key] = chinese
			continue
		}
		var p pattern
		for i := 0; ; i++ {
			literal, rest, ok := strings.Cut(key, placeholder(i))
			p.english = append(p.english, literal)
			if key = rest; !ok {
				break
			}
		}
		p.chinese = chinese
		t.patterns = append(t.patterns, p)
	}
	slices.SortFunc(t.patterns, func(a, b pattern) int {
		if n := len(strings.Join(b.english, "")) - len(strings.Join(a.english, "")); n != 0 {
			return n
		}
		return slices.Compare(a.english, b.english)
	})
	return t
})

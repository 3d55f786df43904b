package client

import (
	"regexp"
	"slices"
	"strings"
	"sync"

	"oncegate/license"
)

// InChinese is a step with its name and its reason in Chinese. A name or a reason that has no Chinese stays in English.
//
// Steps are taken in rooms that know nothing of languages; their reasons are English sentences with values in them. Reasons are
// therefore translated here by their patterns, so that what programs read is the same in every language.
func InChinese(s license.Step) license.Step {
	return license.Step{Name: chineseName(s.Name), State: s.State, Reason: chineseReason(s.Reason, 0)}
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

// maxNested bounds how deep a reason may quote other reasons.
const maxNested = 4

// chineseReason translates a sentence, and the sentences that it quotes.
func chineseReason(text string, depth int) string {
	if translated, ok := stepReasons[text]; ok {
		return translated
	}
	if depth > maxNested {
		return text
	}
	for _, p := range reasonPatterns() {
		found := p.english.FindStringSubmatch(text)
		if found == nil {
			continue
		}
		values := make([]string, 0, 2*len(found))
		for i, value := range found[1:] {
			values = append(values, "{"+string(rune('1'+i))+"}", chineseReason(value, depth+1))
		}
		return strings.NewReplacer(values...).Replace(p.chinese)
	}
	for _, between := range []string{"; ", ": "} { // a reason may be several, or one that wraps another
		if first, rest, ok := strings.Cut(text, between); ok {
			a, b := chineseReason(first, depth+1), chineseReason(rest, depth+1)
			if a != first || b != rest {
				return a + map[string]string{"; ": "；", ": ": "："}[between] + b
			}
		}
	}
	return text
}

// A pattern is a reason with values in it, {1}, {2} and so on in both languages.
type pattern struct {
	english *regexp.Regexp
	chinese string
}

var placeholder = regexp.MustCompile(`\\\{[1-9]\\\}`)

// reasonPatterns are the reasons that have values, the longest first: the most specific one counts.
var reasonPatterns = sync.OnceValue(func() (list []pattern) {
	var texts []string
	for english := range stepReasons {
		if strings.Contains(english, "{1}") {
			texts = append(texts, english)
		}
	}
	slices.SortFunc(texts, func(a, b string) int { return len(b) - len(a) })
	for _, english := range texts {
		expression := placeholder.ReplaceAllString(regexp.QuoteMeta(english), "(.*?)")
		list = append(list, pattern{regexp.MustCompile("(?s)^" + expression + "$"), stepReasons[english]})
	}
	return list
})

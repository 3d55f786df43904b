// Package language is the localization (l10n) of the program: messages in English and Chinese from one catalogue, keyed by the English
// format.
//
// A room declares its translations as data, [Messages]. They serve in two ways. A program prints through a [Printer], which looks up the
// format. And a finished English text, such as the reason of a step or an error that came up from a room below, is translated by the same
// formats, read as patterns: rooms that verify or read configurations know nothing of languages ([Printer.Text]).
package language

import (
	"fmt"
	"maps"
	"reflect"
	"strings"
	"sync"

	"golang.org/x/text/language"
	"golang.org/x/text/message"
	"golang.org/x/text/message/catalog"
)

// A Language is one that the house speaks.
type Language string

// The languages. English is that of the sources.
const (
	English Language = "en"
	Chinese Language = "zh"
)

// OfLocale is the language of a POSIX environment: of the first of LC_ALL, LC_MESSAGES and LANG that is set.
func OfLocale(getenv func(string) string) Language {
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if locale := getenv(name); locale != "" {
			if strings.HasPrefix(locale, "zh") {
				return Chinese
			}
			return English
		}
	}
	return English
}

// Messages are the Chinese formats of one room by their English ones, both as fmt takes them. A Chinese format that names its values in
// another order says which: %[2]s. A finished text has lost the types of its values: formats that only such texts need may say %v for all, and in the
// Chinese %#v for a name, such as that of a column, which is kept although it may be a word of ours.
type Messages map[string]string

// A Catalogue holds the messages of rooms. It is safe for concurrent use. What it needs to translate is made when it is first asked.
type Catalogue struct {
	messages Messages
	patterns func() patterns
	built    func() catalog.Catalog
}

// New makes a catalogue. Of messages that several rooms have, the last one counts.
func New(rooms ...Messages) *Catalogue {
	c := &Catalogue{messages: make(Messages)}
	for _, room := range rooms {
		maps.Copy(c.messages, room)
	}
	c.patterns = sync.OnceValue(func() patterns { return newPatterns(c.messages) })
	c.built = sync.OnceValue(func() catalog.Catalog {
		b := catalog.NewBuilder(catalog.Fallback(language.English))
		for english, chinese := range c.messages {
			_ = b.SetString(language.Chinese, english, chinese) // the error is of a malformed plural, which a string has none of
		}
		return b
	})
	return c
}

// A Printer prints messages in one language. It is safe for concurrent use.
type Printer struct {
	Language
	catalogue *Catalogue
	chinese   *message.Printer // nil for English
}

// Printer returns the printer of a language.
func (c *Catalogue) Printer(l Language) *Printer {
	p := &Printer{Language: l, catalogue: c}
	if l == Chinese {
		p.chinese = message.NewPrinter(language.Chinese, message.Catalog(c.built()))
	}
	return p
}

// Sprintf is a message with its values. One that the catalogue does not have stays English.
func (p *Printer) Sprintf(format string, values ...any) string {
	if p.chinese == nil {
		return fmt.Sprintf(format, values...)
	}
	return p.chinese.Sprintf(format, ungrouped(values)...)
}

// Message is a message without values.
func (p *Printer) Message(text string) string {
	if chinese, ok := p.catalogue.messages[text]; ok && p.chinese != nil {
		return chinese
	}
	return text
}

// Text is a finished English text in the printer's language: see [Catalogue.Translate].
func (p *Printer) Text(text string) string {
	if p.chinese == nil {
		return text
	}
	return p.catalogue.Translate(text)
}

// List joins words.
func (p *Printer) List(words []string) string {
	if p.chinese == nil {
		return strings.Join(words, ", ")
	}
	return strings.Join(words, "、")
}

// A plain number prints without the separators of a locale: readers type indexes and counts again, "--skip 12000".
type plain struct{ number any }

func (n plain) Format(s fmt.State, verb rune) { fmt.Fprintf(s, fmt.FormatString(s, verb), n.number) }

func ungrouped(values []any) []any {
	out := make([]any, len(values))
	for i, v := range values {
		out[i] = v
		_, named := v.(fmt.Stringer)
		if k := reflect.ValueOf(v).Kind(); !named && k >= reflect.Int && k <= reflect.Float64 {
			out[i] = plain{v}
		}
	}
	return out
}

// Package explanation says in words what a gateway handed out: an answer, a refusal, a receipt, evidence, a checkpoint or an error. It tells
// who asked what for which matter and under which rule, what was released and withheld and why, what the receipt is good for, and what to do
// about a refusal.
//
// It verifies nothing and says so; package verdict does. What it reads may be of anybody's making: size and depth are bounded, long lists are
// cut, and text leaves without anything that a terminal would obey. Values that may be personal are masked unless [Options] say otherwise.
package explanation

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/canonical"
	"oncegate/language"
	"oncegate/tlog"
	"oncegate/verdict"
)

// Options say to whom something is explained.
type Options struct {
	Language language.Language
	Show     bool // whether personal values are shown, not masked
}

// An Explanation is what a file says, in sections of lines.
type Explanation struct {
	Kind       string // what the file is, in the reader's language
	Sections   []Section
	Verifiable bool // there is a receipt or a checkpoint that could be verified
}

// A Section is a heading with its lines.
type Section struct {
	Title string
	Lines []string
}

// ErrUnexplained says that a file is nothing that is explained here.
var ErrUnexplained = errors.New("this is no answer, refusal, receipt, evidence, checkpoint or error of a gateway")

// ErrTooLarge says that a file is larger than anything that a gateway hands out.
var ErrTooLarge = fmt.Errorf("larger than %d MiB", verdict.MaxArtefact>>20)

// bounds are those of JSON that anybody may have written.
var bounds = canonical.Limits{Bytes: verdict.MaxArtefact, Depth: 32, Members: 4096}

// Of explains a file. Of licenses, documents and other files that are signed it only says what they are. The errors are ErrTooLarge, ErrUnexplained, and of JSON that cannot be read a *canonical.SyntaxError.
func Of(data []byte, o Options) (*Explanation, error) {
	if len(data) > verdict.MaxArtefact {
		return nil, ErrTooLarge
	}
	w := &writer{Printer: catalogue.Printer(o.Language), show: o.Show}
	text := bytes.TrimSpace(data)
	if verdict.IsReport(text) { // of its pages the first
		text, _, _ = bytes.Cut(text, []byte("\n"))
		w.pages = true
	}
	switch {
	case bytes.HasPrefix(text, []byte("{")):
		if err := w.document(text); err != nil {
			return nil, err
		}
	case verdict.KindOf(data) == verdict.Checkpoint:
		w.kind("checkpoint of a log")
		w.section("Checkpoint")
		if !w.checkpoint(string(data)) {
			return nil, ErrUnexplained
		}
		w.say("Whoever has this checkpoint can prove later that the log still contains what it contained then: file it.")
	default:
		if !w.other(verdict.KindOf(data)) {
			return nil, ErrUnexplained
		}
	}
	return &w.out, nil
}

// other names a file of a kind that verification alone can tell anything of.
func (w *writer) other(kind verdict.Kind) bool {
	if kind == verdict.Unknown || kind == verdict.Body {
		return false
	}
	noun := kind.Noun()
	w.out.Kind, w.out.Verifiable = w.pick(noun.Zh, noun.En), true
	w.section("What it says")
	w.say("A file of this kind is signed, or supports what is signed: what it says, oncegate verify tells together with whether it is true.")
	return true
}

// document explains JSON.
func (w *writer) document(text []byte) error {
	if err := canonical.Check(text, bounds); err != nil {
		return err
	}
	var members map[string]jsontext.Value
	if err := json.Unmarshal(text, &members, canonical.Checked); err != nil {
		return ErrUnexplained
	}
	receipt, err := tlog.Receipt{}, error(audit.ErrNoReceipt)
	if members["receipt"] != nil {
		receipt, err = tlog.ParseReceipt(members["receipt"])
	}
	switch {
	case members["answer"] != nil:
		w.answer(members["answer"], receipt, err)
	case members["code"] != nil && members["status"] != nil:
		var p api.Problem
		if json.Unmarshal(text, &p, canonical.Checked) != nil {
			return ErrUnexplained
		}
		w.refusal(&p, receipt, err)
	case members["record"] != nil && members["proofs"] != nil:
		w.kind("receipt")
		receipt, err = tlog.ParseReceipt(text)
		w.record(receipt, err)
		w.proof(receipt, err, false)
	default:
		return ErrUnexplained
	}
	return nil
}

// A writer collects an explanation in one language.
type writer struct {
	*language.Printer
	show  bool
	pages bool // it is the first page of several
	out   Explanation
}

func (w *writer) kind(text string) { w.out.Kind = w.Message(text) }

// section begins a section.
func (w *writer) section(title string) {
	w.out.Sections = append(w.out.Sections, Section{Title: w.Message(title)})
}

// say adds a line.
func (w *writer) say(format string, args ...any) { w.add(w.Sprintf(format, args...)) }

// add adds a line that is in the reader's language already.
func (w *writer) add(line string) {
	s := &w.out.Sections[len(w.out.Sections)-1]
	if len(s.Lines) < maxLines {
		s.Lines = append(s.Lines, line)
	} else if len(s.Lines) == maxLines {
		s.Lines = append(s.Lines, "…")
	}
}

// pick chooses between two languages of a file's own text.
func (w *writer) pick(zh, en string) string {
	if w.Language == language.Chinese && zh != "" || en == "" {
		return clean(zh)
	}
	return clean(en)
}

// Bounds of what is printed: lines of a section, names in a list, runes of a value.
const (
	maxLines = 400
	maxNames = 40
	maxRunes = 300
)

// clean is text of strangers' making, bounded and without what a terminal would obey.
func clean(text string) string {
	var b strings.Builder
	n := 0
	for _, r := range text {
		if n++; n > maxRunes {
			b.WriteRune('…')
			break
		}
		if !unicode.IsPrint(r) {
			r = unicode.ReplacementChar
		}
		b.WriteRune(r)
	}
	return b.String()
}

// names is a list of names from a file.
func (w *writer) names(list []string) string {
	cut := list[:min(len(list), maxNames)]
	out := make([]string, len(cut))
	for i, name := range cut {
		out[i] = clean(name)
	}
	text := w.List(out)
	if more := len(list) - len(cut); more > 0 {
		text += w.Sprintf(" and %d more", more)
	}
	return text
}

// open are the fields of a license that say nothing about its holder.
var open = map[string]bool{"name": true, "issuer_name": true, "issued": true, "valid_from": true, "valid_to": true, "status": true}

// value is the value of a field: masked, unless it says nothing about the holder or everything is shown.
func (w *writer) value(field, value string) string {
	if name, _, _ := strings.Cut(field, "."); w.show || open[name] {
		return clean(value)
	}
	return w.masked(value)
}

// masked keeps the first character of a value, if there are more; how long it was does not show.
func (w *writer) masked(value string) string {
	if w.show || value == "" {
		return clean(value)
	}
	first, size := utf8.DecodeRuneInString(value)
	if size == len(value) { // the first character would be all of it
		return "***"
	}
	return clean(string(first)) + "***"
}

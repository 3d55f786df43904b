package console

import (
	"fmt"
	"html/template"
	"strings"
	"time"

	"oncegate/language"
	"oncegate/license"
)

// words are what templates say things with, in a language.
func words(l language.Language) template.FuncMap {
	return template.FuncMap{
		"clock": clock, "around": func(now, t time.Time) string { return around(l, now, t) }, "moment": func(t time.Time) string { return momentIn(l, t) }, "day": func(d license.Date) string { return dayIn(l, d) }, "longday": longDay, "mask": license.MaskCode, "lines": lines, "sign": newSign,
		"join": join, "filefield": fileField, "t": inLanguage, "desk": deskName, "select": newPick,
	}
}

// inLanguage is a text of a page in its language.
func inLanguage(f frame, zh, en string) string {
	if f.Lang == "en" {
		return en
	}
	return zh
}

// deskName is a window as people call it: a bare number becomes 3 号窗.
func deskName(lang, desk string) string {
	if strings.Trim(desk, "0123456789") != "" {
		return desk
	}
	if lang == "en" {
		return "window " + desk
	}
	return desk + " 号窗"
}

func join(all []string) string { return strings.Join(all, "、") }

func fileField(f field) field { f.Kind = "file"; return f }

func sprint(format string, values ...any) string { return fmt.Sprintf(format, values...) }

// clock is a time of the day, 09:16, of China; "" for none.
func clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.In(license.Shanghai()).Format("15:04")
}

// around is a time as people at a counter say it: the clock today, with the day otherwise.
func around(l language.Language, now, t time.Time) string {
	if t.In(license.Shanghai()).Format(time.DateOnly) == now.In(license.Shanghai()).Format(time.DateOnly) {
		return clock(t)
	}
	return momentIn(l, t)
}

// momentIn is a day and a time of China, 11月30日 09:16 or 30 Nov 09:16; "" for none.
func momentIn(l language.Language, t time.Time) string {
	if t.IsZero() {
		return ""
	}
	layout := "1月2日 15:04"
	if l == language.English {
		layout = "2 Jan 15:04"
	}
	return t.In(license.Shanghai()).Format(layout)
}

// moment is momentIn in the language of the page.
func (v *visit) moment(t time.Time) string { return momentIn(v.language(), t) }

// dayIn is 12月14日 or 14 Dec; "" for none.
func dayIn(l language.Language, d license.Date) string {
	t, err := time.Parse(time.DateOnly, string(d))
	switch {
	case err != nil:
		return ""
	case l == language.English:
		return t.Format("2 Jan")
	}
	return t.Format("1月2日")
}

// day is dayIn in Chinese, for pages of the window.
func day(d license.Date) string { return dayIn(language.Chinese, d) }

// longDay is 2026年12月14日, for papers.
func longDay(d license.Date) string {
	t, err := time.Parse(time.DateOnly, string(d))
	if err != nil {
		return ""
	}
	return t.Format("2006年1月2日")
}

func lines(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' })
}

// A field is an input of a form with its label, what was typed, what is wrong with it, and whether the cursor begins there.
type field struct {
	Name, Label, Hint, Value, Error string
	Focus                           bool
	Kind                            string // of the input; "" is text
	Wide                            bool
}

func newField(name, label, hint, value, fault, focus string) field {
	return field{Name: name, Label: label, Hint: hint, Value: value, Error: fault, Focus: focus == name}
}

// A sign stands beside a word, so that colour is never alone.
type sign struct{ Kind string }

func newSign(kind string) sign { return sign{kind} }

// A pick is a list to choose one from.
type pick struct {
	Name, Label, None string
	Choices           []choice
	Error             string // what is wrong with it; "" where nothing is
}

func newPick(name, label, none string, choices []choice, fault ...string) pick {
	return pick{name, label, none, choices, strings.Join(fault, "")}
}

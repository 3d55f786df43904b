package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/schollz/progressbar/v3"
)

// A terminal is where the program reads and writes, in which language, and whether in colour.
type terminal struct {
	in       io.Reader
	out, err io.Writer
	zh       bool
	colour   bool // of both streams
	watched  bool // somebody looks at err: progress is worth showing
}

func newTerminal(in, out, err *os.File, getenv func(string) string) *terminal {
	t := &terminal{in: in, out: out, err: err, watched: isatty.IsTerminal(err.Fd())}
	t.colour = isatty.IsTerminal(out.Fd()) && t.watched && getenv("NO_COLOR") == "" && getenv("TERM") != "dumb"
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if locale := getenv(name); locale != "" {
			t.zh = strings.HasPrefix(locale, "zh")
			break
		}
	}
	return t
}

// lang is the language of rooms that speak both.
func (t *terminal) lang() string {
	if t.zh {
		return "zh"
	}
	return "en"
}

type colour string

const (
	red    colour = "31"
	green  colour = "32"
	yellow colour = "33"
	bold   colour = "1"
	faint  colour = "2"
)

func (t *terminal) paint(c colour, text string) string {
	if !t.colour {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}

// say is a text in the reader's language.
func (t *terminal) say(format string, args ...any) string {
	if t.zh {
		if translated, ok := chinese[format]; ok {
			format = translated
		}
	}
	if len(args) == 0 {
		return format
	}
	return fmt.Sprintf(format, args...)
}

func (t *terminal) println(format string, args ...any) { fmt.Fprintln(t.out, t.say(format, args...)) }

// tell writes to the side: what is no result.
func (t *terminal) tell(format string, args ...any) { fmt.Fprintln(t.err, t.say(format, args...)) }

// progress returns a function that shows how far long work is; where nobody looks it does nothing.
func (t *terminal) progress(what string) func(done, total uint64) {
	if !t.watched {
		return func(uint64, uint64) {}
	}
	var bar *progressbar.ProgressBar
	return func(done, total uint64) {
		if bar == nil {
			bar = progressbar.NewOptions64(int64(total), progressbar.OptionSetDescription(t.say(what)), progressbar.OptionSetWriter(t.err),
				progressbar.OptionShowCount(), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish(),
				progressbar.OptionEnableColorCodes(t.colour), progressbar.OptionSetPredictTime(true))
		}
		_ = bar.Set64(int64(done)) // a bar that cannot be drawn stops nothing
	}
}

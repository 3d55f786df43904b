package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/schollz/progressbar/v3"

	"oncegate/language"
)

// A terminal is where the program reads and writes, in which language, and whether in colour.
type terminal struct {
	in       io.Reader
	out, err io.Writer
	*language.Printer
	colour  bool // of both streams
	shown   bool // somebody looks at out: it is laid out for eyes; otherwise bytes stay as they came
	watched bool // somebody looks at err: progress is worth showing

	understood bool // the command line was: an error that follows is not one of usage
}

func newTerminal(in, out, err *os.File, getenv func(string) string) *terminal {
	t := &terminal{in: in, out: out, err: err, shown: isatty.IsTerminal(out.Fd()), watched: isatty.IsTerminal(err.Fd())}
	t.colour = t.shown && t.watched && getenv("NO_COLOR") == "" && getenv("TERM") != "dumb"
	t.Printer = catalogue.Printer(language.OfLocale(getenv))
	return t
}

// chinese reports whether the reader's language is Chinese.
func (t *terminal) chinese() bool { return t.Language == language.Chinese }

// pick is the one of two texts that is in the reader's language.
func (t *terminal) pick(zh, en string) string {
	if t.chinese() {
		return zh
	}
	return en
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

// say is a message in the reader's language.
func (t *terminal) say(format string, args ...any) string { return t.Sprintf(format, args...) }

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
			bar = progressbar.NewOptions64(int64(total), progressbar.OptionSetDescription(t.Message(what)), progressbar.OptionSetWriter(t.err),
				progressbar.OptionShowCount(), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish(),
				progressbar.OptionEnableColorCodes(t.colour), progressbar.OptionSetPredictTime(true))
		}
		_ = bar.Set64(int64(done)) // a bar that cannot be drawn stops nothing
	}
}

// Command oncegate runs a data-sharing gateway (一次办数据网关) and is the tool of everybody who works with one: it checks and
// makes configurations, verifies what gateways hand out, makes signed calls by hand, explains policies, and searches and
// verifies logs. It holds flags and printing only; node and client hold the rest.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // legal days are China's, wherever the program runs

	"github.com/alecthomas/kong"

	"oncegate/client"
	"oncegate/node"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	os.Exit(run(ctx, os.Args[1:], newTerminal(os.Stdin, os.Stdout, os.Stderr, os.Getenv)))
}

// Exit codes. They never change.
const (
	exitOK      = 0
	exitNo      = 1 // does not hold, was refused, or could not be done
	exitMisused = 2 // wrong usage, or a configuration that cannot be used
)

// misuse is an error of whoever called the command.
type misuse struct{ error }

func (m misuse) Unwrap() error { return m.error }

// errNo is an outcome that was printed already: it only sets the exit code.
var errNo = errors.New("it does not hold")

// leave is how kong leaves after printing help.
type leave int

// run is the program; it returns the exit code.
func run(ctx context.Context, args []string, t *terminal) (code int) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case leave:
			code = int(p)
		default:
			panic(p)
		}
	}()
	parser, err := newParser(t)
	if err != nil {
		fmt.Fprintln(t.err, err)
		return exitMisused
	}
	chosen, err := parser.Parse(args)
	if err != nil {
		t.complain(err)
		fmt.Fprintln(t.err, t.say("see: oncegate --help"))
		return exitMisused
	}
	chosen.BindTo(ctx, (*context.Context)(nil))
	return t.codeOf(chosen.Run(t))
}

func newParser(t *terminal) (*kong.Kong, error) {
	parser, err := kong.New(&commands{}, kong.Name("oncegate"), kong.UsageOnError(),
		kong.Description("A data-sharing gateway and electronic-license exchange: ask once, prove it."),
		kong.Writers(t.out, t.err), kong.Exit(func(code int) { panic(leave(code)) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 120}))
	if err == nil {
		t.translate(parser.Model)
	}
	return parser, err
}

// codeOf prints what went wrong and says how the program ends.
func (t *terminal) codeOf(err error) int {
	var faults node.Faults
	var trust client.Faults
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &faults):
		t.faults(faults)
		return exitMisused
	case errors.As(err, new(misuse)) && errors.Is(err, errNo):
		return exitMisused
	case errors.As(err, &trust), errors.As(err, new(misuse)):
		t.complain(err)
		return exitMisused
	case errors.Is(err, errNo):
		return exitNo
	}
	t.complain(err)
	return exitNo
}

// complain prints an error as one line, or a few, without a trace.
func (t *terminal) complain(err error) {
	fmt.Fprintf(t.err, "%s %s\n", t.paint(red, "oncegate:"), err)
}

// faults prints every fault on a line of its own, as editors read them.
func (t *terminal) faults(list node.Faults) {
	for _, f := range list {
		mark := t.paint(red, t.say("error:"))
		if f.Warning {
			mark = t.paint(yellow, t.say("warning:"))
		}
		fmt.Fprintf(t.err, "%s %s\n", mark, f)
	}
}

// readAll reads a file, or the standard input for "-".
func (t *terminal) readAll(name string, limit int64) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(io.LimitReader(t.in, limit))
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, misuse{err}
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit))
}

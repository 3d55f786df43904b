// Command oncegate runs a data-sharing gateway (一次办数据网关) and is the command-line tool for gateways: it checks and
// makes configurations, verifies artefacts of gateways, makes signed calls by hand, explains policies, and searches and
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

	"oncegate/fault"
	"oncegate/verdict"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	os.Exit(run(ctx, os.Args[1:], newTerminal(os.Stdin, os.Stdout, os.Stderr, os.Getenv)))
}

// Exit codes. They never change.
const (
	exitOK      = 0
	exitNo      = 1 // refuted, refused, or could not be done
	exitMisused = 2 // wrong usage, or a configuration that cannot be used
	exitOpen    = 3 // not proven: nothing failed, but something that proof needs could not be checked
)

// errNo is an outcome that was printed already: it only sets the exit code.
var errNo = errors.New("it does not hold")

// errOpen is the outcome "not proven", printed already.
var errOpen = errors.New("it is not proven")

// run is the program; it returns the exit code.
func run(ctx context.Context, args []string, t *terminal) int {
	program := newProgram(t)
	program.SetArgs(args)
	err := program.ExecuteContext(ctx)
	if err != nil && !t.understood {
		err = usage{err} // cobra's own, such as of a flag that must be given
	}
	return t.codeOf(err)
}

// codeOf prints what went wrong and says how the program ends.
func (t *terminal) codeOf(err error) int {
	var faults fault.List
	var trust verdict.Faults
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &faults):
		t.faults(faults)
		return exitMisused
	case errors.As(err, new(misuse)) && errors.Is(err, errNo):
		return exitMisused
	case errors.As(err, new(usage)):
		t.complain(err)
		t.tell("see: oncegate --help")
		return exitMisused
	case errors.As(err, &trust), errors.As(err, new(misuse)):
		t.complain(err)
		return exitMisused
	case errors.Is(err, errNo):
		return exitNo
	case errors.Is(err, errOpen):
		return exitOpen
	}
	t.complain(err)
	return exitNo
}

// complain prints an error as one line, or a few, without a trace.
func (t *terminal) complain(err error) {
	fmt.Fprintf(t.err, "%s %s\n", t.paint(red, "oncegate:"), t.Text(err.Error()))
}

// faults prints every fault on a line of its own, as editors read them.
func (t *terminal) faults(list fault.List) {
	for _, f := range list {
		mark := t.paint(red, t.say("error:"))
		if f.Warning {
			mark = t.paint(yellow, t.say("warning:"))
		}
		f.Reason = t.Text(f.Reason)
		fmt.Fprintf(t.err, "%s %s\n", mark, f)
	}
}

// readAll reads a file, or the standard input for "-".
func (t *terminal) readAll(name string, limit int64) ([]byte, error) {
	data, rest, err := t.readBeginning(name, limit)
	if err != nil {
		return nil, err
	}
	return data, rest.Close()
}

// readBeginning reads so many bytes of a file, or of the standard input for "-", and returns the rest to read, which must be closed.
func (t *terminal) readBeginning(name string, limit int64) (data []byte, rest io.ReadCloser, err error) {
	rest = io.NopCloser(t.in)
	if name != "-" {
		if rest, err = os.Open(name); err != nil {
			return nil, nil, misuse{err}
		}
	}
	if data, err = io.ReadAll(io.LimitReader(rest, limit)); err != nil {
		rest.Close()
		return nil, nil, err
	}
	return data, rest, nil
}

package matrix_test

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// classPath names Bouncy Castle's archives. The test command sets it where they are there or can be installed; set, they must work.
const classPath = "ONCEGATE_TEST_BOUNCYCASTLE"

// A castle is Bouncy Castle, running: a line in is a question, a line out its answer. The program is interop/java.
type castle struct {
	in  io.Writer
	out *bufio.Reader
}

// newCastle compiles the program and starts it; nil where there is no Bouncy Castle.
func newCastle(t *testing.T) *castle {
	t.Helper()
	jars := os.Getenv(classPath)
	if jars == "" {
		t.Log(classPath + " is not set: NOT TESTED against Bouncy Castle")
		return nil
	}
	classes := t.TempDir()
	sources, err := filepath.Glob("../java/*.java")
	must(t, err)
	compile := exec.Command("javac", append([]string{"-encoding", "UTF-8", "-d", classes, "-cp", jars}, sources...)...)
	if out, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("compile: %v\n%s", err, out)
	}
	cmd := exec.Command("java", "-XX:TieredStopAtLevel=1", "-cp", classes+":"+jars, "Main")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		must(t, in.Close()) // its end of work
		if err := cmd.Wait(); err != nil {
			t.Errorf("Bouncy Castle ended with %v", err)
		}
	})
	b := &castle{in, bufio.NewReaderSize(out, 1<<20)}
	version, err := b.ask("version")
	must(t, err)
	t.Logf("%s", version[0])
	return b
}

var errRefused = errors.New("refused by Bouncy Castle")

// ask is one question. The error is errRefused where the answer is no.
func (b *castle) ask(command string, args ...any) ([][]byte, error) {
	words := []string{command}
	for _, a := range args {
		words = append(words, word(a))
	}
	if _, err := fmt.Fprintln(b.in, strings.Join(words, " ")); err != nil {
		return nil, err
	}
	line, err := b.out.ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("no answer to %s: %w", command, err)
	}
	parts := strings.Split(strings.TrimSuffix(line, "\n"), " ")
	if parts[0] != "ok" {
		return nil, fmt.Errorf("%w: %s", errRefused, strings.Join(parts[1:], " "))
	}
	values := make([][]byte, len(parts)-1)
	for i, part := range parts[1:] {
		if part == "." {
			continue
		}
		if values[i], err = base64.StdEncoding.DecodeString(part); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// word is an argument: octets as they are, everything else as the text that it prints.
func word(a any) string {
	b, ok := a.([]byte)
	if !ok {
		b = fmt.Append(nil, a)
	}
	if len(b) == 0 {
		return "."
	}
	return base64.StdEncoding.EncodeToString(b)
}

// demand is ask where the answer must be yes, and the first value of it.
func (b *castle) demand(t *testing.T, command string, args ...any) [][]byte {
	t.Helper()
	values, err := b.ask(command, args...)
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	return values
}

// made turns what makes a work into a maker of Bouncy Castle's, which is skipped where there is none.
func (c *city) made(with string, run func(t *testing.T) work) maker {
	return maker{with: with, run: func(t *testing.T) work {
		c.needCastle(t)
		return run(t)
	}}
}

func (c *city) checked(with string, run func(t *testing.T, w work) error) checker {
	return checker{with: with, run: func(t *testing.T, w work) error {
		c.needCastle(t)
		return run(t, w)
	}}
}

func (c *city) needCastle(t *testing.T) {
	t.Helper()
	if c.bc == nil {
		t.Skip(classPath + " is not set: NOT TESTED against Bouncy Castle")
	}
}

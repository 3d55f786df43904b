package main

import (
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"oncegate/install/installtest"
	"oncegate/language"
)

func TestMain(m *testing.M) {
	testscript.Main(installtest.Tests{M: m}, map[string]func(){"oncegate": main})
}

// TestScripts runs testdata/*.txt on the real program.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			city, err := os.Getwd()
			if err != nil {
				return err
			}
			env.Setenv("CITY", city+"/../../deploy/city")
			env.Setenv("LC_ALL", "C")
			for _, name := range []string{"PORT", "ADMIN"} {
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					return err
				}
				env.Setenv(name, strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
				l.Close()
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"edit": edit, "await": await, "status": status, "mode": mode, "retry": retry, "pick": pick},
	})
}

// edit replaces a text that must be in a file: edit FILE OLD NEW.
func edit(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: edit FILE OLD NEW")
	}
	name := ts.MkAbs(args[0])
	data, err := os.ReadFile(name)
	ts.Check(err)
	if !strings.Contains(string(data), args[1]) {
		ts.Fatalf("%s has no %q", args[0], args[1])
	}
	ts.Check(os.WriteFile(name, []byte(strings.ReplaceAll(string(data), args[1], args[2])), 0o600))
}

// await waits until an address answers 200: await URL.
func await(ts *testscript.TestScript, _ bool, args []string) {
	deadline := time.Now().Add(20 * time.Second)
	for {
		res, err := http.Get(args[0])
		if err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s does not answer: %v", args[0], err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// status runs a command that must end with an exit code: status CODE COMMAND...
func status(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, not %s (%v)", code, args[0], err)
	}
}

// retry runs a command until it succeeds, as when something takes effect soon: retry COMMAND...
func retry(ts *testscript.TestScript, _ bool, args []string) {
	deadline := time.Now().Add(20 * time.Second)
	for ts.Exec(args[0], args[1:]...) != nil {
		if time.Now().After(deadline) {
			ts.Fatalf("it does not succeed")
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// mode checks the permissions of a file: mode OCTAL FILE.
func mode(ts *testscript.TestScript, _ bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := strconv.FormatInt(int64(info.Mode().Perm()), 8); got != args[0] {
		ts.Fatalf("%s has mode %s", args[1], got)
	}
}

// pick sets a variable to the first match of an expression in a file: pick NAME FILE EXPRESSION.
func pick(ts *testscript.TestScript, _ bool, args []string) {
	found := regexp.MustCompile(args[2]).FindString(ts.ReadFile(args[1]))
	if found == "" {
		ts.Fatalf("%s has no %s", args[1], args[2])
	}
	ts.Setenv(args[0], found)
}

func TestLocale(t *testing.T) {
	for _, test := range []struct {
		env  map[string]string
		want language.Language
	}{
		{nil, "en"},
		{map[string]string{"LANG": "zh_CN.UTF-8"}, "zh"},
		{map[string]string{"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, "en"},
		{map[string]string{"LANG": "en_GB.UTF-8", "LC_MESSAGES": "zh_TW"}, "zh"},
	} {
		got := newTerminal(os.Stdin, os.Stdout, os.Stderr, func(name string) string { return test.env[name] }).Language
		if got != test.want {
			t.Errorf("%v: %s", test.env, got)
		}
	}
}

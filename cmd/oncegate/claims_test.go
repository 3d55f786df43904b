package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"oncegate/language"
)

var (
	spanForm  = regexp.MustCompile("`([^`\n]+)`")
	fenceForm = regexp.MustCompile("(?s)```[a-z]*\n(.*?)```")
	runForm   = regexp.MustCompile(`(?:^|[ (|;]|\$\()(?:go run \./cmd/oncegate|oncegate) ([^|;>\n]*)`)
	groupForm = regexp.MustCompile(`^(?:audit|keys|license|policy) [a-z]+(?: .*)?$`)
)

// TestDocumentedCommands: every command line of this program in a document is one that it understands, with its flags.
func TestDocumentedCommands(t *testing.T) {
	var names []string
	for _, pattern := range []string{"../../README*.md", "../../CONTRIBUTING.md", "../../docs/*.md", "../../deploy/city/*.yaml", "../../install/template/*.yaml", "../../deploy/container/*"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, found...)
	}
	checked := 0
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.ReplaceAll(string(data), "\\\n", " ")
		for _, line := range documentedCommands(text) {
			checked++
			if reason := misunderstood(t, line); reason != "" {
				t.Errorf("%s: oncegate %s: %s", name, line, reason)
			}
		}
	}
	if checked < 100 {
		t.Errorf("only %d command lines were found", checked)
	}
	for _, wrong := range []string{"frobnicate", "keys frobnicate", "serve --frobnicate", "audit export --form x", "backup --c x", "demo --once=maybe"} {
		if misunderstood(t, wrong) == "" {
			t.Errorf("oncegate %s is understood", wrong)
		}
	}
}

// documentedCommands are the command lines of a document, without the name of the program: in its blocks and in its running text.
func documentedCommands(text string) (list []string) {
	add := func(s string) {
		for _, m := range runForm.FindAllStringSubmatch(s, -1) {
			list = append(list, m[1])
		}
	}
	for _, m := range fenceForm.FindAllStringSubmatch(text, -1) {
		for line := range strings.Lines(m[1]) {
			command, _, _ := strings.Cut(strings.TrimRight(line, "\n"), "  #")
			add(strings.TrimPrefix(strings.TrimLeft(command, " "), "# "))
		}
	}
	for _, m := range spanForm.FindAllStringSubmatch(fenceForm.ReplaceAllString(text, ""), -1) {
		add(m[1])
		if groupForm.MatchString(m[1]) {
			list = append(list, m[1])
		}
	}
	return list
}

// misunderstood says why the program does not understand a command line, or nothing. What must be given, a document may leave out.
func misunderstood(t *testing.T, line string) string {
	t.Helper()
	var out bytes.Buffer
	root := newProgram(&terminal{out: &out, err: &out, Printer: catalogue.Printer(language.English)})
	words := shellWords(line)
	if len(words) == 0 || strings.ContainsAny(words[0], "<…") {
		return ""
	}
	command, rest, err := root.Find(words)
	if err != nil {
		return err.Error()
	}
	if len(rest) > 0 && command.HasSubCommands() && !strings.HasPrefix(rest[0], "-") && regexp.MustCompile(`^[a-z-]+$`).MatchString(rest[0]) {
		return "there is no command " + rest[0]
	}
	command.InitDefaultHelpFlag()
	flags := rest[:0:0]
	for _, word := range rest {
		if word != "…" && !strings.HasPrefix(word, "[") && !strings.HasSuffix(word, "]") {
			flags = append(flags, word)
		}
	}
	if n := len(flags); n > 0 && strings.HasPrefix(flags[n-1], "-") { // a flag that is named without its value
		if f := command.Flags().Lookup(strings.TrimLeft(flags[n-1], "-")); f != nil && f.NoOptDefVal == "" {
			flags = flags[:n-1]
		}
	}
	if err := command.ParseFlags(flags); err != nil {
		return err.Error()
	}
	return ""
}

// shellWords splits a command line as a shell does, as far as documents need: quotes, and no expansion.
func shellWords(line string) (words []string) {
	var word strings.Builder
	var quote rune
	begun := false
	end := func() {
		if begun {
			words = append(words, word.String())
		}
		word.Reset()
		begun = false
	}
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '\'' || r == '"'):
			quote, begun = r, true
		case quote == 0 && r == ' ':
			end()
		default:
			word.WriteRune(r)
			begun = true
		}
	}
	end()
	return words
}

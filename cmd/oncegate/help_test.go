package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/rivo/uniseg"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"oncegate/language"
)

// Help fits into the window, 120 columns at most; only examples stay as they are pasted. It hides nothing that can be given.
func TestHelpFits(t *testing.T) {
	for columns, most := range map[string]int{"": 80, "72": 72, "120": 120, "200": 120} {
		for _, l := range []language.Language{language.English, language.Chinese} {
			t.Setenv("COLUMNS", columns)
			var out bytes.Buffer
			program := newProgram(&terminal{out: &out, err: &out, Printer: catalogue.Printer(l)})
			for _, c := range append(leaves(program.Command), program.Command) {
				out.Reset()
				if err := c.Help(); err != nil {
					t.Fatal(err)
				}
				for _, line := range strings.Split(out.String(), "\n") {
					if w := uniseg.StringWidth(line); w > most && !strings.Contains("\n"+c.Example+"\n", "\n"+strings.TrimPrefix(line, "  ")+"\n") {
						t.Errorf("%s: %d columns, more than %d: %s", c.CommandPath(), w, most, line)
					}
				}
				plain := strings.Join(strings.Fields(out.String()), "")
				c.LocalFlags().VisitAll(func(f *pflag.Flag) {
					if !f.Hidden && !strings.Contains(plain, strings.ReplaceAll(f.Usage, " ", "")) {
						t.Errorf("%s does not explain --%s", c.CommandPath(), f.Name)
					}
				})
				if c.Example == "" && !c.HasSubCommands() && c.Name() != "help" {
					t.Errorf("%s has no example", c.CommandPath())
				}
			}
		}
	}
}

func TestWrap(t *testing.T) {
	for _, test := range []struct {
		text    string
		columns int
		want    string
	}{
		{"", 10, ""},
		{"one two three", 7, "one two|three"},
		{"one two three", 8, "one two|three"},
		{"unbreakable", 4, "unbreakable"},
		{"一次办数据网关", 8, "一次办数|据网关"},
		{"问一次，可举证。", 6, "问一|次，可|举证。"}, // no line begins with a comma
	} {
		if got := strings.Join(wrap(test.text, test.columns), "|"); got != test.want {
			t.Errorf("%q in %d columns: %s", test.text, test.columns, got)
		}
	}
}

// leaves are the commands below that run.
func leaves(c *cobra.Command) (list []*cobra.Command) {
	for _, child := range c.Commands() {
		list = append(list, child)
		list = append(list, leaves(child)...)
	}
	return list
}

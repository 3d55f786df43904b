package strictyaml_test

import (
	"errors"
	"strings"
	"testing"

	"oncegate/strictyaml"
)

var limits = strictyaml.Limits{Bytes: 1 << 20, Depth: 32}

// Brackets in texts and comments are no nesting, closed or not: half a pair is often full-width.
func TestTextsAreNoNesting(t *testing.T) {
	for name, file := range map[string]string{
		"half-width opened, full-width closed": strings.Repeat("- 云川市示例中心(有限合伙）\n", 1000),
		"full-width":                           strings.Repeat("- （［｛\n", 1000),
		"quoted":                               strings.Repeat("- '[{('\n- \"[{(\"\n", 1000),
		"comment":                              strings.Repeat("# 1) see [x and {y\n", 1000) + "a: 1\n" + "# " + strings.Repeat("-", 2000),
		"plain":                                "a: x" + strings.Repeat(" [{(", 1000),
		"block":                                "a: |\n  " + strings.Repeat("[", 1000) + "\n",
		"one long line":                        `{"a": [` + strings.Repeat(`{"c": 1}, `, 5000) + `{}]}`,
		"list of objects":                      "[" + strings.Repeat(`{"a": -1, "b": [x, y]}, `, 5000) + "]",
	} {
		if _, err := strictyaml.Parse([]byte(file), limits); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What nests is bounded before the parser recurses; a bracket closed in a text closes nothing.
func TestNestingIsBounded(t *testing.T) {
	for name, file := range map[string]string{
		"brackets":           strings.Repeat("[", 1000),
		"braces":             strings.Repeat("{a: ", 1000),
		"closed in texts":    strings.Repeat("[']',", 100_000),
		"closed in comments": strings.Repeat("[ # ]\n", 100_000),
		"dashes":             strings.Repeat("- ", 10_000),
		"questions":          strings.Repeat("? ", 10_000),
		"tags":               strings.Repeat("!a ", 10_000),
		"tags, line by line": strings.Repeat("!a\n", 10_000),
		"keys of one line":   strings.Repeat("a: ", 10_000),
		"dashes and keys":    strings.Repeat("- a: ", 10_000),
	} {
		var e *strictyaml.Error
		if _, err := strictyaml.Parse([]byte(file), limits); !errors.As(err, &e) || !strings.Contains(e.Reason, "nested deeper than 32") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFaults(t *testing.T) {
	for file, want := range map[string]string{
		strings.Repeat("#", limits.Bytes+1): "1:1: the file is larger than 1048576 bytes",
		"a: \xff":                           "1:1: the file is not UTF-8",
		"a: 1\nb: [":                        "2:",
	} {
		if _, err := strictyaml.Parse([]byte(file), limits); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%.20q: %v, want %s", file, err, want)
		}
	}
	if got := strictyaml.Clip(strings.Repeat("照", 100)); len(got) > 203 || !strings.HasSuffix(got, "照…") {
		t.Errorf("clipped to %q", got)
	}
}

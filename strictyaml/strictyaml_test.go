package strictyaml_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"oncegate/fault"
	"oncegate/strictyaml"
)

var limits = strictyaml.Limits{Bytes: 1 << 20, Depth: 32, Values: 1000}

func parse(file string) (faults fault.List) {
	strictyaml.Parse("f", []byte(file), limits, &faults)
	return faults
}

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
		if faults := parse(file); len(faults) > 0 {
			t.Errorf("%s: %v", name, faults)
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
		if faults := parse(file); len(faults) != 1 || !strings.Contains(faults[0].Reason, "nested deeper than 32") {
			t.Errorf("%s: %v", name, faults)
		}
	}
}

func TestUnreadable(t *testing.T) {
	for file, want := range map[string]string{
		strings.Repeat("#", limits.Bytes+1): "f:1:1: the file is larger than 1048576 bytes",
		"a: \xff":                           "f:1:1: the file is not UTF-8",
		"a: 1\nb: [":                        "f:2:",
		"a: 1\na: 2":                        "f:2:1: ",
		"a: 1\n---\nb: 1":                   "f:3:1: one YAML document is expected",
	} {
		if faults := parse(file); len(faults) != 1 || !strings.HasPrefix(faults[0].String(), want) {
			t.Errorf("%.20q: %v, want %s", file, faults, want)
		}
	}
}

type plugin struct{ known map[string]*options }

type options struct {
	Name string `yaml:"name"`
}

func (p *plugin) Keys() []string { return []string{"left", "right"} }

func (p *plugin) Into(key string) any {
	if p.known == nil {
		p.known = map[string]*options{}
	}
	p.known[key] = &options{}
	return p.known[key]
}

type sample struct {
	Name   string            `yaml:"name"`
	Count  int               `yaml:"count"`
	Share  float64           `yaml:"share"`
	On     bool              `yaml:"on"`
	Wait   time.Duration     `yaml:"wait"`
	Tags   []string          `yaml:"tags"`
	Codes  map[string]string `yaml:"codes"`
	Part   *sample           `yaml:"part"`
	Parts  []sample          `yaml:"parts"`
	Plugin plugin            `yaml:",inline"`
	Hidden string            `yaml:"-"`
}

// Whatever is wrong in a file is found at once, each at its place, and everything else is filled in.
func TestDecode(t *testing.T) {
	const file = `name: "00"
count: many
share: .5
on: perhaps
wait: soon
tags: {a: b}
codes: {"1": x, 2: y}
part: {name: [a], colour: red}
parts: [{name: a}, 5, ~]
left: {name: l, nmae: x}
middle: {}
`
	var v sample
	var faults fault.List
	doc := strictyaml.Decode("f", []byte(file), limits, &v, &faults)
	var got []string
	for _, f := range faults.Sorted() {
		place, reason, _ := strings.Cut(f.String(), ": ")
		reason, _, _ = strings.Cut(reason, ";")
		got = append(got, strings.TrimPrefix(place, "f:")+" "+reason)
	}
	want := []string{
		"2:8 a whole number is expected here", "4:5 true or false is expected here", `5:7 a duration such as "3s" or "48h" is expected here`,
		"6:8 a list is expected here", "8:14 one value is expected here, not a list or mapping", `8:19 unknown key "colour"`,
		"9:20 a mapping is expected here", `10:17 unknown key "nmae"`, `11:1 unknown key "middle"`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if v.Name != "00" || v.Share != .5 || v.Codes["2"] != "y" || len(v.Parts) != 3 || v.Parts[0].Name != "a" || v.Plugin.known["left"].Name != "l" {
		t.Errorf("%+v", v)
	}
	for path, want := range map[string]string{"$": "f:1:1", "$.codes.2": "f:7:20", "$.codes.9.x": "f:7:9", "$.parts[1]": "f:9:20", "$.parts[7].name": "f:9:8", "$.nothing": "f:1:1"} {
		if got := doc.At(path).String(); got != want {
			t.Errorf("%s stands at %s, want %s", path, got, want)
		}
	}
}

// Anchors, aliases and merge keys are followed within the bounds, where they are allowed.
func TestAliases(t *testing.T) {
	var v sample
	var faults fault.List
	doc := strictyaml.Decode("f", []byte("part: &p {name: a, count: 1}\nparts:\n- {<<: *p, count: 2}\n- *p\n"), limits, &v, &faults)
	if len(faults) > 0 || v.Parts[0].Name != "a" || v.Parts[0].Count != 2 || v.Parts[1].Count != 1 || doc.At("$.parts[1].count").String() != "f:1:27" {
		t.Errorf("%+v %v %s", v, faults, doc.At("$.parts[1].count"))
	}
	growing := "part: &a0 {tags: [x, x, x, x, x, x, x, x]}\nparts:\n"
	for i := range 20 {
		name := string(rune('a' + i))
		growing += "- &" + name + "1 {<<: *" + map[bool]string{true: "a0", false: string(rune('a'+i-1)) + "1"}[i == 0] + ", parts: [*a0, *a0, *a0, *a0, *a0, *a0, *a0, *a0]}\n"
	}
	for name, file := range map[string]string{
		"itself": "part: &p\n  part: *p\n", "merged into itself": "part: &p\n  <<: *p\n  parts: [*p]\n", "growing": growing,
		"merging a list": "part: {<<: [a]}\n",
	} {
		var faults fault.List
		if strictyaml.Decode("f", []byte(file), limits, &sample{}, &faults); len(faults) != 1 {
			t.Errorf("%s: %v", name, faults)
		}
	}
	none := limits
	none.NoAliases = true
	if strictyaml.Parse("f", []byte("a: &x 1\nb: *x\n"), none, &faults); len(faults) != 2 || faults[0].Place.String() != "f:1:4" {
		t.Error(faults)
	}
}

// Lists that several files continue keep the places of each.
func TestContinue(t *testing.T) {
	var faults fault.List
	var one, two sample
	main := strictyaml.Decode("a", []byte("tags: [x, y]\n"), limits, &one, &faults)
	main.Continue("tags", len(one.Tags), strictyaml.Decode("b", []byte("\ntags: [z]\n"), limits, &two, &faults))
	main.AddAll("$", fault.List{{Path: "$.tags[2]", Reason: "as in $.tags[1]"}})
	if len(faults) != 1 || faults[0].String() != "b:2:8: as in a:1:11" {
		t.Error(faults)
	}
}

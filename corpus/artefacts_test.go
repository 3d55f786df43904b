package corpus

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/check"
	"oncegate/verdict"
)

const (
	expectedFile = "expected.txt" // what verification said when the version was made
	stricterFile = "stricter.txt" // where verification has become stricter since
)

// How an artefact is verified: by itself, with all that its folder holds, or so under a trust that uses every member.
const (
	alone      = "alone"
	together   = "together"
	everything = "everything"
)

// A finding is the result of verifying one artefact.
type finding struct {
	artefact string // trust folder/set/file
	sitting  string // alone, together or everything
	kind     verdict.Kind
	verdict  string
	steps    []check.Step
}

// verdictOf is the verdict on the artefact as a whole.
func verdictOf(v verdict.Verified) string {
	if v.Supports {
		return "supports"
	}
	return string(v.Verdict)
}

// verdicts are the words for it, from the worst to the best; those that mean the same stand together. The first version said fails
// and holds.
var verdicts = [][]string{{"refuted", "fails"}, {"not-proven"}, {"proven", "supports", "holds"}}

// rank is the place of a verdict.
func rank(verdict string) int {
	return slices.IndexFunc(verdicts, func(words []string) bool { return slices.Contains(words, verdict) })
}

// verified verifies every artefact of a version as of the time when it was made.
func (v version) verified(t *testing.T) (all []finding) {
	t.Helper()
	for _, name := range folders(t, v.path("artefacts")) {
		trust := v.trust(t, name)
		for _, set := range folders(t, v.path("artefacts", name)) {
			list := v.artefacts(t, name, set)
			for _, a := range list {
				all = append(all, found(alone, trust.Verify(a))...)
			}
			if len(list) > 1 {
				all = append(all, found(together, trust.Verify(list...))...)
			}
		}
	}
	all = append(all, found(everything, v.trust(t, everything).Verify(v.artefacts(t, "sqlite", "demo")...))...)
	return all
}

// artefacts are those of one set, which belong together. Licenses and documents in an answer stand beside it as their own.
func (v version) artefacts(t *testing.T, name, set string) (list []verdict.Artefact) {
	t.Helper()
	all := files(t, v.path("artefacts", name, set))
	released(t, all)
	for _, file := range sorted(all) {
		list = append(list, verdict.Artefact{Name: path.Join(name, set, file), Data: all[file]})
	}
	return list
}

// released adds the licenses and documents inside an answer.
func released(t *testing.T, all map[string][]byte) {
	t.Helper()
	var e struct {
		Answer struct {
			api.License // with a document, of licenses.render
			Licenses    []api.License
			Materials   []api.License
		}
	}
	if data, there := all["answer.json"]; !there || json.Unmarshal(data, &e) != nil {
		return
	}
	for i, l := range append(append(e.Answer.Licenses, e.Answer.Materials...), e.Answer.License) {
		if l.License != "" {
			all[fmt.Sprintf("license-%d.sdjwt", i)] = []byte(l.License)
		}
		if l.Document.Content != "" {
			data, err := base64.RawURLEncoding.DecodeString(l.Document.Content)
			if err != nil {
				t.Fatal(err)
			}
			all[fmt.Sprintf("document-%d.%s", i, l.Document.Form)] = data
		}
	}
}

func found(sitting string, verified []verdict.Verified) (all []finding) {
	for _, v := range verified {
		all = append(all, finding{v.Name, sitting, v.Kind, verdictOf(v), v.Steps})
	}
	return all
}

// TestArtefacts compares verification with its results when each version was made. A step that was ok is ok, a step fails only if
// it failed then, the verdict is no worse and the kind the same, unless stricter.txt says so.
func TestArtefacts(t *testing.T) {
	t.Parallel()
	permitted := readStricter(t)
	each(t, func(t *testing.T, v version) {
		expected := readExpected(t, v)
		var changes []string
		for _, f := range v.verified(t) {
			was, known := expected[f.artefact+" "+f.sitting]
			if !known {
				t.Errorf("%s %s is not in %s", f.artefact, f.sitting, expectedFile)
			}
			delete(expected, f.artefact+" "+f.sitting)
			for _, c := range stricter(was, f) {
				changes = append(changes, fmt.Sprintf("%s %s %s %s", v.name, f.artefact, f.sitting, c))
			}
		}
		for _, missing := range sorted(expected) {
			t.Errorf("%s is gone: the corpus only grows", missing)
		}
		if more := slices.DeleteFunc(slices.Clone(changes), func(c string) bool { return permitted[c] }); len(more) > 0 {
			t.Errorf("verification became stricter. Where it must, add to %s, under the reason:\n%s", stricterFile, strings.Join(more, "\n"))
		}
		for c := range permitted {
			if strings.HasPrefix(c, v.name+" ") && !slices.Contains(changes, c) {
				t.Errorf("%s permits what does not happen: %s", stricterFile, c)
			}
		}
	})
}

// TestOperatorProof verifies the answers whose record says that an identity service vouches for the operator, beside the call with its word.
func TestOperatorProof(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, v version) {
		if !v.has(4) {
			t.Skip("no identity service vouched yet")
		}
		for _, name := range []string{"sqlite", "postgres"} {
			for _, proof := range []string{audit.OperatorByCall, audit.OperatorBySession} {
				set := "licenses.query-" + proof
				steps := map[string]check.State{}
				for _, f := range found(together, v.trust(t, name).Verify(v.artefacts(t, name, set)...)) {
					maps.Copy(steps, f.states())
				}
				if steps["call-actor"] != check.OK || steps["record-operator-proof"] != check.OK {
					t.Errorf("%s/%s: %v", name, set, steps)
				}
				_, receipt, err := audit.SplitAnswer(v.set(t, name, set)["answer.json"])
				if err != nil {
					t.Fatal(err)
				}
				record, err := audit.ParseRecord(receipt.Record)
				if err != nil || record.V != 4 || record.OperatorProof != proof || record.OperatorService != staff || !slices.Equal(record.OperatorRoles, []string{"clerk"}) {
					t.Errorf("%s/%s: record %+v, %v", name, set, record, err)
				}
			}
		}
	})
}

// states returns the worst state of each name of a step.
func (f finding) states() map[string]check.State {
	worst := map[string]check.State{}
	for _, s := range f.steps {
		if old, there := worst[s.Name]; !there || slices.Index(order, s.State) < slices.Index(order, old) {
			worst[s.Name] = s.State
		}
	}
	return worst
}

var order = []check.State{check.Failed, check.NotCheckable, check.OK}

// stricter names, one a line, where a finding asks more than it did, or no longer says what it said.
func stricter(was, is finding) (changes []string) {
	if was.kind != is.kind {
		changes = append(changes, fmt.Sprintf("kind %s -> %s", was.kind, is.kind))
	}
	if rank(is.verdict) < rank(was.verdict) {
		changes = append(changes, fmt.Sprintf("verdict %s -> %s", was.verdict, is.verdict))
	}
	before, now := was.states(), is.states()
	for _, name := range sorted(before) {
		if _, there := now[name]; !there && before[name] == check.OK {
			changes = append(changes, fmt.Sprintf("%s %s -> absent", name, before[name]))
		}
	}
	for _, name := range sorted(now) {
		old, there := before[name]
		switch {
		case !there && now[name] == check.Failed:
			changes = append(changes, fmt.Sprintf("%s absent -> %s", name, now[name]))
		case there && slices.Index(order, now[name]) < slices.Index(order, old):
			changes = append(changes, fmt.Sprintf("%s %s -> %s", name, old, now[name]))
		}
	}
	return changes
}

// TestStricter holds the comparison itself.
func TestStricter(t *testing.T) {
	t.Parallel()
	was := finding{"a", alone, verdict.License, "holds", []check.Step{{Name: "x", State: check.OK}, {Name: "y", State: check.NotCheckable}, {Name: "z", State: check.Failed}}}
	step := func(name string, state check.State) check.Step { return check.Step{Name: name, State: state} }
	for _, x := range []struct {
		is   finding
		want string
	}{
		{was, ""},
		{finding{"a", alone, verdict.License, "holds", []check.Step{step("x", check.OK), step("y", check.OK), step("z", check.NotCheckable)}}, ""},
		{finding{"a", alone, verdict.License, "holds", []check.Step{step("x", check.OK), step("new", check.OK), step("newer", check.NotCheckable)}}, ""},
		{finding{"a", alone, verdict.Body, "fails", was.steps}, "kind license -> body; verdict holds -> fails"},
		{finding{"a", alone, verdict.License, "holds", []check.Step{step("y", check.NotCheckable)}}, "x ok -> absent"},
		{finding{"a", alone, verdict.License, "holds", []check.Step{step("x", check.NotCheckable)}}, "x ok -> not-checkable"},
		{finding{"a", alone, verdict.License, "holds", []check.Step{step("x", check.OK), step("x", check.Failed)}}, "x ok -> failed"},
		{finding{"a", alone, verdict.License, "holds", []check.Step{step("x", check.OK), step("y", check.Failed), step("new", check.Failed)}}, "new absent -> failed; y not-checkable -> failed"},
	} {
		if got := strings.Join(stricter(was, x.is), "; "); got != x.want {
			t.Errorf("%q, want %q", got, x.want)
		}
	}
}

// readStricter reads the permitted changes. A line that begins with # gives the reason for those below it.
func readStricter(t *testing.T) map[string]bool {
	t.Helper()
	permitted, reason := map[string]bool{}, false
	for line := range strings.Lines(string(read(t, stricterFile))) {
		switch line = strings.TrimSpace(line); {
		case line == "":
			reason = false
		case strings.HasPrefix(line, "#"):
			reason = true
		case !reason:
			t.Errorf("%s gives no reason for %s", stricterFile, line)
		default:
			permitted[line] = true
		}
	}
	return permitted
}

// writeExpected writes the present results of verification. A line without indent begins an artefact: its name, how it was verified, its
// kind, the verdict. One line for each step follows, state before name.
func writeExpected(t *testing.T, v version) {
	t.Helper()
	var b bytes.Buffer
	for _, f := range v.verified(t) {
		fmt.Fprintf(&b, "%s %s %s %s\n", f.artefact, f.sitting, f.kind, f.verdict)
		for _, s := range f.steps {
			if len(strings.Fields(s.Name)) != 1 {
				t.Fatalf("a step's name with a space: %q", s.Name)
			}
			fmt.Fprintf(&b, "\t%s %s\n", s.State, s.Name)
		}
	}
	if err := os.WriteFile(v.path(expectedFile), b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// readExpected reads that, by artefact and how it was verified.
func readExpected(t *testing.T, v version) map[string]finding {
	t.Helper()
	all, name := map[string]finding{}, ""
	for line := range strings.Lines(string(read(t, v.path(expectedFile)))) {
		words := strings.Fields(line)
		switch {
		case strings.HasPrefix(line, "\t") && len(words) == 2 && name != "":
			f := all[name]
			f.steps = append(f.steps, check.Step{State: check.State(words[0]), Name: words[1]})
			all[name] = f
		case len(words) == 4 && rank(words[3]) >= 0:
			name = words[0] + " " + words[1]
			all[name] = finding{artefact: words[0], sitting: words[1], kind: verdict.Kind(words[2]), verdict: words[3]}
		default:
			t.Fatalf("%s: %q cannot be read", expectedFile, line)
		}
	}
	return all
}

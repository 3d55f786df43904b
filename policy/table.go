package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"oncegate/fault"
	"oncegate/strictyaml"
)

// A Table is a file of expected decisions that stands beside a policy, its name ending in TableSuffix.
type Table struct {
	Tests []Expectation `yaml:"tests"`
}

// An Expectation is one question and what must come of it. A list that is left out is not compared; an empty one must be
// empty.
type Expectation struct {
	Name        string    `yaml:"name"`        // what the row is about
	Question    Asked     `yaml:"question"`    //
	Allow       *bool     `yaml:"allow"`       // needed
	Fields      *[]string `yaml:"fields"`      // fields that may leave, in any order
	Rules       *[]string `yaml:"rules"`       // ids, in any order
	Reasons     *[]string `yaml:"reasons"`     // codes, each once, in any order
	Obligations *[]string `yaml:"obligations"` // in any order
	MaxAge      *string   `yaml:"max_age"`     // such as "36h", "7d" or "0s"
}

// Asked is a Question as people write it: ages such as "36h", moments as RFC 3339 or days.
type Asked struct {
	Operation   string   `yaml:"operation"`
	System      string   `yaml:"system"`
	Department  string   `yaml:"department"`
	LicenseType string   `yaml:"license_type"`
	Provider    string   `yaml:"provider"`
	Matter      string   `yaml:"matter"`
	Material    string   `yaml:"material"`
	Role        string   `yaml:"role"`
	Attestation string   `yaml:"attestation"`
	Basis       string   `yaml:"basis"`
	Consent     bool     `yaml:"consent"`
	Fields      []string `yaml:"fields"`
	Trust       []string `yaml:"trust"` // of a filed material: its trust level and all weaker ones
	Age         string   `yaml:"age"`
	Purpose     string   `yaml:"purpose"`
	Now         string   `yaml:"now"` // needed

	OperatorProof string   `yaml:"operator_proof"`
	OperatorRoles []string `yaml:"operator_roles"`
}

// Question reads what was written. It fails if the age or the time cannot be read.
func (a Asked) Question() (Question, error) {
	old, err := parseAge(a.Age)
	if err != nil {
		return Question{}, fmt.Errorf("age: %w", err)
	}
	now, err := parseDayOrTime(a.Now, false)
	if err != nil {
		return Question{}, fmt.Errorf("now: %w", err)
	}
	return Question{
		Operation: a.Operation, System: a.System, Department: a.Department, LicenseType: a.LicenseType, Provider: a.Provider, Trust: a.Trust,
		Matter: a.Matter, Material: a.Material, Role: a.Role, Attestation: a.Attestation, Basis: a.Basis, Consent: a.Consent,
		Fields: a.Fields, Age: old, Purpose: a.Purpose, Now: now.Truncate(time.Millisecond),
		OperatorProof: a.OperatorProof, OperatorRoles: a.OperatorRoles,
	}, nil
}

// A Result is how one row of a table came out.
type Result struct {
	Name     string
	Place    fault.Place
	Question Question //
	Got      Decision //
	Diff     []string // one line for each difference; empty: as expected
}

// OK says whether the decision was as expected.
func (r Result) OK() bool { return len(r.Diff) == 0 }

// RunTable asks a set every question of a table. Faults are what is wrong with the table itself; rows without faults
// still run.
func RunTable(set *Set, table File) ([]Result, fault.List) {
	var f fault.List
	root := strictyaml.Parse(table.Path, table.Data, ruleLimits, &f).Root()
	if root.IsNull() && len(f) == 0 {
		root.Fault("the table is empty")
	}
	var rows []placed[Expectation]
	for _, e := range root.Entries() {
		if e.Key != "tests" {
			e.Name.Fault("unknown key %q; a table has tests", fault.Clip(e.Key))
			continue
		}
		elements(e.Value, &rows)
	}
	names := make(map[string]bool, len(rows))
	var results []Result
	for i := range rows {
		if r, ok := rows[i].value.run(set, &rows[i], names, &f); ok {
			results = append(results, r)
		}
	}
	return results, f
}

// run checks one row and asks its question.
func (e *Expectation) run(set *Set, p *placed[Expectation], names map[string]bool, f *fault.List) (Result, bool) {
	r := Result{Name: e.Name, Place: p.at("", -1)}
	before := len(*f)
	if e.Name == "" || names[e.Name] {
		f.AddAt(p.at("name", -1), "every row needs a name of its own")
	}
	names[e.Name] = true
	if e.Allow == nil {
		f.AddAt(p.at("", -1), "allow must be given")
	}
	if e.Question.Now == "" {
		f.AddAt(p.at("question", -1), "the question's now must be given, so that the row means the same tomorrow")
	}
	var err error
	if r.Question, err = e.Question.Question(); err != nil {
		f.AddAt(p.at("question", -1), "%v", err)
	}
	if e.MaxAge != nil {
		if _, err := parseAge(*e.MaxAge); err != nil {
			f.AddAt(p.at("max_age", -1), "max_age: %v", err)
		}
	}
	if len(*f) > before {
		return Result{}, false
	}
	r.Got = set.Decide(r.Question)
	r.Diff = e.differences(r.Got)
	return r, true
}

// differences compares a decision with what was expected.
func (e *Expectation) differences(got Decision) (diff []string) {
	if got.Allow != *e.Allow {
		diff = append(diff, fmt.Sprintf("allow: got %v, want %v", got.Allow, *e.Allow))
	}
	codes := make([]string, len(got.Reasons))
	for i, r := range got.Reasons {
		codes[i] = r.Code
	}
	for _, l := range []struct {
		name string
		got  []string
		want *[]string
	}{{"fields", got.Fields, e.Fields}, {"rules", got.Rules, e.Rules}, {"reasons", codes, e.Reasons}, {"obligations", got.Obligations, e.Obligations}} {
		if l.want == nil {
			continue
		}
		have, want := unique(slices.Clone(l.got)), unique(slices.Clone(*l.want))
		if !slices.Equal(have, want) {
			diff = append(diff, fmt.Sprintf("%s: got [%s], want [%s]", l.name, strings.Join(have, " "), strings.Join(want, " ")))
		}
	}
	if e.MaxAge != nil {
		if want, _ := parseAge(*e.MaxAge); want != got.MaxAge { // run has read it
			diff = append(diff, fmt.Sprintf("max_age: got %v, want %v", got.MaxAge, want))
		}
	}
	return diff
}

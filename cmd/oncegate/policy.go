package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"oncegate/config"
	"oncegate/policy"
)

func newPolicy(t *terminal) *command {
	return t.group("policy", "Explain and test the policy.", newPolicyExplain(t), newPolicyTest(t), newPolicyGrants(t))
}

type policyExplain struct {
	Config      string
	Operation   string
	System      string
	LicenseType string
	Matter      string
	Material    string
	Role        string
	Attestation string
	Basis       string
	Consent     bool
	Fields      []string
	Trust       string
	Age         string
	Purpose     string
	Now         string
	Proof       string
	Roles       []string
}

func newPolicyExplain(t *terminal) *command {
	c := &policyExplain{Operation: "licenses.query", Role: "applicant", Attestation: "platform", Basis: "case", Purpose: "answer", Proof: policy.ProofAsserted}
	cmd := t.command("explain", "Say in sentences why a question is answered as it is.", c.run)
	cmd.config(&c.Config)
	cmd.text(&c.Operation, "operation", "NAME", "Operation that is asked for.")
	cmd.text(&c.System, "system", "ID", "The system that asks.")
	cmd.required("system")
	cmd.text(&c.LicenseType, "type", "ID", "License type, or type of filed materials, asked for.")
	cmd.text(&c.Trust, "trust", "LEVEL", "Trust level of the filed material; empty: the strongest.")
	cmd.text(&c.Matter, "matter", "CODE", "Matter (事项) the case is of.")
	cmd.text(&c.Material, "material", "ID", "Material (材料) asked for.")
	cmd.text(&c.Role, "role", "NAME", "Role of the holder in the case.")
	cmd.text(&c.Attestation, "attestation", "WORD", "How the case is attested: self, holder or platform.")
	cmd.text(&c.Basis, "basis", "WORD", "Legal basis: case, consent, or another that a grant names.")
	cmd.yes(&c.Consent, "consent", "The holder has consented.")
	cmd.texts(&c.Fields, "fields", "Fields asked for; none: whatever is granted.")
	cmd.text(&c.Age, "age", "TIME", "Age of the copy that would be released, such as 36h; empty: live.")
	cmd.text(&c.Purpose, "purpose", "WORD", "answer, or confirm a role inside.")
	cmd.text(&c.Proof, "operator-proof", "WORD", "How the acting person is known: none, asserted, session or call.")
	cmd.texts(&c.Roles, "operator-roles", "What the acting person may act as, as an identity service says.")
	cmd.text(&c.Now, "now", "TIME", "Moment or day of the question; empty: now.")
	cmd.examples("oncegate policy explain -c oncegate.yaml --system food-approval --type business-license --matter FOOD-01 --material business-license --fields name,address")
	return cmd
}

// run explains one decision; the exit code says whether it is yes.
func (c *policyExplain) run(_ context.Context, t *terminal) error {
	setup, err := policySetup(c.Config)
	if err != nil {
		return err
	}
	asked := policy.Asked{
		Operation: c.Operation, System: c.System, Department: setup.Callers[c.System].Department, LicenseType: c.LicenseType,
		Provider: provider(setup, c.LicenseType), Matter: c.Matter, Material: c.Material, Role: c.Role, Attestation: c.Attestation,
		Basis: c.Basis, Consent: c.Consent, Fields: c.Fields, Age: c.Age, Purpose: c.Purpose, Now: c.Now,
		OperatorProof: c.Proof, OperatorRoles: c.Roles,
	}
	if _, filed := setup.Book.FilingType(c.LicenseType); filed {
		asked.Trust = setup.Book.TrustLevels()
		if c.Trust != "" {
			asked.Trust = setup.Book.Reaches(c.Trust)
		}
	}
	if c.LicenseType == "" {
		asked.Role, asked.Attestation, asked.Purpose = "", "", ""
	}
	if c.Now == "" {
		asked.Now = time.Now().UTC().Format(time.RFC3339)
	}
	q, err := asked.Question()
	if err != nil {
		return misuse{err}
	}
	for _, sentence := range setup.Policy.Explain(q, string(t.Language)) {
		fmt.Fprintln(t.out, sentence)
	}
	if !setup.Policy.Decide(q).Allow {
		return errNo
	}
	return nil
}

// provider is the department whose source has a license type.
func provider(s *config.Setup, licenseType string) string {
	for _, source := range s.Sources {
		if source.ID == s.Serves[licenseType] {
			return source.Department
		}
	}
	return ""
}

// policySetup loads a configuration as far as its policy is sound.
func policySetup(file string) (*config.Setup, error) {
	setup, faults := config.Load(file, now())
	if setup.Policy == nil {
		return nil, faults
	}
	return setup, nil
}

type policyTest struct {
	Config string
	Tables []string
	JSON   bool
}

func newPolicyTest(t *terminal) *command {
	c := &policyTest{}
	cmd := t.command("test", "Run tables of expected decisions.", c.run,
		argument{name: "table", help: "Tables to run; none: those that the configuration names.", kind: "FILE", many: &c.Tables, optional: true})
	cmd.config(&c.Config)
	cmd.yes(&c.JSON, "json", "Print the results as JSON.")
	cmd.examples("oncegate policy test -c oncegate.yaml", "oncegate policy test -c oncegate.yaml policy/new_test.yaml")
	return cmd
}

// run runs the tables; the exit code says whether every decision was as expected.
func (c *policyTest) run(_ context.Context, t *terminal) error {
	setup, err := policySetup(c.Config)
	if err != nil {
		return err
	}
	tables := setup.Tables
	if len(c.Tables) > 0 {
		tables = nil
	}
	for _, name := range c.Tables {
		data, err := os.ReadFile(name)
		if err != nil {
			return misuse{err}
		}
		tables = append(tables, policy.File{Path: name, Data: data})
	}
	if len(tables) == 0 {
		return misuse{errors.New("the configuration names no tables under data.decisions")}
	}
	return c.tables(t, setup.Policy, tables)
}

func (c *policyTest) tables(t *terminal, set *policy.Set, tables []policy.File) error {
	type row struct {
		Name  string   `json:"name"`
		Place string   `json:"place"`
		OK    bool     `json:"ok"`
		Diff  []string `json:"diff,omitempty"`
	}
	var rows []row
	failed, faulty := 0, false
	for _, table := range tables {
		results, faults := policy.RunTable(set, table)
		for _, f := range faults {
			faulty = true
			f.Reason = t.Text(f.Reason)
			fmt.Fprintf(t.err, "%s %s\n", t.paint(red, t.say("error:")), f)
		}
		for _, r := range results {
			rows = append(rows, row{r.Name, r.Place.String(), r.OK(), r.Diff})
			if !r.OK() {
				failed++
			}
		}
	}
	if c.JSON {
		if err := t.json(map[string]any{"ok": failed == 0 && !faulty, "tests": rows}); err != nil {
			return err
		}
	} else {
		for _, r := range rows {
			mark := t.paint(green, "✓")
			if !r.OK {
				mark = t.paint(red, "✗")
			}
			fmt.Fprintf(t.out, "%s %s  %s\n", mark, r.Name, t.paint(faint, r.Place))
			for _, d := range r.Diff {
				fmt.Fprintf(t.out, "    %s\n", t.Text(d))
			}
		}
		t.println("%d decisions, %d not as expected", len(rows), failed)
	}
	switch {
	case faulty:
		return misuse{errNo}
	case failed > 0:
		return errNo
	}
	return nil
}

type policyGrants struct {
	Config string
	System string
}

func newPolicyGrants(t *terminal) *command {
	c := &policyGrants{}
	cmd := t.command("grants", "Read the sharing agreements aloud.", c.run)
	cmd.config(&c.Config)
	cmd.text(&c.System, "system", "ID", "Only those of this system.")
	cmd.examples("oncegate policy grants -c oncegate.yaml --system food-approval")
	return cmd
}

// run prints every agreement as a sentence.
func (c *policyGrants) run(_ context.Context, t *terminal) error {
	setup, err := policySetup(c.Config)
	if err != nil {
		return err
	}
	names := setup.Names(t.chinese())
	for _, g := range setup.Policy.Grants() {
		if c.System == "" || strings.Contains(","+strings.Join(g.Systems, ",")+",", ","+c.System+",") {
			fmt.Fprintf(t.out, "%s\n  %s\n", t.paint(bold, g.ID), g.Sentence(string(t.Language), names))
		}
	}
	return nil
}

package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"oncegate/node"
	"oncegate/policy"
)

type policyCommand struct {
	Explain policyExplain `cmd:"" help:"Say in sentences why a question is answered as it is."`
	Test    policyTest    `cmd:"" help:"Run tables of expected decisions."`
	Grants  policyGrants  `cmd:"" help:"Read the sharing agreements aloud."`
}

type policyExplain struct {
	Config      string   `short:"c" required:"" placeholder:"FILE" help:"The configuration."`
	Operation   string   `default:"licenses.query" help:"Operation that is asked for."`
	System      string   `required:"" help:"The system that asks."`
	LicenseType string   `name:"type" help:"License type asked for."`
	Matter      string   `help:"Matter (事项) the case is of."`
	Material    string   `help:"Material (材料) asked for."`
	Role        string   `default:"applicant" help:"Role of the holder in the case."`
	Attestation string   `default:"platform" help:"How the case is attested: self, holder or platform."`
	Basis       string   `default:"case" help:"Legal basis: case, consent, or another that a grant names."`
	Consent     bool     `help:"The holder has consented."`
	Fields      []string `help:"Fields asked for; none: whatever is granted."`
	Age         string   `help:"Age of the copy that would be released, such as 36h; empty: live."`
	Purpose     string   `default:"answer" help:"answer, or confirm a role inside."`
	Now         string   `help:"Moment or day of the question; empty: now."`
}

// Help gives examples.
func (policyExplain) Help() string {
	return examples("oncegate policy explain -c oncegate.yaml --system food-approval --type business-license --matter FOOD-01 --material business-license --fields name,address")
}

// Run explains one decision; the exit code says whether it is yes.
func (c *policyExplain) Run(t *terminal) error {
	setup, err := policySetup(c.Config)
	if err != nil {
		return err
	}
	asked := policy.Asked{
		Operation: c.Operation, System: c.System, Department: setup.Callers[c.System].Department, LicenseType: c.LicenseType,
		Provider: provider(setup, c.LicenseType), Matter: c.Matter, Material: c.Material, Role: c.Role, Attestation: c.Attestation,
		Basis: c.Basis, Consent: c.Consent, Fields: c.Fields, Age: c.Age, Purpose: c.Purpose, Now: c.Now,
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
	for _, sentence := range setup.Policy.Explain(q, t.lang()) {
		fmt.Fprintln(t.out, sentence)
	}
	if !setup.Policy.Decide(q).Allow {
		return errNo
	}
	return nil
}

// provider is the department whose source has a license type.
func provider(s *node.Setup, licenseType string) string {
	for _, source := range s.Sources {
		if source.ID == s.Serves[licenseType] {
			return source.Department
		}
	}
	return ""
}

// policySetup loads a configuration as far as its policy is sound.
func policySetup(config string) (*node.Setup, error) {
	setup, faults := node.Load(config, now())
	if setup.Policy == nil {
		return nil, faults
	}
	return setup, nil
}

type policyTest struct {
	Config string   `short:"c" required:"" placeholder:"FILE" help:"The configuration."`
	Tables []string `arg:"" optional:"" name:"table" help:"Tables to run; none: those that the configuration names."`
	JSON   bool     `help:"Print the results as JSON."`
}

// Help gives examples.
func (policyTest) Help() string {
	return examples("oncegate policy test -c oncegate.yaml", "oncegate policy test -c oncegate.yaml policy/new_test.yaml")
}

// Run runs the tables; the exit code says whether every decision was as expected.
func (c *policyTest) Run(t *terminal) error {
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
	return c.run(t, setup.Policy, tables)
}

func (c *policyTest) run(t *terminal, set *policy.Set, tables []policy.File) error {
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
			fmt.Fprintf(t.err, "%s %s: %s\n", t.paint(red, t.say("error:")), f.Path, f.Reason)
		}
		for _, r := range results {
			rows = append(rows, row{r.Name, r.Place, r.OK(), r.Diff})
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
				fmt.Fprintf(t.out, "    %s\n", d)
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
	Config string `short:"c" required:"" placeholder:"FILE" help:"The configuration."`
	System string `help:"Only those of this system."`
}

// Help gives examples.
func (policyGrants) Help() string {
	return examples("oncegate policy grants -c oncegate.yaml --system food-approval")
}

// Run prints every agreement as a sentence.
func (c *policyGrants) Run(t *terminal) error {
	setup, err := policySetup(c.Config)
	if err != nil {
		return err
	}
	for _, g := range setup.Policy.Grants() {
		if c.System == "" || strings.Contains(","+strings.Join(g.Systems, ",")+",", ","+c.System+",") {
			fmt.Fprintf(t.out, "%s\n  %s\n", t.paint(bold, g.ID), g.Sentence(t.lang()))
		}
	}
	return nil
}

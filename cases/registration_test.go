package cases_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"oncegate/cases"
	"oncegate/license"
)

func TestCheckCase(t *testing.T) {
	chain := func(parts ...string) func(*cases.Case) {
		return func(c *cases.Case) {
			c.Matter = "PROJECT"
			for _, p := range parts {
				c.Parts = append(c.Parts, cases.Part{Matter: p})
			}
		}
	}
	for _, c := range []struct {
		name  string
		spoil func(*cases.Case)
		want  cases.Flaws
	}{
		{"sound", func(*cases.Case) {}, nil},
		{"longest number", func(c *cases.Case) { c.No = strings.Repeat("9", 64) }, nil},
		{"skewed clock", func(c *cases.Case) { c.Accepted = now.Add(59 * time.Second) }, nil},
		{"chain", chain("FOOD", "FILING"), nil},
		{"chain as a whole", chain(), nil},
		{"no number", func(c *cases.Case) { c.No = "" }, cases.Flaws{{"no", cases.BadNumber}}},
		{"long number", func(c *cases.Case) { c.No = strings.Repeat("9", 65) }, cases.Flaws{{"no", cases.BadNumber}}},
		{"number with slash", func(c *cases.Case) { c.No = "a/b" }, cases.Flaws{{"no", cases.BadNumber}}},
		{"number in Chinese", func(c *cases.Case) { c.No = "办件1" }, cases.Flaws{{"no", cases.BadNumber}}},
		{"number with newline", func(c *cases.Case) { c.No = "1\n" }, cases.Flaws{{"no", cases.BadNumber}}},
		{"registrar", func(c *cases.Case) { c.Registrar = "" }, cases.Flaws{{"registrar", cases.BadRegistrar}}},
		{"attestation", func(c *cases.Case) { c.Attestation = "god" }, cases.Flaws{{"attestation", cases.BadAttestation}}},
		{"not accepted", func(c *cases.Case) { c.Accepted = time.Time{} }, cases.Flaws{{"accepted", cases.NoTime}}},
		{"accepted tomorrow", func(c *cases.Case) { c.Accepted = now.Add(61 * time.Second) }, cases.Flaws{{"accepted", cases.InFuture}}},
		{"accepted in 1899", func(c *cases.Case) { c.Accepted = time.Date(1899, 12, 31, 23, 59, 59, 0, time.UTC) }, cases.Flaws{{"accepted", cases.TooEarly}}},
		{"matter", func(c *cases.Case) { c.Matter = "NONE" }, cases.Flaws{{"matter", cases.MatterUnknown}}},
		{"parts of no chain", func(c *cases.Case) { c.Parts = []cases.Part{{Matter: "FOOD"}} }, cases.Flaws{{"parts", cases.BadParts}}},
		{"part twice", chain("FOOD", "FOOD"), cases.Flaws{{"parts[1]", cases.BadParts}}},
		{"part of another chain", chain("FLAT"), cases.Flaws{{"parts[0]", cases.BadParts}}},
		{"no applicant", func(c *cases.Case) { c.Parties = c.Parties[1:] }, cases.Flaws{{"parties", cases.ApplicantCount}}},
		{"two applicants", func(c *cases.Case) { c.Parties[1].Role = cases.Applicant }, cases.Flaws{{"parties", cases.ApplicantCount}}},
		{"role", func(c *cases.Case) { c.Parties[1].Role = "spouse" }, cases.Flaws{{"parties[1].role", cases.RoleUnknown}}},
		{"twice", func(c *cases.Case) { c.Parties = append(c.Parties, c.Parties[1]) }, cases.Flaws{{"parties[2]", cases.DuplicateParty}}},
		{"check character", func(c *cases.Case) { c.Parties[1].Holder.Code = "110105194912310021" }, cases.Flaws{{"parties[1].holder.code", "check-character"}}},
		{"code type", func(c *cases.Case) { c.Parties[1].Holder.Type = "10" }, cases.Flaws{{"parties[1].holder.type", "code-type"}}},
		{"crowd", func(c *cases.Case) { c.Parties = make([]cases.Party, 65) }, cases.Flaws{{"parties", cases.TooManyParties}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := shop()
			c.spoil(&k)
			err := cases.CheckCase(book(t), catalogue(t), k, now)
			var flaws cases.Flaws
			if errors.As(err, &flaws); (err == nil) != (c.want == nil) {
				t.Fatalf("error %v", err)
			}
			if diff := cmp.Diff(c.want, flaws); diff != "" {
				t.Errorf("flaws (-want +got):\n%s", diff)
			}
			if err != nil && (!errors.Is(err, c.want[0].Reason) || strings.Contains(err.Error(), "110105")) {
				t.Errorf("the error hides its reason or shows a value: %v", err)
			}
		})
	}
}

func TestSameStatement(t *testing.T) {
	first := couple()
	for _, c := range []struct {
		name   string
		change func(*cases.Case)
		same   bool
	}{
		{"again", func(*cases.Case) {}, true},
		{"order of parties", func(c *cases.Case) { c.Parties[1], c.Parties[2] = c.Parties[2], c.Parties[1] }, true},
		{"spelling", func(c *cases.Case) { c.Parties[0].Holder.Code = strings.ToLower(c.Parties[0].Holder.Code) }, true},
		{"time zone", func(c *cases.Case) { c.Accepted = c.Accepted.In(license.Shanghai()).Add(time.Microsecond) }, true},
		{"what the gateway adds", func(c *cases.Case) { c.Registered, c.Closed, c.Revision = now.Add(time.Hour), now, 7 }, true},
		{"number", func(c *cases.Case) { c.No = "2" }, false},
		{"registrar", func(c *cases.Case) { c.Registrar = "land" }, false},
		{"matter", func(c *cases.Case) { c.Matter = "FOOD" }, false},
		{"parts", func(c *cases.Case) { c.Parts = []cases.Part{{Matter: "FOOD"}} }, false},
		{"attestation", func(c *cases.Case) { c.Attestation = cases.Self }, false},
		{"acceptance", func(c *cases.Case) { c.Accepted = c.Accepted.Add(time.Second) }, false},
		{"party", func(c *cases.Case) { c.Parties[1].Holder = other }, false},
		{"role", func(c *cases.Case) { c.Parties[1].Role = "co_owner" }, false},
		{"not UTF-8", func(c *cases.Case) { c.Registrar = "\xff" }, false},
	} {
		second := couple()
		c.change(&second)
		if got := cases.SameStatement(first, second); got != c.same {
			t.Errorf("%s: same %v", c.name, got)
		}
	}
	bad := couple()
	bad.Registrar = "\xff"
	if cases.SameStatement(bad, bad) {
		t.Error("what cannot be written is the same as itself")
	}
}

func TestNormalLeavesTheCallersCase(t *testing.T) {
	k := shop()
	k.Parties[1].Holder.Code = strings.ToLower(anna.Code)
	if n := k.Normal(); n.Parties[1].Holder != anna || k.Parties[1].Holder == anna {
		t.Error("the normal form is not apart")
	}
}

// Store seals these as JSON; what is read back is what was written.
func TestSealableJSON(t *testing.T) {
	chain := shop().Normal()
	chain.Parts = []cases.Part{{Matter: "FOOD"}}
	for _, k := range []cases.Case{chain, couple().Normal(), {}} {
		bytes, err := json.Marshal(k)
		if err != nil {
			t.Fatal(err)
		}
		var back cases.Case
		if err := json.Unmarshal(bytes, &back); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(k, back); diff != "" {
			t.Errorf("case (-written +read):\n%s", diff)
		}
	}
	bytes, err := json.Marshal(consent())
	if err != nil {
		t.Fatal(err)
	}
	var back cases.Consent
	if err := json.Unmarshal(bytes, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(consent(), back); diff != "" {
		t.Errorf("consent (-written +read):\n%s", diff)
	}
}

// Whatever a caller registers is checked without a panic, and what passes makes a statement and a plan.
func FuzzCheckCase(f *testing.F) {
	for _, c := range []cases.Case{shop(), couple(), {}} {
		bytes, err := json.Marshal(c)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(bytes)
	}
	f.Add([]byte(`{"no":"1","matter":"PROJECT","parts":[{"matter":"FOOD"},{"matter":"FOOD"}],"parties":[{}]}`))
	b, cat := book(f), catalogue(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		var c cases.Case
		if json.Unmarshal(body, &c) != nil {
			return
		}
		c = c.Normal()
		if diff := cmp.Diff(c, c.Normal()); diff != "" {
			t.Fatalf("the normal form has another:\n%s", diff)
		}
		if err := cases.CheckCase(b, cat, c, now); err != nil {
			var flaws cases.Flaws
			if !errors.As(err, &flaws) || len(flaws) == 0 {
				t.Fatalf("refused without a reason: %v", err)
			}
			return
		}
		if !cases.SameStatement(c, c) {
			t.Fatal("a sound case has no statement")
		}
		for _, facts := range b.Plan(c, "asker") {
			if j := cases.Judge(cases.Evidence{Facts: facts, Allowed: true, Confirmed: true, Day: today}, nil); j.State == cases.Met {
				t.Fatal("met without a finding")
			}
		}
		for i, p := range c.Parties {
			if facts := b.Facts(c, cases.Asked{LicenseType: "resident-id", Holder: p.Holder}); facts.Usable() && facts.Party.Holder != p.Holder {
				t.Fatal(fmt.Sprint("party ", i, " becomes somebody else"))
			}
		}
	})
}

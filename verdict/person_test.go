package verdict

import (
	"strings"
	"testing"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/check"
	"oncegate/license"
)

// The record of a call is about the operator and the holder whom the call names, and about nobody else.
func TestRecordIsAboutThem(t *testing.T) {
	const operator, holder = "record-about-operator", "use[0]/record-about-holder"
	other := license.HolderID{Type: "111", Code: "379901198503123015"}
	forget := func(c *api.Commitments) { *c = api.Commitments{} }
	both := func(first, second string) map[string]string {
		return map[string]string{operator: first, holder: second}
	}
	const ok, failed, open = string(check.OK), string(check.Failed), string(check.NotCheckable)
	for name, tt := range map[string]struct {
		about func(*audit.Draft)
		opens func(*api.Commitments)
		with  func(r *run) []Artefact // beside the answer
		want  map[string]string
	}{
		"as it should be": {want: both(ok, ok)},
		"no call at hand": {with: func(*run) []Artefact { return nil }, want: both(open, open)},
		"no body at hand": {with: func(r *run) []Artefact { return []Artefact{{Data: []byte(r.request)}} }, want: both(ok, open)},
		"another call's body": {with: func(r *run) []Artefact {
			return []Artefact{{Data: []byte(r.request)}, {Data: []byte(strings.Replace(string(r.body), company, "91379901MA9920003P", 1))}}
		}, want: both(ok, open)},
		"another operator":      {about: func(d *audit.Draft) { d.Operator = "clerk-8" }, want: both(failed, ok)},
		"no operator":           {about: func(d *audit.Draft) { d.Operator = "" }, want: both(failed, ok)},
		"another holder":        {about: func(d *audit.Draft) { d.Uses[0].Person = other }, want: both(ok, failed)},
		"another type of code":  {about: func(d *audit.Draft) { d.Uses[0].Person.Type = "099" }, want: both(ok, failed)},
		"before answers opened": {opens: forget, want: both(open, open)},
		"a holder not named":    {opens: func(c *api.Commitments) { c.Holders = nil }, want: both(ok, open)},
		"randomness of another": {opens: func(c *api.Commitments) { c.Holders[0].R = c.Operator }, want: both(ok, failed)},
		"too little randomness": {opens: func(c *api.Commitments) { c.Operator, c.Holders[0].R = "AAAA", "AAAA" }, want: both(failed, failed)},
		"a role confirmed besides": {about: func(d *audit.Draft) { d.Uses = append(d.Uses, d.Uses[0]); d.Uses[1].Person = other }, opens: func(c *api.Commitments) {
			c.Holders = c.Holders[:1]
		}, want: map[string]string{operator: ok, holder: ok, "use[1]/record-about-holder": open}},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCity(t)
			c.about, c.opens = tt.about, tt.opens
			r := (&run{city: c, trust: c.newTrust()}).again()
			beside := []Artefact{{Data: []byte(r.request)}, {Data: r.body}}
			if tt.with != nil {
				beside = tt.with(r)
			}
			v := r.trust.Verify(append([]Artefact{{Data: r.answer}}, beside...)...)[0]
			got := make(map[string]string)
			for _, s := range v.Steps {
				if strings.Contains(s.Name, "record-about-") {
					got[s.Name] = string(s.State)
					if s.State != check.OK && s.Reason == "" {
						t.Errorf("%s gives no reason", s.Name)
					}
				}
			}
			for step, state := range tt.want {
				if got[step] != state {
					t.Errorf("%s is %q, want %s", step, got[step], state)
				}
			}
			if len(got) != len(tt.want) {
				t.Errorf("steps: %v", got)
			}
		})
	}
}

// A person whom the call names and the record leaves out is missed, in an answer; a license that discloses its holder's code stands in
// for a body that is not at hand.
func TestRecordIsAboutAll(t *testing.T) {
	mine := license.HolderID{Type: "001", Code: company}
	other := license.HolderID{Type: "111", Code: "379901198503123015"}
	r := "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	committed, err := commitment(r, mine)
	if err != nil {
		t.Fatal(err)
	}
	record := audit.Record{Uses: []audit.Use{{Holder: committed, Decision: "release", LicenseType: "t"}, {Holder: committed, Decision: "release", LicenseType: "t"}}}
	a := opened{Commitments: api.Commitments{Holders: []api.OpenedHolder{{R: r, Uses: []int{0, 1}}}}}
	failures := func(a opened, named ...license.HolderID) (n int) {
		var done check.Steps
		a.holders(&done, record, named)
		for _, s := range done {
			if s.State == check.Failed {
				n++
			}
		}
		return n
	}
	if n := failures(a, mine); n != 0 {
		t.Errorf("%d failed", n)
	}
	if n := failures(a, mine, other); n != 1 {
		t.Errorf("one person is left out: %d failed", n)
	}
	a.Code = "source-unavailable"
	if n := failures(a, mine, other); n != 0 {
		t.Errorf("a refusal need not be about all: %d failed", n)
	}
	a.Code = ""
	for code, want := range map[string]int{company: 0, "91379901MA9920003P": 2} {
		a.Licenses = []api.License{{LicenseType: "t", Fields: api.Fields{"holder_code.0": code}}}
		if n := failures(a); n != want {
			t.Errorf("by the license's code: %d failed, want %d", n, want)
		}
		a.Licenses[0].Fields["holder_code_type.0"] = "001"
		if n := failures(a); n != want {
			t.Errorf("by the license's code and its type: %d failed, want %d", n, want)
		}
	}
	a.Licenses[0].Fields = api.Fields{"holder_code.0": company, "holder_code_type.0": "111"}
	if n := failures(a); n != 2 {
		t.Errorf("a code of another type: %d failed", n)
	}
}

package cases

import (
	"fmt"
	"slices"

	"oncegate/fault"
	"oncegate/license"
)

// HolderRules say what a holder is told of who used their licenses, and who may ask for another holder (代查). They are data: what the law
// lets be told (个人信息保护法 art. 18, 35) differs between bodies and changes.
type HolderRules struct {
	List         string        `yaml:"list"`         // list id with version
	Months       int           `yaml:"months"`       // how far back holders may look, 1 to 60; 0: 12
	Basis        string        `yaml:"basis"`        // legal basis that the grants name by which StandFor is confirmed; required with stand_for
	StandFor     []StandFor    `yaml:"stand_for"`    // who may ask for another holder; none: holders ask for themselves only
	Restrictions []Restriction `yaml:"restrictions"` // what is not told
}

// A StandFor lets a person ask for another holder where that holder's own license, found at its source in the call, names the person.
type StandFor struct {
	As          string `yaml:"as"`           // such as "legal_representative" (法定代表人) or "guardian" (监护人); unique
	LicenseType string `yaml:"license_type"` // whose holder is asked about: catalogue id
	Field       string `yaml:"field"`        // must hold the person's code
}

// A Restriction keeps uses from their holders, because a law says so, until a day. Every condition that it states must hold of the use.
type Restriction struct {
	ID       string       `yaml:"id"`
	Law      string       `yaml:"law"`      // the clause that allows it
	Approver string       `yaml:"approver"` // body that decided it
	Until    license.Date `yaml:"until"`    // last day; from the next on the uses are told
	Bases    []string     `yaml:"bases"`    // of these legal bases
	Systems  []string     `yaml:"systems"`  // by these systems
	Matters  []string     `yaml:"matters"`  // for these matters
	Cases    []string     `yaml:"cases"`    // in these cases
}

// DefaultMonths is how far back holders may look where the rules do not say.
const DefaultMonths = 12

// maxMonths bounds what one page may have to be found in.
const maxMonths = 60

// Back is how many months back holders may look. A nil *HolderRules has the defaults.
func (r *HolderRules) Back() int {
	if r == nil || r.Months == 0 {
		return DefaultMonths
	}
	return r.Months
}

// Name is the list id with its version; empty for nil.
func (r *HolderRules) Name() string {
	if r == nil {
		return ""
	}
	return r.List
}

// Standing returns the rule by which a person asks for another holder.
func (r *HolderRules) Standing(as string) (StandFor, bool) {
	if r == nil {
		return StandFor{}, false
	}
	i := slices.IndexFunc(r.StandFor, func(s StandFor) bool { return s.As == as })
	if i < 0 {
		return StandFor{}, false
	}
	return r.StandFor[i], true
}

// A UseOf is what restrictions look at.
type UseOf struct {
	System, Basis, Matter, Case string
}

// Tells reports whether the holder is told of a use on a day: no restriction that is in force holds of it.
func (r *HolderRules) Tells(u UseOf, day license.Date) bool {
	return r == nil || !slices.ContainsFunc(r.Restrictions, func(x Restriction) bool { return !x.Until.Before(day) && x.covers(u) })
}

func (x Restriction) covers(u UseOf) bool {
	for _, condition := range []struct {
		of []string
		is string
	}{{x.Bases, u.Basis}, {x.Systems, u.System}, {x.Matters, u.Matter}, {x.Cases, u.Case}} {
		if len(condition.of) > 0 && !slices.Contains(condition.of, condition.is) {
			return false
		}
	}
	return true
}

// Known are the ids that HolderRules may name.
type Known struct {
	Basis, System, Matter func(id string) bool
}

// Check returns every fault of the rules at once, with YAML paths from their root; nil if they are sound.
func (r *HolderRules) Check(cat *license.Catalogue, known Known) fault.List {
	var f fault.List
	f.Unless(r.List != "", "$.list", "the list id with its version is missing")
	f.Unless(r.Months >= 0 && r.Months <= maxMonths, "$.months", "months must be within 1–%d", maxMonths)
	if len(r.StandFor) > 0 {
		f.Unless(r.Basis != "" && known.Basis(r.Basis), "$.basis", "no policy names this legal basis; the grants that confirm who asks for another cite it")
	}
	unique := f.Unique()
	for i, s := range r.StandFor {
		at := fmt.Sprintf("$.stand_for[%d]", i)
		f.Unless(s.As != "", at+".as", "it must say as what the person asks")
		unique(at+".as", s.As)
		t, ok := cat.Type(s.LicenseType)
		f.Unless(ok, at+".license_type", "the catalogue has no license type %q", s.LicenseType)
		_, field := t.Field(s.Field)
		f.Unless(!ok || field, at+".field", "the license type has no field %q", s.Field)
	}
	ids := f.Unique()
	for i, x := range r.Restrictions {
		at := fmt.Sprintf("$.restrictions[%d]", i)
		f.Unless(x.ID != "", at+".id", "it must have an id")
		ids(at+".id", x.ID)
		f.Unless(x.Law != "", at+".law", "a restriction must name the law that allows it")
		f.Unless(x.Approver != "", at+".approver", "a restriction must name the body that decided it")
		f.Unless(x.Until.Check() == nil, at+".until", "a restriction must end: the last day, written yyyy-mm-dd")
		f.Unless(len(x.Bases)+len(x.Systems)+len(x.Matters)+len(x.Cases) > 0, at, "it restricts everything: name bases, systems, matters or cases")
		for _, list := range []struct {
			name string
			ids  []string
			has  func(string) bool
			what string
		}{
			{"bases", x.Bases, func(id string) bool { return id == "case" || id == "consent" || known.Basis(id) }, "no policy names the legal basis %q"},
			{"systems", x.Systems, known.System, "no system %q is configured"},
			{"matters", x.Matters, known.Matter, "there is no matter %q"},
		} {
			for j, id := range list.ids {
				f.Unless(list.has(id), fmt.Sprintf("%s.%s[%d]", at, list.name, j), list.what, id)
			}
		}
	}
	return f
}

package cases

import (
	"fmt"
	"slices"
	"time"

	"oncegate/canonical"
	"oncegate/license"
)

// A Representative is who comes for the parties of a case (来办的人). A representative is no party: nothing may be asked about them on the
// ground of the case, but whether a license names them as guardian.
type Representative struct {
	Case    string
	Kind    string           // Handler, Agent or Guardian
	Person  license.HolderID // by whose document they were recognised
	Mandate string           // base64url SM3 of the power of attorney (委托书); empty for a guardian
	Until   license.Date     // last day of the mandate; empty: until it is withdrawn, or a guardian's
	By      string           // id of the system that recorded it
	At      time.Time
}

// Kinds of representatives.
const (
	Handler  = "handler"  // 经办人: of an organisation
	Agent    = "agent"    // 代理人
	Guardian = "guardian" // 监护人: no mandate; a source confirms it. Also the role in which a grant opens a guardian's own license.
)

// IsRepresentative reports whether a word is one of the kinds.
func IsRepresentative(kind string) bool { return kind == Handler || kind == Agent || kind == Guardian }

// A Guardianship says which license proves that somebody is the guardian (监护人) of a party. One of a matter's is enough.
type Guardianship struct {
	Material string `yaml:"material"` // code of a material of the matter whose source can be asked
	Of       string `yaml:"of"`       // whose license it is: a role of the matter (empty: applicant), who is the ward; or "guardian": then the ward is the applicant
	Field    string `yaml:"field"`    // what must hold the guardian's code; with of: guardian, the ward's
}

// Whose returns whose license it is: a role, or Guardian.
func (g Guardianship) Whose() string {
	if g.Of == "" {
		return Applicant
	}
	return g.Of
}

// Why a representative is refused.
const (
	BadKind           Reason = "representative-kind"     // not in the list, or not one that the matter has
	IsParty           Reason = "representative-is-party" // who is a party comes in their own name
	BadMandate        Reason = "mandate"                 // missing, or where there must be none
	MandateExpired    Reason = "mandate-expired"         // the last day has passed
	NotRepresentative Reason = "not-the-representative"  // who comes is neither a party nor recorded
	GuardianNotNamed  Reason = "guardian-not-named"      // no license that was found names them
)

// Check checks a representative of a case on a day: a kind that one of its matters has, a code with right check characters that is no
// party's, and a mandate that stands, but for a guardian. The error is Flaws.
func (r Representative) Check(book *Book, cat *license.Catalogue, c Case, day license.Date) error {
	var f Flaws
	confirmable := slices.ContainsFunc(book.MattersOf(c), func(m Matter) bool { return len(m.Guardians) > 0 })
	f.unless(IsRepresentative(r.Kind) && (r.Kind != Guardian || confirmable), "kind", BadKind)
	f.holder("person", cat, r.Person)
	f.unless(len(c.RolesOf(r.Person)) == 0, "person", IsParty)
	if r.Kind == Guardian {
		f.unless(r.Mandate == "" && r.Until == "", "mandate", BadMandate)
		return f.err()
	}
	f.unless(canonical.IsDigest(r.Mandate), "mandate.digest", BadMandate)
	f.unless(r.Until == "" || r.Until.Check() == nil, "mandate.until", BadMandate)
	f.unless(r.stands(day), "mandate.until", MandateExpired)
	return f.err()
}

// stands reports whether the mandate stands on a day: its last day counts.
func (r Representative) stands(day license.Date) bool { return r.Until == "" || !r.Until.Before(day) }

// Comes returns nil if somebody may act in a case on a day: a party, or the representative who was recorded last for them and whose mandate
// stands. Else it is NotRepresentative or MandateExpired. all are those of the case, oldest first.
func Comes(c Case, all []Representative, who license.HolderID, day license.Date) error {
	if len(c.RolesOf(who)) > 0 {
		return nil
	}
	for _, r := range slices.Backward(all) {
		if r.Person.Normal() != who.Normal() {
			continue
		}
		if !r.stands(day) {
			return MandateExpired
		}
		return nil
	}
	return NotRepresentative
}

// A GuardianCheck says how a source is asked whether somebody is a guardian: Check.Material's license of Check.Holder must say Check.Party's code.
type GuardianCheck struct {
	Facts Facts     // of the material, of whoever's license it is
	Check RoleCheck // what must stand there
}

// GuardianChecks returns what may confirm that somebody is the guardian of a party of a case, in the order of the matters: empty where
// nothing can. Every license that is asked for is one of a party, or the guardian's own.
func (b *Book) GuardianChecks(c Case, asker string, guardian license.HolderID) (all []GuardianCheck) {
	person := Party{Role: Guardian, Holder: guardian.Normal()}
	for _, m := range b.MattersOf(c) {
		for _, g := range m.Guardians {
			material, ok := m.Material(g.Material)
			if !ok {
				continue
			}
			f := c.facts(asker)
			f.Matter, f.Material = m, material
			if g.Whose() == Guardian {
				f.Party = person
				for _, ward := range c.InRole(Applicant) {
					all = append(all, GuardianCheck{f, RoleCheck{Matter: m.Code, Party: ward, Material: material, Field: g.Field, Holder: person.Holder}})
				}
				continue
			}
			for _, ward := range c.InRole(g.Whose()) {
				of := f
				of.about(c, ward)
				all = append(all, GuardianCheck{of, RoleCheck{Matter: m.Code, Party: person, Material: material, Field: g.Field, Holder: ward.Holder}})
			}
		}
	}
	return all
}

// guardian checks what proves a guardian: a source can be asked, and the license can say the field. A ward in a role other than applicant
// is confirmed as such first, by what confirms the role.
func (f *faults) guardian(at string, m Matter, g Guardianship) {
	material, ok := m.Material(g.Material)
	if !ok {
		f.Unless(false, at+".material", "the matter has no material %q", g.Material)
		return
	}
	f.Unless(material.FromSource(), at+".material", "a guardian is confirmed by a source: the material's route must be license or data")
	if g.Whose() != Guardian {
		f.knownRole(at+".of", m, g.Whose())
		f.Unless(material.HolderRole() == g.Whose(), at+".of", "the material is of role %q", material.HolderRole())
	}
	f.field(at+".field", material, g.Field)
}

func (f *faults) guardians(at string, m Matter) {
	for i, g := range m.Guardians {
		f.guardian(fmt.Sprintf("%s.guardians[%d]", at, i), m, g)
	}
}

// RepresentativeCommitted is the value whose JCS form a record commits to: [type, code, until].
func RepresentativeCommitted(r Representative) any {
	return [3]string{r.Person.Type, r.Person.Code, string(r.Until)}
}

package cases

import (
	"fmt"
	"regexp"
	"slices"

	"oncegate/fault"
	"oncegate/license"
)

var (
	opaque   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	roleName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)
)

const longestFallback = 250 // working days: a year

// Check returns every fault of the book at once, with YAML paths from the book's root; nil if it is sound.
func (b *Book) Check(cat *license.Catalogue) fault.List {
	f := faults{book: b, cat: cat}
	f.Unless(b.List != "", "$.list", "the list id with its version is missing")
	f.Unless(len(b.Matters) > 0, "$.matters", "there is no matter")
	codes := f.Unique()
	for i, m := range b.Matters {
		at := fmt.Sprintf("$.matters[%d]", i)
		codes(at+".code", m.Code)
		f.Unless(opaque.MatchString(m.Code), at+".code", "the code must be 1 to 64 letters, digits, dots, underscores and hyphens")
		f.Unless(m.Name != "", at+".name", "the name is missing")
		if m.IsChain() {
			f.chain(at, m)
		} else {
			f.matter(at, m)
		}
	}
	return f.List
}

// faults collects what is wrong with a book.
type faults struct {
	book *Book
	cat  *license.Catalogue
	fault.List
}

// chain checks a chain: parts that exist, are no chains themselves and stand once; nothing of its own.
func (f *faults) chain(at string, m Matter) {
	f.Unless(len(m.Materials) == 0, at+".materials", "a chain has no materials of its own: its matters have")
	f.Unless(len(m.Roles) == 0, at+".roles", "a chain has no roles of its own: its matters have")
	parts := f.Unique()
	for i, code := range m.Chain {
		path := fmt.Sprintf("%s.chain[%d]", at, i)
		parts(path, code)
		part, ok := f.book.Matter(code)
		f.Unless(ok, path, "there is no matter %q", code)
		f.Unless(!part.IsChain(), path, "a chain cannot be part of a chain")
	}
}

func (f *faults) matter(at string, m Matter) {
	f.Unless(len(m.Materials) > 0, at+".materials", "a matter needs at least one material, or a chain")
	names := f.Unique()
	for i, role := range m.Roles {
		path := fmt.Sprintf("%s.roles[%d]", at, i)
		names(path+".name", role.Name)
		f.role(path, m, role)
	}
	codes := f.Unique()
	for i, material := range m.Materials {
		path := fmt.Sprintf("%s.materials[%d]", at, i)
		codes(path+".code", material.Code)
		f.material(path, m, material)
	}
}

// role checks a role and what confirms it. The confirming license is the applicant's, so that a check needs two waves of
// questions and never three.
func (f *faults) role(at string, m Matter, role Role) {
	f.Unless(roleName.MatchString(role.Name), at+".name", "the name must be lower-case letters, digits and underscores, starting with a letter, at most 64")
	f.Unless(role.Name != Applicant, at+".name", "the applicant is a role of every matter and needs no confirmation")
	f.Unless(role.Title != "", at+".title", "the title is missing")
	path := at + ".confirmed_by.material"
	material, ok := m.Material(role.ConfirmedBy.Material)
	if !ok {
		f.Unless(false, path, "the matter has no material %q", role.ConfirmedBy.Material)
		return
	}
	f.Unless(material.FromSource(), path, "a role is confirmed by a source: the material's route must be license or data")
	f.Unless(material.HolderRole() == Applicant, path, "the confirming license must be the applicant's")
	f.field(at+".confirmed_by.field", material, role.ConfirmedBy.Field)
}

func (f *faults) material(at string, m Matter, material Material) {
	f.Unless(opaque.MatchString(material.Code), at+".code", "the code must be 1 to 64 letters, digits, dots, underscores and hyphens")
	f.Unless(material.Name != "", at+".name", "the name is missing")
	f.Unless(material.Need >= Required && material.Need <= Tolerable, at+".is_need", "is_need must be 1 (必要), 2 (非必要) or 3 (容缺后补)")
	f.Unless(slices.Contains([]string{RouteLicense, RouteData, RoutePromise, RouteUpload}, material.Route), at+".route", "the route must be license, data, promise or upload")
	if material.FromSource() {
		_, ok := f.cat.Type(material.LicenseType)
		f.Unless(ok, at+".license_type", "the catalogue has no license type %q", material.LicenseType)
	} else {
		f.Unless(material.LicenseType == "", at+".license_type", "only the routes license and data have a license type")
		f.Unless(len(material.Expect) == 0, at+".expect", "only the routes license and data can expect something")
	}
	f.knownRole(at+".role", m, material.Role)
	for i, expected := range material.Expect {
		f.expectation(fmt.Sprintf("%s.expect[%d]", at, i), m, material, expected)
	}
	f.fallback(at+".fallback", material)
}

func (f *faults) knownRole(at string, m Matter, role string) {
	_, ok := m.Role(role)
	f.Unless(ok || role == "" || role == Applicant, at, "the matter has no role %q", role)
}

func (f *faults) expectation(at string, m Matter, material Material, e Expectation) {
	f.Unless((e.Equals == "") != (e.Role == ""), at, "an expectation names either a value (equals) or a role")
	f.knownRole(at+".role", m, e.Role)
	if material.FromSource() {
		f.field(at+".field", material, e.Field)
	}
}

// field checks that a license of the material's type can say the field. The status is judged already.
func (f *faults) field(at string, material Material, name string) {
	t, ok := f.cat.Type(material.LicenseType)
	if !ok {
		return // reported at the material
	}
	sayable := name != license.FieldStatus && slices.Contains(t.Grantable(), name)
	f.Unless(sayable, at, "a license of type %q does not say %q", t.ID, name)
}

// fallback checks that a material which is not met leaves a way on that fits how much it is needed.
func (f *faults) fallback(at string, material Material) {
	kind, days := material.Fallback.Kind, material.Fallback.Days
	switch kind {
	case FallUpload:
		f.Unless(days == 0, at+".days", "an upload has no days")
		f.Unless(material.Need != Tolerable, at+".kind", "with is_need 3 the fallback is tolerate or promise")
	case FallTolerate, FallPromise:
		f.Unless(days >= 1 && days <= longestFallback, at+".days", "the days must be 1 to %d working days", longestFallback)
		f.Unless(kind != FallTolerate || material.Need != Required, at+".kind", "a necessary material cannot be tolerated: that is is_need 3")
	default:
		f.Unless(false, at+".kind", "the fallback must be tolerate, promise or upload")
	}
}

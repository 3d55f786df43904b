package cases

import (
	"fmt"
	"regexp"
	"slices"
	"sync/atomic"

	"oncegate/fault"
	"oncegate/license"
)

// A Matter is one thing a department does for people (事项), with the materials it needs. Matters are data.
type Matter struct {
	Code       string         `yaml:"code"`       // 事项编码: opaque, unique in the configuration
	Name       string         `yaml:"name"`       // 食品经营许可
	NameEN     string         `yaml:"name_en"`    //
	Department string         `yaml:"department"` // id of the department that decides it
	Roles      []Role         `yaml:"roles"`      // roles other than applicant, and what confirms them
	Materials  []Material     `yaml:"materials"`  //
	Guardians  []Guardianship `yaml:"guardians"`  // what proves who the guardian (监护人) of a party is; empty: no guardian may come
	Results    []string       `yaml:"results"`    // license types with which a case ends (结果证照), catalogue ids; a source of kind results has them
	Chain      []string       `yaml:"chain"`      // for a chain (一件事): the matters' codes; then Materials is empty
}

// A Role is a role other than applicant, confirmed by a field of a license, never by the caller.
type Role struct {
	Name        string       `yaml:"name"` // "legal_representative"
	Title       string       `yaml:"title"`
	ConfirmedBy Confirmation `yaml:"confirmed_by"`
}

// A Confirmation names the material whose license proves a role: the party's code must equal one of the values of Field.
type Confirmation struct {
	Material string `yaml:"material"` // code of a material of the same matter
	Field    string `yaml:"field"`    // "legal_representative_code", or "holder_code" for any of the license's holders
}

// Need is the national code is_need.
type Need int

// The list is_need.
const (
	Required  Need = 1 // 必要
	Optional  Need = 2 // 非必要
	Tolerable Need = 3 // 容缺后补
)

// A Material is one material of a matter.
type Material struct {
	Code        string        `yaml:"code"` // unique in the matter
	Name        string        `yaml:"name"`
	NameEN      string        `yaml:"name_en"`
	Need        Need          `yaml:"is_need"`
	Route       string        `yaml:"route"`        // 免提交 route: "license" 电子证照, "data" 数据共享, "promise" 告知承诺, "upload" 申请人提交
	LicenseType string        `yaml:"license_type"` // catalogue id; with routes "license" and "data"
	Role        string        `yaml:"role"`         // whose license: a role of the matter; empty: applicant
	Filing      string        `yaml:"filing"`       // type of filed materials (存档材料) of which one will do where no source answers; empty: none
	Expect      []Expectation `yaml:"expect"`       // what the license must say, beyond being valid
	Fallback    Fallback      `yaml:"fallback"`     //
}

// An Expectation compares a field of the license; if it does not hold the material is mismatched.
type Expectation struct {
	Field  string `yaml:"field"`
	Equals string `yaml:"equals"` // a literal value; or
	Role   string `yaml:"role"`   // the code of the party in this role
}

// A Fallback is what happens when a material is not met: never a dead end for the applicant.
type Fallback struct {
	Kind string `yaml:"kind"` // "tolerate" 容缺, "promise" 告知承诺, "upload" 申请人提交
	Days int    `yaml:"days"` // working days (工作日) until it must be made good; 0 with "upload"
}

// A Book is the list of matters a city knows: data with a list id and version, never code. Codes must not change after the first
// look-up; a matter may be appended. A Book must not be copied.
type Book struct {
	List    string   `yaml:"list"`    // list id with version, such as "example-city-matters/2026-11"
	Matters []Matter `yaml:"matters"` //

	Trust         []TrustLevel   `yaml:"trust"`         // trust levels (可信等级) of filed materials, strongest first
	Verifications []Verification `yaml:"verifications"` // ways in which windows verify what they file (核验方式)
	Filings       []FilingType   `yaml:"filings"`       // types of materials that windows file (存档材料); empty: none is filed

	index atomic.Pointer[matterIndex]
}

// A matterIndex finds a matter by its code.
type matterIndex struct {
	at   map[string]int // the first of a code
	size int            // how many matters there were
}

// Routes (免提交) of a material.
const (
	RouteLicense = "license" // 电子证照
	RouteData    = "data"    // 数据共享
	RoutePromise = "promise" // 告知承诺
	RouteUpload  = "upload"  // 申请人提交
)

// Kinds of fallback.
const (
	FallTolerate = "tolerate" // 容缺: the case goes on, the material follows
	FallPromise  = "promise"  // 告知承诺: the applicant promises in writing
	FallUpload   = "upload"   // 申请人提交
)

// Matter returns the matter with a code.
func (b *Book) Matter(code string) (Matter, bool) {
	index := b.index.Load()
	if index == nil || index.size != len(b.Matters) {
		index = &matterIndex{at: make(map[string]int, len(b.Matters)), size: len(b.Matters)}
		for i := range b.Matters {
			if _, twice := index.at[b.Matters[i].Code]; !twice {
				index.at[b.Matters[i].Code] = i
			}
		}
		b.index.Store(index)
	}
	at, ok := index.at[code]
	if !ok {
		return Matter{}, false
	}
	return b.Matters[at], true
}

// MattersOf returns the matters a case is about: its own, or for a chain those of its parts in the chain's order. A chain
// case that names no parts is about all of them. Codes the book does not know are left out.
func (b *Book) MattersOf(c Case) []Matter {
	m, ok := b.Matter(c.Matter)
	if !ok {
		return nil
	}
	if !m.IsChain() {
		return []Matter{m}
	}
	var matters []Matter
	for _, code := range m.Chain {
		named := len(c.Parts) == 0 || slices.Contains(c.Parts, Part{code})
		if part, ok := b.Matter(code); ok && named {
			matters = append(matters, part)
		}
	}
	return matters
}

// IsChain reports whether the matter is a chain of others (一件事).
func (m Matter) IsChain() bool { return len(m.Chain) > 0 }

// Material returns the material with a code.
func (m Matter) Material(code string) (Material, bool) {
	for _, material := range m.Materials {
		if material.Code == code {
			return material, true
		}
	}
	return Material{}, false
}

// Role returns the role with a name; the applicant is none.
func (m Matter) Role(name string) (Role, bool) {
	for _, role := range m.Roles {
		if role.Name == name {
			return role, true
		}
	}
	return Role{}, false
}

// HolderRole returns the role whose license the material is; a material that names none is the applicant's.
func (m Material) HolderRole() string {
	if m.Role == "" {
		return Applicant
	}
	return m.Role
}

// FromSource reports whether a source can be asked for the material at all.
func (m Material) FromSource() bool { return m.Route == RouteLicense || m.Route == RouteData }

// Counts reports whether the material counts as required in the reuse rate.
func (n Need) Counts() bool { return n == Required || n == Tolerable }

// InRole returns the case's parties in a role, in their order.
func (c Case) InRole(role string) []Party {
	var parties []Party
	for _, p := range c.Parties {
		if p.Role == role {
			parties = append(parties, p)
		}
	}
	return parties
}

// IsOpen reports whether the case is open.
func (c Case) IsOpen() bool { return c.Closed.IsZero() }

// RolesOf returns the roles that a holder has in the case, in the parties' order.
func (c Case) RolesOf(holder license.HolderID) []string {
	var roles []string
	for _, p := range c.Parties {
		if p.Holder.Normal() == holder.Normal() {
			roles = append(roles, p.Role)
		}
	}
	return roles
}

// How the window received a material instead of a reused license.
const (
	HowUploaded = "uploaded"
	HowPromised = "promised"
	HowWaived   = "waived"
)

// received returns what was handed in last for the judged material. A promise that came after an upload does not undo
// it, and one that the matter does not know counts for nothing.
func (e Evidence) received() (Received, bool) {
	var last Received
	found := false
	for _, r := range e.Received {
		ours := r.Matter == e.Facts.Matter.Code && r.Material == e.Facts.Material.Code
		ours = ours && (r.How != HowPromised || e.Facts.Material.Fallback.follows())
		if ours && (!found || r.How != HowPromised || last.How == HowPromised) {
			last, found = r, true
		}
	}
	return last, found
}

// fallback says what the applicant can do, counted from a day.
func (e Evidence) fallback(from license.Date, calendar *Calendar) Fallen {
	rule := e.Facts.Material.Fallback
	if !rule.follows() {
		return Fallen{Kind: FallUpload}
	}
	deadline, err := calendar.Add(from, rule.Days)
	if err != nil {
		return Fallen{Kind: rule.Kind, Reason: CalendarEnds}
	}
	return Fallen{Kind: rule.Kind, Deadline: deadline, Overdue: deadline.Before(e.Day)}
}

// follows reports whether the material may follow later.
func (f Fallback) follows() bool { return f.Kind == FallTolerate || f.Kind == FallPromise }

func (j Judgement) next() NextStep {
	switch {
	case j.Need == Optional:
		return NextNothing
	case j.Fallback.Kind == FallUpload:
		return NextUpload
	case j.Covered == "" && j.Fallback.Kind == FallPromise:
		return NextPromise
	case j.State == Unavailable && j.Reason != SourceFaulty && j.Reason != RoleFaulty: // checking again mends no data
		return NextAgain
	}
	return NextFollow
}

// Blocks reports whether the case cannot go on before something is done about the material. Met and covered materials do
// not block, nor optional ones; one that may be missing for a while (容缺) does only when its deadline has passed. One
// that needs a promise blocks until the promise is there.
func (j Judgement) Blocks() bool {
	if j.State.Obtained() || j.Covered != "" || j.Need == Optional {
		return false
	}
	return j.Need != Tolerable || j.Fallback.Kind != FallTolerate
}

// Done reports whether nothing is left to do about the material.
func (j Judgement) Done() bool {
	return j.State.Obtained() || j.Covered == HowUploaded || j.Covered == HowWaived || j.Need == Optional
}

// An Outcome says how a case stands as a whole.
type Outcome struct {
	GoesOn   bool         // nothing blocks
	Complete bool         // nothing is left to follow
	Deadline license.Date // the first of the deadlines that are still open; empty if none
}

// Conclude sums up the judgements of a check. Without any judgement a case neither goes on nor is complete.
func Conclude(judgements []Judgement) Outcome {
	outcome := Outcome{GoesOn: len(judgements) > 0, Complete: len(judgements) > 0}
	for _, j := range judgements {
		outcome.GoesOn = outcome.GoesOn && !j.Blocks()
		outcome.Complete = outcome.Complete && j.Done()
		open := j.Fallback.Deadline
		if !j.Done() && open != "" && (outcome.Deadline == "" || open.Before(outcome.Deadline)) {
			outcome.Deadline = open
		}
	}
	return outcome
}

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
	f.filings()
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
	f.Unless(len(m.Guardians) == 0, at+".guardians", "a chain has no guardians of its own: its matters have")
	f.Unless(len(m.Results) == 0, at+".results", "a chain has no results of its own: its matters have")
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
	f.guardians(at, m)
	results := f.Unique()
	for i, id := range m.Results {
		path := fmt.Sprintf("%s.results[%d]", at, i)
		results(path, id)
		_, ok := f.cat.Type(id)
		f.Unless(ok, path, "the catalogue has no license type %q", id)
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
	f.Unless(role.Name != Guardian || len(m.Guardians) == 0, at+".name", "%q is who comes for a party: no role of one can be called so where the matter says what proves a guardian", Guardian)
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
	_, ok := f.book.FilingType(material.Filing)
	f.Unless(ok || material.Filing == "", at+".filing", "there is no type of filed materials %q", material.Filing)
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

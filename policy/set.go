package policy

import (
	"hash"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/cedar-policy/cedar-go"

	"oncegate/canonical"
	"oncegate/fault"
)

// A File is one file of a policy set: ".yaml" or ".yml" holds a Document, ".cedar" holds guards.
// Paths are part of the set's digest and of the faults' places.
type File = canonical.File

// TableSuffix ends the names of tables of expected decisions. They stand beside the policy and are no part of it.
const TableSuffix = "_test.yaml"

// Data is what a Set is made of.
type Data struct {
	Files  []File           // in any order
	NewSM3 func() hash.Hash // the digest of design §5.6; needed
	Known  *Known           // names defined outside; nil: not checked, as when a stored set is loaded again for replay
	Now    time.Time        // for warnings about grants that have expired; zero: no such warnings
}

// A Set is a loaded policy: immutable, safe for concurrent use, and complete in itself, so that the same files give the
// same decisions anywhere.
type Set struct {
	files    []File // sorted by path
	digest   string
	warnings fault.List

	grants      []*grant
	permissions []*permission
	suspensions []*suspension
	shares      map[string]Share
	systems     map[string]System
	bases       map[string]Basis

	// The indexes. Every decision through them equals one that looks at every rule.
	byScope      map[grantKey][]*grant
	byType       map[grantKey]bool // scopes without their matter: whether a system has a type granted at all
	byOperation  map[permissionKey][]*permission
	named        map[grantKey][]period    // by system and matter: when a rule names both
	onSystem     map[string][]*suspension // suspensions that name the system
	onType       map[string][]*suspension // suspensions that name the type and no system
	onRule       map[string][]*suspension // by grant or permission
	guards       map[guardKey]*guardBucket
	guardByID    map[cedar.PolicyID]*guard
	reads        contextReads
	longestAgeOf map[string][]*grant // grants that allow a copy, by license type
}

// A grantKey is a place in the grants' index: who asks, for what, for which matter. Grants bound to no matter stand under
// the empty one.
type grantKey struct{ system, licenseType, matter string }

// A permissionKey is a place in the permissions' index.
type permissionKey struct{ system, operation string }

// New loads a set. It returns every fault at once, each with its place; with any fault there is no set.
func New(data Data) (*Set, fault.List) {
	c := &checker{known: data.Known, bases: map[string]bool{}, ids: map[string]fault.Place{}, rules: map[string]bool{}}
	s := &Set{shares: map[string]Share{}, systems: map[string]System{}, bases: map[string]Basis{}}
	s.files = slices.Clone(data.Files)
	slices.SortFunc(s.files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	if data.NewSM3 == nil {
		c.AddAt(fault.Place{File: "policy"}, "the set has no digest function")
	}
	r := &guardReader{checker: c, schema: newValidator(), reads: contextReads{names: map[string]bool{}}}
	var parsed rules
	for _, f := range c.wellNamed(s.files) {
		if path.Ext(f.Path) == ".cedar" {
			r.read(f)
		} else {
			parsed.read(f, &c.List)
		}
	}
	s.compile(c, &parsed)
	if len(c.List) > 0 {
		return nil, c.List
	}
	s.index(r)
	var err error
	if s.digest, err = canonical.FilesDigest(data.NewSM3, s.files); err != nil {
		c.AddAt(fault.Place{File: "policy"}, "%v", err)
		return nil, c.List
	}
	s.warnings = s.warn(data)
	return s, nil
}

// wellNamed returns the files whose names are fit for a set.
func (c *checker) wellNamed(files []File) (fit []File) {
	for i, f := range files {
		ext := path.Ext(f.Path)
		switch {
		case !wellFormed(strings.ReplaceAll(f.Path, " ", "-")) || !fs.ValidPath(f.Path):
			c.AddAt(fault.Place{File: fault.Clip(f.Path)}, "the file's name is no plain relative path of at most 96 bytes")
		case i > 0 && files[i-1].Path == f.Path:
			c.AddAt(fault.Place{File: f.Path}, "the file is given twice")
		case strings.HasSuffix(f.Path, TableSuffix):
			c.AddAt(fault.Place{File: f.Path}, "a table of expected decisions is no part of a set")
		case ext != ".yaml" && ext != ".yml" && ext != ".cedar":
			c.AddAt(fault.Place{File: f.Path}, "a policy file ends in .yaml, .yml or .cedar")
		default:
			fit = append(fit, f)
		}
	}
	return fit
}

// compile checks the rules in the order in which they refer to each other.
func (s *Set) compile(c *checker, r *rules) {
	for i := range r.bases {
		c.compileBasis(&r.bases[i])
		s.bases[r.bases[i].value.ID] = r.bases[i].value
	}
	for i := range r.systems {
		c.compileSystem(&r.systems[i], s.systems)
	}
	for i := range r.shares {
		c.compileShare(&r.shares[i], s.shares)
	}
	for i := range r.grants {
		s.grants = append(s.grants, c.compileGrant(&r.grants[i]))
	}
	for i := range r.permissions {
		s.permissions = append(s.permissions, c.compilePermission(&r.permissions[i]))
	}
	for i := range r.suspensions {
		s.suspensions = append(s.suspensions, c.compileSuspension(&r.suspensions[i]))
	}
}

// Digest names the set: every record carries it as "policy".
func (s *Set) Digest() string { return s.digest }

// Files returns the files the set was loaded from, sorted by path: what is kept by its digest so that decisions can be
// replayed. The caller must not change their bytes.
func (s *Set) Files() []File { return slices.Clone(s.files) }

// Warnings are what is odd in a set without being wrong, such as a grant that can never fire; places as in New.
func (s *Set) Warnings() fault.List { return slices.Clone(s.warnings) }

// Grants returns the sharing agreements of the set, in the order of the files, with defaults filled in.
func (s *Set) Grants() []Grant {
	list := make([]Grant, len(s.grants))
	for i, g := range s.grants {
		list[i] = g.Grant
	}
	return list
}

// index files every rule where Decide looks for it.
func (s *Set) index(r *guardReader) {
	s.indexGrants()
	s.byOperation = make(map[permissionKey][]*permission)
	for _, p := range s.permissions {
		for _, system := range p.Systems {
			for _, operation := range p.Operations {
				key := permissionKey{system, operation}
				s.byOperation[key] = append(s.byOperation[key], p)
			}
		}
	}
	s.indexNames()
	s.indexSuspensions()
	s.guards, s.reads = indexGuards(r.guards), r.reads
	s.guardByID = make(map[cedar.PolicyID]*guard, len(r.guards))
	for _, g := range r.guards {
		s.guardByID[cedar.PolicyID(g.id)] = g
	}
}

func (s *Set) indexGrants() {
	s.byScope, s.byType = make(map[grantKey][]*grant), make(map[grantKey]bool)
	s.longestAgeOf = make(map[string][]*grant)
	for _, g := range s.grants {
		matters := g.Matters
		if len(matters) == 0 {
			matters = []string{""}
		}
		for _, system := range g.Systems {
			s.byType[grantKey{system, g.LicenseType, ""}] = true
			for _, matter := range matters {
				key := grantKey{system, g.LicenseType, matter}
				s.byScope[key] = append(s.byScope[key], g)
			}
		}
		if g.maxAge > 0 {
			s.longestAgeOf[g.LicenseType] = append(s.longestAgeOf[g.LicenseType], g)
		}
	}
}

func (s *Set) indexSuspensions() {
	s.onSystem, s.onType, s.onRule = map[string][]*suspension{}, map[string][]*suspension{}, map[string][]*suspension{}
	for _, p := range s.suspensions {
		for _, system := range p.Systems {
			s.onSystem[system] = append(s.onSystem[system], p)
		}
		if len(p.Systems) == 0 {
			for _, licenseType := range p.LicenseTypes {
				s.onType[licenseType] = append(s.onType[licenseType], p)
			}
		}
		for _, rule := range p.Rules {
			s.onRule[rule] = append(s.onRule[rule], p)
		}
	}
}

// candidates returns the grants that name the question's system, license type and matter, and those that name no matter.
func (s *Set) candidates(q *Question) (bound, free []*grant) {
	free = s.byScope[grantKey{q.System, q.LicenseType, ""}]
	if q.Matter != "" {
		bound = s.byScope[grantKey{q.System, q.LicenseType, q.Matter}]
	}
	return bound, free
}

// LongestAge returns the greatest age of a copy that any grant on a license type allows at a time; 0: none may be kept.
// Grants that are not valid then or suspended, and types that are not shared, allow none. The register keeps no copy
// longer.
func (s *Set) LongestAge(licenseType string, at time.Time) time.Duration {
	q := &Question{LicenseType: licenseType, Now: at}
	if s.share(licenseType).Attribute == Withheld || s.suspendedType(q) {
		return 0
	}
	var longest time.Duration
	for _, g := range s.longestAgeOf[licenseType] {
		if within(at, g.from, g.until) && s.suspending(s.onRule[g.ID], q) == nil {
			longest = max(longest, g.maxAge)
		}
	}
	return longest
}

// AsksConsent says whether any grant that a system has on a license type for a matter asks for the holder's consent, so
// that a caller knows whether to look for one.
func (s *Set) AsksConsent(system, licenseType, matter string) bool {
	bound, free := s.candidates(&Question{System: system, LicenseType: licenseType, Matter: matter})
	for _, part := range [...][]*grant{bound, free} {
		for _, g := range part {
			if g.asksConsent() {
				return true
			}
		}
	}
	return false
}

// Names reports whether any grant that rests on a case, or permission to do something with cases, that stands at a time
// names a system together with a matter: whether the system has to do with the matter's cases at all. Others learn nothing
// of them, not even that they exist; a grant for pre-checks says nothing about cases. A suspension does not change it: a
// suspended system is told that it is suspended.
func (s *Set) Names(system, matter string, at time.Time) bool {
	for _, st := range s.named[grantKey{system: system, matter: matter}] {
		if within(at, st.from, st.until) {
			return true
		}
	}
	return false
}

// Permits reports whether any permission names an operation, whoever may do it and whenever.
func (s *Set) Permits(operation string) bool {
	return slices.ContainsFunc(s.permissions, func(p *permission) bool { return slices.Contains(p.Operations, operation) })
}

// A period is when a rule is in force; until is exclusive.
type period struct{ from, until time.Time }

// indexNames files grants and permissions by the systems and matters they name.
func (s *Set) indexNames() {
	s.named = make(map[grantKey][]period)
	add := func(systems, matters []string, during period) {
		for _, system := range systems {
			for _, matter := range matters {
				key := grantKey{system: system, matter: matter}
				s.named[key] = append(s.named[key], during)
			}
		}
	}
	for _, g := range s.grants {
		if slices.Contains(g.Grounds, ByCase) && slices.ContainsFunc(g.Operations, ofCases) {
			add(g.Systems, g.Matters, period{g.from, g.until})
		}
	}
	for _, p := range s.permissions {
		if slices.ContainsFunc(p.Operations, ofCases) {
			add(p.Systems, p.Matters, period{p.from, p.until})
		}
	}
}

// ofCases reports whether an operation cites a case of anybody. Reading is of one's own cases only, and entitles to no other.
func ofCases(operation string) bool {
	return strings.HasPrefix(operation, "cases.") && operation != "cases.read" || strings.HasPrefix(operation, "licenses.")
}

// Basis returns one of the set's legal bases other than a case or a consent.
func (s *Set) Basis(id string) (Basis, bool) {
	b, ok := s.bases[id]
	return b, ok
}

// sharePrefix begins the rule id under which a share attribute refuses: "share/" and the license type.
const sharePrefix = "share/"

// share returns the share attribute of a license type; 0 for operations that release no license.
func (s *Set) share(licenseType string) Share {
	if share, ok := s.shares[licenseType]; ok {
		return share
	}
	if licenseType == "" {
		return Share{}
	}
	return Share{LicenseType: licenseType, Attribute: Conditional}
}

// suspending returns those of a list that are in force and, where they name license types, name the question's.
func (s *Set) suspending(list []*suspension, q *Question) (in []*suspension) {
	for _, p := range list {
		if within(q.Now, p.from, p.until) && (len(p.LicenseTypes) == 0 || slices.Contains(p.LicenseTypes, q.LicenseType)) {
			in = append(in, p)
		}
	}
	return in
}

// suspensionsOf returns the suspensions of the question's system and of its license type.
func (s *Set) suspensionsOf(q *Question) []*suspension {
	return append(s.suspending(s.onSystem[q.System], q), s.suspending(s.onType[q.LicenseType], q)...)
}

// suspendedSystem says whether the question's system is suspended as a whole.
func (s *Set) suspendedSystem(q *Question) bool {
	return slices.ContainsFunc(s.suspending(s.onSystem[q.System], q), func(p *suspension) bool { return len(p.LicenseTypes) == 0 })
}

// suspendedType says whether the question's license type is suspended as a whole.
func (s *Set) suspendedType(q *Question) bool { return s.suspending(s.onType[q.LicenseType], q) != nil }

// warn finds grants that can never fire.
func (s *Set) warn(data Data) fault.List {
	var f fault.List
	for _, g := range s.grants {
		if !data.Now.Before(g.until) { // every grant has an end
			f.AddAt(g.at, "grant %s has expired and never fires", g.ID)
		}
		if s.share(g.LicenseType).Attribute == Withheld {
			f.AddAt(g.at, "grant %s never fires: licenses of type %s are not shared", g.ID, g.LicenseType)
		}
		if _, stated := s.shares[g.LicenseType]; !stated {
			f.AddAt(g.at, "grant %s: type %s has no share attribute and is treated as conditional", g.ID, g.LicenseType)
		}
		if s.lacksMaterial(g, data.Known) {
			f.AddAt(g.at, "grant %s never fires for a case: none of its matters has a material of type %s", g.ID, g.LicenseType)
		}
		if demandsImpossibleProof(data.Known, g.Systems, g.operator) {
			f.AddAt(g.at, "grant %s never fires: no identity service may prove the operators that it asks for at any of its systems", g.ID)
		}
		if s.allSuspended(g) {
			f.AddAt(g.at, "grant %s never fires: every one of its systems is suspended without end", g.ID)
		}
	}
	for _, p := range s.permissions {
		if demandsImpossibleProof(data.Known, p.Systems, p.operator) {
			f.AddAt(p.at, "permission %s never fires: no identity service may prove the operators that it asks for at any of its systems", p.ID)
		}
	}
	return f
}

// demandsImpossibleProof reports whether a rule asks for proof of the acting person that no identity service may give at any of its systems.
func demandsImpossibleProof(known *Known, systems []string, d operatorDemands) bool {
	if known == nil || len(d.roles) == 0 && proofStrength(d.proof) < proofStrength(ProofSession) {
		return false
	}
	return !slices.ContainsFunc(systems, func(system string) bool {
		roles, served := known.Operators[system]
		return served && (len(d.roles) == 0 || slices.ContainsFunc(d.roles, func(r string) bool { return slices.Contains(roles, r) }))
	})
}

// lacksMaterial says whether a grant for cases names only matters that never need its license type.
func (s *Set) lacksMaterial(g *grant, known *Known) bool {
	if known == nil || len(g.Grounds) != 1 || g.Grounds[0] != ByCase {
		return false
	}
	return !slices.ContainsFunc(g.Matters, func(code string) bool {
		needed := known.Matters[code].Materials
		if g.FilingType != "" {
			needed = known.Matters[code].Filings
		}
		for material, licenseType := range needed {
			if licenseType == g.LicenseType && (len(g.Materials) == 0 || slices.Contains(g.Materials, material)) {
				return true
			}
		}
		return false
	})
}

// allSuspended says whether suspensions without beginning and end stand on all systems of a grant.
func (s *Set) allSuspended(g *grant) bool {
	return !slices.ContainsFunc(g.Systems, func(system string) bool {
		return !slices.ContainsFunc(s.onSystem[system], func(p *suspension) bool {
			return len(p.LicenseTypes) == 0 && p.from.IsZero() && p.until.IsZero()
		})
	})
}

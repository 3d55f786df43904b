package policy

import (
	"hash"
	"path"
	"slices"
	"strings"
	"time"

	"oncegate/fault"

	"github.com/cedar-policy/cedar-go"

	"oncegate/canonical"
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
	byScope      map[scope][]*grant
	byType       map[scope]bool // scopes without their matter: whether a system has a type granted at all
	byOperation  map[duty][]*permission
	named        map[scope][]standing     // by system and matter: when a rule names both
	onSystem     map[string][]*suspension // suspensions that name the system
	onType       map[string][]*suspension // suspensions that name the type and no system
	onRule       map[string][]*suspension // by grant or permission
	guards       map[guardKey]*watch
	guardByID    map[cedar.PolicyID]*guard
	reads        reading
	longestAgeOf map[string][]*grant // grants that allow a copy, by license type
}

// A scope is a place in the grants' index: who asks, for what, for which matter. Grants bound to no matter stand under
// the empty one.
type scope struct{ system, licenseType, matter string }

// A duty is a place in the permissions' index.
type duty struct{ system, operation string }

// New loads a set. It returns every fault at once, each with its place; with any fault there is no set.
func New(data Data) (*Set, fault.List) {
	c := &checker{known: data.Known, bases: map[string]bool{}, ids: map[string]fault.Place{}, rules: map[string]bool{}}
	s := &Set{shares: map[string]Share{}, systems: map[string]System{}, bases: map[string]Basis{}}
	s.files = slices.Clone(data.Files)
	slices.SortFunc(s.files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	if data.NewSM3 == nil {
		c.AddAt(fault.Place{File: "policy"}, "the set has no digest function")
	}
	r := &guardReader{checker: c, reads: reading{names: map[string]bool{}}}
	var err error
	if r.schema, err = newValidator(); err != nil {
		c.AddAt(fault.Place{File: "policy"}, "%v", err)
		return nil, c.List
	}
	var parsed rules
	for _, f := range c.sound(s.files) {
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
	if s.digest, err = canonical.FilesDigest(data.NewSM3, s.files); err != nil {
		c.AddAt(fault.Place{File: "policy"}, "%v", err)
		return nil, c.List
	}
	s.warnings = s.warn(data)
	return s, nil
}

// sound returns the files whose names are fit for a set.
func (c *checker) sound(files []File) (fit []File) {
	for i, f := range files {
		ext := path.Ext(f.Path)
		switch {
		case !wellFormed(strings.ReplaceAll(f.Path, " ", "-")) || path.Clean(f.Path) != f.Path || path.IsAbs(f.Path) || strings.HasPrefix(f.Path, ".."):
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
		if g, ok := c.compileGrant(&r.grants[i]); ok {
			s.grants = append(s.grants, g)
		}
	}
	for i := range r.permissions {
		if p, ok := c.compilePermission(&r.permissions[i]); ok {
			s.permissions = append(s.permissions, p)
		}
	}
	for i := range r.suspensions {
		if p, ok := c.compileSuspension(&r.suspensions[i]); ok {
			s.suspensions = append(s.suspensions, p)
		}
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

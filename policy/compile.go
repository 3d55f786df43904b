package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"oncegate/fault"
)

// The compiled rules: what Decide reads. Slices that are searched stay small; lists of systems, types and matters are
// in the indexes of Set.
type (
	grant struct {
		Grant
		from, until time.Time // until exclusive
		maxAge      time.Duration
		strength    int // weakest attestation
		operator    operatorDemands
		at          fault.Place
	}
	permission struct {
		Permission
		from, until time.Time
		operator    operatorDemands
		at          fault.Place
	}
	suspension struct {
		Suspension
		from, until time.Time
	}
)

// within says whether now lies in [from, until); zero times do not restrict.
func within(now, from, until time.Time) bool {
	return !now.Before(from) && (until.IsZero() || now.Before(until))
}

// operatorDemands are what a rule asks of the acting person.
type operatorDemands struct {
	proof string   // the weakest that will do
	roles []string // one is needed; empty: none
}

// compileOperator checks what a rule asks of the acting person. Roles are an identity service's word, which the weakest proof has none of.
func compileOperator[T any](c *checker, p *placed[T], proof string, roles []string) operatorDemands {
	if proof != "" {
		oneOf(c, p, "operator_proof", proof, proofs...)
	}
	list(c, p, "operator_roles", roles, false, c.operatorRole, "role that an identity service may assert")
	if len(roles) > 0 && proof != "" && proofStrength(proof) < proofStrength(ProofSession) {
		c.AddAt(p.at("operator_proof", -1), "operator_roles need operator_proof session or call, or none given: a role is an identity service's word")
	}
	return operatorDemands{cmp.Or(proof, ProofNone), roles}
}

// unmet returns the demands that a question does not meet.
func (d operatorDemands) unmet(q *Question) (mask uint32) {
	if proofStrength(q.OperatorProof) < proofStrength(d.proof) {
		mask |= 1 << operatorProofWeak
	}
	if len(d.roles) > 0 && !slices.ContainsFunc(d.roles, func(r string) bool { return slices.Contains(provenRoles(q), r) }) {
		mask |= 1 << operatorRoleMissing
	}
	return mask
}

// proofOf is how the acting person of a question is known.
func proofOf(q *Question) string { return proofs[proofStrength(q.OperatorProof)] }

// provenRoles are the roles of the acting person; none where no identity service vouches for them.
func provenRoles(q *Question) []string {
	if proofStrength(q.OperatorProof) < proofStrength(ProofSession) {
		return nil
	}
	return q.OperatorRoles
}

// compileGrant checks one grant and reads its times.
func (c *checker) compileGrant(p *placed[Grant]) *grant {
	g := &grant{Grant: p.value, at: p.at("", -1)}
	c.id(p.at("id", -1), "grant", g.ID)
	c.rules[g.ID] = true
	if len(g.Grounds) == 0 {
		g.Grounds = []string{ByCase}
	}
	if len(g.Roles) == 0 {
		g.Roles = []string{Applicant}
	}
	if g.Purpose == "" {
		g.Purpose = Answer
	}
	c.grantScope(p, g)
	c.grantTerms(p, g)
	return g
}

// grantScope checks who, what and for which matters.
func (c *checker) grantScope(p *placed[Grant], g *grant) {
	if !c.department(g.Provider) || g.Provider == "" {
		c.AddAt(p.at("provider", -1), "%q is no known department", fault.Clip(g.Provider))
	}
	opens := func(op string) bool { return operations[op]&byGrant != 0 }
	if g.FilingType != "" {
		c.grantFiling(p, g)
		opens = func(op string) bool { return slices.Contains(filingOperations, op) }
	} else if _, filed := c.filing(g.LicenseType); g.LicenseType == "" || filed || !c.licenseType(g.LicenseType) {
		c.AddAt(p.at("license_type", -1), "%q is no known license type", fault.Clip(g.LicenseType))
	} else if g.Trust != "" {
		c.AddAt(p.at("trust", -1), "trust is for grants with a filing_type")
	}
	list(c, p, "systems", g.Systems, true, c.system, "system")
	list(c, p, "operations", g.Operations, true, opens, "operation that a grant opens")
	list(c, p, "grounds", g.Grounds, true, c.ground, "ground (case, consent or one of the set's bases)")
	list(c, p, "matters", g.Matters, slices.Contains(g.Grounds, ByCase), c.matter, "matter")
	list(c, p, "materials", g.Materials, false, c.material(g.Matters), "material of these matters")
	list(c, p, "roles", g.Roles, true, c.role(g.Matters), "role of these matters")
	list(c, p, "fields", g.Fields, false, c.field(g.LicenseType), "field of "+fault.Clip(g.LicenseType))
}

// filingOperations are those that a grant on filed materials opens.
var filingOperations = []string{"cases.check", "cases.read"}

// grantFiling checks a grant on filed materials. From here on their type stands where a license type does.
func (c *checker) grantFiling(p *placed[Grant], g *grant) {
	if g.LicenseType != "" {
		c.AddAt(p.at("license_type", -1), "a grant is on a license_type or a filing_type, not on both")
	}
	if _, ok := c.filing(g.FilingType); !ok && c.known != nil {
		c.AddAt(p.at("filing_type", -1), "%q is no known type of filed materials", fault.Clip(g.FilingType))
	}
	switch {
	case g.Trust == "":
		c.AddAt(p.at("trust", -1), "trust must be given: the weakest trust level that will do")
	case c.known != nil && !slices.Contains(c.known.Trust, g.Trust):
		c.AddAt(p.at("trust", -1), "%q is no trust level whose materials may be used again", fault.Clip(g.Trust))
	}
	if g.Purpose != Answer {
		c.AddAt(p.at("purpose", -1), "filed materials confirm no role: purpose must be answer")
	}
	if g.MaxAge != "" {
		c.AddAt(p.at("max_age", -1), "max_age is for copies of what a source said; how long a filed material may be used stands with its type")
	}
	g.LicenseType = g.FilingType
}

// grantTerms checks why, how and for how long.
func (c *checker) grantTerms(p *placed[Grant], g *grant) {
	text(c, p, "agreement", g.Agreement, true)
	text(c, p, "basis", g.Basis, true)
	text(c, p, "scenario", g.Scenario, true)
	oneOf(c, p, "basis_kind", g.BasisKind, "law", "regulation", "decision", "rule", "duty", "agreement")
	oneOf(c, p, "purpose", g.Purpose, Answer, Confirm)
	if slices.Contains(g.Grounds, ByCase) || g.Attestation != "" {
		oneOf(c, p, "attestation", g.Attestation, attestations...)
	}
	g.strength = strength(g.Attestation)
	g.operator = compileOperator(c, p, g.OperatorProof, g.OperatorRoles)
	g.from, g.until = span(c, p, "valid_from", g.ValidFrom, "valid_until", g.ValidUntil)
	text(c, p, "valid_until", g.ValidUntil, true)
	var err error
	if g.maxAge, err = parseAge(g.MaxAge); err != nil {
		c.AddAt(p.at("max_age", -1), "max_age: %v", err)
	}
}

// compilePermission checks one permission and reads its times.
func (c *checker) compilePermission(p *placed[Permission]) *permission {
	m := &permission{Permission: p.value, at: p.at("", -1)}
	c.id(p.at("id", -1), "permission", m.ID)
	c.rules[m.ID] = true
	list(c, p, "systems", m.Systems, true, c.system, "system")
	list(c, p, "operations", m.Operations, true, func(op string) bool { return operations[op]&byPermission != 0 }, "operation that a permission opens")
	bound := slices.ContainsFunc(m.Operations, func(op string) bool { return operations[op]&needsMatter != 0 })
	list(c, p, "matters", m.Matters, bound, c.matter, "matter")
	list(c, p, "license_types", m.LicenseTypes, false, c.licenseType, "license type")
	text(c, p, "basis", m.Basis, false)
	m.operator = compileOperator(c, p, m.OperatorProof, m.OperatorRoles)
	m.from, m.until = span(c, p, "valid_from", m.ValidFrom, "valid_until", m.ValidUntil)
	return m
}

// compileSuspension checks one suspension and reads its times. Grants and permissions are compiled before.
func (c *checker) compileSuspension(p *placed[Suspension]) *suspension {
	s := &suspension{Suspension: p.value}
	c.id(p.at("id", -1), "suspension", s.ID)
	list(c, p, "systems", s.Systems, false, c.system, "system")
	list(c, p, "license_types", s.LicenseTypes, false, c.licenseType, "license type")
	list(c, p, "rules", s.Rules, false, func(id string) bool { return c.rules[id] }, "grant or permission")
	if scoped := len(s.Systems)+len(s.LicenseTypes) > 0; scoped == (len(s.Rules) > 0) {
		c.AddAt(p.at("", -1), "a suspension names either systems and license types, or rules")
	}
	text(c, p, "reason_zh", s.ReasonZh, true)
	text(c, p, "reason_en", s.ReasonEn, true)
	s.from, s.until = span(c, p, "from", s.From, "until", s.Until)
	return s
}

// compileShare checks one share attribute (条例 art. 14 and 15).
func (c *checker) compileShare(p *placed[Share], shares map[string]Share) {
	s := p.value
	if !c.licenseType(s.LicenseType) || s.LicenseType == "" {
		c.AddAt(p.at("license_type", -1), "%q is no known license type", fault.Clip(s.LicenseType))
	}
	if _, twice := shares[s.LicenseType]; twice {
		c.AddAt(p.at("license_type", -1), "the share attribute of %q is given twice", fault.Clip(s.LicenseType))
	}
	if s.Attribute < Unconditional || s.Attribute > Withheld {
		c.AddAt(p.at("share", -1), "share is %d; expected is 1 (unconditional), 2 (conditional) or 3 (not shared)", s.Attribute)
	}
	if s.Provider != "" && !c.department(s.Provider) {
		c.AddAt(p.at("provider", -1), "%q is no known department", fault.Clip(s.Provider))
	}
	text(c, p, "scope", s.Scope, s.Attribute == Conditional)
	text(c, p, "reason", s.Reason, s.Attribute == Withheld)
	text(c, p, "basis", s.Basis, s.Attribute == Withheld)
	shares[s.LicenseType] = s
}

// compileSystem checks what guards may know about a system.
func (c *checker) compileSystem(p *placed[System], systems map[string]System) {
	s := p.value
	if !c.system(s.ID) || s.ID == "" {
		c.AddAt(p.at("id", -1), "%q is no known system", fault.Clip(s.ID))
	}
	if _, twice := systems[s.ID]; twice {
		c.AddAt(p.at("id", -1), "the system %q is described twice", fault.Clip(s.ID))
	}
	list(c, p, "tags", s.Tags, false, nil, "")
	systems[s.ID] = s
}

// compileBasis checks one legal basis. Bases are compiled before grants.
func (c *checker) compileBasis(p *placed[Basis]) {
	b := p.value
	if b.ID == ByCase || b.ID == ByConsent {
		c.AddAt(p.at("id", -1), "%q needs no entry among the bases", b.ID)
	} else {
		c.id(p.at("id", -1), "basis", b.ID)
	}
	c.bases[b.ID] = true
	text(c, p, "citation", b.Citation, true)
}

// china is the zone of days in policies. It has no daylight saving, so that a day means the same on every machine.
var china = time.FixedZone("China Standard Time", 8*60*60)

// A checker reports every fault of a set's rules against each other and against the names known outside.
type checker struct {
	known *Known // nil: names outside are not checked, as when a stored set is loaded again for replay
	bases map[string]bool
	ids   map[string]fault.Place // id → where it was first written
	rules map[string]bool        // ids of grants and permissions, which a suspension may name
	fault.List
}

// id checks the form and the uniqueness of an id. A rule whose id is faulty may still be referred to: one mistake is one fault.
func (c *checker) id(at fault.Place, kind, id string) {
	if first, taken := c.ids[id]; taken {
		c.AddAt(at, "duplicate id %q, first given at %s", id, first)
	} else if !wellFormed(id) || id == DenyByDefault || strings.HasPrefix(id, sharePrefix) {
		c.AddAt(at, "the %s has no usable id %q: letters, digits and ._-:/ are expected, at most 96 bytes", kind, fault.Clip(id))
	} else {
		c.ids[id] = at
	}
}

// wellFormed says whether an id can stand in a record and be read aloud.
func wellFormed(id string) bool {
	if id == "" || len(id) > 96 {
		return false
	}
	return !strings.ContainsFunc(id, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("._-:/", r)
	})
}

// list checks that a list is not empty, repeats nothing and holds only what ok accepts.
func list[T any](c *checker, p *placed[T], key string, values []string, needed bool, ok func(string) bool, what string) {
	if needed && len(values) == 0 {
		c.AddAt(p.at(key, -1), "%s must not be empty", key)
	}
	seen := make(map[string]bool, len(values))
	for i, v := range values {
		switch {
		case v == "" || len(v) > 200:
			c.AddAt(p.at(key, i), "%s holds an empty or overlong entry", key)
		case seen[v]:
			c.AddAt(p.at(key, i), "%s repeats %q", key, fault.Clip(v))
		case ok != nil && !ok(v):
			c.AddAt(p.at(key, i), "%q is no known %s", fault.Clip(v), what)
		}
		seen[v] = true
	}
}

// text checks that a text is there where needed, and not endless.
func text[T any](c *checker, p *placed[T], key, value string, needed bool) {
	if needed && strings.TrimSpace(value) == "" {
		c.AddAt(p.at(key, -1), "%s must be given", key)
	}
	if len(value) > 4000 {
		c.AddAt(p.at(key, -1), "%s is longer than 4000 bytes", key)
	}
}

// oneOf checks a value of a short list.
func oneOf[T any](c *checker, p *placed[T], key, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		c.AddAt(p.at(key, -1), "%s is %q; expected is one of %s", key, fault.Clip(value), strings.Join(allowed, ", "))
	}
}

// span reads the first and the last time of a rule; until is exclusive, and zero times do not restrict.
func span[T any](c *checker, p *placed[T], fromKey, fromText, untilKey, untilText string) (from, until time.Time) {
	from, err := parseDayOrTime(fromText, false)
	if err != nil {
		c.AddAt(p.at(fromKey, -1), "%s: %v", fromKey, err)
	}
	until, err = parseDayOrTime(untilText, true)
	if err != nil {
		c.AddAt(p.at(untilKey, -1), "%s: %v", untilKey, err)
	}
	if !until.IsZero() && !from.Before(until) {
		c.AddAt(p.at(untilKey, -1), "%s lies before %s", untilKey, fromKey)
	}
	return from, until
}

// parseDayOrTime reads a day of China Standard Time or an RFC 3339 time; end turns a day into the time after it.
func parseDayOrTime(s string, end bool) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if day, err := time.ParseInLocation("2006-01-02", s, china); err == nil {
		if end {
			day = day.AddDate(0, 0, 1)
		}
		return day.UTC(), nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is neither a day such as 2026-01-31 nor an RFC 3339 time", fault.Clip(s))
	}
	return t.UTC(), nil
}

// maxAge is the longest age of a copy that a grant may allow.
const maxAge = 3660 * 24 * time.Hour

// parseAge reads a duration such as "36h" or "7d".
func parseAge(s string) (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	var d time.Duration
	var err error
	if days, ok := strings.CutSuffix(s, "d"); ok {
		var n uint64
		n, err = strconv.ParseUint(days, 10, 12)
		d = time.Duration(n) * 24 * time.Hour
	} else {
		d, err = time.ParseDuration(s)
	}
	if err != nil || d < 0 || d > maxAge || d%time.Second != 0 {
		return 0, fmt.Errorf("%q is no age of whole seconds such as 90m, 36h or 7d, at most ten years", fault.Clip(s))
	}
	return d, nil
}

// The methods below answer whether a name is defined; where nothing is known outside, every name passes.

func (c *checker) system(id string) bool { return c.known == nil || c.known.Systems[id] }

func (c *checker) department(id string) bool { return c.known == nil || c.known.Departments[id] }

// licenseType answers for types of filed materials, too.
func (c *checker) licenseType(id string) bool {
	if c.known == nil {
		return true
	}
	_, ok := c.known.Types[id]
	_, filed := c.known.Filings[id]
	return ok || filed
}

// filing returns the fields of a type of filed materials, and whether it is known as one.
func (c *checker) filing(id string) (fields []string, ok bool) {
	if c.known == nil {
		return nil, false
	}
	fields, ok = c.known.Filings[id]
	return fields, ok
}

func (c *checker) matter(code string) bool {
	if c.known == nil {
		return true
	}
	_, ok := c.known.Matters[code]
	return ok
}

// field answers for one license type; a type that is itself unknown is reported once, not with each of its fields.
func (c *checker) field(licenseType string) func(string) bool {
	return func(name string) bool {
		return c.known == nil || !c.licenseType(licenseType) || slices.Contains(c.known.Types[licenseType], name) || slices.Contains(c.known.Filings[licenseType], name)
	}
}

// anyField answers for guards, which may hold for every type.
func (c *checker) anyField(name string) bool {
	if c.known == nil {
		return true
	}
	for _, fields := range c.known.Types {
		if slices.Contains(fields, name) {
			return true
		}
	}
	return false
}

// role answers whether some matter of a list has the role; no matters: any matter known.
func (c *checker) role(matters []string) func(string) bool {
	return func(name string) bool {
		return name == Applicant || c.someMatter(matters, func(m KnownMatter) bool { return m.Roles[name] })
	}
}

// material answers whether some matter of a list has the material.
func (c *checker) material(matters []string) func(string) bool {
	return func(name string) bool {
		return c.someMatter(matters, func(m KnownMatter) bool { _, ok := m.Materials[name]; return ok })
	}
}

func (c *checker) someMatter(matters []string, has func(KnownMatter) bool) bool {
	if c.known == nil {
		return true
	}
	if len(matters) == 0 {
		for _, m := range c.known.Matters {
			if has(m) {
				return true
			}
		}
		return false
	}
	return slices.ContainsFunc(matters, func(code string) bool { return has(c.known.Matters[code]) })
}

// operatorRole answers whether some identity service may assert a role of an operator.
func (c *checker) operatorRole(name string) bool {
	if c.known == nil {
		return true
	}
	for _, roles := range c.known.Operators {
		if slices.Contains(roles, name) {
			return true
		}
	}
	return false
}

func (c *checker) ground(name string) bool {
	return name == ByCase || name == ByConsent || c.bases[name]
}

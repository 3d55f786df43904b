package policy

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"
)

// naive decides by looking at every rule of a set, one after the other, without any index, bucket or lazy entity. It is
// written from the documentation of the rules and shares nothing with Decide but the rules' compiled times and texts.
type naive struct{ *Set }

func (n naive) decide(q Question) Decision {
	deny := map[string]bool{}
	var reasons []Reason
	of := func(c code, proof string, roles []string) (zh, en string) { // the sentences of what a rule asks of the operator
		has, known := strings.Join(n.rolesOf(q), ", "), q.OperatorProof
		if has == "" {
			has = "none"
		}
		if !slices.Contains([]string{"asserted", "session", "call"}, known) {
			known = "none"
		}
		switch c {
		case operatorProofWeak:
			return fmt.Sprintf("须有经办人证明“%s”；本次请求为“%s”。", proof, known), fmt.Sprintf("Operator proof '%s' is required; this call has '%s'.", proof, known)
		case operatorRoleMissing:
			zh := strings.ReplaceAll(strings.ReplaceAll(has, ", ", "、"), "none", "无")
			return fmt.Sprintf("须有经办人角色“%s”之一；本次请求证明的角色：%s。", strings.Join(roles, "、"), zh),
				fmt.Sprintf("One of the operator roles %s is required; this call proves: %s.", strings.Join(roles, ", "), has)
		}
		return "", ""
	}
	add := func(c code, rule, zh, en string, fields ...string) {
		r := texts[c]
		r.Rule = rule
		if zh != "" {
			r.Zh, r.En = zh, en
		}
		r.Fields = fields
		for _, old := range reasons {
			if old.Code == r.Code && old.Rule == r.Rule {
				return
			}
		}
		reasons = append(reasons, r)
	}
	if !slices.Contains(Operations(), q.Operation) {
		add(unknownOperation, "", "", "")
		return Decision{Rules: []string{DenyByDefault}, Reasons: reasons}
	}

	// Suspensions and share attribute.
	systemStopped, typeStopped := false, false
	for _, p := range n.suspensions {
		if !n.inForce(p, q.Now) || len(p.Rules) > 0 {
			continue
		}
		hitSystem := len(p.Systems) == 0 || slices.Contains(p.Systems, q.System)
		hitType := len(p.LicenseTypes) == 0 || slices.Contains(p.LicenseTypes, q.LicenseType)
		if hitSystem && hitType {
			deny[p.ID] = true
			add(suspended, p.ID, p.ReasonZh, p.ReasonEn)
			systemStopped = systemStopped || len(p.LicenseTypes) == 0
			typeStopped = typeStopped || len(p.Systems) == 0
		}
	}
	share := Share{Attribute: 2}
	if q.LicenseType == "" {
		share.Attribute = 0
	}
	for _, s := range n.shares {
		if s.LicenseType == q.LicenseType {
			share = s
		}
	}
	if share.Attribute == 3 {
		deny["share/"+q.LicenseType] = true
		add(notShared, "share/"+q.LicenseType, "", "")
	}

	// Grants.
	given := map[string]bool{} // fields of grants that fire
	allow := map[string]bool{}
	var maxAge time.Duration
	var missed []*grant
	anyType, anyMatter, nearest := false, false, code(0)
	granting := q.LicenseType != "" && slices.Contains([]string{"licenses.query", "licenses.verify", "licenses.status", "cases.check", "precheck"}, q.Operation)
	for _, g := range n.grants {
		if !granting || !slices.Contains(g.Systems, q.System) || g.LicenseType != q.LicenseType {
			continue
		}
		anyType = true
		if len(g.Matters) > 0 && !slices.Contains(g.Matters, q.Matter) {
			continue
		}
		anyMatter = true
		if c := n.lacks(g, q); c != covered {
			nearest = max(nearest, c)
			continue
		}
		if len(n.conditions(g, q)) > 0 {
			missed = append(missed, g)
			continue
		}
		allow[g.ID] = true
		maxAge = max(maxAge, g.maxAge)
		for _, f := range g.Fields {
			given[f] = true
		}
	}
	// Permissions.
	type stop struct {
		id     string
		c      code
		zh, en string
	}
	var stops []stop
	stopped := map[string][]*suspension{}
	permitted := false
	for _, p := range n.permissions {
		typed := q.Operation == "licenses.verify" || q.Operation == "licenses.status"
		if !slices.Contains(p.Systems, q.System) || !slices.Contains(p.Operations, q.Operation) || q.LicenseType != "" && !typed ||
			len(p.Matters) > 0 && !slices.Contains(p.Matters, q.Matter) || len(p.LicenseTypes) > 0 && !slices.Contains(p.LicenseTypes, q.LicenseType) {
			continue
		}
		var wrong []code
		if q.Now.Before(p.from) {
			wrong = append(wrong, grantNotYetValid)
		}
		if !p.until.IsZero() && !q.Now.Before(p.until) {
			wrong = append(wrong, grantExpired)
		}
		if q.LicenseType != "" && q.Age > 0 {
			wrong = append(wrong, tooStale)
		}
		wrong = append(wrong, n.ofPerson(p.OperatorProof, p.OperatorRoles, q)...)
		stopped[p.ID] = n.suspendsRule(p.ID, q.Now)
		for _, c := range wrong {
			zh, en := of(c, p.OperatorProof, p.OperatorRoles)
			stops = append(stops, stop{p.ID, c, zh, en})
		}
		if len(wrong)+len(stopped[p.ID]) == 0 {
			allow[p.ID], permitted = true, true
		}
	}

	// Guards, each alone, over a full context and full entities.
	asked := slices.Clone(q.Fields)
	if len(asked) == 0 {
		for f := range given {
			asked = append(asked, f)
		}
	}
	sort.Strings(asked)
	asked = slices.Compact(asked)
	var granted, lacking, kept []string
	for _, f := range asked {
		if given[f] {
			granted = append(granted, f)
		} else {
			lacking = append(lacking, f)
		}
	}
	withheld := map[string]bool{}
	firedGuards := map[string]bool{}
	var obligations []string
	refusedByGuard := false
	entities, request := n.world(&q, share, systemStopped, typeStopped)
	for _, g := range n.guardByID {
		if !fires(g, entities, request) {
			continue
		}
		firedGuards[g.id] = true
		switch g.effect {
		case refuse:
			refusedByGuard = true
			deny[g.id] = true
			add(guardRefused, g.id, g.zh, g.en)
		case withhold:
			var lost []string
			for _, f := range granted {
				if slices.Contains(g.fields, f) {
					withheld[f] = true
					lost = append(lost, f)
				}
			}
			if len(lost) > 0 {
				add(fieldWithheld, g.id, g.zh, g.en, lost...)
			}
		case oblige:
			obligations = append(obligations, g.obligations...)
		}
	}
	for _, f := range granted {
		if !withheld[f] {
			kept = append(kept, f)
		}
	}
	empty := len(kept) == 0 && (len(q.Fields) > 0 || len(granted) > 0 && !permitted)
	if empty && len(granted) > 0 {
		for id := range firedGuards {
			if n.guardByID[cedar.PolicyID(id)].effect == withhold {
				deny[id] = true
			}
		}
	}

	// Outcome.
	none := len(allow) == 0
	if none || len(q.Fields) > 0 && len(granted) == 0 {
		deny[DenyByDefault] = true
	}
	if none && !granting {
		add(noPermission, "", "", "")
	}
	if none && granting {
		add(noGrant, "", "", "")
		switch {
		case anyType && !anyMatter:
			add(matterNotGranted, "", "", "")
		case anyMatter && len(missed) == 0:
			add(nearest, "", "", "")
		}
	}
	for _, g := range missed {
		would := none
		for _, f := range g.Fields {
			would = would || (len(q.Fields) == 0 || slices.Contains(q.Fields, f)) && !given[f]
		}
		if would {
			for _, c := range n.conditions(g, q) {
				if c != suspended {
					zh, en := of(c, g.OperatorProof, g.OperatorRoles)
					add(c, g.ID, zh, en)
				}
			}
			for _, p := range n.suspendsRule(g.ID, q.Now) {
				add(suspended, p.ID, p.ReasonZh, p.ReasonEn)
			}
		}
	}
	if none {
		for _, s := range stops {
			add(s.c, s.id, s.zh, s.en)
		}
		for _, list := range stopped {
			for _, p := range list {
				add(suspended, p.ID, p.ReasonZh, p.ReasonEn)
			}
		}
	}
	if len(lacking) > 0 && !none {
		add(fieldNotGranted, "", "", "", lacking...)
	}
	slices.SortFunc(reasons, func(a, b Reason) int {
		at := func(r Reason) int { return slices.Index(Codes(), r.Code) }
		if at(a) != at(b) {
			return at(a) - at(b)
		}
		return map[bool]int{true: -1, false: 1}[a.Rule < b.Rule]
	})
	if none || empty || refusedByGuard || systemStopped || typeStopped || len(deny) > 0 {
		return Decision{Rules: sorted(deny), Reasons: reasons}
	}
	for id := range firedGuards {
		allow[id] = true
	}
	sort.Strings(obligations)
	return Decision{Allow: true, Fields: kept, Rules: sorted(allow), Reasons: reasons, Obligations: slices.Compact(obligations), MaxAge: maxAge}
}

func sorted(m map[string]bool) (list []string) {
	for k := range m {
		list = append(list, k)
	}
	sort.Strings(list)
	return list
}

func (n naive) inForce(p *suspension, now time.Time) bool {
	return !now.Before(p.from) && (p.until.IsZero() || now.Before(p.until))
}

func (n naive) suspendsRule(id string, now time.Time) (list []*suspension) {
	for _, p := range n.suspensions {
		if slices.Contains(p.Rules, id) && n.inForce(p, now) {
			list = append(list, p)
		}
	}
	return list
}

// lacks is the scope of a grant, check by check in the documented order.
func (n naive) lacks(g *grant, q Question) code {
	purpose := q.Purpose
	if purpose == "" {
		purpose = "answer"
	}
	if purpose != "answer" && purpose != "confirm" || purpose == "answer" && g.Purpose == "confirm" {
		return purposeNotGranted
	}
	if !slices.Contains(g.Operations, q.Operation) {
		return operationNotGranted
	}
	if q.Provider != "" && g.Provider != q.Provider {
		return providerNotGranted
	}
	if !slices.Contains(g.Grounds, q.Basis) || q.Basis == "case" && q.Matter == "" {
		return basisNotGranted
	}
	if len(g.Materials) > 0 && !slices.Contains(g.Materials, q.Material) {
		return materialNotGranted
	}
	if !slices.Contains(g.Roles, q.Role) && (q.Role != "" || q.Basis == "case") {
		return roleNotGranted
	}
	return covered
}

func (n naive) conditions(g *grant, q Question) (list []code) {
	rank := map[string]int{"self": 1, "holder": 2, "platform": 3}
	if q.Now.Before(g.from) {
		list = append(list, grantNotYetValid)
	} else if !q.Now.Before(g.until) {
		list = append(list, grantExpired)
	}
	if q.Basis == "case" && rank[q.Attestation] < rank[g.Attestation] {
		list = append(list, attestationTooWeak)
	}
	if !q.Consent && (g.Consent || q.Basis == "consent") {
		list = append(list, consentMissing)
	}
	if q.Age > g.maxAge {
		list = append(list, tooStale)
	}
	if g.Trust != "" && !slices.Contains(q.Trust, g.Trust) {
		list = append(list, trustTooLow)
	}
	list = append(list, n.ofPerson(g.OperatorProof, g.OperatorRoles, q)...)
	if len(n.suspendsRule(g.ID, q.Now)) > 0 {
		list = append(list, suspended)
	}
	return list
}

// ofPerson is what a rule asks of the acting person and the question does not have.
func (n naive) ofPerson(proof string, roles []string, q Question) (list []code) {
	rank := map[string]int{"asserted": 1, "session": 2, "call": 3}
	if rank[q.OperatorProof] < rank[proof] {
		list = append(list, operatorProofWeak)
	}
	found := len(roles) == 0
	for _, r := range n.rolesOf(q) {
		found = found || slices.Contains(roles, r)
	}
	if !found {
		list = append(list, operatorRoleMissing)
	}
	return list
}

func (n naive) rolesOf(q Question) []string {
	if q.OperatorProof == "session" || q.OperatorProof == "call" {
		return q.OperatorRoles
	}
	return nil
}

// world is everything a guard may read, built whole.
func (n naive) world(q *Question, share Share, systemStopped, typeStopped bool) (types.EntityMap, cedar.Request) {
	var tags []types.Value
	for _, s := range n.systems {
		if s.ID == q.System {
			for _, t := range s.Tags {
				tags = append(tags, types.String(t))
			}
		}
	}
	provider := q.Provider
	if provider == "" {
		provider = share.Provider
	}
	principal := types.NewEntityUID("System", types.String(q.System))
	resource := types.NewEntityUID("LicenseType", types.String(q.LicenseType))
	attributes := types.RecordMap{"tags": types.NewSet(tags...), "suspended": types.Boolean(systemStopped)}
	if q.Department != "" {
		attributes["department"] = types.String(q.Department)
	}
	entities := types.EntityMap{
		principal: {UID: principal, Attributes: types.NewRecord(attributes)},
		resource: {UID: resource, Attributes: types.NewRecord(types.RecordMap{
			"share": types.Long(share.Attribute), "sensitive": types.Boolean(share.Sensitive),
			"provider": types.String(provider), "suspended": types.Boolean(typeStopped),
		})},
	}
	everything := contextReads{all: true}
	return entities, cedar.Request{
		Principal: principal, Action: types.NewEntityUID("Action", types.String(q.Operation)), Resource: resource,
		Context: everything.context(q),
	}
}

// fires evaluates one guard alone, whatever its scope.
func fires(g *guard, entities types.EntityMap, request cedar.Request) bool {
	_, diagnostic := cedar.Authorize(cedar.PolicyMap{cedar.PolicyID(g.id): g.policy}, entities, request)
	return len(diagnostic.Reasons)+len(diagnostic.Errors) > 0
}

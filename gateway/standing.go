package gateway

import (
	"cmp"
	"context"
	"encoding/base64"
	"slices"
	"strings"
	"time"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/canonical"
	"oncegate/cases"
	"oncegate/license"
	"oncegate/policy"
)

// readCase says how a case stands between checks (GET /v1/cases/{no}): for the system that registered it, without asking a source. Another
// system's case is as unknown as one that does not exist.
func (g *Gateway) readCase(ctx context.Context, c *call, _ struct{}) (*result, error) {
	own, err := g.registeredByCaller(ctx, c)
	if err != nil {
		return nil, err
	}
	may := c.may(c.row.right, own.Matter)
	use := caseUse(own, may.Rules)
	if !may.Allow {
		use.Decision = outcomeDenied
		return nil, refuseDenied(may).withUses(use)
	}
	s := g.newStandings(c)
	standing, err := s.of(ctx, own)
	if err != nil {
		return nil, err
	}
	uses := append([]audit.Use{use}, s.uses...)
	if !audit.Fits(audit.Draft{Uses: uses}) {
		use.Decision = outcomeDenied
		return nil, refuse("too-many-materials").withUses(use)
	}
	sum := cases.Sum(standing)
	answer := api.CaseReadAnswer{
		Rules: s.rules(may.Rules), Case: own.No, Matter: own.Matter, Attestation: api.Attestation(own.Attestation), Accepted: api.At(own.Accepted),
		Registered: api.At(own.Registered), Closed: closedAt(own), Revision: own.Revision, Materials: make([]api.CaseMaterial, len(standing)), Roles: []string{},
		Due: sum.Due, Overdue: sum.Overdue, Deadline: string(sum.Deadline),
	}
	for _, p := range own.Parts {
		answer.Parts = append(answer.Parts, p.Matter)
	}
	for _, p := range own.Parties {
		answer.Roles = append(answer.Roles, p.Role)
	}
	came, err := g.Cases.Representatives(ctx, own.No)
	if err != nil {
		return nil, err
	}
	for _, r := range came {
		answer.Representatives = append(answer.Representatives, api.CaseRepresentative{
			Kind: api.RepresentativeKind(r.Kind), At: api.At(r.At), Mandate: api.Mandate{Digest: r.Mandate, Until: string(r.Until)},
		})
	}
	for i, one := range standing {
		answer.Materials[i] = s.describe(one)
	}
	return &result{answer: answer, uses: uses, changes: s.changes}, nil
}

// registeredByCaller loads the case in the path for the system that registered it. Nobody else can tell whether there is such a case, nor
// why it is refused.
func (g *Gateway) registeredByCaller(ctx context.Context, c *call) (cases.Case, error) {
	no := c.path("no")
	found, known, err := g.caseNumbered(ctx, c, no)
	if err != nil {
		return found, err
	}
	u := &licenseUse{question: policy.Question{Operation: c.row.right, System: c.system.ID, Basis: policy.ByCase, Now: c.now}}
	switch {
	case !known:
		u.facts.Reasons = []cases.Reason{"case-unknown"}
	case found.Registrar != c.system.ID:
		u.facts = cases.Facts{Case: found.No, Revision: found.Revision, Registrar: found.Registrar, Reasons: []cases.Reason{"case-of-other-registrar"}}
		u.question.Matter = found.Matter
	default:
		return found, nil
	}
	return cases.Case{}, u.notUsable(c, callerOnlyUse(api.Purpose{Case: no}, "", license.HolderID{}))
}

func closedAt(k cases.Case) (at api.Time) {
	if !k.IsOpen() {
		at = api.At(k.Closed)
	}
	return at
}

// Cases of a page of a list.
const (
	casesPage  = 50
	mostCases  = 100
	mostLooked = 500 // cases that a page looks at for what is due
)

// listCases lists the caller's own cases with what is due (POST /v1/cases/list), and those that it handles, page by page in the order of their
// registration. A page looks at a bounded number of cases, however few of them are selected.
func (g *Gateway) listCases(ctx context.Context, c *call, q api.CasesRequest) (*result, error) {
	if q.Matter != "" && !c.config.matters[q.Matter] {
		return nil, refuse("unknown-matter").pointingAt("/matter", "unknown matter; catalog.matters lists them")
	}
	after, ok := placeOf(q.After)
	if !ok {
		return nil, refuse("invalid-field").pointingAt("/after", "not where a page ended")
	}
	c.note(map[string]any{"matter": q.Matter, "state": q.State, "due": q.Due, "handled": q.Handled})
	may := c.may(c.row.right, q.Matter)
	if !may.Allow {
		return nil, refuseDenied(may)
	}
	limit := min(cmp.Or(q.Limit, casesPage), mostCases)
	looked := limit
	if q.Due != "" { // few are selected
		looked = mostLooked
	}
	found, err := g.Cases.Registered(ctx, cases.Filter{
		Registrar: c.system.ID, Handled: q.Handled, Matter: q.Matter, Open: q.State == api.CasesRequestStateOpen, Closed: q.State == api.CasesRequestStateClosed, After: after, Limit: looked + 1,
	})
	if err != nil {
		return nil, err
	}
	answer := api.CasesAnswer{Cases: []api.CaseSummary{}}
	s := g.newStandings(c)
	var uses []audit.Use
	for i, own := range found {
		if i == looked || len(answer.Cases) == limit {
			answer.Next = placeText(found[i-1])
			break
		}
		s.uses = nil
		if handles, err := s.handles(ctx, own); err != nil {
			return nil, err
		} else if !handles {
			continue
		}
		standing, err := s.of(ctx, own)
		if err != nil {
			return nil, err
		}
		sum := cases.Sum(standing)
		if !selected(q.Due, sum) {
			continue
		}
		use := caseUse(own, may.Rules)
		use.Decision, use.Person = outcomeListed, applicant(own)
		if !audit.Fits(audit.Draft{Uses: append(uses, use)}) { // the next page begins with it
			answer.Next = placeText(found[i-1])
			break
		}
		uses = append(uses, use)
		answer.Cases = append(answer.Cases, api.CaseSummary{
			Case: own.No, Matter: own.Matter, Accepted: api.At(own.Accepted), Registered: api.At(own.Registered), Closed: closedAt(own), Revision: own.Revision,
			Own: own.Registrar == c.system.ID, Waiting: sum.Waiting, Due: sum.Due, Overdue: sum.Overdue, Deadline: string(sum.Deadline),
		})
	}
	answer.Rules = s.rules(may.Rules)
	return &result{answer: answer, uses: uses, changes: s.changes}, nil
}

// selected reports whether a case is one of those that are asked for by what is due.
func selected(due api.CasesRequestDue, sum cases.Summary) bool {
	switch due {
	case api.CasesRequestDueDue:
		return sum.Due > 0
	case api.CasesRequestDueOverdue:
		return sum.Overdue > 0
	case api.CasesRequestDueAwaited:
		return sum.Due+sum.Waiting > 0
	}
	return true
}

// handles reports whether a case is the caller's own, or one of another system that the caller may use and has worked on. What the list was found
// by is not trusted for that: the rows of the case say it.
func (s *standings) handles(ctx context.Context, k cases.Case) (bool, error) {
	me := s.c.system.ID
	switch {
	case k.Registrar == me:
		return true, nil
	case !k.IsOpen() || !s.c.entitledToCase(k):
		return false, nil
	}
	received, err := s.g.Cases.Received(ctx, k.No)
	if err != nil || slices.ContainsFunc(received, func(r cases.Received) bool { return r.By == me }) {
		return err == nil, err
	}
	states, err := s.g.Cases.States(ctx, k.No)
	return err == nil && slices.ContainsFunc(states, func(l cases.LastState) bool { return l.By == me }), err
}

// A place is written as the microseconds of its registration and its number, in base64url. Whoever makes one up sees only cases of their
// own behind it.
func placeText(k cases.Case) string {
	return base64.RawURLEncoding.EncodeToString([]byte(k.Registered.UTC().Format(placeLayout) + "/" + k.No))
}

const placeLayout = "2006-01-02T15:04:05.000000Z"

func placeOf(text string) (p cases.Place, ok bool) {
	if text == "" {
		return p, true
	}
	raw, err := canonical.ParseBase64(text)
	if err != nil {
		return p, false
	}
	at, no, ok := strings.Cut(string(raw), "/")
	if !ok || no == "" {
		return p, false
	}
	p.No = no
	p.Registered, err = time.Parse(placeLayout, at)
	return p, err == nil
}

// standings say how the materials of cases stand, for one caller in one call.
type standings struct {
	g       *Gateway
	c       *call
	decided map[materialQuestion]policy.Decision // of the license types of materials: one entry in the evidence for many cases
	uses    []audit.Use                          // of the cases looked at: what was told of whose license
	changes []any                                // preconditions: consents that must still stand when the call is recorded
}

// A materialQuestion is what the decision whether a state may be told depends on, besides the caller.
type materialQuestion struct {
	matter, material string
	filing           string // type of filed materials; "" for the license itself
	attestation      cases.Attestation
	consent          string // id of the one that covers it
}

func (g *Gateway) newStandings(c *call) *standings {
	return &standings{g: g, c: c, decided: map[materialQuestion]policy.Decision{}}
}

// of says how the materials of a case stand, each once. Of a closed case nothing is due.
func (s *standings) of(ctx context.Context, k cases.Case) ([]cases.Standing, error) {
	received, err := s.g.Cases.Received(ctx, k.No)
	if err != nil {
		return nil, err
	}
	states, err := s.g.Cases.States(ctx, k.No)
	if err != nil {
		return nil, err
	}
	open := k
	open.Closed = time.Time{} // how a material stood is told afterwards, too
	var all []cases.Standing
	plan := s.c.config.Book.Plan(open, s.c.system.ID)
	for i := 0; i < len(plan); {
		of := plan[i:]
		same := func(f cases.Facts) bool {
			return f.Matter.Code == of[0].Matter.Code && f.Material.Code == of[0].Material.Code
		}
		if n := slices.IndexFunc(of, func(f cases.Facts) bool { return !same(f) }); n >= 0 {
			of = of[:n]
		}
		i += len(of)
		standing, err := s.material(ctx, k, of, received, states)
		if err != nil {
			return nil, err
		}
		all = append(all, standing)
	}
	return all, nil
}

// material says how one material stands, of all parties that have it. That it is met tells that each of them has a license: so it is told
// only where it may be told of each.
func (s *standings) material(ctx context.Context, k cases.Case, parties []cases.Facts, received []cases.Received, states []cases.LastState) (cases.Standing, error) {
	allowed, reason := true, cases.Reason("")
	uses := make([]*licenseUse, len(parties))
	for i, f := range parties {
		u := s.c.plannedUse(f)
		u.question.Fields = []string{license.FieldStatus}
		uses[i] = u
		if !u.supported() {
			continue
		}
		if err := s.decide(ctx, u); err != nil {
			return cases.Standing{}, err
		}
		if !u.decision.Allow && allowed {
			allowed, reason = false, cases.Reason(firstReason(u.decision.Reasons))
		}
	}
	filed, err := s.filed(ctx, parties, states)
	if err != nil {
		return cases.Standing{}, err
	}
	if filed != nil {
		uses = filed
	}
	e := cases.Evidence{
		Facts: parties[0], Allowed: allowed, Reason: reason, Filed: filed != nil, Received: received, From: license.DateOf(k.Accepted), Day: license.DateOf(s.c.now),
	}
	standing := cases.Stand(e, states, s.c.config.Calendar)
	if !k.IsOpen() {
		standing.Due = nil
	}
	for _, u := range uses {
		if standing.Last == nil {
			break
		}
		u.outcome, u.fields = outcomeListed, []string{license.FieldStatus}
		s.uses = append(s.uses, u.recorded(s.c))
	}
	return standing, nil
}

// filed are the uses under which it may be told that a filed material stands in for one of every party; nil where it does not, or may not be told.
func (s *standings) filed(ctx context.Context, parties []cases.Facts, states []cases.LastState) ([]*licenseUse, error) {
	last, ok := cases.LastOf(states, parties[0].Matter.Code, parties[0].Material.Code)
	if !ok || last.State != cases.OnFile || parties[0].Material.Filing == "" {
		return nil, nil
	}
	uses := make([]*licenseUse, len(parties))
	for i, f := range parties {
		u := s.c.filingUse(s.c.plannedUse(f))
		u.question.Fields = []string{license.FieldStatus}
		uses[i] = u
		if !u.supported() {
			return nil, nil
		}
		if err := s.decide(ctx, u); err != nil || !u.decision.Allow {
			return nil, err
		}
	}
	return uses, nil
}

// filingType is the type of filed materials that a use is about; "" for a license.
func filingType(u *licenseUse) string {
	if u.question.LicenseType == u.facts.Material.Filing {
		return u.question.LicenseType
	}
	return ""
}

// decide asks whether how the license stands may be told. Questions that are alike are asked once, however many cases a page has.
func (s *standings) decide(ctx context.Context, u *licenseUse) error {
	c := s.c
	if c.config.Policy.AsksConsent(c.system.ID, u.question.LicenseType, u.question.Matter) {
		id, err := s.g.findConsent(ctx, c, u)
		if err != nil {
			return err
		}
		u.question.Consent, u.consent = id != "", id
	}
	key := materialQuestion{u.question.Matter, u.question.Material, filingType(u), u.facts.Attestation, u.consent}
	d, known := s.decided[key]
	if !known {
		d = c.evaluate(u)
		s.decided[key], u.input.Consent = d, u.consent
		if u.consent != "" && d.Allow {
			s.changes = append(s.changes, cases.StillGiven{ID: u.consent, At: c.now})
		}
	}
	u.decision = d
	return nil
}

// rules are those of all decisions of the call, each once.
func (s *standings) rules(first []string) []string {
	all := slices.Clone(first)
	for _, d := range s.decided {
		all = append(all, d.Rules...)
	}
	slices.Sort(all)
	return notNil(slices.Compact(all))
}

// describe says how a material stands as its registrar sees it.
func (s *standings) describe(one cases.Standing) api.CaseMaterial {
	matter, _ := s.c.config.Book.Matter(one.Matter)
	material, _ := matter.Material(one.Material)
	m := api.CaseMaterial{
		Matter: one.Matter, Material: one.Material, Name: material.Name, NameEn: material.NameEN, Need: int(one.Need), Role: one.Role, State: api.StandingState(one.State),
	}
	if one.Reason != "" {
		m.Reason = reason(string(one.Reason))
	}
	if one.Last != nil {
		m.Since = api.At(one.Last.At)
	}
	if one.Received != nil {
		m.Received = api.ReceivedMaterial{How: api.How(one.Received.How), Digest: one.Received.Digest, At: api.At(one.Received.At)}
	}
	if due := one.Due; due != nil {
		m.Due = api.Due{Kind: api.DueKind(due.Kind), Deadline: string(due.Deadline), Overdue: due.Overdue}
		if due.Deadline != "" && !due.Overdue {
			m.Due.WorkingDays = &due.Days
		}
	}
	return m
}

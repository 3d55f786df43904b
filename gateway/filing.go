package gateway

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/canonical"
	"oncegate/cases"
	"oncegate/certs/sm"
	"oncegate/license"
	"oncegate/policy"
)

// The outcomes of uses about filed materials, besides the state cases.OnFile.
const (
	outcomeFiled     = "filed"     // a window filed what it received
	outcomeWithdrawn = "withdrawn" // a filed material was withdrawn
)

// mostUnfiled is how many filings one call withdraws.
const mostUnfiled = 256

// file files a material that the window received and verified (材料存档, POST /v1/cases/{no}/filings): filing, file and record commit together.
func (g *Gateway) file(ctx context.Context, c *call, q api.FileRequest) (*result, error) {
	k, err := g.usableCase(ctx, c)
	if err != nil {
		return nil, err
	}
	if !k.IsOpen() {
		return nil, caseClosed(k)
	}
	f := cases.Filing{
		ID: g.filingID(), Case: k.No, Matter: cmp.Or(q.Matter, k.Matter), Material: q.Material, Holder: license.HolderID{Type: q.Holder.Type, Code: q.Holder.Code},
		Department: c.system.Department, System: c.system.ID, Verifier: c.principal.Person.ID, Proof: c.principal.Person.Proof,
		Verification: q.Verification, Digest: q.Digest, Media: string(q.Media), Filed: c.now, Until: license.Date(q.ValidUntil),
	}
	if f.Holder != (license.HolderID{}) {
		c.nameParties(f.Holder.Normal())
	}
	use := caseUse(k, nil)
	use.Decision = outcomeDenied
	switch {
	case !c.config.matters[f.Matter]:
		return nil, refuse("unknown-matter").pointingAt("/matter", "unknown matter; catalog.matters lists them").withUses(use)
	case !c.config.materials[f.Material]:
		return nil, refuse("unknown-material").pointingAt("/material", "unknown material; catalog.matters lists them").withUses(use)
	}
	matter, _ := c.config.Book.Matter(f.Matter)
	material, _ := matter.Material(f.Material)
	d, _ := c.decide(policy.Question{
		Operation: c.row.right, System: c.system.ID, Department: c.system.Department, LicenseType: material.Filing, Provider: c.system.Department,
		Matter: f.Matter, Material: f.Material, Role: material.HolderRole(), Attestation: string(k.AttestationFor(c.system.ID)), Basis: policy.ByCase, Now: c.now,
	})
	use.Matter, use.Material, use.LicenseType, use.Rules = f.Matter, f.Material, material.Filing, notNil(d.Rules)
	if !d.Allow {
		return nil, refuseDenied(d).withUses(use)
	}
	f, content, err := g.checkFiling(ctx, c, k, f, q.Content)
	if err != nil {
		return nil, refuseFiling(err, use)
	}
	use.Person, use.Decision = f.Holder, outcomeFiled
	// The body is not kept: the file must not outlive its own retention in the evidence.
	c.note(map[string]any{"verification": f.Verification, "level": f.Level, "digest": f.Digest, "media": f.Media, "size": f.Size, "valid_until": f.Until})
	known, err := g.Cases.Filings(ctx, f.Type, f.Holder, cases.MaxFilings)
	if err != nil {
		return nil, err
	}
	changes := []any{cases.StillOpen{No: k.No, Revision: k.Revision}, cases.File{Filing: f, Content: content, R: g.blinding()}}
	for _, was := range known { // the same again is answered alike
		if was.Case == f.Case && was.Matter == f.Matter && was.Material == f.Material && was.Digest == f.Digest && was.Department == f.Department &&
			was.Verification == f.Verification && was.Until == f.Until && c.config.Book.Usable(was, c.now) == nil {
			f, changes = was, []any{cases.StillFiled{ID: was.ID}}
			break
		}
	}
	answer := api.FileAnswer{
		Case: k.No, Matter: f.Matter, Material: f.Material, Filing: f.ID, FilingType: f.Type, Level: f.Level, Verification: f.Verification,
		ValidUntil: string(f.Until), KeptUntil: api.At(f.Keep), Rules: notNil(d.Rules),
	}
	return &result{answer: answer, uses: []audit.Use{use}, changes: changes}, nil
}

// filingID is a fresh id, which nobody can guess.
func (g *Gateway) filingID() string {
	var b [16]byte
	g.random(b[:])
	return "filed-" + base64.RawURLEncoding.EncodeToString(b[:])
}

// checkFiling reads the file and checks that it may be filed so.
func (g *Gateway) checkFiling(ctx context.Context, c *call, k cases.Case, f cases.Filing, encoded string) (cases.Filing, []byte, error) {
	content, err := canonical.ParseBase64(encoded)
	switch {
	case err != nil:
		return f, nil, cases.Flaws{{Path: "content", Reason: cases.BadFile}}
	case sm.DigestB64(content) != f.Digest:
		return f, nil, cases.Flaws{{Path: "digest", Reason: cases.BadDigest}}
	}
	received, err := g.Cases.Received(ctx, k.No)
	if err != nil {
		return f, nil, err
	}
	f, err = cases.CheckFiling(c.config.Book, k, f, received, content, []string{policy.ProofAsserted, policy.ProofSession, policy.ProofCall})
	return f, content, err
}

// refuseFiling refuses what may not be filed; that the case did not receive it has a code of its own, because something else must be done.
func refuseFiling(err error, use audit.Use) error {
	if errors.Is(err, cases.NotReceived) {
		return refuse("filing-not-received").withUses(use).withReasons(ofCase(cases.NotReceived))
	}
	refused := refuseFlaws("filing-invalid", err)
	if r := asRefusal(refused); r != nil {
		return r.withUses(use)
	}
	return refused
}

// unfile withdraws filed materials (POST /v1/filings/withdraw): one by the department that filed it, or all of a type on their holder's word.
// Uses of before stay valid; the files are erased with the record.
func (g *Gateway) unfile(ctx context.Context, c *call, q api.UnfileRequest) (*result, error) {
	if q.Filing == "" {
		return g.unfileOfHolder(ctx, c, q)
	}
	f, err := g.Cases.Filing(ctx, q.Filing)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, refuse("filing-not-usable").withReasons(ofCase(cases.FilingUnknown))
	case err != nil:
		return nil, err
	case f.Department != c.system.Department:
		return nil, refuse("filing-not-usable").withReasons(ofCase(cases.FilingOtherDepartment))
	}
	use := ownerUse(f.Type, outcomeWithdrawn, nil)
	use.Case, use.Matter, use.Material, use.Person = f.Case, f.Matter, f.Material, f.Holder
	answer, changes := c.unfileAll([]cases.Filing{f}, cases.WithdrawnByDepartment)
	return &result{answer: answer, uses: []audit.Use{use}, changes: changes}, nil
}

func (g *Gateway) unfileOfHolder(ctx context.Context, c *call, q api.UnfileRequest) (*result, error) {
	holder := license.HolderID{Type: q.Holder.Type, Code: q.Holder.Code}.Normal()
	if err := checkHolder(c, holder, "/holder"); err != nil {
		return nil, err
	}
	c.nameParties(holder)
	use := holderUse(holder, "", outcomeDenied)
	if _, ok := c.config.Book.FilingType(q.FilingType); !ok {
		return nil, refuse("invalid-field").pointingAt("/filing_type", "unknown type of filed materials; catalog.matters lists them").withUses(use)
	}
	use.LicenseType = q.FilingType
	asserted, err := g.verifyAssertion(c, q.Assertion, assertionBinding{"filing-withdrawal", q.FilingType, holder, c.system.ID})
	if err != nil {
		return nil, refuse("assertion-invalid").withUses(use).withReasons(evidenceReason("assertion", err))
	}
	if err := g.checkUnspent(ctx, q.Assertion, use); err != nil {
		return nil, err
	}
	all, err := g.Cases.Filings(ctx, q.FilingType, holder, mostUnfiled)
	if err != nil {
		return nil, err
	}
	use.Decision = outcomeWithdrawn
	answer, changes := c.unfileAll(all, cases.WithdrawnByHolder)
	return &result{answer: answer, uses: []audit.Use{use}, changes: append(changes, g.spendAssertion(c, q.Assertion, asserted))}, nil
}

// unfileAll withdraws filings that stand; the others are answered as they are.
func (c *call) unfileAll(all []cases.Filing, by string) (answer api.UnfileAnswer, changes []any) {
	answer.Filings = []api.Unfiled{}
	for _, f := range all {
		if f.Withdrawn.IsZero() {
			f.Withdrawn = c.now
			changes = append(changes, cases.Unfile{ID: f.ID, By: by, At: c.now})
		}
		answer.Filings = append(answer.Filings, api.Unfiled{Filing: f.ID, FilingType: f.Type, Withdrawn: api.At(f.Withdrawn)})
	}
	return answer, changes
}

// A fileWish is what a check was asked about one material's file.
type fileWish struct {
	wanted bool
	filing string // the one that is meant; "" for the newest that can be used
}

// filingUse is the question whether a filed material may stand in for a use's license. Of which department and how trusted it is, is not known
// yet: the question is the one that a filing of any department and the strongest level would give. What filing it is stands in the decisions
// that follow.
func (c *call) filingUse(u *licenseUse) *licenseUse {
	q := u.question
	q.LicenseType, q.Provider, q.Consent, q.Trust = u.facts.Material.Filing, "", false, c.config.Book.TrustLevels()
	return &licenseUse{facts: u.facts.FilingFacts(), question: q, ask: license.Question{Type: q.LicenseType, Holder: u.ask.Holder}}
}

// planFilings attaches the questions about filed materials to the uses that no source can answer, unless the window received the material
// itself. Where a source can be asked, it is asked first.
func (c *call) planFilings(wanted []*licenseUse, received []cases.Received) {
	for _, u := range wanted {
		e := cases.Evidence{Facts: u.facts, Received: received}
		if u.facts.Material.Filing != "" && !u.facts.Material.FromSource() && !e.CoveredForGood() {
			u.filing = c.filingUse(u)
		}
	}
}

// withFilings are uses with the questions about filed materials that are attached to them.
func withFilings(wanted []*licenseUse) (all []*licenseUse) {
	all = slices.Clone(wanted)
	for _, u := range wanted {
		if u.filing != nil {
			all = append(all, u.filing)
		}
	}
	return all
}

// wantFiles notes of which materials the filed file is wanted. It returns the place of the first that is not among the uses.
func wantFiles(wanted []*licenseUse, files []api.FileWanted) (at int, ok bool) {
	for i, f := range files {
		found := false
		for _, u := range wanted {
			if u.facts.Material.Code == f.Material && (f.Matter == "" || u.facts.Matter.Code == f.Matter) {
				u.file, found = fileWish{true, f.Filing}, true
			}
		}
		if !found {
			return i, false
		}
	}
	return 0, true
}

// checkNamed refuses a check that names a filing which is not one of the type of the party in the material's role: before any source is asked,
// and without telling whether there is such a filing. Who may not use filed materials for this purpose at all is told that later, and nothing
// of the filing is looked at.
func (g *Gateway) checkNamed(ctx context.Context, c *call, k cases.Case, wanted []*licenseUse) error {
	for _, u := range wanted {
		if u.file.filing == "" || u.facts.Material.Filing == "" {
			continue
		}
		asked := c.filingUse(u)
		if err := g.decide(ctx, c, []*licenseUse{asked}); err != nil {
			return err
		}
		if !asked.supported() || !asked.decision.Allow {
			continue
		}
		f, err := g.Cases.Filing(ctx, u.file.filing)
		var why cases.Reason
		switch {
		case errors.Is(err, fs.ErrNotExist):
			why = cases.FilingUnknown
		case err != nil:
			return err
		case f.Holder.Normal() != u.ask.Holder:
			why = cases.FilingOtherHolder
		case f.Type != u.facts.Material.Filing:
			why = cases.FilingOtherType
		default:
			continue
		}
		asked.facts.Reasons = append(asked.facts.Reasons, why)
		return asked.notUsable(c, callerOnlyUse(api.Purpose{Case: k.No}, "", license.HolderID{}))
	}
	return nil
}

// filed looks for a filed material that stands in for a use whose source does not answer. It completes the judgement, or says why what is on
// file cannot be used; a caller to whom no grant gives filed materials for this purpose learns nothing of what there is.
func (a *attempt) filed(ctx context.Context, u *licenseUse, j cases.Judgement, m *api.CheckedMaterial) (cases.Judgement, error) {
	c, asked := a.c, u.filing
	if asked == nil { // its source was asked and is down; the role is confirmed
		asked = c.filingUse(u)
		asked.confirm, asked.role = u.confirm, u.role
		if err := a.g.decide(ctx, c, []*licenseUse{asked}); err != nil {
			return j, err
		}
		u.filing = asked
	}
	switch {
	case !asked.supported():
		return j, nil
	case !asked.decision.Allow:
		m.Unfiled = reason(string(cases.FilingNotGranted))
		return j, nil
	case asked.role != nil:
		m.Unfiled = reason(reasonCode(asked.role))
		return j, nil
	}
	found, err := a.g.filings(ctx, u)
	if err != nil {
		return j, err
	}
	var why cases.Reason
	for _, f := range found {
		err := a.useFiling(ctx, asked, u.file.wanted, f, m)
		if err == nil {
			j = j.WithFiling()
			asked.outcome = string(j.State)
			asked.judged = &judgedInput{State: j.State, Record: -1, Day: license.DateOf(c.now), Filing: f.ID}
			a.changes = append(a.changes, cases.StillFiled{ID: f.ID})
			return j, nil
		}
		if cases.ReasonOf(err) == "" {
			return j, err
		}
		why = cmp.Or(why, cases.ReasonOf(err)) // of several, the newest says why
	}
	if why != "" {
		m.Unfiled = reason(string(why))
		u.judged.Unfiled = why
	}
	return j, nil
}

// filings are the filed materials that may stand in for a use, newest first.
func (g *Gateway) filings(ctx context.Context, u *licenseUse) ([]cases.Filing, error) {
	if u.file.filing == "" {
		return g.Cases.Filings(ctx, u.facts.Material.Filing, u.ask.Holder, cases.MaxFilings)
	}
	f, err := g.Cases.Filing(ctx, u.file.filing) // whose it is was checked
	return []cases.Filing{f}, err
}

// useFiling decides whether one filing can be used, and describes it as far as the grants let it be told. The error is a cases.Reason where it
// cannot.
func (a *attempt) useFiling(ctx context.Context, asked *licenseUse, file bool, f cases.Filing, m *api.CheckedMaterial) error {
	c := a.c
	if err := c.config.Book.Usable(f, c.now); err != nil {
		return err
	}
	one := *asked
	one.question.Provider, one.question.Trust = f.Department, c.config.Book.Reaches(f.Level)
	if one.decision = c.evaluate(&one); !one.decision.Allow {
		if slices.ContainsFunc(one.decision.Reasons, func(r policy.Reason) bool { return r.Code == policy.TrustTooLow }) {
			return cases.FilingBelowLevel
		}
		return cases.FilingNotGranted
	}
	told := func(field, value string) string {
		if !slices.Contains(one.decision.Fields, field) {
			return ""
		}
		one.released(field)
		return value
	}
	one.released(license.FieldStatus)
	out := api.FiledMaterial{
		Filing: f.ID, FilingType: f.Type, Level: told(cases.FieldLevel, f.Level), Verification: told(cases.FieldVerification, f.Verification),
		Department: told(cases.FieldDepartment, f.Department), FiledOn: told(cases.FieldFiledOn, string(license.DateOf(f.Filed))), ValidUntil: told(cases.FieldUntil, string(f.Until)),
	}
	if out.VerifiedBy = told(cases.FieldVerifiedBy, f.Verifier); out.VerifiedBy != "" {
		out.VerifiedByProof = api.FiledMaterialVerifiedByProof(f.Proof)
	}
	out.Watermark = c.filingWatermark(&one, out)
	m.Unfiled = api.Reason{}
	switch {
	case !file:
	case !slices.Contains(one.decision.Fields, cases.FieldFile):
		m.Unfiled = reason("filing-file-not-granted")
	default:
		content, err := a.g.Cases.FiledFile(ctx, f.ID)
		if errors.Is(err, fs.ErrNotExist) { // erased since
			return cases.FilingErased
		}
		if err != nil {
			return err
		}
		if sm.DigestB64(content) != f.Digest {
			return fmt.Errorf("%w: filed_files: a file is not the one that was filed", audit.ErrTables)
		}
		one.released(cases.FieldFile)
		out.File = api.FiledFile{MediaType: api.FileMedia(f.Media), Content: base64.RawURLEncoding.EncodeToString(content), SM3: f.Digest}
	}
	*asked, m.Filed = one, out
	asked.filedAt = f.Filed
	return nil
}

// ownFiling gives back the file of a material that the caller's department received, verified and filed in this very case, for the case's own file
// (归档). The permission by which it was filed lets it leave; the record says that it did.
func (a *attempt) ownFiling(ctx context.Context, u *licenseUse, m *api.CheckedMaterial) error {
	c, asked := a.c, a.c.filingUse(u)
	asked.question.Operation, asked.question.Provider, asked.question.Trust, asked.question.Purpose, asked.question.Consent = "cases.file", c.system.Department, nil, "", false
	asked.decision, asked.input = c.decide(asked.question)
	if !asked.decision.Allow {
		m.Unfiled = reason("filing-file-not-granted")
		return nil
	}
	found, err := a.g.Cases.Filings(ctx, u.facts.Material.Filing, u.ask.Holder, cases.MaxFilings)
	if err != nil {
		return err
	}
	for _, f := range found {
		if f.Case != u.facts.Case || f.Matter != u.facts.Matter.Code || f.Material != u.facts.Material.Code || f.Department != c.system.Department ||
			u.file.filing != "" && u.file.filing != f.ID || !f.Withdrawn.IsZero() {
			continue
		}
		content, err := a.g.Cases.FiledFile(ctx, f.ID)
		if errors.Is(err, fs.ErrNotExist) {
			m.Unfiled = reason(string(cases.FilingErased))
			return nil
		}
		if err != nil {
			return err
		}
		if sm.DigestB64(content) != f.Digest {
			return fmt.Errorf("%w: filed_files: a file is not the one that was filed", audit.ErrTables)
		}
		asked.outcome, asked.filedAt = outcomeRelease, f.Filed
		asked.released(cases.FieldFile)
		u.ownFile = asked
		m.Filed = api.FiledMaterial{
			Filing: f.ID, FilingType: f.Type, Level: f.Level, Verification: f.Verification, Department: f.Department, FiledOn: string(license.DateOf(f.Filed)), ValidUntil: string(f.Until),
			File: api.FiledFile{MediaType: api.FileMedia(f.Media), Content: base64.RawURLEncoding.EncodeToString(content), SM3: f.Digest},
		}
		m.Filed.Watermark = c.filingWatermark(asked, m.Filed)
		a.changes = append(a.changes, cases.StillFiled{ID: f.ID})
		return nil
	}
	return nil
}

// filingWatermark is the watermark of what was filed (国办函〔2016〕108号): from whom, for whom and what, and until when.
func (c *call) filingWatermark(u *licenseUse, f api.FiledMaterial) api.Watermark {
	from, by := "", ""
	if f.Department != "" {
		name := cmp.Or(c.config.Departments[f.Department], f.Department)
		from, by = "由"+name+"提供，", "Provided by "+name+". "
	}
	until, end := "", ""
	if f.ValidUntil != "" {
		until, end = "，有效期至"+f.ValidUntil, ", until "+f.ValidUntil
	}
	matter, user := u.facts.Matter, cmp.Or(c.config.Departments[c.system.Department], c.system.Name, c.system.ID)
	return api.Watermark{
		Zh: clip(fmt.Sprintf("%s仅限%s用于办理“%s”（办件%s）%s。", from, user, matter.Name, u.facts.Case, until), 1024),
		En: clip(fmt.Sprintf("%sFor %s, for %s (case %s) only%s.", by, user, cmp.Or(matter.NameEN, matter.Name), u.facts.Case, end), 1024),
	}
}

// recordedUses are the uses that the record of a check states: for each material one, that of the filed material where one stands in. Sources that
// were asked before it stand first.
func recordedUses(wanted []*licenseUse) (all []*licenseUse) {
	last := slices.Clone(wanted)
	for i, u := range wanted {
		if u.ownFile != nil {
			all = append(all, u.ownFile)
		}
		if u.filing == nil || u.filing.outcome != string(cases.OnFile) {
			continue
		}
		if last[i] = u.filing; u.finding.State != "" {
			all = append(all, u)
		}
	}
	return append(all, last...)
}

package console

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"oncegate/api"
	"oncegate/cases"
	"oncegate/gateway"
	"oncegate/license"
	"oncegate/policy"
)

// windowRoutes are the pages of the window clerk.
func (c *Console) windowRoutes() []route {
	return []route{
		{pattern: "GET /console/window", page: "ask", serve: c.askEmpty},
		{pattern: "POST /console/window", page: "ask", operations: []string{"cases.register", "cases.represent", "cases.check"}, serve: c.ask},
		{pattern: "GET /console/window/{id}", page: "result", serve: c.result},
		{pattern: "POST /console/window/{id}/again", operations: []string{"cases.check"}, serve: c.checkAgain},
		{pattern: "GET /console/window/{id}/receive/{matter}/{material}", page: "receive", serve: c.receiveForm},
		{pattern: "POST /console/window/{id}/receive/{matter}/{material}", page: "receive", operations: []string{"cases.materials"}, serve: c.receive},
		{pattern: "GET /console/window/{id}/notice", page: "notice", serve: c.noticePaper},
		{pattern: "GET /console/window/{id}/promise/{matter}/{material}", page: "promise", serve: c.promisePaper},
		{pattern: "POST /console/due", operations: []string{"cases.list"}, serve: c.listDue},
		{pattern: "GET /console/due/{id}", page: "due", serve: c.due},
		{pattern: "GET /console/verify", page: "verify", serve: c.verifyEmpty},
		{pattern: "POST /console/verify", operations: []string{"licenses.verify"}, serve: c.verify},
		{pattern: "GET /console/verify/{id}", page: "verified", serve: c.verified},
	}
}

// Who comes.
const whoSelf = "self"

// asking is what the form of 查材料 holds, typed or brought along.
type asking struct {
	No         string            `json:"no,omitzero"`        // of a case that the acceptance platform registered; empty: the hall registers one
	Matter     string            `json:"matter,omitzero"`    // of the case that the hall registers
	Applicant  string            `json:"applicant,omitzero"` // code, as typed
	Type       string            `json:"type,omitzero"`      // of the applicant's code, where its form does not tell
	Roles      map[string]string `json:"roles,omitzero"`     // codes of other parties, as typed
	Who        string            `json:"who,omitzero"`       // whoSelf, or a kind of representative
	Person     string            `json:"person,omitzero"`    // the representative's code
	Mandate    string            `json:"mandate,omitzero"`   // digest of the power of attorney
	File       string            `json:"file,omitzero"`      // name of its file
	Unreadable bool              `json:"-"`                  // the file is nothing that a window may receive
	Until      string            `json:"until,omitzero"`     // last day of the mandate
	Registers  string            `json:"registers,omitzero"` // number of the case that the hall registers
	Vouched    bool              `json:"vouched,omitzero"`   // the holder's code vouches for that case: it is attested by the holder
}

// number is the case's.
func (a asking) number() string { return cmp.Or(a.No, a.Registers) }

// A counterCase is what the window keeps of one case until the end of the day: what was asked, and what came back.
type counterCase struct {
	ID       string           `json:"id"`
	Began    time.Time        `json:"began"`
	Pending  bool             `json:"pending,omitzero"` // the call is under way
	Ask      asking           `json:"ask"`
	Answer   *api.CheckAnswer `json:"answer,omitzero"` // without licenses and documents; nil: refused, or under way
	Record   uint64           `json:"record,omitzero"`
	Recorded bool             `json:"recorded,omitzero"`
	Refused  *refusedCall     `json:"refused,omitzero"` // the call that was refused, and why
	Received []receivedNote   `json:"received,omitzero"`
	Receipts []jsontext.Value `json:"receipts,omitzero"` // of its calls, for the case's file

	// Of the second check, which asks for what was late; read from where it is kept.
	Awaited       bool   `json:"-"` // it is under way
	Later         uint64 `json:"-"` // its record
	LaterRecorded bool   `json:"-"`
}

// A refusedCall is a call that was refused.
type refusedCall struct {
	Operation string   `json:"operation"`
	Code      string   `json:"code"`
	Zh        string   `json:"zh"`
	Advice    string   `json:"advice"`
	Places    []string `json:"places,omitzero"` // pointers into its body
	En        string   `json:"en"`
	AdviceEn  string   `json:"advice_en"`
}

// A receivedNote is what the window received after the check.
type receivedNote struct {
	Matter   string           `json:"matter"`
	Material string           `json:"material"`
	How      string           `json:"how"`
	Deadline license.Date     `json:"deadline,omitzero"`
	At       time.Time        `json:"at"`
	Filed    license.Date     `json:"filed,omitzero"`   // last day on which later cases may use it
	Unfiled  string           `json:"unfiled,omitzero"` // why it was not filed
	Receipts []jsontext.Value `json:"receipts,omitzero"`
}

// A choice is an option of a form.
type choice struct {
	Value, Name string
	Chosen      bool
}

// An askPage is 查材料.
type askPage struct {
	Once       string
	At         string // the field that had the focus
	Ask        asking
	Vouched    string // masked code of the holder whose own code was scanned; "": what is typed is the clerk\'s word
	Matter     string // name of the one that was chosen
	Scan       field
	Applicant  field
	Parties    []field
	Person     field
	File       field
	Until      field
	Who        []choice
	Usual, All []choice
	Types      []choice // of the applicant's code
	Open       []string // materials that a case of this hall's own can get
	Closed     []string // those that must be received
	Told       []string // departments that will be asked
	Fault      string   // of the whole
	Do         string
	Number     string
	Ready      bool // the focus is on the button
}

func (askPage) title() string    { return "查材料" }
func (p askPage) record() string { return p.Number }
func (askPage) atWindow() bool   { return true }

func (c *Console) askEmpty(v *visit) error {
	return v.showAsk(asking{}, map[string]string{}, "scan", nil, "")
}

// ask is the form: it keeps what was typed, says what is wrong under each field and puts the focus into the next empty one. When nothing
// is missing, it calls.
func (c *Console) ask(v *visit) error {
	f, err := v.form("", 0)
	if err != nil {
		return err
	}
	a := v.asked(f)
	faults := map[string]string{}
	v.scanned(f, &a, faults)
	at := f.Get("at")
	focus := a.next(v, at, faults)
	once := f.Get("once")
	if focus != "" || len(faults) > 0 || !onceID.MatchString(once) {
		return v.showAsk(a, faults, cmp.Or(focus, "scan"), nil, f.code("scan"))
	}
	if a.No == "" && a.Registers == "" {
		a.Registers = v.newNumber(once)
	}
	return v.callFor(once, a, nil)
}

// asked reads the form's fields.
func (v *visit) asked(f *form) asking {
	a := asking{
		No: f.code("no"), Matter: f.Get("matter"), Applicant: f.code("applicant"), Type: f.Get("type"), Who: cmp.Or(f.Get("who"), whoSelf), Person: f.code("person"),
		Mandate: f.Get("mandate"), File: shortName(f.Get("filename")), Until: f.text("until"), Roles: map[string]string{},
	}
	if m, ok := v.snapshot.Book.Matter(a.Matter); ok {
		for _, r := range v.rolesOf(m) {
			if code := f.code("role." + r.Name); code != "" {
				a.Roles[r.Name] = code
			}
		}
	} else {
		a.Matter = ""
	}
	if !caseNumber.MatchString(a.No) {
		a.No = ""
	}
	if a.No != "" {
		a.Matter = ""
	}
	if scan, ok := f.files["scanned"]; ok {
		a.Mandate, a.File, a.Unreadable = scan.Digest, scan.Name, scan.Media == ""
	}
	v.vouched(&a, f.code("registers"))
	if raw, err := base64.RawURLEncoding.DecodeString(a.Mandate); err != nil || len(raw) != 32 {
		a.Mandate, a.File = "", ""
	}
	return a
}

// scanned takes what stands in the one field for scanners: the number of a case, a personal number, or a code that the resolver knows.
func (v *visit) scanned(f *form, a *asking, faults map[string]string) {
	text := f.code("scan")
	switch {
	case text == "":
		return
	case looksPersonal(text):
		if _, fault := v.holderOf("", text); fault != "" {
			faults["scan"] = fault
			return
		}
		a.Applicant = text
		return
	}
	number := v.newNumber(f.Get("once"))
	found, err := v.console.Codes().Resolve(v.r.Context(), text, v.Hall, number)
	switch {
	case err == nil && found.Case != "" && caseNumber.MatchString(found.Case):
		a.No, a.Matter = found.Case, ""
		return
	case err == nil && found.Holder != "":
		a.Applicant, a.Type = license.NormalCode(found.Holder), ""
		if found.Type != typeResident && found.Type != typeUSCC {
			a.Type = found.Type
		}
		a.Registers, a.Vouched = "", false
		if found.Assertion != "" {
			if fault := v.vouch(a, number, found.Assertion); fault != "" {
				faults["scan"] = fault
			}
		}
		return
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		faults["scan"] = "读码服务暂时没有应答。请再扫一次，或输入受理单上的办件编号。"
		return
	}
	if caseNumber.MatchString(text) {
		a.No, a.Matter = text, ""
		return
	}
	faults["scan"] = "这个码认不出来。请扫受理单、身份码或电子营业执照，或输入办件编号。"
}

// next finds what is wrong or missing: the name of the field that gets the focus, "" if nothing is and the call may be made. An empty field
// that need not be filled gets the focus once.
func (a *asking) next(v *visit, at string, faults map[string]string) string {
	if len(faults) > 0 {
		return "scan"
	}
	if a.No == "" && a.Matter == "" {
		if a.Applicant != "" {
			return "matter"
		}
		if at == "scan" {
			faults["scan"] = "请扫码，或输入办件编号；没有码，请在下面选事项。"
		}
		return "scan"
	}
	order := a.order(v)
	visited := slices.Index(order, at)
	first := ""
	for i, name := range order {
		value, required := a.value(name)
		switch {
		case value != "":
			if fault := a.check(v, name, value); fault != "" {
				faults[name] = fault
				first = cmp.Or(first, name)
			}
		case required && i <= visited:
			faults[name] = a.missing(name)
			first = cmp.Or(first, name)
		case required || i > visited && name != "until":
			first = cmp.Or(first, name)
		}
	}
	if first == "" && !a.confirmed(at) {
		return "go"
	}
	return first
}

// confirmed reports whether the form was shown whole before: who only scanned sees first what will be asked.
func (a *asking) confirmed(at string) bool { return at != "" && at != "scan" && at != "matter" }

// order are the fields that the form has besides the number, in its order.
func (a *asking) order(v *visit) (names []string) {
	if m, ok := v.snapshot.Book.Matter(a.Matter); ok && a.No == "" {
		names = append(names, "applicant")
		for _, r := range v.rolesOf(m) {
			names = append(names, "role."+r.Name)
		}
	}
	if a.Who != whoSelf {
		names = append(names, "person")
		if a.Who != cases.Guardian {
			names = append(names, "scanned", "until")
		}
	}
	return names
}

func (a *asking) value(name string) (value string, required bool) {
	switch role, isRole := strings.CutPrefix(name, "role."); {
	case isRole:
		return a.Roles[role], false
	case name == "applicant":
		return a.Applicant, true
	case name == "person":
		return a.Person, true
	case name == "scanned":
		return a.Mandate, true
	}
	return a.Until, false
}

func (a *asking) missing(name string) string {
	switch name {
	case "applicant":
		return "请输入申请人的证件号码。"
	case "person":
		return "请输入来办的人的身份证号。"
	}
	return "请上传委托书的扫描件。"
}

// check judges a field before any call: above all check characters.
func (a *asking) check(v *visit, name, value string) string {
	switch {
	case name == "scanned" && a.Unreadable:
		a.Mandate, a.File = "", ""
		return wrongFile
	case name == "scanned":
		return ""
	case name == "until":
		d, err := license.ParseDate(value)
		switch {
		case err != nil:
			return "日期请写成 2026-12-31。"
		case d.Before(license.DateOf(v.now)):
			return "委托书已经过期。"
		}
		a.Until = string(d)
		return ""
	}
	chosen := ""
	if name == "applicant" {
		chosen = a.Type
	}
	_, fault := v.holderOf(chosen, value)
	return fault
}

// rolesOf are the roles of a matter besides the applicant; of a chain those of its parts, each once.
func (v *visit) rolesOf(m cases.Matter) (all []cases.Role) {
	for _, code := range append([]string{m.Code}, m.Chain...) {
		part, _ := v.snapshot.Book.Matter(code)
		for _, r := range part.Roles {
			if !slices.ContainsFunc(all, func(k cases.Role) bool { return k.Name == r.Name }) {
				all = append(all, r)
			}
		}
	}
	return all
}

// showAsk shows the form.
func (v *visit) showAsk(a asking, faults map[string]string, focus string, refused *counterCase, scanned string) error {
	p := askPage{
		Once: v.once(), At: focus, Ask: a, Ready: focus == "go",
		Scan: newField("scan", "扫一下", "受理单条码、身份码或电子营业执照；也可以输入办件编号", "", faults["scan"], focus),
	}
	if p.Scan.Error != "" {
		p.Scan.Value = scanned
	}
	p.Scan.Wide = true
	if a.Vouched {
		p.Vouched = license.MaskCode(a.Applicant)
	}
	for _, w := range []choice{{Value: whoSelf, Name: "本人"}, {Value: cases.Handler, Name: "经办人"}, {Value: cases.Agent, Name: "代理人"}, {Value: cases.Guardian, Name: "监护人"}} {
		w.Chosen = w.Value == cmp.Or(a.Who, whoSelf)
		p.Who = append(p.Who, w)
	}
	p.Person = newField("person", "来办的人的身份证号", "", a.Person, faults["person"], focus)
	p.File = newField("scanned", "委托书（已核原件，扫描上传）", "", a.File, faults["scanned"], focus)
	p.Until = newField("until", "委托到哪天为止（不填：到撤回为止）", "例如 2026-12-31", a.Until, faults["until"], focus)
	m, chosen := v.snapshot.Book.Matter(a.Matter)
	if chosen {
		p.Matter = m.Name
		p.Applicant = newField("applicant", "申请人证件号码", "身份证号或统一社会信用代码", a.Applicant, faults["applicant"], focus)
		for _, r := range v.rolesOf(m) {
			one := newField("role."+r.Name, r.Title+"证件号码", "没有就不填，"+r.Title+"的材料改为收取", a.Roles[r.Name], faults["role."+r.Name], focus)
			p.Parties = append(p.Parties, one)
		}
		for _, t := range v.snapshot.Catalogue.HolderCodes {
			if t.Code != typeUSCC && t.Code != typeResident {
				p.Types = append(p.Types, choice{t.Code, t.Name, t.Code == a.Type})
			}
		}
		p.Open, p.Closed, p.Told = v.outlook(m, a.attestation())
	}
	for _, code := range v.hall.Matters {
		if m, ok := v.snapshot.Book.Matter(code); ok {
			p.Usual = append(p.Usual, choice{Value: code, Name: m.Name})
		}
	}
	for _, m := range v.snapshot.Book.Matters {
		if !slices.Contains(v.hall.Matters, m.Code) && v.handles(m) {
			p.All = append(p.All, choice{Value: m.Code, Name: m.Name})
		}
	}
	if refused != nil {
		v.explain(&p, refused)
	}
	return v.render(200, "ask", p)
}

// handles reports whether the hall has to do with a matter: some rule names both.
func (v *visit) handles(m cases.Matter) bool {
	return slices.ContainsFunc(append([]string{m.Code}, m.Chain...), func(code string) bool { return v.snapshot.Policy.Names(v.Hall, code, v.now) })
}

// outlook says by the rules alone which materials a case of the hall's own registration can get: no source is asked and nothing is told of
// anybody. told are the departments that will be asked.
func (v *visit) outlook(m cases.Matter, attested cases.Attestation) (open, closed, told []string) {
	for _, code := range append([]string{m.Code}, m.Chain...) {
		part, _ := v.snapshot.Book.Matter(code)
		for _, material := range part.Materials {
			if !v.wouldGet(part, material, attested) {
				closed = append(closed, material.Name)
				continue
			}
			open = append(open, material.Name)
			if name := v.department(v.provider(material.LicenseType)); !slices.Contains(told, name) {
				told = append(told, name)
			}
		}
	}
	return unique(open), unique(closed), told
}

func unique(names []string) (out []string) {
	for _, n := range names {
		if !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}

// wouldGet reports whether the rules let the hall get a material of a case that is attested so, where nobody has consented.
func (v *visit) wouldGet(m cases.Matter, material cases.Material, attested cases.Attestation) bool {
	if !material.FromSource() {
		return false
	}
	q := policy.Question{
		Operation: "cases.check", System: v.Hall, Department: v.snapshot.Systems[v.Hall].Department, LicenseType: material.LicenseType,
		Provider: v.provider(material.LicenseType), Matter: m.Code, Material: material.Code, Role: material.HolderRole(), Attestation: string(attested),
		Basis: policy.ByCase, Purpose: policy.Answer, OperatorProof: v.Person.Proof, OperatorRoles: v.Person.Roles, Now: v.now,
	}
	if !v.snapshot.Policy.Decide(q).Allow {
		return false
	}
	role, needs := m.Role(material.HolderRole())
	if !needs {
		return true
	}
	proof, _ := m.Material(role.ConfirmedBy.Material)
	q.LicenseType, q.Provider, q.Material, q.Role = proof.LicenseType, v.provider(proof.LicenseType), proof.Code, proof.HolderRole()
	q.Purpose, q.Fields = policy.Confirm, []string{role.ConfirmedBy.Field}
	d := v.snapshot.Policy.Decide(q)
	return d.Allow && slices.Contains(d.Fields, role.ConfirmedBy.Field)
}

// provider is the department whose source has a license type.
func (v *visit) provider(licenseType string) string {
	id := v.snapshot.Serves[licenseType]
	for _, s := range v.snapshot.Sources {
		if s.ID == id {
			return s.Department
		}
	}
	return ""
}

// department is the name of a department as people at a counter say it: without the city in front.
func (v *visit) department(id string) string {
	name := v.snapshot.Departments[id]
	if name == "" {
		return "有关部门"
	}
	for _, unit := range []string{"市", "县", "区"} {
		if at := strings.Index(name, unit); at > 0 && at+len(unit) < len(name) && strings.HasSuffix(name, "局") {
			return name[at+len(unit):]
		}
	}
	return name
}

// departmentOfSource is the name of the department whose system a source is.
func (v *visit) departmentOfSource(source string) string {
	for _, s := range v.snapshot.Sources {
		if s.ID == source {
			return v.department(s.Department)
		}
	}
	return ""
}

// newNumber is the number of a case that the hall registers: its prefix, the day, and the form's one-time id, so that the same form sent
// twice registers one case.
func (v *visit) newNumber(once string) string {
	sum := v.console.NewSM3()
	_, _ = sum.Write([]byte(v.FormToken + once))
	digest := sum.Sum(nil)
	serial := (uint64(digest[0])<<24 | uint64(digest[1])<<16 | uint64(digest[2])<<8 | uint64(digest[3])) % 100_000_000
	return sprint("%s-%s-%08d", cmp.Or(v.hall.Prefix, "CK"), v.now.In(license.Shanghai()).Format("20060102"), serial)
}

// callFor makes the calls of a form and leads to the page that shows what came of them. got is what was received before.
func (v *visit) callFor(once string, a asking, got []receivedNote) error {
	began := counterCase{ID: once, Began: v.now, Pending: true, Ask: a, Received: got}
	err := v.run(once, began, func(ctx context.Context) any {
		done := began
		done.Pending = false
		v.calls(ctx, &done)
		if done.Answer != nil {
			v.checkLate(done)
		}
		return done
	})
	if err != nil {
		return err
	}
	v.redirect("/console/window/" + once)
	return nil
}

// calls registers the case where the hall does, says who comes, and checks: each is one operation and one record. The first refusal ends it.
func (v *visit) calls(ctx context.Context, k *counterCase) {
	began, a := time.Now(), k.Ask
	if a.No == "" && !v.call(ctx, k, "r", "cases.register", nil, v.registration(a), nil) {
		return
	}
	path := map[string]string{"no": a.number()}
	if a.Who != whoSelf && a.Who != "" && !v.call(ctx, k, "p", "cases.represent", path, v.representative(a), nil) {
		return
	}
	k.check(ctx, v, api.CheckRequest{Notice: v.hall.Notice.Version, WaitMs: v.console.checkWait(began)})
}

// check makes the call that checks, and keeps of its answer what pages show.
func (k *counterCase) check(ctx context.Context, v *visit, q api.CheckRequest) {
	var answered api.Answered[api.CheckAnswer]
	if !v.call(ctx, k, "c", "cases.check", map[string]string{"no": k.Ask.number()}, q, &answered) {
		return
	}
	for i := range answered.Answer.Materials { // pages show what was found, not the licenses themselves
		m := &answered.Answer.Materials[i]
		m.License, m.Document = "", api.LicenseDocument{}
	}
	answered.Answer.Commitments = api.Commitments{}
	k.Answer = &answered.Answer
}

// call makes one call of a form. It reports whether it was answered; a refusal is noted.
func (v *visit) call(ctx context.Context, k *counterCase, part, operation string, path map[string]string, body, into any) bool {
	reply, err := v.do(ctx, k.ID+"-"+part, operation, path, body)
	if err != nil {
		k.Refused = refusal(operation, err)
		if k.Refused.Code == "internal" {
			v.console.Logger.ErrorContext(ctx, "call failed", "operation", operation, "error", err.Error())
		}
		return false
	}
	k.Record, k.Recorded = reply.Record, true
	if reply.Problem != nil {
		k.Refused = refusal(operation, reply.Problem)
		return false
	}
	var proof struct {
		Receipt jsontext.Value `json:"receipt"`
	}
	if json.Unmarshal(reply.Body, &proof) == nil && len(proof.Receipt) > 0 && len(k.Receipts) < mostReceipts {
		k.Receipts = append(k.Receipts, proof.Receipt)
	}
	if into == nil {
		return true
	}
	if err := json.Unmarshal(reply.Body, into); err != nil {
		v.console.Logger.ErrorContext(ctx, "reply cannot be read", "operation", operation, "error", err.Error())
		k.Refused = refusal(operation, api.NewProblem("internal"))
		return false
	}
	return true
}

// mostReceipts is how many receipts are kept of one form.
const mostReceipts = 8

// do makes a call as the hall and the person.
func (v *visit) do(ctx context.Context, id, operation string, path map[string]string, body any) (*gateway.Reply, error) {
	q := gateway.Question{Path: path, ID: id, RequestID: id}
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		q.Body = text
	}
	return v.console.Caller.Do(ctx, v.Principal(), operation, q)
}

// refusal notes why a call was not answered.
func refusal(operation string, err error) *refusedCall {
	p, ok := errors.AsType[*api.Problem](err)
	if !ok {
		p = api.NewProblem("internal")
	}
	r := &refusedCall{Operation: operation, Code: p.Code, Zh: p.Zh, Advice: p.Advice.Zh, En: p.En, AdviceEn: p.Advice.En}
	for _, f := range p.Faults {
		r.Places = append(r.Places, f.Pointer)
	}
	return r
}

func (v *visit) registration(a asking) api.CaseRequest {
	q := api.CaseRequest{No: a.Registers, Matter: a.Matter, Attestation: api.Attestation(a.attestation()), Accepted: api.At(v.now)}
	if a.Vouched {
		if one, err := kept[voucher](v, v.voucherID(a.Registers)); err == nil {
			q.Assertion = one.Assertion
		}
	}
	add := func(role, chosen, code string) {
		h, _ := v.holderOf(chosen, code)
		q.Parties = append(q.Parties, api.Party{Role: role, Holder: api.HolderID{Type: h.Type, Code: h.Code}})
	}
	add(cases.Applicant, a.Type, a.Applicant)
	if m, ok := v.snapshot.Book.Matter(a.Matter); ok {
		for _, r := range v.rolesOf(m) {
			if code := a.Roles[r.Name]; code != "" {
				add(r.Name, "", code)
			}
		}
	}
	return q
}

func (v *visit) representative(a asking) api.RepresentRequest {
	h, _ := v.holderOf("", a.Person)
	q := api.RepresentRequest{Kind: api.RepresentativeKind(a.Who), Person: api.HolderID{Type: h.Type, Code: h.Code}}
	if a.Who != cases.Guardian {
		q.Mandate = api.Mandate{Digest: a.Mandate, Until: api.Date(a.Until)}
	}
	return q
}

// explain says on the form why a call of it was refused: under the field where one is at fault.
func (v *visit) explain(p *askPage, k *counterCase) {
	r := k.Refused
	p.Number = k.number()
	switch {
	case k.caseFault() != "": // it stands under the number
	case k.Ask.Vouched && strings.HasPrefix(r.Code, "assertion-"):
		p.Fault, p.Do = "申请人的码已经失效或者用过了。", "请申请人刷新码，点“换一件”再扫一次。"
	case r.Operation == "cases.represent":
		p.Person.Error, p.Person.Focus, p.Ready = personFault(r), true, false
	default:
		p.Fault, p.Do = r.Zh, r.Advice
	}
}

// caseFault says why the number of a case cannot be used; "" where it is no fault of the number.
func (k *counterCase) caseFault() string {
	switch {
	case k.Ask.No == "":
		return ""
	case k.Refused.Code == "case-not-usable":
		return "这个办件号查不到，或者不归本厅办理。请对照受理单核对；刚受理的，稍等再查。"
	case k.Refused.Code == "case-closed":
		return "这个办件已经办结。再查材料，请重新受理。"
	}
	return ""
}

func personFault(r *refusedCall) string {
	switch r.Code {
	case "representative-is-party":
		return "这个人就是当事人，请选“本人”。"
	case "mandate-expired":
		return "委托书已经过期。"
	case "guardian-not-named":
		return "登记里查不到这层监护关系。请核对证号，或收监护关系证明。"
	case "guardian-unavailable":
		return "监护关系暂时查不到，请稍后再试，或收监护关系证明。"
	}
	return strings.TrimSpace(r.Zh + r.Advice)
}

func (k *counterCase) number() string {
	if !k.Recorded {
		return ""
	}
	number := strconv.FormatUint(k.Record, 10)
	if k.LaterRecorded {
		number += "、" + strconv.FormatUint(k.Later, 10)
	}
	return number
}

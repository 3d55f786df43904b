package console

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/language"
	"oncegate/license"
)

// searchRows is how many records stand on one page.
const searchRows = 25

// Layouts of what was found.
const (
	asTable  = ""
	asCase   = "case"   // 办件经过: oldest first
	asPerson = "person" // 人员经过: by day
)

// A searching is what was asked, as typed and as meant.
type searching struct {
	From        string `json:"from,omitzero"`
	To          string `json:"to,omitzero"`
	System      string `json:"system,omitzero"`
	Operator    string `json:"operator,omitzero"`
	Operation   string `json:"operation,omitzero"`
	Matter      string `json:"matter,omitzero"`
	Case        string `json:"case,omitzero"`
	LicenseType string `json:"license_type,omitzero"`
	Holder      string `json:"holder,omitzero"`
	HolderType  string `json:"holder_type,omitzero"`
	Decision    string `json:"decision,omitzero"`
	Layout      string `json:"layout,omitzero"`
}

// A keptSearch is one page of what was found.
type keptSearch struct {
	auditCall
	Ask      searching `json:"ask"`
	Before   uint64    `json:"before,omitzero"`
	Skipped  int       `json:"skipped,omitzero"`  // records on the pages before
	Previous string    `json:"previous,omitzero"` // id of the page before
	Next     string    `json:"next,omitzero"`     // id that the next page will have
}

// A searchPage is 查询.
type searchPage struct {
	Once     string
	ID       string
	Ask      searching
	Fields   searchFields
	Open     bool // the form is unfolded
	Asked    []string
	Searched bool
	Wrong    bool // a field of the form is, and has the cursor
	Sentence string
	Rows     []foundRow
	Days     []foundDay
	First    int
	Previous string
	Next     string
	Complete string
	Number   string
	Zh       bool
	Layout   string
	Reports  bool
	Large    bool
}

func (p searchPage) title() string {
	switch {
	case p.Layout == asCase && p.Zh:
		return "办件经过"
	case p.Layout == asPerson && p.Zh:
		return "人员经过"
	case p.Zh:
		return "查询"
	}
	return "Search"
}
func (p searchPage) record() string { return p.Number }

type searchFields struct {
	From, To, Case, Operator, Holder                      field
	Systems, Operations, Matters, Types, Decisions, Kinds []choice
}

// A foundRow is one record in a list.
type foundRow struct {
	Index              string
	At                 time.Time
	System, Operation  string
	Matter, Case, What string
	Kind, Outcome      string
	Proof              string
}

// A foundDay groups rows by day.
type foundDay struct {
	Day  string
	Rows []foundRow
}

func (c *Console) searchEmpty(v *visit) error {
	today := license.DateOf(v.now)
	week := license.DateOf(v.now.AddDate(0, 0, -6))
	return v.showSearch(searchPage{Ask: searching{From: string(week), To: string(today)}, Open: true}, map[string]string{})
}

// search asks.
func (c *Console) search(v *visit) error {
	once, f, err := v.oncePosted()
	if err != nil {
		return err
	}
	a := searching{
		From: f.text("from"), To: f.text("to"), System: f.Get("system"), Operator: f.text("operator"), Operation: f.Get("operation"), Matter: f.Get("matter"),
		Case: f.code("case"), LicenseType: f.Get("license_type"), Holder: license.NormalCode(f.code("holder")), HolderType: f.Get("holder_type"), Decision: f.Get("decision"), Layout: f.Get("layout"),
	}
	if id := f.Get("record"); id != "" { // of the record that is open: whom it is about stands in its evidence
		if a, err = v.askOfRecord(id, f.Get("who")); err != nil {
			return err
		}
	}
	if !slices.Contains([]string{asTable, asCase, asPerson}, a.Layout) {
		a.Layout = asTable
	}
	faults := map[string]string{}
	v.checkAsk(&a, faults)
	if len(faults) > 0 {
		return v.showSearch(searchPage{Ask: a, Open: true}, faults)
	}
	return v.askPage(keptSearch{auditCall: auditCall{ID: once, Began: v.now, Pending: true}, Ask: a})
}

// checkAsk judges what was typed before any call.
func (v *visit) checkAsk(a *searching, faults map[string]string) {
	from, err := v.timeOf(a.From, false)
	if err != nil {
		faults["from"] = v.in("日期请写成 2026-11-30，或 2026-11-30 09:00。", "Write a day as 2026-11-30, or 2026-11-30 09:00.")
	}
	to, err := v.timeOf(a.To, true)
	if err != nil {
		faults["to"] = v.in("日期请写成 2026-11-30，或 2026-11-30 09:00。", "Write a day as 2026-11-30, or 2026-11-30 09:00.")
	}
	if !from.IsZero() && !to.IsZero() && !from.Before(to) {
		faults["to"] = v.in("结束要晚于开始。", "The end must be after the beginning.")
	}
	if a.Case != "" && len([]rune(a.Case)) > 64 {
		faults["case"] = v.in("办件编号太长。", "The case number is too long.")
	}
	if len(a.Operator) > 64 {
		faults["operator"] = v.in("人员编号太长。", "The number is too long.")
	}
	if a.Holder != "" {
		h, fault := v.holderOf(a.HolderType, a.Holder)
		if fault != "" {
			faults["holder"] = fault
		}
		a.HolderType = h.Type
	} else {
		a.HolderType = ""
	}
}

// timeOf reads a day or a moment of China; end makes a day end with it.
func (v *visit) timeOf(text string, end bool) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if t, err := time.ParseInLocation(time.DateOnly, text, license.Shanghai()); err == nil {
		if end {
			t = t.AddDate(0, 0, 1)
		}
		return t, nil
	}
	return time.ParseInLocation("2006-01-02 15:04", text, license.Shanghai())
}

// request is the call's body.
func (v *visit) request(k keptSearch) api.SearchRequest {
	from, _ := v.timeOf(k.Ask.From, false)
	to, _ := v.timeOf(k.Ask.To, true)
	return api.SearchRequest{
		From: apiTime(from), To: apiTime(to), System: k.Ask.System, Operator: k.Ask.Operator, Operation: k.Ask.Operation, Matter: k.Ask.Matter, Case: k.Ask.Case,
		LicenseType: k.Ask.LicenseType, Holder: api.HolderID{Type: k.Ask.HolderType, Code: k.Ask.Holder}, Decision: k.Ask.Decision, Before: k.Before, Limit: searchRows,
	}
}

func apiTime(t time.Time) api.Time {
	if t.IsZero() {
		return api.Time{}
	}
	return api.At(t)
}

// askPage makes the call of one page of a search.
func (v *visit) askPage(began keptSearch) error {
	began.Next = v.derive(began.ID, "next")
	err := v.run(began.ID, began, func(ctx context.Context) any {
		done := began
		v.asks(ctx, &done.auditCall, "audit.search", nil, v.request(done))
		return done
	})
	if err != nil {
		return err
	}
	v.redirect("/console/search/" + began.ID)
	return nil
}

// searchOn asks for the older records. The next page has one id for ever, so that going on twice makes one call.
func (c *Console) searchOn(v *visit) error {
	k, err := kept[keptSearch](v, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	a, err := answerOf[api.SearchAnswer](k.Reply)
	if err != nil || a.Next == 0 {
		return errNotHere
	}
	return v.askPage(keptSearch{auditCall: auditCall{ID: k.Next, Began: v.now, Pending: true}, Ask: k.Ask, Before: a.Next, Skipped: k.Skipped + len(a.Records), Previous: k.ID})
}

// answerOf reads the answer of a reply that was kept.
func answerOf[T any](reply []byte) (answer T, err error) {
	var all struct {
		Answer T `json:"answer"`
	}
	if len(reply) == 0 {
		return answer, errNotHere
	}
	err = json.Unmarshal(reply, &all)
	return all.Answer, err
}

func (c *Console) found(v *visit) error {
	k, err := kept[keptSearch](v, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	switch {
	case k.Pending:
		return v.latePage(k.auditCall, "/console/search/"+k.ID)
	case k.Refused != nil:
		return v.refusedPage(k.auditCall)
	}
	a, err := answerOf[api.SearchAnswer](k.Reply)
	if err != nil {
		return err
	}
	p := searchPage{ID: k.ID, Ask: k.Ask, Searched: true, Number: k.number(), First: k.Skipped + 1, Previous: k.Previous, Layout: k.Ask.Layout, Reports: !v.supervises()}
	if a.Next != 0 {
		p.Next = k.Next
	}
	for _, r := range a.Records {
		p.Rows = append(p.Rows, v.foundRow(r))
	}
	last := k.Skipped + len(p.Rows)
	switch {
	case len(p.Rows) == 0 && k.Skipped == 0:
		p.Sentence, p.Open = v.in("没有符合条件的记录。", "No record matches."), true
	case p.Next != "":
		p.Sentence = v.in(sprint("第 %d 至 %d 条，后面还有。", p.First, last), sprint("Records %d to %d; there are more.", p.First, last))
	case k.Skipped == 0:
		p.Sentence = v.in(sprint("共 %d 条。", last), sprint("%d records in all.", last))
	default:
		p.Sentence = v.in(sprint("第 %d 至 %d 条，共 %d 条。", p.First, last, last), sprint("Records %d to %d, of %d.", p.First, last, last))
	}
	if a.Covered < a.Size {
		p.Complete = v.in(sprint("检索索引只到第 %d 条记录，日志有 %d 条：最新的还查不到，请稍后再查。", a.Covered, a.Size), sprint("The index covers %d of %d records: the newest are not found yet.", a.Covered, a.Size))
	}
	if p.Layout == asCase {
		slices.Reverse(p.Rows)
	}
	if p.Layout != asTable {
		for _, r := range p.Rows {
			day := r.At.In(license.Shanghai()).Format("2006-01-02")
			if n := len(p.Days); n == 0 || p.Days[n-1].Day != day {
				p.Days = append(p.Days, foundDay{Day: day})
			}
			p.Days[len(p.Days)-1].Rows = append(p.Days[len(p.Days)-1].Rows, r)
		}
	}
	return v.showSearch(p, map[string]string{})
}

// foundRow is a record in a list: what was asked about in a few words, and the weightiest outcome.
func (v *visit) foundRow(r api.AuditRecord) foundRow {
	row := foundRow{Index: strconv.FormatUint(r.Index, 10), At: r.Time.Time, System: v.systemName(r.System), Operation: v.operation(r.Operation), Proof: v.proof(r)}
	var types, outcomes []string
	for _, u := range r.Uses {
		row.Matter, row.Case = cmp.Or(row.Matter, u.Matter), cmp.Or(row.Case, u.Case)
		if name := v.typeName(u.LicenseType); u.LicenseType != "" && !slices.Contains(types, name) {
			types = append(types, name)
		}
		if !slices.Contains(outcomes, u.Decision) {
			outcomes = append(outcomes, u.Decision)
		}
	}
	if row.Matter != "" {
		row.Matter = v.matterName(row.Matter)
	}
	slices.SortStableFunc(outcomes, func(a, b string) int { return cmp.Compare(weight(a), weight(b)) })
	if len(types) > 3 {
		types = append(types[:3], v.in(sprint("等 %d 种", len(types)), sprint("%d kinds", len(types))))
	}
	row.What = strings.Join(types, v.in("、", ", "))
	var words []string
	for i, o := range outcomes {
		kind, word := v.decision(o)
		if i == 0 {
			row.Kind = kind
		}
		if i < 2 {
			words = append(words, word)
		}
	}
	row.Outcome = strings.Join(words, v.in("，", ", "))
	if len(outcomes) == 0 {
		_, row.Outcome = v.decision("")
	}
	return row
}

// weight orders outcomes: what an auditor looks for stands first.
func weight(decision string) int {
	order := []string{"denied", "disputed", "mismatched", "unconfirmed", "lapsed", "faulty", "unavailable", "missing", "unmatched"}
	if i := slices.Index(order, decision); i >= 0 {
		return i
	}
	return len(order)
}

// proof says how the person who acted is known.
func (v *visit) proof(r api.AuditRecord) string {
	switch r.OperatorProof {
	case audit.OperatorBySession:
		return v.in("身份已证明", "identity proven")
	case audit.OperatorByCall:
		return v.in("身份已证明，本次确认", "identity proven for this call")
	case audit.OperatorAsserted:
		return v.in("身份由系统自报", "by the system's word")
	case audit.OperatorNone:
		return v.in("系统自动", "automatic")
	}
	return v.in("未记载", "not recorded")
}

// showSearch shows form and results.
func (v *visit) showSearch(p searchPage, faults map[string]string) error {
	p.Once, p.Zh = v.once(), v.language() == language.Chinese
	a := p.Ask
	focus := ""
	for _, name := range []string{"from", "to", "case", "operator", "holder"} {
		if faults[name] != "" {
			focus = name
			break
		}
	}
	p.Wrong = focus != ""
	one := func(name, zh, en, hintZh, hintEn, value string) field {
		return newField(name, v.in(zh, en), v.in(hintZh, hintEn), value, faults[name], focus)
	}
	f := &p.Fields
	f.From = one("from", "从", "From", "如 2026-11-30，或加时间 09:00", "such as 2026-11-30, or with 09:00", a.From)
	f.To = one("to", "到", "To", "当日算在内", "the day included", a.To)
	f.Case = one("case", "办件编号", "Case number", "", "", a.Case)
	f.Operator = one("operator", "窗口工作人员编号", "Operator", "只能按编号查，不列名单", "by number; nobody is listed", a.Operator)
	f.Holder = one("holder", "持证人证件号码", "Holder's code", "身份证号、统一社会信用代码", "resident id or credit code", a.Holder)
	f.Systems = chosen(systemsOf(v.snapshot), a.System)
	contract, err := api.NewContract()
	if err != nil {
		return err
	}
	for _, op := range contract.Operations() {
		if op.Signed && audit.NoInquiry.Has(op.ID) != v.supervises() {
			f.Operations = append(f.Operations, choice{Value: op.ID, Name: v.operation(op.ID)})
		}
	}
	f.Operations = chosen(f.Operations, a.Operation)
	for _, m := range v.snapshot.Book.Matters {
		f.Matters = append(f.Matters, choice{m.Code, v.matterName(m.Code), m.Code == a.Matter})
	}
	for _, t := range v.snapshot.Catalogue.Types {
		f.Types = append(f.Types, choice{t.ID, v.typeName(t.ID), t.ID == a.LicenseType})
	}
	for _, word := range searchedDecisions {
		_, name := v.decision(word)
		f.Decisions = append(f.Decisions, choice{word, name, word == a.Decision})
	}
	p.Asked = v.conditions(a)
	return v.render(200, "search", p)
}

// searchedDecisions are the outcomes that the form offers.
var searchedDecisions = []string{"release", "met", "confirm", "status", "denied", "unavailable", "missing", "lapsed", "mismatched", "unconfirmed", "disputed", "normal", "referred", "false-alarm"}

func chosen(list []choice, value string) []choice {
	for i := range list {
		list[i].Chosen = list[i].Value == value
	}
	return list
}

// conditions are what restricts the search in words, persons masked.
func (v *visit) conditions(a searching) (list []string) {
	add := func(zh, en, value string) {
		if value != "" {
			list = append(list, v.in(zh, en)+" "+value)
		}
	}
	add("从", "from", a.From)
	add("到", "to", a.To)
	if a.System != "" {
		add("系统", "system", v.systemName(a.System))
	}
	if a.Operation != "" {
		add("操作", "operation", v.operation(a.Operation))
	}
	if a.Matter != "" {
		add("事项", "matter", v.matterName(a.Matter))
	}
	add("办件", "case", a.Case)
	if a.LicenseType != "" {
		add("证照", "license", v.typeName(a.LicenseType))
	}
	if a.Decision != "" {
		_, word := v.decision(a.Decision)
		add("结果", "outcome", word)
	}
	if a.Operator != "" {
		add("人员", "operator", license.MaskCode(a.Operator))
	}
	if a.Holder != "" {
		add("持证人", "holder", license.MaskCode(a.Holder))
	}
	return list
}

package console

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/canonical"
	"oncegate/language"
	"oncegate/license"
)

// A keptRecord is one record that was opened, with what was done about it since.
type keptRecord struct {
	auditCall
	Index    uint64          `json:"index"`
	From     string          `json:"from"`              // id of the search or page that led here
	Evidence string          `json:"evidence,omitzero"` // id of the call that opened its evidence
	Compared string          `json:"compared,omitzero"` // id of the call that counted the person's days
	Week     string          `json:"week,omitzero"`     // id of the call that looked for the holder's week
	Judged   []api.Judgement `json:"judged,omitzero"`   // since it was opened, newest first
	Replies  [][]byte        `json:"replies,omitzero"`  // of those judgements
}

// openRecord opens a record: one call, whose answer stands on the page for the rest of the day. Opening it again from the same list makes no
// call.
func (c *Console) openRecord(v *visit) error {
	f, err := v.form("", 0)
	if err != nil {
		return err
	}
	from := f.Get("once")
	index, err := strconv.ParseUint(f.code("index"), 10, 53)
	if !onceID.MatchString(from) || err != nil {
		v.refuse(400, noticeOf("记录号是一个数字。", "请核对后再输入。", "The number of a record has digits only.", "Please check it."))
		return nil
	}
	began := keptRecord{auditCall: auditCall{ID: v.derive(from, strconv.FormatUint(index, 10)), Began: v.now, Pending: true}, Index: index, From: from}
	err = v.run(began.ID, began, func(ctx context.Context) any {
		done := began
		v.asks(ctx, &done.auditCall, "audit.record", map[string]string{"index": strconv.FormatUint(index, 10)}, nil)
		return done
	})
	if err != nil {
		return err
	}
	v.redirect("/console/records/" + began.ID)
	return nil
}

// A recordPage is 记录.
type recordPage struct {
	ID, Index string
	Once      string
	Zh        bool
	Number    string
	At        time.Time // when it was looked at
	Sentence  string
	Kind      string
	Position  string
	Back      string
	Previous  string // indexes of the neighbours in the list
	Next      string
	List      string // the id that the neighbours are opened with
	Facts     []fact
	Uses      []useRow
	Rules     []ruleRow
	Case      *caseRow
	Verdict   verifiedPage
	Witness   string
	Path      []string // hashes on the way to the root
	Judged    []judgedRow
	Judge     judgeForm
	Supervise bool
	Evidence  evidencePart
	Refused   bool // something was refused
}

func (p recordPage) title() string {
	if p.Zh {
		return "记录 " + p.Index
	}
	return "Record " + p.Index
}
func (p recordPage) record() string { return p.Number }

// A fact is a name with its value.
type fact struct{ Name, Value string }

// A useRow is one license that was asked about.
type useRow struct {
	Name, Sub           string
	Kind, Word          string
	Given, Withheld     []string
	Compared            bool // Given was compared inside the gateway and did not leave it
	Source, Fresh, Need string
}

// A ruleRow is an agreement with its text.
type ruleRow struct {
	Agreement, Until, Basis, Scenario, Provider, Type, ID string
	Over                                                  bool // it has ended since
}

type caseRow struct {
	No, Matter, Registrar, Attested string
	Accepted, Closed                time.Time
	Kind, Word                      string
}

// openedRecord reads the record of the page's path.
func (v *visit) openedRecord() (k keptRecord, a api.RecordAnswer, err error) {
	if k, err = kept[keptRecord](v, v.r.PathValue("id")); err != nil {
		return k, a, err
	}
	if k.Pending || k.Refused != nil {
		return k, a, nil
	}
	a, err = answerOf[api.RecordAnswer](k.Reply)
	return k, a, err
}

func (c *Console) record(v *visit) error { return v.showRecord(nil) }

// showRecord shows the page; change puts in what is wrong with a form of it.
func (v *visit) showRecord(change func(*recordPage)) error {
	k, a, err := v.openedRecord()
	if err != nil {
		return err
	}
	switch {
	case k.Pending:
		return v.latePage(k.auditCall, "/console/records/"+k.ID)
	case k.Refused != nil:
		return v.refusedPage(k.auditCall)
	}
	p, err := v.recordOf(k, a)
	if err != nil {
		return err
	}
	if change != nil {
		change(&p)
	}
	return v.render(200, "record", p)
}

func (v *visit) recordOf(k keptRecord, a api.RecordAnswer) (recordPage, error) {
	p := recordPage{ID: k.ID, Index: strconv.FormatUint(k.Index, 10), Zh: v.language() == language.Chinese, Number: k.number(), At: k.Began, List: k.From, Supervise: v.supervises()}
	p.Sentence, p.Kind = v.sentence(a.Record)
	v.neighbours(&p, k)
	p.Refused = slices.ContainsFunc(a.Record.Uses, func(u api.AuditUse) bool { return u.Decision == "denied" }) || len(a.Record.Uses) == 0
	p.Facts = v.facts(a.Record)
	for _, u := range a.Record.Uses {
		p.Uses = append(p.Uses, v.useRow(u))
	}
	for _, r := range a.Rules {
		p.Rules = append(p.Rules, v.ruleRow(r))
	}
	if a.Case != nil {
		p.Case = v.caseRow(*a.Case)
	}
	if err := v.proven(&p, a.Receipt); err != nil {
		return p, err
	}
	for _, j := range append(slices.Clone(k.Judged), a.Judgements...) {
		p.Judged = append(p.Judged, v.judgedRow(j))
	}
	p.Judge = v.judgeForm()
	v.evidenceOf(&p, k)
	return p, nil
}

// neighbours are the records before and after in the list that led here.
func (v *visit) neighbours(p *recordPage, k keptRecord) {
	s, err := kept[keptSearch](v, k.From)
	if err != nil {
		return
	}
	found, err := answerOf[api.SearchAnswer](s.Reply)
	if err != nil {
		return
	}
	at := slices.IndexFunc(found.Records, func(r api.AuditRecord) bool { return r.Index == k.Index })
	if at < 0 {
		return
	}
	p.Back = "/console/search/" + s.ID
	n, all := s.Skipped+at+1, strconv.Itoa(s.Skipped+len(found.Records))
	if found.Next != 0 {
		all += "+"
	}
	p.Position = v.in(sprint("第 %d / %s 条", n, all), sprint("%d of %s", n, all))
	if at > 0 {
		p.Previous = strconv.FormatUint(found.Records[at-1].Index, 10)
	}
	if at+1 < len(found.Records) {
		p.Next = strconv.FormatUint(found.Records[at+1].Index, 10)
	}
}

// sentence says in one sentence who asked for what, for which case, and what came of it.
func (v *visit) sentence(r api.AuditRecord) (text, kind string) {
	if r.Operation == "unreadable" {
		return v.in("这条日志证明在册，但本机读不出它的内容。", "This leaf is proven to be in the log, but cannot be read here."), "wait"
	}
	zh := v.language() == language.Chinese
	var b strings.Builder
	who, proof := v.systemName(r.System), v.proof(r)
	if r.OperatorProof != audit.OperatorNone && r.OperatorProof != "" {
		if zh {
			who += "的工作人员"
		} else {
			who = "an operator of " + who
		}
	}
	var matter, no string
	for _, u := range r.Uses {
		matter, no = cmp.Or(matter, u.Matter), cmp.Or(no, u.Case)
	}
	purpose := v.purpose(matter, no, zh)
	done, outcome, kind := v.did(r)
	if zh {
		b.WriteString(v.moment(r.Time.Time) + "，" + who + "（" + proof + "）")
		if purpose != "" {
			b.WriteString("，" + purpose)
		}
		b.WriteString("，" + done + "；" + outcome + "。")
	} else {
		b.WriteString("On " + r.Time.In(license.Shanghai()).Format("2 January, 15:04") + ", " + who + " (" + proof + ")")
		if purpose != "" {
			b.WriteString(", " + purpose)
		}
		b.WriteString(", made this call: " + done + "; " + outcome + ".")
	}
	return b.String(), kind
}

func (v *visit) purpose(matter, no string, zh bool) string {
	switch {
	case matter == "" && no == "":
		return ""
	case zh && no == "":
		return "为办理" + v.matterName(matter)
	case zh:
		return "为办理" + v.matterName(matter) + "（办件 " + no + "）"
	case no == "":
		return "for " + v.matterName(matter)
	}
	return "for " + v.matterName(matter) + " (case " + no + ")"
}

// did says what was done, and what came of it.
func (v *visit) did(r api.AuditRecord) (done, outcome, kind string) {
	done = v.operation(r.Operation)
	var about []string
	counts, order := map[string]int{}, []string{}
	for _, u := range r.Uses {
		if u.LicenseType != "" {
			name := v.typeName(u.LicenseType)
			if n := len(u.Fields); n > 0 && comparedInside(u.Decision) {
				name += v.in(sprint("（比对 %d 项）", n), sprint(" (%d fields compared)", n))
			} else if n > 0 {
				name += v.in(sprint(" %d 项", n), sprint(" (%d fields)", n))
			}
			if !slices.Contains(about, name) {
				about = append(about, name)
			}
		}
		if counts[u.Decision]++; counts[u.Decision] == 1 {
			order = append(order, u.Decision)
		}
	}
	if len(about) > 4 {
		about = append(about[:4], v.in(sprint("等 %d 份", len(r.Uses)), sprint("%d in all", len(r.Uses))))
	}
	if len(about) > 0 {
		done += v.in("：", ": ") + strings.Join(about, v.in("、", ", "))
	}
	slices.SortStableFunc(order, func(a, b string) int { return cmp.Compare(weight(a), weight(b)) })
	var words []string
	for i, o := range order {
		k, word := v.decision(o)
		if i == 0 {
			kind = k
		}
		if counts[o] > 1 {
			word += v.in(sprint(" %d 份", counts[o]), sprint(" %d", counts[o]))
		}
		words = append(words, word)
	}
	if len(words) == 0 {
		return done, v.in("没有证照被提供", "no license left"), ""
	}
	return done, strings.Join(words, v.in("，", ", ")), kind
}

// comparedInside reports whether the fields of a use were compared inside the gateway: none of them left it.
func comparedInside(decision string) bool { return decision == "confirm" || decision == "unconfirmed" }

func (v *visit) facts(r api.AuditRecord) (list []fact) {
	add := func(zh, en, value string) {
		if value != "" {
			list = append(list, fact{v.in(zh, en), value})
		}
	}
	add("时间", "Time", r.Time.In(license.Shanghai()).Format("2006-01-02 15:04:05"))
	add("系统", "System", v.systemName(r.System)+v.in("（", " (")+cmp.Or(r.System, "—")+v.in("）", ")"))
	add("操作", "Operation", v.operation(r.Operation)+v.in("（", " (")+r.Operation+v.in("）", ")"))
	person := v.proof(r)
	if r.OperatorService != "" {
		person += v.in("，由 ", ", by ") + r.OperatorService + v.in(" 证明", "")
	}
	if len(r.OperatorRoles) > 0 {
		person += v.in("；岗位 ", "; roles ") + strings.Join(r.OperatorRoles, ", ")
	}
	add("人员", "Person", person)
	add("请求号", "Request id", r.RequestID)
	return list
}

func (v *visit) useRow(u api.AuditUse) useRow {
	row := useRow{Name: v.typeName(u.LicenseType), Source: v.departmentOfSource(u.Source)}
	if row.Source == "" {
		row.Source = u.Source
	}
	row.Kind, row.Word = v.decision(u.Decision)
	if row.Name == "" {
		row.Name = v.in("（不涉及证照）", "(no license)")
	}
	if m, ok := v.snapshot.Book.Matter(u.Matter); ok {
		if one, ok := m.Material(u.Material); ok && one.Name != row.Name {
			row.Sub = v.in("材料：", "material: ") + v.in(one.Name, cmp.Or(one.NameEN, one.Name))
		}
	}
	if u.Basis != "" && u.Basis != "case" && u.Basis != "audit" {
		basis := u.Basis
		if b, ok := v.snapshot.Policy.Basis(u.Basis); ok {
			basis = b.Title
		}
		row.Sub = strings.TrimLeft(row.Sub+v.in("；依据：", "; basis: ")+basis, "；; ")
	}
	t, _ := v.snapshot.Catalogue.Type(u.LicenseType)
	for _, name := range u.Fields {
		row.Given = append(row.Given, v.fieldTitle(t, name))
	}
	row.Compared = comparedInside(u.Decision)
	if len(u.Fields) > 0 && !row.Compared {
		for _, f := range t.Fields {
			if !slices.Contains(u.Fields, f.Name) && !slices.ContainsFunc(u.Fields, func(s string) bool { return strings.HasPrefix(s, f.Name+".") }) {
				row.Withheld = append(row.Withheld, v.fieldTitle(t, f.Name))
			}
		}
	}
	row.Fresh = v.freshness(u.Freshness)
	return row
}

func (v *visit) fieldTitle(t license.Type, path string) string {
	name, of, many := strings.Cut(path, ".")
	f, ok := t.Field(name)
	if !ok {
		return path
	}
	title := v.in(f.Title, cmp.Or(f.TitleEN, f.Title))
	if n, err := strconv.Atoi(of); many && err == nil {
		title += sprint(" %d", n+1)
	}
	return title
}

// freshness is how current what the source said is.
func (v *visit) freshness(text string) string {
	word, at, _ := strings.Cut(text, " ")
	when := ""
	if t, err := time.Parse(time.RFC3339, at); err == nil {
		when = " " + v.moment(t)
	}
	switch word {
	case "live":
		return v.in("实时", "live") + when
	case "drop":
		return v.in("文件", "file") + when
	case "stale":
		return v.in("留存的旧数据", "a kept copy") + when
	}
	return word
}

func (v *visit) ruleRow(r api.RecordRule) ruleRow {
	row := ruleRow{ID: r.ID, Agreement: cmp.Or(r.Agreement, r.ID), Until: r.ValidUntil, Basis: r.Basis, Scenario: r.Scenario, Type: v.typeName(r.LicenseType)}
	if r.Provider != "" {
		row.Provider = cmp.Or(v.snapshot.Departments[r.Provider], r.Provider)
	}
	if d, err := license.ParseDate(r.ValidUntil); err == nil {
		row.Over = d.Before(license.DateOf(v.now))
	}
	return row
}

func (v *visit) caseRow(k api.RecordCase) *caseRow {
	row := &caseRow{No: k.Case, Matter: v.matterName(k.Matter), Registrar: v.systemName(k.Registrar), Accepted: k.Accepted.Time, Closed: k.Closed.Time}
	switch string(k.Attestation) {
	case "platform":
		row.Attested = v.in("受理平台证明", "attested by the acceptance platform")
	case "holder":
		row.Attested = v.in("持证人本人证明", "attested by the holder")
	default:
		row.Attested = v.in("仅登记单位自己的说法", "the registrar's own word")
	}
	if k.Closed.IsZero() {
		row.Kind, row.Word = "wait", v.in("查后还没有办结", "not closed since")
	} else {
		row.Kind, row.Word = "good", v.in("已办结 ", "closed ")+v.moment(k.Closed.Time)
	}
	return row
}

// proven verifies the receipt in this process, with the trust of the configuration, as anybody can offline.
func (v *visit) proven(p *recordPage, r api.Receipt) error {
	raw, err := canonical.Marshal(r)
	if err != nil {
		return err
	}
	proof := v.console.Prove(v.r.Context(), raw)
	a := api.VerifyAnswer{Verdict: proof.Verdict, Kind: string(proof.Kind), Says: proof.Says, Lacks: proof.Lacks, Beside: proof.Beside}
	for _, s := range proof.Steps {
		a.Steps = append(a.Steps, api.Step{Name: s.Name, State: api.StepState(s.State), Reason: s.Reason})
	}
	v.verdict(&p.Verdict, a)
	switch a.Verdict {
	case api.VerdictProven:
		p.Verdict.Sentence = v.in("已证明未被改动", "Proven to be unaltered")
	case api.VerdictRefuted:
		p.Verdict.Sentence = v.in("被改动过", "It was altered")
	default:
		p.Verdict.Sentence = v.in("还不能证明", "Not proven")
	}
	p.Witness = v.witness(a)
	p.Path = r.Proofs.SM3
	return nil
}

// witness says who else vouches for the log.
func (v *visit) witness(a api.VerifyAnswer) string {
	w := a.Beside.Witnessed
	if w != nil && w.Quorum != nil && w.Quorum.Trees != api.WitnessQuorumTreesNone {
		by, zh, en := w.Quorum.By, "（仅 SHA-256 树）", " (the SHA-256 tree only)"
		if w.Quorum.Trees == api.WitnessQuorumTreesBoth {
			by, zh, en = w.Quorum.BothTrees, "（两棵树）", " (both trees)"
		}
		return v.in("见证：", "Witnessed by ") + strings.Join(by, v.in("、", ", ")) + v.in(zh, en)
	}
	if w != nil && w.Count > 0 {
		return v.in(sprint("见证：%d / %d 个见证方已签", w.Count, w.Of), sprint("Witnessed by %d of %d", w.Count, w.Of))
	}
	return v.in("见证：未见证", "Not witnessed")
}

package console

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

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

type judgedRow struct {
	Kind, Word, Note, To, Due, Index string
	At                               time.Time
}

type judgeForm struct {
	Once        string
	Departments []choice
	Fault       string
	Note        field
	Due         field
	Chosen      string
}

// An evidencePart is what stands of the sealed evidence: the form that opens it, or what was in it.
type evidencePart struct {
	Once       string
	Why, Paper field
	Fault      string
	Late       bool
	Opened     bool
	At         time.Time
	Number     string
	Said       string
	Reasons    []string
	Erased     string
	People     []fact
	Operator   bool
	Holder     bool
	Compare    string // once of the form
	Compared   *comparison
	SearchOnce string
}

// A comparison is the person's day against their own.
type comparison struct {
	Day, Median, Most int
	Sentence          string
	Bars              []bar
	Width             int
	Number            string
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
		b.WriteString(moment(r.Time.Time) + "，" + who + "（" + proof + "）")
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
			if n := len(u.Fields); n > 0 {
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
			word += sprint(" %d", counts[o])
		}
		words = append(words, word)
	}
	if len(words) == 0 {
		return done, v.in("没有证照被提供", "no license left"), ""
	}
	return done, strings.Join(words, v.in("，", ", ")), kind
}

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
	if len(u.Fields) > 0 {
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
		when = " " + moment(t)
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
		row.Kind, row.Word = "good", v.in("已办结 ", "closed ")+moment(k.Closed.Time)
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
	if w := a.Beside.Witnessed; w != nil && w.Count > 0 {
		return v.in(sprint("见证：%d / %d 个见证方已签", w.Count, w.Of), sprint("Witnessed by %d of %d", w.Count, w.Of))
	}
	return v.in("见证：未见证", "Not witnessed")
}

func (v *visit) judgedRow(j api.Judgement) judgedRow {
	row := judgedRow{Note: j.Note, Index: strconv.FormatUint(uint64(j.Index), 10), At: j.Time.Time, Due: day(license.Date(j.Due))}
	row.Kind, row.Word = v.decision(string(j.Disposition))
	if j.To != "" {
		row.To = cmp.Or(v.snapshot.Departments[j.To], j.To)
	}
	return row
}

func (v *visit) judgeForm() judgeForm {
	f := judgeForm{Once: v.once()}
	for id, name := range v.snapshot.Departments {
		f.Departments = append(f.Departments, choice{Value: id, Name: cmp.Or(name, id)})
	}
	slices.SortFunc(f.Departments, func(a, b choice) int { return cmp.Compare(a.Value, b.Value) })
	f.Note = newField("note", v.in("说明", "Note"), v.in("不写个人姓名和证件号码", "no names and no codes of persons"), "", "", "")
	f.Due = newField("due", v.in("答复期限（转办时）", "Answer until (of a referral)"), v.in("如 2026-12-14", "such as 2026-12-14"), "", "", "")
	return f
}

// dispose judges the record: one call, which is the judgement.
func (c *Console) dispose(v *visit) error {
	once, f, err := v.oncePosted()
	if err != nil {
		return err
	}
	k, _, err := v.openedRecord()
	if err != nil || k.Reply == nil {
		return notHere(err)
	}
	q := api.DisposeRequest{Disposition: api.Disposition(f.Get("disposition")), Note: strings.TrimSpace(f.Get("note"))}
	if q.Disposition == api.DispositionReferred {
		q.To, q.Due = f.Get("to"), api.Date(f.text("due"))
	}
	wrong := func(change func(*judgeForm)) error {
		return v.showRecord(func(p *recordPage) {
			p.Judge.Chosen, p.Judge.Note.Value, p.Judge.Due.Value = f.Get("disposition"), q.Note, f.text("due")
			p.Judge.Departments = chosen(p.Judge.Departments, f.Get("to"))
			change(&p.Judge)
		})
	}
	due, dueErr := license.ParseDate(string(q.Due))
	switch {
	case !slices.Contains([]api.Disposition{api.DispositionNormal, api.DispositionReferred, api.DispositionFalseAlarm}, q.Disposition):
		return wrong(func(j *judgeForm) {
			j.Fault = v.in("请选正常、转办或误报。", "Choose normal, referred or false alarm.")
		})
	case q.Note == "" || len([]rune(q.Note)) > 512:
		return wrong(func(j *judgeForm) {
			j.Note.Error, j.Note.Focus = v.in("请写明理由，不超过 500 字。", "Say why, in at most 500 characters."), true
		})
	case q.Disposition == api.DispositionReferred && q.To == "":
		return wrong(func(j *judgeForm) { j.Fault = v.in("转办要选承办单位。", "A referral names a department.") })
	case q.Due != "" && (dueErr != nil || due.Before(license.DateOf(v.now))):
		return wrong(func(j *judgeForm) {
			j.Due.Error, j.Due.Focus = v.in("日期请写成 2026-12-14，不早于今天。", "Write a day as 2026-12-14, not in the past."), true
		})
	}
	began := auditCall{ID: once, Began: v.now, Pending: true}
	err = v.run(once, began, func(ctx context.Context) any {
		done := began
		if v.asks(ctx, &done, "audit.dispose", map[string]string{"index": strconv.FormatUint(k.Index, 10)}, q) {
			if now, err := v.again(ctx, k.ID); err == nil {
				now.Judged = slices.Insert(now.Judged, 0, api.Judgement{Index: api.Index(done.Record), Time: api.At(v.now), Disposition: q.Disposition, Note: q.Note, To: q.To, Due: q.Due})
				now.Replies = append(now.Replies, done.Reply)
				_ = v.keep(ctx, k.ID, now)
			}
		}
		return done
	})
	if err != nil {
		return err
	}
	return v.backToRecord(once, k.ID, "#judged")
}

// again reads what is kept of a record, also after the browser has left.
func (v *visit) again(ctx context.Context, id string) (keptRecord, error) {
	var k keptRecord
	text, err := v.console.gate.Kept(ctx, v.Session, id)
	if err == nil {
		err = json.Unmarshal(text, &k)
	}
	return k, err
}

// backToRecord leads back to the record, or shows why a call about it was refused.
func (v *visit) backToRecord(once, id, at string) error {
	if k, err := kept[auditCall](v, once); err == nil && k.Refused != nil {
		return v.refusedPage(k)
	}
	v.redirect("/console/records/" + id + at)
	return nil
}

// openEvidence opens who it was about and why it was decided so: a call of its own, for a reason that is recorded. The Gate has asked for the
// second factor.
func (c *Console) openEvidence(v *visit) error {
	once, f, err := v.oncePosted()
	if err != nil {
		return err
	}
	k, _, err := v.openedRecord()
	if err != nil || k.Reply == nil {
		return notHere(err)
	}
	why, paper := strings.TrimSpace(f.Get("why")), f.text("paper")
	if why == "" || paper == "" || len([]rune(why))+len([]rune(paper)) > 480 {
		return v.showRecord(func(p *recordPage) {
			p.Evidence.Why.Value, p.Evidence.Paper.Value = why, paper
			if why == "" {
				p.Evidence.Why.Error, p.Evidence.Why.Focus = v.in("请写明为什么要看。", "Say why."), true
			} else if paper == "" {
				p.Evidence.Paper.Error, p.Evidence.Paper.Focus = v.in("请填写文号或审计通知书编号。", "Give the number of the paper."), true
			} else {
				p.Evidence.Why.Error = v.in("太长了，请少写一些。", "It is too long.")
			}
		})
	}
	k.Evidence = once
	if err := v.keep(v.r.Context(), k.ID, k); err != nil {
		return err
	}
	began := auditCall{ID: once, Began: v.now, Pending: true}
	err = v.run(once, began, func(ctx context.Context) any {
		done := began
		v.asks(ctx, &done, "audit.evidence", map[string]string{"index": strconv.FormatUint(k.Index, 10)}, api.EvidenceRequest{Why: why + "（" + paper + "）", Persons: true})
		return done
	})
	if err != nil {
		return err
	}
	return v.backToRecord(once, k.ID, "#evidence")
}

// evidenceOf puts in what the evidence says once it was opened.
func (v *visit) evidenceOf(p *recordPage, k keptRecord) {
	e := &p.Evidence
	e.Once = v.once()
	e.Why = newField("why", v.in("事由", "Why"), v.in("为什么要看真实理由和人员，会写进记录", "Why you need to see it; it is recorded"), "", "", "")
	e.Paper = newField("paper", v.in("文号", "Paper"), v.in("审计通知书、投诉或交办单的编号", "Number of the audit notice, complaint or order"), "", "", "")
	if k.Evidence == "" {
		return
	}
	call, err := kept[auditCall](v, k.Evidence)
	switch {
	case errors.Is(err, fs.ErrNotExist), call.lost(v.now), call.Refused != nil:
		return
	case call.Pending:
		e.Late = true
		return
	}
	a, err := answerOf[api.EvidenceAnswer](call.Reply)
	if err != nil {
		e.Fault = v.in("证据读不出来。", "The evidence cannot be read.")
		return
	}
	e.Opened, e.At, e.Number = true, call.Began, call.number()
	if a.Said.Code != "" {
		e.Said = v.in(a.Said.Zh, a.Said.En)
	}
	for _, r := range a.Reasons {
		if text := v.in(r.Zh, r.En); text != "" && !slices.Contains(e.Reasons, text) {
			e.Reasons = append(e.Reasons, text)
		}
	}
	if len(a.Erased) > 0 {
		e.Erased = v.in(sprint("人员信息已依记录 %d 删除。", a.ErasedBy), sprint("The persons were erased by order of record %d.", a.ErasedBy))
	}
	for _, person := range a.Persons {
		e.People = append(e.People, fact{v.personKind(person.Type), person.Code})
		switch person.Type {
		case audit.OperatorType:
			e.Operator = true
		case audit.CaseType, audit.RequestType, audit.RecordType:
		default:
			e.Holder = true
		}
	}
	e.Compare, e.SearchOnce = v.once(), v.once()
	if k.Compared != "" {
		v.comparedOf(p, k)
	}
}

func (v *visit) personKind(kind string) string {
	switch kind {
	case audit.OperatorType:
		return v.in("窗口工作人员编号", "Operator")
	case audit.CaseType:
		return v.in("调用方填写的办件号", "Case number as the caller wrote it")
	case audit.RequestType:
		return v.in("调用方填写的请求号", "Request id as the caller wrote it")
	case audit.RecordType:
		return v.in("所涉记录", "Record")
	case typeResident:
		return v.in("公民身份号码", "Resident id")
	case typeUSCC:
		return v.in("统一社会信用代码", "Credit code")
	}
	return v.in("证件号码", "Code")
}

// personOf is somebody whom the opened evidence of a record names.
func (v *visit) personOf(k keptRecord, fits func(kind string) bool) (api.EvidencePerson, error) {
	call, err := kept[auditCall](v, k.Evidence)
	if err != nil {
		return api.EvidencePerson{}, err
	}
	a, err := answerOf[api.EvidenceAnswer](call.Reply)
	if err != nil {
		return api.EvidencePerson{}, err
	}
	i := slices.IndexFunc(a.Persons, func(p api.EvidencePerson) bool { return fits(p.Type) })
	if i < 0 {
		return api.EvidencePerson{}, errNotHere
	}
	return a.Persons[i], nil
}

func isOperator(kind string) bool { return kind == audit.OperatorType }

func isHolder(kind string) bool {
	return !slices.Contains([]string{audit.OperatorType, audit.CaseType, audit.RequestType, audit.RecordType}, kind)
}

// askOfRecord is the search for somebody whom the opened evidence of a record names, or for its case: no code stands in a form or an address.
func (v *visit) askOfRecord(id, who string) (a searching, err error) {
	k, err := kept[keptRecord](v, id)
	if err != nil {
		return a, err
	}
	switch who {
	case "operator":
		p, err := v.personOf(k, isOperator)
		return searching{Operator: p.Code, Layout: asPerson}, err
	case "holder":
		p, err := v.personOf(k, isHolder)
		return searching{Holder: p.Code, HolderType: p.Type, Layout: asPerson}, err
	case "case":
		answer, err := answerOf[api.RecordAnswer](k.Reply)
		if err == nil && answer.Case == nil {
			err = errNotHere
		}
		if err != nil {
			return a, err
		}
		return searching{Case: answer.Case.Case, Layout: asCase}, nil
	}
	return a, errBadForm
}

// compareDays are the days before the record's own that a person is compared with.
const compareDays = 30

// compare counts the person's calls day by day: a search for that person, and recorded as one.
func (c *Console) compare(v *visit) error {
	once, _, err := v.oncePosted()
	if err != nil {
		return err
	}
	k, a, err := v.openedRecord()
	if err != nil || k.Reply == nil {
		return notHere(err)
	}
	person, err := v.personOf(k, isOperator)
	if err != nil {
		return err
	}
	k.Compared = once
	if err := v.keep(v.r.Context(), k.ID, k); err != nil {
		return err
	}
	began := auditCall{ID: once, Began: v.now, Pending: true}
	q := api.SummaryRequest{From: api.At(startOfDay(a.Record.Time.Time).AddDate(0, 0, -compareDays)), Days: compareDays + 1, Operator: person.Code}
	err = v.run(once, began, func(ctx context.Context) any {
		done := began
		v.asks(ctx, &done, "audit.summary", nil, q)
		return done
	})
	if err != nil {
		return err
	}
	return v.backToRecord(once, k.ID, "#evidence")
}

func (v *visit) comparedOf(p *recordPage, k keptRecord) {
	call, err := kept[auditCall](v, k.Compared)
	if err != nil || call.Pending {
		return
	}
	a, err := answerOf[api.SummaryAnswer](call.Reply)
	if err != nil || len(a.Days) == 0 {
		return
	}
	c := &comparison{Number: call.number()}
	var before []int
	for i, d := range a.Days {
		if i == len(a.Days)-1 {
			c.Day = d.Records
			break
		}
		if d.Records > 0 {
			before = append(before, d.Records)
		}
	}
	c.Median, c.Most = median(before), c.Day
	for _, n := range before {
		c.Most = max(c.Most, n)
	}
	c.Sentence = v.in(
		sprint("此人当日 %d 次；此前 30 日中有 %d 日办理，中位 %d 次。", c.Day, len(before), c.Median),
		sprint("%d calls that day; in the 30 days before, on %d days, median %d.", c.Day, len(before), c.Median))
	for i, d := range a.Days {
		h := 0
		if c.Most > 0 {
			h = d.Records * 60 / c.Most
		}
		if d.Records > 0 {
			h = max(h, 2)
		}
		class := "provided"
		if i == len(a.Days)-1 {
			class = "own"
		}
		c.Bars = append(c.Bars, bar{Class: class, X: i*14 + 2, Y: 64 - h, W: 10, H: h})
	}
	c.Width = len(a.Days)*14 + 4
	p.Evidence.Compared = c
}

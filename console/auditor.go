package console

import (
	"cmp"
	"context"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"time"

	"oncegate/api"
	"oncegate/gateway"
	"oncegate/language"
	"oncegate/license"
)

// auditorRoutes are the pages of auditors, and of whoever supervises them: the gateway decides which records each of them finds.
func (c *Console) auditorRoutes() []route {
	return []route{
		{pattern: "POST /console/today", operations: []string{"audit.summary"}, serve: c.countToday},
		{pattern: "GET /console/today/{id}", page: "today", serve: c.today},
		{pattern: "GET /console/search", page: "search", serve: c.searchEmpty},
		{pattern: "POST /console/search", page: "search", operations: []string{"audit.search"}, serve: c.search},
		{pattern: "GET /console/search/{id}", page: "search", serve: c.found},
		{pattern: "POST /console/search/{id}/next", operations: []string{"audit.search"}, serve: c.searchOn},
		{pattern: "POST /console/search/{id}/report", operations: []string{"audit.export"}, serve: c.report},
		{pattern: "POST /console/records", operations: []string{"audit.record"}, serve: c.openRecord},
		{pattern: "GET /console/records/{id}", page: "record", serve: c.record},
		{pattern: "POST /console/records/{id}/evidence", operations: []string{"audit.evidence"}, serve: c.openEvidence},
		{pattern: "POST /console/records/{id}/compare", operations: []string{"audit.summary"}, serve: c.compare},
		{pattern: "POST /console/records/{id}/week", operations: []string{"audit.search"}, serve: c.week},
		{pattern: "POST /console/records/{id}/dispose", operations: []string{"audit.dispose"}, serve: c.dispose},
		{pattern: "GET /console/records/{id}/paper", page: "takendown", serve: c.takenDown},
		{pattern: "GET /console/records/{id}/bundle", serve: c.bundle},
	}
}

// A call is what came of one call of an auditor's page.
type auditCall struct {
	ID       string       `json:"id"`
	Began    time.Time    `json:"began"`
	Pending  bool         `json:"pending,omitzero"`
	Record   uint64       `json:"record,omitzero"`
	Recorded bool         `json:"recorded,omitzero"`
	Refused  *refusedCall `json:"refused,omitzero"`
	Reply    []byte       `json:"reply,omitzero"` // answer and receipt, as they came
}

func (k auditCall) number() string {
	if !k.Recorded {
		return ""
	}
	return strconv.FormatUint(k.Record, 10)
}

// lost reports whether a call under way is late beyond hope.
func (k auditCall) lost(now time.Time) bool { return k.Pending && now.Sub(k.Began) > underWay }

// asks makes one call and notes what came of it.
func (v *visit) asks(ctx context.Context, k *auditCall, operation string, path map[string]string, body any) bool {
	k.Pending = false
	reply, err := v.do(ctx, k.ID, operation, path, body)
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
	k.Reply = reply.Body
	return true
}

// refusedPage shows why a call was not answered.
func (v *visit) refusedPage(k auditCall) error {
	p := api.NewProblem(k.Refused.Code)
	v.problem(p, k.number())
	return nil
}

// latePage says that a call is under way.
func (v *visit) latePage(k auditCall, path string) error {
	m := messagePage{Sentence: v.in("正在查……", "Looking…"), Do: v.in("记录多时要几秒钟。过一会儿再看，不用重新查。", "It takes some seconds where there are many records."), To: path, ToName: v.in("看结果", "See the result")}
	if k.lost(v.now) {
		m = messagePage{Sentence: v.in("没有收到结果。", "No result came."), Do: v.in("可能是网络断过。请重新查一次。", "The network may have failed. Please ask again.")}
	}
	return v.render(200, "message", m)
}

// derive is the id of what belongs to an id: the same each time, so that opening it again makes no call.
func (v *visit) derive(id string, parts ...string) string {
	sum := v.console.NewSM3()
	_, _ = sum.Write([]byte(strings.Join(append([]string{v.FormToken, id}, parts...), "\x00")))
	return base64.RawURLEncoding.EncodeToString(sum.Sum(nil)[:16])
}

const summaryDays = 14

// countToday counts the last days.
func (c *Console) countToday(v *visit) error {
	once, _, err := v.oncePosted()
	if err != nil {
		return err
	}
	began := auditCall{ID: once, Began: v.now, Pending: true}
	q := api.SummaryRequest{From: api.At(startOfDay(v.now).AddDate(0, 0, 1-summaryDays)), Days: summaryDays, Disputes: true}
	err = v.run(once, began, func(ctx context.Context) any {
		done := began
		v.asks(ctx, &done, "audit.summary", nil, q)
		return done
	})
	if err != nil {
		return err
	}
	v.redirect("/console/today/" + once)
	return nil
}

// startOfDay is midnight in China.
func startOfDay(t time.Time) time.Time {
	t = t.In(license.Shanghai())
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, t.Location())
}

// A todayPage is 今日.
type todayPage struct {
	ID        string
	At        time.Time
	Sentence  string
	Inquiries bool // of auditors' inquiries, for whoever supervises them
	Today     []figure
	Days      []dayRow
	Bars      []bar
	Ticks     []tick
	Width     int
	Disputes  []disputeRow
	Often     []often
	Covered   uint64
	Number    string
	Zh        bool
}

func (p todayPage) title() string {
	if p.Zh {
		return "今日"
	}
	return "Today"
}
func (p todayPage) record() string { return p.Number }

// A figure is a number with its name.
type figure struct{ Kind, Name, Number, Note string }

type dayRow struct {
	Day                                     string
	Records, Released, Refused, Unavailable int
	Today                                   bool
}

// A bar is a part of the picture, in its units.
type bar struct {
	Class      string
	X, Y, W, H int
	Label      string
}

type tick struct {
	X, Y int
	Text string
}

type disputeRow struct {
	Index, About string
	At           time.Time
}

type often struct {
	Name   string
	Number int
}

func (c *Console) today(v *visit) error {
	k, err := kept[auditCall](v, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	switch {
	case k.Pending:
		return v.latePage(k, "/console/today/"+k.ID)
	case k.Refused != nil:
		return v.refusedPage(k)
	}
	answered, err := answerOf[api.SummaryAnswer](k.Reply)
	if err != nil {
		return err
	}
	return v.render(200, "today", v.todayOf(k, answered))
}

func (v *visit) todayOf(k auditCall, a api.SummaryAnswer) todayPage {
	p := todayPage{ID: k.ID, At: k.Began, Number: k.number(), Covered: a.Covered, Zh: v.language() == language.Chinese, Inquiries: v.supervises()}
	most := 1
	counted := map[string]int{}
	for i, d := range a.Days {
		row := dayRow{Day: v.monthDay(d.From.Time), Records: d.Records, Released: d.Released, Refused: d.Refused, Unavailable: d.Unavailable, Today: i == len(a.Days)-1}
		p.Days = append(p.Days, row)
		most = max(most, row.Released+row.Refused+row.Unavailable)
		if p.Inquiries {
			most = max(most, row.Records)
		}
		if !row.Today {
			continue
		}
		for _, k := range d.Decisions {
			counted[k.Of] += k.Records
		}
	}
	for of, n := range counted {
		p.Often = append(p.Often, often{v.operation(of), n})
	}
	slices.SortFunc(p.Often, func(a, b often) int { return cmp.Or(cmp.Compare(b.Number, a.Number), cmp.Compare(a.Name, b.Name)) })
	p.Often = p.Often[:min(len(p.Often), 6)]
	p.draw(most)
	for _, d := range a.Disputes {
		row := disputeRow{Index: strconv.FormatUint(uint64(d.Index), 10), At: d.Time.Time}
		if d.Record != nil {
			row.About = strconv.FormatUint(*d.Record, 10)
		}
		p.Disputes = append(p.Disputes, row)
	}
	if len(p.Days) == 0 {
		return p
	}
	t := p.Days[len(p.Days)-1]
	if p.Inquiries {
		p.Sentence = v.in(sprint("今天审计人员查看记录 %d 次。", t.Records), sprint("Inquiries of auditors today: %d.", t.Records))
		p.Today = []figure{{"", v.in("查看", "Inquiries"), strconv.Itoa(t.Records), ""}}
		return p
	}
	p.Sentence = v.in(
		sprint("今天提供证照 %d 次，未提供 %d 次，因数据源中断没查成 %d 次。", t.Released, t.Refused, t.Unavailable),
		sprint("Licenses today: %d provided, %d refused, %d not found out because a source was down.", t.Released, t.Refused, t.Unavailable))
	if n := len(p.Disputes); n > 0 {
		p.Sentence += v.in(sprint("有 %d 件“不是我办的”等您核查。", n), sprint(" Disputes that wait for you: %d.", n))
	}
	p.Today = []figure{
		{"good", v.in("已提供", "Provided"), strconv.Itoa(t.Released), v.usual(p.Days, func(d dayRow) int { return d.Released })},
		{"bad", v.in("未提供", "Refused"), strconv.Itoa(t.Refused), v.usual(p.Days, func(d dayRow) int { return d.Refused })},
		{"wait", v.in("数据源中断", "Source down"), strconv.Itoa(t.Unavailable), v.usual(p.Days, func(d dayRow) int { return d.Unavailable })},
	}
	return p
}

// usual is the median of the days before today.
func (v *visit) usual(days []dayRow, of func(dayRow) int) string {
	var list []int
	for _, d := range days[:len(days)-1] {
		list = append(list, of(d))
	}
	return v.in(sprint("前 %d 日中位 %d", len(list), median(list)), sprint("median of %d days: %d", len(list), median(list)))
}

func median(list []int) int {
	if len(list) == 0 {
		return 0
	}
	list = slices.Sorted(slices.Values(list))
	return (list[(len(list)-1)/2] + list[len(list)/2]) / 2
}

// The picture's measures.
const (
	barStep, barWidth = 48, 30
	barHigh           = 150
	barTop            = 22
)

// draw makes the bars: released at the bottom, then refused, then outages.
func (p *todayPage) draw(most int) {
	p.Width = len(p.Days)*barStep + 8
	for i, d := range p.Days {
		x, y := i*barStep+8, barTop+barHigh
		parts := []struct {
			class string
			n     int
		}{{"provided", d.Released}, {"refused", d.Refused}, {"down", d.Unavailable}}
		sum := d.Released + d.Refused + d.Unavailable
		if p.Inquiries {
			parts, sum = parts[:1], d.Records
			parts[0].n = d.Records
		}
		for _, part := range parts {
			h := part.n * barHigh / most
			if part.n > 0 {
				h = max(h, 2)
			}
			if h == 0 {
				continue
			}
			y -= h
			p.Bars = append(p.Bars, bar{Class: part.class, X: x, Y: y, W: barWidth, H: h})
		}
		p.Ticks = append(p.Ticks, tick{X: x + barWidth/2, Y: barTop + barHigh + 18, Text: d.Day})
		if sum > 0 {
			p.Ticks = append(p.Ticks, tick{X: x + barWidth/2, Y: y - 6, Text: strconv.Itoa(sum)})
		}
	}
}

// monthDay is 11-30, of China.
func (v *visit) monthDay(t time.Time) string { return t.In(license.Shanghai()).Format("01-02") }

// supervises reports whether the visitor supervises auditors: the hall's system is found to have that right, and not the auditors'.
func (v *visit) supervises() bool {
	return v.Session != nil && v.Has("supervisor") && !v.Has("auditor")
}

// operation is what an operation does, in words.
func (v *visit) operation(id string) string {
	if words, ok := operationWords[id]; ok {
		return v.in(words.Zh, words.En)
	}
	if contract, err := api.NewContract(); err == nil {
		if op := contract.Operation(id); op != nil {
			return v.in(op.Title.Zh, op.Title.En)
		}
	}
	return cmp.Or(id, v.in("（无）", "(none)"))
}

// operationWords are short names of what stands in lists.
var operationWords = map[string]api.Sentence{
	"licenses.query": {Zh: "查询证照", En: "license query"}, "licenses.verify": {Zh: "核验", En: "verification"}, "licenses.status": {Zh: "查询证照状态", En: "license status"},
	"cases.check": {Zh: "核对办件材料", En: "case check"}, "cases.register": {Zh: "登记办件", En: "case registration"}, "cases.close": {Zh: "办结", En: "case closed"},
	"cases.materials": {Zh: "收材料", En: "material received"}, "cases.read": {Zh: "查看办件", En: "case read"}, "cases.list": {Zh: "查看待办", En: "cases due"}, "cases.represent": {Zh: "登记来办的人", En: "representative"},
	"cases.result": {Zh: "签发结果证照", En: "result issued"}, "precheck": {Zh: "办事先查", En: "pre-check"}, "consents.give": {Zh: "登记同意", En: "consent given"}, "consents.withdraw": {Zh: "撤回同意", En: "consent withdrawn"},
	"holders.accesses": {Zh: "持证人查询使用情况", En: "holder asks who used"}, "holders.dispute": {Zh: "不是我办的", En: "holder's dispute"},
	"audit.search": {Zh: "检索记录", En: "record search"}, "audit.summary": {Zh: "按日汇总", En: "daily summary"}, "audit.record": {Zh: "查看记录", En: "record read"}, "audit.evidence": {Zh: "打开证据", En: "evidence opened"},
	"audit.export": {Zh: "导出报告", En: "report"}, "audit.receipt": {Zh: "取回执", En: "receipt"}, "audit.reuse": {Zh: "免提交率", En: "reuse rate"}, "audit.dispose": {Zh: "处置记录", En: "record judged"}, "audit.erase": {Zh: "删除个人证据", En: "evidence erased"},
	"audit.retain": {Zh: "到期删除证据", En: "evidence expired"}, "policy.activate": {Zh: "启用规则", En: "policy activated"}, "console.sign-in": {Zh: "登录网页", En: "signed in"}, "console.sign-out": {Zh: "退出网页", En: "signed out"},
	"licenses.order": {Zh: "暂停、撤销、换发", En: "license order"}, "licenses.list": {Zh: "列出证照", En: "licenses listed"}, "licenses.issue": {Zh: "签发证照", En: "licenses issued"}, "licenses.render": {Zh: "制作证照文件", En: "document drawn"},
	"sources.try": {Zh: "试查数据源", En: "source tried"}, "catalog.types": {Zh: "查询证照目录", En: "catalogue"}, "catalog.matters": {Zh: "查询事项目录", En: "matters"}, "receipts": {Zh: "补取回执", En: "lost receipt"}, "log.entries": {Zh: "读取日志", En: "log read"},
	"log.create": {Zh: "建立日志", En: "log created"}, "config.activate": {Zh: "启用配置", En: "configuration activated"}, "keys.change": {Zh: "更换密钥", En: "keys changed"}, "node.status": {Zh: "查看运行状况", En: "node looked at"}, "console.lock": {Zh: "网页锁定", En: "locked"}, "console.unlock": {Zh: "网页解锁", En: "unlocked"},
	"unreadable": {Zh: "（读不出的记录）", En: "(unreadable)"},
}

// decisionWords are the outcomes of uses, with the kind of their sign.
var decisionWords = map[string]struct {
	kind, zh, en string
}{
	"release": {"good", "已提供", "provided"}, "status": {"good", "已告知状态", "status told"}, "met": {"good", "已满足", "met"}, "confirm": {"good", "内部比对一致", "confirmed inside"},
	"unconfirmed": {"bad", "内部比对不一致", "not confirmed"}, "missing": {"wait", "未查到", "not found"}, "unmatched": {"wait", "不是所询证照", "another license"}, "lapsed": {"bad", "已失效", "not in force"},
	"mismatched": {"bad", "不相符", "mismatched"}, "denied": {"bad", "未提供", "refused"}, "unavailable": {"wait", "数据源中断", "source down"}, "covered": {"", "窗口已收", "received"}, "noted": {"", "已登记", "noted"},
	"searched": {"", "被检索", "searched for"}, "opened": {"", "证据被打开", "opened"}, "told": {"", "已告知持证人", "holder told"}, "disputed": {"wait", "持证人有异议", "disputed"}, "listed": {"", "已列出", "listed"},
	"unchecked": {"", "未查", "not checked"}, "issued": {"good", "已签发", "issued"}, "rendered": {"good", "已制作文件", "drawn"}, "needed": {"", "须提交", "needed"}, "signed": {"good", "已签发", "signed"}, "known": {"", "此前已签发", "issued before"},
	"faulty": {"bad", "数据有误", "faulty"}, "tried": {"", "试查", "tried"}, "normal": {"good", "正常", "normal"}, "referred": {"wait", "转办", "referred"}, "false-alarm": {"good", "误报", "false alarm"},
}

func (v *visit) decision(word string) (kind, text string) {
	if d, ok := decisionWords[word]; ok {
		return d.kind, v.in(d.zh, d.en)
	}
	return "", cmp.Or(word, v.in("已记录", "recorded"))
}

// typeName, matterName and systemName are names for people; what is not known any more is named by its id.
func (v *visit) typeName(id string) string {
	if t, ok := v.snapshot.Catalogue.Type(id); ok {
		return v.in(t.Name, cmp.Or(t.NameEN, t.Name))
	}
	return id
}

func (v *visit) matterName(code string) string {
	if m, ok := v.snapshot.Book.Matter(code); ok {
		return v.in(m.Name, cmp.Or(m.NameEN, m.Name))
	}
	return code
}

func (v *visit) systemName(id string) string {
	if id == "" {
		return v.in("网关自身", "the gateway itself")
	}
	return cmp.Or(v.snapshot.Systems[id].Name, id)
}

// systems are the choices of the form.
func systemsOf(s *gateway.Snapshot) (list []choice) {
	for id, one := range s.Systems {
		list = append(list, choice{Value: id, Name: cmp.Or(one.Name, id)})
	}
	slices.SortFunc(list, func(a, b choice) int { return cmp.Compare(a.Value, b.Value) })
	return list
}

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
	"unicode"
	"unicode/utf8"

	"oncegate/api"
	"oncegate/language"
	"oncegate/license"
)

// operatorRoutes are the page of operators: how well the node is, and what to do. Nothing of a case stands on it.
func (c *Console) operatorRoutes() []route {
	return []route{
		{pattern: "GET /console/node", page: "node", serve: c.nodeLast},
		{pattern: "POST /console/node", operations: []string{"node.status"}, serve: c.lookAtNode},
		{pattern: "GET /console/node/{id}", page: "node", serve: c.nodeSeen},
	}
}

// lastLook names what a session keeps of its last look at the node: the id.
const lastLook = "node"

// nodeLast shows what was seen last, or how to look: reading it makes no call.
func (c *Console) nodeLast(v *visit) error {
	id, err := kept[string](v, v.derive(lastLook))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return v.render(200, "node", nodePage{Zh: v.language() == language.Chinese})
	case err != nil:
		return err
	}
	v.redirect("/console/node/" + id)
	return nil
}

// lookAtNode asks how the node is.
func (c *Console) lookAtNode(v *visit) error {
	once, _, err := v.oncePosted()
	if err != nil {
		return err
	}
	began := auditCall{ID: once, Began: v.now, Pending: true}
	if err := v.keep(v.r.Context(), v.derive(lastLook), once); err != nil {
		return err
	}
	err = v.run(once, began, func(ctx context.Context) any {
		done := began
		v.asks(ctx, &done, "node.status", nil, nil)
		return done
	})
	if err != nil {
		return err
	}
	v.redirect("/console/node/" + once)
	return nil
}

func (c *Console) nodeSeen(v *visit) error {
	k, err := kept[auditCall](v, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	switch {
	case k.Pending:
		return v.latePage(k, "/console/node/"+k.ID)
	case k.Refused != nil:
		return v.refusedPage(k)
	}
	answered, err := answerOf[api.NodeAnswer](k.Reply)
	if err != nil {
		return err
	}
	return v.render(200, "node", v.nodeOf(k, answered))
}

// A nodePage is 运行状况. Its zero value says how to look.
type nodePage struct {
	Seen         bool
	At           string
	Kind         string // of the headline's sign
	Sentence     string
	Todo         []nodeTodo
	More         int // things to do that the page has no room for
	Facts        []nodeFact
	Certificates []nodeCertificate
	Rest         string // of the certificates that are not listed
	Number       string
	Zh           bool
}

func (p nodePage) title() string {
	if p.Zh {
		return "运行状况"
	}
	return "How it runs"
}
func (p nodePage) record() string { return p.Number }

// A nodeTodo is a thing to do: now, or soon.
type nodeTodo struct{ Kind, When, Says, Do string }

// A nodeFact is one line of what there is.
type nodeFact struct{ Name, Kind, Word, Note string }

type nodeCertificate struct{ Kind, Whose, Until, Left, Next string }

// Most lines of a kind on the page, so that it stays small whatever a configuration has.
const (
	maxTodo         = 12
	maxCertificates = 12
	maxConnected    = 8
)

func (v *visit) nodeOf(k auditCall, a api.NodeAnswer) nodePage {
	p := nodePage{Seen: true, At: v.moment(a.Time.Time), Number: k.number(), Zh: v.language() == language.Chinese}
	p.Todo, p.Kind, p.Sentence = v.nodeTodos(a)
	if p.More = len(p.Todo) - maxTodo; p.More > 0 {
		p.Todo = p.Todo[:maxTodo]
	}
	p.Facts = v.nodeFacts(a)
	p.Certificates, p.Rest = v.nodeCertificates(a)
	return p
}

// nodeTodos are what to do, the urgent first, and the sentence that stands first on the page.
func (v *visit) nodeTodos(a api.NodeAnswer) (list []nodeTodo, kind, sentence string) {
	var now, soon, unknown int
	for _, f := range a.Findings {
		t := nodeTodo{Says: v.begun(v.said(f.Says)), Do: v.begun(v.said(f.Do))}
		if who := v.said(f.Whose); who != "" && !f.Until.IsZero() {
			t.Says = v.in(sprint("证书：%s，%s 到期", who, v.date(f.Until.Time)), sprint("Certificate of %s: ends %s", who, v.date(f.Until.Time)))
		}
		switch f.State {
		case api.NodeFindingStateFailed:
			t.Kind, t.When = "bad", v.in("现在", "now")
			now++
		case api.NodeFindingStateWarning:
			t.Kind, t.When = "wait", v.in("近日", "soon")
			soon++
		case api.NodeFindingStateUnknown:
			t.Kind, t.When = "wait", v.in("查清", "find out")
			unknown++
		default:
			continue
		}
		list = append(list, t)
	}
	slices.SortStableFunc(list, func(x, y nodeTodo) int { return strings.Compare(x.Kind, y.Kind) }) // bad before wait
	switch {
	case !a.Node.Ready:
		return list, "bad", v.in("本节点现在不受理调用。请先办下面第一件。", "This node takes no calls now. Do the first thing below.")
	case now > 0:
		return list, "bad", v.in(sprint("网关在受理调用；有 %d 件事现在就要办。", now), sprint("The gateway takes calls; %d things must be done now.", now))
	case soon+unknown > 0:
		return list, "wait", v.in(sprint("网关运行正常；有 %d 件事近日要办。", soon+unknown), sprint("The gateway runs; %d things are to be done soon.", soon+unknown))
	}
	return nil, "good", v.in("一切正常，不用做什么。", "Everything runs. There is nothing to do.")
}

// begun is a text as a sentence begins, in English with a capital.
func (v *visit) begun(text string) string {
	if first, size := utf8.DecodeRuneInString(text); size > 0 && v.language() == language.English {
		return string(unicode.ToUpper(first)) + text[size:]
	}
	return text
}

// said is a sentence in the page's language.
func (v *visit) said(s api.Sentence) string { return v.in(s.Zh, s.En) }

// nodeFacts are node, log, mark, backup and reload, and what was found about the rest.
func (v *visit) nodeFacts(a api.NodeAnswer) []nodeFact {
	ready := nodeFact{v.in("本节点", "This node"), "good", v.in("受理调用", "takes calls"), ""}
	if !a.Node.Ready {
		ready.Kind, ready.Word = "bad", v.in("不受理调用", "takes no calls")
	}
	ready.Note = v.in(sprint("版本 %s，%s 起运行", a.Node.Version, v.moment(a.Node.Since.Time)), sprint("version %s, since %s", a.Node.Version, v.moment(a.Node.Since.Time)))
	if a.Node.Nodes > 1 {
		ready.Note += v.in(sprint("；共 %d 个节点，本页说的是答话的这一个", a.Node.Nodes), sprint("; one of %d nodes, each speaks of itself", a.Node.Nodes))
	}
	facts := []nodeFact{ready}
	if n := len(a.Node.Connected); n > 0 {
		all := nodeFact{v.in("全部节点", "All nodes"), "good", v.in(sprint("%d 个连着数据库", n), sprint("%d connected", n)), strings.Join(a.Node.Connected[:min(n, maxConnected)], v.in("、", ", "))}
		if n < a.Node.Nodes {
			all.Kind, all.Word = "wait", v.in(sprint("%d 个里只有 %d 个连着数据库", a.Node.Nodes, n), sprint("%d of %d connected", n, a.Node.Nodes))
		}
		if n > maxConnected {
			all.Note += v.in(sprint("，另有 %d 个", n-maxConnected), sprint(" and %d more", n-maxConnected))
		}
		facts = append(facts, all)
	}
	log := nodeFact{v.in("日志", "Log"), "good", v.in(sprint("%s 条", grouped(a.Log.Size)), sprint("%s records", grouped(a.Log.Size))), ""}
	log.Note = v.in(sprint("最后一条和它的检查点：%s；名称 %s", v.moment(a.Log.LastRecord.Time), a.Log.Origin), sprint("newest record and checkpoint: %s; name %s", v.moment(a.Log.LastRecord.Time), a.Log.Origin))
	switch {
	case a.Log.Witnessed > 0:
		log.Note += v.in(sprint("；见证到第 %s 条", grouped(a.Log.Witnessed)), sprint("; witnessed up to %s", grouped(a.Log.Witnessed)))
	case a.Log.Witnesses > 0:
		log.Note += v.in(sprint("；%d 家见证单位，尚未见证", a.Log.Witnesses), sprint("; %d witnesses, none has cosigned yet", a.Log.Witnesses))
	default:
		log.Note += v.in("；未设见证", "; without witnesses")
	}
	backup := nodeFact{v.in("备份", "Backup"), v.worst(a, "backup"), v.in("没有已知的备份", "none is known"), ""}
	if at := a.Backup.At.Time; !at.IsZero() {
		backup.Word = v.in(ago(a.Time.Sub(at))+"前", agoEN(a.Time.Sub(at))+" ago")
		backup.Note = v.moment(at)
		if at.After(a.Time.Time) {
			backup.Word = v.in("时间不对", "of a wrong time")
		}
	}
	facts = append(facts, log, v.nodeMark(a), backup, v.nodeReload(a))
	for _, one := range []struct{ check, zh, en string }{{"disk", "磁盘", "Disk"}, {"clock", "时钟", "Clock"}, {"search", "审计检索", "Audit search"}} {
		f := nodeFact{Name: v.in(one.zh, one.en), Kind: v.worst(a, one.check)}
		var notes []string
		for _, found := range a.Findings {
			if found.Check == one.check {
				notes = append(notes, v.said(found.Says))
			}
		}
		if notes == nil {
			continue
		}
		f.Word, f.Note = v.kindWord(f.Kind), strings.Join(notes, v.in("；", "; "))
		facts = append(facts, f)
	}
	return append(facts, v.nodeSources(a))
}

// nodeMark says what the high-water mark is, and whether the one on the disk agrees.
func (v *visit) nodeMark(a api.NodeAnswer) nodeFact {
	f := nodeFact{Name: v.in("高水位标记", "High-water mark"), Kind: "good", Note: v.in("数据库之外的一个文件，记着日志最新的检查点：数据库被换成旧备份时，靠它发现", "a file outside the database with the newest checkpoint: it finds out when an old backup is put in the database's place")}
	at := grouped(a.Mark.Size)
	switch a.Mark.Agrees {
	case api.NodeMarkAgreesYes:
		f.Word = v.in(sprint("与日志一致（%s 条）", at), sprint("agrees with the log (%s)", at))
	case api.NodeMarkAgreesBehind:
		f.Word = v.in(sprint("到第 %s 条，正在跟上", at), sprint("at %s, following", at))
	case api.NodeMarkAgreesAhead:
		f.Word = v.in(sprint("到第 %s 条，另一节点写的", at), sprint("at %s, by another node", at))
	case api.NodeMarkAgreesOther:
		f.Word = v.in("与日志不符", "of another past")
	default:
		f.Word = v.in("读不出", "not readable")
	}
	f.Kind = v.worst(a, "mark")
	return f
}

// nodeReload says since when the configuration is in force, and what became of the last attempt to change it.
func (v *visit) nodeReload(a api.NodeAnswer) nodeFact {
	last := a.Configuration.Last
	f := nodeFact{Name: v.in("配置", "Configuration"), Kind: "good", Word: v.in("文件里的已生效", "the files are in force")}
	by := map[api.NodeReloadBy]api.Sentence{
		api.NodeReloadByStart: {Zh: "启动", En: "the start"}, api.NodeReloadBySignal: {Zh: "重载信号（SIGHUP）", En: "a signal (SIGHUP)"},
		api.NodeReloadByFile: {Zh: "文件改动", En: "a change of files"}, api.NodeReloadByRetry: {Zh: "自行重试", En: "another try"},
	}[last.By]
	became := map[api.NodeReloadResult]api.Sentence{
		api.NodeReloadResultOk: {Zh: "已采用", En: "taken over"}, api.NodeReloadResultUnchanged: {Zh: "没有变化", En: "nothing had changed"},
		api.NodeReloadResultRefused: {Zh: "被拒绝", En: "refused"}, api.NodeReloadResultFailed: {Zh: "没有成功", En: "failed"},
	}[last.Result]
	if last.Result == api.NodeReloadResultRefused || last.Result == api.NodeReloadResultFailed {
		f.Kind, f.Word = "bad", v.in("改动没有采用，仍按原配置", "a change was not taken; the one before stays")
	}
	file := last.File
	if file != "" {
		file = v.in("（"+file+"）", " ("+file+")")
	}
	f.Note = v.in(
		sprint("%s 起生效；最近一次加载 %s，由%s%s：%s", v.moment(a.Configuration.Since.Time), v.moment(last.At.Time), by.Zh, file, became.Zh),
		sprint("in force since %s; last load %s, by %s%s: %s", v.moment(a.Configuration.Since.Time), v.moment(last.At.Time), by.En, file, became.En))
	if why := v.said(last.Why); why != "" {
		f.Note += v.in("。原因："+why, ". Why: "+why)
	}
	return f
}

// nodeSources counts the sources; those that do not answer are named.
func (v *visit) nodeSources(a api.NodeAnswer) nodeFact {
	var all, ill int
	var names []string
	for _, f := range a.Findings {
		if f.Check != "source" {
			continue
		}
		all++
		if f.State != api.NodeFindingStateOk {
			ill++
			if len(names) < 8 {
				names = append(names, f.About)
			}
		}
	}
	f := nodeFact{Name: v.in("数据源", "Sources"), Kind: v.worst(a, "source"), Word: v.in(sprint("%d 个，都正常", all), sprint("%d, all well", all)), Note: v.in("按最近的调用判断，没有另外去问", "judged by the latest calls; none was asked for this page")}
	if ill > 0 {
		f.Word, f.Note = v.in(sprint("%d 个里 %d 个有问题", all, ill), sprint("%d of %d have trouble", ill, all)), strings.Join(names, v.in("、", ", "))
	}
	return f
}

// worst is the sign of the worst finding of a check.
func (v *visit) worst(a api.NodeAnswer, check string) string {
	kind := "good"
	for _, f := range a.Findings {
		switch {
		case f.Check != check || f.State == api.NodeFindingStateOk:
		case f.State == api.NodeFindingStateFailed:
			return "bad"
		default:
			kind = "wait"
		}
	}
	return kind
}

func (v *visit) kindWord(kind string) string {
	switch kind {
	case "good":
		return v.in("正常", "well")
	case "bad":
		return v.in("现在要处理", "needs you now")
	}
	return v.in("要留意", "needs attention")
}

// nodeCertificates are those that end first, and a sentence about the others.
func (v *visit) nodeCertificates(a api.NodeAnswer) (list []nodeCertificate, rest string) {
	var all []api.NodeFinding
	for _, f := range a.Findings {
		if f.Check == "certificate" {
			all = append(all, f)
		}
	}
	slices.SortStableFunc(all, func(x, y api.NodeFinding) int { // those that end on one day by name: the time of day says nothing
		return cmp.Or(startOfDay(x.Until.Time).Compare(startOfDay(y.Until.Time)), cmp.Compare(v.said(x.Whose), v.said(y.Whose)))
	})
	for _, f := range all[:min(len(all), maxCertificates)] {
		c := nodeCertificate{Kind: "good", Whose: cmp.Or(v.said(f.Whose), f.About), Until: v.date(f.Until.Time), Next: v.said(f.Do)}
		days := int(f.Until.Sub(a.Time.Time) / (24 * time.Hour))
		switch f.State {
		case api.NodeFindingStateFailed:
			c.Kind, c.Left = "bad", v.in("已过期", "expired")
			c.Next = v.in("现在就换：", "now: ") + c.Next
		case api.NodeFindingStateOk:
			c.Left = v.in(sprint("还有 %d 天", days), sprint("%d days left", days))
			c.Next = v.in("不用做什么", "nothing to do")
		default:
			c.Kind, c.Left = "wait", v.in(sprint("还有 %d 天", days), sprint("%d days left", days))
			c.Next = v.in(sprint("今天起 %d 天内换：", max(days, 0)), sprint("within %d days: ", max(days, 0))) + c.Next
		}
		if f.Until.IsZero() {
			c.Until, c.Left = v.in("不知道", "not known"), ""
		}
		list = append(list, c)
	}
	if more := len(all) - len(list); more > 0 {
		rest = v.in(sprint("其余 %d 张在 %s 或以后到期。", more, list[len(list)-1].Until), sprint("%d more end on %s or later.", more, list[len(list)-1].Until))
	}
	return list, rest
}

// date is 2027年11月30日, or 30 Nov 2027, of China.
func (v *visit) date(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.In(license.Shanghai()).Format(v.in("2006年1月2日", "2 Jan 2006"))
}

// ago is how long, in the unit that a person would say.
func ago(d time.Duration) string {
	switch {
	case d < time.Hour:
		return sprint("%d 分钟", max(0, int(d/time.Minute)))
	case d < 72*time.Hour:
		return sprint("%d 小时", int(d/time.Hour))
	}
	return sprint("%d 天", int(d/(24*time.Hour)))
}

func agoEN(d time.Duration) string {
	switch {
	case d < time.Hour:
		return sprint("%d min", max(0, int(d/time.Minute)))
	case d < 72*time.Hour:
		return sprint("%d h", int(d/time.Hour))
	}
	return sprint("%d days", int(d/(24*time.Hour)))
}

// grouped is a number in groups of three digits, 1,204.
func grouped(n uint64) string {
	text := strconv.FormatUint(n, 10)
	for at := len(text) - 3; at > 0; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}

package console

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"oncegate/api"
	"oncegate/console/consoletest"
	"oncegate/console/session"
	"oncegate/gateway"
)

// atServer signs an operator in.
func atServer(t testing.TB) *desk {
	d := atDesk(t)
	d.session.Roles, d.session.Hall, d.session.Department, d.session.Desk, d.session.Name = []string{session.Operator}, "operations", "service", "", "吴海峰"
	return d
}

// running is a node that lacks nothing; change makes it lack something.
func (d *desk) running(change func(*api.NodeAnswer)) func(string, gateway.Question) (*gateway.Reply, error) {
	at := func(before time.Duration) api.Time { return api.At(d.now.Add(-before)) }
	says := func(zh string) api.Sentence { return api.Sentence{Zh: zh, En: "in English: " + zh} }
	a := api.NodeAnswer{
		Nonce: "AAAAAAAAAAAAAAAAAAAAAA", Time: at(0), Operation: "node.status",
		Node: api.NodeState{Version: "v0.9.0", Since: at(50 * time.Hour), Ready: true, Nodes: 1},
		Log:  api.NodeLog{Origin: "gateway.yunchuan.example/log", Size: 1204311, LastRecord: at(time.Minute)},
		Mark: api.NodeMark{Size: 1204311, Agrees: api.NodeMarkAgreesYes}, Backup: api.NodeBackup{At: at(7 * time.Hour)},
		Configuration: api.NodeConfiguration{Digest: "d", Policy: "p", Since: at(50 * time.Hour), Last: api.NodeReload{At: at(50 * time.Hour), By: api.NodeReloadByStart, Result: api.NodeReloadResultOk}},
		Findings: []api.NodeFinding{
			{Check: "ready", State: "ok", Says: says("网关正常受理调用并记录")}, {Check: "configuration", State: "ok", Says: says("文件中的配置已生效")},
			{Check: "disk", About: "store", State: "ok", Says: says("数据库所在文件系统剩余 51200 MiB")}, {Check: "disk", About: "mark", State: "ok", Says: says("高水位标记所在文件系统剩余 20480 MiB")},
			{Check: "clock", About: "log", State: "ok", Says: says("本机时钟不落后于最新的记录")}, {Check: "mark", State: "ok", Says: says("高水位标记已含最新的记录")},
			{Check: "backup", State: "ok", Says: says("上次备份在 7 小时前")}, {Check: "search", State: "ok", Says: says("审计检索已含全部记录")},
			{Check: "source", About: "tax-files", State: "ok", Says: says("数据源 tax-files 正常应答")}, {Check: "source", About: "police-rest", State: "ok", Says: says("数据源 police-rest 正常应答")},
		},
	}
	for i, who := range []string{"云川市市场监督管理局 · 签发证照", "云川市行政审批服务局 · 状态清单", "综合窗口受理平台 · 调用", "云川市政务工作人员统一身份认证平台 · 身份证明", "云川市数据网关 CA · 信任锚"} {
		a.Findings = append(a.Findings, api.NodeFinding{Check: "certificate", About: fmt.Sprint("c", i), State: "ok", Whose: says(who), Says: says("证书"), Until: api.At(d.now.AddDate(0, 0, 200+300*i))})
	}
	if change != nil {
		change(&a)
	}
	return func(string, gateway.Question) (*gateway.Reply, error) { return answered(d.t, a), nil }
}

// troubled has something of every kind.
func (d *desk) troubled(a *api.NodeAnswer) {
	for i := range a.Findings {
		f := &a.Findings[i]
		switch f.Check + "/" + f.About {
		case "configuration/":
			f.State, f.Says, f.Do = "failed", api.Sentence{Zh: "上次重载被拒绝，仍按原配置运行：matters.yaml:12:5：没有部门 \"nobody\"", En: "the last reload was refused, the configuration before stays in force: matters.yaml:12:5: there is no department \"nobody\""}, api.Sentence{Zh: "请改正并用 oncegate check 检查；改正后自行采用", En: "correct it, and see with oncegate check"}
		case "backup/":
			f.State, f.Says, f.Do = "warning", api.Sentence{Zh: "上次备份在 72 小时前", En: "the last backup was made 72 hours ago"}, api.Sentence{Zh: "请每天备份：用 oncegate backup；或用 PostgreSQL 自己的工具，然后 touch /var/lib/oncegate/mark/checkpoint.backup", En: "back up every day: oncegate backup"}
		case "source/tax-files":
			f.State, f.Says, f.Do = "failed", api.Sentence{Zh: "数据源 tax-files 无应答：其材料暂不可用", En: "source tax-files does not answer"}, api.Sentence{Zh: "原因见日志，请联系该部门", En: "call the department"}
		case "certificate/c0":
			f.State, f.Do, f.Until = "warning", api.Sentence{Zh: "请重新签发：先 oncegate keys csr 7c1f0a…，再 oncegate keys cert 7c1f0a… FILE（见 operations 第 7 节）", En: "have a new one issued: oncegate keys csr 7c1f0a…"}, api.At(d.now.AddDate(0, 0, 12))
		case "certificate/c2":
			f.State, f.Do, f.Until = "failed", api.Sentence{Zh: "请该业务系统提出证书请求，用 oncegate keys sign 签发", En: "let the system send a request"}, api.At(d.now.AddDate(0, 0, -1))
		}
	}
	a.Backup.At = api.At(d.now.Add(-72 * time.Hour))
	a.Configuration.Last = api.NodeReload{At: api.At(d.now.Add(-9 * time.Minute)), By: api.NodeReloadByFile, File: "matters.yaml", Result: api.NodeReloadResultRefused, Why: api.Sentence{Zh: "matters.yaml:12:5：没有部门 \"nobody\"", En: "matters.yaml:12:5: there is no department \"nobody\""}}
}

func (d *desk) lookAtNode() consoletest.Page {
	d.t.Helper()
	page := consoletest.Read(d.t, d.get("/console/node"))
	return consoletest.Read(d.t, d.post("/console/node", "once", page.Form("/console/node")["once"]))
}

// TestNodePageSaysWhatToDo holds the operator's page: the first sentence is what to do, the urgent stands first, and reading it makes no call.
func TestNodePageSaysWhatToDo(t *testing.T) {
	d := atServer(t)
	d.answer = d.running(nil)
	first := consoletest.Read(t, d.get("/console/node"))
	if len(d.calls) != 0 || first.Headline() != "看网关现在好不好" {
		t.Errorf("before a look: %s, calls %q", first.Headline(), d.calls)
	}
	page := d.lookAtNode()
	if got := page.Headline(); got != "一切正常，不用做什么。" {
		t.Errorf("headline: %s", got)
	}
	for _, words := range []string{"1,204,311 条", "与日志一致", "7 小时前", "未设见证", "2 个，都正常", "还有 200 天", "记录 28", "11月30日 09:16"} {
		if !page.Says(words) {
			t.Errorf("the page does not say %q:\n%s", words, consoletest.Text(page.Root))
		}
	}
	d.get("/console/node")
	if !slices.Equal(d.calls, []string{"node.status"}) {
		t.Errorf("calls: %q", d.calls)
	}
	d.answer = d.running(d.troubled)
	page = d.lookAtNode()
	if got := page.Headline(); got != "网关在受理调用；有 3 件事现在就要办。" {
		t.Errorf("headline: %s", got)
	}
	rows := page.Rows()
	if len(rows) < 5 || !strings.HasPrefix(rows[0][1], "现在") || !strings.HasPrefix(rows[4][1], "近日") {
		t.Errorf("the urgent does not stand first: %q", rows)
	}
	for _, words := range []string{"oncegate keys csr 7c1f0a", "今天起 12 天内换", "已过期", "文件改动（matters.yaml）：被拒绝", "没有部门"} {
		if !page.Says(words) {
			t.Errorf("the page does not say %q", words)
		}
	}
	d.answer = d.running(func(a *api.NodeAnswer) {
		a.Node.Nodes, a.Node.Connected = 2, []string{"v0.9.0 gate-1:811", "v0.9.1 gate-2:90"}
	})
	if page = d.lookAtNode(); !page.Says("2 个连着数据库") || !page.Says("v0.9.0 gate-1:811、v0.9.1 gate-2:90") {
		t.Errorf("two nodes:\n%s", page.HTML)
	}
	d.answer = d.running(func(a *api.NodeAnswer) { a.Node.Nodes, a.Node.Connected = 3, []string{"v0.9.0 gate-1:811"} })
	if page = d.lookAtNode(); !page.Says("3 个里只有 1 个连着数据库") {
		t.Errorf("one of three nodes:\n%s", page.HTML)
	}
	d.answer = d.running(func(a *api.NodeAnswer) { a.Node.Ready = false })
	if got := d.lookAtNode().Headline(); !strings.HasPrefix(got, "本节点现在不受理调用") {
		t.Errorf("a node that is not ready: %s", got)
	}
	d.answer = func(string, gateway.Question) (*gateway.Reply, error) { return refused("not-permitted"), nil }
	if page = d.lookAtNode(); strings.Contains(page.HTML, "not-permitted") || len(page.Rows()) > 0 {
		t.Errorf("a refusal:\n%s", page.HTML)
	}
}

// TestNodePageStaysSmall shows thousands of certificates and troubles, and texts that are no HTML.
func TestNodePageStaysSmall(t *testing.T) {
	d := atServer(t)
	const hostile = `"><script>alert(1)</script><b onx='`
	d.answer = d.running(func(a *api.NodeAnswer) {
		d.troubled(a)
		a.Node.Version, a.Log.Origin = hostile, hostile
		a.Node.Connected = slices.Repeat([]string{hostile + strings.Repeat("点", 30)}, 64)
		a.Configuration.Last.File, a.Configuration.Last.Why.Zh = strings.Repeat("矿", 500)+hostile, strings.Repeat(hostile, 14)
		for i := range 5000 {
			long := strings.Repeat("无", 400) + hostile
			a.Findings = append(a.Findings, api.NodeFinding{Check: "certificate", State: "warning", About: hostile, Whose: api.Sentence{Zh: hostile}, Says: api.Sentence{Zh: long}, Until: api.At(d.now.AddDate(0, 0, i%29))},
				api.NodeFinding{Check: "source", State: "failed", About: hostile, Says: api.Sentence{Zh: hostile}, Do: api.Sentence{Zh: hostile}})
		}
	})
	page := d.lookAtNode()
	if len(page.HTML) > 25<<10 {
		t.Errorf("the page has %d bytes", len(page.HTML))
	}
	if strings.Contains(page.HTML, "<script>") || strings.Contains(page.HTML, "<b onx") {
		t.Error("a text became markup")
	}
	if !page.Says("件，见 oncegate doctor。") || !page.Says("其余 4993 张在") {
		t.Errorf("it does not say that there is more")
	}
}

// TestNodePageIsForOperators walks the matrix: no other role opens the page, and its tab leads nobody else there.
func TestNodePageIsForOperators(t *testing.T) {
	matrix, err := session.ReadMatrix()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range atServer(t).console.operatorRoutes() {
		for _, role := range append([]string{""}, session.Roles...) {
			if ok := matrix.Allow(role, r.pattern); ok != (role == session.Operator) {
				t.Errorf("%q at %s: %v", role, r.pattern, ok)
			}
		}
	}
}

// TestNodeScreens photographs the page of operators.
func TestNodeScreens(t *testing.T) {
	if os.Getenv(consoletest.Screens) == "" && os.Getenv(consoletest.AxeFile) == "" {
		t.Skip("neither pictures are wanted nor is axe-core there: " + consoletest.Screens + ", " + consoletest.AxeFile)
	}
	d := atServer(t)
	ctx := consoletest.Browser(t)
	show := func(name string, look bool) {
		t.Helper()
		clear(d.kept)
		do := []chromedp.Action[chromedp.Void]{chromedp.Navigate(d.server.URL + "/console/node")}
		if look {
			do = append(do, consoletest.Follow(chromedp.Click("main button.primary")))
		}
		if err := chromedp.Do(ctx, do...); err != nil {
			t.Fatal(name, err)
		}
		consoletest.Photograph(ctx, t, name, 1440, 390)
		consoletest.Accessible(ctx, t, name)
	}
	show("node-first", false)
	d.answer = d.running(nil)
	show("node-well", true)
	d.answer = d.running(d.troubled)
	show("node-troubled", true)
	d.answer = d.running(func(a *api.NodeAnswer) {
		a.Node.Ready, a.Node.Nodes, a.Mark.Agrees, a.Backup.At = false, 2, api.NodeMarkAgreesUnreadable, api.Time{}
		a.Findings = append([]api.NodeFinding{{Check: "ready", State: "failed", Says: api.Sentence{Zh: "数据库所在文件系统已满：剩余 1048576 字节，低于 limits.free_space 的 67108864"}, Do: api.Sentence{Zh: "修复之前，调用不予受理：见 operations 第 5 节"}}, {Check: "mark", State: "failed", Says: api.Sentence{Zh: "高水位标记无法读取"}, Do: api.Sentence{Zh: "请放回其目录：没有它，恢复了旧备份将无从发现"}}}, a.Findings[1:]...)
	})
	show("node-stopped", true)
	d.session.Preferences = session.Preferences{Language: "en"}
	d.answer = d.running(d.troubled)
	show("node-troubled-en", true)
	d.session.Preferences = session.Preferences{Large: true, Contrast: true}
	show("node-troubled-large", true)
}

// TestMaintenanceInTheBanner holds what windows are told of sources that do not answer, and of maintenance that is planned.
func TestMaintenanceInTheBanner(t *testing.T) {
	var outages []Outage
	d := atDesk(t, func(c *Config) { c.Outages = func() []Outage { return outages } })
	at := func(hours float64) time.Time { return d.now.Add(time.Duration(hours * float64(time.Hour))) }
	why := api.Sentence{Zh: "征管系统升级 <b>"}
	for _, test := range []struct {
		outages []Outage
		says    string
	}{
		{nil, ""},
		{[]Outage{{Department: "tax", Since: at(-0.5)}}, "税务局的系统从 08:46 起连不上；其余正常"},
		{[]Outage{{Department: "tax", Since: at(-0.5), Until: at(2), Why: why}}, "税务局的系统从 08:46 起连不上（计划维护：征管系统升级 <b>），预计 11:16 恢复；其余正常"},
		{[]Outage{{Department: "tax", Since: at(-0.5), Until: at(20), Why: why}}, "预计 12月1日 05:16 恢复；其余正常"},
		{[]Outage{{Department: "tax", Since: at(3), Until: at(20), Why: why, Planned: true}}, "计划维护：税务局的系统 12:16 至 12月1日 05:16（征管系统升级 <b>）；目前都正常"},
		{[]Outage{{Department: "civil", Since: at(-1)}, {Department: "tax", Since: at(3), Until: at(4), Planned: true}}, "民政局的系统从 08:16 起连不上；计划维护：税务局的系统 12:16 至 13:16；其余正常"},
	} {
		outages = test.outages
		page := consoletest.Read(t, d.get("/console/window"))
		if test.says == "" && (page.Says("连不上") || page.Says("计划维护")) || !page.Says(test.says) || strings.Contains(page.HTML, "升级 <b>") {
			t.Errorf("not %q:\n%s", test.says, consoletest.Text(page.Root))
		}
	}
}

package console

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"

	"oncegate/api"
	"oncegate/cases"
	"oncegate/license"
)

// A receivePage is 收材料: what the window receives instead of a material that was not got from its source.
type receivePage struct {
	ID, Case, Matter, Material string
	Name                       string
	Once                       string
	How                        []choice
	File                       field
	Fault                      string
	Number                     string
}

func (p receivePage) title() string  { return "收材料 · " + p.Name }
func (p receivePage) record() string { return p.Number }

// receiving finds the case and the material of the address: one that the check listed and did not find.
func (v *visit) receiving() (k counterCase, p receivePage, m cases.Material, err error) {
	k, err = v.counterCase(v.r.PathValue("id"))
	if err != nil {
		return k, p, m, err
	}
	p = receivePage{ID: k.ID, Case: k.Ask.number(), Matter: v.r.PathValue("matter"), Material: v.r.PathValue("material"), Once: v.once()}
	matter, _ := v.snapshot.Book.Matter(p.Matter)
	m, ok := matter.Material(p.Material)
	listed := k.Answer != nil && slices.ContainsFunc(k.Answer.Materials, func(one api.CheckedMaterial) bool {
		return one.Matter == p.Matter && one.Material == p.Material && one.State != api.MaterialStateMet
	})
	if !ok || !listed {
		return k, p, m, errNotHere
	}
	p.Name = m.Name
	return k, p, m, nil
}

// hows are the ways in which the list of the matter lets a material be received.
func hows(m cases.Material, chosen string) []choice {
	all := []choice{{Value: cases.HowUploaded, Name: "收到原件或复印件，扫描上传"}}
	switch m.Fallback.Kind {
	case cases.FallTolerate:
		all = append(all, choice{Value: cases.HowPromised, Name: "收到签好的容缺承诺书"})
	case cases.FallPromise:
		all = append(all, choice{Value: cases.HowPromised, Name: "收到签好的告知承诺书"})
	}
	all = append(all, choice{Value: cases.HowWaived, Name: "按规定免予提交"})
	for i := range all {
		all[i].Chosen = all[i].Value == chosen
	}
	return all
}

func (c *Console) receiveForm(v *visit) error {
	_, p, m, err := v.receiving()
	if err != nil {
		return err
	}
	chosen := cases.HowUploaded
	if v.r.URL.Query().Get("how") == cases.HowPromised {
		chosen = cases.HowPromised
	}
	p.How = hows(m, chosen)
	p.File = newField("scanned", "扫描件", "只登记文件的摘要，文件存到您的业务系统", "", "", "")
	return v.render(200, "receive", p)
}

// receive registers what was received.
func (c *Console) receive(v *visit) error {
	f, err := v.form("", 0)
	if err != nil {
		return err
	}
	k, p, m, err := v.receiving()
	if err != nil {
		return err
	}
	how, once := f.Get("how"), f.Get("once")
	p.How = hows(m, how)
	file := f.files["scanned"]
	p.File = newField("scanned", "扫描件", "只登记文件的摘要，文件存到您的业务系统", "", "", "")
	switch {
	case !onceID.MatchString(once):
		return errBadForm
	case !slices.ContainsFunc(p.How, func(o choice) bool { return o.Value == how }):
		p.Fault = "请选收到的是什么。"
		return v.render(200, "receive", p)
	case how == cases.HowUploaded && file.Digest == "":
		p.File.Error, p.File.Focus = "请选扫描件。", true
		return v.render(200, "receive", p)
	}
	body := api.MaterialRequest{Matter: p.Matter, Material: p.Material, How: api.How(how)}
	if how == cases.HowUploaded {
		body.Digest = file.Digest
	}
	got := receivedNote{Matter: p.Matter, Material: p.Material, How: how, At: v.now}
	err = v.run(once, counterCase{ID: once, Pending: true, Began: v.now}, func(ctx context.Context) any {
		done := counterCase{ID: once, Began: v.now}
		var answered api.Answered[api.MaterialAnswer]
		if v.call(ctx, &done, "m", "cases.materials", map[string]string{"no": k.Ask.number()}, body, &answered) {
			got.Deadline = license.Date(answered.Answer.Deadline)
			v.noteReceived(ctx, p.ID, got)
		}
		return done
	})
	if err != nil {
		return err
	}
	done, err := kept[counterCase](v, once)
	if err != nil {
		return err
	}
	if done.Refused != nil {
		p.Fault, p.Number, p.Once = done.Refused.Zh+done.Refused.Advice, done.number(), v.once()
		return v.render(200, "receive", p)
	}
	v.redirect("/console/window/" + p.ID)
	return nil
}

// noteReceived adds to what is kept of a case that a material was received. One session works on a case in one window; of two that were
// received at the same moment the page may show one, and the next check knows both.
func (v *visit) noteReceived(ctx context.Context, id string, got receivedNote) {
	text, err := v.console.gate.Kept(ctx, v.Session, id)
	if err != nil {
		return
	}
	var k counterCase
	if json.Unmarshal(text, &k) != nil {
		return
	}
	k.Received = append(k.Received, got)
	if err := v.keep(ctx, id, k); err != nil {
		v.console.Logger.ErrorContext(ctx, "reply was not kept", "error", err.Error())
	}
}

// A duePage is 待办: the hall's own cases of which something is awaited.
type duePage struct {
	At      time.Time
	Rows    []dueRow
	Today   int
	Overdue int
	Fault   string
	Do      string
	Next    string // form field for the next page
	Once    string
	Number  string
}

func (duePage) title() string    { return "待办" }
func (p duePage) record() string { return p.Number }

type dueRow struct {
	Case, Matter string
	Due, Overdue int
	Deadline     license.Date
	Kind, Word   string // of the sign
}

// keptList is what is kept of a list.
type keptList struct {
	counterCase
	List api.CasesAnswer `json:"list"`
}

// listDue lists what is due: one call.
func (c *Console) listDue(v *visit) error {
	once, f, err := v.oncePosted()
	if err != nil {
		return err
	}
	began := keptList{counterCase: counterCase{ID: once, Began: v.now, Pending: true}}
	err = v.run(once, began, func(ctx context.Context) any {
		done := keptList{counterCase: counterCase{ID: once, Began: v.now}}
		var answered api.Answered[api.CasesAnswer]
		q := api.CasesRequest{State: api.CasesRequestStateOpen, Due: api.CasesRequestDueDue, Limit: 100, After: f.Get("after")}
		if v.call(ctx, &done.counterCase, "l", "cases.list", nil, q, &answered) {
			answered.Answer.Commitments = api.Commitments{}
			done.List = answered.Answer
		}
		return done
	})
	if err != nil {
		return err
	}
	v.redirect("/console/due/" + once)
	return nil
}

func (c *Console) due(v *visit) error {
	k, err := kept[keptList](v, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	p := duePage{At: k.Began, Next: k.List.Next, Once: v.once(), Number: k.number()}
	if k.Refused != nil {
		p.Fault, p.Do = k.Refused.Zh, k.Refused.Advice
		return v.render(200, "due", p)
	}
	today := license.DateOf(v.now)
	for _, one := range k.List.Cases {
		m, _ := v.snapshot.Book.Matter(one.Matter)
		r := dueRow{Case: one.Case, Matter: cmp.Or(m.Name, one.Matter), Due: one.Due, Overdue: one.Overdue, Deadline: license.Date(one.Deadline)}
		switch {
		case one.Overdue > 0:
			r.Kind, r.Word = "bad", "已超期"
			p.Overdue++
		case r.Deadline == today:
			r.Kind, r.Word = "wait", "今天到期"
			p.Today++
		default:
			r.Kind, r.Word = "bring", "等待补齐"
		}
		p.Rows = append(p.Rows, r)
	}
	slices.SortStableFunc(p.Rows, func(a, b dueRow) int { return cmp.Compare(a.Deadline, b.Deadline) })
	return v.render(200, "due", p)
}

// Sentence answers the question of the page.
func (p duePage) Sentence() string {
	switch {
	case len(p.Rows) == 0:
		return "没有要补的材料。"
	case p.Overdue > 0:
		return strconv.Itoa(len(p.Rows)) + " 件等待补齐，" + strconv.Itoa(p.Overdue) + " 件已超期。"
	case p.Today > 0:
		return strconv.Itoa(len(p.Rows)) + " 件等待补齐，" + strconv.Itoa(p.Today) + " 件今天到期。"
	}
	return strconv.Itoa(len(p.Rows)) + " 件等待补齐，都没有到期。"
}

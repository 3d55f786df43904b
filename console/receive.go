package console

import (
	"cmp"
	"context"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"oncegate/api"
	"oncegate/cases"
	"oncegate/license"
	"oncegate/policy"
)

// A receivePage is 收材料: what the window receives instead of a material that was not got from its source.
type receivePage struct {
	ID, Case, Matter, Material string
	Name                       string
	Once                       string
	How                        []choice
	File                       field
	Verified                   []choice // how the clerk verified it; none: it is not filed (存档) for later cases
	VerifiedFault, HowFault    string
	Until                      field // last day on which it may be used
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
	v.askWhatWasReceived(&p, m, nil)
	return v.render(200, "receive", p)
}

// askWhatWasReceived fills in the fields about the file: what the published list asks where the material is filed for later cases.
func (v *visit) askWhatWasReceived(p *receivePage, m cases.Material, f *form) {
	hint, until := "PDF、OFD、JPG 或 PNG。只登记文件的摘要，文件存到您的业务系统", ""
	p.Verified = v.verifications(m, p.Matter, f)
	if len(p.Verified) > 0 {
		hint = "PDF、OFD、JPG 或 PNG，不超过 1 MB。核验后存档，同一申请人下次办事不用再交"
	}
	if f != nil {
		until = f.text("until")
	}
	p.File = newField("scanned", "扫描件", hint, "", "", "")
	p.Until = newField("until", "材料写明的有效期（没有写明，不填）", "例如 2026-12-31", until, "", "")
}

// verifications are the ways in which the material may be verified before it is filed, as the list has them; none where it is not filed, or
// not by this hall.
func (v *visit) verifications(m cases.Material, matter string, f *form) (all []choice) {
	t, ok := v.snapshot.Book.FilingType(m.Filing)
	if !ok || !v.mayFile(m, matter) {
		return nil
	}
	for _, one := range v.snapshot.Book.Verifications {
		if len(t.Verifications) > 0 && !slices.Contains(t.Verifications, one.ID) {
			continue
		}
		level, _ := v.snapshot.Book.TrustLevel(one.Level)
		c := choice{Value: one.ID, Name: one.Name + "（" + one.Level + " 级，下次还要核验）", Chosen: f != nil && f.Get("verified") == one.ID}
		if level.Reusable {
			c.Name = one.Name + "（" + one.Level + " 级，下次不用再交）"
		}
		all = append(all, c)
	}
	return all
}

// mayFile reports whether the rules let the hall file what it received.
func (v *visit) mayFile(m cases.Material, matter string) bool {
	department := v.snapshot.Systems[v.Hall].Department
	return v.snapshot.Policy.Decide(policy.Question{
		Operation: "cases.file", System: v.Hall, Department: department, LicenseType: m.Filing, Provider: department, Matter: matter, Material: m.Code,
		Role: m.HolderRole(), Attestation: string(cases.Self), Basis: policy.ByCase, OperatorProof: v.Person.Proof, OperatorRoles: v.Person.Roles, Now: v.now,
	}).Allow
}

// wrongFile says that an upload is nothing that a window may receive.
const wrongFile = "这个文件不能收。请选 PDF、OFD、JPG 或 PNG 的扫描件，不要压缩包。"

// lacks says under which field something is wrong or missing; it reports whether anything is.
func (p *receivePage) lacks(how string, file upload, today license.Date) bool {
	if how != cases.HowUploaded {
		return false
	}
	until, err := license.ParseDate(p.Until.Value)
	switch {
	case file.Digest == "":
		p.File.Error = "请选扫描件。"
	case file.Media == "":
		p.File.Error = wrongFile
	case len(p.Verified) > 0 && len(file.Bytes) > cases.MaxFile:
		p.File.Error = "存档的文件不超过 1 MB。请降低扫描的分辨率，再选一次。"
	case len(p.Verified) > 0 && !slices.ContainsFunc(p.Verified, func(c choice) bool { return c.Chosen }):
		p.VerifiedFault = "请选是怎么核验的。"
	case p.Until.Value != "" && err != nil:
		p.Until.Error = "日期请写成 2026-12-31。"
	case p.Until.Value != "" && until.Before(today):
		p.Until.Error = "已经过期，不能收。"
	default:
		return false
	}
	p.File.Focus = true     // it is the first of the fields with an error
	if p.File.Error == "" { // a browser does not choose a file again by itself
		p.File.Error = "请把文件再选一次。"
	}
	return true
}

// receive registers what was received.
func (c *Console) receive(v *visit) error {
	f, err := v.form("scanned", mostUpload)
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
	v.askWhatWasReceived(&p, m, f)
	switch {
	case !onceID.MatchString(once):
		return errBadForm
	case !slices.ContainsFunc(p.How, func(o choice) bool { return o.Value == how }):
		p.HowFault = "请选收到的是什么。"
		return v.render(200, "receive", p)
	case p.lacks(how, file, license.DateOf(v.now)):
		return v.render(200, "receive", p)
	}
	if len(p.Verified) == 0 {
		file.Bytes = nil // the digest is enough
	}
	body := api.MaterialRequest{Matter: p.Matter, Material: p.Material, How: api.How(how)}
	if how == cases.HowUploaded {
		body.Digest = file.Digest
	}
	got := receivedNote{Matter: p.Matter, Material: p.Material, How: how, At: v.now}
	done, err := v.ran(once, counterCase{ID: once, Pending: true, Began: v.now}, func(ctx context.Context) any {
		done := counterCase{ID: once, Began: v.now}
		var answered api.Answered[api.MaterialAnswer]
		if v.call(ctx, &done, "m", "cases.materials", map[string]string{"no": k.Ask.number()}, body, &answered) {
			got.Deadline = license.Date(answered.Answer.Deadline)
			if how == cases.HowUploaded && len(p.Verified) > 0 {
				got.Filed, got.Unfiled = v.fileIt(ctx, once, k, p, file, f)
			}
			got.Receipts = done.Receipts
			v.noteReceived(ctx, p.ID, got)
		}
		return done
	})
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

// mostUpload bounds a received file, in bytes.
const mostUpload = 6 << 20

// fileIt files what was received, so that later cases of the same holder have it (材料存档): a call and a record of its own, behind the receipt. It
// returns until when the file may be used, or why it was not filed: what was received stays received.
func (v *visit) fileIt(ctx context.Context, once string, k counterCase, p receivePage, file upload, f *form) (until license.Date, why string) {
	q := api.FileRequest{
		Matter: p.Matter, Material: p.Material, Digest: file.Digest, Media: api.FileMedia(file.Media), Content: base64.RawURLEncoding.EncodeToString(file.Bytes),
		Verification: f.Get("verified"), ValidUntil: p.Until.Value,
	}
	done := counterCase{ID: once}
	var answered api.Answered[api.FileAnswer]
	if !v.call(ctx, &done, "f", "cases.file", map[string]string{"no": k.Ask.number()}, q, &answered) {
		return "", strings.TrimSpace(done.Refused.Zh + done.Refused.Advice)
	}
	if level, _ := v.snapshot.Book.TrustLevel(answered.Answer.Level); !level.Reusable {
		return "", ""
	}
	return license.Date(answered.Answer.ValidUntil), ""
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

// A duePage is 待办: cases of the hall, and those of the acceptance platform that it handles, of which something is awaited.
type duePage struct {
	ID      string
	At      time.Time
	Pending bool // the call is under way
	Lost    bool // nothing came of it
	Rows    []dueRow
	Today   int
	Overdue int
	Waiting int
	Later   bool // an earlier page came before
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
	Platform     bool // the acceptance platform registered it
	Due, Overdue int
	Waiting      int // materials whose source did not answer
	Deadline     license.Date
	Kind, Word   string // of the sign
}

// keptList is what is kept of a list.
type keptList struct {
	counterCase
	Later bool            `json:"later,omitzero"` // it is not the first page
	List  api.CasesAnswer `json:"list"`
}

// listDue lists what is due: one call.
func (c *Console) listDue(v *visit) error {
	once, f, err := v.oncePosted()
	if err != nil {
		return err
	}
	began := keptList{counterCase: counterCase{ID: once, Began: v.now, Pending: true}}
	err = v.run(once, began, func(ctx context.Context) any {
		done := keptList{counterCase: counterCase{ID: once, Began: v.now}, Later: f.Get("after") != ""}
		var answered api.Answered[api.CasesAnswer]
		q := api.CasesRequest{State: api.CasesRequestStateOpen, Due: api.CasesRequestDueAwaited, Handled: true, Limit: 100, After: f.Get("after")}
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
	p := duePage{At: k.Began, Pending: k.Pending, Lost: v.now.Sub(k.Began) > underWay, ID: k.ID, Later: k.Later, Next: k.List.Next, Once: v.once(), Number: k.number()}
	if k.Refused != nil {
		p.Fault, p.Do = k.Refused.Zh, k.Refused.Advice
		return v.render(200, "due", p)
	}
	today := license.DateOf(v.now)
	for _, one := range k.List.Cases {
		m, _ := v.snapshot.Book.Matter(one.Matter)
		r := dueRow{Case: one.Case, Matter: cmp.Or(m.Name, one.Matter), Due: one.Due, Overdue: one.Overdue, Waiting: one.Waiting, Deadline: license.Date(one.Deadline), Platform: !one.Own}
		switch {
		case one.Overdue > 0:
			r.Kind, r.Word = "bad", "已超期"
			p.Overdue++
		case r.Deadline == today:
			r.Kind, r.Word = "wait", "今天到期"
			p.Today++
		case one.Waiting > 0:
			r.Kind, r.Word = "wait", "等数据源恢复"
			p.Waiting++
		default:
			r.Kind, r.Word = "bring", "等待补齐"
		}
		p.Rows = append(p.Rows, r)
	}
	slices.SortStableFunc(p.Rows, func(a, b dueRow) int {
		return cmp.Or(cmp.Compare(a.rank(today), b.rank(today)), cmp.Compare(a.Deadline, b.Deadline))
	})
	return v.render(200, "due", p)
}

// rank puts what is overdue first, then what is due today, then by the deadline; what has none comes last.
func (r dueRow) rank(today license.Date) int {
	switch {
	case r.Overdue > 0:
		return 0
	case r.Deadline == today:
		return 1
	case r.Deadline != "":
		return 2
	}
	return 3
}

// What says what is awaited of the case.
func (r dueRow) What() string {
	var parts []string
	if r.Due > 0 {
		parts = append(parts, strconv.Itoa(r.Due)+" 份要补")
	}
	if r.Waiting > 0 {
		parts = append(parts, strconv.Itoa(r.Waiting)+" 份等数据源")
	}
	return strings.Join(parts, "，")
}

// Sentence answers the question of the page.
func (p duePage) Sentence() string {
	switch {
	case p.Pending && p.Lost:
		return "这次没有查成。"
	case p.Pending:
		return "正在查……"
	case len(p.Rows) == 0 && p.Next != "":
		return "这一页没有要补的，后面还有。"
	case len(p.Rows) == 0 && p.Later:
		return "后面没有了。"
	case len(p.Rows) == 0:
		return "没有要补的材料。"
	case p.Overdue > 0:
		return strconv.Itoa(len(p.Rows)) + " 件等待补齐，" + strconv.Itoa(p.Overdue) + " 件已超期。"
	case p.Today > 0:
		return strconv.Itoa(len(p.Rows)) + " 件等待补齐，" + strconv.Itoa(p.Today) + " 件今天到期。"
	}
	return strconv.Itoa(len(p.Rows)) + " 件等待补齐，没有到期的。"
}

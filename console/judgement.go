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
	"oncegate/license"
)

type judgedRow struct {
	Kind, Word, Note, To, Due, Index string
	At                               time.Time
}

type judgeForm struct {
	Once        string
	Departments []choice
	Fault       string // of the conclusion
	To          string // what is wrong with the department
	Note        field
	Due         field
	Chosen      string
}

func (v *visit) judgedRow(j api.Judgement) judgedRow {
	row := judgedRow{Note: j.Note, Index: strconv.FormatUint(uint64(j.Index), 10), At: j.Time.Time, Due: dayIn(v.language(), license.Date(j.Due))}
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
		return wrong(func(j *judgeForm) { j.To = v.in("转办要选承办单位。", "A referral names a department.") })
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

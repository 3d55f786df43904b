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

	"oncegate/api"
	"oncegate/audit"
)

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
	Week       *holderWeek
	SearchOnce string
	WeekOnce   string
}

// A comparison is the person's day against their own.
type comparison struct {
	Day, Median, Most int
	Sentence          string
	Bars              []bar
	Width             int
	Number            string
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
	return v.askFurther(once, k, "audit.evidence", map[string]string{"index": strconv.FormatUint(k.Index, 10)}, api.EvidenceRequest{Why: why + "（" + paper + "）", Persons: true})
}

// askFurther makes one more call about a record that is open, once: k names the call by its id already.
func (v *visit) askFurther(once string, k keptRecord, operation string, path map[string]string, body any) error {
	if err := v.keep(v.r.Context(), k.ID, k); err != nil {
		return err
	}
	began := auditCall{ID: once, Began: v.now, Pending: true}
	err := v.run(once, began, func(ctx context.Context) any {
		done := began
		v.asks(ctx, &done, operation, path, body)
		return done
	})
	if err != nil {
		return err
	}
	return v.backToRecord(once, k.ID, "#evidence")
}

// furtherPosted is a form that asks about somebody whom the opened evidence of a record names.
func (v *visit) furtherPosted(fits func(kind string) bool) (once string, k keptRecord, day time.Time, person api.EvidencePerson, err error) {
	once, _, err = v.oncePosted()
	if err != nil {
		return once, k, day, person, err
	}
	k, a, err := v.openedRecord()
	if err != nil || k.Reply == nil {
		return once, k, day, person, notHere(err)
	}
	person, err = v.personOf(k, fits)
	return once, k, startOfDay(a.Record.Time.Time), person, err
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
	e.Compare, e.SearchOnce, e.WeekOnce = v.once(), v.once(), v.once()
	if k.Compared != "" {
		v.comparedOf(p, k)
	}
	if k.Week != "" {
		v.weekOf(p, k)
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
	once, k, day, person, err := v.furtherPosted(isOperator)
	if err != nil {
		return err
	}
	k.Compared = once
	return v.askFurther(once, k, "audit.summary", nil, api.SummaryRequest{From: api.At(day.AddDate(0, 0, -compareDays)), Days: compareDays + 1, Operator: person.Code})
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

// weekDays are the days, up to the record's own, in which a holder's uses are counted by system.
const weekDays = 7

// A holderWeek is who asked for a holder's licenses within the days up to a record.
type holderWeek struct {
	Sentence string
	Systems  []often
	Number   string
}

// week looks for the holder's uses of seven days: a search for that person, and recorded as one.
func (c *Console) week(v *visit) error {
	once, k, day, person, err := v.furtherPosted(isHolder)
	if err != nil {
		return err
	}
	k.Week = once
	return v.askFurther(once, k, "audit.search", nil, api.SearchRequest{From: api.At(day.AddDate(0, 0, 1-weekDays)), To: api.At(day.AddDate(0, 0, 1)), Holder: api.HolderID{Type: person.Type, Code: person.Code}, Limit: 1000})
}

// weekOf counts the records by system. Those of the gateway itself, such as an erasure, are no use.
func (v *visit) weekOf(p *recordPage, k keptRecord) {
	call, err := kept[auditCall](v, k.Week)
	if err != nil || call.Pending {
		return
	}
	a, err := answerOf[api.SearchAnswer](call.Reply)
	if err != nil {
		return
	}
	w, counted, all := &holderWeek{Number: call.number()}, map[string]int{}, 0
	for _, r := range a.Records {
		if r.System != "" {
			counted[r.System]++
			all++
		}
	}
	for id, n := range counted {
		w.Systems = append(w.Systems, often{v.systemName(id), n})
	}
	slices.SortFunc(w.Systems, func(a, b often) int { return cmp.Or(cmp.Compare(b.Number, a.Number), cmp.Compare(a.Name, b.Name)) })
	more := a.Next != 0 // the page was full
	w.Sentence = v.in(
		sprint("此持证人 %d 日内被 %d 家系统查询，共 %d 条记录%s。", weekDays, len(counted), all, map[bool]string{true: "以上"}[more]),
		sprint("In %d days %d systems asked about this holder, in %d records%s.", weekDays, len(counted), all, map[bool]string{true: " or more"}[more]))
	p.Evidence.Week = w
}

package console

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"oncegate/api"
	"oncegate/cases"
	"oncegate/license"
)

// underWay is how long a call can be under way before the page says that nothing came of it.
const underWay = 40 * time.Second

// A resultPage is 结果: the sentence first, then what to say to the person, then a line for each material.
type resultPage struct {
	ID         string
	Case       string
	Matter     string
	Applicant  string // masked
	At         time.Time
	Pending    bool
	Lost       bool // nothing came of the call
	Waiting    bool // some source has not answered yet
	Sentence   string
	End        string   // of the sentence: whether the case can be accepted
	Say        []string // to the person
	Rows       []materialRow
	Parts      []partRow
	Contents   []content
	Deadline   string // 12月14日（10 个工作日）
	Registered bool   // by the hall itself
	Again      string // one-time id of the form that checks again
	Number     string
}

func (resultPage) title() string    { return "结果" }
func (p resultPage) record() string { return p.Number }

// A materialRow is one material: 材料 | 结果 | 来源与时间 | 下一步.
type materialRow struct {
	Matter, Material string // codes, for addresses
	Name             string
	Part             string // name of the matter, in a chain
	Optional         bool
	Kind             string // of the sign and the colour: good, wait, bad, bring
	Late             bool   // its source is still asked
	Word             string
	Why              string
	Department       string
	At               time.Time
	Copy             bool      // a kept copy of that time
	File             bool      // a nightly file of that time
	Expected         time.Time // when its source is expected back, by its planned maintenance; zero: not known
	Next             string
	Promise          string // name of the paper to print: 容缺承诺书 or 告知承诺书
	Receive          bool
}

type partRow struct {
	Name string
	Goes bool
}

// content is what was released of one material.
type content struct {
	Name   string
	Fields []pair
}

type pair struct{ Name, Value string }

// result shows what is kept of a case: no call is made.
func (c *Console) result(v *visit) error {
	k, err := v.counterCase(v.r.PathValue("id"))
	if err != nil {
		return err
	}
	if k.Refused != nil {
		if fault := k.caseFault(); fault != "" {
			return v.showAsk(asking{}, map[string]string{"scan": fault}, "scan", &k, k.Ask.No)
		}
		return v.showAsk(k.Ask, map[string]string{}, "go", &k, "")
	}
	return v.render(200, "result", v.resultOf(k))
}

func (v *visit) resultOf(k counterCase) resultPage {
	p := resultPage{ID: k.ID, Case: k.Ask.number(), At: k.Began, Number: k.number(), Registered: k.Ask.Registers != "", Again: v.once()}
	if m, ok := v.snapshot.Book.Matter(k.Ask.Matter); ok {
		p.Matter = m.Name
	}
	if k.Answer == nil {
		p.Pending, p.Lost = true, !k.Pending || v.now.Sub(k.Began) > underWay
		p.Sentence = "正在查……"
		if p.Lost {
			p.Sentence = "这次没有查成。"
		}
		return p
	}
	a := k.Answer
	p.At = a.Time.Time
	if m, ok := v.snapshot.Book.Matter(a.Matter); ok {
		p.Matter = m.Name
	}
	standing := v.standing(k)
	for i, m := range a.Materials {
		p.Rows = append(p.Rows, v.row(k, m, standing[i]))
		if c := v.contentOf(m); len(c.Fields) > 0 {
			p.Contents = append(p.Contents, c)
		}
		if p.Applicant == "" && v.isApplicants(m) {
			p.Applicant = maskedHolder(m.Fields)
		}
	}
	for _, part := range a.Parts {
		matter, _ := v.snapshot.Book.Matter(part.Matter)
		goes := part.CanProceed
		if len(k.Received) > 0 || k.LaterRecorded {
			goes = cases.Conclude(slices.DeleteFunc(slices.Clone(standing), func(j cases.Judgement) bool { return j.Matter != part.Matter })).GoesOn
		}
		p.Parts = append(p.Parts, partRow{matter.Name, goes})
	}
	goes := a.CanProceed || (len(k.Received) > 0 || k.LaterRecorded) && cases.Conclude(standing).GoesOn
	p.Waiting = slices.ContainsFunc(p.Rows, func(r materialRow) bool { return r.Late })
	p.Sentence, p.End = headline(p.Rows, standing, goes)
	p.Say = v.say(p.Rows, standing, goes)
	p.Deadline = v.deadline(standing)
	return p
}

// standing says how each material stands now: as the check found it, and what was received since.
func (v *visit) standing(k counterCase) []cases.Judgement {
	all := make([]cases.Judgement, len(k.Answer.Materials))
	for i, m := range k.Answer.Materials {
		j := cases.Judgement{
			Matter: m.Matter, Material: m.Material, Need: cases.Need(m.Need), State: cases.State(m.State), Reason: cases.Reason(m.Reason.Code), Record: -1,
			Fallback: cases.Fallen{Kind: string(m.Fallback.Kind), Deadline: license.Date(m.Fallback.Deadline)},
		}
		if m.State == api.MaterialStateCovered {
			j.Covered = cases.HowUploaded
			if m.Fallback.Deadline != "" {
				j.Covered = cases.HowPromised
			}
		}
		for _, got := range k.Received {
			if got.Matter == m.Matter && got.Material == m.Material && !j.State.Obtained() {
				j.Covered = got.How
				j.Fallback.Deadline = got.Deadline
			}
		}
		all[i] = j
	}
	return all
}

// row says one material in the words of a counter. The next step is one that the published list of the matter allows.
func (v *visit) row(k counterCase, m api.CheckedMaterial, j cases.Judgement) materialRow {
	r := materialRow{
		Matter: m.Matter, Material: m.Material, Name: m.Name, Optional: j.Need == cases.Optional, At: m.AsOf.Time,
		Copy: m.Freshness == api.FreshnessStale, File: m.Freshness == api.FreshnessDrop,
	}
	if m.Matter != k.Answer.Matter {
		part, _ := v.snapshot.Book.Matter(m.Matter)
		r.Part = part.Name
	}
	r.Department = v.department(v.provider(m.LicenseType))
	if m.Source != "" {
		r.Department = v.departmentOfSource(m.Source)
	}
	if m.LicenseType == "" {
		r.Department = ""
	}
	if k.Awaited && isLate(m) && j.Covered == "" {
		r.Kind, r.Late, r.Word, r.Why = "wait", true, "正在查……", "对方系统还没有应答"
		return r
	}
	byHall := k.Ask.Registers != "" && m.State == api.MaterialStateDenied
	r.Kind, r.Word, r.Why = stateWords(m, j)
	if j.State == cases.OnFile {
		r.Why = v.filedWords(m.Filed)
	}
	for _, got := range k.Received {
		switch {
		case got.Matter != m.Matter || got.Material != m.Material || j.Covered != got.How:
		case got.Filed != "":
			r.Why = "已存档，" + longDay(got.Filed) + "前办事不用再交"
		case got.Unfiled != "":
			r.Why = "没有存档：" + got.Unfiled
		}
	}
	if j.State == cases.Lapsed && r.Kind == "bad" && r.Department != "" {
		r.Why = "先到" + r.Department + "办好"
	}
	if byHall && r.Kind == "bring" {
		r.Why = "办件是窗口登记的，不是受理平台登记的"
	}
	if j.State == cases.Unavailable && j.Covered == "" && v.now.Before(m.Expected.Time) {
		r.Expected = m.Expected.Time
	}
	if j.State == cases.Met || j.Done() {
		if j.State.Obtained() {
			r.Next = "入卷"
		}
		return r
	}
	if j.Need == cases.Optional {
		r.Next = "可以不交"
		return r
	}
	r.Receive = true
	if j.Covered == cases.HowPromised {
		return r
	}
	switch j.Fallback.Kind {
	case cases.FallTolerate:
		r.Promise = "容缺承诺书"
	case cases.FallPromise:
		r.Promise = "告知承诺书"
	}
	return r
}

// stateWords are the sign, the word and the reason of a state, as a person at a counter says them.
func stateWords(m api.CheckedMaterial, j cases.Judgement) (kind, word, why string) {
	switch j.Covered {
	case cases.HowUploaded:
		return "good", "已收", ""
	case cases.HowWaived:
		return "good", "已免交", ""
	case cases.HowPromised:
		return "wait", "已承诺", "到期前补齐"
	}
	switch j.State {
	case cases.Met:
		return "good", "已获取，不用交", ""
	case cases.OnFile:
		return "good", "已存档，不用交", ""
	case cases.Unavailable:
		switch j.Reason {
		case cases.SourceFaulty, cases.RoleFaulty:
			return "wait", "暂时查不到", "对方系统的数据有误，不是群众的原因"
		case "source-busy", "role-source-busy":
			return "wait", "暂时查不到", "对方系统正忙，过一会儿再查"
		case "license-presented":
			return "bring", "本次不能调取，请收材料", ""
		}
		return "wait", "暂时查不到", "对方系统没有应答，不是群众的原因"
	case cases.Lapsed:
		return "bad", lapsedWords[j.Reason], ""
	case cases.Mismatched:
		switch j.Reason {
		case cases.OtherHolder, cases.OtherType, cases.Unreadable:
			return "wait", "暂时查不到", "对方系统给的不是这份材料"
		}
		return "bad", "与要求不符", "材料上写的与本事项要求的不一样"
	case cases.Denied:
		why := "共享授权没有这一项"
		switch m.Reason.Code {
		case "attestation-too-weak":
			why = "办件不是受理平台登记的"
		case "operator-proof-weak", "operator-role-missing":
			why = "您的登录方式不够，请用数字证书登录"
		case "consent-missing":
			why = "要本人先在手机上同意"
		case string(cases.RoleNotInRecord), string(cases.RoleNotFound), string(cases.RoleNotInForce), string(cases.RoleOtherHolder), string(cases.RoleOtherType):
			return "bring", "未查到", "登记中查不到这位当事人的这个身份"
		}
		return "bring", "本次不能调取，请收材料", why
	}
	switch j.Reason {
	case cases.NoSource:
		return "bring", "请收材料", "这份材料由申请人提交"
	case cases.NoPartyInRole:
		return "bring", "请收材料", "办件里没有登记这位当事人"
	case cases.NotAskable:
		return "bring", "未查到", "不能按这种证件查"
	}
	return "bring", "未查到", "可能在外地登记"
}

// filedWords say who verified a filed material, when and how, as far as it was told.
func (v *visit) filedWords(f api.FiledMaterial) string {
	how, _ := v.snapshot.Book.Verification(f.Verification)
	out := strings.TrimSpace(how.Name)
	if by := v.snapshot.Departments[f.Department]; by != "" {
		out = v.department(f.Department) + out
	}
	if f.FiledOn != "" {
		out = longDay(license.Date(f.FiledOn)) + "由" + out
	}
	if f.Level != "" {
		out += "（" + f.Level + " 级）"
	}
	return out
}

var lapsedWords = map[cases.Reason]string{
	cases.IsRevoked: "已吊销，不能用", cases.IsExpired: "已过期，不能用", cases.IsSuspended: "已暂停，不能用", cases.IsSuperseded: "已换发，请用新证", cases.NotYetValid: "还没有生效，不能用",
}

// headline is the sentence that answers the question: how many materials stand how, and whether the case can be accepted.
func headline(rows []materialRow, all []cases.Judgement, goes bool) (sentence, end string) {
	var free, got, promised, late, unknown, bad, bring int
	for i, j := range all {
		switch {
		case j.State.Obtained():
			free++
		case j.Covered == cases.HowPromised:
			promised++
		case j.Covered != "":
			got++
		case j.Need == cases.Optional:
			free++
		case rows[i].Late:
			late++
		case rows[i].Kind == "wait":
			unknown++
		case rows[i].Kind == "bad":
			bad++
		default:
			bring++
		}
	}
	var parts []string
	say := func(n int, words string) {
		if n > 0 {
			parts = append(parts, strconv.Itoa(n)+" 份"+words)
		}
	}
	if free == len(all) {
		parts = append(parts, "都不用交")
	} else {
		say(free, "不用交")
		say(got, "已收")
		say(promised, "已承诺")
		say(late, "正在查")
		say(unknown, "暂时查不到")
		say(bad, "不能用")
		say(bring, "要收")
	}
	if late > 0 {
		return sprint("%d 份材料，%s。", len(all), strings.Join(parts, "，")), ""
	}
	end = "可以受理。"
	if !goes {
		end = "收齐再受理。"
		if !slices.ContainsFunc(all, func(j cases.Judgement) bool { return j.Blocks() && j.Fallback.Kind != cases.FallPromise }) {
			end = "签了承诺书就可以受理。"
		}
	}
	return sprint("%d 份材料，%s。", len(all), strings.Join(parts, "，")), end
}

// say is what the clerk says to the person: why, whose fault it is not, and what to do.
func (v *visit) say(rows []materialRow, all []cases.Judgement, goes bool) (out []string) {
	var bring, tolerate, promise, lapsed []string
	var maintained, late []string
	for i, j := range all {
		r := rows[i]
		if r.Late {
			late = append(late, cmp.Or(r.Department, "有关部门"))
			continue
		}
		if j.State.Obtained() || j.Covered != "" || j.Need == cases.Optional {
			continue
		}
		switch {
		case r.Kind == "bad" && j.State == cases.Lapsed && j.Fallback.Kind == cases.FallUpload:
		case j.Fallback.Kind == cases.FallTolerate:
			tolerate = append(tolerate, r.Name)
		case j.Fallback.Kind == cases.FallPromise:
			promise = append(promise, r.Name)
		default:
			bring = append(bring, r.Name)
		}
		if r.Kind == "wait" && r.Department != "" && !slices.Contains(maintained, r.Department) {
			maintained = append(maintained, r.Department)
		}
		if r.Kind == "bad" && j.State == cases.Lapsed {
			lapsed = append(lapsed, sprint("您的%s%s，请先到%s办好。", r.Name, strings.TrimSuffix(r.Word, "，不能用"), cmp.Or(r.Department, "发证的部门")))
		}
	}
	if len(late) > 0 {
		return []string{strings.Join(unique(late), "、") + "答得慢，请您稍等，马上就有结果。"}
	}
	if len(maintained) > 0 {
		out = append(out, strings.Join(maintained, "、")+"的系统暂时连不上，不是您的原因。")
	}
	out = append(out, lapsed...)
	switch {
	case len(bring) > 0:
		out = append(out, "请您交"+strings.Join(unique(bring), "、")+"，我们当场扫描，原件还您。")
		if len(tolerate)+len(promise) > 0 {
			out = append(out, strings.Join(unique(append(tolerate, promise...)), "、")+"可以先签承诺书，以后补。")
		}
	case len(tolerate) > 0:
		out = append(out, "您签一份容缺承诺书就先受理，"+strings.Join(unique(tolerate), "、")+"我们恢复后再查，不用您再跑。")
	case len(promise) > 0:
		out = append(out, "您签一份告知承诺书就可以受理，"+strings.Join(unique(promise), "、")+"不用现在交。")
	}
	if len(out) == 0 {
		switch {
		case slices.ContainsFunc(all, func(j cases.Judgement) bool { return j.Covered == cases.HowPromised }):
			return []string{"现在就受理。承诺以后补的材料，请您在期限前补齐。"}
		case slices.ContainsFunc(all, func(j cases.Judgement) bool { return j.Covered != "" }):
			return []string{"材料齐了，现在就受理。"}
		case len(all) == 1:
			return []string{"材料我们已经从部门查到了，您不用交，可以受理。"}
		}
		return []string{"材料我们已经从各部门查到了，您什么都不用交，现在就受理。"}
	}
	return out
}

// deadline is the first day by which something must follow.
func (v *visit) deadline(all []cases.Judgement) string {
	outcome := cases.Conclude(all)
	if outcome.Deadline == "" {
		return ""
	}
	for _, j := range all {
		if j.Fallback.Deadline != outcome.Deadline || j.Done() {
			continue
		}
		if n, err := v.snapshot.Calendar.Between(license.DateOf(v.now), outcome.Deadline); err == nil && n > 0 {
			return sprint("%s（%d 个工作日）", day(outcome.Deadline), n)
		}
	}
	return day(outcome.Deadline)
}

func (v *visit) isApplicants(m api.CheckedMaterial) bool {
	matter, _ := v.snapshot.Book.Matter(m.Matter)
	material, _ := matter.Material(m.Material)
	return material.HolderRole() == cases.Applicant
}

// onlyHolder is what a license says of its one holder; "" of a license with several, of whom nobody knows which is the applicant.
func onlyHolder(fields api.Fields, name string) string {
	if _, several := fields[name+".1"]; several {
		return ""
	}
	return cmp.Or(fields[name], fields[name+".0"])
}

// maskedHolder is the one holder's name as a screen may show it.
func maskedHolder(fields api.Fields) string {
	code := onlyHolder(fields, license.FieldHolderCode)
	h := license.Holder{HolderID: license.HolderID{Type: typeResident, Code: code}, Name: onlyHolder(fields, license.FieldHolderName)}
	if license.CheckUSCC(code) == nil && license.CheckResidentID(code) != nil {
		h.HolderID.Type = typeUSCC
	}
	return h.MaskedName()
}

// contentOf is what was released of a material, with personal codes masked: the clerk compares, and does not copy.
func (v *visit) contentOf(m api.CheckedMaterial) content {
	c := content{Name: m.Name}
	t, ok := v.snapshot.Catalogue.Type(m.LicenseType)
	if !ok {
		return c
	}
	for _, path := range sortedFields(t, m.Fields) {
		name, of, many := strings.Cut(path, ".")
		f, ok := t.Field(name)
		if !ok {
			continue
		}
		value := m.Fields[path]
		if f.Kind == license.KindResidentID || name == license.FieldHolderCode {
			value = license.MaskCode(value)
		}
		if name == license.FieldStatus {
			value = cmp.Or(statusWords[value], value)
		}
		title := f.Title
		if _, several := m.Fields[name+".1"]; many && several {
			if n, err := strconv.Atoi(of); err == nil {
				title += sprint("（%d）", n+1)
			}
		}
		c.Fields = append(c.Fields, pair{title, value})
	}
	return c
}

var statusWords = map[string]string{"valid": "有效", "suspended": "已暂停", "revoked": "已吊销", "superseded": "已换发", "expired": "已过期"}

// sortedFields are the paths of released fields, the license's own in the catalogue's order after the common ones.
func sortedFields(t license.Type, fields api.Fields) []string {
	paths := make([]string, 0, len(fields))
	for p := range fields {
		paths = append(paths, p)
	}
	rank := func(path string) int {
		name, _, _ := strings.Cut(path, ".")
		i := slices.IndexFunc(t.Fields, func(f license.Field) bool { return f.Name == name })
		if i >= 0 {
			return 100 + i
		}
		return slices.Index([]string{license.FieldHolderName, license.FieldHolderCode, license.FieldName, license.FieldNumber, license.FieldStatus}, name)
	}
	slices.SortFunc(paths, func(a, b string) int { return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b)) })
	return paths
}

// checkAgain checks the case of a page anew: another call and another record, on a page of its own.
func (c *Console) checkAgain(v *visit) error {
	f, err := v.form("", 0)
	if err != nil {
		return err
	}
	k, err := v.counterCase(v.r.PathValue("id"))
	if err != nil {
		return err
	}
	once := f.Get("once")
	if !onceID.MatchString(once) {
		return errBadForm
	}
	a := k.Ask
	a.No, a.Matter, a.Who = a.number(), "", whoSelf // registered, and who comes is recorded
	return v.callFor(once, a, k.Received)
}

package console

import (
	"cmp"
	"context"
	"io/fs"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"oncegate/api"
	"oncegate/cases"
	"oncegate/language"
	"oncegate/license"
	"oncegate/policy"
)

// keptUses is what is kept of one page of uses.
type keptUses struct {
	counterCase
	For      actingFor            `json:"for"`
	First    bool                 `json:"first"` // the newest page
	Told     *api.AccessesAnswer  `json:"told,omitzero"`
	Disputed map[string]disputing `json:"disputed,omitzero"` // by the number of the record
}

// disputing is that a holder said of a use that it was not theirs.
type disputing struct {
	Record uint64 `json:"record"` // the finding's
}

// listUses asks who used the licenses of the person, or of whom the person speaks for: one call. For another holder the source of that
// holder's license is asked each time, so a standing that ended is over at once.
func (c *Console) listUses(v *visit) error {
	once, f, err := v.oncePosted()
	if err != nil {
		return err
	}
	now, err := v.actsFor()
	if err != nil {
		return err
	}
	a, chosen := now, ""
	switch f.Get("for") {
	case "": // as before
	case "self":
		self, err := v.self()
		if err != nil {
			return err
		}
		a = actingFor{Holder: self}
	default:
		chosen = f.Get("for")
		if _, ok := v.snapshot.Holders.Standing(chosen); !ok {
			return errBadForm
		}
		h, fault := v.holderOf("", f.code("code-"+chosen))
		if fault != "" {
			return v.showHome(now, homeFault{as: chosen, typed: f.code("code-" + chosen), code: v.in(fault, "This code is not right; please check it.")})
		}
		a = actingFor{As: chosen, Holder: h}
	}
	before, err := strconv.ParseUint(cmp.Or(f.Get("before"), "0"), 10, 53)
	if err != nil {
		return errBadForm
	}
	began := keptUses{counterCase: counterCase{ID: once, Began: v.now, Pending: true}, For: a, First: before == 0}
	err = v.run(once, began, func(ctx context.Context) any {
		done := began
		done.Pending = false
		q := api.AccessesRequest{Holder: apiHolder(a.Holder), As: a.As, Limit: usesOnPage, Before: api.Index(before)}
		var answered api.Answered[api.AccessesAnswer]
		if v.call(ctx, &done.counterCase, "u", "holders.accesses", nil, q, &answered) {
			answered.Answer.Commitments = api.Commitments{}
			done.Told = &answered.Answer
		}
		return done
	})
	if err != nil {
		return err
	}
	k, err := kept[keptUses](v, once)
	switch {
	case err != nil:
		return err
	case chosen != "" && k.Refused != nil:
		return v.showHome(now, homeFault{as: chosen, typed: f.code("code-" + chosen), code: v.standingFault(chosen, k.Refused), number: k.number()})
	case k.Told != nil && f.Get("for") != "":
		if err := v.keep(v.r.Context(), keyActingFor, k.For); err != nil {
			return err
		}
	}
	v.redirect("/console/holder/uses/" + once)
	return nil
}

// standingFault says why somebody may not ask for another holder.
func (v *visit) standingFault(as string, r *refusedCall) string {
	w := v.standingOf(as)
	switch r.Code {
	case "holder-not-represented":
		return v.in(sprint("登记的%s不是您，不能代查。刚变更过的，等登记机关更新后再试。", w.zh), sprint("The register does not name you as the %s.", w.en))
	case "standing-unavailable":
		return v.in("登记机关的系统暂时没有应答，请过一会儿再试。", "The register does not answer at present. Try again later.")
	}
	return v.in(strings.TrimSpace(r.Zh+r.Advice), r.En)
}

// A usesPage is 谁用了我的证照.
type usesPage struct {
	holderReply
	Says  string
	Uses  []shownUse
	Once  string
	Next  uint64
	First bool
}

// A shownUse is one access as its holder reads it.
type shownUse struct {
	Record   uint64
	Day      string
	Who      string
	What     string
	Basis    string
	Details  []usedLicense
	Disputed string // the number of the finding
}

// A usedLicense says how a license was used, and which of its fields.
type usedLicense struct{ How, Fields string }

func (c *Console) uses(v *visit) error {
	k, err := kept[keptUses](v, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	top, answered := v.replyTo(k.counterCase, k.For)
	p := usesPage{holderReply: top, Once: v.once(), First: k.First}
	switch {
	case !answered:
	case k.Told != nil:
		p.Says, p.Next = v.in(k.Told.Says.Zh, k.Told.Says.En), uint64(k.Told.Next)
		for _, one := range k.Told.Accesses {
			p.Uses = append(p.Uses, v.shownUse(one, k))
		}
		p.Sentence = v.usesSentence(p)
	default:
		return fs.ErrNotExist
	}
	return v.render(http.StatusOK, "uses", p)
}

// usesSentence counts what is told. Where there are more pages it does not: the number of all would have to be counted.
func (v *visit) usesSentence(p usesPage) string {
	months := v.snapshot.Holders.Back()
	n := len(p.Uses)
	switch {
	case n == 0:
		return v.in(sprint("近 %d 个月，没有机关用过%s的证照。", months, p.Whose), sprint("Nobody used %s licenses in the last %d months.", p.Whose, months))
	case p.First && p.Next == 0:
		return v.in(sprint("近 %d 个月，%s的证照被使用 %d 次。", months, p.Whose, n), sprint("In the last %d months %s licenses were used %d times.", months, p.Whose, n))
	case p.First:
		return v.in(sprint("近 %d 个月用过%s证照的，最近 %d 次。", months, p.Whose, n), sprint("Who used %s licenses in the last %d months: the latest %d times.", p.Whose, months, n))
	}
	return v.in(sprint("更早的 %d 次。", n), sprint("%d earlier times.", n))
}

// shownUse puts an access into a sentence: who, for what, which licenses, and what it spared.
func (v *visit) shownUse(one api.Access, k keptUses) shownUse {
	u := shownUse{Record: uint64(one.Record), Day: v.dayOf(one.Time.Time), Who: cmp.Or(one.DepartmentName, one.SystemName, v.in("政务系统", "A system of the government"))}
	if d, ok := k.Disputed[strconv.FormatUint(u.Record, 10)]; ok {
		u.Disputed = strconv.FormatUint(d.Record, 10)
	}
	var parts []string
	var matters []string
	spared, consented, standing, others := 0, false, false, false
	best := map[string]api.AccessUse{}
	standsBy := "" // the basis on which it is compared whether somebody stands for the holder
	if v.snapshot.Holders != nil {
		standsBy = v.snapshot.Holders.Basis
	}
	var types []string
	for _, use := range one.Uses {
		was, seen := best[use.LicenseType]
		if !seen {
			types = append(types, use.LicenseType)
		}
		if !seen || usedRank(use) > usedRank(was) {
			best[use.LicenseType] = use
		}
		if use.Spared {
			spared++
		}
		if m, ok := v.snapshot.Book.Matter(use.Matter); ok && !slices.Contains(matters, v.in(m.Name, m.NameEN)) {
			matters = append(matters, v.in(m.Name, m.NameEN))
		}
		switch use.Basis {
		case policy.ByConsent:
			consented = true
		case policy.ByCase:
		case standsBy:
			standing = true
		default:
			others = true
		}
		var fields []string
		for _, f := range use.Fields {
			fields = append(fields, v.fieldName(use.LicenseType, f))
		}
		u.Details = append(u.Details, usedLicense{v.licenseName(use.LicenseType) + v.in("：", ": ") + v.usedHow(use), strings.Join(fields, v.in("、", ", "))})
	}
	if len(matters) > 0 {
		if one.ByOperation == "precheck" {
			parts = append(parts, v.in("办事先查 "+strings.Join(matters, "、"), "beforehand, for "+strings.Join(matters, ", ")))
		} else {
			parts = append(parts, v.in("办理"+strings.Join(matters, "、"), "for "+strings.Join(matters, ", ")))
		}
	}
	for _, id := range types {
		parts = append(parts, v.usedPhrase(best[id]))
	}
	if spared > 0 {
		parts = append(parts, v.in(sprint("少交 %d 份材料", spared), sprint("%d fewer to hand in", spared)))
	}
	u.What = strings.Join(parts, v.in("，", ", "))
	switch {
	case (one.ByOperation == "precheck" || consented) && k.For.As == "":
		u.Basis = v.in("依据：您本人同意", "Basis: you consented")
	case one.ByOperation == "precheck" || consented:
		u.Basis = v.in("依据：该持证人或代其办理的人同意", "Basis: consent of the holder, or of who stands for the holder")
	case standing:
		u.Basis = v.in("依据：代查时核对身份，内容没有给出", "Basis: compared when somebody asked for you; nothing was handed out")
	case others:
		u.Basis = v.in("依据：法律规定，无须您同意", "Basis: a law; your consent is not needed")
	default:
		u.Basis = v.in("依据：依法履职，无须您同意", "Basis: a statutory duty; your consent is not needed")
	}
	return u
}

// usedRank orders uses of one license by how much left.
func usedRank(u api.AccessUse) int {
	switch u.Outcome {
	case "release", string(cases.Met):
		return 3
	case "status", string(cases.Lapsed), string(cases.Mismatched):
		return 2
	}
	return 1
}

// usedPhrase says in a sentence how a license was used.
func (v *visit) usedPhrase(u api.AccessUse) string {
	name, n := v.licenseName(u.LicenseType), len(u.Fields)
	switch u.Outcome {
	case "release", string(cases.Met):
		if n == 0 {
			return v.in("核验"+name+"有效", name+" found in force")
		}
		return v.in(sprint("使用%s %d 项", name, n), sprint("%s, %d items", name, n))
	case "confirm", "unconfirmed":
		return v.in("核对"+name, name+" compared")
	case "status":
		return v.in("查看"+name+"是否有效", "whether the "+name+" is in force")
	case string(cases.Lapsed):
		return v.in("查到"+name+"已失效", name+" found not in force")
	case string(cases.Mismatched):
		return v.in(name+"与办理要求不符", name+" not as the matter expects")
	}
	return v.in("未查到"+name, "no "+name+" found")
}

// usedHow says in the details what became of the data.
func (v *visit) usedHow(u api.AccessUse) string {
	switch u.Outcome {
	case "release", string(cases.Met):
		if len(u.Fields) == 0 {
			return v.in("只给出“有”，没有给出内容", "only that it is there; no content")
		}
		return v.in("给出内容", "content was given")
	case "confirm":
		return v.in("只核对，没有给出内容", "compared only; no content")
	case "unconfirmed":
		return v.in("只核对，没有对上", "compared only; it did not match")
	case "status":
		return v.in("只给出是否有效", "only whether it is in force")
	case string(cases.Lapsed):
		return v.in("只给出已失效", "only that it is not in force")
	case string(cases.Mismatched):
		return v.in("只给出不符", "only that it does not match")
	}
	return v.in("没有查到", "none was found")
}

func (v *visit) licenseName(id string) string {
	t, ok := v.snapshot.Catalogue.Type(id)
	if !ok {
		return v.in("证照", "license")
	}
	return v.in(t.Name, t.NameEN)
}

func (v *visit) fieldName(licenseType, path string) string {
	name, _, _ := strings.Cut(path, ".")
	t, _ := v.snapshot.Catalogue.Type(licenseType)
	f, ok := t.Field(name)
	if !ok {
		return v.in("其他项目", "another item")
	}
	return v.in(f.Title, cmp.Or(f.TitleEN, f.Title))
}

// dayOf is a day as its reader says it.
func (v *visit) dayOf(t time.Time) string {
	t = t.In(license.Shanghai())
	if v.language() == language.English {
		return t.Format("2 January 2006")
	}
	if t.Year() != v.now.In(license.Shanghai()).Year() {
		return t.Format("2006年1月2日")
	}
	return t.Format("1月2日")
}

// A disputePage is 不是我办的.
type disputePage struct {
	holderTop
	ID    string
	Use   shownUse
	Once  string
	Why   string
	Fault string
	Wrong string // what is wrong with the text
	Do    string
	Name  string
	No    string
}

func (p disputePage) title() string  { return p.Name }
func (p disputePage) record() string { return p.No }

// disputing finds the use of an address on the page that was kept: of what the holder was not told there is no form.
func (v *visit) disputing() (k keptUses, p disputePage, err error) {
	k, err = kept[keptUses](v, v.r.PathValue("id"))
	if err != nil {
		return k, p, err
	}
	p = disputePage{holderTop: v.top(k.For), ID: k.ID, Once: v.once(), Name: v.in("不是我办的", "This was not me")}
	if k.Told != nil {
		for _, one := range k.Told.Accesses {
			if strconv.FormatUint(uint64(one.Record), 10) == v.r.PathValue("record") {
				p.Use = v.shownUse(one, k)
				return k, p, nil
			}
		}
	}
	return k, p, errNotHere
}

func (c *Console) disputeForm(v *visit) error {
	_, p, err := v.disputing()
	if err != nil {
		return err
	}
	return v.render(http.StatusOK, "dispute", p)
}

// dispute tells the auditors that the holder does not recognise a use: one call.
func (c *Console) dispute(v *visit) error {
	once, f, err := v.oncePosted()
	if err != nil {
		return err
	}
	k, p, err := v.disputing()
	if err != nil {
		return err
	}
	if p.Use.Disputed != "" {
		v.redirect("/console/holder/uses/" + k.ID)
		return nil
	}
	why := cmp.Or(f.text("why"), "不是我办的")
	if len(why) > maxWhy {
		p.Why, p.Wrong = why, v.in("写得太长，请少于 200 字。", "Please write less than 600 characters.")
		return v.render(http.StatusOK, "dispute", p)
	}
	began := counterCase{ID: once, Began: v.now, Pending: true}
	done, err := v.ran(once, began, func(ctx context.Context) any {
		done := counterCase{ID: once, Began: v.now}
		q := api.DisputeRequest{Holder: apiHolder(k.For.Holder), As: k.For.As, Record: api.Index(p.Use.Record), Why: why}
		if v.call(ctx, &done, "d", "holders.dispute", nil, q, nil) {
			change(ctx, v, k.ID, func(k *keptUses) {
				if k.Disputed == nil {
					k.Disputed = map[string]disputing{}
				}
				k.Disputed[strconv.FormatUint(p.Use.Record, 10)] = disputing{done.Record}
			})
		}
		return done
	})
	if err != nil {
		return err
	}
	if done.Refused != nil {
		p.Why, p.Fault, p.Do, p.No = f.text("why"), v.in(done.Refused.Zh, done.Refused.En), v.in(done.Refused.Advice, ""), done.number()
		return v.render(http.StatusOK, "dispute", p)
	}
	v.redirect("/console/holder/uses/" + k.ID)
	return nil
}

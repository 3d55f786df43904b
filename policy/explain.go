package policy

import (
	"fmt"
	"slices"
	"strings"
)

// sentences collects an explanation, in one language.
type sentences struct {
	zh    bool
	lines []string
}

// say adds a sentence; both texts take the same arguments in the same order.
func (v *sentences) say(zh, en string, args ...any) {
	text := en
	if v.zh {
		text = zh
	}
	v.lines = append(v.lines, fmt.Sprintf(text, args...))
}

// of is the sentence of a reason, without its full stop.
func (v *sentences) of(r Reason) string {
	if v.zh {
		return strings.TrimSuffix(r.Zh, "。")
	}
	return strings.TrimSuffix(r.En, ".")
}

// names joins a list; an empty one has its own words.
func (v *sentences) names(list []string, zhNone, enNone string) string {
	switch {
	case len(list) > 0 && v.zh:
		return strings.Join(list, "、")
	case len(list) > 0:
		return strings.Join(list, ", ")
	case v.zh:
		return zhNone
	}
	return enNone
}

// Explain says in sentences why Decide answers a question as it does: the rules considered, why each fired or not, the
// guards that fired, and the outcome. Lang is "zh" or "en"; anything else is read as "en". The sentences hold what the
// question and the set hold, so they are for those who may know the full reason.
func (s *Set) Explain(q Question, lang string) []string {
	v := &sentences{zh: strings.HasPrefix(lang, "zh")}
	v.ask(&q)
	if operations[q.Operation] == 0 {
		v.say("结论：拒绝。%s。", "Outcome: denied. %s.", v.of(texts[unknownOperation]))
		return v.lines
	}
	w := s.evaluate(&q)
	v.explainGrants(s, &w)
	v.explainPermissions(&w)
	v.explainRefusals(s, &w)
	v.outcome(w.decision())
	return v.lines
}

func (v *sentences) ask(q *Question) {
	v.say("系统 %s 请求操作 %s。", "System %s asks for operation %s.", q.System, q.Operation)
	if q.LicenseType != "" {
		v.say("证照类型 %s，持证主体角色 %s，请求字段：%s。", "License type %s, role of the holder %s, fields asked for: %s.",
			q.LicenseType, v.names(nonEmpty(q.Role), "未说明", "not stated"), v.names(q.Fields, "全部已授权字段", "whatever is granted"))
	}
	v.say("使用依据 %s，事项 %s，材料 %s。", "Legal basis %s, matter %s, material %s.",
		v.names(nonEmpty(q.Basis), "未说明", "not stated"), v.names(nonEmpty(q.Matter), "未说明", "not stated"), v.names(nonEmpty(q.Material), "未说明", "not stated"))
	v.say("经办人证明 %s，经身份服务证明的角色：%s。", "Operator proof %s, roles proven by an identity service: %s.", proofOf(q), v.names(provenRoles(q), "无", "none"))
}

func nonEmpty(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

func (v *sentences) explainGrants(s *Set, w *evaluation) {
	if !w.releases {
		return
	}
	bound, free := s.candidates(w.question)
	for _, g := range slices.Concat(bound, free) {
		switch {
		case slices.Contains(w.fired, g):
			v.say("授权 %s 生效（%s，%s）：可提供字段 %s，副本时效：%s。", "Grant %s fires (%s, %s): it gives the fields %s; age of copies: %s.",
				g.ID, g.Agreement, g.Basis, v.names(g.Fields, "无（仅证照状态）", "none (only that the license exists)"), v.names(nonEmpty(g.MaxAge), "仅实时", "live only"))
		case g.covers(w.question) != covered:
			v.say("授权 %s 不适用：%s。", "Grant %s does not apply: %s.", g.ID, v.of(texts[g.covers(w.question)]))
		}
	}
	v.explainMissed(w, true)
	if len(bound)+len(free) == 0 {
		v.say("%s。", "%s.", v.of(texts[w.nearest]))
	}
}

// explainMissed says which conditions of the grants, or of the permissions, do not hold.
func (v *sentences) explainMissed(w *evaluation, grants bool) {
	for _, m := range w.nearMisses {
		if (m.grant != nil) != grants {
			continue
		}
		var why []string
		for _, r := range m.reasons(nil, w.question) {
			why = append(why, v.of(r))
		}
		v.say("规则 %s 适用但未生效：%s。", "Rule %s applies but does not fire: %s.", m.rule, strings.Join(why, "; "))
	}
}

func (v *sentences) explainPermissions(w *evaluation) {
	for _, p := range w.permitted {
		v.say("许可 %s 生效。", "Permission %s fires.", p.ID)
	}
	v.explainMissed(w, false)
	if !w.releases && len(w.permitted)+len(w.nearMisses) == 0 {
		v.say("%s。", "%s.", v.of(texts[noPermission]))
	}
}

func (v *sentences) explainRefusals(s *Set, w *evaluation) {
	for _, p := range w.suspending {
		v.say("暂停 %s 有效：%s。", "Suspension %s is in force: %s.", p.ID, v.of(Reason{Zh: p.ReasonZh, En: p.ReasonEn}))
	}
	if w.notShared != nil {
		v.say("证照类型 %s 不予共享：%s（%s）。", "License type %s is not shared: %s (%s).", w.notShared.LicenseType, w.notShared.Reason, w.notShared.Basis)
	}
	for _, g := range w.guards {
		why := v.of(Reason{Zh: g.zh, En: g.en})
		switch g.effect {
		case refuse:
			v.say("防护规则 %s 拒绝：%s。", "Guard %s refuses: %s.", g.id, why)
		case withhold:
			v.say("防护规则 %s 不提供字段 %s：%s。", "Guard %s withholds the fields %s: %s.", g.id, v.names(g.fields, "", ""), why)
		case oblige:
			v.say("防护规则 %s 附加义务：%s。", "Guard %s adds the obligation %s.", g.id, v.names(g.obligations, "", ""))
		}
	}
	forbids, permits := s.guardsFor(w.question)
	checked := len(forbids[0]) + len(forbids[1]) + len(permits[0]) + len(permits[1])
	v.say("共检查防护规则 %d 条，触发 %d 条。", "Guards looked at: %d, fired: %d.", checked, len(w.guards))
}

func (v *sentences) outcome(d Decision) {
	if !d.Allow {
		var why []string
		for _, r := range d.Reasons {
			why = append(why, v.of(r))
		}
		v.say("结论：拒绝（规则 %s）。原因：%s。", "Outcome: denied (rules %s). Reasons: %s.", v.names(d.Rules, "", ""), strings.Join(why, "; "))
		return
	}
	v.say("结论：准许（规则 %s）。可提供字段：%s。", "Outcome: allowed (rules %s). Fields that may leave: %s.", v.names(d.Rules, "", ""), v.names(d.Fields, "无", "none"))
	for _, r := range d.Reasons {
		if len(r.Fields) > 0 {
			v.say("未提供字段 %s：%s。", "Fields kept back, %s: %s.", v.names(r.Fields, "", ""), v.of(r))
		}
	}
	if len(d.Obligations) > 0 {
		v.say("义务：%s。", "Obligations: %s.", v.names(d.Obligations, "", ""))
	}
}

// Names are what people call the ids that rules name, in the language of the reader: of departments, systems, license types and matters, and
// of the fields of a type. A function is nil, or returns "", where there is no name.
type Names struct {
	Department, System, LicenseType, Matter func(id string) string
	Field                                   func(licenseType, id string) string
}

// call writes an id as people call it, with the id in brackets.
func (v *sentences) call(id string, name func(id string) string) string {
	var named string
	if name != nil {
		named = name(id)
	}
	switch {
	case named == "" || named == id:
		return id
	case v.zh:
		return named + "（" + id + "）"
	}
	return named + " (" + id + ")"
}

// callAll is call of each.
func (v *sentences) callAll(ids []string, name func(id string) string) []string {
	called := make([]string, len(ids))
	for i, id := range ids {
		called[i] = v.call(id, name)
	}
	return called
}

// Sentence reads a grant aloud, for the steward who answers for it: with names, and the ids in brackets. Lang as in Explain.
func (g Grant) Sentence(lang string, names Names) string {
	v := &sentences{zh: strings.HasPrefix(lang, "zh")}
	field := func(id string) string {
		if names.Field == nil {
			return ""
		}
		return names.Field(g.LicenseType, id)
	}
	until := v.names(nonEmpty(g.ValidUntil), "长期", "no end")
	age := v.names(nonEmpty(g.MaxAge), "仅实时", "live only")
	fields := v.names(v.callAll(g.Fields, field), "无（仅证照状态）", "none (only that the license exists)")
	consent := v.names(nil, "不需要", "not needed")
	if g.needsConsent() {
		consent = v.names(nil, "需要", "needed")
	}
	proof := v.names(nonEmpty(g.OperatorProof), "不限", "any")
	if len(g.OperatorRoles) > 0 {
		proof += v.names(nil, "，角色 ", ", as one of ") + v.names(g.OperatorRoles, "", "")
	}
	what, label := v.call(g.LicenseType, names.LicenseType), v.names(nil, "证照", "the license")
	if g.FilingType != "" {
		label = v.names(nil, "存档材料", "the filed material")
		what += v.names(nil, "（可信等级不低于 ", " (trust level ") + g.Trust + v.names(nil, "）", " or stronger)")
		age = v.names(nil, "不适用", "does not apply")
	}
	v.say("依据 %[1]s（%[2]s），%[3]s 准许系统 %[4]s 为事项 %[5]s 通过 %[6]s 使用%[14]s %[7]s 的字段：%[8]s；角色：%[9]s；同意：%[10]s；经办人证明：%[13]s；副本时效：%[11]s；有效期至：%[12]s。",
		"By %[1]s (%[2]s), %[3]s lets the systems %[4]s, for the matters %[5]s, through %[6]s, use of %[14]s %[7]s the fields: %[8]s; roles: %[9]s; consent: %[10]s; proof of the operator: %[13]s; age of copies: %[11]s; valid until: %[12]s.",
		g.Basis, g.Agreement, v.call(g.Provider, names.Department), v.names(v.callAll(g.Systems, names.System), "", ""), v.names(v.callAll(g.Matters, names.Matter), "不限", "any"),
		v.names(g.Operations, "", ""), what, fields, v.names(g.Roles, Applicant, Applicant), consent, age, until, proof, label)
	return v.lines[0]
}

// needsConsent says whether the grant rests on the holder's consent, alone or besides a case.
func (g Grant) needsConsent() bool { return g.Consent || slices.Equal(g.Grounds, []string{ByConsent}) }

package verdict

import (
	"fmt"
	"strings"

	"oncegate/api"
	"oncegate/check"
	"oncegate/language"
	"oncegate/license"
)

// nouns name the kinds for a person.
var nouns = map[Kind]api.Sentence{
	License:       {En: "license", Zh: "证照"},
	Answer:        {En: "answer", Zh: "答复"},
	Report:        {En: "report", Zh: "报告"},
	Refusal:       {En: "refusal", Zh: "拒绝答复"},
	Receipt:       {En: "receipt", Zh: "回执"},
	Checkpoint:    {En: "checkpoint", Zh: "检查点"},
	Call:          {En: "signed call", Zh: "签名请求"},
	Body:          {En: "body", Zh: "请求体"},
	Certificate:   {En: "certificate", Zh: "证书"},
	Key:           {En: "key", Zh: "公钥"},
	StatusList:    {En: "status list", Zh: "状态列表"},
	Document:      {En: "document", Zh: "版式文件"},
	SignedMessage: {En: "signed message", Zh: "签名消息"},
	Seal:          {En: "electronic seal", Zh: "电子印章"},
	SealSignature: {En: "seal signature", Zh: "电子签章"},
	TimeStamp:     {En: "time stamp", Zh: "时间戳"},
	Revocations:   {En: "revocation list", Zh: "证书吊销列表"},
	OCSPAnswer:    {En: "OCSP answer", Zh: "OCSP 应答"},
	Picture:       {En: "picture", Zh: "图片"},
	Content:       {En: "content", Zh: "内容"},
	Unknown:       {En: "file", Zh: "文件"},
}

// Noun names a kind for a person, in both languages.
func (k Kind) Noun() api.Sentence { return nouns[k] }

// sentence says a verdict to a person, in both languages. decisive are the steps that made it: the one that failed, or those
// that are lacking.
func sentence(v *Verified, decisive []check.Step) api.Sentence {
	noun := nouns[v.Kind]
	what := v.found.subject
	if what.En == "" {
		what = api.Sentence{En: "this " + noun.En, Zh: "此" + noun.Zh}
	}
	var s api.Sentence
	switch v.Verdict {
	case api.VerdictProven:
		s.En, s.Zh = "Proven: "+what.En+" is authentic", "已证实："+what.Zh+"真实"
		is := inForceClause(v.Beside.InForce)
		s.En, s.Zh = s.En+is.En+".", s.Zh+is.Zh+"。"
	case api.VerdictRefuted:
		s.En = "Refuted: " + clause(decisive[0].Reason) + "."
		s.Zh = "不成立：" + InChinese(decisive[0]).Reason + "。"
	default:
		s.En = "Not proven: that this " + noun.En + " is authentic could not be shown: " + clause(decisive[0].Reason) + "."
		s.Zh = "未证实：无法证明此" + noun.Zh + "真实：" + InChinese(decisive[0]).Reason + "。"
		if more := len(decisive) - 1; more > 0 {
			s.En = strings.TrimSuffix(s.En, ".") + fmt.Sprintf(" (and %d more).", more)
			s.Zh = strings.TrimSuffix(s.Zh, "。") + fmt.Sprintf("（另有 %d 项）。", more)
		}
	}
	return api.Sentence{En: clip(s.En), Zh: clip(s.Zh)}
}

// inForceClause says beside an authentic license whether it is in force.
func inForceClause(is *api.InForce) (s api.Sentence) {
	if is == nil {
		return s
	}
	switch is.State {
	case api.InForceStateInForce:
		return api.Sentence{En: ", and in force as of " + clock(is.AsOf), Zh: "，截至 " + clock(is.AsOf) + " 有效"}
	case api.InForceStateNotInForce:
		return api.Sentence{En: ", but no longer in force: " + is.Status + " as of " + clock(is.AsOf), Zh: "，但已失效：截至 " + clock(is.AsOf) + " " + chineseStatus[is.Status]}
	}
	return api.Sentence{En: "; nobody was asked whether it is in force", Zh: "；是否现行有效未查询"}
}

var chineseStatus = map[string]string{
	string(license.Valid): "有效", string(license.Suspended): "暂扣", string(license.Revoked): "撤销或注销",
	string(license.Superseded): "已换发", string(license.Expired): "过期失效",
}

// clock is a moment for a person: China's time to the minute.
func clock(t api.Time) string { return t.In(license.Shanghai()).Format("2006-01-02 15:04") }

// clause is a reason as part of a sentence.
func clause(reason string) string { return strings.TrimRight(reason, ".") }

// clip bounds a sentence to what the contract allows.
func clip(text string) string {
	if r := []rune(text); len(r) > 500 {
		return string(r[:500]) + "…"
	}
	return text
}

// support turns a verdict into that of a file which stands beside what it supports: it has none.
func (v *Verified) support() {
	noun := nouns[v.Kind]
	v.Verdict, v.Supports, v.Lacks = "", true, nil
	v.Says = api.Sentence{En: "This " + noun.En + " supports another file here.", Zh: "此" + noun.Zh + "用于佐证同时给出的其他文件。"}
}

// Messages are the Chinese of all that a verification says: names and reasons of steps, and faults of the trust. A reason may quote the
// name of a step.
func Messages() []language.Messages {
	return []language.Messages{stepNames, trustMessages, stepReasons}
}

var catalogue = language.New(Messages()...)

// InChinese is a step with its name and its reason in Chinese. A name or a reason that has no Chinese stays in English.
//
// Verifying packages know nothing of languages: their reasons are English sentences with values in them, translated here by their
// patterns, so that programs read the same in every language.
func InChinese(s check.Step) check.Step {
	return check.Step{Name: chineseName(s.Name), State: s.State, Reason: catalogue.Translate(s.Reason)}
}

// chineseName translates the name of a step, and the places before it: "license[0]/chain-now".
func chineseName(name string) string {
	parts := strings.Split(name, "/")
	for i, part := range parts {
		word, index, _ := strings.Cut(part, "[")
		if index != "" {
			index = "[" + index
		}
		number := ""
		if at := strings.LastIndexByte(word, '-'); at > 0 && strings.Trim(word[at+1:], "0123456789") == "" && stepNames[word] == "" {
			word, number = word[:at], " "+word[at+1:]
		}
		if translated, ok := stepNames[word]; ok {
			parts[i] = translated + number + index
		}
	}
	return strings.Join(parts, "/")
}

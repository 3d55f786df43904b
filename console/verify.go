package console

import (
	"context"
	"encoding/base64"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"oncegate/api"
	"oncegate/check"
	"oncegate/language"
	"oncegate/verdict"
)

// A verifyPage is 核验证照: a file or a text, and one of three answers.
type verifyPage struct {
	Once  string
	File  field
	Text  field
	Fault string
}

func (verifyPage) title() string { return "核验证照" }

// A verifiedPage is the answer: proven, refuted or not proven (design law 10).
type verifiedPage struct {
	Kind, Word string // of the sign: good, bad, wait
	Sentence   string
	Says       string
	What       string
	Do         string
	InForce    string
	Steps      []stepRow
	Lacks      []string
	Pending    bool
	Lost       bool
	At         time.Time
	Number     string
	ID         string
}

func (verifiedPage) title() string    { return "核验结果" }
func (p verifiedPage) record() string { return p.Number }

type stepRow struct{ Kind, Name, Reason string }

func (c *Console) verifyEmpty(v *visit) error { return v.showVerify("", "") }

func (v *visit) showVerify(file, text string) error {
	return v.render(200, "verify", verifyPage{
		Once: v.once(),
		File: newField("document", v.in("证照文件", "Document"), v.in("OFD、PDF、签名或回执文件，不超过 6 MB", "OFD, PDF, signature or receipt, at most 6 MB"), "", file, "document"),
		Text: newField("text", v.in("或者粘贴证照编码", "Or paste the license"), v.in("电子证照的文本（SD-JWT）、回执的文本，或扫码得到的内容", "Text of an e-license (SD-JWT), of a receipt, or what a code says"), "", text, ""),
	})
}

func (v *visit) in(zh, en string) string {
	if v.language() == language.English {
		return en
	}
	return zh
}

// keptVerdict is what is kept of a verification.
type keptVerdict struct {
	counterCase
	Verified api.VerifyAnswer `json:"verified"`
}

// verify verifies what was uploaded or pasted: one call.
func (c *Console) verify(v *visit) error {
	f, err := v.form("document", c.MaxDocument)
	if err != nil {
		return err
	}
	text, file, once := strings.TrimSpace(f.Get("text")), f.files["document"], f.Get("once")
	if !onceID.MatchString(once) {
		return errBadForm
	}
	var q api.VerifyRequest
	switch value := jsontext.Value(text); {
	case len(file.Bytes) > 0:
		q.Document = base64.StdEncoding.EncodeToString(file.Bytes)
		q.Document = strings.TrimRight(strings.NewReplacer("+", "-", "/", "_").Replace(q.Document), "=")
	case text == "":
		return v.showVerify(v.in("请选一个文件，或在下面粘贴。", "Choose a file, or paste a text below."), "")
	case value.IsValid() && strings.HasPrefix(text, "{"):
		q.Document = base64.RawURLEncoding.EncodeToString([]byte(text))
	default:
		q.License = f.code("text")
	}
	began := keptVerdict{counterCase: counterCase{ID: once, Began: v.now, Pending: true}}
	err = v.run(once, began, func(ctx context.Context) any {
		done := keptVerdict{counterCase: counterCase{ID: once, Began: v.now}}
		var answered api.Answered[api.VerifyAnswer]
		if v.call(ctx, &done.counterCase, "v", "licenses.verify", nil, q, &answered) {
			done.Verified = answered.Answer
		}
		return done
	})
	if err != nil {
		return err
	}
	v.redirect("/console/verify/" + once)
	return nil
}

func (c *Console) verified(v *visit) error {
	k, err := kept[keptVerdict](v, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	p := verifiedPage{At: k.Began, Number: k.number(), ID: k.ID}
	switch {
	case k.Pending:
		p.Pending, p.Lost = true, v.now.Sub(k.Began) > underWay
	case k.Refused != nil:
		p.Kind, p.Sentence = "wait", v.in("没有核验成。", "It could not be verified.")
		p.Says = v.in(k.Refused.Zh, k.Refused.En)
		p.Do = v.in(k.Refused.Advice, k.Refused.AdviceEn)
	default:
		v.verdict(&p, k.Verified)
	}
	return v.render(200, "verified", p)
}

// verdict says the answer in plain words.
func (v *visit) verdict(p *verifiedPage, a api.VerifyAnswer) {
	switch a.Verdict {
	case api.VerdictProven:
		p.Kind, p.Sentence, p.Do = "good", v.in("是真的。", "It is genuine."), v.in("内容以页面所列为准。", "")
	case api.VerdictRefuted:
		p.Kind, p.Sentence, p.Do = "bad", v.in("是假的，或者被改过。", "It is forged, or was altered."), v.in("不要收。请当事人出示原件，或到发证部门核实。", "Do not accept it.")
	default:
		p.Kind, p.Sentence, p.Do = "wait", v.in("证明不了真假。", "It is neither proven nor refuted."), v.in("不能当真的收，也不能说是假的。请按下面缺的补上，或收原件。", "Supply what is missing, or ask for the original.")
	}
	p.Says, p.What = v.in(a.Says.Zh, a.Says.En), v.in(kindWords[a.Kind], a.Kind)
	if in := a.Beside.InForce; in != nil {
		p.InForce = v.in(inForceWords[in.State], string(in.State))
	}
	for _, s := range a.Steps {
		row := stepRow{Kind: "good", Name: v.step(s.Name), Reason: s.Reason}
		if v.language() == language.Chinese {
			row.Reason = verdict.InChinese(check.Step{Name: s.Name, Reason: s.Reason}).Reason
		}
		switch s.State {
		case api.StepStateOk:
		case api.StepStateFailed:
			row.Kind = "bad"
		default:
			row.Kind = "wait"
		}
		p.Steps = append(p.Steps, row)
	}
	for _, name := range a.Lacks {
		p.Lacks = append(p.Lacks, v.step(name))
	}
}

// step is the name of a step in the page's language.
func (v *visit) step(name string) string {
	if v.language() == language.Chinese {
		return verdict.InChinese(check.Step{Name: name}).Name
	}
	return name
}

// kindWords are what the artefacts that can be verified are called at a window.
var kindWords = map[string]string{
	"license": "电子证照", "answer": "调取结果", "receipt": "回执", "ofd": "证照文件（OFD）", "cms": "签名文件", "seal": "电子印章", "seal-signature": "电子签章", "time-stamp": "时间戳",
	"revocation-list": "证书吊销列表", "ocsp-answer": "证书状态应答", "status-list": "证照状态列表", "picture": "证照图片", "unknown": "认不出的文件",
}

var inForceWords = map[api.InForceState]string{
	api.InForceStateInForce: "现行有效", api.InForceStateNotInForce: "现在已经无效", api.InForceStateNotAsked: "没有查它现在是否有效",
}

package console

import (
	"errors"
	"io/fs"
	"net/http"

	"github.com/go-json-experiment/json"

	"oncegate/license"
)

// holderRoutes are the pages of holders (持证主体), made for phones first.
func (c *Console) holderRoutes() []route {
	return []route{
		{pattern: "GET /console/holder", page: "holder", serve: holderPage(c.holderHome)},
		{pattern: "POST /console/holder/check", operations: []string{"precheck"}, serve: holderPage(c.checkBefore)},
		{pattern: "GET /console/holder/check/{id}", page: "check", serve: holderPage(c.checked)},
		{pattern: "POST /console/holder/check/{id}/again", operations: []string{"precheck"}, serve: holderPage(c.checkBeforeAgain)},
		{pattern: "POST /console/holder/check/{id}/invite", page: "check", serve: holderPage(c.invite)},
		{pattern: "GET /console/holder/confirm/{code}", page: "confirm", serve: holderPage(c.confirmForm)},
		{pattern: "POST /console/holder/confirm/{code}", page: "confirm", operations: []string{"consents.give"}, serve: holderPage(c.confirm)},
		{pattern: "POST /console/holder/consents", operations: []string{"consents.list"}, serve: holderPage(c.listConsents)},
		{pattern: "GET /console/holder/consents/{id}", page: "consents", serve: holderPage(c.consents)},
		{pattern: "POST /console/holder/consents/{id}/withdraw", page: "consents", operations: []string{"consents.withdraw"}, serve: holderPage(c.withdraw)},
		{pattern: "POST /console/holder/uses", page: "holder", operations: []string{"holders.accesses"}, serve: holderPage(c.listUses)},
		{pattern: "GET /console/holder/uses/{id}", page: "uses", serve: holderPage(c.uses)},
		{pattern: "GET /console/holder/uses/{id}/dispute/{record}", page: "dispute", serve: holderPage(c.disputeForm)},
		{pattern: "POST /console/holder/uses/{id}/dispute/{record}", page: "dispute", operations: []string{"holders.dispute"}, serve: holderPage(c.dispute)},
	}
}

// usesOnPage bounds a page of uses, which goes to phones.
const usesOnPage = 10

// maxWhy bounds what a holder writes about a use, in bytes.
const maxWhy = 600

// keyActingFor is under what a session keeps for whom its holder's pages speak. No form has such an id.
const keyActingFor = "holder/acting-for"

// actingFor is for whom a session of a holder asks: the zero value is the person who signed in.
type actingFor struct {
	As     string           `json:"as,omitzero"` // rule of the configuration, such as legal_representative
	Holder license.HolderID `json:"holder,omitzero"`
}

var errNotProven = errors.New("the sign-in proves no holder")

// self is the person who signed in, as a holder: only an identity service whose subjects are holders proves that.
func (v *visit) self() (license.HolderID, error) {
	kind := v.snapshot.Subjects[v.Person.Service]
	h := license.HolderID{Type: kind, Code: v.Person.ID}.Normal()
	if v.Person.Service == "" || kind == "" || v.snapshot.Catalogue.CheckHolder(h) != nil {
		return license.HolderID{}, errNotProven
	}
	return h, nil
}

// holderPage serves a page of holders; whoever is known by a local account only is told to sign in by their real name.
func holderPage(serve func(v *visit) error) func(v *visit) error {
	return func(v *visit) error {
		err := serve(v)
		if errors.Is(err, errNoInvitation) {
			v.refuse(http.StatusNotFound, noticeOf("这个地址打不开了。", "可能已过三天，或者不是发给您的。请让对方再发一次。", "This address does not open.", "It may be older than three days, or meant for somebody else. Ask the sender for another one."))
			return nil
		}
		if errors.Is(err, errNotProven) {
			v.refuse(http.StatusForbidden, noticeOf("这里要用实名登录。", "您现在的账号证明不了您是哪位持证人。请退出，改用政务服务网的实名登录。", "Sign in by your real name.", "Your account does not prove which holder you are. Sign out, and use the sign-in of the government service portal."))
			return nil
		}
		return err
	}
}

// actsFor returns for whom the session asks.
func (v *visit) actsFor() (a actingFor, err error) {
	self, err := v.self()
	if err != nil {
		return a, err
	}
	text, err := v.console.gate.Kept(v.r.Context(), v.Session, keyActingFor)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return actingFor{Holder: self}, nil
	case err != nil:
		return a, err
	}
	if err := json.Unmarshal(text, &a); err != nil {
		return a, err
	}
	if _, ok := v.snapshot.Holders.Standing(a.As); !ok { // oneself, or by a rule that is gone
		return actingFor{Holder: self}, nil
	}
	return a, nil
}

// standingText is what a rule by which somebody asks for another holder is called.
type standingText struct{ zh, en, whoZh, whoEn, codeZh, codeEn string }

// standingWords are the usual rules (代查); others are shown by their license type.
var standingWords = map[string]standingText{
	"legal_representative": {"法定代表人", "legal representative", "单位", "organisation", "统一社会信用代码", "Unified social credit code"},
	"guardian":             {"监护人", "guardian", "未成年子女", "child", "孩子的身份证号", "Resident id number of the child"},
}

func (v *visit) standingOf(as string) standingText {
	if w, ok := standingWords[as]; ok {
		return w
	}
	rule, _ := v.snapshot.Holders.Standing(as)
	t, _ := v.snapshot.Catalogue.Type(rule.LicenseType)
	return standingText{t.Name + "上的人", "person named in the " + t.NameEN, t.Name + "的持证人", "holder of the " + t.NameEN, "证件号码", "Code"}
}

// A holderTop is what stands above every page of a holder: whose licenses they are, and how to speak for somebody else.
type holderTop struct {
	For   string // "本人", or as what and for whom
	Whose string // "您", or "该单位"
	Other bool   // not oneself
}

func (v *visit) top(a actingFor) holderTop {
	if a.As == "" {
		name := license.Holder{Name: v.Name}.MaskedName() // somebody beside the phone learns no more
		return holderTop{For: v.in("本人 "+name, "yourself, "+name), Whose: v.in("您", "your")}
	}
	w := v.standingOf(a.As)
	return holderTop{For: v.in(w.whoZh+" ", w.whoEn+" ") + license.MaskCode(a.Holder.Code), Whose: v.in("该"+w.whoZh, "the "+w.whoEn+"'s"), Other: true}
}

// A holderReply is what the pages of answers to holders have in common: whose they are, and whether the answer has come.
type holderReply struct {
	holderTop
	ID       string
	Sentence string
	Pending  bool
	Lost     bool // it will not come any more
	Fault    string
	Do       string
	Number   string
}

func (r holderReply) title() string  { return r.Sentence }
func (r holderReply) record() string { return r.Number }

// replyTo begins the page of a kept call; answered is false where it says already all that there is to say: the call is under way, or was
// refused.
func (v *visit) replyTo(k counterCase, a actingFor) (r holderReply, answered bool) {
	r = holderReply{holderTop: v.top(a), ID: k.ID, Number: k.number()}
	switch {
	case k.Pending:
		r.Pending, r.Lost, r.Sentence = true, v.now.Sub(k.Began) > underWay, v.in("正在查……", "Under way …")
	case k.Refused != nil:
		r.Sentence, r.Fault, r.Do = v.in("没有查成。", "It could not be looked up."), v.in(k.Refused.Zh, k.Refused.En), v.in(k.Refused.Advice, "")
		if a.As != "" {
			r.Fault, r.Do = v.standingFault(a.As, k.Refused), ""
		}
	default:
		return r, true
	}
	return r, false
}

// A holderHomePage is the first page of a holder. It calls nothing.
type holderHomePage struct {
	holderTop
	Name    string
	Matters []choice // that can be pre-checked
	Wrong   string   // what is wrong with the choice of one
	Months  int
	Rules   []standingForm
	Number  string
}

func (p holderHomePage) title() string  { return p.Name }
func (p holderHomePage) record() string { return p.Number }

// A standingForm is the form by which somebody begins to speak for another holder.
type standingForm struct {
	As, Who, Why string
	Code         field
	Open         bool
}

func (c *Console) holderHome(v *visit) error {
	a, err := v.actsFor()
	if err != nil {
		return err
	}
	return v.showHome(a, homeFault{})
}

// A homeFault is what was wrong with a form of the first page.
type homeFault struct {
	as, typed, code string // of the form of a standing: its rule, what was typed, and what is wrong
	matter          string
	number          string // of the record of a refusal
}

func (v *visit) showHome(a actingFor, wrong homeFault) error {
	p := holderHomePage{holderTop: v.top(a), Name: v.in("我的证照", "My licenses"), Months: v.snapshot.Holders.Back(), Matters: v.checkable(), Wrong: wrong.matter, Number: wrong.number}
	if v.snapshot.Holders != nil {
		for _, rule := range v.snapshot.Holders.StandFor {
			w := v.standingOf(rule.As)
			t, _ := v.snapshot.Catalogue.Type(rule.LicenseType)
			f := standingForm{As: rule.As, Open: rule.As == wrong.as}
			f.Who = v.in("代"+w.whoZh+"查（"+w.zh+"）", "For an "+w.whoEn+", as its "+w.en)
			f.Why = v.in(sprint("每次都由%s核对：登记的%s须是您本人。", t.Name, w.zh), sprint("Each time the %s is compared: you must be the %s that it names.", t.NameEN, w.en))
			f.Code = newField("code-"+rule.As, v.in(w.codeZh, w.codeEn), "", "", "", "")
			if f.Open {
				f.Code.Value, f.Code.Error, f.Code.Focus = wrong.typed, wrong.code, true
			}
			p.Rules = append(p.Rules, f)
		}
	}
	return v.render(http.StatusOK, "holder", p)
}

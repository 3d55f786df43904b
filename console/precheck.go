package console

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"oncegate/api"
	"oncegate/cases"
	"oncegate/license"
)

// Lives of what a pre-check makes.
const (
	invitationLife = 72 * time.Hour      // of what is sent to a spouse or co-owner
	consentLife    = 30 * 24 * time.Hour // of the consent that they give by it
)

// keptCheck is what is kept of a pre-check.
type keptCheck struct {
	counterCase
	For     actingFor           `json:"for"`
	Matter  string              `json:"matter"`
	Checked *api.PrecheckAnswer `json:"checked,omitzero"`
	Invited []invited           `json:"invited,omitzero"`
}

// invited is that somebody was asked to consent.
type invited struct {
	Role string `json:"role"`
	Code string `json:"code"` // of the invitation
	Form string `json:"form"` // one-time id of the form that asked
}

// An invitation asks somebody to consent to that the materials of their role are asked for in another's pre-check. Its code is 128 random bits;
// it is kept sealed, and shown to nobody but the two persons, signed in.
type invitation struct {
	Matter  string           `json:"matter"`
	Role    string           `json:"role"`
	From    license.HolderID `json:"from"`
	Name    string           `json:"name"` // of who asks, masked
	To      license.HolderID `json:"to"`
	Until   time.Time        `json:"until"`
	Consent string           `json:"consent,omitzero"` // id of the consent that was given
	Record  uint64           `json:"record,omitzero"`
}

func shareKey(code string) string { return "holder/invitation/" + code }

// invitationOf returns the invitation of a code; fs.ErrNotExist: there is none, or it has ended.
func (v *visit) invitationOf(ctx context.Context, code string) (i invitation, err error) {
	if !onceID.MatchString(code) {
		return i, fs.ErrNotExist
	}
	text, err := v.console.gate.Shared(ctx, shareKey(code))
	if err != nil {
		return i, err
	}
	if err := json.Unmarshal(text, &i); err != nil {
		return i, err
	}
	if !v.now.Before(i.Until) {
		return i, fs.ErrNotExist
	}
	return i, nil
}

// A consent that was given on a phone and withdrawn there is noted, so that who asked for it is not told that it stands. What counts is the
// gateway's answer: a consent that is withdrawn covers nothing, whether it is noted here or not.
const phoneConsent = "phone-"

func withdrawnKey(consent string) string { return "holder/withdrawn/" + consent }

func (v *visit) noteWithdrawal(ctx context.Context, consent string) {
	if !strings.HasPrefix(consent, phoneConsent) {
		return
	}
	if err := v.console.gate.Share(ctx, withdrawnKey(consent), []byte("withdrawn"), v.now.Add(consentLife)); err != nil {
		v.console.Logger.ErrorContext(ctx, "withdrawal was not noted", "error", err.Error())
	}
}

func (v *visit) withdrawn(ctx context.Context, consent string) (bool, error) {
	_, err := v.console.gate.Shared(ctx, withdrawnKey(consent))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func (v *visit) share(ctx context.Context, code string, i invitation) error {
	text, err := json.Marshal(i)
	if err != nil {
		return err
	}
	return v.console.gate.Share(ctx, shareKey(code), text, i.Until)
}

// checkBefore makes a pre-check of a matter: one call. Asking is the consent of who asks.
func (c *Console) checkBefore(v *visit) error {
	f, err := v.form("", 0)
	if err != nil {
		return err
	}
	a, err := v.actsFor()
	if err != nil {
		return err
	}
	matter := f.Get("matter")
	if !slices.ContainsFunc(v.checkable(), func(o choice) bool { return o.Value == matter }) {
		return v.showHome(a, homeFault{matter: v.in("请先选要办的事项。", "Choose a matter first.")})
	}
	return v.runCheck(f.Get("once"), keptCheck{For: a, Matter: matter})
}

// checkBeforeAgain makes the pre-check of a page anew, with what others have consented to since.
func (c *Console) checkBeforeAgain(v *visit) error {
	f, err := v.form("", 0)
	if err != nil {
		return err
	}
	k, err := kept[keptCheck](v, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	if k.Matter == "" {
		return fs.ErrNotExist
	}
	return v.runCheck(f.Get("once"), keptCheck{For: k.For, Matter: k.Matter, Invited: k.Invited})
}

func (v *visit) runCheck(once string, k keptCheck) error {
	if !onceID.MatchString(once) {
		return errBadForm
	}
	k.counterCase = counterCase{ID: once, Began: v.now, Pending: true}
	err := v.run(once, k, func(ctx context.Context) any {
		done := k
		done.Pending = false
		q := api.PrecheckRequest{Matter: k.Matter, Holder: apiHolder(k.For.Holder), As: k.For.As}
		if m, _ := v.snapshot.Book.Matter(k.Matter); k.For.As != "" && slices.ContainsFunc(v.rolesOf(m), func(r cases.Role) bool { return r.Name == k.For.As }) {
			if self, err := v.self(); err == nil { // whoever stands for a company has a role in its matters
				q.Parties = append(q.Parties, api.PrecheckParty{Role: k.For.As, Holder: apiHolder(self)})
			}
		}
		for _, one := range k.Invited {
			i, err := v.invitationOf(ctx, one.Code)
			if err == nil && i.Consent != "" {
				q.Parties = append(q.Parties, api.PrecheckParty{Role: i.Role, Holder: apiHolder(i.To), Consent: i.Consent})
			}
		}
		var answered api.Answered[api.PrecheckAnswer]
		if v.call(ctx, &done.counterCase, "b", "precheck", nil, q, &answered) {
			answered.Answer.Commitments = api.Commitments{}
			done.Checked = &answered.Answer
		}
		return done
	})
	if err != nil {
		return err
	}
	v.redirect("/console/holder/check/" + once)
	return nil
}

// checkable are the matters of which the hall gets some material by the holder's consent.
func (v *visit) checkable() (list []choice) {
	for _, m := range v.snapshot.Book.Matters {
		consents := func(code string) bool {
			part, _ := v.snapshot.Book.Matter(code)
			return slices.ContainsFunc(part.Materials, func(one cases.Material) bool { return v.snapshot.Policy.AsksConsent(v.Hall, one.LicenseType, code) })
		}
		if slices.ContainsFunc(append([]string{m.Code}, m.Chain...), consents) {
			list = append(list, choice{Value: m.Code, Name: v.in(m.Name, m.NameEN)})
		}
	}
	return list
}

// A checkPage is the answer of 办事先查.
type checkPage struct {
	holderReply
	Matter  string
	Bring   []string
	Rows    []checkRow
	Others  []otherParty
	Waiting bool // for somebody's consent
	Once    string
}

// A checkRow is one material.
type checkRow struct{ Kind, Name, Word, Of string }

// An otherParty is somebody whose materials the matter needs, and how far their consent is.
type otherParty struct {
	Role, Title string
	Code        field
	To          string // to whom it was sent, masked
	Link        string // to be sent
	Address     string // the link as it is read
	Confirmed   bool
	Withdrew    bool
}

func (c *Console) checked(v *visit) error { return v.showCheck("", "", "") }

// showCheck shows a kept pre-check, with what was wrong with the form that invites.
func (v *visit) showCheck(role, typed, fault string) error {
	k, err := kept[keptCheck](v, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	m, ok := v.snapshot.Book.Matter(k.Matter)
	if !ok {
		return fs.ErrNotExist
	}
	top, answered := v.replyTo(k.counterCase, k.For)
	p := checkPage{holderReply: top, Matter: v.in(m.Name, m.NameEN), Once: v.once()}
	if answered && k.Checked == nil {
		return fs.ErrNotExist
	}
	if answered {
		v.checkRows(&p, k.Checked.Materials)
		for _, r := range v.rolesOf(m) {
			if r.Name == k.For.As {
				continue
			}
			other := otherParty{Role: r.Name, Title: v.in(r.Title, strings.ReplaceAll(r.Name, "_", " "))}
			other.Code = newField("code-"+r.Name, v.in(r.Title+"的身份证号", "Resident id number"), "", "", "", "")
			if r.Name == role {
				other.Code.Value, other.Code.Error, other.Code.Focus = typed, fault, true
			}
			if at := slices.IndexFunc(k.Invited, func(i invited) bool { return i.Role == r.Name }); at >= 0 {
				i, err := v.invitationOf(v.r.Context(), k.Invited[at].Code)
				if err == nil && i.Consent != "" {
					other.Withdrew, err = v.withdrawn(v.r.Context(), i.Consent)
				}
				switch {
				case errors.Is(err, fs.ErrNotExist), other.Withdrew: // it has ended: another one may be sent
				case err != nil:
					return err
				default:
					other.Link, other.Confirmed, other.To = "/console/holder/confirm/"+k.Invited[at].Code, i.Consent != "", license.MaskCode(i.To.Code)
					other.Address = v.r.Host + other.Link
				}
			}
			p.Others, p.Waiting = append(p.Others, other), p.Waiting || other.Link != "" && !other.Confirmed
		}
	}
	return v.render(http.StatusOK, "check", p)
}

// checkRows says what to bring, and whether to come at all.
func (v *visit) checkRows(p *checkPage, materials []api.PrecheckedMaterial) {
	met := 0
	var later []string
	for _, m := range materials {
		name := v.in(m.Name, m.NameEn)
		row := checkRow{Kind: "bring", Name: name, Word: v.in("请带", "bring it")}
		switch {
		case m.State == api.PrecheckStateMet:
			met++
			row.Kind, row.Word = "good", v.in("不用带", "no need to bring it")
		case m.Need == 3:
			later = append(later, name)
			row.Kind, row.Word = "wait", v.in("可以后补", "may follow later")
		case m.Need == 2:
			row.Word = v.in("有就带", "bring it if you have it")
		default:
			p.Bring = append(p.Bring, name)
		}
		p.Rows = append(p.Rows, row)
	}
	n := len(materials)
	switch {
	case met == n && n > 0:
		p.Sentence = v.in(sprint("%d 份材料都不用带。", n), sprint("None of the %d materials need be brought.", n))
	case met == 0:
		p.Sentence = v.in(sprint("%d 份材料都要带。", n), sprint("All %d materials must be brought.", n))
	default:
		p.Sentence = v.in(sprint("%d 份里 %d 份不用带。", n, met), sprint("%d of %d need not be brought.", met, n))
	}
	switch {
	case len(p.Bring) > 0:
		p.Do = v.in("请带"+strings.Join(p.Bring, "、")+"。", "Please bring: "+strings.Join(p.Bring, ", ")+".")
	default:
		p.Do = v.in("可以网上办，不用来。", "You can apply online and need not come.")
	}
	if len(later) > 0 {
		p.Do += v.in(strings.Join(later, "、")+"可以后补。", " May follow later: "+strings.Join(later, ", ")+".")
	}
}

// invite makes an invitation for a spouse or co-owner, whose code is typed here and stands in no address. It calls nothing: nothing is asked about
// them until they consent on their own phone.
func (c *Console) invite(v *visit) error {
	f, err := v.form("", 0)
	if err != nil {
		return err
	}
	k, err := kept[keptCheck](v, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	role, code := f.Get("role"), f.Get("once")
	m, ok := v.snapshot.Book.Matter(k.Matter)
	if !ok || k.Checked == nil || !onceID.MatchString(code) || !slices.ContainsFunc(v.rolesOf(m), func(r cases.Role) bool { return r.Name == role }) {
		return errBadForm
	}
	typed := f.code("code-" + role)
	to, fault := v.holderOf("", typed)
	switch self, err := v.self(); {
	case err != nil:
		return err
	case fault != "":
		return v.showCheck(role, typed, v.in(fault, "This code is not right; please check it."))
	case to == self || to == k.For.Holder.Normal():
		return v.showCheck(role, typed, v.in("这是您自己的号码，请填对方的。", "This is your own number."))
	case to.Type != typeResident:
		return v.showCheck(role, typed, v.in("请填对方的身份证号。", "A resident id number is expected."))
	case slices.ContainsFunc(k.Invited, func(i invited) bool { return i.Form == code }):
		v.redirect("/console/holder/check/" + k.ID) // the form was sent twice
		return nil
	}
	switch ok, err := v.mayInvite(); {
	case err != nil:
		return err
	case !ok:
		return v.showCheck(role, typed, v.in("您这次登录发出的确认请求太多了，请退出后再登录。", "Too many requests to confirm in this session. Sign out, and sign in again."))
	}
	secret := v.once() // not the form's id, which stands in a page that was shown before
	i := invitation{Matter: k.Matter, Role: role, From: k.For.Holder, Name: license.Holder{Name: v.Name}.MaskedName(), To: to, Until: v.now.Add(invitationLife)}
	if err := v.share(v.r.Context(), secret, i); err != nil {
		return err
	}
	change(v.r.Context(), v, k.ID, func(k *keptCheck) {
		k.Invited = append(slices.DeleteFunc(k.Invited, func(i invited) bool { return i.Role == role }), invited{role, secret, code})
	})
	v.redirect("/console/holder/check/" + k.ID)
	return nil
}

// maxInvitations bounds what a session can leave for others. Of forms that are sent at the same moment some may not be counted.
const maxInvitations = 20

// keyInvitations is under what a session counts its invitations. No form has such an id.
const keyInvitations = "holder/invitations"

// mayInvite counts an invitation, unless there were too many.
func (v *visit) mayInvite() (bool, error) {
	n := 0
	text, err := v.console.gate.Kept(v.r.Context(), v.Session, keyInvitations)
	if err == nil {
		err = json.Unmarshal(text, &n)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) || n >= maxInvitations {
		return false, err
	}
	return true, v.keep(v.r.Context(), keyInvitations, n+1)
}

// A confirmPage is where a spouse or co-owner consents.
type confirmPage struct {
	holderTop
	Name      string
	Code      string
	From      string
	Matter    string
	Types     []string
	Role      string
	Until     string
	Once      string
	Confirmed bool
	Fault     string
	Do        string
	Number    string
}

func (p confirmPage) title() string  { return p.Name }
func (p confirmPage) record() string { return p.Number }

var errNoInvitation = fmt.Errorf("no such invitation: %w", fs.ErrNotExist)

// invitedHere returns the invitation of the address, if it is for whoever is signed in: an unknown code, one that has ended and somebody else's are
// alike.
func (v *visit) invitedHere() (i invitation, p confirmPage, types []string, err error) {
	self, err := v.self()
	if err != nil {
		return i, p, nil, err
	}
	code := v.r.PathValue("code")
	if i, err = v.invitationOf(v.r.Context(), code); errors.Is(err, fs.ErrNotExist) {
		return i, p, nil, errNoInvitation
	} else if err != nil {
		return i, p, nil, err
	}
	m, ok := v.snapshot.Book.Matter(i.Matter)
	if i.To != self || !ok {
		return i, p, nil, errNoInvitation
	}
	p = confirmPage{
		holderTop: v.top(actingFor{Holder: self}), Name: v.in("请您确认", "Please confirm"), Code: code, From: i.Name, Matter: v.in(m.Name, m.NameEN), Once: v.once(),
		Until: v.dayOf(v.now.Add(consentLife)), Confirmed: i.Consent != "",
	}
	for _, part := range append([]string{m.Code}, m.Chain...) {
		of, _ := v.snapshot.Book.Matter(part)
		if r, ok := of.Role(i.Role); ok {
			p.Role = v.in(r.Title, strings.ReplaceAll(r.Name, "_", " "))
		}
		for _, material := range of.Materials {
			if material.HolderRole() == i.Role && material.FromSource() && !slices.Contains(types, material.LicenseType) {
				types = append(types, material.LicenseType)
				p.Types = append(p.Types, v.licenseName(material.LicenseType))
			}
		}
	}
	if p.Confirmed {
		p.Name, p.Number = v.in("您已经同意。", "You have consented."), strconv.FormatUint(i.Record, 10)
	}
	return i, p, types, nil
}

func (c *Console) confirmForm(v *visit) error {
	_, p, _, err := v.invitedHere()
	if err != nil {
		return err
	}
	return v.render(http.StatusOK, "confirm", p)
}

// confirm gives the consent: one call, by whoever is signed in on their own phone.
func (c *Console) confirm(v *visit) error {
	f, err := v.form("", 0)
	if err != nil {
		return err
	}
	i, p, types, err := v.invitedHere()
	if err != nil {
		return err
	}
	once := f.Get("once")
	switch {
	case !onceID.MatchString(once):
		return errBadForm
	case p.Confirmed || len(types) == 0:
		v.redirect("/console/holder/confirm/" + p.Code)
		return nil
	}
	m, _ := v.snapshot.Book.Matter(i.Matter)
	began := counterCase{ID: once, Began: v.now, Pending: true}
	done, err := v.ran(once, began, func(ctx context.Context) any {
		done := counterCase{ID: once, Began: v.now}
		id := phoneConsent + v.once()
		q := api.ConsentRequest{ID: id, Holder: apiHolder(i.To), Types: types, Matters: append([]string{m.Code}, m.Chain...), Expires: api.At(v.now.Add(consentLife))}
		if v.call(ctx, &done, "g", "consents.give", nil, q, nil) {
			i.Consent, i.Record = id, done.Record
			if err := v.share(ctx, p.Code, i); err != nil {
				v.console.Logger.ErrorContext(ctx, "invitation was not kept", "error", err.Error())
			}
		}
		return done
	})
	if err != nil {
		return err
	}
	if done.Refused != nil {
		p.Fault, p.Do, p.Number = v.in(done.Refused.Zh, done.Refused.En), v.in(done.Refused.Advice, ""), done.number()
		return v.render(http.StatusOK, "confirm", p)
	}
	v.redirect("/console/holder/confirm/" + p.Code)
	return nil
}

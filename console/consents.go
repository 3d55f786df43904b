package console

import (
	"cmp"
	"context"
	"io/fs"
	"net/http"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"oncegate/api"
	"oncegate/license"
)

// keptConsents is what is kept of a list of consents.
type keptConsents struct {
	counterCase
	For    actingFor           `json:"for"`
	Listed *api.ConsentsAnswer `json:"listed,omitzero"`
}

// listConsents asks which consents the holder gave: one call.
func (c *Console) listConsents(v *visit) error {
	once, _, err := v.oncePosted()
	if err != nil {
		return err
	}
	a, err := v.actsFor()
	if err != nil {
		return err
	}
	began := keptConsents{counterCase: counterCase{ID: once, Began: v.now, Pending: true}, For: a}
	err = v.run(once, began, func(ctx context.Context) any {
		done := began
		done.Pending = false
		var answered api.Answered[api.ConsentsAnswer]
		if v.call(ctx, &done.counterCase, "l", "consents.list", nil, api.ConsentsRequest{Holder: apiHolder(a.Holder), As: a.As}, &answered) {
			answered.Answer.Commitments = api.Commitments{}
			done.Listed = &answered.Answer
		}
		return done
	})
	if err != nil {
		return err
	}
	v.redirect("/console/holder/consents/" + once)
	return nil
}

func apiHolder(h license.HolderID) api.HolderID { return api.HolderID{Type: h.Type, Code: h.Code} }

// A consentsPage is 我的同意.
type consentsPage struct {
	holderReply
	Rows []consentRow
}

// A consentRow is one consent as its holder reads it.
type consentRow struct {
	ID    string
	What  string
	To    string
	Until string
	State string // what it is where it stands no more, and cannot be withdrawn
}

func (c *Console) consents(v *visit) error { return v.showConsents(counterCase{}) }

// showConsents shows a kept list, with a withdrawal that was refused.
func (v *visit) showConsents(refused counterCase) error {
	k, err := kept[keptConsents](v, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	top, answered := v.replyTo(k.counterCase, k.For)
	p := consentsPage{holderReply: top}
	switch {
	case !answered:
	case k.Listed != nil:
		stands := 0
		for _, one := range k.Listed.Consents {
			row := v.consentRow(one)
			if row.State == "" {
				stands++
			}
			p.Rows = append(p.Rows, row)
		}
		p.Sentence = v.in(sprint("%s给出的同意，有效的 %d 项。", p.Whose, stands), sprint("Of %s consents %d stand.", p.Whose, stands))
		if stands == 0 {
			p.Sentence = v.in(p.Whose+"现在没有有效的同意。", "None of "+p.Whose+" consents stands.")
		}
	default:
		return fs.ErrNotExist
	}
	if refused.Refused != nil {
		p.Fault, p.Do, p.Number = v.in(refused.Refused.Zh, refused.Refused.En), v.in(refused.Refused.Advice, ""), refused.number()
	}
	return v.render(http.StatusOK, "consents", p)
}

func (v *visit) consentRow(one api.GivenConsent) consentRow {
	row := consentRow{ID: one.ID, To: cmp.Or(one.SystemName, v.in("政务系统", "a system of the government"))}
	var types, matters []string
	for _, t := range one.Types {
		types = append(types, v.licenseName(t))
	}
	for _, code := range one.Matters {
		if m, ok := v.snapshot.Book.Matter(code); ok {
			matters = append(matters, v.in(m.Name, m.NameEN))
		}
	}
	what := v.in("核验"+strings.Join(types, "、"), "looks at "+strings.Join(types, ", "))
	if len(matters) > 0 {
		what = v.in("为"+strings.Join(matters, "、")+what, what+" for "+strings.Join(matters, ", "))
	}
	row.What = what
	row.Until = v.in(v.dayOf(one.Given.Time)+"同意，至 "+v.dayOf(one.Expires.Time), "given on "+v.dayOf(one.Given.Time)+", until "+v.dayOf(one.Expires.Time))
	switch {
	case !one.Withdrawn.IsZero():
		row.State = v.in("已于 "+v.dayOf(one.Withdrawn.Time)+"撤回", "withdrawn on "+v.dayOf(one.Withdrawn.Time))
	case !v.now.Before(one.Expires.Time):
		row.State = v.in("已到期", "expired")
	}
	return row
}

// withdraw withdraws a consent that stands on the page: one call. What it was used for before stays valid.
func (c *Console) withdraw(v *visit) error {
	f, err := v.form("", 0)
	if err != nil {
		return err
	}
	k, err := kept[keptConsents](v, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	once, id := f.Get("once"), f.Get("consent")
	listed := k.Listed != nil && slices.ContainsFunc(k.Listed.Consents, func(g api.GivenConsent) bool { return g.ID == id })
	switch {
	case !listed:
		return errNotHere
	case !onceID.MatchString(once):
		return errBadForm
	}
	began := counterCase{ID: once, Began: v.now, Pending: true}
	done, err := v.ran(once, began, func(ctx context.Context) any {
		done := counterCase{ID: once, Began: v.now}
		var answered api.Answered[api.ConsentAnswer]
		if v.call(ctx, &done, "w", "consents.withdraw", map[string]string{"id": id}, api.WithdrawRequest{As: k.For.As}, &answered) {
			v.noteWithdrawal(ctx, id)
			change(ctx, v, k.ID, func(k *keptConsents) {
				for i := range k.Listed.Consents {
					if one := &k.Listed.Consents[i]; one.ID == id {
						one.Withdrawn = api.At(v.now)
					}
				}
			})
		}
		return done
	})
	if err != nil {
		return err
	}
	if done.Refused != nil {
		return v.showConsents(done)
	}
	v.redirect("/console/holder/consents/" + k.ID)
	return nil
}

// change alters what is kept under a key. Of two changes at the same moment the page may show one; both calls are recorded.
func change[T any](ctx context.Context, v *visit, key string, fn func(*T)) {
	text, err := v.console.gate.Kept(ctx, v.Session, key)
	if err != nil {
		return
	}
	var k T
	if json.Unmarshal(text, &k) != nil {
		return
	}
	fn(&k)
	if err := v.keep(ctx, key, k); err != nil {
		v.console.Logger.ErrorContext(ctx, "reply was not kept", "error", err.Error())
	}
}

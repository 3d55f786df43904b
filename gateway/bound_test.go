package gateway

import (
	"context"
	"errors"
	"strings"
	"testing"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/cases"
	"oncegate/certs/sm"
	"oncegate/license"
	"oncegate/register"
	"oncegate/tlog"
)

// boundLog is the world's log. It checks of every entry on its way in that the record binds what stands beside it, that the room of each
// change can read that, and that nothing of it is personal; and keeps it.
type boundLog struct{ *world }

func (l boundLog) Append(ctx context.Context, leaf []byte, attached any) (tlog.Receipt, error) {
	entry := attached.(audit.Entry)
	record, err := audit.ParseRecord(leaf)
	if err != nil || record.V < 3 || record.V > audit.Version {
		l.t.Errorf("version %d: %v", record.V, err)
	}
	if digest := audit.BoundDigest(sm.New, entry.Bound); digest != record.Changes {
		l.t.Errorf("%s binds %q and %q stands beside it: %s", record.Operation, record.Changes, digest, entry.Bound)
	}
	_ = l.formsOf(entry.Bound)
	l.impersonal("what a record binds", string(entry.Bound))
	receipt, err := l.log.Append(ctx, leaf, attached)
	if err == nil {
		l.bound.Store(receipt.Index, entry.Bound)
	}
	return receipt, err
}

// boundBy is what a record binds.
func (w *world) boundBy(index uint64) []byte {
	bound, ok := w.bound.Load(index)
	if !ok {
		w.t.Fatalf("nobody saw record %d", index)
	}
	return bound.([]byte)
}

// formsOf reads a bound list, each form by its room.
func (w *world) formsOf(bound []byte) (forms []any) {
	w.t.Helper()
	if bound == nil {
		return nil
	}
	list, err := audit.ParseBoundList(bound)
	if err != nil {
		w.t.Error(err)
	}
	for _, raw := range list {
		form, err := cases.ParseBound(raw)
		if errors.Is(err, cases.ErrBound) {
			form, err = register.ParseBound(raw)
		}
		if errors.Is(err, register.ErrBound) {
			form, err = audit.ParseBound(raw)
		}
		if err != nil {
			w.t.Errorf("nobody reads %s", raw)
		}
		forms = append(forms, form)
	}
	return forms
}

// boundNames are the names of the forms in a bound list, in their order.
func (w *world) boundNames(index uint64) string {
	w.t.Helper()
	var names []string
	bound := w.boundBy(index)
	if bound == nil {
		return ""
	}
	for _, raw := range must(audit.ParseBoundList(bound))(w.t) {
		var named struct {
			Change string `json:"change"`
		}
		if err := unmarshal(raw, &named); err != nil {
			w.t.Error(err)
		}
		names = append(names, named.Change)
	}
	return strings.Join(names, " ")
}

// Every operation that changes something binds it, and no other does.
func TestRecordsBindWhatTheyChange(t *testing.T) {
	w := newWorld(t)
	binds := func(what string, a answered, want string) answered {
		t.Helper()
		if a.status >= 400 || w.boundNames(a.index) != want {
			t.Errorf("%s: %d, binds %q, want %q", what, a.status, w.boundNames(a.index), want)
		}
		return a
	}
	nothing := func(what string, a answered) {
		t.Helper()
		if bound := w.boundBy(a.index); bound != nil || a.record.Changes != "" {
			t.Errorf("%s binds %s", what, bound)
		}
	}
	body := w.caseOf("SP-1", "YC-FOOD-01", party("applicant", company), party("legal_representative", boss))
	one := binds("registration", w.call("acceptance", "POST", "/v1/cases", body), "cases.register")
	nothing("the same registration again", w.call("acceptance", "POST", "/v1/cases", body))
	body["no"] = "SP-2"
	two := binds("another of the same parties", w.call("acceptance", "POST", "/v1/cases", body), "cases.register")
	first, second := w.formsOf(w.boundBy(one.index))[0].(cases.BoundRegister), w.formsOf(w.boundBy(two.index))[0].(cases.BoundRegister)
	if first.Parties == second.Parties {
		t.Error("two registrations of the same parties can be linked")
	}

	a := binds("first release", w.call("food-approval", "POST", queryPath, query("business-license", company, "SP-1")), "register.issue")
	v := w.formsOf(w.boundBy(a.index))[0].(register.BoundIssue)
	if v.Number != 1 || v.Supersedes != "" || v.Identifier != read[api.QueryAnswer](t, a).Licenses[0].Identifier {
		t.Errorf("issued %+v", v)
	}
	nothing("second release", w.call("food-approval", "POST", queryPath, query("business-license", company, "SP-1")))
	l := businessLicense()
	l.Fields["address"] = "云川市和平路9号"
	w.legacy["business-license"].put(license.Question{Type: "business-license", Holder: company}, l)
	a = binds("release of what changed", w.call("food-approval", "POST", queryPath, query("business-license", company, "SP-1")), "register.issue")
	if next := w.formsOf(w.boundBy(a.index))[0].(register.BoundIssue); next.Number != 2 || next.Supersedes != v.Identifier {
		t.Errorf("issued %+v after %s", next, v.Identifier)
	}
	nothing("a refusal", w.call("food-approval", "POST", queryPath, query("business-license", stranger, "SP-1")))

	given := w.consentOf("k-1", "citizen-portal", company)
	binds("consent", w.call("citizen-portal", "POST", "/v1/consents", given), "cases.give cases.give") // and the assertion is spent
	binds("withdrawal", w.call("citizen-portal", "POST", "/v1/consents/k-1/withdraw", map[string]any{}), "cases.withdraw")
	binds("closing", w.call("acceptance", "POST", "/v1/cases/SP-2/close", map[string]any{}), "cases.close")
}

// A check's record says what each use counts for, and who acted.
func TestRecordsSayNeedAndOperator(t *testing.T) {
	w := newWorld(t)
	w.accept("SP-1")
	a := w.call("food-approval", "POST", "/v1/cases/SP-1/check", map[string]any{})
	if a.record.OperatorProof != audit.OperatorAsserted {
		t.Errorf("the operator is %q", a.record.OperatorProof)
	}
	required := 0
	for _, u := range a.record.Uses {
		if u.Need == int(cases.Required) || u.Need == int(cases.Tolerable) {
			required++
		}
	}
	if want := read[api.CheckAnswer](t, a).Reuse.Denominator; required != want || want == 0 {
		t.Errorf("%d uses count, the answer counts %d", required, want)
	}
}

package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"oncegate/api"
	"oncegate/license"
)

const (
	orderPath = "/v1/licenses/order"
	listPath  = "/v1/licenses/list"
	issuePath = "/v1/licenses/issue"
)

func (w *world) orderOf(identifier, command string) answered {
	w.t.Helper()
	return w.call("samr-licenses", "POST", orderPath, map[string]any{"identifier": identifier, "command": command, "reference": "云市监罚〔2026〕12号"})
}

// What a department orders holds at once for everybody: query, check and status, whatever the source goes on to say.
func TestOrder(t *testing.T) {
	w := newWorld(t)
	w.accept("SP-1")
	identifier := w.signedLicense("SP-1")
	expect := func(id string, want api.Status) {
		t.Helper()
		if got := read[api.StatusAnswer](t, w.status("food-approval", id, "SP-1")); got.Status != want {
			t.Errorf("status %s, want %s", got.Status, want)
		}
		if want == api.StatusSuperseded {
			return
		}
		got := read[api.QueryAnswer](t, w.call("food-approval", "POST", queryPath, query("business-license", company, "SP-1"))).Licenses[0]
		if got.Status != want || got.Identifier != id {
			t.Errorf("query says %s of %s, want %s of %s", got.Status, got.Identifier, want, id)
		}
		i := slices.IndexFunc(w.check("food-approval", "SP-1", map[string]any{}).Materials, func(m api.CheckedMaterial) bool { return m.LicenseType == "business-license" })
		if m := w.check("food-approval", "SP-1", map[string]any{}).Materials[i]; (m.State == api.MaterialStateMet) != (want == api.StatusValid) {
			t.Errorf("check says %s of a license that is %s", m.State, want)
		}
	}
	a := w.orderOf(identifier, "suspend")
	got := read[api.OrderAnswer](t, a)
	if !got.Changed || got.License.Status != api.StatusSuspended || got.License.Ordered != "suspended" || got.License.Stated != "valid" ||
		len(a.record.Uses) != 1 || a.record.Uses[0].Decision != "suspend" || a.record.Uses[0].Rules[0] != "samr/licenses" {
		t.Errorf("suspend: %+v, uses %+v", got, a.record.Uses)
	}
	expect(identifier, api.StatusSuspended)
	if got := read[api.OrderAnswer](t, w.orderOf(identifier, "suspend")); got.Changed {
		t.Errorf("the same again: %+v", got)
	}
	w.refused(w.orderOf(identifier, "supersede"), "order-impossible")
	if got := read[api.OrderAnswer](t, w.orderOf(identifier, "reinstate")); !got.Changed || got.License.Status != api.StatusValid {
		t.Errorf("reinstate: %+v", got)
	}
	expect(identifier, api.StatusValid)
	w.refused(w.orderOf(identifier, "reinstate"), "order-impossible")

	read[api.OrderAnswer](t, w.orderOf(identifier, "supersede"))
	first := read[api.StatusAnswer](t, w.status("food-approval", identifier, "SP-1"))
	if first.Status != api.StatusSuperseded || first.SupersededBy.Version != 2 || first.SupersededBy.Identifier == identifier {
		t.Fatalf("superseded: %+v", first)
	}
	second := first.SupersededBy.Identifier
	expect(second, api.StatusValid)
	w.refused(w.orderOf(identifier, "revoke"), "order-impossible")

	read[api.OrderAnswer](t, w.orderOf(second, "revoke"))
	expect(second, api.StatusRevoked)
	l := businessLicense()
	l.Fields["address"] = "云川市和平路9号"
	w.legacy["business-license"].put(license.Question{Type: "business-license", Holder: company}, l)
	third := read[api.StatusAnswer](t, w.status("food-approval", second, "SP-1")).SupersededBy
	if third.Version != 3 {
		t.Fatalf("the changed license is %+v", third)
	}
	expect(third.Identifier, api.StatusRevoked) // a revocation is of the license
	read[api.OrderAnswer](t, w.orderOf(third.Identifier, "reinstate"))
	fourth := read[api.StatusAnswer](t, w.status("food-approval", third.Identifier, "SP-1"))
	if fourth.Status != api.StatusSuperseded || fourth.SupersededBy.Version != 4 {
		t.Fatalf("reinstated after a revocation: %+v", fourth)
	}
	expect(fourth.SupersededBy.Identifier, api.StatusValid)
	read[api.OrderAnswer](t, w.orderOf(fourth.SupersededBy.Identifier, "expire"))
	expect(fourth.SupersededBy.Identifier, api.StatusExpired)

	page := read[api.ListAnswer](t, w.call("samr-licenses", "POST", listPath, map[string]any{"license_type": "business-license"}))
	var stand []api.Status
	for i, v := range page.Licenses {
		if v.Number != businessLicense().Number || len(v.Holders) != 1 || v.Holders[0].Code != license.MaskCode(company.Code) || v.Holders[0].Name != businessLicense().Holders[0].Name {
			t.Errorf("version %d shows number %q of %+v", v.Version, v.Number, v.Holders)
		}
		stand = append(stand, v.Status)
		if i < 3 && (v.SupersededBy.Version != 4 || v.Version != i+1) {
			t.Errorf("version %d: %+v", i+1, v)
		}
	}
	if !slices.Equal(stand, []api.Status{api.StatusSuperseded, api.StatusSuperseded, api.StatusSuperseded, api.StatusExpired}) {
		t.Errorf("the list shows %v", stand)
	}
}

// A suspended license confirms nobody's role, and no pre-check says that it need not be brought.
func TestOrderBeforeRoles(t *testing.T) {
	w := newWorld(t)
	w.accept("SP-1")
	identifier := w.signedLicense("SP-1")
	role := func() api.MaterialState {
		t.Helper()
		for _, m := range w.check("food-approval", "SP-1", map[string]any{}).Materials {
			if m.LicenseType == "resident-id" {
				return m.State
			}
		}
		return ""
	}
	if got := role(); got != api.MaterialStateMet {
		t.Fatalf("before: %s", got)
	}
	read[api.OrderAnswer](t, w.orderOf(identifier, "revoke"))
	if got := role(); got == api.MaterialStateMet {
		t.Error("the role was confirmed by a revoked license")
	}
}

// Only systems of the department that owns the type, and only where a permission says so.
func TestManageRefused(t *testing.T) {
	w := newWorld(t)
	w.accept("SP-1")
	identifier := w.signedLicense("SP-1")
	order := map[string]any{"identifier": identifier, "command": "revoke"}
	w.refused(w.call("food-approval", "POST", orderPath, order), "not-permitted")
	w.rules("foreign.yaml", `permissions:
  - {id: foreign, systems: [food-approval, samr-licenses], operations: [licenses.manage], basis: none}
`)
	for path, body := range map[string]any{
		orderPath: order, listPath: map[string]any{"license_type": "business-license"},
		issuePath: map[string]any{"license_type": "business-license", "holders": []any{company}},
	} {
		w.refused(w.call("food-approval", "POST", path, body), "not-permitted")
	}
	w.refused(w.call("samr-licenses", "POST", listPath, map[string]any{"license_type": "resident-id"}), "not-permitted")
	parsed := must(license.ParseIdentifier(identifier))(t)
	unknown := must(license.NewIdentifier(parsed.TypeCode(), parsed.Issuer(), "7777777", 1))(t)
	w.refused(w.orderOf(unknown.String(), "revoke"), "license-unknown")
	w.refused(w.call("samr-licenses", "POST", listPath, map[string]any{"identifier": unknown.String()}), "license-unknown")
	w.refused(w.call("samr-licenses", "POST", listPath, map[string]any{"identifier": identifier, "license_type": "business-license"}), "invalid-field")
	w.refused(w.call("samr-licenses", "POST", listPath, map[string]any{"license_type": "no-such-type"}), "unknown-license-type")
	if got := read[api.StatusAnswer](t, w.status("food-approval", identifier, "SP-1")); got.Status != api.StatusValid {
		t.Errorf("after refusals: %s", got.Status)
	}
}

// Licenses are signed ahead of use once; the use finds them signed.
func TestIssue(t *testing.T) {
	w := newWorld(t)
	body := map[string]any{"license_type": "business-license", "holders": []any{company, license.HolderID{Type: "001", Code: must(license.MakeUSCC("91379901MA9930001"))(t)}}}
	a := w.call("samr-licenses", "POST", issuePath, body)
	first := read[api.IssueAnswer](t, a)
	if len(first.Holders) != 2 || first.Holders[0].State != api.IssuedHolderStateSigned || len(first.Holders[0].Identifiers) != 1 ||
		first.Holders[1].State != api.IssuedHolderStateMissing || len(a.record.Uses) != 2 || a.record.Uses[0].Decision != "signed" {
		t.Fatalf("first: %+v, uses %+v", first, a.record.Uses)
	}
	again := read[api.IssueAnswer](t, w.call("samr-licenses", "POST", issuePath, body))
	if again.Holders[0].State != api.IssuedHolderStateKnown || again.Holders[0].Identifiers[0] != first.Holders[0].Identifiers[0] {
		t.Errorf("again: %+v", again)
	}
	w.accept("SP-1")
	if got := w.signedLicense("SP-1"); got != first.Holders[0].Identifiers[0] {
		t.Errorf("used is %s, signed was %s", got, first.Holders[0].Identifiers[0])
	}
	w.legacy["business-license"].set(func(l *legacy) { l.err = http.ErrServerClosed })
	w.refused(w.call("samr-licenses", "POST", issuePath, body), "source-unavailable")
	w.refused(w.call("samr-licenses", "POST", issuePath, map[string]any{"license_type": "business-license", "holders": []any{map[string]any{"type": "001", "code": "91379901MA9920002X"}}}), "holder-code-invalid")
}

// Of a batch, a holder whose record cannot be signed affects no other: each has a state and a reason of its own, in the answer, the record
// and the evidence.
func TestIssueAroundFaults(t *testing.T) {
	w := newWorld(t)
	code := func(n int) license.HolderID {
		return license.HolderID{Type: "001", Code: must(license.MakeUSCC(fmt.Sprintf("91379901MA994%04d", n)))(t)}
	}
	good := func(h license.HolderID, number string) license.License {
		l := businessLicense()
		l.Number, l.Holders = number, []license.Holder{{HolderID: h, Name: "云川某店"}}
		return l
	}
	source := w.legacy["business-license"]
	broken := make(map[license.HolderID]error)
	w.reload(func(s *Snapshot) {
		s.Sources = slices.Clone(s.Sources)
		for i, c := range s.Sources {
			if c.Department == "samr" {
				s.Sources[i].Source = findFunc(func(ctx context.Context, r license.Request) ([]license.Finding, error) {
					out, err := source.Find(ctx, r)
					for i := range out {
						if e := broken[r.Questions[i].Holder]; e != nil {
							out[i] = license.Finding{State: license.IsUnavailable, Err: e}
						}
					}
					return out, err
				})
			}
		}
	})
	put := func(n int, change func(*license.License)) {
		l := good(code(n), fmt.Sprintf("N-%d", n))
		change(&l)
		source.put(license.Question{Type: "business-license", Holder: code(n)}, l)
	}
	nothing := func(*license.License) {}
	put(0, nothing)
	put(1, nothing)
	broken[code(1)] = fmt.Errorf("ask source: %w", &license.SourceError{Cause: license.NotADay, Row: 1, Name: "djrq", Detail: "not a day in any of the layouts"})
	put(3, func(l *license.License) { l.Issuer.Code = "11379900MB00000000" }) // of no issuer
	put(4, func(l *license.License) { l.Holders[0].HolderID = code(0) })
	broken[code(5)] = errors.New("connection refused by db.internal")
	put(6, func(l *license.License) { l.Fields["address"] = "路\uFFFD1号" })
	put(7, nothing)
	for n := range maxLicenses + 1 {
		q := license.Question{Type: "business-license", Holder: code(8)}
		source.put(q, append(source.get(q), good(code(8), fmt.Sprintf("M-%d", n)))...)
	}
	var holders []any
	for n := range 9 {
		holders = append(holders, code(n))
	}
	body := map[string]any{"license_type": "business-license", "holders": holders}
	a := w.call("samr-licenses", "POST", issuePath, body)
	got := read[api.IssueAnswer](t, a).Holders
	e := must(w.auditor.Evidence(t.Context(), a.index))(t)
	for n, want := range []struct {
		state          api.IssuedHolderState
		reason, detail string
		identifiers    int
	}{
		{"signed", "", "", 1}, {"faulty", "source-faulty", "row 1, column djrq cannot be mapped: not a day in any of the layouts", 0}, {"missing", "", "", 0}, {"faulty", "source-faulty", "field issuer_code: rule broken: issuer", 0},
		{"faulty", "record-of-other-holder", "", 0}, {"unavailable", "source-unavailable", "", 0}, {"faulty", "source-faulty", "field address: rule broken: replaced-character", 0},
		{"signed", "", "", 1}, {"faulty", "licenses-too-many", "", maxLicenses},
	} {
		h := got[n]
		if h.State != want.state || h.Reason.Code != want.reason || !strings.HasSuffix(h.Detail, want.detail) || (want.detail == "") != (h.Detail == "") || len(h.Identifiers) != want.identifiers {
			t.Errorf("holder %d: %+v", n, h)
		}
		if want.reason != "" && h.Reason.En == reason("policy").En {
			t.Errorf("holder %d is told another reason: %+v", n, h.Reason)
		}
		if u := a.record.Uses[n]; u.Decision != string(want.state) || u.Holder == "" {
			t.Errorf("holder %d: recorded %+v", n, u)
		}
		if noted := strings.Contains(string(e.Inputs), fmt.Sprintf(`{"asked":{"holder":%d,`, n)); noted != (want.reason != "") {
			t.Errorf("holder %d: evidence %s", n, e.Inputs)
		}
	}
	again := read[api.IssueAnswer](t, w.call("samr-licenses", "POST", issuePath, body)).Holders
	if again[0].State != api.IssuedHolderStateKnown || again[0].Identifiers[0] != got[0].Identifiers[0] || again[7].State != api.IssuedHolderStateKnown {
		t.Errorf("again: %+v", again)
	}
	for n := range 9 { // a source that answers about nobody is down
		broken[code(n)] = errors.New("down")
	}
	w.refused(w.call("samr-licenses", "POST", issuePath, body), "source-unavailable")
	for n := range 9 { // a source without the configured table has it for nobody
		broken[code(n)] = &license.SourceError{Cause: license.NoTable, Name: "licenses", Gone: true}
	}
	w.refused(w.call("samr-licenses", "POST", issuePath, body), "source-faulty")
	wrong := map[string]any{"license_type": "business-license", "holders": []any{map[string]any{"type": "001", "code": "91379901MA9920002X"}, code(0), map[string]any{"type": "777", "code": "1"}, wife}}
	w.refused(w.call("samr-licenses", "POST", issuePath, wrong), "holder-code-invalid")
	if p := w.call("samr-licenses", "POST", issuePath, wrong).problem; len(p.Faults) != 3 || p.Faults[0].Pointer != "/holders/0/code" || p.Faults[1].Pointer != "/holders/2/type" || p.Faults[2].Pointer != "/holders/3/type" {
		t.Errorf("faults: %+v", p.Faults)
	}
}

package gateway

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/cases"
	"oncegate/certs/token"
	"oncegate/license"
	"oncegate/policy"
)

// guardianRules let the acceptance platform record who comes, and compare the guardians' codes on a birth certificate, and the child's on
// the guardian's own household register. Fields are those of the sample city's types that stand in for them here.
const guardianRules = `
permissions:
  - {id: comes, systems: [acceptance, food-approval], operations: [cases.represent], basis: test}
grants:
  - {id: birth, agreement: a, provider: samr, systems: [acceptance], license_type: birth-certificate, operations: [cases.represent], matters: [YC-CHILD-01], roles: [applicant, child], fields: [mother_code, father_code], purpose: confirm, basis: b, basis_kind: rule, scenario: s, attestation: self, valid_until: "2030-12-31"}
  - {id: household, agreement: a, provider: police, systems: [acceptance], license_type: household-register, operations: [cases.represent], matters: [YC-CHILD-02], roles: [guardian], fields: [member_code], purpose: confirm, basis: b, basis_kind: rule, scenario: s, attestation: self, valid_until: "2030-12-31"}
`

var (
	child   = resident("37990120200615402")
	mother  = wife
	father  = husband
	uncle   = stranger
	mandate = token.BodyDigest([]byte("委托书"))
)

// withChildren adds matters of children to the city: in YC-CHILD-01 the birth certificate (the child's, who is the applicant) names the
// guardians; in YC-CHILD-02 the guardian's own household register names the child.
func (w *world) withChildren() {
	w.t.Helper()
	birth := license.Type{ID: "birth-certificate", Name: "出生医学证明", NameEN: "birth certificate", Code: "11100000MB0143028R901", HolderCategory: "1", CodeConfidence: "local", Fields: []license.Field{
		{Name: "mother_code", Title: "母亲证件号码", Kind: license.KindResidentID}, {Name: "father_code", Title: "父亲证件号码", Kind: license.KindResidentID},
	}}
	household := license.Type{ID: "household-register", Name: "户口簿", NameEN: "household register", Code: "11100000MB0143028R902", HolderCategory: "1", CodeConfidence: "local", Fields: []license.Field{
		{Name: "member_code", Title: "成员证件号码", Kind: license.KindResidentID},
	}}
	material := func(code, kind string) cases.Material {
		return cases.Material{Code: code, Name: code, Need: cases.Required, Route: cases.RouteLicense, LicenseType: kind, Fallback: cases.Fallback{Kind: cases.FallUpload}}
	}
	w.reload(func(s *Snapshot) {
		book := &cases.Book{List: s.Book.List, Trust: s.Book.Trust, Verifications: s.Book.Verifications, Filings: s.Book.Filings, Matters: append(slices.Clone(s.Book.Matters),
			cases.Matter{Code: "YC-CHILD-01", Name: "儿童医保参保", Department: "service", Materials: []cases.Material{material("birth", "birth-certificate")},
				Guardians: []cases.Guardianship{{Material: "birth", Field: "mother_code"}, {Material: "birth", Field: "father_code"}}},
			cases.Matter{Code: "YC-CHILD-02", Name: "儿童入学", Department: "service", Materials: []cases.Material{material("household", "household-register")},
				Guardians: []cases.Guardianship{{Material: "household", Of: cases.Guardian, Field: "member_code"}}})}
		catalogue := &license.Catalogue{List: s.Catalogue.List, HolderCodes: s.Catalogue.HolderCodes, Types: append(slices.Clone(s.Catalogue.Types), birth, household)}
		if faults := book.Check(catalogue); len(faults) > 0 {
			w.t.Fatal(faults)
		}
		s.Book, s.Catalogue = book, catalogue
		w.serve(s, "birth-certificate", "samr")
		w.serve(s, "household-register", "police")
		files := append(slices.Clone(w.files),
			policyFile("guardians.yaml", guardianRules), policyFile("register.yaml", "permissions:\n  - {id: children, systems: [acceptance], operations: [cases.register], matters: [YC-CHILD-01, YC-CHILD-02], basis: test}\n"))
		s.Policy = w.policy(files...)
	})
	w.put(license.License{
		Type: "birth-certificate", Number: "R379901001", Issuer: license.Issuer{Name: "云川市市场监督管理局", Code: samr, Level: "3"}, Issued: "2020-06-20", Status: license.Valid,
		Holders: []license.Holder{{HolderID: child, Name: "寅卯辰"}}, Fields: map[string]string{"mother_code": mother.Code, "father_code": father.Code},
	})
	w.put(license.License{
		Type: "household-register", Number: "H379901001", Issuer: license.Issuer{Name: "云川市公安局", Code: police, Level: "3"}, Issued: "2020-06-20", Status: license.Valid,
		Holders: []license.Holder{{HolderID: mother, Name: names[mother]}}, Fields: map[string]string{"member_code": child.Code},
	})
}

// serve adds a legacy system for one more type.
func (w *world) serve(s *Snapshot, licenseType, department string) {
	l := &legacy{records: map[license.Question][]license.License{}}
	w.legacy[licenseType] = l
	id := department + "-" + licenseType
	one := s.Sources[0]
	one.ID, one.Department, one.Source = id, department, l
	s.Sources = append(slices.Clone(s.Sources), one)
	serves := map[string]string{licenseType: id}
	for k, v := range s.Serves {
		serves[k] = v
	}
	s.Serves = serves
}

func came(kind string, who license.HolderID, until string) map[string]any {
	body := map[string]any{"kind": kind, "person": who}
	if kind != cases.Guardian {
		m := map[string]any{"digest": mandate}
		if until != "" {
			m["until"] = until
		}
		body["mandate"] = m
	}
	return body
}

func (w *world) represent(no string, body map[string]any) answered {
	w.t.Helper()
	return w.call("acceptance", "POST", "/v1/cases/"+no+"/representative", body)
}

// Who comes is recorded with document and mandate, and is checked when something is brought: a wrong agent and an expired mandate have
// codes of their own, and each refusal says in the record who came. On both databases.
func TestRepresentative(t *testing.T) {
	onEach(t, func(t *testing.T, i *intruder) {
		w := i.world
		w.rules("comes.yaml", "permissions:\n  - {id: comes, systems: [acceptance], operations: [cases.represent], basis: test}\n")
		w.acceptFlat("BDC-1")
		today := license.DateOf(w.now())
		yesterday := must(today.AddDays(-1))(t)
		bring := func(who license.HolderID) answered {
			return w.call("acceptance", "POST", "/v1/cases/BDC-1/materials", map[string]any{"material": "tax-clearance", "how": "uploaded", "digest": mandate, "brought_by": who})
		}
		w.refused(bring(uncle), "representative-unknown")
		read[api.MaterialAnswer](t, bring(wife)) // a party
		w.refused(w.represent("BDC-1", came("agent", uncle, string(yesterday))), "mandate-expired")
		w.refused(w.represent("BDC-1", came("agent", wife, "")), "representative-is-party")
		w.refused(w.represent("BDC-1", came("guardian", uncle, "")), "representative-invalid") // the matter has no guardians
		w.refused(w.represent("BDC-1", came("agent", license.HolderID{Type: "111", Code: "379901198806244026"}, "")), "representative-invalid")
		w.refused(w.represent("BDC-1", map[string]any{"kind": "agent", "person": uncle}), "invalid-field")
		w.refused(w.represent("BDC-9", came("agent", uncle, "")), "case-not-usable")
		w.refused(bring(uncle), "representative-unknown") // what was refused is not recorded as who comes
		a := w.represent("BDC-1", came("agent", uncle, string(today)))
		if read[api.RepresentAnswer](t, a); len(a.record.Uses) != 1 || a.record.Uses[0].Holder == "" || a.record.Changes == "" {
			t.Errorf("the record: %+v", a.record)
		}
		brought := bring(uncle)
		if read[api.MaterialAnswer](t, brought); brought.record.Uses[0].Holder == "" {
			t.Error("the record does not say who brought it")
		}
		w.refused(bring(boss), "representative-unknown")
		if got := w.readCase("BDC-1"); len(got.Representatives) != 1 || got.Representatives[0].Kind != "agent" || got.Representatives[0].Mandate.Until != string(today) || strings.Contains(string(w.call("acceptance", "GET", "/v1/cases/BDC-1", nil).answer), uncle.Code) {
			t.Errorf("%+v", got.Representatives)
		}
		now := w.now
		w.gateway.Now = func() time.Time { return now().Add(48 * time.Hour) }
		defer func() { w.gateway.Now = now }()
		w.refused(w.done(Principal{System: "acceptance"}, "cases.materials", Question{
			Path: map[string]string{"no": "BDC-1"}, Body: w.bodyOf(map[string]any{"material": "tax-clearance", "how": "waived", "brought_by": uncle}),
		}), "mandate-expired")
	})
}

// Law 4 stands: who comes for a party, confirmed or not, is none. Whatever is asked about them on the ground of the case is refused exactly
// as about a stranger.
func TestRepresentativeIsNoParty(t *testing.T) {
	w := newWorld(t)
	w.acceptFlat("BDC-1")
	w.rules("comes.yaml", "permissions:\n  - {id: comes, systems: [acceptance, land-approval], operations: [cases.represent], basis: test}\n")
	before := w.call("land-approval", "POST", queryPath, query("resident-id", uncle, "BDC-1"))
	for _, kind := range []string{"agent", "handler"} {
		read[api.RepresentAnswer](t, w.represent("BDC-1", came(kind, uncle, "")))
	}
	after := w.call("land-approval", "POST", queryPath, query("resident-id", uncle, "BDC-1"))
	w.refused(before, "case-not-usable")
	w.refused(after, "case-not-usable")
	if len(before.answer) != len(after.answer) || len(after.record.Uses) != 1 || after.record.Uses[0].Rules == nil || len(after.problem.Commitments.Holders) > 0 {
		t.Errorf("recorded as who comes, the uncle is told from a stranger:\n%s\n%s", before.body, after.body)
	}
	checked := w.check("land-approval", "BDC-1", map[string]any{})
	for _, m := range checked.Materials {
		if strings.Contains(m.License, uncle.Code) || slices.Contains(valuesOf(m.Fields), uncle.Code) {
			t.Errorf("%s is of who came", m.Material)
		}
	}
}

func valuesOf(fields map[string]string) (all []string) {
	for _, v := range fields {
		all = append(all, v)
	}
	return all
}

// A guardian is confirmed by a source in the call: by the child's license, or by the guardian's own. Nobody else is; a source that is down
// is no answer; without a grant no source is asked.
func TestGuardian(t *testing.T) {
	w := newWorld(t)
	w.withChildren()
	for _, no := range []string{"YC-CHILD-01", "YC-CHILD-02"} {
		w.register(w.caseOf(no, no, party("applicant", child)))
	}
	for no, who := range map[string][]license.HolderID{"YC-CHILD-01": {mother, father}, "YC-CHILD-02": {mother}} {
		for _, guardian := range who {
			a := w.represent(no, came("guardian", guardian, ""))
			got := read[api.RepresentAnswer](t, a)
			confirmed := slices.ContainsFunc(a.record.Uses, func(u audit.Use) bool { return u.Decision == outcomeConfirm && len(u.Fields) == 1 && u.Holder != "" })
			if got.ConfirmedBy == "" || len(got.Rules) == 0 || !confirmed {
				t.Errorf("%s: %+v, uses %+v", no, got, a.record.Uses)
			}
			read[api.MaterialAnswer](t, w.call("acceptance", "POST", "/v1/cases/"+no+"/materials", map[string]any{"material": map[string]string{"YC-CHILD-01": "birth", "YC-CHILD-02": "household"}[no], "how": "waived", "brought_by": guardian}))
		}
	}
	a := w.represent("YC-CHILD-01", came("guardian", uncle, ""))
	w.refused(a, "guardian-not-named")
	if len(a.record.Uses) != 3 || a.record.Uses[1].Decision != outcomeUnconfirmed || strings.Contains(string(a.body), mother.Code) {
		t.Errorf("uses of a refusal: %+v", a.record.Uses)
	}
	w.refused(w.represent("YC-CHILD-02", came("guardian", father, "")), "guardian-not-named") // his register is not there
	w.refused(w.call("acceptance", "POST", "/v1/cases/YC-CHILD-02/materials", map[string]any{"material": "household", "how": "waived", "brought_by": father}), "representative-unknown")

	// A license that is not in force names nobody; a source that is down says nothing.
	births := license.Question{Type: "birth-certificate", Holder: child}
	revoked := w.legacy["birth-certificate"].get(births)
	revoked[0].Status = license.Revoked
	w.legacy["birth-certificate"].put(births, revoked...)
	w.refused(w.represent("YC-CHILD-01", came("guardian", mother, "")), "guardian-not-named")
	w.legacy["birth-certificate"].set(func(l *legacy) { l.err = errors.New("down") })
	w.refused(w.represent("YC-CHILD-01", came("guardian", mother, "")), "guardian-unavailable")

	// Comparing is a release: without a grant it is refused, and no source is asked.
	w.legacy["birth-certificate"].set(func(l *legacy) { l.err, l.calls = nil, 0 })
	files := append(slices.Clone(w.files), policy.File{Path: "policy/guardians.yaml", Data: []byte(strings.Split(guardianRules, "grants:")[0])})
	w.reload(func(s *Snapshot) { s.Policy = w.policy(files...) })
	w.refused(w.represent("YC-CHILD-01", came("guardian", mother, "")), "not-permitted")
	w.legacy["birth-certificate"].set(func(l *legacy) {
		if l.calls != 0 {
			t.Errorf("the source was asked %d times without a grant", l.calls)
		}
	})
	if a := w.call("food-approval", "POST", "/v1/cases/YC-CHILD-01/representative", came("guardian", mother, "")); a.status != http.StatusForbidden {
		t.Errorf("another system: %d", a.status)
	}
}

package cases_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"oncegate/cases"
	"oncegate/license"
)

func TestFacts(t *testing.T) {
	chain := shop()
	chain.Matter, chain.Parts = "PROJECT", []cases.Part{{Matter: "FOOD"}}
	closed := shop()
	closed.Closed = now
	orphan := shop()
	orphan.Parties = orphan.Parties[1:]
	gone := shop()
	gone.Matter = "NONE"
	for _, c := range []struct {
		name string
		on   cases.Case
		ask  cases.Asked
		want []cases.Reason
		mat  string
		role string
	}{
		{"applicant's", shop(), cases.Asked{Material: "business-license", Holder: company}, nil, "business-license", "applicant"},
		{"by type", shop(), cases.Asked{LicenseType: "resident-id", Holder: anna}, nil, "representative-id", "legal_representative"},
		{"by type and role", couple(), cases.Asked{LicenseType: "resident-id", Holder: bert}, nil, "spouse-id", "spouse"},
		{"material before type", couple(), cases.Asked{Material: "co-owner-id", LicenseType: "resident-id", Holder: bert}, nil, "co-owner-id", "co_owner"},
		{"matter named", shop(), cases.Asked{Matter: "FOOD", Material: "business-license", Holder: company}, nil, "business-license", "applicant"},
		{"part of a chain", chain, cases.Asked{Matter: "FOOD", Material: "representative-id", Holder: anna}, nil, "representative-id", "legal_representative"},
		{"chain without part", chain, cases.Asked{Material: "business-license", Holder: company}, []cases.Reason{cases.MatterNotInCase}, "", ""},
		{"other part", chain, cases.Asked{Matter: "FILING", Material: "business-license", Holder: company}, []cases.Reason{cases.MatterNotInCase}, "", ""},
		{"other matter", shop(), cases.Asked{Matter: "FLAT", Material: "applicant-id", Holder: company}, []cases.Reason{cases.MatterNotInCase}, "", ""},
		{"matter gone", gone, cases.Asked{Material: "business-license", Holder: company}, []cases.Reason{cases.MatterUnknown}, "", ""},
		{"closed", closed, cases.Asked{Material: "business-license", Holder: company}, []cases.Reason{cases.CaseClosed}, "business-license", "applicant"},
		{"not listed", shop(), cases.Asked{Material: "tax-clearance", Holder: company}, []cases.Reason{cases.MaterialNotListed}, "", ""},
		{"type not listed", shop(), cases.Asked{LicenseType: "tax-clearance", Holder: company}, []cases.Reason{cases.MaterialNotListed}, "", ""},
		{"nothing asked", shop(), cases.Asked{Holder: company}, []cases.Reason{cases.MaterialNotListed}, "", ""},
		{"other type", shop(), cases.Asked{Material: "business-license", LicenseType: "resident-id", Holder: company}, []cases.Reason{cases.OtherLicenseType}, "", ""},
		{"nobody", shop(), cases.Asked{Material: "business-license", Holder: other}, []cases.Reason{cases.NotAParty}, "business-license", ""},
		{"closed, nobody, nothing", closed, cases.Asked{Material: "x", Holder: other}, []cases.Reason{cases.CaseClosed, cases.NotAParty, cases.MaterialNotListed}, "", ""},
		{"same code of another type", shop(), cases.Asked{Material: "business-license", Holder: license.HolderID{Type: "099", Code: company.Code}}, []cases.Reason{cases.NotAParty}, "business-license", ""},
		{"other role", shop(), cases.Asked{Material: "business-license", Holder: anna}, []cases.Reason{cases.RoleMismatch}, "business-license", ""},
		{"other role by type", shop(), cases.Asked{LicenseType: "resident-id", Holder: company}, []cases.Reason{cases.RoleMismatch}, "representative-id", ""},
		{"no source", shop(), cases.Asked{Material: "form", Holder: company}, []cases.Reason{cases.NoSource}, "form", "applicant"},
		{"no applicant", orphan, cases.Asked{Material: "representative-id", Holder: anna}, []cases.Reason{cases.NoApplicant}, "representative-id", "legal_representative"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := book(t).Facts(c.on, c.ask)
			if diff := cmp.Diff(c.want, f.Reasons); diff != "" {
				t.Errorf("reasons (-want +got):\n%s", diff)
			}
			if f.Material.Code != c.mat || f.Party.Role != c.role || f.Usable() != (c.want == nil) {
				t.Errorf("material %q, role %q, usable %v", f.Material.Code, f.Party.Role, f.Usable())
			}
			needed := c.role != "" && c.role != cases.Applicant && c.name != "no applicant"
			if (f.Confirm != nil) != needed {
				t.Errorf("confirmation %v", f.Confirm)
			}
		})
	}
	if (cases.Facts{}).Usable() {
		t.Error("no facts are usable")
	}
}

func TestFactsConfirm(t *testing.T) {
	f := book(t).Facts(shop(), cases.Asked{Asker: "samr", Material: "representative-id", Holder: anna})
	got := f.Confirm
	if got == nil || got.Material.Code != "business-license" || got.Field != "legal_representative_code" || got.Holder != company || got.Party.Holder != anna || got.Matter != "FOOD" {
		t.Errorf("confirmation %+v", got)
	}
	if f.Attestation != cases.Platform || f.Case != "FOOD-2026-0001" || f.Revision != 1 || f.Registrar != "acceptance" {
		t.Errorf("facts %+v", f)
	}
}

func TestAttestationFor(t *testing.T) {
	for _, c := range []struct {
		proves cases.Attestation
		asker  string
		want   cases.Attestation
	}{
		{cases.Platform, "samr", cases.Platform},
		{cases.Platform, "acceptance", cases.Self},
		{cases.ByHolder, "acceptance", cases.ByHolder},
		{cases.ByHolder, "samr", cases.ByHolder},
		{cases.Self, "samr", cases.Self},
		{"god", "samr", ""},
		{"", "samr", ""},
	} {
		k := shop()
		k.Attestation = c.proves
		if got := k.AttestationFor(c.asker); got != c.want {
			t.Errorf("%s for %s: %q, want %q", c.proves, c.asker, got, c.want)
		}
	}
	order := []cases.Attestation{"", cases.Self, cases.ByHolder, cases.Platform}
	for i, have := range order {
		for k, need := range order {
			if got, want := have.AtLeast(need), i > 0 && k > 0 && i >= k; got != want {
				t.Errorf("%q at least %q: %v", have, need, got)
			}
		}
	}
}

func TestPlan(t *testing.T) {
	type row struct {
		Matter, Material, Role string
		Code                   string
		Confirm                string
		Reasons                []cases.Reason
	}
	plan := func(c cases.Case) (rows []row) {
		for _, f := range book(t).Plan(c, "land") {
			r := row{f.Matter.Code, f.Material.Code, f.Party.Role, f.Party.Holder.Code, "", f.Reasons}
			if f.Confirm != nil {
				r.Confirm = f.Confirm.Material.Code
			}
			rows = append(rows, r)
		}
		return rows
	}
	two := couple()
	two.Parties = append(two.Parties[:1:1], cases.Party{Role: "co_owner", Holder: bert}, cases.Party{Role: "co_owner", Holder: other})
	want := []row{
		{"FLAT", "flat-certificate", "applicant", anna.Code, "", nil},
		{"FLAT", "applicant-id", "applicant", anna.Code, "", nil},
		{"FLAT", "spouse-id", "", "", "", []cases.Reason{cases.NoPartyInRole}},
		{"FLAT", "co-owner-id", "co_owner", bert.Code, "flat-certificate", nil},
		{"FLAT", "co-owner-id", "co_owner", other.Code, "flat-certificate", nil},
		{"FLAT", "marriage-certificate", "applicant", anna.Code, "", nil},
		{"FLAT", "tax-clearance", "applicant", anna.Code, "", nil},
	}
	if diff := cmp.Diff(want, plan(two)); diff != "" {
		t.Errorf("two co-owners (-want +got):\n%s", diff)
	}
	chain := shop()
	chain.Matter, chain.Closed = "PROJECT", now
	closed := cases.CaseClosed
	want = []row{
		{"FILING", "business-license", "applicant", company.Code, "", []cases.Reason{closed}},
		{"FOOD", "business-license", "applicant", company.Code, "", []cases.Reason{closed}},
		{"FOOD", "representative-id", "legal_representative", anna.Code, "business-license", []cases.Reason{closed}},
		{"FOOD", "form", "applicant", company.Code, "", []cases.Reason{closed, cases.NoSource}},
	}
	if diff := cmp.Diff(want, plan(chain)); diff != "" {
		t.Errorf("closed chain (-want +got):\n%s", diff)
	}
}

func TestConfirm(t *testing.T) {
	cat := catalogue(t)
	business, _ := cat.Type("business-license")
	flat, _ := cat.Type("flat-certificate")
	representative := book(t).Facts(shop(), cases.Asked{Material: "representative-id", Holder: anna}).Confirm
	owner := book(t).Facts(couple(), cases.Asked{Material: "co-owner-id", Holder: bert}).Confirm
	says := func(code string) map[string]string { return map[string]string{"legal_representative_code": code} }
	expired := record("business-license", says(anna.Code), company)
	expired.ValidTo = "2026-11-22"
	broken := record("business-license", says(anna.Code), company)
	broken.Fields["colour"] = "red"
	for _, c := range []struct {
		name  string
		check *cases.RoleCheck
		kind  license.Type
		by    license.Finding
		want  error
	}{
		{"confirmed", representative, business, found(record("business-license", says(anna.Code), company)), nil},
		{"confirmed in another spelling", representative, business, found(record("business-license", says("110105 19491231002x"), company)), nil},
		{"somebody else", representative, business, found(record("business-license", says(bert.Code), company)), cases.RoleNotInRecord},
		{"says nothing", representative, business, found(record("business-license", nil, company)), cases.RoleNotInRecord},
		{"unreadable", representative, business, found(broken), cases.RoleNotInRecord},
		{"other company", representative, business, found(record("business-license", says(anna.Code), other)), cases.RoleOtherHolder},
		{"other type", representative, business, found(record("tax-clearance", nil, company)), cases.RoleOtherType},
		{"not in force", representative, business, found(expired), cases.RoleNotInForce},
		{"one of two", representative, business, found(expired, record("business-license", says(anna.Code), company)), nil},
		{"not found", representative, business, license.Finding{State: license.IsNotFound}, cases.RoleNotFound},
		{"found without record", representative, business, found(), cases.RoleNotFound},
		{"unavailable", representative, business, license.Finding{State: license.IsUnavailable}, cases.RoleUnavailable},
		{"faulty", representative, business, license.Finding{State: license.IsUnavailable, Err: &license.SourceError{Cause: license.NoTable}}, cases.RoleFaulty},
		{"no finding", representative, business, license.Finding{}, cases.RoleUnavailable},
		{"co-owner", owner, flat, found(record("flat-certificate", nil, anna, bert)), nil},
		{"no co-owner", owner, flat, found(record("flat-certificate", nil, anna)), cases.RoleNotInRecord},
		{"applicant's flat no more", owner, flat, found(record("flat-certificate", nil, bert)), cases.RoleOtherHolder},
	} {
		if err := c.check.ConfirmBy(c.kind, c.by, today); err != c.want {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	nobody := *representative
	nobody.Party.Holder.Code = ""
	if err := nobody.Confirm(business, record("business-license", nil, company), today); err == nil {
		t.Error("an empty code was confirmed")
	}
}

package cases_test

import (
	"os"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"oncegate/cases"
	"oncegate/license"
)

// The people and the company of these tests do not exist.
var (
	company = license.HolderID{Type: "001", Code: "91340000711771143J"}
	anna    = license.HolderID{Type: "111", Code: "11010519491231002X"}
	bert    = license.HolderID{Type: "111", Code: "440524188001010014"}
	other   = license.HolderID{Type: "111", Code: "110105194912310038"}
)

// today is a Monday; the case was accepted on it.
const today license.Date = "2026-11-23"

var now = time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)

func load[T any](t testing.TB, file string) *T {
	t.Helper()
	text, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var value T
	if err := yaml.UnmarshalWithOptions(text, &value, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	return &value
}

func book(t testing.TB) *cases.Book             { return load[cases.Book](t, "matters.yaml") }
func catalogue(t testing.TB) *license.Catalogue { return load[license.Catalogue](t, "catalogue.yaml") }
func calendar(t testing.TB) *cases.Calendar     { return load[cases.Calendar](t, "calendar.yaml") }

// shop is the case of a company and its legal representative.
func shop() cases.Case {
	return cases.Case{
		No: "FOOD-2026-0001", Matter: "FOOD", Registrar: "acceptance", Attestation: cases.Platform, Accepted: now, Registered: now, Revision: 1,
		Parties: []cases.Party{{Role: cases.Applicant, Holder: company}, {Role: "legal_representative", Holder: anna}},
	}
}

// couple is the case of two people and their flat.
func couple() cases.Case {
	return cases.Case{
		No: "FLAT-2026-0001", Matter: "FLAT", Registrar: "acceptance", Attestation: cases.Platform, Accepted: now, Registered: now, Revision: 1,
		Parties: []cases.Party{{Role: cases.Applicant, Holder: anna}, {Role: "spouse", Holder: bert}, {Role: "co_owner", Holder: bert}},
	}
}

// record is a license in force.
func record(kind string, fields map[string]string, holders ...license.HolderID) license.License {
	l := license.License{
		Type: kind, Number: "示0001", Issuer: license.Issuer{Name: "某局", Code: "11110000000021135M"}, Issued: "2020-01-02",
		ValidFrom: "2020-01-02", Status: license.Valid, Fields: fields,
	}
	for _, h := range holders {
		l.Holders = append(l.Holders, license.Holder{HolderID: h, Name: "某某"})
	}
	return l
}

func found(records ...license.License) license.Finding {
	return license.Finding{State: license.IsFound, Records: records, AsOf: now, Source: "test"}
}

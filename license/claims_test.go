package license_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"oncegate/canonical"
	"oncegate/license"
)

// shop is a sound business license of a company that does not exist.
func shop() license.License {
	return license.License{
		Type:   "business-license",
		Number: "11011500000001",
		Issuer: license.Issuer{Name: "某市市场监督管理局", Code: "11110000000021135M", Level: "3"},
		Issued: "2024-02-29", ValidFrom: "2024-02-29",
		Holders: []license.Holder{{HolderID: license.HolderID{Type: "001", Code: "91340000711771143J"}, Name: "晨光示例食品有限公司"}},
		Status:  license.Valid,
		Fields:  map[string]string{"legal_representative": "甲某", "legal_representative_code": "11010519491231002X", "capital": "1000000.00"},
	}
}

// flat belongs to two made-up people.
func flat() license.License {
	return license.License{
		Type:   "flat-certificate",
		Number: "示(2026)第0001号",
		Issuer: license.Issuer{Name: "某市自然资源局", Code: "11100000MB03271699"},
		Issued: "2026-01-05", ValidTo: "2090-01-01",
		Holders: []license.Holder{
			{HolderID: license.HolderID{Type: "111", Code: "11010519491231002X"}, Name: "甲某"},
			{HolderID: license.HolderID{Type: "111", Code: "440524188001010014"}, Name: "乙某"},
		},
		Status: license.Valid,
		Fields: map[string]string{"share": "1/3\n2/3", "notes": "一行\n二行"},
	}
}

func claimsOf(t *testing.T, l license.License) []license.Claim {
	t.Helper()
	kind, _ := loadCatalogue(t).Type(l.Type)
	claims, err := license.Claims(kind, l)
	if err != nil {
		t.Fatal(err)
	}
	return claims
}

func TestClaims(t *testing.T) {
	want := []license.Claim{
		{"name", -1, "name", "不动产权证书"},
		{"number", -1, "number", "示(2026)第0001号"},
		{"issuer_name", -1, "issuer_name", "某市自然资源局"},
		{"issuer_code", -1, "issuer_code", "11100000MB03271699"},
		{"issued", -1, "issued", "2026-01-05"},
		{"valid_to", -1, "valid_to", "2090-01-01"},
		{"holder_name", 0, "holder_name.0", "甲某"},
		{"holder_code", 0, "holder_code.0", "11010519491231002X"},
		{"holder_code_type", 0, "holder_code_type.0", "111"},
		{"holder_name", 1, "holder_name.1", "乙某"},
		{"holder_code", 1, "holder_code.1", "440524188001010014"},
		{"holder_code_type", 1, "holder_code_type.1", "111"},
		{"share", 0, "share.0", "1/3"},
		{"share", 1, "share.1", "2/3"},
		{"notes", -1, "notes", "一行\n二行"},
	}
	if diff := cmp.Diff(want, claimsOf(t, flat())); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
	for _, c := range claimsOf(t, shop()) {
		if c.Field == "valid_to" && c.Value != license.Unlimited {
			t.Errorf("an unlimited license ends on %s", c.Value)
		}
		if c.Field == "status" {
			t.Error("the status is in the content")
		}
	}
}

func TestClaimsRefuse(t *testing.T) {
	kind, _ := loadCatalogue(t).Type("flat-certificate")
	for name, c := range map[string]struct {
		spoil func(*license.License)
		want  license.FieldError
	}{
		"type":         {func(l *license.License) { l.Type = "business-license" }, license.FieldError{Field: "type", Reason: license.UnknownType}},
		"holders":      {func(l *license.License) { l.Holders = nil }, license.FieldError{Field: "holders", Reason: license.WrongHolders}},
		"field":        {func(l *license.License) { l.Fields["colour"] = "red" }, license.FieldError{Field: "colour", Reason: license.UnknownField}},
		"field's form": {func(l *license.License) { l.Fields["甲某"] = "red" }, license.FieldError{Field: "fields", Reason: license.UnknownField}},
		"values":       {func(l *license.License) { l.Fields["share"] = "1" }, license.FieldError{Field: "share", Reason: license.WrongHolders}},
	} {
		l := flat()
		c.spoil(&l)
		_, err := license.Claims(kind, l)
		var got *license.FieldError
		if !errors.As(err, &got) || *got != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestContent(t *testing.T) {
	l := flat()
	l.Fields = map[string]string{"share": "1/3\n2/3"}
	l.Holders[0].Name, l.Holders[1].Name = "甲\"", "乙\u2028"
	content, err := license.Content(l.Type, claimsOf(t, l))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"claims":{"holder_code.0":"11010519491231002X","holder_code.1":"440524188001010014","holder_code_type.0":"111",` +
		`"holder_code_type.1":"111","holder_name.0":"甲\"","holder_name.1":"乙` + "\u2028" + `","issued":"2026-01-05",` +
		`"issuer_code":"11100000MB03271699","issuer_name":"某市自然资源局","name":"不动产权证书","number":"示(2026)第0001号",` +
		`"share.0":"1/3","share.1":"2/3","valid_to":"2090-01-01"},"type":"flat-certificate"}`
	if diff := cmp.Diff(want, string(content)); diff != "" {
		t.Errorf("content (-want +got):\n%s", diff)
	}
	l.Status, l.Flags = license.Revoked, []license.Flag{{Field: "number", Reason: "length"}}
	if live, _ := license.Content(l.Type, claimsOf(t, l)); string(live) != want {
		t.Error("status or flags change the content")
	}
	var all []rune // as any JSON of the house is written
	for r := range rune(0x3000) {
		all = append(all, r)
	}
	odd := string(append(all, '\U0001F600'))
	canon, err := canonical.Marshal(map[string]any{"type": "t", "claims": map[string]string{"b.1": odd, "b": "", "b.10": "x", "a_b": "y"}})
	got, err2 := license.Content("t", []license.Claim{{Path: "b.10", Value: "x"}, {Path: "b.1", Value: odd}, {Path: "b"}, {Path: "a_b", Value: "y"}})
	if err != nil || err2 != nil || string(got) != string(canon) {
		t.Errorf("content is not canonical: %v, %v", err, err2)
	}
}

func TestContentRefuses(t *testing.T) {
	claim := license.Claim{Field: "name", Holder: -1, Path: "name", Value: "x"}
	if _, err := license.Content("t", []license.Claim{claim, claim}); err == nil {
		t.Error("a claim stands twice")
	}
	claim.Value = "\xff"
	if _, err := license.Content("t", []license.Claim{claim}); license.ReasonOf(err) != license.WrongText {
		t.Errorf("text that is not UTF-8: %v", err)
	}
}

// Different values never make the same content, however they are cut into fields.
func FuzzContent(f *testing.F) {
	f.Add("1/3\n2/3", "x", "1/3\n2/3", "y")
	f.Add("a\nb", "", "a\n", "b")
	kind, _ := loadCatalogue(f).Type("flat-certificate")
	f.Fuzz(func(t *testing.T, share1, notes1, share2, notes2 string) {
		content := func(share, notes string) string {
			l := flat()
			l.Fields = map[string]string{"share": share, "notes": notes}
			claims, err := license.Claims(kind, l)
			if err != nil {
				return ""
			}
			bytes, err := license.Content(l.Type, claims)
			if err != nil {
				return ""
			}
			return string(bytes)
		}
		one, two := content(share1, notes1), content(share2, notes2)
		same := strings.Trim(share1, "\n") == strings.Trim(share2, "\n") && notes1 == notes2
		if one != "" && one == two && !same {
			t.Fatal("two contents collide")
		}
	})
}

package license_test

import (
	"strings"
	"testing"

	"oncegate/license"
)

func TestMask(t *testing.T) {
	for code, want := range map[string]string{
		"91379901MA9920002Q": "9137************2Q", "379901198503123015": "3799************15", "E1234567": "********", "123456789012": "1234******12", "": "",
		"云市监〔2026〕第12345号": "云市监〔**********5号",
	} {
		if got := license.MaskCode(code); got != want {
			t.Errorf("%q: %q, want %q", code, got, want)
		}
	}
	for _, c := range []struct {
		kind, name, want string
	}{{"111", "甲一二", "甲**"}, {"111", "Ann", "A**"}, {"001", "云川小面馆有限公司", "云川小面馆有限公司"}, {"111", "", ""}, {"099", "某", "某"}} {
		h := license.Holder{HolderID: license.HolderID{Type: c.kind, Code: "379901198503123015"}, Name: c.name}
		if got := h.MaskedName(); got != c.want {
			t.Errorf("%s %q: %q, want %q", c.kind, c.name, got, c.want)
		}
		if got := h.Masked(); got != c.kind+":3799************15" {
			t.Error(got)
		}
	}
}

// A masked license tells the mapping and not the person.
func TestMaskClaims(t *testing.T) {
	for _, l := range []license.License{shop(), flat()} {
		kind, _ := loadCatalogue(t).Type(l.Type)
		claims := claimsOf(t, l)
		masked := license.MaskClaims(kind, claims)
		if len(masked) != len(claims) {
			t.Fatal(masked)
		}
		for i, c := range masked {
			was := claims[i]
			if c.Path != was.Path || c.Value == "" {
				t.Errorf("%+v of %+v", c, was)
			}
			switch was.Field {
			case license.FieldName, license.FieldIssuerName, license.FieldIssuerCode, license.FieldIssuerLevel, license.FieldHolderCodeType:
				if c.Value != was.Value {
					t.Errorf("%s is masked: %s", c.Path, c.Value)
				}
			case license.FieldHolderName:
				if c.Value != string([]rune(was.Value)[:1])+strings.Repeat("*", len([]rune(was.Value))-1) {
					t.Errorf("%s: %s", c.Path, c.Value)
				}
			case license.FieldIssued, license.FieldValidFrom, license.FieldValidTo:
				if was.Value != license.Unlimited && c.Value != was.Value[:4]+"-**-**" {
					t.Errorf("%s: %s", c.Path, c.Value)
				}
			default:
				if strings.Trim(c.Value, "*-") != "" || len(c.Value) > 20 {
					t.Errorf("%s: %s", c.Path, c.Value)
				}
			}
		}
	}
}

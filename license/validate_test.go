package license_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"oncegate/license"
)

func TestValidateSound(t *testing.T) {
	cat := loadCatalogue(t)
	for _, l := range []license.License{shop(), flat()} {
		for _, mode := range []license.Mode{license.Strict, license.Import} {
			got, err := license.Validate(cat, l, mode)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(l, got); diff != "" {
				t.Errorf("a sound license changed (-want +got):\n%s", diff)
			}
		}
	}
}

// What import flags, strict refuses, for the same reason in the same field.
func TestValidateDoubts(t *testing.T) {
	cat := loadCatalogue(t)
	for _, c := range []struct {
		name  string
		spoil func(*license.License)
		want  license.Flag
	}{
		{"holder's check character", func(l *license.License) { l.Holders[0].Code = "91340000711771143K" }, license.Flag{Field: "holder_code.0", Reason: "check-character"}},
		{"holder's code type", func(l *license.License) { l.Holders[0].HolderID.Type = "10" }, license.Flag{Field: "holder_code.0", Reason: "code-type"}},
		{"no holder name", func(l *license.License) { l.Holders[0].Name = "" }, license.Flag{Field: "holder_name.0", Reason: "required"}},
		{"lost character", func(l *license.License) { l.Holders[0].Name = "晨\uFFFD公司" }, license.Flag{Field: "holder_name.0", Reason: "replaced-character"}},
		{"long number", func(l *license.License) { l.Number = strings.Repeat("1", 129) }, license.Flag{Field: "number", Reason: "length"}},
		{"ends before it begins", func(l *license.License) { l.ValidTo = "2024-02-28" }, license.Flag{Field: "valid_to", Reason: "validity"}},
		{"not issued", func(l *license.License) { l.Issued = "" }, license.Flag{Field: "issued", Reason: "required"}},
		{"nobody issued it", func(l *license.License) { l.Issuer.Name = "" }, license.Flag{Field: "issuer_name", Reason: "required"}},
		{"issuer without code", func(l *license.License) { l.Issuer.Code = "" }, license.Flag{Field: "issuer_code", Reason: "required"}},
		{"issuer may not", func(l *license.License) { l.Issuer.Code = publicBodies[0] }, license.Flag{Field: "issuer_code", Reason: "issuer"}},
		{"issuer's level", func(l *license.License) { l.Issuer.Level = "9" }, license.Flag{Field: "issuer_level", Reason: "form"}},
		{"required field", func(l *license.License) { delete(l.Fields, "legal_representative") }, license.Flag{Field: "legal_representative", Reason: "required"}},
		{"long field", func(l *license.License) { l.Fields["legal_representative"] = strings.Repeat("甲", 65) }, license.Flag{Field: "legal_representative", Reason: "length"}},
		{"resident id", func(l *license.License) { l.Fields["legal_representative_code"] = "110105194912310021" }, license.Flag{Field: "legal_representative_code", Reason: "check-character"}},
		{"amount", func(l *license.License) { l.Fields["capital"] = "一百万" }, license.Flag{Field: "capital", Reason: "amount"}},
		{"date", func(l *license.License) { l.Fields["founded"] = "20240229" }, license.Flag{Field: "founded", Reason: "date"}},
		{"uscc", func(l *license.License) { l.Fields["parent"] = "1" }, license.Flag{Field: "parent", Reason: "length"}},
		{"code", func(l *license.License) { l.Fields["kind_code"] = "1 2" }, license.Flag{Field: "kind_code", Reason: "alphabet"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := shop()
			c.spoil(&l)
			got, err := license.Validate(cat, l, license.Import)
			if err != nil {
				t.Fatalf("refused on import: %v", err)
			}
			if diff := cmp.Diff([]license.Flag{c.want}, got.Flags); diff != "" {
				t.Errorf("flags (-want +got):\n%s", diff)
			}
			_, err = license.Validate(cat, l, license.Strict)
			var field *license.FieldError
			if !errors.As(err, &field) || field.Field != c.want.Field || string(field.Reason) != c.want.Reason {
				t.Errorf("strictly: %v", err)
			}
		})
	}
}

// Some rules are broken by codes that are real and valid, so they never refuse.
func TestValidateNotes(t *testing.T) {
	cat := loadCatalogue(t)
	inner, err := license.MakeUSCC("9134000071177114A")
	if err != nil {
		t.Fatal(err)
	}
	l := shop()
	l.Holders[0].Code = inner
	l.Fields["food_number"] = "JY1"
	got, err := license.Validate(cat, l, license.Strict)
	if err != nil {
		t.Fatal(err)
	}
	want := []license.Flag{{Field: "holder_code.0", Reason: "inner-check-character"}, {Field: "food_number", Reason: "length"}}
	if diff := cmp.Diff(want, got.Flags); diff != "" {
		t.Errorf("flags (-want +got):\n%s", diff)
	}
}

func TestValidateRefusesInBothModes(t *testing.T) {
	cat := loadCatalogue(t)
	for name, c := range map[string]struct {
		spoil func(*license.License)
		want  license.FieldError
	}{
		"type":        {func(l *license.License) { l.Type = "pass" }, license.FieldError{Field: "type", Reason: license.UnknownType}},
		"number":      {func(l *license.License) { l.Number = "" }, license.FieldError{Field: "number", Reason: license.Missing}},
		"no holders":  {func(l *license.License) { l.Holders = nil }, license.FieldError{Field: "holders", Reason: license.WrongHolders}},
		"holder":      {func(l *license.License) { l.Holders[1].Code = " " }, license.FieldError{Field: "holder_code.1", Reason: license.Missing}},
		"date":        {func(l *license.License) { l.ValidTo = "2026-02-30" }, license.FieldError{Field: "valid_to", Reason: license.WrongDate}},
		"status":      {func(l *license.License) { l.Status = "有效" }, license.FieldError{Field: "status", Reason: license.WrongStatus}},
		"field":       {func(l *license.License) { l.Fields["colour"] = "red" }, license.FieldError{Field: "colour", Reason: license.UnknownField}},
		"values":      {func(l *license.License) { l.Fields["share"] = "1\n1\n1" }, license.FieldError{Field: "share", Reason: license.WrongHolders}},
		"not UTF-8":   {func(l *license.License) { l.Fields["notes"] = "\xff" }, license.FieldError{Field: "notes", Reason: license.WrongText}},
		"bell":        {func(l *license.License) { l.Fields["share"] = "1/2\n\a" }, license.FieldError{Field: "share.1", Reason: license.WrongText}},
		"control in":  {func(l *license.License) { l.Holders[1].Name = "\x00" }, license.FieldError{Field: "holder_name.1", Reason: license.WrongText}},
		"bad utf8 id": {func(l *license.License) { l.Number = "\xff" }, license.FieldError{Field: "number", Reason: license.WrongText}},
	} {
		for _, mode := range []license.Mode{license.Strict, license.Import} {
			l := flat()
			c.spoil(&l)
			_, err := license.Validate(cat, l, mode)
			var got *license.FieldError
			if !errors.As(err, &got) || *got != c.want {
				t.Errorf("%s in mode %d: %v, want %v", name, mode, err, c.want)
			}
		}
	}
}

func TestValidateAllAtOnce(t *testing.T) {
	l := flat()
	l.Number, l.Status, l.Fields["share"] = "", "", "\n1/2"
	l.Issuer.Code = "1"
	_, err := license.Validate(loadCatalogue(t), l, license.Strict)
	for _, field := range []string{"number", "status", "share.0", "issuer_code"} {
		if err == nil || !strings.Contains(err.Error(), "field "+field+":") {
			t.Errorf("%s is not among the faults: %v", field, err)
		}
	}
}

func TestValidateNormalisesHolders(t *testing.T) {
	l := flat()
	l.Holders[0].Code = " 11010519491231002x"
	got, err := license.Validate(loadCatalogue(t), l, license.Strict)
	if err != nil || got.Holders[0].Code != "11010519491231002X" {
		t.Errorf("holders %v, %v", got.Holders, err)
	}
	if l.Holders[0].Code != " 11010519491231002x" {
		t.Error("the caller's license was changed")
	}
}

func FuzzValidate(f *testing.F) {
	f.Add("1/3\n2/3", "notes", "11010519491231002X", "2026-01-01", "1.00")
	f.Add("", "\xff", "", "长期", "-")
	cat := loadCatalogue(f)
	f.Fuzz(func(t *testing.T, share, notes, code, date, amount string) {
		for _, l := range []license.License{flat(), shop()} {
			l.ValidTo, l.Holders[0].Code = license.Date(date), code
			if l.Type == "flat-certificate" {
				l.Fields["share"], l.Fields["notes"] = share, notes
			} else {
				l.Fields["capital"] = amount
			}
			_, strict := license.Validate(cat, l, license.Strict)
			lenient, err := license.Validate(cat, l, license.Import)
			if strict == nil && err != nil {
				t.Fatal("import refuses what strict accepts")
			}
			if err != nil {
				continue
			}
			kind, _ := cat.Type(l.Type)
			claims, err := license.Claims(kind, lenient)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := license.Content(l.Type, claims); err != nil {
				t.Fatalf("a validated license has no content: %v", err)
			}
		}
	})
}

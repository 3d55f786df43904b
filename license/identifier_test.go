package license_test

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"oncegate/license"
)

const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"

// The vector that was made for tests, and one with an issuer of six digits (no legal form, but a right check character).
const (
	business   = "1.2.156.3005.2.11100000MB0143028R001.11100000MB0143028R.0000000001.001.B"
	sixDigits  = "1.2.156.3005.2.11100000MB03271699022.340100.000000016.001.9"
	typeCode   = "11100000MB0143028R001"
	issuerCode = "11100000MB0143028R"
)

func TestParseIdentifier(t *testing.T) {
	id, err := license.ParseIdentifier(business)
	if err != nil {
		t.Fatal(err)
	}
	if id.TypeCode() != typeCode || id.Issuer() != issuerCode || id.Serial() != "0000000001" || id.Version() != 1 || id.String() != business {
		t.Errorf("parts of %v are wrong", id)
	}
	made, err := license.NewIdentifier(typeCode, issuerCode, "0000000001", 1)
	if err != nil || made != id {
		t.Errorf("NewIdentifier = %v, %v", made, err)
	}
}

func TestParseIdentifierRefuses(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       license.Reason
	}{
		{"empty", "", license.WrongRoot},
		{"other root", strings.Replace(business, "3005", "3006", 1), license.WrongRoot},
		{"part missing", "1.2.156.3005.2.11100000MB0143028R001.11100000MB0143028R.001.B", license.WrongForm},
		{"check of two", business + "B", license.WrongForm},
		{"no serial", strings.Replace(business, "0000000001", "", 1), license.WrongLength},
		{"long serial", strings.Replace(business, "0000000001", strings.Repeat("1", 65), 1), license.WrongLength},
		{"very long", business + strings.Repeat("1", 100), license.WrongLength},
		{"hyphen", strings.Replace(business, "0000000001", "00000-0001", 1), license.WrongAlphabet},
		{"lower case", strings.ToLower(business), license.WrongAlphabet},
		{"version 000", strings.Replace(business, ".001.B", ".000.B", 1), license.WrongVersion},
		{"version 01", strings.Replace(business, ".001.B", ".01.B", 1), license.WrongVersion},
		{"version A01", strings.Replace(business, ".001.B", ".A01.B", 1), license.WrongVersion},
		{"check", strings.TrimSuffix(business, "B") + "C", license.WrongCheck},
		{"short issuer", sixDigits, license.WrongLength},
		{"type digits", strings.Replace(business, "R001.", "R00A.", 1), license.WrongAlphabet},
		{"a letter that folds into S", strings.Replace(business, "0000000001", "ſ", 1), license.WrongAlphabet},
	} {
		t.Run(c.name, func(t *testing.T) {
			id, err := license.ParseIdentifier(c.text)
			if license.ReasonOf(err) != c.want || !id.IsZero() {
				t.Errorf("got %v, %v, want %s", id, err, c.want)
			}
			if c.text != "" && err != nil && strings.Contains(err.Error(), c.text) {
				t.Error("the error repeats the value")
			}
		})
	}
}

func TestImportIdentifierFlags(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []license.Flag
	}{
		{"sound", business, nil},
		{"short issuer", sixDigits, []license.Flag{{Field: "issuer_code", Reason: "length"}}},
		{"check", strings.TrimSuffix(business, "B") + "C", []license.Flag{{Field: "identifier", Reason: "check-character"}}},
		{"lower case", strings.ToLower(business), []license.Flag{{Field: "identifier", Reason: "alphabet"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			id, flags, err := license.ImportIdentifier(c.text)
			if err != nil {
				t.Fatal(err)
			}
			if id.String() != c.text {
				t.Errorf("repaired to %s", id)
			}
			if len(flags) != len(c.want) || len(flags) > 0 && flags[0] != c.want[0] {
				t.Errorf("flags %v, want %v", flags, c.want)
			}
		})
	}
	lower, _, _ := license.ImportIdentifier(strings.ToLower(business))
	id, _ := license.ParseIdentifier(business)
	if !lower.Equal(id) || lower.Issuer() != issuerCode {
		t.Error("case decides equality")
	}
}

func TestNextVersion(t *testing.T) {
	id, _ := license.NewIdentifier(typeCode, issuerCode, "7", 998)
	last, err := id.Next()
	if err != nil || last.Version() != 999 || last.Serial() != "7" {
		t.Fatalf("Next = %v, %v", last, err)
	}
	if _, err := last.Next(); !errors.Is(err, license.VersionsAreOut) {
		t.Errorf("after 999: %v", err)
	}
	if _, err := license.NewIdentifier(typeCode, issuerCode, "7", 0); !errors.Is(err, license.WrongVersion) {
		t.Errorf("version 0: %v", err)
	}
	if _, err := license.NewIdentifier(typeCode, issuerCode, "a", 1); !errors.Is(err, license.WrongAlphabet) {
		t.Errorf("serial a: %v", err)
	}
}

func TestIdentifierText(t *testing.T) {
	var id license.Identifier
	if err := id.UnmarshalText([]byte(business)); err != nil {
		t.Fatal(err)
	}
	text, _ := id.MarshalText()
	if string(text) != business {
		t.Errorf("wrote %s", text)
	}
	if err := id.UnmarshalText(nil); err != nil || !id.IsZero() {
		t.Errorf("empty text: %v, %v", id, err)
	}
	if err := id.UnmarshalText([]byte(sixDigits)); err == nil {
		t.Error("unmarshalled leniently")
	}
}

func drawIdentifier(t *rapid.T) license.Identifier {
	serial := rapid.StringMatching(`[0-9A-Z]{1,40}`).Draw(t, "serial")
	id, err := license.NewIdentifier(typeCode, issuerCode, serial, rapid.IntRange(1, 999).Draw(t, "version"))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// A single wrong character is always noticed, whichever it is.
func TestIdentifierSubstitution(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := drawIdentifier(t).String()
		at := rapid.IntRange(len(license.Root)+1, len(text)-1).Draw(t, "at")
		wrong := alphabet[rapid.IntRange(0, 35).Draw(t, "character")]
		if text[at] == '.' || text[at] == wrong {
			return // nothing is substituted
		}
		_, flags, err := license.ImportIdentifier(text[:at] + string(wrong) + text[at+1:])
		if err != nil {
			return // the form noticed already
		}
		for _, f := range flags {
			if f.Field == "identifier" && f.Reason == "check-character" {
				return
			}
		}
		t.Fatalf("%s at %d becomes %c unnoticed", text, at, wrong)
	})
}

// Of adjacent transpositions MOD 37,36 misses very few: over all pairs in this place exactly those that the standard
// calls "nearly all".
func TestIdentifierTransposition(t *testing.T) {
	pairs, missed := 0, 0
	for _, a := range alphabet {
		for _, b := range alphabet {
			if a == b {
				continue
			}
			id, err := license.NewIdentifier(typeCode, issuerCode, "0"+string(a)+string(b), 1)
			if err != nil {
				t.Fatal(err)
			}
			swapped := strings.Replace(id.String(), "0"+string(a)+string(b), "0"+string(b)+string(a), 1)
			pairs++
			if _, err := license.ParseIdentifier(swapped); err == nil {
				missed++
			}
		}
	}
	if pairs != 36*35 || missed > pairs/30 {
		t.Errorf("missed %d of %d transpositions", missed, pairs)
	}
}

func FuzzImportIdentifier(f *testing.F) {
	for _, seed := range []string{business, sixDigits, strings.ToLower(business), "", "1.2.156.3005.2.....", business + "\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		id, flags, err := license.ImportIdentifier(text)
		strict, strictErr := license.ParseIdentifier(text)
		if err != nil {
			if strictErr == nil || !id.IsZero() {
				t.Fatal("strict accepts what import refuses")
			}
			return
		}
		if id.String() != text {
			t.Fatal("the text changed")
		}
		if (len(flags) == 0) != (strictErr == nil) {
			t.Fatalf("flags %v, but strictly %v", flags, strictErr)
		}
		if strictErr == nil {
			again, err := license.NewIdentifier(strict.TypeCode(), strict.Issuer(), strict.Serial(), strict.Version())
			if err != nil || again != strict {
				t.Fatalf("made again %v, %v", again, err)
			}
		}
	})
}

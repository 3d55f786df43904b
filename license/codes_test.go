package license_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"oncegate/license"
)

// publicBodies are the credit codes that the reference verified by computation.
var publicBodies = []string{
	"11100000MB0143028R", "11100000000013338W", "11100000000019713D", "111000000000131433", "11100000MB03271699",
	"11110000000021135M", "11430000006122244L", "11220000013544541J", "91340000711771143J",
}

func TestCheckUSCC(t *testing.T) {
	for _, code := range publicBodies {
		if err := license.CheckUSCC(code); err != nil {
			t.Errorf("%s: %v", code, err)
		}
		if err := license.CheckInnerCode(code); err != nil {
			t.Errorf("%s inside: %v", code, err)
		}
		if made, err := license.MakeUSCC(code[:17]); err != nil || made != code {
			t.Errorf("made %s, %v", made, err)
		}
	}
}

func TestCheckCodeRefuses(t *testing.T) {
	for _, c := range []struct {
		rule, code string
		want       license.Reason
	}{
		{license.GB32100, "", license.WrongLength},
		{license.GB32100, "11100000MB0143028", license.WrongLength},
		{license.GB32100, "11100000MB0143028S", license.WrongAlphabet},
		{license.GB32100, "11100000MBO143028R", license.WrongAlphabet},
		{license.GB32100, "11100000mb0143028R", license.WrongAlphabet},
		{license.GB32100, "11100000MB0143028T", license.WrongCheck},
		{license.GB11643, "", license.WrongLength},
		{license.GB11643, "110105491231002", license.WrongLength},
		{license.GB11643, "11010519491231002x", license.WrongAlphabet},
		{license.GB11643, "1101051949123100AX", license.WrongAlphabet},
		{license.GB11643, "11010519491231002A", license.WrongAlphabet},
		{license.GB11643, "000105194912310028", license.WrongRegion},
		{license.GB11643, "110000194912310023", license.WrongRegion},
		{license.GB11643, "110105194902310023", license.WrongDate},
		{license.GB11643, "110105174912310023", license.WrongDate},
		{license.GB11643, "110105194912310021", license.WrongCheck},
		{"", "", license.WrongLength},
		{"", strings.Repeat("A", 65), license.WrongLength},
		{"", "E1234 5678", license.WrongAlphabet},
		{"", "e12345678", license.WrongAlphabet},
		{"", "E1234\x00", license.WrongAlphabet},
		{"", "E\xff", license.WrongText},
		{"", "E\uFFFD", license.WrongAlphabet},
		{"md5", "E12345678", license.UnknownRule},
	} {
		if err := license.CheckCode(c.rule, c.code); license.ReasonOf(err) != c.want {
			t.Errorf("%s %q: %v, want %s", c.rule, c.code, err, c.want)
		}
	}
}

func TestCheckCodeAccepts(t *testing.T) {
	for rule, codes := range map[string][]string{
		license.GB11643: {"11010519491231002X", "440524188001010014"}, // the standard's own examples
		"":              {"E12345678", "军字第0012345号"},
	} {
		for _, code := range codes {
			if err := license.CheckCode(rule, code); err != nil {
				t.Errorf("%s: %v", code, err)
			}
		}
	}
}

func TestMakeResidentID(t *testing.T) {
	if code, err := license.MakeResidentID("11010519491231002"); err != nil || code != "11010519491231002X" {
		t.Errorf("made %s, %v", code, err)
	}
	for first, want := range map[string]license.Reason{
		"1101051949123100":  license.WrongLength,
		"1101051949123100X": license.WrongAlphabet,
		"99010519491231002": license.WrongRegion,
	} {
		if _, err := license.MakeResidentID(first); license.ReasonOf(err) != want {
			t.Errorf("%s: %v, want %s", first, err, want)
		}
	}
	for _, first := range []string{"1110", "11100000MBO143028"} {
		if _, err := license.MakeUSCC(first); err == nil {
			t.Errorf("made a credit code of %s", first)
		}
	}
}

// Both rules notice every single wrong character; GB 11643 every transposition of neighbours too (a prime modulus).
func TestCodeErrorsAreNoticed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		uscc, err := license.MakeUSCC(rapid.StringMatching(`[0-9A-HJ-NPQRTUWXY]{17}`).Draw(t, "first"))
		if err != nil {
			t.Fatal(err)
		}
		at := rapid.IntRange(0, 17).Draw(t, "at")
		wrong := alphabet[rapid.IntRange(0, 35).Draw(t, "character")]
		if wrong != uscc[at] && license.CheckUSCC(uscc[:at]+string(wrong)+uscc[at+1:]) == nil {
			t.Fatalf("%s at %d becomes %c unnoticed", uscc, at, wrong)
		}
		person, err := license.MakeResidentID("110105" + rapid.StringMatching(`19[0-9]{2}0[1-9]1[0-9][0-9]{3}`).Draw(t, "birth"))
		if err != nil {
			t.Fatal(err)
		}
		i := rapid.IntRange(0, 16).Draw(t, "swap")
		swapped := []byte(person)
		swapped[i], swapped[i+1] = swapped[i+1], swapped[i]
		if string(swapped) != person && license.CheckResidentID(string(swapped)) == nil {
			t.Fatalf("%s swapped at %d unnoticed", person, i)
		}
	})
}

func TestCheckInnerCode(t *testing.T) {
	for code, want := range map[string]license.Reason{
		"11100000MB0143028R": "",
		"11100000MB0143029R": license.WrongInner,
		"11100000M.0143028R": license.WrongAlphabet,
		"11100000MB0143028":  license.WrongLength,
	} {
		if err := license.CheckInnerCode(code); license.ReasonOf(err) != want {
			t.Errorf("%s: %v, want %q", code, err, want)
		}
	}
}

func TestCheckFoodNumber(t *testing.T) {
	// Computed from the standard's congruence, by hand; its example 0794-5 passes the same computation.
	const right = "JY11101050000012"
	if err := license.CheckFoodNumber(right); err != nil {
		t.Errorf("%s: %v", right, err)
	}
	for number, want := range map[string]license.Reason{
		"JY111010500000":   license.WrongLength,
		"XX" + right[2:]:   license.WrongForm,
		"JY11101050A00012": license.WrongAlphabet,
		"JY2" + right[3:]:  license.WrongCheck,
		right[:15] + "A":   license.WrongCheck,
	} {
		if err := license.CheckFoodNumber(number); license.ReasonOf(err) != want {
			t.Errorf("%s: %v, want %s", number, err, want)
		}
	}
}

func TestNormal(t *testing.T) {
	got := license.HolderID{Type: " 111 ", Code: " 110105 19491231002ｘ\u3000"}.Normal()
	if got != (license.HolderID{Type: "111", Code: "11010519491231002X"}) {
		t.Errorf("normal form %v", got)
	}
	if code := license.NormalCode("ſſ"); code != "ſſ" {
		t.Errorf("letters outside ASCII changed to %s", code)
	}
}

func FuzzCheckCode(f *testing.F) {
	for _, seed := range append(publicBodies, "11010519491231002X", "", "\xff", "JY11101050000012") {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, code string) {
		for _, rule := range []string{license.GB32100, license.GB11643, "", "other"} {
			err := license.CheckCode(rule, code)
			if err != nil && license.ReasonOf(err) == "" {
				t.Fatalf("%s: an error without a reason", rule)
			}
			if err == nil && license.NormalCode(code) != code && rule != "" {
				t.Fatalf("%s: a code passes that is not in normal form", rule)
			}
		}
		_ = license.CheckInnerCode(code)
		_ = license.CheckFoodNumber(code)
		if once := license.NormalCode(code); license.NormalCode(once) != once {
			t.Fatal("the normal form has another normal form")
		}
	})
}

package document

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"oncegate/license"
	"oncegate/register"
)

func newCodes(t testing.TB, secret byte, base string) *Codes {
	t.Helper()
	c, err := NewCodes(CodesConfig{Secret: bytes.Repeat([]byte{secret}, 32), Register: new(register.Register), Catalogue: new(license.Catalogue), BaseURL: base})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const codeBase = "https://licenses.yunchuan.example"

// codeOf is the code in the address of a version's page.
func codeOf(c *Codes, list string, slot int, tail string) string {
	u := c.URL(register.Version{List: list, Slot: slot}, tail)
	return u[strings.LastIndexByte(u, '/')+1:]
}

// A code comes back as the place and the tail that it was made of, however it is written; a code of which a bit differs is none, and
// nor is one of another gateway.
func TestCodes(t *testing.T) {
	c, other := newCodes(t, 1, codeBase), newCodes(t, 2, codeBase)
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SampledFrom([]string{"1", "2", "77", "0123456789abcdef-3"}).Draw(t, "list")
		slot := rapid.IntRange(0, 1<<slotBits-1).Draw(t, "slot")
		tail := rapid.StringMatching(`([0-9A-Z]{4})?`).Draw(t, "tail")
		code := codeOf(c, list, slot, tail)
		want := place{c.lists(list), slot, tail}
		full := strings.Map(func(r rune) rune { return r - '!' + '！' }, code)
		for _, written := range []string{code, strings.ToLower(code), full, code[:13] + " - " + code[13:], strings.NewReplacer("0", "o", "1", "l").Replace(code)} {
			if got, ok := c.read(written); !ok || got != want {
				t.Fatalf("%s reads as %+v, want %+v", written, got, want)
			}
		}
		if _, ok := other.read(code); ok {
			t.Fatal("another gateway reads it")
		}
		sealed, err := codeText.DecodeString(code)
		if err != nil {
			t.Fatal(err)
		}
		for bit := range 8 * len(sealed) {
			flipped := bytes.Clone(sealed)
			flipped[bit/8] ^= 1 << (bit % 8)
			if _, ok := c.read(codeText.EncodeToString(flipped)); ok {
				t.Fatalf("bit %d flipped is a code", bit)
			}
		}
		last := strings.IndexByte(codeAlphabet, code[CodeLength-1])
		for rest := 1; rest < 4; rest++ { // the bits that no byte has
			if _, ok := c.read(code[:CodeLength-1] + string(codeAlphabet[last|rest])); ok {
				t.Fatal("one code is written in two ways")
			}
		}
	})
	for _, none := range []string{"", "X", strings.Repeat("0", CodeLength), strings.Repeat("U", CodeLength), strings.Repeat("9", 10_000), "1.2.156.3005.2.11100000MB0143028R001"} {
		if _, ok := c.read(none); ok {
			t.Errorf("%.30q is a code", none)
		}
	}
}

// Codes of neighbouring slots, of two versions of one license and of two copies share nothing: no prefix, no more characters than
// chance has.
func TestCodesCannotBeLinked(t *testing.T) {
	c := newCodes(t, 1, codeBase)
	const n = 2000
	seen, same := make(map[string]bool), 0
	for slot := range n {
		for _, tail := range []string{"", "0001"} {
			code := codeOf(c, "1", slot, tail)
			if seen[code[:6]] && slot < 50 {
				t.Errorf("two codes begin with %s", code[:6])
			}
			seen[code[:6]] = true
		}
		a, b := codeOf(c, "1", slot, ""), codeOf(c, "1", slot+1, "")
		for i := range CodeLength - 1 {
			if a[i] == b[i] {
				same++
			}
		}
	}
	if share := float64(same) / n / (CodeLength - 1); share < 0.02 || share > 0.045 { // 1/32 = 0.031
		t.Errorf("neighbours share %.4f of their characters", share)
	}
}

// The address is in upper case, so that a QR code holds it in its alphanumeric mode, unless it has a path, whose case counts.
func TestCodeURL(t *testing.T) {
	for base, want := range map[string]string{
		codeBase:                         "HTTPS://LICENSES.YUNCHUAN.EXAMPLE/V/",
		"http://127.0.0.1:8420":          "HTTP://127.0.0.1:8420/V/",
		"https://city.example/Oncegate":  "https://city.example/Oncegate/v/",
		"https://xn--fiq228c.example:44": "HTTPS://XN--FIQ228C.EXAMPLE:44/V/",
	} {
		got := newCodes(t, 1, base).URL(register.Version{List: "1", Slot: 5}, "7788")
		if code, ok := strings.CutPrefix(got, want); !ok || len(code) != CodeLength {
			t.Errorf("%s, want %s and a code", got, want)
		}
	}
}

func TestNumberTail(t *testing.T) {
	for number, want := range map[string]string{
		"37990100007788": "7788", "JY13799010001234": "1234", "云川（2026）不动产权第0001234号": "1234", "J379901-2015-00000a": "000A",
		"３７９９０１２３": "0123", "L-1": "", "123-4567": "", "1234-5678": "5678", "": "", "云川食字第一二三四五六七八号": "",
	} {
		if got := NumberTail(number); got != want {
			t.Errorf("%s ends in %q, want %q", number, got, want)
		}
		if back, ok := unpackTail(packTail(NumberTail(number))); !ok || back != want {
			t.Errorf("%s comes back as %q", number, back)
		}
	}
	if _, ok := unpackTail(1<<tailBits - 1); ok {
		t.Error("what no tail packs to is one")
	}
}

// How a version stands follows the register's effective status, and its validity.
func TestStanding(t *testing.T) {
	now := time.Date(2026, 12, 1, 9, 16, 0, 0, time.UTC)
	early, late, ordered, stated := now.AddDate(-1, 0, 0), now.AddDate(1, 0, 0), now.AddDate(0, -1, 0), now.AddDate(0, -2, 0)
	for name, c := range map[string]struct {
		stated, ordered license.Status
		from, until     time.Time
		state           string
		since           time.Time
	}{
		"valid":                     {license.Valid, "", early, late, StateValid, time.Time{}},
		"valid without end":         {license.Valid, "", time.Time{}, time.Time{}, StateValid, time.Time{}},
		"not begun":                 {license.Valid, "", late, time.Time{}, StateNotYet, late},
		"over":                      {license.Valid, "", early, ordered, StateExpired, ordered},
		"over at this moment":       {license.Valid, "", early, now, StateExpired, now},
		"suspended by order":        {license.Valid, license.Suspended, early, late, StateSuspended, ordered},
		"suspended at the source":   {license.Suspended, "", early, late, StateSuspended, stated},
		"suspended, and over":       {license.Suspended, "", early, ordered, StateExpired, ordered},
		"suspended, revoked there":  {license.Revoked, license.Suspended, early, late, StateRevoked, stated},
		"revoked by order":          {license.Valid, license.Revoked, early, late, StateRevoked, ordered},
		"revoked, and over":         {license.Revoked, "", early, ordered, StateRevoked, stated},
		"ended by order":            {license.Valid, license.Expired, early, late, StateEnded, ordered},
		"superseded":                {license.Superseded, "", early, late, StateSuperseded, stated},
		"superseded by order":       {license.Valid, license.Superseded, early, late, StateSuperseded, ordered},
		"something nobody knows of": {"burnt", "", early, late, StateRevoked, stated},
	} {
		v := register.Version{
			Identifier: "1.2.3", Status: register.EffectiveStatus(c.stated, c.ordered), Stated: c.stated, StatusAt: stated, Ordered: c.ordered, OrderedAt: ordered,
			JWT: jwt("1.2.3", c.from, c.until),
		}
		got, err := standing(v, now)
		if err != nil || got.State != c.state || !got.Since.Equal(c.since) {
			t.Errorf("%s: %s since %s, %v; want %s since %s", name, got.State, got.Since, err, c.state, c.since)
		}
	}
	if _, err := standing(register.Version{Identifier: "1.2.4", JWT: jwt("1.2.3", early, late)}, now); err == nil {
		t.Error("the validity of another license counts")
	}
}

func jwt(identifier string, from, until time.Time) string {
	claims := fmt.Sprintf(`"id":%q`, identifier)
	if !from.IsZero() {
		claims += fmt.Sprintf(`,"nbf":%d`, from.Unix())
	}
	if !until.IsZero() {
		claims += fmt.Sprintf(`,"exp":%d`, until.Unix())
	}
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte("{"+claims+"}")) + ".c2ln"
}

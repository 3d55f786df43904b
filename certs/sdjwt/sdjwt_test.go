package sdjwt_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"pgregory.net/rapid"

	"oncegate/certs/certstest"
	"oncegate/certs/jws"
	"oncegate/certs/sdjwt"
	"oncegate/certs/sm"
)

const typ = "license+sd-jwt"

func salts(seed string) sdjwt.Salts {
	return func(path string) []byte {
		d := sm.HMAC([]byte(seed), []byte(path))
		return d[:]
	}
}

func claims() []sdjwt.Claim {
	return []sdjwt.Claim{
		{Name: "name", Value: jsontext.Value(`"示例餐饮有限公司"`)},
		{Name: "capital", Value: jsontext.Value(` "1000000" `)},
		{Name: "holders/0/name", Value: jsontext.Value(`{"b": 1, "a": [2, 3]}`)},
		{Name: "holders/1/name", Value: jsontext.Value(`null`)},
	}
}

func issuance() sdjwt.Issuance {
	return sdjwt.Issuance{
		Typ: typ, Always: jsontext.Value(`{"iss": "11330000MB0000001X", "ver": 1}`), Claims: claims(), Digests: 8, Salt: salts("s"),
	}
}

func issue(t testing.TB, signer sm.Signer, i sdjwt.Issuance) (string, []sdjwt.Disclosure) {
	t.Helper()
	jwt, all, err := sdjwt.Issue(t.Context(), signer, i)
	if err != nil {
		t.Fatal(err)
	}
	return jwt, all
}

func expect(signer sm.Signer) sdjwt.Expect {
	return sdjwt.Expect{Typ: typ, Check: func(p *jws.Parts) error { return p.Verify(signer.Public(), nil) }}
}

func TestIssuePresentVerify(t *testing.T) {
	w := certstest.New(t, "sdjwt")
	signer, chain := w.Issue("dept-1", "license", "11330000MB0000001X", "示例")
	i := issuance()
	i.Chain = [][]byte{chain[0].Raw, chain[1].Raw}
	jwt, all := issue(t, signer, i)
	r, err := sdjwt.Verify(sdjwt.Present(jwt, sdjwt.Select(all, "holders/0/name", "name", "nothing")), expect(signer))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Claims) != 4 || string(r.Claims["name"]) != `"示例餐饮有限公司"` || string(r.Claims["holders/0/name"]) != `{"a":[2,3],"b":1}` ||
		string(r.Claims["ver"]) != "1" || len(r.Disclosed) != 2 || r.Disclosed[0].Name != "name" || len(r.Header.X5C) != 2 {
		t.Errorf("%s %+v", r.Claims, r.Disclosed)
	}
	for _, s := range r.Steps {
		if s.State != "ok" {
			t.Errorf("%+v", s)
		}
	}
	if len(r.Steps) != 4 {
		t.Errorf("%+v", r.Steps)
	}
}

// The register keeps no disclosure: computed again they are the same, and fit the JWT signed before.
func TestDisclosuresComeBack(t *testing.T) {
	signer := certstest.New(t, "sdjwt").Signer("k")
	jwt, all := issue(t, signer, issuance())
	again, err := sdjwt.Disclose(claims(), salts("s"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range all {
		if all[i].Text != again[i].Text {
			t.Errorf("%s differs", all[i].Name)
		}
	}
	if _, err := sdjwt.Verify(sdjwt.Present(jwt, again), expect(signer)); err != nil {
		t.Error(err)
	}
	other, err := sdjwt.Disclose(claims(), salts("another version"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sdjwt.Verify(sdjwt.Present(jwt, other[:1]), expect(signer)); !errors.Is(err, sdjwt.ErrUnused) {
		t.Errorf("other salts: %v", err)
	}
}

// digests reads _sd of a JWT.
func digests(t testing.TB, jwt string) []string {
	t.Helper()
	parts, err := jws.Split(jwt, sdjwt.MaxSize)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(parts.Payload), `"_sd":[`)
	if !ok {
		t.Fatalf("no _sd in %s", parts.Payload)
	}
	list, _, _ := strings.Cut(rest, "]")
	return strings.Split(list, ",")
}

// Sorted, filled up, all of one form: nothing tells decoys from claims, nor how many claims there are.
func TestDecoys(t *testing.T) {
	signer := certstest.New(t, "sdjwt").Signer("k")
	for _, n := range []int{0, 3, 4, 5, 40} {
		i := issuance()
		i.Digests = n
		jwt, all := issue(t, signer, i)
		got := digests(t, jwt)
		if len(got) != max(n, len(all)) || !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) {
			t.Errorf("%d: %d digests", n, len(got))
		}
		for _, d := range got {
			if len(d) != 45 {
				t.Errorf("digest %s", d)
			}
		}
		if again, _ := issue(t, signer, i); again != jwt {
			t.Error("not reproducible")
		}
	}
	fewer := issuance()
	fewer.Claims = fewer.Claims[:1]
	jwt, _ := issue(t, signer, fewer)
	if len(digests(t, jwt)) != 8 {
		t.Error("the count of claims shows")
	}
}

func TestIssueRefuses(t *testing.T) {
	signer := certstest.New(t, "sdjwt").Signer("k")
	for name, c := range map[string]struct {
		change func(*sdjwt.Issuance)
		err    error
	}{
		"_sd":             {func(i *sdjwt.Issuance) { i.Claims[0].Name = "_sd" }, sdjwt.ErrClaim},
		"_sd_alg":         {func(i *sdjwt.Issuance) { i.Claims[0].Name = "_sd_alg" }, sdjwt.ErrClaim},
		"decoy path":      {func(i *sdjwt.Issuance) { i.Claims[0].Name = "_sd/decoy/0" }, sdjwt.ErrClaim},
		"dots":            {func(i *sdjwt.Issuance) { i.Claims[0].Name = "..." }, sdjwt.ErrClaim},
		"no name":         {func(i *sdjwt.Issuance) { i.Claims[0].Name = "" }, sdjwt.ErrClaim},
		"twice":           {func(i *sdjwt.Issuance) { i.Claims[0].Name = "capital" }, sdjwt.ErrClaim},
		"always too":      {func(i *sdjwt.Issuance) { i.Claims[0].Name = "iss" }, sdjwt.ErrClaim},
		"no JSON":         {func(i *sdjwt.Issuance) { i.Claims[0].Value = jsontext.Value("{") }, sdjwt.ErrClaim},
		"no value":        {func(i *sdjwt.Issuance) { i.Claims[0].Value = nil }, sdjwt.ErrClaim},
		"duplicate":       {func(i *sdjwt.Issuance) { i.Claims[0].Value = jsontext.Value(`{"a":1,"a":2}`) }, sdjwt.ErrClaim},
		"always reserved": {func(i *sdjwt.Issuance) { i.Always = jsontext.Value(`{"_sd":[]}`) }, sdjwt.ErrClaim},
		"always array":    {func(i *sdjwt.Issuance) { i.Always = jsontext.Value(`[]`) }, sdjwt.ErrClaim},
		"always null":     {func(i *sdjwt.Issuance) { i.Always = jsontext.Value(`null`) }, sdjwt.ErrClaim},
		"short salt":      {func(i *sdjwt.Issuance) { i.Salt = func(string) []byte { return make([]byte, 15) } }, sdjwt.ErrSalt},
	} {
		i := issuance()
		c.change(&i)
		if _, _, err := sdjwt.Issue(t.Context(), signer, i); !errors.Is(err, c.err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestVerifyRefuses(t *testing.T) {
	w := certstest.New(t, "sdjwt")
	signer := w.Signer("k")
	jwt, all := issue(t, signer, issuance())
	raw := func(payload string) string {
		s, err := jws.Sign(t.Context(), signer, jws.Header{Typ: typ}, []byte(payload))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	text := func(s string) string { return sm.B64([]byte(s)) }
	digest := func(s string) string { return sdjwt.SM3().Digest(text(s)) }
	const field, element = `["salt","f",1]`, `["salt",1]`
	seg := strings.Split(jwt, ".")
	deep := raw(`{"_sd_alg":"sm3","a":` + strings.Repeat(`{"a":`, 40) + `1` + strings.Repeat(`}`, 40) + `}`)

	for name, c := range map[string]struct {
		presentation string
		err          error
		failed       string
	}{
		"no tilde":           {jwt, sdjwt.ErrForm, sdjwt.StepForm},
		"empty":              {"", sdjwt.ErrForm, sdjwt.StepForm},
		"only tilde":         {"~", sdjwt.ErrForm, sdjwt.StepForm},
		"too many":           {jwt + strings.Repeat("~", sdjwt.MaxDisclosures+2), sdjwt.ErrForm, sdjwt.StepForm},
		"too large":          {jwt + "~" + strings.Repeat("x", sdjwt.MaxSize) + "~", sdjwt.ErrForm, sdjwt.StepForm},
		"key binding":        {jwt + "~" + jwt, sdjwt.ErrKeyBinding, sdjwt.StepForm},
		"typ":                {strings.Replace(jwt, seg[0], text(`{"alg":"SM2SM3","typ":"JWT"}`), 1) + "~", sdjwt.ErrType, sdjwt.StepType},
		"alg none":           {strings.Replace(jwt, seg[0], text(`{"alg":"none","typ":"`+typ+`"}`), 1) + "~", sdjwt.ErrSignature, sdjwt.StepSignature},
		"changed payload":    {seg[0] + "." + text(`{"iss":"x"}`) + "." + seg[2] + "~", sdjwt.ErrSignature, sdjwt.StepSignature},
		"twice":              {sdjwt.Present(jwt, []sdjwt.Disclosure{all[0], all[0]}), sdjwt.ErrDuplicate, sdjwt.StepDisclosures},
		"made up":            {jwt + "~" + text(`["salt","owner","me"]`) + "~", sdjwt.ErrUnused, sdjwt.StepDisclosures},
		"empty disclosure":   {jwt + "~~", sdjwt.ErrDisclosure, sdjwt.StepDisclosures},
		"not base64":         {jwt + "~=~", sdjwt.ErrDisclosure, sdjwt.StepDisclosures},
		"spelt otherwise":    {jwt + "~" + text(`[ "salt","f",1]`) + "~", sdjwt.ErrUnused, sdjwt.StepDisclosures},
		"four items":         {jwt + "~" + text(`["salt","f",1,2]`) + "~", sdjwt.ErrDisclosure, sdjwt.StepDisclosures},
		"one item":           {jwt + "~" + text(`["salt"]`) + "~", sdjwt.ErrDisclosure, sdjwt.StepDisclosures},
		"salt a number":      {jwt + "~" + text(`[1,"f",1]`) + "~", sdjwt.ErrDisclosure, sdjwt.StepDisclosures},
		"name _sd":           {jwt + "~" + text(`["salt","_sd",[]]`) + "~", sdjwt.ErrDisclosure, sdjwt.StepDisclosures},
		"name dots":          {jwt + "~" + text(`["salt","...",1]`) + "~", sdjwt.ErrDisclosure, sdjwt.StepDisclosures},
		"payload array":      {raw(`[]`) + "~", sdjwt.ErrForm, sdjwt.StepDisclosures},
		"payload twice":      {raw(`{"_sd_alg":"sm3","a":1,"a":2}`) + "~", sdjwt.ErrForm, sdjwt.StepDisclosures},
		"default hash":       {raw(`{}`) + "~", sdjwt.ErrHash, sdjwt.StepDisclosures},
		"other hash":         {raw(`{"_sd_alg":"sha-256"}`) + "~", sdjwt.ErrHash, sdjwt.StepDisclosures},
		"hash a number":      {raw(`{"_sd_alg":1}`) + "~", sdjwt.ErrForm, sdjwt.StepDisclosures},
		"_sd no array":       {raw(`{"_sd_alg":"sm3","_sd":1}`) + "~", sdjwt.ErrForm, sdjwt.StepDisclosures},
		"_sd null":           {raw(`{"_sd_alg":"sm3","_sd":null}`) + "~", sdjwt.ErrForm, sdjwt.StepDisclosures},
		"_sd of numbers":     {raw(`{"_sd_alg":"sm3","_sd":[1]}`) + "~", sdjwt.ErrForm, sdjwt.StepDisclosures},
		"digest twice":       {raw(`{"_sd_alg":"sm3","_sd":["x","x"]}`) + "~", sdjwt.ErrDuplicate, sdjwt.StepDisclosures},
		"digest at 2 places": {raw(`{"_sd_alg":"sm3","_sd":["x"],"a":{"_sd":["x"]}}`) + "~", sdjwt.ErrDuplicate, sdjwt.StepDisclosures},
		"claim stands open":  {raw(`{"_sd_alg":"sm3","f":2,"_sd":["`+digest(field)+`"]}`) + "~" + text(field) + "~", sdjwt.ErrDuplicate, sdjwt.StepDisclosures},
		"element as field":   {raw(`{"_sd_alg":"sm3","_sd":["`+digest(element)+`"]}`) + "~" + text(element) + "~", sdjwt.ErrDisclosure, sdjwt.StepDisclosures},
		"field as element":   {raw(`{"_sd_alg":"sm3","a":[{"...":"`+digest(field)+`"}]}`) + "~" + text(field) + "~", sdjwt.ErrDisclosure, sdjwt.StepDisclosures},
		"dots with company":  {raw(`{"_sd_alg":"sm3","a":[{"...":"x","b":1}]}`) + "~", sdjwt.ErrForm, sdjwt.StepDisclosures},
		"dots of a number":   {raw(`{"_sd_alg":"sm3","a":[{"...":1}]}`) + "~", sdjwt.ErrForm, sdjwt.StepDisclosures},
		"dots outside":       {raw(`{"_sd_alg":"sm3","a":{"...":"x"}}`) + "~", sdjwt.ErrForm, sdjwt.StepDisclosures},
		"deep":               {deep + "~", sdjwt.ErrForm, sdjwt.StepDisclosures},
	} {
		r, err := sdjwt.Verify(c.presentation, expect(signer))
		if !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", name, err, c.err)
			continue
		}
		for _, s := range r.Steps {
			if (s.State == "failed") != (s.Name == c.failed) {
				t.Errorf("%s: %+v", name, r.Steps)
			}
		}
		if r.Claims != nil || r.Disclosed != nil {
			t.Errorf("%s: claims of a presentation that does not hold", name)
		}
	}
	if _, err := sdjwt.Verify(jwt+"~", expect(w.Signer("other"))); !errors.Is(err, sdjwt.ErrSignature) {
		t.Error(err)
	}
}

// Recursive disclosures (RFC 9901 section 4.2.6): a disclosed object that has _sd of its own.
func TestRecursive(t *testing.T) {
	signer := certstest.New(t, "sdjwt").Signer("k")
	text := func(s string) string { return sm.B64([]byte(s)) }
	inner := text(`["s1","street","x"]`)
	outer := text(`["s2","address",{"_sd":["` + sdjwt.SM3().Digest(inner) + `"],"city":"y"}]`)
	jwt, err := jws.Sign(t.Context(), signer, jws.Header{Typ: typ}, []byte(`{"_sd_alg":"sm3","_sd":["`+sdjwt.SM3().Digest(outer)+`"]}`))
	if err != nil {
		t.Fatal(err)
	}
	for presentation, want := range map[string]string{
		jwt + "~" + inner + "~" + outer + "~": `{"city":"y","street":"x"}`,
		jwt + "~" + outer + "~":               `{"city":"y"}`,
	} {
		r, err := sdjwt.Verify(presentation, expect(signer))
		if err != nil || string(r.Claims["address"]) != want {
			t.Errorf("%s, %v", r.Claims, err)
		}
	}
	if _, err := sdjwt.Verify(jwt+"~"+inner+"~", expect(signer)); !errors.Is(err, sdjwt.ErrUnused) {
		t.Errorf("inner without outer: %v", err)
	}
}

// Any claims, any choice: exactly the chosen ones come out, and nothing of the others is in the presentation.
func TestOnlyChosenFieldsLeave(t *testing.T) {
	signer := certstest.New(t, "sdjwt").Signer("k")
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 12).Draw(t, "claims")
		var all []sdjwt.Claim
		for i := range n {
			v := fmt.Sprintf(`"value-%d-%s"`, i, rapid.StringMatching(`[a-z]{4}`).Draw(t, "value"))
			all = append(all, sdjwt.Claim{Name: fmt.Sprintf("f%d", i), Value: jsontext.Value(v)})
		}
		jwt, ds, err := sdjwt.Issue(t.Context(), signer, sdjwt.Issuance{
			Typ: typ, Always: jsontext.Value("{}"), Claims: all, Digests: rapid.IntRange(0, 16).Draw(t, "digests"), Salt: salts("s"),
		})
		if err != nil {
			t.Fatal(err)
		}
		var chosen []sdjwt.Disclosure
		for _, d := range ds {
			if rapid.Bool().Draw(t, "chosen") {
				chosen = append(chosen, d)
			}
		}
		r, err := sdjwt.Verify(sdjwt.Present(jwt, chosen), expect(signer))
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Claims) != len(chosen) {
			t.Fatalf("%d claims of %d", len(r.Claims), len(chosen))
		}
		for _, d := range chosen {
			if string(r.Claims[d.Name]) != string(d.Value) {
				t.Fatalf("%s is %s", d.Name, r.Claims[d.Name])
			}
		}
	})
}

func FuzzVerify(f *testing.F) {
	signer := certstest.New(f, "sdjwt").Signer("k")
	jwt, all := issue(f, signer, issuance())
	f.Add("~" + all[0].Text + "~")
	f.Add("~")
	f.Fuzz(func(t *testing.T, tail string) {
		r, err := sdjwt.Verify(jwt+tail, expect(signer))
		if err != nil {
			return
		}
		for _, d := range r.Disclosed {
			if !slices.ContainsFunc(all, func(o sdjwt.Disclosure) bool { return o.Text == d.Text }) {
				t.Fatalf("disclosed what was never issued: %+v", d)
			}
		}
	})
}

func FuzzParseDisclosure(f *testing.F) {
	f.Add(sm.B64([]byte(`["salt","name",{"a":1}]`)))
	f.Fuzz(func(t *testing.T, text string) {
		if d, err := sdjwt.ParseDisclosure(text); err == nil && (d.Name == "_sd" || d.Value.Kind() == 0) {
			t.Fatalf("%+v", d)
		}
	})
}

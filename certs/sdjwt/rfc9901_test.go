package sdjwt_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/json"
	"math/big"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"oncegate/certs/jws"
	"oncegate/certs/sdjwt"
	"oncegate/certs/sm"
)

type rfc struct {
	IssuerKey   struct{ X, Y string } `json:"issuer_key"`
	JWT         string
	Disclosures []struct{ Name, Text, Digest string }
	Single      struct{ Salt, Name, Value, Text, Digest string }
	Presented   []string
}

func loadRFC(t testing.TB) (rfc, *ecdsa.PublicKey) {
	t.Helper()
	var v rfc
	b, err := os.ReadFile("testdata/rfc9901.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	coordinate := func(s string) *big.Int {
		b, err := sm.ParseB64(s)
		if err != nil {
			t.Fatal(err)
		}
		return new(big.Int).SetBytes(b)
	}
	return v, &ecdsa.PublicKey{Curve: elliptic.P256(), X: coordinate(v.IssuerKey.X), Y: coordinate(v.IssuerKey.Y)}
}

// Sections 4.2.1 and 4.2.3: a disclosure and its digest.
func TestRFC9901Digest(t *testing.T) {
	v, _ := loadRFC(t)
	s := v.Single
	d, err := sdjwt.ParseDisclosure(s.Text)
	if err != nil || d.Salt != s.Salt || d.Name != s.Name || string(d.Value) != `"`+s.Value+`"` {
		t.Errorf("%+v, %v", d, err)
	}
	if got := sdjwt.SHA256().Digest(s.Text); got != s.Digest {
		t.Errorf("digest %s", got)
	}
	for _, d := range v.Disclosures {
		if got := sdjwt.SHA256().Digest(d.Text); got != d.Digest {
			t.Errorf("%s: digest %s, want %s", d.Name, got, d.Digest)
		}
	}
}

func (v rfc) present(names ...string) string {
	out := v.JWT + "~"
	for _, name := range names {
		for _, d := range v.Disclosures {
			if p, err := sdjwt.ParseDisclosure(d.Text); err == nil && (d.Name == name || d.Name == "" && string(p.Value) == `"`+name+`"`) {
				out += d.Text + "~"
			}
		}
	}
	return out
}

func (v rfc) expect(key *ecdsa.PublicKey) sdjwt.Expect {
	return sdjwt.Expect{Typ: "example+sd-jwt", Hash: sdjwt.SHA256(), Check: func(p *jws.Parts) error { return p.VerifyES256(key) }}
}

// Sections 5.1 and 5.2: the signed JWT, all ten disclosures, and the presentation of four (without its key binding).
func TestRFC9901Example(t *testing.T) {
	v, key := loadRFC(t)
	always := map[string]string{
		"iss": `"https://issuer.example.com"`, "iat": "1683000000", "exp": "1883000000", "sub": `"user_42"`,
		"cnf": `{"jwk":{"crv":"P-256","kty":"EC","x":"TCAER19Zvu3OHF4j4W4vfSVoHIP1ILilDls7vCeGemc","y":"ZxjiWWbZMQGHVWKVQ4hbSIirsVfuecCE6t4jT9F2HZQ"}}`,
	}
	for _, c := range []struct {
		presented []string
		disclosed map[string]string
	}{
		{v.Presented, map[string]string{
			"family_name": `"Doe"`, "given_name": `"John"`, "nationalities": `["US"]`,
			"address": `{"country":"US","locality":"Anytown","region":"Anystate","street_address":"123 Main St"}`,
		}},
		{[]string{"DE", "US", "phone_number_verified", "updated_at"}, map[string]string{
			"nationalities": `["US","DE"]`, "phone_number_verified": "true", "updated_at": "1570000000",
		}},
		{nil, map[string]string{"nationalities": "[]"}},
	} {
		r, err := sdjwt.Verify(v.present(c.presented...), v.expect(key))
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for name, value := range r.Claims {
			if err := value.Canonicalize(); err != nil {
				t.Fatal(err)
			}
			got[name] = string(value)
		}
		want := map[string]string{}
		for _, m := range []map[string]string{always, c.disclosed} {
			for k, s := range m {
				want[k] = s
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%v: %s", c.presented, diff)
		}
		if len(r.Disclosed) != len(c.presented) {
			t.Errorf("%d disclosed", len(r.Disclosed))
		}
	}
}

package gateway

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"oncegate/certs/certstest"
	"oncegate/certs/pki"
	"oncegate/certs/sdjwt"
	"oncegate/certs/sm"
	"oncegate/license"
	"oncegate/register"
)

const (
	samr   = "11379901MB99103773"
	police = "11379901MB9910748R"
	land   = "11379901MB9911118U"
	tax    = "11379901MB9911484P"
	civil  = "11379901MB9911855E"
)

// Synthetic: a company, its legal representative, a couple, and somebody who has nothing to do with them.
var (
	company  = license.HolderID{Type: "001", Code: "91379901MA9920002Q"}
	boss     = license.HolderID{Type: "111", Code: "379901198503123015"}
	stranger = license.HolderID{Type: "111", Code: "379901198806244025"}
	wife     = resident("37990119900307401")
	husband  = resident("37990119890611403")
)

// names are what licenses call people; none may stand anywhere but in an answer.
var names = map[license.HolderID]string{
	company: "云川市春风食品有限公司", boss: "甲乙丙", stranger: "丁戊己", wife: "庚辛壬", husband: "子丑寅",
}

func resident(first17 string) license.HolderID {
	code, err := license.MakeResidentID(first17)
	if err != nil {
		panic(err)
	}
	return license.HolderID{Type: "111", Code: code}
}

// fill gives the company its license, everybody an identity card, and the couple a marriage and a flat.
func (w *world) fill() {
	w.put(businessLicense())
	for _, who := range []license.HolderID{boss, stranger, wife, husband} {
		w.put(identityCard(who, names[who]))
	}
	w.put(marriage())
	w.put(flat("不动产权第0001号", wife, husband))
}

// put makes a source say a license of each of its holders, besides what it said.
func (w *world) put(l license.License) {
	for _, holder := range l.Holders {
		q := license.Question{Type: l.Type, Holder: holder.HolderID}
		w.legacy[l.Type].put(q, append(w.legacy[l.Type].get(q), l)...)
	}
}

func businessLicense() license.License {
	return license.License{
		Type: "business-license", Number: company.Code, Issuer: license.Issuer{Name: "云川市市场监督管理局", Code: samr, Level: "3"},
		Issued: "2024-03-01", ValidFrom: "2024-03-01", Status: license.Valid,
		Holders: []license.Holder{{HolderID: company, Name: names[company]}},
		Fields: map[string]string{
			"legal_representative": names[boss], "legal_representative_code": boss.Code, "enterprise_type": "有限责任公司",
			"registered_capital": "1000000.00", "address": "云川市和平路1号", "business_scope": "食品销售", "founded": "2024-03-01",
		},
	}
}

func identityCard(who license.HolderID, name string) license.License {
	return license.License{
		Type: "resident-id", Number: who.Code, Issuer: license.Issuer{Name: "云川市公安局", Code: police, Level: "3"},
		Issued: "2020-01-01", ValidFrom: "2020-01-01", ValidTo: "2040-01-01", Status: license.Valid,
		Holders: []license.Holder{{HolderID: who, Name: name}},
		Fields:  map[string]string{"sex": "1", "ethnic_group": "汉", "born": "1985-03-12", "address": "云川市和平路2号"},
	}
}

func marriage() license.License {
	return license.License{
		Type: "marriage-certificate", Number: "J379901-2015-000001", Issuer: license.Issuer{Name: "云川市民政局", Code: civil, Level: "3"},
		Issued: "2015-05-20", Status: license.Valid,
		Holders: []license.Holder{{HolderID: wife, Name: names[wife]}, {HolderID: husband, Name: names[husband]}},
		Fields:  map[string]string{"registered_on": "2015-05-20", "sex": "2\n1"},
	}
}

func flat(number string, owners ...license.HolderID) license.License {
	l := license.License{
		Type: "real-estate-certificate", Number: number, Issuer: license.Issuer{Name: "云川市自然资源局", Code: land, Level: "3"},
		Issued: "2018-09-01", Status: license.Valid,
		Fields: map[string]string{"unit_number": "379901001001GB00001F00010001", "location": "云川市和平路3号", "ownership": "共同共有", "area": "89.50"},
	}
	for i, owner := range owners {
		l.Holders = append(l.Holders, license.Holder{HolderID: owner, Name: cmp.Or(names[owner], "某某")})
		if i > 0 {
			l.Fields["share"] += "\n"
		}
		l.Fields["share"] += fmt.Sprintf("1/%d", len(owners))
	}
	return l
}

func taxClearance(who license.HolderID) license.License {
	return license.License{
		Type: "tax-clearance", Number: "SZ-" + who.Code[14:], Issuer: license.Issuer{Name: "国家税务总局云川市税务局", Code: tax, Level: "3"},
		Issued: "2026-01-05", Status: license.Valid, Holders: []license.Holder{{HolderID: who, Name: names[who]}},
		Fields: map[string]string{"tax_kind": "契税", "amount": "31500.00", "object": "云川市和平路3号"},
	}
}

// issuer signs with a key per department, as node does with the keystore.
type issuer map[string]departmentKey

type departmentKey struct {
	signer sm.Signer
	chain  []*pki.Certificate
}

func newIssuer(certs *certstest.World) issuer {
	i := issuer{}
	for _, department := range []string{samr, police, land, tax, civil} {
		signer, chain := certs.Issue("license-"+department, "license", department, "云川市某局")
		i[department] = departmentKey{signer, chain}
	}
	return i
}

func (i issuer) Issue(ctx context.Context, department string, is register.Issuance) (string, string, error) {
	key, ok := i[department]
	if !ok {
		return "", "", register.ErrNoSigner
	}
	jwt, _, err := sdjwt.Issue(ctx, key.signer, sdjwt.Issuance{
		Typ: "license+sd-jwt", Kid: key.signer.KeyID(), Chain: pki.DER(key.chain...), Always: is.Always, Claims: claimsOf(is.Claims), Digests: is.Digests, Salt: sdjwt.Salts(is.Salt),
	})
	return jwt, key.signer.KeyID(), err
}

func (i issuer) Disclose(claims []license.Claim, salt register.Salts) ([]string, error) {
	out, err := sdjwt.Disclose(claimsOf(claims), sdjwt.Salts(salt))
	texts := make([]string, len(out))
	for k, d := range out {
		texts[k] = d.Text
	}
	return texts, err
}

func claimsOf(claims []license.Claim) []sdjwt.Claim {
	out := make([]sdjwt.Claim, len(claims))
	for k, c := range claims {
		value, _ := jsontext.AppendQuote(nil, c.Value)
		out[k] = sdjwt.Claim{Name: c.Path, Value: value}
	}
	return out
}

// disclosed are the claims that the disclosures of a license say, by path.
func disclosed(t testing.TB, presentation string) map[string]string {
	t.Helper()
	claims := map[string]string{}
	parts := strings.Split(presentation, "~")
	for _, text := range parts[1 : len(parts)-1] {
		d := must(sdjwt.ParseDisclosure(text))(t)
		var value string
		if err := unmarshal(d.Value, &value); err != nil {
			t.Fatal(err)
		}
		claims[d.Name] = value
	}
	return claims
}

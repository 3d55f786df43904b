package adaptertest

import (
	"fmt"
	"strings"

	"oncegate/adapters/mapping"
	"oncegate/license"
)

// Type is the catalogue id of the licenses in the suite's legacy system: 不动产权证书, which may have joint owners.
const Type = "real-estate-certificate"

const (
	issuerName = "自然资源部"
	issuerCode = "11100000MB03271699"
)

// Columns are the columns of the legacy system, in the order in which a table or a file has them.
func Columns() []string {
	return []string{"cert_no", "status", "issued", "valid_to", "owner", "id_type", "id_no", "location", "area", "share"}
}

// Catalogue is the catalogue under which the suite asks.
func Catalogue() *license.Catalogue {
	return &license.Catalogue{
		List: "adaptertest/1",
		Types: []license.Type{{
			ID: Type, Code: issuerCode + "001", CodeConfidence: "published", Name: "不动产权证书", NameEN: "real estate certificate",
			DefinedBy: license.Issuer{Name: issuerName, Code: issuerCode, Level: "1"}, HolderCategory: "3", ValidityRange: "长期",
			Fields: []license.Field{
				{Name: "location", Title: "坐落", Kind: license.KindText, Required: true},
				{Name: "area", Title: "面积", Kind: license.KindAmount},
				{Name: "share", Title: "份额", Kind: license.KindText, PerHolder: true},
			},
		}},
	}
}

// Record maps the columns; place says how the adapter under test calls a column.
func Record(place func(column string) string) mapping.Record {
	from := func(column string) mapping.Value { return mapping.Value{From: place(column)} }
	status, validTo, kind := from("status"), from("valid_to"), from("id_type")
	status.List, status.Codes = "estate-office-status/1", map[string]string{"1": "valid", "2": "suspended", "3": "revoked"}
	validTo.Unlimited, validTo.Layouts = []string{"长期"}, []string{"yyyy年M月d日"}
	kind.Codes = map[string]string{"10": "111", "70": "001"}
	issued := from("issued")
	issued.Layouts = []string{"yyyyMMdd"}
	return mapping.Record{
		Type: Type, Number: from("cert_no"), Status: status, Issued: issued, ValidTo: validTo,
		Issuer:  mapping.Issuer{Name: mapping.Value{Const: issuerName}, Code: mapping.Value{Const: issuerCode}},
		Holders: mapping.Holders{Code: from("id_no"), Name: from("owner"), Type: kind},
		Fields:  map[string]mapping.Value{"location": from("location"), "area": from("area"), "share": from("share")},
	}
}

// Person returns the i-th made-up person: the code is right in its check character and belongs to nobody (its region is
// no county).
func Person(i int) license.Holder {
	code, err := license.MakeResidentID(fmt.Sprintf("1199991970%02d%02d%03d", i%12+1, i%28+1, i))
	if err != nil {
		panic(err)
	}
	return license.Holder{HolderID: license.HolderID{Type: "111", Code: code}, Name: "甲" + string(rune('㐂'+i))}
}

// The people of the legacy system: 0 to 9 own one estate each, 10 and 11 one together, 12 two; 13 owns none, and the
// record of 14 cannot be mapped.
const (
	single   = 10
	husband  = 10
	wife     = 11
	rich     = 12
	nobody   = 13
	unlucky  = 14
	everyone = 15
)

// Licenses returns what the legacy system holds, in the gateway's terms.
func Licenses() []license.License {
	var all []license.License
	for i := range single {
		all = append(all, estate(len(all), Person(i)))
	}
	return append(all, estate(10, Person(husband), Person(wife)), estate(11, Person(rich)), estate(12, Person(rich)))
}

func estate(n int, holders ...license.Holder) license.License {
	l := license.License{
		Type: Type, Number: fmt.Sprintf("示例(2021)不动产权第%07d号", n+1), Issuer: license.Issuer{Name: issuerName, Code: issuerCode},
		Issued: license.Date(fmt.Sprintf("2021-05-%02d", n%28+1)), ValidTo: license.Date(fmt.Sprintf("2071-05-%02d", n%28+1)),
		Holders: holders, Status: []license.Status{license.Valid, license.Suspended, license.Revoked}[n%3],
		Fields: map[string]string{"location": fmt.Sprintf("示例路%d号\"东\",室", n), "area": fmt.Sprintf("%d.5", 60+n)},
	}
	if n%2 == 1 {
		l.ValidTo = ""
	}
	shares := make([]string, len(holders))
	for i := range shares {
		shares[i] = fmt.Sprintf("%d/%d", 1, len(holders))
	}
	l.Fields["share"] = strings.Join(shares, "\n")
	return l
}

// Rows returns the same as the legacy system keeps it: one row per license and holder, local codes, local dates.
func Rows() []mapping.Row {
	var all []mapping.Row
	for _, l := range Licenses() {
		for i := range l.Holders {
			all = append(all, row(l, i))
		}
	}
	return all
}

// BadRow returns a row that cannot be mapped, because its status stands in no list.
func BadRow() mapping.Row {
	r := row(estate(90, Person(unlucky)), 0)
	r["status"] = "77"
	return r
}

func row(l license.License, holder int) mapping.Row {
	h := l.Holders[holder]
	validTo := "长期"
	if l.ValidTo != "" {
		var y, m, d int
		fmt.Sscanf(string(l.ValidTo), "%d-%d-%d", &y, &m, &d)
		validTo = fmt.Sprintf("%d年%d月%d日", y, m, d)
	}
	return mapping.Row{
		"cert_no": l.Number, "status": map[license.Status]string{license.Valid: "1", license.Suspended: "2", license.Revoked: "3"}[l.Status],
		"issued": strings.ReplaceAll(string(l.Issued), "-", ""), "valid_to": validTo,
		"owner": h.Name, "id_type": "10", "id_no": h.Code,
		"location": l.Fields["location"], "area": l.Fields["area"], "share": strings.Split(l.Fields["share"], "\n")[holder],
	}
}

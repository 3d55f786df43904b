package mapping

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"oncegate/license"
)

func catalogue() *license.Catalogue {
	return &license.Catalogue{List: "test/1", Types: []license.Type{{
		ID: "marriage-certificate", Code: "111000000000131433001", Name: "结婚证", HolderCategory: "1",
		Fields: []license.Field{
			{Name: "registered", Kind: license.KindDate, Required: true},
			{Name: "birth", Kind: license.KindDate, PerHolder: true},
			{Name: "sex", Kind: license.KindCode, PerHolder: true},
			{Name: "note", Kind: license.KindText},
		},
	}}}
}

const recordYAML = `
type: marriage-certificate
number: zsh
issuer: {name: djjg, code: {const: "111000000000131433"}}
issued: {from: djrq, layouts: [yyyy年M月d日, unix-ms]}
valid_to: {from: yxq, unlimited: [长期]}
status:
  from: zt
  list: civil-affairs-status/2
  codes: {"1": valid, "2": revoked}
holders:
  code: zjh
  name: xm
  type: {from: zjlx, codes: {"0": "111", "9": "999"}}
  separator: ";"
fields:
  registered: {from: djrq, layouts: [yyyy年M月d日, unix-ms]}
  birth: csrq
  sex: {from: xb, codes: {男: "1", 女: "2"}, default: "9"}
  note: {from: bz, optional: true}
`

// parse reads a record as the house reads its configuration: unknown keys are errors.
func parse(t *testing.T, text string) Record {
	t.Helper()
	var r Record
	if err := yaml.NewDecoder(strings.NewReader(text), yaml.DisallowUnknownField()).Decode(&r); err != nil {
		t.Fatal(err)
	}
	return r
}

func bind(t *testing.T) *Plan {
	t.Helper()
	p, err := parse(t, recordYAML).Bind(catalogue())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func person(seq int) string {
	code, err := license.MakeResidentID(fmt.Sprintf("11999919900101%03d", seq))
	if err != nil {
		panic(err)
	}
	return code
}

func couple(change Row) Row {
	row := Row{
		"zsh": "J110999-2021-000001", "djjg": "民政部", "djrq": "2021年5月6日", "yxq": "长期", "zt": "1",
		"zjh": person(1) + "; " + person(2), "xm": "甲一;乙二", "zjlx": "0", "csrq": "1990-01-01;19900101", "xb": "男;女",
	}
	for k, v := range change {
		if row[k] = v; v == "-" {
			delete(row, k)
		}
	}
	return row
}

func asked() license.Question {
	return license.Question{Type: "marriage-certificate", Holder: license.HolderID{Type: "111", Code: person(2)}}
}

func TestParallelLists(t *testing.T) {
	f := bind(t).Answer(asked(), []Row{couple(nil)})
	want := license.Finding{State: license.IsFound, Records: []license.License{{
		Type: "marriage-certificate", Number: "J110999-2021-000001", Issuer: license.Issuer{Name: "民政部", Code: "111000000000131433"},
		Issued: "2021-05-06", Status: license.Valid,
		Holders: []license.Holder{{HolderID: license.HolderID{Type: "111", Code: person(1)}, Name: "甲一"}, {HolderID: license.HolderID{Type: "111", Code: person(2)}, Name: "乙二"}},
		Fields:  map[string]string{"registered": "2021-05-06", "birth": "1990-01-01\n1990-01-01", "sex": "1\n2"},
	}}}
	if diff := cmp.Diff(want, f, cmpopts.IgnoreFields(license.License{}, "Flags")); diff != "" {
		t.Errorf("%s\nerror: %v", diff, f.Err)
	}
}

// TestRowsAndListsAgree: two rows with one holder each say the same as one row with two.
func TestRowsAndListsAgree(t *testing.T) {
	p := bind(t)
	first := couple(Row{"zjh": person(1), "xm": "甲一", "csrq": "19900101", "xb": "男"})
	second := couple(Row{"zjh": person(2), "xm": "乙二", "csrq": "19900101", "xb": "女"})
	if diff := cmp.Diff(p.Answer(asked(), []Row{couple(nil)}), p.Answer(asked(), []Row{first, second})); diff != "" {
		t.Error(diff)
	}
}

func TestAccepted(t *testing.T) {
	for name, c := range map[string]struct {
		change Row
		look   func(license.License) (got, want any)
	}{
		"padded":            {Row{"zsh": "  J1  ", "zt": "1 "}, func(l license.License) (any, any) { return l.Number, "J1" }},
		"default code":      {Row{"xb": ";女"}, func(l license.License) (any, any) { return l.Fields["sex"], "9\n2" }},
		"instant":           {Row{"djrq": "1620316800001"}, func(l license.License) (any, any) { return l.Issued, license.Date("2021-05-07") }},
		"day that skips":    {Row{"djrq": "1940年6月3日"}, func(l license.License) (any, any) { return l.Issued, license.Date("1940-06-03") }},
		"end stated":        {Row{"yxq": "20310506"}, func(l license.License) (any, any) { return l.ValidTo, license.Date("2031-05-06") }},
		"optional there":    {Row{"bz": "x"}, func(l license.License) (any, any) { return l.Fields["note"], "x" }},
		"list not stated":   {Row{"csrq": ""}, func(l license.License) (any, any) { return l.Fields["birth"], "\n" }},
		"type for each":     {Row{"zjlx": "9;0"}, func(l license.License) (any, any) { return l.Holders[0].Type, "999" }},
		"lower case code":   {Row{"zjh": strings.ToLower("ab12x") + ";" + person(2), "zjlx": "9;0"}, func(l license.License) (any, any) { return l.Holders[0].Code, "AB12X" }},
		"wrong check, flag": {Row{"zjh": "110999199001010010;" + person(2)}, func(l license.License) (any, any) { return len(l.Flags) > 0, true }},
	} {
		f := bind(t).Answer(asked(), []Row{couple(c.change)})
		if f.State != license.IsFound {
			t.Errorf("%s: %q, %v", name, f.State, f.Err)
			continue
		}
		if got, want := c.look(f.Records[0]); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

// TestRefused: nothing is guessed, and the error repeats no value.
func TestRefused(t *testing.T) {
	for name, c := range map[string]struct {
		rows   []Row
		reason string
	}{
		"column missing":      {[]Row{couple(Row{"zt": "-"})}, "row 1 has no column zt"},
		"unknown status":      {[]Row{couple(Row{"zt": "3"})}, "column zt cannot be mapped: the code is not in the table of list civil-affairs-status/2"},
		"no status":           {[]Row{couple(Row{"zt": ""})}, "no status is stated"},
		"no number":           {[]Row{couple(Row{"zsh": " "})}, "no number"},
		"impossible day":      {[]Row{couple(Row{"djrq": "2021年2月30日"})}, "column djrq cannot be mapped: not a day"},
		"other layout":        {[]Row{couple(Row{"djrq": "2021-05-06"})}, "not a day"},
		"placeholder day":     {[]Row{couple(Row{"yxq": "0001-01-01"})}, "not a day"},
		"end not stated":      {[]Row{couple(Row{"yxq": ""})}, "under unlimited"},
		"replaced character":  {[]Row{couple(Row{"xm": "甲\ufffd;乙二"})}, "column xm cannot be mapped: a character was lost"},
		"invalid UTF-8":       {[]Row{couple(Row{"xm": "\xbc\xd7;乙二"})}, "a character was lost"},
		"too few names":       {[]Row{couple(Row{"xm": "甲一"})}, "has 1 values for 2 holders"},
		"too many births":     {[]Row{couple(Row{"csrq": "19900101;19900101;19900101"})}, "has 3 values for 2 holders"},
		"holder without code": {[]Row{couple(Row{"zjh": ";" + person(2)})}, "no code"},
		"holder twice":        {[]Row{couple(Row{"zjh": person(2) + ";" + person(2)})}, "twice"},
		"unknown type":        {[]Row{couple(Row{"zjlx": "7"})}, "column zjlx cannot be mapped: the code is not in the table"},
		"no type":             {[]Row{couple(Row{"zjlx": ""})}, "no code type"},
		"row twice":           {[]Row{couple(nil), couple(nil)}, "row 2 cannot be mapped: names a holder of row 1"},
		"rows differ":         {[]Row{couple(nil), couple(Row{"zt": "2", "zjh": person(3) + ";" + person(4)})}, "row 2 cannot be mapped: differs from row 1"},
		"somebody else":       {[]Row{couple(Row{"zjh": person(3) + ";" + person(4)})}, ErrOtherHolder.Error()},
		"one bad of two":      {[]Row{couple(nil), couple(Row{"zsh": "J2", "zt": "3"})}, "row 2, column zt"},
		"line break":          {[]Row{couple(Row{"xb": "男\n;女"})}, ""},
	} {
		f := bind(t).Answer(asked(), c.rows)
		if name == "line break" { // trimmed at an end, refused inside
			f = bind(t).Answer(asked(), []Row{couple(Row{"xm": "甲\n一;乙二"})})
		}
		if f.State != license.IsUnavailable || len(f.Records) > 0 || !strings.Contains(fmt.Sprint(f.Err), c.reason) {
			t.Errorf("%s: %q, %v; want unavailable, %q", name, f.State, f.Err, c.reason)
			continue
		}
		for _, secret := range []string{person(1), person(2), "甲", "J110999", "2021年"} {
			if strings.Contains(f.Err.Error(), secret) {
				t.Errorf("%s: the error repeats a value: %v", name, f.Err)
			}
		}
	}
}

func TestNumber(t *testing.T) {
	p, q := bind(t), asked()
	rows := []Row{couple(Row{"zsh": "J1"}), couple(Row{"zsh": "J2"}), couple(Row{"zsh": "J3", "zt": "bad"})}
	q.Number = " J2 "
	if f := p.Answer(q, rows); f.State != license.IsFound || len(f.Records) != 1 || f.Records[0].Number != "J2" {
		t.Errorf("%q, %v", f.State, f.Err)
	}
	q.Number = "J4"
	if f := p.Answer(q, rows); f.State != license.IsNotFound {
		t.Errorf("%q, %v", f.State, f.Err)
	}
}

func TestAsk(t *testing.T) {
	p := bind(t)
	a, err := p.Ask(license.Question{Type: p.Type(), Holder: license.HolderID{Type: "999", Code: " ab １２ "}, Number: " n "})
	if want := (Asked{HolderCode: "AB12", HolderType: "9", Number: "n"}); err != nil || a != want {
		t.Errorf("%+v, %v", a, err)
	}
	for _, q := range []license.Question{
		{Type: p.Type()}, {Type: p.Type(), Holder: license.HolderID{Type: "111"}}, {Type: p.Type(), Holder: license.HolderID{Type: "001", Code: "X"}},
		{Type: p.Type(), Holder: license.HolderID{Type: "111", Code: "1\x002"}}, {Type: p.Type(), Holder: license.HolderID{Type: "111", Code: strings.Repeat("1", 200)}},
		{Type: p.Type(), Holder: license.HolderID{Type: "111", Code: "1"}, Number: "\n\x01"},
	} {
		if a, err := p.Ask(q); !errors.Is(err, ErrCannotAsk) {
			t.Errorf("%+v became %+v, %v", q, a, err)
		}
	}
	if _, err := p.Ask(license.Question{Type: "other", Holder: asked().Holder}); !errors.Is(err, ErrUnknownType) {
		t.Error(err)
	}
}

func TestCheck(t *testing.T) {
	if faults := parse(t, recordYAML).Check(catalogue()); len(faults) > 0 {
		t.Fatal(faults)
	}
	for old, c := range map[string]struct{ with, path string }{
		"type: marriage-certificate":              {"type: divorce", "$.type"},
		"number: zsh":                             {"number: {const: ''}", "$.number"},
		"name: djjg":                              {"name: {from: a, const: b}", "$.issuer.name"},
		`{const: "111000000000131433"}`:           {`{const: x, optional: true}`, "$.issuer.code"},
		"valid_to: {from: yxq, unlimited: [长期]}":  {"valid_from: {from: yxq, unlimited: [长期]}", "$.valid_from.unlimited"},
		`"2": revoked`:                            {`"2": gone`, "$.status.codes.2"},
		"list: civil-affairs-status/2":            {"default: valid", "$.status.default"},
		"  codes: {\"1\": valid, \"2\": revoked}": {"", "$.status.codes"},
		`"9": "999"`:                              {`"9": "111"`, "$.holders.type.codes.9"},
		`"0": "111"`:                              {`"0": "112"`, "$.holders.type.codes.0"},
		"birth: csrq":                             {"birth: {from: csrq, layouts: [dd.MM]}", "$.fields.birth.layouts[0]"},
		"sex: {from: xb,":                         {"sex: {from: xb, layouts: [yyyyMMdd],", "$.fields.sex.layouts"},
		"  note: {from: bz, optional: true}":      {"  notes: bz", "$.fields.notes"},
		"  registered: {from: djrq, layouts: [yyyy年M月d日, unix-ms]}": {"", "$.fields"},
		`default: "9"`: {`default: "9", layouts: [x]`, "$.fields.sex.layouts[0]"},
		"issued: {from: djrq, layouts: [yyyy年M月d日, unix-ms]}": {"issued: {from: djrq, layouts: [yyyyMM]}", "$.issued.day"},
		"issued: {from: djrq, layouts: [yyyy年M月d日":            {"issued: {from: djrq, day: first, layouts: [yyyy年M月d日", "$.issued.day"},
		"\nissued: {from: djrq, layouts: [yyyy年M月d日":          {"\nissued: {from: djrq, day: middle, layouts: [yyyyMM", "$.issued.day"},
		"birth: csrq\n": {"birth: {from: csrq, layouts: [yyyy]}\n", "$.fields.birth.layouts[0]"},
	} {
		text := strings.Replace(recordYAML, old, c.with, 1)
		if text == recordYAML {
			t.Fatalf("nothing replaced for %q", old)
		}
		var paths []string
		for _, f := range parse(t, text).Check(catalogue()) {
			paths = append(paths, f.Path)
		}
		if !strings.Contains(strings.Join(paths, " ")+" ", c.path+" ") {
			t.Errorf("%q for %q: no fault at %s in %v", c.with, old, c.path, paths)
		}
		if _, err := parse(t, text).Bind(catalogue()); err == nil {
			t.Errorf("%q is bound all the same", c.with)
		}
	}
}

func TestUnknownKeys(t *testing.T) {
	var r Record
	for _, text := range []string{"nummer: x", "status: {form: x}", "holders: {code: {from: a, kodes: {}}}"} {
		if err := yaml.NewDecoder(strings.NewReader(text), yaml.DisallowUnknownField()).Decode(&r); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

// TestNeverHalf: whatever stands in the rows, a finding is whole and answers the question, or is unavailable.
func TestNeverHalf(t *testing.T) {
	p := bind(t)
	rapid.Check(t, func(t *rapid.T) {
		var rows []Row
		for range rapid.IntRange(0, 4).Draw(t, "rows") {
			change := Row{}
			for _, column := range rapid.SliceOfNDistinct(rapid.SampledFrom(p.record.Columns()), 0, 3, rapid.ID).Draw(t, "columns") {
				change[column] = rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", ";", "-", "1", "2", "长期", "20200229", person(2), person(3) + ";" + person(2)})).Draw(t, column)
			}
			rows = append(rows, couple(change))
		}
		f := p.Answer(asked(), rows)
		if (f.State == license.IsUnavailable) != (f.Err != nil) || (f.State == license.IsFound) != (len(f.Records) > 0) || (f.State == license.IsNotFound) != (len(rows) == 0) {
			t.Fatalf("%q, %d records, %v from %d rows", f.State, len(f.Records), f.Err, len(rows))
		}
		for _, l := range f.Records {
			if !HeldBy(l, asked().Holder) || l.Number == "" || l.Status == "" || strings.Count(l.Fields["birth"], "\n") != len(l.Holders)-1 {
				t.Fatalf("half a license: %+v", l)
			}
		}
	})
}

// TestCommonLayouts: the two layouts that are read without package time accept what package time accepts.
func TestCommonLayouts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		layout := rapid.SampledFrom(defaultLayouts).Draw(t, "layout")
		text := fmt.Sprintf([]string{"%04d-%02d-%02d", "%04d%02d%02d", "%d-%d-%d", "%d%d%d", "%04d-%02d-%02d ", "+%03d%02d%02d"}[rapid.IntRange(0, 5).Draw(t, "form")],
			rapid.IntRange(1700, 2100).Draw(t, "year"), rapid.IntRange(0, 13).Draw(t, "month"), rapid.IntRange(0, 32).Draw(t, "day"))
		var want license.Date
		if day, err := time.Parse(goLayout(layout), text); err == nil && day.Year() >= 1800 {
			want = license.Date(day.Format(time.DateOnly))
		}
		if got, err := (Value{From: "x", Layouts: []string{layout}}).day(text); got != want || (err == nil) != (want != "") {
			t.Fatalf("%q by %s: %q, %v; want %q", text, layout, got, err, want)
		}
	})
}

// TestDates: months mean the day that the mapping says, numbers of spreadsheets are days, and texts that mean nothing are not stated.
func TestDates(t *testing.T) {
	for _, c := range []struct {
		value Value
		text  string
		want  license.Date // "" where it is refused
	}{
		{Value{Layouts: []string{"yyyyMM"}, Day: firstDay}, "200402", "2004-02-01"},
		{Value{Layouts: []string{"yyyyMM"}, Day: lastDay}, "200402", "2004-02-29"},
		{Value{Layouts: []string{"yyyyMM"}, Day: lastDay}, "200312", "2003-12-31"},
		{Value{Layouts: []string{"yyyy年M月"}, Day: lastDay}, "2003年4月", "2003-04-30"},
		{Value{Layouts: []string{"yyyyMMdd", "yyyyMM"}, Day: firstDay}, "20030406", "2003-04-06"},
		{Value{Layouts: []string{"yyyyMMdd", "yyyyMM"}, Day: firstDay}, "200304", "2003-04-01"},
		{Value{Layouts: []string{"yyyyMM"}, Day: firstDay}, "200313", ""},
		{Value{Layouts: []string{"yyyyMM"}, Day: lastDay}, "200300", ""},
		{Value{Layouts: []string{"yyyyMM"}, Day: firstDay}, "20030", ""},
		{Value{Layouts: []string{serial}}, "37747", "2003-05-06"},
		{Value{Layouts: []string{serial}}, "37747.99", "2003-05-06"},
		{Value{Layouts: []string{serial}}, "61", "1900-03-01"},
		{Value{Layouts: []string{serial}}, "60", ""},
		{Value{Layouts: []string{serial}}, "NaN", ""},
		{Value{Layouts: []string{serial}}, "20030506", ""},
		{Value{}, "2003-05-06 13:30:00", "2003-05-06"},
		{Value{}, "2003-05-06 13:30:00.5", "2003-05-06"},
		{Value{}, "2003-05-06 25:30:00", ""},
		{Value{}, "0000-00-00", ""},
		{Value{}, "2003-05", ""},
	} {
		c.value.From = "x"
		got, err := c.value.date(Row{"x": c.text})
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%q by %+v: %q, %v; want %q", c.text, c.value, got, err, c.want)
		}
	}
	absent := Value{From: "x", Absent: []string{"0000-00-00", "/"}}
	for text, refused := range map[string]bool{"0000-00-00": false, " / ": false, "": false, "//": true} {
		if d, err := absent.date(Row{"x": text}); d != "" || (err != nil) != refused {
			t.Errorf("%q: %q, %v", text, d, err)
		}
	}
	if _, err := absent.end(Row{"x": "/"}); err == nil {
		t.Error("an end of validity that is not stated reads as unlimited")
	}
	absent.Unlimited = []string{""}
	if d, err := absent.end(Row{"x": "/"}); d != "" || err != nil {
		t.Errorf("%q, %v", d, err)
	}
}

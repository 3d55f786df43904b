package config

import (
	"regexp"
	"strings"
	"testing"

	"oncegate/language"
	"oncegate/license"
)

// Why a source did not answer is said in Chinese, too: whatever the cause, the row, the column and the driver's code.
func TestChineseCauses(t *testing.T) {
	zh := language.New(Messages()...).Printer(language.Chinese)
	english := regexp.MustCompile(`[A-Za-z]{2,}`)
	for _, cause := range license.Causes() {
		for _, e := range []*license.SourceError{
			{Cause: cause}, {Cause: cause, Code: "SQLSTATE 42703"}, {Cause: cause, Status: 502}, {Cause: cause, Row: 3}, {Cause: cause, Row: 3, Name: "clrq"},
			{Cause: cause, Name: "clrq"}, {Cause: cause, Name: "clrq", Gone: true}, {Cause: cause, Gone: true},
			{Cause: cause, Row: 3, Name: "clrq", Detail: "not a day in any of the layouts"}, {Cause: cause, Row: 3, Name: "clrq", Detail: "has 2 values for 3 holders"},
		} {
			said := e.Error()
			got := zh.Text(said)
			rest := got
			for _, kept := range []string{"SQLSTATE 42703", "clrq", "HTTP", "TLS"} {
				rest = strings.ReplaceAll(rest, kept, "")
			}
			if said != "" && english.MatchString(rest) {
				t.Errorf("%s: %q is %q", cause, said, got)
			}
		}
	}
	for text, want := range map[string]string{
		"find signed license: the source's record cannot be signed: field address: rule broken: replaced-character": "查找已签发证照：数据源的记录无法签发：",
		"row 2, column status cannot be mapped: the code is not in the table of list example-market-status/1":       "第 2 行、列 status 无法映射：代码不在代码表 example-market-status/1 的对照表中",
	} {
		if got := zh.Text(text); !strings.HasPrefix(got, want) || english.MatchString(strings.NewReplacer("address", "", "status", "", "example-market-status/1", "", "example-market-", "").Replace(got)) {
			t.Errorf("%q is %q", text, got)
		}
	}
}

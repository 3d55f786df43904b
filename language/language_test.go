package language_test

import (
	"strings"
	"testing"
	"time"

	"oncegate/language"
)

var catalogue = language.New(language.Messages{
	"%d of %s are done: go on with --skip %d": "%[2]s 已完成 %[1]d 个：以 --skip %[3]d 继续",
	"%s is missing": "缺少参数 %s", "valid": "有效", "there is no department %q": "没有部门 %q", "took %s": "用时 %s", "took %v": "用时 %v",
	"Show help.": "显示帮助。", "row %v, column %v: %v": "第 %v 行、列 %#v：%v",
})

func TestPrinter(t *testing.T) {
	zh, en := catalogue.Printer(language.Chinese), catalogue.Printer(language.English)
	for _, test := range []struct{ got, want string }{
		{zh.Sprintf("%d of %s are done: go on with --skip %d", 12000, "all", uint64(12000)), "all 已完成 12000 个：以 --skip 12000 继续"}, // no separators
		{en.Sprintf("%s is missing", "x"), "x is missing"},
		{zh.Sprintf("took %s", 90*time.Second), "用时 1m30s"},
		{zh.Sprintf("nobody translates %.1f", 1234.5), "nobody translates 1234.5"},
		{zh.Message("Show help."), "显示帮助。"}, {en.Message("Show help."), "Show help."}, {zh.Message("100%"), "100%"},
		{zh.List([]string{"a", "b"}), "a、b"}, {en.List([]string{"a", "b"}), "a, b"},
		{en.Text("x is missing"), "x is missing"},
		{zh.Text(`There is no department "a; b: c".`), `没有部门 "a; b: c"`},
		{zh.Text(`y: there is no department "x"; valid`), `y：没有部门 "x"；有效`},
		{zh.Text("row 3, column valid: valid"), "第 3 行、列 valid：有效"}, // the column is named so
		{zh.Text("took 26h5m7s"), "用时 1 天 2 小时"},
		{zh.Text("2026-11-23T04:00:00Z"), "2026-11-23 12:00:00"},
		{zh.Text("nobody has said this"), "nobody has said this"},
	} {
		if test.got != test.want {
			t.Errorf("%q, want %q", test.got, test.want)
		}
	}
}

// The work for one text is bounded, whatever a stranger wrote into it.
func TestTranslateIsBounded(t *testing.T) {
	for _, part := range []string{"a; b: c, d ", "x of y are done: go on with --skip ", `"a: `, "%s%s", "took took "} {
		start := time.Now()
		catalogue.Translate(strings.Repeat(part, 2048/len(part)))
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%q took %s", part, took)
		}
		if long := strings.Repeat(part, 5000); catalogue.Translate(long) != long {
			t.Errorf("%q of %d bytes was taken apart", part, len(long))
		}
	}
}

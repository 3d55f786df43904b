package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rivo/uniseg"

	"oncegate/install/installtest"
	"oncegate/language"
	"oncegate/license"
	"oncegate/node"
)

// A serving is an installation whose node runs while a test does.
type serving struct {
	*installtest.City
	t *testing.T
}

func serve(t *testing.T, change func(c *installtest.City)) *serving {
	t.Helper()
	c := installtest.New(t)
	change(c)
	n, err := node.Open(t.Context(), c.Main, node.Options{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return &serving{c, t}
}

// as runs a command of the program in a language.
func (s *serving) as(ctx context.Context, l language.Language, system string, args ...string) (code int, out, side string) {
	s.t.Helper()
	var stdout, stderr bytes.Buffer
	t := &terminal{in: strings.NewReader(""), out: &stdout, err: &stderr, Printer: catalogue.Printer(l)}
	code = run(ctx, append(args, "-c", s.Main, "--system", system), t)
	return code, stdout.String(), stderr.String()
}

// Of a thousand holders, those fail whose rows cannot be mapped, and no other: masked on the screen, whole in the file, each with its
// reason, in both languages.
func TestIssueThousand(t *testing.T) {
	const many = 1000
	codes := make([]string, many)
	bad := map[int]string{17: "source-faulty", 64: "holder-code-invalid", 700: "source-faulty", 701: "source-faulty", 999: "not-found"}
	s := serve(t, func(c *installtest.City) {
		var rows strings.Builder
		for i := range codes {
			code, err := license.MakeUSCC(fmt.Sprintf("91379901MA7%06d", i))
			if err != nil {
				t.Fatal(err)
			}
			codes[i] = code
			issued, status := "2024-03-01", "1"
			switch i {
			case 17, 700:
				issued = "2024-02-30"
			case 701:
				status = "9"
			case 999:
				continue
			}
			fmt.Fprintf(&rows, ",('N-%d', '%s', '云川第%d店', '甲乙', '示例路 %d 号', '%s', '', '%s')", i, code, i, i, issued, status)
		}
		if err := installtest.Exec(filepath.Join(c.Dir, "sources/market.db"), "insert into licenses values "+rows.String()[1:]); err != nil {
			t.Fatal(err)
		}
	})
	t.Chdir(t.TempDir())
	codes[64] = codes[64][:17] + map[bool]string{true: "0", false: "1"}[codes[64][17] != '0']
	var list strings.Builder
	for i, code := range codes {
		fmt.Fprintf(&list, "001:%s # %d\n", code, i)
	}
	fmt.Fprintf(&list, "\n# again\n001:%s\n", codes[5])
	if err := os.WriteFile("holders.txt", []byte(list.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	whole := func(texts ...string) {
		t.Helper()
		for _, code := range codes {
			if slices.ContainsFunc(texts, func(s string) bool { return strings.Contains(s, code) }) {
				t.Errorf("%s stands on the screen", code)
			}
		}
	}
	issue := []string{"license", "issue", "--type", "business-license"}

	gone, cancel := context.WithCancel(t.Context())
	cancel()
	code, out, side := s.as(gone, language.Chinese, "market-licenses", append(issue, "--holders", "holders.txt")...)
	if code != exitNo || !strings.Contains(out, "新签 0，未变 0，跳过 0，失败 0") || !strings.Contains(side, "尚有 1000 个持证主体未处理：以 --skip 0 继续") || !strings.Contains(side, "签发已中断") {
		t.Errorf("interrupted: %d\n%s\n%s", code, out, side)
	}
	code, out, side = s.as(t.Context(), language.Chinese, "market-licenses", append(issue, "--holders", "holders.txt", "--failed", "failed.txt", "--receipts", "receipts.jsonl")...)
	if code != exitNo || !strings.HasPrefix(out, "1000 个持证主体：新签 995，未变 0，跳过 0，失败 5（") || len(out) > 2000 {
		t.Errorf("first: %d\n%s\n%s", code, out, side)
	}
	for _, text := range []string{"序号", "18 ", "001:9137************", "3 个 source-faulty：", "1 个 not-found：数据源查无此证照。", "1 个 holder-code-invalid：持证主体代码不符合其类型的规则。",
		"第 1 行、列 issued 无法映射：不是所列任一格式的日期", "第 1 行、列 status 无法映射：代码不在代码表 example-market-status/1 的对照表中"} {
		if !strings.Contains(out, text) {
			t.Errorf("the report has no %q:\n%s", text, out)
		}
	}
	if !strings.Contains(side, "名单中有 1 行重复") || !strings.Contains(side, "失败的 5 个持证主体已写入 failed.txt") {
		t.Errorf("beside it: %s", side)
	}
	whole(out, side)
	failed, err := os.ReadFile("failed.txt")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(failed)), "\n")
	for i, place := range []int{17, 64, 700, 701, 999} {
		if !strings.HasPrefix(lines[i], "001:"+codes[place]+"  # "+bad[place]) {
			t.Errorf("failed.txt, line %d: %s", i+1, lines[i])
		}
	}
	if receipts, err := os.ReadFile("receipts.jsonl"); err != nil || bytes.Count(receipts, []byte("\n")) < many/64 || bytes.Count(receipts, []byte(`"receipt"`)) < many/64 {
		t.Errorf("%d receipts, %v", bytes.Count(receipts, []byte(`"receipt"`)), err)
	}
	if code, _, side := s.as(t.Context(), language.English, "market-licenses", append(issue, "--holders", "holders.txt", "--failed", "failed.txt")...); code != exitMisused || !strings.Contains(side, "failed.txt is there already") {
		t.Errorf("a file is replaced: %d %s", code, side)
	}

	code, out, side = s.as(t.Context(), language.English, "market-licenses", append(issue, "--holders", "holders.txt", "--skip", "640", "--json")...)
	var report struct {
		Asked, Signed, Unchanged, Skipped, Failed, Open int
		Failures                                        []struct {
			Place          int
			Holder, Detail string
			Reason         struct{ Code string }
		}
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil || code != exitNo {
		t.Fatalf("%d %v: %s %s", code, err, out, side)
	}
	whole(out, side)
	if report.Asked != many || report.Signed != 0 || report.Unchanged != 357 || report.Skipped != 640 || report.Failed != 3 || report.Failures[0].Place != 701 ||
		report.Failures[0].Reason.Code != "source-faulty" || !strings.Contains(report.Failures[0].Detail, "issued") {
		t.Errorf("again: %+v", report)
	}

	// What was corrected is signed from the file of those that failed.
	if err := installtest.Exec(filepath.Join(s.Dir, "sources/market.db"), "update licenses set issued = '2024-02-29', status = '1' where uscc like '91379901MA7%' and (issued = '2024-02-30' or status = '9')"); err != nil {
		t.Fatal(err)
	}
	code, out, side = s.as(t.Context(), language.English, "market-licenses", append(issue, "--holders", "failed.txt")...)
	if code != exitNo || !strings.HasPrefix(out, "5 holders: 3 signed, 0 unchanged, 0 skipped, 2 failed") {
		t.Errorf("corrected: %d %s %s", code, out, side)
	}
	if aligned := strings.Split(out, "\n"); uniseg.StringWidth(aligned[1][:strings.Index(aligned[1], "REASON")]) != uniseg.StringWidth(aligned[2][:strings.Index(aligned[2], "holder-code")]) {
		t.Errorf("the columns do not stand below one another:\n%s", out)
	}

	// A refusal has its receipt in a file, and one sentence on the screen.
	code, out, side = s.as(t.Context(), language.English, "food-approval", append(issue, "--holders", "holders.txt")...)
	kept, err := filepath.Glob("license-issue-refused-*.json")
	if err != nil || len(kept) != 1 || code != exitNo || !strings.Contains(side, "not-permitted: ") || !strings.Contains(side, kept[0]) || !strings.Contains(side, "--skip 0") || len(out)+len(side) > 1000 {
		t.Fatalf("refused: %d %v\n%s\n%s", code, kept, out, side)
	}
	if data, err := os.ReadFile(kept[0]); err != nil || !bytes.Contains(data, []byte(`"receipt"`)) {
		t.Errorf("%s: %v %.200s", kept[0], err, data)
	}
}

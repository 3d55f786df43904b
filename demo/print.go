package demo

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/rivo/uniseg"

	"oncegate/api"
)

const (
	defaultWidth = 100
	leastWidth   = 60
	margin       = 5 // columns before the text of a line
)

// A printer writes the story for people, or its result for machines.
type printer struct {
	out   io.Writer
	lang  string
	color bool
	json  bool
	width int
}

func newPrinter(o Options) *printer {
	p := &printer{out: o.Out, lang: o.Lang, color: o.Color, json: o.JSON, width: o.Width}
	if p.out == nil {
		p.out = io.Discard
	}
	if p.width <= 0 {
		p.width = defaultWidth
	}
	p.width = min(max(p.width, leastWidth), 120)
	return p
}

func (p *printer) zh() bool { return strings.HasPrefix(p.lang, "zh") }

// in returns a text in the reader's language.
func (p *printer) in(t text) string {
	if p.zh() {
		return t.zh
	}
	return t.en
}

func (s *story) in(t text) string { return s.print.in(t) }

// result prints the outcome for machines.
func (p *printer) result(r Result) error {
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.out, "%s\n", line)
	return err
}

// A style is an SGR sequence.
type style string

const (
	bold   style = "1"
	dim    style = "2"
	red    style = "31"
	green  style = "32"
	yellow style = "33"
)

func (p *printer) styled(s style, words string) string {
	if !p.color || words == "" {
		return words
	}
	return "\x1b[" + string(s) + "m" + words + "\x1b[0m"
}

// printf writes unless the output is JSON. Write errors are ignored: there is nowhere else to report them.
func (p *printer) printf(format string, args ...any) {
	if !p.json {
		_, _ = fmt.Fprintf(p.out, format, args...)
	}
}

// pad fills a text with spaces to a number of columns; a Chinese character takes two.
func pad(s string, columns int) string {
	return s + strings.Repeat(" ", max(0, columns-uniseg.StringWidth(s)))
}

// across writes left and right at the two ends of a line. The styles take no room.
func (p *printer) across(left, right string, leftStyle, rightStyle style) {
	gap := max(2, p.width-uniseg.StringWidth(left)-uniseg.StringWidth(right))
	p.printf("%s%s%s\n", p.styled(leftStyle, left), strings.Repeat(" ", gap), p.styled(rightStyle, right))
}

// wrap breaks a text into lines of at most so many columns, where lines may break.
func wrap(s string, columns int) (lines []string) {
	var line strings.Builder
	used, state := 0, -1
	for s != "" {
		var segment string
		segment, s, _, state = uniseg.FirstLineSegmentInString(s, state)
		width := uniseg.StringWidth(segment)
		if used > 0 && used+uniseg.StringWidth(strings.TrimRight(segment, " ")) > columns {
			lines = append(lines, strings.TrimRight(line.String(), " "))
			line.Reset()
			used = 0
		}
		line.WriteString(segment)
		used += width
	}
	return append(lines, strings.TrimRight(line.String(), " "))
}

var marks = map[mark]struct {
	sign  string
	style style
}{
	note: {"·", dim}, good: {"✓", green}, bad: {"✗", red}, lacking: {"○", yellow},
}

// scene prints a step with its real time.
func (p *printer) scene(s *scene, outcome Step, took time.Duration) {
	p.printf("\n")
	p.across(fmt.Sprintf(" %d  %s", s.number, p.in(s.title)), fmt.Sprintf("%.1f ms", float64(took.Microseconds())/1000), bold, dim)
	widths := widthsOf(s.lines)
	for _, l := range s.lines {
		p.line(l, widths)
	}
	if !outcome.OK && s.broken == "" {
		p.line(line{mark: bad, text: text{outcome.Detail, outcome.Detail}}, widths)
	}
}

// widthsOf measures the columns of a step's tables, which share theirs.
func widthsOf(lines []line) (widths [4]int) {
	for _, l := range lines {
		for i, cell := range l.columns {
			widths[i] = max(widths[i], uniseg.StringWidth(cell))
		}
	}
	return widths
}

func (p *printer) line(l line, widths [4]int) {
	m := marks[l.mark]
	lead := "   " + p.styled(m.style, m.sign) + " "
	words := p.in(l.text)
	if l.text == (text{}) {
		words = p.row(l.columns, widths)
	}
	for i, part := range wrap(words, p.width-margin) {
		if i > 0 {
			lead = strings.Repeat(" ", margin)
		}
		p.printf("%s%s\n", lead, part)
	}
}

// row formats the cells of a table row, aligned if the whole table fits the width.
func (p *printer) row(cells [4]string, widths [4]int) string {
	const gap = 2
	total, wide := margin-gap, ""
	for i, cell := range cells {
		total += widths[i] + gap
		wide += pad(cell, widths[i]+gap)
	}
	if total > p.width {
		wide = strings.Join(cells[:], "  ")
	}
	return strings.TrimRight(wide, " ")
}

// opening prints the legacy systems and the gateway before the first step.
func (p *printer) opening(st *stage) {
	p.printf("\n")
	p.across(" Oncegate 一次办数据网关", p.in(text{"示例城市云川市，不属于任何人", "云川市 Yunchuan, a city that belongs to nobody"}), bold, dim)
	p.printf(" %s\n", p.styled(dim, strings.Repeat("─", p.width-1)))
	people := st.city.Population
	var table []line
	for _, row := range []struct{ source, holds, how string }{
		{"market-registration", fmt.Sprintf("%d 营业执照", len(people.Companies)), "SQL   city/market.db"},
		{"population-service", fmt.Sprintf("%d 居民身份证", len(people.People)), "REST  " + st.city.Police.Addr()},
		{"real-estate-register", fmt.Sprintf("%d 不动产权证书", len(people.Estates)), "SQL   city/land.db"},
		{"marriage-register", fmt.Sprintf("%d 结婚证", len(people.Marriages)), "REST  " + st.city.Civil.Addr()},
		{"tax-drops", fmt.Sprintf("%d 完税证明", len(people.Payments)), "CSV   city/tax-drops, GB18030"},
	} {
		zh, en := st.departmentOf(row.source)
		table = append(table, line{columns: [4]string{zh, en, row.holds, row.how}})
	}
	for _, row := range table {
		p.line(row, widthsOf(table))
	}
	p.printf("   %s\n", p.styled(dim, fmt.Sprintf(p.in(text{"网关 %s，%s；全部启动用时 %s", "gateway on %s over %s; all of it started in %s"}), st.node.PublicURL(), st.database(), seconds(st.ready))))
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

// closing prints how many steps are ok, and the time.
func (p *printer) closing(r Result, st *stage) {
	passed := 0
	for _, s := range r.Steps {
		if s.OK {
			passed++
		}
	}
	verdict := fmt.Sprintf(p.in(text{" 七步中 %d 步成立", " %d of 7 steps hold"}), passed)
	how := green
	if !r.OK {
		how = red
	}
	p.printf("\n %s\n", p.styled(dim, strings.Repeat("─", p.width-1)))
	p.across(verdict, seconds(time.Since(st.began)), how, dim)
}

// invitation prints commands to go on with by hand.
func (p *printer) invitation(ctx context.Context, st *stage) error {
	food, curl, err := st.query(ctx)
	if err != nil {
		return err
	}
	say := func(zh, en, what string) {
		p.printf("\n   %s\n   %s\n", p.styled(dim, p.in(text{zh, en})), what)
	}
	p.printf("\n %s\n", p.styled(bold, p.in(text{"网关继续运行，按 Ctrl-C 结束", "The gateway goes on serving; Ctrl-C ends it"})))
	p.console(st)
	say("在窗口扫码或输入的办件编号", "the number of a case, to scan or type at the window", "SLD:"+food)
	if code, err := st.codeOnPaper(); err == nil {
		say("证照上的二维码打开的页面，谁都可以看", "what the QR code on a license opens, for anybody", code)
	}
	say("接口与公开的日志检查点", "the interface, and the log's public checkpoint", st.node.PublicURL()+"/openapi.yaml\n   "+st.node.PublicURL()+"/log/checkpoint")
	say("就绪状态与指标", "readiness and metrics", "http://"+st.node.AdminAddr()+"/readyz\n   http://"+st.node.AdminAddr()+"/metrics")
	say("配置：由此开始修改，网关会自行重新加载", "the configuration: edit it, the gateway reloads it by itself", st.mainFile())
	say("离线验证留存的文件", "verify the stored files offline", fmt.Sprintf("oncegate verify --trust %s %s/*", st.path("trust"), st.path("artefacts")))
	say("手工发起已签名的调用；加 --curl 只打印命令", "make a signed call by hand; --curl only prints it",
		fmt.Sprintf("oncegate call -c %s --system food-approval --operator SPXK-12 cases.check no=%s -d '{}'", st.mainFile(), food))
	say("一次已签名的查询，五分钟内有效，仅可使用一次", "a signed query; it works once, within five minutes", curl)
	p.printf("\n")
	return nil
}

// query is a signed call for a new case of the food company.
func (st *stage) query(ctx context.Context) (no, curl string, err error) {
	s := newStory(st, nil)
	shop := st.city.Population.Cast.FoodShop
	no = s.caseNo(7)
	if err := s.accept(ctx, no, "YC-FOOD-01", party("applicant", shop.Holder()), party("legal_representative", shop.Legal.Holder())); err != nil {
		return "", "", err
	}
	body, err := json.Marshal(api.QueryRequest{
		LicenseType: "business-license", Holder: api.HolderID{Type: "001", Code: shop.Code}, Purpose: api.Purpose{Case: no},
	})
	if err != nil {
		return "", "", err
	}
	curl, err = s.callers["food-approval"].Curl(ctx, "licenses.query", nil, body)
	return no, curl, err
}

package demo

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"oncegate/api"
)

// opening shows the city before the story begins.
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
	p.printf("   %s\n", p.styled(dim, fmt.Sprintf(p.in(text{"网关 %s，SQLite；全部启动用时 %s", "gateway on %s over SQLite; all of it started in %s"}), st.node.PublicURL(), seconds(st.ready))))
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

// closing sums up.
func (p *printer) closing(r Result, st *stage) {
	held := 0
	for _, s := range r.Steps {
		if s.OK {
			held++
		}
	}
	verdict := fmt.Sprintf(p.in(text{" 七步中 %d 步成立", " %d of 7 steps hold"}), held)
	how := green
	if !r.OK {
		how = red
	}
	p.printf("\n %s\n", p.styled(dim, strings.Repeat("─", p.width-1)))
	p.across(verdict, seconds(time.Since(st.began)), how, dim)
}

// invitation says how to go on by hand.
func (p *printer) invitation(ctx context.Context, st *stage) error {
	food, curl, err := st.query(ctx)
	if err != nil {
		return err
	}
	say := func(zh, en, what string) {
		p.printf("\n   %s\n   %s\n", p.styled(dim, p.in(text{zh, en})), what)
	}
	p.printf("\n %s\n", p.styled(bold, p.in(text{"网关继续运行，按 Ctrl-C 结束", "The gateway goes on serving; Ctrl-C ends it"})))
	say("接口与公开的日志检查点", "the interface, and the log's public checkpoint", st.node.PublicURL()+"/openapi.yaml\n   "+st.node.PublicURL()+"/log/checkpoint")
	say("就绪状态与指标", "readiness and metrics", "http://"+st.node.AdminAddr()+"/readyz\n   http://"+st.node.AdminAddr()+"/metrics")
	say("配置：由此开始修改，网关会自行重新加载", "the configuration: edit it, the gateway reloads it by itself", st.mainFile())
	say("离线验证留存的文件", "verify what was kept, offline", fmt.Sprintf("oncegate verify --trust %s %s/*", st.path("trust"), st.path("artefacts")))
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

package legacy

import (
	"fmt"
	"math/rand/v2"

	"oncegate/license"
)

// A Population is everybody in the city and what they have. The same population comes out every time.
type Population struct {
	Cast      Cast
	People    []Person
	Companies []Company
	Estates   []Estate
	Marriages []Marriage
	Payments  []Payment
}

// A Cast are those whom the story is about.
type Cast struct {
	FoodShop Company   // opens a food shop (步骤 1)
	Flat     Estate    // of Couple, together (步骤 2)
	Couple   [2]Person // husband and wife
	Investor Company   // has an investment project (步骤 3)
	Stranger Person    // no party of any case (步骤 4)
	LateShop Company   // whose business license is revoked (步骤 5)
}

// How many there are, the cast included.
const (
	howManyPeople    = 260
	howManyCompanies = 220
	howManyMarriages = 80
	howManyEstates   = 150
)

// Invent makes the population up.
func Invent() *Population {
	p := &Population{}
	random := rand.New(rand.NewPCG(379901, 2026))
	for n := range howManyPeople {
		p.People = append(p.People, person(n))
	}
	for n := range howManyCompanies {
		p.Companies = append(p.Companies, p.company(n, random))
	}
	for n := range howManyMarriages {
		p.Marriages = append(p.Marriages, p.marriage(n))
	}
	for n := range howManyEstates {
		p.Estates = append(p.Estates, p.estate(n, random))
	}
	p.pay(random)
	p.cast()
	return p
}

var trades = []struct{ word, scope string }{
	{"春禾食品", "食品销售；餐饮服务"},
	{"晚秋食品", "食品销售；农副产品收购"},
	{"长河装备", "通用设备制造；智能装备研发"},
	{"白鹭信息", "软件开发；信息系统集成服务"},
	{"青石建材", "建筑材料销售；普通货物道路运输"},
	{"松涛物流", "仓储服务；国内货物运输代理"},
	{"望山农业", "谷物种植；水果种植"},
}

// company makes the n-th company; its name says that it is a sample.
func (p *Population) company(n int, random *rand.Rand) Company {
	trade := trades[n%len(trades)]
	name := "云川示例" + trade.word
	if n >= len(trades) {
		name += fmt.Sprintf("第%d", n/len(trades)+1)
	}
	return Company{
		Code: companyCode(n), Name: name + "有限公司", Legal: p.People[(n*3+161)%len(p.People)],
		Kind: []string{"1130", "1151", "1219"}[n%3], Capital: float64(random.IntN(500)+1) * 10,
		Address: fmt.Sprintf("云川市示例区%s路%d号", streets[random.IntN(len(streets))], random.IntN(300)+1), Scope: trade.scope,
		Founded: license.Date(fmt.Sprintf("20%02d-%02d-%02d", random.IntN(12)+12, random.IntN(12)+1, random.IntN(28)+1)),
	}
}

// marriage marries the people with numbers 2n and 2n+1, of whom one is male and one female, when both are grown up.
func (p *Population) marriage(n int) Marriage {
	year := min(max(yearOf(p.People[2*n].Born), yearOf(p.People[2*n+1].Born))+22+n%6, 2024)
	return Marriage{
		Number:   fmt.Sprintf("J%s-%d-%06d", Region, year, n+1),
		Partners: [2]Person{p.People[2*n], p.People[2*n+1]},
		On:       license.Date(fmt.Sprintf("%d-%02d-%02d", year, n%12+1, n*11%28+1)),
		Divorced: n%16 == 15,
	}
}

func yearOf(d license.Date) int {
	day, _ := d.Start()
	return day.Year()
}

// estate makes the n-th certificate: of a couple together, of two in shares, or of one alone.
func (p *Population) estate(n int, random *rand.Rand) Estate {
	year := 2009 + random.IntN(15)
	e := Estate{
		Number: fmt.Sprintf("云(%d)云川市不动产权第%07d号", year, n+1),
		Unit:   fmt.Sprintf("%s001001GB%05dF%08d", Region, n/8+1, n+1),
		Place:  fmt.Sprintf("云川市示例区%s路%d号%d幢%d室", streets[n%len(streets)], random.IntN(200)+1, random.IntN(20)+1, (random.IntN(18)+1)*100+random.IntN(4)+1),
		Area:   float64(random.IntN(1200)+480) / 10, Shop: n%9 == 8,
		On: license.Date(fmt.Sprintf("%d-%02d-%02d", year, random.IntN(12)+1, random.IntN(28)+1)),
	}
	couple := p.Marriages[n%len(p.Marriages)].Partners
	switch {
	case n%3 == 0:
		e.Owners = couple[:]
	case n%7 == 1:
		e.Owners, e.Shares = couple[:], []string{"60%", "40%"}
	default:
		e.Owners = []Person{p.People[len(p.People)-1-n]}
	}
	return e
}

// pay has owners pay deed tax and companies pay income tax.
func (p *Population) pay(random *rand.Rand) {
	add := func(payer license.Holder, kind, object string, yuan int) {
		n := len(p.Payments)
		p.Payments = append(p.Payments, Payment{
			Number: fmt.Sprintf("337990126%08d", n+1), Payer: payer, Kind: kind, Object: object, Amount: fmt.Sprintf("%d.%02d", yuan, random.IntN(100)),
			Ago: random.IntN(300), Void: n%40 == 39,
		})
	}
	for _, e := range p.Estates {
		add(license.Holder{HolderID: e.Owners[0].Holder(), Name: e.Owners[0].Name}, "10119", e.Place, 8000+random.IntN(60000))
	}
	for _, c := range p.Companies[:60] {
		add(license.Holder{HolderID: c.Holder(), Name: c.Name}, "10104", "企业所得", 3000+random.IntN(400000))
	}
}

// cast chooses those whom the story is about.
func (p *Population) cast() {
	p.Cast = Cast{
		FoodShop: p.Companies[0], LateShop: p.Companies[1], Investor: p.Companies[2],
		Couple: p.Marriages[0].Partners, Flat: p.Estates[0], Stranger: p.People[len(p.People)-1],
	}
}

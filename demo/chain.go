package demo

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"oncegate/api"
	"oncegate/client"
)

// questions counts the calls that were answered by market regulation's database.
const questions = `oncegate_source_seconds_count{outcome="ok",source="market-registration"}`

// chain is step 3: eight departments' matters in one call, one fetch, eight decisions.
func chain(ctx context.Context, s *scene) error {
	no := s.caseNo(3)
	if err := s.accept(ctx, no, "YC-INVEST-CHAIN", party("applicant", s.city.Population.Cast.Investor.Holder())); err != nil {
		return err
	}
	before, err := s.gauge(ctx, questions)
	if err != nil {
		return err
	}
	a, err := s.check(ctx, "invest-platform", no)
	if err != nil {
		return err
	}
	after, err := s.gauge(ctx, questions)
	if err != nil {
		return err
	}
	s.say("办件 %s：八个部门的事项，一次调用", "case %s: the matters (事项) of eight departments, one call", no)
	for _, m := range a.Answer.Materials {
		s.use(m)
	}
	s.claim(after-before == 1, "市场监管局的数据库只被查询 %.0f 次", "market regulation was asked once (%.0f call at its database)", after-before)
	return s.eightUses(a)
}

// use shows one use: for which matter, under which grant, and what it gives beyond the fields that all have.
func (s *scene) use(m api.CheckedMaterial) {
	how := good
	if m.State != api.MaterialStateMet {
		how = lacking
	}
	matter, _ := s.setup.Book.Matter(m.Matter)
	var own []string
	for _, field := range []string{"legal_representative", "address", "business_scope"} {
		if _, ok := m.Fields[field]; ok {
			own = append(own, field)
		}
	}
	s.row(how, matter.Name, strings.Join(m.Rules, " "), fmt.Sprintf(s.in(text{"%d 个字段  %s", "%d fields  %s"}), len(m.Fields), strings.Join(own, ", ")))
}

// eightUses shows that each use was decided and recorded for its own purpose.
func (s *scene) eightUses(a *client.Answered[api.CheckAnswer]) error {
	versions, rules, fields := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, m := range a.Answer.Materials {
		versions[m.Identifier] = true
		rules[strings.Join(m.Rules, " ")] = true
		fields[strings.Join(slices.Sorted(maps.Keys(m.Fields)), " ")] = true
	}
	uses, err := usesOf(a.Receipt)
	if err != nil {
		return err
	}
	matters := map[string]bool{}
	for _, u := range uses {
		matters[u.Matter] = true
	}
	s.claim(met(a.Answer) == 8 && len(versions) == 1 && a.Answer.CanProceed, "同一份已签名证照，使用八次", "the same signed license serves all eight")
	s.claim(len(rules) == 8 && len(fields) > 1, "八项决定各依其共享协议；%d 种字段范围", "eight decisions under eight sharing agreements, with %d different sets of fields", len(fields))
	s.claim(len(uses) == 8 && len(matters) == 8, "一条日志记录载明八次使用的各自目的（第 %d 条）", "one record states eight uses, each with its own purpose (log entry %d)", a.Receipt.Index)
	s.show("1 fetch from market regulation, 8 uses with 8 decisions and %d different sets of fields, in one record", len(fields))
	return nil
}

package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"oncegate/api"
	"oncegate/verdict"
)

// auditing is step 6: the auditor finds steps 1 and 4, verifies their receipts offline, sees the reuse rate, and files a
// report.
func auditing(ctx context.Context, s *scene) error {
	auditor, err := s.as("audit-office")
	if err != nil {
		return err
	}
	if err := s.found(ctx, auditor); err != nil {
		return err
	}
	if err := s.receipts(ctx, auditor); err != nil {
		return err
	}
	if err := s.rate(ctx, auditor); err != nil {
		return err
	}
	report, err := auditor.Export(ctx, api.ExportRequest{From: api.At(s.began), To: api.At(time.Now().Add(time.Second))})
	if err != nil {
		return err
	}
	steps, err := s.file(ctx, report.Raw)
	if err != nil {
		return err
	}
	s.claim(report.Answer.Complete, "审计报告（%d 条记录）与全部留存文件互相印证：%d 步成立", "the report (%d records) and every stored artefact verify against one another: %d steps hold", report.Answer.Total, steps)
	s.show("both records found and proven offline, reuse rate %d/%d, %d verification steps hold over all artefacts", s.reuse.Numerator, s.reuse.Denominator, steps)
	return nil
}

// found searches by case, by decision and by person.
func (s *scene) found(ctx context.Context, auditor caller) error {
	has := func(q api.SearchRequest, index uint64) (int, bool, error) {
		page, err := auditor.Search(ctx, q)
		if err != nil {
			return 0, false, err
		}
		return len(page.Answer.Records), slices.ContainsFunc(page.Answer.Records, func(r api.AuditRecord) bool { return r.Index == index }), nil
	}
	n, ok, err := has(api.SearchRequest{Case: s.food.no}, s.food.index)
	if err != nil {
		return err
	}
	s.claim(ok, "按办件号：%d 条，含第 1 步 的核验（第 %d 条）", "by case number: %d records, among them the check of step 1 (entry %d)", n, s.food.index)
	nobody := s.city.Population.Cast.Stranger.Holder()
	who := api.HolderID{Type: nobody.Type, Code: nobody.Code}
	n, ok, err = has(api.SearchRequest{Holder: who, Decision: "denied", Operator: operators["food-approval"]}, s.refused)
	if err != nil {
		return err
	}
	s.claim(ok, "按被查询人与经办人：%d 条，含步骤 4 的拒绝（第 %d 条）", "by the person asked about and the operator: %d records, among them the refusal of step 4 (entry %d)", n, s.refused)
	return nil
}

// receipts fetches both records' receipts under the first checkpoint that both witnesses have co-signed, and verifies them with DIR/trust
// alone.
func (s *scene) receipts(ctx context.Context, auditor caller) error {
	if err := s.node.AskWitnesses(ctx); err != nil { // as it does every minute; nobody shall wait for it here
		return err
	}
	for _, index := range []uint64{s.food.index, s.refused} {
		receipt, err := s.receiptOf(ctx, auditor, index)
		if err != nil {
			return err
		}
		data, err := receipt.MarshalJSON()
		if err != nil {
			return err
		}
		a := verdict.Artefact{Name: fmt.Sprintf("receipt of entry %d", index), Data: data}
		steps, err := s.verifyAll(a)
		if err != nil {
			return err
		}
		s.claim(steps > 0, "第 %d 条：两棵树的存在证明与检查点签名离线成立（%d 步）", "entry %d: inclusion in both trees and the checkpoint's signatures hold offline (%d steps)", index, steps)
		if index != s.food.index {
			continue
		}
		q := s.trust.Verify(a)[0].Beside.Witnessed.Quorum
		if q == nil {
			return errors.New("the trust states no quorum of witnesses")
		}
		s.claim(q.Trees == api.WitnessQuorumTreesBoth, "%s已见证两棵树：运行方无法再换一份历史", "witnessed in both trees by %s: its operator cannot show another history", strings.Join(q.BothTrees, "、"))
	}
	return nil
}

// rate asks for the reuse rate of this run and compares it with the counts of the checks.
func (s *scene) rate(ctx context.Context, auditor caller) error {
	r, err := auditor.Reuse(ctx, api.ReuseRequest{From: api.At(s.began), To: api.At(time.Now().Add(time.Second))})
	if err != nil {
		return err
	}
	s.reuse = r.Answer.Total
	var told api.Counts
	for _, c := range s.checks {
		told.Numerator += c.Numerator
		told.Denominator += c.Denominator
	}
	for _, m := range r.Answer.Matters {
		matter, _ := s.setup.Book.Matter(m.Matter)
		s.row(note, matter.Name, matter.NameEN, fmt.Sprintf("%d / %d", m.Numerator, m.Denominator))
	}
	s.claim(s.reuse == told && told.Denominator > 0, "复用率：源头满足 %d ÷ 应交 %d 份材料 = %s", "reuse rate (复用率): %d met from the source ÷ %d required = %s",
		s.reuse.Numerator, s.reuse.Denominator, percent(s.reuse))
	return nil
}

func percent(c api.Counts) string {
	if c.Denominator == 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f %%", 100*float64(c.Numerator)/float64(c.Denominator))
}

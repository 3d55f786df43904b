package demo

import (
	"context"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json"

	"oncegate/api"
	"oncegate/license"
)

// stranger is step 4: a query for a person who is not a party of the case. The refusal does not tell the clerk why; the auditor
// reads the reason.
func stranger(ctx context.Context, s *scene) error {
	nobody := s.city.Population.Cast.Stranger.Holder()
	told, err := s.pry(ctx, nobody, s.food.no)
	if err != nil {
		return err
	}
	s.say("食品经营许可审批系统以办件 %s 查询无关人员的身份证", "the food permit system cites case %s and asks for a stranger's identity card", s.food.no)
	s.claim(told.Code == "case-not-usable", "经办人所见：%s %s", "what the clerk is told: %s: %s", told.Code, s.in(text{told.Zh, told.En}))
	other, err := s.pry(ctx, nobody, s.caseNo(999))
	if err != nil {
		return err
	}
	s.claim(string(bare(told)) == string(bare(other)), "编造的办件号得到一字不差的答复：无从试探", "a case that does not exist gets the very same words: nothing can be probed")
	if s.refused, err = indexOf(told); err != nil {
		return err
	}
	return s.realReason(ctx)
}

// pry asks for a person's identity card and returns the refusal.
func (s *scene) pry(ctx context.Context, who license.HolderID, no string) (*api.Problem, error) {
	food, err := s.as("food-approval")
	if err != nil {
		return nil, err
	}
	_, err = food.Query(ctx, api.QueryRequest{
		LicenseType: "resident-id", Holder: api.HolderID{Type: who.Type, Code: who.Code}, Purpose: api.Purpose{Case: no},
	})
	return refusal(err)
}

// bare is a problem without nonce, time and receipt, which differ between any two answers.
func bare(p *api.Problem) []byte {
	b := *p
	b.Nonce, b.Time, b.Receipt = "", api.Time{}, nil
	return b.Bytes()
}

// indexOf is the log index of a refusal's record.
func indexOf(p *api.Problem) (uint64, error) {
	var receipt struct {
		Index uint64 `json:"index"`
	}
	if p.Receipt == nil {
		return 0, fmt.Errorf("the refusal %s has no receipt", p.Code)
	}
	err := json.Unmarshal(p.Receipt, &receipt)
	return receipt.Index, err
}

// realReason has the auditor open the sealed evidence of the refusal.
func (s *scene) realReason(ctx context.Context) error {
	auditor, err := s.as("audit-office")
	if err != nil {
		return err
	}
	e, err := auditor.Evidence(ctx, s.refused, api.EvidenceRequest{Why: "例行抽查 routine inspection"})
	if err != nil {
		return err
	}
	i := slices.IndexFunc(e.Answer.Reasons, func(r api.Reason) bool { return r.Code == "holder-not-a-party" })
	if i < 0 {
		s.claim(false, "审计人员看到真实原因", "the auditor sees the real reason")
		return nil
	}
	reason := e.Answer.Reasons[i]
	s.claim(true, "审计人员从密封证据（第 %d 条）看到真实原因：%s %s", "what the auditor reads in the sealed evidence of entry %d: %s: %s", s.refused, reason.Code, s.in(text{reason.Zh, reason.En}))
	s.claim(e.Receipt.Index > s.refused, "审计人员的查阅本身也留痕（第 %d 条）", "and the auditor's look is recorded too (entry %d)", e.Receipt.Index)
	s.show("the clerk is told case-not-usable, the auditor holder-not-a-party; log entry %d", s.refused)
	return nil
}

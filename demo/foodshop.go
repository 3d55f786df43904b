package demo

import (
	"context"

	"oncegate/api"
	"oncegate/client"
	"oncegate/verdict"
)

// foodShop is step 1: two materials, both reused from their sources, the role of one confirmed by the other.
func foodShop(ctx context.Context, s *scene) error {
	cast := s.city.Population.Cast
	s.food.no = s.caseNo(1)
	if err := s.accept(ctx, s.food.no, "YC-FOOD-01", party("applicant", cast.FoodShop.Holder()), party("legal_representative", cast.FoodShop.Legal.Holder())); err != nil {
		return err
	}
	s.say("办件 %s，由综合窗口受理平台登记", "case (办件) %s, registered by the acceptance platform (综合窗口)", s.food.no)
	a, err := s.check(ctx, "food-approval", s.food.no)
	if err != nil {
		return err
	}
	for _, m := range a.Answer.Materials {
		s.material(m)
	}
	s.claim(a.Answer.CanProceed && met(a.Answer) == 2, "两份材料均来自源头，申请人无需提交", "both materials come from the source; the applicant brings nothing")
	token, body := s.callers["food-approval"].sent.last()
	s.food = exchange{no: s.food.no, index: a.Receipt.Index, raw: a.Raw, token: token, body: body}
	if err := s.roleConfirmed(a); err != nil {
		return err
	}
	if err := s.annotatedCopy(ctx); err != nil {
		return err
	}
	return s.proofOf(a)
}

// roleConfirmed checks that the legal representative's role is confirmed by the license, and that the identity number it was compared
// by is not released.
func (s *scene) roleConfirmed(a *client.Answered[api.CheckAnswer]) error {
	uses, err := usesOf(a.Receipt)
	if err != nil {
		return err
	}
	confirmed := len(uses) == 3 && uses[0].Decision == "confirm" && uses[0].LicenseType == "business-license"
	s.claim(confirmed, "法定代表人身份由营业执照本身确认，另行决定并留痕", "the role of legal representative (法定代表人) is confirmed by the license itself, decided and recorded on its own")
	_, leaked := find(a.Answer, "business-license").Fields["legal_representative_code"]
	s.claim(!leaked, "比对所用的身份号码没有随执照流出", "the identity number it was compared by did not leave with the license")
	return nil
}

// proofOf verifies the answer offline, together with the call it answers.
func (s *scene) proofOf(a *client.Answered[api.CheckAnswer]) error {
	steps, err := s.verifyAll(
		verdict.Artefact{Name: "answer.json", Data: s.food.raw},
		verdict.Artefact{Name: "request.jwt", Data: []byte(s.food.token)},
		verdict.Artefact{Name: "request.body", Data: s.food.body},
	)
	if err != nil {
		return err
	}
	s.claim(true, "回执、两份证照签名与签名请求离线验证：%d 步全部成立（日志第 %d 条）", "receipt, two license signatures and the signed call verify offline: %d steps hold (log entry %d)", steps, a.Receipt.Index)
	s.show("2 of 2 materials met from their sources, role confirmed by the business license, %d verification steps hold", steps)
	return nil
}

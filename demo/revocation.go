package demo

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"oncegate/api"
	"oncegate/certs/jws"
	"oncegate/certs/sdjwt"
	"oncegate/check"
	"oncegate/verdict"
)

// revocation is step 5: a license that market regulation revokes is lapsed in the next check, and the copy that was signed before
// fails verification.
func revocation(ctx context.Context, s *scene) error {
	shop := s.city.Population.Cast.LateShop
	no := s.caseNo(5)
	if err := s.accept(ctx, no, "YC-FOOD-01", party("applicant", shop.Holder()), party("legal_representative", shop.Legal.Holder())); err != nil {
		return err
	}
	before, err := s.check(ctx, "food-approval", no)
	if err != nil {
		return err
	}
	old := find(before.Answer, "business-license")
	s.say("办件 %s：另一家食品企业", "case %s: another food company", no)
	s.material(old)
	if err := s.city.Market.Revoke(ctx, shop.Holder(), time.Now()); err != nil {
		return err
	}
	s.say("市场监管局在自己的系统中吊销其营业执照", "market regulation revokes its business license, in its own database")
	after, err := s.check(ctx, "food-approval", no)
	if err != nil {
		return err
	}
	now := find(after.Answer, "business-license")
	s.material(now)
	s.claim(old.State == api.MaterialStateMet && now.State == api.MaterialStateLapsed && now.Reason.Code == "revoked" && !after.Answer.CanProceed,
		"下一次核验即知：%s", "the next check says so: %s", s.in(text{now.Reason.Zh, now.Reason.En}))
	s.claim(now.License == "" && len(now.Fields) == 0, "失效的证照不再流出任何字段", "and nothing of it leaves any more")
	if err := s.copyFails(ctx, old.License); err != nil {
		return err
	}
	s.show("met before, lapsed (revoked) after; the copy signed before fails against the public status list")
	return nil
}

// copyFails verifies the signed copy against the public status list.
func (s *scene) copyFails(ctx context.Context, presentation string) error {
	list, err := s.statusList(ctx, presentation)
	if err != nil {
		return err
	}
	verified := s.trust.Verify(verdict.Artefact{Name: "license", Data: []byte(presentation)}, verdict.Artefact{Name: "status list", Data: list})
	revoked := slices.ContainsFunc(verified[0].Steps, func(step check.Step) bool { return step.Name == "status" && step.State == check.Failed })
	s.claim(revoked && verified[1].Err() == nil, "此前签发的副本也经不起公开状态列表的核对", "the copy signed before fails too, checked against the public status list (状态列表)")
	return nil
}

// statusList fetches the public status list that a license names.
func (s *story) statusList(ctx context.Context, presentation string) ([]byte, error) {
	auditor, err := s.as("audit-office")
	if err != nil {
		return nil, err
	}
	uri, err := statusListOf(presentation)
	if err != nil {
		return nil, err
	}
	return auditor.Public(ctx, "status-lists", map[string]string{"id": path.Base(uri)})
}

// statusListOf reads the URI of a license's status list.
func statusListOf(presentation string) (string, error) {
	compact, _, _ := strings.Cut(presentation, "~")
	parts, err := jws.Split(compact, sdjwt.MaxSize)
	if err != nil {
		return "", err
	}
	var claims struct {
		Status struct {
			List struct {
				URI string `json:"uri"`
			} `json:"status_list"`
		} `json:"status"`
	}
	if err := json.Unmarshal(parts.Payload, &claims); err != nil || claims.Status.List.URI == "" {
		return "", fmt.Errorf("the license names no status list")
	}
	return claims.Status.List.URI, nil
}

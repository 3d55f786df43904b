package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"oncegate/api"
	"oncegate/license"
)

// flat is step 2: five materials from four departments; one source is down, the case goes on, and is completed later.
func flat(ctx context.Context, s *scene) error {
	cast := s.city.Population.Cast
	no := s.caseNo(2)
	if err := s.accept(ctx, no, "YC-LAND-07", party("applicant", cast.Couple[0].Holder()), party("spouse", cast.Couple[1].Holder())); err != nil {
		return err
	}
	first, err := s.check(ctx, "land-approval", no)
	if err != nil {
		return err
	}
	s.say("办件 %s：税务局的导出任务已停三天", "case %s; the tax bureau's export has not run for three days", no)
	for _, m := range first.Answer.Materials {
		s.material(m)
	}
	if err := s.goesOn(first.Answer); err != nil {
		return err
	}
	waited, err := s.taxReturns(ctx)
	if err != nil {
		return err
	}
	second, err := s.check(ctx, "land-approval", no)
	if err != nil {
		return err
	}
	s.say("税务局恢复：新的 GB18030 文件在 %d 毫秒内被采用", "the tax bureau is back: its new GB18030 drop was taken within %d ms", waited.Milliseconds())
	s.material(find(second.Answer, "tax-clearance"))
	s.claim(met(second.Answer) == 5, "再次核验：五份材料齐备，办件补齐", "a new check completes the case: five of five")
	s.show("4 of 5 met with the tax source down, deadline %s; 5 of 5 once it was back", find(first.Answer, "tax-clearance").Fallback.Deadline)
	return nil
}

// goesOn shows that the missing material has a deadline in working days, and that the case can proceed.
func (s *scene) goesOn(a api.CheckAnswer) error {
	tax := find(a, "tax-clearance")
	deadline, err := s.setup.Calendar.Add(license.DateOf(time.Now()), 10)
	if err != nil {
		return err
	}
	s.claim(met(a) == 4 && tax.State == api.MaterialStateUnavailable, "五份材料已满足四份；中断的数据源如实标注，不作猜测", "four of five are met; the source that is down is labelled, never guessed")
	s.claim(a.CanProceed && tax.Fallback.Kind == api.FallbackKindTolerate && tax.Fallback.Deadline == string(deadline),
		"容缺受理：办件继续，完税证明须在 %s 前补齐（10 个工作日）", "容缺受理: the case goes on; the tax clearance is due by %s (10 working days)", tax.Fallback.Deadline)
	flatLicense := find(a, "real-estate-certificate")
	s.claim(flatLicense.Fields["holder_name.0"] != "" && flatLicense.Fields["holder_name.1"] != "", "不动产权证书为夫妻共同共有，两位持证主体同证", "the couple's certificate (共同共有) is one license with both holders")
	return nil
}

// taxReturns has the tax bureau export again and waits until the gateway has loaded the drop.
func (s *scene) taxReturns(ctx context.Context) (time.Duration, error) {
	begun := time.Now()
	if err := s.city.Tax.Export(begun); err != nil {
		return 0, err
	}
	const timeout = 5 * time.Second
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for {
		taken, err := s.gauge(ctx, `oncegate_drop_timestamp_seconds{source="tax-drops"}`)
		if err != nil {
			return 0, err
		}
		if int64(taken) >= begun.Unix() {
			return time.Since(begun), nil
		}
		if time.Since(begun) > timeout {
			return 0, fmt.Errorf("the gateway did not take the new drop within %s", timeout)
		}
		select {
		case <-ctx.Done():
			return 0, errors.Join(errors.New("wait for the tax source"), ctx.Err())
		case <-look.C:
		}
	}
}

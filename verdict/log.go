package verdict

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"oncegate/audit"
	"oncegate/certs/sm"
	"oncegate/check"
	"oncegate/tlog"
)

// VerifyLog reads a whole log and proves that it is the one of a checkpoint that the trusted log's keys have signed, and that
// every entry is a record. progress, if not nil, is called with the number of entries done and of all. The steps say what
// held; the error is ErrUnproven where something did not, and names the first wrong entry.
func (t *Trust) VerifyLog(ctx context.Context, r tlog.Reader, checkpoint string, progress func(done, total uint64)) (tlog.Checkpoint, []check.Step, error) {
	var done check.Steps
	trust, err := t.logOf(checkpoint)
	if err != nil {
		done.Fail("log-known", err.Error())
		return tlog.Checkpoint{}, done, errors.Join(ErrUnproven, err)
	}
	c, list, err := tlog.VerifyCheckpoint(checkpoint, trust.Trust)
	done = append(done, list...)
	if err != nil {
		return c, done, err
	}
	err = audit.VerifyLog(ctx, r, c, sm.New, progress)
	done.Result("log-entries", err)
	return c, done, err
}

// VerifyExtends proves that a log extends what somebody filed: a checkpoint, a receipt, or an answer with its receipt. It reads the
// public hash tiles only. The steps of what was filed begin with "filed/". The error is ErrUnproven where something does not hold;
// it is tlog.ErrFork where the log shows another past than it signed before.
func (t *Trust) VerifyExtends(ctx context.Context, r tlog.Reader, checkpoint string, filed Artefact) (now, then tlog.Checkpoint, done []check.Step, err error) {
	var list check.Steps
	trust, err := t.logOf(checkpoint)
	if err != nil {
		list.Fail("log-known", err.Error())
		return now, then, list, errors.Join(ErrUnproven, err)
	}
	now, own, err := tlog.VerifyCheckpoint(checkpoint, trust.Trust)
	list = append(list, own...)
	if err != nil {
		return now, then, list, err
	}
	s := t.gather(ctx, []Artefact{filed}, true)
	v := s.verified(0)
	list.Under("filed", v.Steps)
	then, _, proven := s.loggedBy(0, filed.Data)
	switch {
	case !proven && v.Err() != nil:
		return now, then, list, v.Err()
	case !proven:
		list.Fail("filed/log-known", "it is no checkpoint, receipt or answer")
		return now, then, list, ErrUnproven
	}
	err = tlog.VerifyExtends(ctx, r, sm.New, then, now)
	if err == nil || errors.Is(err, ErrUnproven) {
		list.Result("log-extends-filed", err)
	}
	return now, then, list, err
}

// VerifyAnswer verifies the receipt of an answer, or of a refusal, against the answer's bytes and the token of the call; "" where the
// token is not at hand. The error is ErrUnproven.
func (t *Trust) VerifyAnswer(receipt tlog.Receipt, answer []byte, token string) ([]check.Step, error) {
	trust, err := t.logOf(receipt.Checkpoint)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnproven, err)
	}
	_, list, err := audit.VerifyReceipt(audit.Proof{Receipt: receipt, Answer: answer, Token: token}, trust)
	return list, err
}

// Origins returns the names of the logs that the trust names, sorted.
func (t *Trust) Origins() []string { return slices.Sorted(maps.Keys(t.logs)) }

package audit

import "oncegate/license"

// Steps that Evidence and VerifyReceipt report, besides the log's own (tlog.StepSM3Tree and so on). Each evidence part has
// a step of its own, StepPart and its kind.
const (
	StepRecord      = "record-parsed"
	StepEvidence    = "evidence-digest"
	StepPart        = "evidence-part-"
	StepToken       = "token-digest"
	StepAnswer      = "answer-digest"
	StepCommitments = "person-commitments"
	StepHolder      = "holder-commitment"
	StepWitness     = "witness"
)

// checks are the steps taken so far.
type checks []license.Step

// add reports a step that held, or failed for the reason err.
func (c *checks) add(name string, err error) {
	if err != nil {
		*c = append(*c, license.Step{Name: name, State: license.Failed, Reason: err.Error()})
		return
	}
	*c = append(*c, license.Step{Name: name, State: license.OK})
}

// unknown reports a step that could not be taken.
func (c *checks) unknown(name, reason string) {
	*c = append(*c, license.Step{Name: name, State: license.NotCheckable, Reason: reason})
}

// failed returns the name of the first step that failed, "" if none did.
func (c *checks) failed() string {
	for _, step := range *c {
		if step.State == license.Failed {
			return step.Name
		}
	}
	return ""
}

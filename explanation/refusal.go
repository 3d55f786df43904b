package explanation

import (
	"oncegate/api"
	"oncegate/tlog"
)

// refusal explains a problem document: whose fault it is, and what to do.
func (w *writer) refusal(p *api.Problem, receipt tlog.Receipt, err error) {
	recorded := p.Receipt != nil
	if recorded {
		w.kind("refusal with its receipt")
		w.record(receipt, err)
	} else {
		w.kind("error without a receipt")
	}
	w.section("Why it was refused")
	zh, en, advice := p.Zh, p.En, p.Advice
	if known, ok := api.ByCode(p.Code); ok { // our own words, whatever the file says
		zh, en, advice = known.Zh, known.En, api.Sentence{Zh: known.AdviceZh, En: known.AdviceEn}
	} else {
		w.say("The code is not known here; the words are the file's own.")
	}
	w.add(clean(p.Code) + ": " + w.pick(zh, en))
	if p.Operation != "" {
		w.say("The call was to %s (%s).", clean(p.Operation), w.operationTitle(p.Operation))
	}
	if p.Detail != "" {
		w.say("In detail: %s", clean(p.Detail))
	}
	for _, f := range p.Faults[:min(len(p.Faults), maxNames)] {
		w.say("Wrong in the body at %s: %s", clean(f.Pointer), clean(f.Reason))
	}
	w.say("At fault: %s.", w.party(p.Party))
	if p.Code == "case-not-usable" {
		w.say("This is one answer for many causes, on purpose: who may not know learns nothing about the case. An auditor can read the cause in the record's evidence (audit.evidence).")
	}
	w.section("What to do")
	w.add(w.pick(advice.Zh, advice.En))
	switch {
	case p.Retry && p.RetryAfter > 0:
		w.say("The same call may succeed later: try again after %d s, with a new token.", p.RetryAfter)
	case p.Retry:
		w.say("The same call may succeed later, with a new token.")
	default:
		w.say("Trying the same call again changes nothing.")
	}
	if recorded {
		w.proof(receipt, err, true)
	} else {
		w.section("What the receipt proves, once verified")
		w.say("There is no receipt. Refusals of calls whose caller was not authenticated, and too many calls, are counted but have no record of their own.")
	}
}

func (w *writer) party(party string) string {
	switch party {
	case api.Caller:
		return w.Message("the caller: the call must change")
	case api.Gateway:
		return w.Message("the gateway: its operator must act, or time must pass")
	case api.Policy:
		return w.Message("the policy: a rule or a consent is missing")
	case api.Source:
		return w.Message("the source: the department's system must act, or time must pass")
	}
	return clean(party)
}

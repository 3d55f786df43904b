package cases

import "oncegate/license"

// How the window received a material instead of a reused license.
const (
	HowUploaded = "uploaded"
	HowPromised = "promised"
	HowWaived   = "waived"
)

// received returns what was handed in last for the judged material. A promise that came after an upload does not undo
// it, and one that the matter does not know counts for nothing.
func (e Evidence) received() (Received, bool) {
	var last Received
	found := false
	for _, r := range e.Received {
		ours := r.Matter == e.Facts.Matter.Code && r.Material == e.Facts.Material.Code
		ours = ours && (r.How != HowPromised || e.Facts.Material.Fallback.follows())
		if ours && (!found || r.How != HowPromised || last.How == HowPromised) {
			last, found = r, true
		}
	}
	return last, found
}

// fallback says what the applicant can do, counted from a day.
func (e Evidence) fallback(from license.Date, calendar *Calendar) Fallen {
	rule := e.Facts.Material.Fallback
	if !rule.follows() {
		return Fallen{Kind: FallUpload}
	}
	deadline, err := calendar.Add(from, rule.Days)
	if err != nil {
		return Fallen{Kind: rule.Kind, Reason: CalendarEnds}
	}
	return Fallen{Kind: rule.Kind, Deadline: deadline, Overdue: deadline.Before(e.Day)}
}

// follows reports whether the material may follow later.
func (f Fallback) follows() bool { return f.Kind == FallTolerate || f.Kind == FallPromise }

func (j Judgement) next() NextStep {
	switch {
	case j.Need == Optional:
		return NextNothing
	case j.Fallback.Kind == FallUpload:
		return NextUpload
	case j.Covered == "" && j.Fallback.Kind == FallPromise:
		return NextPromise
	case j.State == Unavailable:
		return NextAgain
	}
	return NextFollow
}

// Blocks reports whether the case cannot go on before something is done about the material. Met and covered materials do
// not block, nor optional ones; one that may be missing for a while (容缺) does only when its deadline has passed. One
// that needs a promise blocks until the promise is there.
func (j Judgement) Blocks() bool {
	if j.State == Met || j.Covered != "" || j.Need == Optional {
		return false
	}
	return j.Need != Tolerable || j.Fallback.Kind != FallTolerate
}

// Settled reports whether nothing is left to do about the material.
func (j Judgement) Settled() bool {
	return j.State == Met || j.Covered == HowUploaded || j.Covered == HowWaived || j.Need == Optional
}

// An Outcome says how a case stands as a whole.
type Outcome struct {
	GoesOn   bool         // nothing blocks
	Complete bool         // nothing is left to follow
	Deadline license.Date // the first of the deadlines that are still open; empty if none
}

// Conclude sums up the judgements of a check. Without any judgement a case neither goes on nor is complete.
func Conclude(judgements []Judgement) Outcome {
	outcome := Outcome{GoesOn: len(judgements) > 0, Complete: len(judgements) > 0}
	for _, j := range judgements {
		outcome.GoesOn = outcome.GoesOn && !j.Blocks()
		outcome.Complete = outcome.Complete && j.Settled()
		open := j.Fallback.Deadline
		if !j.Settled() && open != "" && (outcome.Deadline == "" || open.Before(outcome.Deadline)) {
			outcome.Deadline = open
		}
	}
	return outcome
}

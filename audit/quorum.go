package audit

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"oncegate/check"
)

// A Quorum is the policy of how many organisations must have co-signed a checkpoint before it counts as witnessed. The zero value asks
// for nobody.
type Quorum struct {
	Need    int // organisations, not keys
	Members []QuorumMember
}

// A QuorumMember says whose witness a key is. One organisation may run several; it counts once.
type QuorumMember struct {
	Witness      string // name of its key
	Organization string
	BothTrees    bool // it proves the growth of the SM3 tree, too, before it signs; a public witness proves that of the SHA-256 tree only
}

// MaxWitnesses bounds how many witnesses a log has.
const MaxWitnesses = 64

// Organizations are the organisations of the quorum, each once, in the order of its members.
func (q Quorum) Organizations() (list []string) {
	for _, m := range q.Members {
		if !slices.Contains(list, m.Organization) {
			list = append(list, m.Organization)
		}
	}
	return list
}

// Tolerates is m, how many organisations may sign whatever they are shown without two histories of one log both finding a quorum: the
// greatest m with 2q > n + m, where n organisations witness and q of them are needed. Two quorums share at least 2q - n organisations. It is
// negative where two quorums need share none.
func (q Quorum) Tolerates() int { return 2*q.Need - len(q.Organizations()) - 1 }

// Check says what is wrong with the policy itself.
func (q Quorum) Check() error {
	seen := make(map[string]bool)
	n := len(q.Organizations())
	for _, m := range q.Members {
		switch {
		case m.Witness == "" || m.Organization == "":
			return errors.New("a witness of the quorum has a name and an organisation")
		case seen[m.Witness]:
			return fmt.Errorf("witness %q is named twice", m.Witness)
		}
		seen[m.Witness] = true
	}
	switch {
	case len(q.Members) > MaxWitnesses:
		return fmt.Errorf("more than %d witnesses", MaxWitnesses)
	case q.Need < 1 || q.Need > n:
		return fmt.Errorf("a quorum of %d organisations must be 1 to %d", n, n)
	case q.Tolerates() < 0:
		return fmt.Errorf("a quorum of %d of %d organisations lets two histories both find one: at least %d are needed", q.Need, n, n/2+1)
	}
	return nil
}

// Witnessed is what a quorum's cosignatures say of one checkpoint.
type Witnessed struct {
	Organizations []string  // that have co-signed, and said when, in the order of the policy
	BothTrees     []string  // those of them whose witness checked both trees
	Stands        bool      // the quorum stands, at least for the SHA-256 tree
	StandsBoth    bool      // it stands for both trees
	Time          time.Time // by when: the latest time of the first quorum that signed (of both trees where that stands)
}

// Judge applies the policy to what the known witnesses say of a checkpoint. Lines that do not say when they were made do not count. Of two
// witnesses of one organisation the earlier line counts.
//
// The time is that by which a quorum had signed. Where no more witnesses lie than the quorum tolerates, one at least of them is honest, and
// had seen the checkpoint by then.
func (q Quorum) Judge(list []Cosignature) (w Witnessed) {
	if q.Need < 1 {
		return w
	}
	any, both := make(map[string]time.Time), make(map[string]time.Time)
	for _, m := range q.Members {
		i := slices.IndexFunc(list, func(c Cosignature) bool { return c.Witness == m.Witness })
		if i < 0 || list[i].State != check.OK || list[i].Time.IsZero() {
			continue
		}
		earliest(any, m.Organization, list[i].Time)
		if m.BothTrees {
			earliest(both, m.Organization, list[i].Time)
		}
	}
	for _, o := range q.Organizations() {
		if !any[o].IsZero() {
			w.Organizations = append(w.Organizations, o)
		}
		if !both[o].IsZero() {
			w.BothTrees = append(w.BothTrees, o)
		}
	}
	if w.Time, w.StandsBoth = q.by(both); w.StandsBoth {
		w.Stands = true
		return w
	}
	w.Time, w.Stands = q.by(any)
	return w
}

func earliest(times map[string]time.Time, of string, t time.Time) {
	if old := times[of]; old.IsZero() || t.Before(old) {
		times[of] = t
	}
}

// by is the moment by which so many organisations had signed as the quorum needs.
func (q Quorum) by(times map[string]time.Time) (time.Time, bool) {
	if len(times) < q.Need {
		return time.Time{}, false
	}
	sorted := make([]time.Time, 0, len(times))
	for _, t := range times {
		sorted = append(sorted, t)
	}
	slices.SortFunc(sorted, time.Time.Compare)
	return sorted[q.Need-1], true
}

// WitnessedWithin is how far the time of a quorum may be from that of a record for the record's time to count as proven.
const WitnessedWithin = 10 * time.Minute

// QuorumStep says by a step whether the quorum stands for a checkpoint, in which trees, by whom and when.
func QuorumStep(w Witnessed, q Quorum) check.Step {
	n := len(q.Organizations())
	at := w.Time.Format(time.RFC3339)
	switch {
	case w.StandsBoth:
		return check.Step{Name: StepQuorum, State: check.OK, Reason: fmt.Sprintf("witnessed in both trees by %s at %s: %d of %d organisations, %d needed", strings.Join(w.BothTrees, ", "), at, len(w.BothTrees), n, q.Need)}
	case w.Stands:
		return check.Step{Name: StepQuorum, State: check.OK, Reason: fmt.Sprintf("witnessed in the SHA-256 tree only by %s at %s: %d of %d organisations, %d needed", strings.Join(w.Organizations, ", "), at, len(w.Organizations), n, q.Need)}
	}
	return check.CannotCheck(StepQuorum, fmt.Sprintf("no quorum: %d of %d organisations have co-signed, %d are needed", len(w.Organizations), n, q.Need))
}

// WitnessedTimeStep says whether witnesses prove the time of a record: that a quorum had seen it within ten minutes. A record that is
// witnessed late is not refuted: its time is merely the gateway's word.
func WitnessedTimeStep(w Witnessed, recorded time.Time) check.Step {
	const name = StepWitnessedTime
	off := w.Time.Sub(recorded)
	switch {
	case !w.Stands:
		return check.CannotCheck(name, "no quorum of witnesses says when")
	case off > WitnessedWithin:
		return check.CannotCheck(name, fmt.Sprintf("time not proven: a quorum had seen the record only at %s, more than ten minutes after its time", w.Time.Format(time.RFC3339)))
	case off < -WitnessedWithin:
		return check.CannotCheck(name, fmt.Sprintf("time not proven: a quorum had seen the record at %s already, more than ten minutes before its time", w.Time.Format(time.RFC3339)))
	}
	return check.Step{Name: name, State: check.OK}
}

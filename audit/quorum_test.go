package audit_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"oncegate/audit"
	"oncegate/check"
)

func quorum(need int, organizations ...string) audit.Quorum {
	q := audit.Quorum{Need: need}
	for i, o := range organizations {
		q.Members = append(q.Members, audit.QuorumMember{Witness: string(rune('a' + i)), Organization: o, BothTrees: i%2 == 0})
	}
	return q
}

// 2q > n + m, where n counts organisations: one with two keys counts once.
func TestQuorumArithmetic(t *testing.T) {
	for _, c := range []struct {
		of        audit.Quorum
		tolerates int
		wrong     string
	}{
		{quorum(1, "A"), 0, ""},
		{quorum(2, "A", "B"), 1, ""},
		{quorum(1, "A", "B"), -1, "at least 2"},
		{quorum(2, "A", "B", "C"), 0, ""}, // one traitor forks it
		{quorum(3, "A", "B", "C"), 2, ""},
		{quorum(3, "A", "B", "C", "D"), 1, ""}, // holds against one
		{quorum(2, "A", "B", "C", "D"), -1, "at least 3"},
		{quorum(3, "A", "B", "C", "D", "E"), 0, ""},
		{quorum(4, "A", "B", "C", "D", "E"), 2, ""},
		{quorum(2, "A", "A", "A"), 2, "must be 1 to 1"}, // three keys of one organisation are one
		{quorum(2, "A", "A", "B"), 1, ""},
		{quorum(0, "A"), -2, "must be 1 to 1"},
		{quorum(2, "A", ""), 1, "a name and an organisation"},
		{audit.Quorum{Need: 1, Members: []audit.QuorumMember{{Witness: "a", Organization: "A"}, {Witness: "a", Organization: "B"}}}, -1, "named twice"},
		{audit.Quorum{}, -1, "must be 1 to 0"},
	} {
		err := c.of.Check()
		if got := c.of.Tolerates(); got != c.tolerates || (err == nil) != (c.wrong == "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%+v: m is %d, %v", c.of, got, err)
		}
	}
	// Brute force: two sets of q organisations that share no honest one exist just where m is too large.
	for n := 1; n <= 5; n++ {
		for q := 1; q <= n; q++ {
			m := quorum(q, strings.Split("ABCDE"[:n], "")...).Tolerates()
			least := n + 1 // the fewest that two quorums share
			for x := range 1 << n {
				for y := range 1 << n {
					if ones(x) == q && ones(y) == q {
						least = min(least, ones(x&y))
					}
				}
			}
			if want := least - 1; m >= 0 && m != want || m < 0 && least > 0 {
				t.Errorf("%d of %d: m is %d, and two quorums share at least %d", q, n, m, least)
			}
		}
	}
}

func ones(x int) (n int) {
	for ; x > 0; x &= x - 1 {
		n++
	}
	return n
}

func TestQuorumJudges(t *testing.T) {
	noon := time.Date(2026, 12, 1, 4, 0, 0, 0, time.UTC)
	at := func(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }
	signed := func(names string, minutes ...int) (list []audit.Cosignature) {
		for i, n := range names {
			list = append(list, audit.Cosignature{Witness: string(n), State: check.OK, Time: at(minutes[i])})
		}
		return list
	}
	three := quorum(2, "A", "B", "C") // A and C check both trees
	failed := signed("ab", 1, 2)
	failed[1].State = check.Failed
	timeless := signed("ab", 1, 2)
	timeless[1].Time = time.Time{}
	for name, c := range map[string]struct {
		q     audit.Quorum
		list  []audit.Cosignature
		trees string
		by    string
		at    int
		says  string
	}{
		"both trees":                       {three, signed("ac", 3, 1), "both", "AC", 3, "witnessed in both trees by A, C at 2026-12-01T04:03:00Z: 2 of 3 organisations, 2 needed"},
		"all":                              {three, signed("abc", 3, 1, 2), "both", "ABC", 3, "witnessed in both trees by A, C"},
		"SHA-256 only":                     {three, signed("ab", 3, 5), "sha256", "AB", 5, "witnessed in the SHA-256 tree only by A, B at 2026-12-01T04:05:00Z"},
		"the first two, not the liar":      {quorum(2, "A", "x", "C", "y", "E"), signed("ace", 1, 2, 9999), "both", "ACE", 2, "both trees"},
		"one":                              {three, signed("a", 3), "", "A", 0, "no quorum: 1 of 3 organisations have co-signed, 2 are needed"},
		"nobody":                           {three, nil, "", "", 0, "no quorum: 0 of 3"},
		"one organisation by two keys":     {quorum(2, "A", "A", "B"), signed("ab", 1, 2), "", "A", 0, "no quorum: 1 of 2"},
		"a line that fails":                {three, failed, "", "A", 0, "no quorum"},
		"a line without a time":            {three, timeless, "", "A", 0, "no quorum"},
		"somebody who is no member":        {three, signed("az", 1, 1), "", "A", 0, "no quorum"},
		"earlier of two keys of a witness": {quorum(2, "A", "B", "A"), signed("abc", 9, 1, 2), "sha256", "AB", 2, "SHA-256 tree only"},
	} {
		w := c.q.Judge(c.list)
		trees := map[[2]bool]string{{true, true}: "both", {true, false}: "sha256", {false, false}: ""}[[2]bool{w.Stands, w.StandsBoth}]
		if trees != c.trees || strings.Join(w.Organizations, "") != c.by || w.Stands && !w.Time.Equal(at(c.at)) || !w.Stands && !w.Time.IsZero() {
			t.Errorf("%s: %+v", name, w)
		}
		step := audit.QuorumStep(w, c.q)
		if !strings.HasPrefix(step.Reason, c.says) && !strings.Contains(step.Reason, c.says) || (step.State == check.OK) != w.Stands || step.State == check.Failed {
			t.Errorf("%s: %+v", name, step)
		}
	}
	if w := (audit.Quorum{}).Judge(signed("a", 1)); w.Stands || !slices.Equal(w.Organizations, nil) {
		t.Errorf("without a policy: %+v", w)
	}
}

// A record's time is proven within ten minutes of the quorum's, and never refuted by it.
func TestWitnessedTime(t *testing.T) {
	noon := time.Date(2026, 12, 1, 4, 0, 0, 0, time.UTC)
	for off, want := range map[time.Duration]check.State{
		0: check.OK, 10 * time.Minute: check.OK, -10 * time.Minute: check.OK,
		10*time.Minute + time.Second: check.NotCheckable, -10*time.Minute - time.Second: check.NotCheckable, 24 * time.Hour: check.NotCheckable,
	} {
		step := audit.WitnessedTimeStep(audit.Witnessed{Stands: true, Time: noon.Add(off)}, noon)
		if step.State != want || (want == check.OK) != (step.Reason == "") || want != check.OK && !strings.Contains(step.Reason, "time not proven") {
			t.Errorf("%v: %+v", off, step)
		}
	}
	if step := audit.WitnessedTimeStep(audit.Witnessed{}, noon); step.State != check.NotCheckable {
		t.Errorf("%+v", step)
	}
}

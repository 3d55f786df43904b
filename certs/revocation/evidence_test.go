package revocation_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"oncegate/certs/certstest"
	"oncegate/certs/pki"
	"oncegate/certs/revocation"
	"oncegate/check"
)

// states gives the states of steps, by name.
func states(steps []check.Step) map[string]check.State {
	out := make(map[string]check.State)
	for _, s := range steps {
		out[s.Name] = s.State
	}
	return out
}

func held(leaf, sub check.State) map[string]check.State {
	return map[string]check.State{"revocation-leaf": leaf, "revocation-authority-1": sub}
}

// Evidence collected at signing shows ten years later, without network, how things stood.
func TestEvidenceOfItsTime(t *testing.T) {
	for name, kinds := range map[string][2]bool{"lists": {true, false}, "responders": {false, true}, "both": {true, true}} {
		t.Run(name, func(t *testing.T) {
			c := newCity(t, "evidence", kinds[0], kinds[1])
			e, steps := c.client(nil).Collect(t.Context(), c.path)
			if diff := cmp.Diff(held(check.OK, check.OK), states(steps)); diff != "" {
				t.Fatal(diff, steps)
			}
			der, err := e.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d bytes", len(der))
			signed := c.clock()
			c.revoke(signed.Add(hour), pki.KeyCompromise)
			c.set(func() { c.broken, c.now = true, c.now.AddDate(10, 0, 0) })
			asked := c.asked.Load()
			read, err := revocation.ParseEvidence(der)
			if err != nil {
				t.Fatal(err)
			}
			for _, test := range []struct {
				name string
				at   time.Time
				want map[string]check.State
			}{
				{"when it was signed", signed, held(check.OK, check.OK)},
				{"a little later", signed.Add(30 * time.Minute), held(check.OK, check.OK)},
				{"after it", signed.Add(25 * hour), held(check.NotCheckable, check.NotCheckable)},
			} {
				if diff := cmp.Diff(test.want, states(revocation.Check(t.Context(), c.path, test.at, read))); diff != "" {
					t.Error(test.name, diff)
				}
			}
			lists, responses, err := read.Parts()
			if err != nil {
				t.Fatal(err)
			}
			again, err := revocation.Gather(lists, responses).Marshal()
			if err != nil || !bytes.Equal(again, der) {
				t.Error("as parts of a message it is another", err)
			}
			if c.asked.Load() != asked {
				t.Error("somebody was asked")
			}
		})
	}
}

// Evidence that shows a revocation fails, and what is not about the path is nothing.
func TestEvidenceShows(t *testing.T) {
	c, other := newCity(t, "shows", true, true), newCity(t, "others", true, true)
	mine, _ := c.client(nil).Collect(t.Context(), c.path)
	theirs, _ := other.client(nil).Collect(t.Context(), other.path)
	c.revoke(c.clock(), pki.PrivilegeWithdrawn)
	late, steps := c.client(nil).Collect(t.Context(), c.path)
	if diff := cmp.Diff(held(check.Failed, check.OK), states(steps)); diff != "" {
		t.Error("at signing", diff)
	}
	if !strings.Contains(steps[0].Reason, "privilege-withdrawn") {
		t.Errorf("%+v", steps[0])
	}
	both := &revocation.Evidence{Responses: slices.Concat(mine.Responses, late.Responses)}
	for _, test := range []struct {
		name string
		e    *revocation.Evidence
		want map[string]check.State
	}{
		{"good", mine, held(check.OK, check.OK)},
		{"revoked", late, held(check.Failed, check.OK)},
		{"one says good, a later one revoked", both, held(check.Failed, check.OK)},
		{"of another city", theirs, held(check.NotCheckable, check.NotCheckable)},
		{"nothing", &revocation.Evidence{}, held(check.NotCheckable, check.NotCheckable)},
		{"the leaf's alone", &revocation.Evidence{Responses: mine.Responses[:1]}, held(check.OK, check.NotCheckable)},
		{"with a doubting voice", &revocation.Evidence{Responses: mine.Responses, Verify: refuse}, held(check.NotCheckable, check.NotCheckable)},
	} {
		if diff := cmp.Diff(test.want, states(revocation.Check(t.Context(), c.path, certstest.Epoch, test.e))); diff != "" {
			t.Error(test.name, diff)
		}
	}
	if steps := revocation.Check(t.Context(), c.path[2:], certstest.Epoch, mine); steps[0].State != check.NotCheckable {
		t.Errorf("an anchor alone: %+v", steps)
	}
}

func TestEvidenceForms(t *testing.T) {
	c := newCity(t, "forms", true, true)
	e, _ := c.client(nil).Collect(t.Context(), c.path)
	lists := c.client(nil)
	for i := range 2 {
		l, _, err := lists.List(t.Context(), c.path[i].CRLDistributionPoints[0], c.path[i+1])
		if err != nil {
			t.Fatal(err)
		}
		e.Lists = append(e.Lists, l)
	}
	der, err := e.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if read, err := revocation.ParseEvidence(der); err != nil || len(read.Lists) != 2 || len(read.Responses) != 2 {
		t.Fatal(err)
	}
	for i := range der {
		if _, err := revocation.ParseEvidence(der[:i]); err == nil {
			t.Errorf("cut at %d: read", i)
		}
	}
	refused := func(name string, der []byte) {
		t.Helper()
		if _, err := revocation.ParseEvidence(der); !errors.Is(err, revocation.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	refused("a byte more", append(bytes.Clone(der), 0))
	refused("other values", wrap(0x30, wrap(0xa2, wrap(0x30, nil))))
	refused("too large", make([]byte, revocation.MaxEvidence+1))
	refused("a list twice", doubled(t, e))
	refused("no list in it", wrap(0x30, wrap(0xa0, wrap(0x30, []byte{4, 0}))))
	if none, err := revocation.ParseEvidence([]byte{0x30, 0}); err != nil || len(none.Lists) != 0 {
		t.Error("nothing is evidence of nothing", err)
	}
	if g := revocation.Gather([][]byte{{1}, nil, e.Lists[0].Raw}, [][]byte{nil, {0x30, 0}}); len(g.Lists) != 1 || len(g.Responses) != 0 {
		t.Error("gather")
	}
}

func doubled(t *testing.T, e *revocation.Evidence) []byte {
	t.Helper()
	der, err := (&revocation.Evidence{Lists: append(slices.Clone(e.Lists), e.Lists[0])}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// A list too large to travel is not stapled, and the step says so.
func TestCollectLeavesLargeLists(t *testing.T) {
	c := newCity(t, "large", true, false)
	c.set(func() { c.body = bigList(t, c.World, 9000) })
	e, steps := c.client(nil).Collect(t.Context(), c.path[:2])
	if len(e.Lists) != 0 || steps[0].State != check.NotCheckable || !strings.Contains(steps[0].Reason, "too many to keep") {
		t.Errorf("%d lists, %+v", len(e.Lists), steps)
	}
}

// A source that says nothing new is not trusted before one that does.
func TestCheckAsksInOrder(t *testing.T) {
	c := newCity(t, "order", false, false)
	say := func(s revocation.Status, err error) revocation.Source { return fixed{s, err} }
	good := revocation.Status{State: revocation.Good, By: revocation.CRL}
	stale := revocation.Status{State: revocation.Good, By: revocation.CRL, Stale: true}
	revoked := revocation.Status{State: revocation.Revoked, By: revocation.CRL, Stale: true}
	unknown := revocation.Status{State: revocation.Unknown, By: revocation.OCSP}
	nothing := say(revocation.Status{}, revocation.ErrUnavailable)
	for _, test := range []struct {
		name    string
		sources []revocation.Source
		want    check.State
	}{
		{"none", nil, check.NotCheckable},
		{"nobody speaks", []revocation.Source{nothing, nothing}, check.NotCheckable},
		{"the second speaks", []revocation.Source{nothing, say(good, nil)}, check.OK},
		{"a stale word, then a fresh one", []revocation.Source{say(stale, nil), say(good, nil)}, check.OK},
		{"a stale word alone", []revocation.Source{say(stale, nil), nothing}, check.NotCheckable},
		{"an old revocation", []revocation.Source{say(revoked, nil), say(good, nil)}, check.Failed},
		{"unknown", []revocation.Source{say(unknown, nil)}, check.Failed},
	} {
		if s := revocation.Check(t.Context(), c.path[:2], certstest.Epoch, test.sources...); s[0].State != test.want || s[0].State != check.OK && s[0].Reason == "" {
			t.Errorf("%s: %+v", test.name, s)
		}
	}
}

type fixed struct {
	status revocation.Status
	err    error
}

func (f fixed) Status(context.Context, *pki.Certificate, *pki.Certificate, time.Time) (revocation.Status, error) {
	return f.status, f.err
}

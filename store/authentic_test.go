package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"oncegate/audit"
	"oncegate/cases"
	"oncegate/license"
	"oncegate/register"
	"oncegate/tlog"
	"oncegate/tlog/tlogtest"
)

// A clerk makes changes as they come, some of which are refused.
type clerk struct {
	*rand.Rand
	cases  []string
	issued map[byte][]register.Version // by subject
	n      int
}

func (c *clerk) next() any {
	c.n++
	switch kind := c.IntN(10); {
	case kind == 0 || len(c.cases) == 0:
		no := fmt.Sprint("case-", c.n)
		c.cases = append(c.cases, no)
		return cases.Register{Case: cases.Case{No: no, Matter: "m", Registrar: "window", Revision: 1, Parties: []cases.Party{{Role: cases.Applicant, Holder: license.HolderID{Type: "111", Code: "X"}}}}}
	case kind == 1:
		return cases.Close{No: c.cases[c.IntN(len(c.cases))], Revision: 1 + c.IntN(2), At: time.Now()}
	case kind == 2:
		return cases.Receive{Received: cases.Received{Case: c.cases[c.IntN(len(c.cases))], Material: "a", How: "uploaded", At: time.Now()}}
	case kind == 3:
		return cases.Give{Consent: aConsent(fmt.Sprint("consent-", c.n), "X", "window")}
	case kind == 4:
		return cases.Withdraw{ID: fmt.Sprint("consent-", c.IntN(c.n)), At: time.Now()}
	case kind == 5 || kind == 6:
		subject := byte(c.IntN(4))
		before := ""
		if last := c.issued[subject]; len(last) > 0 {
			before = last[len(last)-1].Identifier
		}
		v := register.Version{
			Subject: [32]byte{subject}, Number: len(c.issued[subject]) + 1 + c.IntN(5)/4, Type: "t",
			Identifier: fmt.Sprint("id-", c.n), JWT: fmt.Sprint("jwt-", c.n), Status: license.Valid, Stated: license.Valid, Signed: time.Now(),
			List: fmt.Sprint("list-", c.IntN(2)), Slot: c.n,
		}
		c.issued[subject] = append(c.issued[subject], v)
		return register.Issue{Version: v, Supersedes: before}
	case kind == 7:
		return register.SetStatus{Identifier: fmt.Sprint("id-", c.IntN(c.n)), From: license.Valid, To: license.Revoked, At: time.Now()}
	case kind == 8:
		return register.Order{Identifier: fmt.Sprint("id-", c.IntN(c.n)), To: license.Suspended, At: time.Now()}
	}
	return audit.PolicySet{Digest: fmt.Sprint("set-", c.IntN(3)), Files: []audit.File{{Path: "a"}}}
}

// TestSumsFollow makes changes in batches, in any order and number, and holds the sums against the tables after each, also in a
// process that opens the database anew.
func TestSumsFollow(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		seed := uint64(time.Now().UnixNano())
		t.Log("seed", seed)
		who := &clerk{Rand: rand.New(rand.NewPCG(seed, 0)), issued: map[byte][]register.Version{}}
		c, keys := e.fresh(t), tlogtest.NewKeys(t, origin)
		made := 0
		for opened := range 4 {
			db, err := Open(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			if opened == 0 {
				if err := tlog.Create(t.Context(), keys.Config(db.Log())); err != nil {
					t.Fatal(err)
				}
			}
			log, err := tlog.Open(t.Context(), keys.Config(db.Log()))
			if err != nil {
				t.Fatal(err)
			}
			b := &bench{db, log, keys}
			for range 12 {
				n := 1 + who.IntN(12)
				done := make(chan error, n)
				for range n {
					change := who.next()
					go func() { done <- b.change(t.Context(), change) }()
				}
				for range n {
					switch err := <-done; {
					case errors.Is(err, tlog.ErrUnavailable):
						t.Fatal(err)
					case err == nil:
						made++
					}
				}
				if err := db.Check(t.Context(), nil); err != nil {
					t.Fatal(err)
				}
			}
			if err := errors.Join(log.Close(t.Context()), db.Close()); err != nil {
				t.Fatal(err)
			}
		}
		t.Logf("%d changes", made)
	})
}

// TestSumArithmetic: what is added can be taken away in any order, and an order does not matter.
func TestSumArithmetic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) (w [32]byte) {
			for i := range w {
				w[i] = rapid.Byte().Draw(t, "byte")
			}
			return w
		}), 1, 8).Draw(t, "weights")
		var a, b sum
		for i := range all {
			a.add(all[i])
			b.add(all[len(all)-1-i])
		}
		if a != b || readSum(a.append(nil)) != a {
			t.Fatal("the order counts, or a sum does not read back")
		}
		for _, w := range all {
			a.sub(w)
		}
		if a != (sum{}) {
			t.Fatal("something is left")
		}
	})
}

func BenchmarkWeight(b *testing.B) {
	db := &DB{config: withKeys(Config{})}
	mac := make([]byte, 20)
	for b.Loop() {
		db.weight("cases", mac)
	}
}

// TestCallOfAMissingClaim: a call that this process took is not taken again because its claim was deleted.
func TestCallOfAMissingClaim(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		b := newBench(t, e)
		call := audit.Claim{System: "window", JTI: "j-1", Exp: accepted}
		mustChange(t, b, call)
		if n, err := b.db.write.Exec(t.Context(), "DELETE FROM claims"); err != nil || n != 1 {
			t.Fatal(n, err)
		}
		wantError(t, "the call again", b.change(t.Context(), call), audit.ErrReplayed)
		if b.db.Altered() == 0 {
			t.Error("nobody is told")
		}
	})
}

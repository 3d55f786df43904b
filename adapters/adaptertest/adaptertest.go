// Package adaptertest is the conformance test suite of adapters. It knows nothing of how an adapter reaches its legacy
// system; the adapter's test sets one up for real (a database, an HTTP server, files) and says how to break it.
package adaptertest

import (
	"context"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	"oncegate/license"
)

// A Source is what the gateway calls.
type Source interface {
	// Find answers the request's questions in their order, one finding each. It fails only when the whole call could not be made,
	// or ctx ended.
	Find(ctx context.Context, r license.Request) ([]license.Finding, error)
	// Close releases everything; no goroutine is left.
	Close() error
}

// A Subject is an adapter with a legacy system behind it that holds Rows, mapped by Record.
type Subject struct {
	// Open opens a new source; the suite closes it.
	Open func(t *testing.T) Source
	// Bad: the system holds BadRow too. An adapter that refuses a whole delivery for one bad row leaves it out.
	Bad bool
	// Break makes the system fail, and mend ends that.
	Break func(t *testing.T) (mend func())
	// Hang makes the system accept questions and never answer, until release. Nil for an adapter that never waits.
	Hang func(t *testing.T) (release func())
}

// Run runs the suite.
func Run(t *testing.T, s Subject) {
	for name, test := range map[string]func(*testing.T, Subject){
		"answers": testAnswers, "order": testOrder, "not found": testNotFound, "bad record": testBad, "number": testNumber,
		"refused": testRefused, "hostile": testHostile, "down": testDown, "cancelled": testCancelled, "hang": testHang,
		"concurrent": testConcurrent, "closed": testClosed,
	} {
		t.Run(name, func(t *testing.T) {
			before := goleak.IgnoreCurrent()
			t.Run("", func(t *testing.T) { test(t, s) }) // its clean-up closes the source
			goleak.VerifyNone(t, before)
		})
	}
}

func ask(person int) license.Question {
	return license.Question{Type: Type, Holder: Person(person).HolderID}
}

// want returns the finding that a question deserves, without source and time.
func want(q license.Question) license.Finding {
	f := license.Finding{State: license.IsNotFound}
	if q.Holder == Person(unlucky).HolderID {
		return license.Finding{State: license.IsUnavailable}
	}
	for _, l := range Licenses() {
		for _, h := range l.Holders {
			if h.HolderID == q.Holder && (q.Number == "" || q.Number == l.Number) {
				f.State, f.Records = license.IsFound, append(f.Records, l)
			}
		}
	}
	return f
}

var onlyContent = []cmp.Option{
	cmpopts.IgnoreFields(license.Finding{}, "AsOf", "Source", "Err"),
	cmpopts.EquateEmpty(),
	cmpopts.SortSlices(func(a, b license.License) bool { return a.Number < b.Number }),
}

// patience ends a test whose system was not mended.
const patience = 30 * time.Second

// check asks and compares; it returns the findings for further looks.
func check(t *testing.T, src Source, questions ...license.Question) []license.Finding {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	findings, err := src.Find(ctx, license.Request{Questions: questions})
	if err != nil {
		t.Errorf("Find: %v", err)
		return nil
	}
	if len(findings) != len(questions) {
		t.Errorf("%d findings for %d questions", len(findings), len(questions))
		return nil
	}
	for i, f := range findings {
		sound(t, f)
		if diff := cmp.Diff(want(questions[i]), f, onlyContent...); diff != "" {
			t.Errorf("question %d: finding differs (-want +got):\n%s\nerror: %v", i, diff, f.Err)
		}
	}
	return findings
}

// sound checks what holds for every finding.
func sound(t *testing.T, f license.Finding) {
	t.Helper()
	if (f.State == license.IsFound) != (len(f.Records) > 0) {
		t.Errorf("state %q with %d records", f.State, len(f.Records))
	}
	if (f.State == license.IsUnavailable) != (f.Err != nil) {
		t.Errorf("state %q with error %v", f.State, f.Err)
	}
	if f.State != license.IsUnavailable && (f.AsOf.IsZero() || f.AsOf.After(time.Now().Add(time.Minute))) {
		t.Errorf("as of %v", f.AsOf)
	}
	discreet(t, f.Err)
}

// discreet refuses personal data in an error.
func discreet(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	for i := range everyone {
		p := Person(i)
		if strings.Contains(err.Error(), p.Code) || strings.Contains(err.Error(), p.Name) || strings.Contains(err.Error(), "不动产权第") {
			t.Errorf("the error repeats personal data: %v", err)
		}
	}
}

// shuffled returns n questions about everybody, some more than once.
func shuffled(n int, bad bool, seed uint64) []license.Question {
	r := rand.New(rand.NewPCG(seed, 1))
	all := make([]license.Question, 0, n)
	for len(all) < n {
		if p := r.IntN(everyone); bad || p != unlucky {
			all = append(all, ask(p))
		}
	}
	return all
}

package adaptertest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"oncegate/adapters/mapping"
	"oncegate/license"
)

func testAnswers(t *testing.T, s Subject) {
	src := open(t, s)
	for i := range unlucky {
		check(t, src, ask(i))
	}
	if findings, err := src.Find(t.Context(), license.Request{}); err != nil || len(findings) != 0 {
		t.Errorf("no question: %d findings, %v", len(findings), err)
	}
	spaced := ask(0)
	spaced.Holder.Code = strings.ToLower(spaced.Holder.Code[:6] + " " + spaced.Holder.Code[6:])
	findings, err := src.Find(t.Context(), license.Request{Questions: []license.Question{spaced}})
	if err != nil || findings[0].State != license.IsFound {
		t.Errorf("a code in another writing is not found: %v %v", findings, err)
	}
}

func testOrder(t *testing.T, s Subject) {
	src := open(t, s)
	for seed := range uint64(4) {
		check(t, src, shuffled(60, s.Bad, seed)...)
	}
}

func testNotFound(t *testing.T, s Subject) {
	f := check(t, open(t, s), ask(nobody))
	if len(f) == 1 && f[0].State != license.IsNotFound {
		t.Errorf("state %q, error %v; want not-found", f[0].State, f[0].Err)
	}
}

// testBad: one record that cannot be mapped makes its own finding unavailable and no other.
func testBad(t *testing.T, s Subject) {
	if !s.Bad {
		return // the adapter's own test shows that the delivery is refused whole
	}
	check(t, open(t, s), ask(0), ask(unlucky), ask(nobody), ask(unlucky), ask(husband))
}

func testNumber(t *testing.T, s Subject) {
	src := open(t, s)
	for _, l := range Licenses() {
		q := license.Question{Type: Type, Holder: l.Holders[0].HolderID, Number: l.Number}
		check(t, src, q)
		q.Holder = Person(nobody).HolderID
		f := one(t, src, q)
		if f.State == license.IsFound {
			t.Errorf("a license was given for somebody who does not hold it")
		}
	}
	other := ask(0)
	other.Number = "no such number"
	check(t, src, other)
}

// testRefused: what the source cannot be asked is unavailable, with an error that says so.
func testRefused(t *testing.T, s Subject) {
	src := open(t, s)
	unknown := ask(0)
	unknown.Type = "fishing-license"
	passport := ask(0)
	passport.Holder.Type = "414"
	empty := license.Question{Type: Type}
	findings, err := src.Find(t.Context(), license.Request{Questions: []license.Question{unknown, ask(1), passport, empty, ask(nobody)}})
	if err != nil {
		t.Fatalf("Find: %v", err)
	}
	for i, target := range map[int]error{0: mapping.ErrUnknownType, 2: mapping.ErrCannotAsk, 3: mapping.ErrCannotAsk} {
		if sound(t, findings[i]); !errors.Is(findings[i].Err, target) {
			t.Errorf("question %d: error %v, want %v", i, findings[i].Err, target)
		}
	}
	if findings[1].State != license.IsFound || findings[4].State != license.IsNotFound {
		t.Errorf("the neighbours of refused questions: %q and %q", findings[1].State, findings[4].State)
	}
}

// testHostile: codes that would be syntax elsewhere find nobody and break nothing.
func testHostile(t *testing.T, s Subject) {
	src := open(t, s)
	code := Person(0).Code
	for _, hostile := range []string{
		"' OR '1'='1", code + "' --", "%", "_%", "*", "..", ".", "../" + code, code + "/..", "%2e%2e", code + "?a=b", code + "#", code + "&id_no=" + Person(1).Code,
		`"}],"x":[{"`, "\\", "{holder_code}", "{number}", ":number", "$1", "?", "\x00", "a\r\nX-Y: z", "\xff\xfe", "\ufffd", strings.Repeat("9", 10_000), "，", ";",
	} {
		byCode, byNumber := ask(0), ask(nobody)
		byCode.Holder.Code = hostile
		byNumber.Number = hostile
		for _, q := range []license.Question{byCode, byNumber} {
			if f := one(t, src, q); f.State == license.IsFound {
				t.Errorf("%.20q found %d licenses", hostile, len(f.Records))
			}
		}
	}
	check(t, src, ask(0), ask(nobody))
}

// testDown: a system that fails says nothing about anybody's license.
func testDown(t *testing.T, s Subject) {
	src := open(t, s)
	check(t, src, ask(0))
	mend := s.Break(t)
	findings, err := src.Find(t.Context(), license.Request{Questions: []license.Question{ask(0), ask(nobody), ask(husband)}})
	discreet(t, err)
	if err == nil && len(findings) != 3 {
		t.Errorf("%d findings for 3 questions", len(findings))
	}
	for i, f := range findings {
		if sound(t, f); f.State != license.IsUnavailable {
			t.Errorf("question %d while the system fails: %q", i, f.State)
		}
	}
	mend()
	check(t, src, ask(0), ask(nobody))
}

func testCancelled(t *testing.T, s Subject) {
	src := open(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	findings, err := src.Find(ctx, license.Request{Questions: []license.Question{ask(0), ask(nobody)}})
	if !errors.Is(err, context.Canceled) || findings != nil {
		t.Errorf("cancelled before: %d findings, %v", len(findings), err)
	}
	check(t, src, ask(0))
}

func testHang(t *testing.T, s Subject) {
	if s.Hang == nil {
		return
	}
	src := open(t, s)
	release := s.Hang(t)
	ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err := src.Find(ctx, license.Request{Questions: shuffled(10, s.Bad, 7)})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a system that hangs: %v", err)
	}
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("returned %v after a deadline of 150ms", took)
	}
	discreet(t, err)
	release()
	check(t, src, ask(0))
}

func testConcurrent(t *testing.T, s Subject) {
	src := open(t, s)
	var wg sync.WaitGroup
	for worker := range uint64(8) {
		wg.Go(func() {
			for round := range uint64(5) {
				check(t, src, shuffled(12, s.Bad, worker*10+round)...)
			}
		})
	}
	wg.Wait()
}

func testClosed(t *testing.T, s Subject) {
	src := open(t, s)
	check(t, src, ask(0))
	if err := src.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	findings, err := src.Find(t.Context(), license.Request{Questions: []license.Question{ask(nobody)}})
	if err == nil {
		t.Errorf("Find after Close: %v", findings)
	}
	if err := src.Close(); err != nil {
		t.Errorf("Close again: %v", err)
	}
}

// open opens a source that is closed before the suite looks for goroutines.
func open(t *testing.T, s Subject) Source {
	t.Helper()
	src := s.Open(t)
	t.Cleanup(func() { src.Close() })
	return src
}

// one asks one question that may be refused.
func one(t *testing.T, src Source, q license.Question) license.Finding {
	t.Helper()
	findings, err := src.Find(t.Context(), license.Request{Questions: []license.Question{q}})
	if err != nil || len(findings) != 1 {
		t.Fatalf("Find: %d findings, %v", len(findings), err)
	}
	sound(t, findings[0])
	return findings[0]
}

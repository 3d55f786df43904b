package sm_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"testing"

	"oncegate/certs/certstest"
	"oncegate/certs/sm"
	"oncegate/check"
)

// A budget makes so many checks and no more; a question that it has answered costs nothing, wherever its bytes lie.
func TestBudget(t *testing.T) {
	w := certstest.New(t, "budget")
	signer := w.Signer("a")
	sign := func(message string) (m, rs []byte) {
		rs, err := signer.Sign(t.Context(), []byte(message))
		if err != nil {
			t.Fatal(err)
		}
		return []byte(message), rs
	}
	asked := 0
	b := sm.NewBudget(3, 8<<10, func(pub *ecdsa.PublicKey, m, rs []byte) error { asked++; return sm.Verify(pub, m, rs) })
	ctx, hangUp := context.WithCancel(t.Context())
	verify := b.Within(ctx)
	m, rs := sign("message")
	for range 3 {
		if err := errors.Join(verify(signer.Public(), m, rs), verify(signer.Public(), bytes.Clone(m), bytes.Clone(rs))); err != nil {
			t.Fatal(err)
		}
	}
	if err := verify(w.Signer("b").Public(), m, rs); !errors.Is(err, sm.ErrBadSignature) || check.Undecided(err) {
		t.Error(err)
	}
	for range 2 {
		if err := verify(signer.Public(), []byte("other"), rs); !errors.Is(err, sm.ErrBadSignature) {
			t.Error(err)
		}
	}
	if asked != 3 || b.Made() != 3 {
		t.Fatalf("%d checks, counted %d, of three questions", asked, b.Made())
	}
	more, its := sign("more")
	if err := verify(signer.Public(), more, its); !errors.Is(err, sm.ErrBudget) || !check.Undecided(err) {
		t.Errorf("a fourth question: %v", err)
	}
	b.Allow(1, 0)
	if err := verify(signer.Public(), more, its); err != nil {
		t.Errorf("one more is allowed: %v", err)
	}
	b.Allow(0, 0)
	if last, its := sign("last"); !errors.Is(verify(signer.Public(), last, its), sm.ErrBudget) {
		t.Error("and no other")
	}
	if err := verify(signer.Public(), m, rs); err != nil {
		t.Errorf("what was answered is answered still: %v", err)
	}
	for name, bad := range map[string]error{
		"no message": verify(signer.Public(), nil, rs), "short": verify(signer.Public(), m, rs[1:]), "no key": verify(nil, m, rs),
	} {
		if bad == nil || check.Undecided(bad) {
			t.Errorf("%s: %v", name, bad)
		}
	}
	hangUp()
	if err := verify(signer.Public(), m, rs); !errors.Is(err, context.Canceled) || !check.Undecided(fmt.Errorf("x: %w", err)) {
		t.Errorf("after the caller has hung up: %v", err)
	}
	if asked != 4 {
		t.Errorf("%d checks", asked)
	}
}

// Long messages have an allowance of their own: the second verifier digests them at 60 MB/s.
func TestBudgetBytes(t *testing.T) {
	w := certstest.New(t, "budget")
	signer := w.Signer("a")
	b := sm.NewBudget(64, 100<<10, nil)
	verify := b.Within(t.Context())
	message := func(n int) ([]byte, []byte) {
		m := bytes.Repeat([]byte{'x'}, n)
		rs, err := signer.Sign(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		return m, rs
	}
	long, rs := message(80 << 10)
	for range 10 {
		if err := verify(signer.Public(), long, rs); err != nil {
			t.Fatal(err)
		}
	}
	other, its := message(90 << 10)
	if err := verify(signer.Public(), other, its); !errors.Is(err, sm.ErrBudget) {
		t.Errorf("%v", err)
	}
	short, its := message(4 << 10)
	if err := verify(signer.Public(), short, its); err != nil {
		t.Error(err)
	}
}

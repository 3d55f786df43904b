package register_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"oncegate/license"
	"oncegate/register"
)

func TestFirstVersion(t *testing.T) {
	b := newBench(t)
	l := company(t, 1)
	s, changes, err := b.Current(t.Context(), l, noon)
	if err != nil || !s.New || len(changes) != 2 {
		t.Fatalf("current: %d changes, %v", len(changes), err)
	}
	if issue, ok := changes[0].(register.Issue); !ok || cmp.Diff(s.Version, issue.Version) != "" {
		t.Errorf("changes are %+v", changes)
	}
	v := s.Version
	id, err := license.ParseIdentifier(v.Identifier)
	if err != nil || id.TypeCode() != typeCode || id.Issuer() != market || id.Version() != 1 || id.Serial() != v.Serial || len(v.Serial) != 20 {
		t.Errorf("identifier %s, serial %s: %v", v.Identifier, v.Serial, err)
	}
	if v.Status != license.Valid || v.Slot < 0 || v.Slot >= 4096 || v.KeyID != "key-1" || !v.Signed.Equal(noon) {
		t.Errorf("version is %+v", v)
	}
	if v.Subject == v.Content || v.Subject == [32]byte{} {
		t.Error("subject or content is no keyed digest")
	}
	nothing, err := s.Present(nil)
	if err != nil {
		t.Fatal(err)
	}
	o := b.issuer.verify(t, nothing)
	want := map[string]any{
		"iss": market, "id": v.Identifier, "ver": 1.0, "type": "business-license",
		"iat":    float64(v.Signed.Unix()),
		"nbf":    float64(time.Date(2020, 1, 2, 0, 0, 0, 0, license.Shanghai()).Unix()),
		"exp":    float64(time.Date(2030, 1, 2, 0, 0, 0, 0, license.Shanghai()).Unix()),
		"status": map[string]any{"status_list": map[string]any{"idx": float64(v.Slot), "uri": "https://gateway.example/status-lists/1"}},
	}
	if diff := cmp.Diff(want, o.open); diff != "" {
		t.Errorf("always disclosed (-want +got):\n%s", diff)
	}
	if len(o.claims) != 0 || !slices.IsSorted(o.digests) {
		t.Errorf("claims %v, digests %v", o.claims, o.digests)
	}
	for _, secret := range []string{l.Number, l.Holders[0].Code, l.Holders[0].Name, "100000.00", "food"} {
		if strings.Contains(o.text, secret) || strings.Contains(fmt.Sprintf("%+v", v), secret) {
			t.Errorf("%q stands in what is kept", secret)
		}
	}
}

// TestSameContent releases again and again: one version, one signature, the same disclosures from the record alone, also
// after a restart.
func TestSameContent(t *testing.T) {
	b := newBench(t)
	first := b.release(t, company(t, 1), noon)
	fields := []string{"number", "holder_code", "scope"}
	want, err := first.Select(fields, []int{0})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		b.open(t)
		s, changes, err := b.Current(t.Context(), company(t, 1), noon.Add(time.Hour))
		if err != nil || s.New || len(changes) != 0 {
			t.Fatalf("again: new %v, changes %v, %v", s.New, changes, err)
		}
		if got, _ := s.Select(fields, []int{0}); got != want {
			t.Errorf("presented %s, want %s", got, want)
		}
	}
	if n := b.issuer.signed.Load(); n != 1 {
		t.Errorf("signed %d times", n)
	}
	o := b.issuer.verify(t, want)
	if diff := cmp.Diff(map[string]string{"number": "BL-1", "holder_code.0": company(t, 1).Holders[0].Code, "scope": "food"}, o.claims); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
}

func TestNextVersion(t *testing.T) {
	b := newBench(t)
	first := b.release(t, company(t, 1), noon).Version
	changed := company(t, 1)
	changed.Fields["scope"] = "food and drinks"
	second := b.release(t, changed, noon.Add(time.Hour)).Version
	if second.Number != 2 || second.Serial != first.Serial || second.Subject != first.Subject || second.Content == first.Content ||
		second.Identifier == first.Identifier || second.Slot == first.Slot {
		t.Errorf("second version is %+v after %+v", second, first)
	}
	if id, err := license.ParseIdentifier(second.Identifier); err != nil || id.Version() != 2 {
		t.Errorf("identifier %s: %v", second.Identifier, err)
	}
	if old, err := b.Version(t.Context(), first.Identifier); err != nil || old.Status != license.Superseded {
		t.Errorf("first version is %s, %v", old.Status, err)
	}
	back := b.release(t, company(t, 1), noon.Add(2*time.Hour)).Version
	if back.Number != 3 || back.Content != first.Content {
		t.Errorf("the old content again is version %d", back.Number)
	}
	other := b.release(t, company(t, 2), noon).Version
	if other.Subject == first.Subject || other.Serial == first.Serial || other.Number != 1 {
		t.Errorf("another license is %+v", other)
	}
	_, err := b.Version(t.Context(), "1.2.3")
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("unknown identifier: %v", err)
	}
}

// TestEveryFieldIsContent changes each part of what is disclosed; each makes a new version.
func TestEveryFieldIsContent(t *testing.T) {
	for name, change := range map[string]func(*license.License, *license.Catalogue){
		"issuer name": func(l *license.License, _ *license.Catalogue) { l.Issuer.Name += "局" },
		"level":       func(l *license.License, _ *license.Catalogue) { l.Issuer.Level = "4" },
		"issued":      func(l *license.License, _ *license.Catalogue) { l.Issued = "2020-01-01" },
		"from":        func(l *license.License, _ *license.Catalogue) { l.ValidFrom = "" },
		"to":          func(l *license.License, _ *license.Catalogue) { l.ValidTo = "" },
		"holder":      func(l *license.License, _ *license.Catalogue) { l.Holders[0].Name += "店" },
		"field gone":  func(l *license.License, _ *license.Catalogue) { delete(l.Fields, "scope") },
		"type name":   func(_ *license.License, c *license.Catalogue) { c.Types[0].Name += "(副本)" },
	} {
		b := newBench(t)
		b.release(t, company(t, 1), noon)
		l := company(t, 1)
		change(&l, b.config.Catalogue)
		s := b.release(t, l, noon.Add(time.Hour))
		if s.Version.Number != 2 {
			t.Errorf("%s: version %d, want 2", name, s.Version.Number)
		}
		all, err := s.Select(b.config.Catalogue.Types[0].Grantable(), []int{0})
		if err != nil {
			t.Fatal(err)
		}
		b.issuer.verify(t, all)
	}
}

func TestStatus(t *testing.T) {
	b := newBench(t)
	v := b.release(t, company(t, 1), noon).Version
	at := noon
	for _, to := range []license.Status{license.Suspended, license.Valid, license.Revoked, license.Expired} {
		at = at.Add(time.Hour)
		l := company(t, 1)
		l.Status = to
		s, changes, err := b.Current(t.Context(), l, at)
		want := []any{register.SetStatus{Identifier: v.Identifier, From: v.Status, To: to, At: at}}
		if err != nil || s.New || s.Version.Status != to || cmp.Diff(want, changes) != "" {
			t.Fatalf("to %s: %+v, %+v, %v", to, s.Version, changes, err)
		}
		if err := b.storage.Commit(t.Context(), changes...); err != nil {
			t.Fatal(err)
		}
		v = s.Version
	}
	if v.Number != 1 || b.issuer.signed.Load() != 1 {
		t.Errorf("a status made version %d", v.Number)
	}
	both := company(t, 1)
	both.Fields["scope"], both.Status = "drinks", license.Suspended
	if s := b.release(t, both, at.Add(time.Hour)); s.Version.Number != 2 || s.Version.Status != license.Suspended {
		t.Errorf("content and status changed: %+v", s.Version)
	}
}

func TestObserve(t *testing.T) {
	b := newBench(t)
	revoked := company(t, 1)
	revoked.Status = license.Revoked
	if changes, err := b.Observe(t.Context(), revoked, noon); err != nil || len(changes) != 0 {
		t.Errorf("never signed: %v, %v", changes, err)
	}
	b.release(t, company(t, 1), noon)
	changes, err := b.Observe(t.Context(), revoked, noon.Add(time.Hour))
	if err != nil || len(changes) != 1 {
		t.Fatalf("revoked: %v, %v", changes, err)
	}
	if err := b.storage.Commit(t.Context(), changes...); err != nil {
		t.Fatal(err)
	}
	for name, asOf := range map[string]time.Time{"again": noon.Add(2 * time.Hour), "older news": noon} {
		l := revoked
		if name == "older news" {
			l.Status = license.Valid
		}
		if changes, err := b.Observe(t.Context(), l, asOf); err != nil || len(changes) != 0 {
			t.Errorf("%s: %v, %v", name, changes, err)
		}
	}
	revoked.Status = "01"
	if _, err := b.Observe(t.Context(), revoked, noon.Add(3*time.Hour)); !errors.Is(err, register.ErrFaulty) {
		t.Errorf("status of another list: %v", err)
	}
}

// TestStaleRecord brings a record from before what is known: it neither revives a license nor becomes a version.
func TestStaleRecord(t *testing.T) {
	b := newBench(t)
	b.release(t, company(t, 1), noon)
	revoked := company(t, 1)
	revoked.Status = license.Revoked
	b.release(t, revoked, noon.Add(time.Hour))

	s, changes, err := b.Current(t.Context(), company(t, 1), noon.Add(time.Minute))
	if err != nil || len(changes) != 0 || s.Version.Status != license.Revoked {
		t.Errorf("stale copy of a revoked license: %s, %v, %v", s.Version.Status, changes, err)
	}
	other := company(t, 1)
	other.Fields["scope"] = "older"
	_, _, err = b.Current(t.Context(), other, noon.Add(time.Minute))
	if !errors.Is(err, register.ErrOutdated) || !errors.Is(err, register.ErrFaulty) {
		t.Errorf("stale copy with other content: %v", err)
	}
	if b.issuer.signed.Load() != 1 {
		t.Error("a stale copy was signed")
	}
}

func TestCannotSign(t *testing.T) {
	b := newBench(t)
	unsigned, err := license.MakeUSCC("11110000000013338")
	if err != nil {
		t.Fatal(err)
	}
	b.config.Catalogue.Types[0].Issuers[1] = unsigned
	with := func(change func(*license.License)) license.License {
		l := company(t, 1)
		change(&l)
		return l
	}
	for name, test := range map[string]struct {
		license license.License
		want    error
	}{
		"no signer":        {with(func(l *license.License) { l.Issuer.Code = unsigned }), register.ErrNoSigner},
		"another body":     {with(func(l *license.License) { l.Issuer.Code = l.Holders[0].Code }), register.ErrFaulty},
		"unknown type":     {with(func(l *license.License) { l.Type = "x" }), register.ErrFaulty},
		"check character":  {with(func(l *license.License) { l.Holders[0].Code = l.Holders[0].Code[:17] + "#" }), register.ErrFaulty},
		"no number":        {with(func(l *license.License) { l.Number = "" }), register.ErrFaulty},
		"no holder":        {with(func(l *license.License) { l.Holders = nil }), register.ErrFaulty},
		"unknown field":    {with(func(l *license.License) { l.Fields["x"] = "y" }), register.ErrFaulty},
		"impossible date":  {with(func(l *license.License) { l.ValidTo = "2030-02-30" }), register.ErrFaulty},
		"foreign status":   {with(func(l *license.License) { l.Status = "01" }), register.ErrFaulty},
		"text not UTF-8":   {with(func(l *license.License) { l.Fields["scope"] = "\xff" }), register.ErrFaulty},
		"number not UTF-8": {with(func(l *license.License) { l.Number = "\xff" }), register.ErrFaulty},
	} {
		_, changes, err := b.Current(t.Context(), test.license, noon)
		if !errors.Is(err, test.want) || changes != nil {
			t.Errorf("%s: %v, %v, want %v", name, changes, err, test.want)
		}
		if err != nil && strings.Contains(err.Error(), test.license.Number) && test.license.Number != "" {
			t.Errorf("%s: the error names the license: %v", name, err)
		}
	}
	b.issuer.fail = errors.New("the key store is away")
	if _, _, err := b.Current(t.Context(), company(t, 1), noon); !errors.Is(err, b.issuer.fail) {
		t.Errorf("failing signer: %v", err)
	}
	b.issuer.fail = nil
	b.release(t, company(t, 1), noon) // a failure is not remembered
}

// TestLastDay: what strict validation accepts can be signed, up to the last day that a date can say.
func TestLastDay(t *testing.T) {
	b := newBench(t)
	l := company(t, 1)
	l.ValidTo = "9999-12-31"
	if _, err := license.Validate(b.config.Catalogue, l, license.Strict); err != nil {
		t.Fatal(err)
	}
	s := b.release(t, l, noon)
	all, err := s.Select(b.config.Catalogue.Types[0].Grantable(), []int{0})
	if err != nil {
		t.Fatal(err)
	}
	b.issuer.verify(t, all)
	_, payload, _ := strings.Cut(all, ".")
	payload, _, _ = strings.Cut(payload, ".")
	open, err := base64.RawURLEncoding.DecodeString(payload)
	if want := `"exp":253402272000,`; err != nil || !strings.Contains(string(open), want) { // 9999-12-31T16:00:00Z
		t.Errorf("%s does not hold %s: %v", open, want, err)
	}
}

func TestRetiredKey(t *testing.T) {
	b := newBench(t)
	b.release(t, company(t, 1), noon)
	retired := true
	b.config.Retired = func(id string) bool { return retired && id == "key-1" }
	b.open(t)
	if s := b.release(t, company(t, 1), noon.Add(time.Hour)); s.Version.Number != 2 {
		t.Errorf("version %d, want 2", s.Version.Number)
	}
	retired = false
	if s := b.release(t, company(t, 1), noon.Add(2*time.Hour)); s.Version.Number != 2 {
		t.Errorf("version %d, want 2 still", s.Version.Number)
	}
}

// TestManyAtOnce has 64 callers ask for one new license at one moment: it is signed once, and all get the same version.
func TestManyAtOnce(t *testing.T) {
	b := newBench(t)
	for round, scope := range []string{"food", "drinks"} {
		b.issuer.gate = make(chan struct{})
		const callers = 64
		got := make([]register.Version, callers)
		var group, started sync.WaitGroup
		started.Add(callers)
		for i := range callers {
			group.Go(func() {
				l := company(t, 1)
				l.Fields["scope"] = scope
				started.Done()
				got[i] = b.release(t, l, noon.Add(time.Duration(round)*time.Hour)).Version
			})
		}
		started.Wait()
		close(b.issuer.gate)
		group.Wait()
		for i := range got {
			if diff := cmp.Diff(got[0], got[i]); diff != "" {
				t.Fatalf("caller %d has another version (-first +it):\n%s", i, diff)
			}
		}
		if n := b.issuer.signed.Load(); n != int64(round+1) {
			t.Errorf("signed %d times in %d rounds", n, round+1)
		}
		if n := len(b.storage.versions); n != round+1 {
			t.Errorf("%d versions stand", n)
		}
	}
}

// TestNodes has several registers over one storage sign the same new licenses: they converge.
func TestNodes(t *testing.T) {
	b := newBench(t)
	var group sync.WaitGroup
	for range 4 {
		node, err := register.New(b.config)
		if err != nil {
			t.Fatal(err)
		}
		mine := *b
		mine.Register = node
		group.Go(func() {
			for n := range 40 {
				mine.release(t, company(t, n%10), noon)
			}
		})
	}
	group.Wait()
	if n := len(b.storage.versions); n != 10 {
		t.Errorf("%d versions of 10 licenses", n)
	}
}

// TestWaiterGivesUp has a caller end while another signs: only that one ends.
func TestWaiterGivesUp(t *testing.T) {
	b := newBench(t)
	b.issuer.gate = make(chan struct{})
	first, cancelFirst := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, _, err := b.Current(first, company(t, 1), noon)
		done <- err
	}()
	// Whoever comes second waits for the signature, or signs itself; either way the gate holds it.
	second, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	cancelFirst() // does not end the signing that others share
	go func() { <-second.Done(); close(b.issuer.gate) }()
	if _, _, err := b.Current(second, company(t, 1), noon); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waiter: %v", err)
	}
	if err := <-done; err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("signer: %v", err)
	}
	b.release(t, company(t, 1), noon)
}

// TestRefusedForAnotherReason keeps a signed version for the next caller, until its slot is lost.
func TestRefusedForAnotherReason(t *testing.T) {
	b := newBench(t)
	b.config.ListSize = 1
	b.open(t)
	first, _, err := b.Current(t.Context(), company(t, 1), noon)
	if err != nil {
		t.Fatal(err)
	}
	again, _, err := b.Current(t.Context(), company(t, 1), noon)
	if err != nil || cmp.Diff(first.Version, again.Version) != "" || b.issuer.signed.Load() != 1 {
		t.Errorf("not committed, asked again: %+v, %v", again.Version, err)
	}
	other := b.release(t, company(t, 2), noon) // takes the one slot
	if other.Version.Slot != first.Version.Slot || other.Version.List != first.Version.List {
		t.Fatalf("the other license has slot %s/%d", other.Version.List, other.Version.Slot)
	}
	if last := b.release(t, company(t, 1), noon); last.Version.List != "2" || last.Version.Number != 1 {
		t.Errorf("after its slot was lost: %+v", last.Version)
	}
}

package register_test

import (
	"bytes"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"oncegate/license"
	"oncegate/register"
)

func question(l license.License) license.Question {
	return license.Question{Type: l.Type, Holder: l.Holders[0].HolderID}
}

func found(asOf time.Time, records ...license.License) license.Finding {
	return license.Finding{State: license.IsFound, Records: records, AsOf: asOf, Source: "market-db"}
}

// keep commits a copy.
func (b *bench) keep(t *testing.T, q license.Question, f license.Finding, longest time.Duration) {
	t.Helper()
	changes, err := b.KeepCopy(t.Context(), q, f, longest)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.storage.Commit(t.Context(), changes...); err != nil {
		t.Fatal(err)
	}
}

func TestKeptCopy(t *testing.T) {
	b := newBench(t)
	now := noon
	b.config.Now = func() time.Time { return now }
	b.open(t)
	l, second := company(t, 1), company(t, 2)
	q := question(l)
	b.keep(t, q, found(noon, l, second), 24*time.Hour)

	for _, s := range b.storage.copies {
		for _, secret := range []string{l.Holders[0].Code, l.Number, "示例食品店"} {
			if bytes.Contains(s.Sealed, []byte(secret)) {
				t.Errorf("%q is kept in plain form", secret)
			}
		}
	}
	want := found(noon, l, second)
	want.Stale = true
	spaced := q
	spaced.Holder.Code = strings.ToLower(q.Holder.Code[:9]) + " " + q.Holder.Code[9:]
	for name, ask := range map[string]license.Question{"the question": q, "as written otherwise": spaced} {
		got, err := b.LastCopy(t.Context(), ask, time.Hour)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
	numbered := q
	numbered.Number = second.Number
	if got, err := b.LastCopy(t.Context(), numbered, time.Hour); err != nil || len(got.Records) != 1 || got.Records[0].Number != second.Number {
		t.Errorf("one number: %+v, %v", got, err)
	}
	numbered.Number = "none"
	if got, err := b.LastCopy(t.Context(), numbered, time.Hour); err != nil || got.State != license.IsNotFound || len(got.Records) != 0 {
		t.Errorf("a number that is not there: %+v, %v", got, err)
	}

	other := q
	other.Type = "id-card"
	now = noon.Add(2 * time.Hour)
	for name, ask := range map[string]struct {
		q   license.Question
		max time.Duration
	}{"older than allowed": {q, time.Hour}, "no age allowed": {q, 0}, "another type": {other, 24 * time.Hour}, "another holder": {question(second), 24 * time.Hour}} {
		if _, err := b.LastCopy(t.Context(), ask.q, ask.max); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
	now = noon.Add(24 * time.Hour)
	if _, err := b.LastCopy(t.Context(), q, 48*time.Hour); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after the longest age: %v", err)
	}
	if err := b.Purge(t.Context()); err != nil || len(b.storage.copies) != 0 {
		t.Errorf("%d copies after the purge, %v", len(b.storage.copies), err)
	}
}

func TestCopiesOfOneNumber(t *testing.T) {
	b := newBench(t)
	l, second := company(t, 1), company(t, 2)
	q := question(l)
	numbered := q
	numbered.Number = l.Number
	b.keep(t, q, found(noon.Add(-time.Minute), l, second), time.Hour)
	b.keep(t, numbered, found(noon, l), time.Hour) // must not hide the second license
	if got, err := b.LastCopy(t.Context(), q, time.Hour); err != nil || len(got.Records) != 2 {
		t.Errorf("all: %+v, %v", got, err)
	}
	if got, err := b.LastCopy(t.Context(), numbered, time.Hour); err != nil || len(got.Records) != 1 || !got.AsOf.Equal(noon) {
		t.Errorf("one number: %+v, %v", got, err)
	}
}

func TestWhatIsNotKept(t *testing.T) {
	b := newBench(t)
	l := company(t, 1)
	stale := found(noon, l)
	stale.Stale = true
	for name, test := range map[string]struct {
		finding license.Finding
		longest time.Duration
	}{
		"no grant allows an age": {found(noon, l), 0},
		"stale":                  {stale, time.Hour},
		"unavailable":            {license.Finding{State: license.IsUnavailable, AsOf: noon}, time.Hour},
	} {
		if changes, err := b.KeepCopy(t.Context(), question(l), test.finding, test.longest); err == nil || len(changes) > 0 {
			t.Errorf("%s: %+v, %v", name, changes, err)
		}
	}
	b.keep(t, question(l), found(noon.Add(-time.Hour), l), 24*time.Hour)
	b.keep(t, question(l), license.Finding{State: license.IsNotFound, AsOf: noon}, 24*time.Hour)
	if got, err := b.LastCopy(t.Context(), question(l), 24*time.Hour); err != nil || got.State != license.IsNotFound {
		t.Errorf("a license that is gone came back: %+v, %v", got, err)
	}
}

// TestSwappedCopies puts one holder's copy, or an older one, in another's place.
func TestSwappedCopies(t *testing.T) {
	b := newBench(t)
	first, second := company(t, 1), company(t, 2)
	b.keep(t, question(first), found(noon.Add(-time.Hour), first), 24*time.Hour)
	var older register.Snapshot
	for _, s := range b.storage.copies {
		older = s
	}
	b.keep(t, question(first), found(noon, first), 24*time.Hour)
	b.keep(t, question(second), found(noon, second), 24*time.Hour)
	for key, s := range b.storage.copies {
		s.Sealed = older.Sealed
		b.storage.copies[key] = s
	}
	for _, l := range []license.License{first, second} {
		if got, err := b.LastCopy(t.Context(), question(l), 24*time.Hour); err == nil {
			t.Errorf("a swapped copy was read: %+v", got)
		}
	}
}

func TestConfig(t *testing.T) {
	for name, change := range map[string]func(*register.Config){
		"no storage":   func(c *register.Config) { c.Storage = nil },
		"no issuer":    func(c *register.Config) { c.Issuer = nil },
		"no sealer":    func(c *register.Config) { c.Sealer = nil },
		"no catalogue": func(c *register.Config) { c.Catalogue = nil },
		"no SM3":       func(c *register.Config) { c.NewSM3 = nil },
		"short key":    func(c *register.Config) { c.Key = c.Key[:31] },
		"no URL":       func(c *register.Config) { c.BaseURL = "" },
		"slash":        func(c *register.Config) { c.BaseURL += "/" },
		"list size":    func(c *register.Config) { c.ListSize = 1 << 30 },
	} {
		c := newBench(t).config
		change(&c)
		if _, err := register.New(c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// A copy rests while its source says the same, and for no other reason.
func TestCopyRests(t *testing.T) {
	b := newBench(t)
	l, other := company(t, 1), company(t, 1)
	other.Fields = map[string]string{}
	at := func(seconds int, records ...license.License) license.Finding {
		return found(noon.Add(time.Duration(seconds)*time.Second), records...)
	}
	for i, step := range []struct {
		why     string
		finding license.Finding
		longest time.Duration
		commit  bool
		news    bool
	}{
		{"it is the first", at(0, l), 24 * time.Hour, false, true},
		{"the first was never committed", at(1, l), 24 * time.Hour, true, true},
		{"nothing happened", at(2, l), 24 * time.Hour, true, false},
		{"it may live longer", at(3, l), 48 * time.Hour, true, true},
		{"nothing happened", at(4, l), 48 * time.Hour, true, false},
		{"the source says something else", at(5, other), 48 * time.Hour, true, true},
		{"the source says the old again", at(6, l), 48 * time.Hour, true, true},
		{"it is older", at(5, l), 48 * time.Hour, true, true}, // for the storage to refuse
		{"a minute is over", at(66, l), 48 * time.Hour, true, true},
		{"nothing happened", at(66, l), 48 * time.Hour, true, false},
	} {
		changes, err := b.KeepCopy(t.Context(), question(l), step.finding, step.longest)
		if err != nil || len(changes) > 0 != step.news {
			t.Fatalf("step %d, %s: %d changes, %v", i, step.why, len(changes), err)
		}
		if step.commit {
			if err := b.storage.Commit(t.Context(), changes...); err != nil {
				t.Fatal(err)
			}
		}
	}
}

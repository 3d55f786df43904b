package register_test

import (
	"errors"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"oncegate/license"
	"oncegate/register"
)

func TestSelect(t *testing.T) {
	b := newBench(t)
	l := couple(t)
	s := b.release(t, l, noon)
	for _, test := range []struct {
		name    string
		fields  []string
		holders []int
		want    map[string]string
	}{
		{"nothing granted", nil, []int{0, 1}, map[string]string{}},
		{"common", []string{"number", "issued"}, nil, map[string]string{"number": "M-1", "issued": "2021-05-20"}},
		{"nobody allowed", []string{"holder_name", "birth_date"}, nil, map[string]string{}},
		{"one of two", []string{"holder_name", "birth_date"}, []int{1}, map[string]string{"holder_name.1": "乙示例", "birth_date.1": "1991-02-02"}},
		{"both", []string{"holder_name"}, []int{1, 0}, map[string]string{"holder_name.0": "甲示例", "holder_name.1": "乙示例"}},
		{"no such holder", []string{"holder_name"}, []int{-1, 2}, map[string]string{}},
		{"no such field", []string{"holder", "", "_sd"}, []int{0, 1}, map[string]string{}},
		{"unlimited", []string{"valid_to"}, nil, map[string]string{"valid_to": "长期"}},
	} {
		presented, err := s.Select(test.fields, test.holders)
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		o := b.issuer.verify(t, presented)
		if diff := cmp.Diff(test.want, o.claims); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
		if _, ok := o.open["exp"]; ok {
			t.Errorf("%s: an unlimited license expires", test.name)
		}
	}
	if _, err := s.Present([]string{"holder_name.0", "holder_name.2"}); !errors.Is(err, register.ErrClaim) {
		t.Errorf("a path that is no claim's: %v", err)
	}
}

// TestOnlyGrantedLeaves proves over random grants that exactly what is granted leaves.
func TestOnlyGrantedLeaves(t *testing.T) {
	b := newBench(t)
	s := b.release(t, couple(t), noon)
	fields := b.config.Catalogue.Types[1].Grantable()
	rapid.Check(t, func(rt *rapid.T) {
		granted := rapid.SliceOfDistinct(rapid.SampledFrom(fields), rapid.ID[string]).Draw(rt, "granted")
		holders := rapid.SliceOfDistinct(rapid.IntRange(-1, 3), rapid.ID[int]).Draw(rt, "holders")
		presented, err := s.Select(granted, holders)
		if err != nil {
			rt.Fatal(err)
		}
		want := map[string]string{}
		for _, c := range s.Claims {
			for _, field := range granted {
				for _, holder := range append(holders, -1) {
					if c.Field == field && c.Holder == holder {
						want[c.Path] = c.Value
					}
				}
			}
		}
		if diff := cmp.Diff(want, b.issuer.verify(t, presented).claims); diff != "" {
			rt.Errorf("granted %v to %v (-want +got):\n%s", granted, holders, diff)
		}
	})
}

// TestDecoys compares licenses of one type: the number of digests says nothing of optional fields and of one or two holders.
func TestDecoys(t *testing.T) {
	b := newBench(t)
	count := func(l license.License) int {
		presented, err := b.release(t, l, noon).Present(nil)
		if err != nil {
			t.Fatal(err)
		}
		return len(b.issuer.verify(t, presented).digests)
	}
	full, bare := company(t, 1), company(t, 2)
	bare.Fields, bare.ValidFrom, bare.ValidTo, bare.Issuer.Level = nil, "", "", ""
	if a, b := count(full), count(bare); a != b || a != 8+3*2+2 {
		t.Errorf("full license has %d digests, bare one %d", a, b)
	}
	two, one, three := couple(t), couple(t), couple(t)
	one.Number, one.Holders, one.Fields = "M-2", one.Holders[:1], nil
	three.Number, three.Holders, three.Fields = "M-3", append(three.Holders, three.Holders[0]), nil
	if a, b, c := count(two), count(one), count(three); a != b || c <= a {
		t.Errorf("two holders %d digests, one %d, three %d", a, b, c)
	}
}

func TestSalts(t *testing.T) {
	b := newBench(t)
	s := b.release(t, company(t, 1), noon)
	key := mac(b.config.Key, "oncegate/register/salt/v1")
	salt := mac(key, s.Version.Identifier, "001", "number")
	presented, err := s.Present([]string{"number"})
	if err != nil {
		t.Fatal(err)
	}
	want := s.Version.JWT + "~" + b64([]byte(`["`+b64(salt)+`","number","BL-1"]`)) + "~"
	if presented != want {
		t.Errorf("presented %s, want %s", presented, want)
	}
}

// disclosing counts how often disclosures are made.
type disclosing struct {
	*issuer
	made atomic.Int64
}

func (i *disclosing) Disclose(claims []license.Claim, salt register.Salts) ([]string, error) {
	i.made.Add(1)
	return i.issuer.Disclose(claims, salt)
}

// TestDisclosureCache: what was released lately is not made anew, and another content, version or key never finds it.
func TestDisclosureCache(t *testing.T) {
	b := newBench(t)
	counting := &disclosing{issuer: b.issuer}
	b.config.Issuer = counting
	b.open(t)
	present := func(l license.License, made int64, paths ...string) string {
		t.Helper()
		before := counting.made.Load()
		presented, err := b.release(t, l, noon).Present(paths)
		if err != nil {
			t.Fatal(err)
		}
		if got := counting.made.Load() - before; got != made {
			t.Errorf("disclosures of %v were made %d times, want %d", paths, got, made)
		}
		return presented
	}
	l := company(t, 1)
	first := present(l, 1, "number", "scope")
	if again := present(l, 0, "number", "scope"); again != first {
		t.Errorf("presented %s, then %s", first, again)
	}
	if part := present(l, 0, "scope"); b.issuer.verify(t, part).claims["scope"] != "food" {
		t.Errorf("part of it is %s", part)
	}
	present(l, 1, "number", "capital") // only what was released is kept

	next := company(t, 1)
	next.Fields["scope"] = "drink"
	if o := b.issuer.verify(t, present(next, 1, "number", "scope")); o.claims["scope"] != "drink" || o.claims["number"] != "BL-1" {
		t.Errorf("the next version says %v", o.claims)
	}
	present(l, 1, "scope") // the old content once more is a version of its own

	b.config.Key = []byte("another key of the same 32 bytes")
	b.open(t)
	if other := present(l, 1, "number", "scope"); other == first {
		t.Error("another key gives the same disclosures")
	}
}

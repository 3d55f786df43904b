package register_test

import (
	"bytes"
	"errors"
	"io/fs"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"oncegate/license"
	"oncegate/register"
)

// A signed version has a label from when it is signed until an original would be gone; then it may be kept anew. It names no person.
func TestLabel(t *testing.T) {
	b := newBench(t)
	now := noon
	b.config.Now = func() time.Time { return now }
	b.open(t)
	l := company(t, 1)
	person, err := license.MakeResidentID("11999919900101001")
	if err != nil {
		t.Fatal(err)
	}
	l.Holders = append(l.Holders, license.Holder{HolderID: license.HolderID{Type: "111", Code: person}, Name: "甲一二"})
	s, changes, err := b.Current(t.Context(), l, noon)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Label(t.Context(), s.Version); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before the commit: %v", err)
	}
	if err := b.storage.Commit(t.Context(), changes...); err != nil {
		t.Fatal(err)
	}
	want := register.Label{Number: l.Number, Holders: []register.LabelHolder{
		{Type: "001", Code: license.MaskCode(l.Holders[0].Code), Name: l.Holders[0].Name}, {Type: "111", Code: "1199************" + person[16:], Name: "甲**"},
	}}
	got, err := b.Label(t.Context(), s.Version)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	for _, kept := range b.storage.copies {
		for _, secret := range []string{l.Number, person, "甲", "9111"} {
			if bytes.Contains(kept.Sealed, []byte(secret)) {
				t.Errorf("%q is kept in plain form", secret)
			}
		}
	}
	if again, err := b.KeepLabel(t.Context(), s.Version, l); err != nil || len(again) > 0 {
		t.Errorf("kept twice: %v, %v", again, err)
	}
	if _, err := b.LastCopy(t.Context(), question(l), time.Hour); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a label answers a question: %v", err)
	}

	now = noon.Add(26280 * time.Hour)
	if _, err := b.Label(t.Context(), s.Version); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after its life: %v", err)
	}
	again, err := b.KeepLabel(t.Context(), s.Version, l)
	if err != nil || len(again) != 1 {
		t.Fatalf("kept anew: %v, %v", again, err)
	}
	if err := b.storage.Commit(t.Context(), again...); err != nil {
		t.Fatal(err)
	}
	if got, err = b.Label(t.Context(), s.Version); err != nil || got.Number != want.Number {
		t.Errorf("kept anew: %+v, %v", got, err)
	}
}

// The number of an identity card is the person's code: a list shows neither.
func TestLabelOfPerson(t *testing.T) {
	b := newBench(t)
	person, err := license.MakeResidentID("11999919900101001")
	if err != nil {
		t.Fatal(err)
	}
	l := company(t, 1)
	l.Number, l.Holders = person, []license.Holder{{HolderID: license.HolderID{Type: "111", Code: person}, Name: "甲一二"}}
	v := register.Version{Identifier: "1.2.3", Signed: noon}
	changes, err := b.KeepLabel(t.Context(), v, l)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.storage.Commit(t.Context(), changes...); err != nil {
		t.Fatal(err)
	}
	if got, err := b.Label(t.Context(), v); err != nil || got.Number != license.MaskCode(person) || got.Holders[0].Code != license.MaskCode(person) {
		t.Errorf("%+v, %v", got, err)
	}
}

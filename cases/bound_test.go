package cases_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"oncegate/canonical"
	"oncegate/cases"
	"oncegate/license"
)

// A bound is what audit asks of a change that commits with a record.
type bound interface {
	Bound(commit func(r []byte, v any) (string, error), digest func(data []byte) string) (any, error)
}

// commit stands in for HMAC-SM3: 43 characters that tell r, so that tests see which was used.
func commit(r []byte, v any) (string, error) {
	return strings.Repeat(string('A'+rune(r[0]%26)), 42) + "A", nil
}

func sm3Text(data []byte) string { return strings.Repeat("D", 42) + "A" }

func boundOf(t testing.TB, change bound) []byte {
	t.Helper()
	form, err := change.Bound(commit, sm3Text)
	if err != nil {
		t.Fatalf("bind %T: %v", change, err)
	}
	text, err := canonical.Marshal(form)
	if err != nil {
		t.Fatalf("write the bound form of %T: %v", change, err)
	}
	return text
}

// TestBound compares the bound forms byte by byte: what a record binds can never be written otherwise.
func TestBound(t *testing.T) {
	at := time.Date(2026, 11, 23, 2, 0, 0, 123_000_000, time.UTC)
	flat := couple()
	flat.Parts, flat.Accepted = []cases.Part{{Matter: "A"}, {Matter: "B"}}, at
	given := cases.Consent{
		ID: "k-1", Holder: anna, System: "window", Types: []string{"business-license"}, Expires: at.Add(time.Hour), Evidence: cases.EvidenceHolder, Digest: "d", Given: at,
	}
	for _, c := range []struct {
		change bound
		want   string
	}{
		{cases.Register{Case: flat, R: [32]byte{1}}, `{"accepted":1795399200123000,"attestation":"platform","change":"cases.register","closed":0,"matter":"FLAT","no":"FLAT-2026-0001","parties":"` +
			strings.Repeat("B", 42) + `A","parts":["A","B"],"registered":1795399200000000,"registrar":"acceptance","revision":1}`},
		{cases.AddHandOver{HandOver: cases.HandOver{Case: "c", Digest: strings.Repeat("A", 43), By: "window", At: at}},
			`{"at":1795399200123000,"by_system":"window","case_no":"c","change":"cases.hand_over","digest":"` + strings.Repeat("A", 43) + `"}`},
		{cases.Close{No: "c", Revision: 3, At: at}, `{"change":"cases.close","closed":1795399200123000,"no":"c","revision":4}`},
		{cases.Receive{Received: cases.Received{Case: "c", Matter: "m", Material: "x", How: "uploaded", Digest: "d", By: "window", At: at}},
			`{"at":1795399200123000,"by_system":"window","case_no":"c","change":"cases.receive","digest":"d","how":"uploaded","material":"x","matter":"m"}`},
		{cases.SetState{LastState: cases.LastState{Case: "c", Matter: "m", Material: "x", State: cases.Missing, By: "window", At: at}},
			`{"at":1795399200123000,"by_system":"window","case_no":"c","change":"cases.set_state","material":"x","matter":"m","state":"missing"}`},
		{cases.Represent{Representative: cases.Representative{Case: "c", Kind: cases.Agent, Person: anna, Mandate: "d", Until: "2026-12-31", By: "window", At: at}, R: [32]byte{3}},
			`{"at":1795399200123000,"by_system":"window","case_no":"c","change":"cases.represent","kind":"agent","mandate":"d","person":"` + strings.Repeat("D", 42) + `A"}`},
		{cases.Issue{Result: cases.Result{Case: "c", Holder: anna, License: license.License{Type: "permit", Number: "1"}, By: "bureau", At: at}, R: [32]byte{4}},
			`{"at":1795399200123000,"by_system":"bureau","case_no":"c","change":"cases.issue","license":"` + strings.Repeat("E", 42) + `A","license_type":"permit"}`},
		{cases.Give{Consent: given, R: [32]byte{2}}, `{"change":"cases.give","digest":"d","evidence":"holder","expires":1795402800123000,"given":1795399200123000,"holder":"` +
			strings.Repeat("C", 42) + `A","id":"k-1","matters":[],"system":"window","types":["business-license"],"withdrawn":0}`},
		{cases.Withdraw{ID: "k-1", At: at}, `{"change":"cases.withdraw","id":"k-1","withdrawn":1795399200123000}`},
	} {
		if diff := cmp.Diff(c.want, string(boundOf(t, c.change))); diff != "" {
			t.Errorf("%T (-want +got):\n%s", c.change, diff)
		}
	}
	for _, nothing := range []bound{cases.StillOpen{No: "c"}, cases.StillGiven{ID: "k"}} {
		if form, err := nothing.Bound(commit, sm3Text); form != nil || err != nil {
			t.Errorf("%T binds %v, %v", nothing, form, err)
		}
	}
}

// What is committed to are the persons themselves, in the stored order, and nothing of them stands in the form.
func TestBoundCommitsToPersons(t *testing.T) {
	var values []string
	see := func(_ []byte, v any) (string, error) {
		text, err := json.Marshal(v)
		values = append(values, string(text))
		return "", err
	}
	for _, change := range []bound{cases.Register{Case: couple()}, cases.Give{Consent: cases.Consent{Holder: anna}}} {
		form, err := change.Bound(see, sm3Text)
		if err != nil {
			t.Fatal(err)
		}
		if text := fmt.Sprintf("%+v", form); strings.Contains(text, anna.Code) || strings.Contains(text, bert.Code) {
			t.Errorf("%T names a person: %s", change, text)
		}
	}
	want := []string{
		`[["applicant","111","` + anna.Code + `"],["spouse","111","` + bert.Code + `"],["co_owner","111","` + bert.Code + `"]]`, `["111","` + anna.Code + `"]`,
	}
	if diff := cmp.Diff(want, values); diff != "" {
		t.Errorf("committed (-want +got):\n%s", diff)
	}
	fails := func([]byte, any) (string, error) { return "", errors.New("no") }
	for _, change := range []bound{cases.Register{Case: couple()}, cases.Give{}} {
		if form, err := change.Bound(fails, sm3Text); form != nil || err == nil {
			t.Errorf("%T without a commitment: %v, %v", change, form, err)
		}
	}
}

// randomChange makes any change of this room.
func randomChange(r *rand.Rand) bound {
	text := func() string {
		return []string{"", "a", "文", "\x00\"\\", "𝄞", "<>&\u2028"}[r.IntN(6)] + fmt.Sprint(r.IntN(9))
	}
	moment := func() time.Time {
		if r.IntN(4) == 0 {
			return time.Time{}
		}
		return time.UnixMicro(r.Int64N(1 << 52)).UTC()
	}
	list := func() (all []string) {
		for range r.IntN(3) {
			all = append(all, text())
		}
		return all
	}
	switch r.IntN(5) {
	case 0:
		k := cases.Case{No: text(), Matter: text(), Registrar: text(), Attestation: cases.Self, Accepted: moment(), Registered: moment(), Closed: moment(), Revision: r.IntN(9)}
		for _, m := range list() {
			k.Parts = append(k.Parts, cases.Part{Matter: m})
		}
		return cases.Register{Case: k, R: [32]byte{byte(r.IntN(26))}}
	case 1:
		return cases.Close{No: text(), Revision: r.IntN(9), At: moment()}
	case 2:
		return cases.Receive{Received: cases.Received{Case: text(), Matter: text(), Material: text(), How: text(), Digest: text(), By: text(), At: moment()}}
	case 3:
		return cases.Give{Consent: cases.Consent{
			ID: text(), Holder: license.HolderID{Type: text(), Code: text()}, System: text(), Types: list(), Matters: list(), Expires: moment(), Evidence: text(), Digest: text(), Given: moment(), Withdrawn: moment(),
		}, R: [32]byte{1}}
	}
	return cases.Withdraw{ID: text(), At: moment()}
}

// What is bound is read back the same.
func TestBoundRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		change := randomChange(r)
		form, err := change.Bound(commit, sm3Text)
		if err != nil {
			t.Fatal(err)
		}
		got, err := cases.ParseBound(boundOf(t, change))
		if diff := cmp.Diff(form, got); diff != "" || err != nil {
			t.Fatalf("%+v: %v (-want +got):\n%s", change, err, diff)
		}
	}
}

func TestParseBoundIsStrict(t *testing.T) {
	good := string(boundOf(t, cases.Register{Case: shop(), R: [32]byte{1}}))
	for name, raw := range map[string]string{
		"nothing":        "",
		"null":           "null",
		"no change":      `{"no":"c"}`,
		"unknown change": strings.Replace(good, "cases.register", "cases.forget", 1),
		"another room's": strings.Replace(good, "cases.register", "register.issue", 1),
		"unknown member": strings.Replace(good, `"closed":0`, `"closed":0,"colour":1`, 1),
		"missing member": strings.Replace(good, `"closed":0,`, ``, 1),
		"twice":          strings.Replace(good, `"closed":0`, `"closed":0,"closed":0`, 1),
		"null list":      strings.Replace(good, `"parts":[]`, `"parts":null`, 1),
		"fraction":       strings.Replace(good, `"closed":0`, `"closed":0.0`, 1),
		"beyond 53 bits": strings.Replace(good, `"closed":0`, `"closed":9007199254740992`, 1),
		"no commitment":  strings.Replace(good, strings.Repeat("B", 42), "", 1),
		"revision 0":     strings.Replace(good, `"revision":1`, `"revision":0`, 1),
		"blank":          good + " ",
	} {
		if raw == good {
			t.Fatalf("%s changes nothing", name)
		}
		if got, err := cases.ParseBound([]byte(raw)); got != nil || !errors.Is(err, cases.ErrBound) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// A form that is read is written as the same bytes.
func FuzzParseBound(f *testing.F) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 20 {
		f.Add(boundOf(f, randomChange(r)))
	}
	f.Add([]byte(`{"change":"cases.close"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		form, err := cases.ParseBound(raw)
		if err != nil {
			if !errors.Is(err, cases.ErrBound) || form != nil {
				t.Errorf("%v, %v", form, err)
			}
			return
		}
		if again, err := canonical.Marshal(form); err != nil || string(again) != string(raw) {
			t.Errorf("read %q, wrote %q, %v", raw, again, err)
		}
	})
}

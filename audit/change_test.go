package audit_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"oncegate/audit"
	"oncegate/canonical"
	"oncegate/cases"
	"oncegate/license"
	"oncegate/register"
	"oncegate/tlog"
)

// All change types are Changes.
var (
	_ = []audit.Change{audit.Claim{}, audit.PolicySet{}, audit.Adopt{}}
	_ = []audit.Change{cases.Register{}, cases.Close{}, cases.Receive{}, cases.Give{}, cases.Withdraw{}, cases.StillOpen{}, cases.StillGiven{}}
	_ = []audit.Change{register.Issue{}, register.SetStatus{}, register.Order{}, register.Keep{}, register.KeepOriginal{}}
)

// captured is a log that keeps the last entry.
type captured struct{ entry audit.Entry }

func (c *captured) Append(_ context.Context, leaf []byte, attached any) (tlog.Receipt, error) {
	c.entry = attached.(audit.Entry)
	return tlog.Receipt{Record: leaf}, nil
}

// bind records a draft with changes and returns what was to be stored.
func bind(t testing.TB, changes ...any) (audit.Record, audit.Entry) {
	t.Helper()
	b, log := newBench(t), &captured{}
	b.config.Log = log
	b.open(t)
	d := draft()
	d.Claim, d.Changes = &audit.Claim{System: "window", JTI: "j-1", Exp: noon.Add(time.Minute)}, changes
	record, err := audit.ParseRecord(b.record(t, d).Record)
	if err != nil {
		t.Fatal(err)
	}
	return record, log.entry
}

// r is the randomness of a change; n tells one from another.
func r(n byte) [32]byte { return [32]byte{31: n} }

// transfer is a case of a company and a citizen.
func transfer(n byte) cases.Register {
	return cases.Register{Case: cases.Case{
		No: "c-1", Matter: "food", Registrar: "window", Attestation: cases.Platform, Accepted: noon, Registered: noon,
		Parties: []cases.Party{{Role: cases.Applicant, Holder: company}, {Role: "spouse", Holder: citizen}},
	}, R: r(n)}
}

func consent(n byte) cases.Give {
	return cases.Give{Consent: cases.Consent{ID: "k-1", Holder: citizen, System: "window", Types: []string{"id-card"}, Expires: noon, Given: noon}, R: r(n)}
}

// A record binds its changes in their order, without claims, preconditions and copies.
func TestChangesAreBound(t *testing.T) {
	status := register.SetStatus{Identifier: "1.2.3", From: license.Valid, To: license.Revoked, At: noon}
	record, entry := bind(t, cases.StillOpen{No: "c-0"}, transfer(1), cases.StillGiven{ID: "k"}, register.Keep{}, status, consent(2))
	if want := audit.BoundDigest(newSM3, entry.Bound); record.Changes == "" || record.Changes != want || len(entry.Changes) != 7 {
		t.Errorf("the record binds %q, its bound list is %q, of %d changes", record.Changes, want, len(entry.Changes))
	}
	list, err := audit.ParseBoundList(entry.Bound)
	if err != nil {
		t.Fatal(err)
	}
	var got []any
	for _, raw := range list {
		form, err := cases.ParseBound(raw)
		if err != nil {
			form, err = register.ParseBound(raw)
		}
		if err != nil {
			t.Errorf("read %s: %v", raw, err)
		}
		got = append(got, form)
	}
	parties := mac(slices.Concat(make([]byte, 31), []byte{1}), `[["applicant","001","`+company.Code+`"],["spouse","111","`+citizen.Code+`"]]`)
	holder := mac(slices.Concat(make([]byte, 31), []byte{2}), `["111","`+citizen.Code+`"]`)
	us := noon.UnixMicro()
	want := []any{
		cases.BoundRegister{Change: "cases.register", No: "c-1", Matter: "food", Parts: []string{}, Registrar: "window", Attestation: cases.Platform, Accepted: us, Registered: us, Parties: parties, Revision: 1},
		register.BoundSetStatus{Change: "register.set_status", Identifier: "1.2.3", Stated: license.Revoked, StatusAt: us},
		cases.BoundGive{Change: "cases.give", ID: "k-1", Holder: holder, System: "window", Types: []string{"id-card"}, Matters: []string{}, Expires: us, Given: us},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("bound (-want +got):\n%s", diff)
	}
	if text, err := canonical.Marshal(jsontext.Value(entry.Bound)); err != nil || string(text) != string(entry.Bound) {
		t.Errorf("the bound list is not canonical: %s, %v", entry.Bound, err)
	}
}

// What binds nothing leaves no member, and no randomness is drawn for it.
func TestNothingIsBound(t *testing.T) {
	record, entry := bind(t, cases.StillOpen{No: "c-1"}, register.Keep{})
	if record.Changes != "" || entry.Bound != nil || audit.BoundDigest(newSM3, nil) != "" {
		t.Errorf("a record without changes binds %q of %s", record.Changes, entry.Bound)
	}
}

// Whoever edits, swaps, adds or removes a change of a record is found by the leaf.
func TestBoundChangesCannotBeExchanged(t *testing.T) {
	record, entry := bind(t, transfer(1), consent(2))
	other, another := bind(t, transfer(1), cases.Close{No: "c-1", Revision: 1, At: noon})
	bound := string(entry.Bound)
	list, err := audit.ParseBoundList(entry.Bound)
	if err != nil {
		t.Fatal(err)
	}
	salt := bound[:strings.Index(bound, "},")+1]
	for name, forged := range map[string]string{
		"another record's":  string(another.Bound),
		"edited":            strings.Replace(bound, `"attestation":"platform"`, `"attestation":"self"`, 1),
		"swapped":           salt + "," + string(list[1]) + "," + string(list[0]) + "]",
		"one removed":       salt + "," + string(list[0]) + "]",
		"one twice":         salt + "," + string(list[0]) + "," + string(list[0]) + "," + string(list[1]) + "]",
		"without the salt":  "[" + string(list[0]) + "," + string(list[1]) + "]",
		"another's parties": strings.Replace(bound, forms(t, entry)[0].(cases.BoundRegister).Parties, forms(t, another)[0].(cases.BoundRegister).Parties[:42]+"A", 1),
	} {
		if forged == bound {
			t.Fatalf("%s: nothing was changed", name)
		}
		if audit.BoundDigest(newSM3, []byte(forged)) == record.Changes {
			t.Errorf("%s: the record binds it too", name)
		}
	}
	if other.Changes == record.Changes {
		t.Error("two records with other changes bind the same")
	}
}

// forms are the bound forms of cases in an entry.
func forms(t testing.TB, e audit.Entry) (all []any) {
	t.Helper()
	list, err := audit.ParseBoundList(e.Bound)
	if err != nil {
		t.Fatal(err)
	}
	for _, raw := range list {
		form, err := cases.ParseBound(raw)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, form)
	}
	return all
}

// Two registrations of the same parties have nothing in common, and the digest of a change that can be guessed cannot be found by guessing.
func TestBoundIsUnlinkable(t *testing.T) {
	one, first := bind(t, transfer(1), consent(2))
	two, second := bind(t, transfer(3), consent(4))
	a, b := forms(t, first), forms(t, second)
	if a[0].(cases.BoundRegister).Parties == b[0].(cases.BoundRegister).Parties {
		t.Error("two registrations of the same parties have one commitment")
	}
	if a[1].(cases.BoundGive).Holder == b[1].(cases.BoundGive).Holder || one.Changes == two.Changes {
		t.Error("two consents of the same holder have one commitment")
	}
	closing := cases.Close{No: "c-1", Revision: 1, At: noon}
	one, first = bind(t, closing)
	two, _ = bind(t, closing)
	if one.Changes == two.Changes {
		t.Error("the same change has the same digest in two records")
	}
	guess := `[` + string(first.Bound[strings.Index(string(first.Bound), "},")+2:])
	if audit.BoundDigest(newSM3, []byte(guess)) == one.Changes {
		t.Error("who guesses the change finds its digest")
	}
}

// No code of a person stands in a leaf or in what it binds.
func TestBoundIsNotPersonal(t *testing.T) {
	issued := register.Issue{Version: register.Version{Number: 1, JWT: "header.payload-of-the-license.signature"}}
	_, entry := bind(t, transfer(1), consent(2), issued, register.KeepOriginal{Original: register.Original{Sealed: []byte("sealed bytes")}})
	for _, secret := range []string{company.Code, citizen.Code, "clerk-7", "payload-of-the-license", "sealed bytes"} {
		if text := string(entry.Record) + string(entry.Bound); strings.Contains(text, secret) {
			t.Errorf("%q stands in %s", secret, text)
		}
	}
}

type stranger struct{}

type liar struct{ form any }

func (l liar) Bound(func([]byte, any) (string, error), func([]byte) string) (any, error) {
	return l.form, nil
}

// What cannot be bound is not recorded.
func TestUnboundIsRefused(t *testing.T) {
	b, log := newBench(t), &captured{}
	b.config.Log = log
	b.open(t)
	far := cases.Close{No: "c-1", At: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}
	for name, change := range map[string]any{
		"no bound form": stranger{}, "a pointer to one": &stranger{}, "nil": nil, "no randomness of parties": cases.Register{}, "no randomness of a holder": cases.Give{},
		"a time beyond 53 bits": far, "a fraction": liar{0.5}, "not UTF-8": cases.Withdraw{ID: "\xff"}, "no JSON": liar{func() {}}, "too large": liar{strings.Repeat("x", 16<<20)},
	} {
		d := draft()
		d.Changes = []any{change}
		if _, err := b.recorder.Record(t.Context(), d); err == nil || (name == "too large") != errors.Is(err, audit.ErrTooLarge) {
			t.Errorf("%s: error %v", name, err)
		}
		if log.entry.Record != nil {
			t.Fatalf("%s: appended %s", name, log.entry.Record)
		}
	}
}

func TestOwnChangesAreBound(t *testing.T) {
	b := newBench(t)
	got, err := b.recorder.Activate(t.Context(), []audit.File{{Path: "a", Data: []byte("x")}})
	if err != nil {
		t.Fatal(err)
	}
	record, entry := recordOf(t, got), b.storage.entries[got.Index]
	if record.Changes == "" || record.Changes != audit.BoundDigest(newSM3, entry.Bound) || record.OperatorProof != audit.OperatorNone {
		t.Errorf("record %+v, bound %s", record, entry.Bound)
	}
	for _, c := range []struct {
		change audit.Change
		want   any
	}{
		{entry.Changes[0].(audit.Change), audit.BoundPolicySet{Change: "audit.policy_set", Digest: record.Policy}},
		{audit.Adopt{Rows: map[string]int{"versions": 2, "cases": 1}}, audit.BoundAdopt{Change: "audit.adopt", Rows: map[string]int{"cases": 1, "versions": 2}}},
		{audit.Adopt{}, audit.BoundAdopt{Change: "audit.adopt", Rows: map[string]int{}}},
	} {
		_, entry := bind(t, c.change)
		list, err := audit.ParseBoundList(entry.Bound)
		if err != nil || len(list) != 1 {
			t.Fatalf("%s: %v", entry.Bound, err)
		}
		form, err := audit.ParseBound(list[0])
		if diff := cmp.Diff(c.want, form); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	}
	for _, raw := range []string{
		``, `null`, `{}`, `{"change":"audit.claim"}`, `{"change":"audit.policy_set"}`, `{"change":"audit.policy_set","digest":"x"}`, `{"change":"audit.adopt","rows":{"cases":-1}}`,
		`{"change":"audit.adopt","rows":null}`, `{"change":"audit.adopt","rows":{"b":1,"a":1}}`, `{"change":"audit.adopt","rows":{"a":1},"x":1}`,
	} {
		if form, err := audit.ParseBound([]byte(raw)); form != nil || !errors.Is(err, audit.ErrBound) {
			t.Errorf("%s: %+v, %v", raw, form, err)
		}
	}
}

// A record says who acted: nobody, where the system names no operator.
func TestOperatorProof(t *testing.T) {
	b := newBench(t)
	asserted, nobody := draft(), draft()
	nobody.Operator = ""
	if r := recordOf(t, b.record(t, asserted)); r.OperatorProof != audit.OperatorAsserted {
		t.Errorf("an operator whom the system names is %q", r.OperatorProof)
	}
	if r := recordOf(t, b.record(t, nobody)); r.OperatorProof != audit.OperatorNone || r.Uses[0].Operator != "" {
		t.Errorf("no operator is %q", r.OperatorProof)
	}
	proven := draft()
	proven.OperatorProof, proven.OperatorService, proven.OperatorRoles = audit.OperatorBySession, "staff-id", []string{"clerk"}
	if r := recordOf(t, b.record(t, proven)); r.V != 4 || r.OperatorProof != audit.OperatorBySession || r.OperatorService != "staff-id" || !slices.Equal(r.OperatorRoles, proven.OperatorRoles) {
		t.Errorf("an operator whom an identity service vouches for: %+v", r)
	}
	for name, spoil := range map[string]func(*audit.Draft){
		"no service":         func(d *audit.Draft) { d.OperatorService = "" },
		"asserted":           func(d *audit.Draft) { d.OperatorProof = "" },
		"roles not sorted":   func(d *audit.Draft) { d.OperatorRoles = []string{"head", "clerk"} },
		"nobody with a role": func(d *audit.Draft) { d.Operator, d.OperatorProof = "", "" },
	} {
		wrong := proven
		spoil(&wrong)
		if got, err := b.recorder.Record(t.Context(), wrong); err == nil {
			t.Errorf("%s: a record that cannot be read was written: %s", name, got.Record)
		}
	}
	wrong := draft()
	wrong.Uses[0].Need = 4
	if got, err := b.recorder.Record(t.Context(), wrong); err == nil {
		t.Errorf("a record that cannot be read was written: %s", got.Record)
	}
}

func TestParseBoundListIsStrict(t *testing.T) {
	_, entry := bind(t, transfer(1))
	good := string(entry.Bound)
	salted := good[:strings.Index(good, "},")+1]
	for name, bad := range map[string]string{
		"nothing": "", "null": "null", "object": "{}", "empty": "[]", "salt alone": salted + "]", "blank": " " + good, "newline": good + "\n", "cut": good[:len(good)-1],
		"text":        `["cases.close"]`,
		"no name":     `[{"no":"c"}]`,
		"salt last":   `[{"change":"a"},` + salted[1:] + `]`,
		"two salts":   salted + "," + salted[1:] + "]",
		"short salt":  `[{"change":"audit.salt","r":"AA"},{"change":"a"}]`,
		"other order": `[{"no":"c","change":"a"}]`,
		"fraction":    `[{"change":"a","n":1.5}]`,
		"twice":       `[{"change":"a","change":"a"}]`,
		"deep":        strings.Repeat("[", 1000),
		"many":        "[" + strings.Repeat(`{"change":"a"},`, 1<<16) + `{"change":"a"}]`,
		"long":        `[{"change":"a","x":"` + strings.Repeat("x", 16<<20) + `"}]`,
	} {
		if list, err := audit.ParseBoundList([]byte(bad)); list != nil || !errors.Is(err, audit.ErrBound) {
			t.Errorf("%s: %d changes, %v", name, len(list), err)
		}
	}
	if list, err := audit.ParseBoundList([]byte(`[{"change":"a"},{"change":"b"}]`)); err != nil || len(list) != 2 {
		t.Errorf("a list without a salt: %v, %v", list, err)
	}
}

func FuzzParseBoundList(f *testing.F) {
	_, entry := bind(f, transfer(1), consent(2))
	f.Add([]byte(entry.Bound))
	f.Add([]byte(`[{"change":"audit.adopt","rows":{"a":1}}]`))
	f.Fuzz(func(t *testing.T, bound []byte) {
		list, err := audit.ParseBoundList(bound)
		if err != nil {
			if !errors.Is(err, audit.ErrBound) || list != nil {
				t.Errorf("%v, %v", list, err)
			}
			return
		}
		if again, err := canonical.Marshal(jsontext.Value(bound)); err != nil || string(again) != string(bound) {
			t.Errorf("not canonical: %q", bound)
		}
		for _, raw := range list {
			if form, err := audit.ParseBound(raw); err == nil {
				if again, err := canonical.Marshal(form); err != nil || string(again) != string(raw) {
					t.Errorf("read %q, wrote %q, %v", raw, again, err)
				}
			}
		}
	})
}

func TestCommitmentTo(t *testing.T) {
	key := block(1)
	got, err := audit.CommitmentTo(newSM3, key, [2]string{"111", citizen.Code})
	want, _ := audit.Commitment(newSM3, key, citizen)
	if err != nil || got != want {
		t.Errorf("got %s, %v, want %s, as records commit to a person", got, err, want)
	}
	for _, bad := range [][]byte{nil, make([]byte, 32), block(1)[:31], append(block(1), 0)} {
		if got, err := audit.CommitmentTo(newSM3, bad, "x"); err == nil {
			t.Errorf("%x commits: %s", bad, got)
		}
	}
	if _, err := audit.CommitmentTo(newSM3, key, "\xff"+citizen.Code); !errors.Is(err, canonical.ErrForm) || strings.Contains(fmt.Sprint(err), citizen.Code) {
		t.Errorf("not UTF-8: %v", err)
	}
}

package gateway

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"oncegate/api"
	"oncegate/license"
	"oncegate/policy"
)

// reading lets another system read cases of its own, too; the acceptance platform may by the city's rules, and know how the two materials
// of a transfer stand that may follow.
const reading = "permissions:\n  - {id: reads, systems: [food-approval], operations: [cases.read], basis: test}\n"

// readingFood lets the acceptance platform know how the company's license stands.
const readingFood = "grants:\n  - {id: reads/food, agreement: a, provider: samr, systems: [acceptance], license_type: business-license, operations: [cases.read], matters: [YC-FOOD-01], fields: [status], basis: b, basis_kind: rule, scenario: s, attestation: self, valid_until: \"2030-12-31\"}\n"

func (w *world) readCase(no string) api.CaseReadAnswer {
	w.t.Helper()
	return read[api.CaseReadAnswer](w.t, w.call("acceptance", "GET", "/v1/cases/"+no, nil))
}

func caseMaterial(t testing.TB, a api.CaseReadAnswer, code string) api.CaseMaterial {
	t.Helper()
	for _, m := range a.Materials {
		if m.Material == code {
			return m
		}
	}
	t.Fatalf("no material %s", code)
	return api.CaseMaterial{}
}

// A case is read with what is due: 容缺 from acceptance on, 告知承诺 from the promise on, both in working days; what a check finds, or the
// window receives, ends it.
func TestReadCase(t *testing.T) {
	w := newWorld(t)
	w.refused(w.call("acceptance", "GET", "/v1/cases/BDC-0", nil), "case-not-usable")
	w.acceptFlat("BDC-1")
	var without []policy.File
	for _, f := range w.files {
		without = append(without, policy.File{Path: f.Path, Data: bytes.ReplaceAll(f.Data, []byte("operations: [cases.read]"), []byte("operations: [cases.check]"))})
	}
	w.reload(func(s *Snapshot) { s.Policy = w.policy(without...) })
	w.refused(w.call("acceptance", "GET", "/v1/cases/BDC-1", nil), "not-permitted") // denied by default
	w.refused(w.call("acceptance", "POST", "/v1/cases/list", map[string]any{}), "not-permitted")
	w.reload(func(s *Snapshot) { s.Policy = w.policy(w.files...) })
	marriages := license.Question{Type: "marriage-certificate", Holder: wife}
	w.legacy["marriage-certificate"].put(marriages)

	got := w.readCase("BDC-1")
	if got.Due != 1 || got.Overdue != 0 || got.Deadline == "" || !slices.Equal(got.Roles, []string{"applicant", "spouse"}) {
		t.Errorf("before a check: %d due, %d overdue, %q, roles %v", got.Due, got.Overdue, got.Deadline, got.Roles)
	}
	if m := caseMaterial(t, got, "tax-clearance"); m.State != api.StandingStateUnchecked || m.Due.Kind != "tolerate" || m.Due.Overdue || m.Due.WorkingDays == nil || *m.Due.WorkingDays != 10 {
		t.Errorf("tax clearance: %+v", m)
	}
	checked := w.check("land-approval", "BDC-1", map[string]any{})
	read[api.MaterialAnswer](t, w.call("acceptance", "POST", "/v1/cases/BDC-1/materials", map[string]any{"material": "marriage-certificate", "how": "promised"}))
	got = w.readCase("BDC-1")
	for code, want := range map[string]api.StandingState{
		"tax-clearance": "missing", "marriage-certificate": "missing", "real-estate-certificate": "denied", "applicant-id": "denied", // what no grant lets be told
	} {
		if m := caseMaterial(t, got, code); m.State != want || (m.Since.IsZero() == (want == "missing")) {
			t.Errorf("%s is %s since %v, want %s", code, m.State, m.Since, want)
		}
	}
	promise := caseMaterial(t, got, "marriage-certificate")
	if got.Due != 2 || promise.Due.Kind != "promise" || promise.Due.Deadline != material(t, w.check("land-approval", "BDC-1", map[string]any{}), "marriage-certificate").Fallback.Deadline || promise.Received.How != "promised" {
		t.Errorf("%d due, the promise %+v", got.Due, promise)
	}
	if tax := caseMaterial(t, got, "tax-clearance"); tax.Due.Deadline != material(t, checked, "tax-clearance").Fallback.Deadline {
		t.Errorf("due by %s, and the check said %s", tax.Due.Deadline, material(t, checked, "tax-clearance").Fallback.Deadline)
	}

	w.legacy["marriage-certificate"].put(marriages, marriage())
	w.put(taxClearance(wife))
	w.check("land-approval", "BDC-1", map[string]any{})
	if got = w.readCase("BDC-1"); got.Due != 0 || got.Deadline != "" || caseMaterial(t, got, "tax-clearance").State != "met" {
		t.Errorf("when all is met: %d due until %q: %+v", got.Due, got.Deadline, got.Materials)
	}
	read[api.CloseAnswer](t, w.call("acceptance", "POST", "/v1/cases/BDC-1/close", map[string]any{}))
	if got = w.readCase("BDC-1"); got.Closed.IsZero() || caseMaterial(t, got, "tax-clearance").State != "met" {
		t.Errorf("closed: %v, %+v", got.Closed, got.Materials)
	}
}

// A promise that was not kept, and a tolerated material that did not come, are overdue; the day is one of the calendar.
func TestOverdue(t *testing.T) {
	w := newWorld(t)
	w.rules("reading.yaml", reading)
	body := w.caseOf("BDC-1", "YC-LAND-07", party("applicant", wife), party("spouse", husband))
	body["accepted"] = api.At(time.Date(2026, 9, 25, 1, 0, 0, 0, time.UTC)) // 中秋节; 国庆节 follows
	w.register(body)
	w.acceptFlat("BDC-2")
	got := w.readCase("BDC-1")
	if m := caseMaterial(t, got, "tax-clearance"); m.Due.Deadline != "2026-10-15" || !m.Due.Overdue || m.Due.WorkingDays != nil || got.Overdue != 1 {
		t.Errorf("ten working days after 2026-09-25: %+v", m.Due)
	}
	for due, want := range map[string][]string{"overdue": {"BDC-1"}, "due": {"BDC-1", "BDC-2"}, "": {"BDC-1", "BDC-2"}} {
		q := map[string]any{}
		if due != "" {
			q["due"] = due
		}
		var nos []string
		for _, c := range read[api.CasesAnswer](t, w.call("acceptance", "POST", "/v1/cases/list", q)).Cases {
			nos = append(nos, c.Case)
		}
		if !slices.Equal(nos, want) {
			t.Errorf("due %q: %v, want %v", due, nos, want)
		}
	}
}

// Law 3: that a license exists is a release. How a material stands is told to who may know it for every party that has it, is recorded as
// a release about each of them, and nowhere else: not in counts, not in reasons, not in what is due.
func TestReadingReleasesWhatIsGranted(t *testing.T) {
	w := newWorld(t)
	w.accept("SP-1")
	before := w.call("acceptance", "GET", "/v1/cases/SP-1", nil)
	if got := w.check("food-approval", "SP-1", map[string]any{}); !got.CanProceed {
		t.Fatalf("%+v", got)
	}
	after := w.call("acceptance", "GET", "/v1/cases/SP-1", nil)
	one, two := read[api.CaseReadAnswer](t, before), read[api.CaseReadAnswer](t, after)
	for _, a := range []*api.CaseReadAnswer{&one, &two} {
		a.Nonce, a.Time, a.Commitments = "", api.Time{}, api.Commitments{}
	}
	if diff := cmp.Diff(one, two); diff != "" {
		t.Errorf("the check shows to who may not know what it found:\n%s", diff)
	}
	if len(after.record.Uses) != 1 {
		t.Errorf("%d uses of what nothing was told of", len(after.record.Uses))
	}
	w.rules("reading.yaml", readingFood)
	told := w.call("acceptance", "GET", "/v1/cases/SP-1", nil)
	if caseMaterial(t, read[api.CaseReadAnswer](t, told), "business-license").State != "met" {
		t.Errorf("%s", told.body)
	}
	if len(told.record.Uses) != 2 || told.record.Uses[1].Decision != outcomeListed || told.record.Uses[1].Holder == "" || !slices.Equal(told.record.Uses[1].Fields, []string{"status"}) {
		t.Errorf("uses of what was told: %+v", told.record.Uses)
	}
}

// Whatever is done to another registrar's cases, nobody else's answers differ.
func TestAnotherRegistrarsCaseIsUnknown(t *testing.T) {
	w := newWorld(t)
	w.rules("reading.yaml", reading)
	w.acceptFlat("BDC-1")
	w.accept("SP-1")
	w.check("food-approval", "SP-1", map[string]any{}) // it may check the case, and close it, and not read it
	unknown := w.call("food-approval", "GET", "/v1/cases/SP-2026-999999", nil)
	for no, why := range map[string]string{"BDC-1": "case-of-other-registrar", "SP-1": "case-of-other-registrar", "SP-3": "case-unknown"} {
		got := w.call("food-approval", "GET", "/v1/cases/"+no, nil)
		w.refused(got, "case-not-usable")
		if len(got.record.Uses) != 1 || got.record.Uses[0].Case != "" || got.record.Uses[0].Matter != "" || got.problem.Detail != unknown.problem.Detail || len(got.problem.Commitments.Holders) > 0 {
			t.Errorf("%s: %s", no, got.body)
		}
		if e := must(w.auditor.Evidence(t.Context(), got.index))(t); !strings.Contains(string(e.Reasons), why) {
			t.Errorf("%s: the evidence says %s", no, e.Reasons)
		}
	}
	list := w.call("food-approval", "POST", "/v1/cases/list", map[string]any{})
	if got := read[api.CasesAnswer](t, list); len(got.Cases) != 0 || got.Next != "" || len(list.record.Uses) != 0 {
		t.Errorf("cases of nobody: %s", list.body)
	}
	// A place in another's list shows only one's own cases behind it.
	first := read[api.CasesAnswer](t, w.call("acceptance", "POST", "/v1/cases/list", map[string]any{"limit": 1}))
	if got := read[api.CasesAnswer](t, w.call("food-approval", "POST", "/v1/cases/list", map[string]any{"after": first.Next})); len(got.Cases) != 0 || got.Next != "" {
		t.Errorf("behind another's place: %+v", got)
	}
	for _, after := range []string{"AAAA", "x", "MjAyNg", placeTextOf("2026-11-23T01:00:00.000000Z/")} {
		w.refused(w.call("acceptance", "POST", "/v1/cases/list", map[string]any{"after": after}), "invalid-field")
	}
	w.refused(w.call("acceptance", "POST", "/v1/cases/list", map[string]any{"limit": 101}), "invalid-field")
	w.refused(w.call("acceptance", "POST", "/v1/cases/list", map[string]any{"matter": "YC-NONE-99"}), "unknown-matter")
	w.refused(w.call("land-approval", "POST", "/v1/cases/list", map[string]any{}), "not-permitted")
}

func placeTextOf(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// Pages are stable: while cases are registered, checked and closed between pages, every case that was there is on exactly one page, in the
// order of registration; on both databases.
func TestPagesOfCases(t *testing.T) {
	onEach(t, func(t *testing.T, i *intruder) {
		w := i.world
		w.rules("reading.yaml", reading)
		random := rand.New(rand.NewPCG(11, 12))
		var want []string
		for i := range 12 {
			want = append(want, fmt.Sprintf("BDC-%d", (i*7)%12+100)) // not in the order of numbers
			w.acceptFlat(want[i])
		}
		var got []string
		after, fresh := "", 0
		for pages := 0; ; pages++ {
			q := map[string]any{"limit": 1 + random.IntN(4)}
			if after != "" {
				q["after"] = after
			}
			a := read[api.CasesAnswer](t, w.call("acceptance", "POST", "/v1/cases/list", q))
			for _, c := range a.Cases {
				got = append(got, c.Case)
			}
			if after = a.Next; after == "" || pages > 40 {
				break
			}
			no := want[random.IntN(len(want))]
			switch random.IntN(3) {
			case 0:
				if fresh < 4 {
					fresh++
					want = append(want, fmt.Sprintf("NEW-%d", fresh))
					w.acceptFlat(want[len(want)-1])
				}
			case 1:
				w.call("acceptance", "POST", "/v1/cases/"+no+"/close", map[string]any{})
			case 2:
				w.call("land-approval", "POST", "/v1/cases/"+no+"/check", map[string]any{})
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("pages have\n%v, registered were\n%v", got, want)
		}
	})
}

// Reading asks no source, whatever state they are in.
func TestReadingAsksNoSource(t *testing.T) {
	w := newWorld(t)
	w.rules("reading.yaml", reading)
	w.acceptFlat("BDC-1")
	w.check("land-approval", "BDC-1", map[string]any{})
	calls := func() (n int) {
		for _, l := range w.legacy {
			l.set(func(l *legacy) { n += l.calls })
		}
		return n
	}
	asked := calls()
	w.readCase("BDC-1")
	read[api.CasesAnswer](t, w.call("acceptance", "POST", "/v1/cases/list", map[string]any{}))
	if now := calls(); asked == 0 || now != asked {
		t.Errorf("the sources were asked %d times before, and %d times after", asked, now)
	}
}

// TestListHandled lists, besides the caller's own, open cases that others registered and that it works on: none that it only may use, none that it may
// not use any more, none of another worker, and not because a row of the list's index says so.
func TestListHandled(t *testing.T) {
	w := newWorld(t)
	w.reload(func(s *Snapshot) {
		s.Policy = w.policy(append(slices.Clone(w.files), policy.File{Path: "reads.yaml", Data: []byte("permissions:\n  - {id: reads, systems: [food-approval, land-approval], operations: [cases.read], basis: test}\n")})...)
	})
	w.acceptFlat("BDC-1")
	w.acceptFlat("BDC-2")
	list := func(system string, body map[string]any) (out []string) {
		t.Helper()
		for _, k := range read[api.CasesAnswer](t, w.call(system, "POST", "/v1/cases/list", body)).Cases {
			if k.Own == (system != "acceptance") {
				t.Errorf("%s: own is %v", k.Case, k.Own)
			}
			out = append(out, k.Case)
		}
		return out
	}
	handled := map[string]any{"state": "open", "due": "awaited", "handled": true}
	if got := list("land-approval", handled); len(got) != 0 {
		t.Errorf("before it works on any: %v", got)
	}
	w.legacy["tax-clearance"].put(license.Question{Type: "tax-clearance", Holder: wife})
	w.check("land-approval", "BDC-1", map[string]any{})
	if got := list("land-approval", handled); !slices.Equal(got, []string{"BDC-1"}) {
		t.Errorf("of the one that it checked: %v", got)
	}
	if got := list("land-approval", map[string]any{"due": "awaited"}); len(got) != 0 {
		t.Errorf("its own: %v", got)
	}
	if got := list("food-approval", handled); len(got) != 0 {
		t.Errorf("another system: %v", got)
	}
	if got := list("acceptance", handled); !slices.Equal(got, []string{"BDC-1", "BDC-2"}) {
		t.Errorf("who registered them: %v", got)
	}
	read[api.CloseAnswer](t, w.call("acceptance", "POST", "/v1/cases/BDC-1/close", map[string]any{}))
	if got := list("land-approval", handled); len(got) != 0 {
		t.Errorf("closed: %v", got)
	}
}

package gateway

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/cases"
	"oncegate/certs/token"
	"oncegate/license"
)

const accessesPath, disputesPath = "/v1/holders/accesses", "/v1/holders/disputes"

// withHolders lets holders sign in at the portal by a service of their own, beside one of staff that may speak for it, too.
func (w *world) withHolders() {
	w.t.Helper()
	key := func(name string) map[string]token.ServiceKey {
		return map[string]token.ServiceKey{name: {Public: w.certs.Signer(name).Public()}}
	}
	w.reload(func(s *Snapshot) {
		s.IdentityServices = map[string]token.IdentityService{
			"citizen-id": {Keys: key("citizen-1"), Systems: []string{"citizen-portal"}},
			"staff-id":   {Keys: key("staff-1"), Systems: []string{"citizen-portal"}},
		}
		s.Subjects, s.Holders = map[string]string{"citizen-id": "111"}, load[cases.HolderRules](w.t, "holders.yaml")
	})
}

// asHolder makes a call through the portal for a person whom a service proves.
func (w *world) asHolder(service, key string, person license.HolderID, path string, body any) answered {
	w.t.Helper()
	raw := w.bodyOf(body)
	compact := w.token("citizen-portal", "POST", path, raw, func(c *token.Claims) {
		c.ID, c.Operator = must(token.NewID(w.now(), nil))(w.t), person.Code
		c.Actor = w.vouched(*c, vouch{by: key, spoil: func(p map[string]any) { p["iss"], p["roles"] = service, nil }})
	})
	return w.send("POST", path, raw, compact)
}

func (w *world) accessesOf(person, holder license.HolderID, more map[string]any) answered {
	w.t.Helper()
	body := map[string]any{"holder": holder}
	maps.Copy(body, more)
	return w.asHolder("citizen-id", "citizen-1", person, accessesPath, body)
}

var asRepresentative = map[string]any{"as": "legal_representative"}

// courtAsks is a query that the law forbids to tell of.
func (w *world) courtAsks(holder license.HolderID) {
	w.t.Helper()
	a := w.call("court-enforcement-system", "POST", queryPath, map[string]any{
		"license_type": "real-estate-certificate", "holder": holder, "purpose": map[string]any{"basis": "court-enforcement", "reference": "(2026)云0101执1号"},
	})
	if a.status != 200 {
		w.t.Fatalf("%d %s", a.status, a.body)
	}
}

// A holder is told who used their licenses, in words of what left; each holder their own part only.
func TestAccesses(t *testing.T) {
	onEach(t, func(t *testing.T, i *intruder) {
		w := i.world
		w.withHolders()
		w.accept("SP-1")
		checked := w.call("food-approval", "POST", "/v1/cases/SP-1/check", map[string]any{})
		if checked.status != 200 {
			t.Fatalf("%d %s", checked.status, checked.body)
		}
		w.refused(w.call("land-approval", "POST", queryPath, query("business-license", company, "SP-1")), "case-not-usable")

		of := read[api.AccessesAnswer](t, w.accessesOf(boss, company, asRepresentative))
		if len(of.Accesses) != 1 || of.Next != 0 || of.Says != restricted {
			t.Fatalf("%+v", of)
		}
		got := of.Accesses[0]
		if got.Record != checked.index || got.System != "food-approval" || got.Department != "service" || got.ByOperation != "cases.check" {
			t.Errorf("%+v", got)
		}
		for _, u := range got.Uses {
			if u.LicenseType != "business-license" || u.Basis != "case" || u.Outcome == "confirm" && !slices.Equal(u.Fields, []string{"legal_representative_code"}) {
				t.Errorf("%+v", u)
			}
		}
		if !slices.ContainsFunc(got.Uses, func(u api.AccessUse) bool { return u.Outcome == "met" && u.Spared && u.Matter == "YC-FOOD-01" }) {
			t.Errorf("no material was spared: %+v", got.Uses)
		}
		own := read[api.AccessesAnswer](t, w.accessesOf(boss, boss, nil))
		if len(own.Accesses) != 1 || own.Accesses[0].Uses[0].LicenseType != "resident-id" || len(own.Accesses[0].Uses) != 1 {
			t.Errorf("%+v", own)
		}
		// The company sees that its representative looked: the license that confirmed it was used.
		again := read[api.AccessesAnswer](t, w.accessesOf(boss, company, asRepresentative))
		if len(again.Accesses) != 2 || again.Accesses[0].System != "citizen-portal" || again.Accesses[0].Uses[0].Outcome != "confirm" {
			t.Errorf("%+v", again)
		}
		if none := read[api.AccessesAnswer](t, w.accessesOf(stranger, stranger, nil)); len(none.Accesses) != 0 || none.Says != restricted {
			t.Errorf("%+v", none)
		}
	})
}

// Nobody learns of another holder: whoever asks must be proven to be a holder, and the holder, or be named by the holder's license.
func TestAccessesRefused(t *testing.T) {
	w := newWorld(t)
	w.withHolders()
	w.accept("SP-1")
	// Even with a permission that asks for no proof, a service of staff, the portal's word and nobody at all prove no holder.
	w.rules("lax.yaml", "permissions:\n  - {id: lax, systems: [citizen-portal, food-approval], operations: [holders.accesses], basis: test}\n")
	ask := map[string]any{"holder": boss}
	w.refused(w.call("citizen-portal", "POST", accessesPath, ask), "holder-not-proven")
	w.refused(w.asHolder("staff-id", "staff-1", boss, accessesPath, ask), "holder-not-proven")
	w.refused(w.call("food-approval", "POST", accessesPath, ask), "holder-not-proven")
	w.refused(w.call("land-approval", "POST", accessesPath, ask), "not-permitted")
	w.refused(w.accessesOf(stranger, boss, nil), "holder-not-represented")
	w.refused(w.accessesOf(boss, company, nil), "holder-not-represented")
	w.refused(w.accessesOf(stranger, company, asRepresentative), "holder-not-represented")
	w.refused(w.accessesOf(boss, company, map[string]any{"as": "guardian"}), "holder-not-represented")
	w.refused(w.accessesOf(boss, license.HolderID{Type: "001", Code: rival.Code}, asRepresentative), "holder-not-represented")
	w.refused(w.accessesOf(boss, boss, map[string]any{"from": api.At(w.now().AddDate(0, -13, 0))}), "time-implausible")
	w.refused(w.accessesOf(boss, boss, map[string]any{"to": api.At(w.now().Add(time.Hour))}), "time-implausible")
	w.legacy["business-license"].before = func(context.Context) { panic("the register is down") }
	w.refused(w.accessesOf(boss, company, asRepresentative), "standing-unavailable")
	// Without the grant for comparing, the license is not even asked for.
	w.legacy["business-license"].before = func(context.Context) { t.Error("the source was asked without a grant") }
	w.reload(func(s *Snapshot) { rules := *s.Holders; rules.Basis = "court-enforcement"; s.Holders = &rules })
	if a := w.accessesOf(boss, company, asRepresentative); a.status != 403 || a.problem.Code == "holder-not-represented" {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// What a restriction keeps back leaves no trace, and is told once the restriction has ended. Audits are never told.
func TestAccessesRestricted(t *testing.T) {
	w := newWorld(t)
	w.withHolders()
	w.courtAsks(wife)
	w.courtAsks(wife)
	w.audit("search", map[string]any{"holder": wife})
	shape := func(a answered) (map[string]any, []string) {
		t.Helper()
		var e struct {
			Answer map[string]any `json:"answer"`
		}
		if err := json.Unmarshal(a.body, &e); err != nil {
			t.Fatal(err)
		}
		return e.Answer, slices.Sorted(maps.Keys(e.Answer))
	}
	hidden, hiddenShape := shape(w.accessesOf(wife, wife, map[string]any{"limit": 1}))
	none, noneShape := shape(w.accessesOf(stranger, stranger, map[string]any{"limit": 1}))
	if !slices.Equal(hiddenShape, noneShape) || fmt.Sprint(hidden["accesses"], hidden["says"]) != fmt.Sprint(none["accesses"], none["says"]) {
		t.Errorf("with restricted rows %v, without %v", hidden, none)
	}
	w.reload(func(s *Snapshot) {
		rules := *s.Holders
		rules.Restrictions = slices.Clone(rules.Restrictions)
		rules.Restrictions[0].Until = license.DateOf(w.now().AddDate(0, 0, -1))
		s.Holders = &rules
	})
	if told := read[api.AccessesAnswer](t, w.accessesOf(wife, wife, nil)); len(told.Accesses) != 2 {
		t.Errorf("after the restriction has ended: %+v", told)
	}
}

// 不是我办的 is a finding that auditors search for. Of what a holder is not told they cannot complain, and do not learn that it is there.
func TestDispute(t *testing.T) {
	w := newWorld(t)
	w.withHolders()
	w.accept("SP-1")
	checked := w.call("food-approval", "POST", "/v1/cases/SP-1/check", map[string]any{})
	w.courtAsks(wife)
	restrictedRecord := w.size() - 1
	dispute := func(person, holder license.HolderID, record uint64, as string) answered {
		body := map[string]any{"holder": holder, "record": record, "why": "不是我办的，" + boss.Code}
		if as != "" {
			body["as"] = as
		}
		return w.asHolder("citizen-id", "citizen-1", person, disputesPath, body)
	}
	w.refused(dispute(stranger, stranger, checked.index, ""), "access-unknown")
	w.refused(dispute(wife, wife, restrictedRecord, ""), "access-unknown")
	w.refused(dispute(wife, wife, 1<<40, ""), "access-unknown")
	w.refused(dispute(stranger, boss, checked.index, ""), "holder-not-represented")
	a := dispute(boss, boss, checked.index, "")
	if got := read[api.DisputeAnswer](t, a); got.Record != checked.index || a.record.Uses[0].Decision != outcomeDisputed {
		t.Errorf("%+v %+v", got, a.record.Uses)
	}
	found := read[api.SearchAnswer](t, w.audit("search", map[string]any{"operation": "holders.dispute", "decision": "disputed"}))
	if len(found.Records) != 1 || found.Records[0].Index != a.index {
		t.Errorf("%+v", found.Records)
	}
	evidence := must(w.auditor.Evidence(t.Context(), a.index))(t)
	if text := string(evidence.Inputs); !strings.Contains(text, fmt.Sprintf(`"record":%d`, checked.index)) || strings.Contains(text, boss.Code) {
		t.Errorf("inputs %s", text)
	}
}

// A lagging storage follows the log as if it never came to the newest record.
type lagging struct{ audit.Storage }

func (l lagging) Follow(ctx context.Context) (covered, size uint64, err error) {
	covered, size, err = l.Storage.Follow(ctx)
	return covered - 1, size, err
}

// While search is behind the log a holder is told to come again: a list that lacks the newest uses says that nobody used anything.
func TestAccessesBehind(t *testing.T) {
	w := newWorld(t)
	w.withHolders()
	w.accept("SP-1")
	if a := w.call("food-approval", "POST", "/v1/cases/SP-1/check", map[string]any{}); a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	behind := w.auditing
	behind.Storage = lagging{behind.Storage}
	w.gateway.Auditor = must(audit.NewAuditor(behind))(t)
	w.refused(w.accessesOf(boss, boss, nil), "search-behind")
	w.refused(w.asHolder("citizen-id", "citizen-1", boss, disputesPath, map[string]any{"holder": boss, "record": 3, "why": "w"}), "search-behind")
	w.gateway.Auditor = w.auditor
	if a := w.accessesOf(boss, boss, nil); a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// What holders are told, page by page of any size, is what an oracle tells that knows every use and every restriction.
func TestAccessesLikeOracle(t *testing.T) {
	holders, records := 200, 1500
	if os.Getenv("ONCEGATE_LONG") != "" {
		holders, records = 100_000, 120_000
	}
	w := newWorld(t)
	w.skipWhole = true // the records are made beside the gateway
	w.withHolders()
	w.reload(func(s *Snapshot) {
		rules := *s.Holders
		day := license.DateOf(w.now())
		rules.Restrictions = []cases.Restriction{
			{ID: "a", Until: day, Bases: []string{"court-enforcement"}},
			{ID: "b", Until: day, Systems: []string{"land-approval"}, Matters: []string{"YC-LAND-07"}},
			{ID: "c", Until: day, Cases: []string{"C-3", "C-4"}},
			{ID: "ended", Until: license.DateOf(w.now().AddDate(0, 0, -1)), Systems: []string{"food-approval"}},
		}
		s.Holders = &rules
	})
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	person := func(n int) license.HolderID {
		return license.HolderID{Type: "111", Code: fmt.Sprintf("%018d", n)} // no code of a person's: only told is asked here
	}
	type seen struct {
		record uint64
		uses   int
	}
	want := make(map[license.HolderID][]seen)
	wait := make(chan error, 64)
	type made struct {
		index uint64
		draft audit.Draft
	}
	results := make(chan made, records)
	for range records {
		d := audit.Draft{Operation: "licenses.query", System: pick("food-approval", "land-approval", "court-enforcement-system"), Policy: w.base.Policy.Digest(), Answer: []byte("{}"), Inputs: map[string]string{}}
		for range 1 + r.IntN(3) {
			d.Uses = append(d.Uses, audit.Use{
				Person: person(r.IntN(holders)), Basis: pick("case", "consent", "court-enforcement", "audit"), Matter: pick("YC-FOOD-01", "YC-LAND-07"), Case: fmt.Sprintf("C-%d", r.IntN(6)),
				LicenseType: "resident-id", Decision: pick(outcomeRelease, outcomeDenied, outcomeUnavailable, string(cases.Met), outcomeSearched, outcomeNoted), Rules: []string{}, Fields: []string{},
			})
		}
		wait <- nil
		go func() {
			defer func() { <-wait }()
			receipt, err := w.recorder.Record(context.Background(), d)
			if err != nil {
				t.Error(err)
			}
			results <- made{receipt.Index, d}
		}()
	}
	for range records {
		m := <-results
		count := make(map[license.HolderID]int)
		for _, u := range m.draft.Uses {
			toldOf := (u.Decision == outcomeRelease || u.Decision == string(cases.Met)) && u.Basis != "audit"
			kept := u.Basis == "court-enforcement" || m.draft.System == "land-approval" && u.Matter == "YC-LAND-07" || u.Case == "C-3" || u.Case == "C-4"
			if toldOf && !kept {
				count[u.Person]++
			}
		}
		for who, n := range count {
			want[who] = append(want[who], seen{m.index, n})
		}
	}
	for page := (audit.Page{Size: 1}); page.Covered < page.Size; { // of so many records search comes behind
		page = must(w.auditor.Search(t.Context(), audit.Ask{Limit: 1}))(t)
	}
	for n := range holders {
		who := person(n)
		expected := want[who]
		slices.SortFunc(expected, func(a, b seen) int { return int(b.record) - int(a.record) })
		c := newCall(w.gateway.operations["holders.accesses"], w.gateway.running.Load(), Principal{System: "citizen-portal"}, w.now(), w.now())
		var got []seen
		for before, pages := uint64(0), 0; ; pages++ {
			limit := 1 + r.IntN(5)
			page, next, err := w.gateway.told(t.Context(), c, audit.Ask{Holder: who, Before: before, Limit: 1 + r.IntN(20)}, limit)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) == 0 && (pages > 0 || next != 0) || next != 0 && len(page) != limit {
				t.Fatalf("holder %d: page %d has %d rows of %d, and the next begins at %d: it tells that something was kept back", n, pages, len(page), limit, next)
			}
			for _, a := range page {
				got = append(got, seen{a.Record, len(a.Uses)})
			}
			if next == 0 {
				break
			}
			before = next
		}
		if !slices.Equal(got, expected) {
			t.Fatalf("holder %d is told %v, the oracle tells %v", n, got, expected)
		}
	}
}

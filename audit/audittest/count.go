package audittest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"oncegate/audit"
)

// testAbout holds that inquiries and everything else are found apart.
func testAbout(t *testing.T, b Bench) {
	for _, one := range []struct{ name, operation string }{
		{"query", "licenses.query"}, {"look", "audit.search"}, {"open", "audit.evidence"}, {"judge", "audit.dispose"}, {"erase", "audit.erase"}, {"like", "audit.searches"},
	} {
		e := entry(one.name, start, use("food", "c-1", "id-card", "met", "h-1"))
		e.Index.Operation = one.operation
		mustAppend(t, b, e)
	}
	follow(t, b)
	for _, test := range []struct {
		about audit.About
		want  string
	}{
		{audit.AnyRecord, "like erase judge open look query"}, {audit.NoInquiry, "like erase judge query"}, {audit.InquiryAlone, "open look"},
	} {
		for _, whole := range []bool{false, true} {
			if got := names(t, b, audit.Query{About: test.about, Holder: "h-1", Whole: whole, Limit: 10}); got != test.want {
				t.Errorf("about %d, whole %v: %q, want %q", test.about, whole, got, test.want)
			}
		}
	}
}

// testCount holds counts: by period, operation and decision, uses and records apart.
func testCount(t *testing.T, b Bench) {
	at := func(hour int) time.Time { return start.Add(time.Duration(hour) * time.Hour) }
	look := entry("look", at(25), use("", "", "", "searched", "h-1"))
	look.Index.Operation = "audit.search"
	bare := entry("bare", at(26))
	for _, e := range []audit.Entry{
		entry("early", at(-1), use("food", "c-1", "id-card", "met", "h-1")),
		entry("first", at(0), use("food", "c-1", "id-card", "met", "h-1"), use("food", "c-1", "id-card", "met", "h-2"), use("food", "c-1", "tax", "unavailable", "h-1")),
		entry("second", at(23), use("flat", "c-2", "id-card", "denied", "h-2")),
		entry("third", at(24), use("food", "c-3", "id-card", "met", "h-1")),
		look, bare,
		entry("late", at(72), use("food", "c-1", "id-card", "met", "h-1")),
	} {
		mustAppend(t, b, e)
	}
	follow(t, b)
	operation := entry("", start).Index.Operation
	counted := func(decision string, uses, records int) audit.Counted {
		return audit.Counted{Operation: operation, Decision: decision, Uses: uses, Records: records}
	}
	days := []time.Time{at(0), at(24), at(48), at(72)}
	for _, test := range []struct {
		name  string
		query audit.Query
		want  []audit.Period
	}{
		{"all", audit.Query{About: audit.NoInquiry}, []audit.Period{
			{Records: 2, Counted: []audit.Counted{counted("denied", 1, 1), counted("met", 2, 1), counted("unavailable", 1, 1)}},
			{Records: 2, Counted: []audit.Counted{counted("", 1, 1), counted("met", 1, 1)}},
			{},
		}},
		{"inquiries", audit.Query{About: audit.InquiryAlone}, []audit.Period{{}, {Records: 1, Counted: []audit.Counted{{Operation: "audit.search", Decision: "searched", Uses: 1, Records: 1}}}, {}}},
		{"of a holder", audit.Query{Holder: "h-2"}, []audit.Period{{Records: 2, Counted: []audit.Counted{counted("denied", 1, 1), counted("met", 1, 1)}}, {}, {}}},
	} {
		got, err := b.Storage.Count(t.Context(), test.query, days)
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
	_, err := b.Storage.Count(t.Context(), audit.Query{Covered: 1 << 20}, days)
	wantError(t, "a count of more than is covered", err, audit.ErrBehind)
}

package audittest

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"oncegate/audit"
)

// use makes the searchable view of one use.
func use(matter, kase, typ, decision, holder string) audit.IndexUse {
	return audit.IndexUse{Matter: matter, Case: kase, LicenseType: typ, Decision: decision, Holder: holder}
}

func testSearch(t *testing.T, b Bench) {
	first := entry("first", start, use("food", "c-1", "business-license", "met", "h-1"), use("food", "c-1", "id-card", "missing", "h-2"))
	second := entry("second", start.Add(time.Minute), use("flat", "c-2", "id-card", "met", "h-2"))
	second.Index.System, second.Index.Operator = "bureau", "operator-2"
	own := entry("own", start.Add(2*time.Minute))
	own.Index.Operation, own.Index.Operator = "policy.activate", ""
	twice := entry("twice", start.Add(3*time.Minute), use("flat", "c-2", "id-card", "met", "h-3"), use("flat", "c-2", "id-card", "met", "h-3"))
	var last uint64
	for _, e := range []audit.Entry{first, second, own, twice} {
		last = mustAppend(t, b, e)
	}
	follow(t, b)

	for _, test := range []struct {
		name  string
		query audit.Query
		want  string
	}{
		{"all", audit.Query{}, "twice own second first"},
		{"from is inclusive", audit.Query{From: start.Add(time.Minute)}, "twice own second"},
		{"to is exclusive", audit.Query{To: start.Add(time.Minute)}, "first"},
		{"between", audit.Query{From: start.Add(time.Millisecond), To: start.Add(3 * time.Minute)}, "own second"},
		{"system", audit.Query{System: "bureau"}, "second"},
		{"operator", audit.Query{Operator: "operator-1"}, "twice first"},
		{"operation", audit.Query{Operation: "policy.activate"}, "own"},
		{"matter", audit.Query{Matter: "flat"}, "twice second"},
		{"case", audit.Query{Case: "c-1"}, "first"},
		{"license type", audit.Query{LicenseType: "id-card"}, "twice second first"},
		{"decision", audit.Query{Decision: "missing"}, "first"},
		{"holder", audit.Query{Holder: "h-2"}, "second first"},
		{"one record once", audit.Query{Holder: "h-3"}, "twice"},
		{"one use must fit", audit.Query{Holder: "h-2", Decision: "met"}, "second"},
		{"no use fits", audit.Query{Holder: "h-1", LicenseType: "id-card"}, ""},
		{"record and use", audit.Query{System: "window", Holder: "h-2"}, "first"},
		{"unknown", audit.Query{Holder: "nobody"}, ""},
		{"quotes are text", audit.Query{Matter: "' OR 1=1 --"}, ""},
		{"limit", audit.Query{Limit: 1}, "twice"},
		{"before", audit.Query{Before: last}, "own second first"},
		{"after", audit.Query{After: last - 1}, "twice own"},
		{"between indexes", audit.Query{Before: last, After: last - 2}, "own second"},
		{"whole", audit.Query{Holder: "h-2", Before: last, After: last - 2, Whole: true}, "second"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.query.Limit == 0 {
				test.query.Limit = 100
			}
			if got := names(t, b, test.query); got != test.want {
				t.Errorf("found %q, want %q", got, test.want)
			}
		})
	}
}

// names searches and returns the request ids found, joined by blanks.
func names(t *testing.T, b Bench, q audit.Query) string {
	t.Helper()
	rows, err := b.Storage.Search(t.Context(), q)
	if err != nil {
		t.Fatalf("search: %v", err)
	}
	found := ""
	for _, row := range rows {
		var name string
		if _, err := fmt.Sscanf(string(row.Leaf), `{"request_id":%q}`, &name); err != nil {
			t.Fatalf("leaf of row %d: %v", row.Index, err)
		}
		if row.Log == "" {
			t.Errorf("row %d names no log", row.Index)
		}
		if found != "" {
			found += " "
		}
		found += name
	}
	return found
}

func testPaging(t *testing.T, b Bench) {
	const records = 25
	for i := range records {
		mustAppend(t, b, entry(fmt.Sprint(i), start, use("food", "c-1", "id-card", "met", "h-1"))) // all at one moment
	}
	follow(t, b)
	var got []uint64
	for before := uint64(0); ; {
		rows, err := b.Storage.Search(t.Context(), audit.Query{Holder: "h-1", Before: before, Limit: 10})
		if err != nil {
			t.Fatalf("search: %v", err)
		}
		for _, row := range rows {
			got = append(got, row.Index)
		}
		if len(rows) < 10 {
			break
		}
		before = rows[len(rows)-1].Index
	}
	if len(got) != records {
		t.Fatalf("paged through %d records, want %d", len(got), records)
	}
	for i := 1; i < len(got); i++ {
		if got[i] >= got[i-1] {
			t.Errorf("row %d has index %d after %d", i, got[i], got[i-1])
		}
	}
}

func testFollow(t *testing.T, b Bench) {
	if covered, size, err := b.Storage.Follow(t.Context()); err != nil || covered != 0 || size != 0 {
		t.Fatalf("follow of nothing: %d of %d, %v", covered, size, err)
	}
	for i := range 30 {
		mustAppend(t, b, entry(fmt.Sprint(i), start.Add(time.Duration(i)*time.Second), use("food", fmt.Sprint("c-", i%3), "id-card", "met", "h-1")))
	}
	if size := follow(t, b); size != 30 {
		t.Fatalf("log has %d entries, want 30", size)
	}
	query := audit.Query{Case: "c-1", Limit: 100}
	want := names(t, b, query)
	for range 2 {
		if err := b.Storage.Rebuild(t.Context()); err != nil {
			t.Fatalf("rebuild: %v", err)
		}
		if size := follow(t, b); size != 30 {
			t.Errorf("log has %d entries after the rebuild, want 30", size)
		}
		if diff := cmp.Diff(want, names(t, b, query)); diff != "" {
			t.Errorf("search after the rebuild (-want +got):\n%s", diff)
		}
	}
}

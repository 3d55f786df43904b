package verdict

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"golang.org/x/mod/sumdb/note"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/certs/certstest"
	"oncegate/certs/sm"
	"oncegate/check"
)

// page answers a report's question from a log of which each entry matches: one record a page.
func (c *city) page(q api.ExportRequest) api.ExportAnswer {
	a := api.ExportAnswer{
		Nonce: "AAAAAAAAAAAAAAAAAAAAAA", Time: api.At(certstest.Epoch), Operation: reportOperation, Log: origin, Size: uint64(q.Limit), Covered: uint64(q.Limit),
		From: q.From, To: q.To, Before: q.Before, Previous: q.Previous,
		Decisions: []api.DecisionCount{}, Reuse: []api.MatterReuse{}, Records: []api.AuditRecord{}, Total: 1,
	}
	at := uint64(q.Limit) - 1
	if q.Before != 0 {
		at = q.Before - 1
	}
	a.Records = append(a.Records, api.AuditRecord{Index: api.Index(at), Time: q.From, System: system, Operation: "licenses.query", RequestID: "r", Uses: []api.AuditUse{}})
	a.Next = at
	return a
}

// report is a report of so many pages.
func (c *city) report(pages int) (lines [][]byte) {
	q := api.ExportRequest{From: api.At(certstest.Epoch.Add(-time.Hour)), To: api.At(certstest.Epoch), Limit: pages}
	for range pages {
		body, err := json.Marshal(q)
		c.must(err)
		_, page := c.ask(reportOperation, body)
		answer, _, err := audit.SplitAnswer(page)
		c.must(err)
		lines = append(lines, append(page, '\n'))
		q.Before, q.Previous = uint64(pages-len(lines)), sm.DigestB64(answer)
	}
	return lines
}

// counted counts the notes that a verifier verifies, and rejects them once it is told to.
type counted struct {
	note.Verifier
	checks int
	reject bool
}

func (v *counted) Verify(message, sig []byte) bool {
	v.checks++
	return v.Verifier.Verify(message, sig) && !v.reject
}

// counting returns a trust like t whose SM2 verifiers of the city's log count.
func counting(t *Trust) (trust *Trust, both, once *counted) {
	counter := func(logs map[string]audit.Trust) (map[string]audit.Trust, *counted) {
		log := logs[origin]
		v := &counted{Verifier: log.SM2}
		log.SM2 = v
		return map[string]audit.Trust{origin: log}, v
	}
	c := *t
	c.logs, both = counter(t.logs)
	c.once, once = counter(t.once)
	return &c, both, once
}

// A page of a report costs one check of its signature by the fast SM2 verifier. The second one, which takes twenty times as long, checks
// the first and the last page. Nothing is checked after a page that is refuted.
func TestReportCost(t *testing.T) {
	c := newCity(t)
	const pages = 12
	honest := c.report(pages)
	changed := func(at int) [][]byte {
		lines := append([][]byte{}, honest...)
		lines[at] = bytes.Replace(lines[at], []byte(`"request_id":"r"`), []byte(`"request_id":"s"`), 1)
		return lines
	}
	forged := func(at int) [][]byte { // the receipt of another page: every signature of it is good
		lines := append([][]byte{}, honest...)
		answer, _, err := audit.SplitAnswer(lines[at])
		c.must(err)
		var other api.Envelope
		c.must(json.Unmarshal(honest[0], &other))
		lines[at] = append(api.Envelope{Answer: answer, Receipt: other.Receipt}.Bytes(), '\n')
		return lines
	}
	for _, tt := range []struct {
		name       string
		lines      [][]byte
		want       api.Verdict
		both, once int
	}{
		{"honest", honest, api.VerdictProven, 2, pages - 1},
		{"cut off", honest[:5], api.VerdictNotProven, 2, 4},
		{"first page changed", changed(0), api.VerdictRefuted, 1, 0},
		{"third page changed", changed(2), api.VerdictRefuted, 1, 2},
		{"last page changed", changed(pages - 1), api.VerdictRefuted, 1, pages - 1},
		{"third page under a foreign receipt", forged(2), api.VerdictRefuted, 1, 2},
	} {
		trust, both, once := counting(c.newTrust())
		v, err := trust.VerifyReport(t.Context(), "report", bytes.NewReader(bytes.Join(tt.lines, nil)), nil)
		if err != nil || v.Verdict != tt.want || both.checks != tt.both || once.checks != tt.once {
			t.Errorf("%s is %s (%v): %d checks by both verifiers and %d by one, want %s, %d and %d\n%+v", tt.name, v.Verdict, err, both.checks, once.checks, tt.want, tt.both, tt.once, v.Steps)
		}
		if tt.want == api.VerdictRefuted {
			for _, name := range []string{StepReportChain, StepReportQuestion, StepReportRecords, StepReportComplete} {
				if s := stepNamed(v.Steps, name); s.State != check.NotCheckable || !strings.Contains(s.Reason, "refuted") {
					t.Errorf("%s: %s is %s: %s", tt.name, name, s.State, s.Reason)
				}
			}
		}
	}
}

// What the second verifier rejects is refuted, wherever it looks: at the first page, and at the last.
func TestReportSecondVerifier(t *testing.T) {
	c := newCity(t)
	file := bytes.Join(c.report(4), nil)
	for page := range 2 {
		trust, both, _ := counting(c.newTrust())
		both.reject = page == 0
		v, err := trust.VerifyReport(t.Context(), "report", bytes.NewReader(file), func(m ReportMark) { both.reject = true })
		want := fmt.Sprintf("page %d: ", []int{1, 4}[page])
		if s := stepNamed(v.Steps, StepReportPages); err != nil || v.Verdict != api.VerdictRefuted || !strings.HasPrefix(s.Reason, want) {
			t.Errorf("%s (%v): %s, want %s", v.Verdict, err, s.Reason, want)
		}
	}
}

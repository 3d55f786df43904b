package console

import (
	"strings"
	"sync"
	"testing"

	"oncegate/api"
	"oncegate/console/consoletest"
	"oncegate/gateway"
)

// TestEveryFormTwice sends forms again whose call this node, or another one, has made: their pages show what is kept, and never that the call was
// made before.
func TestEveryFormTwice(t *testing.T) {
	d := atDesk(t)
	var mu sync.Mutex
	seen := map[string]bool{}
	checks := d.flat(nil)
	d.answer = func(operation string, q gateway.Question) (*gateway.Reply, error) {
		mu.Lock()
		defer mu.Unlock()
		if seen[q.ID] {
			return nil, api.NewProblem("token-replayed")
		}
		seen[q.ID] = true
		switch operation {
		case "licenses.verify":
			return answered(t, api.VerifyAnswer{Verdict: api.VerdictProven, Kind: "license"}), nil
		case "cases.list":
			return answered(t, api.CasesAnswer{Cases: []api.CaseSummary{}}), nil
		}
		return checks(operation, q)
	}
	for path, fields := range map[string][]string{
		"/console/verify": {"text", "eyJhbGciOi"}, "/console/due": nil, "/console/window": {"at", "go", "no", "SP-1", "who", "self"},
	} {
		once := consoletest.Read(t, d.get("/console/verify")).Form("/console/verify")["once"]
		first := d.post(path, append([]string{"once", once}, fields...)...)
		for range 2 {
			if again := d.post(path, append([]string{"once", once}, fields...)...); consoletest.Read(t, again).Headline() != consoletest.Read(t, first).Headline() {
				t.Errorf("%s: sent again: %s", path, consoletest.Read(t, again).Headline())
			}
		}
		delete(d.kept, once) // as another node sees it before the first one has kept the result
		again := d.post(path, append([]string{"once", once}, fields...)...)
		if got := consoletest.Read(t, again).Headline(); !strings.HasPrefix(got, "正在") || strings.Contains(again, "此前") {
			t.Errorf("%s: under way at another node: %s", path, got)
		}
	}
}

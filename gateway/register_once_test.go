package gateway

import (
	"net/http"
	"sync"
	"testing"

	"oncegate/api"
)

// Many who register the same case at once are all answered, and one of them registered it.
func TestRegisterOnce(t *testing.T) {
	w := newWorld(t)
	const callers = 50
	body := w.caseOf("SP-1", "YC-FOOD-01", party("applicant", company))
	answers := make([]answered, callers)
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() { answers[i] = w.call("acceptance", "POST", "/v1/cases", body) })
	}
	all.Wait()
	created := 0
	registered := read[api.CaseAnswer](t, answers[0]).Registered
	for i, a := range answers {
		switch a.status {
		case http.StatusCreated:
			created++
		case http.StatusOK:
		default:
			t.Errorf("caller %d: %d %s", i, a.status, a.body)
		}
		if got := read[api.CaseAnswer](t, a); got.Registered != registered {
			t.Errorf("caller %d: registered at %s, others at %s", i, got.Registered, registered)
		}
	}
	if created != 1 {
		t.Errorf("%d of %d callers registered the case", created, callers)
	}
}

package attack

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"oncegate/api"
	"oncegate/certs/token"
	"oncegate/client"
	"oncegate/demo/legacy"
)

// A load is many windows at work: each registers a case, asks for a license, has the case checked, and closes some.
type load struct {
	wire    *wire
	city    *legacy.City
	clients map[string]*client.Client
	cases   atomic.Int64

	mu     sync.Mutex
	failed map[string]int // calls without an answer, or refused, before the end: how, and how often
}

func newLoad(c *callers, city *legacy.City, w *wire) *load {
	l := &load{wire: w, city: city, clients: map[string]*client.Client{}, failed: map[string]int{}}
	for _, system := range []string{"acceptance", "food-approval", "land-approval"} {
		l.clients[system] = c.as(system, w)
	}
	return l
}

// run works with a number of windows until ctx ends.
func (l *load) run(ctx context.Context, windows int) {
	var all sync.WaitGroup
	for range windows {
		all.Go(func() {
			for ctx.Err() == nil {
				l.one(ctx)
			}
		})
	}
	all.Wait()
}

// stroll works with one window, on a case every so often, until ctx ends.
func (l *load) stroll(ctx context.Context, every time.Duration) {
	next := time.NewTicker(every)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
			l.one(ctx)
		}
	}
}

// one is one case from its acceptance to its end.
func (l *load) one(ctx context.Context) {
	n := l.cases.Add(1)
	no := fmt.Sprint("SP-", n)
	c := l.city.Population.Companies[n%7]
	did := func(err error) bool {
		if err != nil && ctx.Err() == nil {
			l.fail(err)
		}
		return err == nil
	}
	if _, err := l.clients["acceptance"].RegisterCase(ctx, foodCase(no, party("applicant", c.Holder()), party("legal_representative", c.Legal.Holder()))); !did(err) {
		return
	}
	if _, err := l.clients["food-approval"].Query(ctx, businessLicense(no, c.Holder())); !did(err) {
		return
	}
	if n%3 == 0 {
		if _, err := l.clients["food-approval"].Check(ctx, no, api.CheckRequest{}); !did(err) {
			return
		}
	}
	if n%5 == 0 {
		_, err := l.clients["acceptance"].CloseCase(ctx, no)
		did(err)
	}
}

func (l *load) fail(err error) {
	how := err.Error()
	if p, ok := errors.AsType[*api.Problem](err); ok {
		how = p.Code
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed[how]++
}

// sort parts exchanges into those that got an answer with a receipt and those that got none. Any other answer is one that a
// gateway gives only while it cannot record.
func sort(t testing.TB, all []*exchange) (answered, lost []*exchange) {
	t.Helper()
	for _, e := range all {
		switch {
		case e.status == 0:
			lost = append(lost, e)
		case hasReceipt(e.answer):
			answered = append(answered, e)
		default:
			var p api.Problem
			if err := json.Unmarshal(e.answer, &p); err != nil || p.Code != "record-unavailable" {
				t.Fatalf("%s was answered with %d and no receipt: %s", e.path, e.status, e.answer)
			}
			lost = append(lost, e)
		}
	}
	return answered, lost
}

func hasReceipt(answer []byte) bool {
	var d struct {
		Receipt struct {
			Record string `json:"record"`
		} `json:"receipt"`
	}
	return json.Unmarshal(answer, &d) == nil && d.Receipt.Record != ""
}

// versions is every signed version of a license that was ever handed out. One version is one signed JWT for ever.
type versions map[string]string

func (v versions) take(t testing.TB, answer []byte) {
	t.Helper()
	var d struct {
		Answer struct {
			Licenses  []api.License `json:"licenses"`
			Materials []struct {
				Licenses []api.License `json:"licenses"`
			} `json:"materials"`
		} `json:"answer"`
	}
	if err := json.Unmarshal(answer, &d); err != nil {
		return // of another operation
	}
	all := d.Answer.Licenses
	for _, m := range d.Answer.Materials {
		all = append(all, m.Licenses...)
	}
	for _, l := range all {
		signed := firstPart(l.License)
		if before, known := v[l.Identifier]; known && before != signed {
			t.Fatalf("version %d of license %s was signed twice", l.Version, l.Identifier)
		}
		v[l.Identifier] = signed
	}
}

func firstPart(presentation string) string {
	for i, b := range []byte(presentation) {
		if b == '~' {
			return presentation[:i]
		}
	}
	return presentation
}

// claimed reads the claims of a token that we signed ourselves.
func claimed(t testing.TB, e *exchange) token.Claims {
	t.Helper()
	var c token.Claims
	if err := json.Unmarshal(payload(t, e.token), &c); err != nil {
		t.Fatal(err)
	}
	return c
}

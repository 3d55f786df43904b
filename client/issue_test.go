package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"oncegate/api"
)

// A registry is what a gateway knows of the holders of a bulk run; what a code ends with says what is wrong.
type registry struct {
	signed map[string]bool
	calls  int
	asked  int                                   // holders, over all calls
	before func(q api.IssueRequest) *api.Problem // refuses a call, or not
}

func (r *registry) issue(q api.IssueRequest) (a api.IssueAnswer, _ *api.Problem) {
	r.calls++
	r.asked += len(q.Holders)
	if r.before != nil {
		if p := r.before(q); p != nil {
			return a, p
		}
	}
	wrong := api.NewProblem("holder-code-invalid")
	for i, h := range q.Holders {
		if strings.HasSuffix(h.Code, "X") {
			wrong.At(fmt.Sprintf("/holders/%d/code", i), "check-character")
		}
	}
	if len(wrong.Faults) > 0 {
		return a, wrong
	}
	for _, h := range q.Holders {
		out := api.IssuedHolder{State: api.IssuedHolderStateKnown, Identifiers: []string{identifier}}
		switch h.Code[len(h.Code)-1] {
		case 'F':
			out = api.IssuedHolder{State: api.IssuedHolderStateFaulty, Reason: api.Reason{Code: "source-faulty", Zh: "数据源有误。", En: "Faulty."}, Detail: "column djrq: not a day"}
		case 'M':
			out = api.IssuedHolder{State: api.IssuedHolderStateMissing}
		case 'U':
			out = api.IssuedHolder{State: api.IssuedHolderStateUnavailable, Reason: api.Reason{Code: "source-unavailable"}}
		default:
			if !r.signed[h.Code] {
				out.State, r.signed[h.Code] = api.IssuedHolderStateSigned, true
			}
		}
		a.Holders = append(a.Holders, out)
	}
	return a, nil
}

// holdersOf are n holders; marks say what is wrong at some places.
func holdersOf(n int, marks map[int]string) (list []api.HolderID) {
	for i := range n {
		mark, ok := marks[i]
		if !ok {
			mark = "0"
		}
		list = append(list, api.HolderID{Type: "001", Code: fmt.Sprintf("91379901MA9%06d%s", i, mark)})
	}
	return list
}

func newRegistry(t *testing.T) (*registry, *Client) {
	t.Helper()
	c := newCity(t)
	r := &registry{signed: make(map[string]bool)}
	c.issues = r.issue
	client := c.newClient(c.newTrust())
	client.config.Tries = 1
	return r, client
}

// balanced fails unless the counts of a result add up.
func balanced(t *testing.T, r BulkResult) {
	t.Helper()
	if sum := r.Signed + r.Unchanged + r.Skipped + len(r.Failures) + r.Open; sum != r.Asked {
		t.Errorf("%d signed, %d unchanged, %d skipped, %d failed and %d open are not %d", r.Signed, r.Unchanged, r.Skipped, len(r.Failures), r.Open, r.Asked)
	}
}

// Of a thousand holders, those fail that must, each under its own reason, and no other.
func TestIssueAll(t *testing.T) {
	r, client := newRegistry(t)
	marks := map[int]string{0: "F", 63: "M", 64: "X", 65: "X", 500: "F", 999: "M"}
	for i := 128; i < 192; i += 2 { // more wrong codes than one problem points at
		marks[i] = "X"
	}
	holders := holdersOf(1000, marks)
	r.signed[holders[7].Code] = true
	var kept, progress int
	run := Bulk{LicenseType: "business-license", Holders: holders, Skip: 5, Keep: func([]byte) error { kept++; return nil }, Progress: func(done, total uint64) { progress = int(done) }}
	got, err := client.IssueAll(t.Context(), run)
	if err != nil {
		t.Fatal(err)
	}
	balanced(t, got)
	failed := make(map[int]string)
	for i, f := range got.Failures {
		failed[f.Place] = f.Reason.Code
		if f.Holder != holders[f.Place] || i > 0 && got.Failures[i-1].Place >= f.Place {
			t.Errorf("failed: %+v", f)
		}
	}
	want := map[int]string{}
	for place, mark := range marks {
		if place >= run.Skip {
			want[place] = map[string]string{"F": "source-faulty", "M": "not-found", "X": "holder-code-invalid"}[mark]
		}
	}
	if diff := cmp.Diff(want, failed); diff != "" {
		t.Error(diff)
	}
	if got.Signed != 1000-5-1-len(want) || got.Unchanged != 1 || got.Skipped != 5 || got.Next != 1000 || progress != 1000 || kept != r.calls {
		t.Errorf("%d signed, %d unchanged, %d skipped, next %d, of %d calls, %d kept", got.Signed, got.Unchanged, got.Skipped, got.Next, r.calls, kept)
	}
	again, err := client.IssueAll(t.Context(), Bulk{LicenseType: "business-license", Holders: holders})
	balanced(t, again)
	if err != nil || again.Signed != 4 || again.Unchanged != 1000-4-len(want)-1 {
		t.Errorf("again: %d signed, %d unchanged, %v", again.Signed, again.Unchanged, err)
	}
}

// A run that is refused, or interrupted, says with which Skip another one goes on; together they are one whole run.
func TestIssueAllGoesOn(t *testing.T) {
	for name, stop := range map[string]func(r *registry, cancel func()) error{
		"refused": func(r *registry, _ func()) error {
			r.before = func(q api.IssueRequest) *api.Problem {
				if q.Holders[0].Code[11:17] == "000320" {
					return api.NewProblem("not-permitted")
				}
				return nil
			}
			return api.NewProblem("not-permitted")
		},
		"interrupted": func(r *registry, cancel func()) error {
			r.before = func(q api.IssueRequest) *api.Problem {
				if r.calls == 4 {
					cancel() // with this call and others under way: they end, and count
				}
				return nil
			}
			return context.Canceled
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, client := newRegistry(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			want := stop(r, cancel)
			holders := holdersOf(1000, map[int]string{3: "F", 900: "M"})
			first, err := client.IssueAll(ctx, Bulk{LicenseType: "business-license", Holders: holders})
			balanced(t, first)
			if !errors.Is(err, want) || first.Open == 0 || first.Signed != len(r.signed) || first.Next == 0 || first.Next%64 != 0 {
				t.Fatalf("%v; %d signed of %d, next %d, open %d", err, first.Signed, len(r.signed), first.Next, first.Open)
			}
			for _, h := range holders[:first.Next] {
				if !r.signed[h.Code] && h.Code != holders[3].Code {
					t.Fatalf("%s stands before the place to go on from and is not signed", h.Code)
				}
			}
			r.before = nil
			rest, err := client.IssueAll(t.Context(), Bulk{LicenseType: "business-license", Holders: holders, Skip: first.Next})
			balanced(t, rest)
			if err != nil || len(r.signed) != 998 || rest.Skipped != first.Next || rest.Open != 0 || first.Signed+rest.Signed != 998 {
				t.Errorf("%v; %d signed, %+v", err, len(r.signed), rest)
			}
		})
	}
}

// A holder whom the source does not answer about is asked again, alone; the others of the batch are not.
func TestIssueAllAsksAgain(t *testing.T) {
	r, client := newRegistry(t)
	holders := holdersOf(10, map[int]string{4: "U"})
	r.before = func(q api.IssueRequest) *api.Problem {
		if r.calls == 2 && len(q.Holders) != 1 {
			t.Errorf("%d holders were asked again", len(q.Holders))
		}
		if r.calls == 3 {
			holders[4].Code = holders[4].Code[:17] + "0"
			return api.NewProblem("source-busy")
		}
		return nil
	}
	got, err := client.IssueAll(t.Context(), Bulk{LicenseType: "business-license", Holders: holders})
	balanced(t, got)
	if err != nil || got.Signed != 10 || r.calls != 4 || r.asked != 13 {
		t.Errorf("%+v, %d calls about %d holders, %v", got, r.calls, r.asked, err)
	}
	if _, err := client.IssueAll(t.Context(), Bulk{Concurrent: 17}); err == nil {
		t.Error("17 calls at once")
	}
}

// Of a gateway that does not run it is said so, and nothing of the call.
func TestUnreachable(t *testing.T) {
	c := newCity(t)
	client := c.newClient(c.newTrust())
	c.server.Close()
	_, err := client.Types(t.Context())
	var unreachable *UnreachableError
	if !errors.As(err, &unreachable) || !errors.Is(err, syscall.ECONNREFUSED) || !strings.HasSuffix(err.Error(), " (is the gateway running?)") || strings.Contains(err.Error(), "http://") {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := client.Types(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

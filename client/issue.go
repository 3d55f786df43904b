package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"oncegate/api"
)

// Bounds of bulk signing.
const (
	issueBatch    = 64               // holders in one call: what licenses.issue takes
	issueTries    = 6                // of a call that may succeed later
	issueFinish   = 15 * time.Second // for calls under way when a run is interrupted
	maxConcurrent = 16
)

// Bulk is bulk signing (批量签发): the licenses of many holders are signed ahead of use, in batches. A holder whose licenses cannot be signed
// affects no other. What is signed already stays as it is, so that a run that was broken off may begin again, or go on with Skip.
type Bulk struct {
	LicenseType string
	Holders     []api.HolderID // whose licenses are signed, each once
	Skip        int            // leaves out the first so many holders
	Concurrent  int            // calls at once, 1 to 16; 0 is 4

	// Keep, if not nil, gets every answer with its receipt as it came, and every refusal, in the order in which they came: what to file.
	Keep func(raw []byte) error
	// Progress, if not nil, is called after each batch with how many holders are done.
	Progress func(done, total uint64)
}

// A BulkResult says what became of the holders of a [Bulk]: Signed, Unchanged, Skipped, Failed and Open add up to Asked.
type BulkResult struct {
	Asked     int            // holders of the run
	Signed    int            // at least one license was signed now
	Unchanged int            // all licenses were signed before
	Skipped   int            // left out by Skip
	Failures  []FailedHolder // by place
	Open      int            // not done, because the run was broken off
	Next      int            // the Skip with which another run goes on: all holders before it are done
}

// A FailedHolder is a holder not all of whose licenses are signed.
type FailedHolder struct {
	Place  int // in Holders, from 0
	Holder api.HolderID
	Reason api.Reason // a stable code with its sentences
	Detail string     // what exactly, such as a column that cannot be read; never a value; may be empty
	Later  bool       // the same holder may succeed later
}

// notFound is the reason of a holder of whom the source has no license.
var notFound = api.Reason{Code: "not-found", Zh: "数据源查无此证照。", En: "The source answered and has no such license."}

// IssueAll signs the licenses of many holders. Where ctx ends, the calls under way are waited for, so that the result is true; then the
// error is that of ctx. Any other error is of a call that was refused for good, or whose tries are used up; the result says how far the run
// came all the same.
func (c *Client) IssueAll(ctx context.Context, b Bulk) (BulkResult, error) {
	if b.Concurrent < 0 || b.Concurrent > maxConcurrent || b.Skip < 0 {
		return BulkResult{}, fmt.Errorf("issue licenses: %d calls at once or %d skipped holders are out of range", b.Concurrent, b.Skip)
	}
	if b.Concurrent == 0 {
		b.Concurrent = 4
	}
	run := bulkRun{Bulk: b, client: c, finished: make(map[int]int)}
	run.next = min(b.Skip, len(b.Holders))
	run.result = BulkResult{Asked: len(b.Holders), Skipped: run.next, Next: run.next}
	err := run.all(ctx)
	slices.SortFunc(run.result.Failures, func(x, y FailedHolder) int { return x.Place - y.Place })
	r := &run.result
	r.Open = r.Asked - r.Signed - r.Unchanged - r.Skipped - len(r.Failures)
	return *r, err
}

// Licenses returns the signed versions of the licenses of a type that one holder has now. What was never signed is signed for it, as
// licenses.issue does.
func (c *Client) Licenses(ctx context.Context, licenseType string, holder api.HolderID) ([]api.SignedVersion, error) {
	issued, err := c.Issue(ctx, api.IssueRequest{LicenseType: licenseType, Holders: []api.HolderID{holder}})
	if err != nil {
		return nil, err
	}
	var versions []api.SignedVersion
	for _, h := range issued.Answer.Holders {
		for _, identifier := range h.Identifiers {
			found, err := c.List(ctx, api.ListRequest{Identifier: identifier})
			if err != nil {
				return versions, err
			}
			versions = append(versions, found.Answer.Licenses...)
		}
	}
	return versions, nil
}

// A bulkRun is the state of a Bulk. Batches end in any order.
type bulkRun struct {
	Bulk
	client   *Client
	next     int         // the first holder that is in no batch yet
	finished map[int]int // start → end of batches that are done
	result   BulkResult
}

// A bulkBatch is some of the holders, and what became of them.
type bulkBatch struct {
	start, end int
	failed     map[int]FailedHolder // by place
	states     map[int]api.IssuedHolderState
	raw        [][]byte
	err        error
}

// all makes the calls, a few at once, until all holders are done, or a call has failed for good.
func (r *bulkRun) all(ctx context.Context) (err error) {
	calls, stop := outlive(ctx, issueFinish)
	defer stop()
	results := make(chan *bulkBatch)
	for running := 0; ; {
		for err == nil && ctx.Err() == nil && running < r.Concurrent && r.next < len(r.Holders) {
			b := &bulkBatch{start: r.next, end: min(r.next+issueBatch, len(r.Holders)), failed: make(map[int]FailedHolder), states: make(map[int]api.IssuedHolderState)}
			r.next = b.end
			running++
			go func() {
				b.err = r.batch(ctx, calls, b)
				results <- b
			}()
		}
		if running == 0 {
			if err == nil && r.result.Next < len(r.Holders) {
				err = ctx.Err()
			}
			return err
		}
		b := <-results
		running--
		if kept := r.note(b); err == nil {
			err = errors.Join(b.err, kept)
		}
	}
}

// outlive is a context that ends a while after ctx does.
func outlive(ctx context.Context, while time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-time.After(while):
			cancel()
		case <-longer.Done():
		}
	})
	return longer, func() { stop(); cancel() }
}

// note counts what became of a batch. One that failed as a whole counts nothing: all its holders are open.
func (r *bulkRun) note(b *bulkBatch) error {
	var kept error
	for _, raw := range b.raw {
		if r.Keep != nil && kept == nil {
			kept = r.Keep(raw)
		}
	}
	if b.err != nil {
		return kept
	}
	for place := b.start; place < b.end; place++ {
		if f, failed := b.failed[place]; failed {
			r.result.Failures = append(r.result.Failures, f)
			continue
		}
		if b.states[place] == api.IssuedHolderStateSigned {
			r.result.Signed++
		} else {
			r.result.Unchanged++
		}
	}
	for r.finished[b.start] = b.end; r.finished[r.result.Next] > 0; {
		r.result.Next = r.finished[r.result.Next]
	}
	if r.Progress != nil {
		r.Progress(uint64(r.result.Next), uint64(len(r.Holders)))
	}
	return kept
}

// batch has a batch signed. Holders whom the gateway finds wrong in the request are left out of the next call; those whom the source did
// not answer about are asked again. ctx ends the waiting, calls the calls.
func (r *bulkRun) batch(ctx, calls context.Context, b *bulkBatch) error {
	var open []int // places
	for place := b.start; place < b.end; place++ {
		open = append(open, place)
	}
	for try := 1; len(open) > 0; {
		q := api.IssueRequest{LicenseType: r.LicenseType}
		for _, place := range open {
			q.Holders = append(q.Holders, r.Holders[place])
		}
		done, err := r.client.Issue(calls, q)
		p, refused := errors.AsType[*api.Problem](err)
		var wait time.Duration
		switch {
		case err == nil && len(done.Answer.Holders) != len(open):
			return &CallError{"licenses.issue", done.JTI, done.RequestID, errors.New("the answer is not about every holder")}
		case err == nil:
			b.raw = append(b.raw, done.Raw)
			if open = r.outcomes(b, open, done.Answer.Holders); len(open) == 0 || try == issueTries || ctx.Err() != nil {
				return nil
			}
		case refused:
			b.raw = append(b.raw, p.Body())
			rest, some := r.withoutWrong(b, open, p)
			if some {
				open = rest
				continue // with no try used up: each time at least one holder is out
			}
			if !p.Retry || try == issueTries || ctx.Err() != nil {
				return err
			}
			wait = time.Duration(p.RetryAfter) * time.Second
		default:
			return err
		}
		select {
		case <-ctx.Done():
			if err != nil {
				return err
			}
			return nil
		case <-time.After(max(wait, time.Duration(try)*200*time.Millisecond)):
		}
		try++
	}
	return nil
}

// outcomes notes what became of the holders at some places, and returns the places that may succeed later.
func (r *bulkRun) outcomes(b *bulkBatch, places []int, holders []api.IssuedHolder) (later []int) {
	for i, place := range places {
		h := holders[i]
		delete(b.failed, place)
		switch h.State {
		case api.IssuedHolderStateSigned, api.IssuedHolderStateKnown:
			b.states[place] = h.State
		case api.IssuedHolderStateMissing:
			b.failed[place] = FailedHolder{Place: place, Holder: r.Holders[place], Reason: notFound}
		default:
			f := FailedHolder{Place: place, Holder: r.Holders[place], Reason: h.Reason, Detail: h.Detail, Later: h.State == api.IssuedHolderStateUnavailable}
			if b.failed[place] = f; f.Later {
				later = append(later, place)
			}
		}
	}
	return later
}

// withoutWrong takes the holders out of a batch that a refusal points at, and returns the others. There are some only if it points at any.
func (r *bulkRun) withoutWrong(b *bulkBatch, places []int, p *api.Problem) (rest []int, some bool) {
	for _, f := range p.Faults {
		at, member, _ := strings.Cut(strings.TrimPrefix(f.Pointer, "/holders/"), "/")
		i, err := strconv.Atoi(at)
		if err != nil || i < 0 || i >= len(places) || member != "code" && member != "type" {
			continue
		}
		some = true
		b.failed[places[i]] = FailedHolder{Place: places[i], Holder: r.Holders[places[i]], Reason: api.Reason{Code: p.Code, Zh: p.Zh, En: p.En}, Detail: f.Reason}
	}
	for _, place := range places {
		if _, wrong := b.failed[place]; !wrong || b.failed[place].Later {
			rest = append(rest, place)
		}
	}
	return rest, some
}

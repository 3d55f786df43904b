package audit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"oncegate/canonical"
	"oncegate/check"
	"oncegate/tlog"
)

// retainStep is how many records one step of Retain erases, so that others come between.
const retainStep = 500

// Operations of the records that order an erasure.
const (
	OperationErase  = "audit.erase"
	OperationRetain = "audit.retain"
)

// An Order is what a record orders to be erased: the request and the persons, never the inputs, of one record or of all from before a
// moment. The erased parts' digests stay, and the log still verifies.
type Order struct {
	Index  *uint64 `json:"index,omitempty"`  // of the record; or
	Before string  `json:"before,omitempty"` // records with an earlier time, in canonical.TimeLayout
}

// covers reports whether the order is about a record.
func (o *Order) covers(index uint64, r Record) bool {
	return o != nil && (o.Index != nil && *o.Index == index || r.Time < o.Before)
}

// ErrNoOrder says that a record orders no erasure of one record.
var ErrNoOrder = errors.New("the record orders no erasure")

// Erase carries out the order that a record gives (Draft.Erase, with an index): so no evidence is gone without a record that says who
// ordered it and why. Carrying it out again changes nothing. The error is ErrNoOrder, or fs.ErrNotExist if there is no such record.
func (a *Auditor) Erase(ctx context.Context, order uint64) error {
	evidence, err := a.Evidence(ctx, order)
	if err == nil && (evidence.Order == nil || evidence.Order.Index == nil) {
		err = ErrNoOrder
	}
	if err == nil {
		err = a.config.Storage.Erase(ctx, *evidence.Order.Index)
	}
	if err != nil {
		return fmt.Errorf("erase evidence by order of record %d: %w", order, err)
	}
	return nil
}

// Retain erases the evidence of every record from before a moment (留存期满), and leaves one record of its own for the whole run, before
// it begins, and none where nothing is old enough: the order that its erased parts name. Evidence of a log from before a recovery is
// erased too. It returns how many records' evidence is gone; a run that was broken off is continued by the next one. progress may be
// nil.
func (a *Auditor) Retain(ctx context.Context, before time.Time, progress func(done int)) (int, error) {
	found, err := a.config.Storage.Erasable(ctx, before)
	if err != nil {
		return 0, fmt.Errorf("erase old evidence: %w", err)
	}
	if !found {
		return 0, nil
	}
	order := &Order{Before: before.UTC().Format(canonical.TimeLayout)}
	if _, err := a.own(ctx, Own{Operation: OperationRetain, Inputs: map[string]any{"before": order.Before}, Erase: order}); err != nil {
		return 0, fmt.Errorf("erase old evidence: %w", err)
	}
	for done := 0; ; {
		n, err := a.config.Storage.EraseBefore(ctx, before, retainStep)
		if err != nil {
			return done, fmt.Errorf("erase old evidence: %w", err)
		}
		if n == 0 {
			return done, nil
		}
		if done += n; progress != nil {
			progress(done)
		}
	}
}

// gone says why parts of a record are not there.
type gone struct {
	by     *uint64 // the record that ordered it; nil if none was found
	behind bool    // there may be one, too new to be found
	err    error   // why orders cannot be read; tlog.ErrUnproven: what is stored of one is not what was logged
}

// orderOf finds the record that ordered the erasure of another one's evidence: the first order that covers it. Orders are sought by
// their operation, which anybody with the database could forge; what they say is trusted because it is sealed and named by its record,
// which is proven to be in the log.
func (a *Auditor) orderOf(ctx context.Context, index uint64, r Record) gone {
	page, err := a.catchUp(ctx)
	if err != nil {
		return unread(err)
	}
	var first *uint64
	for _, operation := range []string{OperationErase, OperationRetain} {
		found, err := a.firstOrder(ctx, operation, index, r, page.Covered)
		if err != nil {
			return unread(err)
		}
		if found != nil && (first == nil || *found < *first) {
			first = found
		}
	}
	if first == nil {
		return gone{behind: page.Covered < page.Size}
	}
	return gone{by: first}
}

// unread is why orders could not be read.
func unread(err error) gone {
	if errors.Is(err, ErrBehind) {
		return gone{behind: true}
	}
	return gone{err: err}
}

// firstOrder walks the orders of one kind from the newest back to the record.
func (a *Auditor) firstOrder(ctx context.Context, operation string, index uint64, r Record, covered uint64) (first *uint64, err error) {
	for query := (Query{Operation: operation, Limit: MaxPage, Covered: covered}); ; {
		rows, err := a.find(ctx, query)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			if row.Index <= index { // an order is newer than what it is about
				return first, nil
			}
			order, err := a.order(ctx, row)
			if err != nil {
				return nil, err
			}
			if order.covers(index, r) {
				at := row.Index
				first = &at
			} else if first != nil && operation == OperationRetain { // later runs erase more, earlier ones less
				return first, nil
			}
		}
		if len(rows) < query.Limit {
			return first, nil
		}
		query.Before = rows[len(rows)-1].Index
	}
}

// order opens what a record orders, nil if it is no order or does not hold.
func (a *Auditor) order(ctx context.Context, row Row) (*Order, error) {
	leaf, sealed, err := a.entry(ctx, row.Index)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	e := Evidence{Index: row.Index}
	e.Record, _ = ParseRecord(leaf) // what is no record has no operation
	if e.Record.Operation != OperationErase && e.Record.Operation != OperationRetain {
		return nil, nil
	}
	a.config.open(&e, sealed, func() gone { return gone{behind: true} }) // an order's own request may be erased: its inputs say all
	if _, failed := check.FirstFailed(e.Steps); failed {
		return nil, nil
	}
	if e.Order == nil { // as it was written before orders had a member of their own
		var old Order
		if json.Unmarshal(e.Inputs, &old) == nil {
			return &old, nil
		}
	}
	return e.Order, nil
}

// Erased are the kinds of parts that an order erased.
func (e Evidence) Erased() (kinds []string) {
	for _, s := range e.Steps {
		if kind, ok := strings.CutPrefix(s.Name, StepPart); ok && s.State == check.NotCheckable && !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

// Erasable are the kinds of parts that an order would erase: they are there.
func (e Evidence) Erasable() []string {
	kinds := []string{}
	for _, kind := range []string{KindRequest, KindPerson} {
		if slices.ContainsFunc(e.parts, func(p Sealed) bool { return p.Kind == kind && p.Blob != nil }) {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

// Purge forgets the jti of calls that expired before a moment. The horizon that Storage keeps refuses them from then on, so
// nothing can be replayed. It holds no personal data and decides nothing, and so leaves no record.
func (a *Auditor) Purge(ctx context.Context, before time.Time) error {
	if err := a.config.Storage.Purge(ctx, before); err != nil {
		return fmt.Errorf("purge claims: %w", err)
	}
	return nil
}

func (a *Auditor) own(ctx context.Context, own Own) (tlog.Receipt, error) {
	if a.config.Log == nil {
		return tlog.Receipt{}, errors.New("this auditor only reads")
	}
	return (&Recorder{a.config}).RecordOwn(ctx, own)
}

package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"oncegate/canonical"
	"oncegate/license"
	"oncegate/tlog"
)

// ErrTooLarge says that a record would be longer than MaxRecord: too many materials in one call.
var ErrTooLarge = errors.New("the record is too large")

// A Recorder writes records. It is safe for concurrent use.
type Recorder struct{ config Config }

// NewRecorder returns a Recorder that appends to config.Log.
func NewRecorder(config Config) (*Recorder, error) {
	config, err := config.withDefaults()
	if err == nil && config.Log == nil {
		err = errors.New("a log is required")
	}
	if err != nil {
		return nil, fmt.Errorf("make recorder: %w", err)
	}
	return &Recorder{config}, nil
}

// Recorded is a record that is durable.
type Recorded struct {
	Receipt tlog.Receipt
	Index   uint64
	Record  Record
}

// Record makes the record of a call with its evidence and appends it. When it returns without error, the record and every
// change of the draft are durable, and the answer may leave. ErrTooLarge: nothing was appended. Otherwise the error is the
// log's or, with errors.Is intact, the storage's refusal (ErrReplayed and those of the change types): nothing of the entry
// was kept.
func (r *Recorder) Record(ctx context.Context, d Draft) (Recorded, error) {
	entry, record, err := r.config.entry(d)
	if err != nil {
		return Recorded{}, fmt.Errorf("make record: %w", err)
	}
	receipt, err := r.config.Log.Append(ctx, entry.Record, entry)
	if err != nil {
		return Recorded{}, fmt.Errorf("append record: %w", err)
	}
	return Recorded{receipt, receipt.Index, record}, nil
}

// A Randomness opens the commitments to one person in one record: Commitment with R is what stands there. Whoever has both can try out
// whom a commitment is to; so it goes to nobody but who knows the person already.
type Randomness struct {
	Person license.HolderID // type OperatorType for an operator
	R      []byte           // 32 bytes
}

// Hide draws the randomness of the draft's commitments before it is recorded, so that the answer that the record binds can return it:
// that of each distinct person, the operator first. The draft's persons must not change afterwards, and Record takes the draft
// once.
func (r *Recorder) Hide(d *Draft) ([]Randomness, error) {
	h, err := r.config.hide(*d)
	if err != nil {
		return nil, fmt.Errorf("hide persons: %w", err)
	}
	d.hidden = h
	drawn := make([]Randomness, len(h.persons))
	for i, p := range h.persons {
		drawn[i] = Randomness{p.HolderID, p.r}
	}
	return drawn, nil
}

// errRehide says that a draft was changed, or recorded already, after Hide.
var errRehide = errors.New("the draft's persons changed after Hide, or it was recorded before")

// entry makes everything that commits with the record.
func (c Config) entry(d Draft) (Entry, Record, error) {
	now := d.Time
	if now.IsZero() {
		now = c.Now()
	}
	now = now.UTC().Truncate(time.Millisecond)
	var err error
	switch {
	case d.hidden == nil:
		if d.hidden, err = c.hide(d); err != nil {
			return Entry{}, Record{}, err
		}
	case !d.hidden.of(d):
		return Entry{}, Record{}, errRehide
	}
	persons, random := d.hidden.persons, d.hidden.random
	d.hidden.random = nil // no part of another record begins with it
	sealed, err := c.seal(d, persons, &random)
	if err != nil {
		return Entry{}, Record{}, err
	}
	changes := d.changes()
	bound, err := c.bound(changes)
	if err != nil {
		return Entry{}, Record{}, err
	}
	digest := ""
	if bound != nil {
		digest = c.digest(bound)
	}
	record := d.record(c, now, persons, c.evidenceDigest(sealed), digest)
	if err := cmp.Or(record.checkV3(), record.checkV4()); err != nil { // no leaf may be written that cannot be read
		return Entry{}, Record{}, err
	}
	leaf, err := canonical.Marshal(record)
	if err != nil {
		return Entry{}, Record{}, err
	}
	if len(leaf) > MaxRecord {
		return Entry{}, Record{}, ErrTooLarge
	}
	return Entry{Record: leaf, Sealed: sealed, Index: d.index(now, persons), Changes: changes, Bound: bound}, record, nil
}

// Room that a use may still need when Fits is asked before the sources are: the longest decision, source, freshness and commitment.
const (
	decisionRoom  = 32
	sourceRoom    = 64
	freshnessRoom = 48

	changesRoom = len(`"changes":"",`) + canonical.DigestLen
	needRoom    = len(`"need":0,`)

	commitmentRoom = len(`"request_commitment":"",`) + canonical.DigestLen // the longer of the members that may be missing
)

// Fits reports whether the record of a draft will be small enough, whatever the sources answer. It is asked when the
// uses are known (material, matter, case, basis, license type, rules and fields) and before any source is asked; where rules
// and fields are not decided yet, put in all that could be. Token, body and answer do not count.
func Fits(d Draft) bool {
	r := Record{V: Version, Time: canonical.TimeLayout, System: d.System, Operation: d.Operation, RequestID: d.RequestID, Policy: d.Policy, OperatorProof: OperatorAsserted,
		OperatorRoles: d.OperatorRoles, OperatorService: d.OperatorService}
	spare := 4*canonical.DigestLen + changesRoom
	if d.CommittedRequestID != "" {
		spare += commitmentRoom
	}
	for _, use := range d.Uses {
		if use.CommittedCase != "" {
			spare += commitmentRoom
		}
		if use.Need == 0 {
			spare += needRoom
		}
		spare += 2*canonical.DigestLen + room(use.Decision, decisionRoom) + room(use.Source, sourceRoom) + room(use.Freshness, freshnessRoom)
		use.Holder, use.Operator = "", ""
		r.Uses = append(r.Uses, use.Use)
	}
	leaf, err := canonical.Marshal(r)
	return err == nil && len(leaf)+spare <= MaxRecord
}

func room(known string, most int) int { return max(0, most-len(known)) }

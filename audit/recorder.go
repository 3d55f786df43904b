package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

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

// entry makes everything that commits with the record.
func (c Config) entry(d Draft) (Entry, Record, error) {
	now := c.Now().UTC().Truncate(time.Millisecond)
	persons := peopleOf(d)
	random, err := c.draw(2 + 2*len(persons))
	if err != nil {
		return Entry{}, Record{}, err
	}
	if err := c.hide(persons, &random); err != nil {
		return Entry{}, Record{}, err
	}
	sealed, err := c.seal(d, persons, &random)
	if err != nil {
		return Entry{}, Record{}, err
	}
	record := d.record(c, now, persons, c.evidenceDigest(sealed))
	leaf, err := Canonical(record)
	if err != nil {
		return Entry{}, Record{}, err
	}
	if len(leaf) > MaxRecord {
		return Entry{}, Record{}, ErrTooLarge
	}
	return Entry{Record: leaf, Sealed: sealed, Index: d.index(now, persons), Changes: d.changes()}, record, nil
}

// Room that a use may still need when Fits is asked before the sources are: the longest decision, source and freshness.
const (
	decisionRoom  = 32
	sourceRoom    = 64
	freshnessRoom = 48
)

// Fits reports whether the record of a draft will be small enough, whatever the sources answer. It is asked when the
// uses are known (material, matter, case, basis, license type, rules and fields) and before any source is asked; where rules
// and fields are not decided yet, put in all that could be. Token, body and answer do not count.
func Fits(d Draft) bool {
	r := Record{V: Version, Time: TimeFormat, System: d.System, Operation: d.Operation, RequestID: d.RequestID, Policy: d.Policy}
	spare := 4 * digestText
	for _, use := range d.Uses {
		spare += 2*digestText + room(use.Decision, decisionRoom) + room(use.Source, sourceRoom) + room(use.Freshness, freshnessRoom)
		use.Holder, use.Operator = "", ""
		r.Uses = append(r.Uses, use.Use)
	}
	leaf, err := Canonical(r)
	return err == nil && len(leaf)+spare <= MaxRecord
}

func room(known string, most int) int { return max(0, most-len(known)) }

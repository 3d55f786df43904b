package store

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"oncegate/audit"
	"oncegate/canonical"
	"oncegate/cases"
	"oncegate/register"
	"oncegate/tlog"
)

// A row is an entry made ready before the lock is taken: everything that takes time is done.
type row struct {
	refused error // the entry cannot be stored, whatever stands there

	leaf     []byte
	time     int64
	search   []byte
	evidence []byte
	bound    []byte // what the record's changes digest is of
	erasable bool
	changes  []change
}

// A change is one value of audit.Entry.Changes, made ready.
type change interface {
	// need adds the keys of what judge looks at.
	need(w *wanted)
	// judge refuses the change, or makes it in the state.
	judge(s *state) error
}

// Ready makes an entry ready to be stored.
func (l logView) Ready(e tlog.Entry) any { return l.db.prepare(e) }

// prepare never fails: an entry that cannot be stored is one that is refused.
func (db *DB) prepare(e tlog.Entry) *row {
	if ready, ok := e.Attached.(*row); ok {
		return ready
	}
	r := &row{leaf: e.Leaf, search: []byte{}, evidence: []byte{}}
	switch a := e.Attached.(type) {
	case nil:
	case audit.Entry:
		r.refused = db.attach(r, a)
	case *audit.Entry:
		r.refused = db.attach(r, *a)
	default:
		r.refused = fmt.Errorf("unknown attachment %T", a)
	}
	return r
}

func (db *DB) attach(r *row, e audit.Entry) (err error) {
	if len(e.Record) > 0 && !bytes.Equal(e.Record, r.leaf) {
		return errors.New("the record is not the leaf")
	}
	if err := indexText(e.Index); err != nil {
		return err
	}
	r.time = canonical.Micros(e.Index.Time)
	if r.search, err = json.Marshal(e.Index); err != nil {
		return fmt.Errorf("index cannot be stored: %w", err)
	}
	if r.evidence, r.erasable, err = packEvidence(e.Sealed); err != nil {
		return err
	}
	r.bound = e.Bound
	for _, c := range e.Changes {
		ready, err := db.ready(c)
		if err != nil {
			return err
		}
		r.changes = append(r.changes, ready)
	}
	return nil
}

// ready interprets one change. This is the only list of all change types.
func (db *DB) ready(c any) (change, error) {
	switch c := c.(type) {
	case audit.Claim:
		return claim(c), text(c.System, c.JTI)
	case audit.PolicySet:
		return readyPolicySet(c)
	case audit.Adopt:
		return adopting{}, nil
	case cases.Register:
		return db.readyCase(c.Case, c.R)
	case cases.Close:
		return closing(c), text(c.No)
	case cases.Receive:
		return receipt(c.Received), text(c.Received.Case, c.Received.Matter, c.Received.Material, c.Received.How, c.Received.Digest, c.Received.By)
	case cases.StillOpen:
		return stillOpen(c), text(c.No)
	case cases.Give:
		return db.readyConsent(c.Consent, c.R)
	case cases.Withdraw:
		return withdrawal(c), text(c.ID)
	case cases.StillGiven:
		return stillGiven(c), text(c.ID)
	case register.Issue:
		v := c.Version
		return issue(c), text(c.Supersedes, v.Type, v.Issuer, v.Serial, v.Identifier, v.JWT, v.KeyID, string(v.Status), string(v.Stated), string(v.Ordered), v.List)
	case register.SetStatus:
		return setStatus(c), text(c.Identifier, string(c.From), string(c.To))
	case register.Order:
		return order(c), text(c.Identifier, string(c.From), string(c.To))
	case register.Keep:
		return keep(c.Snapshot), nil
	case register.KeepOriginal:
		return keepOriginal(c.Original), text(c.Original.Identifier)
	}
	return nil, fmt.Errorf("unknown change %T", c)
}

var errText = errors.New("a text holds what no database text may hold")

// text refuses what a TEXT column cannot take in both databases, so that one entry's fault does not fail its batch.
func text(all ...string) error {
	for _, s := range all {
		if !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 {
			return errText
		}
	}
	return nil
}

func indexText(i audit.Index) error {
	if err := text(i.System, i.Operation, i.RequestID, i.Operator); err != nil {
		return err
	}
	for _, u := range i.Uses {
		if err := text(u.Matter, u.Case, u.Material, u.LicenseType, u.Decision, u.Holder); err != nil {
			return err
		}
	}
	return nil
}

package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"oncegate/canonical"
	"oncegate/check"
	"oncegate/license"
	"oncegate/tlog"
)

// ErrAltered says that what is stored beside a record is not what the record commits to.
var ErrAltered = errors.New("stored evidence is not what the record commits to")

// Evidence is what stands sealed beside a record, opened. What was erased, or did not hold, is missing.
type Evidence struct {
	Index  uint64
	Record Record

	Request  *Request           // nil if there was none or it was erased
	Inputs   jsontext.Value     // what the decisions were made of; nil if it did not hold
	Reasons  jsontext.Value     // the real reasons of refusals; null if there were none
	Operator string             // code; empty if there was none or it was erased
	Holders  []license.HolderID // for each of Record.Uses; zero if nobody or erased
	Cases    []string           // for each of Record.Uses, the number behind its case_commitment; empty if it has none or it was erased

	CommittedRequestID string // the id behind request_commitment; empty if there is none or it was erased

	// ErasedBy is the record that ordered the erasure of the parts that are not there any more; nil if all are there, or if no order
	// was found: then their steps have failed.
	ErasedBy *uint64
	Order    *Order // what the record itself orders to be erased; nil if it is no order

	// Steps say what was checked: the record, its list of parts, each part, the token, every commitment.
	Steps check.Steps

	parts []Sealed
}

// A Request is the call as it came.
type Request struct {
	Token string // compact JWS; empty for a call that none signs
	Body  []byte // of the call; without a token, its whole question
}

// Evidence opens the sealed parts of a record for an auditor and holds each against the record, so that a part that was
// altered, or swapped with another record's, is found. The error is fs.ErrNotExist if there is no such record; tlog.ErrUnproven if the
// stored record, or the order that erased its parts, does not prove to be in the log, and then there is no Evidence; and
// ErrAltered if a step failed: Evidence then still holds what is sound.
func (a *Auditor) Evidence(ctx context.Context, index uint64) (Evidence, error) {
	leaf, sealed, err := a.entry(ctx, index)
	if err != nil {
		return Evidence{Index: index}, fmt.Errorf("read record %d: %w", index, err)
	}
	return a.evidence(ctx, index, leaf, sealed)
}

// EvidenceOf is Evidence of what a search found. The search has proven the leaf, together with its neighbours: it is not proven again, and one
// that is stored with other bytes by now is tlog.ErrUnproven. Proving one by one reads each tile above once for every leaf.
func (a *Auditor) EvidenceOf(ctx context.Context, f Found) (Evidence, error) {
	if f.leaf == nil { // found by no search
		return a.Evidence(ctx, f.Index)
	}
	leaf, sealed, err := a.config.Storage.Entry(ctx, f.Index)
	if err == nil && !bytes.Equal(leaf, f.leaf) {
		err = fmt.Errorf("%w: it is not the record that a search has proven", tlog.ErrUnproven)
	}
	if err != nil {
		return Evidence{Index: f.Index}, fmt.Errorf("read record %d: %w", f.Index, missing(err))
	}
	return a.evidence(ctx, f.Index, leaf, sealed)
}

// evidence opens the parts of a record whose leaf is proven.
func (a *Auditor) evidence(ctx context.Context, index uint64, leaf []byte, sealed []Sealed) (Evidence, error) {
	e := Evidence{Index: index, parts: sealed}
	var err error
	e.Record, err = ParseRecord(leaf)
	e.Steps.Result(StepRecord, err)
	if err == nil {
		var order gone
		a.config.open(&e, sealed, func() gone {
			order = a.orderOf(ctx, index, e.Record)
			return order
		})
		if order.err != nil {
			return Evidence{Index: index}, fmt.Errorf("read record %d: %w", index, order.err)
		}
	}
	if failed, found := check.FirstFailed(e.Steps); found {
		return e, fmt.Errorf("open evidence of record %d: %s: %w", index, failed.Name, ErrAltered)
	}
	return e, nil
}

// entry returns a leaf that is proven to be in the log, with what stands sealed beside it. fs.ErrNotExist says that the log has no
// such entry; one that it has and that is not stored any more is tlog.ErrUnproven, as an altered one is.
func (a *Auditor) entry(ctx context.Context, index uint64) ([]byte, []Sealed, error) {
	leaf, sealed, err := a.config.Storage.Entry(ctx, index)
	var leaves []tlog.Leaf
	if err == nil {
		leaves = []tlog.Leaf{{Index: index, Data: leaf}}
	}
	c, notProven := a.config.View.Prove(ctx, leaves)
	switch {
	case notProven != nil:
		return nil, nil, notProven
	case err != nil && index < c.Size:
		return nil, nil, missing(err)
	}
	return leaf, sealed, err
}

// open opens the parts. order is asked once, where a part is not there.
func (c Config) open(e *Evidence, sealed []Sealed, order func() gone) {
	var err error
	if c.evidenceDigest(sealed) != e.Record.Evidence {
		err = errors.New("the parts are not those, or not in the order, that the record names")
	}
	e.Steps.Result(StepEvidence, err)
	if err != nil {
		return // no digest beside the blobs can be trusted
	}
	persons, erased, order := people{}, false, sync.OnceValue(order)
	for _, part := range sealed {
		if part.Blob == nil {
			e.gone(part.Kind, order())
			if part.Kind == KindPerson {
				erased = true
			}
			continue
		}
		e.Steps.Result(StepPart+part.Kind, c.openPart(e, &persons, part))
	}
	e.token(c)
	e.people(persons, erased)
}

// gone reports a part that is not there.
func (e *Evidence) gone(kind string, why gone) {
	switch {
	case kind == KindInputs:
		e.Steps.Result(StepPart+kind, errors.New("the part is not there, and no order erases parts of this kind"))
	case why.by != nil:
		e.ErasedBy = why.by
		e.Steps.CannotCheck(StepPart+kind, fmt.Sprintf("the part was erased by order of record %d", *why.by))
	case why.behind:
		e.Steps.CannotCheck(StepPart+kind, "the part is not there, and the search index is too far behind to find who ordered its erasure")
	default:
		e.Steps.Result(StepPart+kind, errors.New("the part is not there, and no record ordered its erasure"))
	}
}

// openPart opens one part and takes what it holds into e or persons.
func (c Config) openPart(e *Evidence, persons *people, part Sealed) error {
	plain, err := c.Sealer.Open(part.Blob, partContext(part.Kind, part.Digest))
	if err != nil {
		return errors.New("the blob cannot be opened as this part of this record")
	}
	if len(plain) < saltSize || canonical.Digest(c.NewSM3, plain) != canonical.Base64(part.Digest) {
		return errors.New("the content is not what its digest says")
	}
	switch text := plain[saltSize:]; part.Kind {
	case KindRequest:
		e.Request, err = readRequest(text)
	case KindInputs:
		var inputs inputsPart
		err = json.Unmarshal(text, &inputs)
		e.Inputs, e.Reasons, e.Order = inputs.Inputs, inputs.Reasons, inputs.Erase
	case KindPerson:
		var p person
		p, err = c.readPerson(text)
		*persons = append(*persons, p)
	default:
		return errors.New("no such kind of part is known")
	}
	if err != nil {
		return errors.New("the content is not of this kind")
	}
	return nil
}

func readRequest(text []byte) (*Request, error) {
	var part requestPart
	if err := json.Unmarshal(text, &part); err != nil {
		return nil, err
	}
	body, err := canonical.ParseBase64(part.Body)
	if err != nil {
		return nil, err
	}
	return &Request{part.Token, body}, nil
}

func (c Config) readPerson(text []byte) (person, error) {
	var part personPart
	if err := json.Unmarshal(text, &part); err != nil {
		return person{}, err
	}
	p := person{HolderID: license.HolderID{Type: part.Type, Code: part.Code}}
	var err error
	if p.r, err = canonical.ParseBase64(part.R); err != nil {
		return person{}, err
	}
	p.commitment, err = Commitment(c.NewSM3, p.r, p.HolderID)
	return p, err
}

// token holds the kept token against the record.
func (e *Evidence) token(c Config) {
	switch {
	case e.Record.TokenDigest == "":
	case e.Request == nil:
		e.Steps.CannotCheck(StepToken, "the request is not there")
	case canonical.Digest(c.NewSM3, []byte(e.Request.Token)) != e.Record.TokenDigest:
		e.Steps.Result(StepToken, errors.New("the token kept is not the one that the record names"))
	default:
		e.Steps.Result(StepToken, nil)
	}
}

// people finds who stands behind each commitment; every one must be somebody's.
func (e *Evidence) people(persons people, erased bool) {
	e.Holders, e.Cases = make([]license.HolderID, len(e.Record.Uses)), make([]string, len(e.Record.Uses))
	missing := 0
	find := func(commitment string) license.HolderID {
		for _, p := range persons {
			if p.commitment == commitment {
				return p.HolderID
			}
		}
		if commitment != "" {
			missing++
		}
		return license.HolderID{}
	}
	if len(persons) > 0 && persons[0].Type == OperatorType { // no use need commit to the operator, who comes first
		e.Operator = persons[0].Code
	}
	for i, use := range e.Record.Uses {
		e.Holders[i] = find(use.Holder) // whoever opens another record's evidence is told of operators, too
		e.Operator = find(use.Operator).Code
		e.Cases[i] = find(use.CaseCommitment).Code
	}
	e.CommittedRequestID = find(e.Record.RequestCommitment).Code
	switch {
	case missing == 0:
		e.Steps.Result(StepCommitments, nil)
	case erased:
		e.Steps.CannotCheck(StepCommitments, "person parts were erased")
	default:
		e.Steps.Result(StepCommitments, errors.New("a commitment of the record is nobody's in its evidence"))
	}
}

package gateway

import (
	"context"
	"encoding/base64"
	"errors"
	"io/fs"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/canonical"
	"oncegate/license"
)

// index is the log index in the path; the contract has checked its form.
func (c *call) index() uint64 {
	n, _ := strconv.ParseUint(c.path("index"), 10, 64)
	return n
}

// evidence opens what stands sealed beside a record (POST /v1/audit/records/{index}). Opening persons, or the call that
// names them, is a release of its own: the record of this call says who opened what, and why.
func (g *Gateway) evidence(ctx context.Context, c *call, q api.EvidenceRequest) (*result, error) {
	c.note(map[string]string{"index": c.path("index"), "why": impersonal(q.Why, license.DateOf(c.now))})
	e, err := g.Auditor.Evidence(ctx, c.index())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, refuse("log-entry-not-found")
	case err != nil && !errors.Is(err, audit.ErrAltered):
		return nil, err
	}
	found := audit.Found{Index: e.Index, Record: e.Record}
	answer := api.EvidenceAnswer{Nonce: g.nonce(), Time: api.At(c.now), Operation: c.row.ID, Inputs: legible(e.Inputs), Reasons: []api.Reason{}, Erased: notNil(e.Erased())}
	if e.ErasedBy != nil {
		answer.ErasedBy = *e.ErasedBy
	}
	if e.Reasons != nil {
		_ = json.Unmarshal(e.Reasons, &answer.Reasons) // records of the gateway itself have none
		answer.Reasons = notNil(answer.Reasons)
	}
	if err != nil { // what is sound is shown; that something is not stands in front
		answer.Reasons = slices.Insert(answer.Reasons, 0, inside("evidence-altered", err)...)
		if e.Record.Operation == "" {
			found.Fault = "no record"
		}
	}
	answer.Record = auditRecord(found)
	if q.Request && e.Request != nil {
		answer.Request = api.EvidenceCall{Token: e.Request.Token, Body: base64.RawURLEncoding.EncodeToString(e.Request.Body)}
	}
	persons, uses := opened(e)
	var tells []license.HolderID
	if q.Persons {
		answer.Persons = persons
		for _, p := range persons {
			tells = append(tells, license.HolderID{Type: p.Type, Code: p.Code})
		}
		answer.Persons = append(answer.Persons, texts(e)...)
	}
	if !q.Persons && answer.Request.Token == "" {
		uses = nil
	}
	return &result{answer: answer, uses: uses, tells: tells}, nil
}

// legible are recorded inputs as an answer can carry them: where a number is greater than I-JSON holds, all of them as text.
func legible(inputs jsontext.Value) jsontext.Value {
	if inputs == nil {
		return jsontext.Value("null")
	}
	if _, err := canonical.Reformat(inputs); err != nil {
		text, _ := jsontext.AppendQuote(nil, []byte(inputs))
		return text
	}
	return inputs
}

// erase orders that the personal evidence beside a record is erased (POST /v1/audit/records/{index}/erase). The record of this call is
// the order; only when it is durable is anything erased.
func (g *Gateway) erase(ctx context.Context, c *call, q api.EraseRequest) (*result, error) {
	index := c.index()
	c.note(map[string]string{"index": c.path("index"), "why": impersonal(q.Why, license.DateOf(c.now))})
	e, err := g.Auditor.Evidence(ctx, index)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, refuse("log-entry-not-found")
	case err != nil && !errors.Is(err, audit.ErrAltered): // what is damaged can be erased
		return nil, err
	}
	answer := api.EraseAnswer{Nonce: g.nonce(), Time: api.At(c.now), Operation: c.row.ID, Index: api.Index(index), Parts: e.Erasable()}
	return &result{answer: answer, erase: &audit.Order{Index: &index}}, nil
}

// opened lists the persons behind a record's commitments, each once, and the uses that record their opening.
func opened(e audit.Evidence) (persons []api.EvidencePerson, uses []audit.DraftUse) {
	seen := make(map[license.HolderID]bool)
	add := func(person license.HolderID, commitment string) {
		if person.Code == "" || seen[person] {
			return
		}
		seen[person] = true
		persons = append(persons, api.EvidencePerson{Type: person.Type, Code: person.Code, Commitment: commitment})
		use := aboutPerson(person, outcomeOpened)
		use.Fields = []string{license.FieldHolderCode}
		uses = append(uses, use)
	}
	for i, holder := range e.Holders {
		add(holder, e.Record.Uses[i].Holder)
	}
	if len(e.Record.Uses) > 0 {
		add(license.HolderID{Type: audit.OperatorType, Code: e.Operator}, e.Record.Uses[0].Operator)
	}
	return persons, uses
}

// texts lists what callers wrote that stands in the record as persons do, each once.
func texts(e audit.Evidence) (out []api.EvidencePerson) {
	for i, no := range e.Cases {
		if no != "" && !slices.Contains(e.Cases[:i], no) {
			out = append(out, api.EvidencePerson{Type: audit.CaseType, Code: no, Commitment: e.Record.Uses[i].CaseCommitment})
		}
	}
	if e.CommittedRequestID != "" {
		out = append(out, api.EvidencePerson{Type: audit.RequestType, Code: e.CommittedRequestID, Commitment: e.Record.RequestCommitment})
	}
	return out
}

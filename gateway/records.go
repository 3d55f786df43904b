package gateway

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/canonical"
	"oncegate/license"
	"oncegate/tlog"
)

// index is the log index in the path; the contract has checked its form.
func (c *call) index() uint64 {
	n, _ := strconv.ParseUint(c.path("index"), 10, 64)
	return n
}

// evidence opens the sealed evidence of a record (POST /v1/audit/records/{index}). Opening persons, or the call that names them, is a
// release: the record of this call states who opened what, and why.
func (g *Gateway) evidence(ctx context.Context, c *call, q api.EvidenceRequest) (*result, error) {
	c.note(map[string]string{"index": c.path("index"), "why": withoutPersons(q.Why, license.DateOf(c.now))})
	e, err := g.Auditor.Evidence(ctx, c.index())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, refuse("log-entry-not-found")
	case err != nil && !errors.Is(err, audit.ErrAltered):
		return nil, err
	}
	if !c.about.Has(e.Record.Operation) {
		return nil, refuse("log-entry-not-found")
	}
	found := audit.Found{Index: e.Index, Record: e.Record}
	answer := api.EvidenceAnswer{Said: said(e.Inputs), Inputs: legible(e.Inputs), Reasons: []api.Reason{}, Erased: notNil(e.Erased())}
	if e.ErasedBy != nil {
		answer.ErasedBy = *e.ErasedBy
	}
	if e.Reasons != nil {
		_ = json.Unmarshal(e.Reasons, &answer.Reasons) // records of the gateway itself have none
		answer.Reasons = notNil(answer.Reasons)
	}
	if err != nil { // the intact parts are shown, after the fault
		answer.Reasons = slices.Insert(answer.Reasons, 0, evidenceReason("evidence-altered", err)...)
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
	if !q.Persons && !(q.Request && e.Request != nil) {
		uses = nil
	}
	return &result{answer: answer, uses: uses, disclosed: tells}, nil
}

// said is what a refused caller was told, as the recorded inputs have it; zero where the call was answered, or the record is of an earlier
// version.
func said(inputs jsontext.Value) (told api.Reason) {
	var all []struct {
		Said string `json:"said"`
	}
	if json.Unmarshal(inputs, &all) != nil || len(all) == 0 {
		return told
	}
	if code := all[len(all)-1].Said; code != "" {
		told = reason(code)
	}
	return told
}

// legible are recorded inputs as an answer can carry them: all of them as text if a number exceeds the range of I-JSON.
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

// erase erases the personal evidence of a record (POST /v1/audit/records/{index}/erase). The record of this call is the order; nothing
// is erased before it is durable.
func (g *Gateway) erase(ctx context.Context, c *call, q api.EraseRequest) (*result, error) {
	index := c.index()
	c.note(map[string]string{"index": c.path("index"), "why": withoutPersons(q.Why, license.DateOf(c.now))})
	e, err := g.Auditor.Evidence(ctx, index)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, refuse("log-entry-not-found")
	case err != nil && !errors.Is(err, audit.ErrAltered): // damaged evidence can be erased
		return nil, err
	}
	answer := api.EraseAnswer{Index: api.Index(index), Parts: e.Erasable()}
	return &result{answer: answer, erase: &audit.Order{Index: &index}}, nil
}

// opened lists the persons behind a record's commitments, each once, and the uses that record their opening.
func opened(e audit.Evidence) (persons []api.EvidencePerson, uses []audit.Use) {
	seen := make(map[license.HolderID]bool)
	add := func(person license.HolderID, commitment string) {
		if person.Code == "" || seen[person] {
			return
		}
		seen[person] = true
		persons = append(persons, api.EvidencePerson{Type: person.Type, Code: person.Code, Commitment: commitment})
		use := personUse(person, outcomeOpened)
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

// texts lists texts of callers that the record commits to as to persons, each once.
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

// recordReceipt proves one record, as receipt does (POST /v1/audit/records/{index}/receipt).
func (g *Gateway) recordReceipt(ctx context.Context, c *call, _ struct{}) (*result, error) {
	receipt, _, err := g.shownReceipt(ctx, c)
	if err != nil {
		return nil, err
	}
	return g.receiptAnswer(c, receipt), nil
}

// shownReceipt proves a record that the caller may see, and reads it: a leaf that is no record that is known here has a fault.
func (g *Gateway) shownReceipt(ctx context.Context, c *call) (tlog.Receipt, audit.Found, error) {
	found := audit.Found{Log: g.Origin, Index: c.index()}
	receipt, err := g.receipt(ctx, found.Index, "log-entry-not-found")
	if err != nil {
		return receipt, found, err
	}
	if found.Record, err = audit.ParseRecord(receipt.Record); err != nil {
		found.Fault = err.Error()
	}
	if !c.about.Has(found.Record.Operation) {
		return receipt, found, refuse("log-entry-not-found")
	}
	return receipt, found, nil
}

// lostReceipt proves the record of a call of the same system whose answer was lost (POST /v1/receipts).
func (g *Gateway) lostReceipt(ctx context.Context, c *call, q api.LostRequest) (*result, error) {
	index, err := g.Records.ByJTI(ctx, c.system.ID, q.JTI)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, refuse("receipt-not-found")
	}
	if err != nil {
		return nil, err
	}
	receipt, err := g.receipt(ctx, index, "receipt-not-found")
	if err != nil {
		return nil, err
	}
	// A table maps calls to records. Whoever can alter it must not obtain another system's record.
	record, err := audit.ParseRecord(receipt.Record)
	if err == nil && record.System != c.system.ID {
		err = fmt.Errorf("%w: the table of calls names record %[3]d for a call of %[2]s, but the record is of another system", tlog.ErrUnproven, c.system.ID, index)
	}
	if err != nil {
		return nil, err
	}
	return g.receiptAnswer(c, receipt), nil
}

// receipt proves a record under the first checkpoint beyond it that witnesses have co-signed, which says when they had seen it, or else
// under the newest. It refuses with missing if the log has none at this index.
func (g *Gateway) receipt(ctx context.Context, index uint64, missing string) (tlog.Receipt, error) {
	if g.Cosigned != nil {
		if receipt, err := g.Cosigned(ctx, index); !errors.Is(err, fs.ErrNotExist) {
			return receipt, err
		}
	}
	receipt, err := g.View.Receipt(ctx, index)
	if errors.Is(err, fs.ErrNotExist) {
		return receipt, refuse(missing)
	}
	return receipt, err
}

func (g *Gateway) receiptAnswer(c *call, r tlog.Receipt) *result {
	return &result{answer: api.ReceiptAnswer{Index: r.Index, Receipt: wireReceipt(r)}}
}

func wireReceipt(r tlog.Receipt) (out api.Receipt) {
	out = api.Receipt{Record: base64.RawURLEncoding.EncodeToString(r.Record), Index: r.Index, Checkpoint: r.Checkpoint}
	out.Proofs.SM3, out.Proofs.SHA256 = hashes(r.Proofs.SM3), hashes(r.Proofs.SHA256)
	return out
}

func hashes(path [][]byte) []string {
	out := make([]string, len(path))
	for i, h := range path {
		out[i] = base64.StdEncoding.EncodeToString(h)
	}
	return out
}

// entries is a bundle of leaves for auditors and mirrors (GET /log/tile/entries/…).
func (g *Gateway) entries(ctx context.Context, c *call, _ struct{}) (*result, error) {
	bundle, err := g.View.Bundle(ctx, "tile/entries/"+c.path("tile"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, refuse("log-entry-not-found")
	}
	return &result{raw: bundle, media: "application/octet-stream", cache: "private, max-age=31536000, immutable"}, err
}

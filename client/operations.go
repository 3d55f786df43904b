package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/go-json-experiment/json"

	"oncegate/api"
	"oncegate/verdict"
)

// An Answered is an answer of a typed call.
type Answered[T any] struct {
	Response
	Answer T
}

// ask makes a typed call. Members that a newer gateway adds to an answer are passed over.
func ask[T any](ctx context.Context, c *Client, operation string, values map[string]string, question any) (*Answered[T], error) {
	var body []byte
	var err error
	if question != nil {
		if body, err = json.Marshal(question); err != nil {
			return nil, fmt.Errorf("call %s: write the body: %w", operation, err)
		}
	}
	r, err := c.Call(ctx, operation, values, body)
	if err != nil {
		return nil, err
	}
	var e struct {
		Answer T `json:"answer"`
	}
	if err := json.Unmarshal(r.Raw, &e); err != nil {
		return nil, &CallError{operation, r.JTI, r.RequestID, fmt.Errorf("read the answer: %w", err)}
	}
	return &Answered[T]{*r, e.Answer}, nil
}

func record(index uint64) map[string]string {
	return map[string]string{"index": strconv.FormatUint(index, 10)}
}

// Query asks for the licenses of one type that one holder has.
func (c *Client) Query(ctx context.Context, q api.QueryRequest) (*Answered[api.QueryAnswer], error) {
	return ask[api.QueryAnswer](ctx, c, "licenses.query", nil, q)
}

// VerifyLicense has the gateway verify a license or an answer; [verdict.Trust.Verify] does it without the gateway.
func (c *Client) VerifyLicense(ctx context.Context, q api.VerifyRequest) (*Answered[api.VerifyAnswer], error) {
	return ask[api.VerifyAnswer](ctx, c, "licenses.verify", nil, q)
}

// Status asks for the status of a license by its identifier.
func (c *Client) Status(ctx context.Context, q api.StatusRequest) (*Answered[api.StatusAnswer], error) {
	return ask[api.StatusAnswer](ctx, c, "licenses.status", nil, q)
}

// Order suspends, revokes, ends, supersedes or reinstates a license, for the department that owns its type.
func (c *Client) Order(ctx context.Context, q api.OrderRequest) (*Answered[api.OrderAnswer], error) {
	return ask[api.OrderAnswer](ctx, c, "licenses.order", nil, q)
}

// List lists signed versions of licenses, for the department that owns the type.
func (c *Client) List(ctx context.Context, q api.ListRequest) (*Answered[api.ListAnswer], error) {
	return ask[api.ListAnswer](ctx, c, "licenses.list", nil, q)
}

// Issue has the licenses of holders signed ahead of use, for the department that owns the type.
func (c *Client) Issue(ctx context.Context, q api.IssueRequest) (*Answered[api.IssueAnswer], error) {
	return ask[api.IssueAnswer](ctx, c, "licenses.issue", nil, q)
}

// Render has a license drawn as a document, whole, for the department whose own it is.
func (c *Client) Render(ctx context.Context, q api.RenderRequest) (*Answered[api.RenderAnswer], error) {
	return ask[api.RenderAnswer](ctx, c, "licenses.render", nil, q)
}

// Try tries a source with one holder, for the department whose system it is.
func (c *Client) Try(ctx context.Context, source string, q api.TryRequest) (*Answered[api.TryAnswer], error) {
	return ask[api.TryAnswer](ctx, c, "sources.try", map[string]string{"source": source}, q)
}

// RegisterCase registers a case; Response.Status is 200 if the same case was registered before.
func (c *Client) RegisterCase(ctx context.Context, q api.CaseRequest) (*Answered[api.CaseAnswer], error) {
	return ask[api.CaseAnswer](ctx, c, "cases.register", nil, q)
}

// ReadCase says how a case of ours stands, and what is due of it.
func (c *Client) ReadCase(ctx context.Context, no string) (*Answered[api.CaseReadAnswer], error) {
	return ask[api.CaseReadAnswer](ctx, c, "cases.read", map[string]string{"no": no}, nil)
}

// ListCases lists one page of our cases with what is due; while the answer names a next page, there is more.
func (c *Client) ListCases(ctx context.Context, q api.CasesRequest) (*Answered[api.CasesAnswer], error) {
	return ask[api.CasesAnswer](ctx, c, "cases.list", nil, q)
}

// Check checks the materials of a case.
func (c *Client) Check(ctx context.Context, no string, q api.CheckRequest) (*Answered[api.CheckAnswer], error) {
	return ask[api.CheckAnswer](ctx, c, "cases.check", map[string]string{"no": no}, q)
}

// ReportMaterial reports what the window received instead of a reused license.
func (c *Client) ReportMaterial(ctx context.Context, no string, q api.MaterialRequest) (*Answered[api.MaterialAnswer], error) {
	return ask[api.MaterialAnswer](ctx, c, "cases.materials", map[string]string{"no": no}, q)
}

// File files a material that the window received and verified, so that the holder's next case need not ask for it.
func (c *Client) File(ctx context.Context, no string, q api.FileRequest) (*Answered[api.FileAnswer], error) {
	return ask[api.FileAnswer](ctx, c, "cases.file", map[string]string{"no": no}, q)
}

// Unfile withdraws a filed material of our department, or all of a type on their holder's word.
func (c *Client) Unfile(ctx context.Context, q api.UnfileRequest) (*Answered[api.UnfileAnswer], error) {
	return ask[api.UnfileAnswer](ctx, c, "filings.withdraw", nil, q)
}

// Represent records who comes for the parties of a case.
func (c *Client) Represent(ctx context.Context, no string, q api.RepresentRequest) (*Answered[api.RepresentAnswer], error) {
	return ask[api.RepresentAnswer](ctx, c, "cases.represent", map[string]string{"no": no}, q)
}

// IssueResult issues the license with which a case ends, for the department that issues its type through the gateway.
func (c *Client) IssueResult(ctx context.Context, no string, q api.ResultRequest) (*Answered[api.ResultAnswer], error) {
	return ask[api.ResultAnswer](ctx, c, "cases.result", map[string]string{"no": no}, q)
}

// CloseCase closes a case.
func (c *Client) CloseCase(ctx context.Context, no string) (*Answered[api.CloseAnswer], error) {
	return ask[api.CloseAnswer](ctx, c, "cases.close", map[string]string{"no": no}, api.CloseRequest{})
}

// HandOver records that a case's file was handed over to the archive.
func (c *Client) HandOver(ctx context.Context, no string, q api.HandOverRequest) (*Answered[api.HandOverAnswer], error) {
	return ask[api.HandOverAnswer](ctx, c, "cases.handover", map[string]string{"no": no}, q)
}

// Precheck asks which materials a holder would not need to bring.
func (c *Client) Precheck(ctx context.Context, q api.PrecheckRequest) (*Answered[api.PrecheckAnswer], error) {
	return ask[api.PrecheckAnswer](ctx, c, "precheck", nil, q)
}

// GiveConsent registers a holder's consent to us.
func (c *Client) GiveConsent(ctx context.Context, q api.ConsentRequest) (*Answered[api.ConsentAnswer], error) {
	return ask[api.ConsentAnswer](ctx, c, "consents.give", nil, q)
}

// WithdrawConsent withdraws a consent.
func (c *Client) WithdrawConsent(ctx context.Context, id string, q api.WithdrawRequest) (*Answered[api.ConsentAnswer], error) {
	return ask[api.ConsentAnswer](ctx, c, "consents.withdraw", map[string]string{"id": id}, q)
}

// Types returns the license types that the gateway knows.
func (c *Client) Types(ctx context.Context) (*Answered[api.TypesAnswer], error) {
	return ask[api.TypesAnswer](ctx, c, "catalog.types", nil, nil)
}

// Matters returns the matters that the gateway knows.
func (c *Client) Matters(ctx context.Context) (*Answered[api.MattersAnswer], error) {
	return ask[api.MattersAnswer](ctx, c, "catalog.matters", nil, nil)
}

// Search searches the records, for auditors.
func (c *Client) Search(ctx context.Context, q api.SearchRequest) (*Answered[api.SearchAnswer], error) {
	return ask[api.SearchAnswer](ctx, c, "audit.search", nil, q)
}

// Evidence opens the evidence of a record, for auditors.
func (c *Client) Evidence(ctx context.Context, index uint64, q api.EvidenceRequest) (*Answered[api.EvidenceAnswer], error) {
	return ask[api.EvidenceAnswer](ctx, c, "audit.evidence", record(index), q)
}

// Erase orders that the personal evidence of a record is erased; the record of this call is the order. File Response.Raw.
func (c *Client) Erase(ctx context.Context, index uint64, q api.EraseRequest) (*Answered[api.EraseAnswer], error) {
	return ask[api.EraseAnswer](ctx, c, "audit.erase", record(index), q)
}

// RecordReceipt returns the receipt of a record, for auditors.
func (c *Client) RecordReceipt(ctx context.Context, index uint64) (*Answered[api.ReceiptAnswer], error) {
	return ask[api.ReceiptAnswer](ctx, c, "audit.receipt", record(index), nil)
}

// Reuse returns the reuse rate per matter and period, for auditors.
func (c *Client) Reuse(ctx context.Context, q api.ReuseRequest) (*Answered[api.ReuseAnswer], error) {
	return ask[api.ReuseAnswer](ctx, c, "audit.reuse", nil, q)
}

// Export returns one page of a report to file, for auditors; file Response.Raw. Report writes all of them.
func (c *Client) Export(ctx context.Context, q api.ExportRequest) (*Answered[api.ExportAnswer], error) {
	return ask[api.ExportAnswer](ctx, c, "audit.export", nil, q)
}

// ReadRecord returns a record with its proof, the agreements that decided, its case and how it was judged, for auditors.
func (c *Client) ReadRecord(ctx context.Context, index uint64) (*Answered[api.RecordAnswer], error) {
	return ask[api.RecordAnswer](ctx, c, "audit.record", record(index), nil)
}

// Dispose judges a record, for auditors; the record of this call is the judgement.
func (c *Client) Dispose(ctx context.Context, index uint64, q api.DisposeRequest) (*Answered[api.DisposeAnswer], error) {
	return ask[api.DisposeAnswer](ctx, c, "audit.dispose", record(index), q)
}

// Summary counts decisions day by day, for auditors.
func (c *Client) Summary(ctx context.Context, q api.SummaryRequest) (*Answered[api.SummaryAnswer], error) {
	return ask[api.SummaryAnswer](ctx, c, "audit.summary", nil, q)
}

// NodeStatus says how well the node is that answers, for whoever runs the gateway.
func (c *Client) NodeStatus(ctx context.Context) (*Answered[api.NodeAnswer], error) {
	return ask[api.NodeAnswer](ctx, c, "node.status", nil, nil)
}

// Consents lists the consents that a holder gave. The call carries an actor token of a service by which holders sign in.
func (c *Client) Consents(ctx context.Context, q api.ConsentsRequest) (*Answered[api.ConsentsAnswer], error) {
	return ask[api.ConsentsAnswer](ctx, c, "consents.list", nil, q)
}

// Accesses tells a holder who used their licenses. The call carries an actor token of a service by which holders sign in.
func (c *Client) Accesses(ctx context.Context, q api.AccessesRequest) (*Answered[api.AccessesAnswer], error) {
	return ask[api.AccessesAnswer](ctx, c, "holders.accesses", nil, q)
}

// Dispute says that a holder does not recognise a use of theirs: a finding for the auditors.
func (c *Client) Dispute(ctx context.Context, q api.DisputeRequest) (*Answered[api.DisputeAnswer], error) {
	return ask[api.DisputeAnswer](ctx, c, "holders.dispute", nil, q)
}

// LostReceipt returns the receipt of a call of ours whose answer was lost.
func (c *Client) LostReceipt(ctx context.Context, jti string) (*Answered[api.ReceiptAnswer], error) {
	return ask[api.ReceiptAnswer](ctx, c, "receipts", nil, api.LostRequest{JTI: jti})
}

// Public fetches an artefact that needs no signature, such as "status-lists" or "log.checkpoint", as its bytes are.
func (c *Client) Public(ctx context.Context, operation string, values map[string]string) ([]byte, error) {
	r, err := c.Call(ctx, operation, values, nil)
	if err != nil {
		return nil, err
	}
	return r.Raw, nil
}

// errOtherReport says that a file is of another report than the one asked for.
var errOtherReport = errors.New("the file holds another report: the period or what is asked for is not the same")

// Report writes the pages of a report, each as it came with its receipt, one a line, from a mark on: the zero mark writes a new one. It
// returns how far it came, also with an error, so that it can be resumed. Its memory is that of one page. progress, if not nil, is called
// after each page.
func (c *Client) Report(ctx context.Context, q api.ExportRequest, w io.Writer, at verdict.ReportMark, progress func(verdict.ReportMark)) (verdict.ReportMark, error) {
	if at.Pages > 0 && !at.IsOf(q) {
		return at, fmt.Errorf("resume report: %w", errOtherReport)
	}
	for !at.Done() {
		q.Before, q.Previous = at.Next()
		page, err := c.Export(ctx, q)
		if err != nil {
			return at, err
		}
		next := at
		if err := next.Add(page.Raw); err != nil {
			return at, fmt.Errorf("write report: %w", err)
		}
		if _, err := w.Write(append(bytes.Clone(page.Raw), '\n')); err != nil {
			return at, fmt.Errorf("write report: %w", err)
		}
		if at = next; progress != nil {
			progress(at)
		}
	}
	return at, nil
}

package gateway

import (
	"context"
	"fmt"

	"github.com/go-kit/kit/endpoint"

	"oncegate/api"
	"oncegate/audit"
)

// An operation is one row of the table of operations: an operation of the API description, the right it needs, and the method
// that does it.
type operation struct {
	*api.Operation
	right    string // operation of the policy that is decided
	unkept   bool   // the body is not kept in the evidence: only its digest, in the token that is kept
	byCaller bool   // the right depends on the caller alone and is checked before the method runs
	records  bool   // it shows records: whoever supervises auditors may call it, and sees theirs alone
	run      step
	endpoint endpoint.Endpoint // run within everything that holds for every call: *call to *Reply
}

// A step computes an operation's result; a *refusal ends it, any other error is an internal one.
type step func(ctx context.Context, c *call) (*result, error)

// table has one row per signed operation of the API description. A new operation is one method and one row.
func (g *Gateway) table() map[string]operation {
	return map[string]operation{
		"licenses.query":    {right: "licenses.query", run: typed(g.query)},
		"licenses.verify":   {run: typed(g.verify)},
		"licenses.status":   {right: "licenses.status", run: typed(g.status)},
		"licenses.order":    {right: "licenses.manage", run: typed(g.order)},
		"licenses.list":     {right: "licenses.manage", run: typed(g.list)},
		"licenses.issue":    {right: "licenses.manage", run: typed(g.issue)},
		"licenses.render":   {right: "licenses.render", run: typed(g.render)},
		"sources.try":       {right: "sources.try", run: typed(g.try)},
		"cases.register":    {right: "cases.register", run: typed(g.registerCase)},
		"cases.list":        {right: "cases.read", run: typed(g.listCases)},
		"cases.read":        {right: "cases.read", run: typed(g.readCase)},
		"cases.check":       {right: "cases.check", run: typed(g.check)},
		"cases.materials":   {right: "cases.materials", run: typed(g.receive)},
		"cases.file":        {right: "cases.file", unkept: true, run: typed(g.file)},
		"filings.withdraw":  {right: "filings.withdraw", byCaller: true, run: typed(g.unfile)},
		"cases.result":      {right: "cases.result", run: typed(g.issueResult)},
		"cases.represent":   {right: "cases.represent", run: typed(g.represent)},
		"cases.close":       {right: "cases.close", run: typed(g.closeCase)},
		"cases.handover":    {right: "cases.handover", run: typed(g.handOver)},
		"precheck":          {right: "precheck", run: typed(g.precheck)},
		"consents.give":     {right: "consents.register", byCaller: true, run: typed(g.giveConsent)},
		"consents.list":     {right: "holders.accesses", run: typed(g.listConsents)},
		"consents.withdraw": {right: "consents.withdraw", byCaller: true, run: typed(g.withdrawConsent)},
		"catalog.types":     {run: typed(g.types)},
		"catalog.matters":   {run: typed(g.matters)},
		"audit.search":      {right: "audit.search", byCaller: true, records: true, run: typed(g.search)},
		"audit.summary":     {right: "audit.search", byCaller: true, records: true, run: typed(g.summary)},
		"audit.record":      {right: "audit.search", byCaller: true, records: true, run: typed(g.readRecord)},
		"audit.evidence":    {right: "audit.search", byCaller: true, records: true, run: typed(g.evidence)},
		"audit.dispose":     {right: "audit.search", byCaller: true, run: typed(g.dispose)},
		"audit.erase":       {right: "audit.erase", byCaller: true, run: typed(g.erase)},
		"audit.receipt":     {right: "audit.verify", byCaller: true, records: true, run: typed(g.recordReceipt)},
		"audit.reuse":       {right: "audit.search", byCaller: true, run: typed(g.reuseRate)},
		"audit.export":      {right: "audit.export", byCaller: true, records: true, run: typed(g.exportReport)},
		"holders.accesses":  {right: "holders.accesses", run: typed(g.accesses)},
		"holders.dispute":   {right: "holders.accesses", run: typed(g.dispute)},
		"receipts":          {run: typed(g.lostReceipt)},
		"node.status":       {right: "node.status", byCaller: true, run: typed(g.nodeStatus)},
		"log.entries":       {right: "log.read", byCaller: true, run: typed(g.entries)},
	}
}

// typed is the one bridge from a typed method to a step: the contract is enforced and the question read, then the method
// answers.
func typed[Q any](method func(context.Context, *call, Q) (*result, error)) step {
	return func(ctx context.Context, c *call) (*result, error) {
		if c.malformed != nil {
			return nil, &refusal{problem: api.AsProblem(c.malformed)}
		}
		question, err := api.Decode[Q](c.row.Operation, c.body)
		if err != nil {
			return nil, &refusal{problem: api.AsProblem(err)}
		}
		if err := c.permitted(); err != nil {
			return nil, err
		}
		return method(ctx, c, question)
	}
}

// The rights to see records: of what was asked of the gateway, and of who looked at them.
const (
	auditRight     = "audit.search"
	superviseRight = "audit.supervise"
)

// permitted enforces the right of a row that depends on nothing but the caller.
func (c *call) permitted() error {
	if !c.row.byCaller {
		return nil
	}
	d := c.may(c.row.right, "")
	if !c.row.records {
		if !d.Allow {
			return refuseDenied(d)
		}
		return nil
	}
	supervises := c.may(superviseRight, "").Allow
	if d.Allow && !c.config.Policy.Permits(superviseRight) { // a policy of before inquiries had a right of their own
		c.about = audit.AnyRecord
		return nil
	}
	audits := d.Allow
	if c.row.right != auditRight && supervises { // a right that both may have besides says not which records it is for
		audits = audits && c.may(auditRight, "").Allow
	}
	switch {
	case audits && supervises:
		c.about = audit.AnyRecord
	case audits:
		c.about = audit.NoInquiry
	case supervises && (d.Allow || c.row.right == auditRight):
		c.about = audit.InquiryAlone
	default:
		return refuseDenied(d)
	}
	return nil
}

// bind joins every operation of the API description with its row and its HTTP handler; one without the other is an error of
// this program that stops the start.
func (g *Gateway) bind() error {
	var err error
	if g.handlers, err = g.public(); err != nil {
		return err
	}
	table := g.table()
	for _, op := range g.contract.Operations() {
		row, ok := table[op.ID]
		switch {
		case op.Signed && ok:
			row.Operation = op
			row.endpoint = g.chain(func(ctx context.Context, request any) (any, error) { return g.answer(ctx, request.(*call)) })
			g.operations[op.ID], g.handlers[op.ID] = &row, g.signed(&row)
			delete(table, op.ID)
		case op.Signed || g.handlers[op.ID] == nil:
			return fmt.Errorf("operation %s has no handler", op.ID)
		}
	}
	for id := range table {
		return fmt.Errorf("row %s is no operation of the API description", id)
	}
	return nil
}

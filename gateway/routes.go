package gateway

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"oncegate/api"
)

// table has one row per signed operation of the API description. A new operation is one method and one row.
func (g *Gateway) table() map[string]operation {
	return map[string]operation{
		"licenses.query":    {right: "licenses.query", run: typed(g, g.query)},
		"licenses.verify":   {run: typed(g, g.verify)},
		"licenses.status":   {right: "licenses.status", run: typed(g, g.status)},
		"licenses.order":    {right: "licenses.manage", run: typed(g, g.order)},
		"licenses.list":     {right: "licenses.manage", run: typed(g, g.list)},
		"licenses.issue":    {right: "licenses.manage", run: typed(g, g.issue)},
		"licenses.render":   {right: "licenses.render", run: typed(g, g.render)},
		"cases.register":    {right: "cases.register", run: typed(g, g.registerCase)},
		"cases.check":       {right: "cases.check", run: typed(g, g.check)},
		"cases.materials":   {right: "cases.materials", run: typed(g, g.receive)},
		"cases.close":       {right: "cases.close", run: typed(g, g.closeCase)},
		"precheck":          {right: "precheck", run: typed(g, g.precheck)},
		"consents.give":     {right: "consents.register", byCaller: true, run: typed(g, g.giveConsent)},
		"consents.withdraw": {right: "consents.withdraw", byCaller: true, run: typed(g, g.withdrawConsent)},
		"catalog.types":     {run: typed(g, g.types)},
		"catalog.matters":   {run: typed(g, g.matters)},
		"audit.search":      {right: "audit.search", byCaller: true, run: typed(g, g.search)},
		"audit.evidence":    {right: "audit.search", byCaller: true, run: typed(g, g.evidence)},
		"audit.erase":       {right: "audit.erase", byCaller: true, run: typed(g, g.erase)},
		"audit.receipt":     {right: "audit.verify", byCaller: true, run: typed(g, g.recordReceipt)},
		"audit.reuse":       {right: "audit.search", byCaller: true, run: typed(g, g.reuseRate)},
		"audit.export":      {right: "audit.export", byCaller: true, run: typed(g, g.exportReport)},
		"receipts":          {run: typed(g, g.lostReceipt)},
		"log.entries":       {right: "log.read", byCaller: true, run: typed(g, g.entries)},
	}
}

// route binds every operation of the API description to its handler; one without a row, or a row without an operation, is a
// fault of ours that stops the start.
func (g *Gateway) route() error {
	var err error
	if g.routes, err = g.public(); err != nil {
		return err
	}
	table := g.table()
	for _, op := range g.contract.Operations() {
		row, ok := table[op.ID]
		switch {
		case op.Signed && ok:
			row.Operation = op
			g.routes[op.ID] = g.handler(&row)
			delete(table, op.ID)
		case op.Signed || g.routes[op.ID] == nil:
			return fmt.Errorf("operation %s has no handler", op.ID)
		}
	}
	for id := range table {
		return fmt.Errorf("row %s is no operation of the API description", id)
	}
	return nil
}

// pathKey carries what the router found in the path to open; nothing else travels in a context.
type pathKey struct{}

// A pathFound is the path's parameters, or what is wrong with them.
type pathFound struct {
	params    map[string]string
	malformed error
}

func paramsOf(r *http.Request) (map[string]string, error) {
	found, _ := r.Context().Value(pathKey{}).(pathFound)
	return found.params, found.malformed
}

// ServeHTTP finds the operation by the API description and serves it.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if r.ContentLength != 0 { // net/http reads what is left of a body that nobody wanted
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(restPatience))
	}
	op, params, err := g.contract.Match(r.Method, r.URL.EscapedPath())
	if op != nil && (err == nil || op.Signed) { // a caller who is known gets a record, also of a malformed path
		found := pathFound{params, err}
		g.routes[op.ID].ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), pathKey{}, found)))
		return
	}
	problem := api.AsProblem(err)
	if problem.Status == http.StatusMethodNotAllowed {
		allow := g.contract.Allow(r.URL.EscapedPath())
		if slices.Contains(allow, http.MethodGet) {
			allow = append(allow, http.MethodHead)
		}
		w.Header().Set("Allow", strings.Join(allow, ", "))
	}
	g.metrics.refused.WithLabelValues(problem.Code).Inc()
	problem.Write(w)
}

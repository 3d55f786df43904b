package gateway

import (
	"net/http"
	"testing"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/certs/token"
	"oncegate/tlog"
)

// A lost answer's receipt comes back by its jti, to the system that made the call and to no other.
func TestLostReceipt(t *testing.T) {
	w := newWorld(t)
	w.accept("SP-1")
	body := w.bodyOf(query("business-license", company, "SP-1"))
	jti := must(token.NewID(w.now(), nil))(t)
	compact := w.token("food-approval", "POST", queryPath, body, func(c *token.Claims) { c.ID = jti })
	lost := w.send("POST", queryPath, body, compact)

	got := read[api.ReceiptAnswer](t, w.call("food-approval", "POST", "/v1/receipts", map[string]any{"jti": jti}))
	receipt := must(tlog.ParseReceipt(must(marshal(got.Receipt))(t)))(t)
	if _, steps, err := audit.VerifyReceipt(audit.Proof{Receipt: receipt, Answer: lost.answer, Token: compact}, w.trust); err != nil || got.Index != lost.index {
		t.Errorf("index %d, want %d; %v %v", got.Index, lost.index, err, steps)
	}
	others := w.call("land-approval", "POST", "/v1/receipts", map[string]any{"jti": jti})
	w.refused(others, "receipt-not-found")
	none := w.call("land-approval", "POST", "/v1/receipts", map[string]any{"jti": must(token.NewID(w.now(), nil))(t)})
	w.refused(none, "receipt-not-found")
	if others.shape(t) != none.shape(t) {
		t.Error("another system's call can be told from none")
	}
}

// Entry bundles are for who may read the log, and each reading is a record; the rest of the log is anybody's.
func TestEntries(t *testing.T) {
	w := newWorld(t)
	w.accept("SP-1")
	path := "/log/tile/entries/000.p/2"
	size := w.size()
	a := w.call("audit-office", "GET", path, nil)
	if a.status != http.StatusOK || a.header.Get("Cache-Control") != "private, max-age=31536000, immutable" || len(a.body) == 0 {
		t.Errorf("bundle: %d %v", a.status, a.header)
	}
	if w.size() != size+1 {
		t.Errorf("reading left %d records", w.size()-size)
	}
	w.refused(w.call("food-approval", "GET", path, nil), "not-permitted")
	w.refused(w.call("audit-office", "GET", "/log/tile/entries/099", nil), "log-entry-not-found")
	if a := w.send("GET", path, nil, ""); a.problem.Code != "token-missing" {
		t.Errorf("without a token: %d %s", a.status, a.body)
	}
	size = w.size()
	for _, path := range []string{"/log/checkpoint", "/log/tile/0/000.p/1", "/log/sm3/tile/0/000.p/1", "/openapi.yaml"} {
		if a := w.send("GET", path, nil, ""); a.status != http.StatusOK {
			t.Errorf("%s: %d", path, a.status)
		}
	}
	if a := w.send("GET", "/status-lists/1", nil, ""); a.problem.Code != "not-found" {
		t.Errorf("a status list that is not there: %d %s", a.status, a.body)
	}
	if w.size() != size {
		t.Error("public artefacts left records")
	}
}

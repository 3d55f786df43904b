package gateway

import (
	"bytes"
	"cmp"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"oncegate/api"
	"oncegate/api/apitest"
	"oncegate/audit"
	"oncegate/certs/jws"
	"oncegate/certs/token"
	"oncegate/license"
)

const (
	queryPath  = "/v1/licenses/query"
	statusPath = "/v1/licenses/status"
)

// An answered is what came back, with its proof checked.
type answered struct {
	status  int
	header  http.Header
	body    []byte
	answer  jsontext.Value
	problem api.Problem
	record  audit.Record
	index   uint64
}

// described is the document as the worlds serve it: whatever they answer must be what it says.
var described = sync.OnceValues(func() (*apitest.Document, error) {
	served, err := api.Described(publicURL)
	if err != nil {
		return nil, err
	}
	return apitest.Read(served)
})

// call makes a signed call as a system does and checks the receipt of whatever comes back: each answer but the few that law 1
// lists must have one.
func (w *world) call(system, method, path string, body any) answered {
	w.t.Helper()
	raw := w.bodyOf(body)
	return w.send(method, path, raw, w.token(system, method, path, raw, nil))
}

func (w *world) bodyOf(body any) []byte {
	w.t.Helper()
	raw, ok := body.([]byte)
	if !ok && body != nil {
		raw = must(json.Marshal(body))(w.t)
	}
	return raw
}

func (w *world) token(system, method, path string, body []byte, change func(*token.Claims)) string {
	w.t.Helper()
	claims := token.Claims{
		Issuer: system, Audience: gatewayID, Method: method, URL: publicURL + path, Body: token.BodyDigest(body), Operator: "clerk-7", Request: must(token.NewID(w.now(), nil))(w.t),
	}
	if change != nil {
		change(&claims)
	}
	return must(token.Sign(w.t.Context(), w.certs.Signer(system+"-1"), claims, w.now()))(w.t)
}

func (w *world) request(method, path string, body []byte, compact string) *http.Request {
	w.t.Helper()
	r := must(http.NewRequestWithContext(w.t.Context(), method, w.server.URL+path, bytes.NewReader(body)))(w.t)
	r.Header.Set("Content-Type", "application/json")
	if compact != "" {
		r.Header.Set("Authorization", "Bearer "+compact)
	}
	return r
}

func (w *world) send(method, path string, body []byte, compact string) answered {
	w.t.Helper()
	return w.do(w.request(method, path, body, compact), compact)
}

func (w *world) do(r *http.Request, compact string) answered {
	w.t.Helper()
	resp := must(http.DefaultClient.Do(r))(w.t)
	defer resp.Body.Close()
	a := answered{status: resp.StatusCode, header: resp.Header, body: must(io.ReadAll(resp.Body))(w.t)}
	if err := must(described())(w.t).Sent(resp, a.body); err != nil {
		w.t.Errorf("the document says otherwise: %v", err)
	} else if op, _, _ := w.gateway.contract.Match(r.Method, r.URL.EscapedPath()); op != nil && a.status < 300 {
		answeredOperations.Store(op.ID, true)
	}
	if resp.Header.Get("Content-Type") == api.ProblemType && len(a.body) > 0 {
		if err := json.Unmarshal(a.body, &a.problem); err != nil {
			w.t.Fatalf("problem document: %v", err)
		}
		if a.problem.Receipt == nil {
			return a
		}
	}
	a.prove(w, compact)
	return a
}

// prove checks the receipt offline and that the record binds these very answer bytes and this token.
func (a *answered) prove(w *world, compact string) {
	w.t.Helper()
	answer, receipt, err := audit.SplitAnswer(a.body)
	if err != nil {
		return // public artefacts have no receipt
	}
	record, steps, err := audit.VerifyReceipt(audit.Proof{Receipt: receipt, Answer: answer, Token: compact}, w.trust)
	if err != nil {
		w.t.Fatalf("receipt: %v %v", err, steps)
	}
	a.answer, a.record, a.index = answer, record, receipt.Index
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.seen[a.index] {
		w.t.Errorf("record %d came with two answers", a.index)
	}
	w.seen[a.index] = true
}

func read[T any](t testing.TB, a answered) T {
	t.Helper()
	var v T
	if a.status >= 300 {
		t.Fatalf("status %d: %s", a.status, a.problem.Code+" "+a.problem.Detail)
	}
	if err := json.Unmarshal(a.answer, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// refusal checks that a call was refused with a code, and that the refusal was recorded.
func (w *world) refused(a answered, code string) {
	w.t.Helper()
	if a.problem.Code != code || a.record.AnswerDigest == "" {
		w.t.Errorf("want %s and a record, got %d %s", code, a.status, a.body)
	}
}

func marshal(v any) ([]byte, error)      { return json.Marshal(v) }
func unmarshal(data []byte, v any) error { return json.Unmarshal(data, v) }

func party(role string, holder license.HolderID) map[string]any {
	return map[string]any{"role": role, "holder": holder}
}

// caseOf is a registration; the first party is the applicant's.
func (w *world) caseOf(no, matter string, parties ...any) map[string]any {
	return map[string]any{"no": no, "matter": matter, "accepted": api.At(w.now().Add(-time.Minute)), "parties": parties}
}

// accept registers a food case of the company and its legal representative.
func (w *world) accept(no string) {
	w.t.Helper()
	w.register(w.caseOf(no, "YC-FOOD-01", party("applicant", company), party("legal_representative", boss)))
}

// acceptFlat registers the transfer of the couple's flat.
func (w *world) acceptFlat(no string) {
	w.t.Helper()
	w.register(w.caseOf(no, "YC-LAND-07", party("applicant", wife), party("spouse", husband)))
}

func (w *world) register(body map[string]any) {
	w.t.Helper()
	if a := w.call("acceptance", "POST", "/v1/cases", body); a.status != http.StatusCreated {
		w.t.Fatalf("register case: %d %s", a.status, a.body)
	}
}

func query(licenseType string, holder license.HolderID, no string) map[string]any {
	return map[string]any{"license_type": licenseType, "holder": holder, "purpose": map[string]any{"case": no}}
}

func (w *world) check(system, no string, body any) api.CheckAnswer {
	w.t.Helper()
	return read[api.CheckAnswer](w.t, w.call(system, "POST", "/v1/cases/"+no+"/check", body))
}

// material is one material of a check.
func material(t testing.TB, a api.CheckAnswer, code string) api.CheckedMaterial {
	t.Helper()
	for _, m := range a.Materials {
		if m.Material == code {
			return m
		}
	}
	t.Fatalf("the check has no %s", code)
	return api.CheckedMaterial{}
}

// assertion signs what a holder says, as the identity service does.
func (w *world) assertion(a Assertion) string {
	w.t.Helper()
	a.Issuer, a.Audience = "identity", cmp.Or(a.Audience, gatewayID)
	a.IssuedAt, a.Expires = cmp.Or(a.IssuedAt, w.now().Unix()), cmp.Or(a.Expires, w.now().Add(time.Hour).Unix())
	payload := must(json.Marshal(a))(w.t)
	return must(jws.Sign(w.t.Context(), w.certs.Signer("identity"), jws.Header{Typ: AssertionType, Kid: "identity"}, payload))(w.t)
}

// consent registers a consent to a system for every license type and matter and returns its id.
func (w *world) consent(id, system string, holder license.HolderID, withdrawn bool) string {
	w.t.Helper()
	body := w.consentOf(id, system, holder)
	if a := w.call(system, "POST", "/v1/consents", body); a.status != http.StatusCreated {
		w.t.Fatalf("give consent: %d %s", a.status, a.body)
	}
	if withdrawn {
		read[api.ConsentAnswer](w.t, w.call(system, "POST", "/v1/consents/"+id+"/withdraw", map[string]any{}))
	}
	return id
}

// consentOf is a consent as it is registered, with the assertion that says the same.
func (w *world) consentOf(id, system string, holder license.HolderID) map[string]any {
	w.t.Helper()
	types := []string{"business-license", "resident-id"}
	expires := api.At(w.now().Add(time.Hour))
	return map[string]any{
		"id": id, "holder": holder, "types": types, "expires": expires,
		"assertion": w.assertion(Assertion{For: "consent", Reference: id, Holder: holder, System: system, Types: types, Expires: expires.Unix() + 1}),
	}
}

// sorted puts the lines of a text in order.
func sorted(text string) string {
	lines := strings.Split(text, "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

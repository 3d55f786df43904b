package api

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"oncegate/canonical"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
)

func contract(tb testing.TB) *Contract {
	tb.Helper()
	c, err := NewContract()
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

const query = `{"license_type":"business-license","holder":{"type":"001","code":"91379901MA9920002Q"},
	"purpose":{"case":"SP-2026-000123","material":"business-license"},"fields":["name","legal_representative"]}`

// code returns the problem's code, "" for nil.
func code(tb testing.TB, err error) string {
	tb.Helper()
	if err == nil {
		return ""
	}
	p, ok := errors.AsType[*Problem](err)
	if !ok {
		tb.Fatalf("%v is no problem", err)
	}
	return p.Code
}

func TestOperations(t *testing.T) {
	var ids []string
	for _, o := range contract(t).Operations() {
		ids = append(ids, fmt.Sprintf("%s %s %s signed=%t body=%t", o.ID, o.Method, o.Path, o.Signed, o.Body))
	}
	want := []string{
		"audit.dispose POST /v1/audit/records/{index}/dispositions signed=true body=true",
		"audit.erase POST /v1/audit/records/{index}/erase signed=true body=true",
		"audit.evidence POST /v1/audit/records/{index} signed=true body=true",
		"audit.export POST /v1/audit/export signed=true body=true",
		"audit.receipt GET /v1/audit/records/{index}/receipt signed=true body=false",
		"audit.record GET /v1/audit/records/{index} signed=true body=false",
		"audit.reuse POST /v1/audit/reuse signed=true body=true",
		"audit.search POST /v1/audit/search signed=true body=true",
		"audit.summary POST /v1/audit/summary signed=true body=true",
		"cases.check POST /v1/cases/{no}/check signed=true body=true",
		"cases.close POST /v1/cases/{no}/close signed=true body=true",
		"cases.file POST /v1/cases/{no}/filings signed=true body=true",
		"cases.handover POST /v1/cases/{no}/handover signed=true body=true",
		"cases.list POST /v1/cases/list signed=true body=true",
		"cases.materials POST /v1/cases/{no}/materials signed=true body=true",
		"cases.read GET /v1/cases/{no} signed=true body=false",
		"cases.register POST /v1/cases signed=true body=true",
		"cases.represent POST /v1/cases/{no}/representative signed=true body=true",
		"cases.result POST /v1/cases/{no}/result signed=true body=true",
		"catalog.matters GET /v1/catalog/matters signed=true body=false",
		"catalog.types GET /v1/catalog/types signed=true body=false",
		"consents.give POST /v1/consents signed=true body=true",
		"consents.list POST /v1/consents/list signed=true body=true",
		"consents.withdraw POST /v1/consents/{id}/withdraw signed=true body=true",
		"document-code GET /v/{code} signed=false body=false",
		"filings.withdraw POST /v1/filings/withdraw signed=true body=true",
		"holders.accesses POST /v1/holders/accesses signed=true body=true",
		"holders.dispute POST /v1/holders/disputes signed=true body=true",
		"licenses.issue POST /v1/licenses/issue signed=true body=true",
		"licenses.list POST /v1/licenses/list signed=true body=true",
		"licenses.order POST /v1/licenses/order signed=true body=true",
		"licenses.query POST /v1/licenses/query signed=true body=true",
		"licenses.render POST /v1/licenses/render signed=true body=true",
		"licenses.status POST /v1/licenses/status signed=true body=true",
		"licenses.verify POST /v1/licenses/verify signed=true body=true",
		"log.checkpoint GET /log/checkpoint signed=false body=false",
		"log.entries GET /log/tile/entries/{tile} signed=true body=false",
		"log.tile GET /log/tile/{level}/{tile} signed=false body=false",
		"log.tile-sm3 GET /log/sm3/tile/{level}/{tile} signed=false body=false",
		"node.status GET /v1/node signed=true body=false",
		"openapi GET /openapi.yaml signed=false body=false",
		"precheck POST /v1/precheck signed=true body=true",
		"receipts POST /v1/receipts signed=true body=true",
		"sources.try POST /v1/sources/{source}/try signed=true body=true",
		"status-lists GET /status-lists/{id} signed=false body=false",
	}
	if d := cmp.Diff(want, ids); d != "" {
		t.Error(d)
	}
}

// Every object that a request may hold is closed, every string and array bounded, every number an integer.
func TestRequestsAreBounded(t *testing.T) {
	for _, o := range contract(t).Operations() {
		if o.Body {
			checkBounded(t, o.ID, o.schema, map[*openapi3.Schema]bool{})
		}
	}
}

func checkBounded(t *testing.T, at string, s *openapi3.Schema, seen map[*openapi3.Schema]bool) {
	if seen[s] {
		return
	}
	seen[s] = true
	switch {
	case s.Type.Is("object"):
		free := at == "licenses.verify/answer" // bounded by the body
		if extra := s.AdditionalProperties.Has; !free && (extra == nil || *extra) {
			t.Errorf("%s takes unknown members", at)
		}
		for name, p := range s.Properties {
			checkBounded(t, at+"/"+name, p.Value, seen)
		}
	case s.Type.Is("array"):
		if s.MaxItems == nil {
			t.Errorf("%s has no maxItems", at)
		}
		checkBounded(t, at+"/0", s.Items.Value, seen)
	case s.Type.Is("string"):
		if s.MaxLength == nil && len(s.Enum) == 0 {
			t.Errorf("%s has no maxLength", at)
		}
	case s.Type.Is("number"):
		t.Errorf("%s is a number", at)
	}
}

func TestMatch(t *testing.T) {
	c := contract(t)
	for _, tt := range []struct {
		method, path, id, code string
		values                 map[string]string
	}{
		{"POST", "/v1/licenses/query", "licenses.query", "", nil},
		{"POST", "/v1/cases/SP-2026-000123/check", "cases.check", "", map[string]string{"no": "SP-2026-000123"}},
		{"POST", "/v1/cases/%E8%8B%8F-1/close", "cases.close", "", map[string]string{"no": "苏-1"}},
		{"POST", "/v1/cases/a%2Fb/check", "cases.check", "invalid-field", map[string]string{"no": "a/b"}},
		{"POST", "/v1/cases/" + strings.Repeat("9", 65) + "/check", "cases.check", "invalid-field", map[string]string{"no": strings.Repeat("9", 65)}},
		{"POST", "/v1/cases//check", "", "not-found", nil},
		{"POST", "/v1/cases/", "", "not-found", nil},
		{"GET", "/v1/cases", "", "method-not-allowed", nil},
		{"GET", "/v1/audit/records/17/receipt", "audit.receipt", "", map[string]string{"index": "17"}},
		{"POST", "/v1/audit/records/-1", "audit.evidence", "invalid-field", map[string]string{"index": "-1"}},
		{"POST", "/v1/audit/records/01x", "audit.evidence", "invalid-field", map[string]string{"index": "01x"}},
		{"GET", "/log/tile/0/x001/234.p/5", "log.tile", "", map[string]string{"level": "0", "tile": "x001/234.p/5"}},
		{"GET", "/log/tile/entries/x001/234", "log.entries", "", map[string]string{"tile": "x001/234"}},
		{"GET", "/log/sm3/tile/0/000", "log.tile-sm3", "", map[string]string{"level": "0", "tile": "000"}},
		{"HEAD", "/openapi.yaml", "openapi", "", nil},
		{"GET", "/log/tile/0/../checkpoint", "log.tile", "invalid-field", map[string]string{"level": "0", "tile": "../checkpoint"}},
		{"GET", "", "", "not-found", nil},
		{"GET", "/%zz", "", "not-found", nil},
	} {
		op, values, err := c.Match(tt.method, tt.path)
		id := ""
		if op != nil {
			id = op.ID
		}
		if id != tt.id || code(t, err) != tt.code || !cmp.Equal(values, tt.values) {
			t.Errorf("%s %s: %s, %v, %v; want %s, %v, %s", tt.method, tt.path, id, values, err, tt.id, tt.values, tt.code)
		}
	}
	if got := c.Allow("/v1/cases"); !cmp.Equal(got, []string{"POST"}) {
		t.Errorf("Allow: %v", got)
	}
}

func TestCheckHeaders(t *testing.T) {
	op := contract(t).Operation("licenses.query")
	for _, tt := range []struct{ target, header, value, code string }{
		{"/v1/licenses/query", "Content-Type", "application/json", ""},
		{"/v1/licenses/query", "Content-Type", "application/json; charset=UTF-8", ""},
		{"/v1/licenses/query", "Content-Type", "application/json; charset=gb18030", "unsupported-media-type"},
		{"/v1/licenses/query", "Content-Type", "text/plain", "unsupported-media-type"},
		{"/v1/licenses/query", "Content-Type", "", "unsupported-media-type"},
		{"/v1/licenses/query", "Content-Encoding", "gzip", "content-encoding-refused"},
		{"/v1/licenses/query?x=1", "Content-Type", "application/json", "query-refused"},
		{"/v1/licenses/query?", "Content-Type", "application/json", "query-refused"},
	} {
		r := httptest.NewRequest("POST", tt.target, strings.NewReader(query))
		r.Header.Set(tt.header, tt.value)
		if got := code(t, op.CheckHeaders(r)); got != tt.code {
			t.Errorf("%s %s: %s: %q, want %q", tt.target, tt.header, tt.value, got, tt.code)
		}
	}
}

func TestReadBody(t *testing.T) {
	c := contract(t)
	for _, tt := range []struct {
		id, body, code string
	}{
		{"licenses.query", "{}", ""},
		{"licenses.query", strings.Repeat("x", MaxBody), ""},
		{"licenses.query", strings.Repeat("x", MaxBody+1), "too-large"},
		{"catalog.types", "", ""},
		{"catalog.types", "{}", "body-refused"},
	} {
		r := &http.Request{Body: http.NoBody}
		if tt.body != "" {
			r = httptest.NewRequest("POST", "/", strings.NewReader(tt.body))
		}
		body, err := c.Operation(tt.id).ReadBody(r)
		if code(t, err) != tt.code || err == nil && string(body) != tt.body {
			t.Errorf("%s, %d bytes: %v, want %q", tt.id, len(tt.body), err, tt.code)
		}
	}
}

func TestCheck(t *testing.T) {
	c := contract(t)
	for _, tt := range []struct {
		name, id, body, code string
		faults               []Fault
	}{
		{"good", "licenses.query", query, "", nil},
		{"nothing to say", "cases.close", "{}", "", nil},
		{"a misspelt member", "licenses.query", strings.Replace(query, `"fields"`, `"felds"`, 1), "unknown-field",
			[]Fault{{"/felds", "is not known here"}}},
		{"a member that names a person", "licenses.query", strings.Replace(query, `"fields"`, `"379901198503123015"`, 1), "unknown-field",
			[]Fault{{"/?", "is not known here"}}},
		{"a missing member", "licenses.query", `{"license_type":"x","purpose":{}}`, "missing-field",
			[]Fault{{"/holder", "is missing"}, {"/purpose", "is not just one of: a case; another legal basis with a reference"}}},
		{"all faults at once", "licenses.query", `{"license_type":"","holder":{"type":"1","code":"x y"},"purpose":{"case":7}}`, "invalid-field",
			[]Fault{
				{"/holder/code", "is not of the form ^[0-9A-Z()-]+$"},
				{"/holder/type", "is not of the form ^[0-9]{3}$"},
				{"/license_type", "is not of the form ^[0-9A-Za-z][0-9A-Za-z._-]*$"},
				{"/purpose/case", "is not of type string"},
			}},
		{"a value out of a list", "cases.materials", `{"material":"x","how":"lost"}`, "invalid-field",
			[]Fault{{"/how", "is none of [uploaded promised waived]"}}},
		{"a number out of range", "audit.search", `{"limit":1001}`, "invalid-field", []Fault{{"/limit", "is above 1000"}}},
		{"twice", "cases.check", `{"materials":["a","a"]}`, "invalid-field", []Fault{{"/materials", "names an item twice"}}},
		{"null", "cases.check", `{"materials":null}`, "invalid-field", []Fault{{"/materials", "is not of type array"}}},
		{"no object", "cases.check", `[]`, "invalid-field", []Fault{{"", "is not of type object"}}},
		{"an impossible time", "audit.search", `{"from":"2026-02-30T00:00:00.000Z"}`, "date-impossible",
			[]Fault{{"/from", canonical.ErrTime.Error()}}},
		{"a Chinese case number", "audit.search", `{"case":"苏0102-7"}`, "", nil},
		{"a body too many", "catalog.types", `{}`, "body-refused", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := decodeAny(c.Operation(tt.id), tt.body)
			if got := code(t, err); got != tt.code {
				t.Fatalf("%v, want %q", err, tt.code)
			}
			if p, ok := errors.AsType[*Problem](err); ok {
				if d := cmp.Diff(tt.faults, p.Faults); d != "" {
					t.Error(d)
				}
			}
		})
	}
}

// decodeAny decodes a body into the request type of the operation.
func decodeAny(o *Operation, body string) error {
	var err error
	switch o.ID {
	case "licenses.query":
		_, err = Decode[QueryRequest](o, []byte(body))
	case "cases.check":
		_, err = Decode[CheckRequest](o, []byte(body))
	case "cases.materials":
		_, err = Decode[MaterialRequest](o, []byte(body))
	case "audit.search":
		_, err = Decode[SearchRequest](o, []byte(body))
	default:
		_, err = Decode[CloseRequest](o, []byte(body))
	}
	return err
}

// An answer that the types write is one that the document describes.
func TestAnswersFitTheDocument(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(Document)
	if err != nil {
		t.Fatal(err)
	}
	now := At(time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC))
	for name, v := range map[string]any{
		"QueryAnswer": QueryAnswer{Nonce: "AAAAAAAAAAAAAAAAAAAAAA", Time: now, Operation: "licenses.query", Found: FoundNotFound,
			Decision: Decision{Rules: []string{"grant-1"}}, Source: "samr", Freshness: FreshnessLive, AsOf: now},
		"CheckAnswer": CheckAnswer{Nonce: "AAAAAAAAAAAAAAAAAAAAAA", Time: now, Operation: "cases.check", Case: "A-1", Matter: "m",
			Materials: []CheckedMaterial{{Matter: "m", Material: "x", Name: "执照", NameEn: "license", Need: 1,
				State: MaterialStateMissing, Fallback: Fallback{Kind: FallbackKindTolerate, Deadline: "2026-12-01"}}}},
		"Problem": NewProblem("internal"),
	} {
		raw, err := canonical.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var value any
		if err := json.Unmarshal(raw, &value); err != nil {
			t.Fatal(err)
		}
		if err := doc.Components.Schemas[name].Value.VisitJSON(value); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	o := contract(b).Operation("licenses.query")
	body := []byte(query)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode[QueryRequest](o, body); err != nil {
			b.Fatal(err)
		}
	}
}

// A problem never points at more places than the document lets it, says that there are more, and says it the same way each time.
func TestFaultsAreBounded(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(Document)
	if err != nil {
		t.Fatal(err)
	}
	problem := doc.Components.Schemas["Problem"].Value
	if most := problem.Properties["faults"].Value.MaxItems; most == nil || *most != maxFaults {
		t.Errorf("the document has maxItems %v, the code %d", most, maxFaults)
	}
	many := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,"x%d":1`, i)
		}
		return strings.Replace(query, `,"fields"`, b.String()+`,"fields"`, 1)
	}
	for n, more := range map[int]bool{1: false, maxFaults: false, maxFaults + 1: true, 400: true} {
		var last string
		for range 3 {
			p := AsProblem(contract(t).Operation("licenses.query").Check([]byte(many(n))))
			if got := len(p.Faults); p.Code != "unknown-field" || got != min(n, maxFaults) || (p.Faults[got-1] == moreFaults) != more {
				t.Errorf("%d places: %s with %d faults, the last %+v", n, p.Code, got, p.Faults[got-1])
			}
			if body := string(p.Body()); last != "" && last != body {
				t.Error("the same body has two problems")
			}
			last = string(p.Body())
		}
	}
	one := NewProblem("invalid-field")
	for i := range 40 {
		one.At(fmt.Sprintf("/fields/%d", i), "is wrong")
	}
	if len(one.Faults) != maxFaults || one.Faults[maxFaults-1] != moreFaults {
		t.Errorf("one by one: %d faults, the last %+v", len(one.Faults), one.Faults[len(one.Faults)-1])
	}
	var value any
	if err := json.Unmarshal(one.Body(), &value); err != nil {
		t.Fatal(err)
	}
	if err := problem.VisitJSON(value); err != nil {
		t.Error(err)
	}
}

// What a wrong body costs grows with its length and no faster, and of a long one the validator looks at no more than the contract has
// room for: a call is refused by its body in milliseconds, not in minutes.
func TestWrongBodiesAreCheap(t *testing.T) {
	c := contract(t)
	names := func(n int) string {
		list := make([]string, n)
		for i := range list {
			list[i] = fmt.Sprintf(`"x%05d":"so that the body is a long one"`, i)
		}
		return "{" + strings.Join(list, ",") + "}"
	}
	items := func(item string) func(int) string {
		return func(n int) string { return "[" + strings.Repeat(item+",", n-1) + item + "]" }
	}
	for _, tt := range []struct {
		name, id, in string
		make         func(int) string
		many         int // in the long body
		code         string
		fault        Fault // of the long body, which has this one, or this one first
	}{
		{"unknown members", "licenses.verify", "%s", names, MaxMembers, "unknown-field", Fault{"/x00000", "is not known here"}},
		{"unknown members of a member", "licenses.query", `{"holder":%s}`, names, MaxMembers, "unknown-field", Fault{"/holder/x00000", "is not known here"}},
		{"unknown members of an alternative", "licenses.status", `{"purpose":%s}`, names, MaxMembers, "unknown-field", Fault{"/purpose/x00000", "is not known here"}},
		{"more members than any object has", "licenses.verify", `{"answer":%s}`, names, MaxMembers + 1, "invalid-field", Fault{"", "an object has too many members"}},
		{"numbers for texts", "licenses.verify", `{"document":"AAAA","beside":%s}`, items("1"), 40000, "invalid-field", Fault{"/beside", "has more than 16 items"}},
		{"empty objects", "licenses.issue", `{"holders":%s}`, items("{}"), 40000, "invalid-field", Fault{"/holders", "has more than 64 items"}},
		{"arrays", "cases.check", `{"documents":%s}`, items("[]"), 40000, "invalid-field", Fault{"/documents", "has more than 16 items"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := c.Operation(tt.id)
			allocations := func(n int) (each float64) {
				body := fmt.Appendf(nil, tt.in, tt.make(n))
				each = testing.AllocsPerRun(1, func() {
					if err := o.Check(body); err == nil {
						t.Fatal("the body is let pass")
					}
				})
				return each / float64(n)
			}
			if short := allocations(2000); short > 150 {
				t.Fatalf("of 2,000: %.0f allocations each", short)
			}
			if long := allocations(tt.many); long > 10 {
				t.Errorf("of %d: %.1f allocations each", tt.many, long)
			}
			p := AsProblem(o.Check(fmt.Appendf(nil, tt.in, tt.make(tt.many))))
			if p.Code != tt.code || p.Faults[0] != tt.fault || len(p.Faults) != 1 && len(p.Faults) != maxFaults {
				t.Errorf("%s: %+v", p.Code, p.Faults)
			}
		})
	}
	// A long body that is wrong in one place is told that place, as a short one is.
	long := `{"dokument":"` + strings.Repeat("A", 2*long) + `"}`
	if p := AsProblem(c.Operation("licenses.verify").Check([]byte(long))); p.Code != "unknown-field" || len(p.Faults) != 1 || p.Faults[0].Pointer != "/dokument" {
		t.Errorf("%s: %+v", p.Code, p.Faults)
	}
}

// Which members stand together is part of the contract, with a code and the alternatives in words.
func TestEitherOr(t *testing.T) {
	const (
		identifier = `"identifier":"1.2.156.3005.2.11100000MB0143028R001.11100000MB0143028R.0000000001.001.B"`
		holder     = `"holder":{"type":"001","code":"91379901MA9920002Q"}`
		receipt    = `"receipt":{"record":"eyJ9","index":1,"proofs":{"sm3":[],"sha256":[]},"checkpoint":"x"}`
		parties    = `"no":"A-1","matter":"m","accepted":"2026-11-23T01:00:00.000Z","parties":[{"role":"applicant",` + holder + `}]`
	)
	for _, tt := range []struct{ id, body, code, at string }{
		{"licenses.verify", `{"license":"a.b.c~"}`, "", ""},
		{"licenses.verify", `{"document":"AAAA","beside":["AAAA"]}`, "", ""},
		{"licenses.verify", `{"answer":{"x":1},` + receipt + `}`, "", ""},
		{"licenses.verify", `{` + receipt + `}`, "", ""},
		{"licenses.verify", `{}`, "invalid-field", ""},
		{"licenses.verify", `{"answer":{"x":1}}`, "invalid-field", ""},
		{"licenses.verify", `{"license":"a.b.c~","beside":["AAAA"]}`, "invalid-field", ""},
		{"licenses.verify", `{"license":"a.b.c~","document":"AAAA"}`, "invalid-field", ""},
		{"licenses.verify", `{"license":"a.b.c~",` + receipt + `}`, "invalid-field", ""},
		{"licenses.verify", `{"license":"a.b.c~","licence":"x"}`, "unknown-field", "/licence"},
		{"licenses.query", `{"license_type":"t",` + holder + `,"purpose":{"case":"A-1","basis":"b"}}`, "purpose-invalid", "/purpose"},
		{"licenses.query", `{"license_type":"t",` + holder + `,"purpose":{"basis":"b"}}`, "purpose-invalid", "/purpose"},
		{"licenses.query", `{"license_type":"t",` + holder + `,"purpose":{"basis":"b","reference":"r","material":"m"}}`, "purpose-invalid", "/purpose"},
		{"licenses.query", `{"license_type":"t",` + holder + `,"purpose":{"case":"A-1","basis":7}}`, "invalid-field", "/purpose/basis"},
		{"licenses.query", `{"license_type":"t",` + holder + `,"purpose":{"basis":"b","reference":"r"}}`, "", ""},
		{"licenses.status", `{` + identifier + `,"purpose":{"case":"A-1","material":"m"}}`, "", ""},
		{"licenses.status", `{` + identifier + `,"purpose":{"basis":"b","reference":"r"}}`, "purpose-invalid", "/purpose"},
		{"licenses.list", `{` + identifier + `}`, "", ""},
		{"licenses.list", `{"license_type":"t","limit":5,"status":"valid"}`, "", ""},
		{"licenses.list", `{}`, "invalid-field", ""},
		{"licenses.list", `{` + identifier + `,"license_type":"t"}`, "invalid-field", ""},
		{"licenses.list", `{` + identifier + `,"status":"valid"}`, "invalid-field", ""},
		{"precheck", `{"matter":"m",` + holder + `,"consent":"c"}`, "", ""},
		{"precheck", `{"matter":"m",` + holder + `}`, "", ""},
		{"cases.register", `{` + parties + `}`, "", ""},
		{"cases.register", `{` + parties + `,"attestation":"holder","assertion":"a.b.c"}`, "", ""},
		{"cases.register", `{` + parties + `,"attestation":"holder"}`, "assertion-invalid", ""},
		{"cases.register", `{` + parties + `,"assertion":"a.b.c"}`, "assertion-invalid", ""},
		{"cases.materials", `{"material":"m","how":"waived"}`, "", ""},
		{"cases.materials", `{"material":"m","how":"uploaded"}`, "invalid-field", ""},
		{"cases.materials", `{"material":"m","how":"promised","digest":"1qqKZ1dJ3mCkHXhDcYh2nJ8o2m4dA0e6m0n3o8t3v9M"}`, "invalid-field", ""},
		{"licenses.query", `{"license_type":"t",` + holder + `,"number":"A\u0000","purpose":{"case":"A-1"}}`, "invalid-field", "/number"},
	} {
		err := contract(t).Operation(tt.id).Check([]byte(tt.body))
		if got := code(t, err); got != tt.code {
			t.Errorf("%s %s: %v, want %q", tt.id, tt.body, err, tt.code)
			continue
		}
		if p, ok := errors.AsType[*Problem](err); ok && (len(p.Faults) != 1 || p.Faults[0].Pointer != tt.at) {
			t.Errorf("%s %s: %+v, want one at %q", tt.id, tt.body, p.Faults, tt.at)
		}
	}
}

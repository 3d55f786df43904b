package attack

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"oncegate/api"
	"oncegate/certs/jws"
	"oncegate/client"
	"oncegate/gateway"
	"oncegate/install"
	"oncegate/license"
)

// A prier makes calls that name people in every place there is, by right and by mistake.
type prier struct {
	t       *testing.T
	in      *installation
	callers *callers
	wire    *wire
	p       *process
	clients map[string]*client.Client
}

func newPrier(t *testing.T, in *installation, p *process) *prier {
	c := in.callers()
	x := &prier{t: t, in: in, callers: c, wire: wireTo(p), p: p, clients: map[string]*client.Client{}}
	for _, s := range []string{"acceptance", "food-approval", "land-approval", "citizen-portal", "audit-office"} {
		x.clients[s] = c.as(s, x.wire).As(in.city.Population.People[200].Name) // a clerk is a person too
	}
	return x
}

// TestNobodyIsNamed has a node at work on cases full of people, with sources that fail and calls that are wrong, and then looks for
// them in every byte that the gateway has: files, logs, metrics, profiles, refusals.
func TestNobodyIsNamed(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	s := newScanner(t, in.city.Population.People)
	ground := cityGround(t).path("city")
	var there []string // the scanner finds people where they are
	for name, data := range files(t, ground) {
		if s.find(data) != "" {
			there = append(there, name[len(ground):])
		}
	}
	if len(there) < 3 {
		t.Fatalf("people were found in %v only", there)
	}

	p := in.start()
	x := newPrier(t, in, p)
	x.byRight()
	x.byMistake()
	x.auditors()
	_, metrics := p.ask("/metrics")
	s.clean(t, "metrics", []byte(metrics))
	_, stacks := p.ask("/debug/pprof/goroutine?debug=2")
	s.clean(t, "stacks", []byte(stacks))
	for _, e := range x.wire.take() {
		if e.status >= 400 {
			s.clean(t, e.path+" refused", e.answer)
		}
	}
	running := s.folder(t, in.dir)
	p.stop()
	s.clean(t, "log", []byte(p.logs.String()))

	in.sourcesFail()
	p = in.start()
	x = newPrier(t, in, p)
	x.byRight()
	for _, e := range x.wire.take() {
		if e.status >= 400 {
			s.clean(t, e.path+" without sources", e.answer)
		}
	}
	p.stop()
	s.clean(t, "log without sources", []byte(p.logs.String()))
	stopped := s.folder(t, in.dir)
	t.Logf("looked through %d KiB of a running and %d KiB of a stopped gateway", running>>10, stopped>>10)
}

// sourcesFail leads every source to nowhere, one of them with a person's number in its URL.
func (in *installation) sourcesFail() {
	in.t.Helper()
	in.must(edit(in.path("sources/police.yaml"), in.city.Police.Addr(), "127.0.0.1:1"))
	in.must(edit(in.path("sources/civil.yaml"), in.city.Civil.Addr(), "127.0.0.1:1", "- path: /marriages/find", "- path: /marriages/{holder_code}"))
	in.must(edit(in.path("sources/market.yaml"), "where tyshxydm = :holder_code", "where tyshxydm = abs(:holder_code || 'x' || -9223372036854775808)"))
}

// byRight makes legitimate calls of every kind.
func (x *prier) byRight() {
	cast := x.in.city.Population.Cast
	ctx := x.t.Context()
	no := caseNo("L", time.Now().UnixNano())
	couple := []api.Party{party("applicant", cast.Couple[0].Holder()), party("spouse", cast.Couple[1].Holder())}
	_, err := x.clients["acceptance"].RegisterCase(ctx, landCase(no, couple...))
	x.answered(err)
	_, err = x.clients["land-approval"].Check(ctx, no, api.CheckRequest{})
	x.answered(err)
	for _, who := range cast.Couple {
		for kind, material := range map[string]string{"resident-id": "applicant-id", "real-estate-certificate": "real-estate-certificate", "marriage-certificate": "marriage-certificate", "tax-clearance": "tax-clearance"} {
			_, err := x.clients["land-approval"].Query(ctx, api.QueryRequest{LicenseType: kind, Holder: holderID(who.Holder()), Purpose: api.Purpose{Case: no, Material: material}})
			x.answered(err)
		}
	}
	shop := no + "-S"
	_, err = x.clients["acceptance"].RegisterCase(ctx, foodCase(shop, party("applicant", cast.FoodShop.Holder()), party("legal_representative", cast.FoodShop.Legal.Holder())))
	x.answered(err)
	_, err = x.clients["food-approval"].Check(ctx, shop, api.CheckRequest{})
	x.answered(err)
	_, err = x.clients["food-approval"].Query(ctx, api.QueryRequest{LicenseType: "resident-id", Holder: holderID(cast.Stranger.Holder()), Purpose: api.Purpose{Case: shop}})
	x.answered(err)
	x.consents(no)
	_, err = x.clients["acceptance"].CloseCase(ctx, no)
	x.answered(err)
}

// answered lets refusals pass: what they say is looked at later.
func (x *prier) answered(err error) {
	x.t.Helper()
	if err == nil {
		return
	}
	if _, ok := errors.AsType[*api.Problem](err); !ok {
		x.t.Fatal(err)
	}
}

// consents registers a consent and runs a pre-check with it.
func (x *prier) consents(id string) {
	who := x.in.city.Population.Cast.Couple[0]
	portal := x.clients["citizen-portal"]
	expires := time.Now().Add(time.Hour).Truncate(time.Second)
	sign := func(purpose, ref string, types, matters []string) string {
		signer, err := install.AsserterSigner(x.callers.setup, x.callers.keys, "identity-service")
		x.in.must(err)
		text, err := json.Marshal(gateway.Assertion{Issuer: "identity-service", Audience: gatewayID, For: purpose, Reference: ref, Holder: who.Holder(),
			System: "citizen-portal", Types: types, Matters: matters, IssuedAt: time.Now().Unix(), Expires: expires.Unix()})
		x.in.must(err)
		compact, err := jws.Sign(context.Background(), signer, jws.Header{Typ: gateway.AssertionType, Kid: "identity-service"}, text)
		x.in.must(err)
		return compact
	}
	types, matters := []string{"resident-id", "marriage-certificate"}, []string{"YC-LAND-07"}
	_, err := portal.GiveConsent(x.t.Context(), api.ConsentRequest{ID: "c-" + id, Holder: holderID(who.Holder()), Types: types, Matters: matters,
		Expires: api.At(expires), Assertion: sign("consent", "c-"+id, types, matters)})
	if err != nil {
		x.t.Fatal(err)
	}
	_, err = portal.Precheck(x.t.Context(), api.PrecheckRequest{Holder: holderID(who.Holder()), Matter: "YC-LAND-07", Consent: "c-" + id})
	x.answered(err)
	_, err = portal.Precheck(x.t.Context(), api.PrecheckRequest{Holder: holderID(who.Holder()), Matter: "YC-LAND-07", Assertion: sign("precheck", "YC-LAND-07", types, nil)})
	x.answered(err)
	_, err = portal.WithdrawConsent(x.t.Context(), "c-"+id, api.WithdrawRequest{})
	x.answered(err)
}

// byMistake puts people where they do not belong.
func (x *prier) byMistake() {
	who := x.in.city.Population.People[17]
	for _, body := range []string{
		`{"` + who.Code + `": 1}`, `{"no": "` + who.Code + `"}`, `{"holder": "` + who.Name + `"}`, `{"holder": {"type": "111", "code": "` + who.Code[:17] + `"}}`,
		`["` + who.Code + `"`, `{"a": "` + who.Code + `", "a": 1}`, who.Name, `{"license_type": "` + who.Code + `"}`, `{"purpose": {"case": "` + who.Code + `", "` + who.Name + `": 2}}`,
		`{"no":"` + who.Code + `","matter":"YC-FOOD-01","attestation":"platform","accepted":"2026-11-20T01:00:00.000Z","parties":[{"role":"` + who.Code + `","holder":{"type":"111","code":"` + who.Code + `"}}]}`,
	} {
		for _, path := range []string{"/v1/licenses/query", "/v1/cases", "/v1/licenses/status", "/v1/licenses/verify", "/v1/consents", "/v1/precheck"} {
			x.raw("food-approval", "POST", path, body)
			x.raw("acceptance", "POST", path, body)
		}
	}
	for _, path := range []string{"/v1/cases/" + who.Code + "/check", "/v1/cases/" + who.Code + "/close", "/v1/consents/" + who.Code + "/withdraw"} {
		x.raw("food-approval", "POST", path, "{}")
		x.raw("citizen-portal", "POST", path, "{}")
	}
	x.raw("food-approval", "GET", "/v1/catalog/types?holder="+who.Code, "")
	x.raw("food-approval", "GET", "/v1/people/"+who.Code, "")
	_, err := x.clients["food-approval"].As(who.Code).Again(who.Code).Types(x.t.Context())
	x.answered(err)
	x.unauthenticated(who.Code)
}

// raw makes a call with any body at any path.
func (x *prier) raw(system, method, target, body string) {
	x.t.Helper()
	e := &exchange{method: method, path: target, token: x.callers.sign(system, method, target, []byte(body)), body: []byte(body)}
	e.status, e.answer = e.again(x.t, x.p)
	if e.status < 400 && !strings.HasPrefix(target, "/v1/cases") && target != "/v1/catalog/types" {
		x.t.Errorf("%s was answered with %d: %s", target, e.status, e.answer)
	}
	x.wire.mu.Lock()
	x.wire.kept = append(x.wire.kept, e)
	x.wire.mu.Unlock()
}

// unauthenticated sends identity numbers in unauthenticated calls.
func (x *prier) unauthenticated(code string) {
	for _, header := range []http.Header{
		{"Authorization": {"Bearer " + code}}, {"Authorization": {"Bearer " + base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"`+code+`"}`)) + ".e30." + code}}, {"X-Holder": {code}}, {"Cookie": {code}},
	} {
		r, err := http.NewRequest("POST", publicURL+"/v1/licenses/query", strings.NewReader(code))
		x.in.must(err)
		r.Header = header
		res, err := (&http.Client{Transport: x.p.over(), Timeout: soon}).Do(r)
		x.in.must(err)
		res.Body.Close()
	}
}

// auditors search for people, by their numbers, and look into the evidence.
func (x *prier) auditors() {
	auditor := x.clients["audit-office"]
	who := x.in.city.Population.Cast.Couple[0]
	found, err := auditor.Search(x.t.Context(), api.SearchRequest{Holder: holderID(who.Holder())})
	x.in.must(err)
	if len(found.Answer.Records) < 4 {
		x.t.Fatalf("%d records about somebody were found", len(found.Answer.Records))
	}
	for _, r := range found.Answer.Records[:3] {
		e, err := auditor.Evidence(x.t.Context(), r.Index, api.EvidenceRequest{Persons: true, Request: true, Why: "抽查 " + who.Name})
		x.in.must(err)
		if !bytes.Contains(e.Raw, []byte(who.Code)) {
			x.t.Error("the auditor does not see who it was")
		}
	}
	_, err = auditor.Search(x.t.Context(), api.SearchRequest{Operator: x.in.city.Population.People[200].Name})
	x.answered(err)
}

// TestRecordsOfOnePerson compares records: two of one person, for two cases, have in common only what a record of somebody else,
// for a third case and by another clerk, has as well.
func TestRecordsOfOnePerson(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	p := in.start()
	c := in.callers()
	w := wireTo(p)
	record := func(no string, who license.HolderID, clerk string) map[string]bool {
		if _, err := c.as("acceptance", w).RegisterCase(t.Context(), landCase(no, party("applicant", who))); err != nil {
			t.Fatal(err)
		}
		a, err := c.as("land-approval", w).As(clerk).Query(t.Context(), api.QueryRequest{LicenseType: "resident-id", Holder: holderID(who), Purpose: api.Purpose{Case: no, Material: "applicant-id"}})
		if err != nil {
			t.Fatal(err)
		}
		return values(t, a.Receipt.Record)
	}
	couple := in.city.Population.Cast.Couple
	first := record("A-1", couple[0].Holder(), "clerk-1")
	between := record("B-2", couple[1].Holder(), "clerk-2")
	second := record("C-3", couple[0].Holder(), "clerk-1")
	shared := 0
	for v := range first {
		if !second[v] {
			continue
		}
		shared++
		if !between[v] {
			t.Errorf("two records of one person share %q, and nobody else's has it", v)
		}
	}
	if shared < 5 {
		t.Errorf("the records share %d values: they are hardly of one kind", shared)
	}
	p.stop()
}

// values are all texts and numbers of a record, long texts in pieces too, so that no part of a commitment is shared unnoticed.
func values(t testing.TB, record []byte) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	for d := jsontext.NewDecoder(bytes.NewReader(record)); ; {
		token, err := d.ReadToken()
		if err != nil {
			break
		}
		if token.Kind() == '"' || token.Kind() == '0' {
			all[token.String()] = true
			for piece := range slices.Chunk([]byte(token.String()), 8) {
				if len(piece) == 8 {
					all[string(piece)] = true
				}
			}
		}
	}
	if len(all) < 10 {
		t.Fatalf("a record with %d values: %s", len(all), record)
	}
	return all
}

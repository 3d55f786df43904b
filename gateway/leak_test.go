package gateway

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/certs/token"
	"oncegate/license"
)

// The full numbers of the work order are 1000, 100 and 2000.
var (
	leakPolicies  = flag.Int("leak.policies", 300, "random policies of the leak test")
	leakQuestions = flag.Int("leak.questions", 30, "random questions to each")
	leakOverHTTP  = flag.Int("leak.http", 300, "how many of them go over HTTP")
)

// A leakCase is a case of the leak test with what is true of it.
type leakCase struct {
	no       string
	matters  []string
	platform map[string]bool // by asker: attested by another system
	closed   bool
	parties  map[license.HolderID]string // role, only where it is true
}

// A leak is one random question with the plain reading of what may come of it.
type leak struct {
	*world
	sharing  *sharing
	consents map[string]bool // "system holder type matter" that stand
	rows     map[string]operation

	overHTTP atomic.Int64 // how many questions may still go over HTTP

	mu      sync.Mutex
	left    int               // licenses that left
	denials map[string]string // the one shape of each operation's denial
}

// Laws 2 and 3: whatever the policy and the question, nothing leaves but what grant, purpose and consent all allow: not in
// the answer, not in the disclosures, not in the record, a log line or a metric; and to who may know nothing every denial
// is the same bytes.
func TestNothingLeaks(t *testing.T) {
	w := newWorld(t)
	w.skipWhole = true // thousands of records under policies that nobody activated; what they hold is checked here
	w.put(taxClearance(wife))
	cases := w.leakCases()
	l := &leak{world: w, consents: map[string]bool{}, rows: w.gateway.table(), denials: map[string]string{}}
	w.rules("consents.yaml", "permissions:\n  - {id: c, systems: [food-approval, land-approval], operations: [consents.register], basis: b}\n")
	w.consent("c-food", "food-approval", company, false)
	w.consent("c-land", "land-approval", wife, false)
	for _, given := range []string{"food-approval " + company.Code + " business-license", "food-approval " + company.Code + " resident-id", "land-approval " + wife.Code + " business-license", "land-approval " + wife.Code + " resident-id"} {
		l.consents[given] = true
	}
	l.overHTTP.Store(int64(*leakOverHTTP))
	everyNth := max(1, *leakPolicies**leakQuestions/max(1, *leakOverHTTP))
	from := w.size()
	for seed := range uint64(*leakPolicies) {
		r := rand.New(rand.NewPCG(seed, 1))
		l.sharing = randomSharing(r)
		w.reloadOnly(l.sharing.files)
		for name, source := range w.legacy {
			down := r.IntN(12) == 0
			source.set(func(s *legacy) { s.err = map[bool]error{true: errors.New("down " + name)}[down] })
		}
		var all sync.WaitGroup
		for i := range *leakQuestions {
			q, wire := rand.New(rand.NewPCG(r.Uint64(), seed)), (int(seed)**leakQuestions+i)%everyNth == 0
			all.Go(func() { l.ask(seed, q, one(q, cases...), wire) })
		}
		if all.Wait(); t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	if n := int(w.size() - from); n != *leakPolicies**leakQuestions {
		t.Errorf("%d records of %d questions", n, *leakPolicies**leakQuestions)
	}
	w.impersonal("a log line", w.lines.String())
	w.impersonal("a metric", w.exposition())
	if l.overHTTP.Load() > 0 {
		t.Errorf("%d questions too few went over HTTP", l.overHTTP.Load())
	}
	if n := *leakPolicies * *leakQuestions; len(l.denials) < 2 || l.left < n/10 {
		t.Errorf("of %d questions %d licenses left, and %d kinds of denials were seen: the test sees too little", n, l.left, len(l.denials))
	}
}

// leakCases are a food case, a transfer, a chain, one with a false party and a closed one.
func (w *world) leakCases() []leakCase {
	w.accept("L-food")
	w.acceptFlat("L-land")
	w.acceptChain("L-chain")
	w.register(w.caseOf("L-false", "YC-FOOD-01", party("applicant", company), party("legal_representative", stranger)))
	w.accept("L-closed")
	read[api.CloseAnswer](w.t, w.call("acceptance", "POST", "/v1/cases/L-closed/close", map[string]any{}))
	others := map[string]bool{"food-approval": true, "land-approval": true, "invest-platform": true, "citizen-portal": true}
	food := map[license.HolderID]string{company: "applicant", boss: "legal_representative"}
	return []leakCase{
		{"L-food", []string{"YC-FOOD-01"}, others, false, food},
		{"L-land", []string{"YC-LAND-07"}, others, false, map[license.HolderID]string{wife: "applicant", husband: "spouse"}},
		{"L-chain", []string{"YC-NDRC-01", "YC-FIRE-07"}, others, false, map[license.HolderID]string{company: "applicant"}},
		{"L-false", []string{"YC-FOOD-01"}, others, false, map[license.HolderID]string{company: "applicant"}},
		{"L-closed", []string{"YC-FOOD-01"}, others, true, food},
		{"L-none", nil, others, false, nil},
	}
}

// ask makes one random call, in process, past the token and the wire only, or over both.
func (l *leak) ask(seed uint64, r *rand.Rand, k leakCase, wire bool) {
	system, operation := one(r, leakSystems...), one(r, "licenses.query", "licenses.query", "licenses.query", "cases.check")
	var body any = map[string]any{}
	licenseType, holder, matter := one(r, leakTypes...), one(r, company, boss, wife, husband, stranger), ""
	if r.IntN(3) > 0 { // a question that makes sense
		likely := map[string][]license.Question{
			"L-land": {{Type: "resident-id", Holder: wife}, {Type: "resident-id", Holder: husband}, {Type: "real-estate-certificate", Holder: wife}, {Type: "marriage-certificate", Holder: wife}, {Type: "tax-clearance", Holder: wife}},
		}[k.no]
		if likely == nil {
			likely = []license.Question{{Type: "business-license", Holder: company}, {Type: "business-license", Holder: company}, {Type: "resident-id", Holder: boss}, {Type: "resident-id", Holder: stranger}}
		}
		q := one(r, likely...)
		licenseType, holder = q.Type, q.Holder
	}
	if operation == "licenses.query" {
		q := query(licenseType, holder, k.no)
		if len(k.matters) > 1 {
			matter = one(r, k.matters...)
			q["purpose"].(map[string]any)["matter"] = matter
		} else if len(k.matters) == 1 {
			matter = k.matters[0]
		}
		if r.IntN(3) == 0 {
			q["fields"] = some(r, leakFields[licenseType], 1)
		}
		body = q
	}
	if wire {
		l.overHTTP.Add(-1)
	}
	rep := l.run(system, operation, k.no, body, wire)
	if rep == nil {
		return
	}
	where := fmt.Sprintf("seed %d: %s %s of %s for %s: %s %s", seed, system, operation, licenseType, k.no, rep.Code, rep.Body)
	entitled := l.sharing.knows(system, append(slices.Clone(k.matters), map[bool]string{true: "YC-INVEST-CHAIN"}[k.no == "L-chain"])...)
	if operation == "licenses.query" {
		entitled = l.sharing.knows(system, append([]string{matter}, map[bool]string{true: "YC-INVEST-CHAIN"}[k.no == "L-chain"])...)
	}
	_, isParty := k.parties[holder]
	claimed := k.no == "L-false" && holder == stranger
	if !entitled || k.no == "L-none" || operation == "licenses.query" && !isParty && !claimed {
		l.denial(where, fmt.Sprint(operation, wire), rep)
		return
	}
	switch operation {
	case "licenses.query":
		var a api.QueryAnswer
		if rep.Problem == nil && l.unmarshal(rep, &a) {
			for _, given := range a.Licenses {
				l.released(where, system, operation, k, matter, holder, given.LicenseType, given.License, given.Fields, given.Freshness)
			}
		}
	case "cases.check":
		var a api.CheckAnswer
		if rep.Problem == nil && l.unmarshal(rep, &a) {
			for _, m := range a.Materials {
				if m.License != "" {
					l.released(where, system, operation, k, m.Matter, holderOf(k, m), m.LicenseType, m.License, m.Fields, m.Freshness)
				}
			}
		}
	}
}

// holderOf is whose license a met material must be.
func holderOf(k leakCase, m api.CheckedMaterial) license.HolderID {
	role := map[string]string{"legal-representative-id": "legal_representative", "spouse-id": "spouse"}[m.Material]
	for holder, is := range k.parties {
		if is == cmp.Or(role, "applicant") {
			return holder
		}
	}
	return license.HolderID{}
}

// run answers a call and checks its record and receipt.
func (l *leak) run(system, operation, no string, body any, wire bool) (rep *Reply) {
	raw, err := marshal(body)
	if err != nil {
		l.t.Error(err)
		return nil
	}
	compact := ""
	if wire {
		rep, compact = l.send(system, operation, no, raw)
	} else {
		rep, compact = l.inside(system, operation, no, raw)
	}
	if rep == nil {
		return nil
	}
	answer, receipt, err := audit.SplitAnswer(rep.Body)
	if err != nil {
		l.t.Error(err)
		return nil
	}
	if wire || receipt.Index%16 == 0 {
		if _, _, err := audit.VerifyReceipt(audit.Proof{Receipt: receipt, Answer: answer, Token: compact}, l.trust); err != nil {
			l.t.Error(err)
		}
	}
	l.impersonal("a record", string(receipt.Record))
	for _, source := range leakTypes {
		if strings.Contains(string(rep.Body), "down "+source) {
			l.t.Errorf("a source's error left: %s", rep.Body)
		}
	}
	return rep
}

// send makes a call over HTTP. What a caller may see of it goes into the reply, its headers with the code.
func (l *leak) send(system, operation, no string, raw []byte) (*Reply, string) {
	path := map[string]string{"licenses.query": queryPath, "cases.check": "/v1/cases/" + no + "/check"}[operation]
	compact := l.token(system, "POST", path, raw, nil)
	resp, err := http.DefaultClient.Do(l.request("POST", path, raw, compact))
	if err != nil {
		l.t.Error(err)
		return nil, ""
	}
	defer resp.Body.Close()
	rep := &Reply{Status: resp.StatusCode, Media: resp.Header.Get("Content-Type"), Code: "ok"}
	if rep.Body, err = io.ReadAll(resp.Body); err != nil {
		l.t.Error(err)
		return nil, ""
	}
	for name, values := range resp.Header {
		l.impersonal("a header", name+strings.Join(values, ","))
	}
	if rep.Media == api.ProblemType {
		rep.Problem = &api.Problem{}
		if err := unmarshal(rep.Body, rep.Problem); err != nil {
			l.t.Error(err)
			return nil, ""
		}
		rep.Code = rep.Problem.Code
	}
	return rep, compact
}

// inside answers a call in process.
func (l *leak) inside(system, operation, no string, raw []byte) (*Reply, string) {
	row := l.rows[operation]
	row.Operation = l.gateway.contract.Operation(operation)
	config := l.gateway.running.Load()
	id, _ := token.NewID(time.Now(), nil)
	c := newCall(&row, config, Principal{System: system, Person: Person{ID: "clerk-7"}}, time.Now(), time.Now())
	c.key, c.keyID, c.token = config.Systems[system].Keys[system+"-1"].Public, system+"-1", "token of "+id
	c.claim = &audit.Claim{System: system, JTI: id, Exp: time.Now().Add(2 * time.Minute)}
	c.body, c.sealed, c.requestID, c.params = raw, raw, "r", map[string]string{"no": no}
	rep, err := l.gateway.answer(l.t.Context(), c)
	if err != nil {
		l.t.Errorf("nothing answered: %v", err)
		return nil, ""
	}
	return rep, c.token
}

func (l *leak) unmarshal(rep *Reply, into any) bool {
	answer, _, err := audit.SplitAnswer(rep.Body)
	if err == nil {
		err = unmarshal(answer, into)
	}
	if err != nil {
		l.t.Error(err)
	}
	return err == nil
}

// released checks one license that left.
func (l *leak) released(where, system, operation string, k leakCase, matter string, holder license.HolderID, licenseType, presented string, fields api.Fields, fresh api.Freshness) {
	l.mu.Lock()
	l.left++
	l.mu.Unlock()
	role, true_ := k.parties[holder]
	consent := l.consents[system+" "+holder.Code+" "+licenseType]
	most := l.sharing.most(system, operation, licenseType, matter, role, k.platform[system], consent, fresh == api.FreshnessStale)
	if !true_ || k.closed {
		l.t.Errorf("a license left: %s", where)
	}
	claims := disclosed(l.t, presented)
	if len(claims) != len(fields) {
		l.t.Errorf("%d disclosures, %d fields: %s", len(claims), len(fields), where)
	}
	for path, value := range claims {
		field, place, _ := strings.Cut(path, ".")
		if !slices.Contains(most, field) || fields[path] != value {
			l.t.Errorf("%s left, granted is %v: %s", path, most, where)
		}
		if field == "holder_code" && value != holder.Code && (operation == "licenses.query" && k.parties[licenseHolder(value)] != "applicant" || k.parties[licenseHolder(value)] == "") {
			l.t.Errorf("holder %s left: %s", place, where)
		}
	}
}

func licenseHolder(code string) license.HolderID {
	if code == company.Code {
		return company
	}
	return license.HolderID{Type: "111", Code: code}
}

// denial checks that who may know nothing gets the one refusal, byte for byte but for its nonce and moment, and a record
// with nothing but what was said.
func (l *leak) denial(where, operation string, rep *Reply) {
	if rep.Code != "case-not-usable" {
		l.t.Errorf("want case-not-usable: %s", where)
		return
	}
	a := answered{status: rep.Status, problem: *rep.Problem}
	_, receipt, err := audit.SplitAnswer(rep.Body)
	if err == nil {
		a.record, err = audit.ParseRecord(receipt.Record)
	}
	if err != nil {
		l.t.Error(err)
		return
	}
	a.record.Policy = ""
	for i := range a.record.Uses { // what the caller said itself
		a.record.Uses[i].Case, a.record.Uses[i].Matter, a.record.Uses[i].LicenseType = "", "", ""
	}
	shape := a.shape(l.t)
	l.mu.Lock()
	defer l.mu.Unlock()
	if first := cmp.Or(l.denials[operation], shape); first != shape {
		l.t.Errorf("told from another denial:\n%s\n%s\n%s", first, shape, where)
	}
	l.denials[operation] = shape
}

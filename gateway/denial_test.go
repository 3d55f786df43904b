package gateway

import (
	"database/sql"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/certs/token"
	"oncegate/license"
)

// shape is everything of a refusal that its caller can compare: status, headers, body and the record in its receipt,
// without what is random or a moment.
func (a answered) shape(t testing.TB) string {
	t.Helper()
	p := a.problem
	p.Nonce, p.Receipt, p.Time = "", nil, api.Time{}
	p.Commitments = masked(p.Commitments)
	record := a.record
	record.Time, record.TokenDigest, record.AnswerDigest, record.Evidence, record.RequestID, record.System = "", "", "", "", "", ""
	record.RequestCommitment = strings.Repeat("x", len(record.RequestCommitment))
	for i, u := range record.Uses {
		record.Uses[i].Holder, record.Uses[i].Operator = strings.Repeat("x", len(u.Holder)), strings.Repeat("x", len(u.Operator))
		record.Uses[i].CaseCommitment = strings.Repeat("x", len(u.CaseCommitment))
	}
	leaf := must(marshal(record))(t)
	var headers strings.Builder
	for name, values := range a.header {
		if name != "Date" && name != "Content-Length" { // the proof in the receipt grows with the log
			headers.WriteString(name + strings.Join(values, ",") + "\n")
		}
	}
	return string(p.Bytes()) + "\n" + string(leaf) + "\n" + http.StatusText(a.status) + "\n" + sorted(headers.String())
}

// masked is what opens commitments but for its random bytes, whose lengths stay.
func masked(c api.Commitments) api.Commitments {
	c.Operator, c.Holders = strings.Repeat("x", len(c.Operator)), slices.Clone(c.Holders)
	for i := range c.Holders {
		c.Holders[i].R = strings.Repeat("x", len(c.Holders[i].R))
	}
	return c
}

// Law 2: to who is no party, every cause is one: in code, body, headers, and in the record that comes with the receipt. The
// auditor sees the real reason.
func TestDenialsAreOne(t *testing.T) {
	w := newWorld(t)
	const no = "SP-2026-000003"
	w.accept(no)
	w.accept("SP-2026-closed")
	read[api.CloseAnswer](t, w.call("acceptance", "POST", "/v1/cases/SP-2026-closed/close", map[string]any{}))
	w.acceptFlat("BDC-1")
	read[api.QueryAnswer](t, w.call("food-approval", "POST", queryPath, query("business-license", company, no)))
	w.rules("both.yaml", "permissions:\n  - {id: other, systems: [land-approval], operations: [cases.register], matters: [YC-LAND-07], basis: test}\n")

	ask := func(system string, licenseType string, holder license.HolderID, no string) func() answered {
		return func() answered { return w.call(system, "POST", queryPath, query(licenseType, holder, no)) }
	}
	on := func(system, no, verb string, body any) func() answered {
		return func() answered { return w.call(system, "POST", "/v1/cases/"+no+"/"+verb, body) }
	}
	upload := map[string]any{"material": "business-license", "how": "waived"}
	register := func(no string) func() answered {
		body := w.caseOf(no, "YC-LAND-07", party("applicant", wife))
		return func() answered { return w.call("land-approval", "POST", "/v1/cases", body) }
	}
	precheck := func(consent string) func() answered {
		return func() answered {
			return w.call("citizen-portal", "POST", "/v1/precheck", map[string]any{"matter": "YC-FOOD-01", "holder": company, "consent": consent})
		}
	}
	for _, group := range []struct {
		name   string
		code   string
		calls  map[string]func() answered // of who may know nothing; the case number, where it differs, is of one length
		reason map[string]string          // that the evidence has
	}{
		{"query", "case-not-usable", map[string]func() answered{
			"no party":               ask("food-approval", "resident-id", stranger, no),
			"no such case":           ask("food-approval", "resident-id", stranger, "SP-2026-999999"),
			"not entitled, a party":  ask("land-approval", "resident-id", boss, no),
			"not entitled, nobody":   ask("land-approval", "resident-id", stranger, no),
			"closed, no party":       ask("food-approval", "resident-id", stranger, "SP-2026-closed"),
			"closed, not entitled":   ask("land-approval", "resident-id", boss, "SP-2026-closed"),
			"for pre-checks only":    ask("citizen-portal", "resident-id", boss, no),
			"party in another role":  ask("food-approval", "resident-id", company, no),
			"of another city matter": ask("food-approval", "resident-id", wife, "BDC-1"),
		}, map[string]string{
			"no party": "holder-not-a-party", "no such case": "case-unknown", "not entitled, a party": "caller-not-entitled", "for pre-checks only": "caller-not-entitled",
		}},
		{"check", "case-not-usable", map[string]func() answered{
			"no such case":        on("food-approval", "SP-2026-999999", "check", map[string]any{}),
			"not entitled":        on("land-approval", no, "check", map[string]any{}),
			"for pre-checks only": on("citizen-portal", no, "check", map[string]any{}),
			"not entitled closed": on("land-approval", "SP-2026-closed", "check", map[string]any{}),
		}, map[string]string{"not entitled": "caller-not-entitled"}},
		{"materials", "case-not-usable", map[string]func() answered{
			"no such case": on("food-approval", "SP-2026-999999", "materials", upload),
			"not entitled": on("land-approval", no, "materials", upload),
		}, nil},
		{"close", "case-not-usable", map[string]func() answered{
			"no such case": on("food-approval", "SP-2026-999999", "close", map[string]any{}),
			"not entitled": on("land-approval", no, "close", map[string]any{}),
			"closed":       on("land-approval", "SP-2026-closed", "close", map[string]any{}),
		}, nil},
		{"register", "case-not-usable", map[string]func() answered{
			"another registrar's":         register("BDC-1"),
			"another registrar's, closed": register("SP-2026-closed"),
			"another matter's":            register(no),
		}, map[string]string{"another registrar's": "case-of-other-registrar"}},
		{"pre-check", "consent-not-usable", map[string]func() answered{
			"no such consent": precheck("c-unknown-1"),
			"withdrawn":       precheck(w.consent("c-withdraw", "citizen-portal", company, true)),
			"another's":       precheck(w.consent("c-of-other1", "citizen-portal", wife, false)),
		}, map[string]string{"no such consent": "consent-unknown", "withdrawn": "consent-withdrawn", "another's": "consent-of-other-holder"}},
		{"withdraw", "consent-not-usable", map[string]func() answered{
			"no such consent": func() answered {
				return w.call("citizen-portal", "POST", "/v1/consents/c-unknown/withdraw", map[string]any{})
			},
			"another's": func() answered {
				w.rules("consents.yaml", "permissions:\n  - {id: more, systems: [food-approval], operations: [consents.register, consents.withdraw], basis: test}\n")
				w.consent("c-foreign", "food-approval", company, false)
				return w.call("citizen-portal", "POST", "/v1/consents/c-foreign/withdraw", map[string]any{})
			},
		}, map[string]string{"another's": "consent-for-other-system"}},
	} {
		t.Run(group.name, func(t *testing.T) {
			shapes := map[string]string{}
			for cause, call := range group.calls {
				a := call()
				w.refused(a, group.code)
				text := a.shape(t)
				for _, no := range []string{no, "SP-2026-999999", "SP-2026-999998", "SP-2026-closed", "BDC-1"} {
					text = strings.ReplaceAll(text, no, "NO") // the caller said it itself
				}
				// The policy in force is no secret of the case, and the loop above has changed it.
				text = strings.ReplaceAll(text, a.record.Policy, "POLICY")
				shapes[cause] = text
				if want := group.reason[cause]; want != "" {
					if e := must(w.auditor.Evidence(t.Context(), a.index))(t); !strings.Contains(string(e.Reasons), want) {
						t.Errorf("%s: the evidence has %s, want %s", cause, e.Reasons, want)
					}
				}
			}
			var first string
			for cause, text := range shapes {
				if first == "" {
					first = cause
				} else if diff := cmp.Diff(shapes[first], text); diff != "" {
					t.Errorf("%s can be told from %s:\n%s", cause, first, diff)
				}
			}
		})
	}
}

// Who may know the case is told why: a closed case is called closed, a missing permission is named.
func TestThoseWhoMayKnowAreTold(t *testing.T) {
	w := newWorld(t)
	w.accept("SP-1")
	w.rules("check.yaml", "permissions:\n  - {id: look, systems: [land-approval], operations: [cases.check], matters: [YC-FOOD-01], basis: test}\n")
	a := w.call("land-approval", "POST", "/v1/cases/SP-1/close", map[string]any{})
	w.refused(a, "not-permitted")
	if !strings.Contains(a.problem.Detail, "no permission") {
		t.Errorf("detail: %q", a.problem.Detail)
	}
	read[api.CloseAnswer](t, w.call("food-approval", "POST", "/v1/cases/SP-1/close", map[string]any{}))
	for _, call := range []answered{
		w.call("food-approval", "POST", queryPath, query("business-license", company, "SP-1")),
		w.call("food-approval", "POST", "/v1/cases/SP-1/check", map[string]any{}),
		w.call("food-approval", "POST", "/v1/cases/SP-1/materials", map[string]any{"material": "business-license", "how": "waived"}),
		w.call("food-approval", "POST", "/v1/cases/SP-1/close", map[string]any{}),
	} {
		w.refused(call, "case-closed")
	}
}

// indexed is what search may find a record by.
func (w *world) indexed(index uint64) (text string) {
	w.t.Helper()
	db := must(sql.Open("sqlite", "file:"+w.path+"?mode=ro"))(w.t)
	defer db.Close()
	if err := db.QueryRowContext(w.t.Context(), "SELECT search FROM records WHERE pos % 1099511627776 = ?", index).Scan(&text); err != nil {
		w.t.Fatal(err)
	}
	return text
}

// An id number where a case number belongs would stand in records that nobody can erase.
func TestNumbersOfPeopleStandNowhere(t *testing.T) {
	w := newWorld(t)
	a := w.call("food-approval", "POST", queryPath, query("business-license", company, stranger.Code))
	w.refused(a, "case-not-usable")
	if u := a.record.Uses[0]; u.Case != "" || u.CaseCommitment == "" {
		t.Errorf("the record has %q", u.Case)
	}
	w.refused(w.call("food-approval", "POST", "/v1/cases/"+boss.Code+"/check", map[string]any{}), "case-not-usable")
	w.refused(w.call("acceptance", "POST", "/v1/cases", w.caseOf("X"+boss.Code, "YC-FOOD-01", party("applicant", company))), "case-invalid")
	compact := w.token("food-approval", "GET", "/v1/catalog/types", nil, func(c *token.Claims) { c.Request = "rid-" + stranger.Code })
	if a := w.send("GET", "/v1/catalog/types", nil, compact); a.record.RequestID != "" || a.record.RequestCommitment == "" {
		t.Errorf("request id %q", a.record.RequestID)
	}
}

// writings are a person's number as callers may write it where no person belongs: all of them pass the contract's patterns.
func writings(code string) []string {
	return []string{
		code, code[:6] + "-" + code[6:14] + "-" + code[14:], "No." + code, code + "-2026", code[:6] + "_" + code[6:], strings.ToLower(code),
		code[:3] + "." + code[3:6] + "." + code[6:10] + "." + code[10:14] + "." + code[14:], code[:10] + "~" + code[10:],
	}
}

// Law 8: a person's number that a caller writes into any word of a call, with separators too, stands in no leaf, nothing that a leaf binds and no index, and in no
// part of the evidence that outlives the person's. Only what is the book's, the policy's or the gateway's own stands there.
func TestCallersTextsStandNowhere(t *testing.T) {
	w := newWorld(t)
	w.accept("SP-1")
	person := license.HolderID{Type: "111", Code: "11010519491231002X"}
	purpose := func(member, text string) map[string]any {
		p := map[string]any{"case": "SP-1", member: text}
		if member == "basis" {
			p = map[string]any{"basis": text, "reference": text}
		}
		return map[string]any{"license_type": "resident-id", "holder": stranger, "purpose": p}
	}
	register := func(system, text string, change func(map[string]any)) answered {
		body := w.caseOf(text, "YC-FOOD-01", party("applicant", company))
		change(body)
		return w.call(system, "POST", "/v1/cases", body)
	}
	identifier := must(license.NewIdentifier("11100000MB0143028R001", samr, "1", 1))(t).String()
	for _, text := range writings(person.Code) {
		digits := strings.Map(func(r rune) rune {
			if r >= '0' && r <= '9' {
				return r
			}
			return -1
		}, person.Code)
		for name, call := range map[string]func() answered{
			"case of a query":     func() answered { return w.call("food-approval", "POST", queryPath, purpose("case", text)) },
			"material of a query": func() answered { return w.call("food-approval", "POST", queryPath, purpose("material", text)) },
			"matter of a query":   func() answered { return w.call("food-approval", "POST", queryPath, purpose("matter", text)) },
			"basis of a query":    func() answered { return w.call("food-approval", "POST", queryPath, purpose("basis", text)) },
			"case of a status":    func() answered { return w.status("food-approval", identifier, text) },
			"case of a check":     func() answered { return w.call("food-approval", "POST", "/v1/cases/"+text+"/check", map[string]any{}) },
			"matter of a check": func() answered {
				return w.call("food-approval", "POST", "/v1/cases/SP-1/check", map[string]any{"matters": []string{text}})
			},
			"case that is closed": func() answered { return w.call("food-approval", "POST", "/v1/cases/"+text+"/close", map[string]any{}) },
			"material received": func() answered {
				return w.call("food-approval", "POST", "/v1/cases/SP-1/materials", map[string]any{"material": text, "matter": text, "how": "waived"})
			},
			"case registered":         func() answered { return register("acceptance", text, func(map[string]any) {}) },
			"case without permission": func() answered { return register("food-approval", text, func(map[string]any) {}) },
			"matter registered": func() answered {
				return register("acceptance", "SP-2", func(b map[string]any) { b["matter"] = text })
			},
			"case without an assertion": func() answered {
				return register("acceptance", text, func(b map[string]any) { b["attestation"] = "holder" })
			},
			"matter of a pre-check":  func() answered { return w.precheck(text, company, map[string]any{"consent": "c"}) },
			"consent of a pre-check": func() answered { return w.precheck("YC-FOOD-01", company, map[string]any{"consent": text}) },
			"consent withdrawn": func() answered {
				return w.call("citizen-portal", "POST", "/v1/consents/"+text+"/withdraw", map[string]any{})
			},
			"consent given": func() answered {
				return w.call("citizen-portal", "POST", "/v1/consents", w.consentOf(text, "citizen-portal", company))
			},
			"case searched": func() answered {
				return w.audit("search", map[string]any{"case": text, "matter": text, "decision": "met"})
			},
			"why": func() answered { return w.audit("records/1", map[string]any{"why": text}) },
			"request id": func() answered {
				return w.send("GET", "/v1/catalog/types", nil, w.token("food-approval", "GET", "/v1/catalog/types", nil, func(c *token.Claims) { c.Request = text }))
			},
			"request id of a UUID's form": func() answered {
				code := stranger.Code
				id := code[:8] + "-" + code[8:12] + "-" + code[12:16] + "-" + code[16:] + "ab-0123456789ab"
				return w.send("GET", "/v1/catalog/types", nil, w.token("food-approval", "GET", "/v1/catalog/types", nil, func(c *token.Claims) { c.Request = id }))
			},
		} {
			a := call()
			if a.status < 400 && (strings.HasPrefix(name, "case reg") || name == "consent given") {
				t.Errorf("%s %q: taken", name, text)
			}
			leaf, _, err := w.db.Audit().Entry(t.Context(), a.index)
			if err != nil {
				t.Fatal(name, err)
			}
			replay := must(w.auditor.Replay(t.Context(), a.index))(t)
			for where, said := range map[string]string{"leaf": string(leaf), "inputs": string(replay.Inputs), "search": w.indexed(a.index), "bound": string(w.boundBy(a.index))} {
				if strings.Contains(strings.ToUpper(said), strings.ToUpper(text)) || strings.Contains(strings.NewReplacer("-", "", "_", "", ".", "", "~", "").Replace(said), digits) ||
					strings.Contains(strings.ReplaceAll(said, "-", ""), stranger.Code) {
					t.Errorf("%s %q stands in the %s: %s", name, text, where, said)
				}
			}
		}
	}
	w.impersonal("a log line", strings.ReplaceAll(w.lines.String(), "-", ""))
	page := must(w.auditor.Search(t.Context(), audit.Ask{Case: person.Code, Limit: 100}))(t)
	operations := map[string]int{}
	for _, f := range page.Found {
		operations[f.Record.Operation]++
	}
	for _, operation := range []string{"licenses.query", "licenses.status", "cases.check", "cases.close", "cases.register", "audit.search"} {
		if operations[operation] == 0 {
			t.Errorf("whoever looks for the number does not find %s: %v", operation, operations)
		}
	}
}

// A number is a person's whoever parts it; a case number of a region, today and a serial is nobody's.
func TestNamesPerson(t *testing.T) {
	const today = license.Date("2026-11-30")
	for _, text := range append(writings("11010519491231002X"), "１１０１０５１９４９１２３１００２ｘ", "11010519491231002x", "110105 19491231 002x", "A 1101 0519 4912 3100 2X", "案11010519491231002X号") {
		if !namesPerson(text, today) {
			t.Errorf("%q is not seen", text)
		}
	}
	fresh := must(license.MakeResidentID("11010520261130000"))(t)
	for _, text := range []string{"", "SP-2026-000123", fresh, fresh[:6] + "-" + fresh[6:14] + "-" + fresh[14:], "11010519491231002", "110105194912310021", "2-11010519491231002-X0"} {
		if namesPerson(text, today) {
			t.Errorf("%q is called a person's number", text)
		}
	}
}

// A request id stands openly where it is a UUID that holds no person's digits.
func TestRequestID(t *testing.T) {
	const today = license.Date("2026-11-30")
	for id, openly := range map[string]bool{
		"01a22cea-11f5-7efa-9d2c-b0b347725b2d": true, "01A22CEA-11F5-7EFA-9D2C-B0B347725B2D": true, "00000000-0000-0000-0000-000000000000": true,
		"": false, "req-1": false, "01a22cea11f57efa9d2cb0b347725b2d": false, "01a22cea-11f5-7efa-9d2c-b0b347725b2": false, "01a22cea-11f5-7efa-9d2c-b0b347725b2d0": false,
		"01a22cea-11f5-7efa-9d2c_b0b347725b2d": false, "01a22ceg-11f5-7efa-9d2c-b0b347725b2d": false, "{1a22cea-11f5-7efa-9d2c-b0b347725b2}": false,
		"37990119-8806-2440-25ab-0123456789ab": false, "abcdef37-9901-1988-0624-4025abcdef01": false,
	} {
		open, committed := requestID(id, today)
		if (open == id && id != "") != openly || open+committed != id {
			t.Errorf("%q: openly %q, committed to %q", id, open, committed)
		}
	}
}

// Law 2: the time of a refusal says nothing of its cause. None leaves before the beat, whatever it cost to find out.
func TestDenialsArePadded(t *testing.T) {
	w := newWorld(t)
	w.accept("SP-2026-000003")
	for name, ask := range map[string]func() answered{
		"no such case": func() answered {
			return w.call("food-approval", "POST", queryPath, query("resident-id", stranger, "SP-2026-999999"))
		},
		"no party": func() answered {
			return w.call("food-approval", "POST", queryPath, query("resident-id", stranger, "SP-2026-000003"))
		},
		"not entitled": func() answered {
			return w.call("land-approval", "POST", queryPath, query("resident-id", boss, "SP-2026-000003"))
		},
		"a check": func() answered {
			return w.call("land-approval", "POST", "/v1/cases/SP-2026-000003/check", map[string]any{})
		},
	} {
		asked := time.Now()
		a := ask()
		if took := time.Since(asked); a.problem.Code != "case-not-usable" || took < refusalInterval {
			t.Errorf("%s: %s after %v", name, a.problem.Code, took)
		}
	}
}

package gateway

import (
	"bytes"
	"encoding/base64"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/cases"
	"oncegate/certs/sm"
	"oncegate/gateway/sources"
	"oncegate/license"
	"oncegate/policy"
)

// lease is a document as a window scans it.
var lease = []byte("%PDF-1.7\n经营场所使用证明\n")

const (
	filedIn   = "SP-21"    // of YC-FOOD-02, where the window receives and files it
	usedIn    = "TZ-21"    // of YC-INVEST-02, where it need not be brought again
	premises2 = "premises" // the material there
)

// filing is the body that files a file.
func filing(file []byte, more map[string]any) map[string]any {
	body := map[string]any{
		"material": "premises-proof", "digest": sm.DigestB64(file), "media": "application/pdf", "content": base64.RawURLEncoding.EncodeToString(file), "verification": "original-seen",
	}
	maps.Copy(body, more)
	return body
}

// filings begins the two cases of the company, with the upload received in the first.
func (w *world) filings() {
	w.t.Helper()
	w.register(w.caseOf(filedIn, "YC-FOOD-02", party("applicant", company)))
	w.register(w.caseOf(usedIn, "YC-INVEST-02", party("applicant", company)))
	w.received(filedIn, lease)
}

func (w *world) received(no string, file []byte) {
	w.t.Helper()
	read[api.MaterialAnswer](w.t, w.call("acceptance", "POST", "/v1/cases/"+no+"/materials", map[string]any{"material": "premises-proof", "how": "uploaded", "digest": sm.DigestB64(file)}))
}

func (w *world) fileIt(no string, body map[string]any) answered {
	w.t.Helper()
	return w.call("acceptance", "POST", "/v1/cases/"+no+"/filings", body)
}

// filed files the lease and returns what was answered.
func (w *world) filed(more map[string]any) api.FileAnswer {
	w.t.Helper()
	return read[api.FileAnswer](w.t, w.fileIt(filedIn, filing(lease, more)))
}

func (w *world) unfile(system string, body map[string]any) answered {
	w.t.Helper()
	return w.call(system, "POST", "/v1/filings/withdraw", body)
}

// premises is how the proof of premises stands in the second case.
func (w *world) premises(body map[string]any) (api.CheckedMaterial, answered) {
	w.t.Helper()
	a := w.call("invest-platform", "POST", "/v1/cases/"+usedIn+"/check", body)
	return material(w.t, read[api.CheckAnswer](w.t, a), premises2), a
}

func useOf(a answered, material string) (found audit.Use) {
	for _, u := range a.record.Uses {
		if u.Material == material {
			found = u
		}
	}
	return found
}

var wantFile = map[string]any{"files": []any{map[string]any{"material": premises2}}}

// What a window received, verified and filed is not asked for again: the next case of the same holder has it, with who verified it, when and at
// what level, and the file where the grant gives it. It stands in the record as one use with what left, counts as reused, and a withdrawal or the
// end of its retention takes it away without touching what was used. On both databases.
func TestFiling(t *testing.T) {
	onEach(t, func(t *testing.T, i *intruder) {
		w := i.world
		w.filings()
		if m, _ := w.premises(map[string]any{}); m.State != "missing" || m.Unfiled.Code != "" || m.Fallback.Kind != "upload" {
			t.Fatalf("before: %+v", m)
		}
		a := w.fileIt(filedIn, filing(lease, map[string]any{"valid_until": "2027-06-30"}))
		got := read[api.FileAnswer](t, a)
		use := useOf(a, "premises-proof")
		if got.Level != "B" || got.FilingType != "premises-proof" || got.ValidUntil != "2027-06-30" || use.Decision != outcomeFiled || use.Holder == "" || use.LicenseType != "premises-proof" || a.record.Changes == "" {
			t.Errorf("filed %+v, use %+v", got, use)
		}
		m, checked := w.premises(wantFile)
		f := m.Filed
		content := must(base64.RawURLEncoding.DecodeString(f.File.Content))(t)
		if m.State != "on-file" || f.Filing != got.Filing || f.Level != "B" || f.Verification != "original-seen" || f.VerifiedBy != "clerk-7" || f.VerifiedByProof != "asserted" ||
			f.Department != "service" || f.FiledOn != string(license.DateOf(w.now())) || f.ValidUntil != "2027-06-30" || !bytes.Equal(content, lease) || f.File.SM3 != sm.DigestB64(lease) {
			t.Errorf("the next case has %+v", m)
		}
		if !strings.Contains(f.Watermark.Zh, usedIn) || !strings.Contains(f.Watermark.En, "2027-06-30") {
			t.Errorf("watermark %+v", f.Watermark)
		}
		whole := read[api.CheckAnswer](t, checked)
		if !whole.CanProceed || whole.Reuse != (api.Counts{Numerator: 2, OnFile: 1, Denominator: 2}) {
			t.Errorf("the case: %+v", whole)
		}
		use = useOf(checked, premises2)
		if len(checked.record.Uses) != 2 || use.Decision != "on-file" || use.LicenseType != "premises-proof" || use.Need != 1 || !slices.Equal(use.Rules, []string{"park/premises-proof"}) ||
			!slices.Equal(use.Fields, cases.FilingFields()) || !strings.HasPrefix(use.Freshness, "filed ") {
			t.Errorf("use %+v of %d", use, len(checked.record.Uses))
		}
		if m, a := w.premises(map[string]any{}); m.Filed.File.Content != "" || slices.Contains(useOf(a, premises2).Fields, "file") {
			t.Errorf("a file that was not asked for left: %+v", m)
		}
		if again := w.filed(map[string]any{"valid_until": "2027-06-30"}); again.Filing != got.Filing {
			t.Errorf("filed again as %s", again.Filing)
		}
		if kept := i.count("SELECT count(*) FROM filed_files"); kept != 1 {
			t.Errorf("%d files", kept)
		}

		read[api.UnfileAnswer](t, w.unfile("acceptance", map[string]any{"filing": got.Filing}))
		if m, _ := w.premises(wantFile); m.State != "missing" || m.Unfiled.Code != "filing-withdrawn-by-department" || m.Filed.Filing != "" {
			t.Errorf("withdrawn: %+v", m)
		}
		if kept := i.count("SELECT count(*) FROM filed_files"); kept != 0 {
			t.Errorf("%d files are left of a withdrawn one", kept)
		}
		again := w.filed(map[string]any{"valid_until": "2027-06-30"}) // verified anew
		if m, _ := w.premises(map[string]any{}); again.Filing == got.Filing || m.State != "on-file" || m.Filed.Filing != again.Filing {
			t.Errorf("filed anew as %s: %+v", again.Filing, m)
		}
	})
}

// count reads one number past the gateway.
func (i *intruder) count(query string) (n int) {
	i.t.Helper()
	if err := i.db.QueryRow(query).Scan(&n); err != nil {
		i.t.Fatal(err)
	}
	return n
}

// The evidence of a call that files keeps its token and what was stated, and not the file: it must not outlive its retention there.
func TestFilingIsNotEvidence(t *testing.T) {
	w := newWorld(t)
	w.filings()
	a := w.fileIt(filedIn, filing(lease, nil))
	e := must(w.gateway.Auditor.Evidence(t.Context(), a.index))(t)
	if e.Request == nil || e.Request.Token == "" || len(e.Request.Body) != 0 {
		t.Errorf("evidence keeps %+v", e.Request)
	}
	if !bytes.Contains(e.Inputs, []byte(`"verification":"original-seen"`)) {
		t.Errorf("what was stated is not kept: %s", e.Inputs)
	}
}

// What may not be filed is refused before anything is kept.
func TestFilingRefused(t *testing.T) {
	w := newWorld(t)
	w.filings()
	other := []byte("%PDF-1.7\nsomething else\n")
	big := append([]byte("%PDF-1.7\n"), bytes.Repeat([]byte("x"), cases.MaxFile)...)
	w.register(w.caseOf("SP-22", "YC-FOOD-02", party("applicant", company)))
	w.register(w.caseOf("SP-23", "YC-FOOD-02", party("applicant", company)))
	w.received("SP-23", big[:cases.MaxFile+1])
	w.register(w.caseOf("SP-24", "YC-FOOD-02", party("applicant", company)))
	w.received("SP-24", []byte("MZ no pdf"))
	for name, test := range map[string]struct {
		no   string
		body map[string]any
		want string
		at   string
	}{
		"another file than was received":    {filedIn, filing(other, nil), "filing-not-received", ""},
		"nothing was received":              {"SP-22", filing(lease, nil), "filing-not-received", ""},
		"the digest of another file":        {filedIn, filing(other, map[string]any{"digest": sm.DigestB64(lease)}), "filing-invalid", "/digest"},
		"too large for any body":            {"SP-23", filing(append(big, big...), nil), "too-large", ""},
		"longer than the contract has it":   {"SP-23", filing(append(big, "xx"...), nil), "invalid-field", "/content"},
		"a byte too large":                  {"SP-23", filing(big[:cases.MaxFile+1], nil), "filing-invalid", "/content"},
		"not what it says":                  {"SP-24", filing([]byte("MZ no pdf"), nil), "filing-invalid", "/content"},
		"other media":                       {filedIn, filing(lease, map[string]any{"media": "image/png"}), "filing-invalid", "/content"},
		"unknown verification":              {filedIn, filing(lease, map[string]any{"verification": "by-heart"}), "filing-invalid", "/verification"},
		"a verification of other types":     {filedIn, filing(lease, map[string]any{"verification": "self-declared"}), "filing-invalid", "/verification"},
		"valid longer than the type allows": {filedIn, filing(lease, map[string]any{"valid_until": "2099-01-01"}), "filing-invalid", "/valid_until"},
		"expired before it is filed":        {filedIn, filing(lease, map[string]any{"valid_until": "2020-01-01"}), "filing-invalid", "/valid_until"},
		"of somebody who is no party":       {filedIn, filing(lease, map[string]any{"holder": stranger}), "filing-invalid", "/holder"},
		"a material that is not filed":      {filedIn, filing(lease, map[string]any{"material": "food-business-license"}), "filing-invalid", "/material"},
		"an unknown material":               {filedIn, filing(lease, map[string]any{"material": "no-such"}), "unknown-material", "/material"},
		"an unknown matter":                 {filedIn, filing(lease, map[string]any{"matter": "no-such"}), "unknown-matter", "/matter"},
		"a matter of another case":          {filedIn, filing(lease, map[string]any{"matter": "YC-LAND-07"}), "not-permitted", ""},
		"an unknown case":                   {"SP-99", filing(lease, nil), "case-not-usable", ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := w.fileIt(test.no, test.body)
			if a.problem.Code != test.want {
				t.Fatalf("got %d %s", a.status, a.body)
			}
			if test.at != "" && !bytes.Contains(a.body, []byte(`"`+test.at+`"`)) {
				t.Errorf("does not point at %s: %s", test.at, a.body)
			}
		})
	}
	w.refused(w.call("food-approval", "POST", "/v1/cases/"+filedIn+"/filings", filing(lease, nil)), "not-permitted")
	raw := w.bodyOf(filing(lease, nil))
	if nobody := must(w.gateway.Do(t.Context(), Principal{System: "acceptance"}, "cases.file", Question{Body: raw, Path: map[string]string{"no": filedIn}}))(t); nobody.Code != "filing-invalid" || !bytes.Contains(nobody.Body, []byte(`"/verification"`)) {
		t.Errorf("nobody verified it: %s", nobody.Body)
	}
	w.reload(func(s *Snapshot) { // the person must be proven
		book := cloneBook(s.Book)
		for k := range book.Verifications {
			book.Verifications[k].OperatorProof = "session"
		}
		s.Book = book
	})
	w.refused(w.fileIt(filedIn, filing(lease, nil)), "filing-invalid")
	w.reload(func(s *Snapshot) { s.Book = w.base.Book })
	read[api.CloseAnswer](t, w.call("acceptance", "POST", "/v1/cases/"+filedIn+"/close", map[string]any{}))
	w.refused(w.fileIt(filedIn, filing(lease, nil)), "case-closed")
	if m, _ := w.premises(map[string]any{}); m.State != "missing" || m.Unfiled.Code != "" {
		t.Errorf("something was filed: %+v", m)
	}
}

func cloneBook(b *cases.Book) *cases.Book {
	book := &cases.Book{List: b.List, Matters: slices.Clone(b.Matters), Trust: b.Trust, Verifications: slices.Clone(b.Verifications), Filings: slices.Clone(b.Filings)}
	for i := range book.Matters {
		book.Matters[i].Materials, book.Matters[i].Roles = slices.Clone(book.Matters[i].Materials), slices.Clone(book.Matters[i].Roles)
	}
	return book
}

// A replayed call files nothing twice.
func TestFilingReplayed(t *testing.T) {
	w := newWorld(t)
	w.filings()
	path := "/v1/cases/" + filedIn + "/filings"
	raw := w.bodyOf(filing(lease, nil))
	compact := w.token("acceptance", "POST", path, raw, nil)
	read[api.FileAnswer](t, w.send("POST", path, raw, compact))
	if a := w.send("POST", path, raw, compact); a.problem.Code != "token-replayed" {
		t.Errorf("%d %s", a.status, a.body)
	}
	swapped := w.bodyOf(filing([]byte("%PDF-1.7\nswapped"), nil))
	if a := w.send("POST", path, swapped, w.token("acceptance", "POST", path, raw, nil)); a.status != 401 {
		t.Errorf("a body that the token does not sign: %d %s", a.status, a.body)
	}
}

// Whoever has no grant for this purpose is told that, and nothing of what is on file; neither is a grant that asks for a stronger level, for
// another department, for consent, or that has expired, enough.
func TestFilingGrants(t *testing.T) {
	w := newWorld(t)
	w.filings()
	id := w.filed(nil).Filing
	const grant = `{id: t/%s, agreement: a, provider: service, systems: [invest-platform], filing_type: premises-proof, trust: B, operations: [cases.check], matters: [YC-INVEST-02], fields: [level, file], basis: b, basis_kind: rule, scenario: s, attestation: platform, valid_until: "2030-12-31"}`
	change := func(pairs ...string) string {
		return strings.NewReplacer(append([]string{"%s", "x"}, pairs...)...).Replace(grant)
	}
	for name, test := range map[string]struct{ grant, want string }{
		"as it is":              {change(), ""},
		"a weaker level":        {change("trust: B", "trust: C"), ""}, // refused by config; what it would open is reusable all the same
		"a stronger level":      {change("trust: B", "trust: A"), "filing-below-level"},
		"another department":    {change("provider: service", "provider: land"), "filing-not-granted"},
		"another matter":        {change("YC-INVEST-02", "YC-FOOD-02"), "filing-not-granted"},
		"another operation":     {change("cases.check", "cases.read"), "filing-not-granted"},
		"another system":        {change("invest-platform", "food-approval"), "filing-not-granted"},
		"another material":      {change("matters:", "materials: [business-license], matters:"), "filing-not-granted"},
		"another role":          {change("matters:", "roles: [guardian], matters:"), "filing-not-granted"},
		"consent that is not":   {change("scenario: s", "scenario: s, consent: true"), "filing-not-granted"},
		"a proof of the person": {change("scenario: s", "scenario: s, operator_proof: session"), "filing-not-granted"},
		"expired":               {change("2030-12-31", "2020-12-31"), "filing-not-granted"},
		"a weak attestation":    {change("attestation: platform", "attestation: holder"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			w.withFilingGrant(test.grant)
			m, a := w.premises(wantFile)
			switch {
			case test.want == "" && (m.State != "on-file" || m.Filed.Filing != id || m.Filed.Level != "B" || m.Filed.VerifiedBy != "" || m.Filed.File.Content == ""):
				t.Errorf("%+v", m)
			case test.want != "" && (m.State != "missing" || m.Unfiled.Code != test.want || m.Filed != api.FiledMaterial{}):
				t.Errorf("%+v", m)
			case test.want != "" && useOf(a, premises2).Decision == "on-file":
				t.Errorf("recorded as used: %+v", a.record.Uses)
			}
		})
	}
	// A level that nobody may reuse is none, whatever a grant says.
	w.register(w.caseOf("SP-31", "YC-FOOD-02", party("applicant", rival)))
	w.register(w.caseOf("TZ-31", "YC-INVEST-02", party("applicant", rival)))
	w.received("SP-31", lease)
	weak := read[api.FileAnswer](t, w.fileIt("SP-31", filing(lease, map[string]any{"verification": "uploaded-unseen"})))
	unfiled := func() string {
		t.Helper()
		m := material(t, read[api.CheckAnswer](t, w.call("invest-platform", "POST", "/v1/cases/TZ-31/check", wantFile)), premises2)
		if m.State != "missing" || m.Filed != (api.FiledMaterial{}) {
			t.Errorf("%+v", m)
		}
		return m.Unfiled.Code
	}
	w.withFilingGrant(change("trust: B", "trust: C"))
	if got := unfiled(); got != "filing-below-level" {
		t.Errorf("a level that is not reusable: %s", got)
	}
	read[api.UnfileAnswer](t, w.unfile("acceptance", map[string]any{"filing": weak.Filing}))
	if got := unfiled(); got != "filing-withdrawn-by-department" {
		t.Errorf("withdrawn: %s", got)
	}
	w.withFilingGrant(change("2030-12-31", "2020-12-31"))
	if got := unfiled(); got != "filing-not-granted" { // how it stands is not told
		t.Errorf("withdrawn, without a grant: %s", got)
	}
	w.withFilingGrant(change("[level, file]", "[level]"))
	if m, a := w.premises(wantFile); m.State != "on-file" || m.Filed.File.Content != "" || m.Unfiled.Code != "filing-file-not-granted" || slices.Contains(useOf(a, premises2).Fields, "file") {
		t.Errorf("the file without a grant for it: %+v", m)
	}
	w.withFilingGrant(change("scenario: s", "scenario: s, consent: true") + "\npermissions:\n  - {id: t/consents, systems: [invest-platform], operations: [consents.register, consents.withdraw], basis: b}")
	body := w.consentOf("c-1", "invest-platform", company)
	body["types"] = []string{"premises-proof"}
	body["assertion"] = w.assertion(Assertion{For: "consent", Reference: "c-1", Holder: company, System: "invest-platform", Types: []string{"premises-proof"}, Expires: w.now().Add(time.Hour).Unix() + 1})
	read[api.ConsentAnswer](t, w.call("invest-platform", "POST", "/v1/consents", body))
	if m, _ := w.premises(map[string]any{}); m.State != "on-file" {
		t.Errorf("with consent: %+v", m)
	}
	read[api.ConsentAnswer](t, w.call("invest-platform", "POST", "/v1/consents/c-1/withdraw", map[string]any{}))
	if m, _ := w.premises(map[string]any{}); m.State != "missing" || m.Unfiled.Code != "filing-not-granted" {
		t.Errorf("the consent was withdrawn: %+v", m)
	}
}

// withFilingGrant puts a grant in the place of the city's.
func (w *world) withFilingGrant(grant string) {
	w.t.Helper()
	files := slices.Clone(w.files)
	for i := range files {
		if before, after, ok := strings.Cut(string(files[i].Data), "  - id: park/premises-proof"); ok {
			_, rest, _ := strings.Cut(after, "\n\n")
			files[i].Data = []byte(before + rest)
		}
	}
	files = append(files, policyFile("filing.yaml", "grants:\n  - "+grant+"\n"))
	w.reload(func(s *Snapshot) { s.Policy = w.policy(files...) })
}

// A filing is of its holder: another's case does not have it, in whatever role, and whoever names it there is refused as for a case that
// cannot be used; the evidence has the reason.
func TestFilingOfOthers(t *testing.T) {
	w := newWorld(t)
	w.filings()
	id := w.filed(nil).Filing
	w.register(w.caseOf("TZ-22", "YC-INVEST-02", party("applicant", rival)))
	check := func(body map[string]any) answered {
		return w.call("invest-platform", "POST", "/v1/cases/TZ-22/check", body)
	}
	if m := material(t, read[api.CheckAnswer](t, check(map[string]any{})), premises2); m.State != "missing" || m.Unfiled.Code != "" || m.Filed.Filing != "" {
		t.Errorf("another's case has %+v", m)
	}
	named := func(filing string) map[string]any {
		return map[string]any{"files": []any{map[string]any{"material": premises2, "filing": filing}}}
	}
	theirs, unknown := check(named(id)), check(named("filed-AAAAAAAAAAAAAAAAAAAAAA"))
	w.refused(theirs, "case-not-usable")
	w.refused(unknown, "case-not-usable")
	for a, want := range map[uint64]string{theirs.index: "filing-of-other-holder", unknown.index: "filing-unknown"} {
		if got := w.reasonsOf(a); !slices.Contains(got, want) {
			t.Errorf("the evidence says %v, not %s", got, want)
		}
	}
	if m, _ := w.premises(named(id)); m.State != "on-file" || m.Filed.File.Content == "" {
		t.Errorf("named by its own: %+v", m)
	}
}

// reasonsOf are the codes of the real reasons in the sealed evidence.
func (w *world) reasonsOf(index uint64) (codes []string) {
	w.t.Helper()
	var all []api.Reason
	e := must(w.gateway.Auditor.Evidence(w.t.Context(), index))(w.t)
	if err := json.Unmarshal(e.Reasons, &all); err != nil {
		w.t.Fatal(err)
	}
	for _, r := range all {
		codes = append(codes, r.Code)
	}
	return codes
}

// Law 4: a role that the caller claims opens nobody's filings. The role must be confirmed by a source first, in the same call.
func TestFilingOfRole(t *testing.T) {
	w := newWorld(t)
	w.reload(func(s *Snapshot) {
		book := cloneBook(s.Book)
		for i, m := range book.Matters {
			switch m.Code {
			case "YC-INVEST-02":
				book.Matters[i].Roles = []cases.Role{{Name: "legal_representative", Title: "法定代表人", ConfirmedBy: cases.Confirmation{Material: "business-license", Field: "legal_representative_code"}}}
				book.Matters[i].Materials[1].Role = "legal_representative"
			case "YC-FOOD-02":
				book.Matters[i].Roles = []cases.Role{{Name: "legal_representative", Title: "法定代表人", ConfirmedBy: cases.Confirmation{Material: "food-business-license", Field: "legal_representative"}}}
				book.Matters[i].Materials[1].Role = "legal_representative"
			}
		}
		s.Book = book
	})
	grants := `{id: t/role, agreement: a, provider: service, systems: [invest-platform], filing_type: premises-proof, trust: B, operations: [cases.check], matters: [YC-INVEST-02], roles: [legal_representative], fields: [level], basis: b, basis_kind: rule, scenario: s, attestation: platform, valid_until: "2030-12-31"}
  - {id: t/confirm, agreement: a, provider: samr, systems: [invest-platform], license_type: business-license, operations: [cases.check], matters: [YC-INVEST-02], fields: [legal_representative_code], purpose: confirm, basis: b, basis_kind: rule, scenario: s, attestation: platform, valid_until: "2030-12-31"}`
	w.withFilingGrant(grants)
	for _, who := range []license.HolderID{boss, stranger} {
		no := "SP-" + who.Code[14:17]
		w.register(w.caseOf(no, "YC-FOOD-02", party("applicant", company), party("legal_representative", who)))
		w.received(no, lease)
		read[api.FileAnswer](t, w.fileIt(no, filing(lease, map[string]any{"holder": who})))
	}
	w.register(w.caseOf(usedIn, "YC-INVEST-02", party("applicant", company), party("legal_representative", boss)))
	m, a := w.premises(map[string]any{})
	if m.State != "on-file" {
		t.Errorf("confirmed by the source: %+v", m)
	}
	if n := slices.IndexFunc(a.record.Uses, func(u audit.Use) bool { return u.Decision == outcomeConfirm }); n < 0 {
		t.Errorf("no confirmation stands in the record: %+v", a.record.Uses)
	}
	w.register(w.caseOf("TZ-23", "YC-INVEST-02", party("applicant", company), party("legal_representative", stranger)))
	claimed := material(t, read[api.CheckAnswer](t, w.call("invest-platform", "POST", "/v1/cases/TZ-23/check", map[string]any{})), premises2)
	if claimed.State != "missing" || claimed.Unfiled.Code != "role-not-in-record" || claimed.Filed.Filing != "" {
		t.Errorf("a claimed role: %+v", claimed)
	}
	nobody := material(t, func() api.CheckAnswer {
		w.register(w.caseOf("TZ-24", "YC-INVEST-02", party("applicant", company)))
		return read[api.CheckAnswer](t, w.call("invest-platform", "POST", "/v1/cases/TZ-24/check", map[string]any{}))
	}(), premises2)
	if nobody.State != "missing" || nobody.Filed.Filing != "" {
		t.Errorf("nobody has the role: %+v", nobody)
	}
}

// A filing that has expired, was withdrawn, is of a level that nobody may reuse, or was erased is named as that, and is used by nobody.
func TestFilingNotUsable(t *testing.T) {
	now := time.Now()
	w := newWorld(t, func(c *Config) { c.Now = func() time.Time { return now } })
	w.now = func() time.Time { return now }
	w.filings()
	until := string(license.DateOf(now.AddDate(0, 0, 10)))
	expect := func(code string) {
		t.Helper()
		m, a := w.premises(wantFile)
		if code == "" && m.State != "on-file" || code != "" && (m.State != "missing" || m.Unfiled.Code != code || m.Filed.Filing != "") {
			t.Errorf("want %q: %+v", code, m)
		}
		if code != "" && m.Unfiled.Zh == m.Unfiled.En {
			t.Errorf("%s has no text: %+v", code, m.Unfiled)
		}
		if code != "" && useOf(a, premises2).Decision != "missing" {
			t.Errorf("use %+v", useOf(a, premises2))
		}
	}
	w.filed(map[string]any{"valid_until": until})
	now = now.AddDate(0, 0, 10)
	expect("")
	now = now.AddDate(0, 0, 1)
	expect("filing-expired")
	w.filed(map[string]any{"verification": "uploaded-unseen"})
	expect("filing-below-level")
	now = now.Add(time.Second) // of several, the newest says why
	id := w.filed(nil).Filing
	expect("")
	read[api.UnfileAnswer](t, w.unfile("acceptance", map[string]any{"filing": id}))
	expect("filing-withdrawn-by-department")
	now = now.Add(time.Second)
	w.filed(nil)
	now = now.AddDate(0, 0, 1096) // the retention has ended, whether the file is erased yet or not
	expect("filing-erased")
}

// A source goes first: while it answers, whatever it says, nothing on file stands in. Where it is down, or cannot be asked about such a holder,
// what is on file does.
func TestSourceBeforeFiling(t *testing.T) {
	w := newWorld(t)
	w.filings()
	w.filed(nil)
	w.reload(func(s *Snapshot) {
		book := cloneBook(s.Book)
		for i, m := range book.Matters {
			if m.Code == "YC-INVEST-02" { // a source has it, too
				book.Matters[i].Materials[1].Route, book.Matters[i].Materials[1].LicenseType = cases.RouteLicense, "tax-clearance"
			}
		}
		s.Book = book
	})
	w.withFilingGrant(`{id: t/filed, agreement: a, provider: service, systems: [invest-platform], filing_type: premises-proof, trust: B, operations: [cases.check], matters: [YC-INVEST-02], fields: [level], basis: b, basis_kind: rule, scenario: s, attestation: platform, valid_until: "2030-12-31"}
  - {id: t/source, agreement: a, provider: tax, systems: [invest-platform], license_type: tax-clearance, operations: [cases.check], matters: [YC-INVEST-02], fields: [status], basis: b, basis_kind: rule, scenario: s, attestation: platform, valid_until: "2030-12-31"}`)
	source, asked := w.legacy["tax-clearance"], license.Question{Type: "tax-clearance", Holder: company}
	stands := func(want api.MaterialState) answered {
		t.Helper()
		m, a := w.premises(map[string]any{})
		if m.State != want || want != "on-file" && m.Filed.Filing != "" {
			t.Errorf("want %s: %+v", want, m)
		}
		return a
	}
	source.put(asked)
	stands("missing")
	revoked := taxClearance(company)
	revoked.Status = license.Revoked
	source.put(asked, revoked)
	stands("lapsed")
	source.put(asked, taxClearance(company))
	stands("met")
	for _, answered := range []error{license.ErrFaulty, license.ErrUnanswerable} { // it is no outage
		source.set(func(l *legacy) { l.err = answered })
		stands("unavailable")
	}
	source.set(func(l *legacy) { l.err = sources.ErrNoSlot })
	down := stands("on-file")
	decisions := []string{}
	for _, u := range down.record.Uses {
		if u.Material == premises2 {
			decisions = append(decisions, u.Decision)
		}
	}
	if !slices.Equal(decisions, []string{"unavailable", "on-file"}) {
		t.Errorf("recorded %v", decisions)
	}
	counted := 0
	for _, u := range down.record.Uses {
		if u.Material == premises2 && u.Need > 0 {
			counted++
		}
	}
	if counted != 1 {
		t.Errorf("counted %d times", counted)
	}
	source.set(func(l *legacy) { l.err = license.ErrCannotAsk })
	stands("on-file")
	// What the window received for this very case goes first, too.
	read[api.MaterialAnswer](t, w.call("acceptance", "POST", "/v1/cases/"+usedIn+"/materials", map[string]any{"material": premises2, "how": "uploaded", "digest": sm.DigestB64(lease)}))
	stands("covered")
}

// The holder withdraws by an assertion, once, through any permitted system; another department, another holder's word and a used one do not.
func TestFilingWithdrawn(t *testing.T) {
	w := newWorld(t)
	w.filings()
	id := w.filed(nil).Filing
	w.rules("withdraw.yaml", "permissions:\n  - {id: t/withdraw, systems: [land-approval], operations: [filings.withdraw], basis: b}\n")
	for name, a := range map[string]answered{
		"another department": w.unfile("land-approval", map[string]any{"filing": id}),
		"unknown":            w.unfile("acceptance", map[string]any{"filing": "filed-AAAAAAAAAAAAAAAAAAAAAA"}),
	} {
		w.refused(a, "filing-not-usable")
		if want := map[string]string{"another department": "filing-of-other-department", "unknown": "filing-unknown"}[name]; !slices.Contains(w.reasonsOf(a.index), want) {
			t.Errorf("%s: the evidence says %v", name, w.reasonsOf(a.index))
		}
	}
	w.refused(w.unfile("food-approval", map[string]any{"filing": id}), "not-permitted")
	word := func(change func(*Assertion)) map[string]any {
		a := Assertion{For: "filing-withdrawal", Reference: "premises-proof", Holder: company, System: "citizen-portal"}
		if change != nil {
			change(&a)
		}
		return map[string]any{"holder": company, "filing_type": "premises-proof", "assertion": w.assertion(a)}
	}
	for name, change := range map[string]func(*Assertion){
		"another's word": func(a *Assertion) { a.Holder = rival }, "for something else": func(a *Assertion) { a.For = "withdrawal" },
		"of another type": func(a *Assertion) { a.Reference = "business-license" }, "for another system": func(a *Assertion) { a.System = "acceptance" },
	} {
		if a := w.unfile("citizen-portal", word(change)); a.problem.Code != "assertion-invalid" {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	if m, _ := w.premises(map[string]any{}); m.State != "on-file" {
		t.Fatalf("withdrawn by nobody who may: %+v", m)
	}
	said := word(nil)
	got := read[api.UnfileAnswer](t, w.unfile("citizen-portal", said))
	if len(got.Filings) != 1 || got.Filings[0].Filing != id {
		t.Errorf("withdrawn %+v", got)
	}
	if m, _ := w.premises(map[string]any{}); m.State != "missing" || m.Unfiled.Code != "filing-withdrawn-by-holder" {
		t.Errorf("after the holder's word: %+v", m)
	}
	if a := w.unfile("citizen-portal", said); a.problem.Code != "assertion-spent" {
		t.Errorf("the same word again: %d %s", a.status, a.body)
	}
	again := read[api.UnfileAnswer](t, w.unfile("acceptance", map[string]any{"filing": id}))
	if len(again.Filings) != 1 || !again.Filings[0].Withdrawn.Equal(got.Filings[0].Withdrawn.Time) {
		t.Errorf("withdrawn again: %+v, first %+v", again, got)
	}
}

// A withdrawal and checks at once: every check that is recorded after the withdrawal finds it withdrawn.
func TestFilingWithdrawnMeanwhile(t *testing.T) {
	onEach(t, func(t *testing.T, i *intruder) {
		w := i.world
		w.filings()
		id := w.filed(nil).Filing
		var all sync.WaitGroup
		var mu sync.Mutex
		var used []uint64
		for range 8 {
			all.Go(func() {
				for range 6 {
					m, a := w.premises(wantFile)
					if m.State == "on-file" {
						mu.Lock()
						used = append(used, a.index)
						mu.Unlock()
					}
				}
			})
		}
		withdrawn := w.unfile("acceptance", map[string]any{"filing": id})
		read[api.UnfileAnswer](t, withdrawn)
		all.Wait()
		for _, index := range used {
			if index > withdrawn.index {
				t.Errorf("record %d uses what record %d withdrew", index, withdrawn.index)
			}
		}
	})
}

// Whoever writes the tables without keys has nothing used: an altered row, an older one put back, another's file, a file that is gone.
func TestFilingAltered(t *testing.T) {
	onEach(t, func(t *testing.T, i *intruder) {
		w := i.world
		w.skipWhole = true // the tables are altered
		w.filings()
		id := w.filed(nil).Filing
		for name, change := range map[string][2]string{
			"level":       {"UPDATE filings SET level = 'A'", "UPDATE filings SET level = 'B'"},
			"valid until": {"UPDATE filings SET valid_until = '2099-01-01'", "UPDATE filings SET valid_until = '" + i.text("SELECT valid_until FROM filings") + "'"},
			"department":  {"UPDATE filings SET department = 'land'", "UPDATE filings SET department = 'service'"},
			"digest":      {"UPDATE filings SET digest = 'x'", "UPDATE filings SET digest = '" + sm.DigestB64(lease) + "'"},
		} {
			i.exec(change[0])
			if _, a := w.premisesRaw(wantFile); a.problem.Code != "tables-altered" {
				t.Errorf("%s: %d %s", name, a.status, a.body)
			}
			i.exec(change[1])
		}
		if m, _ := w.premises(wantFile); m.State != "on-file" {
			t.Fatalf("as it was: %+v", m)
		}
		i.exec("CREATE TABLE kept AS SELECT * FROM filed_files")
		i.exec("DELETE FROM filed_files")
		if _, a := w.premisesRaw(wantFile); a.problem.Code != "tables-altered" {
			t.Errorf("a file that is gone: %d %s", a.status, a.body)
		}
		i.exec("INSERT INTO filed_files SELECT * FROM kept")
		other := []byte("%PDF-1.7\nanother\n")
		w.register(w.caseOf("SP-29", "YC-FOOD-02", party("applicant", rival)))
		w.received("SP-29", other)
		theirs := read[api.FileAnswer](t, w.fileIt("SP-29", filing(other, nil))).Filing
		i.exec("DELETE FROM filed_files WHERE id = '" + id + "'")
		i.exec("UPDATE filed_files SET id = '" + id + "' WHERE id = '" + theirs + "'")
		if _, a := w.premisesRaw(wantFile); a.problem.Code != "tables-altered" {
			t.Errorf("another's file: %d %s", a.status, a.body)
		}
		i.exec("DELETE FROM filed_files")
		i.exec("INSERT INTO filed_files SELECT * FROM kept")
		i.exec("CREATE TABLE before AS SELECT * FROM filings WHERE id = '" + id + "'")
		read[api.UnfileAnswer](t, w.unfile("acceptance", map[string]any{"filing": id}))
		i.exec("DELETE FROM filings WHERE id = '" + id + "'")
		i.exec("INSERT INTO filings SELECT * FROM before")
		if m, a := w.premisesRaw(wantFile); a.problem.Code != "tables-altered" {
			t.Errorf("the row of before the withdrawal: %d %+v", a.status, m)
		}
	})
}

// premisesRaw is premises of an answer that may be a problem.
func (w *world) premisesRaw(body map[string]any) (m api.CheckedMaterial, a answered) {
	w.t.Helper()
	a = w.call("invest-platform", "POST", "/v1/cases/"+usedIn+"/check", body)
	if a.status != 200 {
		return m, a
	}
	return material(w.t, read[api.CheckAnswer](w.t, a), premises2), a
}

// exec runs a statement past the gateway.
func (i *intruder) exec(statement string) {
	i.t.Helper()
	must(i.db.Exec(statement))(i.t)
}

func (i *intruder) text(query string) (text string) {
	i.t.Helper()
	if err := i.db.QueryRow(query).Scan(&text); err != nil {
		i.t.Fatal(err)
	}
	return text
}

// How the material stands is told between checks to who registered the case, where a grant lets it be told.
func TestFilingStanding(t *testing.T) {
	w := newWorld(t)
	w.filings()
	w.filed(nil)
	if m, _ := w.premises(map[string]any{}); m.State != "on-file" {
		t.Fatalf("%+v", m)
	}
	stands := func() (out api.CaseMaterial) {
		t.Helper()
		for _, m := range read[api.CaseReadAnswer](t, w.call("acceptance", "GET", "/v1/cases/"+usedIn, nil)).Materials {
			if m.Material == premises2 {
				out = m
			}
		}
		return out
	}
	if m := stands(); m.State == "on-file" {
		t.Errorf("told without a grant: %+v", m)
	}
	w.rules("read.yaml", `grants:
  - {id: t/read, agreement: a, provider: service, systems: [acceptance], filing_type: premises-proof, trust: B, operations: [cases.read], matters: [YC-INVEST-02], fields: [status], basis: b, basis_kind: rule, scenario: s, attestation: self, valid_until: "2030-12-31"}
`)
	if m := stands(); m.State != "on-file" || m.Since.IsZero() {
		t.Errorf("told as %+v", m)
	}
}

// TestOwnFileAndHandOver gives the window back what it filed in a case, for the case's file, and records that the file was handed over: with a record
// each, to nobody else, also of a closed case.
func TestOwnFileAndHandOver(t *testing.T) {
	w := newWorld(t)
	w.filings()
	filed := w.filed(nil)
	w.reload(func(s *Snapshot) {
		s.Policy = w.policy(append(slices.Clone(w.files), policy.File{Path: "over.yaml", Data: []byte("permissions:\n" +
			"  - {id: over, systems: [acceptance], operations: [cases.handover], matters: [YC-FOOD-02], basis: test}\n" +
			"  - {id: checks, systems: [acceptance, food-approval], operations: [cases.check], matters: [YC-FOOD-02], basis: test}\n")})...)
	})
	want := map[string]any{"materials": []string{"premises-proof"}, "files": []any{map[string]any{"material": "premises-proof"}}}
	a := w.call("acceptance", "POST", "/v1/cases/"+filedIn+"/check", want)
	m := material(t, read[api.CheckAnswer](t, a), "premises-proof")
	if content := must(base64.RawURLEncoding.DecodeString(m.Filed.File.Content))(t); m.State != "covered" || !bytes.Equal(content, lease) || m.Filed.Filing != filed.Filing || m.Filed.Watermark.Zh == "" {
		t.Errorf("the window's own file: %+v", m)
	}
	left := func(a answered) bool {
		return slices.ContainsFunc(a.record.Uses, func(u audit.Use) bool {
			return slices.Contains(u.Fields, "file") && u.Decision == outcomeRelease && len(u.Rules) > 0
		})
	}
	if !left(a) {
		t.Errorf("the record does not say that the file left: %+v", a.record.Uses)
	}
	other := w.call("food-approval", "POST", "/v1/cases/"+filedIn+"/check", want)
	if m := material(t, read[api.CheckAnswer](t, other), "premises-proof"); m.Filed.File.Content != "" || left(other) {
		t.Errorf("another system has the file: %+v", m)
	}

	body := map[string]any{"digest": sm.DigestB64([]byte("package")), "archive": "档案馆"}
	w.refused(w.call("food-approval", "POST", "/v1/cases/"+filedIn+"/handover", body), "not-permitted")
	w.refused(w.call("land-approval", "POST", "/v1/cases/"+filedIn+"/handover", body), "case-not-usable")
	w.refused(w.call("acceptance", "POST", "/v1/cases/"+usedIn+"/handover", body), "not-permitted")
	read[api.CloseAnswer](t, w.call("acceptance", "POST", "/v1/cases/"+filedIn+"/close", map[string]any{}))
	first := w.call("acceptance", "POST", "/v1/cases/"+filedIn+"/handover", body)
	if got := read[api.HandOverAnswer](t, first); got.Digest != body["digest"] || got.HandedOver.IsZero() || first.record.Changes == "" {
		t.Errorf("handed over: %+v", got)
	}
	again := w.call("acceptance", "POST", "/v1/cases/"+filedIn+"/handover", body)
	if got := read[api.HandOverAnswer](t, again); !got.HandedOver.Equal(read[api.HandOverAnswer](t, first).HandedOver.Time) || again.record.Changes != "" {
		t.Errorf("again: %+v", got)
	}
	if over := must(w.db.Cases().HandOvers(t.Context(), filedIn))(t); len(over) != 1 {
		t.Errorf("%d hand-overs", len(over))
	}
}

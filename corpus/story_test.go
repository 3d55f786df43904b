package corpus

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"oncegate/api"
	"oncegate/audit"
	"oncegate/certs/keystore"
	"oncegate/certs/sm"
	"oncegate/demo/legacy"
	"oncegate/gateway"
	"oncegate/install"
)

// A story is told at a site: every operation once, some refusals, and new keys in the middle of it.
type story struct {
	*maker
	*site
	name string // trust folder
}

// few are the sets that are kept of another site than the first: the same kinds again, but of another log.
var few = []string{"audit.erase", "audit.search", "cases.check-land", "checkpoint", "consents.give", "licenses.order-revoke", "licenses.query",
	"licenses.query-" + audit.OperatorByCall, "licenses.query-" + audit.OperatorBySession, "problem-case-not-usable", "receipt"}

// keep stores a set of artefacts that belong together.
func (s *story) keep(set string, all map[string][]byte) {
	s.site.t.Helper()
	if s.name == "sqlite" || slices.Contains(few, set) {
		s.keepArtefacts(s.name, set, all)
	}
}

// answered makes a call that is answered, and keeps call and answer.
func (s *story) answered(set string, call func() error) {
	s.site.t.Helper()
	if err := call(); err != nil {
		s.site.t.Fatalf("%s: %v", set, err)
	}
	s.keep(set, s.wire.last())
}

// refused makes a call that is refused with a receipt, and keeps call and problem document under its code.
func (s *story) refused(code string, call func() error) {
	s.site.t.Helper()
	p, is := errors.AsType[*api.Problem](call())
	if !is || p.Code != code || p.Receipt == nil {
		s.site.t.Fatalf("want a problem %s with a receipt: %+v", code, p)
	}
	all := s.wire.last()
	all["problem.json"] = all["answer.json"]
	delete(all, "answer.json")
	s.keep("problem-"+code, all)
}

// tell tells the story and returns the site.
func (m *maker) tell(name string, at *site) *site {
	s := &story{m, at, name}
	s.cases()
	first := s.licenses()
	s.vouchedFor()
	s.consents()
	s.newKeys()
	s.afterNewKeys()
	s.problems()
	s.audits()
	s.public(first.License)
	return at
}

func discard[T any](_ T, err error) error { return err }

const (
	foodMatter, landMatter  = "YC-FOOD-01", "YC-LAND-07"
	foodCase, landCase      = "SP-2026-000020", "SP-2026-000021"
	businessType, identity  = "business-license", "resident-id"
	acceptance, food, court = "acceptance", "food-approval", "court-enforcement-system"
	steward, auditor        = "samr-licenses", "audit-office"
)

// company is one that the demo has not asked about.
func (s *story) company(n int) legacy.Company { return s.people.Companies[20+n] }

func (s *story) cases() {
	ctx, accepts := s.site.t.Context(), s.as(acceptance)
	c := s.company(0)
	s.answered("cases.register", func() error {
		return discard(accepts.RegisterCase(ctx, api.CaseRequest{No: foodCase, Matter: foodMatter, Attestation: "platform", Accepted: api.At(s.now()),
			Parties: []api.Party{party("applicant", c.Holder()), party("legal_representative", c.Legal.Holder())}}))
	})
	flat := s.people.Cast.Couple
	s.answered("cases.register-land", func() error {
		return discard(accepts.RegisterCase(ctx, api.CaseRequest{No: landCase, Matter: landMatter, Attestation: "platform", Accepted: api.At(s.now()),
			Parties: []api.Party{party("applicant", flat[0].Holder()), party("spouse", flat[1].Holder())}}))
	})
	s.answered("cases.check", func() error { return discard(s.as(food).Check(ctx, foodCase, api.CheckRequest{})) })
	s.answered("cases.check-land", func() error { return discard(s.as("land-approval").Check(ctx, landCase, api.CheckRequest{})) })
	s.answered("cases.materials", func() error {
		return discard(accepts.ReportMaterial(ctx, landCase, api.MaterialRequest{Material: "tax-clearance", Matter: landMatter, How: api.HowUploaded, Digest: sm.DigestB64([]byte("scan"))}))
	})
	s.answered("cases.close", func() error { return discard(accepts.CloseCase(ctx, landCase)) })
}

// query asks for the license of the first company, for its case.
func (s *story) query(set string, form api.DocumentForm) (found api.License) {
	s.site.t.Helper()
	s.answered(set, func() error {
		a, err := s.as(food).Query(s.site.t.Context(), api.QueryRequest{LicenseType: businessType, Holder: holder(s.company(0).Holder()),
			Purpose: api.Purpose{Case: foodCase, Material: businessType}, Form: form})
		if err != nil {
			return err
		}
		found = a.Answer.Licenses[0]
		return nil
	})
	return found
}

func (s *story) licenses() (first api.License) {
	ctx := s.site.t.Context()
	first = s.query("licenses.query", "")
	s.query("licenses.query-ofd", api.DocumentFormOfd)
	s.query("licenses.query-pdf", api.DocumentFormPdf)
	s.answered("licenses.query-basis", func() error {
		return discard(s.as(court).Query(ctx, api.QueryRequest{LicenseType: "real-estate-certificate", Holder: holder(s.people.Cast.Flat.Owners[0].Holder()),
			Purpose: api.Purpose{Basis: "court-enforcement", Reference: "(2026)云01执123号"}}))
	})
	s.answered("licenses.status", func() error {
		return discard(s.as(food).Status(ctx, api.StatusRequest{Identifier: first.Identifier, Purpose: api.Purpose{Case: foodCase, Material: businessType}}))
	})
	s.answered("licenses.verify", func() error { return discard(s.as(food).VerifyLicense(ctx, api.VerifyRequest{License: first.License})) })
	s.answered("licenses.verify-document", func() error {
		return discard(s.as(food).VerifyLicense(ctx, api.VerifyRequest{Document: base64.RawURLEncoding.EncodeToString(read(s.site.t, s.site.path("seals", "samr.esl")))}))
	})
	var holders []api.HolderID
	for n := range 5 {
		holders = append(holders, holder(s.company(n).Holder()))
	}
	s.answered("licenses.issue", func() error {
		return discard(s.as(steward).Issue(ctx, api.IssueRequest{LicenseType: businessType, Holders: holders}))
	})
	var versions []api.SignedVersion
	s.answered("licenses.list", func() error {
		a, err := s.as(steward).List(ctx, api.ListRequest{LicenseType: businessType, Limit: 10})
		if err == nil {
			versions = a.Answer.Licenses
		}
		return err
	})
	c := holder(s.company(0).Holder())
	s.answered("licenses.render-ofd", func() error {
		return discard(s.as(steward).Render(ctx, api.RenderRequest{LicenseType: businessType, Holder: c, Form: api.RenderRequestFormOfd}))
	})
	a, err := s.as(steward).Render(ctx, api.RenderRequest{LicenseType: businessType, Holder: c, Form: api.RenderRequestFormSvg})
	s.site.must(err)
	svg, err := base64.RawURLEncoding.DecodeString(a.Answer.Document.Content)
	s.site.must(err)
	s.keep("picture", map[string][]byte{"license.svg": svg})
	others := slices.DeleteFunc(versions, func(v api.SignedVersion) bool { return v.Identifier == first.Identifier })
	for i, o := range []api.LicenseCommand{api.LicenseCommandSuspend, api.LicenseCommandReinstate, api.LicenseCommandRevoke} {
		s.answered("licenses.order-"+string(o), func() error {
			return discard(s.as(steward).Order(ctx, api.OrderRequest{Identifier: others[i/2].Identifier, Command: o, Reference: "云市监〔2026〕12号"}))
		})
	}
	return first
}

// vouchedFor asks for the license of the first company again, with an identity service's word on the operator: records of schema 4.
func (s *story) vouchedFor() {
	for _, proof := range []string{audit.OperatorByCall, audit.OperatorBySession} {
		s.answered("licenses.query-"+proof, func() error {
			return discard(s.vouched(s.as(food), proof).Query(s.site.t.Context(), api.QueryRequest{LicenseType: businessType, Holder: holder(s.company(0).Holder()),
				Purpose: api.Purpose{Case: foodCase, Material: businessType}}))
		})
	}
}

func (s *story) consents() {
	ctx, portal := s.site.t.Context(), s.as("citizen-portal")
	c := s.company(1).Holder()
	for _, id := range []string{"consent-1", "consent-2"} {
		set := "consents.give"
		if id != "consent-1" {
			set += "-2"
		}
		s.answered(set, func() error {
			return discard(portal.GiveConsent(ctx, api.ConsentRequest{ID: id, Holder: holder(c), Types: []string{businessType}, Matters: []string{foodMatter},
				Expires:   api.At(s.now().Add(30 * time.Minute)),
				Assertion: s.agreed(gateway.Assertion{For: "consent", Reference: id, Holder: c, System: "citizen-portal", Types: []string{businessType}, Matters: []string{foodMatter}})}))
		})
	}
	s.answered("precheck", func() error {
		return discard(portal.Precheck(ctx, api.PrecheckRequest{Consent: "consent-1", Holder: holder(c), Matter: foodMatter}))
	})
	s.answered("consents.withdraw", func() error { return discard(portal.WithdrawConsent(ctx, "consent-2", api.WithdrawRequest{})) })
}

// newKeys replaces the department's license key and the key that seals evidence, and waits until the gateway uses them.
func (s *story) newKeys() {
	ctx := s.site.t.Context()
	ring, err := install.OpenKeystore(s.main, nil)
	s.site.must(err)
	changes := func() int {
		a, err := s.as(auditor).Search(ctx, api.SearchRequest{Operation: "keys.change"})
		s.site.must(err)
		return len(a.Answer.Records)
	}
	before := changes()
	for _, p := range []keystore.Purpose{{Usage: keystore.License, Owner: "samr", Algorithm: keystore.SM2}, {Usage: keystore.Envelope, Algorithm: keystore.Symmetric}} {
		if _, err := ring.Rotate(ctx, p); err != nil {
			s.site.t.Fatal(err)
		}
	}
	for range 100 {
		if time.Sleep(200 * time.Millisecond); changes() > before {
			return
		}
	}
	s.site.t.Fatal("the gateway does not take the new keys")
}

// afterNewKeys asks for a license that the retired key signed, and for one that only the new key can have signed.
func (s *story) afterNewKeys() {
	ctx := s.site.t.Context()
	s.query("licenses.query-retired-key", "")
	s.answered("licenses.issue-new-key", func() error {
		return discard(s.as(steward).Issue(ctx, api.IssueRequest{LicenseType: businessType, Holders: []api.HolderID{holder(s.company(7).Holder())}}))
	})
	c, no := s.company(8), "SP-2026-000028"
	s.answered("cases.register-new-key", func() error {
		return discard(s.as(acceptance).RegisterCase(ctx, api.CaseRequest{No: no, Matter: foodMatter, Attestation: "platform", Accepted: api.At(s.now()),
			Parties: []api.Party{party("applicant", c.Holder()), party("legal_representative", c.Legal.Holder())}}))
	})
	s.answered("licenses.query-new-key", func() error {
		return discard(s.as(food).Query(ctx, api.QueryRequest{LicenseType: businessType, Holder: holder(c.Holder()), Purpose: api.Purpose{Case: no, Material: businessType}}))
	})
}

func (s *story) problems() {
	ctx := s.site.t.Context()
	c := holder(s.company(0).Holder())
	ask := func(q api.QueryRequest) func() error {
		return func() error { return discard(s.as(food).Query(ctx, q)) }
	}
	inCase := api.Purpose{Case: foodCase, Material: businessType}
	for _, p := range []struct {
		code string
		call func() error
	}{
		{"case-not-usable", ask(api.QueryRequest{LicenseType: identity, Holder: holder(s.people.Cast.Stranger.Holder()), Purpose: api.Purpose{Case: foodCase}})},
		{"fields-not-granted", ask(api.QueryRequest{LicenseType: businessType, Holder: c, Purpose: inCase, Fields: []string{"registered_capital"}})},
		{"not-permitted", ask(api.QueryRequest{LicenseType: businessType, Holder: c, Purpose: api.Purpose{Basis: "court-enforcement", Reference: "1"}})},
		{"consent-not-usable", ask(api.QueryRequest{LicenseType: businessType, Holder: c, Purpose: inCase, Consent: "consent-9"})},
		{"purpose-invalid", ask(api.QueryRequest{LicenseType: businessType, Holder: c})},
		{"unknown-license-type", ask(api.QueryRequest{LicenseType: "fishing-license", Holder: c, Purpose: inCase})},
		{"assertion-invalid", func() error {
			return discard(s.as("citizen-portal").GiveConsent(ctx, api.ConsentRequest{ID: "consent-3", Holder: c, Types: []string{businessType}, Expires: api.At(s.now().Add(time.Minute)),
				Assertion: s.agreed(gateway.Assertion{For: "precheck", Reference: "consent-3", Holder: s.company(0).Holder(), System: "citizen-portal"})}))
		}},
	} {
		s.refused(p.code, p.call)
	}
}

func (s *story) audits() {
	ctx, audits := s.site.t.Context(), s.as(auditor)
	day := s.now().AddDate(0, 0, -1)
	var index uint64
	s.answered("audit.search", func() error {
		a, err := audits.Search(ctx, api.SearchRequest{Case: foodCase})
		if err == nil {
			index = uint64(a.Answer.Records[len(a.Answer.Records)-1].Index)
		}
		return err
	})
	var opened uint64
	s.answered("audit.evidence", func() error {
		a, err := audits.Evidence(ctx, index, api.EvidenceRequest{Why: "例行抽查", Persons: true, Request: true})
		if err == nil {
			opened = a.Receipt.Index
		}
		return err
	})
	s.answered("audit.erase", func() error {
		return discard(audits.Erase(ctx, opened, api.EraseRequest{Why: "异议处理决定〔2026〕3号"}))
	})
	s.answered("audit.receipt", func() error {
		a, err := audits.RecordReceipt(ctx, index)
		if err != nil {
			return err
		}
		data, err := json.Marshal(a.Answer.Receipt)
		if err == nil {
			s.keep("receipt", map[string][]byte{"receipt.json": data})
		}
		return err
	})
	s.answered("audit.reuse", func() error {
		return discard(audits.Reuse(ctx, api.ReuseRequest{From: api.At(day), To: api.At(s.now())}))
	})
	s.answered("audit.export", func() error {
		return discard(audits.Export(ctx, api.ExportRequest{From: api.At(day), To: api.At(s.now())}))
	})
	s.answered("node.status", func() error { return discard(s.as("operations").NodeStatus(ctx)) })
	s.answered("catalog.types", func() error { return discard(audits.Types(ctx)) })
	var jti string
	s.answered("catalog.matters", func() error {
		a, err := audits.Matters(ctx)
		if err == nil {
			jti = a.JTI
		}
		return err
	})
	s.answered("receipts", func() error { return discard(audits.LostReceipt(ctx, jti)) })
}

// public stores public artefacts and those that the gateway's operator hands out.
func (s *story) public(presentation string) {
	ctx, audits := s.site.t.Context(), s.as(auditor)
	checkpoint, err := audits.Public(ctx, "log.checkpoint", nil)
	s.site.must(err)
	s.keep("checkpoint", map[string][]byte{"checkpoint": checkpoint})
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(presentation, ".")[1])
	s.site.must(err)
	list, err := audits.Public(ctx, "status-lists", map[string]string{"id": path.Base(string(listURI.FindSubmatch(payload)[1]))})
	s.site.must(err)
	s.keep("status-list", map[string][]byte{"status-list.jwt": list, "license.sdjwt": []byte(presentation + "\n")})
	ring, err := install.OpenKeystore(s.main, nil)
	s.site.must(err)
	lists, err := ring.Lists(ctx)
	s.site.must(err)
	s.keep("licenses.render-ofd", map[string][]byte{"crl.pem": lists})
	trust := s.maker.path("trust", s.name)
	if _, err := os.Stat(trust); err != nil {
		s.site.must(install.WriteTrust(s.setup, trust))
	}
	keys := map[string][]byte{"ca.cert.pem": read(s.site.t, filepath.Join(trust, install.AnchorFile))}
	for _, name := range []string{install.LogSM2File, install.LogEdFile} {
		keys[name] = read(s.site.t, filepath.Join(trust, name))
	}
	for _, k := range ring.List() {
		if len(k.Chain) > 0 {
			text, err := ring.Export(k.ID, true)
			s.site.must(err)
			keys[k.ID+".cert.pem"] = text
		}
	}
	s.keep("keys", keys)
}

// listURI finds the status list in a license.
var listURI = regexp.MustCompile(`"uri":"([^"]+)"`)

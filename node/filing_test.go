package node

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"oncegate/api"
	"oncegate/cases"
	"oncegate/certs/sm"
	"oncegate/install"
)

// TestFilesErased: at the end of its retention the file of a filed material is erased by a record that orders it, and what the log says of the
// tables is proven all the same. A file of the greatest length passes all limits on its way in and out.
func TestFilesErased(t *testing.T) {
	t.Parallel()
	c := newCity(t)
	c.Edit("matters.yaml", "matters:\n", `trust:
  - {level: B, name: 原件已核验, reusable: true}
verifications:
  - {id: original-seen, name: 核验原件, level: B}
filings:
  - {id: lease, name: 租赁合同, valid_days: 365, keep_days: 1096}
matters:
`, "        fallback: {kind: upload}", `        fallback: {kind: upload}
      - {code: premises, name: 租赁合同, is_need: 1, route: upload, filing: lease, fallback: {kind: upload}}`)
	c.Edit("policy/grants.yaml", "\ngrants:\n", `
  - {license_type: lease, share: 2, provider: service, scope: 食品经营}
grants:
  - {id: food/lease, agreement: a, provider: service, systems: [food-approval], filing_type: lease, trust: B, operations: [cases.check], matters: [FOOD-01], fields: [level, file], basis: b, basis_kind: rule, scenario: s, attestation: platform, valid_until: "2035-12-31"}
`, "operations: [cases.register, ", "operations: [cases.register, cases.file, cases.handover, ")
	s := c.serve()
	window, food := s.as("acceptance"), s.as("food-approval")
	file := []byte("%PDF-1.7\n" + strings.Repeat("x", cases.MaxFile-9))
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	s.register("SP-21")
	s.register("SP-22")
	_, err := window.ReportMaterial(t.Context(), "SP-21", api.MaterialRequest{Material: "premises", How: api.HowUploaded, Digest: sm.DigestB64(file)})
	must(err)
	_, err = window.File(t.Context(), "SP-21", api.FileRequest{
		Material: "premises", Digest: sm.DigestB64(file), Media: "application/pdf", Content: base64.RawURLEncoding.EncodeToString(file), Verification: "original-seen",
	})
	must(err)
	check := func() api.CheckedMaterial {
		t.Helper()
		got, err := food.Check(t.Context(), "SP-22", api.CheckRequest{Materials: []string{"premises"}, Files: []api.FileWanted{{Material: "premises"}}})
		must(err)
		return got.Answer.Materials[0]
	}
	if m := check(); m.State != "on-file" || m.Filed.File.SM3 != sm.DigestB64(file) || len(m.Filed.File.Content) != base64.RawURLEncoding.EncodedLen(len(file)) {
		t.Fatalf("%s %+v", m.State, m.Unfiled)
	}
	keep := time.Now().AddDate(0, 0, 1096)
	before := s.log.Stats().Size
	must(s.eraseFiles(t.Context(), keep.Add(-time.Minute)))
	if size := s.log.Stats().Size; size != before {
		t.Errorf("erased before the end of the retention: %d records", size-before)
	}
	must(s.eraseFiles(t.Context(), keep.Add(time.Minute)))
	if size := s.log.Stats().Size; size != before {
		t.Errorf("erased before the case was handed over to the archive: %d records", size-before)
	}
	_, err = window.HandOver(t.Context(), "SP-21", api.HandOverRequest{Digest: sm.DigestB64([]byte("package")), Archive: "档案馆"})
	must(err)
	before++
	must(s.eraseFiles(t.Context(), keep.Add(time.Minute)))
	if size := s.log.Stats().Size; size != before+1 {
		t.Errorf("%d records order the erasure", size-before)
	}
	if m := check(); m.State != "missing" || m.Unfiled.Code != "filing-erased" || m.Filed.Filing != "" {
		t.Errorf("erased: %s %+v", m.State, m.Unfiled)
	}
	must(s.eraseFiles(t.Context(), keep.Add(time.Hour)))
	if size := s.log.Stats().Size; size != before+2 { // the check's
		t.Errorf("erased again: %d records", size-before-2)
	}
	must(s.stop())
	c.verified(install.StateOptions{}, api.VerdictProven)
}

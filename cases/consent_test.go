package cases_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"oncegate/cases"
)

var digest = strings.Repeat("A", 43)

func consent() cases.Consent {
	return cases.Consent{
		ID: "consent-1", Holder: anna, System: "land", Types: []string{"resident-id", "flat-certificate"}, Matters: []string{"FLAT"},
		Expires: now.Add(time.Hour), Evidence: cases.EvidenceHolder, Digest: digest, Given: now,
	}
}

func TestCheckConsent(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(*cases.Consent)
		want  cases.Flaws
	}{
		{"sound", func(*cases.Consent) {}, nil},
		{"any matter", func(c *cases.Consent) { c.Matters = nil }, nil},
		{"by identity service", func(c *cases.Consent) { c.Evidence = cases.EvidenceIdentity }, nil},
		{"id", func(c *cases.Consent) { c.ID = "" }, cases.Flaws{{"id", cases.BadNumber}}},
		{"holder", func(c *cases.Consent) { c.Holder.Code = "1" }, cases.Flaws{{"holder.code", "length"}}},
		{"system", func(c *cases.Consent) { c.System = "" }, cases.Flaws{{"system", cases.BadSystem}}},
		{"no types", func(c *cases.Consent) { c.Types = nil }, cases.Flaws{{"types", cases.BadLicenseType}}},
		{"unknown type", func(c *cases.Consent) { c.Types[1] = "pass" }, cases.Flaws{{"types[1]", cases.BadLicenseType}}},
		{"type twice", func(c *cases.Consent) { c.Types[1] = c.Types[0] }, cases.Flaws{{"types[1]", cases.BadLicenseType}}},
		{"matter", func(c *cases.Consent) { c.Matters[0] = "NONE" }, cases.Flaws{{"matters[0]", cases.MatterUnknown}}},
		{"many matters", func(c *cases.Consent) {
			c.Matters = append(c.Matters, "FOOD", "FILING")
			for len(c.Matters) < 65 {
				c.Matters = append(c.Matters, "FOOD")
			}
		}, nil},
		{"over", func(c *cases.Consent) { c.Expires = now }, cases.Flaws{{"expires", cases.ConsentExpired}}},
		{"evidence", func(c *cases.Consent) { c.Evidence = "clerk" }, cases.Flaws{{"evidence", cases.BadEvidence}}},
		{"digest", func(c *cases.Consent) { c.Digest = digest + "=" }, cases.Flaws{{"digest", cases.BadDigest}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := consent()
			c.spoil(&k)
			err := cases.CheckConsent(book(t), catalogue(t), k, now, 24*time.Hour)
			var flaws cases.Flaws
			errors.As(err, &flaws)
			if len(k.Matters) > 64 {
				if len(flaws) == 0 || flaws[0] != (cases.Flaw{Path: "matters", Reason: cases.MatterUnknown}) {
					t.Errorf("flaws %v", flaws)
				}
				return
			}
			if diff := cmp.Diff(c.want, flaws); diff != "" || (err == nil) != (c.want == nil) {
				t.Errorf("flaws (-want +got):\n%s", diff)
			}
		})
	}
}

func TestConsentCovers(t *testing.T) {
	ask := cases.Asked{Asker: "land", Matter: "FLAT", Holder: anna}
	for _, c := range []struct {
		name   string
		change func(*cases.Consent, *cases.Asked)
		kind   string
		at     time.Time
		want   error
	}{
		{"covered", nil, "resident-id", now, nil},
		{"any matter", func(c *cases.Consent, q *cases.Asked) { c.Matters, q.Matter = nil, "" }, "resident-id", now, nil},
		{"spelling", func(c *cases.Consent, q *cases.Asked) { q.Holder.Code = strings.ToLower(anna.Code) }, "resident-id", now, nil},
		{"holder", func(c *cases.Consent, q *cases.Asked) { q.Holder = bert }, "resident-id", now, cases.ConsentOtherHolder},
		{"system", func(c *cases.Consent, q *cases.Asked) { q.Asker = "tax" }, "resident-id", now, cases.ConsentOtherSystem},
		{"withdrawn", func(c *cases.Consent, q *cases.Asked) { c.Withdrawn = now.Add(-time.Hour) }, "resident-id", now, cases.ConsentWithdrawn},
		{"expired", nil, "resident-id", now.Add(time.Hour), cases.ConsentExpired},
		{"type", nil, "tax-clearance", now, cases.ConsentOtherLicense},
		{"matter", func(c *cases.Consent, q *cases.Asked) { q.Matter = "FOOD" }, "resident-id", now, cases.ConsentOtherMatter},
		{"no matter", func(c *cases.Consent, q *cases.Asked) { q.Matter = "" }, "resident-id", now, cases.ConsentOtherMatter},
	} {
		k, q := consent(), ask
		if c.change != nil {
			c.change(&k, &q)
		}
		if err := k.Covers(q, c.kind, c.at); err != c.want {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

func TestCheckReceived(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(*cases.Case, *cases.Received)
		want  cases.Flaws
	}{
		{"uploaded", func(*cases.Case, *cases.Received) {}, nil},
		{"promised", func(_ *cases.Case, r *cases.Received) { r.How, r.Digest = "promised", "" }, nil},
		{"waived", func(_ *cases.Case, r *cases.Received) { r.How, r.Digest, r.Material = "waived", "", "applicant-id" }, nil},
		{"case", func(_ *cases.Case, r *cases.Received) { r.Case = "x" }, cases.Flaws{{"case", cases.BadNumber}}},
		{"closed", func(c *cases.Case, _ *cases.Received) { c.Closed = now }, cases.Flaws{{"case", cases.CaseClosed}}},
		{"by", func(_ *cases.Case, r *cases.Received) { r.By = "" }, cases.Flaws{{"by", cases.BadSystem}}},
		{"at", func(_ *cases.Case, r *cases.Received) { r.At = time.Time{} }, cases.Flaws{{"at", cases.NoTime}}},
		{"how", func(_ *cases.Case, r *cases.Received) { r.How = "mailed" }, cases.Flaws{{"how", cases.BadHow}}},
		{"no digest", func(_ *cases.Case, r *cases.Received) { r.Digest = "" }, cases.Flaws{{"digest", cases.BadDigest}}},
		{"digest of nothing", func(_ *cases.Case, r *cases.Received) { r.How = "waived" }, cases.Flaws{{"digest", cases.BadDigest}}},
		{"no matter", func(_ *cases.Case, r *cases.Received) { r.Matter = "" }, cases.Flaws{{"matter", cases.MatterNotInCase}}},
		{"other matter", func(_ *cases.Case, r *cases.Received) { r.Matter = "FOOD" }, cases.Flaws{{"matter", cases.MatterNotInCase}}},
		{"unknown matter", func(c *cases.Case, r *cases.Received) { c.Matter = "NONE" }, cases.Flaws{{"matter", cases.MatterUnknown}}},
		{"material", func(_ *cases.Case, r *cases.Received) { r.Material = "form" }, cases.Flaws{{"material", cases.MaterialNotListed}}},
		{"promise not possible", func(_ *cases.Case, r *cases.Received) { r.How, r.Digest, r.Material = "promised", "", "applicant-id" }, cases.Flaws{{"how", cases.NoPromise}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := couple()
			r := cases.Received{Case: k.No, Matter: "FLAT", Material: "tax-clearance", How: "uploaded", Digest: digest, By: "land", At: now}
			c.spoil(&k, &r)
			err := cases.CheckReceived(book(t), k, r)
			var flaws cases.Flaws
			errors.As(err, &flaws)
			if diff := cmp.Diff(c.want, flaws); diff != "" || (err == nil) != (c.want == nil) {
				t.Errorf("flaws (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReasonOf(t *testing.T) {
	if r := cases.ReasonOf(errors.Join(errors.New("x"), cases.CaseClosed)); r != cases.CaseClosed {
		t.Errorf("reason %q", r)
	}
	if r := cases.ReasonOf(nil); r != "" || !strings.Contains(cases.CaseClosed.Error(), "case-closed") {
		t.Errorf("reason %q", r)
	}
}

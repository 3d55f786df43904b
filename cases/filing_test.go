package cases

import (
	"errors"
	"testing"
	"time"

	"oncegate/license"
)

// TestVerifier: what is filed was verified by somebody, who is known as well as the way of verifying asks.
func TestVerifier(t *testing.T) {
	now := time.Date(2026, 12, 1, 4, 0, 0, 0, time.UTC)
	holder := license.HolderID{Type: "001", Code: "91379901MA9920002Q"}
	book := &Book{
		Matters:       []Matter{{Code: "m", Materials: []Material{{Code: "lease", Route: RouteUpload, Filing: "lease"}}}},
		Trust:         []TrustLevel{{Level: "A"}, {Level: "B"}, {Level: "C"}},
		Verifications: []Verification{{ID: "seen", Level: "B"}, {ID: "signed", Level: "A", OperatorProof: "call"}},
		Filings:       []FilingType{{ID: "lease", ValidDays: 10, KeepDays: 20}},
	}
	k := Case{No: "SP-1", Matter: "m", Parties: []Party{{Applicant, holder}}}
	received := []Received{{Matter: "m", Material: "lease", How: HowUploaded, Digest: "d"}}
	for _, test := range []struct {
		verifier, proof, verification string
		ok                            bool
	}{
		{"clerk", "asserted", "seen", true},
		{"clerk", "call", "seen", true},
		{"clerk", "call", "signed", true},
		{"clerk", "session", "signed", false},
		{"clerk", "none", "seen", false},
		{"clerk", "", "seen", false},
		{"", "asserted", "seen", false},
	} {
		f := Filing{Material: "lease", Verifier: test.verifier, Proof: test.proof, Verification: test.verification, Digest: "d", Media: "application/pdf", Filed: now}
		got, err := CheckFiling(book, k, f, received, []byte("%PDF-1.7"), []string{"asserted", "session", "call"})
		if (err == nil) != test.ok || !test.ok && !errors.Is(err, VerifierUnknown) {
			t.Errorf("%+v: %v", test, err)
		}
		if test.ok && (got.Holder != holder || got.Until != "2026-12-11" || !got.Keep.Equal(now.AddDate(0, 0, 20)) || got.Level == "") {
			t.Errorf("%+v", got)
		}
	}
	if got := book.Reaches("B"); len(got) != 2 || got[0] != "B" || len(book.Reaches("X")) != 0 {
		t.Errorf("B reaches %v", got)
	}
}

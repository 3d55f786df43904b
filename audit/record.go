// Package audit is what is recorded about an access: the record that becomes a leaf of the log, its sealed evidence,
// search, replay and retention. License facts reach it as plain strings.
package audit

// A Record is the leaf: its RFC 8785 bytes are what both trees commit to, at most MaxRecord bytes. It carries no
// personal data: holders and operators stand in it as commitments that cannot be linked or guessed. Members are declared in
// the order of their names, so that they are written in canonical form at once.
type Record struct {
	AnswerDigest string `json:"answer_digest"` // base64url SM3 of the answer bytes
	Evidence     string `json:"evidence"`      // base64url SM3 of the JCS list of the parts' digests
	Operation    string `json:"operation"`     // such as "licenses.query"
	Policy       string `json:"policy"`        // digest of the policy set that decided
	// RequestCommitment stands for a request id that the caller wrote in a form of its own: HMAC-SM3(r, JCS([RequestType, id])). Without
	// one the member is missing. Since version 2.
	RequestCommitment string `json:"request_commitment,omitzero"`
	RequestID         string `json:"request_id"`   // the same over retries; statistics count it once; "" beside a commitment
	System            string `json:"system"`       // id of the system that asked
	Time              string `json:"time"`         // RFC 3339 UTC with milliseconds
	TokenDigest       string `json:"token_digest"` // base64url SM3 of the compact JWS; "" for the gateway's own records
	Uses              []Use  `json:"uses"`         // one per material asked about; never null
	V                 int    `json:"v"`            // schema version: 1 or 2
}

// A Use is one license asked about, for one purpose.
type Use struct {
	Basis string `json:"basis"`
	Case  string `json:"case"` // number of a case that is registered and that the caller may know
	// CaseCommitment stands for a case number that is nothing but the caller's word: HMAC-SM3(r, JCS([CaseType, number])). The record is
	// the same whether there is such a case or not. Without one the member is missing. Since version 2.
	CaseCommitment string   `json:"case_commitment,omitzero"`
	Decision       string   `json:"decision"` // "release", "met", "missing", "lapsed", "mismatched", "confirm", "denied", "unavailable", …
	Fields         []string `json:"fields"`
	Freshness      string   `json:"freshness"` // "live", "drop", "stale" or ""; with the as-of time: "drop 2026-11-23T01:00:00.000Z"
	Holder         string   `json:"holder"`    // commitment, or ""
	LicenseType    string   `json:"license_type"`
	Material       string   `json:"material"`
	Matter         string   `json:"matter"`
	Operator       string   `json:"operator"` // commitment, or ""
	Rules          []string `json:"rules"`
	Source         string   `json:"source"`
}

// MaxRecord is the greatest length of a record in bytes.
const MaxRecord = 60 << 10

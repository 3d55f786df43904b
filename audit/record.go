// Package audit is what is recorded about an access: the record that becomes a leaf of the log, its sealed evidence,
// search, replay and retention. License facts reach it as plain strings.
package audit

// A Record is the leaf: its RFC 8785 bytes are what both trees commit to, at most MaxRecord bytes. It carries no
// personal data: holders and operators stand in it as commitments that cannot be linked or guessed.
type Record struct {
	V            int    `json:"v"`             // schema version, 1
	Time         string `json:"time"`          // RFC 3339 UTC with milliseconds
	System       string `json:"system"`        // id of the system that asked
	Operation    string `json:"operation"`     // such as "licenses.query"
	RequestID    string `json:"request_id"`    // the same over retries; statistics count it once
	TokenDigest  string `json:"token_digest"`  // base64url SM3 of the compact JWS; "" for the gateway's own records
	AnswerDigest string `json:"answer_digest"` // base64url SM3 of the answer bytes
	Policy       string `json:"policy"`        // digest of the policy set that decided
	Evidence     string `json:"evidence"`      // base64url SM3 of the JCS list of the parts' digests
	Uses         []Use  `json:"uses"`          // one per material asked about; never null
}

// A Use is one license asked about, for one purpose.
type Use struct {
	Material    string   `json:"material"`
	Matter      string   `json:"matter"`
	Case        string   `json:"case"`
	Basis       string   `json:"basis"`
	LicenseType string   `json:"license_type"`
	Decision    string   `json:"decision"` // "release", "met", "missing", "lapsed", "mismatched", "confirm", "denied", "unavailable", …
	Rules       []string `json:"rules"`
	Fields      []string `json:"fields"`
	Source      string   `json:"source"`
	Freshness   string   `json:"freshness"` // "live", "drop", "stale" or ""; with the as-of time: "drop 2026-11-23T01:00:00.000Z"
	Holder      string   `json:"holder"`    // commitment, or ""
	Operator    string   `json:"operator"`  // commitment, or ""
}

// MaxRecord is the greatest length of a record in bytes.
const MaxRecord = 60 << 10

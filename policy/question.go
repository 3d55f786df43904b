// Package policy decides who may see which fields of a license for which purpose. Grants are the sharing agreements of
// 政务数据共享条例 art. 20, indexed data; guards are Cedar rules that every decision passes. The decision is pure: it reads
// nothing but its Question and the loaded Set, so any decision can be replayed from its recorded inputs.
package policy

import "time"

// A Question is everything a decision may depend on, in plain values without personal codes. Its canonical JSON is kept in
// the sealed evidence of the record, and Set.Decide on the same Set and the same Question gives the same Decision.
type Question struct {
	Operation   string        `json:"operation"`              // "licenses.query", "cases.check", "precheck", "cases.register", "audit.search", …
	System      string        `json:"system"`                 // id of the asking system
	LicenseType string        `json:"license_type,omitempty"` // catalogue id; empty for operations that release no license
	Provider    string        `json:"provider,omitempty"`     // id of the source's department
	Matter      string        `json:"matter,omitempty"`       //
	Material    string        `json:"material,omitempty"`     // code within the matter
	Role        string        `json:"role,omitempty"`         // the role of the holder asked about
	Attestation string        `json:"attestation,omitempty"`  // "self", "holder" or "platform", as seen by the asker
	Basis       string        `json:"basis"`                  // "case", "consent", or the id of another legal basis that a grant names
	Consent     bool          `json:"consent"`                // a consent that covers holder, system, type and matter stands at Now
	Fields      []string      `json:"fields,omitempty"`       // fields asked for; empty: whatever is granted
	Age         time.Duration `json:"age"`                    // age of the copy that would be released, in nanoseconds; 0: live
	Purpose     string        `json:"purpose,omitempty"`      // "answer" (fields go to the caller) or "confirm" (a role is confirmed, fields stay inside)
	Now         time.Time     `json:"now"`                    // UTC, milliseconds
}

// A Decision says whether, what and why.
type Decision struct {
	Allow       bool          `json:"allow"`
	Fields      []string      `json:"fields,omitempty"`      // the fields that may leave, sorted; a subset of what was asked
	Rules       []string      `json:"rules"`                 // ids of every grant and guard that made it, sorted; never empty: "deny-by-default" where nothing matched
	Reasons     []Reason      `json:"reasons,omitempty"`     // why not, or why fewer fields; in a fixed order
	Obligations []string      `json:"obligations,omitempty"` // what the release must carry, sorted, such as "watermark"
	MaxAge      time.Duration `json:"max_age,omitempty"`     // greatest age of a copy the grants that fired allow; 0: live only
}

// A Reason is one reason of a refusal or a narrowing.
type Reason struct {
	Code string `json:"code"`           // stable: "no-grant", "grant-expired", "attestation-too-weak", "consent-missing", "role-not-granted", "too-stale", "suspended", "guard"
	Rule string `json:"rule,omitempty"` // the grant or guard it comes from
	Zh   string `json:"zh"`             // one sentence
	En   string `json:"en"`
}

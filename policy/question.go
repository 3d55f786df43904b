// Package policy decides who may see which fields of a license for which purpose. Grants are the sharing agreements of
// 政务数据共享条例 art. 20, indexed data; guards are Cedar rules that every decision passes. The decision is pure: it reads
// nothing but its Question and the loaded Set, so any decision can be replayed from its recorded inputs.
package policy

import (
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"
)

// A Question is everything a decision may depend on, in plain values without personal codes. Its canonical JSON is kept in
// the sealed evidence of the record, and Set.Decide on the same Set and the same Question gives the same Decision.
type Question struct {
	Operation   string        `json:"operation"`              // "licenses.query", "cases.check", "precheck", "cases.register", "audit.search", …
	System      string        `json:"system"`                 // id of the asking system
	Department  string        `json:"department,omitempty"`   // id of the asking system's department; guards that read it while it is empty count as fired
	LicenseType string        `json:"license_type,omitempty"` // catalogue id; empty for operations that release no license
	Provider    string        `json:"provider,omitempty"`     // id of the source's department
	Matter      string        `json:"matter,omitempty"`       //
	Material    string        `json:"material,omitempty"`     // code within the matter
	Role        string        `json:"role,omitempty"`         // the role of the holder asked about
	Attestation string        `json:"attestation,omitempty"`  // "self", "holder" or "platform", as seen by the asker
	Basis       string        `json:"basis"`                  // "case", "consent", or the id of another legal basis that a grant names
	Consent     bool          `json:"consent"`                // a consent that covers holder, system, type and matter stands at Now
	Fields      []string      `json:"fields,omitempty"`       // fields asked for; empty: whatever is granted
	Age         time.Duration `json:"age"`                    // age of the copy that would be released, in nanoseconds, whole milliseconds; 0: live
	Purpose     string        `json:"purpose,omitempty"`      // "answer" (fields go to the caller) or "confirm" (a role is confirmed, fields stay inside)

	// OperatorProof says how the acting person is known: "none", "asserted", "session" or "call", weakest first. Empty is "none".
	OperatorProof string   `json:"operator_proof,omitempty"`
	OperatorRoles []string `json:"operator_roles,omitempty"` // what the person may act as, sorted, as an identity service says; nobody else's word counts

	Now time.Time `json:"now"` // UTC, milliseconds
}

// A Decision says whether, what and why.
type Decision struct {
	Allow       bool     `json:"allow"`
	Fields      []string `json:"fields,omitempty"`      // the fields that may leave, sorted; a subset of what was asked
	Rules       []string `json:"rules"`                 // ids of every grant and guard that made it, sorted; never empty: "deny-by-default" where nothing matched
	Reasons     []Reason `json:"reasons,omitempty"`     // why not, or why fewer fields; in a fixed order
	Obligations []string `json:"obligations,omitempty"` // what the release must carry, sorted, such as "watermark"
	// MaxAge is the greatest age of a copy that the grants that fired allow; 0: live only. Several grants may allow several
	// ages for several fields: before a copy leaves, decide again with Question.Age set to its age.
	MaxAge time.Duration `json:"max_age,omitzero"`
}

// A Reason is one reason of a refusal or a narrowing.
type Reason struct {
	Code   string   `json:"code"`             // stable: one of the constants below
	Rule   string   `json:"rule,omitempty"`   // the grant, guard, suspension or share it comes from
	Fields []string `json:"fields,omitempty"` // the fields it took away, sorted; only with FieldNotGranted and FieldWithheld
	Zh     string   `json:"zh"`               // one sentence
	En     string   `json:"en"`
}

// MarshalJSONTo writes ages as integers; canonicalising its bytes gives what the sealed evidence keeps.
func (q Question) MarshalJSONTo(enc *jsontext.Encoder) error {
	type plain Question
	return json.MarshalEncode(enc, plain(q), jsonv1.FormatDurationAsNano(true))
}

// UnmarshalJSONFrom reads what MarshalJSONTo wrote.
func (q *Question) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	type plain Question
	return json.UnmarshalDecode(dec, (*plain)(q), jsonv1.FormatDurationAsNano(true))
}

// MarshalJSONTo writes ages as integers.
func (d Decision) MarshalJSONTo(enc *jsontext.Encoder) error {
	type plain Decision
	return json.MarshalEncode(enc, plain(d), jsonv1.FormatDurationAsNano(true))
}

// UnmarshalJSONFrom reads what MarshalJSONTo wrote.
func (d *Decision) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	type plain Decision
	return json.UnmarshalDecode(dec, (*plain)(d), jsonv1.FormatDurationAsNano(true))
}

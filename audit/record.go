// Package audit is what is recorded about an access: the record that becomes a leaf of the log, its sealed evidence,
// search, replay and retention. License facts reach it as plain strings.
package audit

// A Record is the leaf: its RFC 8785 bytes are what both trees commit to, at most MaxRecord bytes. It carries no
// personal data: holders and operators stand in it as commitments that cannot be linked or guessed. Members are declared in
// the order of their names, so that they are written in canonical form at once.
//
// What search finds a record by needs no digest of its own here: since version 3 every plain search column follows from the leaf alone, and
// every keyed digest from the leaf's commitments and the evidence that opens them.
type Record struct {
	AnswerDigest string `json:"answer_digest"` // base64url SM3 of the answer bytes
	// Changes binds the state changes that committed with the record: base64url SM3 of the JCS list of their bound forms (Entry.Bound).
	// Without one the member is missing. Since version 3.
	Changes   string `json:"changes,omitzero"`
	Evidence  string `json:"evidence"`  // base64url SM3 of the JCS list of the parts' digests
	Operation string `json:"operation"` // such as "licenses.query"
	// OperatorProof says how the operator is known: OperatorAsserted, OperatorBySession, OperatorByCall or OperatorNone. Mandatory since
	// version 3; missing before.
	OperatorProof string `json:"operator_proof,omitzero"`
	// OperatorRoles are what the operator may act as, and OperatorService is the identity service that says so and vouches for the person:
	// with OperatorBySession and OperatorByCall only. Without them the members are missing. Since version 4.
	OperatorRoles   []string `json:"operator_roles,omitzero"` // sorted, at most MaxRoles
	OperatorService string   `json:"operator_service,omitzero"`

	Policy string `json:"policy"` // digest of the policy set that decided
	// RequestCommitment stands for a request id that the caller wrote in a form of its own: HMAC-SM3(r, JCS([RequestType, id])). Without
	// one the member is missing. Since version 2.
	RequestCommitment string `json:"request_commitment,omitzero"`
	RequestID         string `json:"request_id"`   // the same over retries; statistics count it once; "" beside a commitment
	System            string `json:"system"`       // id of the system that asked
	Time              string `json:"time"`         // RFC 3339 UTC with milliseconds
	TokenDigest       string `json:"token_digest"` // base64url SM3 of the compact JWS; "" for a call that none signs, made within the gateway's process, and for the gateway's own records
	Uses              []Use  `json:"uses"`         // one per material asked about; never null
	V                 int    `json:"v"`            // schema version: 1 to Version
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
	// Need is is_need for the reuse rate: 1 required, 2 optional, 3 may follow later; 0 where the use does not count, and then the member is
	// missing. Since version 3.
	Need     int      `json:"need,omitzero"`
	Operator string   `json:"operator"` // commitment, or ""
	Rules    []string `json:"rules"`
	Source   string   `json:"source"`
}

// answers reports whether the record answers a call; else it is one of the gateway's own.
func (r Record) answers() bool { return r.TokenDigest != "" || r.AnswerDigest != "" }

// How the operator of a record is known (Record.OperatorProof).
const (
	OperatorAsserted  = "asserted" // the calling system says so
	OperatorBySession = "session"  // an identity service says that the person was signed in at the calling system
	OperatorByCall    = "call"     // an identity service says that the person stood behind this very call
	OperatorNone      = "none"     // nobody acted: the gateway itself, or a system without an operator
)

// MaxRoles and MaxRole bound the roles in a record: their number, and the length of each in bytes.
const (
	MaxRoles = 16
	MaxRole  = 64
)

// MaxRecord is the greatest length of a record in bytes.
const MaxRecord = 60 << 10

// Package audit is the audit trail of accesses: the record that becomes a leaf of the log, its sealed evidence, search,
// replay and retention. License facts reach it as plain strings.
package audit

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json"
	jsonv1 "github.com/go-json-experiment/json/v1"

	"oncegate/canonical"
	"oncegate/license"
)

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

// A Use is one license asked about, for one purpose. In a Draft the persons that Recorder commits to stand beside it: no JSON has them, so that
// no leaf does, and no Use that was read.
type Use struct {
	Person        license.HolderID `json:"-"` // the holder asked about; zero: nobody
	CommittedCase string           `json:"-"` // a case number that is nothing but the caller's word; then Case is empty

	Basis string `json:"basis"`
	Case  string `json:"case"` // number of a case that is registered and that the caller may know
	// CaseCommitment stands for a case number that is nothing but the caller's word: HMAC-SM3(r, JCS([CaseType, number])). The record is
	// the same whether there is such a case or not. Without one the member is missing. Since version 2.
	CaseCommitment string   `json:"case_commitment,omitzero"`
	Decision       string   `json:"decision"` // "release", "met", "missing", "lapsed", "mismatched", "confirm", "denied", "unavailable", …
	Fields         []string `json:"fields"`
	Freshness      string   `json:"freshness"` // "live", "drop", "stale" or ""; with the as-of time: "drop 2026-11-23T01:00:00.000Z"
	Holder         string   `json:"holder"`    // commitment, or ""; as CaseCommitment and Operator, set by Recorder
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

// Version is the highest schema version of records. Each is written in the lowest from 3 on that can say what it says (Draft.version).
// Version 1 knew no commitments to case numbers and request ids; version 2 neither bound changes nor said how the operator is known, and
// left what a use counts for to the search index; version 3 knew no identity services.
const Version = 4

// maxNeed is the greatest is_need.
const maxNeed = 3

// ErrRecord says that a leaf is not a record.
var ErrRecord = errors.New("not a record")

// ParseRecord reads a leaf strictly: exactly the bytes that canonical.Marshal writes for a Record of version 1 to Version, at most MaxRecord.
// Every error is ErrRecord and quotes nothing of the leaf.
func ParseRecord(leaf []byte) (Record, error) {
	if len(leaf) > MaxRecord {
		return Record{}, fmt.Errorf("%w: longer than %d bytes", ErrRecord, MaxRecord)
	}
	var r Record
	if err := json.Unmarshal(leaf, &r, json.RejectUnknownMembers(true)); err != nil {
		return Record{}, fmt.Errorf("%w: not the JSON of one", ErrRecord)
	}
	if r.V < 1 || r.V > Version {
		return Record{}, fmt.Errorf("%w: schema version %d is not known", ErrRecord, r.V)
	}
	// Writing it again and comparing proves that no member is missing or null and that the form is canonical.
	again, err := canonical.Marshal(r)
	if err != nil || !bytes.Equal(again, leaf) {
		return Record{}, fmt.Errorf("%w: not in canonical form, or a member is missing", ErrRecord)
	}
	if err := r.check(); err != nil {
		return Record{}, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	return r, nil
}

// check looks at values whose form is fixed.
func (r Record) check() error {
	if _, err := canonical.ParseTime(r.Time); err != nil {
		return errors.New("time is not RFC 3339 UTC with milliseconds")
	}
	if !canonical.IsDigest(r.Evidence) {
		return errors.New("evidence is no digest")
	}
	for name, value := range map[string]string{"token_digest": r.TokenDigest, "answer_digest": r.AnswerDigest, "policy": r.Policy} {
		if value != "" && !canonical.IsDigest(value) {
			return fmt.Errorf("%s is no digest", name)
		}
	}
	if r.RequestCommitment != "" && (r.V < 2 || r.RequestID != "" || !canonical.IsDigest(r.RequestCommitment)) {
		return errors.New("request_commitment is no digest, stands beside an id, or in a record of version 1")
	}
	if err := r.checkV3(); err != nil {
		return err
	}
	if err := r.checkV4(); err != nil {
		return err
	}
	for i, use := range r.Uses {
		if use.CaseCommitment != "" && (r.V < 2 || use.Case != "" || !canonical.IsDigest(use.CaseCommitment)) {
			return fmt.Errorf("use %d: case_commitment is no digest, stands beside a case, or in a record of version 1", i)
		}
		if use.Holder != "" && !canonical.IsDigest(use.Holder) || use.Operator != "" && !canonical.IsDigest(use.Operator) {
			return fmt.Errorf("use %d: a commitment is no digest", i)
		}
	}
	return nil
}

// checkV3 looks at the members that version 3 brought.
func (r Record) checkV3() error {
	if r.V < 3 {
		if r.Changes != "" || r.OperatorProof != "" || slices.ContainsFunc(r.Uses, func(u Use) bool { return u.Need != 0 }) {
			return errors.New("changes, operator_proof or need stands in a record of version 1 or 2")
		}
		return nil
	}
	if r.Changes != "" && !canonical.IsDigest(r.Changes) {
		return errors.New("changes is no digest")
	}
	if !slices.Contains([]string{OperatorAsserted, OperatorBySession, OperatorByCall, OperatorNone}, r.OperatorProof) {
		return errors.New("operator_proof is missing or not known")
	}
	for i, use := range r.Uses {
		if use.Need < 0 || use.Need > maxNeed {
			return fmt.Errorf("use %d: need is not within 1–%d", i, maxNeed)
		}
		if use.Operator != "" && r.OperatorProof == OperatorNone {
			return fmt.Errorf("use %d: an operator stands in a record of nobody's", i)
		}
	}
	return nil
}

// limits bound JSON that others wrote.
var limits = canonical.Limits{Bytes: 16 << 20, Depth: 64, Members: 4096}

// reformat returns the canonical bytes of JSON within limits.
func reformat(text []byte) ([]byte, error) {
	if err := canonical.Check(text, limits); err != nil {
		return nil, err
	}
	return canonical.ReformatChecked(bytes.Clone(text))
}

// writeExact writes numbers as they are, however great: what is sealed and replayed loses no bit. Durations are nanoseconds.
func writeExact(w *bytes.Buffer, v any) error {
	if err := json.MarshalWrite(w, v, json.Deterministic(true), jsonv1.FormatDurationAsNano(true)); err != nil {
		return canonical.ErrForm // the library's text may quote the value
	}
	return nil
}

// checkV4 looks at the members that version 4 brought. They are what it is for: a record without them is of version 3.
func (r Record) checkV4() error {
	vouched := r.OperatorProof == OperatorBySession || r.OperatorProof == OperatorByCall
	switch {
	case r.V < 4 && (vouched || r.OperatorRoles != nil || r.OperatorService != ""): // no version before wrote any of these
		return errors.New("an operator known by an identity service, operator_roles or operator_service stands in a record of version 1 to 3")
	case r.V < 4:
		return nil
	case !vouched || r.OperatorService == "":
		return errors.New("operator_service is missing, or the operator is not known by an identity service")
	case r.OperatorRoles != nil && (len(r.OperatorRoles) == 0 || len(r.OperatorRoles) > MaxRoles):
		return fmt.Errorf("operator_roles are not within 1–%d", MaxRoles)
	}
	for i, role := range r.OperatorRoles {
		if role == "" || len(role) > MaxRole || i > 0 && r.OperatorRoles[i-1] >= role {
			return errors.New("operator_roles are not sorted, or one is empty or too long")
		}
	}
	return nil
}

// Package policy is the authorization policy: it decides which system may see which fields of a license for which purpose. Grants are the sharing agreements of
// 政务数据共享条例 art. 20, indexed data; guards are Cedar rules that every decision passes. The decision is pure: it reads
// nothing but its Question and the loaded Set, so any decision can be replayed from its recorded inputs.
package policy

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
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
	LicenseType string        `json:"license_type,omitempty"` // catalogue id, or type of filed materials; empty for operations that release neither
	Trust       []string      `json:"trust,omitempty"`        // of a filed material: its trust level and all weaker ones
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

// An authorization says which rules open an operation.
type authorization uint8

const (
	byGrant                 authorization = 1 << iota // a question with a license type needs a grant
	byPermission                                      // a question without a license type needs a permission
	permissionCoversLicense                           // a permission also covers a question with a license type: nothing of the license leaves
	needsMatter                                       // a permission must name the matters it is for
)

// operations are what a Question may ask. A new operation of the gateway is one row here and one action in the schema.
var operations = map[string]authorization{
	"licenses.query":    byGrant,
	"licenses.verify":   byGrant | byPermission | permissionCoversLicense,
	"licenses.status":   byGrant | byPermission | permissionCoversLicense,
	"licenses.manage":   byPermission | permissionCoversLicense, // by the department that owns the type: the gateway sees to that
	"licenses.render":   byPermission | permissionCoversLicense, // the same: the whole license, to the department whose own it is
	"sources.try":       byPermission | permissionCoversLicense, // the same: that a license exists, and its fields masked
	"cases.check":       byGrant | byPermission,
	"precheck":          byGrant | byPermission,
	"cases.register":    byPermission | needsMatter,
	"cases.materials":   byPermission,
	"cases.file":        byPermission | permissionCoversLicense | needsMatter, // the window files what it received itself
	"filings.withdraw":  byPermission,                                         // by the department that filed, or on the holder's word: the gateway sees to that
	"cases.close":       byPermission,
	"cases.handover":    byPermission,                           // whoever keeps the case's file: its filed uploads may be erased then
	"cases.result":      byPermission | permissionCoversLicense, // by the department that issues the type: the gateway sees to that
	"cases.represent":   byGrant | byPermission,                 // a permission to record who comes, a grant for what names a guardian
	"cases.read":        byGrant | byPermission,                 // a permission for the case, a grant for how a material stands; by the registrar: the gateway sees to that
	"consents.register": byPermission,
	"consents.withdraw": byGrant | byPermission, // a permission, a grant for what names who stands for the holder
	"catalog.read":      byPermission,
	"receipts.read":     byPermission,
	"holders.accesses":  byGrant | byPermission, // a permission to ask for holders, a grant for what names who stands for one
	"audit.search":      byPermission,
	"audit.supervise":   byPermission, // records of who looked at records: whoever supervises auditors
	"audit.verify":      byPermission,
	"audit.export":      byPermission,
	"audit.erase":       byPermission,
	"log.read":          byPermission,
	"node.status":       byPermission, // how well a node is: for whoever runs it
}

// Operations returns the operations that a Question may name, sorted. Every other operation is denied.
func Operations() []string { return slices.Sorted(maps.Keys(operations)) }

// The purposes of a Question and of a Grant.
const (
	Answer  = "answer"  // fields go to the caller
	Confirm = "confirm" // a role is confirmed, fields stay inside
)

// The legal bases that need no entry among the set's bases.
const (
	ByCase    = "case"    // a registered case
	ByConsent = "consent" // the holder's consent
)

// Applicant is the role that every matter has.
const Applicant = "applicant"

// How the acting person is known (Question.OperatorProof): nobody acted; the calling system says who it is; an identity service says
// that the person was signed in there; an identity service says that the person stood behind this very call.
const (
	ProofNone     = "none"
	ProofAsserted = "asserted"
	ProofSession  = "session"
	ProofCall     = "call"
)

// proofs rank how the acting person is known, weakest first: each holds wherever a weaker one is asked for.
var proofs = []string{ProofNone, ProofAsserted, ProofSession, ProofCall}

// proofStrength ranks a proof; an unknown one proves nothing, as "none" does.
func proofStrength(proof string) int { return max(0, slices.Index(proofs, proof)) }

// attestations rank who vouches for a case, weakest first.
var attestations = []string{"self", "holder", "platform"}

// strength ranks an attestation; an unknown one is weaker than all.
func strength(attestation string) int { return slices.Index(attestations, attestation) }

// The codes of Reason, in the order in which reasons stand in a Decision.
const (
	UnknownOperation    = "unknown-operation"     // the gateway knows no such operation
	Suspended           = "suspended"             // system, license type, grant or permission is suspended (条例 art. 27)
	NotShared           = "not-shared"            // the type's share attribute is 不予共享 (art. 14)
	GuardRefused        = "guard"                 // a guard refuses
	NoGrant             = "no-grant"              // no grant covers the question
	NoPermission        = "no-permission"         // no permission covers the question
	MatterNotGranted    = "matter-not-granted"    // the system has the type granted, but not for this matter
	PurposeNotGranted   = "purpose-not-granted"   // the grant is for confirming a role only
	OperationNotGranted = "operation-not-granted" // the grant does not list the operation
	ProviderNotGranted  = "provider-not-granted"  // the grant is of another department
	BasisNotGranted     = "basis-not-granted"     // the grant does not accept this legal basis
	MaterialNotGranted  = "material-not-granted"  // the grant does not list the material
	RoleNotGranted      = "role-not-granted"      // the grant does not list the role
	GrantNotYetValid    = "grant-not-yet-valid"   // valid_from lies ahead
	GrantExpired        = "grant-expired"         // valid_until has passed
	AttestationTooWeak  = "attestation-too-weak"  // the case is attested more weakly than the grant asks
	ConsentMissing      = "consent-missing"       // a consent is needed and none stands
	TooStale            = "too-stale"             // the copy is older than the grant allows
	TrustTooLow         = "trust-too-low"         // the filed material is of a weaker trust level than the grant asks
	OperatorProofWeak   = "operator-proof-weak"   // the acting person is known more weakly than the rule asks
	OperatorRoleMissing = "operator-role-missing" // the acting person is proven in none of the roles that the rule asks for
	FieldNotGranted     = "field-not-granted"     // a field was asked for that no grant gives
	FieldWithheld       = "field-withheld"        // a guard withholds a field
)

// DenyByDefault stands in Decision.Rules where no grant or permission fired.
const DenyByDefault = "deny-by-default"

// A code is the place of a reason's code in the fixed order. Codes of one grant's conditions form a bit mask.
type code uint8

const (
	unknownOperation code = iota
	suspended
	notShared
	guardRefused
	noGrant
	noPermission
	matterNotGranted // from here to roleNotGranted: how near a grant came, nearest last
	purposeNotGranted
	operationNotGranted
	providerNotGranted
	basisNotGranted
	materialNotGranted
	roleNotGranted
	grantNotYetValid // from here: conditions of a grant that covers the question
	grantExpired
	attestationTooWeak
	consentMissing
	tooStale
	trustTooLow
	operatorProofWeak
	operatorRoleMissing
	fieldNotGranted
	fieldWithheld
	codes
)

// covered is the code of a grant whose scope covers the question: no scope code applies.
const covered = codes

// texts are the codes with their sentences. Sentences name no field, system or person: those stand in Rule and Fields.
var texts = [codes]Reason{
	unknownOperation:    {Code: UnknownOperation, Zh: "未知的操作。", En: "The operation is not known."},
	suspended:           {Code: Suspended, Zh: "共享服务已被暂停。", En: "The sharing service is suspended."},
	notShared:           {Code: NotShared, Zh: "该证照类型属于不予共享。", En: "Licenses of this type are not shared."},
	guardRefused:        {Code: GuardRefused, Zh: "被防护规则拒绝。", En: "A guard refuses."},
	noGrant:             {Code: NoGrant, Zh: "没有授权支持该请求。", En: "No grant covers the question."},
	noPermission:        {Code: NoPermission, Zh: "该系统没有执行此操作的许可。", En: "The system has no permission for this operation."},
	matterNotGranted:    {Code: MatterNotGranted, Zh: "授权不包含该事项。", En: "The matter is not among those granted."},
	purposeNotGranted:   {Code: PurposeNotGranted, Zh: "授权仅限于角色核实，不得返回字段。", En: "The grant is for confirming a role only."},
	operationNotGranted: {Code: OperationNotGranted, Zh: "授权不包含该操作。", En: "The operation is not among those granted."},
	providerNotGranted:  {Code: ProviderNotGranted, Zh: "授权不属于该提供部门。", En: "The grant is of another department."},
	basisNotGranted:     {Code: BasisNotGranted, Zh: "授权不接受该使用依据。", En: "The grant does not accept this legal basis."},
	materialNotGranted:  {Code: MaterialNotGranted, Zh: "授权不包含该材料。", En: "The material is not among those granted."},
	roleNotGranted:      {Code: RoleNotGranted, Zh: "授权不包含该角色。", En: "The role is not among those granted."},
	grantNotYetValid:    {Code: GrantNotYetValid, Zh: "授权尚未生效。", En: "The grant is not valid yet."},
	grantExpired:        {Code: GrantExpired, Zh: "授权已过期。", En: "The grant has expired."},
	attestationTooWeak:  {Code: AttestationTooWeak, Zh: "办件的证明强度低于授权的要求。", En: "The case is attested more weakly than the grant asks."},
	consentMissing:      {Code: ConsentMissing, Zh: "缺少持证主体的有效同意。", En: "A consent of the holder is needed and none stands."},
	tooStale:            {Code: TooStale, Zh: "数据副本的时效超过授权允许的范围。", En: "The copy is older than the grant allows."},
	trustTooLow:         {Code: TrustTooLow, Zh: "存档材料的可信等级低于授权的要求。", En: "The filed material is of a weaker trust level than the grant asks."},
	operatorProofWeak:   {Code: OperatorProofWeak, Zh: "对经办人身份的证明弱于规则的要求。", En: "The person who acts is known more weakly than the rule asks."},
	operatorRoleMissing: {Code: OperatorRoleMissing, Zh: "经办人不具备规则要求的角色。", En: "The person who acts has none of the roles that the rule asks for."},
	fieldNotGranted:     {Code: FieldNotGranted, Zh: "所请求的部分字段没有授权。", En: "Some of the fields asked for are not granted."},
	fieldWithheld:       {Code: FieldWithheld, Zh: "防护规则不提供部分字段。", En: "A guard withholds some fields."},
}

// Codes returns every code a Reason may carry, in the order in which reasons stand in a Decision.
func Codes() []string {
	list := make([]string, codes)
	for i, t := range texts {
		list[i] = t.Code
	}
	return list
}

// Reasons returns the reasons of [Codes], each with its code's own sentences.
func Reasons() []Reason { return slices.Clone(texts[:]) }

// because makes a reason of the code's own sentences.
func because(c code, rule string) Reason {
	r := texts[c]
	r.Rule = rule
	return r
}

// becauseOfOperator makes a reason that says what of the acting person a rule asks for, and what the question has. Whoever reads it knows
// the call already; a rule's demands are no secret to those who may know why it refuses.
func becauseOfOperator(c code, demands operatorDemands, q *Question, rule string) Reason {
	if c == operatorProofWeak {
		return becauseOf(c, rule, fmt.Sprintf("须有经办人证明“%s”；本次请求为“%s”。", demands.proof, proofOf(q)),
			fmt.Sprintf("Operator proof '%s' is required; this call has '%s'.", demands.proof, proofOf(q)))
	}
	has := &sentences{}
	return becauseOf(c, rule, fmt.Sprintf("须有经办人角色“%s”之一；本次请求证明的角色：%s。", strings.Join(demands.roles, "、"), (&sentences{zh: true}).names(provenRoles(q), "无", "none")),
		fmt.Sprintf("One of the operator roles %s is required; this call proves: %s.", strings.Join(demands.roles, ", "), has.names(provenRoles(q), "无", "none")))
}

// becauseOf makes a reason with sentences written by the steward.
func becauseOf(c code, rule, zh, en string) Reason {
	return Reason{Code: texts[c].Code, Rule: rule, Zh: zh, En: en}
}

// position is the place of a reason in the fixed order.
func position(r Reason) int {
	return slices.IndexFunc(texts[:], func(t Reason) bool { return t.Code == r.Code })
}

// inOrder puts reasons into the fixed order, by code and then by rule, and drops repetitions.
func inOrder(reasons []Reason) []Reason {
	slices.SortFunc(reasons, func(a, b Reason) int {
		return cmp.Or(cmp.Compare(position(a), position(b)), cmp.Compare(a.Rule, b.Rule))
	})
	return slices.CompactFunc(reasons, func(a, b Reason) bool { return a.Code == b.Code && a.Rule == b.Rule })
}

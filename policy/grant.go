package policy

// A Document is one policy file (.yaml): lists of rules in any order, all optional. Files of a set add up; an id may
// stand only once in the whole set. Unknown keys are faults.
type Document struct {
	Grants      []Grant      `yaml:"grants"`      // who may see which fields of a license for which purpose
	Permissions []Permission `yaml:"permissions"` // who may do what releases no license
	Shares      []Share      `yaml:"shares"`      // share attribute of each license type
	Suspensions []Suspension `yaml:"suspensions"` // what is suspended now
	Systems     []System     `yaml:"systems"`     // what guards may know about a system
	Bases       []Basis      `yaml:"bases"`       // legal bases other than a case and a consent
}

// A Grant is one sharing agreement (政务数据共享条例 art. 20: 使用依据, 使用场景, 使用范围, 使用时限): it lets some systems
// see some fields of one license type for some matters. Grants only permit; what no grant gives is refused.
type Grant struct {
	ID        string `yaml:"id"`        // unique in the set: letters, digits and ._-:/, at most 96 bytes; stands in records
	Agreement string `yaml:"agreement"` // text or number of the sharing agreement

	// Provider is the department that owns the data (数源部门); a question about a source of another department is not
	// covered.
	Provider    string   `yaml:"provider"`
	Systems     []string `yaml:"systems"`      // ids of the systems that may ask; at least one, no wildcard
	LicenseType string   `yaml:"license_type"` // catalogue id; or
	// FilingType is a type of filed materials (存档材料) that a case may use again; then provider is the department whose windows filed it.
	FilingType string `yaml:"filing_type"`
	// Trust is the weakest trust level (可信等级) that will do. Needed with filing_type, and only there.
	Trust      string   `yaml:"trust"`
	Operations []string `yaml:"operations"` // such as [licenses.query, cases.check]; at least one

	Grounds   []string `yaml:"grounds"`   // legal bases accepted: "case" (default), "consent", or ids of the set's bases
	Matters   []string `yaml:"matters"`   // codes of the matters (事项); needed with ground "case", empty with others: whatever the matter
	Materials []string `yaml:"materials"` // codes of the matters' materials; empty: any material of the matters
	Roles     []string `yaml:"roles"`     // roles the holder may have; empty: applicant only
	Fields    []string `yaml:"fields"`    // fields that may leave; empty: only that such a license exists and its status

	// Purpose is "answer" (default: fields go to the caller, and roles may be confirmed by them) or "confirm" (fields are
	// compared inside to confirm a role, and never leave).
	Purpose string `yaml:"purpose"`

	Basis     string `yaml:"basis"`      // 使用依据: citation of the law, regulation or decision, with its article
	BasisKind string `yaml:"basis_kind"` // "law" 法律, "regulation" 行政法规 or 地方性法规, "decision" 国务院决定, "rule" 规章, "duty" 法定职责, "agreement" 协议
	Scenario  string `yaml:"scenario"`   // 使用场景: one sentence

	// Attestation is the weakest attestation of a case that will do: "self", "holder" or "platform". Needed with ground
	// "case".
	Attestation string `yaml:"attestation"`
	// OperatorProof is the weakest proof of the acting person that will do: "asserted", "session" or "call"; empty or "none": any.
	OperatorProof string `yaml:"operator_proof"`
	// OperatorRoles are roles of which the acting person needs one, as an identity service asserts them; empty: whatever the role.
	OperatorRoles []string `yaml:"operator_roles"`

	Consent    bool   `yaml:"consent"`     // the holder's consent is needed besides a case; with ground "consent" it always is
	MaxAge     string `yaml:"max_age"`     // greatest age of a kept copy, such as "36h" or "7d"; empty: live only
	ValidFrom  string `yaml:"valid_from"`  // first day "2026-01-01" (China Standard Time) or RFC 3339 time; empty: at once
	ValidUntil string `yaml:"valid_until"` // last day, or the RFC 3339 time at which it ends (使用时限); needed
}

// A Permission lets systems do what releases no field of a license: register cases of a matter, search the audit, read
// log entries, register consents, ask a status, pre-check, close a case. Two exceptions release a department's own licenses
// to that department: licenses.render and, masked, sources.try.
type Permission struct {
	ID           string   `yaml:"id"`            // unique in the set
	Systems      []string `yaml:"systems"`       // ids of the systems; at least one, no wildcard
	Operations   []string `yaml:"operations"`    // such as [cases.register, cases.close]; at least one
	Matters      []string `yaml:"matters"`       // codes of the matters; needed for cases.register, else empty: any
	LicenseTypes []string `yaml:"license_types"` // license types, or for cases.file types of filed materials; for licenses.verify, licenses.status, licenses.manage, licenses.render and sources.try; empty: any
	Basis        string   `yaml:"basis"`         // why: citation or decision

	OperatorProof string   `yaml:"operator_proof"` // as in a grant
	OperatorRoles []string `yaml:"operator_roles"` // as in a grant
	ValidFrom     string   `yaml:"valid_from"`     // as in a grant
	ValidUntil    string   `yaml:"valid_until"`    // as in a grant; empty: until it is taken away
}

// The share attributes (共享属性) of 政务数据共享条例 art. 14.
const (
	Unconditional = 1 // 无条件共享
	Conditional   = 2 // 有条件共享
	Withheld      = 3 // 不予共享
)

// A Share is the share attribute of one license type. A type that has none is treated as Conditional. Whatever it says,
// a grant is needed; Withheld refuses even where a grant stands.
type Share struct {
	LicenseType string `yaml:"license_type"` // catalogue id, or a type of filed materials
	Attribute   int    `yaml:"share"`        // 1 无条件, 2 有条件, 3 不予
	Provider    string `yaml:"provider"`     // department that owns the type
	Sensitive   bool   `yaml:"sensitive"`    // holds sensitive personal information (敏感个人信息)
	Scope       string `yaml:"scope"`        // needed with 2: scope and use (art. 15)
	Reason      string `yaml:"reason"`       // needed with 3: why (art. 15)
	Basis       string `yaml:"basis"`        // needed with 3: law, regulation or decision that says so (art. 14)
}

// A Suspension stops sharing (art. 27: misuse → 暂停) without touching the grants. Systems and license types given
// together stop those systems for those types; rules stop the grants and permissions named.
type Suspension struct {
	ID           string   `yaml:"id"`            // unique in the set
	Systems      []string `yaml:"systems"`       //
	LicenseTypes []string `yaml:"license_types"` //
	Rules        []string `yaml:"rules"`         // ids of grants or permissions; then neither systems nor license types
	ReasonZh     string   `yaml:"reason_zh"`     // needed: one sentence, shown to those who may know
	ReasonEn     string   `yaml:"reason_en"`     // needed
	From         string   `yaml:"from"`          // as valid_from of a grant
	Until        string   `yaml:"until"`         // as valid_until of a grant; empty: until it is taken away
}

// A System is what guards may know about a system besides its department, which comes with the Question.
type System struct {
	ID   string   `yaml:"id"`   //
	Tags []string `yaml:"tags"` // free words, such as "window" or "self-service"
}

// A Basis is a legal basis that a call may cite instead of a case, such as the order of a court.
type Basis struct {
	ID       string `yaml:"id"`       // what Question.Basis says
	Title    string `yaml:"title"`    //
	Citation string `yaml:"citation"` // law and article; needed
}

// Known are the names that the rest of the configuration defines, so that a name in a policy that leads nowhere is a
// fault. Decide does not read them.
type Known struct {
	Departments map[string]bool        // ids
	Systems     map[string]bool        // ids
	Types       map[string][]string    // license type → names of its fields, the metadata common to all types included
	Filings     map[string][]string    // type of filed materials → names of its fields
	Trust       []string               // trust levels whose materials may be used again
	Matters     map[string]KnownMatter // by code
	// Operators are, by system, the roles that identity services may assert of its operators; a system that is missing has no identity
	// service.
	Operators map[string][]string
}

// A KnownMatter is what a policy may name of a matter.
type KnownMatter struct {
	Roles     map[string]bool   // beyond Applicant
	Materials map[string]string // material code → license type; "" where none is needed
	Filings   map[string]string // material code → type of filed materials, where one will do
}

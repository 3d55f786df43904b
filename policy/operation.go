package policy

import (
	"maps"
	"slices"
)

// An opener says what opens an operation.
type opener uint8

const (
	byGrant      opener = 1 << iota // a question with a license type needs a grant
	byPermission                    // a question without a license type needs a permission
	alsoTyped                       // a permission also covers a question with a license type: nothing of the license leaves
	needsMatter                     // a permission must name the matters it is for
)

// operations are what a Question may ask. A new operation of the gateway is one row here and one action in the schema.
var operations = map[string]opener{
	"licenses.query":    byGrant,
	"licenses.verify":   byGrant | byPermission | alsoTyped,
	"licenses.status":   byGrant | byPermission | alsoTyped,
	"licenses.manage":   byPermission | alsoTyped, // by the department that owns the type: the gateway sees to that
	"licenses.render":   byPermission | alsoTyped, // the same: the whole license, to the department whose own it is
	"cases.check":       byGrant | byPermission,
	"precheck":          byGrant | byPermission,
	"cases.register":    byPermission | needsMatter,
	"cases.materials":   byPermission,
	"cases.close":       byPermission,
	"consents.register": byPermission,
	"consents.withdraw": byPermission,
	"catalog.read":      byPermission,
	"receipts.read":     byPermission,
	"audit.search":      byPermission,
	"audit.verify":      byPermission,
	"audit.export":      byPermission,
	"audit.erase":       byPermission,
	"log.read":          byPermission,
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

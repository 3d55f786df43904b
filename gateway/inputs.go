package gateway

import (
	"errors"
	"time"

	"oncegate/api"
	"oncegate/cases"
	"oncegate/license"
	"oncegate/policy"
)

// An input is one entry of the sealed evidence: a question to the policy with what it answered, and what the answer to the
// caller rested on besides. Nothing in it names a person: it outlives the erasure of who it was about.
type input struct {
	Question *policy.Question `json:"question,omitempty"`
	Decision *policy.Decision `json:"decision,omitempty"` // missing where the case did not support the question
	Case     *caseInput       `json:"case,omitempty"`
	Consent  string           `json:"consent,omitempty"` // id of the consent that stood
	Role     string           `json:"role,omitempty"`    // why the role was not confirmed
	Found    *foundInput      `json:"found,omitempty"`
	Judged   *judgedInput     `json:"judged,omitempty"`
	Asked    any              `json:"asked,omitempty"` // where nothing was decided, or besides
}

// A caseInput is what the case said.
type caseInput struct {
	No        string         `json:"no"`
	Revision  int            `json:"revision"`
	Registrar string         `json:"registrar"`
	Reasons   []cases.Reason `json:"reasons,omitempty"` // why it does not support the question
}

// A foundInput is what the source said.
type foundInput struct {
	State    license.Found `json:"state"`
	Source   string        `json:"source,omitempty"`
	AsOf     api.Time      `json:"as_of"`
	Stale    bool          `json:"stale,omitempty"`
	Records  int           `json:"records,omitempty"`
	Error    string        `json:"error,omitempty"`    // why it is unavailable; where a kept copy stood in, why the source was
	Versions []string      `json:"versions,omitempty"` // identifiers of the signed versions that left
	Form     string        `json:"form,omitempty"`     // in which an annotated copy was wanted besides
}

// A judgedInput is how a material was judged.
type judgedInput struct {
	State    cases.State    `json:"state"`
	Reason   cases.Reason   `json:"reason,omitempty"`
	Record   int            `json:"record"`
	Covered  string         `json:"covered,omitempty"`
	Received []receivedNote `json:"received,omitempty"`
	From     license.Date   `json:"from,omitempty"`
	Day      license.Date   `json:"day"`
	Deadline license.Date   `json:"deadline,omitempty"`
}

// A receivedNote is what the window received for a material.
type receivedNote struct {
	How string    `json:"how"`
	By  string    `json:"by"`
	At  time.Time `json:"at"`
}

// explain fills in what a need's answer rested on. A need that was never decided gets an entry without a decision.
func (n *need) explain(c *call) {
	if n.in == nil {
		q := n.question
		n.in = &input{Question: &q}
		c.inputs = append(c.inputs, n.in)
	}
	n.in.Consent = n.consent
	if n.facts.Case != "" || len(n.facts.Reasons) > 0 {
		n.in.Case = &caseInput{No: n.facts.Case, Revision: n.facts.Revision, Registrar: n.facts.Registrar, Reasons: n.facts.Reasons}
	}
	if n.role != nil {
		n.in.Role = reasonCode(n.role)
	}
	if f := n.finding; f.State != "" {
		n.in.Found = &foundInput{State: f.State, Source: f.Source, AsOf: api.At(f.AsOf), Stale: f.Stale, Records: len(f.Records), Versions: n.versions, Form: string(n.form)}
		if err := errors.Join(f.Err, n.down); err != nil {
			n.in.Found.Error = err.Error()
		}
	}
	n.in.Judged = n.judged
}

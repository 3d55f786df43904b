package audit

import (
	"cmp"
	"time"

	"oncegate/canonical"
	"oncegate/license"
)

// A Draft is what the gateway knows of a call when it is about to answer.
type Draft struct {
	Operation          string    // such as "licenses.query"
	System             string    // id of the asking system
	Operator           string    // code of the operator (经办人) as the system states it; may be empty
	OperatorProof      string    // how the operator is known; empty: OperatorAsserted where one is named, else OperatorNone
	OperatorRoles      []string  // what the operator may act as, sorted; with OperatorService only
	OperatorService    string    // identity service that vouches for the operator; needed for OperatorBySession and OperatorByCall
	RequestID          string    // as it is to stand in the record
	CommittedRequestID string    // a request id that is to stand there as a commitment, because it may hold anything; then RequestID is empty
	Time               time.Time // what the record says; zero: when it is made
	Token              string    // compact JWS of the call
	Body               []byte    // exact body bytes
	Answer             []byte    // exact answer bytes, RFC 8785; those of Canonical
	Policy             string    // digest of the policy set that decided
	Uses               []DraftUse

	// Inputs are the inputs of every decision, any value that JSON can say, without personal codes: what Replay
	// returns. Reasons are the real reasons of refusals. Both stand in the sealed evidence only.
	Inputs, Reasons any

	// Erase is what the record orders to be erased, nil if it is no order. It stands in the sealed evidence, where it outlives every
	// erasure. Auditor.Erase carries it out.
	Erase *Order

	Claim   *Claim // the call's jti; nil where none is claimed
	Changes []any  // what else commits with the record; each is a Change

	hidden *hidden // by Recorder.Hide
}

// A DraftUse is a use with what a record must not say openly.
type DraftUse struct {
	Use                            // Holder, CaseCommitment and Operator are ignored: Recorder sets them
	CommittedCase string           // a case number that is nothing but the caller's word: it stands in the record as a commitment; then Case is empty
	Person        license.HolderID // the holder asked about; zero: nobody
}

// record makes the record; persons have commitments already.
func (d Draft) record(c Config, now time.Time, persons people, evidence, changes string) Record {
	r := Record{
		Changes:   changes,
		V:         d.version(),
		Time:      now.Format(canonical.TimeLayout),
		System:    d.System,
		Operation: d.Operation,
		RequestID: d.RequestID,
		Policy:    d.Policy,
		Evidence:  evidence,
		Uses:      make([]Use, len(d.Uses)),
	}
	if d.Token != "" {
		r.TokenDigest = c.digest([]byte(d.Token))
	}
	r.OperatorProof, r.OperatorService = d.operatorProof(), d.OperatorService
	if len(d.OperatorRoles) > 0 {
		r.OperatorRoles = d.OperatorRoles
	}
	if d.Answer != nil {
		r.AnswerDigest = c.digest(d.Answer)
	}
	r.RequestCommitment = persons.find(requestID(d.CommittedRequestID)).commitment
	by := persons.find(operator(d.Operator)).commitment
	for i, use := range d.Uses {
		r.Uses[i] = use.Use
		r.Uses[i].Holder = persons.find(use.Person).commitment
		r.Uses[i].Operator = by
		r.Uses[i].CaseCommitment = persons.find(caseNumber(use.CommittedCase)).commitment
	}
	return r
}

// operatorProof is how the operator is known: where the draft does not say, by the calling system's word, if it names one.
func (d Draft) operatorProof() string {
	switch {
	case d.OperatorProof != "":
		return d.OperatorProof
	case d.Operator == "":
		return OperatorNone
	}
	return OperatorAsserted
}

// version is the lowest schema version that can say what the draft says, so that nodes of an earlier version go on reading what does not
// concern them.
func (d Draft) version() int {
	if d.OperatorService != "" {
		return 4
	}
	return 3
}

// index makes what search may find the record by.
func (d Draft) index(now time.Time, persons people) Index {
	index := Index{
		Time:      now,
		System:    d.System,
		Operation: d.Operation,
		RequestID: cmp.Or(d.RequestID, persons.find(requestID(d.CommittedRequestID)).keyed),
		Operator:  persons.find(operator(d.Operator)).keyed,
		Uses:      make([]IndexUse, len(d.Uses)),
	}
	for i, use := range d.Uses {
		index.Uses[i] = IndexUse{
			Matter:      use.Matter,
			Case:        cmp.Or(use.Case, persons.find(caseNumber(use.CommittedCase)).keyed),
			Material:    use.Material,
			Need:        use.Need,
			LicenseType: use.LicenseType,
			Decision:    use.Decision,
			Holder:      persons.find(use.Person).keyed,
		}
	}
	return index
}

// changes puts the claim first: a used jti is the one refusal that leaves no record.
func (d Draft) changes() []any {
	if d.Claim == nil {
		return d.Changes
	}
	return append([]any{*d.Claim}, d.Changes...)
}

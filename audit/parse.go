package audit

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"oncegate/canonical"

	"github.com/go-json-experiment/json"
)

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

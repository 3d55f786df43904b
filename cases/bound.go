package cases

import (
	"errors"
	"fmt"

	"oncegate/canonical"
	"oncegate/license"
)

// ErrBound says that bytes are not the bound form of a change of this room.
var ErrBound = errors.New("not the bound form of a change of cases")

// The bound forms of the changes (audit.Change), as ParseBound returns them: every column that the change sets. Times are microseconds since
// 1970 UTC, 0 for one that is not stated. Members are declared in the order of their names, so that they are written in canonical form at
// once.
type (
	// BoundRegister is that of Register: "cases.register".
	BoundRegister struct {
		Accepted    int64       `json:"accepted"`
		Attestation Attestation `json:"attestation"`
		Change      string      `json:"change"`
		Closed      int64       `json:"closed"`
		Matter      string      `json:"matter"`
		No          string      `json:"no"`
		Parties     string      `json:"parties"` // commitment to PartiesCommitted
		Parts       []string    `json:"parts"`   // codes of matters; never null
		Registered  int64       `json:"registered"`
		Registrar   string      `json:"registrar"`
		Revision    int         `json:"revision"`
	}
	// BoundClose is that of Close: "cases.close".
	BoundClose struct {
		Change   string `json:"change"`
		Closed   int64  `json:"closed"`
		No       string `json:"no"`
		Revision int    `json:"revision"` // after the closing
	}
	// BoundReceive is that of Receive: "cases.receive".
	BoundReceive struct {
		At       int64  `json:"at"`
		BySystem string `json:"by_system"`
		CaseNo   string `json:"case_no"`
		Change   string `json:"change"`
		Digest   string `json:"digest"`
		How      string `json:"how"`
		Material string `json:"material"`
		Matter   string `json:"matter"`
	}
	// BoundSetState is that of SetState: "cases.set_state".
	BoundSetState struct {
		At       int64  `json:"at"`
		BySystem string `json:"by_system"`
		CaseNo   string `json:"case_no"`
		Change   string `json:"change"`
		Material string `json:"material"`
		Matter   string `json:"matter"`
		State    State  `json:"state"`
	}
	// BoundHandOver is that of AddHandOver: "cases.hand_over".
	BoundHandOver struct {
		At       int64  `json:"at"`
		BySystem string `json:"by_system"`
		CaseNo   string `json:"case_no"`
		Change   string `json:"change"`
		Digest   string `json:"digest"`
	}
	// BoundRepresent is that of Represent: "cases.represent".
	BoundRepresent struct {
		At       int64  `json:"at"`
		BySystem string `json:"by_system"`
		CaseNo   string `json:"case_no"`
		Change   string `json:"change"`
		Kind     string `json:"kind"`
		Mandate  string `json:"mandate"`
		Person   string `json:"person"` // commitment to RepresentativeCommitted
	}
	// BoundIssue is that of Issue: "cases.issue".
	BoundIssue struct {
		At          int64  `json:"at"`
		BySystem    string `json:"by_system"`
		CaseNo      string `json:"case_no"`
		Change      string `json:"change"`
		License     string `json:"license"` // commitment to ResultCommitted
		LicenseType string `json:"license_type"`
	}
	// BoundFile is that of File: "cases.file".
	BoundFile struct {
		BySystem     string       `json:"by_system"`
		CaseNo       string       `json:"case_no"`
		Change       string       `json:"change"`
		Department   string       `json:"department"`
		Digest       string       `json:"digest"`
		Filed        int64        `json:"filed"`
		ID           string       `json:"id"`
		KeepUntil    int64        `json:"keep_until"`
		Level        string       `json:"level"`
		Material     string       `json:"material"`
		Matter       string       `json:"matter"`
		Media        string       `json:"media"`
		Person       string       `json:"person"` // commitment to FilingCommitted
		Proof        string       `json:"proof"`
		Size         int          `json:"size"`
		Type         string       `json:"type"`
		ValidUntil   license.Date `json:"valid_until"`
		Verification string       `json:"verification"`
	}
	// BoundUnfile is that of Unfile: "cases.unfile".
	BoundUnfile struct {
		Change      string `json:"change"`
		ID          string `json:"id"`
		Withdrawn   int64  `json:"withdrawn"` // and erased
		WithdrawnBy string `json:"withdrawn_by"`
	}
	// BoundEraseFile is that of EraseFile: "cases.erase_file".
	BoundEraseFile struct {
		Change string `json:"change"`
		Erased int64  `json:"erased"`
		ID     string `json:"id"`
	}
	// BoundGive is that of Give: "cases.give".
	BoundGive struct {
		Change    string   `json:"change"`
		Digest    string   `json:"digest"`
		Evidence  string   `json:"evidence"`
		Expires   int64    `json:"expires"`
		Given     int64    `json:"given"`
		Holder    string   `json:"holder"` // commitment to HolderCommitted
		ID        string   `json:"id"`
		Matters   []string `json:"matters"` // never null
		System    string   `json:"system"`
		Types     []string `json:"types"` // never null
		Withdrawn int64    `json:"withdrawn"`
	}
	// BoundWithdraw is that of Withdraw: "cases.withdraw".
	BoundWithdraw struct {
		Change    string `json:"change"`
		ID        string `json:"id"`
		Withdrawn int64  `json:"withdrawn"`
	}
)

// The names of the bound forms.
const (
	changeRegister  = "cases.register"
	changeClose     = "cases.close"
	changeReceive   = "cases.receive"
	changeSetState  = "cases.set_state"
	changeHandOver  = "cases.hand_over"
	changeIssue     = "cases.issue"
	changeRepresent = "cases.represent"
	changeFile      = "cases.file"
	changeUnfile    = "cases.unfile"
	changeEraseFile = "cases.erase_file"
	changeGive      = "cases.give"
	changeWithdraw  = "cases.withdraw"
)

// PartiesCommitted is the value whose JCS form a registration commits to: [role, type, code] of each party, in the stored order.
func PartiesCommitted(parties []Party) any {
	list := make([][3]string, len(parties))
	for i, p := range parties {
		list[i] = [3]string{p.Role, p.Holder.Type, p.Holder.Code}
	}
	return list
}

// HolderCommitted is the value whose JCS form a consent commits to: [type, code], as records commit to a holder.
func HolderCommitted(holder license.HolderID) any { return [2]string{holder.Type, holder.Code} }

// Bound returns BoundRegister; a new case has revision 1 or above.
func (c Register) Bound(commit func(r []byte, v any) (string, error), _ func([]byte) string) (any, error) {
	parties, err := commit(c.R[:], PartiesCommitted(c.Case.Parties))
	if err != nil {
		return nil, fmt.Errorf("commit to parties: %w", err)
	}
	parts := make([]string, len(c.Case.Parts))
	for i, p := range c.Case.Parts {
		parts[i] = p.Matter
	}
	return BoundRegister{
		Change: changeRegister, No: c.Case.No, Matter: c.Case.Matter, Parts: parts, Registrar: c.Case.Registrar, Attestation: c.Case.Attestation, Parties: parties,
		Accepted: canonical.Micros(c.Case.Accepted), Registered: canonical.Micros(c.Case.Registered), Closed: canonical.Micros(c.Case.Closed), Revision: max(c.Case.Revision, 1),
	}, nil
}

// Bound returns BoundClose.
func (c Close) Bound(func([]byte, any) (string, error), func([]byte) string) (any, error) {
	return BoundClose{Change: changeClose, No: c.No, Closed: max(canonical.Micros(c.At), 1), Revision: c.Revision + 1}, nil
}

// Bound returns BoundReceive.
func (c Receive) Bound(func([]byte, any) (string, error), func([]byte) string) (any, error) {
	r := c.Received
	return BoundReceive{
		Change: changeReceive, CaseNo: r.Case, Matter: r.Matter, Material: r.Material, How: r.How, Digest: r.Digest, BySystem: r.By, At: canonical.Micros(r.At),
	}, nil
}

// Bound returns BoundSetState.
func (c SetState) Bound(func([]byte, any) (string, error), func([]byte) string) (any, error) {
	return BoundSetState{
		Change: changeSetState, CaseNo: c.Case, Matter: c.Matter, Material: c.Material, State: c.State, BySystem: c.By, At: canonical.Micros(c.At),
	}, nil
}

// Bound returns BoundHandOver.
func (c AddHandOver) Bound(func([]byte, any) (string, error), func([]byte) string) (any, error) {
	return BoundHandOver{Change: changeHandOver, CaseNo: c.Case, Digest: c.Digest, BySystem: c.By, At: canonical.Micros(c.At)}, nil
}

// Bound returns BoundRepresent.
func (c Represent) Bound(commit func(r []byte, v any) (string, error), _ func([]byte) string) (any, error) {
	person, err := commit(c.R[:], RepresentativeCommitted(c.Representative))
	if err != nil {
		return nil, fmt.Errorf("commit to representative: %w", err)
	}
	return BoundRepresent{
		Change: changeRepresent, CaseNo: c.Case, Kind: c.Kind, Mandate: c.Mandate, Person: person, BySystem: c.By, At: canonical.Micros(c.At),
	}, nil
}

// Bound returns BoundIssue.
func (c Issue) Bound(commit func(r []byte, v any) (string, error), _ func([]byte) string) (any, error) {
	l, err := commit(c.R[:], ResultCommitted(c.Holder, c.License))
	if err != nil {
		return nil, fmt.Errorf("commit to license: %w", err)
	}
	return BoundIssue{Change: changeIssue, CaseNo: c.Case, LicenseType: c.License.Type, License: l, BySystem: c.By, At: canonical.Micros(c.At)}, nil
}

// Bound returns BoundFile.
func (c File) Bound(commit func(r []byte, v any) (string, error), _ func([]byte) string) (any, error) {
	f := c.Filing
	person, err := commit(c.R[:], FilingCommitted(f.Holder, f.Verifier))
	if err != nil {
		return nil, fmt.Errorf("commit to holder and verifier: %w", err)
	}
	return BoundFile{
		Change: changeFile, ID: f.ID, Type: f.Type, CaseNo: f.Case, Matter: f.Matter, Material: f.Material, Department: f.Department, BySystem: f.System, Person: person,
		Proof: f.Proof, Verification: f.Verification, Level: f.Level, Digest: f.Digest, Media: f.Media, Size: f.Size,
		Filed: canonical.Micros(f.Filed), ValidUntil: f.Until, KeepUntil: canonical.Micros(f.Keep),
	}, nil
}

// Bound returns BoundUnfile.
func (c Unfile) Bound(func([]byte, any) (string, error), func([]byte) string) (any, error) {
	return BoundUnfile{Change: changeUnfile, ID: c.ID, Withdrawn: max(canonical.Micros(c.At), 1), WithdrawnBy: c.By}, nil
}

// Bound returns BoundEraseFile.
func (c EraseFile) Bound(func([]byte, any) (string, error), func([]byte) string) (any, error) {
	return BoundEraseFile{Change: changeEraseFile, ID: c.ID, Erased: max(canonical.Micros(c.At), 1)}, nil
}

// Bound binds nothing: it is a precondition.
func (StillFiled) Bound(func([]byte, any) (string, error), func([]byte) string) (any, error) {
	return nil, nil
}

// Bound returns BoundGive.
func (c Give) Bound(commit func(r []byte, v any) (string, error), _ func([]byte) string) (any, error) {
	k := c.Consent
	holder, err := commit(c.R[:], HolderCommitted(k.Holder))
	if err != nil {
		return nil, fmt.Errorf("commit to holder: %w", err)
	}
	return BoundGive{
		Change: changeGive, ID: k.ID, Holder: holder, System: k.System, Types: listed(k.Types), Matters: listed(k.Matters), Evidence: k.Evidence, Digest: k.Digest,
		Expires: canonical.Micros(k.Expires), Given: canonical.Micros(k.Given), Withdrawn: canonical.Micros(k.Withdrawn),
	}, nil
}

// Bound returns BoundWithdraw.
func (c Withdraw) Bound(func([]byte, any) (string, error), func([]byte) string) (any, error) {
	return BoundWithdraw{Change: changeWithdraw, ID: c.ID, Withdrawn: max(canonical.Micros(c.At), 1)}, nil
}

// Bound binds nothing: it is a precondition.
func (StillOpen) Bound(func([]byte, any) (string, error), func([]byte) string) (any, error) {
	return nil, nil
}

// Bound binds nothing: it is a precondition.
func (StillGiven) Bound(func([]byte, any) (string, error), func([]byte) string) (any, error) {
	return nil, nil
}

// ParseBound reads the bound form of a change of this room strictly, and returns one of the Bound types. The error is ErrBound and quotes
// nothing.
func ParseBound(raw []byte) (any, error) {
	form, err := boundForms.Unmarshal(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBound, err)
	}
	return form, nil
}

var boundForms = canonical.Union{
	changeRegister:  canonical.Variant(func(b BoundRegister) bool { return canonical.IsDigest(b.Parties) && b.Revision > 0 }),
	changeClose:     canonical.Variant(func(b BoundClose) bool { return b.Closed > 0 && b.Revision > 0 }),
	changeReceive:   canonical.Variant(func(BoundReceive) bool { return true }),
	changeSetState:  canonical.Variant(func(b BoundSetState) bool { return b.State.IsFound() }),
	changeHandOver:  canonical.Variant(func(b BoundHandOver) bool { return canonical.IsDigest(b.Digest) }),
	changeIssue:     canonical.Variant(func(b BoundIssue) bool { return canonical.IsDigest(b.License) }),
	changeRepresent: canonical.Variant(func(b BoundRepresent) bool { return canonical.IsDigest(b.Person) && IsRepresentative(b.Kind) }),
	changeFile:      canonical.Variant(func(b BoundFile) bool { return canonical.IsDigest(b.Person) && b.Size > 0 }),
	changeUnfile:    canonical.Variant(func(b BoundUnfile) bool { return b.Withdrawn > 0 && isWithdrawer(b.WithdrawnBy) }),
	changeEraseFile: canonical.Variant(func(b BoundEraseFile) bool { return b.Erased > 0 }),
	changeGive:      canonical.Variant(func(b BoundGive) bool { return canonical.IsDigest(b.Holder) }),
	changeWithdraw:  canonical.Variant(func(b BoundWithdraw) bool { return b.Withdrawn > 0 }),
}

// listed is a list that is written as [] where it is empty.
func listed(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

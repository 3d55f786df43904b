package cases

import (
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"

	"oncegate/api"
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
	changeRegister = "cases.register"
	changeClose    = "cases.close"
	changeReceive  = "cases.receive"
	changeGive     = "cases.give"
	changeWithdraw = "cases.withdraw"
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
		Accepted: micros(c.Case.Accepted), Registered: micros(c.Case.Registered), Closed: micros(c.Case.Closed), Revision: max(c.Case.Revision, 1),
	}, nil
}

// Bound returns BoundClose.
func (c Close) Bound(func([]byte, any) (string, error), func([]byte) string) (any, error) {
	return BoundClose{Change: changeClose, No: c.No, Closed: max(micros(c.At), 1), Revision: c.Revision + 1}, nil
}

// Bound returns BoundReceive.
func (c Receive) Bound(func([]byte, any) (string, error), func([]byte) string) (any, error) {
	r := c.Received
	return BoundReceive{
		Change: changeReceive, CaseNo: r.Case, Matter: r.Matter, Material: r.Material, How: r.How, Digest: r.Digest, BySystem: r.By, At: micros(r.At),
	}, nil
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
		Expires: micros(k.Expires), Given: micros(k.Given), Withdrawn: micros(k.Withdrawn),
	}, nil
}

// Bound returns BoundWithdraw.
func (c Withdraw) Bound(func([]byte, any) (string, error), func([]byte) string) (any, error) {
	return BoundWithdraw{Change: changeWithdraw, ID: c.ID, Withdrawn: max(micros(c.At), 1)}, nil
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
	var named struct {
		Change string `json:"change"`
	}
	if json.Unmarshal(raw, &named) != nil {
		return nil, ErrBound
	}
	switch named.Change {
	case changeRegister:
		return parseBound(raw, func(b BoundRegister) bool { return isDigest(b.Parties) && b.Revision > 0 })
	case changeClose:
		return parseBound(raw, func(b BoundClose) bool { return b.Closed > 0 && b.Revision > 0 })
	case changeReceive:
		return parseBound(raw, func(BoundReceive) bool { return true })
	case changeGive:
		return parseBound(raw, func(b BoundGive) bool { return isDigest(b.Holder) })
	case changeWithdraw:
		return parseBound(raw, func(b BoundWithdraw) bool { return b.Withdrawn > 0 })
	}
	return nil, fmt.Errorf("%w: unknown change", ErrBound)
}

// parseBound reads one bound form and checks what its Go type does not say.
func parseBound[B any](raw []byte, valid func(B) bool) (any, error) {
	var b B
	if err := api.UnmarshalCanonical(raw, &b); err != nil || !valid(b) {
		return nil, ErrBound
	}
	return b, nil
}

// listed is a list that is written as [] where it is empty.
func listed(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// micros is a time as it is stored: microseconds since 1970 UTC, 0 for one that is not stated.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

package register

import (
	"errors"
	"fmt"

	"oncegate/canonical"
	"oncegate/license"
)

// ErrBound says that bytes are not the bound form of a change of this room.
var ErrBound = errors.New("not the bound form of a change of the register")

// The bound forms of the changes (audit.Change), as ParseBound returns them: every column that the change sets, but the bytes of a JWT and of
// an original, which stand as digests. Times are microseconds since 1970 UTC, 0 for one that is not stated; digests and keyed digests are
// base64url of 32 bytes. Members are declared in the order of their names, so that they are written in canonical form at once.
type (
	// BoundIssue is that of Issue: "register.issue". The version before it, if there is one, becomes superseded at Signed.
	BoundIssue struct {
		Change     string         `json:"change"`
		Content    string         `json:"content"`
		Identifier string         `json:"identifier"`
		Issuer     string         `json:"issuer"`
		JWT        string         `json:"jwt"` // SM3 of its text
		KeyID      string         `json:"key_id"`
		List       string         `json:"list"`
		Number     int            `json:"number"`
		Ordered    license.Status `json:"ordered"`
		OrderedAt  int64          `json:"ordered_at"`
		Serial     string         `json:"serial"`
		Signed     int64          `json:"signed"`
		Slot       int            `json:"slot"`
		Stated     license.Status `json:"stated"`
		Status     license.Status `json:"status"`
		StatusAt   int64          `json:"status_at"`
		Subject    string         `json:"subject"`
		Supersedes string         `json:"supersedes"` // identifier of the version before it; "" for the first
		Type       string         `json:"type"`
	}
	// BoundSetStatus is that of SetStatus: "register.set_status". The status column follows: EffectiveStatus of Stated and what is ordered.
	BoundSetStatus struct {
		Change     string         `json:"change"`
		Identifier string         `json:"identifier"`
		Stated     license.Status `json:"stated"`
		StatusAt   int64          `json:"status_at"`
	}
	// BoundOrder is that of Order: "register.order". The status column follows: EffectiveStatus of what is stated and Ordered.
	BoundOrder struct {
		Change     string         `json:"change"`
		Identifier string         `json:"identifier"`
		Ordered    license.Status `json:"ordered"`
		OrderedAt  int64          `json:"ordered_at"`
	}
	// BoundKeepOriginal is that of KeepOriginal: "register.keep_original". Digest is the SM3 of the document, not of its sealed bytes, which
	// are made anew when keys rotate.
	BoundKeepOriginal struct {
		Change     string `json:"change"`
		Digest     string `json:"digest"`
		Expires    int64  `json:"expires"`
		Identifier string `json:"identifier"`
		Made       int64  `json:"made"`
	}
)

// The names of the bound forms.
const (
	changeIssue        = "register.issue"
	changeSetStatus    = "register.set_status"
	changeOrder        = "register.order"
	changeKeepOriginal = "register.keep_original"
)

// Bound returns BoundIssue.
func (c Issue) Bound(_ func([]byte, any) (string, error), digest func([]byte) string) (any, error) {
	v := c.Version
	return BoundIssue{
		Change: changeIssue, Subject: canonical.Base64(v.Subject[:]), Number: v.Number, Type: v.Type, Issuer: v.Issuer, Serial: v.Serial, Identifier: v.Identifier,
		Content: canonical.Base64(v.Content[:]), JWT: digest([]byte(v.JWT)), KeyID: v.KeyID, Signed: canonical.Micros(v.Signed), Status: v.Status, Stated: v.Stated,
		StatusAt: canonical.Micros(v.StatusAt), Ordered: v.Ordered, OrderedAt: canonical.Micros(v.OrderedAt), List: v.List, Slot: v.Slot, Supersedes: c.Supersedes,
	}, nil
}

// Bound returns BoundSetStatus.
func (c SetStatus) Bound(func([]byte, any) (string, error), func([]byte) string) (any, error) {
	return BoundSetStatus{changeSetStatus, c.Identifier, c.To, canonical.Micros(c.At)}, nil
}

// Bound returns BoundOrder.
func (c Order) Bound(func([]byte, any) (string, error), func([]byte) string) (any, error) {
	return BoundOrder{changeOrder, c.Identifier, c.To, canonical.Micros(c.At)}, nil
}

// Bound returns BoundKeepOriginal.
func (c KeepOriginal) Bound(func([]byte, any) (string, error), func([]byte) string) (any, error) {
	o := c.Original
	return BoundKeepOriginal{changeKeepOriginal, canonical.Base64(o.Digest[:]), canonical.Micros(o.Expires), o.Identifier, canonical.Micros(o.Made)}, nil
}

// Bound binds nothing: the harm of an old copy is bounded by the age that a grant allows.
func (Keep) Bound(func([]byte, any) (string, error), func([]byte) string) (any, error) {
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
	changeIssue: canonical.Variant(func(b BoundIssue) bool {
		return canonical.IsDigest(b.Subject) && canonical.IsDigest(b.Content) && canonical.IsDigest(b.JWT) && b.Number > 0 && b.Slot >= 0
	}),
	changeSetStatus:    canonical.Variant(func(BoundSetStatus) bool { return true }),
	changeOrder:        canonical.Variant(func(BoundOrder) bool { return true }),
	changeKeepOriginal: canonical.Variant(func(b BoundKeepOriginal) bool { return canonical.IsDigest(b.Digest) }),
}

package cases

import (
	"slices"
	"time"

	"oncegate/license"
)

// A Result is a license with which a case ends (结果证照), as one of its holders has it. What is issued again under its number takes the
// place of what was issued before.
type Result struct {
	Case    string
	Holder  license.HolderID // whose it is: one of the license's holders
	License license.License
	By      string // id of the system that issued it
	At      time.Time
}

// ResultMark is how the store marks the row of a result among those of a case.
const ResultMark = "result"

// ResultCommitted is the value whose JCS form a record commits to.
func ResultCommitted(holder license.HolderID, l license.License) any {
	holders := make([][3]string, len(l.Holders))
	for i, h := range l.Holders {
		holders[i] = [3]string{h.Type, h.Code, h.Name}
	}
	return map[string]any{
		"holder": HolderCommitted(holder), "type": l.Type, "number": l.Number, "issuer": [3]string{l.Issuer.Name, l.Issuer.Code, l.Issuer.Level},
		"dates": [3]string{string(l.Issued), string(l.ValidFrom), string(l.ValidTo)}, "holders": holders, "status": string(l.Status), "fields": l.Fields,
	}
}

// Why a result is refused.
const (
	NotAResult  Reason = "not-a-result"  // no matter of the case ends with a license of this type
	NotForParty Reason = "result-holder" // the applicant is not among its holders, or a holder is no party
	NumberTaken Reason = "result-number-taken"
)

// EndingWith returns the codes of the case's matters that end with a license of a type: of a chain (一件事), those of its parts.
func (b *Book) EndingWith(c Case, licenseType string) (codes []string) {
	for _, m := range b.MattersOf(c) {
		if slices.Contains(m.Results, licenseType) {
			codes = append(codes, m.Code)
		}
	}
	return codes
}

// MayHold reports whether a license with which the case ends may have these holders: all are parties, and the applicant is among them.
func (c Case) MayHold(holders []license.Holder) bool {
	applied := false
	for _, h := range holders {
		roles := c.RolesOf(h.HolderID)
		if len(roles) == 0 {
			return false
		}
		applied = applied || slices.Contains(roles, Applicant)
	}
	return applied
}

package cases

import (
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
	NotAResult  Reason = "not-a-result" // no matter of the case ends with a license of this type
	NumberTaken Reason = "result-number-taken"
)

// EndsWith reports whether one of the case's matters ends with a license of a type.
func (b *Book) EndsWith(c Case, licenseType string) bool {
	for _, m := range b.MattersOf(c) {
		for _, id := range m.Results {
			if id == licenseType {
				return true
			}
		}
	}
	return false
}

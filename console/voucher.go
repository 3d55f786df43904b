package console

import (
	"encoding/base64"

	"oncegate/cases"
	"oncegate/license"
)

// A holder's own code (身份码, 电子营业执照) that an identity service resolves may bring that service's signed word (gateway.Assertion) that the
// holder shows it for one case of one hall. The hall registers the case under that number, and it is attested by the holder: more materials can be
// got than of a case that rests on a clerk's typing. The word is kept sealed for the session and never stands on a page; the gateway verifies it,
// once.

// A voucher is what the session keeps of a scanned code.
type voucher struct {
	Number    string           `json:"number"`
	Holder    license.HolderID `json:"holder"`
	Assertion string           `json:"assertion"`
}

func (v *visit) voucherID(number string) string {
	sum := v.console.NewSM3()
	_, _ = sum.Write([]byte("voucher " + number))
	return base64.RawURLEncoding.EncodeToString(sum.Sum(nil)[:16])
}

// vouch keeps the word of an identity service for the case that the hall will register. The fault says what is wrong with the code.
func (v *visit) vouch(a *asking, number, assertion string) (fault string) {
	holder, fault := v.holderOf(a.Type, a.Applicant)
	if fault != "" {
		return fault
	}
	if v.keep(v.r.Context(), v.voucherID(number), voucher{number, holder.Normal(), assertion}) != nil {
		return "这个码暂时读不了。请再扫一次。"
	}
	a.Registers, a.Vouched = number, true
	return ""
}

// vouched takes over from a form for which case the holder vouches: only where this session scanned the code, and the applicant is still its holder.
// What a form says alone makes nobody vouch.
func (v *visit) vouched(a *asking, number string) {
	if !caseNumber.MatchString(number) || a.No != "" {
		return
	}
	one, err := kept[voucher](v, v.voucherID(number))
	holder, _ := v.holderOf(a.Type, a.Applicant)
	if err == nil && one.Number == number && one.Holder == holder.Normal() {
		a.Registers, a.Vouched = number, true
	}
}

// attestation is who vouches for the case that the hall registers.
func (a asking) attestation() cases.Attestation {
	if a.Vouched {
		return cases.ByHolder
	}
	return cases.Self
}

package gateway

import (
	"oncegate/license"
)

// residentDigits is the length of a 公民身份号码.
const residentDigits = 18

// impersonal keeps an id number of a person from standing openly where a caller wrote it by mistake, or to see what
// happens: as a case number or a request id it would stand in a record that nobody can erase, and in logs.
func impersonal(text string) string {
	if namesPerson(text) {
		return "withheld"
	}
	return text
}

// namesPerson reports whether a text holds a right 公民身份号码 (GB 11643).
func namesPerson(text string) bool {
	text = license.NormalCode(text)
	for i := 0; i+residentDigits <= len(text); i++ {
		if license.CheckResidentID(text[i:i+residentDigits]) == nil {
			return true
		}
	}
	return false
}

// logSafe keeps what a caller wrote from forging log lines or carrying text: ids are short and plain.
func logSafe(s string) string {
	const most = 64
	s = impersonal(s)
	out := make([]byte, 0, min(len(s), most))
	for i := 0; i < len(s) && i < most; i++ {
		if b := s[i]; b == '-' || b == '.' || b == '_' || b >= '0' && b <= '9' || b >= 'A' && b <= 'Z' || b >= 'a' && b <= 'z' {
			out = append(out, b)
			continue
		}
		out = append(out, '?')
	}
	return string(out)
}

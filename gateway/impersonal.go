package gateway

import (
	"slices"
	"strings"

	"oncegate/license"
)

// residentDigits is the length of a 公民身份号码.
const residentDigits = 18

// impersonal keeps a person's id number out of a free text that outlives the erasure of evidence, such as why an auditor asks, where
// somebody wrote it by mistake. It is no proof that a text names nobody: what can be a commitment is one instead.
func impersonal(text string, today license.Date) string {
	if namesPerson(text, today) {
		return "withheld"
	}
	return text
}

// namesPerson reports whether a text holds a right 公民身份号码 (GB 11643) of somebody born before today: also in full-width characters,
// with a lower-case x, or in groups with separators between them. Case numbers are often made of a region, the day of acceptance and a
// serial; one of today's is no person's.
func namesPerson(text string, today license.Date) bool {
	joined := make([]byte, 0, len(text))
	var starts []int // of groups, in joined
	apart := true
	for _, r := range license.NormalCode(text) {
		if !(r >= '0' && r <= '9' || r >= 'A' && r <= 'Z') {
			apart = true
			continue
		}
		if apart {
			starts, apart = append(starts, len(joined)), false
		}
		joined = append(joined, byte(r))
	}
	whole := func(from, to int) bool { // groups, or within one
		i, exact := slices.BinarySearch(starts, from)
		if i < len(starts) && exact {
			i++
		}
		if i == len(starts) || starts[i] >= to { // no group begins inside
			return true
		}
		_, ends := slices.BinarySearch(starts, to)
		return exact && (ends || to == len(joined))
	}
	for i := 0; i+residentDigits <= len(joined); i++ {
		number := string(joined[i : i+residentDigits])
		if license.CheckResidentID(number) == nil && license.Date(number[6:10]+"-"+number[10:12]+"-"+number[12:14]).Before(today) && whole(i, i+residentDigits) {
			return true
		}
	}
	return false
}

// isUUID reports whether a text has the form of RFC 9562, in which a request id may stand openly in a record, and whether so many decimal
// digits follow one another there that they may be a person's number. Both cost nothing on the way of every call.
func isUUID(text string) (uuid, suspect bool) {
	digits := 0
	for i := range len(text) {
		b, dash := text[i], i == 8 || i == 13 || i == 18 || i == 23
		switch {
		case dash && b == '-':
		case !dash && b >= '0' && b <= '9':
			digits++
			suspect = suspect || digits >= residentDigits-1
		case !dash && (b >= 'a' && b <= 'f' || b >= 'A' && b <= 'F'):
			digits = 0
		default:
			return false, false
		}
	}
	return len(text) == 36, suspect
}

// requestID parts a request id: open as it is where it is a UUID, unless a person's digits were put into that form; else said, to be
// committed to.
func requestID(id string, today license.Date) (open, said string) {
	if uuid, suspect := isUUID(id); !uuid || suspect && namesPerson(strings.ReplaceAll(id, "-", ""), today) {
		return "", id
	}
	return id, ""
}
